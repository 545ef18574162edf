//! A declared gateway: channels, plain HTTP endpoints and mounted services under their paths.

#[cfg(feature = "schema")]
mod asyncapi;
mod builder;
#[cfg(feature = "schema")]
mod clients;
#[cfg(any(test, feature = "console", feature = "testing"))]
pub(crate) mod in_memory;
#[cfg(feature = "schema")]
mod lints;
mod mount;
pub(crate) mod path;
mod route;
#[cfg(feature = "schema")]
mod rust;
#[cfg(feature = "schema")]
mod told;
#[cfg(feature = "schema")]
mod typescript;

use std::sync::Arc;

use axum::{Router, middleware::from_fn};

use wasabi_rules::{declared_path, mount_path};

#[cfg(feature = "schema")]
pub use self::asyncapi::AsyncApi;
pub(crate) use self::route::ChannelPaths;
use self::route::{Answering, DeclaredRoute};
pub use self::{
    builder::{GatewayBuilder, mount},
    mount::{Mount, ViaGateway, ViaService},
};
#[cfg(feature = "metrics")]
use crate::metrics::Observer;
use crate::{cluster::Attach, describe::Description};

/// A declared gateway: [`gateway!`](crate::gateway!) evaluates to it, and [`Server::serve`](crate::Server::serve) takes
/// it.
///
/// It can be mounted into another gateway, or become part of an axum application:
///
/// ```
/// use wasabi::prelude::*;
///
/// fn chat() -> Gateway {
///     gateway!(channel("/room", async |text: Text| text))
/// }
///
/// let app: axum::Router = axum::Router::new().merge(chat().into_router()?);
/// # drop(app);
/// # Ok::<_, Vec<wasabi::GatewayError>>(())
/// ```
#[must_use = "a gateway does nothing until it is served"]
pub struct Gateway {
    routes: Vec<DeclaredRoute>,
    description: Description,
    #[cfg(feature = "schema")]
    told: told::Told,
    /// The name and the version of the package that declares it.
    #[cfg(feature = "schema")]
    package: (&'static str, &'static str),
    mistakes: Vec<GatewayError>,
    /// What it is in its cluster, and what mounted gateways are.
    nodes: Vec<Arc<dyn Attach>>,
}

/// A mistake in a gateway that the macro could not see: in paths and values known only at run time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// Two declarations answer the same requests.
    #[error("`{path}` is declared already, as `{other}`")]
    Conflict {
        /// The later path.
        path: String,
        /// The earlier one.
        other: String,
    },
    /// The path is invalid.
    #[error("`{path}` is not a path: {why}")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting has an invalid value.
    #[error("{0}")]
    Setting(String),
}

impl Gateway {
    /// Converts the gateway into an axum router, to be served by something other than [`Server`](crate::Server).
    ///
    /// Such a gateway takes no part in a drain and has none of a server's limits, such as its timeouts for HTTP
    /// requests; the program that serves it must provide them. If you can choose, [`mount`](macro@crate::gateway) the
    /// application into the gateway instead. The client's address is known if the service is made with connect info. A
    /// router with a state gets it before the two are merged:
    ///
    /// ```no_run
    /// use std::{net::SocketAddr, time::Duration};
    /// use axum::{Router, extract::State, routing::get};
    /// use wasabi::{CloseCode, Message, Registry, ServeError, gateway};
    ///
    /// #[tokio::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let registry = Registry::new();
    ///     let gateway = gateway!(
    ///         channel("/echo", registry = registry.clone(), async |message: Message| message),
    ///     );
    ///     let app = Router::new()
    ///         .route("/name", get(async |State(name): State<&'static str>| name))
    ///         .with_state("the application")
    ///         .merge(gateway.into_router().map_err(ServeError::Mistakes)?);
    ///
    ///     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    ///     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
    ///         .with_graceful_shutdown(async {
    ///             let _ = tokio::signal::ctrl_c().await;
    ///         })
    ///         .await?;
    ///
    ///     // axum does not wait for WebSockets.
    ///     for connection in registry.connections() {
    ///         connection.close(CloseCode::SERVICE_RESTART);
    ///     }
    ///     let all_closed = async {
    ///         while !registry.is_empty() {
    ///             tokio::time::sleep(Duration::from_millis(50)).await;
    ///         }
    ///     };
    ///     let _ = tokio::time::timeout(Duration::from_secs(30), all_closed).await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// A router cannot change the path by which it routes. It therefore answers 400 to requests whose path is not in
    /// the normal form that [`Server`](crate::Server#paths) would have given it, such as `/%61dmin`.
    ///
    /// # Errors
    ///
    /// Returns the mistakes that [`check`](Self::check) finds.
    pub fn into_router(mut self) -> Result<Router, Vec<GatewayError>> {
        self.check()?;
        for route in &mut self.routes {
            route.answering.wrap(
                |endpoint| endpoint.layer(from_fn(path::only_normal)),
                |service| service.layer(from_fn(path::only_normal)),
            );
        }
        Ok(self.routed())
    }

    /// The router for requests whose paths are already normalized.
    pub(crate) fn routed(self) -> Router {
        self.routes.into_iter().fold(
            Router::new().without_v07_checks(),
            |router,
             DeclaredRoute {
                 path,
                 answering,
                 observer,
                 ..
             }| match answering {
                Answering::Endpoint(endpoint) => {
                    let endpoint = match observer {
                        Some(observer) => observer.around(&path, *endpoint),
                        None => *endpoint,
                    };
                    router.route(&path, endpoint)
                }
                Answering::Service(service) if path == "/" => router.fallback_service(service),
                Answering::Service(service) => router.nest_service(&path, service),
            },
        )
    }

    /// Where its channels are.
    pub(crate) fn channel_paths(&self) -> ChannelPaths {
        ChannelPaths::of(&self.routes)
    }

    /// What it is in its cluster, and what mounted gateways are.
    pub(crate) fn nodes(&self) -> &[Arc<dyn Attach>] {
        &self.nodes
    }

    /// The observers of its channels, for metrics.
    #[cfg(feature = "metrics")]
    pub(crate) fn observers(&self) -> Vec<Observer> {
        self.routes
            .iter()
            .filter_map(|route| route.observer.clone())
            .collect()
    }

    /// Describes the gateway's channels, endpoints and mounts for a person to read.
    pub fn describe(&self) -> &Description {
        &self.description
    }

    /// What the routes of its channels take and answer, in the order of the declaration; see [`schema`](crate::schema). The
    /// first call asks the routers where keys lead, and so runs their guards.
    #[cfg(feature = "schema")]
    pub fn operations(&self) -> &[crate::schema::Operation] {
        self.told.operations()
    }

    /// Returns all mistakes in paths and settings. [`Server::serve`](crate::Server::serve) calls it.
    ///
    /// With the cargo feature `schema`, it also returns what schemas show to be wrong for every client:
    ///
    /// * a type that takes no message with the key or the id of the channel's [`JsonKey`](crate::JsonKey): it has
    ///   `deny_unknown_fields` and no such member, or is no object;
    /// * a reply of one message without anything at the pointer of the id, if another of the channel has something there;
    /// * a reply with a member `error` that has `code` and `message`, on a channel whose errors are like that;
    /// * two messages of `sends` with the same members, and nothing but floating-point numbers of any size in them, or none;
    /// * a message of `sends` with the name of one that members of the channel's kept groups get, such as `gap`.
    ///
    /// Types without a schema, and those whose schemas say too little, are never reported.
    pub fn check(&self) -> Result<(), Vec<GatewayError>> {
        let mut mistakes = self.mistakes.clone();
        let mut seen = matchit::Router::new();
        for DeclaredRoute {
            path,
            answering,
            parameters,
            path_types,
            ..
        } in &self.routes
        {
            let missing = parameters
                .iter()
                .filter(|name| !path::has_parameter(path, name));
            mistakes.extend(missing.map(|name| {
                GatewayError::Setting(format!(
                    "`{path}`: the URL of an upstream contains `{{{name}}}`, but the path has no such parameter"
                ))
            }));
            let unfit = path_types.iter().filter_map(|each| each.check(path));
            mistakes
                .extend(unfit.map(|mistake| GatewayError::Setting(format!("`{path}`: {mistake}"))));
            if let Err(mistake) = check_path(&mut seen, path, answering) {
                mistakes.push(mistake);
            }
        }
        #[cfg(feature = "schema")]
        mistakes.extend(self.told.lints().into_iter().map(GatewayError::Setting));
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(mistakes)
        }
    }
}

fn check_path(
    seen: &mut matchit::Router<()>,
    path: &str,
    answering: &Answering,
) -> Result<(), GatewayError> {
    let malformed = |why: &str| GatewayError::Path {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let is_service = matches!(answering, Answering::Service(_));
    let declared = match is_service {
        true => mount_path(path),
        false => declared_path(path),
    };
    declared.map_err(|why| malformed(&why))?;
    if is_service && path == "/" {
        return Ok(()); // takes what nothing else answers
    }
    let mut insert = |route: String| {
        seen.insert(route, ()).map_err(|error| match error {
            matchit::InsertError::Conflict { with } => GatewayError::Conflict {
                path: path.to_owned(),
                other: with,
            },
            error => malformed(&error.to_string()),
        })
    };
    insert(path.to_owned())?;
    if is_service {
        route::below(path).into_iter().try_for_each(insert)?;
    }
    Ok(())
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("description", &self.description)
            .finish_non_exhaustive()
    }
}

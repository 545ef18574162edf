//! A declared gateway: channels, plain HTTP endpoints and mounted services under their paths.

mod mount;
pub(crate) mod path;

use std::sync::Arc;

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
    routing::MethodRouter,
};

use wasabi_rules::{declared_path, mount_path};

pub use self::mount::Mount;
use crate::{
    Backend, Parser,
    backend::install_tls_provider,
    channel::Channel,
    describe::{Description, EndpointInfo},
    hosts::{self, Hosts},
    metrics::Observer,
    task::hooks::{OnConnect, OnDisconnect},
};

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
    routes: Vec<Route>,
    description: Description,
    mistakes: Vec<GatewayError>,
}

struct Route {
    path: String,
    entry: Entry,
    /// Whether it sets `hosts`.
    has_hosts: bool,
    /// The path parameters that the URLs of its upstreams use.
    parameters: Vec<String>,
    /// Set for channels.
    observer: Option<Observer>,
}

enum Entry {
    Endpoint(Box<MethodRouter>),
    Service(Router),
}

impl Entry {
    fn wrap(
        &mut self,
        endpoint: impl FnOnce(MethodRouter) -> MethodRouter,
        service: impl FnOnce(Router) -> Router,
    ) {
        *self = match std::mem::take(self) {
            Self::Endpoint(inner) => Self::Endpoint(Box::new(endpoint(*inner))),
            Self::Service(inner) => Self::Service(service(inner)),
        };
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::Service(Router::new())
    }
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
            route.entry.wrap(
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
             Route {
                 path,
                 entry,
                 observer,
                 ..
             }| match entry {
                Entry::Endpoint(endpoint) => {
                    let endpoint = match observer {
                        Some(observer) => observer.around(&path, *endpoint),
                        None => *endpoint,
                    };
                    router.route(&path, endpoint)
                }
                Entry::Service(service) if path == "/" => router.fallback_service(service),
                Entry::Service(service) => router.nest_service(&path, service),
            },
        )
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

    /// Returns all mistakes in paths and settings. [`Server::serve`](crate::Server::serve) calls it.
    pub fn check(&self) -> Result<(), Vec<GatewayError>> {
        let mut mistakes = self.mistakes.clone();
        let mut seen = matchit::Router::new();
        for Route {
            path,
            entry,
            parameters,
            ..
        } in &self.routes
        {
            let missing = parameters
                .iter()
                .filter(|name| !path::has_parameter(path, name));
            mistakes.extend(missing.map(|name| {
                GatewayError::Setting(format!(
                    "`{path}`: the URL of an upstream has `{{{name}}}`, and the path has no such parameter"
                ))
            }));
            if let Err(mistake) = check_path(&mut seen, path, entry) {
                mistakes.push(mistake);
            }
        }
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
    entry: &Entry,
) -> Result<(), GatewayError> {
    let malformed = |why: &str| GatewayError::Path {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let is_service = matches!(entry, Entry::Service(_));
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
        insert(format!("{}/{{*rest}}", path.trim_end_matches('/')))?;
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

/// Collects what `gateway!` declares.
#[derive(Debug)]
pub struct GatewayBuilder<S> {
    state: Arc<S>,
    gateway: Gateway,
    hosts: Option<Hosts>,
    /// Endpoints with the same path and different methods share one route.
    endpoints: Vec<(String, Vec<&'static str>, MethodRouter)>,
}

impl<S: Clone + Send + Sync + 'static> GatewayBuilder<S> {
    /// Creates a builder with this state and nothing else yet.
    pub fn new(state: S) -> Self {
        // The gateway's functions may create TLS clients themselves.
        install_tls_provider();
        Self {
            state: Arc::new(state),
            gateway: Gateway {
                routes: Vec::new(),
                description: Description::default(),
                mistakes: Vec::new(),
            },
            hosts: None,
            endpoints: Vec::new(),
        }
    }

    /// `hosts`: the names that everything in the gateway without its own `hosts` setting answers to.
    pub fn hosts<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        let (hosts, mistakes) = Hosts::new(names);
        self.hosts = Some(hosts);
        let mistakes = mistakes.into_iter().map(GatewayError::Setting);
        self.gateway.mistakes.extend(mistakes);
    }

    /// Adds a channel.
    pub fn channel<B, P, C, D>(&mut self, channel: Channel<S, B, P, C, D>)
    where
        B: Backend<S> + 'static,
        P: Parser,
        C: OnConnect,
        D: OnDisconnect,
    {
        let path = channel.path.clone();
        self.gateway
            .description
            .channels
            .push((path.clone(), channel.info));
        let mistakes = channel.check();
        let mistakes = mistakes
            .iter()
            .map(|mistake| GatewayError::Setting(format!("`{path}`: {mistake}")));
        self.gateway.mistakes.extend(mistakes);
        let has_hosts = channel.has_hosts();
        let parameters = channel.parameters();
        let (router, observer) = channel.into_router(Arc::clone(&self.state));
        self.gateway.routes.push(Route {
            path,
            entry: Entry::Endpoint(Box::new(router)),
            has_hosts,
            parameters,
            observer: Some(observer),
        });
    }

    /// Adds an HTTP endpoint.
    pub fn endpoint(
        &mut self,
        path: impl AsRef<str>,
        method: &'static str,
        docs: &'static str,
        router: MethodRouter<S>,
    ) {
        let path = path.as_ref();
        self.gateway.description.endpoints.push(EndpointInfo {
            method,
            path: path.to_owned(),
            docs,
        });
        let router = router.with_state(S::clone(&self.state));
        match self.endpoints.iter_mut().find(|(other, ..)| other == path) {
            Some((_, methods, _))
                if methods.contains(&method) || method == "ANY" || methods.contains(&"ANY") =>
            {
                self.gateway.mistakes.push(GatewayError::Conflict {
                    path: format!("{method} {path}"),
                    other: path.to_owned(),
                });
            }
            Some((_, methods, merged)) => {
                methods.push(method);
                *merged = std::mem::take(merged).merge(router);
            }
            None => self.endpoints.push((path.to_owned(), vec![method], router)),
        }
    }

    /// Adds a sub-gateway or a service.
    pub fn mount<M>(&mut self, path: impl AsRef<str>, docs: &'static str, mounted: impl Mount<M>) {
        mounted.mount(path.as_ref().trim_end_matches('/'), docs, &mut self.gateway);
    }

    /// Returns the gateway.
    pub fn finish(mut self) -> Gateway {
        for (path, _, router) in self.endpoints {
            self.gateway.routes.push(Route {
                path,
                entry: Entry::Endpoint(Box::new(router)),
                has_hosts: false,
                parameters: Vec::new(),
                observer: None,
            });
        }
        if let Some(hosts) = self.hosts.map(Arc::new) {
            for route in &mut self.gateway.routes {
                if std::mem::replace(&mut route.has_hosts, true) {
                    continue;
                }
                let only = from_fn_with_state(Arc::clone(&hosts), hosts::only_for);
                let (endpoint, service) = (only.clone(), only);
                route
                    .entry
                    .wrap(|inner| inner.layer(endpoint), |inner| inner.layer(service));
            }
        }
        self.gateway
    }
}

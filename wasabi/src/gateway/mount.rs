//! Sub-gateways and services mounted under a path of a gateway.

use std::convert::Infallible;

use axum::{Router, extract::Request, response::IntoResponse};
use tower::Service;

use super::{
    Gateway,
    route::{Answering, DeclaredRoute},
};

/// The argument of `mount("/path", ..)`: another [`Gateway`], or a tower service such as an `axum::Router`.
///
/// The paths of a sub-gateway, including their parameters, continue the path where it is mounted. A service sees the
/// rest of the path, as with axum's `nest_service`; at `/` it answers requests that nothing else answers.
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use wasabi::{Gateway, Text, gateway};
///
/// fn chat() -> Gateway {
///     gateway!(channel("/room", async |text: Text| text))
/// }
///
/// let app: Router = Router::new()
///     .route("/name", get(async |State(name): State<&'static str>| name))
///     .with_state("the application");
/// let gateway = gateway!(mount("/chat/{tenant}", chat()), mount("/", app));
/// assert!(gateway.check().is_ok());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be mounted",
    label = "neither a gateway nor a service",
    note = "mount a `Gateway`, an `axum::Router`, or a `tower::Service` of HTTP requests whose error is `Infallible`"
)]
pub trait Mount<M> {
    /// Adds this to a gateway.
    #[doc(hidden)]
    fn mount(self, path: &str, docs: &'static str, gateway: &mut Gateway);
}

/// Marks sub-gateways.
#[derive(Debug)]
pub struct ViaGateway;

/// Marks services.
#[derive(Debug)]
pub struct ViaService;

impl Mount<ViaGateway> for Gateway {
    fn mount(self, prefix: &str, _docs: &'static str, gateway: &mut Gateway) {
        let join = |path: &str| match path {
            "/" if !prefix.is_empty() => prefix.to_owned(),
            path => format!("{prefix}{path}"),
        };
        let Self {
            routes,
            description,
            #[cfg(feature = "schema")]
            told,
            #[cfg(feature = "schema")]
                package: _,
            mistakes,
            nodes,
        } = self;
        #[cfg(feature = "schema")]
        gateway.told.mount(told, join);
        gateway
            .routes
            .extend(routes.into_iter().map(|route| DeclaredRoute {
                path: join(&route.path),
                ..route
            }));
        gateway.description.absorb(description, join);
        gateway.mistakes.extend(mistakes);
        gateway.nodes.extend(nodes);
    }
}

#[diagnostic::do_not_recommend]
impl<T> Mount<ViaService> for T
where
    T: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    T::Response: IntoResponse,
    T::Future: Send + 'static,
{
    fn mount(self, path: &str, docs: &'static str, gateway: &mut Gateway) {
        let path = if path.is_empty() { "/" } else { path };
        gateway.description.mounts.push((path.to_owned(), docs));
        // Wraps the service as the fallback of its own router: boxed once, and the same for both kinds of mount.
        let service = Router::new().fallback_service(self);
        gateway.routes.push(DeclaredRoute {
            path: path.to_owned(),
            answering: Answering::Service(service),
            has_hosts: false,
            parameters: Vec::new(),
            path_types: Vec::new(),
            observer: None,
        });
    }
}

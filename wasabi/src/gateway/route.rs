//! The routes of a gateway.

use axum::{Router, routing::MethodRouter};

use crate::{connection::path_types::PathType, metrics::Observer};

/// A path of a gateway, and what answers there.
pub(super) struct DeclaredRoute {
    pub(super) path: String,
    pub(super) answering: Answering,
    /// Whether it sets `hosts`.
    pub(super) has_hosts: bool,
    /// The path parameters that the URLs of its upstreams use.
    pub(super) parameters: Vec<String>,
    /// What its functions read from the path.
    pub(super) path_types: Vec<PathType>,
    /// Set for channels.
    pub(super) observer: Option<Observer>,
}

pub(super) enum Answering {
    Endpoint(Box<MethodRouter>),
    Service(Router),
}

impl Answering {
    pub(super) fn wrap(
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

impl Default for Answering {
    fn default() -> Self {
        Self::Service(Router::new())
    }
}

//! The routes of a gateway.

use std::borrow::Cow;

use axum::{Router, routing::MethodRouter};
use wasabi_rules::normal_path;

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

/// Which paths lead to channels.
pub(crate) struct ChannelPaths(matchit::Router<bool>);

impl ChannelPaths {
    /// `routes` have been checked.
    pub(super) fn of(routes: &[DeclaredRoute]) -> Self {
        let mut paths = matchit::Router::new();
        for DeclaredRoute {
            path,
            answering,
            observer,
            ..
        } in routes
        {
            let is_service = matches!(answering, Answering::Service(_));
            if is_service && path == "/" {
                continue; // takes what nothing else answers
            }
            // Nothing is in conflict, because the routes have been checked.
            let _ = paths.insert(path, observer.is_some());
            if is_service {
                for below in below(path) {
                    let _ = paths.insert(below, false);
                }
            }
        }
        Self(paths)
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn all() -> Self {
        let mut paths = matchit::Router::new();
        for path in ["/", "/{*rest}"] {
            paths.insert(path, true).expect("no conflict");
        }
        Self(paths)
    }

    /// Whether a channel answers at this path, which must be in normal form.
    pub(crate) fn lead_from(&self, path: &str) -> bool {
        let is_normal = matches!(normal_path(path), Ok(Cow::Borrowed(_)));
        is_normal && self.0.at(path).is_ok_and(|found| *found.value)
    }
}

/// What also leads to a service that is mounted at this path.
pub(super) fn below(path: &str) -> [String; 2] {
    let path = path.trim_end_matches('/');
    [format!("{path}/"), format!("{path}/{{*rest}}")]
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

//! What operators ask, on an address of its own.

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use http::header;

use super::readiness;

/// The admin listener of a [`Server`](crate::Server): `/livez`, `/readyz`, `/metrics` where there are metrics to show,
/// and whatever else is added. None of it can be reached through the public addresses.
///
/// With [`profiles`](Self::profiles), of the feature `profiling`, there are CPU profiles as well.
///
/// There is no authentication and no TLS: listen on a loopback address, a Unix socket or a private network.
///
/// ```no_run
/// use wasabi::{Admin, prelude::*};
///
/// # async fn run(gateway: Gateway, render: fn() -> String) -> Result<(), wasabi::ServeError> {
/// // `render` is that of a `metrics_exporter_prometheus::PrometheusHandle`, for instance.
/// let admin = Admin::bind("127.0.0.1:9090").metrics(move || render());
/// Server::bind("0.0.0.0:8080").admin(admin).serve(gateway).await
/// # }
/// ```
#[must_use = "it belongs to a server"]
pub struct Admin {
    pub(super) address: String,
    router: Router,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl Admin {
    /// Listens on this address, written as for [`Server::bind`](crate::Server::bind).
    pub fn bind(address: impl ToString) -> Self {
        let router = Router::new()
            .route("/livez", get(async || "alive"))
            .route("/readyz", get(readiness));
        Self {
            address: address.to_string(),
            router,
            metrics: None,
        }
    }

    /// Shows at `/metrics` what this function returns, in the text format of Prometheus. The last function counts.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Shows at `/debug/pprof/profile?seconds=10` where the process has spent its CPU time meanwhile, in the format of
    /// `go tool pprof` and of profilers that collect it. 10 s if not said otherwise, 60 s at most; 99 samples for each
    /// second of CPU time. One profile is taken at a time: a second one is answered 409.
    ///
    /// Functions have names where the program keeps its symbols (`strip = false`), and lines where it has debug
    /// information. On Linux and macOS, x86-64 and arm64.
    ///
    /// ```no_run
    /// # fn run() {
    /// use wasabi::Admin;
    ///
    /// let admin = Admin::bind("127.0.0.1:9090").profiles();
    /// // go tool pprof -top http://127.0.0.1:9090/debug/pprof/profile?seconds=10
    /// # drop(admin);
    /// # }
    /// ```
    #[cfg(all(feature = "profiling", unix))]
    pub fn profiles(mut self) -> Self {
        use super::profile::{PATH, profile};

        self.router = self.router.route(PATH, get(profile));
        self
    }

    /// Adds an axum router below `path`, such as `/debug`.
    ///
    /// # Panics
    ///
    /// When the path is taken, or not a path.
    pub fn nest(mut self, path: &str, router: Router) -> Self {
        self.router = self.router.nest(path, router);
        self
    }

    pub(super) fn into_router(self) -> Router {
        let Some(render) = self.metrics else {
            return self.router;
        };
        let show = async move || ([(header::CONTENT_TYPE, TEXT_FORMAT)], render());
        self.router.route("/metrics", get(show))
    }
}

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

impl From<&str> for Admin {
    fn from(address: &str) -> Self {
        Self::bind(address)
    }
}

impl From<String> for Admin {
    fn from(address: String) -> Self {
        Self::bind(address)
    }
}

impl From<SocketAddr> for Admin {
    fn from(address: SocketAddr) -> Self {
        Self::bind(address)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

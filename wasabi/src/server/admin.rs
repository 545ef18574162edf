//! The operators' endpoints, on their own address.

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::{Router, middleware::from_fn_with_state, routing::get};
use http::header;

use super::manage::Management;
use crate::{
    hosts::{Hosts, only_for},
    runtime::readiness,
};

/// The admin listener of a [`Server`](crate::Server): `/livez`, `/readyz`, `/metrics` if metrics are enabled, and
/// whatever else is added, such as the [`Management`] of connections. The public addresses serve none of it.
///
/// With [`profiles`](Self::profiles), of the feature `profiling`, it also serves CPU profiles; with `asyncapi`, of the
/// feature `schema`, an AsyncAPI document; with `console`, of the feature of that name, a page to talk to the gateway in.
///
/// Apart from the keys of the management, it has no authentication, and no TLS: listen on a loopback address, a Unix
/// socket or a private network. Web pages open in a browser on that network cannot read its answers: see
/// [`hosts`](Self::hosts).
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
#[must_use = "an admin listener does nothing until a server has it"]
pub struct Admin {
    pub(super) address: String,
    router: Router,
    hosts: Hosts,
    mistakes: Vec<String>,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// The AsyncAPI document as YAML and as JSON.
    #[cfg(feature = "schema")]
    document: Option<(bytes::Bytes, bytes::Bytes)>,
    #[cfg(feature = "console")]
    has_console: bool,
    /// What the console shows.
    #[cfg(feature = "console")]
    shown: Option<bytes::Bytes>,
    management: Option<Management>,
    /// The added routers, with the paths they are below.
    nested: Vec<(String, Router)>,
    /// The paths that are already taken.
    taken: Vec<&'static str>,
}

impl Admin {
    /// Listens on this address, written as for [`Server::bind`](crate::Server::bind).
    pub fn bind(address: impl ToString) -> Self {
        let router = Router::new()
            .route(LIVEZ, get(async || "alive"))
            .route(READYZ, get(readiness));
        let address = address.to_string();
        let mut hosts = Hosts::of_this_machine();
        if let Some((name, _port)) = address.rsplit_once(':') {
            // If this is not a name, such as `[::]`, it is an address, and every address is allowed already.
            let _ = hosts.extend([name]);
        }
        Self {
            address,
            router,
            hosts,
            mistakes: Vec::new(),
            metrics: None,
            #[cfg(feature = "schema")]
            document: None,
            #[cfg(feature = "console")]
            has_console: false,
            #[cfg(feature = "console")]
            shown: None,
            management: None,
            nested: Vec::new(),
            taken: vec![LIVEZ, READYZ, METRICS],
        }
    }

    /// Answers to these names as well, written as for the channel setting `hosts`; `*` is every name. By default the
    /// listener answers to `localhost`, the name in its own address, and every IP address. Requests for other names are
    /// answered 421.
    ///
    /// Anyone can point a name of their own to an address (DNS rebinding), and so make a browser that can reach the
    /// listener request a profile or read the metrics. An IP address cannot be abused that way. List the names that
    /// your own tools use, such as the service name that Prometheus scrapes. On a Unix socket, which no browser can
    /// reach, every name is answered.
    pub fn hosts<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.mistakes.extend(self.hosts.extend(names));
        self
    }

    /// Serves the result of this function at `/metrics`, in the Prometheus text format. The last function set wins.
    ///
    /// With the cargo feature `metrics` the server counts in the process's [metrics](https://docs.rs/metrics), which an
    /// exporter such as `metrics-exporter-prometheus` renders: install its recorder before the server starts. Before
    /// each call of `render` the server updates the metrics, as [`ServerHandle::observe`](crate::ServerHandle) does. No
    /// label contains anything that a client sends. `examples/production` has a Grafana dashboard for them.
    ///
    /// | metric | type, unit | labels |
    /// |---|---|---|
    /// | `wasabi_active_connections` | gauge | `channel`: its path |
    /// | `wasabi_opened_connections_total` | counter | `channel` |
    /// | `wasabi_rejected_connections_total` | counter | `channel`, `error_type`: the reason, or the status of HTTP middleware |
    /// | `wasabi_closed_connections_total` | counter | `channel`, `code`: the close code; `3xxx` and `4xxx` are each one |
    /// | `wasabi_connection_duration_seconds` | histogram, seconds | `channel` |
    /// | `wasabi_messages_total` | counter | `channel`, `network_io_direction`: `receive`, `transmit` |
    /// | `wasabi_io_bytes_total` | counter, bytes | `channel`, `network_io_direction` |
    /// | `wasabi_send_queue_messages` | gauge | `channel` |
    /// | `wasabi_send_queue_bytes` | gauge, bytes | `channel` |
    /// | `wasabi_skipped_messages_total` | counter | `channel`; of broadcasts |
    /// | `wasabi_active_sockets` | gauge | |
    /// | `wasabi_waiting_reply_bytes` | gauge, bytes | |
    /// | `wasabi_draining` | gauge, 0 or 1 | |
    /// | `wasabi_cut_connections_total` | counter; by drains | |
    /// | `wasabi_upstream_connections` | gauge | `server_address`, `server_port`; of `WebSocket` |
    /// | `wasabi_upstream_dials_total` | counter | `server_address`, `server_port`, `outcome`: `ok` or the code of the error |
    /// | `wasabi_upstream_redials_total` | counter | `server_address`, `server_port` |
    /// | `wasabi_queue_pending_requests` | gauge | `messaging_destination_name`: the topic, or `*` |
    /// | `wasabi_queue_connected` | gauge, 0 or 1 | `messaging_destination_name` |
    /// | `wasabi_queue_dropped_replies_total` | counter | `messaging_destination_name`, `error_type` |
    /// | `wasabi_cluster_connected` | gauge, 0 or 1 | `cluster`: its name |
    /// | `wasabi_cluster_subscriptions` | gauge | `cluster` |
    /// | `wasabi_cluster_received_messages_total` | counter | `cluster` |
    /// | `wasabi_cluster_dropped_messages_total` | counter | `cluster` |
    /// | `wasabi_circuit_breaker_state` | gauge; 0 closed, 1 half open, 2 open | `route` |
    /// | `wasabi_circuit_breaker_opened_total` | counter | `route` |
    ///
    /// [`Measure::metrics`](crate::middleware::request::Measure) counts requests, at its place in the chain.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// Serves a CPU profile at `/debug/pprof/profile?seconds=10`, in the format of `go tool pprof` and of profilers
    /// that collect it. It shows where the process spent its CPU time during these seconds: 10 by default, at most 60,
    /// at 99 samples per second of CPU time. One profile runs at a time; a second request is answered 409.
    ///
    /// Functions have names if the program keeps its symbols (`strip = false`), and lines if it has debug information.
    /// Works on Linux and macOS, on x86-64 and arm64.
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

        if !self.taken.contains(&PATH) {
            self.taken.push(PATH);
            self.router = self.router.route(PATH, get(profile));
        }
        self
    }

    /// Serves an AsyncAPI document at `/asyncapi.yaml` and `/asyncapi.json`. It does not change while the server runs. A
    /// second document replaces the first.
    ///
    /// ```no_run
    /// use wasabi::{Admin, prelude::*};
    ///
    /// # async fn run(gateway: Gateway) -> Result<(), wasabi::ServeError> {
    /// let admin = Admin::bind("127.0.0.1:9090").asyncapi(&gateway.asyncapi());
    /// Server::bind("0.0.0.0:8080").admin(admin).serve(gateway).await
    /// # }
    /// ```
    #[cfg(feature = "schema")]
    pub fn asyncapi(mut self, document: &crate::AsyncApi) -> Self {
        self.document = Some((document.to_yaml().into(), document.to_json().into()));
        for path in [ASYNCAPI_YAML, ASYNCAPI_JSON] {
            if !self.taken.contains(&path) {
                self.taken.push(path);
            }
        }
        self
    }

    /// Serves a page at `/console` on which a person talks to the gateway: it shows the channels and routes of its
    /// declaration, connects, sends what a form makes of a route's types, and shows every message with its reply.
    ///
    /// ```no_run
    /// use wasabi::{Admin, prelude::*};
    ///
    /// # async fn run(gateway: Gateway) -> Result<(), wasabi::ServeError> {
    /// let admin = Admin::bind("127.0.0.1:9090").console();
    /// Server::bind("0.0.0.0:8080").admin(admin).serve(gateway).await
    /// # }
    /// ```
    ///
    /// The page connects through the admin listener, which makes the handshake within the process and passes everything
    /// on. So it can send any header, shows why a handshake was refused, and shows pings and pongs. To the gateway it is
    /// a client at the address of the browser, and everything that clients may do it may do: the declaration's own checks
    /// stand, and no others. At most 32 such connections are open at the same time; a message may have 16 MiB. Only pages
    /// of the listener itself may connect. Nothing is stored, in the browser or here.
    ///
    /// What it shows is the document that [`asyncapi`](Self::asyncapi) was given, or else
    /// [`Gateway::asyncapi`](crate::Gateway::asyncapi), which runs the guards of routes once, when the server starts.
    #[cfg(feature = "console")]
    pub fn console(mut self) -> Self {
        if !self.has_console {
            self.has_console = true;
            self.taken.extend(super::console::PATHS);
        }
        self
    }

    /// Takes what the console shows, if there is to be one.
    #[cfg(feature = "console")]
    pub(super) fn describe(&mut self, gateway: &crate::Gateway) {
        if self.has_console {
            let own = self.document.as_ref().map(|(_, json)| json.clone());
            let document = own.unwrap_or_else(|| gateway.asyncapi().to_json().into());
            self.shown = Some(document);
        }
    }

    /// Adds the console, if there is to be one, for a gateway that `http` serves.
    #[cfg(feature = "console")]
    pub(super) fn with_console(mut self, http: &super::http::HttpService) -> Self {
        if let Some(document) = self.shown.take() {
            self.router = self.router.merge(super::console::router(document, http));
        }
        self
    }

    /// Answers those who manage connections, groups and users, below `/v1`. A second management replaces the first.
    pub fn manage(mut self, management: Management) -> Self {
        self.management = Some(management);
        for path in [V1, BELOW_V1] {
            if !self.taken.contains(&path) {
                self.taken.push(path);
            }
        }
        self
    }

    /// Adds an axum router below `path`, such as `/debug`. A `path` that is taken, invalid or `/` is a mistake, and the
    /// server does not start.
    pub fn nest(mut self, path: &str, router: Router) -> Self {
        self.nested.push((path.to_owned(), router));
        self
    }

    /// Returns all mistakes in its settings.
    pub(super) fn check(&self) -> Vec<String> {
        let mut seen = matchit::Router::new();
        for path in &self.taken {
            // These paths all differ.
            let _ = seen.insert((*path).to_owned(), ());
        }
        let nested = self.nested.iter().filter_map(|(path, _)| {
            let below = format!("{}/{{*rest}}", path.trim_end_matches('/'));
            let why = match wasabi_rules::mount_path(path) {
                Err(why) => why,
                Ok(_) if path == "/" => "it would match every path; use a path below it".to_owned(),
                Ok(_) => match seen
                    .insert(path.clone(), ())
                    .and_then(|()| seen.insert(below, ()))
                {
                    Ok(()) => return None,
                    Err(error) => error.to_string(),
                },
            };
            Some(format!("`Admin::nest`: `{}`: {why}", path.escape_debug()))
        });
        let management = self.management.iter();
        let management = management.flat_map(|management| management.check(&self.address));
        let mistakes = self.mistakes.iter().cloned().chain(nested);
        mistakes.chain(management).collect()
    }

    /// Calls `observe` before it shows metrics.
    pub(super) fn into_router(
        self,
        for_hosts: bool,
        observe: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Router {
        let mut router = self.router;
        if let Some(render) = self.metrics {
            let show = async move || {
                observe();
                ([(header::CONTENT_TYPE, TEXT_FORMAT)], render())
            };
            router = router.route(METRICS, get(show));
        }
        #[cfg(feature = "schema")]
        if let Some((yaml, json)) = self.document {
            let show = |media_type: &'static str, text: bytes::Bytes| {
                get(async move || ([(header::CONTENT_TYPE, media_type)], text))
            };
            router = router
                .route(ASYNCAPI_YAML, show("application/yaml", yaml))
                .route(ASYNCAPI_JSON, show("application/json", json));
        }
        if let Some(management) = self.management {
            router = router.merge(management.into_router());
        }
        for (path, nested) in self.nested {
            router = router.nest_service(&path, nested);
        }
        match for_hosts {
            true => router.layer(from_fn_with_state(Arc::new(self.hosts), only_for)),
            false => router,
        }
    }
}

const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";
const METRICS: &str = "/metrics";
const V1: &str = "/v1";
const BELOW_V1: &str = "/v1/{*rest}";

#[cfg(feature = "schema")]
const ASYNCAPI_YAML: &str = "/asyncapi.yaml";
#[cfg(feature = "schema")]
const ASYNCAPI_JSON: &str = "/asyncapi.json";

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

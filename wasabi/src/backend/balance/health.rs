//! Health checks of balanced nodes, independent of their requests.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use http::StatusCode;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Balancer, Health, Node};
use crate::{
    BoxError, Lifecycle, backoff::chance, mistakes::Mistakes, panics::caught_future,
    sync::Unpoisoned, time::FOREVER,
};

/// How the gateway checks the health of a balanced node, independently of its requests.
///
/// A node that fails three checks in a row gets no more requests until it passes two in a row. The other nodes take
/// over its share; when no node passes, all of them are used. The outcome of requests counts as well: see
/// [`Balance`](crate::Balance).
///
/// ```
/// use wasabi::prelude::*;
///
/// # async fn is_loaded() -> std::io::Result<()> { Ok(()) }
/// # async fn local(text: Text) -> Text { text }
/// let gateway = gateway!(channel(
///     "/",
///     balance([
///         (2, Http::post("http://a:8080/quotes"), HealthCheck::path("/healthz").every(2s)),
///         (2, WebSocket::connect("ws://b:9000/"), HealthCheck::handshake()),
///         (1, local, HealthCheck::with(is_loaded).every(30s)),
///     ]),
/// ));
/// # drop(gateway);
/// ```
///
/// The checks start when the first client connects and end when the gateway is dropped. Each node has one check at a
/// time. The intervals vary by up to a tenth in both directions, so that many gateways do not check at once.
#[derive(Clone)]
#[must_use = "a health check does nothing until a node has it"]
pub struct HealthCheck {
    kind: CheckKind,
    every: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
    mistakes: Mistakes,
}

#[derive(Clone)]
enum CheckKind {
    Way(Way),
    Function(Probe),
}

/// A check that the backend of the node knows how to make.
#[derive(Clone)]
pub struct Way {
    pub(crate) path: Option<String>,
    accepts: Option<Arc<dyn Fn(StatusCode) -> bool + Send + Sync>>,
}

impl Way {
    pub(crate) fn accepts(&self, status: StatusCode) -> bool {
        match &self.accepts {
            Some(accepts) => accepts(status),
            None => status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

/// Checks a node once.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

impl HealthCheck {
    fn new(kind: CheckKind) -> Self {
        Self {
            kind,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            mistakes: Mistakes::default(),
        }
    }

    /// Sends a GET for this path, which may have a query, to the host of an [`Http`](crate::Http) node with a fixed
    /// URL, with the node's client and its own headers. A status from 200 to 299 passes. The body is not read.
    pub fn path(path: impl Into<String>) -> Self {
        Self::new(CheckKind::Way(Way {
            path: Some(path.into()),
            accepts: None,
        }))
    }

    /// Opens a WebSocket handshake with a [`WebSocket`](crate::WebSocket) node, with the node's own headers, and sends
    /// a ping. The check passes when the pong arrives. The handshake contains nothing that is forwarded from clients.
    pub fn handshake() -> Self {
        Self::new(CheckKind::Way(Way {
            path: None,
            accepts: None,
        }))
    }

    /// Checks the node with a function: for your own backends, and for everything that the other checks cannot do. A
    /// panic counts as a failure.
    pub fn with<F, Fut, E>(check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::new(CheckKind::Function(Arc::new(move || {
            check().map(|passed| passed.map_err(Into::into)).boxed()
        })))
    }

    /// Sets which statuses pass; for [`path`](Self::path) the default is 2xx. A [`handshake`](Self::handshake) that the
    /// upstream refuses with such a status passes, too: an upstream that demands a client's credentials is alive.
    pub fn accept_status(
        mut self,
        accepts: impl Fn(StatusCode) -> bool + Send + Sync + 'static,
    ) -> Self {
        match &mut self.kind {
            CheckKind::Way(way) => way.accepts = Some(Arc::new(accepts)),
            CheckKind::Function(_) => self.mistakes.push(
                "`HealthCheck::accept_status` has no effect on a check by a function; remove it"
                    .to_owned(),
            ),
        }
        self
    }

    /// Sets the time between two checks; the default is 5 s.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = self
            .mistakes
            .above_zero("HealthCheck::every", every)
            .min(FOREVER);
        self
    }

    /// Sets how long a check may take; the default is 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = self
            .mistakes
            .above_zero("HealthCheck::timeout", timeout)
            .min(FOREVER);
        self
    }

    /// Sets how many checks in a row a node that was left out has to pass; the default is 2.
    pub fn rise(mut self, passed: u32) -> Self {
        self.rise = self.mistakes.above_zero("HealthCheck::rise", passed);
        self
    }

    /// Sets after how many failures in a row a node is left out; the default is 3.
    pub fn fall(mut self, failed: u32) -> Self {
        self.fall = self.mistakes.above_zero("HealthCheck::fall", failed);
        self
    }

    async fn run(self, index: usize, probe: Probe, nodes: Nodes) {
        loop {
            let asked = caught_future(async { probe().await });
            let failure = match timeout(self.timeout, asked).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(error),
                Ok(Err(_)) => Some("the check panicked".into()),
                Err(_) => Some(format!("the node did not answer within {:?}", self.timeout).into()),
            };
            self.note(index, failure, &nodes);
            sleep(self.pause()).await;
        }
    }

    fn note(&self, index: usize, failure: Option<BoxError>, nodes: &Mutex<Box<[Node]>>) {
        let mut nodes = nodes.lock().unpoisoned();
        let Some(node) = nodes.get_mut(index) else {
            return;
        };
        if failure.is_some() == node.drained {
            node.streak = 0;
            return;
        }
        node.streak += 1;
        let enough = if node.drained { self.rise } else { self.fall };
        if node.streak < enough {
            return;
        }
        node.streak = 0;
        node.drained = failure.is_some();
        if !node.drained {
            // The outcomes of earlier requests are older than this check.
            (node.failures, node.health) = (0, Health::Up);
        }
        drop(nodes);
        match failure {
            Some(error) => {
                tracing::warn!(node = index, %error, "node failed its health checks and gets no requests")
            }
            None => tracing::info!(
                node = index,
                "node passed its health checks and gets requests again"
            ),
        }
    }

    /// Nine to eleven tenths of the configured interval.
    fn pause(&self) -> Duration {
        self.every.mul_f64(0.9 + 0.2 * chance())
    }
}

type Nodes = Arc<Mutex<Box<[Node]>>>;

/// Visits the parts of the node with this index.
type Visit<'a> = &'a dyn Fn(usize, &mut dyn FnMut(&dyn Lifecycle));

/// A balancer and its nodes.
pub struct Group<'a> {
    balancer: &'a Balancer,
    nodes: Visit<'a>,
}

impl<'a> Group<'a> {
    /// Makes the group of this balancer. The function visits the parts of the node with an index.
    pub fn new(balancer: &'a Balancer, nodes: Visit<'a>) -> Self {
        Self { balancer, nodes }
    }

    fn probe(&self, index: usize, check: &HealthCheck) -> Result<Probe, String> {
        let way = match &check.kind {
            CheckKind::Function(probe) => return Ok(Arc::clone(probe)),
            CheckKind::Way(way) => way,
        };
        let mut found = None;
        (self.nodes)(index, &mut |part| {
            if found.is_none() {
                found = part.probe(way);
            }
        });
        found.unwrap_or_else(|| {
            Err(match way.path {
                Some(_) => "`HealthCheck::path` is only for `Http` nodes; use `HealthCheck::with`",
                None => "a handshake can only check `WebSocket` nodes; use `HealthCheck::with`",
            }
            .to_owned())
        })
    }

    fn probes(&self) -> impl Iterator<Item = (usize, &HealthCheck, Result<Probe, String>)> {
        let checks = self.balancer.checks.iter().enumerate();
        checks.filter_map(|(index, check)| {
            let check = check.as_ref()?;
            Some((index, check, self.probe(index, check)))
        })
    }
}

impl Lifecycle for Group<'_> {
    fn check(&self) -> Result<(), String> {
        let mut mistakes = self.balancer.mistakes.clone();
        for (index, check, probe) in self.probes() {
            let found = check.mistakes.as_slice().iter().cloned();
            for mistake in found.chain(probe.err()) {
                mistakes.push(format!(
                    "`balance`: the check of node {index} (counted from 0): {mistake}"
                ));
            }
        }
        mistakes.check()
    }

    fn connected(&self, _connection: &crate::Connection) {
        if self.balancer.checks.is_empty() {
            return;
        }
        self.balancer.running.get_or_init(|| {
            let ready = self.probes().filter_map(|(index, check, probe)| {
                let nodes = Arc::clone(&self.balancer.nodes);
                let checking = check.clone().run(index, probe.ok()?, nodes);
                Some(AbortOnDropHandle::new(tokio::spawn(checking)))
            });
            ready.collect()
        });
    }

    /// A nested group checks its own nodes and cannot answer for them as a whole.
    fn probe(&self, _way: &Way) -> Option<Result<Probe, String>> {
        Some(Err(
            "a group inside a group has no check of its own; use `HealthCheck::with`".to_owned(),
        ))
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            CheckKind::Way(Way {
                path: Some(path), ..
            }) => path,
            CheckKind::Way(_) => "handshake",
            CheckKind::Function(_) => "function",
        };
        f.debug_struct("HealthCheck")
            .field("kind", &kind)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("balancer", &self.balancer)
            .finish_non_exhaustive()
    }
}

//! Asking the nodes of a balanced group whether they work, beside their requests.

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
    BoxError, Lifecycle, mistakes::Mistakes, panics::caught_future, sync::Unpoisoned, time::FOREVER,
};

/// How a node of a balanced group is asked whether it works, whatever becomes of its requests.
///
/// A node that fails three times in a row gets no requests any more, until it has passed twice in a row. The other
/// nodes have what it would have had; when no node passes, all are used as if they did. What requests tell about a node
/// counts as well: see [`Balance`](crate::Balance).
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
/// The first check is made when the first client connects, and the last one before the gateway is dropped. There is one
/// at a time for each node; the times between them are up to a tenth shorter or longer, so that many gateways do
/// not ask at once.
#[derive(Clone)]
#[must_use = "a check does nothing until it is that of a node"]
pub struct HealthCheck {
    kind: Kind,
    every: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
    mistakes: Mistakes,
}

#[derive(Clone)]
enum Kind {
    Way(Way),
    Function(Probe),
}

/// A check of which the backend of the node knows how it is made.
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

/// Asks a node once.
pub type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

impl HealthCheck {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            mistakes: Mistakes::default(),
        }
    }

    /// GET of this path, which may have a query, from the host of an [`Http`](crate::Http) node that has a fixed URL, with
    /// the node's client and its own headers: a status from 200 to 299 passes. The body is not read.
    pub fn path(path: impl Into<String>) -> Self {
        Self::new(Kind::Way(Way {
            path: Some(path.into()),
            accepts: None,
        }))
    }

    /// The opening handshake of a [`WebSocket`](crate::WebSocket) node with the headers of its own, and a ping: passes when
    /// the pong is there. What is forwarded from clients is not in the handshake.
    pub fn handshake() -> Self {
        Self::new(Kind::Way(Way {
            path: None,
            accepts: None,
        }))
    }

    /// A function asks the node: for backends of one's own, and for everything that the others cannot ask. A panic is a
    /// failure.
    pub fn with<F, Fut, E>(check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self::new(Kind::Function(Arc::new(move || {
            check().map(|passed| passed.map_err(Into::into)).boxed()
        })))
    }

    /// Which statuses pass: 2xx for [`path`](Self::path) if not set. An upstream that refuses a
    /// [`handshake`](Self::handshake) with such a status passes, too: one that demands a client's credentials is there.
    pub fn accept_status(
        mut self,
        accepts: impl Fn(StatusCode) -> bool + Send + Sync + 'static,
    ) -> Self {
        match &mut self.kind {
            Kind::Way(way) => way.accepts = Some(Arc::new(accepts)),
            Kind::Function(_) => self.mistakes.push(
                "a function says itself what passes; leave `HealthCheck::accept_status` out"
                    .to_owned(),
            ),
        }
        self
    }

    /// The time between two checks, 5 s if not set.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = self
            .mistakes
            .above_zero("HealthCheck::every", every)
            .min(FOREVER);
        self
    }

    /// How long a node may take to pass, 2 s if not set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = self
            .mistakes
            .above_zero("HealthCheck::timeout", timeout)
            .min(FOREVER);
        self
    }

    /// How many checks in a row a node that was left out has to pass, 2 if not set.
    pub fn rise(mut self, passed: u32) -> Self {
        self.rise = self.mistakes.above_zero("HealthCheck::rise", passed);
        self
    }

    /// After how many failures in a row a node is left out, 3 if not set.
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
                Err(_) => Some(format!("no answer within {:?}", self.timeout).into()),
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
            // What requests have told is older.
            (node.failures, node.health) = (0, Health::Up);
        }
        drop(nodes);
        match failure {
            Some(error) => {
                tracing::warn!(node = index, %error, "node fails its checks and is left out")
            }
            None => tracing::info!(node = index, "node passes its checks again"),
        }
    }

    /// Nine to eleven tenths of the time between two checks.
    fn pause(&self) -> Duration {
        let mut random = [0; 1];
        // Without randomness they are as regular as can be.
        let _ = getrandom::fill(&mut random);
        self.every.mul_f64(0.9 + 0.2 * f64::from(random[0]) / 255.0)
    }
}

type Nodes = Arc<Mutex<Box<[Node]>>>;

/// Shows the parts of a node by its number.
type Visit<'a> = &'a dyn Fn(usize, &mut dyn FnMut(&dyn Lifecycle));

/// A balancer and its nodes.
pub struct Group<'a> {
    balancer: &'a Balancer,
    nodes: Visit<'a>,
}

impl<'a> Group<'a> {
    /// The group of this balancer, whose nodes are shown by the function.
    pub fn new(balancer: &'a Balancer, nodes: Visit<'a>) -> Self {
        Self { balancer, nodes }
    }

    fn probe(&self, index: usize, check: &HealthCheck) -> Result<Probe, String> {
        let way = match &check.kind {
            Kind::Function(probe) => return Ok(Arc::clone(probe)),
            Kind::Way(way) => way,
        };
        let mut found = None;
        (self.nodes)(index, &mut |part| {
            if found.is_none() {
                found = part.probe(way);
            }
        });
        found.unwrap_or_else(|| {
            Err(match way.path {
                Some(_) => "only an `Http` node has a path: use `HealthCheck::with`",
                None => "only a `WebSocket` node has a handshake: use `HealthCheck::with`",
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

    /// Its nodes are checked by itself: a group in a group answers for none of them.
    fn probe(&self, _way: &Way) -> Option<Result<Probe, String>> {
        Some(Err(
            "a group in a group has no check: use `HealthCheck::with`".to_owned(),
        ))
    }
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Way(Way {
                path: Some(path), ..
            }) => path,
            Kind::Way(_) => "handshake",
            Kind::Function(_) => "function",
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

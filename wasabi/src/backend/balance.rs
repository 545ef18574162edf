//! Load balancing: several backends share the requests of one route.

mod health;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use wasabi_rules::WEIGHT;

pub use self::health::{Group, HealthCheck, Probe, Way};

use super::{Backend, Lifecycle};
use crate::{
    Error, Reply, Request, Result, error::upstream_failed, log::limited, mistakes::Mistakes,
    sync::Unpoisoned, time::FOREVER,
};

/// Shares requests among backends of one type by weight and load. It does what `balance([..])` does in a declaration,
/// for nodes that are known only at run time.
///
/// * **Load:** no node gets more than its weight's share of the requests in flight. A slow node therefore gets fewer
///   requests than its weight says.
/// * **Weight:** among the nodes below their share, the weights decide, evenly interleaved: sequential requests over
///   weights 1 and 9 are split 1 to 9.
/// * **Health:** a node that fails 5 times in a row is left out for 10 seconds, then gets one trial request. Errors
///   that are the upstream's [fault](crate::Error::fault) count as failures, including an open circuit breaker. A
///   request that is cancelled from outside, or fails by its own fault, says nothing about the node. When no node is
///   healthy, all of them are used.
/// * **Checks:** a node with a [`HealthCheck`] is also probed independently of its requests. A node that fails its
///   checks gets no requests until it passes again, and then starts without failures.
///
/// A request goes to one node and fails with it. Wrap the balance in a [`Retry`](crate::middleware::request::Retry) to
/// try another node.
///
/// ```
/// use std::time::Duration;
/// use wasabi::prelude::*;
///
/// struct Shard(u16);
///
/// impl<S: Sync> Backend<S> for Shard {
///     async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
///         Ok(Reply::message(self.0.to_string()))
///     }
/// }
///
/// let nodes = (0..4).map(|n| (1, Shard(n)));
/// let shards = Balance::new(nodes).failures(3).pause(Duration::from_secs(30));
/// let gateway = gateway!(channel("/", shards));
/// assert!(gateway.check().is_ok());
/// ```
#[derive(Debug)]
pub struct Balance<B> {
    balancer: Balancer,
    nodes: Vec<B>,
}

impl<B> Balance<B> {
    /// Shares requests among these nodes, each preceded by its weight. Fewer than two nodes, or a weight of 0, are
    /// mistakes that prevent the gateway from being served.
    pub fn new(nodes: impl IntoIterator<Item = (u32, B)>) -> Self {
        let (weights, nodes): (Vec<_>, _) = nodes.into_iter().unzip();
        let balancer = Balancer::of(weights.into_iter());
        Self { balancer, nodes }
    }

    /// Sets after how many failures in a row a node is left out; the default is 5.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        let mistakes = &mut self.balancer.mistakes;
        self.balancer.max_failures = mistakes.above_zero("Balance::failures", failures).max(1);
        self
    }

    /// Probes the health of each node with this check. By default there are no checks.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{Balance, HealthCheck, Http};
    ///
    /// let nodes = ["a", "b", "c"].map(|host| (1, Http::post(format!("http://{host}:8080/orders"))));
    /// let check = HealthCheck::path("/healthz").every(Duration::from_secs(2));
    /// let orders = Balance::new(nodes).health_check(check);
    /// # drop(orders);
    /// ```
    #[must_use]
    pub fn health_check(self, check: HealthCheck) -> Self {
        self.health_check_by(|_| check.clone())
    }

    /// Probes the health of each node with the check that this function returns. The function is called immediately,
    /// once per node.
    #[must_use]
    pub fn health_check_by(mut self, check: impl Fn(&B) -> HealthCheck) -> Self {
        self.balancer.checks = self.nodes.iter().map(|node| Some(check(node))).collect();
        self
    }

    /// Sets how long a node is left out before it gets a trial request; the default is 10 s.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        let mistakes = &mut self.balancer.mistakes;
        self.balancer.pause = mistakes.above_zero("Balance::pause", pause).min(FOREVER);
        self
    }
}

impl<S: Sync, B: Backend<S>> Backend<S> for Balance<B> {
    async fn call(&self, req: Request, state: &S) -> Result<Reply> {
        let picked = self.balancer.pick();
        let Some(node) = self.nodes.get(picked.index()) else {
            return Err(Error::UpstreamUnreachable("the group has no nodes".into()));
        };
        let result = node.call(req, state).await;
        picked.finish(&result);
        result
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.nodes.iter().any(|node| node.owes_reply(req))
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(&Group::new(&self.balancer, &|index, visit| {
            if let Some(node) = self.nodes.get(index) {
                node.lifecycle(visit);
            }
        }));
        for node in &self.nodes {
            node.lifecycle(visit);
        }
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        to.group(&|to| {
            for node in &self.nodes {
                to.node("", &|to| node.describe(to));
            }
        });
    }
}

/// Decides which node gets a request.
pub struct Balancer {
    /// Locked for a few steps per node, never across an `await`.
    nodes: Arc<Mutex<Box<[Node]>>>,
    /// By node; empty if no node has a check.
    checks: Box<[Option<HealthCheck>]>,
    /// The tasks of the checks. They end with the balancer.
    running: OnceLock<Box<[AbortOnDropHandle<()>]>>,
    max_failures: u32,
    pause: Duration,
    mistakes: Mistakes,
}

struct Node {
    weight: u32,
    in_flight: u64,
    /// How far the node is behind (or, if negative, ahead of) what its weight entitles it to.
    credit: i64,
    /// In a row.
    failures: u32,
    health: Health,
    /// Whether the node fails its checks; it then gets no requests.
    drained: bool,
    /// The number of checks in a row whose outcome contradicts `drained`.
    streak: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Up,
    Down {
        until: Instant,
    },
    /// The node has one request to prove itself.
    OnTrial,
}

impl Balancer {
    /// Makes a balancer over nodes with these weights.
    pub fn new<const N: usize>(weights: [u32; N]) -> Self {
        Self::of(weights.into_iter())
    }

    /// Sets the checks of the nodes, in their order.
    #[must_use]
    pub fn checked<const N: usize>(mut self, checks: [Option<HealthCheck>; N]) -> Self {
        self.checks = checks.into();
        self
    }

    fn of(weights: impl Iterator<Item = u32>) -> Self {
        let nodes: Box<[Node]> = weights.map(Node::new).collect();
        let mut mistakes = Mistakes::default();
        mistakes.keep(wasabi_rules::nodes(nodes.len()));
        for (index, node) in nodes.iter().enumerate() {
            if node.weight == 0 {
                mistakes.push(format!(
                    "{WEIGHT}; node {index} of `balance`, counted from 0, has 0"
                ));
            }
        }
        Self {
            nodes: Arc::new(Mutex::new(nodes)),
            checks: Box::default(),
            running: OnceLock::new(),
            max_failures: 5,
            pause: Duration::from_secs(10),
            mistakes,
        }
    }

    /// Takes a node for one request.
    pub fn pick(&self) -> Picked<'_> {
        let mut nodes = self.lock();
        let (index, on_trial) = match due_for_trial(&nodes) {
            Some(index) => {
                nodes[index].health = Health::OnTrial;
                (index, true)
            }
            None => (by_share(&mut nodes), false),
        };
        if let Some(node) = nodes.get_mut(index) {
            node.in_flight += 1;
        }
        Picked {
            balancer: self,
            index,
            on_trial,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Node]>> {
        // No code panics while it holds the lock.
        self.nodes.lock().unpoisoned()
    }
}

/// A node whose pause is over.
fn due_for_trial(nodes: &[Node]) -> Option<usize> {
    let mut down = nodes
        .iter()
        .filter(|node| matches!(node.health, Health::Down { .. }));
    down.next()?; // Usually none is down, so the clock is not read.
    let now = Instant::now();
    nodes.iter().position(|node| {
        !node.drained && matches!(node.health, Health::Down { until } if until <= now)
    })
}

/// The node that is furthest behind among those below their share of the load.
fn by_share(nodes: &mut [Node]) -> usize {
    let any_up = nodes.iter().any(Node::is_up);
    let any_passes = any_up || nodes.iter().any(|node| !node.drained);
    let takes_part = |node: &Node| match any_up {
        true => node.is_up(),
        false => !any_passes || !node.drained,
    };
    let (mut load, mut weights) = (1, 0); // the new request counts
    for node in nodes.iter().filter(|node| takes_part(node)) {
        load += node.in_flight;
        weights += u64::from(node.weight);
    }
    // At least one node is below its share: the shares add up to the whole load, which includes the new request.
    let below_share = |node: &Node| node.in_flight * weights < load * u64::from(node.weight);
    let mut best: Option<usize> = None;
    let mut given = 0;
    for index in 0..nodes.len() {
        let node = &mut nodes[index];
        if !takes_part(node) || !below_share(node) {
            continue;
        }
        node.credit += i64::from(node.weight);
        given += i64::from(node.weight);
        let credit = node.credit;
        if best.is_none_or(|best| credit > nodes[best].credit) {
            best = Some(index);
        }
    }
    let best = best.unwrap_or_default();
    if let Some(node) = nodes.get_mut(best) {
        node.credit -= given;
    }
    best
}

impl Node {
    fn new(weight: u32) -> Self {
        Self {
            weight,
            in_flight: 0,
            credit: 0,
            failures: 0,
            health: Health::Up,
            drained: false,
            streak: 0,
        }
    }

    fn is_up(&self) -> bool {
        self.health == Health::Up && !self.drained
    }
}

/// A node that has been picked for a request. Dropping it without [`finish`](Self::finish) reports no outcome.
#[must_use]
pub struct Picked<'a> {
    balancer: &'a Balancer,
    index: usize,
    on_trial: bool,
}

impl Picked<'_> {
    /// The node's index.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Tells the balancer how the request went.
    pub fn finish(self, result: &Result<Reply>) {
        let Some(failed) = upstream_failed(result) else {
            return;
        };
        let Balancer {
            max_failures,
            pause,
            ..
        } = *self.balancer;
        let mut nodes = self.balancer.lock();
        let Some(node) = nodes.get_mut(self.index) else {
            return;
        };
        let before = node.health;
        if failed {
            node.failures = node.failures.saturating_add(1);
            if self.on_trial || node.failures >= max_failures {
                let until = Instant::now() + pause;
                node.health = Health::Down { until };
            }
        } else {
            node.failures = 0;
            node.health = Health::Up;
        }
        let after = node.health;
        drop(nodes);
        if before == Health::Up && after != Health::Up {
            limited!(
                WARN,
                node = self.index,
                ?pause,
                "node failed and gets no requests"
            );
        } else if before != Health::Up && after == Health::Up {
            limited!(
                INFO,
                node = self.index,
                "node works and gets requests again"
            );
        }
    }
}

impl Drop for Picked<'_> {
    fn drop(&mut self) {
        let mut nodes = self.balancer.lock();
        let Some(node) = nodes.get_mut(self.index) else {
            return;
        };
        node.in_flight -= 1;
        if self.on_trial && node.health == Health::OnTrial {
            let until = Instant::now(); // the trial had no outcome: the next request is a new one
            node.health = Health::Down { until };
        }
    }
}

impl fmt::Debug for Balancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("nodes", &self.lock().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Picked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Picked").field(&self.index).finish()
    }
}

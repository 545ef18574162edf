//! The state that the parts of a gateway report when the metrics are requested.

use std::{collections::HashMap, sync::Arc};

use super::names;

/// Collects the reported state. A part may report more than once, through its clones.
#[derive(Debug, Default)]
pub struct Observation {
    queues: HashMap<u64, Queue>,
    breakers: HashMap<&'static str, Breaker>,
    clusters: HashMap<usize, (Arc<str>, ClusterSeen)>,
}

/// The state of a gateway in its cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClusterSeen {
    pub(crate) connected: bool,
    pub(crate) subscriptions: usize,
    pub(crate) received: u64,
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Queue {
    topic: String,
    pending: usize,
    connected: bool,
    dropped: DroppedByReason,
}

/// How many replies were dropped, by reason.
type DroppedByReason = [(&'static str, u64); 4];

/// The state of a circuit breaker, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Breaker {
    Closed,
    HalfOpen,
    Open,
}

impl Observation {
    /// Records a queue, identified by its instance.
    #[cfg(feature = "queue")]
    pub(crate) fn queue(
        &mut self,
        instance: u64,
        topic: &str,
        pending: usize,
        connected: bool,
        dropped: DroppedByReason,
    ) {
        self.queues.entry(instance).or_insert_with(|| Queue {
            topic: topic.to_owned(),
            pending,
            connected,
            dropped,
        });
    }

    /// Records a gateway, identified by its number, in the cluster of this name.
    pub(crate) fn cluster(&mut self, node: usize, name: &Arc<str>, seen: ClusterSeen) {
        self.clusters.insert(node, (Arc::clone(name), seen));
    }

    /// Records the circuit breaker of a route. If there are several, the worst state counts.
    pub(crate) fn breaker(&mut self, route: &'static str, state: Breaker) {
        let worst = self.breakers.entry(route).or_insert(state);
        *worst = state.max(*worst);
    }

    /// The recorded breakers by route, sorted.
    #[cfg(feature = "console")]
    pub(crate) fn breakers(&self) -> Vec<(&'static str, &'static str)> {
        let breakers = self.breakers.iter().map(|(route, state)| {
            let state = match state {
                Breaker::Closed => "closed",
                Breaker::HalfOpen => "half open",
                Breaker::Open => "open",
            };
            (*route, state)
        });
        let mut breakers: Vec<_> = breakers.collect();
        breakers.sort_unstable();
        breakers
    }

    pub(crate) fn publish(self) {
        let mut topics: HashMap<String, Queue> = HashMap::new();
        for queue in self.queues.into_values() {
            let Some(same) = topics.get_mut(&queue.topic) else {
                topics.insert(queue.topic.clone(), queue);
                continue;
            };
            same.pending += queue.pending;
            same.connected &= queue.connected;
            for (sum, (_, dropped)) in same.dropped.iter_mut().zip(queue.dropped) {
                sum.1 += dropped;
            }
        }
        for (topic, queue) in topics {
            let label = [(names::DESTINATION, topic.clone())];
            metrics::gauge!(names::QUEUE_PENDING, &label).set(queue.pending as f64);
            let connected = if queue.connected { 1.0 } else { 0.0 };
            metrics::gauge!(names::QUEUE_CONNECTED, &label).set(connected);
            for (reason, dropped) in queue.dropped {
                let labels = [
                    (names::DESTINATION, topic.clone()),
                    ("error_type", reason.to_owned()),
                ];
                metrics::counter!(names::QUEUE_DROPPED, &labels).absolute(dropped);
            }
        }
        publish_clusters(self.clusters.into_values());
        for (route, state) in self.breakers {
            metrics::gauge!(names::BREAKER, "route" => route).set(f64::from(state as u8));
        }
    }
}

fn publish_clusters(nodes: impl Iterator<Item = (Arc<str>, ClusterSeen)>) {
    let mut clusters: HashMap<Arc<str>, ClusterSeen> = HashMap::new();
    for (name, seen) in nodes {
        let same = clusters.entry(name).or_insert(ClusterSeen {
            connected: true,
            subscriptions: 0,
            received: 0,
            dropped: 0,
        });
        same.connected &= seen.connected;
        same.subscriptions += seen.subscriptions;
        same.received += seen.received;
        same.dropped += seen.dropped;
    }
    for (name, seen) in clusters {
        let label = [("cluster", name.to_string())];
        let connected = if seen.connected { 1.0 } else { 0.0 };
        metrics::gauge!(names::CLUSTER_CONNECTED, &label).set(connected);
        metrics::gauge!(names::CLUSTER_SUBSCRIPTIONS, &label).set(seen.subscriptions as f64);
        metrics::counter!(names::CLUSTER_RECEIVED, &label).absolute(seen.received);
        metrics::counter!(names::CLUSTER_DROPPED, &label).absolute(seen.dropped);
    }
}

/// Counts that a circuit breaker of this route has opened.
pub(crate) fn breaker_opened(route: &'static str) {
    metrics::counter!(names::BREAKER_OPENED, "route" => route).increment(1);
}

//! The state that the parts of a gateway report when the metrics are requested.

use std::collections::HashMap;

use super::names;

/// Collects the reported state. A part may report more than once, through its clones.
#[derive(Debug, Default)]
pub struct Observation {
    queues: HashMap<u64, Queue>,
    breakers: HashMap<&'static str, Breaker>,
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

    /// Records the circuit breaker of a route. If there are several, the worst state counts.
    pub(crate) fn breaker(&mut self, route: &'static str, state: Breaker) {
        let worst = self.breakers.entry(route).or_insert(state);
        *worst = state.max(*worst);
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
        for (route, state) in self.breakers {
            metrics::gauge!(names::BREAKER, "route" => route).set(f64::from(state as u8));
        }
    }
}

/// Counts that a circuit breaker of this route has opened.
pub(crate) fn breaker_opened(route: &'static str) {
    metrics::counter!(names::BREAKER_OPENED, "route" => route).increment(1);
}

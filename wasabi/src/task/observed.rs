//! What the metrics of a channel read.

use super::Runner;
use crate::{
    Backend,
    metrics::{Counted, Observation, Observe},
};

impl<S, B, P, C, D> Observe for Runner<S, B, P, C, D>
where
    S: Send + Sync,
    B: Backend<S>,
    P: Send + Sync,
    C: Send + Sync,
    D: Send + Sync,
{
    fn counted(&self) -> &Counted {
        &self.counted
    }

    fn observe(&self, seen: &mut Observation) {
        let (mut messages, mut bytes) = (0, 0);
        self.channel.registry.each(|connection| {
            let traffic = connection.traffic();
            // The registry may list connections of other channels too.
            if *traffic.channel() != self.counted {
                return;
            }
            traffic.tell();
            let waiting = connection.outbox().waiting();
            messages += waiting.0;
            bytes += waiting.1;
        });
        self.counted.queued(messages, bytes);
        self.dispatcher.lifecycle(&mut |part| part.observe(seen));
        if let Some(elsewhere) = self.channel.registry.elsewhere() {
            elsewhere.observe(seen);
        }
    }
}

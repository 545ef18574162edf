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
        self.counted.observe(&self.registry);
        self.dispatcher.lifecycle(&mut |part| part.observe(seen));
    }
}

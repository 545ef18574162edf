//! Access to channels for their metrics.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::MethodRouter,
};

use super::{Counted, Observation};

/// A source of metrics that is read on request.
pub(crate) trait Observe: Send + Sync {
    fn counted(&self) -> &Counted;

    /// Updates the metrics.
    fn observe(&self, seen: &mut Observation);
}

/// A handle to a channel's metrics; clones refer to the same channel.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Observe>);

impl Observer {
    pub(crate) fn of(channel: &Arc<impl Observe + 'static>) -> Self {
        Self(Arc::clone(channel) as Arc<dyn Observe>)
    }

    /// Counts handshakes that are refused on their way to the channel at this path.
    pub(crate) fn around(&self, path: &str, endpoint: MethodRouter) -> MethodRouter {
        let counted = self.0.counted().clone();
        counted.reached_by(path);
        endpoint.layer(from_fn_with_state(counted, answered))
    }

    pub(crate) fn observe(&self, seen: &mut Observation) {
        self.0.observe(seen);
    }
}

async fn answered(State(counted): State<Counted>, req: Request, next: Next) -> Response {
    let response = next.run(req).await;
    counted.answered(&response);
    response
}

//! Channels, as those see them who ask for metrics.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::MethodRouter,
};

use super::{Counted, Observation};

/// Something that is looked at when somebody asks.
pub(crate) trait Observe: Send + Sync {
    fn counted(&self) -> &Counted;

    /// Brings the metrics up to date.
    fn observe(&self, seen: &mut Observation);
}

/// Looks at a channel; a clone looks at the same.
#[derive(Clone)]
pub(crate) struct Observer(Arc<dyn Observe>);

impl Observer {
    pub(crate) fn of(channel: &Arc<impl Observe + 'static>) -> Self {
        Self(Arc::clone(channel) as Arc<dyn Observe>)
    }

    /// Counts the handshakes that are refused on their way to the channel, which is reached by this path.
    pub(crate) fn around(&self, path: &str, endpoint: MethodRouter) -> MethodRouter {
        let counted = self.0.counted().clone();
        counted.reached_by(path);
        endpoint.layer(from_fn_with_state(counted, answered))
    }

    pub(super) fn observe(&self, seen: &mut Observation) {
        self.0.observe(seen);
    }
}

async fn answered(State(counted): State<Counted>, req: Request, next: Next) -> Response {
    let response = next.run(req).await;
    counted.answered(&response);
    response
}

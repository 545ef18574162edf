//! The work of backends before a handshake is accepted.

use std::sync::Arc;

use axum::response::Response;
use futures_util::future;

use super::{Accepted, Endpoint, shutting_down};
use crate::{
    Backend, CloseCode, Connection,
    backend::Preparing,
    channel::hooks::{OnConnect, OnDisconnect},
    metrics::Rejected,
    protocol::Dialect,
};

impl<S, B, P, C, D> Endpoint<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect<S>,
    D: OnDisconnect<S>,
{
    /// Collects what the backends must do before the handshake is answered.
    pub(super) fn preparing(&self, connection: &Connection) -> Vec<Preparing> {
        let mut preparing = Vec::new();
        self.runner
            .dispatcher
            .lifecycle(&mut |part| preparing.extend(part.prepare(connection)));
        preparing
    }

    /// Accepts the handshake once everything is prepared.
    pub(super) async fn prepare(
        self: Arc<Self>,
        accepted: Accepted,
        preparing: Vec<Preparing>,
    ) -> Response {
        // Ends the connection even if the client goes away in the meantime.
        let ends = EndOnDrop(Some(accepted.start.connection.clone()));
        let refusal = match future::try_join_all(preparing).await {
            Ok(_) if accepted.start.runtime.is_draining() => {
                Rejected::Draining.mark(shutting_down().answer())
            }
            Ok(_) => {
                ends.forget();
                return self.start(accepted);
            }
            Err(refusal) => Rejected::Upstream.mark(refusal),
        };
        tracing::debug!(
            path = accepted.start.connection.uri().path(),
            status = %refusal.status(),
            "handshake refused"
        );
        refusal
    }
}

/// Ends a connection that never starts.
struct EndOnDrop(Option<Connection>);

impl EndOnDrop {
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.end(CloseCode::ABNORMAL.into());
        }
    }
}

//! The span of a failed request: its log lines belong to the span, although its middleware has ended by then.

use tracing::Span;

use super::{Request, RequestId};
use crate::{Connection, ConnectionId};

/// A span and the request that it belongs to.
///
/// The thread keeps it at most for the current turn of the connection. If nothing is logged, because an outer
/// middleware has turned the error into a reply, the span must not stay open.
#[derive(Clone)]
pub(crate) struct FailedSpan {
    span: Span,
    connection: ConnectionId,
    route: &'static str,
    id: Option<RequestId>,
}

impl FailedSpan {
    /// The span of this request, if it is enabled.
    pub(crate) fn of(request: &Request, span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        Some(Self {
            span: span.clone(),
            connection: request.connection().id(),
            route: request.route(),
            id: request.id().cloned(),
        })
    }

    /// The span, if it belongs to this request.
    pub(super) fn of_request(
        self,
        connection: &Connection,
        route: &str,
        id: Option<&RequestId>,
    ) -> Option<Span> {
        let is_it =
            self.connection == connection.id() && self.route == route && self.id.as_ref() == id;
        is_it.then_some(self.span)
    }
}

//! The span of a request that fails: what is logged of it is in the span, although its middleware has ended by then.

use tracing::Span;

use super::{Request, RequestId};
use crate::{Connection, ConnectionId};

/// A span, and whose it is.
///
/// It is kept for the thread whose connection has its turn, and no longer than that turn: where nothing is logged, since a
/// middleware outside of the span has made a reply of the error, the span must not stay open.
#[derive(Clone)]
pub(crate) struct FailedSpan {
    span: Span,
    connection: ConnectionId,
    route: &'static str,
    id: Option<RequestId>,
}

impl FailedSpan {
    /// The span of this request, if anybody listens to it.
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

    /// The span, if it is that of this request.
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

//! The fields of a request, in memory that the requests of a thread reuse.
//!
//! A request passes through one future per middleware. As a pointer it costs nothing to move, and keeps those futures
//! small. The memory is reused so that no request allocates.

use std::{
    any::Any,
    cell::RefCell,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use tracing::Span;

use super::{KeyRepr, Owes, RequestId, Route, failed::FailedSpan};
use crate::{Connection, Error, Message};

/// The number of boxes that a thread keeps.
const KEPT: usize = 128;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { fields: Vec::new(), connection: None, keeps_handle: false, failed: None }) };
}

struct Spare {
    /// Cleared: message, id, value and error are empty, route and calls have their defaults.
    #[expect(clippy::vec_box, reason = "a request takes the box")]
    fields: Vec<Box<Fields>>,
    /// The handle of the last request that ended, for the next request on the same connection: requests that are
    /// answered at once, one after another, count no references.
    connection: Option<Connection>,
    /// Whether something will drop that handle, and the span.
    keeps_handle: bool,
    /// The span of the last request that failed, for log lines written after the request has left its middleware.
    failed: Option<Box<FailedSpan>>,
}

#[derive(Default)]
pub(super) struct Fields {
    /// `None` only after the last extractor has taken it.
    pub(super) message: Option<Message>,
    pub(super) key: KeyRepr,
    pub(super) id: Option<RequestId>,
    pub(super) content_type: Option<&'static str>,
    pub(super) value: Option<Arc<dyn Any + Send + Sync>>,
    pub(super) params: Option<KeyRepr>,
    /// The parser's error.
    pub(super) invalid: Option<Arc<Error>>,
    pub(super) route: Route,
    /// Whether the client waits for a reply.
    pub(super) owes: Owes,
    /// The number of calls in this request that other requests wait for.
    pub(super) led: usize,
    /// `Some` while a request uses the fields.
    connection: Option<Connection>,
}

impl Fields {
    pub(super) fn connection(&self) -> &Connection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("a request has a connection"),
        }
    }

    pub(super) fn set_connection(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }
}

/// The fields of one request. They return to the thread that drops it.
pub(super) struct Reused(Option<Box<Fields>>);

impl Reused {
    /// Takes fields to fill in; only the connection is set.
    #[inline]
    pub(super) fn take(connection: &Connection) -> Self {
        let (fields, kept) = SPARE
            .try_with(|spare| {
                let mut spare = spare.borrow_mut();
                (spare.fields.pop(), spare.connection.take())
            })
            .unwrap_or_default();
        let mut fields = fields.unwrap_or_default();
        fields.connection = match kept {
            Some(kept) if kept.is_same_handle(connection) => Some(kept),
            _ => Some(connection.clone()),
        };
        Self(Some(fields))
    }
}

impl Deref for Reused {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        match &self.0 {
            Some(fields) => fields,
            None => unreachable!("only dropped requests have no fields"),
        }
    }
}

impl DerefMut for Reused {
    fn deref_mut(&mut self) -> &mut Fields {
        match &mut self.0 {
            Some(fields) => fields,
            None => unreachable!("only dropped requests have no fields"),
        }
    }
}

impl Drop for Reused {
    fn drop(&mut self) {
        let Some(mut fields) = self.0.take() else {
            return;
        };
        // User values are dropped before the thread's memory is borrowed, and the connection after that.
        fields.message = None;
        fields.id = None;
        // A store that is not needed costs more than the look. The next request has a key of its own.
        if let KeyRepr::Shared(_) = fields.key {
            fields.key = KeyRepr::default();
        }
        if fields.value.is_some() {
            fields.value = None;
        }
        if fields.params.is_some() {
            fields.params = None;
        }
        if fields.invalid.is_some() {
            fields.invalid = None;
        }
        fields.route = Route::default();
        fields.led = 0;
        let connection = fields.connection.take();
        let _left = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.fields.len() < KEPT {
                spare.fields.push(fields);
            }
            if spare.keeps_handle && spare.connection.is_none() {
                spare.connection = connection;
                None
            } else {
                connection
            }
        });
    }
}

/// While it lives, the thread may keep the handle of a request that has ended, and the span of one that has failed.
pub(crate) struct KeepsHandle(());

impl KeepsHandle {
    pub(crate) fn begin() -> Self {
        let _ = SPARE.try_with(|spare| spare.borrow_mut().keeps_handle = true);
        Self(())
    }
}

impl Drop for KeepsHandle {
    fn drop(&mut self) {
        let _kept = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            spare.keeps_handle = false;
            (spare.connection.take(), spare.failed.take())
        });
    }
}

impl FailedSpan {
    /// Keeps the span of a failed request until it is taken, or until the connection's turn is over.
    pub(crate) fn keep(self) {
        let _left = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            match spare.keeps_handle {
                true => spare.failed.replace(Box::new(self)),
                false => Some(Box::new(self)),
            }
        });
    }

    /// The kept span, if it belongs to this request.
    pub(crate) fn take(
        connection: &Connection,
        route: &str,
        id: Option<&RequestId>,
    ) -> Option<Span> {
        let kept = SPARE.try_with(|spare| spare.borrow_mut().failed.take());
        kept.ok()??.of_request(connection, route, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{connection, request_on};

    #[test]
    fn a_reused_request_contains_nothing_of_the_last_one() {
        let other = connection(2, "/");
        let value = Arc::new(5);
        let mut first = request_on(&connection(1, "/"), "order.place", "first");
        let fields = &mut first.0;
        fields.id = RequestId::short("7");
        fields.content_type = Some("application/json");
        fields.value = Some(value.clone());
        fields.route = Route { path: 1, name: "_" };
        let memory = std::ptr::from_ref::<Fields>(fields);
        drop(first);
        assert_eq!(Arc::strong_count(&value), 1);

        let next = request_on(&other, "", "next");
        assert!(std::ptr::eq::<Fields>(&*next.0, memory));
        assert_eq!(next.id(), None);
        assert_eq!(next.content_type(), "text/plain; charset=utf-8");
        assert_eq!(next.value::<i32>(), None);
        assert_eq!(next.route(), "");
        assert_eq!(next.connection().id(), other.id());
    }

    #[test]
    fn a_handle_is_kept_for_the_next_request_until_the_turn_of_its_connection_ends() {
        let connection = connection(1, "/");
        let handles = || connection.handles();
        drop(request_on(&connection, "key", "message"));
        assert_eq!(handles(), 1);

        let turn = KeepsHandle::begin();
        for _ in 0..3 {
            drop(request_on(&connection, "key", "message"));
            assert_eq!(handles(), 2);
        }
        drop(turn);
        assert_eq!(handles(), 1);
    }

    #[test]
    fn an_intercepting_handle_is_not_passed_to_the_next_request() {
        struct Swallows;
        impl crate::Intercept for Swallows {
            fn send(&self, _message: Message) -> Option<Message> {
                None
            }
        }
        let connection = connection(1, "/");
        let intercepted = connection.intercept(Swallows);
        let _turn = KeepsHandle::begin();
        let request = request_on(&connection, "key", "message");
        drop(request.with_connection(intercepted));
        let next = request_on(&connection, "key", "message");
        assert!(next.connection().is_same_handle(&connection));
    }

    #[test]
    fn a_copy_has_all_parts_of_a_request() {
        let mut request = request_on(&connection(1, "/"), "order.place", "message");
        let fields = &mut request.0;
        fields.id = RequestId::short("7");
        fields.content_type = Some("application/json");
        fields.value = Some(Arc::new(5));
        fields.route = Route { path: 1, name: "_" };
        let copy = request.clone();
        drop(request);
        assert_eq!(copy.message().as_text(), Some("message"));
        assert_eq!(copy.key(), "order.place");
        assert_eq!(copy.id(), RequestId::short("7").as_ref());
        assert_eq!(copy.content_type(), "application/json");
        assert_eq!(copy.value(), Some(&5));
        assert_eq!(copy.route(), "_");
        assert_eq!(copy.connection().id(), crate::ConnectionId(1));
    }
}

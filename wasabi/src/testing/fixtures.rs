//! Requests and backends for the tests of this crate.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Uri;

use crate::{
    Backend, Connection, ConnectionId, Envelope, Message, Reply, Request, Result,
    connection::{
        Handshake,
        held::{Budget, Held},
        outbox::Outbox,
        socket::Limits,
    },
    metrics::Traffic,
};

/// A connection without a client.
pub(crate) fn connection(id: u64, uri: &'static str) -> Connection {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.uri = Uri::from_static(uri);
    let handshake = Handshake::of(parts);
    let limits = Limits {
        max_message_size: 32 * 1024,
    };
    let held = Held::new(1024, Budget::default());
    Connection::new(
        ConnectionId(id),
        handshake,
        Outbox::new(16, 1024),
        held,
        Traffic::default(),
        limits,
    )
}

/// A text message with this key on this connection.
pub(crate) fn request_on(connection: &Connection, key: &'static str, text: &str) -> Request {
    let message = Message::text(text.to_owned());
    let parts = Envelope::from_static(key).into_parts(&message);
    Request::new(message, parts, connection)
}

/// A text message with this key, on its own connection.
pub(crate) fn request(key: &'static str, text: &str) -> Request {
    request_on(&connection(0, "/"), key, text)
}

/// A backend that answers with a function of the call's number (from 0) and the request.
pub(crate) fn backend<F, Fut>(answer: F) -> Arc<Calls<F>>
where
    F: Fn(usize, Request) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Reply>> + Send,
{
    let count = AtomicUsize::new(0);
    Arc::new(Calls { count, answer })
}

pub(crate) struct Calls<F> {
    count: AtomicUsize,
    answer: F,
}

impl<F> Calls<F> {
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl<F, Fut> Backend for Calls<F>
where
    F: Fn(usize, Request) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Reply>> + Send,
{
    async fn call(&self, req: Request, _state: &()) -> Result<Reply> {
        let nth = self.count.fetch_add(1, Ordering::SeqCst);
        (self.answer)(nth, req).await
    }
}

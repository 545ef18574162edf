//! What continues after the client has left: the requests that owe it no reply.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use super::{Declaration, Driver, parting::Parting, requests::Requests, starting::panicked};
use crate::{
    Close, Connection, Error, Message, Reply, Request, RequestId, Result,
    connection::{
        companions::Companions,
        socket::{HangUp, Incoming, Socket},
        work,
    },
    error_format::{self, About},
    panics::{caught, discard},
    protocol::Inbound,
    request::{self, Cancelled, Owes},
};

/// The rest of a connection whose client has left. Messages received before are still processed if no reply is owed,
/// with the same concurrency as before, for up to the close timeout.
pub(crate) struct Leaving<'a, T, F, P, C> {
    connection: &'a Connection,
    declared: P,
    call: C,
    pub(super) requests: Requests<F>,
    companions: Companions,
    /// The socket of a client that hung up while it was not being read: earlier data from it is still to be read.
    unread: Option<Socket<T>>,
    pub(super) close: Close,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Takes an ended connection apart. The socket of a client that may have sent more than was read is kept in the
    /// `Leaving`.
    pub(crate) fn into_rest(self, close: Close) -> (Option<Parting<T>>, Leaving<'a, T, F, P, C>) {
        // Nothing waits for this client any more, and no upstream should.
        self.connection.held().set_waiting(0);
        let (socket, remains) = (self.wire.socket, self.life.remains());
        let (unread, parting) = match remains.is_unread {
            true => (Some(socket), None),
            false => (None, Some(Parting { socket, remains })),
        };
        let leaving = Leaving {
            connection: self.connection,
            call: self.call,
            requests: self.requests,
            companions: self.companions,
            unread,
            close,
            limit: self.declared.settings().close_timeout,
            declared: self.declared,
            timer: None,
        };
        (parting, leaving)
    }
}

impl<'a, T, F, P, C> Leaving<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Whether no work remains.
    pub(crate) fn is_done(&self) -> bool {
        self.requests.is_empty() && self.unread.is_none()
    }

    /// Whether the socket is still being read.
    pub(crate) fn is_read(&self) -> bool {
        self.unread.is_some()
    }

    /// How the connection ended, and its companions.
    pub(crate) fn into_end(self) -> (Close, Companions) {
        (self.close, self.companions)
    }

    /// Works until nothing is left, for up to the limit.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.companions.register(cx.waker());
        self.connection.outbox().register(cx.waker());
        if let Some(socket) = &mut self.unread {
            socket.register(cx.waker());
        }
        let _keeps = request::KeepsHandle::begin();
        work::begin();
        loop {
            let mut progress = self.poll_woken();
            self.requests.cancel_requested(self.connection);
            progress |= self.start_next();
            progress |= self.read();
            progress |= self.companions.poll(self.connection, cx);
            if self.is_done() {
                return Poll::Ready(());
            }
            if !progress {
                return self.poll_end(cx);
            }
            if work::is_over() {
                work::come_back(cx.waker());
                return self.poll_end(cx);
            }
        }
    }

    /// Waits for the time limit, or for the server to stop.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if timer.as_mut().poll(cx).is_pending() && !self.connection.outbox().wants_stop() {
            return Poll::Pending;
        }
        tracing::debug!(
            connection = %self.connection.id(),
            requests = self.requests.len(),
            "cancelling the requests of a client that has gone"
        );
        self.requests.in_flight.clear();
        // The close frame may follow messages that are too late now.
        work::begin();
        while self.unread.is_some() {
            self.requests.ahead.clear();
            if !self.read() || work::is_over() {
                self.unread = None;
            }
        }
        self.requests.ahead.clear();
        Poll::Ready(())
    }

    fn poll_woken(&mut self) -> bool {
        let mut progress = false;
        for word in 0..self.requests.in_flight.words() {
            let mut woken = self.requests.in_flight.take_woken(word);
            progress |= woken != 0;
            while woken != 0 {
                let bit = woken.trailing_zeros();
                woken &= woken - 1;
                work::spend(work::EACH);
                self.run(word * 64 + bit as usize);
                if work::is_over() {
                    self.requests.in_flight.put_back(word, woken);
                    return true;
                }
            }
        }
        progress
    }

    /// Polls the request in a slot. Its outcome goes only to the log.
    fn run(&mut self, index: usize) {
        let Some(slot) = self.requests.in_flight.tag_mut(index) else {
            return; // woken too late
        };
        let (route, id) = (slot.route, slot.id.clone());
        let mut polled = Poll::Pending;
        let is_alive = self.requests.in_flight.poll(index, &mut polled);
        match polled {
            Poll::Pending if is_alive => return,
            Poll::Pending => {
                let error = panicked("the backend or a middleware");
                self.failed(route, id.as_ref(), &error);
            }
            Poll::Ready(Ok(reply)) => discard(reply),
            Poll::Ready(Err(error)) => self.failed(route, id.as_ref(), &error),
        }
        self.requests.in_flight.release(index);
    }

    fn failed(&self, route: &str, id: Option<&RequestId>, error: &Error) {
        let about = About {
            connection: self.connection,
            route,
            id,
            owes: Owes::default(),
        };
        error_format::log(error, &about);
    }

    /// Starts the next waiting message, if it owes no reply.
    fn start_next(&mut self) -> bool {
        if !self.requests.in_flight.has_room() {
            return false;
        }
        let Some((inbound, bytes)) = self.requests.ahead.pop() else {
            return false;
        };
        work::spend(bytes + work::EACH);
        let (declared, connection) = (self.declared.clone(), self.connection);
        let (call, in_flight) = (&self.call, &mut self.requests.in_flight);
        let mut slot = None;
        let begun = caught(|| {
            if let Inbound::Request(request)
            | Inbound::Unique(request, _)
            | Inbound::Batch(request, _) = inbound
                && !request.owes_reply()
            {
                let (index, tag) = in_flight.reserve();
                slot = Some(index);
                tag.route = request.route();
                tag.id = request.id().cloned();
                in_flight.start(index, || call(declared, request, connection));
            }
        });
        match (begun, slot) {
            (Ok(()), Some(index)) => self.run(index),
            (Ok(()), None) => {}
            (Err(_), slot) => {
                self.failed("", None, &panicked("the backend or a middleware"));
                if let Some(index) = slot {
                    self.requests.in_flight.release(index);
                }
            }
        }
        true
    }

    /// Parses a message, and keeps it until a slot is free. A cancellation is carried out at once.
    fn receive(&mut self, message: Message) {
        let bytes = message.len();
        match caught(|| self.declared.parse(message, self.connection)) {
            Ok(Inbound::Cancel(cancel)) => {
                for Cancelled { id, .. } in &cancel.requests {
                    self.requests.cancel_silently(id, None);
                }
                self.requests.ahead.push(cancel.then, bytes);
            }
            Ok(inbound) => self.requests.ahead.push(inbound, bytes),
            Err(_) => self.failed("", None, &panicked("the request parser")),
        }
    }

    /// Reads the next data, if there is room for it.
    fn read(&mut self) -> bool {
        let Some(socket) = &mut self.unread else {
            return false;
        };
        if self.requests.ahead.is_full(usize::MAX) {
            return false;
        }
        match socket.poll_read() {
            Poll::Pending => return false,
            Poll::Ready(Ok(Incoming::Message(message))) => {
                self.connection.traffic().received_late();
                self.receive(message);
            }
            Poll::Ready(Ok(Incoming::Ping | Incoming::Pong | Incoming::Part)) => {}
            Poll::Ready(Ok(Incoming::Close(close))) => {
                self.close = close;
                self.unread = None;
            }
            Poll::Ready(Err(_)) => self.unread = None,
        }
        true
    }
}

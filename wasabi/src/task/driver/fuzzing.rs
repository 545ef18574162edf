//! The driver alone, polled by a fuzz target that can see how much it holds.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, leaving::Leaving};
use crate::{
    Close, CloseCode, Connection, ConnectionId, ErrorFormat, Message, Parser, Reply, Request,
    Result,
    channel::Settings,
    connection::{
        Handshake, held,
        outbox::Outbox,
        socket::{HangUp, Limits, Socket},
    },
    metrics::Traffic,
    protocol::{self, Inbound},
};

/// The settings of a channel, and a connection to it.
pub struct Stage {
    settings: Settings,
    connection: Connection,
}

impl Stage {
    /// A connection that is not admitted yet. Timeouts are the defaults of a channel; a ping is sent after 30 s, or
    /// never.
    pub fn new(
        concurrency: usize,
        max_message_size: usize,
        max_waiting_messages: usize,
        max_waiting_bytes: usize,
        pings: bool,
    ) -> Self {
        let limits = Limits { max_message_size };
        let (parts, ()) = http::Request::new(()).into_parts();
        let handshake = Handshake::of(parts);
        let outbox = Outbox::new(max_waiting_messages, max_waiting_bytes);
        let held = held::Held::new(max_waiting_bytes, held::Budget::default());
        Self {
            settings: Settings {
                max_message_size,
                concurrency,
                open_timeout: Duration::from_secs(30),
                ping: pings.then_some(Duration::from_secs(30)),
                max_waiting_messages,
                max_waiting_bytes,
                ..Settings::default()
            },
            connection: Connection::new(
                ConnectionId(0),
                handshake,
                outbox,
                held,
                Traffic::default(),
                limits,
            ),
        }
    }

    /// A handle to the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the connection at once, like a server that no longer waits.
    pub fn stop(&self) {
        let close = Close::new(CloseCode::SERVICE_RESTART, "the server is stopping");
        self.connection.outbox().stop(close);
    }

    /// The connection's task.
    pub fn session<'a, T, F>(
        &'a self,
        io: T,
        parser: impl Parser + 'a,
        call: impl Fn(Request) -> F + 'a,
    ) -> Session<'a, T, F>
    where
        T: AsyncRead + AsyncWrite + HangUp + Unpin,
        F: Future<Output = Result<Reply>>,
    {
        let parse =
            move |message, connection: &Connection| protocol::parse(&parser, message, connection);
        let declared = Declared {
            settings: &self.settings,
            parse: Rc::new(parse),
        };
        Session::Serving(Driver::new(
            Socket::server(io, Vec::new(), self.settings.limits(), None),
            &self.connection,
            declared,
            Box::new(move |_, request, _| call(request)),
        ))
    }
}

/// The declaration of a channel.
#[derive(Clone)]
pub struct Declared<'a> {
    settings: &'a Settings,
    parse: Rc<dyn Fn(Message, &Connection) -> Inbound + 'a>,
}

impl Declaration for Declared<'_> {
    fn parse(&self, message: Message, connection: &Connection) -> Inbound {
        (self.parse)(message, connection)
    }

    fn settings(&self) -> &Settings {
        self.settings
    }

    fn errors(&self) -> &ErrorFormat {
        &ErrorFormat::Text
    }
}

type Call<'a, F> = Box<dyn Fn(Declared<'a>, Request, &'a Connection) -> F + 'a>;

/// A connection's task.
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub enum Session<'a, T, F> {
    /// The client is connected.
    Serving(Driver<'a, T, F, Declared<'a>, Call<'a, F>>),
    /// The client has left.
    Leaving(Leaving<'a, T, F, Declared<'a>, Call<'a, F>>),
    /// The connection has ended.
    Ended,
}

/// The amounts that a session holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Bytes still to be written.
    pub unsent: usize,
    /// Messages that were read and wait for a slot.
    pub ahead: usize,
    /// Bytes of those messages.
    pub ahead_bytes: usize,
    /// Requests without a reply, and waiting replies.
    pub in_flight: usize,
}

impl<T, F> Session<'_, T, F>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
{
    /// Sets the decision of `on_connect`.
    pub fn opened(&mut self, admitted: Result<(), Close>) {
        if let Self::Serving(driver) = self {
            driver.opened(admitted);
        }
    }

    /// Works until there is nothing to do but wait. Returns how the connection ended, once.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        if let Self::Serving(driver) = self {
            let (close, connection) = (std::task::ready!(driver.poll(cx)), driver.connection);
            let Self::Serving(driver) = std::mem::replace(self, Self::Ended) else {
                return Poll::Pending;
            };
            let (_parting, leaving) = driver.into_rest(close.clone());
            if leaving.is_done() {
                connection.end(close.clone());
                return Poll::Ready(close);
            }
            *self = Self::Leaving(leaving);
        }
        let Self::Leaving(leaving) = self else {
            return Poll::Pending;
        };
        if !leaving.is_done() {
            std::task::ready!(leaving.poll(cx));
        }
        Poll::Ready(leaving.close.clone())
    }

    /// The amounts held now.
    pub fn held(&self) -> Held {
        match self {
            Self::Serving(driver) => Held {
                unsent: driver.wire.socket.unsent(),
                ahead: driver.requests.ahead.len(),
                ahead_bytes: driver.requests.ahead.bytes(),
                in_flight: driver.requests.in_flight.len(),
            },
            Self::Leaving(leaving) => Held {
                unsent: 0,
                ahead: leaving.requests.ahead.len(),
                ahead_bytes: leaving.requests.ahead.bytes(),
                in_flight: leaving.requests.in_flight.len(),
            },
            Self::Ended => Held {
                unsent: 0,
                ahead: 0,
                ahead_bytes: 0,
                in_flight: 0,
            },
        }
    }
}

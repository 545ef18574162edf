//! The task of a connection, which runs as long as the connection lives.

pub(crate) mod driver;
#[cfg(feature = "metrics")]
mod observed;

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use futures_util::{FutureExt, future};

use self::driver::{Declaration, Driver};
use crate::{
    Backend, Close, CloseCode, Connection, Ended, ErrorFormat, Message, Reply, Request, Result,
    channel::{
        Declared, Settings,
        hooks::{OnConnect, OnDisconnect},
    },
    connection::{
        companions::Companions,
        registry::{Permit, RegistryEntry},
        socket::{Socket, deflate::Agreed},
        stash::free,
        transport::Transport,
    },
    dispatcher::Dispatcher,
    log::{limited, said},
    metrics::Counted,
    panics::{caught, caught_future},
    protocol::{Dialect, Inbound},
    runtime::{Listed, Runtime, Seat, SocketPermit},
    upgrade::stream::{Coming, Stream},
};

/// How long companions may take to end after their connection.
const COMPANIONS_END: Duration = Duration::from_secs(5);

/// Runs the connections of a channel, each in a task of its own.
pub(crate) struct Runner<S, B, P, C, D> {
    pub(crate) dispatcher: Dispatcher<S, B, P>,
    pub(crate) on_connect: C,
    pub(crate) on_disconnect: D,
    /// How errors are written: as the channel says, or else as its parser does.
    pub(crate) errors: ErrorFormat,
    pub(crate) channel: Declared,
    pub(crate) counted: Counted,
}

impl<S, B, P, C, D> Runner<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect<S>,
    D: OnDisconnect<S>,
{
    /// The task of a connection. Its size counts for every idle connection, so what it needs only at its beginning or
    /// end is boxed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps its arguments twice"
    )]
    pub(crate) fn run(self: Arc<Self>, mut start: Box<Start>) -> impl Future<Output = ()> + Send {
        async move {
            let stream = match start.coming.arrive(&start.runtime).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(connection = %start.connection.id(), error = %said(&error), "upgrade failed");
                    return start.connection.end(CloseCode::ABNORMAL.into());
                }
            };
            let (connection, places, socket) = {
                // Frees the box, which would stay as long as its variable does.
                let boxed = start;
                self.begin(*boxed, stream)
            };
            let driven = self.drive(&connection, socket);
            let end = caught_future(driven).await.ok();
            Box::pin(self.ended(connection, end, places)).await;
        }
    }

    /// Takes the socket of a new connection, and puts the connection on the lists.
    fn begin(&self, start: Start, stream: Stream) -> (Connection, Places, Socket<Transport>) {
        let (connection, runtime) = (start.connection, start.runtime);
        let (transport, read_already) = stream;
        let limits = self.channel.settings.limits();
        let socket = Socket::server(transport, read_already, limits, start.agreed);
        let registry = &self.channel.registry;
        let places = Places {
            entry: registry.enter(&connection, start.permit),
            listed: runtime.list(&connection),
            socket: start.socket.map(SocketPermit::seat),
        };
        self.counted.opened();
        tracing::debug!(connection = %connection.id(), remote_addr = ?connection.remote_addr(), "connected");
        (connection, places, socket)
    }

    /// Takes a connection off the lists, and runs its hook and its companions to their end.
    async fn ended(
        &self,
        connection: Connection,
        end: Option<(Close, Companions)>,
        places: Places,
    ) {
        let (close, companions) = end.unwrap_or_else(|| {
            limited!(ERROR, connection = %connection.id(), "the connection's task panicked");
            (CloseCode::ABNORMAL.into(), Companions::new())
        });
        connection.end(close.clone());
        let age = connection.outbox().age();
        connection.traffic().closed(close.code, age);
        let groups = places.entry.leave();
        // The socket is closed, and the hook needs no place.
        drop(places.socket);
        tracing::debug!(connection = %connection.id(), code = close.code.as_u16(), reason = ?close.reason, "disconnected");
        let ended = Ended {
            connection: connection.clone(),
            close,
            groups,
        };
        let admitted = connection.outbox().is_admitted();
        let hook = async {
            if admitted {
                let state = &self.dispatcher.state;
                self.on_disconnect.disconnected(ended, state).await;
            }
        };
        let (hook, ()) = future::join(
            caught_future(hook),
            companions.finish(&connection, COMPANIONS_END),
        )
        .await;
        if hook.is_err() {
            limited!(ERROR, "on_disconnect panicked");
        }
        free(connection.extensions());
        drop(places.listed);
    }

    /// Runs the connection until it ends and returns how. No async block, which would keep the driver and references to it.
    fn drive<'a>(
        &'a self,
        connection: &'a Connection,
        socket: Socket<Transport>,
    ) -> impl Future<Output = (Close, Companions)> + Send + 'a {
        // Captures nothing, and takes no room in the driver.
        let call = |runner: &'a Self, req, connection| runner.dispatcher.call(req, connection);
        let mut opening = Some(Box::pin(caught_future(self.open(connection))));
        let mut driver = Some(Driver::new(socket, connection, self, call));
        let driven = poll_fn(move |cx| {
            let Some(running) = &mut driver else {
                return Poll::Pending;
            };
            if let Some(hook) = &mut opening
                && let Poll::Ready(result) = hook.as_mut().poll(cx)
            {
                opening = None;
                let result = result.unwrap_or_else(|_| {
                    limited!(ERROR, "on_connect panicked");
                    Err(CloseCode::INTERNAL.into())
                });
                if result.is_ok() {
                    connection.outbox().admit();
                }
                running.opened(result);
            }
            let close = ready!(running.poll(cx));
            // A destructor in a cancelled hook may panic.
            let _ = caught(|| drop(opening.take()));
            match driver.take() {
                Some(driver) => Poll::Ready((driver, close)),
                None => Poll::Pending,
            }
        });
        driven.then(|(driver, close)| Box::pin(parted(driver, close)))
    }

    /// Lets the hook decide, and tells the parts of the chain about the connection if it is admitted.
    async fn open(&self, connection: &Connection) -> Result<(), Close> {
        if let Some(user) = &self.channel.user {
            match caught(|| user.of(connection)) {
                Ok(Some(name)) => self.channel.registry.of_user(connection, name),
                Ok(None) => {}
                Err(_) => {
                    limited!(ERROR, "the channel's setting `user` panicked");
                    return Err(CloseCode::INTERNAL.into());
                }
            }
        }
        let (hook, state) = (&self.on_connect, &self.dispatcher.state);
        let admitted = hook.connected(connection.clone(), state).await;
        if admitted.is_ok() {
            self.dispatcher.connected(connection);
        }
        admitted
    }
}

/// What the task of a connection needs at its beginning.
pub(crate) struct Start {
    pub(crate) connection: Connection,
    pub(crate) permit: Permit,
    pub(crate) socket: Option<SocketPermit>,
    pub(crate) coming: Coming,
    pub(crate) agreed: Option<Agreed>,
    pub(crate) runtime: Runtime,
}

/// The places of a connection, in the channel and in the server.
struct Places {
    entry: RegistryEntry,
    listed: Listed,
    socket: Option<Seat>,
}

impl<S, B, P, C, D> Declaration for &Runner<S, B, P, C, D>
where
    S: Sync,
    B: Backend<S>,
    P: Dialect,
{
    #[inline(always)]
    fn parse(&self, message: Message, connection: &Connection) -> Inbound {
        self.dispatcher.request(message, connection)
    }

    #[inline(always)]
    fn settings(&self) -> &Settings {
        &self.channel.settings
    }

    fn errors(&self) -> &ErrorFormat {
        &self.errors
    }
}

/// Ends the socket of a connection, and runs the requests that go on without it.
async fn parted<'a, F, P, C>(
    driver: Driver<'a, Transport, F, P, C>,
    close: Close,
) -> (Close, Companions)
where
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    let (connection, limit) = (driver.connection(), driver.close_timeout());
    let (parting, mut leaving) = driver.into_rest(close.clone());
    let parting = async {
        if let Some(parting) = parting {
            parting.part(connection, limit).await;
        }
    };
    if leaving.is_done() {
        parting.await;
    } else {
        // A connection that is still read does not know its end yet.
        if !leaving.is_read() {
            connection.leave(close);
        }
        future::join(parting, poll_fn(|cx| leaving.poll(cx))).await;
    }
    leaving.into_end()
}

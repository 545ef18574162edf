//! The companion task of one upstream connection: it dials, has the connection served, and closes it.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    relay::Relay,
    serving::{End, Kind, lost, serve},
    stream::Io,
    unreachable::{DialError, Unreachable},
    watch::CLOSE_HANDSHAKE,
};
use crate::{
    Close, CloseCode, Connection, Fault,
    backoff::Pauses,
    connection::{linger, socket::Socket, timer::Timer},
    log::{limited, said},
    panics::{caught, caught_future},
};

/// A connection that lasted this long resets the reconnect pauses.
const STABLE: Duration = Duration::from_secs(10);

/// What follows the end of a connection, or a dial that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The companion ends, and nothing dials again.
    Nothing,
    /// The companion ends; a later message has another one.
    Idle,
    /// The companion dials again at once.
    Dial,
    /// The companion dials again after a pause.
    Pause,
}

/// Serves a client until the client or its upstream is gone, or the upstream could not be reached.
pub(super) async fn run(relay: Arc<Relay>, connection: Connection) {
    // Ends the relay even after a panic, for instance in the user's pauses, so that no request waits forever.
    let mut end_on_drop = EndOnDrop(Some((&relay, &connection)));
    let config = &*relay.config;
    let mut closed = pin!(connection.outbox().finished());
    let mut pauses: Option<Pauses> = None;
    loop {
        let dialed = match relay.is_open() {
            true => Some(Ok(())),
            false => {
                if pauses.is_some() {
                    config.redialled();
                }
                // Boxed separately: the dial is large, and the companion outlives it.
                let dialing = Box::pin(config.dial(&connection));
                let dialed = while_waiting(&relay, closed.as_mut(), dialing).await;
                dialed.map(|dialed| dialed.map(|socket| relay.open(socket)))
            }
        };
        let next = match dialed {
            None => return,
            Some(Ok(())) => {
                let opened = Instant::now();
                let next = use_up(&relay, &connection, closed.as_mut()).await;
                if opened.elapsed() >= STABLE {
                    pauses = None;
                }
                next
            }
            Some(Err(error)) => not_dialled(&relay, &connection, error, pauses.is_none()),
        };
        match next {
            Next::Nothing => return,
            Next::Idle => {
                end_on_drop.0 = None;
                return;
            }
            Next::Dial | Next::Pause => {}
        }
        let Some(backoff) = &config.reconnect else {
            return give_up(&relay, &connection);
        };
        if next == Next::Dial {
            pauses = Some(backoff.pauses());
            continue;
        }
        let pauses = pauses.get_or_insert_with(|| backoff.pauses());
        let Some(pause) = pauses.next() else {
            return give_up(&relay, &connection);
        };
        if while_waiting(&relay, closed.as_mut(), sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Has an open connection served, and closes it afterwards.
async fn use_up(
    relay: &Relay,
    connection: &Connection,
    closed: Pin<&mut impl Future<Output = Close>>,
) -> Next {
    tracing::debug!(connection = %connection.id(), "upstream connected");
    let _open = relay.config.opened();
    let served = caught_future(serve(relay, connection, closed)).await;
    match served.unwrap_or_else(|_| {
        relay.reconnect(Unreachable::Lost); // without the stream that panicked
        End::Upstream(lost(), Unreachable::Lost, Kind::Restart)
    }) {
        End::Client(close) => {
            if let Some(mut socket) = relay.end(Unreachable::Ended)
                && socket.close(&for_upstream(close)).is_ok()
            {
                finish(socket).await;
            }
            Next::Nothing
        }
        End::Broken(why) => {
            limited!(WARN, connection = %connection.id(), %why, "upstream violated the protocol");
            connection.close(Close::new(
                CloseCode::INTERNAL,
                "upstream sent an invalid message",
            ));
            if let Some(socket) = relay.end(Unreachable::Broken(why.clone())) {
                reject(socket, &why).await;
            }
            Next::Nothing
        }
        End::Upstream(close, why, kind) => {
            tracing::debug!(connection = %connection.id(), %close, ?kind, "upstream connection ended");
            if kind == Kind::Final || relay.config.reconnect.is_none() {
                connection.close(close);
                if let Some(socket) = relay.end(why) {
                    finish(socket).await;
                }
                return Next::Nothing;
            }
            relay.reconnect(why);
            match kind {
                Kind::Old => Next::Dial,
                Kind::Final | Kind::Restart => Next::Pause,
            }
        }
    }
}

/// Handles a failed dial. The first one is told to the requests; later ones are repeated.
fn not_dialled(
    relay: &Relay,
    connection: &Connection,
    error: Arc<DialError>,
    is_first: bool,
) -> Next {
    relay.failed(&error);
    let verdict = error.verdict();
    let is_final = verdict.fault() == Fault::Request;
    if is_final {
        tracing::debug!(connection = %connection.id(), error = %said(&error), "upstream refused the client");
    } else {
        limited!(WARN, connection = %connection.id(), error = %said(&error), "upstream cannot be reached");
    }
    let why = Unreachable::Dial(error);
    if is_first {
        return match relay.refuse(connection, why) {
            true => Next::Idle,
            false => Next::Nothing,
        };
    }
    if is_final {
        // The upstream would refuse the client again.
        let reason = verdict.client_message().into_owned();
        connection.close(Close::new(CloseCode::INTERNAL, reason));
        relay.end(why);
        return Next::Nothing;
    }
    Next::Pause
}

/// Closes the client: the upstream stays lost.
fn give_up(relay: &Relay, connection: &Connection) {
    connection.close(lost());
    relay.end(Unreachable::Lost);
}

/// Waits for a future, and fails queued messages that wait too long for the upstream. Returns `None` if the client is
/// gone.
async fn while_waiting<F: Future>(
    relay: &Relay,
    mut closed: Pin<&mut impl Future<Output = Close>>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = Timer::default();
    poll_fn(|cx| {
        if closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        while let Some(deadline) = relay.expire(cx) {
            if timer.poll(cx, deadline.into()).is_pending() {
                break;
            }
        }
        Poll::Pending
    })
    .await
}

/// Translates the client's close for the upstream.
fn for_upstream(close: Close) -> Close {
    if close.code == CloseCode::NO_STATUS || CloseCode::try_from(close.code.as_u16()).is_ok() {
        close
    } else {
        Close::new(CloseCode::GOING_AWAY, "client was lost")
    }
}

/// Completes the closing handshake: sends what is left and waits for the end of the stream.
async fn finish(mut socket: Socket<Io>) {
    let _ = timeout(CLOSE_HANDSHAKE, linger::await_close(&mut socket)).await;
}

/// Closes an upstream that broke a rule. The rest of its data is read and ignored.
async fn reject(mut socket: Socket<Io>, why: &Close) {
    if socket.close(why).is_err() {
        return;
    }
    let closing = async {
        if linger::flush(&mut socket).await.is_ok() {
            linger::drain(&mut socket.into_io()).await;
        }
    };
    let _ = timeout(CLOSE_HANDSHAKE, closing).await;
}

/// Ends the relay, so that nothing connects again. After a panic the client is told that its upstream was lost.
struct EndOnDrop<'a>(Option<(&'a Relay, &'a Connection)>);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        if let Some((relay, connection)) = self.0 {
            relay.end(match std::thread::panicking() {
                true => Unreachable::Lost,
                false => Unreachable::Ended,
            });
            if !std::thread::panicking() {
                return; // how the client is closed is already decided
            }
            // The close passes through interceptors, which may panic; a panic in this destructor would abort the
            // process.
            if caught(|| connection.close(lost())).is_err() {
                connection.outbox().close(lost());
            }
        }
    }
}

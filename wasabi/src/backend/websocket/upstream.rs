//! The companion task of one upstream connection: it dials, moves messages in both directions, and closes the
//! connection.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use super::{
    relay::{Event, Relay},
    stream::Io,
    unreachable::Unreachable,
    watch::{Age, CLOSE_HANDSHAKE, Pulse, StallWatch},
};
use crate::{
    Close, CloseCode, Connection, Fault,
    backoff::Pauses,
    connection::{
        heartbeat::Beat,
        linger,
        socket::{Failure, Socket},
        timer::Timer,
    },
    error::is_about_the_upstream,
    log::{limited, said},
    panics::{caught, caught_future},
};

/// A connection that lasted this long resets the reconnect pauses.
const STABLE: Duration = Duration::from_secs(10);

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
        match dialed {
            None => return,
            Some(Ok(())) => {
                tracing::debug!(connection = %connection.id(), "upstream connected");
                let opened = Instant::now();
                let _open = config.opened();
                let serving = caught_future(serve(&relay, &connection, closed.as_mut()));
                match serving.await.unwrap_or_else(|_| {
                    relay.reconnect(Unreachable::Lost); // without the stream that panicked
                    End::Upstream(lost(), Unreachable::Lost, Kind::Restart)
                }) {
                    End::Client(close) => {
                        if let Some(mut socket) = relay.end(Unreachable::Ended)
                            && socket.close(&for_upstream(close)).is_ok()
                        {
                            finish(socket).await;
                        }
                        return;
                    }
                    End::Broken(why) => {
                        limited!(WARN, connection = %connection.id(), %why, "upstream broke a rule");
                        connection.close(Close::new(
                            CloseCode::INTERNAL,
                            "upstream sent an invalid message",
                        ));
                        if let Some(socket) = relay.end(Unreachable::Broken(why.clone())) {
                            reject(socket, &why).await;
                        }
                        return;
                    }
                    End::Upstream(close, why, kind) => {
                        tracing::debug!(connection = %connection.id(), %close, ?kind, "upstream gone");
                        if kind == Kind::Final || config.reconnect.is_none() {
                            connection.close(close);
                            if let Some(socket) = relay.end(why) {
                                finish(socket).await;
                            }
                            return;
                        }
                        relay.reconnect(why);
                        if kind == Kind::Old
                            && let Some(backoff) = &config.reconnect
                        {
                            pauses = Some(backoff.pauses());
                            continue; // reconnects without a pause
                        }
                    }
                }
                if opened.elapsed() >= STABLE {
                    pauses = None;
                }
            }
            Some(Err(error)) => {
                relay.failed(&error);
                let verdict = error.verdict();
                let is_final = verdict.fault() == Fault::Request;
                if is_final {
                    tracing::debug!(connection = %connection.id(), error = %said(&error), "upstream refuses the client");
                } else {
                    limited!(WARN, connection = %connection.id(), error = %said(&error), "upstream cannot be reached");
                }
                let why = Unreachable::Dial(error);
                if pauses.is_none() {
                    if relay.refuse(&connection, why) {
                        end_on_drop.0 = None; // a later message has another companion
                    }
                    return;
                }
                if is_final {
                    // The upstream would refuse the client again.
                    let reason = verdict.client_message().into_owned();
                    connection.close(Close::new(CloseCode::INTERNAL, reason));
                    relay.end(why);
                    return;
                }
            }
        }
        let next = match &config.reconnect {
            Some(backoff) => pauses.get_or_insert_with(|| backoff.pauses()).next(),
            None => None,
        };
        let Some(pause) = next else {
            connection.close(lost());
            relay.end(Unreachable::Lost);
            return;
        };
        if while_waiting(&relay, closed.as_mut(), sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
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
            if timer.poll(cx, deadline).is_pending() {
                break;
            }
        }
        Poll::Pending
    })
    .await
}

/// How an upstream connection ended.
enum End {
    /// The client's connection has ended with this close.
    Client(Close),
    /// The upstream is gone: the close for the client, if it is closed, and the reason for its requests.
    Upstream(Close, Unreachable, Kind),
    /// The upstream broke a rule, and is told so with this close.
    Broken(Close),
}

/// Whether reconnecting can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Final,
    Restart,
    /// The gateway closed the connection because of its age.
    Old,
}

/// Moves messages in both directions until one side is gone.
async fn serve(
    relay: &Relay,
    client: &Connection,
    mut closed: Pin<&mut impl Future<Output = Close>>,
) -> End {
    let mut stall = StallWatch::default();
    let mut pulse = Pulse::new();
    let mut age = Age::new(&relay.config);
    loop {
        let event = poll_fn(|cx| {
            if let Poll::Ready(close) = closed.as_mut().poll(cx) {
                return Poll::Ready(Err(End::Client(close)));
            }
            loop {
                let (event, progress) = relay.poll(cx, client);
                if let Poll::Ready(event) = event {
                    return Poll::Ready(Ok(event));
                }
                let limit = relay.config.send_timeout;
                if stall.poll(cx, progress.blocked_at, limit).is_ready() {
                    return Poll::Ready(Err(gone()));
                }
                match pulse.poll(cx, &progress, &relay.config.pings) {
                    Poll::Ready(Beat::Ping) => {
                        if let Err(failure) = relay.ping() {
                            return Poll::Ready(Err(failed(failure)));
                        }
                        continue;
                    }
                    Poll::Ready(Beat::Lost) => {
                        tracing::debug!(connection = %client.id(), "the upstream does not answer a ping");
                        return Poll::Ready(Err(gone()));
                    }
                    Poll::Ready(Beat::Nothing) | Poll::Pending => {}
                }
                return age.poll(cx, relay).map(|result| Err(result.map_or_else(failed, |()| old())));
            }
        })
        .await;
        match event {
            Err(end) => return end,
            Ok(Event::Closed(close)) if age.is_answer(&close) => return old(),
            Ok(Event::Closed(close)) => return for_client(close),
            Ok(Event::Failed(Failure::Closed | Failure::Broken(_))) if age.is_closing() => {
                return old();
            }
            Ok(Event::Failed(failure)) => return failed(failure),
            Ok(event @ (Event::Full(_) | Event::Held)) => {
                // The upstream is not read meanwhile. It may be waiting for that, so it is not blamed for a stall.
                stall = StallWatch::default();
                pulse.excuse();
                let mut sending = pin!(async {
                    match event {
                        // A client that is being closed gets nothing more.
                        Event::Full(message) => drop(client.outbox().send(message).await),
                        _ => client.held().room().await,
                    }
                });
                let end = poll_fn(|cx| {
                    if let Poll::Ready(close) = closed.as_mut().poll(cx) {
                        return Poll::Ready(Some(End::Client(close)));
                    }
                    if let Err(failure) = relay.poll_write(cx) {
                        return Poll::Ready(Some(failed(failure)));
                    }
                    sending.as_mut().poll(cx).map(|()| None)
                })
                .await;
                if let Some(end) = end {
                    return end;
                }
            }
        }
    }
}

fn failed(failure: Failure) -> End {
    match failure {
        Failure::Closed | Failure::Broken(_) => gone(),
        Failure::Rule(why) => End::Broken(why),
    }
}

fn gone() -> End {
    End::Upstream(lost(), Unreachable::Lost, Kind::Restart)
}

fn old() -> End {
    End::Upstream(lost(), Unreachable::Lost, Kind::Old)
}

fn lost() -> Close {
    Close::new(CloseCode::INTERNAL, "upstream was lost")
}

/// Translates the upstream's close for the client.
fn for_client(close: Close) -> End {
    let kind = match is_about_the_upstream(&close) {
        true => Kind::Restart,
        false => Kind::Final,
    };
    let why = Unreachable::Closed(close.clone());
    let says_nothing = close.code == CloseCode::PROTOCOL_ERROR
        || CloseCode::try_from(close.code.as_u16()).is_err();
    End::Upstream(if says_nothing { lost() } else { close }, why, kind)
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

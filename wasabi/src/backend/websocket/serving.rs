//! Serves an open upstream connection: moves messages in both directions until one side is gone.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use super::{
    relay::{Event, Relay},
    unreachable::Unreachable,
    watch::{Age, Pulse, StallWatch},
};
use crate::{
    Close, CloseCode, Connection, Error, Fault,
    connection::{heartbeat::Beat, socket::Failure},
};

/// How an upstream connection ended.
pub(super) enum End {
    /// The client's connection has ended with this close.
    Client(Close),
    /// The upstream is gone: the close for the client, if it is closed, and the reason for its requests.
    Upstream(Close, Unreachable, Kind),
    /// The upstream broke a rule, and is told so with this close.
    Broken(Close),
}

/// Whether reconnecting can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Final,
    Restart,
    /// The gateway closed the connection because of its age.
    Old,
}

/// Moves messages in both directions until one side is gone.
pub(super) async fn serve(
    relay: &Relay,
    client: &Connection,
    mut closed: Pin<&mut impl Future<Output = Close>>,
) -> End {
    let mut watched = Watched {
        relay,
        client,
        stall: StallWatch::default(),
        pulse: Pulse::new(),
        age: Age::new(&relay.config),
    };
    loop {
        let event = poll_fn(|cx| match closed.as_mut().poll(cx) {
            Poll::Ready(close) => Poll::Ready(Err(End::Client(close))),
            Poll::Pending => watched.poll(cx),
        })
        .await;
        let age = &watched.age;
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
                watched.stall = StallWatch::default();
                watched.pulse.excuse();
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

/// An upstream connection, with what watches over it.
struct Watched<'a> {
    relay: &'a Relay,
    client: &'a Connection,
    stall: StallWatch,
    pulse: Pulse,
    age: Age,
}

impl Watched<'_> {
    /// Moves messages until the companion has something to handle, or the connection must end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        let config = &self.relay.config;
        loop {
            let (event, progress) = self.relay.poll(cx, self.client);
            if let Poll::Ready(event) = event {
                return Poll::Ready(Ok(event));
            }
            let stalled = self
                .stall
                .poll(cx, progress.blocked_at, config.send_timeout);
            if stalled.is_ready() {
                return Poll::Ready(Err(gone()));
            }
            match self.pulse.poll(cx, &progress, &config.pings) {
                Poll::Ready(Beat::Ping) => {
                    if let Err(failure) = self.relay.ping() {
                        return Poll::Ready(Err(failed(failure)));
                    }
                    continue;
                }
                Poll::Ready(Beat::Lost) => {
                    tracing::debug!(connection = %self.client.id(), "the upstream does not answer a ping");
                    return Poll::Ready(Err(gone()));
                }
                Poll::Ready(Beat::Nothing) | Poll::Pending => {}
            }
            let aged = self.age.poll(cx, self.relay);
            return aged.map(|result| Err(result.map_or_else(failed, |()| old())));
        }
    }
}

fn failed(failure: Failure) -> End {
    match failure {
        Failure::Closed | Failure::Broken(_) => gone(),
        Failure::Rule(why) => End::Broken(why),
    }
}

pub(super) fn gone() -> End {
    End::Upstream(lost(), Unreachable::Lost, Kind::Restart)
}

fn old() -> End {
    End::Upstream(lost(), Unreachable::Lost, Kind::Old)
}

pub(super) fn lost() -> Close {
    Close::new(CloseCode::INTERNAL, "upstream was lost")
}

/// Translates the upstream's close for the client.
fn for_client(close: Close) -> End {
    let kind = match Error::UpstreamClosed(close.clone()).fault() {
        Fault::Upstream => Kind::Restart,
        _ => Kind::Final,
    };
    let why = Unreachable::Closed(close.clone());
    let says_nothing = close.code == CloseCode::PROTOCOL_ERROR
        || CloseCode::try_from(close.code.as_u16()).is_err();
    End::Upstream(if says_nothing { lost() } else { close }, why, kind)
}

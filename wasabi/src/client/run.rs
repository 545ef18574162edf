//! The task of a connection.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::Uri;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::{Message as Frame, protocol::CloseFrame};

use super::{
    State,
    dial::{Socket, dial},
    lost::{ABNORMAL, Lost},
    pauses::Pauses,
    shared::Shared,
};
use crate::{Message, Text};

/// How long saying goodbye may take, and before it what is left to be written.
const GOODBYE: Duration = Duration::from_secs(1);

/// Ends everything that waits, also when the runtime ends.
pub(super) struct Ending(pub(super) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(ABNORMAL, "the client has ended");
        self.0.over();
    }
}

pub(super) async fn run(ending: Ending, uri: Uri) {
    let shared = &*ending.0;
    let closing = &shared.closing;
    let mut pauses = Pauses::new(&shared.options);
    loop {
        shared.tell(State::Connecting);
        let dialing = dial(&shared.options, &shared.wire, &uri);
        let lost = match closing.run_until_cancelled(dialing).await {
            None => return,
            Some(Err(lost)) => lost,
            Some(Ok(socket)) => {
                shared.opened();
                let opened = Instant::now();
                let lost = talk(shared, socket).await;
                pauses.was_open(opened.elapsed());
                match lost {
                    Some(lost) => lost,
                    None => return,
                }
            }
        };
        if !shared.options.connects_again(lost.code, &lost.reason) {
            return shared.end(lost.code, &lost.reason);
        }
        shared.lost(&lost.reason);
        let pause = pauses.next(lost.is_busy);
        tracing::debug!(reason = lost.reason, ?pause, "a client lost its connection");
        shared.tell(State::Waiting {
            pause,
            code: lost.code,
            reason: lost.reason,
        });
        if closing.run_until_cancelled(sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Uses a connection until it ends. `None` if the client ends it.
async fn talk(shared: &Shared, socket: Socket) -> Option<Lost> {
    let (mut sink, mut stream) = socket.split();
    let lost = tokio::select! {
        lost = read(shared, &mut stream) => Some(lost),
        lost = write(shared, &mut sink) => lost,
        () = too_late(shared) => None,
        never = shared.give_up_late() => match never {},
    };
    if lost.is_none() {
        let _ = timeout(GOODBYE, say_goodbye(sink, stream)).await;
    }
    lost
}

async fn too_late(shared: &Shared) {
    shared.closing.cancelled().await;
    sleep(GOODBYE).await;
}

/// How long nothing may be heard, and how long a message may take to be sent.
fn silence(shared: &Shared) -> Duration {
    shared.options.ping * 5 / 2
}

async fn read(shared: &Shared, stream: &mut SplitStream<Socket>) -> Lost {
    let silence = silence(shared);
    loop {
        let frame = match timeout(silence, stream.next()).await {
            Err(_) => return Lost::new(format!("nothing was heard for {silence:?}")),
            Ok(None) => return Lost::new("the connection ended"),
            Ok(Some(Err(error))) => return Lost::new(error.to_string()),
            Ok(Some(Ok(frame))) => frame,
        };
        let message = match frame {
            Frame::Text(text) => match bytestring::ByteString::try_from(bytes::Bytes::from(text)) {
                Ok(text) => Message::from(Text(text)),
                Err(_) => return Lost::new("a text is not UTF-8"),
            },
            Frame::Binary(data) => Message::from(data),
            Frame::Close(frame) => {
                // Reading on writes the answer. What is not sent yet waits for the next connection, so this one is not
                // kept until the gateway has ended it.
                let _ = stream.next().now_or_never();
                return Lost::closed(frame.as_ref());
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => continue,
        };
        shared.take(message);
    }
}

/// Returns `None` when the client ends the connection, and what it has sent is written.
async fn write(shared: &Shared, sink: &mut SplitSink<Socket, Frame>) -> Option<Lost> {
    let closing = &shared.closing;
    let every = shared.options.ping;
    let silence = silence(shared);
    let mut ping = interval_at(Instant::now() + every, every);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            _ = ping.tick() => Frame::Ping(bytes::Bytes::new()),
            frame = next(shared) => frame,
            () = closing.cancelled() => return None,
        };
        // The gateway may not read.
        match timeout(silence, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                // What the gateway said before is a better reason, and is read at the same time.
                sleep(GOODBYE).await;
                return Some(Lost::new(error.to_string()));
            }
            Err(_) => return Some(Lost::new(format!("a message was not sent in {silence:?}"))),
        }
    }
}

/// Closes the connection, and reads until the gateway has closed it too: a socket that is dropped with unread data takes
/// back what it has sent.
async fn say_goodbye(mut sink: SplitSink<Socket, Frame>, mut stream: SplitStream<Socket>) {
    let close = CloseFrame {
        code: 1000.into(),
        reason: "".into(),
    };
    if sink.send(Frame::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = stream.next().await {}
    }
}

async fn next(shared: &Shared) -> Frame {
    loop {
        match shared.next() {
            Some(Message::Text(text)) => return Frame::text(text.as_str()),
            Some(Message::Binary(data)) => return Frame::Binary(data),
            None => shared.wake.notified().await,
        }
    }
}

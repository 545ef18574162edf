//! The streams of a socket, counted.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

/// Counts the streams of a socket; clones share the counts.
#[derive(Clone)]
pub(super) struct Streams(Arc<watch::Sender<StreamCounts>>);

#[derive(Clone, Copy)]
pub(super) struct StreamCounts {
    pub(super) open: usize,
    pub(super) opened: u64,
    /// Resets within the second that began at `since`.
    pub(super) resets: u32,
    since: Instant,
}

/// An open stream: a request until its answer is sent, or a WebSocket.
pub(super) struct Stream(Streams);

/// If this is dropped with a stream in it, the client did not wait for the answer.
pub(super) struct Unanswered<'a>(Option<&'a Stream>);

impl Streams {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(StreamCounts {
            open: 0,
            opened: 0,
            resets: 0,
            since: Instant::now(),
        })))
    }

    pub(super) fn open(&self) -> Stream {
        self.0.send_modify(|counts| {
            counts.open += 1;
            counts.opened += 1;
        });
        Stream(self.clone())
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<StreamCounts> {
        self.0.subscribe()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.0.send_modify(|counts| counts.open -= 1);
    }
}

impl<'a> Unanswered<'a> {
    pub(super) fn new(stream: &'a Stream) -> Self {
        Self(Some(stream))
    }

    /// The answer is there.
    pub(super) fn answered(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Some(stream) = self.0 else { return };
        stream.0.0.send_modify(|counts| {
            if counts.since.elapsed() > Duration::from_secs(1) {
                counts.resets = 0;
                counts.since = Instant::now();
            }
            counts.resets += 1;
        });
    }
}

//! Streams with a time limit for the client to take what is sent. hyper would wait for ever, and the socket shows
//! nothing: its client may take everything except this stream.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    body::{Body as _, Frame, SizeHint},
    rt::Executor,
};
use tokio::{
    task_local,
    time::{Sleep, sleep_until},
};

use crate::{server::pace::Pace, sync::Unpoisoned};

type SharedPace = Arc<Mutex<Pace>>;

task_local! {
    /// The pace of the stream whose request is being answered.
    static PACE: SharedPace;
}

fn lock(pace: &Mutex<Pace>) -> MutexGuard<'_, Pace> {
    pace.lock().unpoisoned()
}

/// Runs hyper's future for a stream, and drops it when the client takes too little of a [`paced`] body for too long.
/// This resets the stream, and leaves the others on its socket alone.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    pub(super) patience: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pace = Arc::new(Mutex::new(Pace::new(self.patience)));
        let mut stream = Box::pin(stream);
        tokio::spawn(async move {
            // The request's future runs inside the stream's, and takes the pace when it is first polled.
            let first = std::future::poll_fn(|cx| Poll::Ready(stream.as_mut().poll(cx)));
            if PACE.scope(Arc::clone(&pace), first).await.is_ready() {
                return;
            }
            if Arc::strong_count(&pace) == 1 {
                // This future has no request: it sends for a WebSocket, which has its own limits.
                return stream.await;
            }
            PacedStream {
                stream,
                pace,
                timer: None,
            }
            .await;
        });
    }
}

struct PacedStream<F> {
    stream: Pin<Box<F>>,
    pace: SharedPace,
    /// Set while the stream waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for PacedStream<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let deadline = lock(&self.pace).deadline();
        let Some(deadline) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        let over = timer.as_mut().poll(cx);
        if over.is_ready() {
            tracing::debug!("client reads an answer too slowly; its stream is reset");
        }
        over
    }
}

/// Returns the pace of the current stream; for use in the future that answers its request.
pub(super) fn pace() -> Option<SharedPace> {
    PACE.try_with(Arc::clone).ok()
}

/// Splits a body into pieces and records each in the pace.
pub(super) fn paced(pace: Option<SharedPace>, body: Body) -> Body {
    match pace {
        Some(pace) if !body.is_end_stream() => {
            let most = lock(&pace).piece();
            Body::new(PacedBody {
                body,
                rest: Bytes::new(),
                given: 0,
                most,
                pace,
            })
        }
        _ => body,
    }
}

struct PacedBody {
    body: Body,
    /// The rest of the last frame.
    rest: Bytes,
    /// The length of the last piece.
    given: usize,
    /// The maximum size of a piece. hyper keeps a piece until the client has taken it.
    most: usize,
    pace: SharedPace,
}

impl PacedBody {
    fn give(&mut self) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let piece = self.rest.split_to(self.rest.len().min(self.most));
        self.given = piece.len();
        lock(&self.pace).waits();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // hyper asks for more once the client had room for the last piece.
        let given = std::mem::take(&mut self.given);
        lock(&self.pace).took(given);
        if !self.rest.is_empty() {
            return self.give();
        }
        match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.give()
                }
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
            end => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

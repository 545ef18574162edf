//! Streaming replies, which go out while their requests stay in flight.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, starting::panicked};
use crate::{
    Connection, Error, Reply, Request, RequestId, Result,
    connection::{
        socket::{Failure, HangUp},
        work,
    },
    panics::{caught, discard},
    reply::{Body, ReplyStream, has_stirred},
    time::Moment,
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Sends the ready messages of a streaming reply while the client takes data.
    pub(super) fn step_stream(
        &mut self,
        index: usize,
        mut stream: ReplyStream,
    ) -> Result<(), Failure> {
        let waker = self.requests.in_flight.waker(index).clone();
        if let (Some(id), Some(slot)) = (stream.take_id(), self.requests.in_flight.tag_mut(index)) {
            slot.id = Some(RequestId::new(id));
        }
        let mut is_silent = true;
        has_stirred();
        loop {
            if self.wire.is_blocked() {
                return self.reply(index, Body::Stream(stream));
            }
            let polled =
                caught(|| Pin::new(&mut stream).poll_next(&mut Context::from_waker(&waker)));
            match polled {
                Ok(Poll::Pending) => {
                    self.keep(index, stream);
                    self.listen(index, is_silent && !has_stirred());
                    return Ok(());
                }
                Ok(Poll::Ready(Some(Ok(message)))) => {
                    is_silent = false;
                    self.wire.write(&message)?;
                    if work::is_over() {
                        // There may be more: the slot gets another turn, and the silence of its source does not count.
                        self.keep(index, stream);
                        if let Some(slot) = self.requests.in_flight.tag_mut(index) {
                            slot.silent = None;
                        }
                        self.requests
                            .in_flight
                            .put_back(index / 64, 1 << (index % 64));
                        return Ok(());
                    }
                }
                Ok(Poll::Ready(Some(Err(error)))) => {
                    discard(stream);
                    return self.fail_request(index, &error);
                }
                Ok(Poll::Ready(None)) => {
                    discard(stream);
                    self.requests.in_flight.release(index);
                    return Ok(());
                }
                Err(_) => {
                    discard(stream);
                    return self.fail_request(index, &panicked("the stream of a reply"));
                }
            }
        }
    }

    pub(super) fn keep(&mut self, index: usize, stream: ReplyStream) {
        if let Some(slot) = self.requests.in_flight.tag_mut(index) {
            slot.reply = Some(Body::Stream(stream));
        }
    }

    /// Starts the idle timeout of a streaming reply's source, unless it has been silent before too.
    fn listen(&mut self, index: usize, is_silent: bool) {
        let Some(timeout) = self.declared.settings().stream_idle_timeout else {
            return;
        };
        let Some(slot) = self.requests.in_flight.tag_mut(index) else {
            return;
        };
        if slot.silent.is_none() || !is_silent {
            let now = Moment::now();
            slot.silent = Some(now);
            self.wire.clock.streams.get_or_insert(now + timeout);
        }
    }

    /// Ends streaming replies whose sources have been silent for too long.
    pub(super) fn end_silent_streams(&mut self, now: Moment) -> Result<(), Failure> {
        let Some(timeout) = self.declared.settings().stream_idle_timeout else {
            return Ok(());
        };
        self.wire.clock.streams = None;
        for index in 0..self.requests.in_flight.slots() {
            let Some(slot) = self.requests.in_flight.tag_mut(index) else {
                continue;
            };
            let Some(until) = slot.silent.map(|since| since + timeout) else {
                continue;
            };
            if now < until {
                let next = self
                    .wire
                    .clock
                    .streams
                    .map_or(until, |next| next.min(until));
                self.wire.clock.streams = Some(next);
                continue;
            }
            slot.silent = None;
            if let Some(stream) = slot.reply.take() {
                discard(stream);
            }
            self.fail_request(index, &Error::TimedOut(timeout))?;
        }
        Ok(())
    }
}

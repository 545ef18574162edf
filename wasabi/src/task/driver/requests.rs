//! Requests, from message to reply.

use std::{
    task::{Context, Poll},
    vec,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::Driver;
use crate::{
    Error, Message, Reply, Request, Result,
    connection::{
        socket::{Failure, HangUp},
        work,
    },
    error_format::{self, About},
    panics::{caught, discard},
    parser::Parsed,
    reply::{Body, ReplyStream, has_stirred},
};

impl<T, F, P, C> Driver<'_, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Fn(Message) -> Parsed,
    C: Fn(Request) -> F,
{
    /// Polls the requests that have been woken. Does so even while the client takes no replies, since others may need
    /// what the requests hold.
    pub(super) fn poll_woken(&mut self) -> Result<bool, Failure> {
        let mut progress = false;
        for word in 0..self.in_flight.words() {
            let mut woken = self.in_flight.take_woken(word);
            while woken != 0 {
                let bit = woken.trailing_zeros();
                woken &= woken - 1;
                progress = true;
                work::spend(work::EACH);
                self.step(word * 64 + bit as usize)?;
                if work::is_over() {
                    self.in_flight.put_back(word, woken);
                    return Ok(true);
                }
            }
        }
        Ok(progress)
    }

    /// Continues the replies that had to wait.
    pub(super) fn send_held(&mut self) -> Result<bool, Failure> {
        let count = self.held.len();
        for done in 0..count {
            if done > 0 && work::is_over() {
                break;
            }
            let Some(index) = self.held.pop_front() else {
                break;
            };
            let Some(slot) = self.in_flight.tag_mut(index) else {
                continue;
            };
            slot.is_held = false;
            if let Some(body) = slot.reply.take() {
                self.held_bytes -= body.bytes();
                self.reply(index, body)?;
            }
        }
        Ok(count > self.held.len())
    }

    /// Whether a reply may be written: the client takes data, or the send buffer has room.
    pub(super) fn has_room(&self) -> bool {
        !self.socket.is_blocked() || self.unsent < self.settings.max_waiting_bytes
    }

    /// Parses a message; it is invalid if the parser panics.
    fn parse(&self, message: Message) -> Parsed {
        caught(|| (self.parse)(message)).unwrap_or_else(|_| Parsed::Invalid(self.unparsed()))
    }

    /// An invalid request, in place of a message lost to a panic of its parser.
    #[cold]
    fn unparsed(&self) -> Request {
        let request = Request::empty(self.connection);
        request.into_invalid(panicked("the request parser"))
    }

    pub(super) fn start(&mut self, message: Message, cx: &Context<'_>) -> Result<(), Failure> {
        let (parse, call, in_flight) = (&self.parse, &self.call, &mut self.in_flight);
        let mut slot = None;
        // From the parser to the slot in one closure, so that no new value is moved.
        let started = caught(|| {
            let (request, is_valid) = match parse(message) {
                Parsed::Request(request) => (request, true),
                Parsed::Invalid(request) => (request, false),
                Parsed::Dropped => return Started::Dropped,
            };
            let (index, tag) = in_flight.reserve(cx.waker());
            slot = Some(index);
            tag.id = request.id().cloned();
            tag.route = request.route();
            tag.owes_reply = request.owes_reply();
            in_flight.start(index, || call(request));
            match is_valid {
                true => Started::Slot(index),
                false => Started::Invalid(index),
            }
        });
        match (started, slot) {
            (Ok(Started::Slot(index)), _) => self.run(index),
            (Ok(Started::Dropped), _) => Ok(()),
            (Ok(Started::Invalid(index)), _) => {
                self.count_invalid()?;
                self.run(index)
            }
            (Err(_), Some(index)) => {
                self.fail_request(index, &panicked("the backend or a middleware"))
            }
            (Err(_), None) => self.start_unparsed(cx),
        }
    }

    /// Starts an invalid request after a panic of the parser.
    #[cold]
    fn start_unparsed(&mut self, cx: &Context<'_>) -> Result<(), Failure> {
        self.count_invalid()?;
        let request = self.unparsed();
        let (call, in_flight) = (&self.call, &mut self.in_flight);
        let (index, tag) = in_flight.reserve(cx.waker());
        tag.route = request.route();
        tag.owes_reply = true;
        let started = caught(|| {
            in_flight.start(index, || call(request));
        });
        match started {
            Ok(()) => self.run(index),
            Err(_) => self.fail_request(index, &panicked("a middleware")),
        }
    }

    /// Continues the request in a slot that has been woken.
    pub(super) fn step(&mut self, index: usize) -> Result<(), Failure> {
        match self.in_flight.tag_mut(index) {
            None => return Ok(()), // woken too late
            Some(slot) if slot.is_held => return Ok(()),
            Some(slot) => {
                if let Some(rest) = slot.reply.take() {
                    return self.reply(index, rest);
                }
            }
        }
        self.run(index)
    }

    /// Polls the request in a slot.
    #[inline(always)]
    pub(super) fn run(&mut self, index: usize) -> Result<(), Failure> {
        let mut polled = Poll::Pending;
        let is_alive = self.in_flight.poll(index, &mut polled);
        // The common case. The message is written from where it is: moving a value right after storing it in parts is
        // slow.
        if let Poll::Ready(Ok(reply)) = &polled
            && let Body::One(message) = reply.body()
            && self.has_room()
        {
            self.in_flight.release(index);
            return self.write(message);
        }
        match polled {
            Poll::Pending if is_alive => Ok(()),
            Poll::Pending => self.fail_request(index, &panicked("the backend or a middleware")),
            Poll::Ready(Ok(reply)) => self.reply(index, reply.into_body()),
            Poll::Ready(Err(error)) => self.fail_request(index, &error),
        }
    }

    /// Sends the reply of the request in a slot, or keeps it there while the client takes no data.
    #[inline]
    pub(super) fn reply(&mut self, index: usize, body: Body) -> Result<(), Failure> {
        match body {
            Body::Stream(stream) if !self.socket.is_blocked() => self.step_stream(index, stream),
            Body::Many(messages) if self.has_room() => self.step_many(index, messages),
            Body::None | Body::One(_) if self.has_room() => {
                self.in_flight.release(index);
                self.write_body(body)
            }
            body => {
                if let Some(slot) = self.in_flight.tag_mut(index) {
                    self.held_bytes += body.bytes();
                    slot.reply = Some(body);
                    slot.is_held = true;
                    slot.silent = None;
                    self.held.push_back(index);
                }
                Ok(())
            }
        }
    }

    pub(super) fn fail_request(&mut self, index: usize, error: &Error) -> Result<(), Failure> {
        let Some(slot) = self.in_flight.tag_mut(index) else {
            return Ok(());
        };
        let about = About {
            connection: self.connection,
            route: slot.route,
            id: slot.id.as_ref(),
        };
        let reply = error_format::report(self.errors, error, &about);
        self.reply(index, reply.into_body())
    }

    /// Continues the reply of many messages that is in progress. Returns whether it is complete.
    #[cold]
    pub(super) fn finish_many(&mut self) -> Result<bool, Failure> {
        if let Some(index) = self.unfinished.take() {
            self.step(index)?;
        }
        Ok(self.unfinished.is_none())
    }

    /// Sends as many messages of a reply as fit into the turn.
    fn step_many(
        &mut self,
        index: usize,
        mut messages: vec::IntoIter<Message>,
    ) -> Result<(), Failure> {
        while let Some(message) = messages.next() {
            self.write(&message)?;
            if !messages.as_slice().is_empty() && work::is_over() {
                if let Some(slot) = self.in_flight.tag_mut(index) {
                    slot.reply = Some(Body::Many(messages));
                    self.unfinished = Some(index);
                }
                return Ok(());
            }
        }
        self.in_flight.release(index);
        Ok(())
    }

    /// Sends the ready messages of a streaming reply while the client takes data.
    pub(super) fn step_stream(
        &mut self,
        index: usize,
        mut stream: ReplyStream,
    ) -> Result<(), Failure> {
        let waker = self.in_flight.waker(index).clone();
        let mut is_silent = true;
        has_stirred();
        loop {
            if self.socket.is_blocked() {
                return self.reply(index, Body::Stream(stream));
            }
            let polled = caught(|| stream.as_mut().poll_next(&mut Context::from_waker(&waker)));
            match polled {
                Ok(Poll::Pending) => {
                    self.keep(index, stream);
                    self.listen(index, is_silent && !has_stirred());
                    return Ok(());
                }
                Ok(Poll::Ready(Some(Ok(message)))) => {
                    is_silent = false;
                    self.write(&message)?;
                    if work::is_over() {
                        // There may be more: the slot gets another turn, and the silence of its source does not count.
                        self.keep(index, stream);
                        if let Some(slot) = self.in_flight.tag_mut(index) {
                            slot.silent = None;
                        }
                        self.in_flight.put_back(index / 64, 1 << (index % 64));
                        return Ok(());
                    }
                }
                Ok(Poll::Ready(Some(Err(error)))) => {
                    discard(stream);
                    return self.fail_request(index, &error);
                }
                Ok(Poll::Ready(None)) => {
                    discard(stream);
                    self.in_flight.release(index);
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
        if let Some(slot) = self.in_flight.tag_mut(index) {
            slot.reply = Some(Body::Stream(stream));
        }
    }

    /// Starts the idle timeout of a streaming reply's source, unless it has been silent before too.
    fn listen(&mut self, index: usize, is_silent: bool) {
        let Some(timeout) = self.settings.stream_idle_timeout else {
            return;
        };
        let Some(slot) = self.in_flight.tag_mut(index) else {
            return;
        };
        if slot.silent.is_none() || !is_silent {
            let now = Instant::now();
            slot.silent = Some(now);
            self.clock.streams.get_or_insert(now + timeout);
        }
    }

    /// Ends streaming replies whose sources have been silent for too long.
    pub(super) fn end_silent_streams(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(timeout) = self.settings.stream_idle_timeout else {
            return Ok(());
        };
        self.clock.streams = None;
        for index in 0..self.in_flight.slots() {
            let Some(slot) = self.in_flight.tag_mut(index) else {
                continue;
            };
            let Some(until) = slot.silent.map(|since| since + timeout) else {
                continue;
            };
            if now < until {
                let next = self.clock.streams.map_or(until, |next| next.min(until));
                self.clock.streams = Some(next);
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

    /// Answers all pending requests with an error while the client takes data: `Interrupted` for those that were
    /// started, `Closing` for messages that nothing has processed.
    pub(super) fn give_up_requests(&mut self) -> Result<(), Failure> {
        for index in 0..self.in_flight.slots() {
            if self.in_flight.tag_mut(index).is_some() && !self.socket.is_blocked() {
                self.in_flight.finish(index);
                self.fail_request(index, &Error::Interrupted)?;
            }
        }
        while !self.socket.is_blocked()
            && let Some(message) = self.ahead.pop_front()
        {
            self.refuse(message)?;
        }
        self.cancel_requests();
        Ok(())
    }

    /// Answers a message that arrived too late.
    pub(super) fn refuse(&mut self, message: Message) -> Result<(), Failure> {
        let id = match self.parse(message) {
            Parsed::Request(request) | Parsed::Invalid(request) => {
                let id = request.id().cloned();
                discard(request);
                id
            }
            Parsed::Dropped => return Ok(()),
        };
        let about = About {
            connection: self.connection,
            route: "",
            id: id.as_ref(),
        };
        let reply = error_format::report(self.errors, &Error::Closing, &about);
        self.write_all(reply)
    }

    pub(super) fn cancel_requests(&mut self) {
        if !self.in_flight.is_empty() {
            tracing::debug!(
                connection = %self.connection.id(),
                requests = self.in_flight.len() + self.ahead.len(),
                "requests in flight are cancelled"
            );
        }
        self.in_flight.clear();
        self.held.clear();
        self.held_bytes = 0;
        self.unfinished = None;
        self.ahead.clear();
        self.ahead_bytes = 0;
    }
}

/// The outcome of starting a message.
enum Started {
    /// The request is in this slot.
    Slot(usize),
    /// The message is unreadable; its invalid request is in this slot.
    Invalid(usize),
    Dropped,
}

pub(super) fn panicked(who: &str) -> Error {
    Error::internal(format!("{who} panicked"))
}

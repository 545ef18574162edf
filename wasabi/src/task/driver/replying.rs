//! From a request in a slot to its reply.

use std::{task::Poll, vec};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Declaration, Driver, requests::Unfinished, starting::panicked};
use crate::{
    Connection, Error, Message, Reply, Request, Result,
    connection::{
        socket::{Failure, HangUp},
        work,
    },
    error_format::{self, About},
    protocol::Inbound,
    reply::Body,
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Polls the requests that have been woken. Does so even while the client takes no replies, since others may need
    /// what the requests hold.
    pub(super) fn poll_woken(&mut self) -> Result<bool, Failure> {
        let mut progress = false;
        for word in 0..self.requests.in_flight.words() {
            let mut woken = self.requests.in_flight.take_woken(word);
            while woken != 0 {
                let bit = woken.trailing_zeros();
                woken &= woken - 1;
                progress = true;
                work::spend(work::EACH);
                self.step(word * 64 + bit as usize)?;
                if work::is_over() {
                    self.requests.in_flight.put_back(word, woken);
                    return Ok(true);
                }
            }
        }
        Ok(progress)
    }

    /// Continues the request in a slot that has been woken.
    pub(super) fn step(&mut self, index: usize) -> Result<(), Failure> {
        match self.requests.in_flight.tag_mut(index) {
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
        let is_alive = self.requests.in_flight.poll(index, &mut polled);
        // The common case. The message is written from where it is: moving a value right after storing it in parts is
        // slow.
        if let Poll::Ready(Ok(reply)) = &polled
            && let Body::One(message) = reply.body()
            && self.has_room()
        {
            self.requests.in_flight.release(index);
            return self.wire.write(message);
        }
        match polled {
            Poll::Pending if is_alive => Ok(()),
            Poll::Pending => self.fail_request(index, &panicked("the backend or a middleware")),
            Poll::Ready(Ok(reply)) => self.reply(index, reply.into_body()),
            Poll::Ready(Err(error)) => self.fail_request(index, &error),
        }
    }

    /// Sends the reply of the request in a slot, or keeps it there while the client takes no data or another reply is
    /// unfinished.
    #[inline]
    pub(super) fn reply(&mut self, index: usize, body: Body) -> Result<(), Failure> {
        match body {
            body if self.requests.unfinished.is_some() => self.hold(index, body),
            Body::Stream(stream) if !self.wire.is_blocked() => self.step_stream(index, stream),
            Body::Many(messages) if self.has_room() => self.step_many(index, messages),
            Body::None | Body::One(_) if self.has_room() => {
                self.requests.in_flight.release(index);
                self.wire.write_body(body)
            }
            Body::Gated(gated) if self.has_room() => {
                self.requests.in_flight.release(index);
                let (body, gates) = gated.into_parts();
                let written = self.wire.write_body(body);
                drop(gates);
                written
            }
            body => self.hold(index, body),
        }
    }

    fn hold(&mut self, index: usize, body: Body) -> Result<(), Failure> {
        self.requests.hold(index, body);
        Ok(())
    }

    /// Continues the replies that had to wait.
    pub(super) fn send_held(&mut self) -> Result<bool, Failure> {
        let count = self.requests.held();
        for done in 0..count {
            if done > 0 && work::is_over() {
                break;
            }
            let Some((index, body)) = self.requests.next_held() else {
                break;
            };
            if let Some(body) = body {
                self.reply(index, body)?;
            }
        }
        Ok(count > self.requests.held())
    }

    /// Whether a reply may be written: no other is unfinished, and the client takes data, or the send buffer has room.
    pub(super) fn has_room(&self) -> bool {
        self.requests.unfinished.is_none() && self.wire_has_room()
    }

    /// Whether the client takes data, or the send buffer has room.
    pub(super) fn wire_has_room(&self) -> bool {
        !self.wire.is_blocked()
            || self.wire.flow.unsent() < self.declared.settings().max_waiting_bytes
    }

    pub(super) fn fail_request(&mut self, index: usize, error: &Error) -> Result<(), Failure> {
        let Some(slot) = self.requests.in_flight.tag_mut(index) else {
            return Ok(());
        };
        let about = About {
            connection: self.connection,
            route: slot.route,
            id: slot.id.as_ref(),
            owes: slot.owes,
        };
        let reply = error_format::report(self.declared.errors(), error, &about);
        self.reply(index, reply.into_body())
    }

    /// Continues the reply of many messages that is in progress. Returns whether it is complete.
    #[cold]
    pub(super) fn finish_many(&mut self) -> Result<bool, Failure> {
        if let Some(index) = self.requests.unfinished.take().map(Unfinished::index) {
            self.requests.unhold(index);
            self.step(index)?;
        }
        Ok(self.requests.unfinished.is_none())
    }

    /// Sends as many messages of a reply as fit into the turn.
    fn step_many(
        &mut self,
        index: usize,
        mut messages: vec::IntoIter<Message>,
    ) -> Result<(), Failure> {
        while let Some(message) = messages.next() {
            self.wire.write(&message)?;
            if !messages.as_slice().is_empty() && work::is_over() {
                if let Some(slot) = self.requests.in_flight.tag_mut(index) {
                    slot.reply = Some(Body::Many(messages));
                    self.requests.unfinished = Some(Unfinished::at(index));
                }
                return Ok(());
            }
        }
        self.requests.in_flight.release(index);
        Ok(())
    }

    /// Answers all pending requests with an error while the client takes data: `Interrupted` for those that were
    /// started, `Closing` for messages that nothing has processed.
    pub(super) fn give_up_requests(&mut self) -> Result<(), Failure> {
        self.requests.unfinished = None;
        for index in 0..self.requests.in_flight.slots() {
            if self.requests.in_flight.tag_mut(index).is_some() && !self.wire.is_blocked() {
                self.requests.in_flight.finish(index);
                self.fail_request(index, &Error::Interrupted)?;
            }
        }
        while !self.wire.is_blocked()
            && let Some((inbound, _)) = self.requests.ahead.pop()
        {
            if let Inbound::Answer(answer) = &inbound {
                self.wire.write(answer)?;
            }
            if let Some(request) = inbound.into_request() {
                self.answer_unstarted(request, &Error::Closing, true)?;
            }
        }
        self.cancel_requests();
        Ok(())
    }

    pub(super) fn cancel_requests(&mut self) {
        if !self.requests.in_flight.is_empty() {
            tracing::debug!(
                connection = %self.connection.id(),
                requests = self.requests.len(),
                "cancelling the requests in flight"
            );
        }
        self.requests.cancel();
    }
}

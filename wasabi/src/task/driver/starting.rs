//! From a message to a request in a slot.

use std::task::Waker;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Declaration, Driver,
    ahead::ReadAhead,
    requests::{InSlot, Requests, Slots},
};
use crate::{
    Close, Connection, Error, Message, Reply, Request, Result,
    connection::{
        socket::{Failure, HangUp},
        work,
    },
    error_format::{self, About},
    panics::{caught, discard},
    parser::Duplicate,
    protocol::Inbound,
    reply::Body,
    request::Owes,
};

/// The outcome of starting a message.
enum Started {
    /// The request is in this slot.
    Slot(usize),
    /// The message is unreadable, or so many requests of a batch; the invalid request is in this slot.
    Invalid(usize, u32),
    /// The message is no request.
    Other,
}

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Parses a message; it is invalid if the parser panics.
    #[inline(never)]
    pub(super) fn parse(&self, message: Message) -> Inbound {
        caught(|| self.declared.parse(message, self.connection))
            .unwrap_or_else(|_| Inbound::Invalid(self.unparsed()))
    }

    /// An invalid request, in place of a message lost to a panic of its parser.
    #[cold]
    fn unparsed(&self) -> Request {
        let request = Request::empty(self.connection);
        request.into_invalid(panicked("the request parser"))
    }

    /// Starts the request in a message.
    #[inline(always)]
    pub(super) fn start(&mut self, message: Message) -> Result<(), Failure> {
        self.start_parsed(|declared, connection| declared.parse(message, connection))
    }

    /// Starts a request that has waited for a slot.
    #[inline(never)]
    pub(super) fn start_waiting(&mut self, inbound: Inbound) -> Result<(), Failure> {
        self.start_parsed(|_, _| inbound)
    }

    #[inline(always)]
    fn start_parsed(
        &mut self,
        inbound: impl FnOnce(&P, &Connection) -> Inbound,
    ) -> Result<(), Failure> {
        let (declared, connection, call) = (self.declared.clone(), self.connection, &self.call);
        let Requests {
            in_flight, ahead, ..
        } = &mut self.requests;
        let (mut slot, mut other) = (None, None);
        // From the parser to the slot in one closure, so that no new value is moved.
        let started = caught(|| {
            let (request, invalid) = match inbound(&declared, connection) {
                Inbound::Request(request) => (request, 0),
                Inbound::Unique(request, otherwise) => {
                    if let Some(close) = duplicate(&request, otherwise, in_flight, ahead) {
                        other = Some(Inbound::Close(Box::new(close)));
                        return Started::Other;
                    }
                    (request, 0)
                }
                Inbound::Invalid(request) => (request, 1),
                Inbound::Batch(request, invalid) => (request, invalid),
                no_request => {
                    other = Some(no_request);
                    return Started::Other;
                }
            };
            let (index, tag) = in_flight.reserve();
            slot = Some(index);
            tag.id = request.id().cloned();
            tag.route = request.route();
            tag.owes = request.owes();
            in_flight.start(index, || call(declared, request, connection));
            match invalid {
                0 => Started::Slot(index),
                count => Started::Invalid(index, count),
            }
        });
        match (started, slot) {
            (Ok(Started::Slot(index)), _) => self.run(index),
            (Ok(Started::Other), _) => self.start_none(other),
            (Ok(Started::Invalid(index, count)), _) => {
                for _ in 0..count {
                    self.wire.misuse.invalid_message()?;
                }
                self.run(index)
            }
            (Err(_), Some(index)) => {
                self.fail_request(index, &panicked("the backend or a middleware"))
            }
            (Err(_), None) => self.start_unparsed(),
        }
    }

    /// Does what a message that is no request asks for.
    #[inline(never)]
    fn start_none(&mut self, other: Option<Inbound>) -> Result<(), Failure> {
        match other {
            Some(Inbound::Answer(answer)) => self.answer(*answer),
            Some(Inbound::Close(close)) => Err(Failure::Rule(*close)),
            Some(Inbound::Cancel(cancel)) => {
                self.cancel_all(&cancel.requests)?;
                self.start_waiting(cancel.then)
            }
            _ => Ok(()),
        }
    }

    /// Sends the protocol's own answer. It takes a slot, so that it waits like a reply while the client takes no data.
    fn answer(&mut self, answer: Message) -> Result<(), Failure> {
        let (index, _) = self.requests.in_flight.reserve();
        self.reply(index, Body::One(answer))
    }

    /// Starts an invalid request after a panic of the parser.
    #[cold]
    fn start_unparsed(&mut self) -> Result<(), Failure> {
        self.wire.misuse.invalid_message()?;
        let request = self.unparsed();
        let (declared, connection) = (self.declared.clone(), self.connection);
        let (call, in_flight) = (&self.call, &mut self.requests.in_flight);
        let (index, tag) = in_flight.reserve();
        tag.route = request.route();
        tag.owes = Owes::of(true);
        let started = caught(|| {
            in_flight.start(index, || call(declared, request, connection));
        });
        match started {
            Ok(()) => self.run(index),
            Err(_) => self.fail_request(index, &panicked("a middleware")),
        }
    }

    /// Answers a message that arrived too late. A cancellation is never too late.
    pub(super) fn refuse(&mut self, message: Message) -> Result<(), Failure> {
        let inbound = self.parse(message);
        self.refuse_parsed(inbound)
    }

    fn refuse_parsed(&mut self, inbound: Inbound) -> Result<(), Failure> {
        match inbound {
            Inbound::Request(request)
            | Inbound::Unique(request, _)
            | Inbound::Invalid(request)
            | Inbound::Batch(request, _) => self.answer_unstarted(request, &Error::Closing, true),
            Inbound::Cancel(cancel) => {
                self.cancel_all(&cancel.requests)?;
                self.refuse_parsed(cancel.then)
            }
            Inbound::Answer(answer) => self.wire.write(&answer),
            Inbound::Close(close) => Err(Failure::Rule(*close)),
            Inbound::Dropped => Ok(()),
        }
    }

    /// Answers a request that nothing has processed, or only logs the error.
    pub(super) fn answer_unstarted(
        &mut self,
        request: Request,
        error: &Error,
        answers: bool,
    ) -> Result<(), Failure> {
        let (id, mut owes) = (request.id().cloned(), request.owes());
        if !answers {
            owes = Owes::of(false);
        }
        discard(request);
        let about = About {
            connection: self.connection,
            route: "",
            id: id.as_ref(),
            owes,
        };
        let reply = error_format::report(self.declared.errors(), error, &about).into_body();
        if self.requests.unfinished.is_none() {
            return self.wire.write_body(reply);
        }
        let ahead = &mut self.requests.ahead;
        match reply {
            Body::One(message) => ahead.push_answer(message),
            Body::Many(messages) => messages.for_each(|message| ahead.push_answer(message)),
            Body::None | Body::Stream(_) | Body::Gated(_) => {}
        }
        Ok(())
    }
}

/// How the connection ends if a request with the id of this one is in flight.
#[cold]
pub(super) fn duplicate<F: Future>(
    request: &Request,
    otherwise: Duplicate,
    in_flight: &Slots<F>,
    ahead: &ReadAhead,
) -> Option<Close> {
    let id = request.id()?;
    let is_it = |slot: &InSlot, _: &Waker| slot.id.as_ref() == Some(id) && !slot.is_done();
    work::spend(in_flight.slots() * work::SLOT);
    let is_used = in_flight.find(0, is_it).is_some() || ahead.has(id);
    is_used.then(|| otherwise(id))
}

pub(super) fn panicked(who: &str) -> Error {
    Error::internal(format!("{who} panicked"))
}

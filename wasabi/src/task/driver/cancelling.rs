//! Cancellation of requests in flight by their id.

use std::task::Waker;

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Declaration, Driver,
    requests::{Requests, Unfinished},
};
use crate::{
    Connection, Error, Reply, Request, RequestId, Result,
    connection::{
        outbox::Requested,
        socket::{Failure, HangUp},
        work,
    },
    panics::discard,
    request::{Cancellation, Cancelled, Owes},
};

impl<'a, T, F, P, C> Driver<'a, T, F, P, C>
where
    T: AsyncRead + AsyncWrite + HangUp + Unpin,
    F: Future<Output = Result<Reply>>,
    P: Declaration,
    C: Fn(P, Request, &'a Connection) -> F,
{
    /// Cancels requests, because the client has asked for it.
    #[cold]
    pub(super) fn cancel_all(&mut self, requests: &[Cancelled]) -> Result<(), Failure> {
        for Cancelled { id, answers } in requests {
            self.cancel(id, None, *answers)?;
        }
        Ok(())
    }

    /// Cancels the requests with this id, except the one whose future this waker wakes, and answers them if the client
    /// wants that. Returns their number.
    #[cold]
    pub(super) fn cancel(
        &mut self,
        id: &RequestId,
        except: Option<&Waker>,
        answers: bool,
    ) -> Result<usize, Failure> {
        let mut ended = 0;
        let mut from = 0;
        if let Some(index) = self.requests.unfinished.map(Unfinished::index)
            && self.requests.is_unfinished(id)
        {
            // It ends first: only then may others be written.
            ended += 1;
            self.end_cancelled(index, answers)?;
        }
        while let Some(index) = self.requests.find(id, except, from) {
            from = index + 1;
            ended += 1;
            self.end_cancelled(index, answers)?;
        }
        while let Some(request) = self.requests.ahead.take(id) {
            ended += 1;
            self.answer_unstarted(request, &Error::Cancelled, answers)?;
        }
        Ok(ended)
    }

    fn end_cancelled(&mut self, index: usize, answers: bool) -> Result<(), Failure> {
        self.requests.abandon(index);
        if !answers && let Some(slot) = self.requests.in_flight.tag_mut(index) {
            slot.owes = Owes::of(false);
        }
        self.fail_request(index, &Error::Cancelled)
    }

    /// Does what cannot wait until the client takes data again. Returns what that was.
    pub(super) fn do_urgent(&mut self) -> Result<Requested, Failure> {
        let outbox = self.connection.outbox();
        let requested = outbox.take_urgent();
        match requested {
            Requested::Cancel => self.cancel_requested()?,
            Requested::Stop => {
                if let Some(close) = outbox.requested_close() {
                    self.life.decide(close);
                }
            }
            Requested::Nothing | Requested::Close => {}
        }
        Ok(requested)
    }

    /// Carries out the cancellations that functions have asked for.
    #[cold]
    pub(super) fn cancel_requested(&mut self) -> Result<(), Failure> {
        for cancellation in Cancellation::take(self.connection) {
            let ended = self.cancel(&cancellation.id, Some(&cancellation.by), true)?;
            // Nobody may be waiting any more.
            let _ = cancellation.ended.send(ended);
        }
        Ok(())
    }
}

impl<F: Future> Requests<F> {
    /// The first slot, from this one on, of a request with this id that is not done.
    fn find(&self, id: &RequestId, except: Option<&Waker>, from: usize) -> Option<usize> {
        work::spend((self.in_flight.slots() - from) * work::SLOT);
        self.in_flight.find(from, |slot, waker| {
            slot.id.as_ref() == Some(id)
                && !slot.is_done()
                && !except.is_some_and(|by| by.will_wake(waker))
        })
    }

    /// Whether a reply to the request with this id is being written, and others must wait.
    fn is_unfinished(&mut self, id: &RequestId) -> bool {
        let slot = self.unfinished.map(Unfinished::index);
        let slot = slot.and_then(|index| self.in_flight.tag_mut(index));
        slot.is_some_and(|slot| slot.id.as_ref() == Some(id))
    }

    /// Cancels the requests with this id, except the one whose future this waker wakes, without an answer. Returns their
    /// number.
    pub(super) fn cancel_silently(&mut self, id: &RequestId, except: Option<&Waker>) -> usize {
        let mut ended = 0;
        while let Some(index) = self.find(id, except, 0) {
            ended += 1;
            self.abandon(index);
            self.in_flight.release(index);
        }
        while let Some(request) = self.ahead.take(id) {
            ended += 1;
            discard(request);
        }
        ended
    }

    /// Carries out the cancellations that functions have asked for, for a client that has left.
    pub(super) fn cancel_requested(&mut self, connection: &Connection) {
        for cancellation in Cancellation::take(connection) {
            let ended = self.cancel_silently(&cancellation.id, Some(&cancellation.by));
            let _ = cancellation.ended.send(ended);
        }
    }
}

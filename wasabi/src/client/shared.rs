//! What the callers and the task of a connection share: the requests that wait, and what is to be sent.

mod deadlines;
mod ends;
mod groups;
mod inbound;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::groups::Groups;
use super::{
    NotSent, Options, Owner as Handle, RequestError, State, Unasked, Wire,
    calls::{Call, Caller, Outgoing},
    error::Failure,
};
use crate::{
    Message,
    sync::{Mutex, MutexGuard, Unpoisoned},
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) wire: Wire,
    pub(super) state: watch::Sender<State>,
    pub(super) closing: CancellationToken,
    /// Nothing is left of the connection.
    pub(super) closed: CancellationToken,
    /// Something is to be sent.
    pub(super) wake: Notify,
    /// A call has a deadline.
    leaves: Notify,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    next_id: u64,
    calls: BTreeMap<u64, Call>,
    /// The calls by the ids of their subscriptions.
    subscriptions: HashMap<String, u64>,
    groups: Groups,
    /// At most `Options::limit` messages, the calls, a message for each call that ended, and an entry for each caller that
    /// waits until all before it is written.
    outgoing: VecDeque<Outgoing>,
    posted: usize,
    is_open: bool,
    /// Why there is no connection.
    why: String,
    /// `None` once the client has ended.
    unasked: Option<broadcast::Sender<Unasked>>,
}

/// A request that waits. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) values: mpsc::Receiver<Value>,
    failure: Arc<OnceLock<Failure>>,
    handle: Arc<Handle>,
}

impl Waiting {
    /// Why there are no more values, once there are none.
    pub(super) fn failure<C: DeserializeOwned>(&self) -> RequestError<C> {
        let unknown = || Failure::Lost {
            reason: "the client has ended".to_owned(),
        };
        self.failure.get().cloned().unwrap_or_else(unknown).typed()
    }

    /// Gives it up at its deadline.
    pub(super) fn timed_out<C>(self) -> RequestError<C> {
        let shared = &self.handle.0;
        let was_sent = shared.forget(self.id);
        let reason = match was_sent {
            true => String::new(),
            false => shared.why_not(),
        };
        RequestError::TimedOut { was_sent, reason }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.handle.0.forget(self.id);
    }
}

impl Shared {
    pub(super) fn new(wire: Wire, options: Options) -> Self {
        let (unasked, _) = broadcast::channel(options.buffer);
        Self {
            wire,
            state: watch::Sender::new(State::Connecting),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            wake: Notify::new(),
            leaves: Notify::new(),
            inner: Mutex::new(Inner {
                next_id: 1,
                calls: BTreeMap::new(),
                subscriptions: HashMap::new(),
                groups: Groups::new(),
                outgoing: VecDeque::new(),
                posted: 0,
                is_open: false,
                why: "not connected yet".to_owned(),
                unasked: Some(unasked),
            }),
            options,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unpoisoned()
    }

    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<Unasked>> {
        let inner = self.lock();
        inner.unasked.as_ref().map(broadcast::Sender::subscribe)
    }

    pub(super) fn write(
        &self,
        key: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<(u64, String), NotSent> {
        // The user's code, so not under the lock.
        let body = serde_json::to_value(body).map_err(|error| NotSent::new(error.to_string()))?;
        let id = {
            let mut inner = self.lock();
            let id = inner.next_id;
            inner.next_id += 1;
            id
        };
        let text = self.wire.write(key, body, id)?;
        self.fits(text.len())?;
        Ok((id, text))
    }

    /// The connection has room for what waits to be written only if no message is larger.
    fn fits(&self, bytes: usize) -> Result<(), NotSent> {
        match bytes > self.options.max_message_size {
            true => Err(NotSent::new("the message is too large")),
            false => Ok(()),
        }
    }

    pub(super) fn begin(
        handle: &Arc<Handle>,
        key: &str,
        body: &(impl Serialize + ?Sized),
        is_stream: bool,
    ) -> Result<Waiting, NotSent> {
        let shared = &handle.0;
        let (id, text) = shared.write(key, body)?;
        let buffer = if is_stream { shared.options.buffer } else { 1 };
        let (caller, waiting) = shared.waiting(handle, id, buffer);
        let mut inner = shared.lock();
        inner.has_room(&shared.options)?;
        let call = Call::new(text, Some(caller), is_stream);
        inner.calls.insert(id, call);
        inner.outgoing.push_back(Outgoing::Call(id));
        drop(inner);
        shared.wake.notify_one();
        Ok(waiting)
    }

    /// Both sides of a request.
    fn waiting(&self, handle: &Arc<Handle>, id: u64, buffer: usize) -> (Caller, Waiting) {
        let (to, values) = mpsc::channel(buffer);
        let failure = Arc::new(OnceLock::new());
        let caller = Caller {
            values: to,
            failure: Arc::clone(&failure),
        };
        let waiting = Waiting {
            id,
            values,
            failure,
            handle: Arc::clone(handle),
        };
        (caller, waiting)
    }

    /// Sends a message that nothing waits for.
    pub(super) fn post(&self, message: Message) -> Result<(), NotSent> {
        self.fits(message.len())?;
        let mut inner = self.lock();
        if !inner.is_open {
            return Err(NotSent::new(&*inner.why));
        }
        if inner.posted >= self.options.limit {
            return Err(NotSent::new("too many messages wait"));
        }
        inner.posted += 1;
        inner.outgoing.push_back(Outgoing::Posted(message));
        drop(inner);
        self.wake.notify_one();
        Ok(())
    }

    /// Tells when all that was sent so far is written. It never does if the connection ends before.
    pub(super) fn flushed(&self) -> Result<oneshot::Receiver<()>, NotSent> {
        let (flushed, receiver) = oneshot::channel();
        let mut inner = self.lock();
        if !inner.is_open {
            return Err(NotSent::new(&*inner.why));
        }
        // Of callers that are gone nothing is kept.
        inner
            .outgoing
            .retain(|each| !matches!(each, Outgoing::Flushed(caller) if caller.is_closed()));
        inner.outgoing.push_back(Outgoing::Flushed(flushed));
        drop(inner);
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Gives a request up, and returns whether it was sent.
    fn forget(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let Some(call) = inner.calls.get_mut(&id) else {
            return true;
        };
        if call.text.is_some() {
            let about = inner.calls.remove(&id).and_then(|call| call.about);
            inner
                .outgoing
                .retain(|each| !matches!(each, Outgoing::Call(call) if *call == id));
            if let Some(about) = about {
                inner.unfollow(id, &about);
            }
            return false;
        }
        let ends = call.about.is_some() || call.is_stream && self.wire.stop.is_some();
        if ends && call.subscription.is_none() {
            // Its reply says which subscription is to be ended.
            call.caller = None;
            if call.about.is_some() {
                call.deadline = self.deadline();
            }
        } else if call.about.is_some() {
            self.leave(&mut inner, id);
        } else if let Some(call) = inner.calls.remove(&id)
            && let Some(subscription) = call.subscription
        {
            inner.subscriptions.remove(&subscription);
            self.stop(&mut inner, &subscription);
        }
        true
    }

    /// Why nothing is sent.
    fn why_not(&self) -> String {
        let inner = self.lock();
        match inner.is_open {
            true => "others are sent before it".to_owned(),
            false => inner.why.clone(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().unasked.is_none()
    }

    /// Why the last connection ended.
    pub(super) fn why(&self) -> String {
        self.lock().why.clone()
    }

    fn stop(&self, inner: &mut Inner, subscription: &str) {
        let Some(method) = self.wire.stop else { return };
        let id = inner.next_id;
        inner.next_id += 1;
        if let Ok(text) = self.wire.write(method, json!([subscription]), id) {
            inner.outgoing.push_back(Outgoing::Stop(text.into()));
            self.wake.notify_one();
        }
    }

    /// The next message to send, once the one before is written. From here on it counts as sent.
    pub(super) fn next(&self) -> Option<Message> {
        let mut inner = self.lock();
        loop {
            match inner.outgoing.pop_front()? {
                Outgoing::Posted(message) => {
                    inner.posted -= 1;
                    return Some(message);
                }
                Outgoing::Stop(message) => return Some(message),
                Outgoing::Flushed(caller) => {
                    // It may be gone.
                    let _ = caller.send(());
                }
                Outgoing::Call(id) => {
                    let call = inner.calls.get_mut(&id);
                    if let Some(text) = call.and_then(|call| call.text.take()) {
                        return Some(text.into());
                    }
                }
            }
        }
    }

    /// Says how the connection is. What has ended stays so.
    pub(super) fn tell(&self, state: State) {
        self.state.send_if_modified(|now| {
            let goes_on = !matches!(now, State::Closed { .. });
            if goes_on {
                *now = state;
            }
            goes_on
        });
    }

    pub(super) fn opened(&self) {
        let mut inner = self.lock();
        // The client may have ended meanwhile.
        inner.is_open = inner.unasked.is_some();
        drop(inner);
        self.tell(State::Open);
    }
}

impl Inner {
    /// Whether another request may wait.
    fn has_room(&self, options: &Options) -> Result<(), NotSent> {
        if self.unasked.is_none() {
            return Err(NotSent::new(&*self.why));
        }
        match self.calls.len() >= options.limit {
            true => Err(NotSent::new("too many requests wait")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle() -> Arc<Handle> {
        let wire = Wire::keyed(&["do"], &["id"]);
        Arc::new(Handle(Arc::new(Shared::new(wire, Options::new()))))
    }

    #[test]
    fn what_has_ended_does_not_open_again() {
        let shared = &handle().0;
        shared.end(1000, "the first reason");
        // The task may not know yet.
        shared.opened();
        shared.lost("another reason");
        shared.tell(State::Connecting);
        let reason = "the first reason".to_owned();
        let closed = State::Closed { code: 1000, reason };
        assert_eq!(*shared.state.borrow(), closed);
        let refused = shared.post(Message::from("late"));
        assert_eq!(refused, Err(NotSent::new("the first reason")));
    }

    #[test]
    fn at_the_end_each_request_tells_whether_it_was_sent() {
        let handle = handle();
        let begin = || Shared::begin(&handle, "order", &(), false).expect("a request");
        let (first, second) = (begin(), begin());
        handle.0.opened();
        assert!(handle.0.next().is_some());
        handle.0.end(1000, "bye");
        let reason = || "bye".to_owned();
        let failure = first.failure::<String>();
        assert_eq!(failure, RequestError::Lost { reason: reason() });
        let failure = second.failure::<String>();
        assert_eq!(failure, RequestError::NotSent { reason: reason() });
        assert!(Shared::begin(&handle, "order", &(), false).is_err());
    }
}

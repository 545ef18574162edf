//! Messages of the gateway: who gets them.

use serde_json::Value;

use super::{Inner, Shared};
use crate::{
    Message,
    client::{
        Unasked,
        calls::Call,
        error::Failure,
        wire::{Owner, Read, written},
    },
};

impl Shared {
    /// A message of the gateway.
    pub(in crate::client) fn take(&self, message: Message) {
        let read = self.wire.read(&message);
        let mut inner = self.lock();
        match read {
            Some(Read::Value(owner, value)) => {
                if let Some(id) = inner.find(&owner) {
                    let is_of_group = inner
                        .calls
                        .get(&id)
                        .is_some_and(|call| call.about.is_some());
                    return match is_of_group {
                        true => self.give_of_group(&mut inner, id, value),
                        false => self.give(&mut inner, id, value),
                    };
                }
                inner.tell(Unasked::Message(message));
            }
            Some(Read::Error(owner, error)) => {
                let id = owner.and_then(|owner| inner.find(&owner));
                let Some(id) = id else {
                    return inner.tell(Unasked::Error(error));
                };
                let failed = self.refused(&mut inner, id, &error.code);
                if let Some(caller) = failed.and_then(|call| call.caller) {
                    caller.fail(error.into());
                }
            }
            None => inner.tell(Unasked::Message(message)),
        }
    }

    fn give(&self, inner: &mut Inner, id: u64, value: Value) {
        let Some(call) = inner.calls.get_mut(&id) else {
            return;
        };
        if call.is_stream && self.wire.is_rpc() && call.subscription.is_none() {
            let Some(subscription) = written(&value) else {
                if let Some(caller) = inner.remove(id).and_then(|call| call.caller) {
                    let reason = "the reply has no id of a subscription".to_owned();
                    caller.fail(Failure::Unreadable { reason });
                }
                return;
            };
            if call.caller.is_none() {
                inner.calls.remove(&id);
                return self.stop(inner, &subscription);
            }
            call.subscription = Some(subscription.clone());
            inner.subscriptions.insert(subscription, id);
            return;
        }
        let is_full = match &call.caller {
            Some(caller) => caller.values.try_send(value).is_err(),
            None => false,
        };
        if !call.is_stream {
            inner.calls.remove(&id);
        } else if is_full && let Some(call) = inner.remove(id) {
            if let Some(caller) = call.caller {
                caller.fail(Failure::TooSlow);
            }
            if let Some(subscription) = call.subscription {
                self.stop(inner, &subscription);
            }
        }
    }
}

impl Inner {
    /// The call that a message belongs to, if it waits and was sent.
    fn find(&self, owner: &Owner) -> Option<u64> {
        let id = match owner {
            Owner::Request(text) => text.parse().ok()?,
            Owner::Subscription(text) => *self.subscriptions.get(text)?,
            Owner::Group(name) => self.groups.get(name)?.owner?,
        };
        let call = self.calls.get(&id)?;
        call.text.is_none().then_some(id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        if let Some(subscription) = &call.subscription {
            self.subscriptions.remove(subscription);
        }
        Some(call)
    }

    fn tell(&self, message: Unasked) {
        if let Some(unasked) = &self.unasked {
            // Nobody may listen.
            let _ = unasked.send(message);
        }
    }
}

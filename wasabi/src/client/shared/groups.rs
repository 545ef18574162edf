//! The groups that are followed, each by one call at a time.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

use super::{Handle, Inner, Shared, Waiting};
use crate::client::{
    NotSent,
    calls::{About, Call, Outgoing},
    error::Failure,
};

/// Who follows which group.
pub(super) type Groups = HashMap<String, Place>;

/// A group that is followed, or that is being left.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The call that its messages are for; `None` if only `is_stale` is left.
    pub(super) owner: Option<u64>,
    /// The call that follows the group as soon as it is left.
    next: Option<u64>,
    /// The gateway has refused to let the connection leave, or has not answered, so that it cannot say what a new call has
    /// missed.
    is_stale: bool,
}

impl Shared {
    /// Follows a group from a position.
    pub(in crate::client) fn follow(
        handle: &Arc<Handle>,
        key: &str,
        group: &str,
        since: Option<&str>,
    ) -> Result<Waiting, NotSent> {
        let shared = &handle.0;
        if shared.wire.is_rpc() {
            return Err(NotSent::new("groups are not followed over JSON-RPC"));
        }
        let (id, text) = shared.write(key, &json!({ "group": group, "since": since }))?;
        let (caller, waiting) = shared.waiting(handle, id, shared.options.buffer);
        let mut inner = shared.lock();
        inner.has_room(&shared.options)?;
        let place = inner.groups.get(group);
        let owner = place.and_then(|place| Some((place.owner?, place.next)));
        match owner {
            None => inner.groups.entry(group.to_owned()).or_default().owner = Some(id),
            Some((owner, None)) if inner.is_left(owner) => {
                inner.groups.entry(group.to_owned()).or_default().next = Some(id);
            }
            Some(_) => return Err(NotSent::new("the group is followed already")),
        }
        let about = About {
            group: group.to_owned(),
            key: Some(key.to_owned()),
            text: text.clone(),
        };
        inner.calls.insert(
            id,
            Call {
                about: Some(about),
                ..Call::new(text, Some(caller), true)
            },
        );
        if owner.is_none() {
            inner.outgoing.push_back(Outgoing::Call(id));
        }
        drop(inner);
        shared.wake.notify_one();
        Ok(waiting)
    }

    /// A message of a group that a call follows or leaves.
    pub(super) fn give_of_group(&self, inner: &mut Inner, id: u64, mut value: Value) {
        let Some(call) = inner.calls.get_mut(&id) else {
            return;
        };
        let Some(about) = &call.about else { return };
        let group = about.group.clone();
        if about.key.is_none() {
            if value.get("unfollowed").is_some() {
                inner.calls.remove(&id);
                inner.free(&group, false);
                self.wake.notify_one();
            }
            return;
        }
        let is_answer = call.subscription.is_none() && value.get("recovered").is_some();
        let is_late = |name: &&str| value.get(*name).is_some();
        if !is_answer && ["recovered", "unfollowed"].iter().any(is_late) {
            return; // Of a call that was given up.
        }
        if is_answer {
            call.subscription = Some(group.clone());
            let place = inner.groups.get_mut(&group);
            if place.is_some_and(|place| std::mem::take(&mut place.is_stale)) {
                value["recovered"] = false.into();
            }
        }
        match &call.caller {
            None if is_answer => self.leave(inner, id),
            Some(caller) if caller.values.try_send(value).is_err() => {
                if let Some(caller) = call.caller.take() {
                    caller.fail(Failure::TooSlow);
                }
                self.leave(inner, id);
            }
            None | Some(_) => {}
        }
    }

    /// Leaves the group of a call, which is in it.
    pub(super) fn leave(&self, inner: &mut Inner, id: u64) {
        let Some(About {
            group,
            key: Some(key),
            ..
        }) = inner.calls.remove(&id).and_then(|call| call.about)
        else {
            return;
        };
        let id = inner.next_id;
        inner.next_id += 1;
        let body = json!({ "group": group, "follow": false });
        let Ok(text) = self.wire.write(&key, body, id) else {
            return;
        };
        let about = About {
            group: group.clone(),
            key: None,
            text: String::new(),
        };
        let call = Call {
            about: Some(about),
            deadline: self.deadline(),
            ..Call::new(text, None, false)
        };
        inner.calls.insert(id, call);
        inner.groups.entry(group).or_default().owner = Some(id);
        inner.outgoing.push_back(Outgoing::Call(id));
        self.wake.notify_one();
    }

    /// The gateway has refused a call about a group. Returns it if it has failed.
    pub(super) fn refused(&self, inner: &mut Inner, id: u64, code: &str) -> Option<Call> {
        if let Some(call) = inner.calls.get_mut(&id)
            && let Some(about) = &call.about
            && about.key.is_some()
            && call.caller.is_some()
            && code == "closing"
        {
            // It goes out again on the next connection.
            call.text = Some(about.text.clone());
            return None;
        }
        let call = inner.remove(id)?;
        if let Some(about) = &call.about {
            inner.free(&about.group, about.key.is_none());
            self.wake.notify_one();
        }
        Some(call)
    }
}

impl Inner {
    /// Whether nobody wants what a call gets.
    fn is_left(&self, id: u64) -> bool {
        let call = self.calls.get(&id);
        call.is_none_or(|call| call.caller.is_none())
    }

    /// Nobody follows the group any more, but one that has waited for that.
    pub(super) fn free(&mut self, group: &str, is_stale: bool) {
        let Some(place) = self.groups.get_mut(group) else {
            return;
        };
        place.owner = place.next.take();
        // Until the gateway has answered a call that follows the group.
        place.is_stale |= is_stale;
        match place.owner {
            Some(next) => self.outgoing.push_back(Outgoing::Call(next)),
            None if place.is_stale => {}
            None => {
                self.groups.remove(group);
            }
        }
    }

    /// A call that was not sent is gone.
    pub(super) fn unfollow(&mut self, id: u64, about: &About) {
        let Some(place) = self.groups.get_mut(&about.group) else {
            return;
        };
        if place.next == Some(id) {
            place.next = None;
        } else if place.owner == Some(id) {
            self.free(&about.group, false);
        }
    }

    /// There is no connection any more, and so nothing to be left: what was not sent follows on the next one.
    pub(super) fn follow_anew(&mut self) {
        self.calls.retain(|_, call| !call.is_leaving());
        self.groups.clear();
        let calls = &self.calls;
        let is_about = |id: &u64| calls.get(id).is_some_and(|call| call.about.is_some());
        self.outgoing
            .retain(|each| !matches!(each, Outgoing::Call(id) if is_about(id)));
        for (id, call) in calls {
            if let Some(about) = &call.about {
                let place = self.groups.entry(about.group.clone()).or_default();
                place.owner = Some(*id);
                self.outgoing.push_back(Outgoing::Call(*id));
            }
        }
    }
}

//! What is told of a group that is followed.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    NotSent, Owner, RequestError,
    shared::{Shared, Waiting},
};

/// What is told of a group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Told {
    /// A message: JSON, or text as a string.
    Message {
        /// Its position.
        position: String,
        /// What was published.
        data: Value,
    },
    /// A binary message.
    Binary {
        /// Its position.
        position: String,
        /// What was published.
        data: Bytes,
    },
    /// Earlier messages are missing: fetch the state from the gateway. It is also the first of all, unless a position was
    /// given and everything since then follows.
    Gap,
    /// Who has come, and who has gone.
    Presence(Presence),
    /// Anything else, such as the answer who is there.
    Other(Value),
}

/// Changes of who is in a group.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Presence {
    /// These are members.
    pub joined: Vec<Value>,
    /// These are no members: the `connection` of each.
    pub left: Vec<String>,
    /// All are gone whose `connection` begins with this.
    pub gone: Option<String>,
    /// Ask who is there. The client itself says so when it is in the group again after a lost connection, and first of all
    /// if a position was given: nobody has told it who came and went meanwhile, and a question from before has no answer.
    pub unsure: bool,
}

/// A group that is followed, as a `futures::Stream` of what is told of it: see [`Client::follow`](super::Client::follow).
///
/// Everything that is said in the group comes once and in order, also over lost connections; [`Told::Gap`] says that something
/// is missing. After a lost connection it follows the group again once its last message has been taken. It ends with an
/// error, the last item. Dropping it makes the client leave the group.
#[must_use = "dropping it leaves the group"]
pub struct Following<C = String> {
    handle: Arc<Owner>,
    key: String,
    group: String,
    position: Option<String>,
    /// Whether nothing is known of the group yet, not even a position.
    is_new: bool,
    /// What is told after the last.
    next: Option<Told>,
    waiting: Option<Waiting>,
    failure: Option<NotSent>,
    codes: PhantomData<fn() -> C>,
}

impl<C> Following<C> {
    pub(super) fn new(handle: &Arc<Owner>, key: &str, group: &str, since: Option<&str>) -> Self {
        let mut following = Self {
            handle: Arc::clone(handle),
            key: key.to_owned(),
            group: group.to_owned(),
            position: since.map(str::to_owned),
            is_new: since.is_none(),
            next: None,
            waiting: None,
            failure: None,
            codes: PhantomData,
        };
        following.failure = following.begin().err();
        following
    }

    /// The name of the group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The position of the last message that was taken, or that at which the client has joined: to follow the group later
    /// from there. `None` before.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    fn begin(&mut self) -> Result<(), NotSent> {
        // The one before is gone from the group.
        self.waiting = None;
        let since = self.position.as_deref();
        self.waiting = Some(Shared::follow(&self.handle, &self.key, &self.group, since)?);
        Ok(())
    }

    /// What a message says; `None` if that is nothing new.
    fn told(&mut self, mut value: Value) -> Option<Told> {
        let position = value["position"].as_str().map(str::to_owned);
        if let Some(is_recovered) = value["recovered"].as_bool() {
            // What was missed is still to come.
            if !is_recovered || value["missed"] == 0 {
                self.position = position;
            }
            let gap = (!is_recovered).then_some(Told::Gap);
            if std::mem::take(&mut self.is_new) {
                return gap;
            }
            self.next = gap;
            let unsure = true;
            return Some(Told::Presence(Presence {
                unsure,
                ..Presence::default()
            }));
        }
        if let Some(position) = position {
            self.position = Some(position.clone());
            if let Some(data) = value.get_mut("data") {
                let data = data.take();
                return Some(Told::Message { position, data });
            }
            let data = value["base64"].as_str().map(|text| STANDARD.decode(text));
            if let Some(Ok(data)) = data {
                let data = data.into();
                return Some(Told::Binary { position, data });
            }
        } else if value["gap"] == true {
            return Some(Told::Gap);
        }
        let is_change = |name: &&str| value.get(*name).is_some();
        Some(
            match ["joined", "left", "gone", "unsure"].iter().any(is_change) {
                true => match Presence::deserialize(&value) {
                    Ok(presence) => Told::Presence(presence),
                    Err(_) => Told::Other(value),
                },
                false => Told::Other(value),
            },
        )
    }
}

impl<C: DeserializeOwned> Stream for Following<C> {
    type Item = Result<Told, RequestError<C>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure.into())));
        }
        if let Some(told) = self.next.take() {
            return Poll::Ready(Some(Ok(told)));
        }
        loop {
            let Some(waiting) = &mut self.waiting else {
                return Poll::Ready(None);
            };
            if let Some(value) = ready!(waiting.values.poll_recv(cx)) {
                match self.told(value) {
                    Some(told) => return Poll::Ready(Some(Ok(told))),
                    None => continue,
                }
            }
            // The messages that came before are taken, so that the position is the last one.
            let failure = match waiting.failure() {
                lost @ RequestError::Lost { .. } => match self.begin() {
                    Ok(()) => continue,
                    // It was followed, so not even that something was sent may be denied.
                    Err(_) if self.handle.0.has_ended() => lost,
                    Err(failure) => failure.into(),
                },
                failure => failure,
            };
            self.waiting = None;
            return Poll::Ready(Some(Err(failure)));
        }
    }
}

impl<C> fmt::Debug for Following<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("group", &self.group)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

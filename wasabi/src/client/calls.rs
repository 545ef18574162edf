//! Requests that wait for replies, and messages that wait to be sent.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::error::Failure;
use crate::Message;

#[derive(Debug)]
pub(super) enum Outgoing {
    Call(u64),
    Posted(Message),
    /// Ends a subscription.
    Stop(Message),
    /// All before it is written.
    Flushed(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Call {
    /// Taken when it is sent.
    pub(super) text: Option<String>,
    /// `None` if the caller is gone, and the subscription that the reply begins has to be ended.
    pub(super) caller: Option<Caller>,
    pub(super) is_stream: bool,
    /// Of JSON-RPC; or the group that the call has joined.
    pub(super) subscription: Option<String>,
    /// Which group it follows or leaves.
    pub(super) about: Option<About>,
    /// When it is given up, if nobody waits for it.
    pub(super) deadline: Option<Instant>,
}

impl Call {
    pub(super) fn new(text: String, caller: Option<Caller>, is_stream: bool) -> Self {
        Self {
            text: Some(text),
            caller,
            is_stream,
            subscription: None,
            about: None,
            deadline: None,
        }
    }

    /// Whether it leaves a group.
    pub(super) fn is_leaving(&self) -> bool {
        let about = self.about.as_ref();
        about.is_some_and(|about| about.key.is_none())
    }
}

/// What a call is about that follows a group.
#[derive(Debug)]
pub(super) struct About {
    pub(super) group: String,
    /// The key of the route; `None` if the call leaves the group.
    pub(super) key: Option<String>,
    /// The message, to be sent again.
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Caller {
    pub(super) values: mpsc::Sender<Value>,
    pub(super) failure: Arc<OnceLock<Failure>>,
}

impl Caller {
    /// Ends the call, after what it has got.
    pub(super) fn fail(self, failure: Failure) {
        // It is set once, by the only owner of the call.
        let _ = self.failure.set(failure);
    }
}

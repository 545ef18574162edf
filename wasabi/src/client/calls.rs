//! Requests that wait for replies, and messages that wait to be sent.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

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
    pub(super) subscription: Option<String>,
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

//! The first exchange with a client: `connection_init` and `connection_ack`.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::Json;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{GraphqlWs, closes, write};
use crate::{Close, Connection, Message, log::limited, panics::caught_future};

/// What is known of a client.
#[derive(Default)]
pub(super) struct Session {
    state: AtomicU8,
    begun: Notify,
}

const BEGUN: u8 = 1;
const READY: u8 = 2;

impl Session {
    /// Notes a `connection_init`; refuses a second one.
    pub(super) fn begin(&self) -> Result<(), Close> {
        let begins = self
            .state
            .compare_exchange(0, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        self.begun.notify_one();
        match begins {
            Ok(_) => Ok(()),
            Err(_) => Err(closes::begun_twice()),
        }
    }

    /// Waits for the `connection_init`.
    pub(super) async fn began(&self) {
        if self.state.load(Ordering::Acquire) == 0 {
            self.begun.notified().await;
        }
    }

    /// Whether the client has sent its `connection_init`.
    pub(super) fn has_begun(&self) -> bool {
        self.state.load(Ordering::Acquire) >= BEGUN
    }

    /// The client is acknowledged.
    pub(super) fn ready(&self) {
        self.state.store(READY, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state.load(Ordering::Acquire) == READY
    }
}

/// A client's `connection_init`, for the function of [`GraphqlWs::init`].
#[derive(Debug)]
pub struct Init {
    payload: Option<Box<RawValue>>,
    connection: Connection,
}

impl Init {
    /// The payload, deserialized; as `null` if the client has sent none. Fails with the close 4400 if it does not fit.
    ///
    /// # Errors
    ///
    /// Returns the close that tells the client what does not fit.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Close> {
        let payload = self
            .payload
            .as_ref()
            .map_or("null", |payload| payload.get());
        serde_json::from_str(payload)
            .map_err(|error| closes::invalid(format!("the payload of `connection_init`: {error}")))
    }

    /// The connection, for example to [renew](Connection::renew) the identity of its client.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// A function of [`GraphqlWs::init`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decide about a `connection_init`",
    label = "wrong signature",
    note = "expected `async fn(init: Init)` that returns `()`, `Json<T>`, or a `Result` of these and a `Close`"
)]
pub trait OnInit: Send + Sync + 'static {
    /// Whether there is nothing to decide.
    const ACKNOWLEDGES_ALL: bool = false;

    /// Returns the payload of the acknowledgement, as JSON, or the close.
    fn decide(&self, init: Init) -> impl Future<Output = Result<Option<String>, Close>> + Send;
}

/// Acknowledges every client.
#[derive(Debug, Clone, Copy)]
pub struct NoInit;

impl OnInit for NoInit {
    const ACKNOWLEDGES_ALL: bool = true;

    async fn decide(&self, _init: Init) -> Result<Option<String>, Close> {
        Ok(None)
    }
}

/// What a function of [`GraphqlWs::init`] returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot acknowledge a `connection_init`",
    label = "the function returns `{Self}`",
    note = "return `()`, `Json<T>`, or a `Result` of these and a `Close`"
)]
pub trait Ack {
    /// The payload of the acknowledgement, as JSON, or the close.
    fn into_ack(self) -> Result<Option<String>, Close>;
}

impl Ack for () {
    fn into_ack(self) -> Result<Option<String>, Close> {
        Ok(None)
    }
}

impl<T: Serialize> Ack for Json<T> {
    fn into_ack(self) -> Result<Option<String>, Close> {
        serde_json::to_string(&self.0).map(Some).map_err(|error| {
            limited!(ERROR, %error, "the payload of `connection_ack` cannot be written");
            closes::failed()
        })
    }
}

impl<A: Ack, E: Into<Close>> Ack for Result<A, E> {
    fn into_ack(self) -> Result<Option<String>, Close> {
        self.map_err(Into::into)?.into_ack()
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> OnInit for F
where
    F: Fn(Init) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Ack> + Send,
{
    async fn decide(&self, init: Init) -> Result<Option<String>, Close> {
        self(init).await.into_ack()
    }
}

impl<H: OnInit> GraphqlWs<H> {
    /// Runs the function in the task of the connection. It acknowledges the client, or closes it.
    pub(super) fn decide(
        &self,
        payload: Option<Box<RawValue>>,
        connection: &Connection,
        session: &Arc<Session>,
    ) {
        let (function, session) = (Arc::clone(&self.init), Arc::clone(session));
        let client = connection.clone();
        let deciding = async move {
            let init = Init {
                payload,
                connection: client.clone(),
            };
            let decided = tokio::select! {
                decided = caught_future(function.decide(init)) => decided,
                _ = client.outbox().finished() => return,
            };
            match decided {
                Ok(Ok(payload)) => {
                    session.ready();
                    let ack = Message::text(write::ack(payload.as_deref()));
                    // The client may have gone.
                    let _ = client.send(ack).await;
                }
                Ok(Err(close)) => client.close(close),
                Err(_) => {
                    limited!(ERROR, connection = %client.id(), "the function of `GraphqlWs::init` panicked");
                    client.close(closes::failed());
                }
            }
        };
        connection.accompany(Box::pin(deciding));
    }
}

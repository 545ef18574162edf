//! Replies that are given again.

mod calls;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::Hash,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;

use self::calls::{Calls, Turn};
use crate::{Error, Message, Middleware, Next, Reply, Request, Result};

/// Remembers replies and gives them again to requests with the same key, without asking further inside.
///
/// * **Key:** without [`by`](Self::by), requests are the same when route, routing key, kind of message and the whole
///   payload are, and the path and query that their connections were opened with. Who asks is not looked at: where
///   a reply depends on the user, make the user part of the key. Neither is the client's id for the request, other
///   than as a part of the payload: a key that leaves the payload out must contain the id, or belong to replies that
///   do not carry one.
/// * **One call:** equal requests at the same time make one call, whose outcome is that of all of them, errors
///   and panics included. When the one that makes the call is cancelled, the next one takes over. A cache
///   may stand inside of itself, around a channel and around a route of it: a call does not wait for itself, and
///   each of these places makes its own.
/// * **Age:** a reply is given for as long as `ttl` from when it was stored, however often it is asked for.
/// * **Size:** at most [`max_entries`](Self::max_entries) replies with at most [`max_bytes`](Self::max_bytes)
///   altogether; the least useful ones go first. Payloads are copied, so that no read buffer is kept alive.
/// * **Not stored:** errors, streams, and empty replies.
///
/// A rate limit around it counts what it answers as well; one inside counts the other requests only, which `gateway!`
/// warns of. Outside of a [`Retry`](super::Retry) it stores what the retries came to.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn quote(text: Text) -> Text {
///     text
/// }
///
/// #[derive(Clone)]
/// struct User {
///     id: u64,
/// }
///
/// async fn portfolio(user: Identity<User>) -> String {
///     format!("that of {}", user.id)
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     match key {
///         "quote" => with([Cache::new(1s)], quote),
///         "portfolio" => with(
///             [Cache::new(10s).by(|req| Some(req.connection().identity::<User>()?.id))],
///             portfolio,
///         ),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
pub struct Cache<K = WholeRequest, F = fn(&Request) -> Option<WholeRequest>> {
    limits: Limits,
    key: F,
    replies: moka::future::Cache<Arc<K>, Stored>,
    calls: Calls<K, Outcome>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    ttl: Duration,
    max_entries: u64,
    max_bytes: u64,
}

impl Cache {
    /// Remembers replies for so long: up to 10 000 of them, with 64 MiB together.
    pub fn new(ttl: Duration) -> Self {
        let limits = Limits {
            ttl,
            max_entries: 10_000,
            max_bytes: 64 * 1024 * 1024,
        };
        Self {
            limits,
            key: WholeRequest::of,
            replies: limits.build(|key: &WholeRequest| key.0.len()),
            calls: Calls::new(),
        }
    }

    /// How many replies are remembered, 10 000 if not set.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.limits.max_entries = entries as u64;
        self.rebuilt()
    }

    /// How many bytes the payloads of all remembered replies, and of the requests that are their keys, may have,
    /// 64 MiB if not set.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_bytes = bytes as u64;
        self.rebuilt()
    }

    /// Takes the key from this function; a request without one is passed on. The key is all that is compared: the
    /// routing key is not a part of it unless the function makes it one.
    ///
    /// Of a key only its own size counts as bytes, not what it points to, and one that shares memory with the message
    /// would keep the whole buffer alive that the message was read into: copy or hash what is taken of it. Call this
    /// last.
    #[must_use]
    pub fn by<K, F>(self, key: F) -> Cache<K, F>
    where
        K: Hash + Eq + Send + Sync + 'static,
        F: Fn(&Request) -> Option<K> + Send + Sync,
    {
        Cache {
            limits: self.limits,
            key,
            replies: self.limits.build(|_: &K| size_of::<K>()),
            calls: Calls::new(),
        }
    }

    fn rebuilt(self) -> Self {
        Self {
            replies: self.limits.build(|key: &WholeRequest| key.0.len()),
            ..self
        }
    }
}

impl<K, F> Cache<K, F>
where
    K: Hash + Eq + Send + Sync + 'static,
{
    /// Forgets all replies. Calls that are being made are still stored.
    pub fn clear(&self) {
        self.replies.invalidate_all();
    }
}

impl Limits {
    fn build<K>(self, key_len: fn(&K) -> usize) -> moka::future::Cache<Arc<K>, Stored>
    where
        K: Hash + Eq + Send + Sync + 'static,
    {
        // There is one limit: an entry weighs as much as its part of the number of entries at least.
        let least = self.max_bytes.div_ceil(self.max_entries.max(1)).max(1);
        let capacity = if self.max_entries == 0 {
            0
        } else {
            self.max_bytes
        };
        moka::future::Cache::builder()
            .max_capacity(capacity)
            .weigher(move |key: &Arc<K>, stored: &Stored| {
                let bytes = (key_len(key) + stored.len()) as u64;
                u32::try_from(bytes.max(least)).unwrap_or(u32::MAX)
            })
            .time_to_live(self.ttl.min(LONGEST))
            .build()
    }
}

/// More than anybody waits for; very long times are refused by what is beneath.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The key of requests when no function is given.
#[derive(PartialEq, Eq, Hash)]
pub struct WholeRequest(Box<[u8]>);

impl WholeRequest {
    fn of(req: &Request) -> Option<Self> {
        let opened_with = req.connection().uri().path_and_query();
        let kind = if req.message().is_text() { "t" } else { "b" };
        let parts = [
            opened_with.map_or("", |uri| uri.as_str()),
            req.route(),
            kind,
            req.key(),
        ];
        let payload = req.message().as_bytes();
        let len = parts.iter().map(|part| part.len() + 8).sum::<usize>() + payload.len();
        let mut whole = Vec::with_capacity(len);
        for part in parts {
            whole.extend_from_slice(&(part.len() as u64).to_le_bytes());
            whole.extend_from_slice(part.as_bytes());
        }
        whole.extend_from_slice(payload);
        Some(Self(whole.into()))
    }
}

/// A reply in memory of its own.
#[derive(Clone)]
struct Stored(Arc<[Message]>);

impl Stored {
    /// `None` for what is not to be stored.
    fn copy(reply: &Reply) -> Option<Self> {
        if reply.is_none() || reply.is_stream() {
            return None;
        }
        Some(Self(reply.as_messages().iter().map(copy).collect()))
    }

    fn reply(&self) -> Reply {
        match &*self.0 {
            [message] => Reply::message(message.clone()),
            messages => Reply::messages(messages.to_vec()),
        }
    }

    fn len(&self) -> usize {
        let overhead = size_of::<Message>();
        self.0.iter().map(|message| message.len() + overhead).sum()
    }
}

fn copy(message: &Message) -> Message {
    match message {
        Message::Text(text) => Message::text(text.to_string()),
        Message::Binary(data) => Message::binary(Bytes::copy_from_slice(data)),
    }
}

/// What a call came to, for those who wait for it.
enum Outcome {
    Stored(Stored),
    /// The reply is for the one who made the call alone.
    NotStored,
    Failed(Error),
}

impl Outcome {
    fn of(reply: &Result<Reply>) -> Self {
        match reply {
            Ok(reply) => Stored::copy(reply).map_or(Self::NotStored, Self::Stored),
            Err(error) => Self::Failed(error.duplicate()),
        }
    }
}

impl<K, F> Middleware for Cache<K, F>
where
    K: Hash + Eq + Send + Sync + 'static,
    F: Fn(&Request) -> Option<K> + Send + Sync,
{
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let Some(key) = (self.key)(&req).map(Arc::new) else {
            return next.run(req).await;
        };
        if let Some(stored) = self.replies.get(&key).await {
            return Ok(stored.reply());
        }
        let call = self.calls.join(req.led(), &key);
        let turn = match call.wait().await {
            Turn::Made(Outcome::Stored(stored)) => return Ok(stored.reply()),
            Turn::Made(Outcome::Failed(error)) => return Err(error.duplicate()),
            Turn::Made(Outcome::NotStored) => return next.run(req).await,
            Turn::Mine(turn) => turn,
        };
        // The last call may have ended in between.
        if let Some(stored) = self.replies.get(&key).await {
            return Ok(stored.reply());
        }
        match AssertUnwindSafe(next.run(req.leading()))
            .catch_unwind()
            .await
        {
            Ok(reply) => {
                let outcome = Outcome::of(&reply);
                if let Outcome::Stored(stored) = &outcome {
                    self.replies.insert(key, stored.clone()).await;
                }
                turn.finish(outcome);
                reply
            }
            Err(panic) => {
                turn.finish(Outcome::Failed(Error::internal(
                    "a call for several panicked",
                )));
                resume_unwind(panic)
            }
        }
    }
}

impl<K, F: Clone> Clone for Cache<K, F> {
    /// The clone shares the replies.
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            key: self.key.clone(),
            replies: self.replies.clone(),
            calls: self.calls.clone(),
        }
    }
}

impl<K, F> fmt::Debug for Cache<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

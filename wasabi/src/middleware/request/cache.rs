//! Replies that are given again.

mod calls;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{Hash, Hasher},
    panic::resume_unwind,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use self::calls::{Calls, Turn};
use crate::{
    Error, Lifecycle, Message, Middleware, Next, Reply, Request, Result,
    digest::{Digest, Secret},
    mistakes::Mistakes,
    panics::caught_future,
    time::FOREVER,
};

/// Remembers replies and gives them again to requests with the same key, without asking further inside.
///
/// * **Whose reply:** a reply is given again to the client that it was made for: one with the same identity, the same
///   address, and a handshake with the same URI and headers, cookies included. Where replies are the same for all clients,
///   [`shared`](Self::shared) says so.
/// * **Key:** without [`by`](Self::by), requests are the same when route, routing key, kind of message and the whole
///   payload are, and the path and query that their connections were opened with. The client's id for the request is
///   looked at as a part of the payload only: a key that leaves the payload out must contain the id, or belong to replies
///   that do not carry one.
/// * **One call:** equal requests at the same time make one call, whose outcome is that of all of them, errors
///   and panics included. When the one that makes the call is cancelled, the next one takes over. A cache
///   may stand inside of itself, around a channel and around a route of it: a call does not wait for itself, and
///   each of these places makes its own.
/// * **Age:** a reply is given for as long as `ttl` from when it was stored, however often it is asked for.
/// * **Size:** at most [`max_entries`](Self::max_entries) replies with at most [`max_bytes`](Self::max_bytes)
///   altogether; the least useful ones go first. Payloads are copied, so that no read buffer is kept alive. Of keys 16
///   bytes are kept, which are made of them with a secret.
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
///         "quote" => with([Cache::new(1s).shared()], quote),
///         // Also for another connection of the same user.
///         "portfolio" => with(
///             [Cache::new(10s).shared().by(|req| Some(req.connection().identity::<User>()?.id))],
///             portfolio,
///         ),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
pub struct Cache<K = WholeRequest> {
    limits: Limits,
    is_shared: bool,
    key: K,
    secret: Secret,
    replies: moka::future::Cache<Digest, Stored>,
    calls: Calls<Outcome>,
    mistakes: Mistakes,
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
        let mut mistakes = Mistakes::default();
        mistakes.above_zero("Cache::new", ttl);
        let limits = Limits {
            ttl,
            max_entries: 10_000,
            max_bytes: 64 * 1024 * 1024,
        };
        Self {
            limits,
            is_shared: false,
            key: WholeRequest,
            secret: Secret::new(),
            replies: limits.build(),
            calls: Calls::new(),
            mistakes,
        }
    }
}

impl<K> Cache<K> {
    /// How many replies are remembered, 10 000 if not set.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.limits.max_entries = self.mistakes.above_zero("Cache::max_entries", entries) as u64;
        self.rebuilt()
    }

    /// How many bytes the payloads of all remembered replies may have, 64 MiB if not set.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_bytes = self.mistakes.above_zero("Cache::max_bytes", bytes) as u64;
        self.rebuilt()
    }

    /// Replies are the same for all clients: who asks is not looked at, neither by the key nor when equal requests
    /// become one call. The path and the query of the connection are, as a part of what is asked for.
    ///
    /// A gateway with a shared cache around an upstream that is sent headers or parameters of the client, other than those
    /// of traces, is not served, unless there is a key ([`by`](Self::by)) of which they can be a part.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Takes the key from this function; a request without one is passed on. Beside whose reply it is, the key is all that
    /// is compared: the routing key is not a part of it unless the function makes it one. Of a
    /// [`shared`](Self::shared) cache it is all: there the user has to be a part of the key where replies depend on
    /// the user.
    ///
    /// The `Hash` of the key must look at everything that tells it from others, as a derived one does.
    #[must_use]
    pub fn by<Q, F>(self, key: F) -> Cache<By<F>>
    where
        Q: Hash,
        F: Fn(&Request) -> Option<Q> + Send + Sync,
    {
        Cache {
            limits: self.limits,
            is_shared: self.is_shared,
            key: By(key),
            secret: self.secret,
            replies: self.replies,
            calls: self.calls,
            mistakes: self.mistakes,
        }
    }

    fn rebuilt(self) -> Self {
        Self {
            replies: self.limits.build(),
            ..self
        }
    }
}

impl<K: CacheKey> Cache<K> {
    /// Forgets all replies. Calls that are being made are still stored.
    pub fn clear(&self) {
        self.replies.invalidate_all();
    }

    fn digest(&self, req: &Request) -> Option<Digest> {
        let mut hasher = self.secret.hasher();
        if !self.is_shared {
            req.connection().client().hash(&mut hasher);
        }
        let has_key = self.key.write(req, &mut hasher);
        has_key.then(|| hasher.digest())
    }
}

impl Limits {
    fn build(self) -> moka::future::Cache<Digest, Stored> {
        // There is one limit: an entry weighs as much as its part of the number of entries at least.
        let least = self.max_bytes.div_ceil(self.max_entries.max(1)).max(1);
        let capacity = if self.max_entries == 0 {
            0
        } else {
            self.max_bytes
        };
        moka::future::Cache::builder()
            .max_capacity(capacity)
            .weigher(move |_: &Digest, stored: &Stored| {
                let bytes = (size_of::<Digest>() + stored.len()) as u64;
                u32::try_from(bytes.max(least)).unwrap_or(u32::MAX)
            })
            .time_to_live(self.ttl.min(FOREVER))
            .build()
    }
}

/// What tells requests apart: the whole request, or what a function makes of it.
pub trait CacheKey: Send + Sync {
    /// Writes the key of a request; `false` when it has none.
    #[doc(hidden)]
    fn write(&self, req: &Request, to: &mut dyn Hasher) -> bool;

    #[doc(hidden)]
    const KNOWS_THE_CLIENT: bool;
}

/// Everything that is asked for; the kind of a [`Cache`] that does not say otherwise.
#[derive(Debug, Clone, Copy)]
pub struct WholeRequest;

impl CacheKey for WholeRequest {
    const KNOWS_THE_CLIENT: bool = false;

    fn write(&self, req: &Request, mut to: &mut dyn Hasher) -> bool {
        let opened_with = req.connection().uri().path_and_query();
        let parts = (
            opened_with.map_or("", |uri| uri.as_str()),
            req.route(),
            req.message().is_text(),
            req.key(),
            req.message().as_bytes(),
        );
        parts.hash(&mut to);
        true
    }
}

/// What a function finds; the kind of a [`Cache`] that has been given one.
#[derive(Clone, Copy)]
pub struct By<F>(F);

impl<K, F> CacheKey for By<F>
where
    K: Hash,
    F: Fn(&Request) -> Option<K> + Send + Sync,
{
    const KNOWS_THE_CLIENT: bool = true;

    fn write(&self, req: &Request, mut to: &mut dyn Hasher) -> bool {
        match (self.0)(req) {
            Some(key) => {
                key.hash(&mut to);
                true
            }
            None => false,
        }
    }
}

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("By").finish_non_exhaustive()
    }
}

/// No reply depends on these.
fn is_about_traces(name: &str) -> bool {
    matches!(
        name,
        "baggage" | "traceparent" | "tracestate" | "x-correlation-id" | "x-request-id"
    )
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

impl<K: CacheKey> Middleware for Cache<K> {
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }

    fn check_around(&self, part: &dyn Lifecycle) -> Result<(), String> {
        if !self.is_shared || K::KNOWS_THE_CLIENT {
            return Ok(());
        }
        let forwards = part.forwards();
        match forwards.iter().find(|name| !is_about_traces(name)) {
            Some(name) => Err(format!(
                "a shared `Cache` is around an upstream that gets `{name}` of each client: leave `shared()` out, or make \
                 it a part of the key with `by`"
            )),
            None => Ok(()),
        }
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        // What cannot be read has nothing that would be worth remembering.
        let key = match req.invalid() {
            None => self.digest(&req),
            Some(_) => None,
        };
        let Some(key) = key else {
            return next.run(req).await;
        };
        if let Some(stored) = self.replies.get(&key).await {
            return Ok(stored.reply());
        }
        let call = self.calls.join(req.led(), key);
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
        match caught_future(next.run(req.leading())).await {
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

impl<K: Clone> Clone for Cache<K> {
    /// The clone shares the replies.
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            is_shared: self.is_shared,
            key: self.key.clone(),
            secret: self.secret.clone(),
            replies: self.replies.clone(),
            calls: self.calls.clone(),
            mistakes: self.mistakes.clone(),
        }
    }
}

impl<K> fmt::Debug for Cache<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("limits", &self.limits)
            .field("is_shared", &self.is_shared)
            .finish_non_exhaustive()
    }
}

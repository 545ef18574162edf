//! A cache of replies.

mod calls;
mod key;
mod stored;
#[cfg(test)]
mod tests;

use std::{fmt, hash::Hash, panic::resume_unwind, time::Duration};

pub use self::key::CacheKey;
use self::{
    calls::{Calls, Turn},
    stored::{Outcome, Stored},
};
use super::key::{By, WholeRequest};
use crate::{
    Error, Lifecycle, Middleware, Next, Reply, Request, Result,
    digest::{Digest, Secret},
    mistakes::Mistakes,
    panics::caught_future,
    time::FOREVER,
};

/// Stores replies and returns them for later requests with the same key, without running the rest of the chain.
///
/// * **Scope:** the cache returns a reply only to the client that it was made for: one with the same identity, the same
///   address, and a handshake with the same URI and headers, including cookies. Use [`shared`](Self::shared) if replies
///   are the same for all clients.
/// * **Key:** without [`by`](Self::by), two requests are the same if they have the same route, routing key, kind of
///   message and whole payload, and their connections were opened with the same path and query. The client's id for the
///   request counts only as part of the payload: a key that leaves the payload out must contain the id, or belong to
///   replies that carry none.
/// * **One call:** equal requests at the same time share one call and its outcome, including errors and panics. When
///   the request that makes the call is cancelled, the next one takes over. A cache may contain itself, around a
///   channel and around one of its routes: a call never waits for itself, and each of these places makes its own.
/// * **Age:** a reply is valid for `ttl` from when it was stored, however often it is requested.
/// * **Size:** at most [`max_entries`](Self::max_entries) replies with at most [`max_bytes`](Self::max_bytes) in total;
///   the least useful are evicted first. Payloads are copied, so that they keep no read buffer alive. Of each key the
///   cache stores a 16-byte digest, computed with a secret.
/// * **Not stored:** errors, streams, and empty replies.
///
/// A rate limit around the cache also counts requests that the cache answers. One inside counts only the others;
/// `gateway!` warns about that. Around a [`Retry`](super::Retry) the cache stores the outcome of all tries.
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
    limits: CacheLimits,
    is_shared: bool,
    key: K,
    secret: Secret,
    replies: moka::future::Cache<Digest, Stored>,
    calls: Calls<Outcome>,
    mistakes: Mistakes,
}

#[derive(Debug, Clone, Copy)]
struct CacheLimits {
    ttl: Duration,
    max_entries: u64,
    max_bytes: u64,
}

impl Cache {
    /// Creates a cache that stores replies for this long: up to 10 000 of them, with 64 MiB in total.
    pub fn new(ttl: Duration) -> Self {
        let mut mistakes = Mistakes::default();
        mistakes.above_zero("Cache::new", ttl);
        let limits = CacheLimits {
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
    /// How many replies are stored; 10 000 by default.
    #[must_use]
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.limits.max_entries = self.mistakes.above_zero("Cache::max_entries", entries) as u64;
        self.rebuilt()
    }

    /// The maximum size of the payloads of all stored replies in bytes; 64 MiB by default.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_bytes = self.mistakes.above_zero("Cache::max_bytes", bytes) as u64;
        self.rebuilt()
    }

    /// Shares replies between all clients: neither the key nor the sharing of calls considers which client sends a
    /// request. The path and the query of its connection still count, as part of the request.
    ///
    /// A gateway is not served if a shared cache wraps an upstream that receives headers or parameters of the client,
    /// other than trace headers, unless there is a key ([`by`](Self::by)) that can include them.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Takes the key from this function; a request without a key bypasses the cache. Besides the client, only this key
    /// is compared: the routing key is not part of it unless the function includes it. In a [`shared`](Self::shared)
    /// cache nothing else counts: include the user in the key if replies depend on the user.
    ///
    /// The `Hash` of the key must cover everything that distinguishes it from others, as a derived one does.
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
    /// Removes all replies. Calls in progress still store theirs.
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

impl CacheLimits {
    fn build(self) -> moka::future::Cache<Digest, Stored> {
        // moka has a single limit, so an entry weighs at least its share of the number of entries.
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

/// Whether this header is for tracing only: no reply depends on it.
fn is_about_traces(name: &str) -> bool {
    matches!(
        name,
        "baggage" | "traceparent" | "tracestate" | "x-correlation-id" | "x-request-id"
    )
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
                "a shared `Cache` wraps an upstream that receives `{name}` of each client; remove `shared()`, or \
                 include it in the key with `by`"
            )),
            None => Ok(()),
        }
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        // The reply to an invalid message is not worth storing.
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
        // The last call may have ended in the meantime.
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
                turn.finish(Outcome::Failed(Error::internal("a shared call panicked")));
                resume_unwind(panic)
            }
        }
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["internal"])
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

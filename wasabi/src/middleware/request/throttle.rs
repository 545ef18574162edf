//! A limit on the number of concurrent requests.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::key::{By, Together};
use crate::{
    Error, Middleware, Next, Reply, Request, Result,
    digest::{ByDigest, Digest, Secret},
    sharded::{Sharded, shrink},
    sync::Mutex,
    time::FOREVER,
    turns::{self, Entered, Line, LineAccess, Permit, Rule},
};

/// Lets a number of requests through at the same time, and answers further ones `overloaded` at once.
///
/// Everything that the value wraps shares one limit: a channel, a route, or, through clones, several of them.
/// [`by`](Self::by) gives each connection, user or other key its own. A request counts until it has its reply or is
/// cancelled, and one with a streaming reply until the stream ends. A limit of 0 lets nothing through.
///
/// # Fairness
///
/// A connection that sends more than others does not keep them out. Each connection that has requests here, or wants
/// one, has an equal share of the limit, and at least one place. When all places are taken, a request of a connection
/// with less than its share [waits](Self::wait) for the next free place, in turn with other connections. Two kinds of
/// requests are refused at once: those of a connection that already has its share, and all while as many requests wait
/// as the limit lets through.
///
/// To make requests of a connection wait for each other instead, use the channel setting `concurrency`.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn report(text: Text) -> Text {
///     text
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     middleware = [Throttle::new(100)],
///     match key {
///         "text" => with([Throttle::new(2).by(|req| req.connection().id())], report),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
pub struct Throttle<K = Together> {
    limit: usize,
    wait: Duration,
    key: Arc<K>,
    places: Arc<Places>,
}

/// The places that are taken, in all or by key. Clones of a throttle share them.
#[derive(Default)]
struct Places {
    together: Mutex<Line>,
    by_key: Sharded<Digest, Line, ByDigest>,
    /// Of a key, only its digest is kept.
    secret: Secret,
}

impl Throttle {
    /// Limits all requests together.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            wait: wasabi_rules::THROTTLE_WAIT,
            key: Arc::new(Together),
            places: Arc::default(),
        }
    }

    /// Limits each value of this function separately. The throttle remembers a key while it has requests in flight, as
    /// a 16-byte digest computed with a secret. Connections with the same key share its limit fairly.
    #[must_use]
    pub fn by<Q, F>(self, key: F) -> Throttle<By<F>>
    where
        Q: Hash,
        F: Fn(&Request) -> Q + Send + Sync,
    {
        Throttle {
            limit: self.limit,
            wait: self.wait,
            key: Arc::new(By(key)),
            places: Arc::default(),
        }
    }
}

impl<K> Throttle<K> {
    /// How long a request of a connection with less than its share waits for a place before it is answered
    /// `overloaded`; 1 s by default. With 0 it is answered at once, and a busy connection can keep others out.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait.min(FOREVER);
        self
    }

    async fn run<P: LineAccess + Send + 'static>(
        &self,
        place: P,
        req: Request,
        next: impl Next,
    ) -> Result<Reply> {
        let rule = match self.wait.is_zero() {
            true => Rule::Everybody(0),
            false => Rule::BelowShare,
        };
        let permit = match turns::enter(place, req.connection().id(), self.limit, rule) {
            Entered::Place(permit) => permit,
            // Boxed because a timer is large and requests rarely wait.
            Entered::Turn(turn) => match Box::pin(timeout(self.wait, turn)).await {
                Ok(permit) => permit,
                Err(_) => return Err(Error::Overloaded),
            },
            Entered::Full => return Err(Error::Overloaded),
        };
        Ok(next.run(req).await?.holding::<Permit<P>>(permit))
    }
}

impl Middleware for Throttle {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        self.run(Arc::clone(&self.places), req, next).await
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["overloaded"])
    }
}

impl LineAccess for Places {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.together.line(work)
    }
}

impl<Q, F> Middleware for Throttle<By<F>>
where
    Q: Hash,
    F: Fn(&Request) -> Q + Send + Sync,
{
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let By(key) = &*self.key;
        let place = PlaceOfKey {
            key: self.places.secret.digest(&key(&req)),
            places: Arc::clone(&self.places),
        };
        self.run(place, req, next).await
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["overloaded"])
    }
}

/// The line of one key.
struct PlaceOfKey {
    key: Digest,
    places: Arc<Places>,
}

impl LineAccess for PlaceOfKey {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        let mut shard = self.places.by_key.shard(&self.key);
        let Some(line) = shard.get_mut(&self.key) else {
            let mut line = Line::default();
            let done = work(&mut line);
            if !line.is_empty() {
                shard.insert(self.key, line);
            }
            return done;
        };
        let done = work(line);
        if line.is_empty() {
            shard.remove(&self.key);
            shrink(&mut shard);
        }
        done
    }
}

impl<K> Clone for Throttle<K> {
    /// The clone shares the limit.
    fn clone(&self) -> Self {
        Self {
            limit: self.limit,
            wait: self.wait,
            key: Arc::clone(&self.key),
            places: Arc::clone(&self.places),
        }
    }
}

impl<K> fmt::Debug for Throttle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

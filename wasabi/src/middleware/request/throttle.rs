//! A limit on how many requests there are at the same time.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::keyed::{Keyed, shrink};
use crate::{
    ConnectionId, Error, Middleware, Next, Reply, Request, Result,
    digest::{Digest, Secret},
};

/// Lets so many requests through at the same time and answers further ones `overloaded`, at once.
///
/// The limit is one for everything that the value is put around: a channel, a route, or, through clones, several
/// of them. [`per_connection`](Self::per_connection) and [`per_key`](Self::per_key) give each connection or key a
/// limit of its own. A request counts until its reply is there or it is cancelled, one with a streaming reply until
/// the stream ends. A limit of 0 lets nothing through.
///
/// To make requests of a connection wait for each other instead, use the channel's setting `concurrency`.
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
///         "text" => with([Throttle::new(2).per_connection()], report),
///         _ => NoRoute,
///     },
/// ));
/// # drop(gateway);
/// ```
pub struct Throttle<C = Together> {
    limit: usize,
    counts: Arc<C>,
}

/// All requests count together; the kind of a [`Throttle`] that does not say otherwise.
#[derive(Debug, Default)]
pub struct Together(AtomicUsize);

/// Requests count by key; the kind of a [`Throttle`] that has been given one.
pub struct PerKey<F> {
    key: F,
    secret: Secret,
    counts: Arc<Keyed<usize>>,
}

type KeyFn<K> = fn(&Request) -> K;

impl Throttle {
    /// A limit on all requests together.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            counts: Arc::default(),
        }
    }

    /// A limit for each connection.
    #[must_use]
    pub fn per_connection(self) -> Throttle<PerKey<KeyFn<ConnectionId>>> {
        self.per_key(|req| req.connection().id())
    }

    /// A limit for each value of this function. A key is remembered while it has requests in flight, by 16 bytes that
    /// are made of it with a secret.
    #[must_use]
    pub fn per_key<K, F>(self, key: F) -> Throttle<PerKey<F>>
    where
        K: Hash,
        F: Fn(&Request) -> K + Send + Sync,
    {
        let counts = Arc::new(Keyed::new());
        Throttle {
            limit: self.limit,
            counts: Arc::new(PerKey {
                key,
                secret: Secret::new(),
                counts,
            }),
        }
    }
}

impl Middleware for Throttle {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let taken = |count| (count < self.limit).then_some(count + 1);
        let count = &self.counts.0;
        if count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, taken)
            .is_err()
        {
            return Err(Error::Overloaded);
        }
        let permit = Permit(Arc::clone(&self.counts));
        Ok(next.run(req).await?.holding(permit))
    }
}

struct Permit(Arc<Together>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<K, F> Middleware for Throttle<PerKey<F>>
where
    K: Hash,
    F: Fn(&Request) -> K + Send + Sync,
{
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let PerKey {
            key,
            secret,
            counts,
        } = &*self.counts;
        let key = secret.digest(&key(&req));
        let Some(permit) = KeyPermit::take(counts, key, self.limit) else {
            return Err(Error::Overloaded);
        };
        Ok(next.run(req).await?.holding(permit))
    }
}

struct KeyPermit {
    counts: Arc<Keyed<usize>>,
    key: Digest,
}

impl KeyPermit {
    fn take(counts: &Arc<Keyed<usize>>, key: Digest, limit: usize) -> Option<Self> {
        let mut shard = counts.shard(key);
        match shard.get_mut(&key) {
            Some(count) if *count < limit => *count += 1,
            None if limit > 0 => drop(shard.insert(key, 1)),
            _ => return None,
        }
        drop(shard);
        Some(Self {
            counts: Arc::clone(counts),
            key,
        })
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(self.key);
        match shard.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(shard.remove(&self.key)),
        }
        shrink(&mut shard);
    }
}

impl<C> Clone for Throttle<C> {
    /// The clone shares the limit.
    fn clone(&self) -> Self {
        Self {
            limit: self.limit,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl<C> fmt::Debug for Throttle<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for PerKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;
    use crate::{
        Backend,
        middleware::Stack,
        reply::Body,
        testing::{backend, connection, request, request_on},
    };

    /// Answers when the test wants it to.
    fn gate() -> (Arc<tokio::sync::Notify>, Arc<impl Backend>) {
        let open = Arc::new(tokio::sync::Notify::new());
        let gate = Arc::clone(&open);
        let inner = backend(move |_, _| {
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Ok(Reply::message("done"))
            }
        });
        (open, inner)
    }

    fn code(outcome: Option<Result<Reply>>) -> String {
        match outcome {
            None => "waits".into(),
            Some(Ok(_)) => "ok".into(),
            Some(Err(error)) => error.code().to_owned(),
        }
    }

    #[tokio::test]
    async fn requests_over_the_limit_are_refused_until_one_is_done() {
        let (open, inner) = gate();
        let chain = Stack::new(Throttle::new(2), inner);
        let mut first = Box::pin(chain.call(request("k", ""), &()));
        let mut second = Box::pin(chain.call(request("k", ""), &()));
        assert_eq!(code(first.as_mut().now_or_never()), "waits");
        assert_eq!(code(second.as_mut().now_or_never()), "waits");
        assert_eq!(
            code(chain.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );

        open.notify_one();
        assert!(first.await.is_ok());
        assert_eq!(
            code(chain.call(request("k", ""), &()).now_or_never()),
            "waits"
        );
    }

    #[tokio::test]
    async fn a_cancelled_request_gives_its_place_back() {
        let (_open, inner) = gate();
        let chain = Stack::new(Throttle::new(1), inner);
        for _ in 0..3 {
            assert_eq!(
                code(chain.call(request("k", ""), &()).now_or_never()),
                "waits"
            );
        }
    }

    #[tokio::test]
    async fn a_stream_counts_until_it_ends() {
        let inner = backend(async |_, _| {
            Ok(Reply::stream(
                stream::iter(["a", "b"]).map(|text| Ok(text.into())),
            ))
        });
        let chain = Stack::new(Throttle::new(1), inner);
        let reply = chain.call(request("k", ""), &()).await.expect("a stream");
        assert_eq!(
            code(chain.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );
        let Body::Stream(messages) = reply.into_body() else {
            panic!("expected a stream");
        };
        assert_eq!(messages.count().await, 2);
        assert_eq!(code(chain.call(request("k", ""), &()).now_or_never()), "ok");
    }

    #[tokio::test]
    async fn each_connection_has_a_limit_of_its_own() {
        let (_open, inner) = gate();
        let chain = Stack::new(Throttle::new(1).per_connection(), inner);
        let (a, b) = (connection(1, "/"), connection(2, "/"));
        let mut first = Box::pin(chain.call(request_on(&a, "k", ""), &()));
        assert_eq!(code(first.as_mut().now_or_never()), "waits");
        assert_eq!(
            code(chain.call(request_on(&a, "k", ""), &()).now_or_never()),
            "overloaded"
        );
        assert_eq!(
            code(chain.call(request_on(&b, "k", ""), &()).now_or_never()),
            "waits"
        );
        drop(first);
        assert_eq!(
            code(chain.call(request_on(&a, "k", ""), &()).now_or_never()),
            "waits"
        );
    }

    #[tokio::test]
    async fn keys_are_forgotten_when_they_are_idle() {
        let throttle = Throttle::new(1).per_key(|req: &Request| req.payload());
        let chain = Stack::new(throttle.clone(), backend(async |_, _| Ok(Reply::none())));
        for n in 0..100 {
            assert!(chain.call(request("k", &n.to_string()), &()).await.is_ok());
        }
        assert_eq!(throttle.counts.counts.len(), 0);
    }

    #[tokio::test]
    async fn clones_share_the_limit_and_0_lets_nothing_through() {
        let (_open, inner) = gate();
        let throttle = Throttle::new(1);
        let here = Stack::new(throttle.clone(), inner.clone());
        let there = Stack::new(throttle, inner.clone());
        let mut first = Box::pin(here.call(request("k", ""), &()));
        assert_eq!(code(first.as_mut().now_or_never()), "waits");
        assert_eq!(
            code(there.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );

        let none = Stack::new(Throttle::new(0), inner.clone());
        assert_eq!(
            code(none.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );
        let none = Stack::new(Throttle::new(0).per_connection(), inner);
        assert_eq!(
            code(none.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );
    }
}

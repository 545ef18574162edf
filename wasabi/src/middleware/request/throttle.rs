//! A limit on the number of concurrent requests.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    Error, Middleware, Next, Reply, Request, Result,
    digest::{ByDigest, Digest, Secret},
    sharded::{Sharded, shrink},
    sync::Mutex,
    time::FOREVER,
    turns::{self, Entered, Line, Permit, Place, Rule},
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
/// with less than its share [waits](Self::wait) for the next free place, in turn with other connections; at most as
/// many requests wait as the limit lets through. A connection that already has its share is refused at once.
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
pub struct Throttle<C = Together> {
    limit: usize,
    wait: Duration,
    counts: Arc<C>,
}

/// All requests count together; the default of [`Throttle`].
#[derive(Default)]
pub struct Together(Mutex<Line>);

/// Requests count by key; the kind of a [`Throttle`] with [`by`](Throttle::by).
pub struct PerKey<F> {
    key: F,
    secret: Secret,
    counts: Arc<Sharded<Digest, Line, ByDigest>>,
}

/// Longer than most requests take, so that a place usually becomes free, yet short for the waiting client.
const WAIT: Duration = Duration::from_secs(1);

impl Throttle {
    /// Limits all requests together.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            wait: WAIT,
            counts: Arc::default(),
        }
    }

    /// Limits each value of this function separately. The throttle remembers a key while it has requests in flight, as
    /// a 16-byte digest computed with a secret. Connections with the same key share its limit fairly.
    #[must_use]
    pub fn by<K, F>(self, key: F) -> Throttle<PerKey<F>>
    where
        K: Hash,
        F: Fn(&Request) -> K + Send + Sync,
    {
        let counts = Arc::<Sharded<Digest, Line, ByDigest>>::default();
        Throttle {
            limit: self.limit,
            wait: self.wait,
            counts: Arc::new(PerKey {
                key,
                secret: Secret::new(),
                counts,
            }),
        }
    }
}

impl<C> Throttle<C> {
    /// How long a request of a connection with less than its share waits for a place before it is answered
    /// `overloaded`; 1 s by default. With 0 it is answered at once, and a busy connection can keep others out.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait.min(FOREVER);
        self
    }

    async fn run<P: Place + Send + 'static>(
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
        self.run(Arc::clone(&self.counts), req, next).await
    }
}

impl Place for Together {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        self.0.line(work)
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
        let key = OfKey {
            key: secret.digest(&key(&req)),
            counts: Arc::clone(counts),
        };
        self.run(key, req, next).await
    }
}

/// The line of one key.
struct OfKey {
    key: Digest,
    counts: Arc<Sharded<Digest, Line, ByDigest>>,
}

impl Place for OfKey {
    fn line<R>(&self, work: impl FnOnce(&mut Line) -> R) -> R {
        let mut shard = self.counts.shard(&self.key);
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

impl<C> Clone for Throttle<C> {
    /// The clone shares the limit.
    fn clone(&self) -> Self {
        Self {
            limit: self.limit,
            wait: self.wait,
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

impl fmt::Debug for Together {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.line(|line| line.taken());
        f.debug_struct("Together").field("taken", &taken).finish()
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

    /// Answers when the test opens the gate.
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
        let chain = Stack::new(
            Throttle::new(1).by(|req: &Request| req.connection().id()),
            inner,
        );
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

    #[tokio::test(start_paused = true)]
    async fn a_connection_below_its_share_gets_the_next_place_and_who_has_more_is_refused() {
        for throttle in [
            Throttle::new(2),
            Throttle::new(2).wait(Duration::from_secs(5)),
        ] {
            let (open, inner) = gate();
            let chain = Stack::new(throttle, inner);
            let (many, one) = (connection(1, "/"), connection(2, "/"));
            let mut held = [0, 1].map(|_| Box::pin(chain.call(request_on(&many, "k", ""), &())));
            for held in &mut held {
                assert_eq!(code(held.as_mut().now_or_never()), "waits");
            }
            let mut waits = Box::pin(chain.call(request_on(&one, "k", ""), &()));
            assert_eq!(code(waits.as_mut().now_or_never()), "waits");
            let second = chain.call(request_on(&one, "k", ""), &()).now_or_never();
            assert_eq!(code(second), "overloaded");
            open.notify_one();
            let [first, _second] = &mut held;
            assert!(first.await.is_ok());
            // The request that waited has already taken the place.
            let more = chain.call(request_on(&many, "k", ""), &()).now_or_never();
            assert_eq!(code(more), "overloaded");
            assert_eq!(code(waits.as_mut().now_or_never()), "waits");
            open.notify_waiters();
            assert!(waits.await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_share_is_refused_in_the_end_and_at_once_where_nobody_waits() {
        for (wait, most) in [(1000, 1000), (50, 50), (0, 0)] {
            let (_open, inner) = gate();
            let throttle = Throttle::new(1).by(|req: &Request| req.key().to_owned());
            let throttle = match most {
                1000 => throttle,
                _ => throttle.wait(Duration::from_millis(wait)),
            };
            let chain = Stack::new(throttle, inner);
            let (many, one) = (connection(1, "/"), connection(2, "/"));
            let mut held = Box::pin(chain.call(request_on(&many, "k", ""), &()));
            assert_eq!(code(held.as_mut().now_or_never()), "waits");
            let before = tokio::time::Instant::now();
            let refused = chain.call(request_on(&one, "k", ""), &()).await;
            assert_eq!(code(Some(refused)), "overloaded");
            assert!(before.elapsed().as_millis().abs_diff(most) <= 2);
        }
    }

    #[tokio::test]
    async fn keys_are_forgotten_when_they_are_idle() {
        let throttle = Throttle::new(1).by(|req: &Request| req.payload());
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
        let none = Stack::new(
            Throttle::new(0).by(|req: &Request| req.connection().id()),
            inner,
        );
        assert_eq!(
            code(none.call(request("k", ""), &()).now_or_never()),
            "overloaded"
        );
    }
}

//! Replies that are given again.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{Error, Message, Middleware, Next, Reply, Request, Result};

/// Remembers replies and gives them again to requests with the same key, without asking further inside.
///
/// * **Key:** without [`by`](Self::by), requests are the same when route, routing key, kind of message and the whole
///   payload are, and the path and query that their connections were opened with. Who asks is not looked at: where
///   a reply depends on the user, make the user part of the key. Neither is the client's id for the request, other
///   than as a part of the payload: a key that leaves the payload out must contain the id, or belong to replies that
///   do not carry one.
/// * **One call:** equal requests at the same time make one call, whose outcome is that of all of them, errors
///   included. When the one that makes the call is cancelled, another one takes over.
/// * **Age:** a reply is given for as long as `ttl` from when it was stored, however often it is asked for.
/// * **Size:** at most [`max_entries`](Self::max_entries) replies with at most [`max_bytes`](Self::max_bytes)
///   altogether; the least useful ones go first. Payloads are copied, so that no read buffer is kept alive.
/// * **Not stored:** errors, streams, and empty replies.
///
/// Outside of a rate limit it spares the allowance, outside of a [`Retry`](super::Retry) it stores what the retries
/// came to.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn quote(text: Text) -> Text {
///     text
/// }
///
/// async fn portfolio(connection: Connection) -> String {
///     format!("that of {:?}", connection.extensions().get::<User>())
/// }
///
/// #[derive(Debug, Clone, PartialEq, Eq, Hash)]
/// struct User(u64);
///
/// let gateway = gateway!(channel(
///     "/",
///     match key {
///         "quote" => with([Cache::new(1s)], quote),
///         "portfolio" => with(
///             [Cache::new(10s).by(|req| req.connection().extensions().get::<User>().cloned())],
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
    replies: moka::future::Cache<K, Stored>,
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

    /// Takes the key from this function; a request without one is passed on. Call this last.
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
    fn build<K>(self, key_len: fn(&K) -> usize) -> moka::future::Cache<K, Stored>
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
            .weigher(move |key, stored: &Stored| {
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

/// What a call came to that is not stored.
enum NotStored {
    /// The reply is for the one who made the call alone.
    Reply,
    Error(Error),
}

impl<K, F> Middleware for Cache<K, F>
where
    K: Hash + Eq + Send + Sync + 'static,
    F: Fn(&Request) -> Option<K> + Send + Sync,
{
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let Some(key) = (self.key)(&req) else {
            return next.run(req).await;
        };
        let mut own = None;
        let call = async {
            let reply = next.run(req.clone()).await.map_err(NotStored::Error)?;
            let stored = Stored::copy(&reply);
            own = Some(reply);
            stored.ok_or(NotStored::Reply)
        };
        let outcome = self.replies.try_get_with(key, call).await;
        if let Some(own) = own {
            return Ok(own);
        }
        match outcome {
            Ok(stored) => Ok(stored.reply()),
            Err(why) => match &*why {
                NotStored::Reply => next.run(req).await,
                NotStored::Error(error) => Err(error.duplicate()),
            },
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::{FutureExt, StreamExt, future::join_all, stream};
    use tokio::sync::Notify;

    use super::*;
    use crate::{
        Backend,
        middleware::Stack,
        testing::{backend, connection, request, request_on},
    };

    const LONG: Duration = Duration::from_secs(3600);

    fn text(outcome: Result) -> String {
        match outcome {
            Ok(reply) => match reply.as_messages() {
                [message] => message.as_text().unwrap_or("binary").to_owned(),
                messages => format!("{} messages", messages.len()),
            },
            Err(error) => error.code().to_owned(),
        }
    }

    #[tokio::test]
    async fn a_hundred_equal_requests_at_once_are_one_call() {
        let open = Notify::new();
        let inner = backend(async |nth, _| {
            open.notified().await;
            Ok(Reply::message(nth.to_string()))
        });
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        let all = join_all((0..100).map(|_| chain.call(request("k", "x"), &())));
        let mut all = Box::pin(all);
        assert!(all.as_mut().now_or_never().is_none());
        open.notify_waiters();
        assert!(all.await.into_iter().all(|outcome| text(outcome) == "0"));
        assert_eq!(inner.count(), 1);
        assert_eq!(text(chain.call(request("k", "x"), &()).await), "0");
        assert_eq!(inner.count(), 1);
    }

    #[tokio::test]
    async fn when_the_caller_is_cancelled_another_one_takes_over() {
        let open = Notify::new();
        let inner = backend(async |nth, _| {
            open.notified().await;
            Ok(Reply::message(nth.to_string()))
        });
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        let mut leader = Box::pin(chain.call(request("k", "x"), &()));
        assert!(leader.as_mut().now_or_never().is_none());
        let mut followers = Box::pin(join_all((0..9).map(|_| chain.call(request("k", "x"), &()))));
        assert!(followers.as_mut().now_or_never().is_none());
        drop(leader);
        assert!(followers.as_mut().now_or_never().is_none());
        open.notify_waiters();
        assert!(
            followers
                .await
                .into_iter()
                .all(|outcome| text(outcome) == "1")
        );
        assert_eq!(inner.count(), 2);
    }

    #[tokio::test]
    async fn an_error_is_that_of_all_who_wait_and_is_not_stored() {
        let open = Notify::new();
        let inner = backend(async |_, _| {
            open.notified().await;
            Err(Error::new("sold_out", "none left"))
        });
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        for calls in 1..=2 {
            let mut all = Box::pin(join_all(
                (0..10).map(|_| chain.call(request("k", "x"), &())),
            ));
            assert!(all.as_mut().now_or_never().is_none());
            open.notify_waiters();
            assert!(
                all.await
                    .into_iter()
                    .all(|outcome| text(outcome) == "sold_out")
            );
            assert_eq!(inner.count(), calls);
        }
    }

    #[tokio::test]
    async fn empty_replies_and_streams_are_not_stored_and_everybody_gets_one_of_their_own() {
        let empty = AtomicBool::new(true);
        let inner = backend(async |_, _| {
            tokio::task::yield_now().await;
            Ok(match empty.load(Ordering::SeqCst) {
                true => Reply::none(),
                false => Reply::stream(stream::iter(["a"]).map(|text| Ok(text.into()))),
            })
        });
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        for outcome in join_all((0..3).map(|_| chain.call(request("k", "x"), &()))).await {
            assert!(outcome.expect("a reply").is_none());
        }
        empty.store(false, Ordering::SeqCst);
        for outcome in join_all((0..3).map(|_| chain.call(request("k", "x"), &()))).await {
            assert!(outcome.expect("a reply").is_stream());
        }
        assert_eq!(inner.count(), 6);
    }

    #[tokio::test]
    async fn replies_of_several_messages_are_stored_in_memory_of_their_own() {
        let buffer = Bytes::from(vec![b'x'; 1 << 20]);
        let slice = buffer.slice(..2);
        let inner =
            backend(async |_, _| Ok(Reply::messages(vec![slice.clone().into(), "text".into()])));
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        for _ in 0..2 {
            let reply = chain.call(request("k", "x"), &()).await.expect("a reply");
            let [Message::Binary(data), second] = reply.as_messages() else {
                panic!("expected two messages");
            };
            assert_eq!((&data[..], second.as_text()), (&b"xx"[..], Some("text")));
        }
        assert_eq!(inner.count(), 1);
        let reply = chain.call(request("k", "x"), &()).await.expect("a reply");
        let data = reply.as_messages()[0].clone().into_bytes();
        assert!(!buffer.as_ptr_range().contains(&data.as_ptr()));
    }

    /// The clock beneath is the real one.
    #[tokio::test]
    async fn the_age_counts_from_the_storing_and_not_from_the_last_use() {
        let inner = backend(async |nth, _| Ok(Reply::message(nth.to_string())));
        let chain = Stack::new(Cache::new(Duration::from_millis(200)), inner.clone());
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(500) {
            assert!(chain.call(request("k", "x"), &()).await.is_ok());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!((2..=4).contains(&inner.count()), "{} calls", inner.count());
    }

    #[tokio::test]
    async fn the_key_tells_requests_apart() {
        let inner = backend(async |nth, _| Ok(Reply::message(nth.to_string())));
        let chain = Stack::new(Cache::new(LONG), inner.clone());
        let (here, there) = (connection(1, "/v1/a?x=1"), connection(2, "/v1/b?x=1"));
        let same_as_here = connection(3, "/v1/a?x=1");
        let ask = async |req| text(chain.call(req, &()).await);
        assert_eq!(ask(request_on(&here, "k", "x")).await, "0");
        assert_eq!(ask(request_on(&there, "k", "x")).await, "1");
        assert_eq!(ask(request_on(&here, "other", "x")).await, "2");
        assert_eq!(ask(request_on(&here, "k", r#"{"id":2}"#)).await, "3");
        assert_eq!(ask(request_on(&same_as_here, "k", "x")).await, "0");

        let by_connection =
            Cache::new(LONG).by(|req| (req.key() != "never").then(|| req.connection().id()));
        let chain = Stack::new(by_connection, inner.clone());
        let ask = async |req| text(chain.call(req, &()).await);
        assert_eq!(ask(request_on(&here, "k", "x")).await, "4");
        assert_eq!(ask(request_on(&here, "other", "y")).await, "4");
        assert_eq!(ask(request_on(&there, "k", "x")).await, "5");
        assert_eq!(ask(request_on(&here, "never", "x")).await, "6");
        assert_eq!(ask(request_on(&here, "never", "x")).await, "7");
    }

    #[tokio::test]
    async fn entries_and_bytes_are_bounded() {
        let inner = backend(async |_, _| Ok(Reply::message("x".repeat(100))));
        for (cache, most) in [
            (Cache::new(LONG).max_entries(50), 50),
            (Cache::new(LONG).max_bytes(20_000), 200),
            (Cache::new(LONG).max_entries(0), 0),
        ] {
            let replies = cache.replies.clone();
            let chain = Stack::new(cache, inner.clone());
            for n in 0..2000 {
                assert!(chain.call(request("k", &n.to_string()), &()).await.is_ok());
            }
            replies.run_pending_tasks().await;
            let stored = replies.entry_count();
            assert!(
                stored <= most && (most == 0 || stored > 0),
                "{stored} of {most}"
            );
        }
    }
}

//! Sentinels that say when another server is the primary.

use std::{convert::Infallible, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, Value, from_redis_value};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::{Addr, At, Redis, named};
use crate::{BoxError, log::said};

/// How often a Sentinel is asked whether it is there.
const BEAT: Duration = Duration::from_secs(2);
/// How long a Sentinel that cannot be watched is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// Watches all Sentinels, until it is dropped.
pub(crate) struct Watch {
    _watchers: JoinSet<()>,
}

/// Watches one Sentinel.
struct Watcher<F> {
    redis: Redis,
    sentinel: Addr,
    primary: Arc<str>,
    changed: F,
    /// The primary that the Sentinel has named last.
    named: Option<Addr>,
    /// Who waits for the first attempt.
    first: Option<mpsc::Sender<Result<(), BoxError>>>,
}

impl Redis {
    /// Has all Sentinels say which server has become the primary, while the returned watch is held. Each says so for itself,
    /// up to seconds after the others. Returns as soon as one of them is watched; lost connections are replaced. There is
    /// nobody to ask where there are no Sentinels.
    pub(crate) async fn watch(
        &self,
        changed: impl Fn(Addr) + Clone + Send + Sync + 'static,
    ) -> Result<Option<Watch>, BoxError> {
        let servers = self.servers()?;
        let At::Sentinels(primary) = &servers.at else {
            return Ok(None);
        };
        let (first, mut attempts) = mpsc::channel(servers.addrs.len());
        let mut watchers = JoinSet::new();
        for sentinel in &servers.addrs {
            let watcher = Watcher {
                redis: self.clone(),
                sentinel: sentinel.clone(),
                primary: Arc::clone(primary),
                changed: changed.clone(),
                named: None,
                first: Some(first.clone()),
            };
            watchers.spawn(watcher.run());
        }
        drop(first);
        let mut reason = "the URL has no hosts".into();
        while let Some(attempt) = attempts.recv().await {
            match attempt {
                Ok(()) => {
                    return Ok(Some(Watch {
                        _watchers: watchers,
                    }));
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }
}

impl<F: Fn(Addr) + Clone + Send + Sync + 'static> Watcher<F> {
    async fn run(mut self) {
        loop {
            let Err(error) = self.watch().await;
            tracing::debug!(error = %said(&error), "cannot watch a Sentinel");
            self.answer(Err(error));
            sleep(RETRY).await;
        }
    }

    fn answer(&mut self, attempt: Result<(), BoxError>) {
        if let Some(first) = self.first.take() {
            let _ = first.try_send(attempt);
        }
    }

    /// Watches the Sentinel until its connection is lost.
    async fn watch(&mut self) -> Result<Infallible, BoxError> {
        let (primary, changed) = (Arc::clone(&self.primary), self.changed.clone());
        let told = move |push: PushInfo| {
            if matches!(push.kind, PushKind::Message)
                && let Some(addr) = switched(push.data, &primary)
            {
                changed(addr);
            }
            Ok::<_, BoxError>(())
        };
        let settings = self.redis.of_sentinels();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new().set_push_sender(told);
        let sentinel = self.redis.briefly(&self.sentinel, &settings, config);
        let mut sentinel = sentinel.await?;
        sentinel.connection.subscribe("+switch-master").await?;
        // After that, so that no change is missed; one while nobody listened is seen here.
        let named = named(&mut sentinel.connection, &self.primary).await?;
        if self.named.as_ref().is_some_and(|before| *before != named) {
            (self.changed)(named.clone());
        }
        self.named = Some(named);
        self.answer(Ok(()));
        loop {
            tokio::select! {
                _ = &mut sentinel.driver => return Err("disconnected".into()),
                () = sleep(BEAT) => {
                    redis::cmd("PING").exec_async(&mut sentinel.connection).await?;
                }
            }
        }
    }
}

/// The server that a Sentinel's message names instead of this primary: `<name> <old host> <old port> <new host> <new port>`.
fn switched(message: Vec<Value>, primary: &str) -> Option<Addr> {
    let text: String = from_redis_value(message.into_iter().nth(1)?).ok()?;
    let mut words = text.split(' ');
    if words.next()? != primary {
        return None;
    }
    let (host, port) = (words.nth(2)?, words.next()?);
    Some(Addr(host.into(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_primary_of_the_same_name_is_a_change() {
        let message = |text: &str| {
            let parts = ["+switch-master", text].map(|part| Value::BulkString(part.into()));
            Vec::from(parts)
        };
        let said = |name: &str| message(&format!("{name} 10.0.0.1 6379 10.0.0.2 6380"));
        let new = Addr("10.0.0.2".into(), 6380);
        assert_eq!(switched(said("mymaster"), "mymaster"), Some(new));
        for other in ["other", "mymaster2", "my", ""] {
            assert_eq!(switched(said(other), "mymaster"), None, "{other}");
        }
        assert_eq!(switched(message("other mymaster"), "mymaster"), None);
        assert_eq!(switched(Vec::new(), "mymaster"), None);
    }
}

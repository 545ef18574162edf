//! Joining a kept group from a position.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{Here, History, limits, log::Missed};
use crate::{ConnectionId, Error, Joined, Position, Registry, Result, connection::registry::Gate};

/// How long somebody waits for the first history.
const READY: Duration = Duration::from_secs(5);
/// How long somebody waits who has seen more than this gateway.
const AHEAD: Duration = Duration::from_secs(2);

/// The outcome of an attempt.
enum Tried {
    Joined(Joined),
    /// The history is not complete.
    TooEarly,
    /// The position has not come.
    Ahead,
}

/// Somebody who joins.
struct Joins {
    here: Here,
    connection: ConnectionId,
    since: Option<Position>,
}

impl History {
    /// Waits until this gateway has the history, so that whatever is published from now on arrives here.
    pub(in super::super) async fn attached(self: Arc<Self>) -> Result<()> {
        let deadline = Instant::now() + READY;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.log().is_ready() {
                return Ok(());
            }
            if timeout_at(deadline, moved).await.is_err() {
                return Err(not_ready());
            }
        }
    }

    pub(in super::super) async fn join_from(
        self: Arc<Self>,
        registry: Registry,
        subject: Arc<str>,
        name: Arc<str>,
        connection: ConnectionId,
        since: Option<Position>,
    ) -> Result<Joined> {
        let joins = Joins {
            here: Here {
                subject,
                name,
                registry,
            },
            connection,
            since,
        };
        let began = Instant::now();
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // Register before looking, or what comes in between would be missed.
            moved.as_mut().enable();
            match self.try_join(&joins, began.elapsed() < AHEAD)? {
                Tried::Joined(joined) => return Ok(joined),
                Tried::Ahead => drop(timeout_at(began + AHEAD, moved).await),
                Tried::TooEarly => timeout_at(began + READY, moved)
                    .await
                    .map_err(|_| not_ready())?,
            }
        }
    }

    fn try_join(self: &Arc<Self>, joins: &Joins, may_wait: bool) -> Result<Tried> {
        let Here {
            subject,
            name,
            registry,
        } = &joins.here;
        let cannot = || {
            Error::bad_request(
                "the connection cannot join: it has ended, is not in this registry, or is in too many groups",
            )
        };
        let connection = registry.lookup(joins.connection).ok_or_else(cannot)?;
        let mut shard = self.behind.shard(&**subject);
        let mut log = self.log();
        let Some(position) = log.position_of(subject).filter(|_| log.is_ready()) else {
            return Ok(Tried::TooEarly);
        };
        if let Some(kept) = joins.here.kept() {
            log.trim_group(subject, limits(kept));
            log.trim();
        }
        if registry.group(Arc::clone(name)).contains(&connection) {
            return Ok(Tried::Joined(Joined::new(true, position, 0, None)));
        }
        let missed = match joins.since {
            Some(since) => log.missed(subject, since),
            None => Missed::Unknown,
        };
        let (recovered, number, count) = match missed {
            Missed::Since { number, count } => (true, number, count),
            Missed::Ahead if may_wait => return Ok(Tried::Ahead),
            Missed::Ahead | Missed::Unknown => (false, log.newest(), 0),
        };
        // Nothing is appended to the group as long as the shard is locked.
        drop(log);
        if !registry.join(name, &connection) {
            return Err(cannot());
        }
        let (gate, opened) = Gate::new();
        let companion =
            self.fall_behind(&mut shard, &joins.here, &connection, number, Some(opened));
        // The companion may be dropped now.
        drop(shard);
        connection.accompany(companion);
        let joined = Joined::new(recovered, position, count, Some(gate));
        Ok(Tried::Joined(joined))
    }
}

fn not_ready() -> Error {
    Error::UpstreamUnreachable("the gateway has not read the messages of kept groups yet".into())
}

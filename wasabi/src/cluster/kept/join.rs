//! Joining a kept group from a position.

use std::sync::Arc;

use super::{Here, History, limits, log::Missed, ready::Tried};
use crate::{ConnectionId, Error, Joined, Position, Registry, Result, connection::registry::Gate};

/// Somebody who joins.
struct Joins {
    here: Here,
    connection: ConnectionId,
    since: Option<Position>,
}

impl History {
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
        self.when_there(|may_wait| self.try_join(&joins, may_wait))
            .await
    }

    fn try_join(self: &Arc<Self>, joins: &Joins, may_wait: bool) -> Result<Tried<Joined>> {
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
            // It misses nothing from now on; of what was before, it has told nothing.
            let knows = joins.since.is_some();
            return Ok(Tried::Done(Joined::new(knows, position, 0, None)));
        }
        let missed = match joins.since {
            Some(since) => log.missed(subject, since),
            None => Missed::Unknown,
        };
        let (recovered, number, count) = match missed {
            Missed::Since { number, count } => (true, number, count),
            Missed::Ahead if may_wait => return Ok(Tried::Ahead),
            Missed::Ahead | Missed::Lost { .. } | Missed::Unknown => (false, log.newest(), 0),
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
        Ok(Tried::Done(joined))
    }
}

//! What a node lists of its own connections and groups, a page at a time.

use serde::{Deserialize, Serialize};

use super::{
    Registry,
    address::ConnectionAddress,
    info::{ConnectionInfo, GroupSize, Member, NodeInfo},
};
use crate::{Connection, ConnectionId};

/// The most entries of a page.
pub(super) const MAX_PAGE: usize = 1000;
/// About how many bytes a page may have, because servers bound the size of a message.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// A group or a user, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Of {
    Group(String),
    User(String),
}

/// How many members there are, and those after this one, in order; with the last one if there are more.
pub(super) fn members(
    registry: &Registry,
    of: &Of,
    after: Option<ConnectionId>,
    limit: usize,
) -> (usize, Vec<Member>, Option<ConnectionAddress>) {
    let (groups, name) = match of {
        Of::Group(name) => (&registry.0.groups, name),
        Of::User(name) => (&registry.0.users, name),
    };
    let (total, ids) = groups.with(name, |members| {
        let ids = members.keys().copied();
        let ids = ids.filter(|id| after.is_none_or(|after| *id > after));
        (members.len(), ids.collect())
    });
    let (ids, mut more) = first(ids, limit);
    let (mut listed, mut bytes, mut last) = (Vec::with_capacity(ids.len()), 0, None);
    for id in ids {
        let address = ConnectionAddress::new(registry.node(), id);
        if let Some(connection) = registry.lookup(id) {
            let member = member(registry, &connection);
            bytes += member.bytes();
            if bytes > MAX_BYTES && !listed.is_empty() {
                more = true;
                break;
            }
            listed.push(member);
        }
        last = Some(address);
    }
    (total, listed, last.filter(|_| more))
}

/// The first of these, in order, and whether there are more.
fn first<T: Ord>(mut all: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let limit = limit.clamp(1, MAX_PAGE);
    let more = all.len() > limit;
    if more {
        all.select_nth_unstable(limit);
        all.truncate(limit);
    }
    all.sort_unstable();
    (all, more)
}

pub(super) fn member(registry: &Registry, connection: &Connection) -> Member {
    let user = {
        let shard = registry.live().shard(&connection.id());
        let listed = shard.get(&connection.id());
        let joined = listed.and_then(|listed| listed.joined.as_ref());
        joined.and_then(|joined| joined.user.as_deref().map(str::to_owned))
    };
    let info = registry.0.info.of(connection);
    Member::new(registry.address(connection), user, info)
}

/// The groups with members whose names begin with this and come after that one, in order; and whether there are more.
pub(super) fn groups(
    registry: &Registry,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<GroupSize>, bool) {
    let mut names = registry.0.groups.names();
    names.retain(|name| name.starts_with(prefix) && after.is_none_or(|after| &**name > after));
    let (names, mut more) = first(names, limit);
    let (mut listed, mut bytes) = (Vec::with_capacity(names.len()), 0);
    for name in names {
        bytes += 64 + 6 * name.len();
        if bytes > MAX_BYTES && !listed.is_empty() {
            more = true;
            break;
        }
        listed.push(GroupSize {
            members: registry.group(&*name).len(),
            name: name.to_string(),
        });
    }
    (listed, more)
}

/// What is known of a connection here.
pub(super) fn connection(registry: &Registry, connection: &Connection) -> ConnectionInfo {
    let groups = registry.groups_of(connection);
    let (groups, _) = first(groups, MAX_PAGE);
    let groups = groups.iter().map(|group| group.to_string()).collect();
    ConnectionInfo::new(member(registry, connection), connection, groups)
}

/// What this node has.
pub(super) fn node(registry: &Registry) -> NodeInfo {
    NodeInfo {
        node: registry.node(),
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        connections: registry.len(),
        groups: registry.0.groups.count(),
        users: registry.0.users.count(),
    }
}

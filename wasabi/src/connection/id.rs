//! The number of a connection.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hasher},
};

/// Identifies a connection: unique within the process, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(crate) u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes connection ids, which count up: one multiplication spreads them. Clients cannot choose them, so a fixed hasher
/// is safe.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

pub(crate) type ById = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharded::{SHARDS, Sharded};

    #[test]
    fn connections_that_follow_each_other_are_spread_over_the_shards() {
        const CONNECTIONS: u64 = 4000;
        let map = Sharded::<ConnectionId, (), ById>::default();
        for id in (0..CONNECTIONS).map(ConnectionId) {
            map.shard(&id).insert(id, ());
        }
        let fullest = map.shards().map(|shard| shard.len()).max().unwrap_or(0);
        assert!(fullest < 2 * CONNECTIONS as usize / SHARDS, "{fullest}");
    }
}

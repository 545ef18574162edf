//! The live connections of a server.

use crate::{
    Connection,
    connection::{ConnectionId, Tabled},
    sharded::SHARDS,
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// A list, in parts with their own locks. A map would take three times the memory, and only a person in the console looks
/// for one connection.
#[derive(Default)]
pub(crate) struct Live {
    parts: [Mutex<Part>; SHARDS],
}

#[derive(Default)]
struct Part {
    connections: Vec<Option<Tabled>>,
    /// The places that are free.
    free: Vec<u32>,
}

/// Where a connection is listed.
pub(super) struct Place {
    part: u8,
    at: u32,
}

impl Live {
    fn part(&self, part: u8) -> MutexGuard<'_, Part> {
        self.parts[usize::from(part)].lock().unpoisoned()
    }

    /// The part with the connection of this id. Ids count up.
    fn part_of(id: ConnectionId) -> u8 {
        (id.0 % SHARDS as u64) as u8
    }

    pub(super) fn enter(&self, connection: &Connection) -> Place {
        let part = Self::part_of(connection.id());
        let tabled = Some(connection.tabled());
        let mut listed = self.part(part);
        let at = match listed.free.pop() {
            Some(at) => {
                listed.connections[at as usize] = tabled;
                at
            }
            None => {
                listed.connections.push(tabled);
                listed.connections.len() as u32 - 1
            }
        };
        Place { part, at }
    }

    pub(super) fn leave(&self, place: &Place) {
        let mut listed = self.part(place.part);
        let left = listed.connections[place.at as usize].take();
        listed.free.push(place.at);
        let all = listed.connections.len();
        // Frees the memory of a burst.
        if all > 1024 && listed.free.len() == all {
            *listed = Part::default();
        }
        drop(listed);
        drop(left);
    }

    /// The connections, in no particular order.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        let mut all = Vec::new();
        for part in &self.parts {
            let listed = part.lock().unpoisoned();
            all.extend(listed.connections.iter().flatten().map(Tabled::handle));
        }
        all
    }

    /// Visits each connection, with a part of the list locked.
    #[cfg(feature = "console")]
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Connection)) {
        for part in &self.parts {
            let listed = part.lock().unpoisoned();
            let handles = listed.connections.iter().flatten().map(Tabled::handle);
            handles.for_each(|connection| visit(&connection));
        }
    }

    /// Reads a part of the list.
    #[cfg(feature = "console")]
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Connection> {
        let listed = self.part(Self::part_of(id));
        let mut handles = listed.connections.iter().flatten().map(Tabled::handle);
        handles.find(|connection| connection.id() == id)
    }
}

#[cfg(all(test, not(wasabi_loom)))]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn places_are_taken_again_and_the_memory_of_a_burst_is_freed() {
        let live = Live::default();
        // All in the same part.
        let enter = |id| live.enter(&testing::connection(id * SHARDS as u64, "/"));
        let places: Vec<_> = (0..2000).map(enter).collect();
        assert_eq!(live.connections().len(), 2000);
        live.leave(&places[7]);
        let again = enter(2000);
        assert_eq!((again.at, live.connections().len()), (places[7].at, 2000));
        for place in places.iter().filter(|place| place.at != again.at) {
            live.leave(place);
        }
        let ids: Vec<_> = live.connections().iter().map(Connection::id).collect();
        assert_eq!(ids.len(), 1);
        live.leave(&again);
        assert_eq!(live.part(0).connections.capacity(), 0);
    }
}

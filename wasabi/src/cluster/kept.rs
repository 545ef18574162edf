//! Kept groups, in one gateway: it follows the feed of its cluster into a log, and serves its members from that.

mod catch_up;
mod deliver;
mod follow;
mod join;
mod log;
mod read;
mod ready;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

pub(super) use self::follow::follow;
use self::{
    catch_up::Behind,
    log::{Limits, Log},
};
use super::names::{self, subject};
use crate::{
    ConnectionId, Kept, Registry,
    connection::registry::elsewhere::{Place, WeakRegistry},
    sharded::Sharded,
    sync::{Mutex, MutexGuard, Unpoisoned},
};

/// The kept groups of a gateway.
///
/// A shard of `behind` is locked before the log and before the registry, and stays locked while a message of a group is
/// appended and delivered, and while a connection joins: so each member gets a message either then, or from the log.
pub(super) struct History {
    log: Mutex<Log>,
    /// By group, the members that do not have all of its messages in their queues.
    behind: Sharded<Arc<str>, HashMap<ConnectionId, Behind>>,
    tickets: AtomicU64,
    /// The registries, by what the subjects of their groups begin with.
    registries: Mutex<HashMap<Arc<str>, WeakRegistry>>,
    /// The longest time that anything is kept, in milliseconds; 0 if nothing is.
    age: AtomicU64,
    /// The messages that have come to groups here.
    received: AtomicU64,
    /// Entries have come, or the log has become ready.
    moved: Notify,
}

/// A kept group with its registry.
#[derive(Clone)]
struct Here {
    subject: Arc<str>,
    name: Arc<str>,
    registry: Registry,
}

impl Here {
    fn kept(&self) -> Option<&Kept> {
        self.registry.kept(&self.name)
    }
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            log: Mutex::new(Log::new(Duration::ZERO)),
            behind: Sharded::default(),
            tickets: AtomicU64::new(0),
            registries: Mutex::default(),
            age: AtomicU64::new(0),
            received: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// Adds a registry, if it has kept groups.
    pub(super) fn add(&self, prefix: &Arc<str>, registry: &Registry) {
        let Some(age) = registry.keeps_for() else {
            return;
        };
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.age.fetch_max(millis, Ordering::AcqRel);
        self.log().keep_for(self.age());
        let mut registries = self.registries.lock().unpoisoned();
        registries.insert(Arc::clone(prefix), registry.downgrade());
    }

    /// Whether anything is kept.
    pub(super) fn is_wanted(&self) -> bool {
        self.age.load(Ordering::Acquire) > 0
    }

    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age.load(Ordering::Acquire))
    }

    /// How many messages have come.
    #[cfg(feature = "metrics")]
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unpoisoned()
    }

    /// The group that this subject is of, if it is kept here.
    fn here(&self, subject: &Arc<str>) -> Option<Here> {
        let (prefix, name) = names::group(subject)?;
        let registries = self.registries.lock().unpoisoned();
        let registry = registries.get(prefix)?.upgrade()?;
        drop(registries);
        registry.kept(&name)?;
        Some(Here {
            subject: Arc::clone(subject),
            name: name.into(),
            registry,
        })
    }

    /// The kept groups that have members here.
    fn occupied(&self) -> Vec<Here> {
        let registries = self.registries.lock().unpoisoned().clone();
        let mut occupied = Vec::new();
        for (prefix, registry) in registries {
            let Some(registry) = registry.upgrade() else {
                continue;
            };
            for name in registry.groups() {
                let place = Place::Group(Arc::clone(&name));
                if registry.kept(&name).is_some()
                    && let Some(subject) = subject(&prefix, &place)
                {
                    occupied.push(Here {
                        subject: subject.into(),
                        name,
                        registry: registry.clone(),
                    });
                }
            }
        }
        occupied
    }
}

fn limits(kept: &Kept) -> Limits {
    let (size, ttl) = kept.limits();
    Limits { size, ttl }
}

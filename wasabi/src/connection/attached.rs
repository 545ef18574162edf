//! What belongs to a connection beside its socket: state of backends, and futures that run in its task.

use std::{
    any::{Any, TypeId},
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    sync::Unpoisoned,
    sync::{AtomicBool, Mutex, MutexGuard},
};

/// A future that runs in the task of a connection, beside its requests.
pub(crate) type Companion = Pin<Box<dyn Future<Output = ()> + Send>>;

type Value = Arc<dyn Any + Send + Sync>;

/// Freed when the connection ends, however long handles to it are kept.
#[derive(Default)]
pub(crate) struct Attached {
    inner: Mutex<Inner>,
    /// There are companions that the connection's task has not taken yet.
    fresh: AtomicBool,
    /// There are identities that have replaced those of the handshake.
    renewed: AtomicBool,
}

#[derive(Default)]
struct Inner {
    /// A few at most: one for each backend that keeps something.
    values: Vec<(u64, Value)>,
    companions: Vec<Companion>,
    /// At most one of each type; they stay until the last handle goes, as the handshake's do.
    identities: Vec<Renewed>,
    /// How many renewals have begun.
    renewals: u64,
    ended: bool,
}

/// An identity, with the place that its renewal has among all of them.
struct Renewed {
    place: u64,
    of: TypeId,
    /// What the log calls the client.
    user: Option<Arc<str>>,
    identity: Value,
}

impl Attached {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unpoisoned()
    }

    /// The value of the backend with this id; made when there is none. After the end it is made each time.
    pub(crate) fn value<T: Any + Send + Sync>(
        &self,
        id: u64,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        let mut inner = self.lock();
        let known = inner.values.iter().find(|(other, _)| *other == id);
        if let Some(value) = known.and_then(|(_, value)| Arc::clone(value).downcast().ok()) {
            return value;
        }
        let value = make();
        if !inner.ended {
            inner.values.push((id, Arc::clone(&value) as Value));
        }
        value
    }

    /// The place of a renewal that begins now, after those that have begun already.
    pub(crate) fn place(&self) -> u64 {
        let mut inner = self.lock();
        inner.renewals += 1;
        inner.renewals
    }

    /// Puts an identity in the place of the last one of its type, and does `also` with nobody in between. `false`, and
    /// nothing changes, when a renewal that has begun later was faster.
    pub(crate) fn renew<T: Any + Send + Sync>(
        &self,
        place: u64,
        identity: T,
        user: Option<Arc<str>>,
        also: impl FnOnce(),
    ) -> bool {
        let of = TypeId::of::<T>();
        let new = Renewed {
            place,
            of,
            user,
            identity: Arc::new(identity),
        };
        let mut inner = self.lock();
        let known = inner.identities.iter().position(|known| known.of == of);
        let replaced = match known {
            Some(at) if inner.identities[at].place > place => {
                // Its destructor may come back here.
                drop(inner);
                return false;
            }
            Some(at) => Some(mem::replace(&mut inner.identities[at], new)),
            None => {
                inner.identities.push(new);
                None
            }
        };
        self.renewed.store(true, Ordering::Release);
        also();
        drop(inner);
        drop(replaced);
        true
    }

    /// The identity of this type, if it has been renewed.
    pub(crate) fn renewed<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        if !self.renewed.load(Ordering::Acquire) {
            return None;
        }
        let of = TypeId::of::<T>();
        let inner = self.lock();
        let known = inner.identities.iter().find(|known| known.of == of)?;
        Arc::clone(&known.identity).downcast().ok()
    }

    /// The place of the last renewal, if there was one.
    #[cfg(feature = "cache")]
    pub(crate) fn last_renewed(&self) -> Option<u64> {
        if !self.renewed.load(Ordering::Acquire) {
            return None;
        }
        let inner = self.lock();
        inner.identities.iter().map(|known| known.place).max()
    }

    /// What the log calls the client, if its identity has been renewed.
    pub(crate) fn user(&self) -> Option<Option<Arc<str>>> {
        if !self.renewed.load(Ordering::Acquire) {
            return None;
        }
        let inner = self.lock();
        let last = inner.identities.iter().max_by_key(|known| known.place)?;
        Some(last.user.clone())
    }

    /// Adds a future; `false`, and it is dropped, when the connection has ended.
    pub(crate) fn add(&self, companion: Companion) -> bool {
        let mut inner = self.lock();
        if inner.ended {
            return false;
        }
        inner.companions.push(companion);
        self.fresh.store(true, Ordering::Release);
        true
    }

    /// The futures that have been added since.
    pub(crate) fn take_companions(&self) -> Vec<Companion> {
        if !self.fresh.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.fresh.store(false, Ordering::Release);
        mem::take(&mut self.lock().companions)
    }

    /// The connection has ended.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        let (values, companions) = (
            mem::take(&mut inner.values),
            mem::take(&mut inner.companions),
        );
        // Destructors may come back here.
        drop(inner);
        drop((values, companions));
    }
}

//! State of backends, renewed identities and futures that belong to a connection.

use std::{
    any::{Any, TypeId},
    mem,
    pin::Pin,
    sync::{Arc, OnceLock, atomic::Ordering},
};

use crate::{
    sync::Unpoisoned,
    sync::{AtomicBool, Mutex, MutexGuard},
};

/// A future that runs in a connection's task, alongside its requests.
pub(crate) type Companion = Pin<Box<dyn Future<Output = ()> + Send>>;

type Value = Arc<dyn Any + Send + Sync>;

/// Values and companions are freed when the connection ends, even if handles to it are kept longer.
#[derive(Default)]
pub(crate) struct Attached {
    inner: Mutex<AttachedValues>,
    /// Set if there are companions that the connection's task has not taken yet.
    fresh: AtomicBool,
    /// Set if identities have replaced those of the handshake.
    renewed: AtomicBool,
}

#[derive(Default)]
struct AttachedValues {
    /// Few: one for each backend that keeps something.
    values: Vec<(u64, Value)>,
    companions: Vec<Companion>,
    /// At most one of each type. They stay until the last handle is dropped, as the handshake's identities do.
    identities: Vec<Renewed>,
    /// The number of renewals begun.
    renewals: u64,
    ended: bool,
}

/// An identity, and the position of its renewal among all renewals.
struct Renewed {
    place: u64,
    of: TypeId,
    /// The client's name for the log.
    user: Option<Arc<str>>,
    identity: Value,
}

impl AttachedValues {
    fn value<T: Any + Send + Sync>(&self, id: u64) -> Option<Arc<T>> {
        let (_, value) = self.values.iter().find(|(other, _)| *other == id)?;
        Arc::clone(value).downcast().ok()
    }
}

impl Attached {
    /// Made when first needed. The models have it at once, because they do not follow a `OnceLock`: what makes it is seen
    /// by the connection's task as its wake-up is, which comes after.
    pub(crate) fn when_needed() -> OnceLock<Box<Self>> {
        match cfg!(wasabi_loom) {
            true => OnceLock::from(Box::<Self>::default()),
            false => OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, AttachedValues> {
        // No code panics while it holds the lock.
        self.inner.lock().unpoisoned()
    }

    /// The value of the backend with this id, made if missing. After the end of the connection it is made for each
    /// call.
    pub(crate) fn value<T: Any + Send + Sync>(
        &self,
        id: u64,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        let mut inner = self.lock();
        if let Some(value) = inner.value(id) {
            return value;
        }
        let value = make();
        if !inner.ended {
            inner.values.push((id, Arc::clone(&value) as Value));
        }
        value
    }

    /// The value with this id, if it has been made.
    pub(crate) fn known_value<T: Any + Send + Sync>(&self, id: u64) -> Option<Arc<T>> {
        self.lock().value(id)
    }

    /// The position of a renewal that begins now.
    pub(crate) fn place(&self) -> u64 {
        let mut inner = self.lock();
        inner.renewals += 1;
        inner.renewals
    }

    /// Replaces the identity of this type, and runs `also` under the same lock. Returns `false` and changes nothing if
    /// a renewal that began later has finished already.
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
                // The destructor of `new` may call back into this type.
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

    /// The position of the latest renewal, if any.
    #[cfg(feature = "cache")]
    pub(crate) fn last_renewed(&self) -> Option<u64> {
        if !self.renewed.load(Ordering::Acquire) {
            return None;
        }
        let inner = self.lock();
        inner.identities.iter().map(|known| known.place).max()
    }

    /// The client's name for the log, if its identity has been renewed.
    pub(crate) fn user(&self) -> Option<Option<Arc<str>>> {
        if !self.renewed.load(Ordering::Acquire) {
            return None;
        }
        let inner = self.lock();
        let last = inner.identities.iter().max_by_key(|known| known.place)?;
        Some(last.user.clone())
    }

    /// Adds a future. If the connection has ended, drops it and returns `false`.
    pub(crate) fn add(&self, companion: Companion) -> bool {
        let mut inner = self.lock();
        if inner.ended {
            return false;
        }
        inner.companions.push(companion);
        self.fresh.store(true, Ordering::Release);
        true
    }

    /// The futures added since the last call.
    pub(crate) fn take_companions(&self) -> Vec<Companion> {
        if !self.fresh.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.fresh.store(false, Ordering::Release);
        mem::take(&mut self.lock().companions)
    }

    /// Drops the values and the companions: the connection has ended.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        let (values, companions) = (
            mem::take(&mut inner.values),
            mem::take(&mut inner.companions),
        );
        // Destructors may call back into this type.
        drop(inner);
        drop((values, companions));
    }
}

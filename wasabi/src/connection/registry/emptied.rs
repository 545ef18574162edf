//! What runs when a group has no members, while nobody can join it.

use std::{
    cell::Cell,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{log::limited, panics::caught};

/// The function of [`Registry::on_empty_group`](super::Registry::on_empty_group); `G` is the group.
type Hook<G> = Arc<dyn Fn(G) + Send + Sync>;

/// The hook of a registry, if it has one.
pub(super) struct OnEmpty<G>(RwLock<Option<Hook<G>>>);

impl<G> Default for OnEmpty<G> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<G> OnEmpty<G> {
    pub(super) fn set(&self, hook: impl Fn(G) + Send + Sync + 'static) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::new(hook));
    }

    /// Tells the hook of a group that has just become empty. The group must be locked.
    pub(super) fn tell(&self, group: impl FnOnce() -> G) {
        let hook = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(hook) = hook
            && caught(|| exclusively(|| hook(group()))).is_err()
        {
            limited!(ERROR, "`on_empty_group` panicked");
        }
    }
}

thread_local! {
    static HAS_LOCK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a user's code while a group is locked.
pub(super) fn exclusively<T>(code: impl FnOnce() -> T) -> T {
    struct Unlock;

    impl Drop for Unlock {
        fn drop(&mut self) {
            HAS_LOCK.set(false);
        }
    }

    HAS_LOCK.set(true);
    let _unlock = Unlock;
    code()
}

/// Panics where a registry would wait for ever for a lock that its own thread has.
#[inline]
pub(super) fn may_lock() {
    // In a model all threads are one thread of the system.
    if !cfg!(all(test, wasabi_loom)) && HAS_LOCK.get() {
        refuse();
    }
}

#[cold]
fn refuse() -> ! {
    panic!(
        "`on_empty_group` and `if_empty` lock groups: what they run cannot use a registry itself, but a task that it spawns can"
    );
}

//! Shared-state primitives. Loom models replace them with their own, which try every order of events.

use std::sync::{LockResult, PoisonError};

#[cfg(not(all(test, wasabi_loom)))]
pub(crate) use {
    atomic_waker::AtomicWaker,
    std::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
};

#[cfg(all(test, wasabi_loom))]
pub(crate) use {
    loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    model::AtomicWaker,
};

/// Takes a lock even if a thread panicked while holding it.
///
/// All code in this crate leaves locked data consistent between any two operations, so a panic must not lock out
/// everyone else.
pub(crate) trait Unpoisoned<G> {
    /// The guard, poisoned or not.
    fn unpoisoned(self) -> G;
}

impl<G> Unpoisoned<G> for LockResult<G> {
    #[inline]
    fn unpoisoned(self) -> G {
        self.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, wasabi_loom))]
mod model {
    use std::task::Waker;

    use super::{Mutex, Unpoisoned};

    /// Guarantees the same as the real one: whichever of `register` and `wake` comes later sees the earlier.
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn register(&self, waker: &Waker) {
            let mut registered = self.0.lock().unpoisoned();
            *registered = Some(waker.clone());
        }

        pub(crate) fn wake(&self) {
            let mut registered = self.0.lock().unpoisoned();
            let waker = registered.take();
            drop(registered);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

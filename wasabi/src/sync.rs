//! What the tasks of a process share data with. Loom's models have their own, which try every order of events.

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

#[cfg(all(test, wasabi_loom))]
mod model {
    use std::{sync::PoisonError, task::Waker};

    use super::Mutex;

    /// Promises what the real one does: of `register` and `wake` the later one knows of the earlier.
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn register(&self, waker: &Waker) {
            let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *registered = Some(waker.clone());
        }

        pub(crate) fn wake(&self) {
            let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let waker = registered.take();
            drop(registered);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

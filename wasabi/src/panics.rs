//! Panics in user code: backends, middleware, hooks, parsers and destructors. A panic ends what it belongs to and
//! nothing else.
//!
//! After a panic, the data that the code worked on must be consistent, or must not be used again. Each caller ensures
//! that.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use futures_util::{FutureExt, future::CatchUnwind};

/// Runs code that may panic.
#[inline(always)]
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> thread::Result<T> {
    catch_unwind(AssertUnwindSafe(code))
}

/// Wraps a future so that a panic becomes an error.
pub(crate) fn caught_future<F: Future>(future: F) -> CatchUnwind<AssertUnwindSafe<F>> {
    AssertUnwindSafe(future).catch_unwind()
}

/// Drops a user value, whose destructor may panic.
pub(crate) fn discard<T>(value: T) {
    let _ = caught(|| drop(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Explosive;

    impl Drop for Explosive {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_own_work() {
        assert_eq!(caught(|| 1).ok(), Some(1));
        assert!(caught(|| drop(Explosive)).is_err());
        assert_eq!(caught_future(async { 2 }).await.ok(), Some(2));
        assert!(caught_future(async { drop(Explosive) }).await.is_err());
        discard(Explosive);
    }
}

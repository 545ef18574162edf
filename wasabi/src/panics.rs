//! Panics of code that is not ours: backends, middleware, hooks, parsers, and destructors of the user's. A panic ends what it
//! belongs to and nothing else.
//!
//! What the code worked on must be whole after a panic, or must not be used again: each caller sees to that.

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

/// The same future, whose output is an error after a panic.
pub(crate) fn caught_future<F: Future>(future: F) -> CatchUnwind<AssertUnwindSafe<F>> {
    AssertUnwindSafe(future).catch_unwind()
}

/// Drops what is the user's: its destructor may panic.
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
    async fn a_panic_ends_no_more_than_what_it_belongs_to() {
        assert_eq!(caught(|| 1).ok(), Some(1));
        assert!(caught(|| drop(Explosive)).is_err());
        assert_eq!(caught_future(async { 2 }).await.ok(), Some(2));
        assert!(caught_future(async { drop(Explosive) }).await.is_err());
        discard(Explosive);
    }
}

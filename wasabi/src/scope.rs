//! The part of a declaration that is known before its targets.

use std::marker::PhantomData;

use crate::{Backend, Error, Middleware, Next, Request};

/// Fixes the type of the gateway's state before any target is checked, so that inference cannot guess it.
#[derive(Debug)]
pub struct Scope<S>(PhantomData<fn() -> S>);

impl<S> Clone for Scope<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Scope<S> {}

impl<S> Scope<S> {
    /// The scope of a gateway with this state.
    pub fn of(_state: &S) -> Self {
        Self::of_type()
    }

    /// The scope of a gateway whose state has this type.
    pub const fn of_type() -> Self {
        Self(PhantomData)
    }
}

/// Replaces the target of an arm that is configured out, or a mistake. Never called.
#[derive(Debug)]
pub struct Absent;

impl Middleware for Absent {
    fn handle(&self, req: Request, next: impl Next) -> impl Future<Output = crate::Result> + Send {
        next.run(req)
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&[])
    }
}

impl<S: Sync> Backend<S> for Absent {
    async fn call(&self, _req: Request, _state: &S) -> crate::Result {
        Err(Error::NoRoute)
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        // What is configured out is no route.
        let _ = to;
    }
}

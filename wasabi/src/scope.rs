//! The part of a declaration that is known before its targets.

use std::marker::PhantomData;

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

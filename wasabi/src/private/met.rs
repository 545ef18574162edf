//! What says that a bound is met.

use std::marker::PhantomData;

/// What a trait that is required has for each type that implements it.
#[derive(Debug)]
pub struct Met<T, S = ()>(PhantomData<fn() -> (T, S)>);

impl<T, S> Met<T, S> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

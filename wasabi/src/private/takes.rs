//! What the attributes have checked of a function, and what they leave to `gateway!`, which alone knows the state.

use std::marker::PhantomData;

use super::met::Met;
use crate::{Error, FromRequest, Middleware, Next, Reply, Request, Result};

/// A function with an attribute that has checked its signature: `#[middleware]` implements this for what it makes of the
/// function and for the function that makes it, `#[backend]` for the future.
pub trait TakesExtractors {
    /// What the attribute has checked, as if there was no state: extractors, as nested pairs.
    type Seen;
    /// What it has not checked, because it needs the state: extractors, as nested pairs, or the only state that will do.
    type Left;
}

impl<F: Fn() -> M, M: TakesExtractors> TakesExtractors for F {
    type Seen = M::Seen;
    type Left = M::Left;
}

/// What is taken from a request and the state.
pub trait Takes<S> {}

/// The same. Required in place of [`Takes`], so that the error does not show the implementations of it.
pub trait AllTaken<S>: Sized {
    /// Says so.
    const MET: Met<Self, S> = Met::new();
}

impl<S, T: Takes<S>> AllTaken<S> for T {}

impl<S, A: FromRequest<S> + Send, T: Takes<S>> Takes<S> for (A, T) {}

#[diagnostic::do_not_recommend]
impl<S> Takes<S> for () {}

/// A function for one state.
#[derive(Debug)]
pub struct OnlyFor<S>(PhantomData<S>);

impl<S, T: SameState<S>> Takes<S> for OnlyFor<T> {}

/// The state that a function is for is that of the gateway.
#[diagnostic::on_unimplemented(
    message = "this function is for gateways whose state is `{Self}`, and this gateway's state is `{S}`",
    label = "not for the state `{S}`",
    note = "the attribute of the function says `state = {Self}`"
)]
pub trait SameState<S> {}

#[diagnostic::do_not_recommend]
impl<S> SameState<S> for S {}

/// Replaces a middleware whose arguments cannot be taken. Answers nothing, in case the compiler did not report it.
#[derive(Debug)]
pub struct Untaken;

impl Middleware for Untaken {
    async fn handle(&self, _req: Request, _next: impl Next) -> Result<Reply> {
        Err(Error::internal(
            "an argument of a middleware cannot be taken",
        ))
    }
}

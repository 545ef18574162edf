//! What the functions of `#[middleware]` take besides the request.

use std::marker::PhantomData;

use crate::{Error, FromRequest, Middleware, Next, Reply, Request, Result};

/// What `#[middleware]` makes of a function that takes extractors, and the function that makes it.
pub trait TakesExtractors {
    /// What the state has to provide and `#[middleware]` has not checked: extractors, as nested pairs, or the state
    /// itself.
    type Taken;
}

impl<F: Fn() -> M, M: TakesExtractors> TakesExtractors for F {
    type Taken = M::Taken;
}

/// What a middleware takes from a request and the state.
pub trait Takes<S> {}

impl<S, A: FromRequest<S> + Send, T: Takes<S>> Takes<S> for (A, T) {}

#[diagnostic::do_not_recommend]
impl<S> Takes<S> for () {}

/// A middleware for one state.
#[derive(Debug)]
pub struct OnlyFor<S>(PhantomData<S>);

impl<S, T: SameState<S>> Takes<S> for OnlyFor<T> {}

/// The state that a middleware is for is that of the gateway.
#[diagnostic::on_unimplemented(
    message = "this middleware is for gateways whose state is `{Self}`, and this gateway's state is `{S}`",
    label = "not for the state `{S}`",
    note = "the function says `#[middleware(state = {Self})]`"
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

//! Backends that are functions of extractors.

use std::marker::PhantomData;

#[cfg(feature = "schema")]
use crate::schema::{Answers, Describer};
use crate::{
    Backend, FromRequest, IntoReply, Lifecycle, Reply, Request, Result,
    connection::path_types::PathType, scope::Scope,
};

/// A route's target: a [`Backend`], or a function of extractors.
///
/// `M` only tells the two apart. The impls require the shape of the function and nothing more. `HandlerFn` requires the
/// traits of the arguments and of the return type, so that the compiler blames the wrong argument and not the function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the target of a route",
    label = "neither a backend nor a function of extractors",
    note = "a target is an `async fn` of up to ten extractors, or a value that implements `Backend<{S}>`",
    note = "a backend that does not use the state works with every state: `impl<S: Sync> Backend<S> for ..`",
    note = "an `async` closure cannot capture; write `move |..| {{ let value = value.clone(); async move {{ .. }} }}`, or use the state"
)]
pub trait IntoBackend<S, M> {
    /// The resulting backend.
    type Backend;

    /// Converts the target into a backend.
    fn into_backend(self) -> Self::Backend;

    /// The same, where the state is known.
    fn in_scope(self, _scope: &Scope<S>) -> Self::Backend
    where
        Self: Sized,
    {
        self.into_backend()
    }
}

/// Marks targets that are already backends.
#[derive(Debug)]
pub struct ViaBackend;

#[diagnostic::do_not_recommend]
impl<S, B: Backend<S>> IntoBackend<S, ViaBackend> for B {
    type Backend = B;

    fn into_backend(self) -> B {
        self
    }
}

/// Marks functions that are called where only their name belongs.
#[derive(Debug)]
pub struct ViaFuture;

/// The future of a function that is called where only its name belongs. It is never a backend.
#[derive(Debug)]
pub struct Called<F>(PhantomData<F>);

/// Never implemented: says what is wrong about a future as a target.
#[diagnostic::on_unimplemented(
    message = "a target is a function, and this is the future of a call",
    label = "calls the function now",
    note = "write the name without parentheses: `place`, not `place()`; to pass a value, return a closure: `move |order: Text| async move {{ .. }}`"
)]
pub trait NotCalled {}

#[diagnostic::do_not_recommend]
impl<S, F: Future> IntoBackend<S, ViaFuture> for F {
    type Backend = Called<F>;

    fn into_backend(self) -> Called<F> {
        Called(PhantomData)
    }
}

impl<S: Sync, F: NotCalled + Send + Sync> Backend<S> for Called<F> {
    async fn call(&self, _req: Request, _state: &S) -> Result<Reply> {
        Err(crate::Error::NoRoute)
    }
}

/// A function of extractors as a [`Backend`]; `Args` is the tuple of its arguments.
pub struct HandlerFn<F, Args> {
    function: F,
    args: PhantomData<fn(Args)>,
}

impl<F, Args> std::fmt::Debug for HandlerFn<F, Args> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HandlerFn({})", std::any::type_name::<F>())
    }
}

/// What a call of a backend function returns: any future.
#[diagnostic::on_unimplemented(
    message = "this function must be `async`",
    label = "returns `{Self}`, which is not a future",
    note = "write `async fn`, or `async |..|` for a closure"
)]
pub trait Answer {
    /// The output of the future.
    type Reply;
    /// The future.
    type Future: Future<Output = Self::Reply>;

    /// Returns the future itself.
    fn future(self) -> Self::Future;
}

#[diagnostic::do_not_recommend]
impl<F: Future> Answer for F {
    type Reply = F::Output;
    type Future = F;

    fn future(self) -> F {
        self
    }
}

/// The types of a function.
pub trait Returns {
    /// The future.
    type Future;
    /// Its output.
    type Reply;
}

/// What the arguments of a function read from the path of the channel.
struct Paths<'a, F>(&'a [Option<PathType>], PhantomData<fn(F)>);

impl<F> Lifecycle for Paths<'_, F> {
    fn path_types(&self) -> Vec<PathType> {
        PathType::all_of_function::<F>(self.0)
    }
}

macro_rules! handler_fn {
    ($($arg:ident),*; $($last:ident)?) => {
        #[diagnostic::do_not_recommend]
        impl<S, F, Fut, $($arg,)* $($last)?> IntoBackend<S, ($($arg,)* $($last,)?)> for F
        where
            F: Fn($($arg,)* $($last,)?) -> Fut,
        {
            type Backend = HandlerFn<F, ($($arg,)* $($last,)?)>;

            fn into_backend(self) -> Self::Backend {
                HandlerFn { function: self, args: PhantomData }
            }
        }

        impl<F, Fut, $($arg,)* $($last)?> Returns for HandlerFn<F, ($($arg,)* $($last,)?)>
        where
            F: Fn($($arg,)* $($last,)?) -> Fut,
            Fut: Answer,
        {
            type Future = Fut;
            type Reply = Fut::Reply;
        }

        #[allow(non_snake_case, unused_variables, unused_mut)]
        impl<S, F, Fut, $($arg,)* $($last)?> Backend<S> for HandlerFn<F, ($($arg,)* $($last,)?)>
        where
            S: Sync,
            F: Fn($($arg,)* $($last,)?) -> Fut + Send + Sync,
            Fut: Answer<Reply: IntoReply, Future: Send> + Send,
            $($arg: FromRequest<S> + Send,)*
            $($last: FromRequest<S> + Send,)?
        {
            // Not an `async fn`: its future would reserve space for the request twice.
            fn call(&self, mut req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
                async move {
                    $(let $arg = $arg::from_request(&req, state).await?;)*
                    $(let $last = $last::from_last(&mut req, state).await?;)?
                    drop(req);
                    (self.function)($($arg,)* $($last,)?).future().await.into_reply()
                }
            }

            fn owes_reply(&self, _req: &Request) -> bool {
                <Fut::Reply as IntoReply>::OWES_REPLY
            }

            fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
                let types: &[Option<PathType>] = &[$($arg::path_type(),)* $($last::path_type(),)?];
                // A visit for each connection, which most functions can do without.
                if types.iter().any(Option::is_some) {
                    visit(&Paths::<F>(types, PhantomData));
                }
            }

            #[cfg(feature = "schema")]
            fn describe(&self, to: &mut Describer) {
                let inputs = vec![
                    $(<$arg as FromRequest<S>>::input(),)*
                    $(<$last as FromRequest<S>>::input(),)?
                ];
                let (output, codes) = Fut::Reply::output(to.failing());
                to.answers(Answers::function::<F>(inputs, output, codes));
            }
        }
    };
}

handler_fn!(;);
handler_fn!(; A1);
handler_fn!(A1; A2);
handler_fn!(A1, A2; A3);
handler_fn!(A1, A2, A3; A4);
handler_fn!(A1, A2, A3, A4; A5);
handler_fn!(A1, A2, A3, A4, A5; A6);
handler_fn!(A1, A2, A3, A4, A5, A6; A7);
handler_fn!(A1, A2, A3, A4, A5, A6, A7; A8);
handler_fn!(A1, A2, A3, A4, A5, A6, A7, A8; A9);
handler_fn!(A1, A2, A3, A4, A5, A6, A7, A8, A9; A10);

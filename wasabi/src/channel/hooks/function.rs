//! Hooks that are functions of extractors.

use std::marker::PhantomData;

use super::{Ended, IntoAdmission, OnConnect, OnDisconnect};
use crate::{
    Close, CloseCode, Connection, Error, Fault,
    backend::{Answer, ViaBackend},
    connection::path_types::PathType,
    extract::{FromConnection, FromEnded},
    log::{limited, said},
    scope::Scope,
};

/// The value of `on_connect`: an [`OnConnect`], or a function of extractors. `M` only tells the two apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_connect`",
    label = "not a hook",
    note = "expected an `async fn` of extractors, such as `async fn(connection: Connection)`, that returns `()` or `Result<(), Close>`",
    note = "an `async` closure cannot capture; write `move |connection: Connection| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait IntoOnConnect<S, M> {
    /// The hook.
    type Hook;

    /// Makes the hook.
    fn into_hook(self) -> Self::Hook;

    /// The same, where the state is known.
    fn in_scope(self, _scope: &Scope<S>) -> Self::Hook
    where
        Self: Sized,
    {
        self.into_hook()
    }
}

/// The value of `on_disconnect`: an [`OnDisconnect`], or a function of extractors. `M` only tells the two apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_disconnect`",
    label = "not a hook",
    note = "expected an `async fn` of extractors, such as `async fn(connection: Connection, close: Close)`, that returns `()`",
    note = "an `async` closure cannot capture; write `move |connection: Connection, close: Close| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait IntoOnDisconnect<S, M> {
    /// The hook.
    type Hook;

    /// Makes the hook.
    fn into_hook(self) -> Self::Hook;

    /// The same, where the state is known.
    fn in_scope(self, _scope: &Scope<S>) -> Self::Hook
    where
        Self: Sized,
    {
        self.into_hook()
    }
}

#[diagnostic::do_not_recommend]
impl<S, H: OnConnect<S>> IntoOnConnect<S, ViaBackend> for H {
    type Hook = H;

    fn into_hook(self) -> H {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<S, H: OnDisconnect<S>> IntoOnDisconnect<S, ViaBackend> for H {
    type Hook = H;

    fn into_hook(self) -> H {
        self
    }
}

/// A function of extractors as a hook; `Args` is the tuple of its arguments.
pub struct HookFn<F, Args> {
    function: F,
    args: PhantomData<fn(Args)>,
}

impl<F, Args> std::fmt::Debug for HookFn<F, Args> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HookFn({})", std::any::type_name::<F>())
    }
}

/// How a connection is refused whose `on_connect` cannot get an argument.
#[cold]
fn refused(connection: &Connection, error: &Error) -> Close {
    match error.fault() {
        Fault::Request => {
            tracing::debug!(connection = %connection.id(), error = %said(error), "connection refused");
            Close::new(CloseCode::POLICY, error.client_message().into_owned())
        }
        Fault::Upstream | Fault::Gateway => {
            limited!(ERROR, connection = %connection.id(), error = %said(error), "on_connect failed");
            CloseCode::INTERNAL.into()
        }
    }
}

#[cold]
fn left_out(connection: &Connection, error: &Error) {
    match error.fault() {
        Fault::Request => {
            tracing::debug!(connection = %connection.id(), error = %said(error), "on_disconnect does not run");
        }
        Fault::Upstream | Fault::Gateway => {
            limited!(ERROR, connection = %connection.id(), error = %said(error), "on_disconnect failed");
        }
    }
}

macro_rules! hook_fn {
    ($($arg:ident),*) => {
        #[diagnostic::do_not_recommend]
        impl<S, F, Fut, $($arg,)*> IntoOnConnect<S, ($($arg,)*)> for F
        where
            F: Fn($($arg,)*) -> Fut,
        {
            type Hook = HookFn<F, ($($arg,)*)>;

            fn into_hook(self) -> Self::Hook {
                HookFn { function: self, args: PhantomData }
            }
        }

        #[diagnostic::do_not_recommend]
        impl<S, F, Fut, $($arg,)*> IntoOnDisconnect<S, ($($arg,)*)> for F
        where
            F: Fn($($arg,)*) -> Fut,
            // Here, so that a closure which only panics is inferred to return `()`.
            Fut: Future<Output = ()>,
        {
            type Hook = HookFn<F, ($($arg,)*)>;

            fn into_hook(self) -> Self::Hook {
                HookFn { function: self, args: PhantomData }
            }
        }

        #[allow(non_snake_case, unused_variables)]
        impl<S, F, Fut, $($arg,)*> OnConnect<S> for HookFn<F, ($($arg,)*)>
        where
            S: Sync,
            F: Fn($($arg,)*) -> Fut + Send + Sync + 'static,
            Fut: Answer<Reply: IntoAdmission, Future: Send> + Send,
            $($arg: FromConnection<S> + Send + 'static,)*
        {
            async fn connected(&self, connection: Connection, state: &S) -> Result<(), Close> {
                $(let $arg = match $arg::from_connection(&connection, state).await {
                    Ok(argument) => argument,
                    Err(error) => return Err(refused(&connection, &error)),
                };)*
                drop(connection);
                (self.function)($($arg,)*).future().await.into_admission()
            }

            fn path_types(&self) -> Vec<PathType> {
                PathType::all_of_function::<F>(&[$(<$arg as FromConnection<S>>::path_type(),)*])
            }
        }

        #[allow(non_snake_case, unused_variables)]
        impl<S, F, Fut, $($arg,)*> OnDisconnect<S> for HookFn<F, ($($arg,)*)>
        where
            S: Sync,
            F: Fn($($arg,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = ()> + Send,
            $($arg: FromEnded<S> + Send + 'static,)*
        {
            async fn disconnected(&self, ended: Ended, state: &S) {
                $(let $arg = match $arg::from_ended(&ended, state).await {
                    Ok(argument) => argument,
                    Err(error) => return left_out(&ended.connection, &error),
                };)*
                drop(ended);
                (self.function)($($arg,)*).await;
            }

            fn path_types(&self) -> Vec<PathType> {
                PathType::all_of_function::<F>(&[$(<$arg as FromEnded<S>>::path_type(),)*])
            }
        }
    };
}

hook_fn!();
hook_fn!(A1);
hook_fn!(A1, A2);
hook_fn!(A1, A2, A3);
hook_fn!(A1, A2, A3, A4);
hook_fn!(A1, A2, A3, A4, A5);
hook_fn!(A1, A2, A3, A4, A5, A6);
hook_fn!(A1, A2, A3, A4, A5, A6, A7);
hook_fn!(A1, A2, A3, A4, A5, A6, A7, A8);
hook_fn!(A1, A2, A3, A4, A5, A6, A7, A8, A9);
hook_fn!(A1, A2, A3, A4, A5, A6, A7, A8, A9, A10);

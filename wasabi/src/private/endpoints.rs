//! HTTP endpoints.

use axum::{
    handler::Handler,
    routing::{MethodFilter, MethodRouter, any, on},
};

use super::Scope;

/// The handler of an HTTP endpoint, as axum takes it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer HTTP requests",
    label = "not an axum handler",
    note = "a handler is an `async fn` or an `async` closure, such as `async || \"ok\"`",
    note = "its arguments are extractors of axum, of which only the last may read the body, and `State<T>` needs the gateway's state `{S}` to provide `T`; it returns `impl IntoResponse`"
)]
pub trait Endpoint<S, M> {
    /// Answers requests with this method, or with any.
    fn endpoint(self, scope: &Scope<S>, method: Option<MethodFilter>) -> MethodRouter<S>;
}

#[diagnostic::do_not_recommend]
impl<S, M, H> Endpoint<S, M> for H
where
    S: Clone + Send + Sync + 'static,
    M: 'static,
    H: Handler<M, S>,
{
    fn endpoint(self, _scope: &Scope<S>, method: Option<MethodFilter>) -> MethodRouter<S> {
        match method {
            Some(method) => on(method, self),
            None => any(self),
        }
    }
}

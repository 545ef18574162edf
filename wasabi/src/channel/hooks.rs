//! The hooks that run when a connection opens and when it has ended.

use crate::{Close, Connection};

/// An `on_connect` hook: an `async fn(Connection)` that returns `()` or `Result<(), Close>`.
///
/// ```
/// use wasabi::{Close, CloseCode, prelude::*};
///
/// async fn only_known_tenants(connection: Connection) -> Result<(), Close> {
///     match connection.uri().path() {
///         "/v1/acme" => Ok(()),
///         _ => Err(Close::new(CloseCode::new::<4404>(), "unknown tenant")),
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_connect`",
    label = "wrong signature",
    note = "expected `async fn(connection: Connection)` or `async fn(connection: Connection) -> Result<(), Close>`",
    note = "an `async` closure cannot capture; write `move |connection| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait OnConnect: Send + Sync + 'static {
    /// Admits or refuses the connection.
    fn connected(&self, connection: Connection) -> impl Future<Output = Result<(), Close>> + Send;
}

/// An `on_disconnect` hook: an `async fn(Connection, Close)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_disconnect`",
    label = "wrong signature",
    note = "expected `async fn(connection: Connection, close: Close)`",
    note = "an `async` closure cannot capture; write `move |connection, close| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait OnDisconnect: Send + Sync + 'static {
    /// Runs after the connection has ended, with the `Close` that ended it.
    fn disconnected(&self, connection: Connection, close: Close)
    -> impl Future<Output = ()> + Send;
}

/// The result of an `on_connect` hook: `()` or `Result<(), Close>`.
pub trait IntoAdmission {
    /// Returns `Ok` if the connection is admitted.
    fn into_admission(self) -> Result<(), Close>;
}

impl IntoAdmission for () {
    fn into_admission(self) -> Result<(), Close> {
        Ok(())
    }
}

impl<E: Into<Close>> IntoAdmission for Result<(), E> {
    fn into_admission(self) -> Result<(), Close> {
        self.map_err(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> OnConnect for F
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: IntoAdmission,
{
    async fn connected(&self, connection: Connection) -> Result<(), Close> {
        self(connection).await.into_admission()
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> OnDisconnect for F
where
    F: Fn(Connection, Close) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    async fn disconnected(&self, connection: Connection, close: Close) {
        self(connection, close).await;
    }
}

/// A hook that does nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoHook;

impl OnConnect for NoHook {
    async fn connected(&self, _connection: Connection) -> Result<(), Close> {
        Ok(())
    }
}

impl OnDisconnect for NoHook {
    async fn disconnected(&self, _connection: Connection, _close: Close) {}
}

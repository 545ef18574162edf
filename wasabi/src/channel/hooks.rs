//! The hooks that run when a connection opens and when it has ended.

mod function;

pub use self::function::{HookFn, IntoOnConnect, IntoOnDisconnect};
use crate::{Close, Connection, Ended, connection::path_types::PathType};

/// An `on_connect` hook: an `async fn` of [extractors](crate::FromConnection) that returns `()` or `Result<(), Close>`.
///
/// ```
/// use wasabi::{Close, CloseCode, prelude::*};
///
/// #[derive(Clone)]
/// struct Tenants(&'static [&'static str]);
///
/// async fn only_known_tenants(
///     State(Tenants(known)): State<Tenants>,
///     Path(tenant): Path<String>,
/// ) -> Result<(), Close> {
///     match known.contains(&&*tenant) {
///         true => Ok(()),
///         false => Err(Close::new(CloseCode::new::<4404>(), "unknown tenant")),
///     }
/// }
///
/// let gateway = gateway!(
///     state = Tenants(&["acme"]),
///     channel("/v1/{tenant}", on_connect = only_known_tenants, async |text: Text| text),
/// );
/// assert!(gateway.check().is_ok());
/// ```
///
/// If an extractor fails, the hook does not run, and the gateway refuses the connection: with 1008 and the error's text
/// for the client if the client is to blame ([`Fault::Request`](crate::Fault::Request)), otherwise with 1011 and a line in
/// the log.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_connect`",
    label = "wrong signature",
    note = "expected an `async fn` of extractors, such as `async fn(connection: Connection)`, that returns `()` or `Result<(), Close>`",
    note = "an `async` closure cannot capture; write `move |connection: Connection| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait OnConnect<S = ()>: Send + Sync + 'static {
    /// Admits or refuses the connection.
    fn connected(
        &self,
        connection: Connection,
        state: &S,
    ) -> impl Future<Output = Result<(), Close>> + Send;

    /// The types that the hook reads from the channel's path.
    #[doc(hidden)]
    fn path_types(&self) -> Vec<PathType> {
        Vec::new()
    }
}

/// An `on_disconnect` hook: an `async fn` of [extractors](crate::FromEnded): those of `on_connect`, and [`Close`] and
/// [`LeftGroups`](crate::LeftGroups).
///
/// ```
/// use wasabi::{Close, LeftGroups, prelude::*};
///
/// async fn farewell(
///     State(registry): State<Registry>,
///     connection: Connection,
///     close: Close,
///     LeftGroups(rooms): LeftGroups,
/// ) {
///     for room in rooms {
///         registry.group(room).broadcast(format!("{} left: {close}", connection.id()));
///     }
/// }
///
/// let registry = Registry::new();
/// let gateway = gateway!(
///     state = registry.clone(),
///     channel("/", registry = registry.clone(), on_disconnect = farewell, async |text: Text| text),
/// );
/// # drop(gateway);
/// ```
///
/// If an extractor fails, the hook does not run, and the error is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `on_disconnect`",
    label = "wrong signature",
    note = "expected an `async fn` of extractors, such as `async fn(connection: Connection, close: Close)`, that returns `()`",
    note = "an `async` closure cannot capture; write `move |connection: Connection, close: Close| {{ let value = value.clone(); async move {{ .. }} }}`"
)]
pub trait OnDisconnect<S = ()>: Send + Sync + 'static {
    /// Runs after the connection has ended.
    fn disconnected(&self, ended: Ended, state: &S) -> impl Future<Output = ()> + Send;

    /// The types that the hook reads from the channel's path.
    #[doc(hidden)]
    fn path_types(&self) -> Vec<PathType> {
        Vec::new()
    }
}

/// The result of an `on_connect` hook: `()` or `Result<(), Close>`.
#[diagnostic::on_unimplemented(
    message = "an `on_connect` hook cannot return `{Self}`",
    label = "not an admission",
    note = "return `()`, or `Result<(), Close>` to refuse connections"
)]
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

/// A hook that does nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoHook;

impl<S: Sync> OnConnect<S> for NoHook {
    async fn connected(&self, _connection: Connection, _state: &S) -> Result<(), Close> {
        Ok(())
    }
}

impl<S: Sync> OnDisconnect<S> for NoHook {
    async fn disconnected(&self, _ended: Ended, _state: &S) {}
}

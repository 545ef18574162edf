//! Sets of routes: parts of a channel that modules declare.

mod keys;

pub use self::keys::{Both, Duplicates, Key, Keyed, Keys, both, proof, proven};
use crate::{
    Backend,
    describe::TargetInfo,
    middleware::{Middleware, Stack},
    scope::Absent,
};

/// A set of routes, which [`routes!`](crate::routes!) declares.
///
/// A channel takes sets from other modules with `routes = [..]`, and answers their keys as if its own `match` had them.
/// `S` is the type of the gateway's state.
///
/// ```
/// use wasabi::prelude::*;
///
/// mod orders {
///     use wasabi::prelude::*;
///
///     #[backend]
///     async fn place(order: Text) -> String {
///         format!("placed {order}")
///     }
///
///     pub fn routes() -> impl Routes {
///         routes!(match key {
///             "orders.place" => place,
///             "orders.cancel" => async || "cancelled",
///         })
///     }
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/action"),
///     routes = [orders::routes()],
///     match key {
///         "ping" => async || "pong",
///         _ => NoRoute,
///     },
/// ));
/// assert!(gateway.check().is_ok());
/// ```
///
/// A set is also a [`Backend`], which answers `no_route` to all other keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of routes for a gateway whose state is `{S}`",
    label = "cannot stand in `routes = [..]`",
    note = "`routes!({S}, match key {{ .. }})` makes a set of routes; a function returns it as `impl Routes<{S}>`"
)]
pub trait Routes<S = ()>: Backend<S> + Keyed + Described + 'static {}

/// What a set of routes declares.
pub trait Described {
    /// The routes with what is around them.
    const INFO: TargetInfo;
}

/// What a set declares, known by its type.
pub const fn info<R: Described>(_set: &R) -> TargetInfo {
    R::INFO
}

impl<S: Sync, M: Middleware + 'static, R: Routes<S>> Routes<S> for Stack<M, R> {}

impl<M, R: Keyed> Keyed for Stack<M, R> {
    const KEYS: &'static Keys = R::KEYS;
}

/// Without the names of its middleware, which only the macro knows.
impl<M, R: Described> Described for Stack<M, R> {
    const INFO: TargetInfo = R::INFO;
}

/// Stands for a set that is configured out, or a mistake.
impl<S: Sync> Routes<S> for Absent {}

impl Keyed for Absent {
    const KEYS: &'static Keys = &Keys::NONE;
}

impl Described for Absent {
    const INFO: TargetInfo = TargetInfo::Match { routes: &[] };
}

//! Sets of routes: parts of a channel that modules declare.

mod keys;
mod table;

use std::marker::PhantomData;

pub use self::{
    keys::{Both, Duplicates, Key, Keyed, Keys, both, proof, proven},
    table::RouteTable,
};
use crate::{
    Backend, Lifecycle, Reply, Request, Result,
    absent::Absent,
    describe::TargetInfo,
    middleware::{MiddlewareFor, Stack},
    request::Route,
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

/// What `routes!` says of its routes.
pub trait Declares: 'static {
    /// Their keys.
    const KEYS: &'static Keys;
    /// Their description.
    const INFO: TargetInfo;
}

/// The routes that `routes!` has made, with what it says of them.
#[derive(Debug)]
pub struct Set<B, D>(B, PhantomData<fn() -> D>);

impl<B, D: Declares> Set<B, D> {
    /// Declares routes.
    pub const fn new(routes: B) -> Self {
        Self(routes, PhantomData)
    }
}

impl<S: Sync, B: Backend<S>, D: Declares> Backend<S> for Set<B, D> {
    #[inline]
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        self.0.call(req, state)
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.0.owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        self.0.owes_reply_on(req, path)
    }

    #[inline]
    fn route(&self, key: &str) -> Option<Route> {
        self.0.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.0.lifecycle(visit);
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        self.0.describe(to);
    }
}

impl<S: Sync, B: Backend<S> + 'static, D: Declares> Routes<S> for Set<B, D> {}

impl<B, D: Declares> Keyed for Set<B, D> {
    const KEYS: &'static Keys = D::KEYS;
}

impl<B, D: Declares> Described for Set<B, D> {
    const INFO: TargetInfo = D::INFO;
}

impl<S: Sync, M: MiddlewareFor<S> + 'static, R: Routes<S>> Routes<S> for Stack<M, R> {}

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

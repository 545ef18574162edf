//! Reports one error per expression that does not meet its bound.
//!
//! `routes(&scope, expr).checked(RouteSet::MET)` is the value of the expression if it is a set of routes. If it is not,
//! that method does not exist, and the one behind `Deref` is found instead. It takes the constant of another type: the
//! bound fails where the constant is named, on the user's expression. It returns a stand-in that meets the bound, so that
//! the code around it does not fail again.
//!
//! No method here has the bound itself. The compiler would tell the user of the method, and show this file.
//!
//! `#[backend]` and `#[middleware]` have reported what is wrong with a function there, so only what the state lacks is
//! required. What they have accepted, though, may exist for some states only: all of it is required of this one. If they
//! have not, the program does not compile whatever is required here.
// Long: one kind of value after the other, each in the same few lines.

use std::{marker::PhantomData, ops::Deref};

use tower::layer::util::Identity;

use super::{
    Absent, Scope,
    met::Met,
    takes::{Takes, TakesExtractors, Untaken},
};
use crate::{
    Backend, ErrorFormat, JsonRpc, MiddlewareFor, Parser, Protocol, Raw, Routes,
    channel::hooks::{NoHook, OnConnect, OnDisconnect},
    middleware::http::HttpMiddleware,
};

/// A value that must be a `K`, in a gateway with state `S`.
#[derive(Debug)]
pub struct Probe<K, S, T>(Unknown<K, S, T>);

/// A value that does not meet the bound itself: a function that makes one that does, or a value that cannot be checked,
/// because the state itself is a mistake.
#[derive(Debug)]
pub struct Unknown<K, S, T> {
    value: T,
    unmet: Unmet<K, S, T>,
}

/// A value that does not meet the bound, but has an attribute that has accepted it.
#[derive(Debug)]
pub struct Unmet<K, S, T>(Reported<K, S, T>);

/// A value that has an attribute that has reported it.
#[derive(Debug)]
pub struct Reported<K, S, T>(Mistake<K, S, T>);

/// A value that does not meet its bound.
#[derive(Debug)]
pub struct Mistake<K, S, T>(PhantomData<Parameters<K, S, T>>);

type Parameters<K, S, T> = fn() -> (K, S, T);

/// What is required of a target: what an attribute has checked, what it has left, and the target.
pub(super) type Target<S, T = Absent, Seen = (), Left = ()> =
    (Met<Seen, S>, Met<Left, S>, Met<T, S>);

/// The same of a request middleware.
type RequestLayer<S, T = Absent, Seen = (), Left = ()> = (Met<Seen, S>, Met<Left, S>, Met<T>);

impl<K, S, T> Probe<K, S, T> {
    fn new(_scope: &Scope<S>, value: T) -> Self {
        let unmet = Unmet::new();
        Self(Unknown { value, unmet })
    }
}

impl<K, S, T> Unmet<K, S, T> {
    pub(super) const fn new() -> Self {
        Self(Reported(Mistake(PhantomData)))
    }
}

impl<K, S, T> Deref for Probe<K, S, T> {
    type Target = Unknown<K, S, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K, S, T> Deref for Unknown<K, S, T> {
    type Target = Unmet<K, S, T>;

    fn deref(&self) -> &Self::Target {
        &self.unmet
    }
}

impl<K, S, T> Deref for Unmet<K, S, T> {
    type Target = Reported<K, S, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K, S, T> Deref for Reported<K, S, T> {
    type Target = Mistake<K, S, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The kind of a gateway's state.
#[derive(Debug)]
pub struct IsState;

/// Replaces an invalid state.
#[derive(Debug, Clone, Copy)]
pub struct NoState;

/// The state of a gateway.
pub fn state<S>(state: S) -> Probe<IsState, (), S> {
    Probe::new(&Scope::of(&()), state)
}

impl<S: Clone + Send + Sync + 'static> Probe<IsState, (), S> {
    /// The value.
    pub fn checked(self, _: Met<Absent>) -> S {
        self.0.value
    }
}

impl<S> Mistake<IsState, (), S> {
    /// Requires the bound.
    pub fn checked(&self, _: Met<S>) -> NoState {
        NoState
    }
}

/// The kind of a target.
#[derive(Debug)]
pub struct IsBackend;

/// A target.
#[cfg(not(feature = "schema"))]
pub fn backend<S, T, B>(
    scope: &Scope<S>,
    target: T,
    into: fn(T, &Scope<S>) -> B,
) -> Probe<IsBackend, S, B> {
    Probe::new(scope, into(target, scope))
}

#[cfg(not(feature = "schema"))]
impl<S, T: Backend<S>> Probe<IsBackend, S, T> {
    /// The value. The compiler reports at the user's expression what it borrows, and shows the line of the bound.
    pub fn checked(self, _: Target<S, T>) -> T
    where
        T: 'static, // owns all it uses: `move |..| { let x = x.clone(); async move { .. } }`
    {
        self.0.value
    }
}

#[cfg(not(feature = "schema"))]
impl<T> Unknown<IsBackend, NoState, T> {
    /// Requires nothing.
    pub fn checked(&self, _: Target<NoState>) -> Absent {
        Absent
    }
}

impl<S, T: TakesExtractors<Seen: Takes<()>>> Unmet<IsBackend, S, T> {
    /// Requires all that the function takes.
    pub fn checked(&self, _: Target<S, Absent, T::Seen, T::Left>) -> Absent {
        Absent
    }
}

impl<S, T: TakesExtractors> Reported<IsBackend, S, T> {
    /// Requires what only the state decides about.
    pub fn checked(&self, _: Target<S, Absent, (), T::Left>) -> Absent {
        Absent
    }
}

impl<S, T> Mistake<IsBackend, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: Target<S, T>) -> Absent {
        Absent
    }
}

/// What every backend is. Required in place of [`Backend`], so that the error does not list the implementors of it.
pub trait IsTarget<S>: Sized {
    /// Says so.
    const MET: Met<Self, S> = Met::new();
}

impl<S, T: Backend<S>> IsTarget<S> for T {}

/// The kind of a set of routes.
#[derive(Debug)]
pub struct IsRoutes;

/// A set of routes.
pub fn routes<S, T>(scope: &Scope<S>, set: T) -> Probe<IsRoutes, S, T> {
    Probe::new(scope, set)
}

impl<S, T: Routes<S>> Probe<IsRoutes, S, T> {
    /// The value.
    pub fn checked(self, _: Met<Absent, S>) -> T {
        self.0.value
    }
}

impl<T> Unknown<IsRoutes, NoState, T> {
    /// Requires nothing.
    pub fn checked(&self, _: Met<Absent, NoState>) -> Absent {
        Absent
    }
}

impl<S, T> Mistake<IsRoutes, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: Met<T, S>) -> Absent {
        Absent
    }
}

/// The kind of a request middleware.
#[derive(Debug)]
pub struct IsMiddleware;

/// A request middleware.
pub fn middleware<S, T>(scope: &Scope<S>, middleware: T) -> Probe<IsMiddleware, S, T> {
    Probe::new(scope, middleware)
}

impl<S, T: MiddlewareFor<S>> Probe<IsMiddleware, S, T> {
    /// The value. The compiler reports at the user's expression what it borrows, and shows the line of the bound.
    pub fn checked(self, _: RequestLayer<S>) -> T
    where
        T: 'static, // owns all it uses: clone values before, and write `move |..|`
    {
        self.0.value
    }
}

/// Such a function without other arguments.
impl<S, T: Fn() -> M, M: TakesExtractors + MiddlewareFor<S>> Unknown<IsMiddleware, S, T> {
    /// The value that the function makes.
    pub fn checked(&self, _: RequestLayer<S>) -> M {
        (self.value)()
    }
}

impl<S, T: TakesExtractors<Seen: Takes<()>>> Unmet<IsMiddleware, S, T> {
    /// Requires all that the function takes.
    pub fn checked(&self, _: RequestLayer<S, Absent, T::Seen, T::Left>) -> Untaken {
        Untaken
    }
}

impl<S, T: TakesExtractors> Reported<IsMiddleware, S, T> {
    /// Requires what only the state decides about.
    pub fn checked(&self, _: RequestLayer<S, Absent, (), T::Left>) -> Untaken {
        Untaken
    }
}

impl<S, T> Mistake<IsMiddleware, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: RequestLayer<S, T>) -> Absent {
        Absent
    }
}

/// The kind of an HTTP middleware.
#[derive(Debug)]
pub struct IsHttpMiddleware;

/// An HTTP middleware.
pub fn http<S, T>(scope: &Scope<S>, middleware: T) -> Probe<IsHttpMiddleware, S, T> {
    Probe::new(scope, middleware)
}

impl<S, T: HttpMiddleware> Probe<IsHttpMiddleware, S, T> {
    /// The value.
    pub fn checked(self, _: fn(&T) -> Vec<String>) -> T {
        self.0.value
    }
}

/// What `#[middleware(http)]` makes of a function without arguments before the request.
impl<S, T: Fn() -> L, L: HttpMiddleware> Unknown<IsHttpMiddleware, S, T> {
    /// The value that the function makes.
    pub fn checked(&self, _: fn(&L) -> Vec<String>) -> L {
        (self.value)()
    }
}

impl<S, T> Mistake<IsHttpMiddleware, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: fn(&T) -> Vec<String>) -> Identity {
        Identity::new()
    }
}

/// The kind of a request parser.
#[derive(Debug)]
pub struct IsParser;

/// A request parser.
pub fn parser<S, T>(scope: &Scope<S>, parser: T) -> Probe<IsParser, S, T> {
    Probe::new(scope, parser)
}

impl<S, T: Parser> Probe<IsParser, S, T> {
    /// The value.
    pub fn checked(self, _: fn(&T) -> ErrorFormat) -> T {
        self.0.value
    }
}

impl<S, T> Mistake<IsParser, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: fn(&T) -> ErrorFormat) -> Raw {
        Raw
    }
}

/// The kind of a protocol.
#[derive(Debug)]
pub struct IsProtocol;

/// A protocol.
pub fn protocol<S, T>(scope: &Scope<S>, protocol: T) -> Probe<IsProtocol, S, T> {
    Probe::new(scope, protocol)
}

impl<S, T: Protocol> Probe<IsProtocol, S, T> {
    /// The value.
    pub fn checked(self, _: fn(&T) -> Result<(), String>) -> T {
        self.0.value
    }
}

impl<S, T> Mistake<IsProtocol, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: fn(&T) -> Result<(), String>) -> JsonRpc {
        JsonRpc::new()
    }
}

/// The kind of an `on_connect` hook.
#[derive(Debug)]
pub struct IsOnConnect;

/// An `on_connect` hook.
pub fn on_connect<S, T, H>(
    scope: &Scope<S>,
    hook: T,
    into: fn(T, &Scope<S>) -> H,
) -> Probe<IsOnConnect, S, H> {
    Probe::new(scope, into(hook, scope))
}

impl<S, T: OnConnect<S>> Probe<IsOnConnect, S, T> {
    /// The value.
    pub fn checked(self, _: Met<T, S>) -> T {
        self.0.value
    }
}

impl<T> Unknown<IsOnConnect, NoState, T> {
    /// Requires nothing.
    pub fn checked(&self, _: Met<NoHook, NoState>) -> NoHook {
        NoHook
    }
}

impl<S, T> Mistake<IsOnConnect, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: Met<T, S>) -> NoHook {
        NoHook
    }
}

/// What every `on_connect` hook is. Required in place of [`OnConnect`], so that the error does not list its implementors.
pub trait ConnectHook<S>: Sized {
    /// Says so.
    const MET: Met<Self, S> = Met::new();
}

impl<S, T: OnConnect<S>> ConnectHook<S> for T {}

/// The kind of an `on_disconnect` hook.
#[derive(Debug)]
pub struct IsOnDisconnect;

/// An `on_disconnect` hook.
pub fn on_disconnect<S, T, H>(
    scope: &Scope<S>,
    hook: T,
    into: fn(T, &Scope<S>) -> H,
) -> Probe<IsOnDisconnect, S, H> {
    Probe::new(scope, into(hook, scope))
}

impl<S, T: OnDisconnect<S>> Probe<IsOnDisconnect, S, T> {
    /// The value.
    pub fn checked(self, _: Met<T, S>) -> T {
        self.0.value
    }
}

impl<T> Unknown<IsOnDisconnect, NoState, T> {
    /// Requires nothing.
    pub fn checked(&self, _: Met<NoHook, NoState>) -> NoHook {
        NoHook
    }
}

impl<S, T> Mistake<IsOnDisconnect, S, T> {
    /// Requires the bound.
    pub fn checked(&self, _: Met<T, S>) -> NoHook {
        NoHook
    }
}

/// What every `on_disconnect` hook is. Required in place of [`OnDisconnect`], so that the error does not list its
/// implementors.
pub trait DisconnectHook<S>: Sized {
    /// Says so.
    const MET: Met<Self, S> = Met::new();
}

impl<S, T: OnDisconnect<S>> DisconnectHook<S> for T {}

/// Implemented for no type of a user. Required in place of [`Routes`], whose own error would list everything that it consists of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of routes for a gateway whose state is `{S}`",
    label = "cannot stand in `routes = [..]`",
    note = "`routes!({S}, match key {{ .. }})` makes a set of routes; a function returns it as `impl Routes<{S}>`"
)]
pub trait RouteSet<S>: Sized {
    /// Says so.
    const MET: Met<Self, S> = Met::new();
}

#[diagnostic::do_not_recommend]
impl<S> RouteSet<S> for Absent {}

/// Implemented for no type of a user. Required in place of `crate::Middleware`, whose own error would list all its implementors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request middleware",
    label = "is not allowed in `middleware = [..]`",
    note = "annotate an `async fn(req: Request, next: impl Next) -> Result<Reply>` with `#[middleware]`, or implement `Middleware`",
    note = "write its arguments, if it has any: `limit(100)`; what it takes from the request is marked: `#[extract] user: User`",
    note = "HTTP middleware, such as a tower layer, belongs in `http = [..]`"
)]
pub trait RequestMiddleware: Sized {
    /// Says so.
    const MET: Met<Self> = Met::new();
}

#[diagnostic::do_not_recommend]
impl RequestMiddleware for Absent {}

/// Implemented for no type of a user. Required when a state lacks one of its bounds, which would otherwise give one error each.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of a gateway",
    label = "not `Clone + Send + Sync + 'static`",
    note = "connections on all threads share the state: derive `Clone`, or write `Arc::new(..)`; inside, use `Arc` instead of `Rc`, and `Mutex` instead of `Cell` and `RefCell`"
)]
pub trait GatewayState: Sized {
    /// Says so.
    const MET: Met<Self> = Met::new();
}

#[diagnostic::do_not_recommend]
impl GatewayState for Absent {}

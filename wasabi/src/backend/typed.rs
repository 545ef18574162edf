//! Targets whose messages are declared, with the cargo feature `schema`.

use std::fmt;

#[cfg(feature = "queue")]
use super::queue::{Queue, Transport};
use super::{Backend, Http, Lifecycle, WebSocket};
use crate::{
    IntoReply, Reply, Request, Result,
    extract::{FromRequest, HasSchema},
    request::Route,
    schema::{Describer, Input, Output},
};

/// A target with the types of its messages, as if it were a function with one argument of the type `Req` that returns
/// `Rep`.
///
/// What a service behind [`Http`], [`WebSocket`] or [`Queue`] takes and answers is not in the declaration. `typed` says it
/// for [`Gateway::operations`](crate::Gateway::operations) and [`Gateway::asyncapi`](crate::Gateway::asyncapi); `new` says
/// it of a [`Backend`] of your own. Nothing else changes, and nothing is checked or converted at run time.
///
/// `Req` is an extractor for messages: [`Json<T>`](crate::Json), [`Params<T>`](crate::Params), [`Text`](crate::Text),
/// [`Binary`](crate::Binary). `Rep` is what a function may return: the same types, `Option` and `Vec` of them,
/// [`Replies`](crate::Replies), `()`. The `T` of `Json<T>` and `Params<T>` has to implement
/// [`JsonSchema`](schemars::JsonSchema).
///
/// ```
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
/// use wasabi::prelude::*;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Order {
///     item: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Receipt {
///     price: u64,
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/action"),
///     match key {
///         "order.place" => Http::post("http://orders:8080/").timeout(2s).typed::<Json<Order>, Json<Receipt>>(),
///         _ => NoRoute,
///     },
/// ));
/// let receipt = gateway.operations()[0].answers()[0].output.schema().unwrap();
/// assert_eq!(receipt["properties"]["price"]["type"], "integer");
/// ```
#[must_use = "a backend does nothing until a route uses it"]
pub struct Typed<B> {
    target: B,
    types: fn() -> (Input, Output),
}

impl<B> Typed<B> {
    /// Says what this target takes and answers: `Typed::new::<Json<Order>, Json<Receipt>>(Mine)`.
    pub fn new<Req, Rep>(target: B) -> Self
    where
        Req: FromRequest<()> + HasSchema,
        Rep: IntoReply + HasSchema,
    {
        let types = || {
            let (output, _) = Rep::output(None);
            (Req::input().of(Req::SCHEMA), output.of(Rep::SCHEMA))
        };
        Self { target, types }
    }
}

impl<T> Http<T> {
    /// Says what the service takes and answers, for the description of the gateway; see [`Typed`]. It comes after all
    /// settings. Requires the cargo feature `schema`.
    pub fn typed<Req, Rep>(self) -> Typed<Self>
    where
        Req: FromRequest<()> + HasSchema,
        Rep: IntoReply + HasSchema,
    {
        Typed::new::<Req, Rep>(self)
    }
}

impl WebSocket {
    /// Says what the server takes and answers, for the description of the gateway; see [`Typed`]. It comes after all
    /// settings. Requires the cargo feature `schema`.
    pub fn typed<Req, Rep>(self) -> Typed<Self>
    where
        Req: FromRequest<()> + HasSchema,
        Rep: IntoReply + HasSchema,
    {
        Typed::new::<Req, Rep>(self)
    }
}

#[cfg(feature = "queue")]
impl<T: Transport> Queue<T> {
    /// Says what the workers take and answer, for the description of the gateway; see [`Typed`]. It comes after all
    /// settings. Requires the cargo feature `schema`.
    pub fn typed<Req, Rep>(self) -> Typed<Self>
    where
        Req: FromRequest<()> + HasSchema,
        Rep: IntoReply + HasSchema,
    {
        Typed::new::<Req, Rep>(self)
    }
}

impl<S: Sync, B: Backend<S>> Backend<S> for Typed<B> {
    #[inline]
    fn call(&self, req: Request, state: &S) -> impl Future<Output = Result<Reply>> + Send {
        self.target.call(req, state)
    }

    fn owes_reply(&self, req: &Request) -> bool {
        self.target.owes_reply(req)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        self.target.owes_reply_on(req, path)
    }

    fn route(&self, key: &str) -> Option<Route> {
        self.target.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.target.lifecycle(visit);
    }

    fn describe(&self, to: &mut Describer) {
        let (input, output) = (self.types)();
        to.typed(input, output, &|to| self.target.describe(to));
    }
}

impl<B: fmt::Debug> fmt::Debug for Typed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

//! Functions whose types are known, with the cargo feature `schema`.
//!
//! What is known is a type, and no value: no backend grows by it.

use std::{fmt, marker::PhantomData};

use super::{Backend, Lifecycle};
use crate::{
    Reply, Request, Result,
    request::Route,
    schema::{Codes, Describer, SchemaFn, Schemas},
};

/// What is known of a function.
pub trait Knows: 'static {
    /// The documentation comment.
    const DOCS: &'static str = "";

    /// The schemas of its arguments.
    fn inputs() -> Schemas {
        Box::default()
    }

    /// The schema of its reply.
    fn output() -> Option<SchemaFn> {
        None
    }

    /// The codes of its error type.
    fn failing() -> Option<Codes> {
        None
    }
}

/// What is known of the function `H`. Its type does not have `H` in it: that of a router has those of hundreds of functions.
pub trait KnowsOf<H>: 'static {
    /// The documentation comment.
    const DOCS: &'static str;

    /// The schemas of its arguments.
    fn inputs() -> Schemas;

    /// The schema of its reply.
    fn output() -> Option<SchemaFn>;

    /// The codes of its error type.
    fn failing() -> Option<Codes>;
}

/// A function of which `K` tells what is known.
pub struct Told<B, K>(B, PhantomData<fn() -> K>);

impl<B, K> Told<B, K> {
    /// Adds what is known.
    pub const fn new(backend: B) -> Self {
        Self(backend, PhantomData)
    }
}

impl<B: fmt::Debug, K> fmt::Debug for Told<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Sync, B: Backend<S>, K: KnowsOf<B>> Backend<S> for Told<B, K> {
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

    fn route(&self, key: &str) -> Option<Route> {
        self.0.route(key)
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.0.lifecycle(visit);
    }

    fn describe(&self, to: &mut Describer) {
        to.knowing(K::inputs(), K::output(), K::DOCS, K::failing(), &|to| {
            self.0.describe(to);
        });
    }
}

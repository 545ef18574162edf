//! Functions whose types are known, with the cargo feature `schema`.
//!
//! What is known is a type, and no value: no backend grows by it.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Answer, Backend, HandlerFn, Lifecycle};
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

impl<S: Sync, B: Backend<S>, K: Knows> Backend<S> for Told<B, K> {
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

/// The types of a function.
pub trait Returns {
    /// The future.
    type Future;
    /// Its output.
    type Reply;
}

macro_rules! returns {
    ($($arg:ident)*) => {
        impl<F, Fut, $($arg,)*> Returns for HandlerFn<F, ($($arg,)*)>
        where
            F: Fn($($arg),*) -> Fut,
            Fut: Answer,
        {
            type Future = Fut;
            type Reply = Fut::Reply;
        }
    };
}

returns!();
returns!(A1);
returns!(A1 A2);
returns!(A1 A2 A3);
returns!(A1 A2 A3 A4);
returns!(A1 A2 A3 A4 A5);
returns!(A1 A2 A3 A4 A5 A6);
returns!(A1 A2 A3 A4 A5 A6 A7);
returns!(A1 A2 A3 A4 A5 A6 A7 A8);
returns!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
returns!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);

/// The future of a `#[backend]` function, which tells what the attribute knows of the function.
pub trait Tells {
    /// What it knows.
    type Known: Knows;
}

pin_project! {
    /// A future that tells.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Telling<F, K> {
        #[pin]
        future: F,
        known: PhantomData<fn() -> K>,
    }
}

/// Lets a future tell.
pub fn telling<F: Future, K: Knows>(future: F) -> Telling<F, K> {
    Telling {
        future,
        known: PhantomData,
    }
}

impl<F, K> fmt::Debug for Telling<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telling")
    }
}

impl<F: Future, K> Future for Telling<F, K> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F, K: Knows> Tells for Telling<F, K> {
    type Known = K;
}

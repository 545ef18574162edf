//! The futures of `#[backend]` functions.
//!
//! Nothing else of such a function comes along wherever it is imported, under whatever name: its own type can have no `impl`,
//! an item beside it stays behind, and one of the same name could be a module of the user's. So the type of the future has
//! what the attribute knows.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::TakesExtractors;
#[cfg(feature = "schema")]
use crate::backend::Knows;
use crate::backend::{HandlerFn, Returns};

/// What the attribute knows of a function: the extractors that it has checked, and those that the state decides about, as
/// nested pairs; `K` is what it knows besides.
#[derive(Debug)]
pub struct Attribute<Seen, Left, K = ()>(PhantomData<Parameters<Seen, Left, K>>);

type Parameters<Seen, Left, K> = fn() -> (Seen, Left, K);

pin_project! {
    /// A future of a function with the attribute `A`.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Attributed<F, A> {
        #[pin]
        future: F,
        attribute: PhantomData<fn() -> A>,
    }
}

/// Adds what the attribute knows to a future. The second argument compiles if the future can move between threads: the
/// compiler reports at the user's function that it cannot, and has no bound of this function to show.
#[inline]
pub const fn attributed<F: Future, A>(
    future: F,
    _can_move: fn(&F) -> &(dyn Send + '_),
) -> Attributed<F, A> {
    Attributed {
        future,
        attribute: PhantomData,
    }
}

impl<F, A> fmt::Debug for Attributed<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attributed")
    }
}

impl<F: Future, A> Future for Attributed<F, A> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

impl<F, Seen, Left, K> TakesExtractors for Attributed<F, Attribute<Seen, Left, K>> {
    type Seen = Seen;
    type Left = Left;
}

impl<F, Args> TakesExtractors for HandlerFn<F, Args>
where
    Self: Returns<Future: TakesExtractors>,
{
    type Seen = <<Self as Returns>::Future as TakesExtractors>::Seen;
    type Left = <<Self as Returns>::Future as TakesExtractors>::Left;
}

/// A future that tells what is known of its function.
#[cfg(feature = "schema")]
pub trait Tells {
    /// What is known.
    type Known: Knows;
}

#[cfg(feature = "schema")]
impl<F, Seen, Left, K: Knows> Tells for Attributed<F, Attribute<Seen, Left, K>> {
    type Known = K;
}

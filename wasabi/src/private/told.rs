//! With the cargo feature `schema`: what is known of the types of a function, asked where they are concrete, at the user's
//! expression.
//!
//! `backend(&scope, place, ..).checked(..)`: there are methods of that name on several types, one behind the other by
//! `Deref`, whose bounds require less and less. The compiler takes the first whose bounds hold. None of them is a
//! mistake: that is left to what [`probe`](super::probe) does without the feature, at the end.

#[path = "told/has_schema.rs"]
mod has_schema;

use std::{cell::Cell, marker::PhantomData, ops::Deref};

pub use self::has_schema::{AllHaveSchemas, FirstHasSchema, LastHasSchema};
use super::{
    Absent, Scope,
    attributed::Tells,
    probe::{self, IsBackend, NoState, Unmet},
};
use crate::{
    Backend,
    backend::{HandlerFn, Knows, KnowsOf, Returns, Told},
    extract::HasSchema,
    schema::{Codes, ErrorCodes, SchemaFn, Schemas},
};

/// What is known of a function: by `I` of its arguments, by `O` of its reply.
#[derive(Debug)]
pub struct Known<I, O>(PhantomData<(I, O)>);

/// By the attribute.
#[derive(Debug)]
pub struct ByAttribute;
/// Of all of them.
#[derive(Debug)]
pub struct All;
/// Of the first.
#[derive(Debug)]
pub struct First;
/// Of the last.
#[derive(Debug)]
pub struct Last;
/// Nothing.
#[derive(Debug)]
pub struct Nothing;

/// What is known of the arguments of `H`.
pub trait OfInputs<H>: 'static {
    /// The documentation comment.
    const DOCS: &'static str = "";

    /// The schemas.
    fn inputs() -> Schemas {
        Box::default()
    }

    /// The codes of the error type.
    fn failing() -> Option<Codes> {
        None
    }
}

/// What is known of the reply of `H`.
pub trait OfOutput<H>: 'static {
    /// The schema.
    fn output() -> Option<SchemaFn> {
        None
    }
}

impl<H> OfInputs<H> for Nothing {}
impl<H> OfOutput<H> for Nothing {}

impl<H: Returns<Future: Tells>> OfInputs<H> for ByAttribute {
    const DOCS: &'static str = <H::Future as Tells>::Known::DOCS;

    fn inputs() -> Schemas {
        <H::Future as Tells>::Known::inputs()
    }

    fn failing() -> Option<Codes> {
        <H::Future as Tells>::Known::failing()
    }
}

impl<F, Args: AllHaveSchemas> OfInputs<HandlerFn<F, Args>> for All {
    fn inputs() -> Schemas {
        Args::schemas()
    }
}

impl<F, Args: FirstHasSchema> OfInputs<HandlerFn<F, Args>> for First {
    fn inputs() -> Schemas {
        Args::schemas()
    }
}

impl<F, Args: LastHasSchema> OfInputs<HandlerFn<F, Args>> for Last {
    fn inputs() -> Schemas {
        Args::schemas()
    }
}

impl<H: Returns<Reply: HasSchema>> OfOutput<H> for All {
    fn output() -> Option<SchemaFn> {
        H::Reply::SCHEMA
    }
}

impl<H, I: OfInputs<H>, O: OfOutput<H>> KnowsOf<H> for Known<I, O> {
    const DOCS: &'static str = I::DOCS;

    fn inputs() -> Schemas {
        I::inputs()
    }

    fn output() -> Option<SchemaFn> {
        O::output()
    }

    fn failing() -> Option<Codes> {
        I::failing()
    }
}

/// That this is known of `T`, which is a backend. One bound, because the compiler asks for each of them, in each step, for
/// each route: first for what mostly fails.
pub trait HoldsOf<S, T> {}

impl<S, T, I, O> HoldsOf<S, T> for Known<I, O>
where
    I: OfInputs<T>,
    O: OfOutput<T>,
    T: Backend<S>,
{
}

/// A target.
pub fn backend<S, T, B>(
    scope: &Scope<S>,
    target: T,
    into: fn(T, &Scope<S>) -> B,
) -> AttributeAndReply<S, B> {
    let target = Target {
        value: Cell::new(Some(into(target, scope))),
        stateless: Stateless(Unmet::new()),
    };
    AttributeAndReply(Attribute(AllAndReply(AllArguments(LastAndReply(
        LastArgument(FirstAndReply(FirstArgument(OnlyReply(target)))),
    )))))
}

/// A target of which nothing is known, or a backend that is no function.
pub struct Target<S, T> {
    value: Cell<Option<T>>,
    stateless: Stateless<S, T>,
}

impl<S, T> Target<S, T> {
    fn take(&self) -> T {
        let Some(value) = self.value.take() else {
            unreachable!("a target is checked once");
        };
        value
    }
}

impl<S, T: Backend<S>> Target<S, T> {
    /// The value. The compiler reports at the user's expression what it borrows, and shows the line of the bound.
    pub fn checked(&self, _: probe::Target<S, T>) -> T
    where
        T: 'static, // owns all it uses: `move |..| { let x = x.clone(); async move { .. } }`
    {
        self.take()
    }
}

impl<S, T> Deref for Target<S, T> {
    type Target = Stateless<S, T>;

    fn deref(&self) -> &Self::Target {
        &self.stateless
    }
}

impl<S, T> std::fmt::Debug for Target<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target")
    }
}

/// A target that cannot be checked, because the state itself is a mistake.
#[derive(Debug)]
pub struct Stateless<S, T>(Unmet<IsBackend, S, T>);

impl<T> Stateless<NoState, T> {
    /// Requires nothing.
    pub fn checked(&self, _: probe::Target<NoState>) -> Absent {
        Absent
    }
}

impl<S, T> Deref for Stateless<S, T> {
    type Target = Unmet<IsBackend, S, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The types on the way to [`Target`], and what each of them knows of the arguments and of the reply.
macro_rules! steps {
    ($($(#[$doc:meta])* $step:ident > $next:ident: $inputs:ident, $output:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $step<S, T>($next<S, T>);

        impl<S, T> Deref for $step<S, T> {
            type Target = $next<S, T>;

            fn deref(&self) -> &$next<S, T> {
                &self.0
            }
        }

        impl<S, T> $step<S, T>
        where
            Known<$inputs, $output>: HoldsOf<S, T>,
        {
            /// The value, with what is known of it. The compiler shows the line of the bound.
            pub fn checked(&self, _: probe::Target<S, T>) -> Told<T, Known<$inputs, $output>>
            where
                T: 'static, // owns all it uses: `move |..| { let x = x.clone(); async move { .. } }`
            {
                Told::new(self.take())
            }
        }
    )*};
}

steps! {
    /// The attribute `#[backend]` and the type of the reply know.
    AttributeAndReply > Attribute: ByAttribute, All;
    /// The attribute knows.
    Attribute > AllAndReply: ByAttribute, Nothing;
    /// All arguments and the reply know.
    AllAndReply > AllArguments: All, All;
    /// All arguments know.
    AllArguments > LastAndReply: All, Nothing;
    /// The last argument and the reply know: one before it is an extractor of the application.
    LastAndReply > LastArgument: Last, All;
    /// The last argument knows.
    LastArgument > FirstAndReply: Last, Nothing;
    /// The first argument and the reply know.
    FirstAndReply > FirstArgument: First, All;
    /// The first argument knows.
    FirstArgument > OnlyReply: First, Nothing;
    /// The reply knows.
    OnlyReply > Target: Nothing, All;
}

/// A type that is asked.
#[derive(Debug)]
pub struct Asked<T>(Anything<T>);

/// A type that knows nothing.
#[derive(Debug)]
pub struct Anything<T>(PhantomData<fn() -> T>);

/// Asks a type in a signature.
pub const fn ask<T>() -> Asked<T> {
    Asked(Anything(PhantomData))
}

impl<T> Deref for Asked<T> {
    type Target = Anything<T>;

    fn deref(&self) -> &Anything<T> {
        &self.0
    }
}

impl<T: HasSchema> Asked<T> {
    /// The schema.
    pub fn schema(&self) -> Option<SchemaFn> {
        T::SCHEMA
    }
}

impl<T, E: ErrorCodes> Asked<Result<T, E>> {
    /// The codes of the error.
    pub fn codes(&self) -> Option<Codes> {
        Some(Codes::of(E::CODES))
    }
}

impl<T> Anything<T> {
    /// Unknown.
    pub fn schema(&self) -> Option<SchemaFn> {
        None
    }

    /// Unknown.
    pub fn codes(&self) -> Option<Codes> {
        None
    }
}

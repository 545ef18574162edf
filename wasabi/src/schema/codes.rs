//! The codes of errors.

use std::collections::BTreeSet;

/// The codes of the errors that something fails with.
///
/// They are *closed* if there are no others, and *open* if code that does not say is involved: a middleware or an extractor
/// of your own, or a function whose error type does not implement [`ErrorCodes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes {
    known: BTreeSet<&'static str>,
    is_open: bool,
}

impl Codes {
    /// These and no others.
    pub fn of(known: &[&'static str]) -> Self {
        Self {
            known: known.iter().copied().collect(),
            is_open: false,
        }
    }

    /// Any.
    pub fn unknown() -> Self {
        Self::default().or_others()
    }

    /// These, and perhaps others.
    #[must_use]
    pub fn or_others(self) -> Self {
        Self {
            is_open: true,
            ..self
        }
    }

    /// Those of both.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.known.extend(&other.known);
        self.is_open |= other.is_open;
        self
    }

    /// Whether this code is among the known ones.
    pub fn contains(&self, code: &str) -> bool {
        self.known.contains(code)
    }

    /// The known codes, sorted.
    pub fn known(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.known.iter().copied()
    }

    /// Whether there may be others.
    pub fn is_open(&self) -> bool {
        self.is_open
    }
}

/// The codes of an error type: every code that its conversion into [`Error`](crate::Error) gives. The codes of functions
/// with [`#[backend]`](macro@crate::backend) that fail with this type are then closed.
///
/// ```
/// use wasabi::{Error, prelude::*, schema::ErrorCodes};
///
/// enum OrderError {
///     SoldOut,
/// }
///
/// impl From<OrderError> for Error {
///     fn from(error: OrderError) -> Self {
///         match error {
///             OrderError::SoldOut => Error::new("sold_out", "this item is sold out"),
///         }
///     }
/// }
///
/// impl ErrorCodes for OrderError {
///     const CODES: &'static [&'static str] = &["sold_out"];
/// }
///
/// #[backend]
/// async fn place(item: Text) -> Result<String, OrderError> {
///     if item.is_empty() { Err(OrderError::SoldOut) } else { Ok(format!("ordered {item}")) }
/// }
///
/// let gateway = gateway!(channel("/", place));
/// let codes = gateway.operations()[0].codes();
/// assert!(codes.contains("sold_out") && !codes.is_open());
/// ```
pub trait ErrorCodes {
    /// The codes.
    const CODES: &'static [&'static str];
}

impl ErrorCodes for std::convert::Infallible {
    const CODES: &'static [&'static str] = &[];
}

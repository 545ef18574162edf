//! What one backend takes and answers.

use std::any::type_name;

use super::{Closing, Codes, Count, Input, Output, PassedOn};

/// What one backend takes and answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answers {
    /// The backend as written in the declaration, or the name of its type.
    pub target: String,
    /// The arguments of the function; empty for other backends.
    pub inputs: Vec<Input>,
    /// What it replies.
    pub output: Output,
    /// The errors of the function and its arguments, or of the backend.
    pub codes: Codes,
    /// Whether it is a function, or a backend with declared types, so that `inputs` are all that it takes.
    pub is_typed: bool,
    /// Whether clients follow groups by it.
    pub(crate) follows: bool,
    /// What the backend takes from the client's handshake.
    pub(crate) passed_on: Vec<PassedOn>,
    pub(super) docs: &'static str,
    /// The codes with which the backend closes the client's connection, and why.
    pub(crate) closes: Vec<Closing>,
}

impl Answers {
    /// A backend of which only the codes are known.
    #[doc(hidden)]
    pub fn unknown<B: ?Sized>(codes: Codes) -> Self {
        Self {
            target: short::<B>(),
            inputs: Vec::new(),
            output: Output::unknown::<()>(),
            codes,
            is_typed: false,
            follows: false,
            passed_on: Vec::new(),
            docs: "",
            closes: Vec::new(),
        }
    }

    /// A backend that only fails.
    #[doc(hidden)]
    pub fn fails<B: ?Sized>(codes: &[&'static str]) -> Self {
        Self {
            output: Output {
                count: Count::OnlyErrors,
                ..Output::none()
            },
            is_typed: true,
            ..Self::unknown::<B>(Codes::of(codes))
        }
    }

    /// A backend by which clients follow groups.
    pub(crate) fn following<B: ?Sized>(input: Input, output: Output, codes: Codes) -> Self {
        Self {
            inputs: vec![input],
            output,
            is_typed: true,
            follows: true,
            ..Self::unknown::<B>(codes)
        }
    }

    /// A function.
    #[doc(hidden)]
    pub fn function<F: ?Sized>(inputs: Vec<Input>, output: Output, own: Codes) -> Self {
        let codes = inputs
            .iter()
            .fold(own, |codes, input| codes.and(&input.codes));
        Self {
            inputs,
            output,
            is_typed: true,
            ..Self::unknown::<F>(codes)
        }
    }
}

/// The name of a type without its path.
fn short<T: ?Sized>() -> String {
    crate::connection::path_types::short(type_name::<T>())
}

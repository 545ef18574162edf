//! The parameters of a call.

use serde::de::DeserializeOwned;

use super::Readable;
use crate::{Error, FromRequest, Request, Result};

/// The parameters of a call, deserialized, under a protocol that has parameters, such as [`JsonRpc`](crate::JsonRpc).
///
/// A struct takes them by name (`{"item":"tea","count":2}`) and by position, in the order of its fields (`["tea",2]`). A
/// tuple or an array takes them by position, also a single one: `Params<(u64,)>`. Fields with `#[serde(default)]`, and
/// an `Option` around all parameters, may be left out.
///
/// Parameters that do not fit are answered with `invalid_params`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Params<T>(pub T);

impl<S: Sync, T: Readable> FromRequest<S> for Params<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        let Some(params) = req.params() else {
            return none().map(Params);
        };
        serde_json::from_str(params)
            .or_else(|error| otherwise(params, &error))
            .map(Params)
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::read::<T>(Source::Params, &["invalid_params"])
    }
}

fn is_empty(params: &str) -> bool {
    let within = |open, close| params.strip_prefix(open)?.strip_suffix(close);
    let inside = within('[', ']').or_else(|| within('{', '}'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Parameters that do not fit may be none.
#[cold]
fn otherwise<T: DeserializeOwned>(params: &str, error: &serde_json::Error) -> Result<T> {
    match is_empty(params) {
        true => none(),
        false => Err(Error::invalid_params(error.to_string())),
    }
}

/// Left out parameters are those that a type can do without.
#[cold]
fn none<T: DeserializeOwned>() -> Result<T> {
    ["null", "[]", "{}"]
        .into_iter()
        .find_map(|empty| serde_json::from_str(empty).ok())
        .ok_or_else(|| Error::invalid_params("expected parameters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_brackets_around_nothing_are_empty() {
        for empty in ["[]", "{}", "[ ]", "{\n}"] {
            assert!(is_empty(empty), "{empty}");
        }
        // A protocol of somebody else may pass anything.
        for other in ["", "[", "1", "12", "\"\"", "[}", "[1]", "\u{fc}"] {
            assert!(!is_empty(other), "{other}");
        }
    }
}

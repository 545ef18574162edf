//! Whether a type can be read from the parameters of a path.
//!
//! Only serde knows what a type reads. So the type is read once from the names of the parameters, with a reader whose
//! errors tell a type that never fits from a value that does not.

#[cfg(test)]
mod agreement;
mod reader;
mod value;

use std::{any::type_name, cell::Cell};

use axum::extract::{
    FromRequestParts, Path, RawPathParams, path::ErrorKind, rejection::PathRejection,
};
use futures_util::FutureExt;
use http::{Extensions, request::Parts};
use serde::de::DeserializeOwned;
use wasabi_rules::{did_you_mean, list};

use self::{reader::Reader, value::Misfit};
use crate::Error;

/// A type that something reads from the path of its channel.
#[derive(Debug, Clone, Copy)]
pub struct PathType {
    /// Who reads it: the name of a function.
    reader: &'static str,
    /// The mistake, if no client can provide the type at a path with these parameters.
    mistake: fn(&[String]) -> Option<String>,
}

impl PathType {
    /// The type `T`.
    pub(crate) fn of<T: DeserializeOwned>() -> Self {
        Self {
            reader: "",
            mistake: |names| {
                let parameters = names.iter().map(|name| (name.as_str(), None));
                mistake::<T>(&parameters.collect::<Vec<_>>())
            },
        }
    }

    /// The same type, read by a function of this type.
    fn of_function<F>(self) -> Self {
        Self {
            reader: type_name::<F>(),
            ..self
        }
    }

    /// The types that a function of this type reads.
    pub(crate) fn all_of_function<F>(types: &[Option<Self>]) -> Vec<Self> {
        let types = types.iter().flatten();
        types.map(|each| each.of_function::<F>()).collect()
    }

    /// The mistake, if the type does not fit the path.
    pub(crate) fn check(&self, path: &str) -> Option<String> {
        // A malformed path is reported elsewhere.
        let names = wasabi_rules::declared_path(path).ok()?;
        let mistake = (self.mistake)(&names)?;
        Some(match self.reader {
            "" => mistake,
            reader => format!("`{reader}`: {mistake}"),
        })
    }
}

/// Reads the parameters of the path from the extensions of a handshake, where axum keeps them in a private type.
pub(super) fn read<T: DeserializeOwned + Send>(extensions: &Extensions) -> Result<T, Error> {
    if extensions.is_empty() {
        // A handshake keeps nothing of a path without parameters.
        let refused = Cell::new(None);
        let reader = Reader {
            parameters: &[],
            guesses: &[],
            refused: &refused,
        };
        let mistake = |_| Error::internal(mistake::<T>(&[]).unwrap_or_default());
        return T::deserialize(reader).map_err(mistake);
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.extensions = extensions.clone();
    match Path::from_request_parts(&mut parts, &()).now_or_never() {
        Some(Ok(Path(parameters))) => Ok(parameters),
        Some(Err(refusal)) => Err(unreadable::<T>(&mut parts, &refusal)),
        None => Err(Error::internal("the path parameters are not ready yet")),
    }
}

/// Why the parameters of a path cannot be read as `T`.
#[cold]
fn unreadable<T: DeserializeOwned>(parts: &mut Parts, refusal: &PathRejection) -> Error {
    let of_client = || Error::bad_request(refusal.body_text());
    match refusal {
        PathRejection::FailedToDeserializePathParams(why)
            if matches!(why.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
        {
            return of_client();
        }
        PathRejection::FailedToDeserializePathParams(_) => {}
        _ => return Error::internal(refusal.body_text()),
    }
    let Some(Ok(raw)) = RawPathParams::from_request_parts(parts, &()).now_or_never() else {
        return of_client();
    };
    let parameters: Vec<_> = raw
        .iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    match mistake::<T>(&parameters) {
        Some(mistake) => Error::internal(mistake),
        None => of_client(),
    }
}

/// A parameter: its name, and its value if there is one.
type Parameter<'a> = (&'a str, Option<&'a str>);

/// Why no values of these parameters are a `T`; `None` if some may be, or if that is unknown.
fn mistake<T: DeserializeOwned>(parameters: &[Parameter<'_>]) -> Option<String> {
    let mut guesses = vec![0; parameters.len()];
    loop {
        let refused = Cell::new(None);
        let reader = Reader {
            parameters,
            guesses: &guesses,
            refused: &refused,
        };
        let why = match T::deserialize(reader) {
            Ok(_) => return None,
            Err(Misfit::Value) if parameters.is_empty() => {
                "cannot be read from a path without parameters".to_owned()
            }
            Err(Misfit::Value) => {
                // The next guess for that value. Without one, the client's values decide.
                let (at, was_last) = refused.get()?;
                if was_last {
                    return None;
                }
                guesses[at] += 1;
                continue;
            }
            Err(Misfit::Count(wanted)) => count(wanted, parameters),
            Err(Misfit::Missing(field)) => missing(field, parameters),
            Err(Misfit::Unknown(name)) => {
                format!("has no field for the parameter `{name}` of the path")
            }
            Err(Misfit::Unsupported(part)) => {
                format!(
                    "contains `{}`, which no parameter of a path can be",
                    short(part)
                )
            }
        };
        return Some(format!("`Path<{}>` {why}", short(type_name::<T>())));
    }
}

fn names<'a>(parameters: &'a [Parameter<'_>]) -> Vec<&'a str> {
    parameters.iter().map(|(name, _)| *name).collect()
}

fn count(wanted: usize, parameters: &[Parameter<'_>]) -> String {
    let checked = wasabi_rules::parameter_count(wanted, &names(parameters));
    checked.err().unwrap_or_default()
}

fn missing(field: &str, parameters: &[Parameter<'_>]) -> String {
    let names = names(parameters);
    let hint = match (did_you_mean(field, names.iter().copied()), &*names) {
        (Some(meant), _) => format!("; did you mean `{meant}`?"),
        (None, []) => "; it has none".to_owned(),
        (None, names) => format!("; these are: {}", list(names.iter().copied())),
    };
    format!("has the field `{field}`, but the path has no such parameter{hint}")
}

/// The name of a type without its modules: `Option<String>`.
pub(crate) fn short(name: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = name.split_inclusive(|c| !is_word(c));
    words
        .map(|word| word.rsplit("::").next().unwrap_or(word))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::IpAddr};

    use serde::Deserialize;

    use super::*;

    fn of<T: DeserializeOwned>(names: &[&str]) -> Option<String> {
        let parameters: Vec<_> = names.iter().map(|name| (*name, None)).collect();
        mistake::<T>(&parameters)
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Room {
        tenant: String,
        number: Option<u32>,
        #[serde(default)]
        lang: String,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Renamed {
        #[serde(rename = "tenant-id")]
        tenant: Kind,
        address: IpAddr,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Public,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Outer {
        #[serde(flatten)]
        room: Room,
        id: u8,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Strict {
        tenant: String,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Point(u8, u8);

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Id(u64);

    /// A type with a text form of its own, of which nobody knows an example.
    struct Odd;

    impl<'de> Deserialize<'de> for Odd {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            match &*String::deserialize(deserializer)? {
                "odd" => Ok(Self),
                _ => Err(serde::de::Error::custom("not odd")),
            }
        }
    }

    #[derive(Deserialize)]
    #[serde(try_from = "HashMap<String, String>")]
    struct Full;

    impl TryFrom<HashMap<String, String>> for Full {
        type Error = &'static str;

        fn try_from(map: HashMap<String, String>) -> Result<Self, Self::Error> {
            match map.is_empty() {
                true => Err("empty"),
                false => Ok(Self),
            }
        }
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Oddly {
        tenant: Odd,
        nope: String,
    }

    #[test]
    fn a_type_that_refuses_an_empty_path_is_a_mistake_of_one() {
        let mistake = of::<Full>(&[]);
        let expected = "`Path<Full>` cannot be read from a path without parameters";
        assert_eq!(mistake.as_deref(), Some(expected));
        assert_eq!(of::<Full>(&["a"]), None);
    }

    #[test]
    fn types_that_fit_are_no_mistakes() {
        assert_eq!(of::<String>(&["a"]), None);
        assert_eq!(of::<Id>(&["a"]), None);
        assert_eq!(of::<bool>(&["a"]), None);
        assert_eq!(of::<Kind>(&["a"]), None);
        assert_eq!(of::<Odd>(&["a"]), None);
        assert_eq!(of::<(char, f64)>(&["a", "b"]), None);
        assert_eq!(of::<Point>(&["a", "b"]), None);
        assert_eq!(of::<()>(&["a"]), None);
        assert_eq!(of::<Room>(&["tenant"]), None);
        assert_eq!(of::<Room>(&["other", "tenant", "number"]), None);
        assert_eq!(of::<Renamed>(&["address", "tenant-id"]), None);
        assert_eq!(of::<Strict>(&["tenant"]), None);
        assert_eq!(of::<Vec<(String, String)>>(&["a", "b"]), None);
        assert_eq!(of::<HashMap<String, String>>(&[]), None);
    }

    #[test]
    fn another_number_of_parameters_is_a_mistake() {
        let cases = [
            (
                of::<(String, u32)>(&["tenant"]),
                "`Path<(String, u32)>` takes 2 parameters, but the path has one: `tenant`",
            ),
            (
                of::<Id>(&["a", "b"]),
                "`Path<Id>` takes one parameter, but the path has 2: `a`, `b`",
            ),
            (
                of::<Kind>(&[]),
                "`Path<Kind>` takes one parameter, but the path has none",
            ),
            (
                of::<Point>(&["a", "b", "c"]),
                "`Path<Point>` takes 2 parameters, but the path has 3: `a`, `b`, `c`",
            ),
            (
                of::<Odd>(&["a", "b"]),
                "`Path<Odd>` takes one parameter, but the path has 2: `a`, `b`",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_field_without_a_parameter_is_a_mistake() {
        let cases = [
            (
                of::<Room>(&["tennant"]),
                "`Path<Room>` has the field `tenant`, but the path has no such parameter; did you mean `tennant`?",
            ),
            (
                of::<Renamed>(&["tenant-id"]),
                "`Path<Renamed>` has the field `address`, but the path has no such parameter; these are: `tenant-id`",
            ),
            (
                of::<Outer>(&["id"]),
                "`Path<Outer>` has the field `tenant`, but the path has no such parameter; these are: `id`",
            ),
            (
                of::<Room>(&[]),
                "`Path<Room>` has the field `tenant`, but the path has no such parameter; it has none",
            ),
            (
                of::<Strict>(&["tenant", "room"]),
                "`Path<Strict>` has no field for the parameter `room` of the path",
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_type_that_no_path_can_hold_is_a_mistake() {
        // axum panics over it.
        type Pairs = Vec<(String, (String, String))>;
        assert!(of::<Pairs>(&["a"]).is_some());
        let part = of::<(Room, u8)>(&["a", "b"]);
        let expected = "`Path<(Room, u8)>` contains `Room`, which no parameter of a path can be";
        assert_eq!(part.as_deref(), Some(expected));
        assert!(of::<Option<String>>(&["a"]).is_some());
    }

    #[test]
    fn an_unknown_form_of_text_hides_the_next_fields_only_without_its_value() {
        assert_eq!(of::<Oddly>(&["tenant"]), None);
        assert!(mistake::<Oddly>(&[("tenant", Some("odd"))]).is_some());
        assert_eq!(mistake::<Oddly>(&[("tenant", Some("even"))]), None);
    }
}

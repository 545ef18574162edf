//! The id that matches a reply to its request.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use crate::Text;

/// The client's id for a request, which matches the reply to it.
///
/// It is kept as written and goes back unchanged: with [`JsonKey`](crate::JsonKey), it is a JSON number or string (`7`,
/// `"a-1"`) and is displayed as such.
#[derive(Clone)]
pub struct RequestId(Repr);

/// Ids are short and live in several places at once: copying one costs less than counting references.
#[derive(Clone)]
enum Repr {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Text),
}

/// The length of a quoted UUID.
const SHORT: usize = 38;

impl RequestId {
    /// An id as it is in the message. For channels that speak JSON it must be one JSON value.
    pub fn new(raw: impl Into<Text>) -> Self {
        let text = raw.into();
        Self::short(&text).unwrap_or(Self(Repr::Long(text)))
    }

    /// Copies a short id; `None` if it is too long to copy.
    pub(crate) fn short(raw: &str) -> Option<Self> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw.as_bytes());
        Some(Self(Repr::Short {
            len: raw.len() as u8,
            bytes,
        }))
    }

    /// The id as it was written.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Short { len, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default()
            }
            Repr::Long(text) => text,
        }
    }
}

impl PartialEq for RequestId {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // Zeros follow a short id.
            (Repr::Short { len, bytes }, Repr::Short { len: l, bytes: b }) => {
                (len, bytes) == (l, b)
            }
            (Repr::Long(one), Repr::Long(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for RequestId {}

impl Hash for RequestId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a JSON value as it is written, as [`JsonKey`](crate::JsonKey) reads the ids of requests. It works with serde_json
/// only, and so with [`Json`](crate::Json).
impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let raw = String::from(Box::<str>::from(raw));
        match raw.starts_with(['{', '[', 't', 'f']) {
            true => Err(D::Error::custom("an id is a string or a number")),
            false => Ok(Self::new(raw)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_id_and_a_shared_one_read_as_written() {
        for len in 0..2 * SHORT {
            let written = "é".repeat(len / 2) + &"7".repeat(len % 2);
            let id = RequestId::new(written.clone());
            assert_eq!(id.as_str(), written);
            assert_eq!(matches!(id.0, Repr::Short { .. }), written.len() <= SHORT);
            assert_eq!(id, id.clone());
            assert_ne!(id, RequestId::new(written + "7"));
        }
    }
}

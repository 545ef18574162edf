//! Routing keys: where one is in its message, and the extractor.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use crate::{Message, Text};

/// The location of a routing key. Most keys are slices of the message: a range costs nothing to clone.
#[derive(Clone, Debug)]
pub(crate) enum KeyRepr {
    Static(&'static str),
    Shared(Arc<str>),
    Slice(Range<usize>),
}

impl Default for KeyRepr {
    fn default() -> Self {
        Self::Static("")
    }
}

impl KeyRepr {
    /// A key from a message: a range if it is a slice of that message, a copy otherwise.
    pub(crate) fn of(key: &str, message: &Message) -> Self {
        let (whole, part) = (
            message.as_bytes().as_ptr_range(),
            key.as_bytes().as_ptr_range(),
        );
        if whole.start <= part.start && part.end <= whole.end {
            let start = part.start.addr() - whole.start.addr();
            Self::Slice(start..start + key.len())
        } else {
            Self::Shared(key.into())
        }
    }

    #[inline]
    pub(super) fn resolve<'a>(&'a self, message: &'a Message) -> &'a str {
        match (self, message) {
            (Self::Static(key), _) => key,
            (Self::Shared(key), _) => key,
            (Self::Slice(range), Message::Text(text)) => {
                text.get(range.clone()).unwrap_or_default()
            }
            (Self::Slice(range), Message::Binary(data)) => data
                .get(range.clone())
                .and_then(|key| std::str::from_utf8(key).ok())
                .unwrap_or_default(),
        }
    }
}

/// The routing key of a request, as an extractor. It derefs to `str` and compares with `str`.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn switch(key: Key) -> &'static str {
///     if key == "light.on" { "on" } else { "off" }
/// }
/// ```
#[derive(Clone)]
pub struct Key(KeySource);

#[derive(Clone)]
enum KeySource {
    Static(&'static str),
    Shared(Arc<str>),
    Slice(Text, Range<usize>),
}

impl Key {
    /// The key at this location.
    #[inline]
    pub(super) fn of(location: &KeyRepr, message: &Message) -> Self {
        Self(match (location, message) {
            (KeyRepr::Static(key), _) => KeySource::Static(key),
            (KeyRepr::Shared(key), _) => KeySource::Shared(Arc::clone(key)),
            (KeyRepr::Slice(range), Message::Text(text)) => {
                KeySource::Slice(text.clone(), range.clone())
            }
            (KeyRepr::Slice(_), Message::Binary(_)) => {
                KeySource::Shared(location.resolve(message).into())
            }
        })
    }

    /// The key as a string slice.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            KeySource::Static(key) => key,
            KeySource::Shared(key) => key,
            KeySource::Slice(text, range) => text.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Key {}

impl PartialEq<str> for Key {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl std::ops::Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

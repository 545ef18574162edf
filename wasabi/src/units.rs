//! Durations and sizes with units, for configuration types of your own: functions for serde's `deserialize_with`.
//!
//! ```
//! use std::time::Duration;
//!
//! #[derive(serde::Deserialize)]
//! struct Limits {
//!     #[serde(deserialize_with = "wasabi::units::duration")]
//!     timeout: Duration,
//!     #[serde(deserialize_with = "wasabi::units::size")]
//!     max_reply_size: usize,
//!     #[serde(default, deserialize_with = "wasabi::units::duration")]
//!     pause: Option<Duration>,
//! }
//!
//! let limits: Limits = serde_json::from_str(r#"{"timeout": "2s", "max_reply_size": "64KiB"}"#)?;
//! assert_eq!(limits.timeout, Duration::from_secs(2));
//! assert_eq!((limits.max_reply_size, limits.pause), (65_536, None));
//! # Ok::<_, serde_json::Error>(())
//! ```

use std::{fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// Reads a duration from text with the units of `gateway!`: `250us`, `100ms`, `2s`, `5min`, `1h`. A number without a
/// unit is an error. `T` is [`Duration`] or `Option<Duration>`.
pub fn duration<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<Duration>,
{
    deserializer.deserialize_str(Text(
        "a duration like \"2s\"",
        wasabi_rules::duration,
        PhantomData,
    ))
}

/// Reads a size in bytes from a number, or from text with the units of `gateway!`: `512B`, `64KiB`, `1MiB`, `64KB`. `T`
/// is `usize` or `Option<usize>`.
pub fn size<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<usize>,
{
    deserializer.deserialize_any(Size(PhantomData))
}

/// Reads text by a rule.
struct Text<V, T>(&'static str, fn(&str) -> Result<V, String>, PhantomData<T>);

impl<V, T: From<V>> Visitor<'_> for Text<V, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map(T::from).map_err(E::custom)
    }
}

struct Size<T>(PhantomData<T>);

impl<T: From<usize>> Visitor<'_> for Size<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes, or a size like \"64KiB\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        wasabi_rules::size(text).map(T::from).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<T, E> {
        match usize::try_from(bytes) {
            Ok(bytes) => Ok(bytes.into()),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(bytes), &self)),
        }
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<T, E> {
        match usize::try_from(bytes) {
            Ok(bytes) => Ok(bytes.into()),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(bytes), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Read {
        #[serde(default, deserialize_with = "duration")]
        time: Option<Duration>,
        #[serde(default, deserialize_with = "size")]
        bytes: Option<usize>,
    }

    fn read(text: &str) -> Result<Read, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_and_sizes_are_text_with_units() {
        let both = read(r#"{"time": "100ms", "bytes": "64KiB"}"#).expect("both");
        assert_eq!(both.time, Some(Duration::from_millis(100)));
        assert_eq!(both.bytes, Some(65_536));
        assert_eq!(read(r#"{"bytes": 7}"#).expect("a number").bytes, Some(7));
        let none = Read {
            time: None,
            bytes: None,
        };
        assert_eq!(read("{}"), Ok(none));
    }

    #[test]
    fn what_has_no_unit_or_another_kind_of_unit_is_an_error() {
        for (text, expected) in [
            (r#"{"time": "5"}"#, "`5` is not a duration"),
            (r#"{"time": "64KiB"}"#, "`64KiB` is not a duration"),
            (r#"{"time": 5}"#, "expected a duration like \"2s\""),
            (r#"{"bytes": "5s"}"#, "`5s` is not a size"),
            (r#"{"bytes": "64kib"}"#, "did you mean `64KiB`?"),
            (r#"{"bytes": -1}"#, "expected a number of bytes"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! Numbers with a unit: `100ms`, `64KiB`.

use std::time::Duration;

use crate::suggest::{did_you_mean, list};

/// What a unit measures, and how much one of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Time, in microseconds.
    Time(u64),
    /// Memory, in bytes.
    Bytes(u64),
}

/// A number with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A duration.
    Time(Duration),
    /// A size in bytes.
    Bytes(u64),
}

/// A number, by its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Number {
    /// A number without a unit, as Rust writes them: `5`, `0x1B`, `1e3`, `2u32`; or no number.
    Ordinary,
    /// A number with a unit.
    Amount(Amount),
    /// A number with an invalid suffix or value.
    Invalid {
        /// The error message.
        message: String,
        /// One of the unit that was probably intended.
        meant: Option<Amount>,
    },
}

/// Every unit, the smallest first.
pub const UNITS: &[(&str, Unit)] = &[
    ("us", Unit::Time(1)),
    ("ms", Unit::Time(1000)),
    ("s", Unit::Time(1_000_000)),
    ("min", Unit::Time(60 * 1_000_000)),
    ("h", Unit::Time(60 * 60 * 1_000_000)),
    ("B", Unit::Bytes(1)),
    ("KB", Unit::Bytes(1000)),
    ("MB", Unit::Bytes(1000 * 1000)),
    ("GB", Unit::Bytes(1000 * 1000 * 1000)),
    ("KiB", Unit::Bytes(1 << 10)),
    ("MiB", Unit::Bytes(1 << 20)),
    ("GiB", Unit::Bytes(1 << 30)),
];

/// Other spellings of these units.
const SPELLINGS: &[(&str, &str)] = &[
    ("b", "B"),
    ("byte", "B"),
    ("bytes", "B"),
    ("d", "h"),
    ("day", "h"),
    ("days", "h"),
    ("g", "GB"),
    ("k", "KB"),
    ("m", "min"),
    ("micros", "us"),
    ("millis", "ms"),
    ("minute", "min"),
    ("minutes", "min"),
    ("msec", "ms"),
    ("ns", "us"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("secs", "s"),
    ("usec", "us"),
];

/// Suffixes that Rust gives a meaning.
const RUST_SUFFIXES: &[&str] = &[
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f16",
    "f32", "f64", "f128",
];

impl Unit {
    /// This many of the unit; `None` if the amount is too large.
    fn times(self, digits: &str) -> Option<Amount> {
        let number: u64 = digits.parse().ok()?;
        Some(match self {
            // Whole seconds apart, so that any number of them fits that a `Duration` can hold.
            Self::Time(micros) if micros >= 1_000_000 => {
                Amount::Time(Duration::from_secs(number.checked_mul(micros / 1_000_000)?))
            }
            Self::Time(micros) => Amount::Time(Duration::from_micros(number.checked_mul(micros)?)),
            Self::Bytes(bytes) => Amount::Bytes(number.checked_mul(bytes)?),
        })
    }
}

/// Reads a number as it stands in a program; `_` between digits is ignored.
pub fn number(literal: &str) -> Number {
    let end_of_digits = literal
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(literal.len());
    let (digits, rest) = literal.split_at(end_of_digits);
    let is_rusts = RUST_SUFFIXES.contains(&rest.trim_start_matches('_'));
    if digits.is_empty()
        || rest.is_empty()
        || is_rusts
        || has_base(digits, rest)
        || has_exponent(rest)
    {
        return Number::Ordinary;
    }
    let digits: String = digits.chars().filter(|c| *c != '_').collect();
    match rest.strip_prefix('.') {
        Some(decimals) => decimal(literal, &digits, decimals),
        None => match unit(rest) {
            Some(unit) => whole(literal, &digits, unit),
            None => unknown(&digits, rest),
        },
    }
}

/// A duration as text, such as `100ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match number(text) {
        Number::Amount(Amount::Time(duration)) if !text.contains('_') => Ok(duration),
        Number::Invalid { message, .. } => Err(message),
        Number::Amount(_) | Number::Ordinary => Err(format!(
            "`{}` is not a duration; write it like `250us`, `100ms`, `2s`, `5min` or `1h`",
            text.escape_debug()
        )),
    }
}

/// A size in bytes as text, such as `64KiB`.
pub fn size(text: &str) -> Result<usize, String> {
    match number(text) {
        Number::Amount(Amount::Bytes(bytes)) if !text.contains('_') => {
            usize::try_from(bytes).map_err(|_| format!("`{text}` is too large"))
        }
        Number::Invalid { message, .. } => Err(message),
        Number::Amount(_) | Number::Ordinary => Err(format!(
            "`{}` is not a size; write it like `512B`, `64KiB`, `1MiB` or `64KB`",
            text.escape_debug()
        )),
    }
}

fn unit(name: &str) -> Option<Unit> {
    let found = UNITS.iter().find(|(unit, _)| *unit == name);
    found.map(|(_, unit)| *unit)
}

/// `0x1B`, `0b101`.
fn has_base(digits: &str, rest: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'_';
    let base = matches!(rest.as_bytes(), [b'x' | b'o' | b'b', digit, ..] if is_digit(digit));
    digits == "0" && base
}

/// `1e3`, `1E-3`.
fn has_exponent(rest: &str) -> bool {
    matches!(
        rest.as_bytes(),
        [b'e' | b'E', b'0'..=b'9' | b'+' | b'-' | b'_', ..]
    )
}

fn whole(literal: &str, digits: &str, unit: Unit) -> Number {
    match unit.times(digits) {
        Some(amount) => Number::Amount(amount),
        None => Number::Invalid {
            message: format!("`{literal}` is too large"),
            meant: unit.times("1"),
        },
    }
}

/// `1.5s`: there is a smaller unit for it.
fn decimal(literal: &str, digits: &str, rest: &str) -> Number {
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(rest.len());
    let (decimals, suffix) = rest.split_at(end);
    if suffix.is_empty() || RUST_SUFFIXES.contains(&suffix) || has_exponent(suffix) {
        return Number::Ordinary;
    }
    let Some(unit) = unit(suffix) else {
        return unknown(digits, suffix);
    };
    let instead = match in_smaller_unit(digits, &decimals.replace('_', ""), suffix) {
        Some(instead) => format!("write `{instead}`"),
        None => "use a smaller unit".to_owned(),
    };
    Number::Invalid {
        message: format!("`{literal}` is not a whole number; {instead}"),
        meant: unit.times("1"),
    }
}

/// The same amount as a whole number of a smaller unit.
fn in_smaller_unit(digits: &str, decimals: &str, unit: &str) -> Option<String> {
    const STEPS: &[(&str, u64, &str)] = &[
        ("h", 60, "min"),
        ("min", 60, "s"),
        ("s", 1000, "ms"),
        ("ms", 1000, "us"),
        ("GiB", 1024, "MiB"),
        ("MiB", 1024, "KiB"),
        ("KiB", 1024, "B"),
        ("GB", 1000, "MB"),
        ("MB", 1000, "KB"),
        ("KB", 1000, "B"),
    ];
    let (mut unit, decimals) = (unit, decimals.trim_end_matches('0'));
    let scale = 10u64.checked_pow(decimals.len().try_into().ok()?)?;
    let mut amount = format!("{digits}{decimals}").parse::<u64>().ok()?;
    while amount % scale != 0 {
        let (_, factor, next) = STEPS.iter().find(|(name, ..)| *name == unit)?;
        (amount, unit) = (amount.checked_mul(*factor)?, next);
    }
    Some(format!("{}{unit}", amount / scale))
}

fn unknown(digits: &str, suffix: &str) -> Number {
    let meant = intended(suffix);
    let hours = |days: &str| days.parse::<u64>().ok()?.checked_mul(24);
    let hint = match meant {
        Some("h") if suffix.starts_with(['d', 'D']) => match hours(digits) {
            Some(hours) => format!("; write `{hours}h`"),
            None => String::new(),
        },
        Some(unit) => format!("; did you mean `{digits}{unit}`?"),
        None => String::new(),
    };
    let (times, sizes): (Vec<_>, Vec<_>) = UNITS
        .iter()
        .partition(|(_, unit)| matches!(unit, Unit::Time(_)));
    Number::Invalid {
        message: format!(
            "`{}` is not a unit{hint}\ndurations: {}; sizes: {}",
            suffix.escape_debug(),
            list(times.iter().map(|(name, _)| *name)),
            list(sizes.iter().map(|(name, _)| *name)),
        ),
        meant: meant.and_then(unit).and_then(|unit| unit.times("1")),
    }
}

/// The unit that a wrong suffix stands for.
fn intended(suffix: &str) -> Option<&'static str> {
    let lower = suffix.to_lowercase();
    let case = UNITS.iter().find(|(name, _)| name.to_lowercase() == lower);
    let spelling = SPELLINGS.iter().find(|(spelling, _)| *spelling == lower);
    match (case, spelling) {
        (Some((name, _)), _) | (None, Some((_, name))) => Some(name),
        (None, None) if suffix.len() > 2 => {
            did_you_mean(suffix, UNITS.iter().map(|(name, _)| *name))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<u128> {
        match number(text) {
            Number::Amount(Amount::Time(time)) => Some(time.as_micros()),
            _ => None,
        }
    }

    fn message(text: &str) -> String {
        match number(text) {
            Number::Invalid { message, .. } => message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn durations_and_sizes_are_read() {
        assert_eq!(micros("250us"), Some(250));
        assert_eq!(micros("100ms"), Some(100_000));
        assert_eq!(micros("5min"), Some(300_000_000));
        assert_eq!(micros("1h"), Some(3_600_000_000));
        for (text, bytes) in [
            ("512B", 512),
            ("64KiB", 65_536),
            ("1_0MiB", 10 << 20),
            ("64KB", 64_000),
        ] {
            assert_eq!(number(text), Number::Amount(Amount::Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn numbers_of_rust_have_no_unit() {
        for text in [
            "1",
            "1u32",
            "2.0f64",
            "1_000usize",
            "0x1B",
            "0b101",
            "0xffu8",
            "1e3",
            "1.5e-3",
            "1_u8",
            "2.5",
            "s",
            "",
        ] {
            assert_eq!(number(text), Number::Ordinary, "{text}");
        }
    }

    #[test]
    fn a_wrong_unit_lists_the_right_ones() {
        let units = "durations: `us`, `ms`, `s`, `min`, `h`; sizes: `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`";
        let with_units = |hint: &str| format!("{hint}\n{units}");
        for (text, hint) in [
            ("5sec", "`sec` is not a unit; did you mean `5s`?"),
            ("10mb", "`mb` is not a unit; did you mean `10MB`?"),
            ("2d", "`d` is not a unit; write `48h`"),
            ("2x", "`x` is not a unit"),
        ] {
            assert_eq!(message(text), with_units(hint));
        }
    }

    #[test]
    fn a_decimal_is_written_in_a_smaller_unit() {
        for (text, expected) in [
            ("1.5s", "`1.5s` is not a whole number; write `1500ms`"),
            ("0.5MiB", "`0.5MiB` is not a whole number; write `512KiB`"),
            ("0.3us", "`0.3us` is not a whole number; use a smaller unit"),
            ("2.0s", "`2.0s` is not a whole number; write `2s`"),
        ] {
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn numbers_that_are_too_large_are_mistakes() {
        for text in ["99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(message(text), format!("`{text}` is too large"));
        }
    }

    #[test]
    fn durations_as_text_have_a_unit_of_time() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        for text in ["5", "s", "", "-5s", "5 s", "64KiB", "1_0s", "soon"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("5m").is_err_and(|message| message.contains("did you mean `5min`?")));
    }
}

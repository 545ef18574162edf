//! Numbers and durations that must not be zero, or must be in a range.

use std::{fmt, ops::RangeInclusive, time::Duration};

/// A value that can be zero.
pub trait Zero: Copy {
    /// Whether the value is zero.
    fn is_zero(self) -> bool;
}

macro_rules! zero {
    ($($number:ty),*) => {
        $(impl Zero for $number {
            fn is_zero(self) -> bool {
                self == 0
            }
        })*
    };
}

zero!(u32, u64, usize);

impl Zero for Duration {
    fn is_zero(self) -> bool {
        Self::is_zero(&self)
    }
}

impl<T: Zero> Zero for Option<T> {
    fn is_zero(self) -> bool {
        self.is_some_and(T::is_zero)
    }
}

/// The argument of a call, such as `Timeout::new`, above zero.
pub fn above_zero<T: Zero>(call: &str, value: T) -> Result<T, String> {
    match value.is_zero() {
        true => Err(format!(
            "zero makes no sense in `{call}(..)`; write a value above zero"
        )),
        false => Ok(value),
    }
}

/// The value of a setting above zero.
pub fn setting_above_zero<T: Zero>(name: &str, value: T) -> Result<T, String> {
    match value.is_zero() {
        true => Err(format!(
            "zero makes no sense for `{name}`; write a value above zero, or leave the setting out"
        )),
        false => Ok(value),
    }
}

/// The argument of a call, such as `Compression::level`, within a range.
pub fn between<T>(call: &str, value: T, range: RangeInclusive<T>) -> Result<T, String>
where
    T: PartialOrd + fmt::Display,
{
    match range.contains(&value) {
        true => Ok(value),
        false => Err(format!(
            "`{call}(..)` takes a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// The argument of a call, such as `Jwks::ask_every`, of some milliseconds or more.
pub fn at_least(call: &str, time: Duration, millis: u64) -> Result<Duration, String> {
    match time < Duration::from_millis(millis) {
        true => Err(format!("`{call}(..)` takes {millis} ms or more")),
        false => Ok(time),
    }
}

/// The share of `Retry::budget`.
pub fn retry_budget(retries_per_request: f32) -> Result<f32, String> {
    match (0.0..=1000.0).contains(&retries_per_request) {
        true => Ok(retries_per_request),
        false => Err("`Retry::budget(..)` takes a number from 0 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_from_0_to_1000() {
        for (share, is_one) in [
            (0.0, true),
            (1000.0, true),
            (-0.1, false),
            (f32::NAN, false),
        ] {
            assert_eq!(retry_budget(share).is_ok(), is_one, "{share}");
        }
    }

    #[test]
    fn zeros_are_refused_with_the_name_of_their_setting() {
        assert_eq!(above_zero("Timeout::new", 1_u32), Ok(1));
        assert_eq!(
            above_zero("Timeout::new", Duration::ZERO),
            Err("zero makes no sense in `Timeout::new(..)`; write a value above zero".to_owned())
        );
        assert_eq!(setting_above_zero("ping", None::<Duration>), Ok(None));
        assert!(setting_above_zero("ping", Some(Duration::ZERO)).is_err());
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it() {
        for (value, is_in) in [(0, false), (1, true), (9, true), (10, false)] {
            assert_eq!(between("Compression::level", value, 1..=9).is_ok(), is_in);
        }
    }
}

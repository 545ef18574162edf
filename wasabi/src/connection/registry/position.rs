//! Places in the history of kept groups.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A place in the history of the [kept groups](crate::Kept) of a cluster: that of one message.
///
/// To a client it is opaque text, as [`Display`](fmt::Display) and serde write it: two numbers with a hyphen between
/// them. A client gives it back, and [`Registry::join_from`](crate::Registry::join_from) delivers what came after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    major: u64,
    minor: u64,
}

/// A text that is no [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position: it is two numbers with a hyphen between them")]
pub struct InvalidPosition;

impl Position {
    /// The position with these numbers, for an [`Engine`](crate::cluster::Engine) of your own. Later messages have a
    /// higher first number, or the same and a higher second one. Two different messages must not have the same
    /// position, even if the engine has lost one of them.
    pub const fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }

    /// The two numbers.
    pub const fn parts(self) -> (u64, u64) {
        (self.major, self.minor)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse().map_err(|_| InvalidPosition),
            // `parse` takes a plus sign as well.
            false => Err(InvalidPosition),
        };
        let (major, minor) = text.split_once('-').ok_or(InvalidPosition)?;
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_nothing_else_is_one() {
        for position in [Position::new(0, 0), Position::new(u64::MAX, u64::MAX)] {
            assert_eq!(position.to_string().parse(), Ok(position));
        }
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-1",
            "1-+1",
            "1-1-1",
            " 1-1",
            "1-18446744073709551616",
            "a-b",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
    }
}

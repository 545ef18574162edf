//! JSON pointers (RFC 6901).

use wasabi_rules::PointerToken;

/// A parsed JSON pointer.
#[derive(Debug, Clone)]
pub(super) struct Pointer {
    text: Box<str>,
    tokens: Box<[PointerToken]>,
}

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self {
            tokens: wasabi_rules::pointer(text)?.into(),
            text: text.into(),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn path(&self) -> Path<'_> {
        Path(&self.tokens)
    }
}

/// The remaining part of a pointer on the way to its value; empty at the value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p>(&'p [PointerToken]);

impl<'p> Path<'p> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The path from an object into this member, if it leads there.
    pub(super) fn member(self, name: &[u8]) -> Option<Path<'p>> {
        let (first, rest) = self.0.split_first()?;
        (first.name.as_bytes() == name).then_some(Path(rest))
    }

    /// Whether the name differs from the next member's only in case, in any way that parsers compare letters.
    pub(super) fn differs_in_case_only(self, name: &[u8]) -> bool {
        let Some(wanted) = self.0.first().map(|token| &*token.name) else {
            return false;
        };
        if name.is_ascii() && wanted.is_ascii() {
            return name.eq_ignore_ascii_case(wanted.as_bytes()) && name != wanted.as_bytes();
        }
        let Ok(name) = std::str::from_utf8(name) else {
            return false;
        };
        let mut chars = (name.chars(), wanted.chars());
        loop {
            match (chars.0.next(), chars.1.next()) {
                (Some(one), Some(other)) if is_same_letter(one, other) => {}
                (None, None) => return name != wanted,
                _ => return false,
            }
        }
    }

    /// The path from an array into this element, if it leads there.
    pub(super) fn element(self, index: usize) -> Option<Path<'p>> {
        let (first, rest) = self.0.split_first()?;
        (first.index == Some(index)).then_some(Path(rest))
    }
}

/// Some parsers compare letters in lower case, others in upper case. `k` and the Kelvin sign are equal only in lower
/// case, `s` and the long s only in upper case.
fn is_same_letter(one: char, other: char) -> bool {
    one == other
        || one.to_lowercase().eq(other.to_lowercase())
        || one.to_uppercase().eq(other.to_uppercase())
}

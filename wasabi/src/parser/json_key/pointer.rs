//! JSON pointers (RFC 6901).

use wasabi_rules::PointerToken;

/// A parsed JSON pointer to something inside a document.
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

/// What is left of a pointer on the way to its value; empty at the value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p>(&'p [PointerToken]);

impl<'p> Path<'p> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The way on from an object to its member, if it leads there.
    pub(super) fn member(self, name: &[u8]) -> Option<Path<'p>> {
        let (first, rest) = self.0.split_first()?;
        (first.name.as_bytes() == name).then_some(Path(rest))
    }

    /// Whether the name is that of the next member but for the case of letters, in any way that parsers compare them.
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

    /// The way on from an array to its element.
    pub(super) fn element(self, index: usize) -> Option<Path<'p>> {
        let (first, rest) = self.0.split_first()?;
        (first.index == Some(index)).then_some(Path(rest))
    }
}

/// Some parsers compare what becomes of letters in lower case, some in upper case: `k` and the sign for kelvin are the
/// same in one, `s` and a long `s` in the other.
fn is_same_letter(one: char, other: char) -> bool {
    one == other
        || one.to_lowercase().eq(other.to_lowercase())
        || one.to_uppercase().eq(other.to_uppercase())
}

//! Parts of messages, in the same memory.

use std::ops::Range;

use super::{Message, Text};

impl Message {
    /// A part of the message, in the same memory; `None` if the range is out of bounds or splits a character.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Self> {
        match self {
            Self::Text(text) => text.slice(range).map(Self::Text),
            Self::Binary(data) => {
                let part = data.get(range)?;
                Some(Self::Binary(data.slice_ref(part)))
            }
        }
    }
}

impl Text {
    /// A part of the text, in the same memory; `None` if the range is out of bounds or splits a character.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Self> {
        Some(Self(self.0.slice_ref(self.get(range)?)))
    }
}

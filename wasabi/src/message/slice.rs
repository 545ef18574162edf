//! Parts of messages, in the same memory, and copies in their own.

use std::ops::Range;

use bytes::Bytes;

use super::{Message, Text};

impl Message {
    /// The same message in memory of its own, for what is kept.
    pub(crate) fn copied(&self) -> Self {
        match self {
            Self::Text(text) => Self::text(text.to_string()),
            Self::Binary(data) => Self::binary(Bytes::copy_from_slice(data)),
        }
    }

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

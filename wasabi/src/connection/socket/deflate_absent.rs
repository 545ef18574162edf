//! Replaces `deflate` if the cargo feature is off: nothing is negotiated, and nothing is compressed.

use bytes::Bytes;

use crate::Close;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Agreed {}

pub(super) enum Deflater {}

pub(super) enum Inflater {}

impl Deflater {
    pub(super) fn new(agreed: Agreed) -> Self {
        match agreed {}
    }

    pub(super) fn deflate(&mut self, _payload: &[u8], _out: &mut Vec<u8>) -> bool {
        match *self {}
    }

    pub(super) fn deflate_shared(&mut self, _payload: &Bytes, _out: &mut Vec<u8>) -> bool {
        match *self {}
    }
}

impl Inflater {
    pub(super) fn new(agreed: Agreed) -> Self {
        match agreed {}
    }

    pub(super) fn inflate(&mut self, _payload: &[u8], _limit: usize) -> Result<Bytes, Close> {
        match *self {}
    }
}

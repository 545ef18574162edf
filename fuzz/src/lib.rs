//! What the targets share.

pub mod client;
pub mod frames;
pub mod model;
pub mod wire;

/// The lines of a text input; what is not UTF-8 is no input.
pub fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
}

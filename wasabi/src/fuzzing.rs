//! What fuzz targets look at and nobody else can. Not part of the public API.

use crate::{JsonKey, Message, Parser};
pub use crate::{
    connection::socket::HangUp,
    task::driver::fuzzing::{Declared, Held, Session, Stage},
};

/// The key and the id that a parser finds in a text; `None` when the text is not JSON.
pub fn key_and_id(parser: &JsonKey, text: &str) -> Option<(Option<String>, Option<String>)> {
    let message = Message::text(text.to_owned());
    let (key, id, error) = parser.parse(&message).ok()??.into_test_parts();
    let id = id.map(|id| id.as_str().to_owned());
    Some((error.is_none().then_some(key), id))
}

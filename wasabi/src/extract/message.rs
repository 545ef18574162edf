//! What reads the message itself.

use axum::Json;
use bytes::Bytes;

use super::Readable;
use crate::{Binary, Error, FromRequest, Message, Request, Result, Text};

impl<S: Sync, T: Readable> FromRequest<S> for Json<T> {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        // Text is known to be UTF-8, and its strings need no check.
        let json = match req.message() {
            Message::Text(text) => serde_json::from_str(text),
            Message::Binary(data) => serde_json::from_slice(data),
        };
        json.map(Json).map_err(|error| match error.is_data() {
            true => Error::invalid_params(error.to_string()),
            false => Error::unreadable(format!("not JSON: {error}")),
        })
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::read::<T>(Source::Json, &["invalid_params", "unreadable"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Message {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.message().clone())
    }

    async fn from_last(req: &mut Request, _state: &S) -> Result<Self> {
        Ok(req.take_message())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Message, &[])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Bytes {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.payload())
    }

    async fn from_last(req: &mut Request, _state: &S) -> Result<Self> {
        Ok(req.take_message().into_bytes())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Message, &[])
    }
}

fn text(message: Message) -> Result<Text> {
    match message {
        Message::Text(text) => Ok(text),
        Message::Binary(_) => Err(Error::bad_request("expected a text message")),
    }
}

fn binary(message: Message) -> Result<Binary> {
    match message {
        Message::Binary(data) => Ok(Binary(data)),
        Message::Text(_) => Err(Error::bad_request("expected a binary message")),
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Text {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        text(req.message().clone())
    }

    async fn from_last(req: &mut Request, _state: &S) -> Result<Self> {
        text(req.take_message())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Text, &["bad_request"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Binary {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        binary(req.message().clone())
    }

    async fn from_last(req: &mut Request, _state: &S) -> Result<Self> {
        binary(req.take_message())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Binary, &["bad_request"])
    }
}

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequest<S> for Request {
    async fn from_request(req: &Request, _state: &S) -> Result<Self> {
        Ok(req.clone())
    }

    #[cfg(feature = "schema")]
    fn input() -> crate::schema::Input {
        use crate::schema::{Input, Source};
        Input::new::<Self>(Source::Message, &[])
    }
}

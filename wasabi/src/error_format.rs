//! How errors are written to the client.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value, json, value::RawValue};
use tracing::{Span, debug};

use crate::{
    Connection, Error, Fault, IntoReply, Reply, RequestId, Result,
    log::{Logged, limited},
    panics::caught,
    request::{FailedSpan, Owes},
};

/// The format of error replies: the channel setting `errors = ..`.
///
/// By default, the parser decides: [`JsonKey`](crate::JsonKey) answers in JSON, the others in text. Inside `gateway!`,
/// write `Silent`, `Text` or `Json` alone, and a function as `errors = ErrorFormat::with(function)`.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum ErrorFormat {
    /// Nothing is sent. The error is only in the log.
    Silent,
    /// A text message `code: message`, preceded by the id and a space if the request has an id.
    #[default]
    Text,
    /// A text message `{"error":{"code":"..","message":".."},"id":..}`, with `retry_after_ms` beside the code if it is
    /// known. The id is at the place where the parser reads it, or at `/id` if the parser names none; it is left out if
    /// the request has none.
    Json(JsonErrors),
    /// A custom function; see [`ErrorFormat::with`].
    With(Arc<ErrorFn>),
}

/// The function inside of [`ErrorFormat::With`].
pub type ErrorFn = dyn Fn(&Error, Option<&RequestId>) -> Result<Reply> + Send + Sync;

/// The JSON form of error replies.
#[derive(Debug, Clone, Default)]
pub struct JsonErrors {
    /// JSON pointer of the id; `None` means the parser's.
    pub(crate) id_at: Option<Arc<str>>,
}

impl ErrorFormat {
    /// JSON errors, with the id at the place where the parser reads it.
    pub fn json() -> Self {
        Self::Json(JsonErrors::default())
    }

    /// JSON errors, with the id at this JSON pointer (RFC 6901).
    ///
    /// An invalid pointer keeps the gateway from being served. The id is at `/id` instead if the pointer is to the whole
    /// reply (`""`), to a member without a name (`"/"`), or to the error or into it (`"/error"`, `"/error/id"`).
    pub fn json_id_at(pointer: impl Into<Arc<str>>) -> Self {
        Self::Json(JsonErrors {
            id_at: Some(pointer.into()),
        })
    }

    /// Errors written by a custom function. The function gets the full error and decides what to pass on. If it returns
    /// an error itself, that error goes out as text.
    ///
    /// ```
    /// use wasabi::{Error, RequestId, prelude::*};
    ///
    /// fn numbered(error: &Error, id: Option<&RequestId>) -> String {
    ///     let id = id.map_or("-", RequestId::as_str);
    ///     format!("ERR {id} {}", error.code())
    /// }
    ///
    /// let gateway = gateway!(channel("/", errors = ErrorFormat::with(numbered), NoRoute));
    /// # drop(gateway);
    /// ```
    pub fn with<F, R>(function: F) -> Self
    where
        F: Fn(&Error, Option<&RequestId>) -> R + Send + Sync + 'static,
        R: IntoReply,
    {
        Self::With(Arc::new(move |error, id| function(error, id).into_reply()))
    }

    /// Reports an invalid pointer.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Json(JsonErrors { id_at: Some(at) }) => wasabi_rules::pointer(at).map(drop),
            _ => Ok(()),
        }
    }

    /// Fills in the place of the id from the parser, if the channel left it open.
    pub(crate) fn or_from_parser(self, parser: Self) -> Self {
        match (self, parser) {
            (Self::Json(JsonErrors { id_at: None }), parser @ Self::Json(_)) => parser,
            (own, _) => own,
        }
    }

    pub(crate) fn write(&self, error: &Error, id: Option<&RequestId>) -> Reply {
        match self {
            Self::Silent => Reply::none(),
            Self::Text => text(error, id),
            Self::Json(json) => Reply::message(json.write(error, id)),
            Self::With(function) => caught(|| function(error, id))
                .unwrap_or_else(|_| Err(Error::internal("the error format panicked")))
                .unwrap_or_else(|error| text(&error, id)),
        }
    }
}

/// Makes `errors = ..` take a function.
impl<F, R> From<F> for ErrorFormat
where
    F: Fn(&Error, Option<&RequestId>) -> R + Send + Sync + 'static,
    R: IntoReply,
{
    fn from(function: F) -> Self {
        Self::with(function)
    }
}

impl fmt::Debug for ErrorFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "Silent",
            Self::Text => "Text",
            Self::Json(_) => "Json",
            Self::With(_) => "With",
        })
    }
}

fn text(error: &Error, id: Option<&RequestId>) -> Reply {
    let (code, message) = (error.code(), error.client_message());
    Reply::message(match id {
        Some(id) => format!("{id} {code}: {message}"),
        None => format!("{code}: {message}"),
    })
}

/// What a program reads of an error: its code, and when to try again, if that is known.
pub(crate) fn data(error: &Error) -> Value {
    let mut data = json!({ "code": error.code() });
    if let Some(after) = error.retry_after() {
        data["retry_after_ms"] = json!(after.as_millis() as u64);
    }
    data
}

impl JsonErrors {
    /// The place of the id. The error keeps its own.
    pub(crate) fn place_of_id(&self) -> &str {
        let is_free = |at: &&str| at.len() > 1 && *at != "/error" && !at.starts_with("/error/");
        self.id_at.as_deref().filter(is_free).unwrap_or("/id")
    }

    fn write(&self, error: &Error, id: Option<&RequestId>) -> String {
        let mut inner = data(error);
        inner["message"] = error.client_message().into();
        let Some(id) = id else {
            return json!({ "error": inner }).to_string();
        };
        // An id is copied as written. One that is not JSON, from a custom parser, becomes a string.
        let id = match serde_json::from_str::<&RawValue>(id.as_str()) {
            Ok(raw) => raw.get().to_owned(),
            Err(_) => Value::from(id.as_str()).to_string(),
        };
        let tokens = wasabi_rules::pointer(self.place_of_id()).unwrap_or_default();
        let names = tokens.into_iter().map(|token| token.name);
        let nested = names
            .rev()
            .filter(|name| !name.is_empty())
            .fold(id, |value, name| {
                format!("{{{}:{value}}}", Value::from(name))
            });
        let error = Map::from_iter([("error".to_owned(), inner)]);
        let error = Value::Object(error).to_string();
        // Two objects, joined: `{"error":..}` and `{"id":..}`.
        format!("{},{}", &error[..error.len() - 1], &nested[1..])
    }
}

/// Logged as an error and not as text, so that subscribers write its sources too.
fn cause(error: &Logged) -> &(dyn std::error::Error + 'static) {
    error
}

/// The request that an error is about.
pub(crate) struct About<'a> {
    pub(crate) connection: &'a Connection,
    /// Empty if unknown.
    pub(crate) route: &'a str,
    pub(crate) id: Option<&'a RequestId>,
    pub(crate) owes: Owes,
}

/// Logs an error and answers its request in the channel's format, unless the client wants no answer.
pub(crate) fn report(format: &ErrorFormat, error: &Error, about: &About<'_>) -> Reply {
    log(error, about);
    match about.owes.is_silence() {
        true => Reply::none(),
        false => format.write(error, about.id),
    }
}

pub(crate) fn log(error: &Error, about: &About<'_>) {
    let span = FailedSpan::take(about.connection, about.route, about.id);
    let _entered = span.as_ref().map(Span::enter);
    let (code, route) = (error.code(), about.route);
    // Client input is escaped. The user is looked up only if the event is enabled.
    macro_rules! failed {
        ($log:ident!($($first:tt)*)) => {
            $log!(
                $($first)*
                code,
                error = cause(&Logged::of(error)),
                route,
                connection = %about.connection.id(),
                id = about.id.map(RequestId::as_str),
                user = about.connection.user().as_deref(),
                "request failed"
            )
        };
    }
    match error {
        Error::Internal(_) => failed!(limited!(ERROR, of: route,)),
        _ if error.fault() == Fault::Upstream => failed!(limited!(WARN, of: route,)),
        _ => failed!(debug!()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_at(pointer: &str) -> Value {
        let format = ErrorFormat::json_id_at(pointer);
        let reply = format.write(&Error::NoRoute, Some(&RequestId::new("7")));
        let text = reply.as_messages()[0]
            .as_text()
            .unwrap_or_default()
            .to_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn an_error_is_valid_json_wherever_the_id_goes() {
        assert_eq!(written_at("/req_id")["req_id"], 7);
        assert_eq!(written_at("/a/b~1c")["a"]["b/c"], 7);
        for taken in ["", "/", "/error", "/error/id"] {
            let written = written_at(taken);
            assert_eq!(written["id"], 7, "{taken}");
            assert_eq!(written["error"]["code"], "no_route", "{taken}");
        }
    }
}

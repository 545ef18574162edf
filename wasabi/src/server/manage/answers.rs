//! What management answers, and with which status.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::keys::NotAdmitted;
use crate::{Error, NodeId, Position, Published};

/// An error, as clients see it.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: String,
    message: String,
}

#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> Told<'a> {
    fn of(refused: &'a Refused) -> Self {
        Self {
            code: &refused.code,
            message: &refused.message,
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: Told<'a>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Why there is no history. The engine may well be there while the node has not read everything yet.
    pub(super) fn unread(error: Error) -> Self {
        match error {
            Error::UpstreamUnreachable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                error.code(),
                "the node has not read the history: it has just started, or the engine of the cluster cannot be reached or \
                 has lost messages",
            ),
            other => other.into(),
        }
    }

    /// The same with 202: it may have been carried out.
    fn perhaps_done(self) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            ..self
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error.code() {
            "gone" => StatusCode::GONE,
            "bad_request" => StatusCode::BAD_REQUEST,
            "overloaded" => StatusCode::TOO_MANY_REQUESTS,
            "upstream_unreachable" | "upstream_lost" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = match &error {
            Error::UpstreamUnreachable(_) => {
                "the engine of the cluster cannot be reached".to_owned()
            }
            Error::UpstreamLost(_) => "a node of the cluster has not answered in time".to_owned(),
            Error::Overloaded => "too much waits there; try again later".to_owned(),
            other => other.client_message().into_owned(),
        };
        Self::new(status, error.code(), message)
    }
}

impl From<NotAdmitted> for Refused {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Unauthorized => Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a key is required: `Authorization: Bearer <key>`",
            ),
            NotAdmitted::Page => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "web pages may ask only with a key",
            ),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: Told::of(&self),
        };
        let mut response = json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An answer as JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What was done to one connection: 204, or 202 if nobody knows.
pub(super) fn done(outcome: Result<(), Error>) -> Result<Response, Refused> {
    match outcome {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error @ Error::UpstreamLost(_)) => Err(Refused::from(error).perhaps_done()),
        Err(error) => Err(error.into()),
    }
}

/// What was found or done on all nodes. Nodes that have not answered are named in the body; then the status is that of
/// `if_silent`.
pub(super) fn of_all(
    elsewhere: Result<(), Error>,
    silent: &[NodeId],
    if_silent: StatusCode,
    body: &impl Serialize,
) -> Result<Response, Refused> {
    match elsewhere {
        Ok(()) => Ok(json(StatusCode::OK, body)),
        Err(Error::UpstreamLost(_)) if !silent.is_empty() => Ok(json(if_silent, body)),
        Err(error) => Err(error.into()),
    }
}

/// A message that was published.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    here: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Told<'a>>,
}

/// What was published: the members here have it, whatever is known of the others.
pub(super) fn published(here: usize, elsewhere: Result<(), Error>) -> Response {
    let refused = elsewhere.err().map(Refused::from);
    let status = match refused {
        None => StatusCode::OK,
        Some(_) => StatusCode::ACCEPTED,
    };
    let body = Body {
        here: Some(here),
        position: None,
        duplicate: None,
        error: refused.as_ref().map(Told::of),
    };
    json(status, &body)
}

/// What was published to a group that keeps it: all members get it, or none.
pub(super) fn stored(outcome: Published) -> Result<Response, Refused> {
    match (outcome.elsewhere, outcome.stored) {
        (Err(error @ Error::UpstreamLost(_)), _) => Err(Refused::from(error).perhaps_done()),
        (Err(error), _) => Err(error.into()),
        (Ok(()), stored) => {
            let body = Body {
                here: None,
                position: stored.map(|stored| stored.position),
                duplicate: stored.map(|stored| stored.duplicate),
                error: None,
            };
            Ok(json(StatusCode::OK, &body))
        }
    }
}

//! URLs of upstreams with placeholders for what a client has sent.

use std::sync::Arc;

use form_urlencoded::parse;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use wasabi_rules::{Place, path_start, places};

use super::next_id;
use crate::{Connection, Error, Message, Result, parser::ValueAt};

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A URL that differs for each client or message.
#[derive(Debug)]
pub struct Template {
    /// The key of this template's values in a connection's state.
    id: u64,
    parts: Box<[UrlPart]>,
    /// The values that come from the clients' handshakes.
    given: Box<[Given]>,
    /// The indexes of the path segments with placeholders; the segment after the first `/` has index 1.
    open_segments: Box<[usize]>,
    /// Where the path begins.
    path: usize,
}

#[derive(Debug)]
enum UrlPart {
    Text(Box<str>),
    /// The value with this index in `given`.
    Given(usize),
    InMessage(ValueAt),
}

#[derive(Debug)]
enum Given {
    InPath(Box<str>),
    InQuery(Box<str>),
}

/// The encoded values of one connection.
type Values = Vec<Result<String, &'static str>>;

impl Template {
    /// Parses a URL; `None` if it has no placeholders. The second URL is a sample for checks, with every placeholder
    /// filled in.
    pub(super) fn parse(url: &str) -> Result<Option<(Self, String)>, String> {
        let places = places(url)?;
        if let [] | [Place::Text(_)] = places[..] {
            return Ok(None);
        }
        let (mut parts, mut given) = (Vec::new(), Vec::new());
        let mut open_segments = Vec::new();
        let mut sample = String::new();
        let path = path_start(url);
        for place in places {
            if let Place::Text(text) = place {
                sample += text;
                parts.push(UrlPart::Text(text.into()));
                continue;
            }
            let before = sample.get(path..).unwrap_or_default();
            let segment = before.matches('/').count();
            if !before.contains('?') && open_segments.last() != Some(&segment) {
                open_segments.push(segment);
            }
            sample.push('x');
            parts.push(match place {
                Place::InMessage(pointer) => UrlPart::InMessage(ValueAt::parse(pointer)?),
                Place::InQuery(name) => {
                    given.push(Given::InQuery(name.into()));
                    UrlPart::Given(given.len() - 1)
                }
                Place::InPath(name) | Place::Text(name) => {
                    given.push(Given::InPath(name.into()));
                    UrlPart::Given(given.len() - 1)
                }
            });
        }
        let template = Self {
            id: next_id(),
            parts: parts.into(),
            given: given.into(),
            open_segments: open_segments.into(),
            path,
        };
        Ok(Some((template, sample)))
    }

    /// The parameters that the channel's path must have.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter_map(|given| match given {
            Given::InPath(name) => Some(&**name),
            Given::InQuery(_) => None,
        })
    }

    /// The parameters of the query that the URL takes from clients.
    pub(super) fn of_queries(&self) -> impl Iterator<Item = &str> {
        self.given.iter().filter_map(|given| match given {
            Given::InQuery(name) => Some(&**name),
            Given::InPath(_) => None,
        })
    }

    /// Makes the URL for a message of this client, or for its connection.
    pub(super) fn fill(
        &self,
        connection: &Connection,
        message: Option<&Message>,
    ) -> Result<String> {
        let values = self.values(connection);
        let mut url = String::with_capacity(128);
        for part in &self.parts {
            match part {
                UrlPart::Text(text) => url += text,
                UrlPart::Given(at) => match values.get(*at) {
                    Some(Ok(value)) => url += value,
                    Some(Err(why)) => return Err(Error::bad_request(*why)),
                    None => {}
                },
                UrlPart::InMessage(at) => {
                    let message =
                        message.ok_or_else(|| Error::internal("a handshake has no message"))?;
                    let value = at.find(message)?;
                    url += &encoded(&value).map_err(Error::bad_request)?;
                }
            }
        }
        let path = url.get(self.path..).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        for (at, segment) in path.split('/').enumerate() {
            // URL parsers treat encoded dots as dots.
            if self.open_segments.contains(&at)
                && matches!(
                    &*segment.replace("%2e", ".").replace("%2E", "."),
                    "" | "." | ".."
                )
            {
                return Err(Error::bad_request(
                    "a value is not valid as a segment of a path",
                ));
            }
        }
        Ok(url)
    }

    fn values(&self, connection: &Connection) -> Arc<Values> {
        connection.state_of(self.id, || {
            let parameters: Vec<(String, String)> = connection.path().unwrap_or_default();
            let value = |given: &Given| match given {
                Given::InPath(name) => {
                    let mut parameters = parameters.iter();
                    let (_, value) = parameters
                        .find(|(other, _)| **other == **name)
                        .ok_or("the path has no such parameter")?;
                    encoded(value)
                }
                Given::InQuery(name) => {
                    let query = connection.uri().query().unwrap_or_default();
                    let mut found = parse(query.as_bytes()).filter(|(other, _)| **other == **name);
                    match (found.next(), found.next()) {
                        (Some((_, value)), None) => encoded(&value),
                        (None, _) => Err("a query parameter is missing"),
                        _ => Err("a query parameter occurs twice"),
                    }
                }
            };
            Arc::new(self.given.iter().map(value).collect())
        })
    }
}

/// Encodes a value as data in a URL.
fn encoded(value: &str) -> Result<String, &'static str> {
    // Lenient URL parsers drop these characters, or stop at them.
    if value.contains(['\r', '\n', '\0', '\t']) {
        return Err("a value contains characters that a URL cannot have");
    }
    Ok(utf8_percent_encode(value, ENCODED).to_string())
}

//! The parts of the client's handshake that go into the upstream's.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Uri};

use crate::{HandshakeError, backend::headers::Headers};

#[derive(Debug, Clone, Default)]
pub(super) struct Forward {
    pub(super) headers: Headers,
    pub(super) required_headers: Vec<HeaderName>,
    pub(super) query: Vec<String>,
    pub(super) required_query: Vec<String>,
    pub(super) subprotocol: bool,
}

impl Forward {
    /// Whether a client's handshake has everything that is required.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HandshakeError> {
        for name in &self.required_query {
            let mut given = parameters(uri.query());
            if !given.any(|parameter| parameter.name == *name && !parameter.is_empty) {
                return Err(HandshakeError(format!("the query must have `{name}`")));
            }
        }
        for name in &self.required_headers {
            if headers.get(name).is_none_or(|value| value.is_empty()) {
                return Err(HandshakeError(format!("the header `{name}` is missing")));
            }
        }
        Ok(())
    }

    /// Whether a client's handshake must have this.
    #[cfg(feature = "schema")]
    pub(super) fn requires(&self, passed: &crate::schema::PassedOn) -> bool {
        use crate::schema::HandshakePart;
        match passed.part {
            HandshakePart::Query => self.required_query.contains(&passed.name),
            HandshakePart::Header => {
                let mut required = self.required_headers.iter();
                required.any(|name| *name == *passed.name)
            }
        }
    }

    /// The upstream's path and query, followed by the forwarded parameters of the client's query.
    pub(super) fn path_and_query(&self, upstream: &Uri, client: Option<&str>) -> String {
        let mut target = upstream.path().to_owned();
        let fixed = upstream.query();
        let mut separator = '?';
        if let Some(fixed) = fixed {
            target.push(separator);
            target.push_str(fixed);
            separator = '&';
        }
        for parameter in parameters(client) {
            let is_fixed = || parameters(fixed).any(|other| other.name == parameter.name);
            let passes = self.query.iter().any(|name| *name == parameter.name);
            if passes && !is_fixed() {
                target.push(separator);
                target.push_str(parameter.raw);
                separator = '&';
            }
        }
        target
    }
}

struct Parameter<'q> {
    name: Cow<'q, str>,
    /// Name and value as written. They come from a URI, so they are valid in one.
    raw: &'q str,
    is_empty: bool,
}

fn parameters(query: Option<&str>) -> impl Iterator<Item = Parameter<'_>> {
    query.unwrap_or_default().split('&').filter_map(|raw| {
        let (name, value) = form_urlencoded::parse(raw.as_bytes()).next()?;
        Some(Parameter {
            name,
            raw,
            is_empty: value.is_empty(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(upstream: &str, client: &str, names: &[&str]) -> String {
        let forward = Forward {
            query: names.iter().map(|&name| name.to_owned()).collect(),
            ..Forward::default()
        };
        forward.path_and_query(&upstream.parse().unwrap(), Some(client))
    }

    #[test]
    fn chosen_parameters_pass_as_they_are_written() {
        let passed = forwarded("ws://up/v3", "a=1&b=%0D%0Ax&c=%C3%A9+1&b=2", &["b", "c"]);
        assert_eq!(passed, "/v3?b=%0D%0Ax&c=%C3%A9+1&b=2");
    }

    #[test]
    fn a_parameter_is_known_under_an_encoded_name() {
        assert_eq!(
            forwarded("ws://up/", "app%5Fid=1", &["app_id"]),
            "/?app%5Fid=1"
        );
    }

    #[test]
    fn a_client_cannot_change_a_parameter_of_the_upstreams_url() {
        let passed = forwarded("ws://up/?key=secret", "k%65y=mine&l=EN", &["key", "l"]);
        assert_eq!(passed, "/?key=secret&l=EN");
    }
}

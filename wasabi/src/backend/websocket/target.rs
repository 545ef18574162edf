//! The address of an upstream.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Uri};
use wasabi_rules::{schemes, url_without_secrets};

use super::unreachable::DialError;
use crate::{
    Connection,
    backend::{credentials::basic, template::Template},
};

/// The address of an upstream.
#[derive(Clone, Default)]
pub(super) struct Target {
    /// With a sample value in every placeholder, if the URL has any.
    pub(super) uri: Uri,
    template: Option<Arc<Template>>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
    /// Made from the user and password in the URL.
    pub(super) authorization: Option<HeaderValue>,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        wasabi_rules::url(url, schemes::WEBSOCKET)?;
        let (template, sample) = Template::parse(url)?.unzip();
        let parsed = wasabi_rules::url(sample.as_deref().unwrap_or(url), schemes::WEBSOCKET)?;
        let is_tls = parsed.scheme == "wss";
        // The credentials go into their own header, and not with the host into `Host`.
        let authorization = parsed.userinfo.map(|userinfo| {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            basic(user, password)
        });
        let (left, right) = match parsed.host.contains(':') {
            true => ("[", "]"),
            false => ("", ""),
        };
        let port = parsed.port.map(|port| format!(":{port}"));
        let bare = format!(
            "{}://{left}{}{right}{}{}",
            parsed.scheme,
            parsed.host,
            port.unwrap_or_default(),
            parsed.rest
        );
        let uri = bare
            .parse()
            .map_err(|error| format!("the URL of `WebSocket` is invalid: {error}"))?;
        Ok(Self {
            host: parsed.host.to_owned(),
            port: parsed.port.unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            uri,
            template: template.map(Arc::new),
            authorization: authorization.transpose()?,
        })
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    pub(super) fn template(&self) -> Option<&Template> {
        self.template.as_deref()
    }

    /// Makes the URL for this client.
    pub(super) fn uri_for(&self, connection: &Connection) -> Result<Uri, DialError> {
        let Some(template) = &self.template else {
            return Ok(self.uri.clone());
        };
        let url = template.fill(connection, None).map_err(DialError::Url)?;
        let path = url
            .get(wasabi_rules::path_start(&url)..)
            .unwrap_or_default();
        let mut uri = self.uri.clone().into_parts();
        uri.path_and_query = Some(path.try_into().map_err(http::Error::from)?);
        Ok(Uri::from_parts(uri).map_err(http::Error::from)?)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&url_without_secrets(&self.uri.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_and_port() {
        let target = Target::parse("wss://[::1]/x?y").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 443));
        let target = Target::parse("ws://up:9000").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("up", 9000));
        let target = Target::parse("ws://me:p%40@[::1]:9000/a@b?c=d@e").unwrap();
        assert_eq!(target.uri, "ws://[::1]:9000/a@b?c=d@e");
        assert!(target.authorization.is_some());
    }

    #[test]
    fn a_url_with_another_scheme_is_refused() {
        for url in ["http://up/", "up:9000", "/x", "ws://", "ws://user:pw@/", ""] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}

//! What makes the requests: a method and a URL, or a function.

use http::Method;
use reqwest::Url;

use super::{HttpRequest, parse_url};
use crate::{Error, Request, Result};

/// Where requests come from: [`Fixed`] or [`With`].
pub trait Target: Send + Sync {
    #[doc(hidden)]
    fn request(&self, req: &Request) -> Result<reqwest::Request>;

    /// That of the body, unless a header says it.
    #[doc(hidden)]
    fn content_type(&self, req: &Request) -> Option<&'static str> {
        let _ = req;
        None
    }

    #[doc(hidden)]
    fn mistake(&self) -> Option<&String> {
        None
    }

    #[doc(hidden)]
    fn may_be_https(&self) -> bool {
        true
    }

    /// That of every request, where it is always the same.
    #[doc(hidden)]
    fn url(&self) -> Option<&Url> {
        None
    }
}

/// The same method and URL for every message.
#[derive(Debug)]
pub struct Fixed {
    method: Method,
    url: Result<Url, String>,
}

impl Fixed {
    pub(super) fn new(method: Method, url: &str) -> Self {
        let url = wasabi_rules::method(method.as_str()).and_then(|_| parse_url(url));
        Self { method, url }
    }

    fn has_body(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

impl Target for Fixed {
    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        let url = self
            .url
            .clone()
            .map_err(|mistake| Error::internal(mistake.as_str()))?;
        let mut request = reqwest::Request::new(self.method.clone(), url);
        if self.has_body() {
            *request.body_mut() = Some(req.payload().into());
        }
        Ok(request)
    }

    fn content_type(&self, req: &Request) -> Option<&'static str> {
        self.has_body().then(|| req.content_type())
    }

    fn mistake(&self) -> Option<&String> {
        self.url.as_ref().err()
    }

    fn may_be_https(&self) -> bool {
        self.url.as_ref().is_ok_and(|url| url.scheme() == "https")
    }

    fn url(&self) -> Option<&Url> {
        self.url.as_ref().ok()
    }
}

/// A request that a function makes from the message.
#[derive(Debug)]
pub struct With<F>(F);

impl<F> With<F> {
    pub(super) fn new(factory: F) -> Self {
        Self(factory)
    }
}

impl<F> Target for With<F>
where
    F: Fn(&Request) -> Result<HttpRequest> + Send + Sync,
{
    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        (self.0)(req)?.into_inner()
    }
}

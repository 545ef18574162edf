//! The source of requests: a method and a URL, or a function.

use http::Method;
use reqwest::Url;

use super::{HttpRequest, parse_url};
use crate::{Error, Request, Result, backend::template::Template};

/// Where requests come from: [`Fixed`] or [`With`].
pub trait Target: Send + Sync {
    #[doc(hidden)]
    fn request(&self, req: &Request) -> Result<reqwest::Request>;

    /// The content type of the body, unless a header sets it.
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

    /// A URL with the host of every request, if that is always the same.
    #[doc(hidden)]
    fn url(&self) -> Option<&Url> {
        None
    }

    #[doc(hidden)]
    fn template(&self) -> Option<&Template> {
        None
    }
}

/// The same method and URL for every message.
#[derive(Debug)]
pub struct Fixed {
    method: Method,
    address: Result<Address, String>,
}

#[derive(Debug)]
struct Address {
    /// With a sample value in every placeholder, if the URL has any.
    url: Url,
    template: Option<Template>,
}

impl Address {
    fn parse(url: &str) -> Result<Self, String> {
        match Template::parse(url)? {
            Some((template, sample)) => Ok(Self {
                url: parse_url(&sample)?,
                template: Some(template),
            }),
            None => Ok(Self {
                url: parse_url(url)?,
                template: None,
            }),
        }
    }

    fn for_request(&self, req: &Request) -> Result<Url> {
        let Some(template) = &self.template else {
            return Ok(self.url.clone());
        };
        let url = template.fill(req.connection(), Some(req.message()))?;
        Url::parse(&url).map_err(Error::internal)
    }
}

impl Fixed {
    pub(super) fn new(method: Method, url: &str) -> Self {
        let address = wasabi_rules::method(method.as_str()).and_then(|_| Address::parse(url));
        Self { method, address }
    }

    fn has_body(&self) -> bool {
        self.method != Method::GET && self.method != Method::HEAD
    }
}

impl Target for Fixed {
    fn request(&self, req: &Request) -> Result<reqwest::Request> {
        let address = self.address.as_ref();
        let address = address.map_err(|mistake| Error::internal(mistake.as_str()))?;
        let url = address.for_request(req)?;
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
        self.address.as_ref().err()
    }

    fn may_be_https(&self) -> bool {
        self.url().is_some_and(|url| url.scheme() == "https")
    }

    fn url(&self) -> Option<&Url> {
        self.address.as_ref().ok().map(|address| &address.url)
    }

    fn template(&self) -> Option<&Template> {
        self.address.as_ref().ok()?.template.as_ref()
    }
}

/// Requests that a function makes from messages.
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

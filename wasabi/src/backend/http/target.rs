//! The source of requests: a method and a URL, or a function.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Method, Uri, header};
use reqwest::Url;

use super::{
    HttpRequest,
    hosts::{Host, Hosts},
    origin::{Origin, Outgoing, path},
    parse_url,
};
use crate::{
    Error, Request, Result,
    backend::{credentials, template::Template},
};

/// Where requests come from: [`Fixed`] or [`With`].
pub trait Target: Send + Sync {
    #[doc(hidden)]
    fn request(&self, req: &Request) -> Result<Destined>;

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

/// A request, and the host that it goes to.
pub struct Destined {
    pub(super) host: Arc<Host>,
    pub(super) outgoing: Outgoing,
    /// The URL that a function made has credentials.
    pub(super) has_credentials: bool,
}

/// The same method and URL for every message.
#[derive(Debug)]
pub struct Fixed {
    method: Method,
    address: Result<Address, String>,
}

struct Address {
    host: Arc<Host>,
    /// The path and the query, with a sample value in every placeholder if the URL has any.
    path: Uri,
    template: Option<Template>,
    /// Made from the user and the password in the URL.
    authorization: Option<HeaderValue>,
    /// As it was given.
    url: Url,
}

impl Address {
    fn parse(url: &str) -> Result<Self, String> {
        let (template, url) = match Template::parse(url)? {
            Some((template, sample)) => (Some(template), parse_url(&sample)?),
            None => (None, parse_url(url)?),
        };
        let mut bare = url.clone();
        let authorization = credentials::take(&mut bare)?;
        Ok(Self {
            host: Arc::new(Host::new(Origin::of(&bare)?)),
            path: path(&bare)?,
            template,
            authorization,
            url,
        })
    }

    fn path_for(&self, req: &Request) -> Result<Uri> {
        let Some(template) = &self.template else {
            return Ok(self.path.clone());
        };
        let url = template.fill(req.connection(), Some(req.message()))?;
        let url = Url::parse(&url).map_err(Error::internal)?;
        path(&url).map_err(Error::bad_request)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host.origin.url())
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
    fn request(&self, req: &Request) -> Result<Destined> {
        let address = self.address.as_ref();
        let address = address.map_err(|mistake| Error::internal(mistake.as_str()))?;
        let mut outgoing = Outgoing::new(self.method.clone(), address.path_for(req)?);
        if let Some(value) = &address.authorization {
            outgoing
                .headers
                .insert(header::AUTHORIZATION, value.clone());
        }
        if self.has_body() {
            outgoing.body = req.payload();
        }
        Ok(Destined {
            host: Arc::clone(&address.host),
            outgoing,
            has_credentials: false,
        })
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

/// A function makes each request.
pub struct With<F> {
    factory: F,
    hosts: Hosts,
}

impl<F> With<F> {
    pub(super) fn new(factory: F) -> Self {
        Self {
            factory,
            hosts: Hosts::default(),
        }
    }
}

impl<F> Target for With<F>
where
    F: Fn(&Request) -> Result<HttpRequest> + Send + Sync,
{
    fn request(&self, req: &Request) -> Result<Destined> {
        let request = (self.factory)(req)?;
        let has_credentials = request.has_credentials();
        let (origin, outgoing) = request.into_outgoing()?;
        Ok(Destined {
            host: self.hosts.host(origin),
            outgoing,
            has_credentials,
        })
    }
}

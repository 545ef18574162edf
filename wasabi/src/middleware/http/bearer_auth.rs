//! Clients with a token, by Bearer authentication.

use std::{borrow::Cow, fmt, future::Future, sync::Arc};

use http::{
    HeaderValue, Uri,
    request::Parts,
    uri::{self, PathAndQuery},
};
use tower::Layer;

use super::{
    Refresh,
    auth::{AuthService, Authenticate, Denied, Identity, Refused, Verdict, credentials, quoted},
};
use crate::{Request, Result};

/// Lets clients in that send a token (RFC 6750) which a function knows, and answers others 401.
///
/// The function is an `async fn(token: String)` that returns `Option<Identity<T>>` or `Result<Identity<T>, Denied>`.
/// Backend functions take the [`Identity`]. When it [expires](Identity::expires_at) the connection is closed with
/// 4401, unless the client sends a new token before: see [`refresh`](Self::refresh).
///
/// It is a `tower::Layer`, for `http = [..]` and for axum routers.
///
/// ```
/// use std::time::Duration;
/// use wasabi::prelude::*;
///
/// #[derive(Clone)]
/// struct User {
///     name: String,
/// }
///
/// async fn verify(token: String) -> Option<Identity<User>> {
///     let name = token.strip_prefix("token-of-")?.to_owned();
///     Some(Identity::new(User { name }).expires_in(Duration::from_secs(3600)))
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     http = [BearerAuth::new(verify)],
///     async |user: Identity<User>| user.into_inner().name,
/// ));
/// # drop(gateway);
/// ```
pub struct BearerAuth<V>(Arc<Inner<V>>);

#[derive(Clone)]
struct Inner<V> {
    verify: V,
    realm: String,
    parameter: Option<Cow<'static, str>>,
}

impl<V: Clone> BearerAuth<V> {
    /// Lets those in whose token this function knows.
    pub fn new<Fut>(verify: V) -> Self
    where
        V: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Verdict> + Send,
    {
        Self(Arc::new(Inner {
            verify,
            realm: String::new(),
            parameter: None,
        }))
    }

    /// Names what the token is for in the 401 answer.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).realm = realm.into();
        self
    }

    /// Takes the token from this parameter of the URL's query as well: browsers cannot send headers with the
    /// handshake of a WebSocket. A client that sends both, or the parameter twice, is not let in.
    ///
    /// The parameter is taken out of [`Connection::uri`](crate::Connection::uri), so that it does not go on to logs
    /// and upstreams; proxies in front still see it. Tokens that go this way should be short-lived.
    #[must_use]
    pub fn query_parameter(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).parameter = Some(name.into());
        self
    }
}

impl<V> BearerAuth<V> {
    /// The target of a route on which clients send new tokens, so that they stay connected when the old one expires.
    /// `token` takes the token from a request. [`Refresh`] says what happens then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wasabi::{Error, prelude::*};
    ///
    /// # #[derive(Clone)]
    /// # struct User { name: String }
    /// # async fn verify(token: String) -> Option<Identity<User>> { None }
    /// #[derive(serde::Deserialize)]
    /// struct NewToken {
    ///     token: String,
    /// }
    ///
    /// fn new_token(req: &Request) -> Result<String> {
    ///     match serde_json::from_slice::<NewToken>(req.message().as_bytes()) {
    ///         Ok(message) => Ok(message.token),
    ///         Err(error) => Err(Error::bad_request(error.to_string())),
    ///     }
    /// }
    ///
    /// let auth = BearerAuth::new(verify);
    /// let refresh = auth
    ///     .refresh(new_token)
    ///     .same(|old, new| old.name == new.name)
    ///     .reply(|_, _| r#"{"action":"refreshed"}"#);
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     http = [auth],
    ///     parser = JsonKey::at("/action"),
    ///     match key {
    ///         "refresh" => refresh,
    ///         _ => async |user: Identity<User>| user.into_inner().name,
    ///     },
    /// ));
    /// # drop(gateway);
    /// ```
    pub fn refresh<F, Fut>(&self, token: F) -> Refresh<V, F, <Fut::Output as Verdict>::Identity>
    where
        V: Fn(String) -> Fut,
        Fut: Future<Output: Verdict>,
        F: Fn(&Request) -> Result<String> + Send + Sync,
    {
        Refresh::new(self.clone(), token)
    }

    /// Who has this token.
    pub(super) async fn verify<Fut>(
        &self,
        token: String,
    ) -> Result<Identity<<Fut::Output as Verdict>::Identity>, Denied>
    where
        V: Fn(String) -> Fut,
        Fut: Future<Output: Verdict>,
    {
        if !is_token(&token) {
            return Err(Denied::Invalid);
        }
        (self.0.verify)(token).await.into_result()
    }

    fn token(&self, head: &mut Parts) -> Result<String, Refused> {
        let mut in_query = Vec::new();
        if let Some(name) = &self.0.parameter {
            in_query = take_parameter(&mut head.uri, name);
        }
        let in_header = match credentials(head, "bearer") {
            Ok(token) => Some(token.to_owned()),
            Err(Refused::Missing) => None,
            Err(refused) => return Err(refused),
        };
        let token = match (in_header, in_query.pop()) {
            (Some(token), None) | (None, Some(token)) => token,
            (None, None) => return Err(Refused::Missing),
            (Some(_), Some(_)) => return Err(Refused::Malformed),
        };
        match is_token(&token) && in_query.is_empty() {
            true => Ok(token),
            false => Err(Refused::Malformed),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl<V, Fut> Authenticate for BearerAuth<V>
where
    V: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Verdict> + Send,
{
    type Identity = <Fut::Output as Verdict>::Identity;

    async fn authenticate(&self, head: &mut Parts) -> Result<Identity<Self::Identity>, Refused> {
        let token = self.token(head)?;
        Ok(self.verify(token).await?)
    }

    fn challenge(&self, refused: Refused) -> HeaderValue {
        let mut parameters = Vec::new();
        if !self.0.realm.is_empty() {
            parameters.push(format!("realm={}", quoted(&self.0.realm)));
        }
        if refused == Refused::Denied(Denied::Invalid) {
            parameters.push(r#"error="invalid_token""#.to_owned());
        }
        let challenge = format!("Bearer {}", parameters.join(", "));
        HeaderValue::try_from(challenge.trim_end()).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// Takes every parameter of this name out of the query and returns their values.
fn take_parameter(uri: &mut Uri, name: &str) -> Vec<String> {
    let mut values = Vec::new();
    let Some(query) = uri.query() else {
        return values;
    };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match form_urlencoded::parse(pair.as_bytes()).next() {
            Some((found, value)) if found == name => values.push(value.into_owned()),
            _ => kept.push(pair),
        }
    }
    if !values.is_empty() {
        let path = uri.path();
        let rest = match kept.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", kept.join("&")),
        };
        if let Some(changed) = with_path_and_query(uri, &rest) {
            *uri = changed;
        } else {
            // Cannot be, as it was a part of a URI before; a token that stays in there would be worse.
            *uri = Uri::from_static("/");
        }
    }
    values
}

fn with_path_and_query(uri: &Uri, path_and_query: &str) -> Option<Uri> {
    let mut parts: uri::Parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

impl<S, V: Clone> Layer<S> for BearerAuth<V> {
    type Service = AuthService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService::new(inner, self.clone())
    }
}

impl<V> Clone for BearerAuth<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> fmt::Debug for BearerAuth<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("realm", &self.0.realm)
            .field("parameter", &self.0.parameter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_taken_out_of_the_query_and_nothing_else_changes() {
        let cases = [
            ("/?token=x", "/", vec!["x"]),
            ("/a%20b?x=%20y&token=%41&z", "/a%20b?x=%20y&z", vec!["A"]),
            ("/?token=1&token=2", "/", vec!["1", "2"]),
            ("/?%74oken=1&tokens=2", "/?tokens=2", vec!["1"]),
            ("http://host/?token=", "http://host/", vec![""]),
            ("/?a=token", "/?a=token", vec![]),
            ("/", "/", vec![]),
        ];
        for (before, after, values) in cases {
            let mut uri = Uri::from_static(before);
            assert_eq!(take_parameter(&mut uri, "token"), values, "{before}");
            assert_eq!(uri, *after, "{before}");
        }
    }
}

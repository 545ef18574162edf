//! Clients with a token, by Bearer authentication.

mod places;

use std::{borrow::Cow, fmt, future::Future, sync::Arc};

use http::{HeaderValue, request::Parts};
use tower::Layer;

use super::auth::{AuthService, Authenticate, Denied, Refused, Verdict, credentials, quoted};
use crate::{
    Result,
    connection::Identity,
    mistakes::{self, Mistakes},
};

/// Lets clients in that send a token (RFC 6750) which a function knows, and answers others 401.
///
/// The function is an `async fn(token: String)` that returns `Option<Identity<T>>` or `Result<Identity<T>, Denied>`.
/// Backend functions take the [`Identity`]. When it [expires](Identity::expires_at) the connection is closed with
/// 4401, unless the client sends a new token before: see [`refresh`](Self::refresh).
///
/// # Browsers
///
/// Browsers send no headers with the handshake of a WebSocket, and cannot read a 401. There are four other ways:
///
/// | | |
/// |---|---|
/// | [`cookie`](Self::cookie) | the browser sends it by itself; `origins` keep other pages out |
/// | [`subprotocol`](Self::subprotocol) | `new WebSocket(url, ["chat", "bearer." + token])` |
/// | [`query_parameter`](Self::query_parameter) | `new WebSocket(url + "?token=" + token)`; proxies in front see it |
/// | [`optional`](Self::optional) | a first message with the token, to a route with [`refresh`](Self::refresh) |
///
/// [`refuse_by_close`](Self::refuse_by_close) tells them that the token is not good.
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
    cookie: Option<Cow<'static, str>>,
    subprotocol: bool,
    is_optional: bool,
    refuses_by_close: bool,
    mistakes: Mistakes,
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
            cookie: None,
            subprotocol: false,
            is_optional: false,
            refuses_by_close: false,
            mistakes: Mistakes::default(),
        }))
    }

    /// With what is wrong with the settings of its function.
    #[cfg(feature = "jwt")]
    pub(super) fn with_mistakes(mut self, mistakes: Mistakes) -> Self {
        Arc::make_mut(&mut self.0).mistakes = mistakes;
        self
    }

    /// Names what the token is for in the 401 answer; nothing if not set. Printable ASCII; anything else is a mistake.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.realm = realm.into();
        inner.mistakes.keep(wasabi_rules::realm(&inner.realm));
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

    /// Takes the token from the cookie of this name as well, where there is no other token. A client that has the cookie
    /// twice is not let in.
    ///
    /// Browsers send cookies by themselves, whatever page opens the WebSocket: only the channel's `origins` keep other
    /// pages from acting as the user. Set the cookie with `Secure`, `HttpOnly` and `SameSite`.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).cookie = Some(name.into());
        self
    }

    /// Takes the token from an offered subprotocol `bearer.<token>` as well. It is taken out of the offer: it is not
    /// chosen, not sent back, and does not go on to upstreams.
    ///
    /// The channel needs `subprotocols`, and the client offers one of them beside: browsers give up when they have offered
    /// some, and none is chosen. The token is made of what a subprotocol may have in it, as JSON Web Tokens are.
    #[must_use]
    pub fn subprotocol(mut self) -> Self {
        Arc::make_mut(&mut self.0).subprotocol = true;
        self
    }

    /// Lets clients without a token in, whose identity is not known. One that has a token must have a good one.
    ///
    /// A function that takes an [`Identity`] is not called for them: the answer is `unauthorized`. One that takes
    /// `Option<Identity<T>>` is. To let them log in with their first message, put [`refresh`](Self::refresh) on a route,
    /// and set a deadline:
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use wasabi::{Close, Error, prelude::*};
    ///
    /// # async fn verify(token: String) -> Option<Identity<String>> { None }
    /// fn token(req: &Request) -> Result<String> {
    ///     let text = req.message().as_text().unwrap_or_default();
    ///     let token = text.strip_prefix("login ").ok_or(Error::bad_request("no token"))?;
    ///     Ok(token.to_owned())
    /// }
    ///
    /// async fn deadline(connection: Connection) -> Result<(), Close> {
    ///     if connection.identity::<String>().is_none() {
    ///         connection.expire_at(SystemTime::now() + Duration::from_secs(10));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn first_word(message: &Message) -> Result<Option<Envelope<'_>>> { Ok(None) }
    /// let auth = BearerAuth::new(verify).optional();
    /// let login = auth.refresh(token).reply(|_, _| "welcome");
    /// let gateway = gateway!(channel(
    ///     "/",
    ///     http = [auth],
    ///     parser = first_word,
    ///     on_connect = deadline,
    ///     match key {
    ///         "login" => login,
    ///         _ => async |user: Identity<String>| user.into_inner(),
    ///     },
    /// ));
    /// # drop(gateway);
    /// ```
    #[must_use]
    pub fn optional(mut self) -> Self {
        Arc::make_mut(&mut self.0).is_optional = true;
        self
    }

    /// Accepts the handshake of a WebSocket that is refused, and closes it at once, with 4401 instead of 401, 4403
    /// instead of 403, and 1013 instead of 503: browsers can read that, and cannot read a status.
    ///
    /// Nothing of the channel sees such a client: neither hooks nor the registry.
    #[must_use]
    pub fn refuse_by_close(mut self) -> Self {
        Arc::make_mut(&mut self.0).refuses_by_close = true;
        self
    }
}

impl<V> BearerAuth<V> {
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
        // All of them are taken out, also where one is enough.
        let mut tokens = Vec::new();
        if let Some(name) = &self.0.parameter {
            tokens.append(&mut places::take_parameter(&mut head.uri, name));
        }
        if self.0.subprotocol {
            tokens.append(&mut places::take_subprotocol(&mut head.headers));
        }
        let mut in_cookie = match &self.0.cookie {
            Some(name) => places::cookie(&mut head.headers, name),
            None => Vec::new(),
        };
        match credentials(head, "bearer") {
            Ok(token) => tokens.push(token.to_owned()),
            Err(Refused::Missing) => {}
            Err(refused) => return Err(refused),
        }
        if tokens.is_empty() {
            tokens.append(&mut in_cookie);
        }
        let Some(token) = tokens.pop() else {
            return Err(Refused::Missing);
        };
        match is_token(&token) && tokens.is_empty() {
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

    fn is_optional(&self) -> bool {
        self.0.is_optional
    }

    fn refuses_by_close(&self) -> bool {
        self.0.refuses_by_close
    }
}

impl<S, V: Clone> Layer<S> for BearerAuth<V> {
    type Service = AuthService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        mistakes::tell(&self.0.mistakes);
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
            .field("cookie", &self.0.cookie)
            .field("subprotocol", &self.0.subprotocol)
            .finish_non_exhaustive()
    }
}

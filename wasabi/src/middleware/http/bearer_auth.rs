//! Authentication by token, with the Bearer scheme.

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

/// Admits clients that send a token (RFC 6750) which a function accepts, and answers others 401.
///
/// The function is an `async fn(token: String)` that returns `Option<Identity<T>>` or `Result<Identity<T>, Denied>`.
/// Backend functions receive the [`Identity`]. When it [expires](Identity::expires_at) the gateway closes the
/// connection with 4401, unless the client has sent a new token before: see [`refresh`](Self::refresh).
///
/// # Browsers
///
/// Web pages cannot set headers on the handshake of a WebSocket, and cannot read a 401. There are four other ways:
///
/// | | |
/// |---|---|
/// | [`cookie`](Self::cookie) | the browser sends it automatically; `origins` keeps other pages out |
/// | [`subprotocol`](Self::subprotocol) | `new WebSocket(url, ["chat", "bearer." + token])` |
/// | [`query_parameter`](Self::query_parameter) | `new WebSocket(url + "?token=" + token)`; proxies in front see it |
/// | [`optional`](Self::optional) | a first message with the token, to a route with [`refresh`](Self::refresh) |
///
/// [`refuse_by_close`](Self::refuse_by_close) tells the page that the token is invalid.
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
pub struct BearerAuth<V>(Arc<BearerRules<V>>);

#[derive(Clone)]
struct BearerRules<V> {
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
    /// Admits clients whose token this function accepts.
    pub fn new<Fut>(verify: V) -> Self
    where
        V: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Verdict> + Send,
    {
        Self(Arc::new(BearerRules {
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

    /// Adds the mistakes in the settings of its function.
    #[cfg(feature = "jwt")]
    pub(super) fn with_mistakes(mut self, mistakes: Mistakes) -> Self {
        Arc::make_mut(&mut self.0).mistakes = mistakes;
        self
    }

    /// The realm of the 401 answer; none by default. Printable ASCII; anything else is a mistake.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.realm = realm.into();
        inner.mistakes.keep(wasabi_rules::realm(&inner.realm));
        self
    }

    /// Also takes the token from this parameter of the URL's query, because web pages cannot set headers on the
    /// handshake of a WebSocket. A client that sends both a header and the parameter, or the parameter twice, is
    /// refused.
    ///
    /// The gateway removes the parameter from [`Connection::uri`](crate::Connection::uri), so that logs and upstreams
    /// do not see it; proxies in front still do. Tokens sent this way should be short-lived.
    #[must_use]
    pub fn query_parameter(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).parameter = Some(name.into());
        self
    }

    /// Also takes the token from the cookie of this name, if there is no other token. A client that sends the cookie
    /// twice is refused.
    ///
    /// Browsers send cookies automatically, whatever page opens the WebSocket: only the channel's `origins` keeps other
    /// pages from acting as the user. Set the cookie with `Secure`, `HttpOnly` and `SameSite`.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).cookie = Some(name.into());
        self
    }

    /// Also takes the token from an offered subprotocol `bearer.<token>`. The gateway removes it from the offer: it
    /// does not choose it, send it back, or forward it to upstreams.
    ///
    /// The channel needs `subprotocols`, and the client must offer one of them as well, because browsers fail a
    /// connection if they offered subprotocols and the server chose none. The token may contain only characters that a
    /// subprotocol may contain, as JSON Web Tokens do.
    #[must_use]
    pub fn subprotocol(mut self) -> Self {
        Arc::make_mut(&mut self.0).subprotocol = true;
        self
    }

    /// Also admits clients without a token, without an identity. A token that is sent must still be valid.
    ///
    /// The gateway does not call a function that takes an [`Identity`] for them: it answers `unauthorized`. A function
    /// that takes `Option<Identity<T>>` is called. To let clients log in with their first message, put
    /// [`refresh`](Self::refresh) on a route, and set a deadline:
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

    /// Accepts the handshake of a refused WebSocket and closes it at once, with 4401 instead of 401, 4403 instead of
    /// 403, and 1013 instead of 503: web pages can read a close code but not a status.
    ///
    /// The channel never sees such a client: its hooks do not run, and the registry does not list it.
    #[must_use]
    pub fn refuse_by_close(mut self) -> Self {
        Arc::make_mut(&mut self.0).refuses_by_close = true;
        self
    }
}

impl<V> BearerAuth<V> {
    /// Returns the identity that this token belongs to.
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
        // Take all of them out, even where one is enough.
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
        #[cfg(feature = "schema")]
        crate::schema::tell(|| {
            use crate::schema::{Login, Security};
            let rules = &self.0;
            let parameter = rules
                .parameter
                .iter()
                .map(|name| Security::Query(name.to_string()));
            let cookie = rules
                .cookie
                .iter()
                .map(|name| Security::Cookie(name.to_string()));
            let subprotocol = rules.subprotocol.then_some(Security::Subprotocol);
            let ways = [Security::Bearer].into_iter().chain(parameter);
            Login {
                any_of: ways.chain(cookie).chain(subprotocol).collect(),
                is_optional: rules.is_optional,
                refuses_by_close: rules.refuses_by_close,
            }
        });
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

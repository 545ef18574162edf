//! Users with passwords, by HTTP Basic authentication.

#[cfg(feature = "argon2")]
mod hashes;
#[cfg(feature = "argon2")]
mod turns;
mod users;

use std::{fmt, future::Future, net::IpAddr, sync::Arc};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderValue, request::Parts};
use tower::Layer;

pub use self::users::Users;
use super::auth::{AuthService, Authenticate, Refused, Verdict, credentials, quoted};
use crate::{
    Result,
    connection::Identity,
    connection::client_ip::{ClientIp, subscriber},
    mistakes::{self, Mistakes},
};

/// Lets clients in that name themselves by HTTP Basic authentication (RFC 7617), and answers others 401.
///
/// It is a `tower::Layer`, for `http = [..]` and for axum routers. Backend functions take the [`Identity`].
///
/// The password goes over the wire with each handshake: use it behind TLS only. Browsers send it by themselves, so a
/// channel with it should not allow every origin.
///
/// ```
/// use wasabi::prelude::*;
///
/// async fn whoami(user: Identity<String>) -> String {
///     user.into_inner()
/// }
///
/// let staff = BasicAuth::users([("alice", "wonderland"), ("bob", "builder")]);
/// let gateway = gateway!(channel("/", http = [staff], whoami));
/// # drop(gateway);
/// ```
pub struct BasicAuth<V = Users> {
    realm: Arc<str>,
    verify: Arc<V>,
    mistakes: Mistakes,
}

impl BasicAuth {
    /// Lets these users in, each with its password. The identity is an `Identity<String>`, the user's name.
    ///
    /// With the cargo feature `argon2` a password may also be given as its hash, `$argon2id$v=19$..`: such strings
    /// are always taken for hashes, and without the feature they are a mistake. Verifying one costs the memory and
    /// time that the hash asks for, on a thread of its own:
    #[cfg_attr(
        feature = "argon2",
        doc = "[`hash_threads`](Self::hash_threads) and [`hash_queue`](Self::hash_queue)"
    )]
    #[cfg_attr(not(feature = "argon2"), doc = "`hash_threads` and `hash_queue`")]
    /// bound how many at a time.
    ///
    /// Whether the name or the password was wrong cannot be told from the time that the answer takes: names and
    /// passwords are compared in constant time, and for a name that is not known a password is verified as well, with
    /// the settings of the first hash.
    ///
    /// A name that comes twice, one with a colon and a hash that cannot be read are mistakes that keep the gateway
    /// from being served.
    pub fn users<N, P>(users: impl IntoIterator<Item = (N, P)>) -> Self
    where
        N: Into<String>,
        P: Into<String>,
    {
        let users = users
            .into_iter()
            .map(|(name, password)| (name.into(), password.into()));
        Self::new(Users::new(users))
    }

    /// How many passwords are verified by their hashes at the same time; one fewer than there are cores if not set, and
    /// at least one. Others wait, and clients have turns by their address (that of [`ClientIp`] middleware around
    /// this, IPv6 by /64): one that tries many passwords waits for itself, and others for one of its tries each.
    ///
    /// Behind a proxy every client has the proxy's address, and they all share one line, unless `ClientIp` tells them
    /// apart. Zero is a mistake.
    #[cfg(feature = "argon2")]
    #[must_use]
    pub fn hash_threads(self, threads: usize) -> Self {
        self.verify.turns.set_places(threads);
        self
    }

    /// How many logins wait for a thread; 64 if not set. When there are so many, the address with most of them gets 503
    /// with `Retry-After` for the last one, whoever else asks. Zero is a mistake.
    #[cfg(feature = "argon2")]
    #[must_use]
    pub fn hash_queue(self, logins: usize) -> Self {
        self.verify.turns.set_max_waiting(logins);
        self
    }

    /// Lets those in that a function knows: an `async fn(user: String, password: String)` which returns
    /// `Option<Identity<T>>` or `Result<Identity<T>, Denied>`. It should take the same time for users that it does
    /// not know, and bound its work itself: anybody can make it run.
    ///
    /// ```
    /// use wasabi::prelude::*;
    ///
    /// async fn verify(user: String, password: String) -> Option<Identity<String>> {
    ///     (user == "alice" && password == "wonderland").then(|| Identity::new(user))
    /// }
    ///
    /// let auth = BasicAuth::verify(verify);
    /// # drop(auth);
    /// ```
    pub fn verify<F, Fut>(verify: F) -> BasicAuth<F>
    where
        F: Fn(String, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Verdict> + Send,
    {
        BasicAuth::new(verify)
    }
}

impl<V> BasicAuth<V> {
    fn new(verify: V) -> Self {
        Self {
            realm: Arc::from("gateway"),
            verify: Arc::new(verify),
            mistakes: Mistakes::default(),
        }
    }

    /// What the name and the password are for, in the 401 answer: browsers show it, or remember passwords by it.
    /// `gateway` if not set, for there must be one (RFC 7617, section 2). Printable ASCII; anything else is a mistake.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        let realm = realm.into();
        self.mistakes.keep(wasabi_rules::realm(&realm));
        self.realm = realm.into();
        self
    }
}

/// What can verify a password.
pub(super) trait Verify: Send + Sync + 'static {
    type Identity: Clone + Send + Sync + 'static;

    /// What is wrong with the settings.
    fn mistakes(&self) -> Mistakes {
        Mistakes::default()
    }

    /// `client` is who waits in turn with others, where there is something to wait for.
    fn verify(
        &self,
        client: Option<IpAddr>,
        user: String,
        password: String,
    ) -> impl Future<Output = Result<Identity<Self::Identity>, Refused>> + Send;
}

impl<F, Fut> Verify for F
where
    F: Fn(String, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Verdict> + Send,
{
    type Identity = <Fut::Output as Verdict>::Identity;

    async fn verify(
        &self,
        _client: Option<IpAddr>,
        user: String,
        password: String,
    ) -> Result<Identity<Self::Identity>, Refused> {
        Ok(self(user, password).await.into_result()?)
    }
}

impl<V: Verify> Authenticate for BasicAuth<V> {
    type Identity = V::Identity;

    async fn authenticate(&self, head: &mut Parts) -> Result<Identity<V::Identity>, Refused> {
        let client = ClientIp::of(&head.extensions).map(|ClientIp(ip)| subscriber(ip));
        let (user, password) = user_and_password(credentials(head, "basic")?)?;
        let name = Arc::from(user.as_str());
        let identity = self.verify.verify(client, user, password).await?;
        Ok(match identity.name() {
            Some(_) => identity,
            None => identity.named(name),
        })
    }

    fn challenge(&self, _refused: Refused) -> HeaderValue {
        let challenge = format!(r#"Basic realm={}, charset="UTF-8""#, quoted(&self.realm));
        HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Basic"))
    }
}

/// Clients do not agree on the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn user_and_password(credentials: &str) -> Result<(String, String), Refused> {
    let decoded = BASE64.decode(credentials).map_err(|_| Refused::Malformed)?;
    let decoded = String::from_utf8(decoded).map_err(|_| Refused::Malformed)?;
    if decoded.contains(|c: char| c.is_ascii_control()) {
        return Err(Refused::Malformed);
    }
    let (user, password) = decoded.split_once(':').ok_or(Refused::Malformed)?;
    Ok((user.to_owned(), password.to_owned()))
}

impl<S, V: Verify> Layer<S> for BasicAuth<V> {
    type Service = AuthService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        let mut mistakes = self.mistakes.clone();
        mistakes.extend(&self.verify.mistakes());
        mistakes::tell(&mistakes);
        AuthService::new(inner, self.clone())
    }
}

impl<V> Clone for BasicAuth<V> {
    fn clone(&self) -> Self {
        Self {
            realm: Arc::clone(&self.realm),
            verify: Arc::clone(&self.verify),
            mistakes: self.mistakes.clone(),
        }
    }
}

impl<V> fmt::Debug for BasicAuth<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicAuth")
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

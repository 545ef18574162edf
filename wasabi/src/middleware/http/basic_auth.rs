//! Authentication by user and password, with the HTTP Basic scheme.

#[cfg(feature = "argon2")]
mod hashes;
#[cfg(feature = "argon2")]
mod login_queue;
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

/// Admits clients that authenticate with HTTP Basic authentication (RFC 7617), and answers others 401.
///
/// It is a `tower::Layer`, for `http = [..]` and for axum routers. Backend functions receive the [`Identity`].
///
/// Each handshake sends the password: use it only over TLS. Browsers send it automatically, so a channel that uses it
/// should not allow every origin.
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
    /// Admits these users, each with its password. The identity is an `Identity<String>`, the user's name.
    ///
    /// With the cargo feature `argon2` a password may also be given as its hash, `$argon2id$v=19$..`. Such strings are
    /// always treated as hashes; without the feature they are a mistake. Verifying a hash costs the memory and the time
    /// that the hash specifies, on a separate thread:
    #[cfg_attr(
        feature = "argon2",
        doc = "[`hash_threads`](Self::hash_threads) and [`hash_queue`](Self::hash_queue)"
    )]
    #[cfg_attr(not(feature = "argon2"), doc = "`hash_threads` and `hash_queue`")]
    /// limit how many are verified at a time.
    ///
    /// The time that an answer takes does not reveal whether the name or the password was wrong: names and passwords
    /// are compared in constant time, and for an unknown name a password is verified too, with the settings of the
    /// first hash.
    ///
    /// Duplicate names, names with a colon and invalid hashes are mistakes, and the server does not start.
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

    /// How many passwords are verified by their hashes at the same time; by default one fewer than there are cores, and
    /// at least one. Other logins wait. Clients take turns by address (as found by [`ClientIp`] middleware around this
    /// one; IPv6 by /64): a client that tries many passwords waits for its own tries, and other clients wait for one of
    /// its tries each.
    ///
    /// Behind a proxy every client has the proxy's address, so all share one line unless `ClientIp` tells them apart.
    /// Zero is a mistake.
    #[cfg(feature = "argon2")]
    #[must_use]
    pub fn hash_threads(self, threads: usize) -> Self {
        self.verify.queue.set_places(threads);
        self
    }

    /// How many logins may wait for a thread; 64 by default. When the queue is full, the address with the most waiting
    /// logins gets 503 with `Retry-After` for its last one, no matter which client asks. Zero is a mistake.
    #[cfg(feature = "argon2")]
    #[must_use]
    pub fn hash_queue(self, logins: usize) -> Self {
        self.verify.queue.set_max_waiting(logins);
        self
    }

    /// Admits clients that a function accepts: an `async fn(user: String, password: String)` that returns
    /// `Option<Identity<T>>` or `Result<Identity<T>, Denied>`. It should take the same time for users that it does not
    /// know, and must limit its own work: anyone can make it run.
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

    /// The realm of the 401 answer: browsers show it, or remember passwords by it. `gateway` by default, because a
    /// realm is required (RFC 7617, section 2). Printable ASCII; anything else is a mistake.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        let realm = realm.into();
        self.mistakes.keep(wasabi_rules::realm(&realm));
        self.realm = realm.into();
        self
    }
}

/// Verifies passwords.
pub(super) trait Verify: Send + Sync + 'static {
    type Identity: Clone + Send + Sync + 'static;

    /// Returns the mistakes in its settings.
    fn mistakes(&self) -> Mistakes {
        Mistakes::default()
    }

    /// `client` is the client that waits in turn with others, if there is a queue.
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

/// Clients differ in their padding.
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
        #[cfg(feature = "schema")]
        crate::schema::tell(|| crate::schema::Login {
            any_of: vec![crate::schema::Security::Basic],
            is_optional: self.is_optional(),
            refuses_by_close: self.refuses_by_close(),
        });
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

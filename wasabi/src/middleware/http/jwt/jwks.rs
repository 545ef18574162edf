//! Keys that are published and changed.

mod set;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Client;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};

use self::set::KeySet;
use super::Denied;
use crate::{
    backend::{build_client, parse_url},
    log::{limited, said},
    mistakes::Mistakes,
    sync::Unpoisoned,
};

/// The keys that an identity provider publishes under a URL, as a JSON Web Key Set (RFC 7517), for
/// [`Jwt::jwks`](super::Jwt::jwks).
///
/// ```
/// use wasabi::{
///     middleware::http::{Jwks, Jwt},
///     prelude::*,
/// };
///
/// #[derive(Clone, serde::Deserialize)]
/// struct Claims {
///     sub: String,
/// }
///
/// let keys = Jwks::new("http://id.example.com/.well-known/jwks.json");
/// let jwt = Jwt::<Claims>::jwks(keys)
///     .issuer(["https://id.example.com"])
///     .audience(["trading"]);
/// let gateway = gateway!(channel(
///     "/",
///     http = [jwt.auth()],
///     async |claims: Identity<Claims>| claims.into_inner().sub,
/// ));
/// # drop(gateway);
/// ```
///
/// * **Which key:** the one with the `kid` of the token, if it is of the algorithm of the token. A token without `kid` is
///   tried with all keys of its algorithm.
/// * **Algorithms:** `RS256`, `ES256` and `EdDSA`, unless [set](Self::algorithms). Never `none`, and none of those with a
///   secret: a public key is not one.
/// * **Rotation:** keys are asked for by the first handshake, and again in the background once they are
///   [10 minutes](Self::refresh_every) old; keys that are gone then are not good any more. A token with an unknown `kid`
///   makes the gateway ask at once and wait for the answer, but it asks [every 10 s](Self::ask_every) at most, whatever
///   tokens clients send.
/// * **Failure:** when the URL does not answer, the keys that are known stay. What cannot be decided without new ones is
///   [`Denied::Unavailable`], 503.
/// * **Bounds:** an answer must come within [5 s](Self::timeout), with at most 256 KiB and 64 keys. Redirects are not
///   followed. Keys that RFC 7518 finds too small, and those for encryption, are left out.
///
/// `https` needs the cargo feature `tls`; with `http` anybody on the way can put in a key. Clones share the keys.
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    settings: Settings,
    client: OnceLock<Result<Client, String>>,
    known: Mutex<Known>,
    /// Changes whenever an answer is there, or will not come.
    asked: watch::Sender<()>,
}

#[derive(Clone)]
struct Settings {
    url: Result<reqwest::Url, String>,
    algorithms: Vec<Algorithm>,
    refresh_every: Duration,
    ask_every: Duration,
    timeout: Duration,
    client: Option<Client>,
    mistakes: Mistakes,
}

#[derive(Default)]
struct Known {
    keys: Arc<KeySet>,
    /// When the keys were asked for; `None` if there are none yet.
    of: Option<Instant>,
    /// When they were asked for last, with whatever success.
    asked: Option<Instant>,
    /// Nobody could say for the last time. So it is before the first one.
    has_failed: bool,
    is_asking: bool,
}

const MAX_BYTES: usize = 256 * 1024;

/// A provider is not to be flooded, whatever tokens clients send.
const LEAST_BETWEEN_MS: u64 = 100;
const LEAST_BETWEEN: Duration = Duration::from_millis(LEAST_BETWEEN_MS);

impl Jwks {
    /// The keys under this URL. An invalid one is a mistake that keeps the gateway from being served.
    pub fn new(url: impl AsRef<str>) -> Self {
        let url = parse_url(url.as_ref());
        Self::of(Settings {
            url,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            refresh_every: Duration::from_secs(600),
            ask_every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            client: None,
            mistakes: Mistakes::default(),
        })
    }

    fn of(settings: Settings) -> Self {
        let client = match &settings.client {
            Some(client) => OnceLock::from(Ok(client.clone())),
            None => OnceLock::new(),
        };
        Self(Arc::new(Inner {
            settings,
            client,
            known: Mutex::default(),
            asked: watch::Sender::new(()),
        }))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.0.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    /// The algorithms that tokens may be signed with; RS256, ES256 and EdDSA if not set. Those with a secret are mistakes: no
    /// secret is published. So is an empty list.
    #[must_use]
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let (secret, public): (Vec<_>, Vec<_>) = algorithms.into_iter().partition(|algorithm| {
            matches!(
                algorithm,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
            )
        });
        self.with(|settings| {
            if public.is_empty() && secret.is_empty() {
                let mistake = "`Jwks::algorithms(..)` is empty: name the algorithms, or leave it out";
                settings.mistakes.push(mistake.to_owned());
            }
            for algorithm in secret {
                settings.mistakes.push(format!(
                    "{algorithm:?} is signed with a secret, and no key set publishes one: leave it out of `Jwks::algorithms(..)`"
                ));
            }
            settings.algorithms = public;
        })
    }

    /// How old keys may become before they are asked for again, in the background; 10 min if not set. When nobody has
    /// needed them for twice as long, the next one waits for the answer.
    #[must_use]
    pub fn refresh_every(self, time: Duration) -> Self {
        self.with(|settings| {
            settings.refresh_every = settings.mistakes.above_zero("Jwks::refresh_every", time);
        })
    }

    /// The least time between two questions, whatever the reason; 10 s if not set. Less than 100 ms is a mistake. A new key
    /// is known after that time at the latest.
    #[must_use]
    pub fn ask_every(self, time: Duration) -> Self {
        self.with(|settings| {
            let checked = wasabi_rules::at_least("Jwks::ask_every", time, LEAST_BETWEEN_MS);
            settings.mistakes.keep(checked);
            settings.ask_every = time.max(LEAST_BETWEEN);
        })
    }

    /// How long an answer may take; 5 s if not set. Clients whose token needs it wait for so long.
    #[must_use]
    pub fn timeout(self, time: Duration) -> Self {
        self.with(|settings| {
            settings.timeout = settings.mistakes.above_zero("Jwks::timeout", time);
        })
    }

    /// Asks with this client, with its own rules for TLS, proxies and redirects.
    #[must_use]
    pub fn client(self, client: Client) -> Self {
        self.with(|settings| settings.client = Some(client))
    }

    pub(super) fn mistakes(&self) -> Mistakes {
        let settings = &self.0.settings;
        let mut mistakes = Mistakes::default();
        mistakes.keep(settings.url.as_ref().map_err(String::clone));
        mistakes.extend(&settings.mistakes);
        mistakes
    }

    /// The keys that may have signed a token with this header.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Denied> {
        if !self.0.settings.algorithms.contains(&algorithm) {
            tracing::debug!(?algorithm, "a token has an algorithm that is not allowed");
            return Err(Denied::Invalid);
        }
        let refresh_every = self.0.settings.refresh_every;
        let (keys, age) = self.0.known();
        let found = keys.find(kid, algorithm);
        if !found.is_empty() && age <= refresh_every.saturating_mul(2) {
            if age > refresh_every {
                drop(self.0.ask());
            }
            return Ok(found);
        }
        if let Some(mut answer) = self.0.ask() {
            // It comes, or the one who asked is gone.
            let _ = answer.changed().await;
        }
        let found = self.0.known().0.find(kid, algorithm);
        match (found.is_empty(), self.0.lock().has_failed) {
            (false, _) => Ok(found),
            (true, true) => Err(Denied::Unavailable),
            (true, false) => {
                tracing::debug!("a token is of a key that is not there");
                Err(Denied::Invalid)
            }
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unpoisoned()
    }

    /// The keys, and how old they are.
    fn known(&self) -> (Arc<KeySet>, Duration) {
        let known = self.lock();
        let age = known.of.map_or(Duration::MAX, |of| of.elapsed());
        (Arc::clone(&known.keys), age)
    }

    /// Asks for the keys, unless it is too soon; what tells when the answer is there.
    fn ask(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut known = self.lock();
        if known.is_asking {
            return Some(self.asked.subscribe());
        }
        let is_soon = |asked: Instant| asked.elapsed() < self.settings.ask_every;
        if known.asked.is_some_and(is_soon) {
            return None;
        }
        let runtime = Handle::try_current().ok()?;
        let now = Instant::now();
        known.is_asking = true;
        known.asked = Some(now);
        known.has_failed = true;
        let answer = self.asked.subscribe();
        drop(known);
        let asking = Asking(Arc::clone(self));
        runtime.spawn(async move {
            let inner = &asking.0;
            match timeout(inner.settings.timeout, inner.fetch()).await {
                Ok(Ok(keys)) => {
                    let mut known = inner.lock();
                    known.keys = Arc::new(keys);
                    known.of = Some(now);
                    known.has_failed = false;
                }
                Ok(Err(error)) => {
                    limited!(WARN, error = %said(error), "no keys for JSON Web Tokens")
                }
                Err(_) => limited!(WARN, "no keys for JSON Web Tokens: no answer in time"),
            }
        });
        Some(answer)
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let url = self.settings.url.clone()?;
        let client = self
            .client
            .get_or_init(|| build_client(url.scheme() == "https"));
        let request = client
            .as_ref()?
            .get(url)
            .header("accept", "application/json");
        let text = |error: reqwest::Error| error.without_url().to_string();
        let mut response = request.send().await.map_err(text)?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("the answer has the status {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            if chunk.len() > MAX_BYTES - body.len() {
                return Err(format!("the answer has more than {MAX_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        KeySet::parse(&body)
    }
}

/// Ends with the question, however that ends.
struct Asking(Arc<Inner>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.lock().is_asking = false;
        self.0.asked.send_replace(());
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("algorithms", &self.0.settings.algorithms)
            .finish_non_exhaustive()
    }
}

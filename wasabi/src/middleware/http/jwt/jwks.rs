//! Keys that an identity provider publishes and rotates.

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

/// The keys that an identity provider publishes at a URL, as a JSON Web Key Set (RFC 7517), for
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
/// * **Key selection:** the gateway uses the key with the token's `kid`, if it is for the token's algorithm. It tries a
///   token without `kid` with all keys for its algorithm.
/// * **Algorithms:** `RS256`, `ES256` and `EdDSA`, unless [set](Self::algorithms). Never `none`, and none of those with
///   a secret: a public key is not a secret.
/// * **Rotation:** the first handshake fetches the keys. Once they are [10 minutes](Self::refresh_every) old, the
///   gateway fetches them again in the background; keys that are then missing are no longer valid. For a token with an
///   unknown `kid` the gateway fetches the keys at once and waits for the answer, but at most
///   [every 10 s](Self::ask_every), whatever tokens clients send.
/// * **Failure:** if the URL does not answer, the gateway keeps the keys that it has. A token that it cannot verify
///   without new keys is [`Denied::Unavailable`], 503.
/// * **Limits:** an answer must arrive within [5 s](Self::timeout), with at most 256 KiB and 64 keys. The gateway does
///   not follow redirects. It ignores keys that are too small according to RFC 7518, and keys for encryption.
///
/// `https` needs the cargo feature `tls`; with `http` anyone on the network path can insert a key. Clones share the
/// keys.
#[derive(Clone)]
pub struct Jwks(Arc<KeySetState>);

struct KeySetState {
    settings: KeySetSettings,
    client: OnceLock<Result<Client, String>>,
    known: Mutex<Known>,
    /// Changes when a request ends, with or without an answer.
    asked: watch::Sender<()>,
}

#[derive(Clone)]
struct KeySetSettings {
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
    /// When these keys were requested; `None` if there are none yet.
    of: Option<Instant>,
    /// When the last request started, whatever its outcome.
    asked: Option<Instant>,
    /// Whether the last request failed. True before the first one.
    has_failed: bool,
    is_asking: bool,
}

const MAX_BYTES: usize = 256 * 1024;

/// Protects the provider from floods, whatever tokens clients send.
const LEAST_BETWEEN_MS: u64 = 100;
const LEAST_BETWEEN: Duration = Duration::from_millis(LEAST_BETWEEN_MS);

impl Jwks {
    /// Uses the keys at this URL. An invalid URL is a mistake, and the server does not start.
    pub fn new(url: impl AsRef<str>) -> Self {
        let url = parse_url(url.as_ref());
        Self::of(KeySetSettings {
            url,
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
            refresh_every: Duration::from_secs(600),
            ask_every: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            client: None,
            mistakes: Mistakes::default(),
        })
    }

    fn of(settings: KeySetSettings) -> Self {
        let client = match &settings.client {
            Some(client) => OnceLock::from(Ok(client.clone())),
            None => OnceLock::new(),
        };
        Self(Arc::new(KeySetState {
            settings,
            client,
            known: Mutex::default(),
            asked: watch::Sender::new(()),
        }))
    }

    fn with(self, change: impl FnOnce(&mut KeySetSettings)) -> Self {
        let mut settings = self.0.settings.clone();
        change(&mut settings);
        Self::of(settings)
    }

    /// The algorithms that tokens may be signed with; RS256, ES256 and EdDSA by default. Algorithms with a secret are
    /// mistakes, because a secret is never published. So is an empty list.
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
                let mistake = "`Jwks::algorithms(..)` is empty; name the algorithms, or remove it";
                settings.mistakes.push(mistake.to_owned());
            }
            for algorithm in secret {
                settings.mistakes.push(format!(
                    "{algorithm:?} needs a secret, which no key set publishes; remove it from `Jwks::algorithms(..)`"
                ));
            }
            settings.algorithms = public;
        })
    }

    /// How old keys may become before the gateway fetches them again in the background; 10 min by default. Once they
    /// are twice that old, the next client waits for the answer.
    #[must_use]
    pub fn refresh_every(self, time: Duration) -> Self {
        self.with(|settings| {
            settings.refresh_every = settings.mistakes.above_zero("Jwks::refresh_every", time);
        })
    }

    /// The minimum time between two requests for keys, whatever the reason; 10 s by default. Less than 100 ms is a
    /// mistake. After a rotation, tokens with the new key are refused for at most this long.
    #[must_use]
    pub fn ask_every(self, time: Duration) -> Self {
        self.with(|settings| {
            let checked = wasabi_rules::at_least("Jwks::ask_every", time, LEAST_BETWEEN_MS);
            settings.mistakes.keep(checked);
            settings.ask_every = time.max(LEAST_BETWEEN);
        })
    }

    /// How long a request for keys may take; 5 s by default. Clients whose token needs the keys wait this long.
    #[must_use]
    pub fn timeout(self, time: Duration) -> Self {
        self.with(|settings| {
            settings.timeout = settings.mistakes.above_zero("Jwks::timeout", time);
        })
    }

    /// Uses this client for requests, with its settings for TLS, proxies and redirects.
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

    /// Returns the keys that may have signed a token with this header.
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
            // Resolves when the request ends; fails only if its sender is gone.
            let _ = answer.changed().await;
        }
        let found = self.0.known().0.find(kid, algorithm);
        match (found.is_empty(), self.0.lock().has_failed) {
            (false, _) => Ok(found),
            (true, true) => Err(Denied::Unavailable),
            (true, false) => {
                tracing::debug!("a token names an unknown key");
                Err(Denied::Invalid)
            }
        }
    }
}

impl KeySetState {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unpoisoned()
    }

    /// Returns the keys and their age.
    fn known(&self) -> (Arc<KeySet>, Duration) {
        let known = self.lock();
        let age = known.of.map_or(Duration::MAX, |of| of.elapsed());
        (Arc::clone(&known.keys), age)
    }

    /// Starts a request for the keys, unless it is too soon. Returns a receiver that changes when the request ends.
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
                    limited!(WARN, error = %said(error), "cannot fetch the keys for JSON Web Tokens")
                }
                Err(_) => limited!(WARN, "cannot fetch the keys for JSON Web Tokens: no answer in time"),
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

/// Marks a running request; dropping it ends the request, whatever the outcome.
struct Asking(Arc<KeySetState>);

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

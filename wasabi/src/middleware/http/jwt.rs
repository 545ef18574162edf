//! Authentication with JSON Web Tokens.

mod jwks;
mod keys;

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::BoxFuture};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::DeserializeOwned;

pub use self::jwks::Jwks;
use super::{BearerAuth, Denied, Identity};
use crate::{Result, log::said, mistakes::Mistakes};

/// Verifies JSON Web Tokens (RFC 7519) and deserializes their claims into a `C`.
///
/// [`auth`](Self::auth) is the HTTP middleware, a [`BearerAuth`]; backend functions receive the claims as
/// `Identity<C>`. A token must have an `exp` claim. The gateway closes the connection with 4401 when that time has
/// passed, plus 60 s to allow for clock differences. A token with `crit` in its header requires an extension that the
/// gateway does not support, and is refused.
///
/// ```
/// use wasabi::{middleware::http::Jwt, prelude::*};
///
/// #[derive(Clone, serde::Deserialize)]
/// struct Claims {
///     sub: String,
/// }
///
/// let jwt = Jwt::<Claims>::hs256("a secret of at least 32 random bytes");
/// let gateway = gateway!(channel(
///     "/",
///     http = [jwt.auth()],
///     async |claims: Identity<Claims>| claims.into_inner().sub,
/// ));
/// # drop(gateway);
/// ```
///
/// For keys that an identity provider publishes and rotates, see [`Jwks`].
///
/// To let a client stay connected with a new token, put [`jwt.auth().refresh(..)`](BearerAuth::refresh) on a route.
pub struct Jwt<C> {
    shared: Arc<Shared>,
    claims: PhantomData<fn() -> C>,
}

#[derive(Clone)]
struct Shared {
    keys: Keys,
    validation: Validation,
    mistakes: Mistakes,
}

#[derive(Clone)]
enum Keys {
    /// Verifies nothing.
    Unusable,
    One(DecodingKey),
    Set(Jwks),
}

impl<C: DeserializeOwned + Clone + Send + Sync + 'static> Jwt<C> {
    /// For tokens signed with HMAC and SHA-256 by this secret, which must have at least 32 bytes (RFC 7518, section
    /// 3.2). A shorter secret can be guessed from a single token: it is a mistake, and the server does not start.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_nbf = true;
        Self::new(DecodingKey::from_secret(secret.as_ref()), validation)
    }

    /// For all other tokens: with a public key, more algorithms, or additional checks of claims. The types are those of
    /// [`wasabi::jsonwebtoken`](crate::jsonwebtoken).
    ///
    /// A key must fit all of the algorithms and be large enough for each (RFC 7518: a secret not shorter than the hash,
    /// an RSA modulus of at least 2048 bits). Otherwise it is a mistake, and the server does not start.
    pub fn new(key: DecodingKey, validation: Validation) -> Self {
        let usable = keys::check(&key, &validation.algorithms);
        let mut mistakes = Mistakes::default();
        let usable =
            usable.map_err(|why| format!("the key for JSON Web Tokens cannot be used: {why}"));
        let keys = match mistakes.keep(usable) {
            Some(()) => Keys::One(key),
            None => Keys::Unusable,
        };
        Self::made(keys, validation, mistakes)
    }

    /// For tokens signed with one of the keys of a set, which the gateway fetches when it needs them.
    ///
    /// Set the [`audience`](Self::audience) and the [`issuer`](Self::issuer) too: an identity provider signs tokens for
    /// other services with the same keys.
    pub fn jwks(keys: Jwks) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_nbf = true;
        let mistakes = keys.mistakes();
        Self::made(Keys::Set(keys), validation, mistakes)
    }

    fn made(keys: Keys, validation: Validation, mistakes: Mistakes) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys,
                validation,
                mistakes,
            }),
            claims: PhantomData,
        }
    }

    /// Requires the `aud` claim to name one of these. If this is not set, a token that names an audience is invalid.
    #[must_use]
    pub fn audience<A: ToString>(mut self, audience: impl IntoIterator<Item = A>) -> Self {
        let audience: Vec<A> = audience.into_iter().collect();
        let validation = &mut Arc::make_mut(&mut self.shared).validation;
        validation.set_audience(&audience);
        validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// Requires the `iss` claim to be one of these; not checked by default.
    #[must_use]
    pub fn issuer<I: ToString>(mut self, issuer: impl IntoIterator<Item = I>) -> Self {
        let issuer: Vec<I> = issuer.into_iter().collect();
        let validation = &mut Arc::make_mut(&mut self.shared).validation;
        validation.set_issuer(&issuer);
        validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    /// Returns the HTTP middleware that admits clients with a valid token.
    pub fn auth(
        &self,
    ) -> BearerAuth<
        impl Fn(String) -> BoxFuture<'static, Result<Identity<C>, Denied>> + Clone + use<C>,
    > {
        let jwt = self.clone();
        BearerAuth::new(move |token: String| {
            let jwt = jwt.clone();
            async move { jwt.verify(&token).await }.boxed()
        })
        .with_mistakes(self.shared.mistakes.clone())
    }

    /// Verifies a token and returns its claims, which expire with it. It may wait for the keys of a [`Jwks`].
    pub async fn verify(&self, token: &str) -> Result<Identity<C>, Denied> {
        let Shared {
            keys, validation, ..
        } = &*self.shared;
        let set = match keys {
            Keys::Unusable => return Err(Denied::Unavailable),
            Keys::One(key) => return decoded(token, key, validation),
            Keys::Set(set) => set,
        };
        let header = jsonwebtoken::decode_header(token).map_err(|error| invalid(&error))?;
        let keys = set.find(header.kid.as_deref(), header.alg).await?;
        let validation = Validation {
            algorithms: vec![header.alg],
            ..validation.clone()
        };
        let mut verdict = Err(Denied::Invalid);
        for key in &keys {
            verdict = decoded(token, key, &validation);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }
}

fn decoded<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<Identity<C>, Denied> {
    let decoded = jsonwebtoken::decode::<serde_json::Value>(token, key, validation)
        .map_err(|error| invalid(&error))?;
    // A recipient must understand the extensions in `crit` (RFC 7515, section 4.1.11), and none are supported.
    if decoded.header.crit.is_some() {
        return Err(invalid(&"`crit` asks for an extension"));
    }
    let exp = decoded
        .claims
        .get("exp")
        .and_then(serde_json::Value::as_f64);
    let subject = decoded.claims.get("sub").and_then(|sub| sub.as_str());
    let subject: Option<Arc<str>> = subject.map(Arc::from);
    let claims = C::deserialize(decoded.claims).map_err(|error| invalid(&error))?;
    let identity = match subject {
        Some(subject) => Identity::new(claims).named(subject),
        None => Identity::new(claims),
    };
    Ok(match exp.and_then(from_unix) {
        Some(exp) if validation.validate_exp => {
            identity.expires_at(exp + Duration::from_secs(validation.leeway))
        }
        _ => identity,
    })
}

fn invalid(error: &dyn fmt::Display) -> Denied {
    tracing::debug!(error = %said(error), "token refused");
    Denied::Invalid
}

/// Returns `None` for a time that cannot be represented; a very distant time is capped.
fn from_unix(seconds: f64) -> Option<SystemTime> {
    const FAR: f64 = 1e11;
    let seconds = Duration::try_from_secs_f64(seconds.min(FAR)).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(seconds)
}

impl<C> Clone for Jwt<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            claims: PhantomData,
        }
    }
}

impl<C> fmt::Debug for Jwt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithms", &self.shared.validation.algorithms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Claims {
        sub: String,
    }

    const SECRET: &str = "a secret of at least 32 random bytes";

    fn token(claims: Value, secret: &str) -> String {
        token_with(&Header::default(), &claims, secret)
    }

    fn token_with(header: &Header, claims: &Value, secret: &str) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(header, claims, &key).expect("a token")
    }

    fn jwt() -> Jwt<Claims> {
        Jwt::hs256(SECRET)
    }

    fn verify(jwt: &Jwt<Claims>, token: &str) -> Result<Identity<Claims>, Denied> {
        jwt.verify(token).now_or_never().expect("the key is there")
    }

    fn now() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("after 1970").as_secs()
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_a_minute_more() {
        let exp = now() + 3600;
        let identity = verify(&jwt(), &token(json!({"sub": "alice", "exp": exp}), SECRET));
        let identity = identity.expect("valid");
        assert_eq!(identity.sub, "alice");
        let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(exp + 60);
        assert_eq!(identity.expiry(), Some(expiry));
        let late = token(json!({"sub": "alice", "exp": now() - 61}), SECRET);
        assert_eq!(verify(&jwt(), &late), Err(Denied::Invalid));
    }

    #[test]
    fn what_is_wrong_with_a_token_keeps_its_client_out() {
        let exp = now() + 3600;
        let good = || json!({"sub": "alice", "exp": exp});
        let none = r#"{"alg":"none","typ":"JWT"}"#;
        let unsigned = {
            use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
            format!(
                "{}.{}.",
                BASE64.encode(none),
                BASE64.encode(good().to_string())
            )
        };
        for (bad, token) in [
            ("of another secret", token(good(), "another secret")),
            ("without expiry", token(json!({"sub": "alice"}), SECRET)),
            ("without the claims", token(json!({"exp": exp}), SECRET)),
            (
                "not yet",
                token(json!({"sub": "a", "exp": exp, "nbf": exp}), SECRET),
            ),
            (
                "for others",
                token(json!({"sub": "a", "exp": exp, "aud": "x"}), SECRET),
            ),
            ("unsigned", unsigned),
            ("nonsense", "a.b.c".to_owned()),
        ] {
            assert_eq!(verify(&jwt(), &token), Err(Denied::Invalid), "{bad}");
        }
    }

    #[test]
    fn a_token_that_asks_for_an_extension_is_refused() {
        let claims = json!({"sub": "alice", "exp": now() + 3600});
        for crit in [vec!["b64".to_owned()], vec!["exp".to_owned()], Vec::new()] {
            let header = Header {
                crit: Some(crit),
                ..Header::default()
            };
            let token = token_with(&header, &claims, SECRET);
            assert_eq!(verify(&jwt(), &token), Err(Denied::Invalid), "{header:?}");
        }
    }

    #[test]
    fn a_secret_shorter_than_the_hash_lets_nobody_in() {
        let claims = || json!({"sub": "alice", "exp": now() + 3600});
        for (bytes, expected) in [(0, false), (1, false), (31, false), (32, true)] {
            let secret = &SECRET[..bytes];
            let verified = verify(&Jwt::hs256(secret), &token(claims(), secret));
            match expected {
                true => assert!(verified.is_ok(), "{bytes} bytes"),
                false => assert_eq!(verified, Err(Denied::Unavailable), "{bytes} bytes"),
            }
        }
        let header = Header::new(Algorithm::HS512);
        let long = SECRET.repeat(2);
        for (secret, expected) in [(SECRET, false), (&long, true)] {
            let key = DecodingKey::from_secret(secret.as_bytes());
            let jwt = Jwt::<Claims>::new(key, Validation::new(Algorithm::HS512));
            let verified = verify(&jwt, &token_with(&header, &claims(), secret));
            assert_eq!(verified.is_ok(), expected, "{} bytes", secret.len());
        }
    }

    #[test]
    fn audience_and_issuer_must_be_right_and_there() {
        let jwt = jwt()
            .audience(["gateway"])
            .issuer(["https://id.example.com"]);
        let exp = now() + 3600;
        let with = |aud: Value, iss: Value| {
            let claims = json!({"sub": "alice", "exp": exp, "aud": aud, "iss": iss});
            verify(&jwt, &token(claims, SECRET)).is_ok()
        };
        assert!(with("gateway".into(), "https://id.example.com".into()));
        assert!(with(
            json!(["other", "gateway"]),
            "https://id.example.com".into()
        ));
        assert!(!with("other".into(), "https://id.example.com".into()));
        assert!(!with("gateway".into(), "https://evil.example.com".into()));
        assert!(!with(Value::Null, "https://id.example.com".into()));
        for (missing, claims) in [
            ("iss", json!({"sub": "alice", "exp": exp, "aud": "gateway"})),
            (
                "aud",
                json!({"sub": "alice", "exp": exp, "iss": "https://id.example.com"}),
            ),
        ] {
            let verified = verify(&jwt, &token(claims, SECRET));
            assert_eq!(verified, Err(Denied::Invalid), "without {missing}");
        }
    }

    #[test]
    fn an_expiry_that_no_clock_can_show_is_far_away() {
        for exp in [json!(1e300), json!(u64::MAX)] {
            let verified = verify(&jwt(), &token(json!({"sub": "alice", "exp": exp}), SECRET));
            if let Ok(identity) = verified {
                assert!(
                    identity
                        .expiry()
                        .is_none_or(|time| time > SystemTime::now())
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_and_never_a_panic(text: String, parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
            prop_assert!(verify(&jwt(), &text).is_err());
            prop_assert!(verify(&jwt(), &parts.join(".")).is_err());
        }
    }
}

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
    shared: Arc<JwtRules>,
    claims: PhantomData<fn() -> C>,
}

#[derive(Clone)]
struct JwtRules {
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
        let usable = usable.map_err(|why| format!("invalid key for JSON Web Tokens: {why}"));
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
            shared: Arc::new(JwtRules {
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
        let JwtRules {
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
mod tests;

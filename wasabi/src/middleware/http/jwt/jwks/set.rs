//! A JSON Web Key Set (RFC 7517).

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use super::super::keys;

/// The keys of a set that verify signatures.
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

const MAX_KEYS: usize = 64;

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

impl KeySet {
    /// Parses a set. Ignores keys that cannot be used, because a provider may publish others as well.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut set: Value =
            serde_json::from_slice(text).map_err(|error| format!("not JSON: {error}"))?;
        let Some(Value::Array(keys)) = set.get_mut("keys").map(Value::take) else {
            return Err("not a JSON Web Key Set: it has no `keys`".to_owned());
        };
        if keys.len() > MAX_KEYS {
            return Err(format!("the set has more than {MAX_KEYS} keys"));
        }
        let read = |key| Key::parse(key).inspect_err(|why| tracing::debug!(why, "key left out"));
        Ok(Self(
            keys.into_iter().filter_map(|key| read(key).ok()).collect(),
        ))
    }

    /// Returns the keys that may have signed a token with this header.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
        let is_it = |key: &&Key| {
            key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id)
        };
        let found = self.0.iter().filter(is_it);
        found.map(|key| key.key.clone()).collect()
    }
}

impl Key {
    fn parse(key: Value) -> Result<Self, String> {
        let named = key.get("alg").cloned();
        let jwk: Jwk = serde_json::from_value(key).map_err(|error| error.to_string())?;
        let is_for_signatures = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|of| *of == PublicKeyUse::Signature);
        let verifies = jwk
            .common
            .key_operations
            .as_ref()
            .is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures || !verifies {
            return Err("it does not verify signatures".to_owned());
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return Err("an unknown curve".to_owned()),
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            // A published secret is not a secret.
            _ => return Err("not a public key of a known kind".to_owned()),
        };
        if let Some(named) = named {
            algorithms
                .retain(|algorithm| named.as_str() == Some(format!("{algorithm:?}").as_str()));
            if algorithms.is_empty() {
                return Err("it is for another algorithm".to_owned());
            }
        }
        let decoding = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        keys::check(&decoding, &algorithms)?;
        Ok(Self {
            id: jwk.common.key_id,
            algorithms,
            key: decoding,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
    fn keys() -> Vec<Value> {
        vec![
            json!({
                "kty": "EC", "crv": "P-256", "kid": "ec",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            }),
            json!({
                "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "rsa", "use": "sig",
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            }),
            json!({
                "kty": "OKP", "crv": "Ed25519", "kid": "ed",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }),
        ]
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a set")
    }

    #[test]
    fn keys_are_found_by_id_and_for_their_own_algorithm_only() {
        let set = set(&keys());
        let all = [
            Algorithm::HS256,
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ];
        for (id, own) in [
            ("ec", Algorithm::ES256),
            ("rsa", Algorithm::RS256),
            ("ed", Algorithm::EdDSA),
        ] {
            for algorithm in all {
                let found = set.find(Some(id), algorithm).len();
                assert_eq!(found, usize::from(algorithm == own), "{id} {algorithm:?}");
            }
            assert_eq!(set.find(None, own).len(), 1);
        }
        assert!(set.find(Some("other"), Algorithm::ES256).is_empty());
    }

    #[test]
    fn keys_that_do_not_verify_signatures_are_left_out() {
        let changed = |at: usize, change: Value| {
            let mut key = keys()[at].clone();
            for (name, value) in change.as_object().expect("an object") {
                key[name] = value.clone();
            }
            key
        };
        let small = "rKsbb1r1ZP2UyaARGTtZnPbVtIBIO5jlEhdu0n2HDXlXMl4v3SA-rkPzaV8T4wZQbYZ6OeGZLmxkvDtBPBuO4Q";
        let unusable = [
            changed(1, json!({"use": "enc"})),
            changed(1, json!({"key_ops": ["encrypt"]})),
            changed(1, json!({"alg": "RSA-OAEP"})),
            changed(1, json!({"alg": "HS256"})),
            changed(1, json!({"n": small})),
            changed(0, json!({"crv": "P-521"})),
            changed(0, json!({"alg": "ES384"})),
            changed(2, json!({"crv": "X25519"})),
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", "kid": "rsa"}),
            json!({"kty": "new"}),
            json!({}),
            json!(7),
        ];
        for key in unusable {
            let set = set(&[key.clone(), keys()[2].clone()]);
            assert_eq!(set.0.len(), 1, "{key}");
        }
        let verifies = changed(0, json!({"key_ops": ["verify"]}));
        assert_eq!(set(&[verifies]).0.len(), 1);
    }

    #[test]
    fn invalid_and_oversized_key_sets_are_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, "{"] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
        let many = vec![keys()[0].clone(); MAX_KEYS + 1];
        let text = json!({ "keys": many }).to_string();
        assert!(KeySet::parse(text.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String, cut in 0..400_usize) {
            let _ = KeySet::parse(text.as_bytes());
            let whole = json!({ "keys": keys() }).to_string();
            let _ = KeySet::parse(&whole.as_bytes()[..cut.min(whole.len())]);
        }
    }
}

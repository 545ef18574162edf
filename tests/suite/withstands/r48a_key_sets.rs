//! Token keys that an identity provider publishes and rotates, and attacks of clients and providers on them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{Router, body::Body, http::StatusCode, response::IntoResponse, routing::get};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use wasabi::{
    jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk},
    middleware::http::{Jwks, Jwt},
    prelude::*,
};
use wasabi_tests::{Gate, TestServer, http_service, serve, until};

#[derive(Clone, serde::Deserialize)]
struct Claims {
    sub: String,
}

/// A key pair of the provider: a new one for ES256, always the same one for the others.
struct Signer {
    id: Option<&'static str>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key pair");
                EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())
            }
            Algorithm::EdDSA => EncodingKey::from_ed_pem(include_bytes!("r48a_keys/ed25519.pem")),
            _ => EncodingKey::from_rsa_pem(include_bytes!("r48a_keys/rsa_2048.pem")),
        };
        Self {
            id: Some(id),
            algorithm,
            key: key.expect("a key"),
        }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        jwk.common.key_id = self.id.map(str::to_owned);
        serde_json::to_value(jwk).expect("JSON")
    }

    fn token(&self) -> String {
        let header = Header {
            kid: self.id.map(str::to_owned),
            ..Header::new(self.algorithm)
        };
        encode(&header, &claims(), &self.key).expect("a token")
    }
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    json!({"sub": "alice", "exp": now.expect("after 1970").as_secs() + 600})
}

/// An identity provider whose answer can be changed.
#[derive(Clone)]
struct Provider {
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
    gate: Gate,
    url: String,
}

impl Provider {
    async fn start() -> Self {
        let gate = Gate::closed();
        gate.open.add_permits(1000);
        let mut provider = Self {
            answer: Arc::new(Mutex::new((500, String::new()))),
            asked: Arc::default(),
            gate,
            url: String::new(),
        };
        let serving = provider.clone();
        let router = Router::new().route(
            "/jwks.json",
            get(move || {
                let provider = serving.clone();
                async move {
                    provider.asked.fetch_add(1, Ordering::SeqCst);
                    provider.gate.pass().await;
                    let (status, text) = provider.answer.lock().expect("not poisoned").clone();
                    let status = StatusCode::from_u16(status).expect("a status");
                    (status, Body::from(text)).into_response()
                }
            }),
        );
        provider.url = format!("{}/jwks.json", http_service(router).await);
        provider
    }

    fn answers(&self, status: u16, text: impl Into<String>) {
        *self.answer.lock().expect("not poisoned") = (status, text.into());
    }

    fn publishes(&self, signers: &[&Signer]) {
        let keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
        self.answers(200, json!({ "keys": keys }).to_string());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn gateway(&self, change: impl FnOnce(Jwks) -> Jwks) -> TestServer {
        let keys = change(Jwks::new(&self.url));
        serve(gateway!(channel(
            "/",
            http = [Jwt::<Claims>::jwks(keys).auth()],
            async |claims: Identity<Claims>| claims.into_inner().sub,
        )))
        .await
    }
}

async fn status(server: &TestServer, token: &str) -> u16 {
    let header = format!("Bearer {token}");
    match server
        .connect_with("/", &[("authorization", &header)])
        .await
    {
        Ok(mut client) => {
            assert_eq!(client.ask("").await, "alice");
            101
        }
        Err(refusal) => refusal.status().as_u16(),
    }
}

/// Once this time has passed, the gateway may ask again.
const OFTEN: Duration = Duration::from_millis(100);

async fn a_while() {
    tokio::time::sleep(OFTEN * 2).await;
}

#[tokio::test]
async fn tokens_of_published_keys_get_in_by_rs256_es256_and_eddsa() {
    let provider = Provider::start().await;
    let signers = [
        Signer::new("rsa", Algorithm::RS256),
        Signer::new("ec", Algorithm::ES256),
        Signer::new("ed", Algorithm::EdDSA),
    ];
    provider.publishes(&signers.iter().collect::<Vec<_>>());
    let server = provider.gateway(|keys| keys).await;
    for signer in &signers {
        assert_eq!(status(&server, &signer.token()).await, 101);
    }
    let without_id = Signer {
        id: None,
        ..Signer::new("ec", Algorithm::ES256)
    };
    assert_eq!(status(&server, &without_id.token()).await, 401);
    let [_, ec, _] = signers;
    let without_id = Signer { id: None, ..ec };
    assert_eq!(status(&server, &without_id.token()).await, 101);
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_a_removed_one_is_forgotten() {
    let provider = Provider::start().await;
    let (old, new) = (
        Signer::new("old", Algorithm::ES256),
        Signer::new("new", Algorithm::EdDSA),
    );
    provider.publishes(&[&old]);
    let server = provider.gateway(|keys| keys.ask_every(OFTEN)).await;
    assert_eq!(status(&server, &old.token()).await, 101);
    provider.publishes(&[&old, &new]);
    a_while().await;
    // All of them wait for a single answer.
    let token = new.token();
    let all = (0..10).map(|_| status(&server, &token));
    let all = futures_util::future::join_all(all).await;
    assert_eq!(all, [101; 10]);
    assert_eq!(provider.asked(), 2);
    assert_eq!(status(&server, &old.token()).await, 101);

    provider.publishes(&[&new]);
    a_while().await;
    // An unknown key makes the gateway ask.
    let unknown = Signer::new("unknown", Algorithm::ES256);
    assert_eq!(status(&server, &unknown.token()).await, 401);
    assert_eq!(status(&server, &old.token()).await, 401);
    assert_eq!(status(&server, &new.token()).await, 101);
    // The old key is unknown now, and also makes the gateway ask if enough time has passed.
    assert!((3..=4).contains(&provider.asked()));
}

#[tokio::test]
async fn tokens_with_invented_key_ids_cause_no_more_fetches() {
    let provider = Provider::start().await;
    let known = Signer::new("known", Algorithm::ES256);
    provider.publishes(&[&known]);
    let server = provider.gateway(|keys| keys).await;
    assert_eq!(status(&server, &known.token()).await, 101);
    let forged = Signer::new("forged", Algorithm::ES256);
    for _ in 0..20 {
        assert_eq!(status(&server, &forged.token()).await, 401);
    }
    assert_eq!(provider.asked(), 1);
    assert_eq!(status(&server, &known.token()).await, 101);
}

#[tokio::test]
async fn old_keys_are_replaced_in_the_background_and_nobody_waits() {
    let provider = Provider::start().await;
    let (old, new) = (
        Signer::new("old", Algorithm::ES256),
        Signer::new("new", Algorithm::ES256),
    );
    provider.publishes(&[&old]);
    let often = |keys: Jwks| keys.ask_every(OFTEN).refresh_every(OFTEN * 10);
    let server = provider.gateway(often).await;
    assert_eq!(status(&server, &old.token()).await, 101);
    provider.publishes(&[&new]);
    tokio::time::sleep(OFTEN * 11).await;
    // The provider is slow, and the old key stays valid until it answers.
    provider.gate.open.forget_permits(usize::MAX >> 4);
    assert_eq!(status(&server, &old.token()).await, 101);
    until("it asks", || provider.asked() == 2).await;
    assert_eq!(status(&server, &old.token()).await, 101);
    provider.gate.open.add_permits(1000);
    until("the answer", || provider.gate.running() == 0).await;
    assert_eq!(status(&server, &new.token()).await, 101);
    assert_eq!(status(&server, &old.token()).await, 401);
}

#[tokio::test]
async fn the_keys_stay_when_the_provider_fails() {
    let provider = Provider::start().await;
    let (known, other) = (
        Signer::new("known", Algorithm::ES256),
        Signer::new("other", Algorithm::ES256),
    );
    let server = provider.gateway(|keys| keys.ask_every(OFTEN)).await;
    // Nothing can be verified before the first answer.
    assert_eq!(status(&server, &known.token()).await, 503);
    provider.publishes(&[&known]);
    a_while().await;
    assert_eq!(status(&server, &known.token()).await, 101);
    let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(300_000));
    for (code, text) in [
        (500, "{}".to_owned()),
        (302, r#"{"keys":[]}"#.to_owned()),
        (200, "no JSON".to_owned()),
        (200, "{}".to_owned()),
        (200, large),
    ] {
        provider.answers(code, text);
        let asked = provider.asked();
        a_while().await;
        assert_eq!(status(&server, &other.token()).await, 503, "{code}");
        assert_eq!(provider.asked(), asked + 1);
        assert_eq!(status(&server, &known.token()).await, 101, "{code}");
    }
    provider.publishes(&[&other]);
    a_while().await;
    assert_eq!(status(&server, &other.token()).await, 101);
    assert_eq!(status(&server, &known.token()).await, 401);
}

/// The key itself comes last.
#[tokio::test]
async fn no_more_than_256_kib_of_a_key_set_are_read() {
    const MOST: usize = 256 * 1024;
    let signer = Signer::new("ec", Algorithm::ES256);
    let keys = json!({ "keys": [signer.public()] }).to_string();
    for (bytes, expected) in [(MOST, 101), (MOST + 1, 503), (8 * MOST, 503)] {
        let provider = Provider::start().await;
        let padding = " ".repeat(bytes - keys.len());
        provider.answers(200, padding + &keys);
        let server = provider.gateway(|keys| keys).await;
        assert_eq!(
            status(&server, &signer.token()).await,
            expected,
            "{bytes} bytes"
        );
        assert_eq!(provider.asked(), 1);
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_delays_clients_up_to_the_timeout() {
    let provider = Provider::start().await;
    provider.gate.open.forget_permits(usize::MAX >> 4);
    let known = Signer::new("known", Algorithm::ES256);
    provider.publishes(&[&known]);
    let brief = |keys: Jwks| keys.ask_every(OFTEN).timeout(OFTEN);
    let server = provider.gateway(brief).await;
    assert_eq!(status(&server, &known.token()).await, 503);
    provider.gate.open.add_permits(1000);
    a_while().await;
    assert_eq!(status(&server, &known.token()).await, 101);
}

// Long: a table.
#[tokio::test]
async fn a_key_is_good_for_its_own_algorithm_and_never_a_secret() {
    let provider = Provider::start().await;
    let (rsa, ec) = (
        Signer::new("rsa", Algorithm::RS256),
        Signer::new("ec", Algorithm::ES256),
    );
    let secret = b"a secret of at least 32 random bytes";
    let mut keys = vec![rsa.public(), ec.public()];
    keys.push(json!({
        "kty": "oct", "kid": "oct", "k": "YSBzZWNyZXQgb2YgYXQgbGVhc3QgMzIgcmFuZG9tIGJ5dGVz",
    }));
    provider.answers(200, json!({ "keys": keys }).to_string());
    let server = provider.gateway(|keys| keys).await;
    assert_eq!(status(&server, &rsa.token()).await, 101);

    let signed = |kid: &str, algorithm, secret: &[u8]| {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(algorithm)
        };
        encode(&header, &claims(), &EncodingKey::from_secret(secret)).expect("a token")
    };
    // Public data, in any form, used as a secret.
    let modulus = rsa.public()["n"].as_str().expect("text").to_owned();
    let point = ec.public()["x"].as_str().expect("text").to_owned();
    let mut bad = vec![
        (
            "a secret that is published",
            signed("oct", Algorithm::HS256, secret),
        ),
        (
            "the modulus",
            signed("rsa", Algorithm::HS256, modulus.as_bytes()),
        ),
        (
            "the point",
            signed("ec", Algorithm::HS512, point.as_bytes()),
        ),
        (
            "the key as it is published",
            signed("rsa", Algorithm::HS256, rsa.public().to_string().as_bytes()),
        ),
    ];
    // A token signed with one key that names the other.
    let swapped = Signer {
        id: Some("ec"),
        ..Signer::new("rsa", Algorithm::RS256)
    };
    bad.push(("RS256 with the name of the other key", swapped.token()));
    let swapped = Signer {
        id: Some("rsa"),
        ..ec
    };
    bad.push(("ES256 with the name of the other key", swapped.token()));
    // The same key with another algorithm than the one it is published for, although that algorithm is allowed too.
    let other = Signer {
        algorithm: Algorithm::RS512,
        ..Signer::new("rsa", Algorithm::RS256)
    };
    let both = |keys: Jwks| keys.algorithms([Algorithm::RS256, Algorithm::RS512]);
    let lenient = provider.gateway(both).await;
    assert_eq!(status(&lenient, &rsa.token()).await, 101);
    assert_eq!(status(&lenient, &other.token()).await, 401);
    bad.push(("RS512 of a key for RS256", other.token()));
    let [_, payload, signature] = rsa
        .token()
        .split('.')
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .try_into()
        .expect("three parts");
    for alg in ["none", "None", "NONE", ""] {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
        let header = BASE64.encode(json!({"alg": alg, "kid": "rsa"}).to_string());
        bad.push(("none", format!("{header}.{payload}.")));
        bad.push((
            "none, with a signature",
            format!("{header}.{payload}.{signature}"),
        ));
    }
    for (what, token) in bad {
        assert_eq!(status(&server, &token).await, 401, "{what}");
    }
    assert_eq!(provider.asked(), 2, "once for each gateway");
}

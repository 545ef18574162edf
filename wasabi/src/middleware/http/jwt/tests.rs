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
fn an_invalid_token_keeps_its_client_out() {
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
fn a_secret_shorter_than_the_hash_admits_nobody() {
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
fn audience_and_issuer_must_be_present_and_correct() {
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
fn an_expiry_beyond_the_clock_is_capped() {
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

use std::future::{Ready, ready};

use axum::body::Body;
use base64::Engine;
use futures_util::FutureExt;
use proptest::prelude::*;
use tower::{
    Layer, ServiceExt,
    util::{ServiceFn, service_fn},
};

use super::{
    super::{BasicAuth, BearerAuth},
    *,
};

type Endpoint = ServiceFn<fn(http::Request<Body>) -> Ready<Result<Response, Infallible>>>;

/// Returns the status that a request with these `Authorization` headers gets.
fn status<L>(layer: &L, authorization: &[Vec<u8>]) -> Option<u16>
where
    L: Layer<Endpoint>,
    L::Service: Service<http::Request<Body>, Response = Response, Error = Infallible>,
{
    let mut req = http::Request::new(Body::empty());
    for line in authorization {
        let value = HeaderValue::from_bytes(line).ok()?;
        req.headers_mut().append(header::AUTHORIZATION, value);
    }
    let endpoint: Endpoint = service_fn(|_| ready(Ok("let in".into_response())));
    let answer = layer.layer(endpoint).oneshot(req).now_or_never();
    Some(
        answer
            .expect("nothing waits")
            .expect("infallible")
            .status()
            .as_u16(),
    )
}

fn authorization() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        bytes(),
        (any::<bool>(), bytes()).prop_map(|(basic, rest)| {
            let scheme: &[u8] = if basic { b"Basic " } else { b"Bearer " };
            [scheme, &rest].concat()
        }),
        bytes().prop_map(|rest| {
            let credentials = base64::prelude::BASE64_STANDARD.encode(rest);
            format!("basic {credentials}").into_bytes()
        }),
    ]
}

proptest! {
    #[test]
    fn any_bytes_in_authorization_are_let_in_or_get_401(lines in prop::collection::vec(authorization(), 0..3)) {
        let everybody = async |user: String, _password: String| Some(Identity::new(user));
        for status in [
            status(&BasicAuth::users([("alice", "wonderland")]), &lines),
            status(&BasicAuth::verify(everybody), &lines),
            status(&BearerAuth::new(async |token: String| Some(Identity::new(token))), &lines),
        ] {
            prop_assert!(matches!(status, None | Some(200 | 401)), "{status:?}");
        }
    }
}

#[test]
fn a_realm_cannot_leave_its_quotes() {
    assert_eq!(quoted("staff only"), r#""staff only""#);
    assert_eq!(quoted(r#"a", x="b\"#), r#""a\", x=\"b\\""#);
    assert_eq!(
        quoted("a\r\nset-cookie: b\u{e4}\0"),
        r#""a??set-cookie: b??""#
    );
}

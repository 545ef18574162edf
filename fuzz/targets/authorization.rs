//! Any `Authorization` headers, one a line: nobody gets in but with what those headers say, and 401 is the only
//! other answer.
#![no_main]

use std::{convert::Infallible, future::ready};

use axum::{body::Body, response::Response};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::FutureExt;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service, ServiceExt, service_fn, util::ServiceFn};
use wasabi::prelude::{BasicAuth, BearerAuth, Identity};
use wasabi_fuzz::lines;

type Endpoint = ServiceFn<fn(Request<Body>) -> std::future::Ready<Result<Response, Infallible>>>;

/// Who gets in, or the status of the answer.
fn enter<L, T>(layer: &L, lines: &[HeaderValue]) -> Result<T, u16>
where
    T: Clone + Send + Sync + 'static,
    L: Layer<Endpoint>,
    L::Service: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    let mut req = Request::new(Body::empty());
    for line in lines {
        req.headers_mut().append(AUTHORIZATION, line.clone());
    }
    let endpoint: Endpoint = service_fn(|req| {
        let user = req.extensions().get::<Identity<T>>().cloned();
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(user.expect("an identity"));
        ready(Ok(response))
    });
    let response = layer.layer(endpoint).oneshot(req).now_or_never();
    let mut response = response.expect("nothing waits").expect("infallible");
    match response.extensions_mut().remove::<Identity<T>>() {
        Some(user) => Ok(user.into_inner()),
        None => Err(response.status().as_u16()),
    }
}

/// What follows the scheme in the only header.
fn after<'a>(lines: &'a [HeaderValue], scheme: &str) -> Option<&'a str> {
    let [line] = lines else { return None };
    let (given, rest) = line.to_str().ok()?.trim().split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fuzz_target!(|data: &[u8]| {
    let lines: Vec<_> = lines(data)
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .take(4)
        .collect();

    let everybody = async |user, password| Some(Identity::new((user, password)));
    match enter::<_, (String, String)>(&BasicAuth::verify(everybody), &lines) {
        Ok((user, password)) => {
            let given = after(&lines, "basic").expect("credentials");
            let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
            assert_eq!(encoded.trim_end_matches('='), given.trim_end_matches('='));
            assert!(!user.contains(':'));
        }
        Err(status) => {
            assert_eq!(status, 401);
            let given = after(&lines, "basic").and_then(|given| BASE64_STANDARD.decode(given).ok());
            let text = given.and_then(|given| String::from_utf8(given).ok());
            assert!(text.is_none_or(
                |text| !text.contains(':') || text.contains(|c: char| c.is_ascii_control())
            ));
        }
    }

    let everybody = async |token| Some(Identity::new((token, String::new())));
    match enter::<_, (String, String)>(&BearerAuth::new(everybody), &lines) {
        Ok((token, _)) => assert_eq!(after(&lines, "bearer"), Some(token.as_str())),
        Err(status) => {
            assert_eq!(status, 401);
            let given = after(&lines, "bearer");
            assert!(given.is_none_or(|given| given.is_empty() || given.contains([' ', '\t'])));
        }
    }

    let staff = BasicAuth::users([("alice", "wonderland")]);
    // With its padding, without it, or with a part of it; more is no base64.
    let padding = after(&lines, "basic").and_then(|it| it.strip_prefix("YWxpY2U6d29uZGVybGFuZA"));
    let alice = matches!(padding, Some("" | "=" | "==")).then(|| "alice".to_owned());
    assert_eq!(enter::<_, String>(&staff, &lines).ok(), alice);
});

//! The errors of routes.

use std::sync::Arc;

use wasabi::{
    Error,
    prelude::*,
    schema::{Codes, ErrorCodes},
};

fn known(gateway: &Gateway, route: &str) -> (Vec<&'static str>, bool) {
    let mut operations = gateway.operations().iter();
    let found = operations.find(|operation| operation.route() == route);
    let codes = found.expect("a route").codes();
    (codes.known().collect(), codes.is_open())
}

enum OrderError {
    SoldOut,
}

impl From<OrderError> for Error {
    fn from(OrderError::SoldOut: OrderError) -> Self {
        Self::new("sold_out", "sold out")
    }
}

impl ErrorCodes for OrderError {
    const CODES: &'static [&'static str] = &["sold_out"];
}

#[backend]
async fn closed(item: Text) -> Result<String, OrderError> {
    match &*item {
        "" => Err(OrderError::SoldOut),
        item => Ok(item.to_owned()),
    }
}

#[backend]
async fn open() -> Result<String> {
    Err(Error::NoRoute)
}

#[middleware]
async fn own(req: Request, next: impl Next) -> Result<Reply> {
    next.run(req).await
}

/// Every request may come too late, be cut off, or make the gateway panic.
const ALWAYS: [&str; 3] = ["closing", "internal", "interrupted"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    let mut all = [&ALWAYS[..], more].concat();
    all.sort_unstable();
    all
}

#[test]
fn codes_are_closed_where_middleware_and_error_types_are_known() {
    let gateway = gateway!(channel(
        "/",
        middleware = [Throttle::new(10)],
        match key {
            "closed" => with([CircuitBreaker::new(3, 1s), Timeout::new(1s)], closed),
            "open" => open,
            "own" => with([own], closed),
            "http" => Http::post("http://orders/"),
            _ => NoRoute,
        },
    ));
    assert_eq!(
        known(&gateway, "closed"),
        (
            with(&[
                "bad_request",
                "breaker_open",
                "overloaded",
                "sold_out",
                "timed_out"
            ]),
            false
        )
    );
    assert_eq!(known(&gateway, "open"), (with(&["overloaded"]), true));
    assert_eq!(
        known(&gateway, "own"),
        (with(&["bad_request", "overloaded", "sold_out"]), true)
    );
    let (http, is_open) = known(&gateway, "http");
    assert!(http.contains(&"upstream_lost") && !is_open);
    assert_eq!(
        known(&gateway, "_"),
        (with(&["no_route", "overloaded"]), false)
    );
}

/// A reply that does not say with what it fails.
struct Mine;

impl IntoReply for Mine {
    fn into_reply(self) -> Result<Reply> {
        Err(Error::new("mine", "it fails"))
    }
}

#[backend]
async fn mine() -> Result<Mine, OrderError> {
    Ok(Mine)
}

#[backend]
async fn maybe() -> Result<Option<Json<u64>>, OrderError> {
    Ok(None)
}

#[test]
fn a_known_error_type_closes_no_codes_of_the_reply_beside_it() {
    let gateway = gateway!(channel(
        "/",
        match key {
            "mine" => mine,
            "maybe" => maybe,
            _ => NoRoute,
        }
    ));
    assert_eq!(known(&gateway, "mine"), (with(&["sold_out"]), true));
    assert_eq!(known(&gateway, "maybe"), (with(&["sold_out"]), false));
}

#[test]
fn shared_and_arced_middleware_loses_no_codes() {
    let limit = Arc::new(RateLimit::per_second(10));
    let gateway = gateway!(
        middleware = [Throttle::new(10)],
        channel("/a", middleware = [limit.clone()], async || "a"),
        channel("/b", Arc::new(NoRoute)),
    );
    let codes: Vec<Codes> = gateway
        .operations()
        .iter()
        .map(|each| each.codes())
        .collect();
    assert_eq!(codes[0], Codes::of(&with(&["overloaded", "rate_limited"])));
    assert_eq!(codes[1], Codes::of(&with(&["no_route", "overloaded"])));
    assert_eq!(
        gateway.operations()[0].middleware(),
        ["Throttle", "RateLimit"]
    );
}

#[test]
fn a_middleware_function_has_its_name() {
    let gateway = gateway!(channel("/", middleware = [own], async || "a"));
    assert_eq!(gateway.operations()[0].middleware(), ["own"]);
}

#[test]
fn a_mounted_gateway_tells_its_whole_path() {
    let inner = gateway!(channel("/room", async || "a"));
    let gateway = gateway!(mount("/chat/{tenant}", inner));
    assert_eq!(gateway.operations()[0].path(), "/chat/{tenant}/room");
}

//! The rules for values, row by row: `gateway!` and the runtime accept and refuse the same, in the same words.
//!
//! `build.rs` writes the rows. That a row's function exists shows when this is compiled; that the macro knows the row, in
//! the macro's own tests.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

#[cfg(feature = "amqp")]
use wasabi::queue::Amqp;
#[cfg(feature = "nats")]
use wasabi::queue::Nats;
#[cfg(feature = "redis")]
use wasabi::queue::Redis;
use wasabi::{
    Backoff, Balance, CloseCode, Cluster, GatewayError, GraphqlWs, HealthCheck, HttpRequest,
    InvalidCloseCode, Kept, Method, Parser, Protocol, Subscriptions,
    middleware::http::{ClientIp, HttpMiddleware, Jwks, Jwt, LimitClients},
    middleware::request::Cache,
    prelude::*,
    queue::Memory,
};
use wasabi_rules::{Around, CALLS, HTTP_ORDER, REQUEST_ORDER, SETTINGS};

/// What is wrong with a call.
type Check = fn() -> Vec<String>;

struct Row {
    /// Its place in the table.
    index: usize,
    accepted: Check,
    refused: Check,
}

const OF_CALLS: &[Row] = include!(concat!(env!("OUT_DIR"), "/calls.rs"));
const OF_SETTINGS: &[Row] = include!(concat!(env!("OUT_DIR"), "/settings.rs"));

#[derive(Debug, Clone, serde::Deserialize)]
struct Claims {}

async fn echo(message: Message) -> Message {
    message
}

async fn may(_: Connection, _: String) -> wasabi::Result<()> {
    Ok(())
}

/// Two services.
fn nodes() -> Balance<Http> {
    let nodes = ["http://a/", "http://b/"].map(|url| (1, Http::get(url)));
    Balance::new(nodes)
}

fn mistakes(gateway: &Gateway) -> Vec<String> {
    let mistakes = gateway.check().err().unwrap_or_default();
    let texts = mistakes.iter().map(|mistake| match mistake {
        GatewayError::Setting(text) => of_one_node(text.replacen("`/`: ", "", 1)),
        other => other.to_string(),
    });
    texts.collect()
}

/// What is wrong with the check of each node of a group, said once.
fn of_one_node(text: String) -> String {
    match text.split_once("; `balance`: ") {
        Some((first, _)) => match first.split_once("(counted from 0): ") {
            Some((_, mistake)) => mistake.to_owned(),
            None => text,
        },
        None => text,
    }
}

fn backend<B: Backend<()> + 'static>(make: impl FnOnce() -> B) -> Vec<String> {
    let backend = make();
    mistakes(&gateway!(channel("/", backend)))
}

fn middleware<M: Middleware + 'static>(make: impl FnOnce() -> M) -> Vec<String> {
    let middleware = make();
    mistakes(&gateway!(channel("/", middleware = [middleware], echo)))
}

fn http<H: HttpMiddleware>(make: impl FnOnce() -> H) -> Vec<String> {
    let http = make();
    mistakes(&gateway!(channel("/", http = [http], echo)))
}

fn parser<P: Parser>(make: impl FnOnce() -> P) -> Vec<String> {
    let parser = make();
    mistakes(&gateway!(channel("/", parser = parser, echo)))
}

fn protocol<P: Protocol>(make: impl FnOnce() -> P) -> Vec<String> {
    let protocol = make();
    mistakes(&gateway!(channel("/", protocol = protocol, echo)))
}

fn errors(make: impl FnOnce() -> ErrorFormat) -> Vec<String> {
    let errors = make();
    mistakes(&gateway!(channel("/", errors = errors, echo)))
}

fn cluster(make: impl FnOnce() -> Cluster) -> Vec<String> {
    let cluster = make();
    mistakes(&gateway!(cluster = cluster, channel("/", echo)))
}

fn groups(make: impl FnOnce() -> Kept) -> Vec<String> {
    let groups = [make()];
    mistakes(&gateway!(channel("/", groups = groups, echo)))
}

fn compression(make: impl FnOnce() -> Compression) -> Vec<String> {
    let compression = make();
    mistakes(&gateway!(channel("/", compression = compression, echo)))
}

/// A function makes them when the gateway is served already.
fn request(make: impl FnOnce() -> HttpRequest) -> Vec<String> {
    let request = make();
    let error = request.check().err().map(ToString::to_string);
    let texts = error.map(|text| match text.split_once(": ") {
        Some(("internal error" | "bad request", mistake)) => mistake.to_owned(),
        _ => text,
    });
    texts.into_iter().collect()
}

fn close_code(make: fn() -> Result<CloseCode, InvalidCloseCode>) -> Vec<String> {
    let mistake = make().err();
    mistake.iter().map(ToString::to_string).collect()
}

#[test]
fn the_runtime_accepts_every_value_that_its_rule_accepts() {
    for row in OF_CALLS {
        assert_eq!((row.accepted)(), [""; 0], "{}", CALLS[row.index].path());
    }
    for row in OF_SETTINGS {
        assert_eq!((row.accepted)(), [""; 0], "{}", SETTINGS[row.index].name);
    }
}

#[test]
fn the_runtime_refuses_every_value_that_its_rule_refuses_in_the_same_words() {
    for row in OF_CALLS {
        let call = &CALLS[row.index];
        let [_, refused] = call.rule.examples();
        let expected = call.check(refused).expect_err("a mistake");
        assert_eq!((row.refused)(), [expected], "{}", call.path());
    }
    for row in OF_SETTINGS {
        let setting = &SETTINGS[row.index];
        let [_, refused] = setting.kind.examples().expect("a rule");
        let expected = setting.check(refused).expect_err("a mistake");
        assert_eq!((row.refused)(), [expected], "{}", setting.name);
    }
}

/// What comes after this text, at any depth of a folder of the library.
fn names_after(text: &str, folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names = BTreeSet::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).expect("a text");
            let found = source.split(text).skip(1).map(|rest| {
                let end = rest.find(|letter: char| !letter.is_alphanumeric());
                rest[..end.unwrap_or(rest.len())].to_owned()
            });
            names.extend(found.filter(|name| !name.is_empty()));
        }
    }
    names
}

fn names(table: &[Around]) -> BTreeSet<String> {
    table.iter().map(|row| row.name.to_owned()).collect()
}

#[test]
fn every_middleware_of_the_library_is_in_the_table_of_orders() {
    let request = names_after("> Middleware for ", "../wasabi/src/middleware");
    let request: BTreeSet<_> = request
        .union(&names_after(
            "impl Middleware for ",
            "../wasabi/src/middleware",
        ))
        .cloned()
        .collect();
    assert_eq!(request, names(REQUEST_ORDER));

    let layers = names_after("> Layer<S> for ", "../wasabi/src/middleware/http");
    let layers = layers.iter().map(|name| name.trim_end_matches("Layer"));
    // It makes a `BearerAuth`.
    let layers = layers.chain(["Jwt"]).map(str::to_owned);
    assert_eq!(layers.collect::<BTreeSet<_>>(), names(HTTP_ORDER));
}

#[test]
fn the_guide_lists_every_warning_about_an_order() {
    let guide = include_str!("../docs/guide/04-middleware.md");
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed = rows.filter_map(|row| row.split('`').next());
    let listed: BTreeSet<_> = listed
        .filter(|name| name.contains('_') && name.to_uppercase() == **name)
        .collect();
    let rows = REQUEST_ORDER.iter().chain(HTTP_ORDER);
    let warned: BTreeSet<_> = rows
        .flat_map(|row| row.warned.iter().map(|(_, warning)| warning.name))
        .collect();
    assert_eq!(listed, warned);
}

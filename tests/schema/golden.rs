//! The documents in `examples/asyncapi` are what the gateways of the examples say. Two examples have theirs beside other
//! files that their gateways write: `asyncapi` (see `asyncapi.rs`) and `trading` (its own program).

#![allow(
    dead_code,
    reason = "of the programs only the gateways are used; `clients` runs them"
)]

#[path = "../../examples/auth.rs"]
mod auth;
#[path = "../../examples/bff.rs"]
mod bff;
#[path = "../../examples/chat.rs"]
mod chat;
#[path = "../../examples/echo.rs"]
mod echo;
#[path = "../../examples/http_backend.rs"]
mod http_backend;
#[path = "../../examples/load_balance.rs"]
mod load_balance;
#[path = "../../examples/login.rs"]
mod login;
#[path = "../../examples/many_machines.rs"]
mod many_machines;
#[path = "../../examples/otel.rs"]
mod otel;
#[path = "../../examples/passthrough.rs"]
mod passthrough;
#[path = "../../examples/production.rs"]
mod production;
#[path = "../../examples/queue.rs"]
mod queue;
#[path = "../../examples/quickstart.rs"]
mod quickstart;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wasabi::{Cluster, prelude::*, queue::Memory};

/// The gateways of the examples, with upstreams that nobody asks.
fn gateways() -> Vec<(&'static str, Gateway)> {
    let (http, ws) = ("http://upstream/", "ws://upstream/");
    let bff = bff::gateway(http.to_owned(), ws).expect("a client for HTTP");
    let many_machines = many_machines::gateway(Cluster::memory(), Registry::named("rooms"));
    let settings = include_str!("../../examples/production/gateway.json");
    let settings = serde_json::from_str(settings).expect("settings");
    let queue = queue::gateway(Queue::new(Memory::new(), "orders"));
    vec![
        ("auth", auth::gateway()),
        ("bff", bff),
        ("chat", chat::gateway()),
        ("echo", echo::gateway()),
        ("http_backend", http_backend::gateway(http.to_owned())),
        ("load_balance", load_balance::gateway(http, http, http)),
        ("login", login::gateway()),
        ("many_machines", many_machines),
        ("otel", otel::gateway(http)),
        ("passthrough", passthrough::gateway(ws)),
        ("production", production::gateway(&settings)),
        ("queue", queue),
        ("quickstart", quickstart::gateway(http)),
    ]
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn file(name: &str) -> PathBuf {
    examples()
        .join("asyncapi")
        .join(name)
        .with_extension("yaml")
}

fn document(name: &str, gateway: &Gateway) -> String {
    gateway.asyncapi().title(name).to_yaml()
}

#[test]
fn the_documents_of_the_examples_are_what_their_gateways_say() {
    let mut wrong = Vec::new();
    for ((name, gateway), (_, again)) in gateways().into_iter().zip(gateways()) {
        assert_eq!(gateway.check(), Ok(()), "{name}");
        let said = document(name, &gateway);
        assert_eq!(said, document(name, &again), "{name}: twice the same");
        if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
            fs::write(file(name), &said).expect("the file is written");
        }
        if fs::read_to_string(file(name)).ok() != Some(said) {
            wrong.push(name);
        }
    }
    assert!(
        wrong.is_empty(),
        "run the test with UPDATE_ASYNCAPI=1, for {wrong:?}"
    );
}

#[test]
fn the_text_of_a_gateway_has_the_routes_of_its_document() {
    for (name, gateway) in gateways() {
        let text = gateway.describe().to_string();
        let mut channel = "";
        let mut written = Vec::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("channel ") {
                channel = path;
            } else if let Some((route, _)) =
                line.split_once("->  ").filter(|_| line.starts_with(' '))
            {
                written.push((channel, route.trim()));
            }
        }
        let described = gateway.operations().iter();
        let described: Vec<_> = described.map(|each| (each.path(), each.route())).collect();
        assert_eq!(written, described, "{name}");
    }
}

#[test]
fn every_example_with_a_gateway_has_a_document() {
    let mut declaring: Vec<_> = fs::read_dir(examples())
        .expect("the examples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| {
            fs::read_to_string(path)
                .expect("a source")
                .contains("gateway!(")
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    declaring.sort();
    let mut described: Vec<_> = gateways().iter().map(|(name, _)| *name).collect();
    described.extend(["asyncapi", "trading"]);
    described.sort_unstable();
    assert_eq!(declaring, described);
}

#[test]
#[ignore = "needs npm's @asyncapi/parser: run tests/run"]
fn npm_asyncapi_parser_accepts_the_documents_of_the_examples() {
    let parser = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/asyncapi.mjs");
    let files = gateways().into_iter().map(|(name, _)| file(name));
    let output = Command::new("node").arg(parser).args(files).output();
    let output = output.expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

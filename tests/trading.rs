//! The example `trading`: the files beside it are what its gateway says, and its page and its trader work.

#[path = "../examples/trading.rs"]
mod trading;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;
use wasabi::{
    Server,
    client::{Options, State},
    testing::TestGateway,
};
use wasabi_tests::{serve, serve_with, soon};

use self::trading::{
    Market,
    client::{self, MarketEvent, Trade},
    document, gateway, trader,
};

/// A file beside the example.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/trading")
        .join(name)
}

/// Compares a file with what is said now, or writes it.
fn is_kept(name: &str, said: &str) {
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(file(name), said).expect("the file is written");
    }
    let kept = std::fs::read_to_string(file(name)).unwrap_or_default();
    assert_eq!(kept, said, "run the test with UPDATE_ASYNCAPI=1");
}

#[test]
fn the_files_beside_the_example_are_what_its_gateway_says() {
    let gateway = gateway(&Market::new());
    assert_eq!(gateway.check(), Ok(()));
    is_kept("asyncapi.yaml", &document().to_yaml());
    is_kept("client.ts", &gateway.typescript());
    is_kept("client.rs", &gateway.rust());
}

#[tokio::test(start_paused = true)]
async fn orders_go_as_in_the_transcript() {
    let gateway = TestGateway::new(gateway(&Market::new())).expect("a gateway");
    let trader = gateway.connect("/market").await.expect("a connection");
    let mut trader = trader.json("/do", "/id");
    // One that is carried out, one that is too dear by now, and none.
    for count in [5, 5, 0] {
        let order = json!({ "count": count, "limit": 300 });
        trader.request("order.place", order).await.expect("a reply");
    }
    let said = trader.client().transcript();
    let same = said.compare(file("orders.jsonl"));
    same.unwrap_or_else(|differs| panic!("{differs}"));
}

#[tokio::test]
async fn the_trader_in_rust_buys_and_others_hear_of_it() {
    let server = serve(gateway(&Market::new())).await;
    let other = client::Market::connect(&server.url(""), Options::new()).expect("a URL");
    let mut events = other.events();
    assert_eq!(soon(other.client().opened()).await, State::Open);
    let url = server.url("");
    tokio::select! {
        ended = trader::trade(&url) => panic!("it ended: {ended:?}"),
        event = soon(events.next()) => match event {
            Some(MarketEvent::Trade(trade)) => assert_eq!(trade, Trade { count: 5, cents: 300 }),
            event => panic!("{event:?}"),
        },
    }
}

#[tokio::test]
async fn the_trader_goes_on_after_a_restart() {
    let ms = Duration::from_millis;
    let market = gateway(&Market::new());
    let server = serve_with(market, |server| server.drain_timeout(ms(100))).await;
    let (url, addr) = (server.url(""), server.addr);
    let pauses = Options::new().pauses(ms(1), ms(1), ms(1));
    let other = client::Market::connect(&url, pauses).expect("a URL");
    let mut events = other.events();
    assert_eq!(soon(other.client().opened()).await, State::Open);
    let restarted = async {
        let first = soon(events.next()).await;
        server.drain().await.expect("it drains");
        let again = |_| {
            let server = Server::bind(addr.to_string()).signals(false);
            server.drain_spread(Duration::ZERO)
        };
        let _server = serve_with(gateway(&Market::new()), again).await;
        (first, soon(events.next()).await)
    };
    tokio::select! {
        ended = trader::trade(&url) => panic!("it ended: {ended:?}"),
        trades = restarted => {
            let is_trade = |event| matches!(event, Some(MarketEvent::Trade(_)));
            assert!(is_trade(trades.0) && is_trade(trades.1));
        }
    }
}

fn tools() -> PathBuf {
    let tools = std::env::var_os("WASABI_TEST_TOOLS");
    PathBuf::from(tools.expect("WASABI_TEST_TOOLS is set by tests/run"))
}

/// Runs a program of npm and returns what it prints.
fn npm(name: &str, args: &[&str]) -> String {
    let mut command = Command::new(tools().join("node/node_modules/.bin").join(name));
    let output = command.current_dir(file("")).args(args).output();
    let output = output.expect("the program runs");
    let said = String::from_utf8(output.stdout).expect("text");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    said
}

#[test]
#[ignore = "needs npm's typescript and esbuild: run tests/run"]
fn the_program_of_the_page_is_made_of_its_sources() {
    let strict = "page.ts --ignoreConfig --strict --noEmit --target es2022 --module esnext --moduleResolution bundler \
         --lib es2022,dom,dom.iterable --allowImportingTsExtensions --exactOptionalPropertyTypes";
    npm("tsc", &strict.split_whitespace().collect::<Vec<_>>());
    let built = npm(
        "esbuild",
        &["page.ts", "--bundle", "--format=esm", "--target=es2022"],
    );
    is_kept("page.js", &built);
}

#[test]
#[ignore = "needs npm's @asyncapi/parser: run tests/run"]
fn npm_asyncapi_parser_accepts_the_document_and_tells_its_messages_apart() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(tests.join("clients/asyncapi.mjs"))
        .arg(file("asyncapi.yaml"))
        .arg(tests.join("trading/messages.json"));
    let output = node.output().expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm's playwright-core: run tests/run"]
async fn a_person_buys_in_the_page_and_another_sees_it() {
    let server = serve(gateway(&Market::new())).await;
    let mut node = Command::new("node");
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("trading/browser.mjs"))
        .arg(server.addr.to_string());
    let run = tokio::task::spawn_blocking(move || node.output().expect("node runs"));
    let output = run.await.expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

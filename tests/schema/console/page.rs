//! The page of the console: what it is built from, and a person's way through it in Chromium.

use std::{path::PathBuf, process::Command};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasabi::{
    Admin,
    prelude::*,
    testing::{TestGateway, TestHandshake},
};

use super::served_by;
use crate::example;

/// The files of the page.
fn files() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wasabi/console")
}

#[test]
fn the_page_has_at_most_60_kb() {
    let sizes = ["page.html", "style.css", "app.js"].map(|name| {
        let file = std::fs::metadata(files().join(name)).expect("a file");
        file.len()
    });
    assert!(sizes.iter().sum::<u64>() <= 60_000, "{sizes:?}");
}

fn tool(name: &str) -> Command {
    let tools = std::env::var_os("WASABI_TEST_TOOLS").expect("set by tests/run");
    Command::new(
        PathBuf::from(tools)
            .join("node/node_modules/.bin")
            .join(name),
    )
}

fn assert_ok(mut command: Command) -> String {
    let output = command.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    said
}

#[test]
#[ignore = "needs npm's typescript and esbuild: run tests/run"]
fn the_program_of_the_page_is_built_from_its_sources() {
    let mut types = tool("tsc");
    types.arg("--project").arg(files());
    assert_ok(types);
    let mut build = tool("esbuild");
    build
        .current_dir(files())
        .args(["src/main.ts", "--bundle", "--minify", "--format=esm"])
        .arg("--target=es2023");
    let built = assert_ok(build);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(files().join("app.js"), &built).expect("a file");
    }
    let committed = std::fs::read_to_string(files().join("app.js")).expect("a file");
    assert!(
        committed == built,
        "app.js is not what its sources give: run this test with UPDATE=1"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium, npm's playwright-core and axe-core: run tests/run"]
async fn a_person_finds_the_way_through_the_console_in_chromium() {
    let admin = Admin::bind("127.0.0.1:0").asyncapi(&example::document());
    let (_server, addr) = served_by(admin, example::gateway()).await;
    let clients = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut node = Command::new("node");
    node.arg(clients.join("console.mjs"))
        .arg(format!("http://{addr}/console"));
    if std::env::var_os("UPDATE").is_some() {
        node.arg(clients.join("../../docs/guide/images"));
    }
    let journey = tokio::task::spawn_blocking(move || assert_ok(node));
    let transcript = journey.await.expect("the journey ends");
    replay(transcript.trim()).await;
}

/// What someone says.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Said {
    id: u64,
    /// <b>bold</b><img src=x onerror=fail()>
    text: String,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and npm's playwright-core: run tests/run"]
async fn markup_in_docs_and_messages_is_text() {
    let gateway = gateway!(
        /// <b>bold</b><img src=x onerror=fail()>
        channel(
            "/",
            parser = JsonKey::at("/do").id("/id"),
            match key {
                /// <b>bold</b><img src=x onerror=fail()>
                "say" => async |said: Json<Said>| said,
                _ => NoRoute,
            },
        )
    );
    let admin = Admin::bind("127.0.0.1:0").asyncapi(&gateway.asyncapi());
    let (_server, addr) = served_by(admin, gateway).await;
    let clients = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients");
    let mut node = Command::new("node");
    node.arg(clients.join("console_markup.mjs"))
        .arg(format!("http://{addr}/console"));
    let seen = tokio::task::spawn_blocking(move || assert_ok(node));
    seen.await.expect("the page is seen");
}

/// A test without sockets that says what a copied transcript says hears the same.
async fn replay(transcript: &str) {
    let lines = transcript.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    });
    let lines: Vec<_> = lines.collect();
    let gateway = TestGateway::new(example::gateway()).expect("no mistakes");
    let path = lines[0]["open"].as_str().expect("a path");
    let handshake = TestHandshake::to(&path.replace("***", "secret"));
    let mut client = gateway.connect(handshake).await.expect("a handshake");
    for line in &lines[1..] {
        match (line["to"].as_str(), &line["json"], &line["close"]) {
            (Some("gateway"), Value::Null, code) => {
                let code = code.as_u64().and_then(|code| u16::try_from(code).ok());
                let code = wasabi::CloseCode::try_from(code.expect("a code"));
                let _ = client.close(code.expect("a code")).await.expect("a close");
            }
            (Some("gateway"), said, _) => {
                // In lines, as the page writes it: errors name them.
                let text = serde_json::to_string_pretty(said).expect("JSON");
                client.send(text).await.expect("sent");
            }
            (_, _, Value::Null) => drop(client.receive().await.expect("a message")),
            // `close` has waited for it.
            _ => {}
        }
    }
    let golden = std::env::temp_dir().join(format!("wasabi-console-{}", std::process::id()));
    std::fs::write(&golden, transcript).expect("a file");
    client.transcript().compare(&golden).expect("the same");
    std::fs::remove_file(golden).expect("a file");
}

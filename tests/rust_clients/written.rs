//! Channels, routes and types, in the file.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasabi::{ErrorFormat, GraphqlWs, prelude::*};

use super::shop;
use crate::example;

/// Compares a file with what a gateway says, or writes it.
fn is_written(file: &str, written: &str) {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(&path, written).expect("the file is written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let mut lines = kept.lines().zip(written.lines()).enumerate();
    if let Some((at, (old, new))) = lines.find(|(_, (old, new))| old != new) {
        panic!(
            "line {} of {file} is\n  {old}\nand the gateway says\n  {new}\nrun the test with UPDATE_ASYNCAPI=1",
            at + 1
        );
    }
    assert_eq!(kept, written, "run the test with UPDATE_ASYNCAPI=1");
}

#[test]
fn the_clients_beside_the_example_are_what_its_gateway_says() {
    is_written("../examples/asyncapi_client.rs", &example::gateway().rust());
}

#[test]
fn the_clients_of_the_shop_are_what_its_gateway_says() {
    let written = shop::gateway(Arc::default()).rust();
    is_written("rust_clients/shop_client.rs", &written);
}

#[test]
fn the_clients_are_the_same_to_the_byte() {
    assert_eq!(example::gateway().rust(), example::gateway().rust());
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Side {
    Buy,
    /// Nothing is borrowed.
    Sell,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Price {
    Limit { price: f64 },
    Market,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Fee {
    Free,
    Fixed(u32),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Deal {
    count: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Command {
    Buy(Deal),
    Sell(Deal),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Labels {
    others: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u32>,
}

/// Its forms have the same members.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Alike {
    Number { value: u64 },
    Text { value: String },
}

/// A node of a tree.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Node {
    id: u32,
    side: Side,
    price: Price,
    fee: Fee,
    command: Command,
    alike: Alike,
    labels: Labels,
    wide: Option<Vec<i64>>,
    #[serde(default)]
    count: u8,
    #[serde(rename = "odd-name", skip_serializing_if = "Option::is_none")]
    odd: Option<String>,
    r#type: String,
    #[serde(rename = "self")]
    this: u8,
    r#try: u8,
    pair: (String, u8),
    triple: [f64; 3],
    by_name: BTreeMap<String, Side>,
    children: Vec<Node>,
    next: Option<Box<Node>>,
    anything: Value,
}

#[test]
fn types_are_those_that_serde_reads_and_writes() {
    async fn node(node: Json<Node>) -> Json<Node> {
        node
    }
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "node" => node,
            _ => NoRoute,
        },
    ));
    let file = gateway.rust();
    for line in [
        "/// A node of a tree.",
        "pub struct Node {",
        "pub struct NodeBody {",
        "    pub side: Side,",
        "    pub wide: Option<Vec<i64>>,",
        "    pub count: Option<u8>,",
        "    #[serde(rename = \"odd-name\")]",
        "    pub odd_name: Option<String>,",
        "    pub r#type: String,",
        "    #[serde(rename = \"self\")]\n    pub self_: u8,\n",
        "    pub r#try: u8,",
        "    pub pair: (String, u8),",
        "    pub triple: [f64; 3],",
        "    pub by_name: BTreeMap<String, Side>,",
        "    pub children: Vec<Node>,",
        "    pub next: Option<Box<Node>>,",
        "    pub anything: Value,",
        "    #[serde(rename = \"buy\")]\n    Buy,",
        "    /// Nothing is borrowed.",
        "#[serde(tag = \"kind\")]\npub enum Price {",
        "    #[serde(rename = \"market\")]\n    Market,",
        "    Fixed(u32),",
        "#[serde(tag = \"kind\")]\npub enum Command {\n    Buy(Deal),\n    Sell(Deal),\n}",
        "pub type Alike = Value;",
        "    pub others: u8,\n    /// Members that are not named here.\n    #[serde(flatten)]\n    \
         pub others2: BTreeMap<String, Value>,\n}",
        "pub async fn node(&self, body: &NodeBody) -> Result<NodeReply, RequestError<RootNodeCode>> {",
    ] {
        assert!(file.contains(line), "no {line} in\n{file}");
    }
    let body = file.split("pub struct NodeBody {").nth(1);
    let body = body
        .and_then(|body| body.split('}').next())
        .expect("a body");
    assert!(!body.contains("pub id: "), "{body}");
}

#[test]
fn where_messages_have_no_ids_no_method_waits_for_a_reply() {
    let gateway = gateway!(
        channel(
            "/keyed",
            parser = JsonKey::at("/do"),
            match key {
                "one" => async || Json(1_u8),
                _ => NoRoute,
            }
        ),
        channel("/text", async |text: Text| text),
        channel(
            "/silent",
            errors = ErrorFormat::Silent,
            async |text: Text| text
        ),
        channel("/graphql", protocol = GraphqlWs::new(), async |_: Text| ()),
    );
    let file = gateway.rust();
    for line in [
        "pub fn one(&self) -> Result<u64, NotSent> {",
        "pub fn post(&self, message: impl Into<Message>) -> Result<(), NotSent> {",
        "/// The gateway sends no errors here",
        "// There is no client for `/graphql`",
    ] {
        assert!(file.contains(line), "no {line} in\n{file}");
    }
    assert!(!file.contains("async fn"), "{file}");
}

#[test]
fn names_of_the_language_and_of_the_file_are_left_alone() {
    let gateway = gateway!(channel(
        "/client",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "type" => async || (),
            "connect" => async || (),
            "clone" => async || (),
            "a.b" | "a-b" => async || (),
            _ => NoRoute,
        },
    ));
    let file = gateway.rust();
    for line in [
        "pub struct Client2 {",
        "pub fn r#type(&self)",
        "pub fn connect2(&self)",
        "pub fn clone2(&self)",
        "pub fn a_b(&self)",
        "pub fn a_b2(&self)",
    ] {
        assert!(file.contains(line), "no {line} in\n{file}");
    }
}

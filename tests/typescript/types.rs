//! JSON Schemas as types, in the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasabi::prelude::*;

use super::written::{declared, part};

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

/// A node of a tree.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Node {
    id: u32,
    side: Side,
    price: Price,
    /// Nobody knows more.
    total: u64,
    wide: Option<Vec<i64>>,
    #[serde(default)]
    count: u8,
    #[serde(rename = "odd-name", skip_serializing_if = "Option::is_none")]
    odd: Option<String>,
    pair: (String, u8),
    triple: [f64; 3],
    by_name: BTreeMap<String, Side>,
    children: Vec<Node>,
    anything: Value,
}

fn nodes() -> Gateway {
    async fn node(node: Json<Node>) -> Json<Node> {
        node
    }
    gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            "node" => node,
            _ => NoRoute,
        },
    ))
}

#[test]
fn schemas_are_types_and_each_direction_has_its_own() {
    let file = declared(&nodes());
    assert_eq!(
        part(&file, "export interface Node {"),
        "export interface Node {
  anything: unknown;
  by_name: Record<string, Side>;
  children: Node[];
  count?: number;
  id: number;
  \"odd-name\"?: string | null;
  pair: [string, number];
  price: Price;
  side: Side;
  /**
   * Nobody knows more.
   *
   * Exact up to 2^53 - 1.
   */
  total: number;
  triple: [number, number, number];
  /** Exact up to 2^53 - 1. */
  wide?: number[] | null;
}"
    );
    let reply = part(&file, "export interface NodeReply {");
    assert!(
        reply.contains("  count: number;\n") && reply.contains("  children: NodeReply[];\n"),
        "{reply}"
    );
    assert!(
        file.contains("/** A node of a tree. */\nexport interface Node {"),
        "{file}"
    );
    assert_eq!(
        part(&file, "export type Side"),
        r#"export type Side = "buy" | "sell";"#
    );
    assert_eq!(
        part(&file, "export type Price"),
        r#"export type Price = { kind: "limit"; price: number } | { kind: "market" };"#
    );
    // The client makes the id and the key.
    assert!(
        file.contains(r#"kind: "one"; takes: Omit<Node, "id">; gives: NodeReply;"#),
        "{file}"
    );
}

#[test]
fn two_to_the_53rd_is_not_promised_exact() {
    let file = declared(&nodes());
    assert_eq!(file.matches("Exact up to 2^53 - 1.").count(), 4, "{file}");
    assert!(!file.contains("bigint"));
}

#[test]
fn markup_in_docs_is_text() {
    /// Ends here: */ alert(1) /*
    /// @deprecated {@link x} <script>
    #[derive(Serialize, JsonSchema)]
    struct Marked {
        /// */ too
        id: u32,
    }
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        match key {
            /// Of the */ arm.
            "it's \"odd\"\n" => async || Json(Marked { id: 1 }),
            _ => NoRoute,
        },
    ));
    let file = declared(&gateway);
    for found in [
        "Ends here: *\\/ alert(1) /*",
        " * \\@deprecated {\\@link x} <script>\n",
        "/** *\\/ too */",
        "/** Of the *\\/ arm. */\n    \"it's \\\"odd\\\"\\n\": {",
    ] {
        assert!(file.contains(found), "no {found} in\n{file}");
    }
}

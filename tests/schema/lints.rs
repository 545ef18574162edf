//! Mistakes that the schemas of types show, and what looks like one but may be meant so.

use std::collections::HashMap;

use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasabi::{ErrorFormat, JsonRpc, prelude::*};

/// The mistakes of a gateway, in words.
fn mistakes(gateway: &Gateway) -> Vec<String> {
    let mistakes = gateway.check().err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_has_none() {
    assert_eq!(mistakes(&crate::example::gateway()), [""; 0]);
}

fn parser() -> JsonKey {
    JsonKey::at("/action").id("/req_id")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Closed {
    #[expect(dead_code)]
    item: String,
}

/// Has all that messages have besides.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[expect(dead_code)]
    action: String,
    #[expect(dead_code)]
    req_id: Option<u64>,
    #[expect(dead_code)]
    item: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WithoutId {
    #[expect(dead_code)]
    action: String,
}

#[test]
fn a_type_that_denies_unknown_fields_must_allow_key_and_id() {
    let gateway = gateway!(channel(
        "/v1",
        parser = parser(),
        match key {
            "place" => async |_: Json<Closed>| (),
            "cancel" => async |_: Json<WithoutId>| (),
            "list" => async |_: Json<Whole>| (),
            _ => NoRoute,
        },
    ));
    assert_eq!(
        mistakes(&gateway),
        [
            "`/v1`: `place` takes `Closed`, which refuses the member `action`, so that no message with a key at \
             `/action` fits: remove `deny_unknown_fields`, or add the member",
            "`/v1`: `place` takes `Closed`, which refuses the member `req_id`, so that no message with an id at \
             `/req_id` fits: remove `deny_unknown_fields`, or add the member",
            "`/v1`: `cancel` takes `WithoutId`, which refuses the member `req_id`, so that no message with an id at \
             `/req_id` fits: remove `deny_unknown_fields`, or add the member",
        ]
    );
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", deny_unknown_fields)]
enum Tagged {
    #[serde(rename = "place")]
    Place {
        #[expect(dead_code)]
        item: String,
    },
    #[serde(rename = "cancel")]
    Cancel {},
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    Closed(#[expect(dead_code)] Closed),
    WithoutId(#[expect(dead_code)] WithoutId),
}

#[derive(Deserialize, JsonSchema)]
struct Enveloped {
    #[expect(dead_code)]
    meta: Option<Closed>,
}

#[test]
fn key_and_id_are_looked_for_where_they_are() {
    let tagged = gateway!(
        channel(
            "/key",
            parser = JsonKey::at("/action"),
            async |_: Json<Tagged>| ()
        ),
        channel(
            "/one",
            parser = JsonKey::at("/action"),
            async |_: Json<Either>| ()
        ),
        channel(
            "/other",
            parser = JsonKey::at("/key"),
            async |_: Json<Either>| ()
        ),
        channel(
            "/deep",
            parser = JsonKey::at("/meta/item"),
            async |_: Json<Enveloped>| ()
        ),
        channel(
            "/id",
            parser = JsonKey::at("/key").id("/meta/id"),
            async |_: Json<Enveloped>| ()
        ),
    );
    let mistakes = mistakes(&tagged);
    let [other, id] = &*mistakes else {
        panic!("{mistakes:#?}");
    };
    assert!(
        other.contains("`/other`: ") && other.contains("the member `key`"),
        "{other}"
    );
    assert!(
        id.contains("`/id`: ") && id.contains("the member `id`"),
        "{id}"
    );
}

#[test]
fn a_route_of_messages_without_a_key_may_refuse_one() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/action").or("item"),
        match key {
            "item" => async |_: Json<Closed>| (),
            _ => NoRoute,
        },
    ));
    assert_eq!(mistakes(&gateway), [""; 0]);
}

#[test]
fn what_is_no_object_has_no_key() {
    let gateway = gateway!(
        channel(
            "/v1",
            parser = JsonKey::at("/action"),
            match key {
                "sum" => async |_: Json<Vec<i64>>| (),
                "any" => async |_: Json<serde_json::Value>| (),
                "map" => async |_: Json<HashMap<String, String>>| (),
                "maybe" => async |_: Option<Json<Vec<i64>>>| (),
                _ => NoRoute,
            },
        ),
        channel(
            "/list",
            parser = JsonKey::at("/0"),
            async |_: Json<Vec<String>>| ()
        ),
        channel("/raw", async |_: Json<Vec<i64>>| ()),
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            async |_: Params<Vec<i64>>| ()
        ),
    );
    assert_eq!(
        mistakes(&gateway),
        [
            "`/v1`: `sum` takes `Vec<i64>`, which is no JSON object, so that no message with a key at `/action` fits: \
             take a struct that has the value as a member"
        ]
    );
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    req_id: u64,
    price: u64,
}

#[derive(Serialize, JsonSchema)]
struct Cancelled {
    item: String,
}

fn receipt() -> Json<Receipt> {
    Json(Receipt {
        req_id: 7,
        price: 1,
    })
}

fn cancelled() -> Json<Cancelled> {
    let item = String::new();
    Json(Cancelled { item })
}

#[test]
fn a_reply_has_the_id_of_its_request_if_others_have_it() {
    let gateway = gateway!(channel(
        "/v1",
        parser = parser(),
        match key {
            "place" => async || receipt(),
            "cancel" => async || cancelled(),
            "watch" => async || Replies(stream::iter([cancelled()])),
            "ping" => async || "pong",
            "map" => async || Json(HashMap::<String, u64>::new()),
            "any" => async || Json(serde_json::json!({})),
            "maybe" => async || Some(receipt()),
            "silent" => async || (),
            _ => NoRoute,
        },
    ));
    let mistake = |route: &str| {
        format!(
            "`/v1`: the reply of `{route}`, `Cancelled`, has nothing at `/req_id`, where that of `place` has the id of its \
             request, so that clients cannot match it: give `Cancelled` the id of its request there"
        )
    };
    assert_eq!(mistakes(&gateway), [mistake("cancel")]);
}

#[test]
fn replies_without_ids_are_no_mistake_if_none_has_one() {
    let gateway = gateway!(
        channel(
            "/v1",
            parser = parser(),
            match key {
                "cancel" => async || cancelled(),
                _ => NoRoute,
            },
        ),
        channel(
            "/v2",
            parser = JsonKey::at("/action"),
            match key {
                "place" => async || receipt(),
                _ => async || cancelled(),
            },
        ),
    );
    assert_eq!(mistakes(&gateway), [""; 0]);
}

#[derive(Serialize, JsonSchema)]
struct Failure {
    code: &'static str,
    message: String,
}

#[derive(Serialize, JsonSchema)]
struct Outcome {
    error: Option<Failure>,
}

/// The state of a job, which is no error.
#[derive(Serialize, JsonSchema)]
struct Job {
    error: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Answer {
    #[expect(dead_code)]
    Done {
        item: String,
    },
    Failed {
        error: Failure,
    },
}

fn failure() -> Failure {
    Failure {
        code: "sold_out",
        message: String::new(),
    }
}

#[test]
fn a_reply_does_not_look_like_an_error() {
    fn routes(errors: ErrorFormat) -> Gateway {
        gateway!(channel(
            "/v1",
            parser = JsonKey::at("/action"),
            errors = errors,
            match key {
                "outcome" => async || Json(Outcome {
                    error: Some(failure())
                }),
                "answer" => async || Json(Answer::Failed { error: failure() }),
                "job" => async || Json(Job { error: None }),
                _ => NoRoute,
            },
        ))
    }
    let mistake = |route: &str, of: &str| {
        format!(
            "`/v1`: the reply of `{route}`, `{of}`, has a member `error` with `code` and `message`, as errors have, so that \
             clients take it for one: return `Err(wasabi::Error::new(code, message))`, or call the member differently"
        )
    };
    assert_eq!(
        mistakes(&routes(ErrorFormat::json())),
        [mistake("outcome", "Outcome"), mistake("answer", "Answer")]
    );
    for other in [ErrorFormat::Text, ErrorFormat::Silent] {
        assert_eq!(mistakes(&routes(other)), [""; 0]);
    }
}

struct Panics;

impl JsonSchema for Panics {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Panics".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        panic!("a schema of the application")
    }
}

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}

#[test]
fn a_schema_that_panics_stops_no_check() {
    let gateway = gateway!(channel("/", parser = parser(), async |_: Json<Panics>| ()));
    assert_eq!(mistakes(&gateway), [""; 0]);
}

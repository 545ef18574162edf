//! The AsyncAPI document of a gateway. npm's `@asyncapi/parser` reads it in `clients.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wasabi::{Admin, Error, ErrorFormat, prelude::*, schema::Operation};

use wasabi_tests::{serve_with, soon};

use crate::example;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Page {
    #[serde(default)]
    next: Option<Box<Page>>,
    #[serde(default)]
    number: u32,
}

#[derive(Serialize, JsonSchema)]
struct Book {
    pages: Vec<Page>,
}

#[test]
fn the_document_beside_the_example_is_what_its_gateway_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/asyncapi.yaml");
    let document = example::document().to_yaml();
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(path, &document).expect("the file is written");
    }
    let file = std::fs::read_to_string(path).expect("the file");
    assert_eq!(file, document, "run the test with UPDATE_ASYNCAPI=1");
}

#[test]
fn a_document_is_the_same_to_the_byte() {
    let (first, second) = (example::document(), example::document());
    assert_eq!(first.to_yaml(), second.to_yaml());
    assert_eq!(first.to_json(), second.to_json());
    let read: Value = serde_json::from_str(&first.to_json()).expect("JSON");
    assert_eq!(read, first.to_value());
}

/// Adds every reference.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn check_references(document: &Value) {
    let mut found = Vec::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_literal_key_of_the_document_is_routed_to_its_own_arm() {
    let gateway = example::gateway();
    let document = example::document().to_value();
    check_references(&document);
    let messages = &document["channels"]["v1_tenant"]["messages"];
    let mut keys = 0;
    for operation in gateway
        .operations()
        .iter()
        .filter(|each| each.prefix().is_none())
    {
        for key in operation.keys() {
            let key_in = &messages[key]["payload"];
            let envelope = key_in["allOf"][1]
                .as_object()
                .map_or(key_in, |_| &key_in["allOf"][1]);
            assert_eq!(envelope["properties"]["action"]["const"], json!(key));
            keys += 1;
        }
    }
    assert_eq!(keys, 5);
}

#[test]
fn a_type_used_both_ways_has_two_schemas_and_so_has_what_contains_it() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "read" => async |_: Json<Page>| (),
            "write" => async || Json(Book { pages: Vec::new() }),
            "copy" => async |page: Json<Page>| page,
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    check_references(&document);
    let schemas = &document["components"]["schemas"];
    let names: Vec<_> = schemas.as_object().expect("schemas").keys().collect();
    assert_eq!(names, ["Book", "Page", "Page.reply"]);
    assert_eq!(schemas["Page"]["required"], Value::Null);
    assert_eq!(schemas["Page.reply"]["required"], json!(["next", "number"]));
    let items = &schemas["Book"]["properties"]["pages"]["items"]["$ref"];
    assert_eq!(items, "#/components/schemas/Page.reply");
}

#[test]
fn unit_waits_for_no_reply_and_silent_errors_promise_none() {
    let of = |errors: ErrorFormat| {
        gateway!(channel(
            "/",
            parser = JsonKey::at("/key"),
            errors = errors,
            match key {
                "nothing" => async || (),
                "text" => async || "text",
                _ => NoRoute,
            },
        ))
        .asyncapi()
        .to_value()
    };
    let document = of(ErrorFormat::Silent);
    assert_eq!(document["operations"]["root.nothing"]["reply"], Value::Null);
    let reply = &document["operations"]["root.text"]["reply"]["messages"];
    assert_eq!(
        *reply,
        json!([{ "$ref": "#/channels/root/messages/text_2" }])
    );
    assert_eq!(
        document["channels"]["root"]["messages"]["error"],
        Value::Null
    );

    let document = of(ErrorFormat::json());
    assert_eq!(document["operations"]["root.nothing"]["reply"], Value::Null);
    let replies = &document["operations"]["root.text"]["reply"]["messages"];
    assert_eq!(replies.as_array().map(Vec::len), Some(2));
}

#[test]
fn open_codes_and_undescribed_types_say_what_is_missing() {
    #[derive(Deserialize)]
    struct Bare {
        #[allow(dead_code)]
        item: String,
    }
    #[backend]
    async fn place(_: Json<Bare>) -> Result<Json<u64>> {
        Err(Error::NoRoute)
    }
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "place" => place,
            _ => Http::post("http://user:secret@internal:8080/?key=secret"),
        }
    ));
    let document = gateway.asyncapi();
    let text = document.to_yaml();
    assert!(
        !text.contains("internal:8080") && !text.contains("secret"),
        "{text}"
    );
    let document = document.to_value();
    let place = &document["operations"]["root.place"]["x-wasabi"];
    assert_eq!(place["errors"]["open"], true);
    assert_eq!(place["notes"], json!(["derive `JsonSchema` for `Bare`"]));
    let payload = &document["channels"]["root"]["messages"]["place"]["payload"];
    assert_eq!(payload["allOf"][0]["properties"], json!({ "item": {} }));
    let other = &document["channels"]["root"]["messages"]["other"]["payload"];
    assert_eq!(
        other["properties"]["key"]["not"]["anyOf"],
        json!([{ "enum": ["place"] }])
    );
}

#[test]
fn mounted_channels_and_packages_have_their_names() {
    let inner = gateway!(channel("/{room}/{*rest}", async || "a"));
    let gateway = gateway!(mount("/chat", inner), channel("/", async || "b"));
    let document = gateway.asyncapi().to_value();
    assert_eq!(document["info"]["title"], "wasabi-tests");
    let channel = &document["channels"]["chat_room_rest"];
    assert_eq!(channel["address"], "/chat/{room}/{rest}");
    let parameters = channel["parameters"].as_object().expect("parameters");
    assert_eq!(parameters.keys().collect::<Vec<_>>(), ["rest", "room"]);
    let routes = gateway.operations().iter().map(Operation::path);
    assert_eq!(routes.collect::<Vec<_>>(), ["/chat/{room}/{*rest}", "/"]);
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Options {
    currency: String,
    page: Option<u32>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Bare {
    debug: bool,
}

#[test]
fn the_handshake_requires_no_query_because_a_bad_one_fails_only_its_messages() {
    #[backend]
    async fn priced(_: Query<Options>) {}
    #[backend]
    async fn paged(_: Option<Query<Options>>) {}
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/key"),
        match key {
            "priced" => priced,
            "paged" => paged,
            "bare" => async |_: Query<Bare>| (),
            "any" => async |_: Query<Value>| (),
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    check_references(&document);
    let query = &document["channels"]["root"]["bindings"]["ws"]["query"];
    let properties = query["properties"].as_object().expect("properties");
    assert_eq!(
        properties.keys().collect::<Vec<_>>(),
        ["currency", "debug", "page"]
    );
    assert_eq!(properties["currency"], json!({ "type": "string" }));
    assert_eq!(query["required"], Value::Null);
    assert_eq!(query["allOf"], Value::Null);
}

#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Place {
    room: Room,
    seat: u8,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Room {
    Hall,
    Lounge,
}

#[test]
fn the_parameters_of_a_path_are_what_functions_read_from_it() {
    #[backend]
    async fn by_name(_: Path<Place>) {}
    #[backend]
    async fn by_position(_: Path<(Room, u8)>) {}
    #[backend]
    async fn only(_: Path<Room>) {}
    let gateway = gateway!(
        channel("/name/{room}/{seat}", by_name),
        channel("/position/{room}/{seat}", by_position),
        channel("/only/{room}", only),
        channel("/traced/{id}", async |_: Path<u32>| ()),
        channel(
            "/both/{id}",
            parser = JsonKey::at("/key"),
            match key {
                "number" => async |_: Path<u32>| (),
                "text" => async |_: Path<String>| (),
                "all" => async |_: Path<std::collections::HashMap<String, String>>| (),
                _ => NoRoute,
            },
        ),
        channel("/none/{id}", async || ()),
    );
    let document = gateway.asyncapi().to_value();
    check_references(&document);
    let schema = |channel: &str, name: &str| {
        document["channels"][channel]["parameters"][name]["x-wasabi"]["schema"].clone()
    };
    let room = json!({ "$ref": "#/components/schemas/Room" });
    for channel in ["name_room_seat", "position_room_seat"] {
        assert_eq!(schema(channel, "room"), room, "{channel}");
        assert_eq!(schema(channel, "seat")["type"], "integer", "{channel}");
    }
    assert_eq!(schema("only_room", "room"), room);
    assert_eq!(schema("traced_id", "id")["type"], "integer");
    let both = schema("both_id", "id");
    assert_eq!(both["anyOf"][1], json!({ "type": "string" }), "{both}");
    assert_eq!(schema("none_id", "id"), Value::Null);
}

#[test]
fn a_type_whose_members_are_parameters_has_no_schema_of_its_own() {
    let gateway = gateway!(
        channel("/options", async |_: Query<Options>| ()),
        channel("/place/{room}/{seat}", async |_: Path<Place>| ()),
    );
    let document = gateway.asyncapi().to_value();
    check_references(&document);
    let schemas = document["components"]["schemas"].as_object();
    let names: Vec<_> = schemas.expect("schemas").keys().collect();
    assert_eq!(names, ["Room"], "`Room` is that of a parameter");
}

#[test]
fn a_schema_in_place_has_the_words_of_its_draft() {
    let gateway = gateway!(channel("/", async |_: Json<(String, u32)>| Json((
        1_u8, "a"
    ))));
    let document = gateway.asyncapi().to_value();
    let messages = &document["channels"]["root"]["messages"];
    for message in messages.as_object().expect("messages").values() {
        if message["contentType"] == "application/json" {
            let payload = &message["payload"];
            assert!(payload["items"].is_array(), "{payload}");
            assert!(payload["prefixItems"].is_null(), "{payload}");
        }
    }
    let input = gateway.operations()[0].answers()[0].inputs[0].schema();
    assert!(input.is_some_and(|schema| schema["items"].is_array()));
}

#[tokio::test]
async fn the_admin_listener_serves_the_document_and_the_public_one_does_not() {
    let gateway = gateway!(channel("/echo", async |text: Text| text));
    let document = gateway.asyncapi();
    let admin = Admin::bind("127.0.0.1:0").asyncapi(&document);
    let server = serve_with(gateway, |server| server.admin(admin)).await;
    let addr = server.handle.admin_addr().await.expect("an address");
    for (path, text) in [
        ("/asyncapi.yaml", document.to_yaml()),
        ("/asyncapi.json", document.to_json()),
    ] {
        let mut stream = soon(TcpStream::connect(addr)).await.expect("a connection");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer))
            .await
            .expect("an answer");
        assert!(answer.ends_with(&text), "{answer}");
        assert_eq!(server.get(path).await, 404);
    }
}

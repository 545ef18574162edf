//! Channels and routes, in the file.

use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasabi::{Error, ErrorFormat, GraphqlWs, JsonRpc, Sent, Unsubscribe, prelude::*};

use crate::example;

/// A file without the clients' code.
pub(super) fn declared(gateway: &Gateway) -> String {
    let file = gateway.typescript();
    let end = file.find("// The runtime:").expect("the runtime");
    file[..end].to_owned()
}

/// The lines of the declaration that begins like this, up to its last brace.
pub(super) fn part(file: &str, begin: &str) -> String {
    let start = file
        .find(begin)
        .unwrap_or_else(|| panic!("no {begin} in\n{file}"));
    let line = file[..start].rfind('\n').map_or(0, |at| at + 1);
    let indent = file[line..].len() - file[line..].trim_start().len();
    let end = format!("\n{}}}", " ".repeat(indent));
    let rest = &file[start..];
    let whole = rest.find(&end).map_or(rest.len(), |at| at + end.len());
    let first = rest.lines().next().unwrap_or_default();
    match first.ends_with('{') {
        true => rest[..whole].to_owned(),
        false => first.to_owned(),
    }
}

#[test]
fn the_clients_beside_the_example_are_what_its_gateway_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/asyncapi.ts");
    let written = example::gateway().typescript();
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        std::fs::write(path, &written).expect("the file is written");
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = file.lines().zip(written.lines()).enumerate();
    if let Some((at, (old, new))) = lines.find(|(_, (old, new))| old != new) {
        panic!(
            "line {} of examples/asyncapi.ts is\n  {old}\nand the gateway says\n  {new}\nrun the test with UPDATE_ASYNCAPI=1",
            at + 1
        );
    }
    assert_eq!(file, written, "run the test with UPDATE_ASYNCAPI=1");
}

#[test]
fn the_clients_are_the_same_to_the_byte() {
    assert_eq!(
        example::gateway().typescript(),
        example::gateway().typescript()
    );
}

#[test]
// Long: a route of each kind.
fn unit_waits_for_no_reply_and_a_reply_without_an_id_is_an_event() {
    #[derive(Serialize, JsonSchema)]
    struct Tick {
        bid: f64,
    }
    #[derive(Serialize, JsonSchema)]
    struct Found {
        id: u32,
    }
    async fn found() -> Replies<impl Stream<Item = Json<Found>>> {
        Replies(stream::empty())
    }
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        sends = [Sent::of::<Json<Found>>("seen").docs("Unasked.")],
        match key {
            "nothing" => async || (),
            "tick" => async || Json(Tick { bid: 1.0 }),
            "text" => async || "text",
            "one" => async || Json(Found { id: 1 }),
            "maybe" => async || Some(Json(Found { id: 1 })),
            "many" => found,
            "http" => Http::post("http://internal:8080/"),
            _ => NoRoute,
        },
    ));
    let file = declared(&gateway);
    let kinds = [
        (
            r#"    nothing: {"#,
            r#"kind: "none"; takes: Record<string, never>; gives: never;"#,
        ),
        (
            r#"    tick: {"#,
            r#"kind: "loose"; takes: Record<string, never>; gives: never;"#,
        ),
        (r#"    text: {"#, r#"kind: "loose";"#),
        (
            r#"    one: {"#,
            r#"kind: "one"; takes: Record<string, never>; gives: Found;"#,
        ),
        (
            r#"    maybe: {"#,
            r#"kind: "maybe"; takes: Record<string, never>; gives: Found | undefined;"#,
        ),
        (r#"    many: {"#, r#"kind: "many";"#),
        (
            r#"    http: {"#,
            r#"kind: "any"; takes: object; gives: unknown;"#,
        ),
    ];
    for (route, kind) in kinds {
        let part = part(&file, route);
        assert!(part.contains(kind), "{part}");
    }
    assert!(
        file.contains("Its replies have no `/id`, so they cannot be matched with requests: they come as `Tick`. */"),
        "{file}"
    );
    let events = part(&file, "events: {\n");
    for event in [
        "Tick: Tick;",
        "text: string;",
        "/** Unasked. */\n    seen: Found;",
    ] {
        assert!(events.contains(event), "no {event} in {events}");
    }
    assert!(file.contains("Tick: (m) => is(m, { bid: 0 })"), "{file}");
    assert!(file.contains(r#"maybe: ["maybe"]"#), "{file}");
    assert!(!file.contains("internal:8080"));
}

#[test]
fn where_messages_have_no_ids_nothing_waits_for_a_reply() {
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
        channel("/json", async |Json(n): Json<u8>| Json(n)),
    );
    let file = declared(&gateway);
    assert!(
        part(&file, "    one: {").contains(r#"kind: "loose""#),
        "{file}"
    );
    assert!(file.contains("Messages here have no ids"), "{file}");
    assert!(
        part(&file, "export interface TextChannel {")
            .contains("routes: {};\n  prefixes: {};\n  others: never;")
    );
    assert!(
        file.contains("  posts: string;\n") && file.contains("  posts: number;\n"),
        "{file}"
    );
    assert!(
        file.contains("which nothing tells from other text"),
        "{file}"
    );
}

#[test]
fn codes_are_open_where_the_route_is_and_none_where_no_error_is_known() {
    async fn open() -> Result<Json<Value>> {
        Err(Error::NoRoute)
    }
    let of = |errors: ErrorFormat| {
        let gateway = gateway!(channel(
            "/",
            parser = JsonKey::at("/do").id("/id"),
            errors = errors,
            match key {
                "open" => open,
                "closed" => async || Json(Value::Null),
                _ => NoRoute,
            },
        ));
        declared(&gateway)
    };
    let file = of(ErrorFormat::json());
    assert!(part(&file, "    open: {").contains(" | Other;"), "{file}");
    assert!(!part(&file, "    closed: {").contains("Other"), "{file}");
    let silent = of(ErrorFormat::Silent);
    assert!(
        part(&silent, "    open: {").contains("codes: never;"),
        "{silent}"
    );
    assert!(
        silent.contains(
            "The gateway sends no errors here. A request that fails ends at its deadline."
        ),
        "{silent}"
    );
    let elsewhere = of(ErrorFormat::json_id_at("/of"));
    assert!(elsewhere.contains(r#"errorId: ["of"]"#), "{elsewhere}");
}

#[test]
fn paths_and_queries_have_types() {
    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Place {
        room: u32,
        rest: String,
    }
    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Page {
        page: u32,
    }
    let gateway = gateway!(
        channel(
            "/rooms/{room}/{*rest}",
            subprotocols = ["v1"],
            async |_: Path<Place>, _: Query<Page>, text: Text| text
        ),
        channel("/{a}/{b}", async |_: Path<(String, u8)>, text: Text| text),
        channel("/class", async |text: Text| text),
    );
    let file = declared(&gateway);
    for found in [
        "  path: { room: number; rest: string };\n  query: { page?: number };\n",
        r#"new Client(base + "/rooms/" + segment(path.room) + "/" + path.rest.split("/").map(segment).join("/"), "#,
        r#"{ protocols: () => ["v1"], ...options }"#,
        "  path: { a: string; b: number };\n  query: Record<string, string>;\n",
        "export function class2(base: string, options: ",
    ] {
        assert!(file.contains(found), "no {found} in\n{file}");
    }
}

#[test]
fn names_are_not_those_of_the_runtime_or_of_each_other() {
    mod other {
        #[derive(serde::Serialize, schemars::JsonSchema)]
        pub(crate) struct Client {
            pub(crate) id: u8,
        }
    }
    #[derive(Serialize, JsonSchema)]
    #[schemars(rename = "Error")]
    struct Fault {
        id: u8,
        client: other::Client,
    }
    let gateway = gateway!(
        channel(
            "/a.b",
            parser = JsonKey::at("/do").id("/id"),
            match key {
                "one" => async || Json(Fault {
                    id: 1,
                    client: other::Client { id: 1 }
                }),
                _ => NoRoute,
            }
        ),
        channel("/a/b", async |text: Text| text),
    );
    let file = declared(&gateway);
    for name in [
        "interface Error2 {",
        "interface Client2 {",
        "function aB(",
        "function aB2(",
        "interface ABChannel2 {",
    ] {
        assert!(file.contains(name), "no {name} in\n{file}");
    }
}

#[test]
fn calls_of_json_rpc_have_a_client_and_other_protocols_say_why_not() {
    async fn ticks() -> Replies<impl Stream<Item = Json<u8>>> {
        Replies(stream::empty())
    }
    async fn add(Params((a, b)): Params<(u8, u8)>) -> Json<u8> {
        Json(a + b)
    }
    let gateway = gateway!(
        channel(
            "/rpc",
            protocol = JsonRpc::new(),
            match key {
                "add" => add,
                "ticks" => ticks,
                "all" => async || vec![Json(1_u8)],
                "maybe" => async || Some(Json(1_u8)),
                "forget" => async || (),
                "stop" => Unsubscribe,
                _ => NoRoute,
            }
        ),
        channel("/graphql", protocol = GraphqlWs::new(), async || Json(1_u8)),
    );
    let file = declared(&gateway);
    for (route, of) in [
        (
            "    add: {",
            r#"kind: "one"; takes: [number, number]; gives: number;"#,
        ),
        (
            "    ticks: {",
            r#"kind: "many"; takes: Record<string, never>; gives: number;"#,
        ),
        (
            "    all: {",
            r#"kind: "one"; takes: Record<string, never>; gives: number[];"#,
        ),
        ("    maybe: {", "gives: number | null;"),
        ("    forget: {", "gives: null;"),
    ] {
        let part = part(&file, route);
        assert!(part.contains(of), "{part}");
    }
    assert!(
        file.contains(r#"{ rpc: true, id: ["id"], stop: "stop", json: true, events: {} }"#),
        "{file}"
    );
    assert!(
        file.contains("// There is no client for `/graphql`: it speaks graphql-transport-ws"),
        "{file}"
    );
}

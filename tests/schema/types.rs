//! Arguments and replies, as the types of functions tell them.

use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasabi::{
    BoxBackend, RouteTable,
    prelude::*,
    schema::{Count, Form, Operation, Source},
};

#[derive(Deserialize, JsonSchema)]
struct Order {
    item: String,
}

#[derive(Serialize, JsonSchema)]
struct Receipt {
    price: u64,
}

/// Without a schema.
#[derive(Deserialize, Serialize)]
struct Bare {
    first: u8,
    second: Option<String>,
}

/// An extractor of the application.
struct Language;

impl<S: Sync> FromRequest<S> for Language {
    async fn from_request(_req: &Request, _state: &S) -> Result<Self> {
        Ok(Self)
    }
}

/// Places an order.
///
/// It costs what it says.
#[backend]
async fn place(
    _connection: Connection,
    Json(order): Json<Order>,
    _language: Language,
) -> Result<Json<Receipt>> {
    let price = order.item.len() as u64;
    Ok(Json(Receipt { price }))
}

fn route<'a>(gateway: &'a Gateway, name: &str) -> &'a Operation {
    let mut operations = gateway.operations().iter();
    let found = operations.find(|operation| operation.route() == name);
    found.unwrap_or_else(|| panic!("no route `{name}` in {:#?}", gateway.operations()))
}

/// The fields in the schema of the argument from this place.
fn taken(operation: &Operation, from: Source) -> Option<String> {
    let inputs = operation.answers()[0].inputs.iter();
    let mut inputs = inputs.filter(|input| input.source == from);
    let schema = inputs.next_back()?.schema()?;
    Some(schema["properties"].to_string())
}

fn replied(operation: &Operation) -> (Form, Count, Option<String>) {
    let output = &operation.answers()[0].output;
    let schema = output
        .schema()
        .map(|schema| schema["properties"].to_string());
    (output.form, output.count, schema)
}

const ITEM: &str = r#"{"item":{"type":"string"}}"#;
const PRICE: &str = r#"{"price":{"format":"uint64","minimum":0,"type":"integer"}}"#;

#[test]
fn a_function_tells_its_arguments_reply_and_comment() {
    let gateway = gateway!(channel(
        "/v1",
        parser = JsonKey::at("/key"),
        match key {
            "place" => place,
            /// The arm says more.
            "again" => with([Timeout::new(2s)], place),
            _ => NoRoute,
        },
    ));
    let placed = route(&gateway, "place");
    assert_eq!(placed.path(), "/v1");
    assert_eq!(placed.docs(), "Places an order.\n\nIt costs what it says.");
    assert_eq!(placed.answers()[0].target, "place");
    assert_eq!(taken(placed, Source::Json).as_deref(), Some(ITEM));
    assert_eq!(
        replied(placed),
        (Form::Json, Count::One, Some(PRICE.to_owned()))
    );
    let sources = placed.answers()[0].inputs.iter();
    let sources: Vec<_> = sources.map(|input| input.source).collect();
    assert_eq!(sources, [Source::Gateway, Source::Json, Source::Unknown]);

    let again = route(&gateway, "again");
    assert_eq!(again.docs(), "The arm says more.");
    assert_eq!(again.middleware(), ["Timeout"]);
    assert_eq!(taken(again, Source::Json).as_deref(), Some(ITEM));
}

#[test]
fn a_type_without_json_schema_compiles_with_schema_on() {
    #[backend]
    async fn bare(Json(bare): Json<Bare>, Json(_order): Json<Order>) -> Json<Bare> {
        Json(bare)
    }

    let gateway = gateway!(
        channel("/backend", bare),
        channel("/closure", async |Json(bare): Json<Bare>| Json(bare)),
    );
    for operation in gateway.operations() {
        let answers = &operation.answers()[0];
        let input = &answers.inputs[0];
        assert!(input.schema().is_none());
        assert!(input.type_name.ends_with("types::Bare"));
        // serde's own trait tells as much.
        let fields = json!({ "first": {}, "second": {} });
        let traced = json!({ "title": "Bare", "type": "object", "properties": fields });
        assert_eq!(input.traced(), Some(traced));
        assert!(answers.output.schema().is_none());
        assert!(answers.output.type_name.ends_with("types::Bare"));
    }
    let second = &gateway.operations()[0].answers()[0].inputs[1];
    assert!(second.schema().is_some(), "the schema of its neighbour");
}

#[test]
fn a_type_used_both_ways_has_two_contracts() {
    #[derive(Deserialize, Serialize, JsonSchema)]
    struct Both {
        #[serde(rename(serialize = "written", deserialize = "read"))]
        field: String,
        #[serde(default)]
        optional: u8,
    }

    let gateway = gateway!(channel("/", async |Json(both): Json<Both>| Json(both)));
    let answers = &gateway.operations()[0].answers()[0];
    let (read, written) = (answers.inputs[0].schema(), answers.output.schema());
    let (read, written) = (read.expect("a schema"), written.expect("a schema"));
    assert_eq!(read["required"], json!(["read"]));
    assert_eq!(written["required"], json!(["written", "optional"]));
}

#[test]
fn a_reply_says_how_many_messages_it_has() {
    #[backend]
    async fn ticks() -> Result<Replies<impl Stream<Item = Json<Receipt>>>> {
        Ok(Replies(stream::iter([Json(Receipt { price: 1 })])))
    }

    let gateway = gateway!(channel(
        "/",
        match key {
            "nothing" => async || (),
            "nothing or fails" => async || Result::<()>::Ok(()),
            "one" => async || Json(Receipt { price: 1 }),
            "at most one" => async || Some(Json(Receipt { price: 1 })),
            "many" => async || vec![Json(Receipt { price: 1 })],
            "stream" => ticks,
            "text" => async || "text",
            "binary" => async || Bytes::new(),
            _ => async || Reply::none(),
        },
    ));
    let known = |name: &str| replied(route(&gateway, name));
    assert_eq!(known("nothing"), (Form::Unknown, Count::None, None));
    assert_eq!(
        known("nothing or fails"),
        (Form::Unknown, Count::None, None)
    );
    let price = Some(PRICE.to_owned());
    assert_eq!(known("one"), (Form::Json, Count::One, price.clone()));
    assert_eq!(
        known("at most one"),
        (Form::Json, Count::AtMostOne, price.clone())
    );
    assert_eq!(known("many"), (Form::Json, Count::Many, price.clone()));
    assert_eq!(known("stream"), (Form::Json, Count::Stream, price));
    assert_eq!(known("text"), (Form::Text, Count::One, None));
    assert_eq!(known("binary"), (Form::Binary, Count::One, None));
    assert_eq!(known("_"), (Form::Unknown, Count::Unknown, None));
}

#[test]
fn functions_without_the_attribute_tell_what_the_compiler_knows_of_them() {
    async fn all(_path: Path<u32>, _order: Option<Json<Order>>) -> Json<Receipt> {
        Json(Receipt { price: 0 })
    }
    let gateway = gateway!(channel(
        "/{id}",
        match key {
            "all" => all,
            "last" => async |_: Language, _order: Json<Order>| Json(Receipt { price: 0 }),
            "first" => async |_order: Json<Order>, _: Language| Json(Receipt { price: 0 }),
            "reply" => async |_: Language, _bare: Json<Bare>| Json(Receipt { price: 0 }),
            "argument" => async |_order: Json<Order>| Json(Bare {
                first: 1,
                second: None
            }),
            _ => NoRoute,
        },
    ));
    for name in ["all", "last", "first", "argument"] {
        let taken = taken(route(&gateway, name), Source::Json);
        assert_eq!(taken.as_deref(), Some(ITEM), "{name}");
    }
    for name in ["all", "last", "first", "reply"] {
        let (.., schema) = replied(route(&gateway, name));
        assert_eq!(schema.as_deref(), Some(PRICE), "{name}");
    }
    let all = &route(&gateway, "all").answers()[0];
    assert!(all.inputs[1].is_optional && !all.inputs[0].is_optional);
    let path = all.inputs[0].schema().expect("a schema");
    assert_eq!(path["type"], "integer");
}

#[test]
fn a_generic_gateway_falls_back_to_names() {
    fn of<T>() -> Gateway
    where
        T: for<'de> Deserialize<'de> + Send + Sync + 'static,
    {
        gateway!(channel("/", async |_: Json<T>| ()))
    }
    let gateway = of::<Order>();
    let input = &gateway.operations()[0].answers()[0].inputs[0];
    assert!(input.schema().is_none());
    assert!(input.type_name.ends_with("types::Order"));
    assert_eq!(
        input.traced().expect("fields")["properties"],
        json!({ "item": {} })
    );
}

#[test]
fn a_cfg_ed_arm_shifts_no_schema() {
    let gateway = gateway!(channel(
        "/",
        match key {
            #[cfg(any())]
            "gone" => async |_: Text| "gone",
            "order" => async |_: Json<Order>| (),
            #[cfg(all())]
            "kept" => async || Json(Receipt { price: 1 }),
            _ => NoRoute,
        },
    ));
    let names = gateway.operations().iter().map(Operation::route);
    assert_eq!(names.collect::<Vec<_>>(), ["order", "kept", "_"]);
    let order = route(&gateway, "order");
    assert_eq!(order.keys(), ["order"]);
    assert_eq!(taken(order, Source::Json).as_deref(), Some(ITEM));
    assert_eq!(replied(route(&gateway, "kept")).2.as_deref(), Some(PRICE));
}

mod orders {
    use super::*;

    pub(super) fn routes() -> impl Routes {
        routes!(
            middleware = [Throttle::new(10)],
            match key {
                /// From a set.
                "order.place" => place,
                #[cfg(any())]
                "order.gone" => async || "gone",
                "order.list" => async || vec![Json(Receipt { price: 1 })],
            }
        )
    }
}

fn check_sets(gateway: &Gateway) {
    let placed = route(gateway, "order.place");
    assert_eq!(
        (placed.docs(), placed.middleware()),
        ("From a set.", &["Throttle".to_owned()][..])
    );
    assert_eq!(taken(placed, Source::Json).as_deref(), Some(ITEM));
    assert_eq!(
        replied(route(gateway, "order.list")).2.as_deref(),
        Some(PRICE)
    );
    assert_eq!(
        taken(route(gateway, "here"), Source::Json).as_deref(),
        Some(ITEM)
    );
}

#[test]
fn sets_tables_boxes_and_groups_tell_as_well() {
    let table: RouteTable = RouteTable::new()
        .route("tabled", BoxBackend::new(async |_: Json<Order>| "placed"))
        .route("http", BoxBackend::new(Http::post("http://orders:8080/")));
    let gateway = gateway!(channel(
        "/",
        routes = [
            orders::routes(),
            with(
                [Timeout::new(1s)],
                match key {
                    "here" => async |_: Json<Order>| (),
                }
            ),
        ],
        match key {
            "group" => balance([
                (2, Http::post("http://a/")),
                (1, async || Json(Receipt { price: 1 }))
            ]),
            _ => table,
        },
    ));
    let names = gateway.operations().iter().map(Operation::route);
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "order.place",
            "order.list",
            "here",
            "group",
            "tabled",
            "http",
            "_"
        ]
    );
    for operation in &gateway.operations()[..6] {
        assert_eq!(operation.keys(), [operation.route()]);
    }
    check_sets(&gateway);

    let [http, function] = route(&gateway, "group").answers() else {
        panic!("two nodes")
    };
    assert_eq!(http.target, r#"Http::post("http://a/")"#);
    assert!(!http.is_typed && function.is_typed);
    assert!(function.output.schema().is_some());

    // What was boxed elsewhere is known by its trait.
    let input = &route(&gateway, "tabled").answers()[0].inputs[0];
    assert!(input.type_name.ends_with("types::Order") && input.schema().is_none());
}

#[test]
fn nothing_is_kept_in_a_backend() {
    #[backend]
    async fn told(Text(text): Text) -> String {
        text.to_string()
    }
    async fn plain(Text(text): Text) -> String {
        text.to_string()
    }
    let text = Text::from("text");
    let (told, plain) = (told(Text(text.0.clone())), plain(Text(text.0)));
    assert_eq!(size_of_val(&told), size_of_val(&plain));

    let set = routes!(match key {
        "a" => async |text: Text| text,
        "b" => async |_: Json<Order>| Json(Receipt { price: 1 }),
    });
    assert_eq!(size_of_val(&set), 0);
}

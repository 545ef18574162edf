//! Messages that a gateway sends unasked, in the AsyncAPI document.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use wasabi::{JsonRpc, Kept, Sent, prelude::*};

use super::document::message;

#[derive(Serialize, JsonSchema)]
struct Tick {
    price: u64,
}

#[test]
fn a_message_that_is_sent_unasked_is_an_operation_of_its_own() {
    let gateway = gateway!(channel(
        "/",
        parser = JsonKey::at("/do").id("/id"),
        sends = [
            Sent::of::<Json<Tick>>("tick").docs("A price has changed.\n\nAt most once a second."),
            Sent::of::<Text>("bye"),
        ],
        async || "subscribed",
    ));
    assert!(gateway.check().is_ok());
    let document = gateway.asyncapi().to_value();
    assert_eq!(
        document["operations"]["root.tick"],
        json!({
            "action": "send",
            "channel": { "$ref": "#/channels/root" },
            "messages": [{ "$ref": "#/channels/root/messages/tick" }],
            "summary": "A price has changed.",
            "description": "A price has changed.\n\nAt most once a second.",
        })
    );
    let tick = message(&document, "root", "tick");
    assert_eq!(tick["payload"]["$ref"], "#/components/schemas/Tick");
    assert_eq!(tick["contentType"], "application/json");
    // It answers no request.
    assert!(tick["correlationId"].is_null());
    // The reply of the function is a text as well.
    let bye = &document["operations"]["root.bye"]["messages"];
    assert_eq!(*bye, json!([{ "$ref": "#/channels/root/messages/text" }]));
}

#[test]
fn it_has_no_envelope_of_a_protocol() {
    let gateway = gateway!(channel(
        "/",
        protocol = JsonRpc::new(),
        sends = [Sent::of::<Json<Tick>>("tick")],
        async || Json(1),
    ));
    let document = gateway.asyncapi().to_value();
    let tick = message(&document, "root", "tick");
    assert_eq!(tick["payload"]["$ref"], "#/components/schemas/Tick");
}

#[test]
fn a_message_that_may_be_anything_is_undescribed() {
    let gateway = gateway!(channel(
        "/",
        sends = [Sent::of::<Reply>("any")],
        async || ()
    ));
    let document = gateway.asyncapi().to_value();
    let any = &document["operations"]["root.any"]["messages"];
    assert_eq!(
        *any,
        json!([{ "$ref": "#/channels/root/messages/undescribed" }])
    );
}

#[test]
fn two_messages_of_one_name_are_a_mistake() {
    let gateway = gateway!(channel(
        "/",
        sends = [Sent::of::<Text>("tick"), Sent::of::<Json<Tick>>("tick")],
        async || ()
    ));
    let mistakes = format!("{:?}", gateway.check().expect_err("a mistake"));
    assert!(
        mistakes.contains("`sends` has two messages with the name `tick`"),
        "{mistakes}"
    );
}

#[test]
// Long: a type of each kind.
fn messages_that_no_client_can_tell_apart_are_a_mistake() {
    /// A price.
    #[derive(Serialize, JsonSchema)]
    struct Price {
        bid: f64,
        levels: Vec<Level>,
    }
    #[derive(Serialize, JsonSchema)]
    struct Level {
        price: f32,
    }
    /// A price of yesterday.
    #[derive(Serialize, JsonSchema)]
    struct Old {
        /// Then.
        bid: f64,
        levels: Vec<OldLevel>,
    }
    #[derive(Serialize, JsonSchema)]
    struct OldLevel {
        price: f64,
    }
    // A value inside may tell these from others.
    #[derive(Serialize, JsonSchema)]
    struct Maybe {
        bid: Option<f64>,
    }
    #[derive(Serialize, JsonSchema)]
    struct Named {
        name: String,
        bid: f64,
    }
    #[derive(Serialize, JsonSchema)]
    #[serde(tag = "event")]
    enum Tagged {
        #[expect(dead_code)]
        Price { bid: f64 },
    }
    #[derive(Serialize, JsonSchema)]
    struct Wide {
        at: [f64; 3],
    }
    #[derive(Serialize, JsonSchema)]
    struct Flat {
        at: [f64; 2],
    }
    #[derive(Serialize, JsonSchema)]
    struct Warm {
        #[schemars(range(min = 0.0))]
        degrees: f64,
    }
    #[derive(Serialize, JsonSchema)]
    struct Cold {
        #[schemars(range(max = 0.0))]
        degrees: f64,
    }
    /// Whatever the application puts in.
    #[derive(Serialize)]
    struct Anything {}
    impl JsonSchema for Anything {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Anything".into()
        }

        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({ "type": "object" })
        }
    }
    #[derive(Serialize, JsonSchema)]
    #[schemars(deny_unknown_fields)]
    struct Nothing {}
    #[derive(Serialize, JsonSchema)]
    struct Open {
        bid: f64,
        #[serde(flatten)]
        more: std::collections::BTreeMap<String, f64>,
    }
    let of = |sends: [Sent; 2]| {
        let gateway = gateway!(channel("/", sends = sends, async || ()));
        match gateway.check() {
            Ok(()) => String::new(),
            Err(mistakes) => format!("{mistakes:?}"),
        }
    };
    let mistakes = of([Sent::of::<Json<Price>>("new"), Sent::of::<Json<Old>>("old")]);
    assert!(
        mistakes.contains("`/`: clients cannot tell `old` of `sends` from `new`"),
        "{mistakes}"
    );
    let mistakes = of([
        Sent::of::<Json<Price>>("up"),
        Sent::of::<Json<Price>>("down"),
    ]);
    assert!(
        mistakes.contains("`down` of `sends` from `up`"),
        "{mistakes}"
    );
    assert!(
        mistakes.contains("nothing but floating-point numbers in them"),
        "{mistakes}"
    );
    let mistakes = of([
        Sent::of::<Json<Nothing>>("up"),
        Sent::of::<Json<Nothing>>("down"),
    ]);
    assert!(
        mistakes.contains("`down` of `sends` from `up`, because neither has a member"),
        "{mistakes}"
    );
    let mistakes = of([Sent::of::<Json<f64>>("bid"), Sent::of::<Json<f32>>("ask")]);
    assert!(
        mistakes.contains("both are nothing but floating-point numbers"),
        "{mistakes}"
    );
    for fine in [
        [Sent::of::<Json<Price>>("a"), Sent::of::<Json<Level>>("b")],
        [Sent::of::<Json<Tick>>("a"), Sent::of::<Json<Tick>>("b")],
        [Sent::of::<Json<Maybe>>("a"), Sent::of::<Json<Maybe>>("b")],
        [Sent::of::<Json<Named>>("a"), Sent::of::<Json<Named>>("b")],
        [Sent::of::<Json<Tagged>>("a"), Sent::of::<Json<Tagged>>("b")],
        [Sent::of::<Json<Wide>>("a"), Sent::of::<Json<Flat>>("b")],
        [Sent::of::<Json<Warm>>("a"), Sent::of::<Json<Cold>>("b")],
        [
            Sent::of::<Json<Anything>>("a"),
            Sent::of::<Json<Anything>>("b"),
        ],
        [Sent::of::<Json<Open>>("a"), Sent::of::<Json<Open>>("b")],
        [Sent::of::<Text>("a"), Sent::of::<Text>("b")],
    ] {
        assert_eq!(of(fine), "");
    }
}

#[test]
fn a_message_with_the_name_of_one_of_kept_groups_is_a_mistake() {
    let of = |name: &str, kept: Kept| {
        let gateway = gateway!(channel(
            "/",
            groups = [kept],
            sends = [Sent::of::<Json<Tick>>(name)],
            async || ()
        ));
        gateway.check().map_err(|mistakes| format!("{mistakes:?}"))
    };
    let enveloped = || Kept::all().enveloped();
    for (name, kept) in [
        ("gap", enveloped()),
        ("published", enveloped()),
        ("presence", Kept::all().announced()),
    ] {
        let mistakes = of(name, kept).expect_err("a mistake");
        let mistake = format!("`/`: `sends` has a message with the name `{name}`, which is that");
        assert!(mistakes.contains(&mistake), "{mistakes}");
    }
    // Here the gateway has none of that name.
    assert_eq!(of("gap", Kept::all()), Ok(()));
    assert_eq!(of("presence", enveloped()), Ok(()));
}

//! Logins in the AsyncAPI document.

use serde_json::{Value, json};
use wasabi::{
    middleware::http::{BasicAuth, BearerAuth, Identity},
    prelude::*,
};

async fn verify(token: String) -> Option<Identity<String>> {
    Some(Identity::new(token))
}

async fn password(user: String, _password: String) -> Option<Identity<String>> {
    Some(Identity::new(user))
}

fn scheme(name: &str) -> Value {
    json!({ "$ref": format!("#/components/securitySchemes/{name}") })
}

fn document() -> Value {
    let bearer = || BearerAuth::new(verify);
    let gateway = gateway!(
        channel("/required", http = [bearer().cookie("token")], async || "a"),
        channel(
            "/optional",
            http = [bearer().optional().query_parameter("token")],
            async || "b"
        ),
        channel(
            "/both",
            http = [bearer(), BasicAuth::verify(password)],
            async || "c"
        ),
        channel(
            "/beside",
            http = [bearer().optional(), BasicAuth::verify(password)],
            async || "d"
        ),
    );
    gateway.asyncapi().to_value()
}

#[test]
fn a_login_that_clients_may_omit_is_no_requirement() {
    let document = document();
    let security = |operation: &str| document["operations"][operation]["security"].clone();
    let logins = |channel: &str| document["channels"][channel]["x-wasabi"]["logins"].clone();

    assert_eq!(
        security("required.message"),
        json!([scheme("bearer"), scheme("cookie_token")])
    );
    assert_eq!(logins("required"), Value::Null);

    assert_eq!(security("optional.message"), Value::Null);
    assert_eq!(
        logins("optional"),
        json!([{ "optional": true, "anyOf": ["bearer", "query_token"] }])
    );
    let schemes = document["components"]["securitySchemes"].as_object();
    assert!(schemes.is_some_and(|schemes| schemes.contains_key("query_token")));

    assert_eq!(security("beside.message"), json!([scheme("basic")]));
    assert_eq!(
        logins("beside"),
        json!([
            { "optional": true, "anyOf": ["bearer"] },
            { "optional": false, "anyOf": ["basic"] },
        ])
    );
}

#[test]
fn a_function_that_takes_who_the_client_is_requires_the_login_that_others_may_omit() {
    let gateway = gateway!(channel(
        "/",
        http = [BearerAuth::new(verify).optional()],
        parser = JsonKey::at("/do"),
        match key {
            "name" => async |name: Identity<String>| name.into_inner(),
            "perhaps" => async |name: Option<Identity<String>>| format!("{}", name.is_some()),
            "all" => async || "a",
            _ => NoRoute,
        },
    ));
    let document = gateway.asyncapi().to_value();
    let security = |key: &str| document["operations"][format!("root.{key}")]["security"].clone();
    assert_eq!(security("name"), json!([scheme("bearer")]));
    assert_eq!(
        [security("perhaps"), security("all")],
        [Value::Null, Value::Null]
    );
}

#[test]
fn of_two_logins_the_requirement_is_the_outer_one_and_both_are_named() {
    let document = document();
    let security = &document["operations"]["both.message"]["security"];
    assert_eq!(*security, json!([scheme("bearer")]));
    assert_eq!(
        document["channels"]["both"]["x-wasabi"]["logins"],
        json!([
            { "optional": false, "anyOf": ["bearer"] },
            { "optional": false, "anyOf": ["basic"] },
        ])
    );
}

//! How clients log in.

use serde_json::{Value, json};

use super::Parts;
use crate::schema::{Login, Security};

/// What an operation requires, in one of several ways; and all logins, if that does not say everything. AsyncAPI has no
/// words for a login that may be omitted, nor for two at once: then the requirement is the outer one.
pub(super) fn write(logins: &[Login], parts: &mut Parts) -> (Vec<Value>, Vec<Value>) {
    let (mut required, mut all) = (Vec::new(), Vec::new());
    for login in logins {
        let schemes = login.any_of.iter().map(|way| {
            let (name, scheme) = scheme(way);
            parts.security_schemes.reference(&name, || scheme)
        });
        let schemes: Vec<_> = schemes.collect();
        let names = schemes.iter().filter_map(|scheme| scheme["$ref"].as_str());
        let names: Vec<_> = names.filter_map(|name| name.rsplit('/').next()).collect();
        all.push(json!({ "optional": login.is_optional, "anyOf": names }));
        if required.is_empty() && !login.is_optional {
            required = schemes;
        }
    }
    if let ([_], false) = (logins, required.is_empty()) {
        all.clear();
    }
    (required, all)
}

/// The name of a way to log in, and its scheme.
fn scheme(security: &Security) -> (String, Value) {
    let http = |scheme: &str| {
        (
            scheme.to_owned(),
            json!({ "type": "http", "scheme": scheme }),
        )
    };
    match security {
        Security::Bearer => http("bearer"),
        Security::Basic => http("basic"),
        Security::Query(parameter) => key_in("query", parameter),
        Security::Cookie(cookie) => key_in("cookie", cookie),
        Security::Subprotocol => {
            let (name, mut scheme) = key_in("header", "Sec-WebSocket-Protocol");
            scheme["description"] =
                json!("The subprotocol `bearer.<token>`, beside the one that the client speaks.");
            (name, scheme)
        }
    }
}

fn key_in(place: &str, name: &str) -> (String, Value) {
    (
        format!("{place}_{name}"),
        json!({ "type": "httpApiKey", "in": place, "name": name }),
    )
}

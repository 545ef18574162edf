//! How clients log in.

use serde_json::{Value, json};

use super::Parts;
use crate::schema::{Login, Operation, Security, Source};

/// The logins of a channel.
#[derive(Default)]
pub(super) struct Logins {
    /// What all operations require, in one of several ways.
    required: Vec<Value>,
    /// How clients may log in, if they need not.
    optional: Vec<Value>,
    /// All logins, if that does not say everything.
    pub(super) all: Vec<Value>,
}

impl Logins {
    /// What an operation requires: its function may take who the client is, where others do not.
    pub(super) fn of(&self, operation: &Operation) -> &[Value] {
        let inputs = operation.answers().iter().flat_map(|each| &each.inputs);
        let mut needed =
            inputs.filter(|input| input.source == Source::Identity && !input.is_optional);
        match self.required.is_empty() && needed.next().is_some() {
            true => &self.optional,
            false => &self.required,
        }
    }
}

/// Describes logins. AsyncAPI has no words for one that may be omitted, nor for two at once: then the requirement is the
/// outer one.
pub(super) fn write(logins: &[Login], parts: &mut Parts) -> Logins {
    let mut written = Logins::default();
    let Logins {
        required,
        optional,
        all,
    } = &mut written;
    for login in logins {
        let schemes = login.any_of.iter().map(|way| {
            let (name, scheme) = scheme(way);
            parts.security_schemes.reference(&name, || scheme)
        });
        let schemes: Vec<_> = schemes.collect();
        let names = schemes.iter().filter_map(|scheme| scheme["$ref"].as_str());
        let names: Vec<_> = names.filter_map(|name| name.rsplit('/').next()).collect();
        all.push(json!({ "optional": login.is_optional, "anyOf": names }));
        let known = if login.is_optional {
            &mut *optional
        } else {
            &mut *required
        };
        if known.is_empty() {
            *known = schemes;
        }
    }
    if let ([_], false) = (logins, required.is_empty()) {
        all.clear();
    }
    written
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

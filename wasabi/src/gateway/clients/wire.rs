//! How the messages of a channel are written.

use serde_json::Value;

use super::{kind::Style, parts::ChannelParts, pool::Known};
use crate::{
    ErrorFormat,
    gateway::asyncapi::ChannelFacts,
    schema::{Language, Source},
};

/// What stands in place of a client, if the language of a channel is one that it does not speak.
pub(in crate::gateway) fn unspoken(facts: &ChannelFacts) -> Option<String> {
    let why = match facts.places.language {
        Language::GraphqlWs => {
            "it speaks graphql-transport-ws, for which there are clients that know its schema"
        }
        Language::Decoded => "its messages are decoded by a function of the application",
        Language::Unknown => "its protocol is the application's own",
        Language::Raw | Language::Own | Language::Json | Language::JsonRpc { .. } => return None,
    };
    let path = facts.path.escape_default();
    Some(format!("\n// There is no client for `{path}`: {why}.\n"))
}

/// Where errors have the id, if it is another place.
pub(in crate::gateway) fn error_id(parts: &ChannelParts<'_>, style: &Style) -> Option<Vec<String>> {
    let ErrorFormat::Json(format) = &parts.facts.errors else {
        return None;
    };
    let tokens = wasabi_rules::pointer(format.place_of_id()).ok()?;
    let place: Vec<_> = tokens.into_iter().map(|token| token.name).collect();
    (!style.is_rpc && !style.id.is_empty() && place != style.id).then_some(place)
}

/// Whether a function takes ids that are text.
pub(in crate::gateway) fn has_text_ids(
    parts: &ChannelParts<'_>,
    style: &Style,
    known: &Known,
) -> bool {
    let takes = parts.routes.iter().flat_map(|route| &route.backends);
    let takes = takes.flat_map(|backend| &backend.takes);
    let slots = takes
        .filter(|taking| taking.source == Source::Json)
        .filter_map(|taking| taking.schema);
    let is_text = |schema: &Value| {
        let may_be = |of: &str| may_be(known, schema, of, 8);
        may_be("string") && !may_be("integer") && !may_be("number")
    };
    !style.is_rpc
        && !style.id.is_empty()
        && slots.into_iter().any(|slot| {
            let found = known.member(known.get(slot), &style.id);
            found.schemas.into_iter().any(is_text)
        })
}

/// Whether a value may be of this type, also if it may be `null` or something else.
fn may_be(known: &Known, schema: &Value, of: &str, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let schema = known.resolve(schema);
    let mut types = schema["type"].as_array().into_iter().flatten();
    let mut forms = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|word| schema[word].as_array())
        .flatten();
    schema["type"] == of
        || types.any(|each| each == of)
        || forms.any(|form| may_be(known, form, of, depth))
}

/// The method that ends a subscription.
pub(in crate::gateway) fn unsubscribe<'a>(parts: &'a ChannelParts<'_>) -> Option<&'a str> {
    let mut operations = parts.routes.iter().map(|route| route.operation);
    let ends = operations.find(|operation| {
        let mut answers = operation.answers().iter();
        answers.any(|answers| answers.target.rsplit("::").next() == Some("Unsubscribe"))
    });
    ends?.keys().first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_that_may_be_left_out_is_a_text_as_well() {
        let definitions = json!({ "Id": { "type": "string" } });
        let known = Known::of(definitions.as_object().expect("definitions").clone());
        let id = json!({ "$ref": "#/components/schemas/Id" });
        for schema in [
            json!({ "type": "string" }),
            json!({ "type": ["string", "null"] }),
            json!({ "anyOf": [id, { "type": "null" }] }),
            json!({ "allOf": [id], "description": "It is given back." }),
        ] {
            assert!(may_be(&known, &schema, "string", 8), "{schema}");
            assert!(!may_be(&known, &schema, "integer", 8), "{schema}");
        }
        let number = json!({ "type": ["integer", "null"] });
        assert!(!may_be(&known, &number, "string", 8));
    }
}

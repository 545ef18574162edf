//! Schemas that serde's enums have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schemas::{has_others, is_more, required};
use crate::gateway::clients::pool::Known;

/// What kind of enum a schema is.
pub(super) enum Forms<'a> {
    /// Texts.
    Values(Vec<(&'a str, Variant<'a>)>),
    /// Objects with a tag of this name: `#[serde(tag = "..")]`.
    Tagged(&'a str, Vec<(&'a str, Variant<'a>)>),
    /// Texts, and objects with one member: serde's default.
    Keyed(Vec<(&'a str, Variant<'a>)>),
}

pub(super) enum Variant<'a> {
    /// Nothing more; the schema has its docs.
    Unit(Option<&'a Value>),
    /// A value.
    Of(&'a Value),
    /// The members of an object without the tag.
    With(Value),
}

impl Variant<'_> {
    /// What has its docs.
    pub(super) fn schema(&self) -> Option<&Value> {
        match self {
            Self::Unit(schema) => *schema,
            Self::Of(_) => None,
            Self::With(schema) => Some(schema),
        }
    }
}

impl<'a> Forms<'a> {
    /// `None` if it is no enum of these kinds.
    pub(super) fn of(known: &'a Known, schema: &'a Value) -> Option<Self> {
        // Of two variants with one name serde takes the first.
        Self::read(known, schema).filter(|forms| {
            let mut names = BTreeSet::new();
            forms.variants().iter().all(|(name, _)| names.insert(*name))
        })
    }

    fn read(known: &'a Known, schema: &'a Value) -> Option<Self> {
        if let Some(values) = schema["enum"].as_array() {
            let values = values
                .iter()
                .map(|value| Some((value.as_str()?, Variant::Unit(None))));
            return Some(Self::Values(values.collect::<Option<_>>()?));
        }
        if let Some(value) = schema["const"].as_str() {
            return Some(Self::Values(vec![(value, Variant::Unit(None))]));
        }
        let forms = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
        let has_more = ["properties", "allOf"]
            .iter()
            .any(|word| schema.get(word).is_some());
        if has_more || forms.is_empty() {
            return None;
        }
        let forms: Vec<_> = forms.iter().map(|form| known.resolve(form)).collect();
        if let Some(values) = forms
            .iter()
            .map(|form| values(form))
            .collect::<Option<Vec<_>>>()
        {
            return Some(Self::Values(values.into_iter().flatten().collect()));
        }
        let tagged = || {
            let tags = forms.first()?["properties"].as_object()?.keys();
            // Sorted, whatever map serde_json has.
            let tags: BTreeSet<_> = tags.collect();
            tags.into_iter().find_map(|tag| {
                let all = forms.iter().map(|form| tagged(known, form, tag));
                Some((tag, all.collect::<Option<Vec<_>>>()?))
            })
        };
        if let Some((tag, variants)) = tagged() {
            return Some(Self::Tagged(tag, variants));
        }
        let keyed = forms.iter().map(|form| match values(form) {
            Some(values) => Some(values),
            None => keyed(form).map(|one| vec![one]),
        });
        let keyed = keyed.collect::<Option<Vec<_>>>()?;
        Some(Self::Keyed(keyed.into_iter().flatten().collect()))
    }

    pub(super) fn variants(&self) -> &[(&'a str, Variant<'a>)] {
        match self {
            Self::Values(variants) | Self::Tagged(_, variants) | Self::Keyed(variants) => variants,
        }
    }
}

/// The only values of a schema, if they are texts.
fn values<'a>(form: &'a Value) -> Option<Vec<(&'a str, Variant<'a>)>> {
    if let Some(value) = form["const"].as_str() {
        return Some(vec![(value, Variant::Unit(Some(form)))]);
    }
    let values = form["enum"].as_array()?.iter();
    let values = values.map(|value| Some((value.as_str()?, Variant::Unit(None))));
    values.collect()
}

/// An object with this tag.
fn tagged<'a>(known: &Known, form: &'a Value, tag: &str) -> Option<(&'a str, Variant<'a>)> {
    let members = form["properties"].as_object()?;
    let value = members.get(tag)?;
    let value = value["const"]
        .as_str()
        .or_else(|| match &value["enum"].as_array()?[..] {
            [value] => value.as_str(),
            _ => None,
        })?;
    if !required(form).contains(tag) {
        return None;
    }
    let is_all = members.len() == 1 && !has_others(form);
    if let Some([part]) = form["allOf"].as_array().map(Vec::as_slice) {
        // A variant with a type of its own, which has to be an object to have the tag.
        let of = known.resolve(part);
        let is_object = of["type"] == "object" && !is_more(of);
        let is_part_all = ["anyOf", "oneOf", "$ref"]
            .iter()
            .all(|word| form.get(word).is_none());
        return (is_all && is_object && is_part_all).then_some((value, Variant::Of(part)));
    }
    if is_more(form) {
        return None;
    }
    if is_all {
        return Some((value, Variant::Unit(Some(form))));
    }
    let mut rest = form.clone();
    rest["properties"].as_object_mut()?.remove(tag);
    Some((value, Variant::With(rest)))
}

/// An object with one member.
fn keyed(form: &Value) -> Option<(&str, Variant<'_>)> {
    let members = form["properties"].as_object()?;
    let (name, value) = members.iter().next()?;
    let is_one = members.len() == 1 && required(form).contains(name.as_str());
    let is_all = is_one && !is_more(form) && !has_others(form);
    is_all.then_some((name, Variant::Of(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Known {
        let definitions = json!({
            "Buy": { "type": "object", "properties": { "count": { "type": "integer" } } },
            "Side": { "oneOf": [{ "type": "string", "const": "buy" }] },
        });
        Known::of(definitions.as_object().expect("definitions").clone())
    }

    fn tagged(kind: &str, of: &str) -> Value {
        json!({
            "type": "object",
            "properties": { "kind": { "type": "string", "const": kind } },
            "required": ["kind"],
            "allOf": [{ "$ref": format!("#/components/schemas/{of}") }],
        })
    }

    #[test]
    fn a_tagged_variant_may_have_a_type_of_its_own() {
        let known = known();
        let schema = json!({ "oneOf": [tagged("buy", "Buy"), tagged("sell", "Buy")] });
        let Some(Forms::Tagged("kind", variants)) = Forms::of(&known, &schema) else {
            panic!("no tagged enum");
        };
        let names: Vec<_> = variants.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["buy", "sell"]);
        assert!(matches!(variants[0].1, Variant::Of(part) if part["$ref"].is_string()));
        // A text has no tag.
        let schema = json!({ "oneOf": [tagged("buy", "Buy"), tagged("side", "Side")] });
        assert!(Forms::of(&known, &schema).is_none());
    }

    #[test]
    fn forms_that_an_enum_cannot_tell_apart_are_none() {
        let known = known();
        let value = |of: &str| {
            json!({
                "type": "object",
                "properties": { "value": { "type": of } },
                "required": ["value"],
            })
        };
        let schema = json!({ "anyOf": [value("integer"), value("string")] });
        assert!(Forms::of(&known, &schema).is_none());
        let schema = json!({ "anyOf": [value("integer")] });
        assert!(matches!(Forms::of(&known, &schema), Some(Forms::Keyed(_))));
        let mut open = value("integer");
        open["additionalProperties"] = json!(true);
        assert!(Forms::of(&known, &json!({ "anyOf": [open] })).is_none());
    }
}

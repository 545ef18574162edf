//! Schemas that serde's enums have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schemas::required;
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
        let is_more = ["properties", "allOf"]
            .iter()
            .any(|word| schema.get(word).is_some());
        if is_more || forms.is_empty() {
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
                let all = forms.iter().map(|form| tagged(form, tag));
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
fn tagged<'a>(form: &'a Value, tag: &str) -> Option<(&'a str, Variant<'a>)> {
    let is_more = ["anyOf", "oneOf", "allOf", "$ref"]
        .iter()
        .any(|word| form.get(word).is_some());
    let members = form["properties"].as_object()?;
    let value = members.get(tag)?;
    let value = value["const"]
        .as_str()
        .or_else(|| match &value["enum"].as_array()?[..] {
            [value] => value.as_str(),
            _ => None,
        })?;
    if is_more || !required(form).contains(tag) {
        return None;
    }
    if members.len() == 1 {
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
    is_one.then_some((name, Variant::Of(value)))
}

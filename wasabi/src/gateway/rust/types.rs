//! JSON Schemas as types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    forms::{Forms, Variant},
    schemas::{
        contains, definition, docs, has_others, integer, members, nullable, required, without,
    },
    text::{comment, identifier, literal, snake},
};
use crate::gateway::clients::{
    names::{camel, unused},
    pool::Known,
};

/// The types of a file. Only what is used is declared.
pub(super) struct Types<'a> {
    pub(super) known: &'a Known,
    taken: BTreeSet<String>,
    /// The names of definitions, of which some are not declared yet.
    names: BTreeMap<String, String>,
    waiting: Vec<String>,
    declared: BTreeMap<String, String>,
    /// The names of messages without what the client adds.
    bodies: Vec<(Value, String)>,
    /// The definition that is being declared, and whether its size depends on what is asked for.
    within: Option<String>,
    is_inline: bool,
}

/// Any value.
pub(super) const ANY: &str = "Value";

impl<'a> Types<'a> {
    pub(super) fn new(known: &'a Known, mut taken: BTreeSet<String>) -> Self {
        let names = known.definitions.keys().map(|definition| {
            let name = unused(&camel(definition, true), &mut taken);
            (definition.clone(), name)
        });
        Self {
            names: names.collect(),
            known,
            taken,
            waiting: Vec::new(),
            declared: BTreeMap::new(),
            bodies: Vec::new(),
            within: None,
            is_inline: true,
        }
    }

    /// A name that nothing has.
    pub(super) fn unused(&mut self, name: &str) -> String {
        unused(name, &mut self.taken)
    }

    pub(super) fn declare(&mut self, name: String, text: String) {
        self.declared.insert(name, text);
    }

    /// What was declared, by name.
    pub(super) fn declarations(mut self) -> String {
        while let Some(definition) = self.waiting.pop() {
            let Some(name) = self.names.get(&definition).cloned() else {
                continue;
            };
            if self.declared.contains_key(&name) {
                continue;
            }
            let Some(schema) = self.known.definitions.get(&definition) else {
                continue;
            };
            self.within = Some(definition);
            self.is_inline = true;
            self.named(name, schema);
        }
        self.declared.into_values().collect()
    }

    /// Declares a type of this name.
    fn named(&mut self, name: String, schema: &Value) {
        // Found by those that it contains.
        self.declared.insert(name.clone(), String::new());
        let docs = comment(&docs(schema), "");
        let text = if let Some(members) = members(schema) {
            let fields = self.fields(&name, schema, members, "    ", "pub ");
            format!("{}pub struct {name} {{\n{fields}}}\n", derive(&docs))
        } else if let Some(forms) = Forms::of(self.known, schema) {
            self.enumeration(&name, &forms, &docs)
        } else {
            let of = match &self.within {
                // An alias cannot contain itself.
                Some(within) if contains(self.known, schema, within) => ANY.to_owned(),
                _ => self.of(schema, &format!("{name}Value")),
            };
            format!("\n{docs}pub type {name} = {of};\n")
        };
        self.declared.insert(name, text);
    }

    /// The type of a schema. `hint` names it if it needs a name and has none.
    pub(super) fn of(&mut self, schema: &Value, hint: &str) -> String {
        if let Some(definition) = definition(schema) {
            return self.defined(definition);
        }
        if let Some(rest) = nullable(schema) {
            return match self.of(&rest, hint) {
                of if of == ANY || of.starts_with("Option<") => of,
                of => format!("Option<{of}>"),
            };
        }
        if members(schema).is_some() || Forms::of(self.known, schema).is_some() {
            let name = self.unused(hint);
            self.named(name.clone(), schema);
            return name;
        }
        if let Some([part]) = schema["allOf"].as_array().map(Vec::as_slice) {
            return self.of(part, hint);
        }
        let is_plain = ["anyOf", "oneOf", "allOf"]
            .iter()
            .all(|word| schema.get(word).is_none());
        match schema["type"].as_str().filter(|_| is_plain) {
            Some("string") => "String".to_owned(),
            Some("boolean") => "bool".to_owned(),
            Some("null") => "()".to_owned(),
            Some("number") if schema["format"] == "float" => "f32".to_owned(),
            Some("number") => "f64".to_owned(),
            Some("integer") => integer(schema).to_owned(),
            Some("array") => self.array(schema, hint),
            Some("object") => self.map(schema, hint),
            _ => ANY.to_owned(),
        }
    }

    fn defined(&mut self, definition: &str) -> String {
        let Some(name) = self.names.get(definition).cloned() else {
            return ANY.to_owned();
        };
        self.waiting.push(definition.to_owned());
        let is_circle = |within: &String| {
            let schema = self.known.definitions.get(definition);
            definition == within || schema.is_some_and(|it| contains(self.known, it, within))
        };
        match self.is_inline && self.within.as_ref().is_some_and(is_circle) {
            true => format!("Box<{name}>"),
            false => name,
        }
    }

    /// A type behind a pointer: its size does not depend on it.
    fn element(&mut self, schema: &Value, hint: &str) -> String {
        let was_inline = std::mem::replace(&mut self.is_inline, false);
        let of = self.of(schema, hint);
        self.is_inline = was_inline;
        of
    }

    fn array(&mut self, schema: &Value, hint: &str) -> String {
        /// The most that the standard library and serde have traits for.
        const LONGEST_TUPLE: usize = 12;
        const LONGEST_ARRAY: u64 = 32;
        let tuple = schema["items"].as_array();
        if let Some(items) = tuple {
            if items.is_empty() || items.len() > LONGEST_TUPLE {
                return format!("Vec<{ANY}>");
            }
            let items: Vec<_> = items.iter().map(|item| self.of(item, hint)).collect();
            return match &items[..] {
                [item] => format!("({item},)"),
                items => format!("({})", items.join(", ")),
            };
        }
        let any = Value::Bool(true);
        let item = schema.get("items").unwrap_or(&any);
        match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
            (Some(least), Some(most)) if least == most && (1..=LONGEST_ARRAY).contains(&most) => {
                format!("[{}; {most}]", self.of(item, hint))
            }
            _ => format!("Vec<{}>", self.element(item, hint)),
        }
    }

    fn map(&mut self, schema: &Value, hint: &str) -> String {
        let others = &schema["additionalProperties"];
        let is_one = others.is_object() && schema.get("patternProperties").is_none();
        let value = match is_one {
            true => self.element(others, hint),
            false => ANY.to_owned(),
        };
        format!("BTreeMap<String, {value}>")
    }

    /// The members of an object, as fields.
    fn fields(
        &mut self,
        name: &str,
        schema: &Value,
        members: &Map<String, Value>,
        indent: &str,
        visibility: &str,
    ) -> String {
        let required = required(schema);
        let mut taken = BTreeSet::new();
        let mut text = String::new();
        // Sorted, whatever map serde_json has.
        let members: BTreeMap<_, _> = members.iter().collect();
        for (member, schema) in members {
            let own = unused(&snake(member), &mut taken);
            let field = identifier(&own);
            let mut of = self.of(schema, &format!("{name}{}", camel(member, true)));
            text += &comment(&docs(schema), indent);
            if field.trim_start_matches("r#") != member {
                text += &format!("{indent}#[serde(rename = {})]\n", literal(member));
            }
            if !required.contains(member.as_str()) {
                if !of.starts_with("Option<") {
                    of = format!("Option<{of}>");
                }
                text += indent;
                text += "#[serde(default, skip_serializing_if = \"Option::is_none\")]\n";
            }
            text += &format!("{indent}{visibility}{field}: {of},\n");
        }
        if has_others(schema) {
            let field = unused("others", &mut taken);
            text += &format!("{indent}/// Members that are not named here.\n");
            text += &format!("{indent}#[serde(flatten)]\n");
            text += &format!("{indent}{visibility}{field}: BTreeMap<String, {ANY}>,\n");
        }
        text
    }

    fn enumeration(&mut self, name: &str, forms: &Forms<'_>, docs: &str) -> String {
        let mut taken = BTreeSet::from(["Other".to_owned(), "Self".to_owned()]);
        let mut text = derive(docs);
        if let Forms::Tagged(tag, _) = forms {
            text += &format!("#[serde(tag = {})]\n", literal(tag));
        }
        text += &format!("pub enum {name} {{\n");
        for (value, form) in forms.variants() {
            let variant = unused(&camel(value, true), &mut taken);
            if let Some(schema) = form.schema() {
                text += &comment(&super::schemas::docs(schema), "    ");
            }
            if variant != *value {
                text += &format!("    #[serde(rename = {})]\n", literal(value));
            }
            let hint = format!("{name}{variant}");
            text += &match form {
                Variant::Unit(_) => format!("    {variant},\n"),
                Variant::Of(schema) => format!("    {variant}({}),\n", self.of(schema, &hint)),
                Variant::With(schema) => {
                    let members = schema["properties"].as_object();
                    let fields = members.map(|all| self.fields(&hint, schema, all, "        ", ""));
                    format!("    {variant} {{\n{}    }},\n", fields.unwrap_or_default())
                }
            };
        }
        if matches!(forms, Forms::Values(_)) {
            text += "    /// One that this file does not know.\n    #[serde(untagged)]\n    Other(String),\n";
        }
        text + "}\n"
    }

    /// The type of a message without these members, which the client adds; `None` if it has no others.
    pub(super) fn body(&mut self, schema: &Value, added: &[&[String]]) -> Option<String> {
        let resolved = self.known.resolve(schema).clone();
        let of = definition(schema).and_then(|definition| self.names.get(definition));
        let name = of.map_or_else(|| "Body".to_owned(), |name| format!("{name}Body"));
        let added: Vec<_> = added
            .iter()
            .filter(|path| !self.known.member(&resolved, path).schemas.is_empty())
            .collect();
        if added.is_empty() {
            return Some(self.of(schema, &name));
        }
        let mut body = resolved;
        for path in added {
            without(self.known, &mut body, path);
        }
        match body["properties"].as_object() {
            Some(members) if members.is_empty() && !has_others(&body) => return None,
            // The members of each form are not known to be those of the whole.
            _ if members(&body).is_none() => return Some(ANY.to_owned()),
            _ => {}
        }
        // Routes that take the same share it.
        if let Some((_, name)) = self.bodies.iter().find(|(other, _)| *other == body) {
            return Some(name.clone());
        }
        let name = self.unused(&name);
        self.named(name.clone(), &body);
        self.bodies.push((body, name.clone()));
        Some(name)
    }
}

/// A derive for everything that is declared.
fn derive(docs: &str) -> String {
    format!("\n{docs}#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]\n")
}

//! The schemas of types, for both directions.

use std::collections::BTreeSet;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::schema::{SchemaFn, made};

/// Where references lead in the end.
pub(in crate::gateway) const READ: &str = "#/components/schemas/";
/// Where references of what is written lead, until it is known which types are read as they are written.
const WRITTEN: &str = "#/components/x-written/";
/// After the name of a type that is written differently.
const SUFFIX: &str = ".reply";

/// Makes the schemas of a document.
pub(in crate::gateway) struct Schemas {
    /// As clients write.
    inputs: SchemaGenerator,
    /// As the gateway writes.
    outputs: SchemaGenerator,
}

impl Schemas {
    pub(in crate::gateway) fn new() -> Self {
        let generator = |settings: SchemaSettings, path: &str| {
            let path = path
                .trim_start_matches('#')
                .trim_end_matches('/')
                .to_owned();
            let settings = settings.with(|settings| settings.definitions_path = path.into());
            settings.into_generator()
        };
        Self {
            inputs: generator(SchemaSettings::draft07(), READ),
            outputs: generator(SchemaSettings::draft07().for_serialize(), WRITTEN),
        }
    }

    pub(in crate::gateway) fn input(&mut self, schema: SchemaFn) -> Value {
        object(made(&mut self.inputs, schema))
    }

    pub(in crate::gateway) fn output(&mut self, schema: SchemaFn) -> Value {
        object(made(&mut self.outputs, schema))
    }

    /// The schema of what clients write, and no reference to it.
    pub(super) fn resolved(&mut self, schema: SchemaFn) -> Value {
        let make = |generator: &mut SchemaGenerator| {
            let schema = schema(generator);
            let reference = schema.get("$ref").and_then(Value::as_str);
            let name = reference.and_then(|reference| reference.strip_prefix(READ));
            let own = name.and_then(|name| generator.definitions().get(name));
            own.and_then(|own| own.clone().try_into().ok())
                .unwrap_or(schema)
        };
        made(&mut self.inputs, make)
    }

    /// The definitions. A type that is written differently from how it is read has two; the references in the document
    /// then lead to the one or the other.
    pub(in crate::gateway) fn finish(mut self, document: &mut Value) -> Map<String, Value> {
        let mut schemas = self.inputs.take_definitions(true);
        let written = self.outputs.take_definitions(true);
        let other = different(&schemas, &written);
        let lead = |reference: &str| {
            let name = reference.strip_prefix(WRITTEN)?;
            let suffix = if other.contains(name) { SUFFIX } else { "" };
            Some(format!("{READ}{name}{suffix}"))
        };
        references(document, &lead);
        for (mut name, mut schema) in written {
            references(&mut schema, &lead);
            if other.contains(&name) {
                name += SUFFIX;
            }
            schemas.entry(name).or_insert(schema);
        }
        // Sorted, whatever map serde_json has.
        let sorted: std::collections::BTreeMap<_, _> = schemas.into_iter().collect();
        sorted.into_iter().collect()
    }
}

/// The definitions that the document refers to. Others are of types that it has only the members of, such as parameters of
/// the query.
pub(super) fn used(definitions: Map<String, Value>, document: &Value) -> Map<String, Value> {
    let mut used = BTreeSet::new();
    let mut rest = vec![document];
    while let Some(value) = rest.pop() {
        match value {
            Value::Object(map) => rest.extend(map.values()),
            Value::Array(values) => rest.extend(values),
            _ => {}
        }
        let name = value["$ref"]
            .as_str()
            .and_then(|reference| reference.strip_prefix(READ));
        if let Some(name) = name.filter(|name| used.insert((*name).to_owned())) {
            rest.extend(definitions.get(name));
        }
    }
    definitions
        .into_iter()
        .filter(|(name, _)| used.contains(name))
        .collect()
}

/// The members of objects with this schema.
pub(super) fn members_of(mut schema: Value) -> Map<String, Value> {
    match schema.get_mut("properties").map(Value::take) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// A schema as an object. The one of anything is `true`.
fn object(schema: Value) -> Value {
    match schema {
        Value::Bool(true) => Value::Object(Map::new()),
        schema => schema,
    }
}

/// The names of types that are written differently, or refer to such a type.
fn different(read: &Map<String, Value>, written: &Map<String, Value>) -> BTreeSet<String> {
    let as_read = |schema: &Value| {
        let mut schema = schema.clone();
        references(&mut schema, &|reference| {
            let name = reference.strip_prefix(WRITTEN)?;
            Some(format!("{READ}{name}"))
        });
        schema
    };
    let both = written.iter().filter(|(name, _)| read.contains_key(*name));
    let mut other: BTreeSet<String> = both
        .clone()
        .filter(|(name, schema)| read.get(*name) != Some(&as_read(schema)))
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let refers = |schema: &Value| {
            let mut schema = schema.clone();
            let found = std::cell::Cell::new(false);
            references(&mut schema, &|reference| {
                let name = reference.strip_prefix(WRITTEN)?;
                found.set(found.get() || other.contains(name));
                None
            });
            found.get()
        };
        let more: Vec<_> = both
            .clone()
            .filter(|(name, schema)| !other.contains(*name) && refers(schema))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return other;
        }
        other.extend(more);
    }
}

/// Changes the references in a value.
fn references(value: &mut Value, lead: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        if let Some(changed) = lead(reference) {
                            *reference = changed;
                        }
                    }
                    value => references(value, lead),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| references(value, lead)),
        _ => {}
    }
}

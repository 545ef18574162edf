//! The schemas of a file and the definitions that they refer to.

use serde_json::{Map, Value};

use crate::{
    gateway::asyncapi::{
        facts::ChannelFacts,
        handshake,
        schemas::{READ, Schemas},
    },
    schema::{Input, Output},
};

/// Collects schemas. References in them are right once all are known.
pub(in crate::gateway) struct Pool {
    schemas: Schemas,
    collected: Vec<Value>,
}

/// The place of a schema.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Slot(usize);

/// The collected schemas, and the definitions by name.
pub(in crate::gateway) struct Known {
    collected: Vec<Value>,
    pub(in crate::gateway) definitions: Map<String, Value>,
}

/// How many references or parts one may go down: types may contain themselves.
const DEPTH: usize = 16;

impl Pool {
    pub(in crate::gateway) fn new() -> Self {
        Self {
            schemas: Schemas::new(),
            collected: Vec::new(),
        }
    }

    fn add(&mut self, schema: Value) -> Slot {
        self.collected.push(schema);
        Slot(self.collected.len() - 1)
    }

    /// What clients write, as far as it is known.
    pub(in crate::gateway) fn input(&mut self, input: &Input) -> Option<Slot> {
        let schema = match input.schema_fn() {
            Some(schema) => self.schemas.input(schema),
            None => input.traced()?,
        };
        Some(self.add(schema))
    }

    pub(in crate::gateway) fn output(&mut self, output: &Output) -> Option<Slot> {
        let schema = self.schemas.output(output.schema_fn()?);
        Some(self.add(schema))
    }

    /// The parameters of the query, if some are known.
    pub(in crate::gateway) fn query(&mut self, facts: &ChannelFacts) -> Option<Slot> {
        let mut binding = handshake::binding(facts, &mut self.schemas);
        let query = binding.get_mut("query")?.take();
        Some(self.add(query))
    }

    pub(in crate::gateway) fn finish(self) -> Known {
        let mut collected = Value::Array(self.collected);
        let definitions = self.schemas.finish(&mut collected);
        let collected = match collected {
            Value::Array(collected) => collected,
            _ => Vec::new(),
        };
        Known {
            collected,
            definitions,
        }
    }
}

impl Known {
    /// With nothing but definitions.
    #[cfg(test)]
    pub(in crate::gateway) fn of(definitions: Map<String, Value>) -> Self {
        Self {
            collected: Vec::new(),
            definitions,
        }
    }

    pub(in crate::gateway) fn get(&self, slot: Slot) -> &Value {
        &self.collected[slot.0]
    }

    /// What a schema is that may be a reference.
    pub(in crate::gateway) fn resolve<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..DEPTH {
            let name = schema["$ref"].as_str().and_then(|at| at.strip_prefix(READ));
            match name.and_then(|name| self.definitions.get(name)) {
                Some(definition) => schema = definition,
                None => break,
            }
        }
        schema
    }

    /// The schemas of a member by its path: one for each form of the value that has it. `None` if a form does not.
    pub(in crate::gateway) fn member<'a>(
        &'a self,
        schema: &'a Value,
        path: &[String],
    ) -> Found<'a> {
        self.member_within(schema, path, DEPTH)
    }

    fn member_within<'a>(&'a self, schema: &'a Value, path: &[String], depth: usize) -> Found<'a> {
        let schema = self.resolve(schema);
        let Some((name, rest)) = path.split_first() else {
            return Found {
                schemas: vec![schema],
                is_everywhere: true,
            };
        };
        let mut found = Found::default();
        let Some(depth) = depth.checked_sub(1) else {
            return found;
        };
        if let Some(member) = schema["properties"].get(name) {
            found = self.member_within(member, rest, depth);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let part = self.member_within(part, path, depth);
            found.is_everywhere |= part.is_everywhere;
            found.schemas.extend(part.schemas);
        }
        for forms in ["anyOf", "oneOf"].map(|word| schema[word].as_array()) {
            let forms = forms.into_iter().flatten();
            let forms: Vec<_> = forms
                .map(|form| self.member_within(form, path, depth))
                .collect();
            found.is_everywhere |= !forms.is_empty() && forms.iter().all(|form| form.is_everywhere);
            found
                .schemas
                .extend(forms.into_iter().flat_map(|form| form.schemas));
        }
        found
    }
}

/// A member of a value.
#[derive(Default)]
pub(in crate::gateway) struct Found<'a> {
    pub(in crate::gateway) schemas: Vec<&'a Value>,
    /// Whether all forms of the value have it.
    pub(in crate::gateway) is_everywhere: bool,
}

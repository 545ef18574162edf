//! The messages of a channel.

use serde_json::{Map, Value, json};

use super::{
    Parts,
    facts::{ChannelFacts, codes, name, target},
    names::{Names, of_type},
    schemas::Schemas,
    shapes::{all_of, any_of, escaped, merged, nested, request_id},
};
use crate::{
    ErrorFormat,
    schema::{Answers, Codes, Count, Form, Input, Language, Operation, Output, Source},
};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const BINARY: &str = "application/octet-stream";

/// The messages that are written so far.
pub(super) struct Messages {
    names: Names,
    written: Map<String, Value>,
    /// The payloads, types and names of messages that several operations share.
    replies: Vec<(Value, &'static str, String)>,
    /// A reference to the place of the id.
    correlation: Option<Value>,
    codes: Codes,
    /// Whether some reply is not described.
    is_open: bool,
}

/// The names of the messages of an operation.
#[derive(Default)]
pub(super) struct Written {
    pub(super) requests: Vec<String>,
    pub(super) replies: Vec<String>,
    /// What is not known, and what makes it known.
    pub(super) notes: Vec<String>,
}

const ERROR: &str = "error";
const UNDESCRIBED: &str = "undescribed";

impl Messages {
    pub(super) fn new(facts: &ChannelFacts, parts: &mut Parts) -> Self {
        let correlation = facts.places.id.as_ref().map(|id| {
            parts.correlation_ids.reference(id, || {
                json!({
                    "location": format!("$message.payload#{id}"),
                    "description": "The client's id of the request, as it was written.",
                })
            })
        });
        let mut names = Names::default();
        names.unused(ERROR);
        names.unused(UNDESCRIBED);
        Self {
            names,
            written: Map::new(),
            replies: Vec::new(),
            correlation,
            codes: facts.places.codes.clone().and(&Codes::of(&["no_route"])),
            is_open: false,
        }
    }

    pub(super) fn write(
        &mut self,
        operation: &Operation,
        facts: &ChannelFacts,
        schemas: &mut Schemas,
    ) -> Written {
        let mut written = Written::default();
        self.codes = std::mem::take(&mut self.codes).and(&operation.codes());
        let keys: Vec<_> = match operation.keys() {
            // There are more than those that are named.
            _ if operation.prefix().is_some() || operation.is_open() => vec![None],
            [] => vec![None],
            keys => keys.iter().map(|key| Some(key.as_str())).collect(),
        };
        for key in keys {
            let message = self.request(operation, key, facts, schemas, &mut written.notes);
            let name = self.names.unused(key.unwrap_or(&name(operation)));
            self.written.insert(name.clone(), message);
            written.requests.push(name);
        }
        for answers in operation.answers() {
            if let Some(name) = self.reply(answers, facts, schemas, &mut written.notes)
                && !written.replies.contains(&name)
            {
                written.replies.push(name);
            }
        }
        let has_errors = !matches!(facts.errors, ErrorFormat::Silent);
        let mut counts = operation.answers().iter().map(|each| each.output.count);
        // A client that waits for nothing does not wait for an error either.
        if has_errors && counts.any(|count| count != Count::None) {
            written.replies.push(ERROR.to_owned());
        }
        written.notes.dedup();
        written
    }

    fn request(
        &mut self,
        operation: &Operation,
        key: Option<&str>,
        facts: &ChannelFacts,
        schemas: &mut Schemas,
        notes: &mut Vec<String>,
    ) -> Value {
        let language = facts.places.language;
        let mut alternatives = Vec::new();
        for answers in operation.answers() {
            let mut payloads = Vec::new();
            for input in &answers.inputs {
                payloads.extend(payload(input, schemas, notes));
            }
            if !answers.is_typed {
                notes.push(format!(
                    "what `{}` takes and answers is not known here",
                    target(answers)
                ));
            }
            alternatives.push(all_of(payloads));
        }
        let payload = any_of(alternatives);
        let needs_id = operation
            .answers()
            .iter()
            .flat_map(|answers| &answers.inputs);
        let needs_id = needs_id
            .into_iter()
            .any(|input| input.source == Source::Id && !input.is_optional);
        let content_type = content_type(language, key, operation);
        let payload = match language {
            Language::Json => {
                let envelope = envelope(operation, key, needs_id, facts);
                all_of(
                    [payload, envelope]
                        .into_iter()
                        .filter(|each| *each != json!({}))
                        .collect(),
                )
            }
            _ if content_type == TEXT => json!({ "type": "string" }),
            _ => payload,
        };
        let mut message = json!({ "contentType": content_type, "payload": payload });
        if let Some(key) = key {
            message["name"] = json!(key);
        }
        if let (Some(correlation), Language::Json) = (&self.correlation, language) {
            message["correlationId"] = correlation.clone();
        }
        message
    }

    /// The name of the reply; `None` if there is none.
    fn reply(
        &mut self,
        answers: &Answers,
        facts: &ChannelFacts,
        schemas: &mut Schemas,
        notes: &mut Vec<String>,
    ) -> Option<String> {
        let output = &answers.output;
        if let Count::None | Count::OnlyErrors = output.count {
            return None;
        }
        let (name, payload, content_type) = match (output.form, output.schema_fn()) {
            (Form::Json, Some(schema)) => (of_type(output.type_name), schemas.output(schema), JSON),
            (Form::Json, None) => {
                notes.push(format!(
                    "derive `JsonSchema` for `{}`",
                    of_type(output.type_name)
                ));
                self.is_open = true;
                return Some(UNDESCRIBED.to_owned());
            }
            (Form::Text, _) => ("text".to_owned(), json!({ "type": "string" }), TEXT),
            (Form::Binary, _) => ("binary".to_owned(), json!({}), BINARY),
            (Form::Unknown, _) => {
                self.is_open = true;
                return Some(UNDESCRIBED.to_owned());
            }
        };
        let mut known = self.replies.iter();
        let same = known.find(|(other, of_type, _)| *other == payload && *of_type == content_type);
        if let Some((_, _, name)) = same {
            return Some(name.clone());
        }
        let name = self.names.unused(&name);
        let mut message = json!({ "name": name, "contentType": content_type, "payload": payload });
        if let (Some(correlation), Some(id)) = (&self.correlation, &facts.places.id)
            && has(output, id)
        {
            message["correlationId"] = correlation.clone();
        }
        self.replies.push((payload, content_type, name.clone()));
        self.written.insert(name.clone(), message);
        Some(name)
    }

    /// All messages, those included that belong to no operation alone.
    pub(super) fn finish(mut self, facts: &ChannelFacts) -> Map<String, Value> {
        if let Some(error) = self.error(facts) {
            self.written.insert(ERROR.to_owned(), error);
        }
        if self.is_open {
            let message = json!({
                "name": UNDESCRIBED,
                "summary": "A message that no type describes.",
                "payload": {},
            });
            self.written.insert(UNDESCRIBED.to_owned(), message);
        }
        self.written
    }

    fn error(&self, facts: &ChannelFacts) -> Option<Value> {
        let known: Vec<_> = self.codes.known().collect();
        let code = match self.codes.is_open() {
            false => json!({ "enum": known }),
            true => json!({ "type": "string", "examples": known }),
        };
        let own_id = facts.places.id.as_deref();
        let (payload, content_type, id) = match &facts.errors {
            ErrorFormat::Silent => return None,
            ErrorFormat::Json(format) => {
                let error = json!({
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                        "code": code,
                        "message": { "type": "string" },
                        "retry_after_ms": { "type": "integer", "minimum": 0 },
                    },
                });
                let error = json!({ "type": "object", "required": ["error"], "properties": { "error": error } });
                let id = format.place_of_id();
                // A parser of the application may take any text for an id.
                let value = match facts.places.language {
                    Language::Json => request_id(),
                    Language::Raw | Language::Own => json!({}),
                };
                let payload = merged(error, nested(id, &value, false));
                (payload, Some(JSON), Some(id))
            }
            ErrorFormat::Text => {
                let payload = json!({ "type": "string", "pattern": ": " });
                (payload, Some(TEXT), None)
            }
            ErrorFormat::With(_) => (json!({}), None, None),
        };
        let mut message = json!({
            "name": ERROR,
            "summary": "Why a request got no reply.",
            "payload": payload,
            "x-wasabi": { "codes": codes(&self.codes) },
        });
        if let Some(content_type) = content_type {
            message["contentType"] = json!(content_type);
        }
        if let Some(correlation) = &self.correlation
            && id == own_id
        {
            message["correlationId"] = correlation.clone();
        }
        Some(message)
    }
}

/// The key and the id in a request.
fn envelope(
    operation: &Operation,
    key: Option<&str>,
    needs_id: bool,
    facts: &ChannelFacts,
) -> Value {
    let places = &facts.places;
    let mut parts = Vec::new();
    if let Some(at) = &places.key {
        let key = match (key, operation.prefix()) {
            (Some(key), _) => json!({ "const": key }),
            (None, Some(prefix)) => {
                json!({ "type": "string", "pattern": format!("^{}", escaped(prefix)) })
            }
            (None, None) => other_keys(facts),
        };
        parts.push(nested(at, &key, true));
    }
    if let Some(at) = &places.id {
        parts.push(nested(at, &request_id(), needs_id));
    }
    parts
        .into_iter()
        .reduce(merged)
        .unwrap_or_else(|| json!({}))
}

/// The keys that no route names. A guard may take any of them.
fn other_keys(facts: &ChannelFacts) -> Value {
    if facts.operations.iter().any(Operation::is_open) {
        return json!({ "type": "string" });
    }
    let named: Vec<_> = facts.operations.iter().flat_map(Operation::keys).collect();
    let prefixes = facts.operations.iter().filter_map(Operation::prefix);
    let patterns = prefixes.map(|prefix| json!({ "pattern": format!("^{}", escaped(prefix)) }));
    let named = (!named.is_empty()).then(|| json!({ "enum": named }));
    let taken: Vec<_> = named.into_iter().chain(patterns).collect();
    match taken.is_empty() {
        true => json!({ "type": "string" }),
        false => json!({ "type": "string", "not": { "anyOf": taken } }),
    }
}

/// What an argument says of the message.
fn payload(input: &Input, schemas: &mut Schemas, notes: &mut Vec<String>) -> Option<Value> {
    if input.source == Source::Unknown {
        notes.push(format!(
            "`{}` does not say what it takes",
            of_type(input.type_name)
        ));
    }
    if input.source != Source::Json || input.is_optional {
        return None;
    }
    match input.schema_fn() {
        Some(schema) => Some(schemas.input(schema)),
        None => {
            notes.push(format!(
                "derive `JsonSchema` for `{}`",
                of_type(input.type_name)
            ));
            input.traced()
        }
    }
}

fn content_type(language: Language, key: Option<&str>, operation: &Operation) -> &'static str {
    let inputs = operation
        .answers()
        .iter()
        .flat_map(|answers| &answers.inputs);
    let sources: Vec<_> = inputs.map(|input| input.source).collect();
    let takes = |source| sources.contains(&source);
    match (language, key) {
        (Language::Json, _) => JSON,
        _ if takes(Source::Json) => JSON,
        _ if takes(Source::Text) => TEXT,
        _ if takes(Source::Binary) => BINARY,
        (Language::Raw, Some("text")) => TEXT,
        _ => BINARY,
    }
}

/// Whether a reply has the id of its request.
fn has(output: &Output, pointer: &str) -> bool {
    let Some(schema) = output.schema() else {
        return false;
    };
    let tokens = wasabi_rules::pointer(pointer).unwrap_or_default();
    let found = tokens.iter().try_fold(&schema, |schema, token| {
        schema["properties"].get(&*token.name)
    });
    found.is_some()
}

//! The messages of a channel.

use serde_json::{Map, Value, json};

use super::{
    Parts, envelope, examples,
    facts::{ChannelFacts, codes, name, target, unknown},
    json_rpc,
    names::{Names, of_type},
    schemas::Schemas,
    shapes::{all_of, any_of},
    wire::{Given, Shape, Taken, UNDESCRIBED},
};
use crate::{
    ErrorFormat,
    channel::Sent,
    schema::{Answers, Codes, Count, Form, Input, Language, Operation, Output, Source},
};

/// The messages that are written so far.
pub(super) struct Messages {
    names: Names,
    written: Map<String, Value>,
    /// The payloads, types and names of messages that several operations share.
    replies: Vec<(Value, Option<&'static str>, String)>,
    /// A reference to the place of the id.
    correlation: Option<Value>,
    codes: Codes,
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

const DECODED: &str = "messages are decoded by a function of the application (`Decoded`): their form on the wire is not known here";
const UNSAID: &str = "the protocol does not say what its messages are";

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
            let taken = taken(operation, schemas, &mut written.notes);
            let shape = envelope::request(operation, key, taken, facts);
            let name = self.names.unused(key.unwrap_or(&name(operation)));
            let mut message = self.message(shape);
            if let Some(key) = key {
                message["name"] = json!(key);
            }
            self.written.insert(name.clone(), message);
            written.requests.push(name);
        }
        for answers in operation.answers() {
            let given = given(&answers.output, facts, schemas, &mut written.notes);
            for shape in envelope::replies(&given, facts) {
                let name = self.reply(shape);
                if !written.replies.contains(&name) {
                    written.replies.push(name);
                }
            }
        }
        let has_errors = !matches!(facts.errors, ErrorFormat::Silent);
        // A client that waits for nothing does not wait for an error either.
        let mut counts = operation.answers().iter().map(|each| each.output.count);
        let waits = !written.replies.is_empty() || counts.any(|count| count == Count::OnlyErrors);
        if has_errors && waits {
            written.replies.push(ERROR.to_owned());
        }
        // What the functions take and answer is a part of such messages at most.
        match facts.places.language {
            Language::Decoded => written.notes = vec![DECODED.to_owned()],
            Language::Unknown => written.notes = vec![UNSAID.to_owned()],
            _ => {}
        }
        written.notes.dedup();
        written
    }

    /// The name of a message that is sent unasked: its own, or that of a reply with the same payload.
    pub(super) fn sent(
        &mut self,
        sent: &Sent,
        facts: &ChannelFacts,
        schemas: &mut Schemas,
    ) -> (String, Vec<String>) {
        let mut notes = Vec::new();
        let output = sent.output.clone().of(sent.schema);
        let shape = envelope::plain_reply(&given(&output, facts, schemas, &mut notes));
        let name = match shape.name.as_str() {
            UNDESCRIBED => shape.name.clone(),
            _ => sent.name.clone(),
        };
        let shape = Shape {
            name,
            has_id: false,
            ..shape
        };
        (self.reply(shape), notes)
    }

    fn message(&self, shape: Shape) -> Value {
        let mut message = json!({ "payload": shape.payload });
        if !shape.examples.is_empty() {
            let examples = shape.examples.iter();
            let examples = examples.map(|example| json!({ "payload": example }));
            message["examples"] = examples.collect();
        }
        if let Some(content_type) = shape.content_type {
            message["contentType"] = json!(content_type);
        }
        if let (Some(correlation), true) = (&self.correlation, shape.has_id) {
            message["correlationId"] = correlation.clone();
        }
        message
    }

    /// The name of a reply, which may be written already.
    fn reply(&mut self, shape: Shape) -> String {
        if shape.name == UNDESCRIBED {
            let mut message = self.message(shape);
            message["name"] = json!(UNDESCRIBED);
            message["summary"] = json!("A message that no type describes.");
            self.written.insert(UNDESCRIBED.to_owned(), message);
            return UNDESCRIBED.to_owned();
        }
        let mut known = self.replies.iter();
        let same = known.find(|(payload, content_type, _)| {
            *payload == shape.payload && *content_type == shape.content_type
        });
        if let Some((_, _, name)) = same {
            return name.clone();
        }
        let name = self.names.unused(&shape.name);
        let of = (shape.payload.clone(), shape.content_type, name.clone());
        self.replies.push(of);
        let mut message = self.message(shape);
        message["name"] = json!(name);
        self.written.insert(name.clone(), message);
        name
    }

    /// All messages, those included that belong to no operation alone.
    pub(super) fn finish(mut self, facts: &ChannelFacts) -> Map<String, Value> {
        let known: Vec<_> = self.codes.known().collect();
        let code = match self.codes.is_open() {
            false => json!({ "enum": known }),
            true => json!({ "type": "string", "examples": known }),
        };
        if let Some(shape) = envelope::error(code, facts) {
            let mut error = self.message(shape);
            error["name"] = json!(ERROR);
            error["summary"] = json!("Why a request got no reply.");
            error["x-wasabi"] = json!({ "codes": codes(&self.codes) });
            self.written.insert(ERROR.to_owned(), error);
        }
        self.written
    }
}

/// What the functions of an operation take.
fn taken(operation: &Operation, schemas: &mut Schemas, notes: &mut Vec<String>) -> Taken {
    let (mut messages, mut params) = (Vec::new(), Vec::new());
    let mut needs_params = true;
    for answers in operation.answers() {
        if !answers.is_typed {
            notes.push(format!(
                "what `{}` {} is not known here",
                target(answers),
                unknown(answers)
            ));
        }
        messages.push(all_of(payloads(answers, Source::Json, schemas, notes)));
        params.push(all_of(payloads(answers, Source::Params, schemas, notes)));
        needs_params &= answers.inputs.iter().any(requires_params);
        for input in &answers.inputs {
            if input.source == Source::Unknown {
                let name = of_type(input.type_name);
                notes.push(format!("`{name}` does not say what it takes"));
            }
        }
    }
    let inputs = || operation.answers().iter().flat_map(|each| &each.inputs);
    Taken {
        message: any_of(messages),
        params: any_of(params),
        needs_params,
        needs_id: inputs().any(|input| input.source == Source::Id && !input.is_optional),
        sources: inputs().map(|input| input.source).collect(),
        examples: examples::taken(operation, Source::Json),
        params_examples: examples::taken(operation, Source::Params),
    }
}

/// What the arguments from this source say of it.
fn payloads(
    answers: &Answers,
    source: Source,
    schemas: &mut Schemas,
    notes: &mut Vec<String>,
) -> Vec<Value> {
    let inputs = answers.inputs.iter();
    let inputs = inputs.filter(|input| input.source == source && !input.is_optional);
    let payload = |input: &Input| {
        let schema = match input.schema_fn() {
            Some(schema) => schemas.input(schema),
            None => {
                let name = of_type(input.type_name);
                notes.push(format!("derive `JsonSchema` for `{name}`"));
                input.traced().unwrap_or_else(|| json!({}))
            }
        };
        match source {
            Source::Params => json_rpc::params(schema, is_list(input)),
            _ => schema,
        }
    };
    inputs.map(payload).collect()
}

/// The schema of an argument, whole.
fn whole(input: &Input) -> Value {
    let schema = input.schema().or_else(|| input.traced());
    schema.unwrap_or_default()
}

fn is_list(input: &Input) -> bool {
    whole(input)["type"] == "array"
}

/// Whether a call without parameters fails.
fn requires_params(input: &Input) -> bool {
    if input.source != Source::Params || input.is_optional {
        return false;
    }
    let schema = whole(input);
    let members = schema["required"].as_array().map(Vec::len);
    let elements = schema["minItems"].as_u64();
    members.is_some_and(|count| count > 0) || elements.is_some_and(|count| count > 0)
}

/// What a function answers.
fn given(
    output: &Output,
    facts: &ChannelFacts,
    schemas: &mut Schemas,
    notes: &mut Vec<String>,
) -> Given {
    let is_json = output.form == Form::Json && output.count != Count::None;
    let schema = match output.schema_fn().filter(|_| is_json) {
        Some(schema) => Some(schemas.output(schema)),
        None if is_json => {
            let name = of_type(output.type_name);
            notes.push(format!("derive `JsonSchema` for `{name}`"));
            None
        }
        None => None,
    };
    let id = facts.places.id.as_deref();
    Given {
        name: of_type(output.type_name),
        form: output.form,
        count: output.count,
        is_optional: output.is_optional,
        examples: examples::of(output.schema().filter(|_| is_json)),
        schema,
        has_id: id.is_some_and(|id| has(output, id)),
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

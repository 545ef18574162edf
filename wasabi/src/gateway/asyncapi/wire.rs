//! Messages on the wire, and what goes into them.

use serde_json::{Value, json};

use crate::schema::{Count, Form, Source};

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain";
pub(super) const BINARY: &str = "application/octet-stream";

/// The name of messages that no type describes.
pub(super) const UNDESCRIBED: &str = "undescribed";

/// A message as it is on the wire.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) payload: Value,
    /// `None` if it is not known.
    pub(super) content_type: Option<&'static str>,
    /// Whether it has the id of its request, at the place where requests have it.
    pub(super) has_id: bool,
    /// Examples of the payload.
    pub(super) examples: Vec<Value>,
}

impl Shape {
    /// A message of JSON.
    pub(super) fn json(name: impl Into<String>, payload: Value) -> Self {
        Self {
            name: name.into(),
            payload,
            content_type: Some(JSON),
            has_id: false,
            examples: Vec::new(),
        }
    }

    /// Anything.
    pub(super) fn undescribed() -> Self {
        Self {
            content_type: None,
            ..Self::json(UNDESCRIBED, json!({}))
        }
    }

    pub(super) fn with_id(self, has_id: bool) -> Self {
        Self { has_id, ..self }
    }

    pub(super) fn with_examples(self, examples: Vec<Value>) -> Self {
        Self { examples, ..self }
    }
}

/// What the functions of an operation take.
pub(super) struct Taken {
    /// The message, or the part of it that they see.
    pub(super) message: Value,
    /// The parameters of a call, and whether there must be some.
    pub(super) params: Value,
    pub(super) needs_params: bool,
    pub(super) needs_id: bool,
    pub(super) sources: Vec<Source>,
    /// Examples of `message`, and of `params`.
    pub(super) examples: Vec<Value>,
    pub(super) params_examples: Vec<Value>,
}

/// What a function answers.
pub(super) struct Given {
    /// The name of its type.
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) count: Count,
    /// Whether there may be nothing instead.
    pub(super) is_optional: bool,
    /// The schema of one message, if it is JSON with a known one.
    pub(super) schema: Option<Value>,
    pub(super) examples: Vec<Value>,
    /// Whether its type has the id of the request.
    pub(super) has_id: bool,
}

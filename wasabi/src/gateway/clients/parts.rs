//! What is known of a channel, with its schemas in a pool.

use super::pool::{Known, Pool, Slot};
use crate::{
    channel::Sent,
    gateway::asyncapi::{
        ChannelFacts,
        facts::{is_refusal, target, unknown},
        names::of_type,
    },
    schema::{Answers, Count, Form, Input, Operation, Output, Source},
};

pub(in crate::gateway) struct ChannelParts<'a> {
    pub(in crate::gateway) facts: &'a ChannelFacts,
    pub(in crate::gateway) routes: Vec<Route<'a>>,
    pub(in crate::gateway) sends: Vec<(&'a Sent, Giving)>,
    pub(in crate::gateway) query: Option<Slot>,
    /// What functions take from the path.
    pub(in crate::gateway) path: Vec<Slot>,
}

pub(in crate::gateway) struct Route<'a> {
    pub(in crate::gateway) operation: &'a Operation,
    /// Several if several backends share the requests.
    pub(in crate::gateway) backends: Vec<Backend>,
}

pub(in crate::gateway) struct Backend {
    pub(in crate::gateway) takes: Vec<Taking>,
    pub(in crate::gateway) gives: Giving,
    /// What makes more known.
    pub(in crate::gateway) notes: Vec<String>,
    pub(in crate::gateway) is_typed: bool,
}

/// An argument.
pub(in crate::gateway) struct Taking {
    pub(in crate::gateway) source: Source,
    pub(in crate::gateway) is_optional: bool,
    pub(in crate::gateway) schema: Option<Slot>,
}

impl Taking {
    /// Whether it may be a part of the message.
    pub(in crate::gateway) fn is_of_message(&self) -> bool {
        match self.source {
            Source::Json
            | Source::Params
            | Source::Text
            | Source::Binary
            | Source::Message
            | Source::Unknown => true,
            Source::Path | Source::Query | Source::Id | Source::Identity | Source::Gateway => false,
        }
    }
}

/// A reply, or a message that is sent unasked.
pub(in crate::gateway) struct Giving {
    pub(in crate::gateway) name: String,
    pub(in crate::gateway) form: Form,
    pub(in crate::gateway) count: Count,
    pub(in crate::gateway) is_optional: bool,
    /// Whether clients follow groups by it.
    pub(in crate::gateway) follows: bool,
    /// Of one message.
    pub(in crate::gateway) schema: Option<Slot>,
}

impl<'a> ChannelParts<'a> {
    /// All channels, and what is known of their schemas.
    pub(in crate::gateway) fn all(channels: &'a [ChannelFacts]) -> (Vec<Self>, Known) {
        let mut pool = Pool::new();
        let parts = channels.iter().map(|facts| Self::of(facts, &mut pool));
        let parts = parts.collect();
        (parts, pool.finish())
    }

    fn of(facts: &'a ChannelFacts, pool: &mut Pool) -> Self {
        let reached = facts.operations.iter();
        let reached = reached.filter(|each| !each.is_unreachable() && !is_refusal(each));
        let routes = reached.map(|operation| Route {
            operation,
            backends: operation
                .answers()
                .iter()
                .map(|answers| Backend::of(answers, pool))
                .collect(),
        });
        let routes = routes.collect();
        let sends = facts.sends.iter().map(|sent| {
            let giving = Giving::of(&sent.output.clone().of(sent.schema), pool);
            let name = sent.name.clone();
            (sent, Giving { name, ..giving })
        });
        let sends = sends.collect();
        let answers = facts.operations.iter().flat_map(Operation::answers);
        let inputs = answers.flat_map(|answers| &answers.inputs);
        let path = inputs.filter(|input| input.source == Source::Path);
        Self {
            facts,
            routes,
            sends,
            query: pool.query(facts),
            path: path.filter_map(|input| pool.input(input)).collect(),
        }
    }
}

impl Backend {
    fn of(answers: &Answers, pool: &mut Pool) -> Self {
        let mut notes = Vec::new();
        if !answers.is_typed {
            let target = target(answers);
            notes.push(format!(
                "What `{target}` {} is not known here.",
                unknown(answers)
            ));
        }
        let mut derive = |name: &str| {
            notes.push(format!("`{}` has no `JsonSchema`.", of_type(name)));
        };
        for input in &answers.inputs {
            if matches!(input.source, Source::Json | Source::Params) && input.schema_fn().is_none()
            {
                derive(input.type_name);
            }
        }
        let Output { form, count, .. } = answers.output;
        let is_json = form == Form::Json && !matches!(count, Count::None | Count::OnlyErrors);
        if is_json && answers.output.schema_fn().is_none() {
            derive(answers.output.type_name);
        }
        let takes = answers.inputs.iter().map(|input| Taking::of(input, pool));
        Self {
            takes: takes.collect(),
            gives: Giving {
                follows: answers.follows,
                ..Giving::of(&answers.output, pool)
            },
            notes,
            is_typed: answers.is_typed,
        }
    }
}

impl Taking {
    fn of(input: &Input, pool: &mut Pool) -> Self {
        let is_message = matches!(input.source, Source::Json | Source::Params);
        Self {
            source: input.source,
            is_optional: input.is_optional,
            schema: is_message.then(|| pool.input(input)).flatten(),
        }
    }
}

impl Giving {
    fn of(output: &Output, pool: &mut Pool) -> Self {
        let is_json = output.form == Form::Json && output.count != Count::None;
        Self {
            name: of_type(output.type_name),
            form: output.form,
            count: output.count,
            is_optional: output.is_optional,
            follows: false,
            schema: is_json.then(|| pool.output(output)).flatten(),
        }
    }
}

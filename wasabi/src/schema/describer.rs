//! The routes of a channel, collected from its backend.

use std::collections::BTreeSet;

use super::{Answers, Arm, Codes, Input, Output, Places, SchemaFn, Schemas};
use crate::panics::caught;

/// A route of a channel: what it takes, what it answers, and what is around it.
#[derive(Debug, Clone)]
pub struct Operation {
    path: String,
    around: Around,
    keys: Vec<String>,
    takes_keyless: bool,
    takes_not_json: bool,
    answers: Vec<Answers>,
}

impl Operation {
    /// The path of the channel.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name of the route, as [`Request::route`](crate::Request::route) says it; empty in a channel without routes.
    pub fn route(&self) -> &str {
        self.around.route
    }

    /// The keys that lead here, sorted: those that the declaration names, as the router itself routes them. A key that an
    /// earlier arm takes is one of that arm. Empty for a catch-all, where only a guard knows, and in routes inside a
    /// balanced group.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The beginning of all keys that lead here, where a guard `key.starts_with("..")` says it.
    pub fn prefix(&self) -> Option<&str> {
        self.around.prefix
    }

    /// The documentation comment of the arm, or else that of its `#[backend]` function.
    pub fn docs(&self) -> &str {
        match self.around.docs {
            "" => self
                .answers
                .iter()
                .map(|one| one.docs)
                .find(|docs| !docs.is_empty())
                .unwrap_or_default(),
            own => own,
        }
    }

    /// The middleware around the route, outermost first.
    pub fn middleware(&self) -> &[String] {
        &self.around.middleware
    }

    /// What it takes and answers: one element, or one for each node of a balanced group.
    pub fn answers(&self) -> &[Answers] {
        &self.answers
    }

    /// The errors of the route: those of its middleware and its backend, and those that every request may end with.
    pub fn codes(&self) -> Codes {
        let answers = self.answers.iter();
        answers.fold(self.around.codes.clone(), |codes, one| {
            codes.and(&one.codes)
        })
    }

    /// Whether messages without a key may lead here.
    pub(crate) fn takes_keyless(&self) -> bool {
        self.takes_keyless
    }

    /// Whether messages that are not JSON lead here.
    pub(crate) fn takes_not_json(&self) -> bool {
        self.takes_not_json
    }

    /// Whether other keys may lead here than the declaration names.
    pub(crate) fn is_open(&self) -> bool {
        let Around { hints, .. } = &self.around;
        let is_unknown = match hints.is_empty() {
            true => self.around.is_open,
            false => self.keys.is_empty(),
        };
        self.around.is_lost || is_unknown
    }

    /// Whether earlier arms take all keys of the route.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.around.is_named && self.keys.is_empty() && !self.is_open()
    }
}

/// What is known on the way to a backend.
#[derive(Debug, Clone, Default)]
struct Around {
    /// The arms on the way, as in the path of a request's route, and how many bits they take.
    arms: u64,
    bits: u32,
    /// Whether an inner router is not a part of that path.
    is_hidden: bool,
    /// Whether there was such a router: its keys are unknown.
    is_lost: bool,
    /// Whether an arm names its keys, and whether nothing does.
    is_named: bool,
    is_open: bool,
    route: &'static str,
    docs: &'static str,
    prefix: Option<&'static str>,
    hints: Vec<&'static str>,
    middleware: Vec<String>,
    codes: Codes,
    target: &'static str,
    /// What is known of the function inside.
    inputs: Schemas,
    output: Option<SchemaFn>,
    comment: &'static str,
    failing: Option<Codes>,
    /// What a target takes and answers that does not know it itself.
    typed: Option<(Input, Output)>,
}

/// Collects the routes of a channel while its backend is visited.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Describer {
    around: Around,
    keys: BTreeSet<&'static str>,
    found: Vec<(Around, Vec<Answers>)>,
}

impl Describer {
    /// For a channel whose own target is written so.
    pub(crate) fn new(docs: &'static str, target: &'static str, codes: Codes) -> Self {
        let around = Around {
            docs,
            target,
            codes,
            ..Around::default()
        };
        Self {
            around,
            ..Self::default()
        }
    }

    fn within(&mut self, change: impl FnOnce(&mut Around), inner: &dyn Fn(&mut Self)) {
        let outer = self.around.clone();
        change(&mut self.around);
        inner(self);
        self.around = outer;
    }

    /// An arm of a router, by its number from 1 and the number of bits that the router takes of a path.
    pub fn arm(&mut self, number: u64, bits: u32, arm: &Arm<'_>, inner: &dyn Fn(&mut Self)) {
        self.keys.extend(arm.keys);
        let change = |around: &mut Around| {
            around.through(number, bits);
            let is_outermost = around.route.is_empty();
            around.route = arm.name;
            // The comment of a channel is not about a route.
            if !arm.docs.is_empty() || is_outermost {
                around.docs = arm.docs;
            }
            around.keys(arm);
            around.target = arm.target;
        };
        self.within(change, inner);
    }

    /// A set of routes among others.
    pub fn set(&mut self, number: u64, bits: u32, inner: &dyn Fn(&mut Self)) {
        self.within(|around| around.through(number, bits), inner);
    }

    /// What answers the keys that no set has.
    pub fn rest(
        &mut self,
        number: u64,
        bits: u32,
        target: &'static str,
        inner: &dyn Fn(&mut Self),
    ) {
        let change = |around: &mut Around| {
            around.through(number, bits);
            if !target.is_empty() {
                around.route = "_";
                around.docs = "";
                around.target = target;
            }
        };
        self.within(change, inner);
    }

    /// Inside a middleware.
    pub fn middleware(&mut self, name: String, codes: &Codes, inner: &dyn Fn(&mut Self)) {
        let change = |around: &mut Around| {
            around.codes = std::mem::take(&mut around.codes).and(codes);
            around.middleware.push(name);
        };
        self.within(change, inner);
    }

    /// Inside of what keeps nothing of an error to itself.
    pub fn node(&mut self, target: &'static str, inner: &dyn Fn(&mut Self)) {
        let change = |around: &mut Around| {
            around.is_hidden = true;
            around.target = target;
        };
        self.within(change, inner);
    }

    /// A group whose nodes share the requests.
    pub fn group(&mut self, nodes: &dyn Fn(&mut Self)) {
        let first = self.found.len();
        nodes(self);
        for (around, answers) in self.found.split_off(first) {
            let same = self.found[first..].iter_mut();
            let same = same
                .map(|(other, answers)| (other, answers))
                .find(|(other, _)| other.route == around.route);
            match same {
                Some((other, others)) => {
                    other.codes = std::mem::take(&mut other.codes).and(&around.codes);
                    others.extend(answers);
                }
                None => self.found.push((around, answers)),
            }
        }
    }

    /// A function whose types are known.
    pub fn knowing(
        &mut self,
        inputs: Schemas,
        output: Option<SchemaFn>,
        comment: &'static str,
        failing: Option<Codes>,
        inner: &dyn Fn(&mut Self),
    ) {
        let change = |around: &mut Around| {
            around.inputs = inputs;
            around.output = output;
            around.comment = comment;
            around.failing = failing;
        };
        self.within(change, inner);
    }

    /// A target that does not know what it takes and answers.
    pub fn typed(&mut self, input: Input, output: Output, inner: &dyn Fn(&mut Self)) {
        self.within(|around| around.typed = Some((input, output)), inner);
    }

    /// The codes of the function's error type, if it says them.
    pub fn failing(&self) -> Option<&Codes> {
        self.around.failing.as_ref()
    }

    /// What answers.
    pub fn answers(&mut self, mut answers: Answers) {
        let around = self.around.clone();
        if let (Some((input, output)), false) = (&around.typed, answers.is_typed) {
            // The target reads the message, and not the gateway.
            let codes = Codes::default();
            answers.inputs = vec![Input {
                codes,
                ..input.clone()
            }];
            answers.output = output.clone();
            answers.is_typed = true;
        } else {
            answers.output.schema = around.output.or(answers.output.schema);
        }
        for (input, schema) in answers.inputs.iter_mut().zip(&around.inputs) {
            let input: &mut Input = input;
            input.schema = *schema;
        }
        answers.docs = around.comment;
        if !around.target.is_empty() {
            answers.target = around.target.to_owned();
        }
        self.found.push((around, vec![answers]));
    }

    /// The routes of the channel at this path. `places` has the keys of messages without one, and `route` is the path of
    /// the router for a key.
    pub(crate) fn operations(
        &self,
        path: &str,
        places: &Places,
        route: &dyn Fn(&str) -> Option<u64>,
    ) -> Vec<Operation> {
        let Self { keys, found, .. } = self;
        // Guards are the user's code.
        let route = |key: &str| caught(|| route(key)).ok().flatten();
        let (keyless, not_json) = (places.or.map(route), places.not_json.map(route));
        let routed: Vec<_> = keys.iter().map(|key| (*key, route(key))).collect();
        let operations = found.iter().map(|(around, answers)| {
            let is_routed = around.bits > 0 && !around.is_lost;
            let leads_here =
                |route: Option<u64>| is_routed && route.is_some_and(|route| around.takes(route));
            let named = routed.iter().filter(|(_, route)| leads_here(*route));
            let mut own: BTreeSet<String> = named.map(|(key, _)| (*key).to_owned()).collect();
            let hints = around.hints.iter().flat_map(|hint| spellings(hint));
            own.extend(hints.filter(|hint| leads_here(route(hint))));
            let leads_or_is_alone = |route| !is_routed || leads_here(route);
            let takes_keyless = keyless.is_some_and(leads_or_is_alone);
            let takes_not_json = not_json.is_some_and(leads_or_is_alone);
            Operation {
                path: path.to_owned(),
                keys: own.into_iter().collect(),
                takes_keyless,
                takes_not_json,
                around: around.clone(),
                answers: answers.clone(),
            }
        });
        operations.collect()
    }
}

impl Around {
    fn through(&mut self, number: u64, bits: u32) {
        let is_part = !self.is_hidden && !self.is_lost;
        if is_part && self.bits + bits <= u64::BITS {
            self.arms |= number << self.bits;
            self.bits += bits;
        } else {
            self.is_lost = true;
        }
    }

    /// Inside an arm. An inner arm takes some of the keys of the arm around it.
    fn keys(&mut self, arm: &Arm<'_>) {
        let has_none = arm.keys.is_empty() && arm.hints.is_empty();
        self.is_named |= !(arm.is_open || has_none);
        self.is_open = !self.is_named && (self.is_open || arm.is_open);
        self.prefix = arm.prefix.or(self.prefix).filter(|_| !self.is_named);
        self.hints = arm.hints.to_vec();
    }

    /// Whether a request with this path comes by here.
    fn takes(&self, path: u64) -> bool {
        let all = u64::MAX >> (u64::BITS - self.bits);
        path & all == self.arms
    }
}

/// How a key may be written that a word of a declaration stands for: `PlaceOrder`, `placeOrder`, `place_order`,
/// `place-order`, `PLACE_ORDER`, `place.order`, `placeorder`.
fn spellings(word: &str) -> Vec<String> {
    let mut parts = Vec::<String>::new();
    for c in word.chars() {
        match parts.last_mut() {
            Some(part) if !c.is_uppercase() => part.push(c),
            _ => parts.push(c.to_string()),
        }
    }
    let lower: Vec<_> = parts.iter().map(|part| part.to_lowercase()).collect();
    let mut camel = lower[..lower.len().min(1)].concat();
    camel += &parts[parts.len().min(1)..].concat();
    let snake = lower.join("_");
    vec![
        word.to_owned(),
        camel,
        snake.to_uppercase(),
        lower.join("-"),
        lower.join("."),
        lower.concat(),
        snake,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_spelt_in_the_usual_ways() {
        assert_eq!(
            spellings("PlaceOrder"),
            [
                "PlaceOrder",
                "placeOrder",
                "PLACE_ORDER",
                "place-order",
                "place.order",
                "placeorder",
                "place_order"
            ]
        );
        assert_eq!(spellings("")[0], "");
    }
}

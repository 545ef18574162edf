//! Middleware around middleware and around targets: what `wasabi_rules` warns about.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Expr, Stmt};
use wasabi_rules::{Around, HTTP_ORDER, REQUEST_ORDER, Side, TARGET, Warning, When};

use super::times::{duration, micros, pauses};
use crate::{
    diagnostics::Diagnostics,
    fragment::{Call, Fragment, calls, elements, mentions, string},
    units,
};

/// The middleware around the place that is being checked.
pub(super) struct Orders {
    table: &'static [Around],
    around: Vec<Made>,
    /// How many lists have been entered.
    lists: usize,
    /// What has been warned about at a target: another target inside of the same two says nothing new.
    told: Vec<(usize, usize)>,
    made: usize,
}

/// A middleware of the library as it is made: `Timeout::new(1s)`.
struct Made {
    row: &'static Around,
    calls: Vec<Call>,
    number: usize,
    list: usize,
}

impl Orders {
    pub(super) fn of_requests() -> Self {
        Self::of(REQUEST_ORDER)
    }

    pub(super) fn of_http() -> Self {
        Self::of(HTTP_ORDER)
    }

    fn of(table: &'static [Around]) -> Self {
        Self {
            table,
            around: Vec::new(),
            lists: 0,
            told: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.around.len()
    }

    pub(super) fn leave(&mut self, depth: usize) {
        self.around.truncate(depth);
    }

    /// Goes into a list of middleware.
    pub(super) fn enter<'a>(
        &mut self,
        list: impl IntoIterator<Item = &'a Fragment>,
        diagnostics: &mut Diagnostics,
    ) {
        self.lists += 1;
        for fragment in list {
            let calls = calls(fragment.tokens());
            let name = calls.first().and_then(|call| call.owner.as_deref());
            let Some(row) = name.and_then(|name| Around::find(self.table, name)) else {
                continue;
            };
            self.made += 1;
            let inner = Made {
                row,
                calls,
                number: self.made,
                list: self.lists,
            };
            for outer in &self.around {
                if let Some(warning) = outer.row.warning(row.name) {
                    pair(outer, &inner, warning, diagnostics);
                }
            }
            self.around.push(inner);
        }
    }

    /// Checks what is around a target.
    pub(super) fn target(&mut self, target: &Fragment, diagnostics: &mut Diagnostics) {
        for (at, outer) in self.around.iter().enumerate() {
            if let Some(warning) = outer.row.warning(TARGET) {
                shared(outer, target, warning, diagnostics);
            }
            for (within, inner) in self.around.iter().enumerate().skip(at + 1) {
                let key = (outer.number, inner.number);
                if let Some(warning) = outer.row.warning(inner.row.name)
                    && warning.when == When::NothingInsideIsFaster
                    && !self.told.contains(&key)
                    && (outer.list == inner.list || is_seen(target))
                    && !is_faster(&self.around[within + 1..], target, outer.first_argument())
                {
                    self.told.push(key);
                    tell(outer, inner, warning, diagnostics);
                }
            }
        }
    }
}

impl Made {
    fn has(&self, method: &str) -> bool {
        self.method(method).is_some()
    }

    fn method(&self, name: &str) -> Option<&Call> {
        let mut methods = self.calls.iter();
        methods.find(|call| call.is_method && call.name == name)
    }

    /// The argument of the constructor in microseconds, if it is a literal.
    fn first_argument(&self) -> Option<u64> {
        units::micros(self.calls.first()?.args.first()?)
    }

    /// How long it waits or stores in microseconds, if that is written down.
    fn time(&self) -> Option<u64> {
        match self.row.name {
            "Retry" => pauses(&self.calls),
            "Throttle" => match self.method("wait") {
                Some(wait) => units::micros(wait.args.first()?),
                None => Some(micros(wasabi_rules::THROTTLE_WAIT)),
            },
            _ => self.first_argument(),
        }
    }

    fn span(&self) -> Span {
        let first = self.calls.first();
        first.map_or_else(Span::mixed_site, |call| call.span)
    }
}

/// Checks one middleware around another, where the target does not matter.
fn pair(outer: &Made, inner: &Made, warning: &Warning, diagnostics: &mut Diagnostics) {
    let applies = match warning.when {
        When::Always => true,
        When::OuterIsShorter => is_shorter(outer, inner),
        When::InnerIsShorter => is_shorter(inner, outer),
        When::NothingInsideIsFaster | When::SharedAndOfTheClient => false,
        When::AllAroundEach => {
            let is_of_each = inner.has("by") || inner.row.name == "LimitClients";
            outer.list == inner.list && !outer.has("by") && is_of_each
        }
        When::HandlesEveryError => handles_every_error(inner),
        When::NeitherChooses => ![outer, inner]
            .iter()
            .any(|retry| retry.has("when") || retry.has("if_not_sent")),
        When::BothInMetrics => [outer, inner].iter().all(|measure| {
            measure
                .calls
                .first()
                .is_some_and(|new| new.name == "metrics")
        }),
        When::ReadsProxies => inner.calls.first().is_some_and(|new| new.name != "peer"),
        When::SameHeader => ![outer, inner].iter().any(|login| {
            ["query_parameter", "cookie", "subprotocol", "optional"]
                .iter()
                .any(|elsewhere| login.has(elsewhere))
        }),
    };
    if applies {
        tell(outer, inner, warning, diagnostics);
    }
}

fn tell(outer: &Made, inner: &Made, warning: &Warning, diagnostics: &mut Diagnostics) {
    let at = match warning.at {
        Side::Outer => outer.span(),
        Side::Inner => inner.span(),
    };
    let time = |made: &Made| made.time().map(duration).unwrap_or_default();
    let note = warning.note.replace("{outer}", &time(outer));
    let note = note.replace("{inner}", &time(inner));
    diagnostics.warning(at, warning.name, note);
}

fn is_shorter(one: &Made, other: &Made) -> bool {
    matches!((one.time(), other.time()), (Some(one), Some(other)) if one < other)
}

/// Whether the target is made here. A variable, or what a function returns, may have a timeout of its own.
fn is_seen(target: &Fragment) -> bool {
    const BACKENDS: [&str; 3] = ["Http", "Queue", "WebSocket"];
    let made = calls(target.tokens());
    let owner = made.first().and_then(|call| call.owner.as_deref());
    target.is_closure() || owner.is_some_and(|owner| BACKENDS.contains(&owner))
}

/// Whether something inside of a breaker gives up before the timeout around it. What is not written as a literal is
/// trusted.
fn is_faster(inside: &[Made], target: &Fragment, timeout: Option<u64>) -> bool {
    let timeouts = inside.iter().filter(|made| made.row.name == "Timeout");
    let mut limits: Vec<_> = timeouts.map(Made::first_argument).collect();
    let made = calls(target.tokens());
    let set = made
        .iter()
        .find(|call| call.is_method && call.name == "timeout");
    if let Some(call) = set {
        limits.push(call.args.first().and_then(units::micros));
    } else if let Some("Http" | "Queue") = made.first().and_then(|call| call.owner.as_deref()) {
        limits.push(Some(micros(wasabi_rules::UPSTREAM_TIMEOUT)));
    }
    limits.into_iter().any(|limit| match (limit, timeout) {
        (Some(limit), Some(timeout)) => limit < timeout,
        _ => true,
    })
}

/// Whether the closure of an error handler visibly makes a reply of every error.
fn handles_every_error(handler: &Made) -> bool {
    let Some(new) = handler.calls.first() else {
        return false;
    };
    // A comma between the closure's own arguments has cut it.
    let args = &new.args;
    let Ok(Expr::Closure(closure)) = syn::parse2(quote!(#(#args),*)) else {
        return false;
    };
    let body = closure.body.to_token_stream();
    let last = match &*closure.body {
        Expr::Block(block) => match block.block.stmts.last() {
            Some(Stmt::Expr(last, None)) => last.to_token_stream(),
            _ => return false,
        },
        _ => body.clone(),
    };
    let is_reply = match last.into_iter().next() {
        Some(TokenTree::Literal(_)) => true,
        Some(TokenTree::Ident(name)) => name == "Ok" || name == "Json" || name == "format",
        _ => false,
    };
    is_reply && !mentions(&body, "Err") && !has_question_mark(&body)
}

fn has_question_mark(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == '?',
        TokenTree::Group(group) => has_question_mark(&group.stream()),
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    })
}

/// Checks a cache around a target.
fn shared(cache: &Made, target: &Fragment, warning: &Warning, diagnostics: &mut Diagnostics) {
    if let (Some(shared), None) = (cache.method("shared"), cache.method("by"))
        && let Some(what) = what_of_the_client(target.tokens())
    {
        let note = warning.note.replace("{inner}", &what);
        diagnostics.warning(shared.name.span(), warning.name, note);
    }
}

/// What the target visibly takes from the client.
fn what_of_the_client(target: &TokenStream) -> Option<String> {
    const OF_TRACES: [&str; 5] = [
        "baggage",
        "traceparent",
        "tracestate",
        "x-correlation-id",
        "x-request-id",
    ];
    let forwarded = calls(target).into_iter().find_map(|call| {
        let name = call.name.to_string();
        if call.is_method && name == "header_with" {
            return string(call.args.first()?).map(|name| name.value());
        }
        if call.is_method && matches!(name.as_str(), "forwarded" | "forwarded_for") {
            return Some(if name == "forwarded" {
                name
            } else {
                "x-forwarded-for".to_owned()
            });
        }
        let forwards = matches!(
            name.as_str(),
            "forward_headers" | "forward_query" | "require_headers" | "require_query"
        );
        if !call.is_method || !forwards {
            return None;
        }
        let names = elements(call.args.first()?)?;
        let names = names.iter().filter_map(string);
        let mut names = names.map(|name| name.value());
        names.find(|name| !OF_TRACES.contains(&name.to_ascii_lowercase().as_str()))
    });
    match forwarded {
        Some(name) => Some(format!("`{name}`")),
        None => mentions(target, "Identity").then(|| "the `Identity`".to_owned()),
    }
}

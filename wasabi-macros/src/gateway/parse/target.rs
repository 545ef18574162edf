//! Targets: `with(..)`, `balance(..)`, `match key { .. }`, or any expression.

use quote::ToTokens;
use syn::{
    Ident, Pat, Token, braced, bracketed, parenthesized,
    parse::ParseStream,
    token::{Brace, Bracket, Paren},
};

use super::{attrs, comma, drain, finish, skip_past_comma, values};
use crate::{
    diagnostics::Diagnostics,
    fragment::Fragment,
    gateway::ast::{Arm, Match, Node, Target},
};

/// A backend: a form of the macro, or any other expression.
pub(super) fn target(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Target {
    let parsed = if input.peek(Token![match]) {
        routes(input, diagnostics)
    } else if is_form(input, "with") {
        with(input, diagnostics)
    } else if is_form(input, "balance") {
        balance(input, diagnostics)
    } else {
        let expr = Fragment::parse(input);
        if !expr.is_empty() {
            return Target::Expr(expr);
        }
        let message = "expected a backend: a function, `Http::post(\"..\")`, `with([..], ..)`, `balance([..])` or `match key { .. }`";
        Err(syn::Error::new(expr.span(), message))
    };
    parsed.unwrap_or_else(|error| {
        diagnostics.push(error);
        Target::Missing
    })
}

fn is_form(input: ParseStream<'_>, name: &str) -> bool {
    input.peek2(Paren)
        && input
            .fork()
            .parse::<Ident>()
            .is_ok_and(|ident| ident == name)
}

fn with(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Target> {
    let keyword: Ident = input.parse()?;
    let arguments;
    parenthesized!(arguments in input);
    let middleware = values(&arguments, "the first argument of `with`", diagnostics);
    comma(&arguments, diagnostics);
    let target = Box::new(target(&arguments, diagnostics));
    comma(&arguments, diagnostics);
    finish(&arguments, &keyword, diagnostics);
    Ok(Target::With { middleware, target })
}

fn balance(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Target> {
    const EXPECTED: &str =
        "`balance` takes a list of weights and targets: write `balance([(2, a), (1, b)])`";
    let keyword: Ident = input.parse()?;
    let mut nodes = Vec::new();
    let arguments;
    parenthesized!(arguments in input);
    if !arguments.peek(Bracket) {
        let at = arguments.span();
        drain(&arguments);
        return Err(syn::Error::new(at, EXPECTED));
    }
    let list;
    bracketed!(list in arguments);
    while !list.is_empty() {
        if list.peek(Paren) {
            let node;
            parenthesized!(node in list);
            let weight = Fragment::parse(&node);
            comma(&node, diagnostics);
            let target = target(&node, diagnostics);
            comma(&node, diagnostics);
            finish(&node, &keyword, diagnostics);
            nodes.push(Node { weight, target });
        } else {
            diagnostics.error_at(list.span(), "expected a node: `(weight, target)`");
            Fragment::parse(&list);
        }
        comma(&list, diagnostics);
    }
    comma(&arguments, diagnostics);
    finish(&arguments, &keyword, diagnostics);
    Ok(Target::Balance {
        keyword: keyword.span(),
        nodes,
    })
}

fn routes(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Target> {
    let keyword: Token![match] = input.parse()?;
    let scrutinee = Fragment::parse_scrutinee(input);
    if scrutinee.is_empty() || !input.peek(Brace) {
        return Err(syn::Error::new(input.span(), "expected `match key { .. }`"));
    }
    let mut arms = Vec::new();
    let body;
    braced!(body in input);
    while !body.is_empty() {
        match arm(&body, diagnostics) {
            Ok(arm) => arms.push(arm),
            Err(error) => {
                diagnostics.push(error);
                skip_past_comma(&body);
            }
        }
    }
    Ok(Target::Match(Match {
        keyword: keyword.span,
        scrutinee,
        arms,
    }))
}

fn arm(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Arm> {
    let attrs = attrs(input, diagnostics)?;
    let pattern = Pat::parse_multi_with_leading_vert(input)?;
    let guard = input
        .parse::<Option<Token![if]>>()?
        .map(|_| Fragment::parse_guard(input));
    input.parse::<Token![=>]>().map_err(|error| {
        let pattern = crate::fragment::text(&pattern.to_token_stream());
        syn::Error::new(
            error.span(),
            format!("expected `=>` and a backend after the pattern `{pattern}`"),
        )
    })?;
    let may_omit_comma = input.peek(Brace) || input.peek(Token![match]) || input.peek(Token![if]);
    let target = target(input, diagnostics);
    if !may_omit_comma || input.peek(Token![,]) {
        comma(input, diagnostics);
    }
    Ok(Arm {
        attrs,
        pattern,
        guard,
        target,
    })
}

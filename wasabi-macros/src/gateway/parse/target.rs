//! Targets: `with(..)`, `balance(..)`, `match key { .. }`, or any expression.

use proc_macro2::{Span, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Expr, Ident, Lit, LitInt, Pat, Token, UnOp, braced, bracketed,
    buffer::Cursor,
    parenthesized,
    parse::ParseStream,
    spanned::Spanned,
    token::{Brace, Bracket, Paren},
};

use wasabi_rules::WEIGHT;

use super::syntax::{attrs, comma, drain, finish, skip_past_comma, values};
use crate::{
    diagnostics::Diagnostics,
    fragment::Fragment,
    gateway::ast::{Arm, Match, Node, Target},
    literals::is_zero,
};

/// A backend: a form of the macro, or any other expression.
pub(super) fn target(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Target {
    let parsed = if input.peek(Token![match]) {
        routes(input, diagnostics)
    } else if is_form(input, "with") {
        with(input, diagnostics)
    } else if is_form(input, "balance") {
        balance(input, diagnostics)
    } else if is_form(input, "channel") {
        nested_channel(input)
    } else if is_braced(input) {
        in_braces(input, diagnostics)
    } else {
        let expr = Fragment::parse(input);
        if !expr.is_empty() {
            return function_or_value(expr, diagnostics);
        }
        let message = "expected a backend: a function, `Http::post(\"..\")`, `with([..], ..)`, `balance([..])` or `match key { .. }`";
        Err(syn::Error::new(expr.span(), message))
    };
    parsed.unwrap_or_else(|error| {
        diagnostics.push(error);
        Target::Missing
    })
}

/// Whether `{ target }` comes next: rustfmt puts braces around a long target of an arm.
pub(super) fn is_braced(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let parsed = (|| {
        let body;
        braced!(body in ahead);
        body.parse::<Expr>()?;
        Ok(body.is_empty())
    })();
    parsed.is_ok_and(|is_one: bool| is_one && !ahead.peek(Token![.]) && !ahead.peek(Token![?]))
}

fn in_braces(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Target> {
    let body;
    braced!(body in input);
    Ok(target(&body, diagnostics))
}

fn function_or_value(expr: Fragment, diagnostics: &mut Diagnostics) -> Target {
    let Ok(Expr::Closure(closure)) = syn::parse2(expr.tokens().clone()) else {
        return Target::Expr(expr);
    };
    let mut is_typed = true;
    for argument in &closure.inputs {
        if !matches!(argument, Pat::Type(_)) {
            let argument = argument.to_token_stream();
            let name = crate::fragment::text(&argument);
            let message = format!(
                "the argument needs a type, which says what to take from the request: write `{name}: Text`, or another extractor"
            );
            diagnostics.error(argument, message);
            is_typed = false;
        }
    }
    match is_typed {
        true => Target::Expr(expr),
        false => Target::Missing,
    }
}

fn nested_channel(input: ParseStream<'_>) -> syn::Result<Target> {
    let keyword: Ident = input.parse()?;
    input.parse::<TokenTree>()?;
    let message = "a channel is a section of the gateway, not a target: write it beside the other channel, or `mount` a gateway";
    Err(syn::Error::new(keyword.span(), message))
}

pub(super) fn is_form(input: ParseStream<'_>, name: &str) -> bool {
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
    let is_swapped = !arguments.peek(Bracket) && {
        let ahead = arguments.fork();
        Fragment::parse(&ahead);
        let _ = ahead.parse::<Token![,]>();
        ahead.peek(Bracket)
    };
    let (middleware, target) = if is_swapped {
        diagnostics.error_at(
            arguments.span(),
            "the middleware comes first: write `with([..], target)`",
        );
        let target = target(&arguments, diagnostics);
        comma(&arguments, diagnostics);
        (values(&arguments, "the middleware", diagnostics), target)
    } else {
        let middleware = values(&arguments, "the first argument of `with`", diagnostics);
        if arguments.parse::<Option<Token![,]>>()?.is_none() && !arguments.is_empty() {
            diagnostics.error_at(arguments.span(), "expected `,` before this");
        }
        (middleware, target(&arguments, diagnostics))
    };
    let target = Box::new(target);
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
            nodes.push(self::node(&node, diagnostics));
            finish(&node, &keyword, diagnostics);
        } else {
            let at = list.span();
            let ahead = list.fork();
            let text = Fragment::parse(&ahead).text();
            let message = format!("expected a weight and a target: write `(1, {text})`");
            diagnostics.error_at(at, message);
            let target = target(&list, diagnostics);
            nodes.push(Node {
                weight: Fragment::empty(at).instead(quote!(1)),
                target,
                check: None,
            });
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

/// Reads `weight, target` and an optional health check.
fn node(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Node {
    let at = input.span();
    let ahead = input.fork();
    let first = Fragment::parse(&ahead);
    let _ = ahead.parse::<Token![,]>();
    if !input.peek(Lit) && ahead.peek(LitInt) {
        let (first, weight) = (first.text(), ahead.fork().parse::<TokenTree>());
        let weight = weight.map_or_else(|_| String::new(), |weight| weight.to_string());
        let message = format!("the weight comes first: write `({weight}, {first})`");
        diagnostics.error_at(at, message);
        let target = target(input, diagnostics);
        comma(input, diagnostics);
        let weight = self::weight(input, diagnostics);
        comma(input, diagnostics);
        return Node {
            weight,
            target,
            check: None,
        };
    }
    let weight = weight(input, diagnostics);
    comma(input, diagnostics);
    let target = target(input, diagnostics);
    comma(input, diagnostics);
    let check = (!input.is_empty()).then(|| Fragment::parse(input));
    comma(input, diagnostics);
    Node {
        weight,
        target,
        check,
    }
}

/// Reads a weight. An invalid or missing one becomes 1.
fn weight(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> Fragment {
    let weight = Fragment::parse(input);
    if weight.is_empty() {
        return weight.instead(quote!(1));
    }
    let is_wrong = is_zero(weight.tokens())
        || match syn::parse2(weight.tokens().clone()) {
            Ok(Expr::Unary(unary)) => matches!(unary.op, UnOp::Neg(_)),
            Ok(Expr::Lit(literal)) => !matches!(literal.lit, Lit::Int(_)),
            _ => false,
        };
    if !is_wrong {
        return weight;
    }
    diagnostics.error(&weight, WEIGHT);
    weight.instead(quote!(1))
}

fn routes(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Target> {
    let keyword: Token![match] = input.parse()?;
    let scrutinee = Fragment::parse_scrutinee(input);
    if scrutinee.is_empty() || !input.peek(Brace) {
        return Err(syn::Error::new(input.span(), "expected `match key { .. }`"));
    }
    let mut arms = Vec::new();
    let mut is_whole = true;
    let body;
    braced!(body in input);
    while !body.is_empty() {
        match arm(&body, diagnostics) {
            Ok(arm) => arms.push(arm),
            Err(error) => {
                is_whole = false;
                diagnostics.push(error);
                skip_past_comma(&body);
            }
        }
    }
    Ok(Target::Match(Match {
        keyword: keyword.span,
        scrutinee,
        arms,
        is_whole,
    }))
}

fn arm(input: ParseStream<'_>, diagnostics: &mut Diagnostics) -> syn::Result<Arm> {
    let attrs = attrs(input, diagnostics)?;
    let pattern = Pat::parse_multi_with_leading_vert(input).map_err(|error| {
        let message =
            "expected a pattern, such as `\"order.place\"` or `_`, and `=>` with a backend";
        syn::Error::new(error.span(), message)
    })?;
    let guard = input
        .parse::<Option<Token![if]>>()?
        .map(|_| Fragment::parse_guard(input));
    arrow(input, &pattern, diagnostics)?;
    let may_omit_comma = input.peek(Brace) || input.peek(Token![match]) || input.peek(Token![if]);
    let start = input.cursor();
    let target = target(input, diagnostics);
    let end = last(start, input).unwrap_or_else(|| pattern.span());
    if starts_arm(input) && !may_omit_comma {
        diagnostics.error_at(input.span(), "expected `,` before this arm");
    } else if !may_omit_comma || input.peek(Token![,]) {
        comma(input, diagnostics);
    }
    Ok(Arm {
        attrs,
        pattern,
        guard,
        target,
        end,
    })
}

/// The place of the last token before the current one, if there is one from `start` on.
fn last(start: Cursor<'_>, input: ParseStream<'_>) -> Option<Span> {
    let (mut at, mut last) = (start, None);
    while at != input.cursor() {
        let (tree, next) = at.token_tree()?;
        (at, last) = (next, Some(tree.span()));
    }
    last
}

fn starts_arm(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    Pat::parse_multi_with_leading_vert(&ahead).is_ok()
        && (ahead.peek(Token![=>]) || ahead.peek(Token![if]))
}

/// Reads the `=>` after a pattern, or what people write instead.
fn arrow(input: ParseStream<'_>, pattern: &Pat, diagnostics: &mut Diagnostics) -> syn::Result<()> {
    if input.parse::<Option<Token![=>]>>()?.is_some() {
        return Ok(());
    }
    let (at, pattern) = (
        input.span(),
        crate::fragment::text(&pattern.to_token_stream()),
    );
    let is_other = input.parse::<Option<Token![:]>>()?.is_some()
        || input.parse::<Option<Token![->]>>()?.is_some()
        || input.parse::<Option<Token![=]>>()?.is_some();
    let message = format!("expected `=>` and a backend after the pattern `{pattern}`");
    if !is_other {
        return Err(syn::Error::new(at, message));
    }
    diagnostics.error_at(at, message);
    Ok(())
}

//! Unit literals: `100ms` to a `Duration`, `64KiB` to a number of bytes.

use std::time::Duration;

use proc_macro2::{Delimiter, Group, Ident, Literal, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use wasabi_rules::{Amount, Number, number};

use crate::diagnostics::Diagnostics;

/// A duration in microseconds, if the tokens are a duration literal and nothing else.
pub(crate) fn micros(tokens: &TokenStream) -> Option<u64> {
    let literal: Literal = syn::parse2(tokens.clone()).ok()?;
    match number(&literal.to_string()) {
        Number::Amount(Amount::Time(duration)) => duration.as_micros().try_into().ok(),
        _ => None,
    }
}

/// Reports every number with an invalid suffix, at any depth, except in the arguments of other macros.
pub(crate) fn check(tokens: &TokenStream, diagnostics: &mut Diagnostics) {
    let mut after_bang = false;
    for tree in tokens.clone() {
        match &tree {
            TokenTree::Group(group) if !(after_bang && group.delimiter() != Delimiter::None) => {
                check(&group.stream(), diagnostics);
            }
            TokenTree::Literal(literal) => check_literal(literal, diagnostics),
            _ => {}
        }
        after_bang = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '!');
    }
}

fn check_literal(literal: &Literal, diagnostics: &mut Diagnostics) {
    if let Number::Invalid { message, .. } = number(&literal.to_string()) {
        diagnostics.error(literal, message);
    }
}

/// Replaces every unit literal, at any depth. `private` is the path to the private items of the runtime crate.
pub(crate) fn rewrite(tokens: &TokenStream, private: &TokenStream) -> TokenStream {
    tokens
        .clone()
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Group(group) => {
                let mut rewritten =
                    Group::new(group.delimiter(), rewrite(&group.stream(), private));
                rewritten.set_span(group.span());
                TokenTree::Group(rewritten).into()
            }
            TokenTree::Literal(literal) => rewrite_literal(literal, private),
            other => other.into(),
        })
        .collect()
}

fn rewrite_literal(literal: Literal, private: &TokenStream) -> TokenStream {
    match number(&literal.to_string()) {
        Number::Amount(amount) => value(amount, private, literal.span()),
        // Reported already. The intended value replaces it, so that the compiler does not report it again.
        Number::Invalid {
            meant: Some(amount),
            ..
        } => value(amount, private, literal.span()),
        Number::Ordinary | Number::Invalid { meant: None, .. } => {
            TokenTree::Literal(literal).into()
        }
    }
}

fn value(amount: Amount, private: &TokenStream, span: Span) -> TokenStream {
    match amount {
        Amount::Time(time) => {
            let (constructor, amount) = constructor_of(time);
            let constructor = Ident::new(constructor, span);
            let mut amount = Literal::u64_unsuffixed(amount);
            amount.set_span(span);
            // The compiler underlines a type mismatch from the first of these tokens to the last.
            let private = private.clone().into_iter().map(|mut tree| {
                tree.set_span(tree.span().located_at(span));
                tree
            });
            let private: TokenStream = private.collect();
            quote_spanned!(span=> #private::Duration::#constructor(#amount))
        }
        Amount::Bytes(bytes) => {
            // The suffix names the type without a path that a user could shadow.
            let literal = format!("{bytes}usize")
                .parse::<Literal>()
                .map(|mut literal| {
                    literal.set_span(span);
                    TokenTree::Literal(literal)
                });
            literal.into_iter().collect()
        }
    }
}

/// The constructor of `Duration` that shows the time in its largest whole unit, and its argument.
fn constructor_of(time: Duration) -> (&'static str, u64) {
    let micros = u64::from(time.subsec_micros());
    match time.as_secs() {
        secs if micros == 0 => ("from_secs", secs),
        // No literal with a part of a second is longer than `u64::MAX` microseconds.
        secs if micros % 1000 == 0 => ("from_millis", secs * 1000 + micros / 1000),
        secs => ("from_micros", secs * 1_000_000 + micros),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn rewritten(tokens: TokenStream) -> String {
        crate::fragment::text(&rewrite(&tokens, &quote!(P)))
    }

    fn mistakes(tokens: TokenStream) -> usize {
        let mut diagnostics = Diagnostics::default();
        check(&tokens, &mut diagnostics);
        diagnostics.messages().len()
    }

    #[test]
    fn durations_and_sizes_are_rewritten_at_any_depth() {
        assert_eq!(rewritten(quote!(250us)), "P::Duration::from_micros(250)");
        assert_eq!(
            rewritten(quote!(f(100ms, [2s]))),
            "f(P::Duration::from_millis(100), [P::Duration::from_secs(2)])"
        );
        assert_eq!(rewritten(quote!(1500ms)), "P::Duration::from_millis(1500)");
        assert_eq!(rewritten(quote!(5min)), "P::Duration::from_secs(300)");
        assert_eq!(rewritten(quote!(512B)), "512usize");
        assert_eq!(rewritten(quote!(64KiB + 1)), "65536usize + 1");
    }

    #[test]
    fn numbers_of_rust_stay() {
        assert_eq!(rewritten(quote!(f(1u32, 0x1B, 2.5))), "f(1u32, 0x1B, 2.5)");
    }

    #[test]
    fn a_mistake_is_reported_and_replaced_by_what_was_meant() {
        assert_eq!(mistakes(quote!(f(5sec, 1.5MiB))), 2);
        assert_eq!(
            rewritten(quote!(f(5sec, 1.5MiB))),
            "f(P::Duration::from_secs(1), 1048576usize)"
        );
        assert_eq!(rewritten(quote!(2x)), "2x");
    }

    #[test]
    fn other_macros_keep_their_literals() {
        assert_eq!(mistakes(quote!(css!(10px))), 0);
    }
}

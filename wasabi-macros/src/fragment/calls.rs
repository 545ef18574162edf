//! Calls, recognised by their tokens.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use super::tokens::split;

/// A call as it can be recognised by its tokens: `Owner::name::<generics>(args)`, or `.name(args)` somewhere behind one.
pub(crate) struct Call {
    /// `Http` of `Http::post(..)`, and of the methods called on its result.
    pub(crate) owner: Option<String>,
    pub(crate) name: Ident,
    pub(crate) is_method: bool,
    pub(crate) generics: Vec<TokenStream>,
    pub(crate) args: Vec<TokenStream>,
    pub(crate) span: Span,
}

/// Every call in the tokens, at any depth, in the order of the text.
pub(crate) fn calls(tokens: &TokenStream) -> Vec<Call> {
    let mut found = Vec::new();
    collect_calls(tokens, &mut found);
    found
}

fn collect_calls(tokens: &TokenStream, found: &mut Vec<Call>) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let punct = |at: Option<usize>, expected: char| {
        at.and_then(|at| trees.get(at)).is_some_and(
            |tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == expected),
        )
    };
    let mut owner: Option<(String, Span)> = None;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => collect_calls(&group.stream(), found),
            TokenTree::Punct(punct) if !matches!(punct.as_char(), ':' | '.' | '?') => owner = None,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            TokenTree::Ident(name) => {
                let is_method = punct(at.checked_sub(1), '.');
                let is_path = punct(at.checked_sub(1), ':');
                if let (true, Some(TokenTree::Ident(before))) = (
                    is_path,
                    at.checked_sub(3).and_then(|before| trees.get(before)),
                ) {
                    owner = Some((before.to_string(), before.span()));
                } else if !is_method {
                    owner = None;
                }
                let generics = generics(&trees[at + 1..]);
                let after = at + 1 + generics.map_or(0, |generics| generics.len() + 4);
                let Some(args) = trees.get(after).and_then(arguments) else {
                    continue;
                };
                if is_method || owner.is_some() {
                    found.push(Call {
                        span: owner.as_ref().map_or(name.span(), |(_, span)| *span),
                        owner: owner.as_ref().map(|(owner, _)| owner.clone()),
                        name: name.clone(),
                        is_method,
                        generics: split(&generics.unwrap_or_default().iter().cloned().collect()),
                        args: split(&args.stream()),
                    });
                }
            }
        }
    }
}

/// The tokens between `::<` and the `>` before the arguments. Generics with a `>` of their own are not recognised.
fn generics(after_name: &[TokenTree]) -> Option<&[TokenTree]> {
    let is = |tree: &TokenTree, expected: char| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == expected);
    let [first, second, open, rest @ ..] = after_name else {
        return None;
    };
    if !(is(first, ':') && is(second, ':') && is(open, '<')) {
        return None;
    }
    let end = rest.iter().position(|tree| is(tree, '>'))?;
    Some(&rest[..end])
}

fn arguments(tree: &TokenTree) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn calls_know_their_owner_also_along_a_chain() {
        let found: Vec<_> = calls(&quote!(
            with([wasabi::Timeout::new(2s)], Http::post("a").timeout(0s)),
            key.len(),
            CloseCode::new::<4000>()
        ))
        .into_iter()
        .map(|call| {
            let generics: TokenStream = call.generics.into_iter().collect();
            format!(
                "{:?} {} {} {generics}",
                call.owner, call.name, call.is_method
            )
        })
        .collect();
        assert_eq!(
            found,
            [
                r#"Some("Timeout") new false "#,
                r#"Some("Http") post false "#,
                r#"Some("Http") timeout true "#,
                "None len true ",
                r#"Some("CloseCode") new false 4000"#,
            ]
        );
    }
}

//! Tokens as short text for people.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The tokens roughly as a person would type them, cut if they are long.
pub(crate) fn text(tokens: &TokenStream) -> String {
    const LONGEST: usize = 80;
    let mut out = String::new();
    write_text(tokens, &mut out);
    if out.chars().count() > LONGEST {
        out = out.chars().take(LONGEST - 2).chain("..".chars()).collect();
    }
    out
}

fn write_text(tokens: &TokenStream, out: &mut String) {
    let mut previous: Option<TokenTree> = None;
    for tree in tokens.clone() {
        if previous
            .as_ref()
            .is_some_and(|previous| spaced(previous, &tree))
        {
            out.push(' ');
        }
        match &tree {
            TokenTree::Group(group) => match group.delimiter() {
                Delimiter::Parenthesis => wrapped(group, '(', ')', out),
                Delimiter::Bracket => wrapped(group, '[', ']', out),
                Delimiter::Brace => out.push_str("{..}"),
                Delimiter::None => write_text(&group.stream(), out),
            },
            other => out.push_str(&other.to_string()),
        }
        previous = Some(tree);
    }
}

fn wrapped(group: &Group, open: char, close: char, out: &mut String) {
    out.push(open);
    write_text(&group.stream(), out);
    out.push(close);
}

fn spaced(previous: &TokenTree, next: &TokenTree) -> bool {
    let is_word = |tree: &TokenTree| matches!(tree, TokenTree::Ident(_) | TokenTree::Literal(_));
    let is_operator = |tree: &TokenTree| matches!(tree, TokenTree::Punct(punct) if "|=+*/<>".contains(punct.as_char()));
    match (previous, next) {
        (TokenTree::Punct(punct), _) if matches!(punct.as_char(), ',' | ';') => true,
        (TokenTree::Punct(a), TokenTree::Punct(b))
            if is_operator(previous) && is_operator(next) =>
        {
            a.spacing() == proc_macro2::Spacing::Alone && b.as_char() != '>'
        }
        (_, TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => true,
        _ if is_word(previous) && is_word(next) => true,
        _ => {
            (is_operator(previous) && matches!(next, TokenTree::Literal(_) | TokenTree::Ident(_)))
                || (is_operator(next)
                    && matches!(previous, TokenTree::Literal(_) | TokenTree::Ident(_)))
        }
    }
}

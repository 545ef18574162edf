//! Reads strings, lists and words from tokens.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::LitStr;

/// The string, if the tokens are a string literal and nothing else.
pub(crate) fn string(tokens: &TokenStream) -> Option<LitStr> {
    syn::parse2(tokens.clone()).ok()
}

/// The tokens between top-level commas, without a trailing empty piece.
pub(crate) fn split(tokens: &TokenStream) -> Vec<TokenStream> {
    let mut pieces = vec![TokenStream::new()];
    for tree in tokens.clone() {
        match (&tree, pieces.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => {
                pieces.push(TokenStream::new())
            }
            (_, Some(piece)) => piece.extend([tree]),
            (_, None) => {}
        }
    }
    if pieces.last().is_some_and(TokenStream::is_empty) {
        pieces.pop();
    }
    pieces
}

/// The elements, if the tokens are a list in brackets (or a reference to one) and nothing else.
pub(crate) fn elements(tokens: &TokenStream) -> Option<Vec<TokenStream>> {
    let mut trees = tokens.clone().into_iter().peekable();
    trees.next_if(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '&'));
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::Bracket => {
            Some(split(&group.stream()))
        }
        _ => None,
    }
}

/// Whether the word occurs in the tokens.
pub(crate) fn mentions(tokens: &TokenStream, word: &str) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => mentions(&group.stream(), word),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

//! The names of backends in logs and metrics.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};
use syn::LitStr;
use wasabi_rules::url_without_secrets;

use super::text::text;

/// How a value is made, without how it is set up: `Http::post("http://orders/")` of
/// `Http::post("http://orders/?key=secret").header("authorization", "secret")`. URLs lose user, password, query and
/// fragment.
pub(crate) fn label(tokens: &TokenStream) -> String {
    let mut made = TokenStream::new();
    let mut trees = tokens.clone().into_iter().peekable();
    let mut is_path = true;
    while let Some(tree) = trees.next() {
        let is_call = is_path
            && !made.is_empty()
            && matches!(&tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
        is_path &= match &tree {
            TokenTree::Ident(_) => true,
            TokenTree::Punct(punct) => "&:<>".contains(punct.as_char()),
            _ => false,
        };
        made.extend([tree]);
        // Methods called on the value only set it up.
        let is_set_up =
            matches!(trees.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '.');
        if is_call && is_set_up {
            break;
        }
    }
    text(&without_secrets(made))
}

/// The same tokens, where URLs in string literals have no user, password, query and fragment.
pub(crate) fn without_secrets(tokens: TokenStream) -> TokenStream {
    let clean = |tree| match tree {
        TokenTree::Group(group) => {
            Group::new(group.delimiter(), without_secrets(group.stream())).into()
        }
        TokenTree::Literal(literal) => {
            let string: Option<LitStr> = syn::parse2(TokenTree::from(literal.clone()).into()).ok();
            match string.map(|string| string.value()) {
                Some(url) if url.contains("://") => {
                    Literal::string(&url_without_secrets(&url)).into()
                }
                _ => literal.into(),
            }
        }
        other => other,
    };
    tokens.into_iter().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn a_backend_is_named_by_its_expression_without_secrets() {
        for (tokens, expected) in [
            (
                quote!(
                    Http::post("http://u:p@orders:80/a?api_key=k#f").header("authorization", "s")
                ),
                r#"Http::post("http://orders:80/a")"#,
            ),
            (
                quote!(WebSocket::connect(format!("wss://up/?token={}", token)).eager()),
                r#"WebSocket::connect(format!("wss://up/", token))"#,
            ),
            (quote!(Queue::over(nats).topic("x")), "Queue::over(nats)"),
            (quote!(place_order), "place_order"),
            (quote!(config.backend.clone()), "config.backend.clone()"),
            (
                quote!(Greeting("hello".into())),
                r#"Greeting("hello".into())"#,
            ),
            (quote!(Mine::new(nodes)?), "Mine::new(nodes)?"),
        ] {
            assert_eq!(label(&tokens), expected);
        }
    }
}

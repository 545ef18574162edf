//! Expressions of the user's, kept as written.

mod calls;
mod label;
mod text;

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, Lit, LitStr, Token,
    parse::{Parse, ParseStream, discouraged::Speculative},
};

use self::calls::calls_of;
pub(crate) use self::{
    calls::{Call, calls},
    label::without_secrets,
    text::text,
};

/// An expression of the user's, as written.
///
/// It need not parse: while someone types `orders.` it does not, and an editor can only complete what the expansion
/// still contains.
#[derive(Clone)]
pub(crate) struct Fragment {
    tokens: TokenStream,
    /// Where it stands, or should stand.
    span: Span,
    is_closure: bool,
}

impl Fragment {
    /// An expression if one parses, else whatever stands before the next comma.
    pub(crate) fn parse(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, <Expr as Parse>::parse, |input| input.peek(Token![,]))
    }

    /// What stands between `match` and its arms.
    pub(crate) fn parse_scrutinee(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, Expr::parse_without_eager_brace, |input| {
            input.peek(syn::token::Brace)
        })
    }

    /// What stands between `if` and `=>`.
    pub(crate) fn parse_guard(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, <Expr as Parse>::parse, |input| {
            input.peek(Token![=>])
        })
    }

    fn parse_with(
        input: ParseStream<'_>,
        parse: fn(ParseStream<'_>) -> syn::Result<Expr>,
        ends: fn(ParseStream<'_>) -> bool,
    ) -> Self {
        let span = input.span();
        if ends(input) {
            return Self::empty(span);
        }
        let ahead = input.fork();
        if let Ok(expr) = parse(&ahead) {
            input.advance_to(&ahead);
            return Self {
                is_closure: matches!(expr, Expr::Closure(_)),
                tokens: expr.into_token_stream(),
                span,
            };
        }
        let mut tokens = TokenStream::new();
        while !input.is_empty() && !ends(input) {
            let Ok(tree) = input.parse::<TokenTree>() else {
                break;
            };
            tokens.extend([tree]);
        }
        Self {
            tokens,
            span,
            is_closure: false,
        }
    }

    pub(crate) fn empty(span: Span) -> Self {
        Self {
            tokens: TokenStream::new(),
            span,
            is_closure: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(crate) fn tokens(&self) -> &TokenStream {
        &self.tokens
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The string, if this is a string literal and nothing else.
    pub(crate) fn string(&self) -> Option<LitStr> {
        string(&self.tokens)
    }

    /// The number, if this is a whole one without a unit and nothing else.
    pub(crate) fn number(&self) -> Option<String> {
        let number: syn::LitInt = syn::parse2(self.tokens.clone()).ok()?;
        number.suffix().is_empty().then(|| number.to_string())
    }

    pub(crate) fn is_closure(&self) -> bool {
        self.is_closure
    }

    /// The identifier, if this is one and nothing else.
    pub(crate) fn ident(&self) -> Option<Ident> {
        syn::parse2(self.tokens.clone()).ok()
    }

    /// The elements, if this is a list in brackets and nothing else.
    pub(crate) fn elements(&self) -> Option<Vec<TokenStream>> {
        elements(&self.tokens)
    }

    /// Short text for people: `Http::post("http://orders/")`, `|..|` for a closure.
    pub(crate) fn text(&self) -> String {
        if self.is_closure {
            return "|..|".to_owned();
        }
        text(&self.tokens)
    }

    /// Short text for logs and metrics: a backend by how it is made, without what is secret in URLs.
    pub(crate) fn label(&self) -> String {
        if self.is_closure {
            return "|..|".to_owned();
        }
        label::label(&self.tokens)
    }

    /// What the value is called: `Throttle` of `Throttle::new(100)`, `audit` of `audit`, `require` of `require(Role::Admin)`.
    pub(crate) fn name(&self) -> String {
        if self.is_closure {
            return "|..|".to_owned();
        }
        let mut segments = Vec::new();
        for tree in self.tokens.clone() {
            match tree {
                TokenTree::Ident(ident) => segments.push(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                _ => break,
            }
        }
        let is_type = |segment: &&String| segment.chars().next().is_some_and(char::is_uppercase);
        match segments.iter().rfind(is_type).or(segments.last()) {
            Some(name) => name.clone(),
            None => self.text(),
        }
    }
}

impl ToTokens for Fragment {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.tokens.clone());
    }
}

/// The string, if the tokens are a string literal and nothing else.
pub(crate) fn string(tokens: &TokenStream) -> Option<LitStr> {
    syn::parse2(tokens.clone()).ok()
}

/// Whether the tokens are a zero that can be seen: `0`, `0s`, `0.0`, `Duration::ZERO`, `Duration::from_secs(0)`.
pub(crate) fn is_zero(tokens: &TokenStream) -> bool {
    match syn::parse2::<Lit>(tokens.clone()) {
        Ok(Lit::Int(int)) => int.base10_digits() == "0",
        Ok(Lit::Float(float)) => float.base10_digits().parse() == Ok(0.0),
        Ok(_) => false,
        Err(_) => calls_of(tokens, |call| {
            call.owner.as_deref() == Some("Duration")
                && call.args.len() == 1
                && is_zero(&call.args[0])
        })
        .unwrap_or_else(|| text(tokens).ends_with("Duration::ZERO")),
    }
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

#[cfg(test)]
mod tests {
    use quote::quote;
    use syn::parse::Parser;

    use super::*;

    fn fragment(tokens: TokenStream) -> Fragment {
        let parse = |input: ParseStream<'_>| Ok(Fragment::parse(input));
        parse.parse2(tokens).unwrap()
    }

    #[test]
    fn text_reads_as_typed() {
        let tidy = |tokens| fragment(tokens).text();
        assert_eq!(
            tidy(quote!(Http::post("http://a/").timeout(2s))),
            r#"Http::post("http://a/").timeout(2s)"#
        );
        assert_eq!(tidy(quote!(async |Json(a): Json<u8>| a)), "|..|");
        assert_eq!(text(&quote!("quote" | "ticks")), r#""quote" | "ticks""#);
        assert_eq!(
            text(&quote!(key if key.starts_with("legacy."))),
            r#"key if key.starts_with("legacy.")"#
        );
        assert_eq!(text(&quote!(Ok(Action::Buy))), "Ok(Action::Buy)");
        assert_eq!(text(&quote!(Order { id, .. })), "Order {..}");
    }

    #[test]
    fn names_are_types_or_functions() {
        let name = |tokens| fragment(tokens).name();
        assert_eq!(name(quote!(Throttle::new(100))), "Throttle");
        assert_eq!(name(quote!(audit)), "audit");
        assert_eq!(name(quote!(auth::require(Role::Admin))), "require");
        assert_eq!(
            name(quote!(tower_http::trace::TraceLayer::new_for_http())),
            "TraceLayer"
        );
    }

    #[test]
    fn zeros_are_seen() {
        for zero in [
            quote!(0),
            quote!(0s),
            quote!(0u32),
            quote!(0.0),
            quote!(0KiB),
            quote!(Duration::ZERO),
            quote!(std::time::Duration::from_millis(0)),
        ] {
            assert!(is_zero(&zero), "{zero}");
        }
        for other in [
            quote!(1),
            quote!(10),
            quote!(0.5),
            quote!(zero),
            quote!(Duration::from_millis(10)),
            quote!("0"),
        ] {
            assert!(!is_zero(&other), "{other}");
        }
    }
}

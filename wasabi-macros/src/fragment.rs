//! The user's expressions, kept as written.

mod calls;
mod label;
mod text;
mod tokens;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, ExprClosure, LitStr, Pat, Token,
    parse::{Parse, ParseStream, discouraged::Speculative},
};

pub(crate) use self::{
    calls::{Call, calls},
    label::without_secrets,
    text::text,
    tokens::{elements, mentions, string},
};

/// An expression as the user wrote it.
///
/// It need not parse. While somebody types `orders.`, the editor can complete only what the expansion still contains.
#[derive(Clone)]
pub(crate) struct Fragment {
    tokens: TokenStream,
    /// The place of the expression, or where one is missing.
    span: Span,
    is_closure: bool,
}

impl Fragment {
    /// Reads an expression, or everything up to the next comma if none parses.
    pub(crate) fn parse(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, <Expr as Parse>::parse, |input| input.peek(Token![,]))
    }

    /// Reads the part between `match` and its arms.
    pub(crate) fn parse_scrutinee(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, Expr::parse_without_eager_brace, |input| {
            input.peek(syn::token::Brace)
        })
    }

    /// Reads the part between `if` and `=>`.
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

    /// These tokens in place of what was written.
    pub(crate) fn instead(&self, tokens: TokenStream) -> Self {
        Self {
            tokens,
            span: self.span,
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

    /// The tokens, with an error in place of a `.` at the end. What is before it stays at its place: the editor completes by
    /// its type. The error is an index, so that all of it has no type and the compiler reports nothing else.
    pub(crate) fn finished(&self) -> TokenStream {
        let mut tokens: Vec<_> = self.tokens.clone().into_iter().collect();
        match tokens.pop() {
            Some(TokenTree::Punct(dot)) if dot.as_char() == '.' && !self.parses() => {
                let error = syn::Error::new(dot.span(), "expected a name after `.`");
                let error = Group::new(Delimiter::Bracket, error.to_compile_error());
                tokens.push(error.into());
                tokens.into_iter().collect()
            }
            _ => self.tokens.clone(),
        }
    }

    /// `1..` does, `orders.` does not.
    fn parses(&self) -> bool {
        syn::parse2::<Expr>(self.tokens.clone()).is_ok()
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

    /// Whether it is a closure with an argument that has no type.
    pub(crate) fn has_untyped_argument(&self) -> bool {
        let closure = syn::parse2::<ExprClosure>(self.tokens.clone());
        closure.is_ok_and(|closure| {
            let is_typed = |argument: &Pat| matches!(argument, Pat::Type(_));
            !closure.inputs.iter().all(is_typed)
        })
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

    /// Short text for logs and metrics: how the backend is made, without secrets of URLs.
    pub(crate) fn label(&self) -> String {
        if self.is_closure {
            return "|..|".to_owned();
        }
        label::label(&self.tokens)
    }

    /// The name of the value: `Throttle` of `Throttle::new(100)`, `audit` of `audit`, `require` of `require(Role::Admin)`.
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
}

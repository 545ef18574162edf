//! Expressions of the user's, kept as written.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, Lit, LitStr, Token,
    parse::{ParseStream, discouraged::Speculative},
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
        Self::parse_with(input, Expr::parse_or_fail, |input| input.peek(Token![,]))
    }

    /// What stands between `match` and its arms.
    pub(crate) fn parse_scrutinee(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, Expr::parse_without_eager_brace, |input| {
            input.peek(syn::token::Brace)
        })
    }

    /// What stands between `if` and `=>`.
    pub(crate) fn parse_guard(input: ParseStream<'_>) -> Self {
        Self::parse_with(input, Expr::parse_or_fail, |input| input.peek(Token![=>]))
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

trait ParseOrFail: Sized {
    fn parse_or_fail(input: ParseStream<'_>) -> syn::Result<Self>;
}

impl ParseOrFail for Expr {
    fn parse_or_fail(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse()
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

/// A call as it can be recognised by its tokens: `Owner::name(args)`, or `.name(args)` somewhere behind one.
pub(crate) struct Call {
    /// `Http` of `Http::post(..)`, and of the methods called on its result.
    pub(crate) owner: Option<String>,
    pub(crate) name: Ident,
    pub(crate) is_method: bool,
    pub(crate) args: Vec<TokenStream>,
    pub(crate) span: Span,
}

/// Every call in the tokens, at any depth, in the order of the text.
pub(crate) fn calls(tokens: &TokenStream) -> Vec<Call> {
    let mut found = Vec::new();
    collect_calls(tokens, &mut found);
    found
}

fn calls_of(tokens: &TokenStream, is: impl Fn(&Call) -> bool) -> Option<bool> {
    calls(tokens).first().map(is)
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
                let Some(args) = trees.get(at + 1).and_then(arguments) else {
                    continue;
                };
                if is_method || owner.is_some() {
                    found.push(Call {
                        span: owner.as_ref().map_or(name.span(), |(_, span)| *span),
                        owner: owner.as_ref().map(|(owner, _)| owner.clone()),
                        name: name.clone(),
                        is_method,
                        args: split(&args.stream()),
                    });
                }
            }
        }
    }
}

fn arguments(tree: &TokenTree) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Some(group),
        _ => None,
    }
}

/// The tokens as a person would have typed them, roughly; long ones are cut.
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
    fn calls_know_their_owner_also_along_a_chain() {
        let found: Vec<_> = calls(&quote!(
            with([wasabi::Timeout::new(2s)], Http::post("a").timeout(0s)),
            key.len()
        ))
        .into_iter()
        .map(|call| format!("{:?} {} {}", call.owner, call.name, call.is_method))
        .collect();
        assert_eq!(
            found,
            [
                r#"Some("Timeout") new false"#,
                r#"Some("Http") post false"#,
                r#"Some("Http") timeout true"#,
                "None len true",
            ]
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

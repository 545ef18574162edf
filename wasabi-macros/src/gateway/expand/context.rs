//! The context of an expansion, which emits the user's expressions.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Path;

use crate::{fragment::Fragment, krate, units};

pub(super) struct Context {
    /// The path to the private items of the runtime crate.
    pub(super) p: TokenStream,
    pub(super) scope: Ident,
    pub(super) gateway: Ident,
    /// Whether routes say what they take and answer.
    pub(super) has_schema: bool,
    /// Whether the user set that path.
    is_renamed: bool,
    /// Whether the declaration has mistakes.
    pub(super) is_mistaken: bool,
}

/// A name that the user's code can neither see nor shadow. The underscores are for structs and constants of the user's:
/// as a pattern, a name would mean those.
pub(super) fn local(name: &str) -> Ident {
    Ident::new(&format!("__{name}"), Span::mixed_site())
}

/// `R0, R1, ..` and `r0, r1, ..`.
pub(super) fn numbered(letter: char, count: usize) -> (Vec<Ident>, Vec<Ident>) {
    let upper = letter.to_ascii_uppercase();
    (0..count)
        .map(|i| (format_ident!("{upper}{i}"), format_ident!("{letter}{i}")))
        .unzip()
}

/// The patterns of `count` numbers, the last of which takes the rest: `0, 1, _`.
pub(super) fn number_patterns(count: usize) -> impl Iterator<Item = TokenStream> {
    (1..=count).map(move |next| match next == count {
        true => quote!(_),
        false => number(next - 1),
    })
}

pub(super) fn number(i: usize) -> TokenStream {
    proc_macro2::Literal::usize_unsuffixed(i).to_token_stream()
}

impl Context {
    pub(super) fn new(krate: Option<&Path>, has_schema: bool, is_mistaken: bool) -> Self {
        Self {
            p: krate::private(krate),
            scope: local("scope"),
            gateway: local("gateway"),
            has_schema,
            is_renamed: krate.is_some(),
            is_mistaken,
        }
    }

    pub(super) fn emit(&self, fragment: &Fragment) -> TokenStream {
        units::rewrite(&fragment.finished(), &self.p)
    }

    /// Passes the user's expression through a function whose bound it must meet. The call has the span of the whole
    /// expression, so that the compiler underlines all of it.
    pub(super) fn checked(&self, function: &str, fragment: &Fragment) -> TokenStream {
        self.checked_as(function, self.emit(fragment), fragment)
    }

    /// The same for a value made from the user's expression.
    pub(super) fn checked_as(
        &self,
        function: &str,
        value: TokenStream,
        fragment: &Fragment,
    ) -> TokenStream {
        let scope = &self.scope;
        let into = into(function).map(|item| {
            let item = self.required(item, fragment);
            quote!(, #item)
        });
        self.call(function, quote!(&#scope, #value #into), fragment)
    }

    /// The same for the state, which is evaluated before the scope exists.
    pub(super) fn checked_state(&self, state: &Fragment) -> TokenStream {
        self.call("state", self.emit(state), state)
    }

    /// The path to the private items, in the user's place.
    pub(super) fn p_at(&self, span: Span) -> TokenStream {
        let place = |mut tree: TokenTree| {
            tree.set_span(match self.is_renamed {
                true => tree.span().located_at(span),
                false => span,
            });
            tree
        };
        self.p.clone().into_iter().map(place).collect()
    }

    fn call(&self, function: &str, arguments: TokenStream, fragment: &Fragment) -> TokenStream {
        let span = fragment.span();
        let p = self.p_at(span);
        let function = Ident::new(function, span);
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(last_span(fragment));
        let met = REQUIRED.iter().find(|(name, _)| function == name);
        let met = met.map(|(_, items)| items.iter().map(|&item| self.required(item, fragment)));
        let met = match met.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            [one] => one.clone(),
            several => quote!((#(#several),*)),
        };
        quote_spanned!(span=> #p::#function #arguments.checked(#met))
    }

    /// The item of a trait that the user's expression, or what is known of it, must implement. It has the span of the
    /// whole expression too: there the compiler reports that the trait is not implemented.
    fn required(&self, [of, item]: Item, fragment: &Fragment) -> TokenStream {
        let span = fragment.span();
        let p = self.p_at(span);
        let (of, item) = (Ident::new(of, span), Ident::new(item, last_span(fragment)));
        quote_spanned!(span=> #p::#of::#item)
    }
}

/// The last place of the user's expression.
fn last_span(fragment: &Fragment) -> Span {
    let last = fragment.tokens().clone().into_iter().last();
    last.map_or(fragment.span(), |last| last.span())
}

/// A trait, and an item of it.
type Item = [&'static str; 2];

/// What each kind of expression is required to have, as the functions of the runtime crate take it.
const REQUIRED: &[(&str, &[Item])] = &[
    ("state", &[["GatewayState", "MET"]]),
    (
        "backend",
        &[
            ["AllTaken", "MET"],
            ["AllTaken", "MET"],
            ["IsTarget", "MET"],
        ],
    ),
    ("routes", &[["RouteSet", "MET"]]),
    (
        "middleware",
        &[
            ["AllTaken", "MET"],
            ["AllTaken", "MET"],
            ["RequestMiddleware", "MET"],
        ],
    ),
    ("http", &[["HttpMiddleware", "check"]]),
    ("parser", &[["Parser", "errors"]]),
    ("protocol", &[["Protocol", "check"]]),
    ("on_connect", &[["ConnectHook", "MET"]]),
    ("on_disconnect", &[["DisconnectHook", "MET"]]),
];

/// What makes the value of the user's expression, if not the expression alone.
fn into(function: &str) -> Option<Item> {
    let of = match function {
        "backend" => "IntoBackend",
        "on_connect" => "IntoOnConnect",
        "on_disconnect" => "IntoOnDisconnect",
        _ => return None,
    };
    Some([of, "in_scope"])
}

//! `#[backend]`: the function as it is, and checks beside it.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, GenericParam, ItemFn, Path, ReturnType, Token, Type,
    parse::{ParseStream, Parser},
    parse_quote_spanned,
    spanned::Spanned,
};

use crate::diagnostics::Diagnostics;

const MOST_ARGUMENTS: usize = 10;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = Options::parse(options, &mut diagnostics);
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            diagnostics.error(first(&item), "`#[backend]` stands on an `async fn`");
            return quote!(#diagnostics #item);
        }
    };
    let checks = checks(&function, &options, &mut diagnostics);
    quote! {
        #diagnostics
        #item
        #checks
    }
}

/// The token that stands for an item where it cannot be read.
fn first(item: &TokenStream) -> Option<TokenTree> {
    item.clone().into_iter().next()
}

/// `#[backend(state = AppState, crate = path)]`.
#[derive(Default)]
struct Options {
    /// The state of the gateways that the function is for; extractors are checked against it.
    state: Option<Type>,
    krate: Option<Path>,
}

impl Options {
    fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut options = Self::default();
        let parse = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if input.parse::<Option<Token![crate]>>()?.is_some() {
                    input.parse::<Token![=]>()?;
                    options.krate = Some(input.call(Path::parse_mod_style)?);
                } else {
                    let name: Ident = input.parse()?;
                    if name != "state" {
                        let message = format!(
                            "there is no option `{name}`; these are: `state = Type`, `crate = path`"
                        );
                        return Err(syn::Error::new(name.span(), message));
                    }
                    input.parse::<Token![=]>()?;
                    options.state = Some(input.parse()?);
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parse.parse2(tokens) {
            diagnostics.push(error);
        }
        options
    }
}

fn checks(function: &ItemFn, options: &Options, diagnostics: &mut Diagnostics) -> TokenStream {
    let signature = &function.sig;
    let name = &signature.ident;
    let mut types = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => diagnostics.error(
                receiver,
                "a backend function takes no `self`; take what it needs as `State<T>`, or implement `Backend`",
            ),
            FnArg::Typed(argument) => types.push(&argument.ty),
        }
    }
    if signature.asyncness.is_none() {
        diagnostics.error(
            signature.fn_token,
            "a backend function is `async`: write `async fn`",
        );
    }
    if let Some(argument) = types.get(MOST_ARGUMENTS) {
        let message = format!(
            "a backend function takes {MOST_ARGUMENTS} arguments at most; take the `Request` for more"
        );
        diagnostics.error(argument, message);
    }
    if diagnostics.has_errors() || is_generic(function) {
        return TokenStream::new();
    }

    let p = match &options.krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::wasabi::__private),
    };
    let state = options
        .state
        .as_ref()
        .map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let extractors = types
        .iter()
        // What the state provides is known where the gateway is declared.
        .filter(|ty| options.state.is_some() || !mentions_state(ty))
        .map(|ty| quote_spanned!(ty.span()=> #p::check_extractor::<#state, #ty>();));
    let arguments: Vec<Ident> = (0..types.len())
        .map(|i| format_ident!("a{i}", span = Span::mixed_site()))
        .collect();
    let future = quote_spanned!(name.span()=> #p::check_send(#name(#(#arguments),*)));
    let reply = match &signature.output {
        ReturnType::Default => quote!(),
        ReturnType::Type(_, ty) if mentions(ty, "impl") => {
            let future = quote_spanned!(ty.span()=> future);
            quote_spanned!(ty.span()=> #p::check_output(#future);)
        }
        ReturnType::Type(_, ty) => quote_spanned!(ty.span()=> #p::check_reply::<#ty>();),
    };
    let cfg = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"));
    let allow: Attribute = parse_quote_spanned!(Span::mixed_site()=> #[allow(dead_code, unreachable_code, deprecated)]);
    quote! {
        #(#cfg)*
        #allow
        const _: () = {
            fn check(#(#arguments: #types),*) {
                #(#extractors)*
                let future = #future;
                #reply
            }
        };
    }
}

/// Whether the types in the signature are known here.
fn is_generic(function: &ItemFn) -> bool {
    let generics = &function.sig.generics;
    let is_lifetime = |parameter: &GenericParam| matches!(parameter, GenericParam::Lifetime(_));
    let has_impl = |argument: &FnArg| matches!(argument, FnArg::Typed(argument) if mentions(&argument.ty, "impl"));
    !generics.params.iter().all(is_lifetime) || function.sig.inputs.iter().any(has_impl)
}

fn mentions_state(ty: &Type) -> bool {
    mentions(ty, "State")
}

/// Whether the word occurs in the tokens.
pub(crate) fn mentions(tokens: &impl ToTokens, word: &str) -> bool {
    fn find(tokens: TokenStream, word: &str) -> bool {
        tokens.into_iter().any(|tree| match tree {
            TokenTree::Ident(ident) => ident == word,
            TokenTree::Group(group) => find(group.stream(), word),
            TokenTree::Punct(_) | TokenTree::Literal(_) => false,
        })
    }
    find(tokens.to_token_stream(), word)
}

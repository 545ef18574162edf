//! `#[backend]` keeps the function as it is and adds checks.

mod told;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Attribute, FnArg, GenericParam, ItemFn, Path, ReturnType, Signature, Token, Type,
    parse::ParseStream, parse_quote_spanned, spanned::Spanned,
};

use crate::{
    attribute,
    diagnostics::Diagnostics,
    extractor::{OWNED, borrows},
    fragment::mentions,
    krate,
};

const MOST_ARGUMENTS: usize = 10;

/// `has_schema`: whether the function's future tells what is known of the function. The rest is the same, token for token.
pub(crate) fn expand(options: TokenStream, item: TokenStream, has_schema: bool) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = Options::parse(options, &mut diagnostics);
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            diagnostics.error(attribute::first(&item), "`#[backend]` needs an `async fn`");
            return quote!(#diagnostics #item);
        }
    };
    let p = krate::private(options.krate.as_ref());
    let Some(types) = arguments(&function.sig, &mut diagnostics) else {
        let stand_in = stand_in(&function, &item, &p);
        return quote!(#diagnostics #stand_in);
    };
    let types = Some(types).filter(|_| !is_generic(&function.sig));
    let checks = types
        .as_ref()
        .map(|types| checks(&function, types, &options));
    let told = match (types, has_schema) {
        (Some(types), true) => told::told(&function, &types, &p),
        _ => None,
    };
    let item = told.unwrap_or(item);
    quote! {
        #diagnostics
        #item
        #checks
    }
}

/// Replaces a function whose mistakes have been reported, so that its route does not report them again. The function
/// itself stays where nothing uses it: editors complete in it, and the compiler checks it.
fn stand_in(function: &ItemFn, item: &TokenStream, p: &TokenStream) -> TokenStream {
    if function.sig.receiver().is_some() {
        return item.clone(); // A method, which no route can name.
    }
    let (vis, name) = (&function.vis, &function.sig.ident);
    let cfg = cfg(function);
    quote! {
        #(#cfg)*
        #[allow(unused)]
        const _: () = { #item };
        #(#cfg)*
        #[allow(unused)]
        #vis async fn #name() -> #p::Result<#p::Reply, #p::Error> {
            #p::Result::Ok(#p::Reply::none())
        }
    }
}

fn cfg(function: &ItemFn) -> Vec<&Attribute> {
    let attrs = function.attrs.iter();
    attrs.filter(|attr| attr.path().is_ident("cfg")).collect()
}

/// `#[backend(state = AppState, crate = path)]`.
struct Options {
    /// The state of the gateways that use the function. Extractors are checked against it.
    state: Option<Type>,
    krate: Option<Path>,
}

impl Options {
    fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut state = None;
        let option = |name: &Ident, input: ParseStream<'_>| {
            if name != "state" {
                return Err(attribute::unknown(name, "`state = Type`, `crate = path`"));
            }
            input.parse::<Token![=]>()?;
            state = Some(input.parse()?);
            Ok(())
        };
        let krate = attribute::options(tokens, option, diagnostics);
        Self { state, krate }
    }
}

/// The types of the arguments, if the signature has no mistakes.
fn arguments<'a>(signature: &'a Signature, diagnostics: &mut Diagnostics) -> Option<Vec<&'a Type>> {
    let mut types = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Receiver(receiver) => diagnostics.error(
                receiver,
                "a backend function takes no `self`; take what it needs as `State<T>`, or implement `Backend`",
            ),
            FnArg::Typed(argument) => types.push(&*argument.ty),
        }
    }
    for ty in types.iter().filter(|ty| borrows(ty)) {
        diagnostics.error(ty, OWNED);
    }
    if signature.asyncness.is_none() {
        diagnostics.error(
            signature.fn_token,
            "a backend function must be `async`: write `async fn`",
        );
    }
    if let Some(argument) = types.get(MOST_ARGUMENTS) {
        let message = format!(
            "a backend function takes {MOST_ARGUMENTS} arguments at most; take the `Request` for more"
        );
        diagnostics.error(argument, message);
    }
    (!diagnostics.has_errors()).then_some(types)
}

/// Requires the traits of each type in the signature, with the span of the type.
fn checks(function: &ItemFn, types: &[&Type], options: &Options) -> TokenStream {
    let signature = &function.sig;
    let name = &signature.ident;
    let p = krate::private(options.krate.as_ref());
    let state = options
        .state
        .as_ref()
        .map_or_else(|| quote!(()), ToTokens::to_token_stream);
    let extractors = types
        .iter()
        // Only the gateway's declaration knows what its state provides.
        .filter(|ty| options.state.is_some() || !has_word(ty, "State"))
        .map(|ty| quote_spanned!(ty.span()=> #p::check_extractor::<#state, #ty>();));
    let arguments: Vec<Ident> = (0..types.len())
        .map(|i| format_ident!("a{i}", span = Span::mixed_site()))
        .collect();
    let future = quote_spanned!(name.span()=> #p::check_send(#name(#(#arguments),*)));
    let reply = match &signature.output {
        ReturnType::Default => quote!(),
        ReturnType::Type(_, ty) if has_word(ty, "impl") => {
            let future = quote_spanned!(ty.span()=> future);
            quote_spanned!(ty.span()=> #p::check_output(#future);)
        }
        ReturnType::Type(_, ty) => quote_spanned!(ty.span()=> #p::check_reply::<#ty>();),
    };
    let cfg = cfg(function);
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

/// Whether the signature has types that are unknown here.
fn is_generic(signature: &Signature) -> bool {
    let is_lifetime = |parameter: &GenericParam| matches!(parameter, GenericParam::Lifetime(_));
    let has_impl = |argument: &FnArg| matches!(argument, FnArg::Typed(argument) if has_word(&argument.ty, "impl"));
    !signature.generics.params.iter().all(is_lifetime) || signature.inputs.iter().any(has_impl)
}

fn has_word(ty: &Type, word: &str) -> bool {
    mentions(&ty.to_token_stream(), word)
}

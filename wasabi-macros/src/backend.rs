//! `#[backend]` checks the signature of a function, in a function around it.

mod around;
mod told;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Attribute, FnArg, ItemFn, Path, Signature, Token, Type, TypeReference, parse::ParseStream,
};

use crate::{
    attribute,
    diagnostics::Diagnostics,
    extractor::{OWNED, borrows},
    fragment::mentions,
    krate,
};

const MOST_ARGUMENTS: usize = 10;

/// `has_schema`: whether the function's future also tells what is known of the function.
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
    let Some(types) = arguments(&function.sig, &mut diagnostics) else {
        let p = krate::private(options.krate.as_ref());
        let stand_in = stand_in(&function, &item, &p);
        return quote!(#diagnostics #stand_in);
    };
    let item = around::around(&function, &types, &options, has_schema).unwrap_or(item);
    quote!(#diagnostics #item)
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
    for ty in types.iter().filter(|ty| is_reference(ty)) {
        diagnostics.error(
            ty,
            "a backend function takes no references: a request is read into values that own their data, such as `Text` and `Json<T>`",
        );
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

fn is_reference(ty: &Type) -> bool {
    match ty {
        Type::Reference(TypeReference { lifetime, .. }) => {
            lifetime.as_ref().is_none_or(|name| name.ident != "static")
        }
        _ => false,
    }
}

fn has_word(ty: &Type, word: &str) -> bool {
    mentions(&ty.to_token_stream(), word)
}

//! `#[middleware]` and `#[middleware(http)]` turn a function into a struct of its name.

mod made;
mod signature;
mod with_state;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{ItemFn, Path, Token, Type, parse::ParseStream};

use self::{
    made::{Attrs, Made},
    signature::{Around, amend, arguments},
};
use crate::{attribute, diagnostics::Diagnostics, krate};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let Options {
        around,
        state,
        krate,
    } = Options::parse(options, &mut diagnostics);
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            diagnostics.error(attribute::first(&item), around.expected());
            return quote!(#diagnostics #item);
        }
    };
    let p = krate::private(krate.as_ref());
    amend(&mut function, around, &p, &mut diagnostics);
    let Some(arguments) = arguments(&mut function.sig, around, &mut diagnostics) else {
        return quote!(#diagnostics #[allow(unused)] #item);
    };
    // A missing `async` is reported already; the rest is checked as if it were there.
    function.sig.asyncness.get_or_insert_with(Default::default);
    let made = Made {
        p,
        attrs: Attrs::of(&function),
        function,
        arguments,
        state,
        around,
    };
    let made = match around {
        Around::Handshake => made.http(),
        Around::Message if made.uses_state() => made.request_with_state(),
        Around::Message => made.request(),
    };
    quote!(#diagnostics #made)
}

/// `#[middleware(http, state = AppState, crate = path)]`.
struct Options {
    around: Around,
    /// The state of the gateways that use the middleware. Extractors are checked against it.
    state: Option<Type>,
    krate: Option<Path>,
}

impl Options {
    fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let (mut around, mut state, mut place) = (Around::default(), None, None);
        let option = |name: &Ident, input: ParseStream<'_>| {
            match name.to_string().as_str() {
                "http" => around = Around::Handshake,
                "state" => {
                    input.parse::<Token![=]>()?;
                    state = Some(input.parse()?);
                    place = Some(name.clone());
                }
                _ => {
                    return Err(attribute::unknown(
                        name,
                        "`http`, `state = Type`, `crate = path`",
                    ));
                }
            }
            Ok(())
        };
        let krate = attribute::options(tokens, option, diagnostics);
        if let (Around::Handshake, Some(name)) = (around, place) {
            diagnostics.error(name, "HTTP middleware does not see the state");
        }
        Self {
            around,
            state,
            krate,
        }
    }
}

//! `#[middleware]` and `#[middleware(http)]` turn a function into a struct of its name.

mod made;
mod signature;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{ItemFn, Path, parse::ParseStream};

use self::{
    made::{Attrs, Made},
    signature::{Around, amend, fields},
};
use crate::{attribute, diagnostics::Diagnostics, krate};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let Options { around, krate } = Options::parse(options, &mut diagnostics);
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            diagnostics.error(attribute::first(&item), around.expected());
            return quote!(#diagnostics #item);
        }
    };
    let p = krate::private(krate.as_ref());
    amend(&mut function, around, &p, &mut diagnostics);
    let Some(fields) = fields(&function.sig, around, &mut diagnostics) else {
        return quote!(#diagnostics #[allow(unused)] #item);
    };
    // A missing `async` is reported already; the rest is checked as if it were there.
    function.sig.asyncness.get_or_insert_with(Default::default);
    let made = Made {
        p,
        attrs: Attrs::of(&function),
        function,
        fields,
        shared: matches!(around, Around::Message),
    };
    let made = match around {
        Around::Handshake => made.http(),
        Around::Message => made.request(),
    };
    quote!(#diagnostics #made)
}

/// `#[middleware(http, crate = path)]`.
struct Options {
    around: Around,
    krate: Option<Path>,
}

impl Options {
    fn parse(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Self {
        let mut around = Around::default();
        let option = |name: &Ident, _: ParseStream<'_>| {
            if name != "http" {
                return Err(attribute::unknown(name, "`http`, `crate = path`"));
            }
            around = Around::Handshake;
            Ok(())
        };
        let krate = attribute::options(tokens, option, diagnostics);
        Self { around, krate }
    }
}

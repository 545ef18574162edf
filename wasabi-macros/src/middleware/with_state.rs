//! The middleware that a function with extractors becomes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Type, spanned::Spanned};

use super::made::{Made, Parts};
use crate::{
    extractor::{self, pairs},
    fragment::mentions,
};

/// The type parameter for the state.
fn any_state() -> Ident {
    Ident::new("__AnyState", Span::mixed_site())
}

fn state() -> Ident {
    Ident::new("state", Span::mixed_site())
}

impl Made {
    /// A middleware around each message whose function takes extractors.
    pub(super) fn request_with_state(&self) -> TokenStream {
        let (p, any, state) = (&self.p, any_state(), state());
        let (name, vis) = (&self.function.sig.ident, &self.function.vis);
        let cfg = &self.attrs.cfg;
        let Parts {
            definition,
            inner,
            call,
            returned,
        } = self.parts();
        let types: Vec<&Type> = self.extracted().map(|(_, ty)| ty).collect();
        let checks = self.checks(&types);
        let [req, next] = self.last_arguments();
        let taken = self.extracted().map(|(name, ty)| self.taken(name, ty));
        quote! {
            #definition
            #checks
            #(#cfg)*
            impl #name {
                /// Puts this middleware around a backend that is not declared in `gateway!`.
                #[allow(dead_code)]
                #vis fn around<B>(self, backend: B) -> #p::Stack<Self, B> {
                    #p::Stack::new(self, backend)
                }
            }
            #(#cfg)*
            impl<#any: #p::Sync> #p::MiddlewareFor<#any> for #name
            where
                #(#types: #p::FromRequest<#any> + #p::Send,)*
            {
                fn handle_with(&self, #req: #p::Request, #state: &#any, #next: impl #p::Next) -> #returned {
                    #inner
                    async move {
                        #(#taken)*
                        #call.await
                    }
                }
                fn path_types(&self) -> #p::Vec<#p::PathType> {
                    #p::path_types::<Self, _>([#(<#types as #p::FromRequest<#any>>::path_type()),*])
                }
            }
        }
    }

    /// Checks the extractors here, except those that only the gateway's state decides about. `gateway!` reports the
    /// latter, so that each mistake is reported once.
    fn checks(&self, types: &[&Type]) -> TokenStream {
        let (p, name, cfg) = (&self.p, &self.function.sig.ident, &self.attrs.cfg);
        let (of_state, checked): (Vec<&Type>, Vec<&Type>) = types
            .iter()
            .partition(|ty| self.state.is_none() && mentions(&ty.to_token_stream(), "State"));
        let (state, seen, left) = match &self.state {
            Some(state) => (
                state.to_token_stream(),
                quote!(()),
                quote!(#p::OnlyFor<#state>),
            ),
            None => (quote!(()), pairs(&checked), pairs(&of_state)),
        };
        let checks = checked.iter().map(|ty| extractor::required(&state, ty, p));
        quote! {
            #(#cfg)*
            #[allow(dead_code)]
            const _: () = {
                fn check() {
                    #(#checks)*
                }
            };
            #(#cfg)*
            impl #p::TakesExtractors for #name {
                type Seen = #seen;
                type Left = #left;
            }
        }
    }

    /// Takes an argument from the request.
    fn taken(&self, mut name: Ident, ty: &Type) -> TokenStream {
        let (p, any, place) = (&self.p, any_state(), ty.span());
        let [mut req, _] = self.last_arguments();
        let mut state = state();
        for ident in [&mut req, &mut state, &mut name] {
            ident.set_span(ident.span().located_at(place));
        }
        quote_spanned! {place=>
            let #name = match <#ty as #p::FromRequest<#any>>::from_request(&#req, #state).await {
                #p::Result::Ok(value) => value,
                #p::Result::Err(error) => return #p::Result::Err(#p::unmet(#req, error)),
            };
        }
    }
}

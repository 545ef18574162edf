//! `balance([(weight, target), ..])`: a struct with a field for each node, and the balancer that picks one.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};

use super::{Expansion, numbered};
use crate::gateway::{ast::Node, validate::is_no_weight};

impl Expansion<'_> {
    pub(super) fn balance(&self, nodes: &[Node]) -> TokenStream {
        let p = &self.p;
        let Some(last) = nodes.len().checked_sub(1) else {
            return quote!(#p::Absent);
        };
        let (types, fields) = numbered('n', nodes.len());
        let calls = fields.iter().enumerate().map(|(i, field)| {
            let number = match i {
                _ if i == last => quote!(_),
                _ => proc_macro2::Literal::usize_unsuffixed(i).to_token_stream(),
            };
            quote!(#number => #p::Backend::call(&self.#field, req, state).await,)
        });
        let weights =
            nodes.iter().map(
                |node| match is_no_weight(&node.weight) || node.weight.is_empty() {
                    // Reported already.
                    true => quote!(1),
                    false => {
                        let weight = self.emit(&node.weight);
                        quote_spanned!(node.weight.span()=> #weight)
                    }
                },
            );
        let checks = nodes.iter().map(|node| match &node.check {
            Some(check) => {
                let emitted = self.emit(check);
                quote_spanned!(check.span()=> #p::Some::<#p::HealthCheck>(#emitted))
            }
            None => quote!(#p::None),
        });
        let checked = nodes
            .iter()
            .any(|node| node.check.is_some())
            .then(|| quote!(.checked([#(#checks),*])));
        let numbers = (0..nodes.len()).map(proc_macro2::Literal::usize_unsuffixed);
        let targets = nodes.iter().map(|node| self.target(&node.target, false));
        quote! {{
            struct __WasabiBalance<#(#types),*> { balancer: #p::Balancer, #(#fields: #types),* }
            impl<S, #(#types),*> #p::Backend<S> for __WasabiBalance<#(#types),*>
            where
                S: #p::Sync,
                #(#types: #p::Backend<S>,)*
            {
                async fn call(&self, req: #p::Request, state: &S) -> #p::Result<#p::Reply, #p::Error> {
                    let picked = self.balancer.pick();
                    let result = match picked.index() { #(#calls)* };
                    picked.finish(&result);
                    result
                }
                fn owes_reply(&self, req: &#p::Request) -> #p::bool {
                    #(#p::Backend::<S>::owes_reply(&self.#fields, req))||*
                }
                fn lifecycle(&self, visit: &mut dyn #p::FnMut(&dyn #p::Lifecycle)) {
                    visit(&#p::Group::new(&self.balancer, &|node, visit| match node {
                        #(#numbers => #p::Backend::<S>::lifecycle(&self.#fields, visit),)*
                        _ => {}
                    }));
                    #(#p::Backend::<S>::lifecycle(&self.#fields, visit);)*
                }
            }
            __WasabiBalance { balancer: #p::Balancer::new([#(#weights),*])#checked, #(#fields: #targets),* }
        }}
    }
}

//! `balance([(weight, target), ..])`: a struct with a field for each node, and the balancer that picks one.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{
    context::{Context, number, number_patterns, numbered},
    described,
};
use crate::gateway::ast::Node;

pub(super) fn balance(nodes: &[Node], targets: &[TokenStream], cx: &Context) -> TokenStream {
    let p = &cx.p;
    if nodes.is_empty() {
        return quote!(#p::Absent);
    }
    let (types, fields) = numbered('n', nodes.len());
    let calls = fields.iter().zip(number_patterns(nodes.len()));
    let calls = calls.map(
        |(field, number)| quote!(#number => #p::Backend::call(&self.#field, __req, __state).await,),
    );
    let numbers = (0..nodes.len()).map(number);
    let balancer = balancer(nodes, cx);
    let describes = described::balance(nodes, cx);
    quote! {{
        struct __WasabiBalance<#(#types),*> { balancer: #p::Balancer, #(#fields: #types),* }
        impl<S, #(#types),*> #p::Backend<S> for __WasabiBalance<#(#types),*>
        where
            S: #p::Sync,
            #(#types: #p::Backend<S>,)*
        {
            async fn call(&self, __req: #p::Request, __state: &S) -> #p::Result<#p::Reply, #p::Error> {
                let __picked = self.balancer.pick();
                let __result = match __picked.index() { #(#calls)* };
                __picked.finish(&__result);
                __result
            }
            fn owes_reply(&self, __req: &#p::Request) -> #p::bool {
                #(#p::Backend::<S>::owes_reply(&self.#fields, __req))||*
            }
            fn lifecycle(&self, __visit: &mut dyn #p::FnMut(&dyn #p::Lifecycle)) {
                __visit(&#p::Group::new(&self.balancer, &|__node, __visit| match __node {
                    #(#numbers => #p::Backend::<S>::lifecycle(&self.#fields, __visit),)*
                    _ => {}
                }));
                #(#p::Backend::<S>::lifecycle(&self.#fields, __visit);)*
            }
            #describes
        }
        __WasabiBalance { balancer: #balancer, #(#fields: #targets),* }
    }}
}

fn balancer(nodes: &[Node], cx: &Context) -> TokenStream {
    let p = &cx.p;
    let weights = nodes.iter().map(|node| {
        let weight = cx.emit(&node.weight);
        quote_spanned!(node.weight.span()=> #weight)
    });
    let made = quote!(#p::Balancer::new([#(#weights),*]));
    if nodes.iter().all(|node| node.check.is_none()) {
        return made;
    }
    let checks = nodes.iter().map(|node| match &node.check {
        Some(check) => {
            let emitted = cx.emit(check);
            quote_spanned!(check.span()=> #p::Some::<#p::HealthCheck>(#emitted))
        }
        None => quote!(#p::None),
    });
    quote!(#made.checked([#(#checks),*]))
}

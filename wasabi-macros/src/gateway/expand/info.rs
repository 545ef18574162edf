//! The description of a gateway: static text from the declaration.

use proc_macro2::TokenStream;
use quote::quote;

use super::{context::Context, routes::name, settings::Defaults};
use crate::{
    fragment::Fragment,
    gateway::ast::{Channel, Target},
};

pub(super) fn channel_info(
    docs: &str,
    channel: &Channel,
    defaults: &Defaults<'_>,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let http = defaults.http.iter().map(|(_, http)| *http);
    let http = http.chain(channel.settings.http()).map(Fragment::name);
    let middleware = defaults
        .middleware
        .iter()
        .map(|(_, middleware)| *middleware);
    let middleware = middleware.chain(channel.settings.middleware());
    let middleware = middleware.map(Fragment::name);
    let target = target_info(&channel.target, cx);
    quote!(#p::ChannelInfo { docs: #docs, http: &[#(#http),*], middleware: &[#(#middleware),*], target: #target })
}

fn target_info(target: &Target, cx: &Context) -> TokenStream {
    let p = &cx.p;
    match target {
        Target::Missing => quote!(#p::TargetInfo::Backend { name: "" }),
        Target::Expr(backend) => {
            let name = backend.label();
            quote!(#p::TargetInfo::Backend { name: #name })
        }
        Target::With { middleware, target } => {
            let names = middleware.iter().map(Fragment::name);
            let target = target_info(target, cx);
            quote!(#p::TargetInfo::With { middleware: &[#(#names),*], target: &#target })
        }
        Target::Balance { nodes, .. } => {
            let nodes = nodes.iter().map(|node| {
                let (weight, target) = (node.weight.text(), target_info(&node.target, cx));
                quote!((#weight, #target))
            });
            quote!(#p::TargetInfo::Balance { nodes: &[#(#nodes),*] })
        }
        Target::Match(routes) => {
            let routes = routes.arms.iter().map(|arm| {
                let (cfg, docs, pattern) = (&arm.attrs.cfg, &arm.attrs.docs, name(arm));
                let target = target_info(&arm.target, cx);
                quote!(#(#cfg)* #p::RouteInfo { pattern: #pattern, docs: #docs, target: #target })
            });
            quote!(#p::TargetInfo::Match { routes: &[#(#routes),*] })
        }
    }
}

//! What the gateway tells about itself: static text from the declaration.

use proc_macro2::TokenStream;
use quote::quote;

use super::{Expansion, list, routes::name};
use crate::{
    fragment::Fragment,
    gateway::ast::{Channel, Target},
};

impl Expansion<'_> {
    pub(super) fn channel_info(&self, docs: &str, channel: &Channel) -> TokenStream {
        let (p, shared) = (&self.p, &self.shared);
        let http = shared.http.iter().map(|(_, http)| *http);
        let http = http
            .chain(list(&channel.settings, "http"))
            .map(Fragment::name);
        let middleware = shared.middleware.iter().map(|(_, middleware)| *middleware);
        let middleware = middleware
            .chain(list(&channel.settings, "middleware"))
            .map(Fragment::name);
        let target = self.target_info(&channel.target);
        quote!(#p::ChannelInfo { docs: #docs, http: &[#(#http),*], middleware: &[#(#middleware),*], target: #target })
    }

    fn target_info(&self, target: &Target) -> TokenStream {
        let p = &self.p;
        match target {
            Target::Missing => quote!(#p::TargetInfo::Backend { name: "" }),
            Target::Expr(backend) => {
                let name = backend.label();
                quote!(#p::TargetInfo::Backend { name: #name })
            }
            Target::With { middleware, target } => {
                let names = middleware.iter().map(Fragment::name);
                let target = self.target_info(target);
                quote!(#p::TargetInfo::With { middleware: &[#(#names),*], target: &#target })
            }
            Target::Balance { nodes, .. } => {
                let nodes = nodes.iter().map(|node| {
                    let (weight, target) = (node.weight.text(), self.target_info(&node.target));
                    quote!((#weight, #target))
                });
                quote!(#p::TargetInfo::Balance { nodes: &[#(#nodes),*] })
            }
            Target::Match(routes) => {
                let routes = routes.arms.iter().map(|arm| {
                    let (cfg, docs, pattern) = (&arm.attrs.cfg, &arm.attrs.docs, name(arm));
                    let target = self.target_info(&arm.target);
                    quote!(#(#cfg)* #p::RouteInfo { pattern: #pattern, docs: #docs, target: #target })
                });
                quote!(#p::TargetInfo::Match { routes: &[#(#routes),*] })
            }
        }
    }
}

//! The description of a gateway: static text from the declaration.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

use super::{
    context::Context,
    routes::{Place, names},
};
use crate::{
    fragment::Fragment,
    gateway::{
        ast::{Channel, Target},
        settings::Settings,
    },
};

pub(super) fn channel_info(
    docs: &str,
    channel: &Channel,
    all: &Settings,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let own = &channel.settings;
    let http = all.http().chain(own.http()).map(name);
    let middleware = all.middleware().chain(own.middleware()).map(name);
    let target = match channel.sets.is_empty() {
        true => target_info(&channel.target, Place::Channel, cx),
        // The value that holds the sets declares itself.
        false => quote!(#p::TargetInfo::Match { routes: &[] }),
    };
    quote!(#p::ChannelInfo { docs: #docs, http: &[#(#http),*], middleware: &[#(#middleware),*], target: #target })
}

/// The description of an element of `routes = [..]`; `innermost` is that of the set which an expression makes.
pub(super) fn set_info(target: &Target, innermost: &TokenStream, cx: &Context) -> TokenStream {
    let p = &cx.p;
    match target {
        Target::With { middleware, target } => {
            with(always(middleware), &set_info(target, innermost, cx), cx)
        }
        Target::Match(_) => target_info(target, Place::Channel, cx),
        Target::Expr(_) => innermost.clone(),
        Target::Missing | Target::Balance { .. } => quote!(#p::TargetInfo::Match { routes: &[] }),
    }
}

fn always(middleware: &[Fragment]) -> impl Iterator<Item = (&[Attribute], &Fragment)> {
    middleware.iter().map(|one| (&[][..], one))
}

/// The name of a middleware, as an element of an array.
fn name((cfg, middleware): (&[Attribute], &Fragment)) -> TokenStream {
    let name = middleware.name();
    quote!(#(#cfg)* #name)
}

/// A target with middleware around it.
pub(super) fn with<'a>(
    middleware: impl Iterator<Item = (&'a [Attribute], &'a Fragment)>,
    target: &TokenStream,
    cx: &Context,
) -> TokenStream {
    let p = &cx.p;
    let names = middleware.map(name);
    quote!(#p::TargetInfo::With { middleware: &[#(#names),*], target: &#target })
}

pub(super) fn target_info(target: &Target, place: Place<'_>, cx: &Context) -> TokenStream {
    let p = &cx.p;
    match target {
        Target::Missing => quote!(#p::TargetInfo::Backend { name: "" }),
        Target::Expr(backend) => {
            let name = backend.label();
            quote!(#p::TargetInfo::Backend { name: #name })
        }
        Target::With { middleware, target } => {
            with(always(middleware), &target_info(target, place, cx), cx)
        }
        Target::Balance { nodes, .. } => {
            let nodes = nodes.iter().map(|node| {
                let (weight, target) = (node.weight.text(), target_info(&node.target, place, cx));
                quote!((#weight, #target))
            });
            quote!(#p::TargetInfo::Balance { nodes: &[#(#nodes),*] })
        }
        Target::Match(routes) => {
            let routes = routes.arms.iter().zip(names(routes, place));
            let routes = routes.map(|(arm, name)| {
                let (cfg, docs) = (&arm.attrs.cfg, &arm.attrs.docs);
                let target = target_info(&arm.target, Place::Arm(&name), cx);
                quote!(#(#cfg)* #p::RouteInfo { pattern: #name, docs: #docs, target: #target })
            });
            quote!(#p::TargetInfo::Match { routes: &[#(#routes),*] })
        }
    }
}

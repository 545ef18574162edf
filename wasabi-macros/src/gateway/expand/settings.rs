//! Settings: the gateway's in locals, from which its channels take them, and a channel's in calls of its builder.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Attribute;
use wasabi_rules::{Kind, Setting as Known};

use super::{
    context::{Context, local},
    target::conditional,
};
use crate::{
    fragment::Fragment,
    gateway::settings::{Named, Role, Setting, Settings, Value},
};

/// The settings of the gateway for all its channels, with the names of the locals that hold them.
#[derive(Default)]
pub(super) struct Defaults<'a> {
    /// Declares the locals.
    pub(super) statements: TokenStream,
    http: Vec<(Ident, &'a [Attribute])>,
    pub(super) middleware: Vec<Ident>,
    others: Vec<(Ident, &'a Setting, &'a Fragment)>,
}

impl<'a> Defaults<'a> {
    pub(super) fn of(settings: &'a Settings, cx: &Context) -> Self {
        let mut defaults = Self::default();
        for setting in settings.iter() {
            defaults.add(setting, cx);
        }
        defaults
    }

    fn add(&mut self, setting: &'a Setting, cx: &Context) {
        let p = &cx.p;
        match &setting.value {
            Value::State(_) => {}
            Value::Http(list) => {
                let cfg = &setting.cfg;
                for fragment in list {
                    let name = local(&format!("h{}", self.http.len()));
                    let http = cx.checked("http", fragment);
                    self.statements.extend(quote!(#(#cfg)* let #name = #http;));
                    self.http.push((name, cfg));
                }
            }
            Value::Middleware(list) => {
                for fragment in list {
                    let name = local(&format!("m{}", self.middleware.len()));
                    let middleware = middleware(&setting.cfg, fragment, cx);
                    let statement = quote!(let #name = #p::Shared::new(#middleware););
                    self.statements.extend(statement);
                    self.middleware.push(name);
                }
            }
            Value::One(fragment, Role::Own) => {
                let (cfg, gateway) = (&setting.cfg, &cx.gateway);
                let (at, value) = (fragment.span(), cx.emit(fragment));
                let method = Ident::new(setting.known.name, at);
                let call = quote_spanned!(at=> #gateway.#method(#value));
                self.statements.extend(quote!(#(#cfg)* #call;));
            }
            Value::One(fragment, role) => {
                let (cfg, name) = (&setting.cfg, local(&format!("shared_{}", setting.name)));
                let value = match role {
                    Role::Checked | Role::Protocol => {
                        let value = value(setting.known, fragment, *role, cx);
                        quote!(#p::Shared::new(#value))
                    }
                    _ => value(setting.known, fragment, *role, cx),
                };
                self.statements.extend(quote!(#(#cfg)* let #name = #value;));
                // The names that a gateway answers to are those of its endpoints too.
                if let Role::Hosts = role {
                    let gateway = &cx.gateway;
                    let statement = quote!(#(#cfg)* #gateway.hosts(#p::Clone::clone(&#name)););
                    self.statements.extend(statement);
                } else if setting.known.is_layered() {
                    let gateway = &cx.gateway;
                    let statement = quote!(#(#cfg)* #gateway.config(#p::Clone::clone(&#name)););
                    self.statements.extend(statement);
                }
                self.others.push((name, setting, fragment));
            }
        }
    }

    /// Sets what a channel inherits from the gateway.
    pub(super) fn inherited(&self, own: &Settings, builder: &Ident, cx: &Context) -> TokenStream {
        let p = &cx.p;
        let left = self.others.iter();
        let left = left.filter(|(_, setting, _)| !own.replace(setting.known));
        let others = left.map(|(local, setting, fragment)| {
            let (at, cfg) = (fragment.span(), &setting.cfg);
            let method = Ident::new(setting.known.name, at);
            let value = quote_spanned!(at=> #p::Clone::clone(&#local));
            quote!(#(#cfg)* let #builder = #builder.#method(#value);)
        });
        let http = self.http.iter().map(
            |(name, cfg)| quote!(#(#cfg)* let #builder = #builder.http(#p::Clone::clone(&#name));),
        );
        others.chain(http).collect()
    }
}

/// A middleware of a setting; one that is configured out lets everything pass.
pub(super) fn middleware(cfg: &[Attribute], middleware: &Fragment, cx: &Context) -> TokenStream {
    conditional(cfg, cx.checked("middleware", middleware), cx)
}

/// Sets what a channel declares itself, except its middleware, which wraps the target.
pub(super) fn own(setting: &Setting, builder: &Ident, cx: &Context) -> TokenStream {
    let cfg = &setting.cfg;
    match &setting.value {
        Value::State(_) | Value::Middleware(_) => quote!(),
        Value::Http(list) => {
            let calls = list.iter().map(|fragment| {
                let http = cx.checked("http", fragment);
                quote!(#(#cfg)* let #builder = #builder.http(#http);)
            });
            calls.collect()
        }
        Value::One(fragment, role) => {
            let (at, value) = (fragment.span(), value(setting.known, fragment, *role, cx));
            let method = Ident::new(setting.known.name, at);
            let call = quote_spanned!(at=> #builder.#method(#value));
            quote!(#(#cfg)* let #builder = #call;)
        }
    }
}

/// Whether it is a closure of which the compiler cannot find the types of the arguments. Hooks take extractors; a closure
/// that does not say which ones gets the connection, and how it has ended.
fn needs_types(known: Known, value: &Fragment) -> bool {
    match known.kind {
        Kind::Hook => value.has_untyped_argument(),
        _ => value.is_closure(),
    }
}

fn value(known: Known, value: &Fragment, role: Role, cx: &Context) -> TokenStream {
    let (p, name, emitted) = (&cx.p, known.name, cx.emit(value));
    let format = match role {
        Role::Checked if needs_types(known, value) => {
            let typed = format_ident!("{name}_fn");
            return cx.checked_as(name, quote!(#p::#typed(#emitted)), value);
        }
        Role::Checked | Role::Protocol => return cx.checked_as(name, emitted, value),
        Role::Errors if value.is_closure() => quote!(with(#emitted)),
        Role::Named(Named::Silent) => quote!(Silent),
        Role::Named(Named::Text) => quote!(Text),
        Role::Named(Named::Json) => quote!(json()),
        Role::Own | Role::Hosts | Role::Origins | Role::Errors | Role::Other => return emitted,
    };
    quote_spanned!(value.span()=> #p::ErrorFormat::#format)
}

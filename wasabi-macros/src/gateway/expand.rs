//! [`Gateway`] to calls of the runtime crate and the nested types that dispatch.
//!
//! Every expression of the user's is emitted once, in its role, by a call that carries its span: a bound that it does
//! not meet is reported there. Locals are hygienic; items are local to a block.

mod balance;
mod info;
mod routes;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};

use super::{
    ast::{Channel, Gateway, Section, SectionKind, Setting, Target, Value},
    settings::{self, Kind, Level},
};
use crate::{diagnostics::Diagnostics, fragment::Fragment, units};

pub(crate) fn gateway(gateway: &Gateway, diagnostics: &Diagnostics) -> TokenStream {
    let private = match &gateway.krate {
        Some(path) => quote!(#path::__private),
        None => quote!(::wasabi::__private),
    };
    let expansion = Expansion {
        p: private,
        scope: local("scope"),
        gateway: local("gateway"),
        shared: Shared::of(gateway),
        is_renamed: gateway.krate.is_some(),
        is_mistaken: diagnostics.has_errors(),
    };
    expansion.whole(gateway, diagnostics)
}

/// A name that the user's code can neither see nor shadow.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

struct Expansion<'a> {
    /// The path to what expansions name.
    p: TokenStream,
    scope: Ident,
    gateway: Ident,
    shared: Shared<'a>,
    /// Whether that path is the user's.
    is_renamed: bool,
    is_mistaken: bool,
}

/// What the gateway declares for all its channels, under the names of the locals that hold it.
struct Shared<'a> {
    middleware: Vec<(Ident, &'a Fragment)>,
    http: Vec<(Ident, &'a Fragment)>,
    settings: Vec<(Ident, &'a Setting, &'a Fragment)>,
}

impl<'a> Shared<'a> {
    fn of(gateway: &'a Gateway) -> Self {
        let numbered = |name: &'a str, prefix: &'static str| {
            list(&gateway.settings, name)
                .enumerate()
                .map(move |(i, fragment)| (local(&format!("{prefix}{i}")), fragment))
                .collect()
        };
        let settings = values(&gateway.settings, Level::Gateway)
            .filter(|(setting, _)| setting.name != "state")
            .map(|(setting, value)| (local(&format!("shared_{}", setting.name)), setting, value))
            .collect();
        Self {
            middleware: numbered("middleware", "m"),
            http: numbered("http", "h"),
            settings,
        }
    }
}

/// The elements of a list setting.
fn list<'a>(settings: &'a [Setting], name: &'a str) -> impl Iterator<Item = &'a Fragment> {
    let of_name = settings.iter().filter(move |setting| setting.name == name);
    of_name.flat_map(|setting| match &setting.value {
        Value::List(values) => values.as_slice(),
        Value::One(_) => &[],
    })
}

/// The settings that have a value and stand where they may.
fn values(settings: &[Setting], level: Level) -> impl Iterator<Item = (&Setting, &Fragment)> {
    settings
        .iter()
        .filter_map(move |setting| match &setting.value {
            Value::One(value) if !value.is_empty() => {
                let known = settings::find(&setting.name.to_string())?;
                known.stands_in(level).then_some((setting, value))
            }
            _ => None,
        })
}

impl Expansion<'_> {
    fn whole(&self, declared: &Gateway, diagnostics: &Diagnostics) -> TokenStream {
        let Self {
            p,
            scope,
            gateway,
            shared,
            ..
        } = self;
        let state = values(&declared.settings, Level::Gateway)
            .find(|(setting, _)| setting.name == "state")
            .map_or_else(|| quote!(()), |(_, value)| self.checked_state(value));
        // In the order of the text, since each may move what the next ones use.
        let (mut middleware, mut http) = (shared.middleware.iter(), shared.http.iter());
        let mut settings = shared.settings.iter().peekable();
        let evaluated = declared
            .settings
            .iter()
            .map(|setting| match &setting.value {
                Value::List(values) => match setting.name == "http" {
                    true => self.shared_http(http.by_ref().take(values.len())),
                    false => self.shared_middleware(middleware.by_ref().take(values.len())),
                },
                Value::One(_) => settings
                    .next_if(|(_, shared, _)| std::ptr::eq(*shared, setting))
                    .map(|(name, _, value)| self.shared_setting(name, setting, value))
                    .unwrap_or_default(),
            });
        let evaluated: TokenStream = evaluated.collect();
        let sections = declared
            .sections
            .iter()
            .map(|section| self.section(section));
        let state_name = local("state");
        quote! {{
            #diagnostics
            let #state_name = #state;
            let #scope = #p::Scope::of(&#state_name);
            let mut #gateway = #p::GatewayBuilder::new(#state_name);
            #evaluated
            #(#sections)*
            #gateway.finish()
        }}
    }

    fn shared_middleware<'a>(
        &self,
        list: impl Iterator<Item = &'a (Ident, &'a Fragment)>,
    ) -> TokenStream {
        let p = &self.p;
        list.map(|(name, fragment)| {
            let middleware = self.checked("middleware", fragment);
            quote!(let #name = #p::Shared::new(#middleware);)
        })
        .collect()
    }

    fn shared_http<'a>(
        &self,
        list: impl Iterator<Item = &'a (Ident, &'a Fragment)>,
    ) -> TokenStream {
        list.map(|(name, fragment)| {
            let http = self.checked("http", fragment);
            quote!(let #name = #http;)
        })
        .collect()
    }

    fn shared_setting(&self, name: &Ident, setting: &Setting, value: &Fragment) -> TokenStream {
        let (p, cfg, value) = (&self.p, &setting.attrs.cfg, self.value(setting, value));
        match setting.name.to_string().as_str() {
            // Values that need not be `Clone`.
            "parser" | "on_connect" | "on_disconnect" => {
                quote!(#(#cfg)* let #name = #p::Shared::new(#value);)
            }
            // Not of its channels only.
            "hosts" => {
                let gateway = &self.gateway;
                quote! {
                    #(#cfg)* let #name = #value;
                    #(#cfg)* #gateway.hosts(#p::Clone::clone(&#name));
                }
            }
            _ => quote!(#(#cfg)* let #name = #value;),
        }
    }

    fn section(&self, section: &Section) -> TokenStream {
        let Self { p, gateway, .. } = self;
        if section.path.is_empty() {
            return quote!();
        }
        let (path, docs, cfg) = (
            self.emit(&section.path),
            &section.attrs.docs,
            &section.attrs.cfg,
        );
        let statement = match &section.kind {
            SectionKind::Channel(channel) => self.channel(&path, docs, channel),
            SectionKind::Endpoint { handler, .. } | SectionKind::Mount { service: handler }
                if handler.is_empty() =>
            {
                quote!()
            }
            SectionKind::Endpoint { method, handler } => {
                let name = method.to_string().to_uppercase();
                let routing = Ident::new(&method.to_string(), Span::mixed_site());
                let (span, handler) = (handler.span(), self.emit(handler));
                let handler = quote_spanned!(span=> #p::routing::#routing(#handler));
                quote!(#gateway.endpoint(#path, #name, #docs, #handler);)
            }
            SectionKind::Mount { service } => {
                let emitted = self.emit(service);
                quote_spanned!(service.span()=> #gateway.mount(#path, #docs, #emitted);)
            }
        };
        match cfg.is_empty() {
            true => statement,
            false => quote!(#(#cfg)* { #statement }),
        }
    }

    fn channel(&self, path: &TokenStream, docs: &str, channel: &Channel) -> TokenStream {
        let Self {
            p,
            scope,
            gateway,
            shared,
            ..
        } = self;
        let builder = local("channel");
        let is_own = |name: &Ident| {
            let own = channel
                .settings
                .iter()
                .find(|setting| setting.name == *name);
            own.is_some_and(|setting| setting.attrs.cfg.is_empty())
        };
        let inherited = shared
            .settings
            .iter()
            .filter(|(_, setting, _)| !is_own(&setting.name));
        let inherited = inherited.map(|(local, Setting { attrs, name, .. }, value)| {
            let (cfg, method) = (&attrs.cfg, Ident::new(&name.to_string(), value.span()));
            let value = quote_spanned!(value.span()=> #p::Clone::clone(&#local));
            quote!(#(#cfg)* let #builder = #builder.#method(#value);)
        });
        let http = shared
            .http
            .iter()
            .map(|(name, _)| quote!(let #builder = #builder.http(#p::Clone::clone(&#name));));
        let settings = channel
            .settings
            .iter()
            .map(|setting| self.setting(setting, &builder));
        let middleware = shared
            .middleware
            .iter()
            .map(|(name, _)| quote!(#p::Clone::clone(&#name)));
        let own = list(&channel.settings, "middleware")
            .map(|fragment| self.checked("middleware", fragment));
        let target = self.target(&channel.target, true);
        let answers = self.stack(
            middleware.chain(own).collect(),
            quote!(#p::Valid::new(#target)),
        );
        let info = self.channel_info(docs, channel);
        quote! {
            #gateway.channel({
                let #builder = #p::Channel::new(&#scope, #path, #info);
                #(#inherited)*
                #(#http)*
                #(#settings)*
                #builder.target(#answers)
            });
        }
    }

    /// One setting of a channel.
    fn setting(&self, setting: &Setting, builder: &Ident) -> TokenStream {
        let cfg = &setting.attrs.cfg;
        let name = setting.name.to_string();
        match &setting.value {
            Value::List(values) if name == "http" => values
                .iter()
                .map(|fragment| {
                    let http = self.checked("http", fragment);
                    quote!(#(#cfg)* let #builder = #builder.http(#http);)
                })
                .collect(),
            Value::List(_) => quote!(),
            Value::One(value) => {
                if value.is_empty()
                    || !settings::find(&name).is_some_and(|known| known.stands_in(Level::Channel))
                {
                    return quote!();
                }
                let method = Ident::new(&name, value.span());
                let (span, value) = (value.span(), self.value(setting, value));
                let call = quote_spanned!(span=> #builder.#method(#value));
                quote!(#(#cfg)* let #builder = #call;)
            }
        }
    }

    /// The value of a setting.
    fn value(&self, setting: &Setting, value: &Fragment) -> TokenStream {
        let (p, name) = (&self.p, setting.name.to_string());
        let word = value.ident().map(|word| word.to_string());
        let format = match (name.as_str(), word.as_deref()) {
            ("parser" | "on_connect" | "on_disconnect", _) if value.is_closure() => {
                let (closure, fix) = (self.emit(value), format_ident!("{name}_fn"));
                return self.probe_of(&name, quote!(#p::#fix(#closure)), value);
            }
            ("errors", _) if value.is_closure() => {
                let closure = self.emit(value);
                return quote_spanned!(value.span()=> #p::ErrorFormat::with(#closure));
            }
            ("parser" | "on_connect" | "on_disconnect", _) => return self.checked(&name, value),
            ("errors", Some("Silent")) => quote!(Silent),
            ("errors", Some("Text")) => quote!(Text),
            ("errors", Some("Json")) => quote!(json()),
            ("hosts" | "origins" | "subprotocols", _) if value.string().is_some() => {
                // Reported already: it lacks its brackets.
                let one = self.emit(value);
                return quote_spanned!(value.span()=> [#one]);
            }
            _ if value.number().is_some() && is_duration(&name) => {
                // Reported already.
                return quote_spanned!(value.span()=> #p::Duration::from_secs(1));
            }
            _ => return self.emit(value),
        };
        quote_spanned!(value.span()=> #p::ErrorFormat::#format)
    }

    fn target(&self, target: &Target, is_outermost: bool) -> TokenStream {
        let p = &self.p;
        match target {
            Target::Missing => quote!(#p::Absent),
            Target::Expr(backend) => self.checked("backend", backend),
            Target::With { middleware, target } => {
                let middleware = middleware
                    .iter()
                    .map(|fragment| self.checked("middleware", fragment))
                    .collect();
                self.stack(middleware, self.target(target, false))
            }
            Target::Balance { nodes, .. } => self.balance(nodes),
            Target::Match(routes) => self.routes(routes, is_outermost),
        }
    }

    /// The first middleware is outermost.
    fn stack(&self, middleware: Vec<TokenStream>, inner: TokenStream) -> TokenStream {
        let p = &self.p;
        let around = |inner, middleware| quote!(#p::Stack::new(#middleware, #inner));
        middleware.into_iter().rfold(inner, around)
    }

    /// Passes the user's expression through a function whose bound it must meet. The call has the place of the
    /// expression, from its first token to its last: that is what the compiler underlines.
    fn checked(&self, function: &str, fragment: &Fragment) -> TokenStream {
        self.probe_of(function, self.emit(fragment), fragment)
    }

    fn probe_of(&self, function: &str, value: TokenStream, fragment: &Fragment) -> TokenStream {
        let scope = &self.scope;
        self.probe(function, quote!(&#scope, #value), fragment)
    }

    fn checked_state(&self, state: &Fragment) -> TokenStream {
        self.probe("state", self.emit(state), state)
    }

    fn probe(&self, function: &str, arguments: TokenStream, fragment: &Fragment) -> TokenStream {
        let span = fragment.span();
        let place = |tree: TokenTree| {
            let mut tree = tree;
            tree.set_span(match self.is_renamed {
                true => tree.span().located_at(span),
                false => span,
            });
            tree
        };
        let p: TokenStream = self.p.clone().into_iter().map(place).collect();
        let function = Ident::new(function, span);
        let mut arguments = Group::new(Delimiter::Parenthesis, arguments);
        arguments.set_span(
            fragment
                .tokens()
                .clone()
                .into_iter()
                .last()
                .map_or(span, |last| last.span()),
        );
        quote_spanned!(span=> #p::#function #arguments.checked())
    }

    fn emit(&self, fragment: &Fragment) -> TokenStream {
        units::rewrite(&fragment.to_token_stream(), &self.p)
    }
}

fn is_duration(name: &str) -> bool {
    settings::find(name).is_some_and(|known| known.kind == Kind::Duration)
}

/// `R0, R1, ..` and `r0, r1, ..`.
fn numbered(letter: char, count: usize) -> (Vec<Ident>, Vec<Ident>) {
    let upper = letter.to_ascii_uppercase();
    (0..count)
        .map(|i| (format_ident!("{upper}{i}"), format_ident!("{letter}{i}")))
        .unzip()
}

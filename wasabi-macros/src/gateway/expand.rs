//! [`Gateway`] to calls of the runtime crate and the nested types that dispatch; [`Set`] to such a type.
//!
//! Every expression of the user is emitted once, inside a call with the span of the expression, so that the compiler reports
//! an unmet bound there. Locals are hygienic; items are local to a block.

mod balance;
mod context;
mod described;
mod info;
mod keys;
mod routes;
mod sets;
mod settings;
mod target;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use self::{
    context::{Context, local},
    info::{channel_info, target_info, with},
    routes::Place,
    sets::{Rest, sets},
    settings::{Defaults, middleware, own},
    target::{stack, target},
};
use super::{
    ast::{Channel, EndpointMethod, Gateway, Section, SectionKind, Set, Target},
    settings::Settings,
};
use crate::diagnostics::Diagnostics;

pub(crate) fn gateway(
    declared: &Gateway,
    has_schema: bool,
    diagnostics: &Diagnostics,
) -> TokenStream {
    let cx = &Context::new(
        declared.krate.as_ref(),
        has_schema,
        diagnostics.has_errors(),
    );
    let Context {
        p, scope, gateway, ..
    } = cx;
    let name = local("state");
    let states = declared.settings.states().map(|(cfg, state)| {
        let state = cx.checked_state(state);
        quote!(#(#cfg)* let #name = #state;)
    });
    let defaults = Defaults::of(&declared.settings, cx);
    let statements = &defaults.statements;
    let package = described::package(cx);
    let sections = declared.sections.iter();
    let sections = sections.map(|each| section(each, &declared.settings, &defaults, cx));
    quote! {{
        #diagnostics
        let #name = ();
        #(#states)*
        let #scope = #p::Scope::of(&#name);
        let mut #gateway = #p::GatewayBuilder::new(#name);
        #package
        #statements
        #(#sections)*
        #gateway.finish()
    }}
}

fn section(
    section: &Section,
    all: &Settings,
    defaults: &Defaults<'_>,
    cx: &Context,
) -> TokenStream {
    let Context {
        p, scope, gateway, ..
    } = cx;
    if section.path.is_empty() {
        return quote!();
    }
    let (path, docs) = (cx.emit(&section.path), &section.attrs.docs);
    let statement = match &section.kind {
        SectionKind::Channel(declared) => channel(&path, docs, declared, all, defaults, cx),
        SectionKind::Endpoint { handler: given, .. } | SectionKind::Mount { service: given }
            if given.is_empty() =>
        {
            quote!()
        }
        SectionKind::Endpoint { method, handler } => {
            let name = method.name().to_uppercase();
            let filter = match *method == EndpointMethod::ANY {
                true => quote!(#p::None),
                false => {
                    let filter = Ident::new(&name, Span::mixed_site());
                    quote!(#p::Some(#p::MethodFilter::#filter))
                }
            };
            let (span, emitted) = (handler.span(), cx.emit(handler));
            let here = cx.p_at(span);
            let handler = quote_spanned!(span=> #here::Endpoint::<_, _>::endpoint(#emitted, &#scope, #filter));
            quote!(#gateway.endpoint(#path, #name, #docs, #handler);)
        }
        SectionKind::Mount { service } => {
            let (span, emitted) = (service.span(), cx.emit(service));
            let here = cx.p_at(span);
            quote_spanned!(span=> #here::mount(&mut #gateway, #path, #docs, #emitted);)
        }
    };
    let cfg = &section.attrs.cfg;
    match cfg.is_empty() {
        true => statement,
        false => quote!(#(#cfg)* { #statement }),
    }
}

fn channel(
    path: &TokenStream,
    docs: &str,
    channel: &Channel,
    all: &Settings,
    defaults: &Defaults<'_>,
    cx: &Context,
) -> TokenStream {
    let Context {
        p, scope, gateway, ..
    } = cx;
    let builder = local("channel");
    let inherited = defaults.inherited(&channel.settings, &builder, cx);
    let settings = channel.settings.iter();
    let settings = settings.map(|setting| own(setting, &builder, cx));
    let shared = defaults.middleware.iter();
    let shared = shared.map(|name| quote!(#p::Clone::clone(&#name)));
    let own_middleware = channel.settings.middleware();
    let own_middleware = own_middleware.map(|(cfg, fragment)| middleware(cfg, fragment, cx));
    let (declares, target) = match channel.sets.is_empty() {
        true => (None, target(&channel.target, Place::Channel, cx)),
        false => {
            let made = sets(&channel.sets, &rest(channel, cx), |info| info, cx);
            let name = local("sets");
            let declares = quote! {
                let #name = #made;
                let #builder = #builder.declares(#p::info(&#name));
            };
            (Some(declares), quote!(#name))
        }
    };
    let target = quote!(#p::Valid::new(#target));
    let answers = stack(shared.chain(own_middleware).collect(), target, cx);
    let info = channel_info(docs, channel, all, cx);
    quote! {
        #gateway.channel({
            let #builder = #p::Channel::new(&#scope, #path, #info);
            #inherited
            #(#settings)*
            #declares
            #builder.target(#answers)
        });
    }
}

/// What answers the keys that the sets of a channel do not have.
fn rest<'a>(channel: &'a Channel, cx: &Context) -> Rest<'a> {
    Rest {
        target: target(&channel.target, Place::Channel, cx),
        info: target_info(&channel.target, Place::Channel, cx),
        label: described::label(&channel.target),
        routes: channel.target.routes(),
        is_set: false,
    }
}

/// `routes!(..)`.
pub(crate) fn set(declared: &Set, has_schema: bool, diagnostics: &Diagnostics) -> TokenStream {
    let cx = &Context::new(
        declared.krate.as_ref(),
        has_schema,
        diagnostics.has_errors(),
    );
    let (p, scope) = (&cx.p, &cx.scope);
    let state = declared.state.as_ref();
    let state = state.map_or_else(|| quote!(()), |state| quote!(#state));
    let around = |info: TokenStream| match declared.middleware.is_empty() {
        true => info,
        false => with(declared.middleware(), &info, cx),
    };
    let has_sets = !declared.sets.is_empty();
    let info = match &declared.target {
        Target::Missing => quote!(#p::TargetInfo::Match { routes: &[] }),
        own => target_info(own, Place::Channel, cx),
    };
    let own = match (declared.target.routes(), has_sets) {
        (None, _) => quote!(#p::Absent),
        (Some(_), true) => target(&declared.target, Place::Set(&info), cx),
        (Some(_), false) => target(&declared.target, Place::Set(&around(info.clone())), cx),
    };
    let routes = match has_sets {
        false => own,
        true => {
            let rest = Rest {
                target: own,
                info,
                label: String::new(),
                routes: declared.target.routes(),
                is_set: true,
            };
            sets(&declared.sets, &rest, around, cx)
        }
    };
    let own_middleware = declared.middleware();
    let own_middleware = own_middleware.map(|(cfg, one)| middleware(cfg, one, cx));
    let routes = stack(own_middleware.collect(), routes, cx);
    quote! {{
        #diagnostics
        let #scope = #p::Scope::<#state>::of_type();
        #routes
    }}
}

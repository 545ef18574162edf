//! What a protocol takes the place of must not be set beside it.

use proc_macro2::Ident;

use crate::{
    diagnostics::Diagnostics,
    gateway::{
        ast::{Gateway, SectionKind},
        settings::Settings,
    },
};

pub(super) fn check(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    let shared = &gateway.settings;
    beside(shared, diagnostics);
    for section in &gateway.sections {
        if let SectionKind::Channel(channel) = &section.kind {
            let own = &channel.settings;
            beside(own, diagnostics);
            // The channel speaks the gateway's protocol.
            if let Some(protocol) = shared.named("protocol")
                && let Some(errors) = own.named("errors")
                && !own.iter().any(|setting| setting.name == "parser")
                && own.named("protocol").is_none()
            {
                report(&errors.name, &protocol.name, diagnostics);
            }
        }
    }
}

fn beside(settings: &Settings, diagnostics: &mut Diagnostics) {
    let Some(protocol) = settings.named("protocol") else {
        return;
    };
    for name in protocol.known.replaces() {
        if let Some(other) = settings.named(name) {
            report(&other.name, &protocol.name, diagnostics);
        }
    }
}

fn report(name: &Ident, protocol: &Ident, diagnostics: &mut Diagnostics) {
    let message = match name.to_string().as_str() {
        "errors" => "a protocol writes error replies itself: remove `errors`, or `protocol`",
        _ => "a protocol reads messages itself: remove `parser`, or `protocol`",
    };
    diagnostics.error(name, message);
    diagnostics.error(protocol, "the protocol is set here");
}

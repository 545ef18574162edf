//! The parameters in the URLs of upstreams.

use syn::LitStr;
use wasabi_rules::{Place, did_you_mean, list};

use crate::{
    diagnostics::Diagnostics,
    fragment::{Call, calls, string},
    gateway::ast::{Gateway, SectionKind},
};

pub(super) fn check(gateway: &Gateway, diagnostics: &mut Diagnostics) {
    for section in &gateway.sections {
        if let SectionKind::Channel(channel) = &section.kind {
            let path = section.path.string().map(|path| path.value());
            let mut found = Vec::new();
            channel
                .targets()
                .for_each(|target| target.expressions(&mut found));
            let calls = found.into_iter().flat_map(|target| calls(target.tokens()));
            for url in calls.filter_map(|call| url(&call)) {
                check_url(&url, path.as_deref(), diagnostics);
            }
        }
    }
}

/// The literal URL of a backend that allows parameters in it.
fn url(call: &Call) -> Option<LitStr> {
    let name = call.name.to_string();
    let at = match (call.owner.as_deref()?, name.as_str(), call.is_method) {
        ("Http", "get" | "post" | "put" | "patch" | "delete", false) => 0,
        ("Http", "method", false) => 1,
        ("WebSocket", "connect", false) => 0,
        _ => return None,
    };
    string(call.args.get(at)?)
}

fn check_url(url: &LitStr, path: Option<&str>, diagnostics: &mut Diagnostics) {
    let text = url.value();
    // The check of literals reports all other mistakes in the URL.
    for place in wasabi_rules::places(&text).unwrap_or_default() {
        if let (Place::InPath(name), Some(path)) = (place, path) {
            let names = wasabi_rules::declared_path(path).unwrap_or_default();
            let known: Vec<_> = names.iter().map(String::as_str).collect();
            if !known.contains(&name) {
                diagnostics.error(url, unknown(name, path, &known));
            }
        }
    }
}

fn unknown(name: &str, path: &str, known: &[&str]) -> String {
    let hint = match (did_you_mean(name, known.iter().copied()), known) {
        (Some(meant), _) => format!("; did you mean `{{{meant}}}`?"),
        (None, []) => "; it has none".to_owned(),
        (None, known) => format!("; these are: {}", list(known.iter().copied())),
    };
    format!(
        "the path `{path}` has no parameter `{name}`{hint}\nwrite `{{?{name}}}` for a parameter of the query; in a gateway that \
         is mounted at a path with parameters, put the URL into a constant"
    )
}

//! Paths of channels and endpoints, with axum's own rules.

use matchit::{InsertError, Router};
use syn::LitStr;
use wasabi_rules::{declared_path, mount_path};

use crate::{
    diagnostics::Diagnostics,
    gateway::ast::{EndpointMethod, Section, SectionKind},
};

/// The paths so far, with their sections.
#[derive(Default)]
pub(super) struct Paths<'a> {
    seen: Vec<(LitStr, &'a SectionKind)>,
}

impl<'a> Paths<'a> {
    /// Reports a malformed path, and one that takes requests from an earlier one.
    pub(super) fn add(&mut self, section: &'a Section, diagnostics: &mut Diagnostics) {
        let Some(path) = section.path.string() else {
            return;
        };
        let (text, kind) = (path.value(), &section.kind);
        let declared = match kind {
            SectionKind::Mount { .. } => mount_path(&text),
            SectionKind::Channel(_) | SectionKind::Endpoint { .. } => declared_path(&text),
        };
        if let Err(message) = declared {
            diagnostics.error(path, message);
            return;
        }
        // Another section may take the place of one with a condition.
        if !section.attrs.cfg.is_empty() {
            return;
        }
        let conflict = self.seen.iter().find_map(|(earlier, other)| {
            conflict(&text, kind, &earlier.value(), other).map(|message| (earlier, message))
        });
        match conflict {
            Some((earlier, message)) => {
                diagnostics.error(&path, message);
                let text = earlier.value();
                diagnostics.error(earlier, format_args!("`{text}` is declared here first"));
            }
            None => self.seen.push((path, kind)),
        }
    }
}

/// How a path conflicts with an earlier one.
fn conflict(path: &str, kind: &SectionKind, earlier: &str, other: &SectionKind) -> Option<String> {
    let is_mount = |kind: &SectionKind| matches!(kind, SectionKind::Mount { .. });
    if is_mount(kind) != is_mount(other) {
        // The paths of a mounted gateway are unknown here.
        return None;
    }
    if path != earlier {
        return overlap(earlier, path)
            .then(|| format!("`{path}` matches the same requests as `{earlier}`"));
    }
    let (SectionKind::Endpoint { method, .. }, SectionKind::Endpoint { method: other, .. }) =
        (kind, other)
    else {
        return Some(format!("the path `{path}` is declared twice"));
    };
    let (name, other_name) = (method.name(), other.name());
    match (method, other) {
        _ if method == other => Some(format!("`{name}` of `{path}` is declared twice")),
        (&EndpointMethod::ANY, _) => Some(format!(
            "`any` of `{path}` takes the requests of `{other_name}`"
        )),
        (_, &EndpointMethod::ANY) => {
            Some(format!("`any` of `{path}` takes the requests of `{name}`"))
        }
        _ => None,
    }
}

/// Whether the router cannot tell the two apart.
fn overlap(a: &str, b: &str) -> bool {
    let mut router = Router::new();
    router.insert(a, ()).is_ok()
        && matches!(router.insert(b, ()), Err(InsertError::Conflict { .. }))
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use quote::quote;

    use super::*;
    use crate::{
        fragment::Fragment,
        gateway::ast::{Attrs, Channel},
    };

    /// Makes a section of its kind.
    type Who = fn() -> SectionKind;

    const CHANNEL: Who = || SectionKind::Channel(Channel::default());
    const GET: Who = || endpoint("get");
    const POST: Who = || endpoint("post");
    const ANY: Who = || endpoint("any");
    const MOUNT: Who = || SectionKind::Mount { service: nothing() };

    fn nothing() -> Fragment {
        Fragment::empty(Span::call_site())
    }

    fn endpoint(name: &str) -> SectionKind {
        let mut methods = EndpointMethod::ALL.into_iter();
        let method = methods.find(|method| method.name() == name);
        SectionKind::Endpoint {
            method: method.expect("a method"),
            handler: nothing(),
        }
    }

    fn mistakes(paths: &[(&str, Who)]) -> Vec<String> {
        let section = |(path, who): &(&str, Who)| Section {
            attrs: Attrs::default(),
            path: nothing().instead(quote!(#path)),
            kind: who(),
        };
        let sections: Vec<_> = paths.iter().map(section).collect();
        let (mut all, mut diagnostics) = (Paths::default(), Diagnostics::default());
        for section in &sections {
            all.add(section, &mut diagnostics);
        }
        diagnostics.messages()
    }

    fn channels(paths: &[&str]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|path| (*path, CHANNEL)).collect();
        mistakes(&paths)
    }

    #[test]
    fn paths_that_differ_are_fine() {
        let paths = [
            "/",
            "/a",
            "/a/",
            "/a/{x}",
            "/a/b",
            "/a/{x}/c",
            "/b/{*rest}",
            "/b/c",
            "/{{x}}",
            "/c-{d}",
        ];
        assert!(channels(&paths).is_empty());
    }

    #[test]
    fn paths_that_match_the_same_requests_are_named_both() {
        assert_eq!(
            channels(&["/a/{x}", "/a/{y}"]),
            [
                "`/a/{y}` matches the same requests as `/a/{x}`",
                "`/a/{x}` is declared here first"
            ]
        );
        assert_eq!(
            channels(&["/a", "/b", "/a"]),
            [
                "the path `/a` is declared twice",
                "`/a` is declared here first"
            ]
        );
        assert_eq!(channels(&["/a/{*x}", "/a/{y}"]).len(), 2);
        assert_eq!(channels(&["/a/{*x}", "/a/b"]).len(), 0);
    }

    #[test]
    fn endpoints_share_a_path_if_their_methods_differ() {
        assert!(mistakes(&[("/a", GET), ("/a", POST)]).is_empty());
        assert_eq!(
            mistakes(&[("/a", GET), ("/a", GET)])[0],
            "`get` of `/a` is declared twice"
        );
        for both in [[("/a", GET), ("/a", ANY)], [("/a", ANY), ("/a", GET)]] {
            let first = &mistakes(&both)[0];
            assert_eq!(first, "`any` of `/a` takes the requests of `get`");
        }
        assert_eq!(mistakes(&[("/a", GET), ("/a", CHANNEL)]).len(), 2);
        assert_eq!(mistakes(&[("/a/{x}", GET), ("/a/{y}", POST)]).len(), 2);
    }

    #[test]
    fn a_malformed_path_is_reported_and_not_compared_with_others() {
        assert_eq!(
            channels(&["chat", "chat"]),
            ["a path must start with `/`; write `\"/chat\"`"; 2]
        );
    }

    #[test]
    fn mounts_have_their_own_path() {
        assert!(mistakes(&[("/", MOUNT), ("/", CHANNEL)]).is_empty());
        assert_eq!(mistakes(&[("/a/{*rest}", MOUNT)]).len(), 1);
        assert_eq!(mistakes(&[("/a", MOUNT), ("/a", MOUNT)]).len(), 2);
        assert!(mistakes(&[("/a", MOUNT), ("/a/b", CHANNEL)]).is_empty());
    }

    #[test]
    fn no_path_makes_the_router_panic() {
        for path in [
            "/{",
            "/}",
            "/{{}",
            "/{*}",
            "/{a{b}}",
            "/{{{a}}}",
            "//",
            "/{a}{b}",
            "/{*a}{*b}",
            "/%",
            "/{ }",
            "/{a",
            "/a}",
        ] {
            for other in ["/{x}", "/{*x}", "/a", path] {
                channels(&[path, other]);
            }
        }
    }
}

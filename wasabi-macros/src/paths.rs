//! Paths of channels and endpoints, with axum's own rules.

use matchit::{InsertError, Router};
use syn::LitStr;
use wasabi_rules::{declared_path, mount_path};

use crate::diagnostics::Diagnostics;

/// Who answers at a path.
#[derive(Clone, PartialEq)]
pub(crate) enum Who {
    Channel,
    /// The HTTP method, in lower case.
    Endpoint(String),
    Mount,
}

/// The paths seen so far.
#[derive(Default)]
pub(crate) struct Paths {
    seen: Vec<(LitStr, Who)>,
}

impl Paths {
    /// Reports a malformed path, and one that takes requests from an earlier one.
    pub(crate) fn add(&mut self, path: LitStr, who: Who, diagnostics: &mut Diagnostics) {
        let text = path.value();
        let declared = match who {
            Who::Mount => mount_path(&text),
            Who::Channel | Who::Endpoint(_) => declared_path(&text),
        };
        if let Err(message) = declared {
            diagnostics.error(path, message);
            return;
        }
        for (other, owner) in &self.seen {
            let earlier = other.value();
            let message = match (&who, owner) {
                // What a gateway that is mounted answers is not known here.
                (Who::Mount, Who::Channel | Who::Endpoint(_))
                | (Who::Channel | Who::Endpoint(_), Who::Mount) => continue,
                (Who::Endpoint(method), Who::Endpoint(other)) if text == earlier => {
                    match method == other {
                        true => format!("`{method}` of `{text}` is declared twice"),
                        false if method == "any" || other == "any" => {
                            format!(
                                "`any` of `{text}` takes the requests of `{}`",
                                if method == "any" { other } else { method }
                            )
                        }
                        false => continue,
                    }
                }
                _ if text == earlier => format!("the path `{text}` is declared twice"),
                _ if !overlap(&earlier, &text) => continue,
                _ => format!("`{text}` matches the same requests as `{earlier}`"),
            };
            diagnostics.error(&path, message);
            diagnostics.error(other, format_args!("`{earlier}` is declared here first"));
            return;
        }
        self.seen.push((path, who));
    }
}

/// Whether the router could not tell the two apart.
fn overlap(a: &str, b: &str) -> bool {
    let mut router = Router::new();
    router.insert(a, ()).is_ok()
        && matches!(router.insert(b, ()), Err(InsertError::Conflict { .. }))
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::*;

    fn mistakes(paths: &[(&str, Who)]) -> Vec<String> {
        let (mut all, mut diagnostics) = (Paths::default(), Diagnostics::default());
        for (path, who) in paths {
            all.add(
                LitStr::new(path, Span::call_site()),
                who.clone(),
                &mut diagnostics,
            );
        }
        diagnostics.messages()
    }

    fn channels(paths: &[&str]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|path| (*path, Who::Channel)).collect();
        mistakes(&paths)
    }

    fn get() -> Who {
        Who::Endpoint("get".to_owned())
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
        let post = Who::Endpoint("post".to_owned());
        assert!(mistakes(&[("/a", get()), ("/a", post.clone())]).is_empty());
        assert_eq!(
            mistakes(&[("/a", get()), ("/a", get())])[0],
            "`get` of `/a` is declared twice"
        );
        assert_eq!(mistakes(&[("/a", get()), ("/a", Who::Channel)]).len(), 2);
        assert_eq!(mistakes(&[("/a/{x}", get()), ("/a/{y}", post)]).len(), 2);
    }

    #[test]
    fn a_malformed_path_is_told_and_not_compared_with_others() {
        assert_eq!(
            channels(&["chat", "chat"]),
            ["a path starts with `/`; write `\"/chat\"`"; 2]
        );
    }

    #[test]
    fn mounts_have_a_path_of_their_own() {
        assert!(mistakes(&[("/", Who::Mount), ("/", Who::Channel)]).is_empty());
        assert_eq!(mistakes(&[("/a/{*rest}", Who::Mount)]).len(), 1);
        assert_eq!(mistakes(&[("/a", Who::Mount), ("/a", Who::Mount)]).len(), 2);
        assert!(mistakes(&[("/a", Who::Mount), ("/a/b", Who::Channel)]).is_empty());
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

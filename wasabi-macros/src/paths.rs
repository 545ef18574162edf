//! Paths of channels and endpoints, with axum's own rules.

use matchit::{InsertError, Router};
use syn::LitStr;
use wasabi_rules::list;

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
        if let Err(message) = check(&text, &who) {
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

fn check(path: &str, who: &Who) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("a path starts with `/`; write `\"/{path}\"`"));
    }
    if let Some(c) = path
        .chars()
        .find(|c| !c.is_ascii() || c.is_ascii_control() || " ?#\"<>\\^`".contains(*c))
    {
        let reason = match c {
            '?' => {
                "the query is not part of the path; take it with the `Query` extractor".to_owned()
            }
            '#' => "the fragment of a URL is never sent to a server".to_owned(),
            '\\' => "write `/`".to_owned(),
            _ => format!("in URLs it is written `{}`", percent_encoded(c)),
        };
        return Err(format!("`{c}` cannot stand in a path: {reason}"));
    }
    check_normal(path)?;
    for segment in path.split('/') {
        if let Some(name) = segment.strip_prefix(':') {
            return Err(format!(
                "a parameter is written in braces; write `{{{name}}}` for `{segment}`"
            ));
        }
        if let Some(name) = segment.strip_prefix('*') {
            let name = if name.is_empty() { "rest" } else { name };
            return Err(format!(
                "what is left of a path is written in braces; write `{{*{name}}}` for `{segment}`"
            ));
        }
    }
    Router::new().insert(path, ()).map_err(|error| match error {
        InsertError::InvalidParamSegment => {
            format!("a parameter ends its segment, and there is one in a segment; `{path}` has more between two `/`")
        }
        InsertError::InvalidCatchAll => format!("`{{*..}}` takes all that is left: it stands last, in a segment of its own, not as in `{path}`"),
        _ => format!("a parameter is written `{{name}}`, and braces that are none `{{{{` and `}}}}`; `{path}` has something else"),
    })?;
    let names = parameters(path);
    if let Some((at, name)) = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name))
    {
        return Err(format!(
            "the parameter `{name}` occurs twice, at {} and {} of {}",
            nth(&names, name),
            at + 1,
            list(names.iter().copied())
        ));
    }
    if *who == Who::Mount && path.contains("{*") {
        return Err(
            "a mount takes all that is below its path anyway; leave the `{*..}` out".to_owned(),
        );
    }
    Ok(())
}

/// Requests come with paths in their normal form, or are refused.
fn check_normal(path: &str) -> Result<(), String> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(
                "no request comes with an empty segment in its path; write one `/`".to_owned(),
            );
        }
        if matches!(segment, "." | "..") {
            return Err(format!(
                "no request comes with `{segment}` in its path; write the path that is meant"
            ));
        }
    }
    let mut after = path.split('%').skip(1);
    after.try_for_each(|after| {
        let digits = after.get(..2).unwrap_or(after);
        let byte = match u8::from_str_radix(digits, 16) {
            Ok(byte) if digits.len() == 2 && !digits.starts_with('+') => byte,
            _ => return Err("`%` stands before two hexadecimal digits; itself it is written `%25`".to_owned()),
        };
        if matches!(byte, b'/' | b'\\' | 0) {
            return Err(format!("no request comes with `%{digits}` in its path"));
        }
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@|".contains(&byte);
        let right = match byte {
            b'{' => "{{".to_owned(),
            b'}' => "}}".to_owned(),
            _ if is_plain => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        match right.strip_prefix('%') == Some(digits) {
            true => Ok(()),
            false => Err(format!("requests come with `{right}` in their path where this has `%{digits}`; write `{right}`")),
        }
    })
}

fn nth(names: &[&str], name: &str) -> usize {
    names.iter().take_while(|other| **other != name).count() + 1
}

pub(crate) fn parameters(path: &str) -> Vec<&str> {
    let parameter = |segment: &'_ str| -> Option<(usize, usize)> {
        let start = segment.find('{')?;
        (!segment.get(start..)?.starts_with("{{"))
            .then_some((start + 1, segment.len().checked_sub(1)?))
    };
    let segments = path.split('/');
    segments
        .filter_map(|segment| parameter(segment).and_then(|(start, end)| segment.get(start..end)))
        .map(|name| name.trim_start_matches('*'))
        .collect()
}

fn percent_encoded(c: char) -> String {
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
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
    fn paths_that_no_request_has_are_told_how_to_be_written() {
        assert!(channels(&["/caf%C3%A9", "/.well-known/x", "/a%20b"]).is_empty());
        assert_eq!(
            channels(&[
                "/%61dmin",
                "/caf%c3%A9",
                "/a//b",
                "/a/../b",
                "/a%2Fb",
                "/50%",
                "/%7Bx"
            ]),
            [
                "requests come with `a` in their path where this has `%61`; write `a`",
                "requests come with `%C3` in their path where this has `%c3`; write `%C3`",
                "no request comes with an empty segment in its path; write one `/`",
                "no request comes with `..` in its path; write the path that is meant",
                "no request comes with `%2F` in its path",
                "`%` stands before two hexadecimal digits; itself it is written `%25`",
                "requests come with `{{` in their path where this has `%7B`; write `{{`",
            ]
        );
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
    fn malformed_paths_say_what_to_write() {
        let message = |path: &str| channels(&[path]).remove(0);
        assert_eq!(message("chat"), "a path starts with `/`; write `\"/chat\"`");
        assert_eq!(message(""), "a path starts with `/`; write `\"/\"`");
        assert_eq!(
            message("/:id"),
            "a parameter is written in braces; write `{id}` for `:id`"
        );
        assert_eq!(
            message("/*"),
            "what is left of a path is written in braces; write `{*rest}` for `*`"
        );
        assert_eq!(
            message("/a b"),
            "` ` cannot stand in a path: in URLs it is written `%20`"
        );
        assert_eq!(
            message("/é"),
            "`é` cannot stand in a path: in URLs it is written `%C3%A9`"
        );
        assert_eq!(
            message("/a?b=c"),
            "`?` cannot stand in a path: the query is not part of the path; take it with the `Query` extractor"
        );
        assert!(message("/{id").starts_with("a parameter is written `{name}`"));
        assert!(message("/{}").starts_with("a parameter is written `{name}`"));
        assert!(message("/{a}-{b}").starts_with("a parameter ends its segment"));
        assert!(message("/{*a}/b").starts_with("`{*..}` takes all that is left"));
        assert_eq!(
            message("/{a}/{b}/{a}"),
            "the parameter `a` occurs twice, at 1 and 3 of `a`, `b`, `a`"
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

//! URLs as logs, metrics and messages show them: without what may be secret.

use std::borrow::Cow;

/// A URL without its user, password, query and fragment. It need not be valid.
pub fn url_without_secrets(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", shown(rest)),
        None => shown(url).to_owned(),
    }
}

/// A text without the users, passwords, queries and fragments of the URLs in it. They need not be valid.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find("://") else {
        return Cow::Borrowed(text);
    };
    let mut clean = String::with_capacity(text.len());
    let (mut rest, mut next) = (text, Some(first));
    while let Some(at) = next {
        let (before, url) = rest.split_at(at + 3);
        clean.push_str(before);
        let ends_url =
            |char: char| char.is_whitespace() || matches!(char, '"' | '\'' | '`' | '<' | '>' | ')');
        let (url, after) = url.split_at(url.find(ends_url).unwrap_or(url.len()));
        clean.push_str(shown(url));
        rest = after;
        next = rest.find("://");
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// What is shown of a URL behind its scheme.
fn shown(rest: &str) -> &str {
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (before, after) = rest.split_at(end);
    // With a slash in the password, less of the host is shown, and not more of the password.
    if let Some((_, host)) = before.rsplit_once('@') {
        return host;
    }
    // With a `?` or `#` in the password, its start stands where the port should.
    let authority = before.split('/').next().unwrap_or_default();
    let is_password = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']') && port.parse::<u16>().is_err());
    match is_password && after.contains('@') {
        true => "",
        false => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_a_text_are_shown_without_secrets() {
        for (text, clean) in [
            ("no URL at all?", "no URL at all?"),
            (
                "error for url (http://up:80/a?token=s3cret#x): refused",
                "error for url (http://up:80/a): refused",
            ),
            (
                "`redis://user:s3c/ret@host/0` is not",
                "`redis://host/0` is not",
            ),
            ("ws://u@h ws://v@g?api_key=k", "ws://h ws://g"),
            ("://?", "://"),
            ("http://", "http://"),
        ] {
            assert_eq!(without_secrets(text), clean);
        }
    }

    #[test]
    fn a_url_is_shown_without_secrets() {
        for (url, clean) in [
            ("http://u:p@orders:80/a?k=v#f", "http://orders:80/a"),
            ("me:secret@a?token=secret", "a"),
            ("http://me:sec ret@a/", "http://a/"),
            ("http://me:sec/ret@a/", "http://a/"),
            ("http://me:sec?ret@a/", "http://"),
            ("http://me:sec#ret@a/", "http://"),
            ("http://a:80?mail=me@b", "http://a:80"),
            ("http://[::1]/?mail=me@b", "http://[::1]/"),
            ("http://{}:{}/", "http://{}:{}/"),
        ] {
            assert_eq!(url_without_secrets(url), clean);
        }
    }
}

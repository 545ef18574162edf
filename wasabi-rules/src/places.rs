//! Parameters in a URL: `{name}` from the channel's path, `{?name}` from the query, `{/pointer}` from the message.

use crate::pointer::pointer;

/// A part of a URL: literal text or a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// Literal text.
    Text(&'a str),
    /// A parameter of the channel's path.
    InPath(&'a str),
    /// A parameter of the query.
    InQuery(&'a str),
    /// A value of the message, by its [`pointer`](crate::pointer()).
    InMessage(&'a str),
}

/// Splits a URL into its parts.
pub fn places(url: &str) -> Result<Vec<Place<'_>>, String> {
    let (mut places, mut rest) = (Vec::new(), url);
    let path = path_start(url);
    while let Some(start) = rest.find(['{', '}']) {
        let (text, after) = rest.split_at(start);
        let Some((name, after)) = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        else {
            return Err("unmatched brace; write `%7B` or `%7D` for a literal one".to_owned());
        };
        let at = url.len() - rest.len() + start;
        if at <= path || url.get(..at).is_some_and(|before| before.contains('#')) {
            return Err(format!(
                "`{{{name}}}` is outside the path and the query of the URL; placeholders are only allowed there"
            ));
        }
        places.extend((!text.is_empty()).then_some(Place::Text(text)));
        places.push(place(name)?);
        rest = after;
    }
    places.extend((!rest.is_empty()).then_some(Place::Text(rest)));
    Ok(places)
}

fn place(name: &str) -> Result<Place<'_>, String> {
    let is_name = |name: &str| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || "{/?*:&=".contains(c))
    };
    if name.starts_with('/') {
        pointer(name)?;
        return Ok(Place::InMessage(name));
    }
    match name.strip_prefix('?') {
        Some(parameter) if is_name(parameter) => Ok(Place::InQuery(parameter)),
        None if is_name(name) => Ok(Place::InPath(name)),
        _ => Err(format!(
            "`{{{name}}}` is not a placeholder; write `{{name}}` for a parameter of the channel's path, `{{?name}}` \
             for one of the query, `{{/pointer}}` for a value of the message, and `%7B` for a brace"
        )),
    }
}

/// Where the path of a URL begins: behind its host.
pub fn path_start(url: &str) -> usize {
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let after = url.get(host..).unwrap_or_default();
    host + after.find(['/', '?', '#']).unwrap_or(after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_path_and_the_query() {
        use Place::{InMessage, InPath, InQuery, Text};
        assert_eq!(
            places("http://a/{t}/x{/a/b}?q={?q}"),
            Ok(vec![
                Text("http://a/"),
                InPath("t"),
                Text("/x"),
                InMessage("/a/b"),
                Text("?q="),
                InQuery("q"),
            ])
        );
        assert_eq!(places("http://a/"), Ok(vec![Text("http://a/")]));
        assert_eq!(places("http://a/{x}").map(|places| places.len()), Ok(2));
    }

    #[test]
    fn unknown_placeholders_are_mistakes() {
        for (url, why) in [
            ("http://{host}/", "is outside the path"),
            ("http://a{x}/", "is outside the path"),
            ("http://a:{port}", "is outside the path"),
            ("{scheme}://a/", "is outside the path"),
            ("http://a/#{x}", "is outside the path"),
            ("http://a/{}", "is not a placeholder"),
            ("http://a/{?}", "is not a placeholder"),
            ("http://a/{*rest}", "is not a placeholder"),
            ("http://a/{{x}}", "is not a placeholder"),
            ("http://a/{a b}", "is not a placeholder"),
            ("http://a/{/a~b}", "is not a JSON pointer"),
            ("http://a/{x", "unmatched brace"),
            ("http://a/x}", "unmatched brace"),
        ] {
            let message = places(url).expect_err(url);
            assert!(message.contains(why), "{url}: {message}");
        }
    }
}

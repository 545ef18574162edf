//! Paths of requests and of declarations.

use std::borrow::Cow;

use crate::suggest::list;

/// Normalizes the path of a request (RFC 3986, section 6.2.2): `/%61dmin` becomes `/admin`. Otherwise it would miss the route
/// `/admin` and match a parameter beside it.
///
/// Paths that proxies and servers read differently are refused, never repaired: empty segments, `.` and `..`, a slash,
/// backslash or NUL in a segment, and `%` without two hexadecimal digits.
pub fn normal_path(path: &str) -> Result<Cow<'_, str>, &'static str> {
    if !path.starts_with('/') {
        return Ok(Cow::Borrowed(path)); // `*`, and CONNECT without a path
    }
    let is_normal = path.bytes().all(|byte| is_plain(byte) || byte == b'/')
        && !path.contains("//")
        && !path.contains("/.");
    if is_normal {
        return Ok(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'/' => normal.push('/'),
            b'\\' => return Err("a path cannot contain a backslash"),
            b'%' => match hex(bytes.next()).zip(hex(bytes.next())) {
                None => return Err("`%` must be followed by two hexadecimal digits"),
                Some((high, low)) => match (high << 4) | low {
                    b'/' | b'\\' | 0 => {
                        return Err(
                            "a segment of a path cannot contain a slash, a backslash or NUL",
                        );
                    }
                    byte => push(byte, &mut normal),
                },
            },
            byte => push(byte, &mut normal),
        }
    }
    let mut segments = normal.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Some servers drop everything after a semicolon, which leaves `..`.
        let name = segment.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") {
            return Err("a path cannot contain the segments `.` and `..`");
        }
        if segment.is_empty() && segments.peek().is_some() {
            return Err("a path cannot contain empty segments");
        }
    }
    Ok(Cow::Owned(normal))
}

/// Characters allowed in a segment as they are, and braces and `|`, which many clients do not encode as RFC 3986 wants.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@{}|".contains(&byte)
}

fn push(byte: u8, normal: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if is_plain(byte) {
        normal.push(char::from(byte));
    } else {
        let digit = |four: u8| char::from(DIGITS[usize::from(four & 15)]);
        normal.extend(['%', digit(byte >> 4), digit(byte)]);
    }
}

fn hex(digit: Option<u8>) -> Option<u8> {
    let digit = char::from(digit?).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Parses a declared path with parameters in axum's syntax, and returns their names. A path that no request can match is
/// an error.
pub fn declared_path(path: &str) -> Result<Vec<String>, String> {
    if !path.starts_with('/') {
        return Err(format!(
            "a path must start with `/`; write `\"/{}\"`",
            path.escape_debug()
        ));
    }
    if let Some(c) = path
        .chars()
        .find(|c| !c.is_ascii() || c.is_ascii_control() || " ?#\"<>\\^`".contains(*c))
    {
        let reason = match c {
            '?' => {
                "the query is not a part of the path; read it with the `Query` extractor".to_owned()
            }
            '#' => "the fragment of a URL is never sent to a server".to_owned(),
            '\\' => "write `/`".to_owned(),
            _ => format!("write it as `{}`", percent_encoded(c)),
        };
        return Err(format!(
            "`{}` is not allowed in a path: {reason}",
            c.escape_debug()
        ));
    }
    check_normal(path)?;
    for segment in path.split('/') {
        if let Some(name) = segment.strip_prefix(':') {
            return Err(format!(
                "parameters are in braces: write `{{{name}}}` instead of `{segment}`"
            ));
        }
        if let Some(name) = segment.strip_prefix('*') {
            let name = if name.is_empty() { "rest" } else { name };
            return Err(format!(
                "the rest of a path is in braces: write `{{*{name}}}` instead of `{segment}`"
            ));
        }
    }
    let names = parameters(path).map_err(|malformed| match malformed {
        Malformed::Parameter => format!(
            "invalid braces in `{path}`: a parameter is `{{name}}`, a literal brace is `{{{{` or `}}}}`"
        ),
        Malformed::Segment => format!(
            "invalid parameters in `{path}`: a segment has one at most, at its end"
        ),
        Malformed::Rest => format!(
            "`{{*..}}` takes the rest of the path: it must come last in `{path}`"
        ),
    })?;
    each_once(&names)?;
    Ok(names)
}

/// Checks that no two parameters have the same name.
fn each_once(names: &[String]) -> Result<(), String> {
    let twice = names
        .iter()
        .enumerate()
        .find(|(at, name)| names[..*at].contains(name));
    let Some((at, name)) = twice else {
        return Ok(());
    };
    let first = names.iter().take_while(|other| *other != name).count();
    Err(format!(
        "the parameter `{name}` occurs twice, at {} and {} of {}",
        first + 1,
        at + 1,
        list(names.iter().map(String::as_str))
    ))
}

/// Parses a [`declared_path`] of a mount, which serves everything below it.
pub fn mount_path(path: &str) -> Result<Vec<String>, String> {
    let names = declared_path(path)?;
    match path.contains("{*") {
        true => Err("a mount serves everything below its path; remove the `{*..}`".to_owned()),
        false => Ok(names),
    }
}

/// Whether a request can have this path, after [normalization](normal_path).
fn check_normal(path: &str) -> Result<(), String> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(
                "requests with an empty segment in the path are refused; write one `/`".to_owned(),
            );
        }
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err(format!(
                "requests with `{segment}` in the path are refused; write the path without it"
            ));
        }
    }
    let mut after = path.split('%').skip(1);
    after.try_for_each(|after| {
        let mut digits = after.bytes();
        let Some((high, low)) = hex(digits.next()).zip(hex(digits.next())) else {
            return Err(
                "`%` must be followed by two hexadecimal digits; write `%25` for a percent sign"
                    .to_owned(),
            );
        };
        let digits = &after[..2];
        let right = match (high << 4) | low {
            b'/' | b'\\' | 0 => {
                return Err(format!("requests with `%{digits}` in the path are refused"));
            }
            b'{' => "{{".to_owned(),
            b'}' => "}}".to_owned(),
            byte => {
                let mut right = String::new();
                push(byte, &mut right);
                right
            }
        };
        match right.strip_prefix('%') == Some(digits) {
            true => Ok(()),
            false => Err(format!(
                "`%{digits}` matches no request, because paths are normalized; write `{right}`"
            )),
        }
    })
}

/// What is wrong with the braces of a path.
#[derive(Debug, PartialEq, Eq)]
enum Malformed {
    Parameter,
    Segment,
    Rest,
}

/// The names of the parameters, by the grammar of matchit, axum's router.
fn parameters(path: &str) -> Result<Vec<String>, Malformed> {
    let mut names = Vec::new();
    let mut chars = Unescaped(path.chars()).peekable();
    while let Some((c, is_escaped)) = chars.next() {
        match c {
            '}' if !is_escaped => return Err(Malformed::Parameter),
            '{' if !is_escaped => {
                let mut name = String::new();
                loop {
                    match chars.next() {
                        None | Some(('/', _)) => return Err(Malformed::Parameter),
                        Some(('}', false)) => break,
                        Some(('*', _)) if !name.is_empty() => return Err(Malformed::Parameter),
                        Some((c, _)) => name.push(c),
                    }
                }
                if matches!(&*name, "" | "*") || name.starts_with('}') {
                    return Err(Malformed::Parameter);
                }
                let next = chars.peek().map(|(c, _)| *c);
                if next.is_some_and(|next| next != '/') {
                    return Err(Malformed::Segment);
                }
                if let Some(rest) = name.strip_prefix('*') {
                    if next.is_some() {
                        return Err(Malformed::Rest);
                    }
                    name = rest.to_owned();
                }
                names.push(name);
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Characters, and whether they were written twice as braces are that are not those of a parameter.
struct Unescaped<'a>(std::str::Chars<'a>);

impl Iterator for Unescaped<'_> {
    type Item = (char, bool);

    fn next(&mut self) -> Option<(char, bool)> {
        let c = self.0.next()?;
        let is_escaped = matches!(c, '{' | '}') && self.0.as_str().starts_with(c);
        if is_escaped {
            self.0.next();
        }
        Some((c, is_escaped))
    }
}

fn percent_encoded(c: char) -> String {
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

/// Checks that something that takes this many parameters can read them from a path with these. The message continues
/// the name of what takes them.
pub fn parameter_count(wanted: usize, names: &[&str]) -> Result<(), String> {
    if names.len() == wanted {
        return Ok(());
    }
    let takes = match wanted {
        1 => "takes one parameter".to_owned(),
        wanted => format!("takes {wanted} parameters"),
    };
    Err(match names {
        [] => format!("{takes}, but the path has none"),
        [name] => format!("{takes}, but the path has one: `{name}`"),
        names => {
            let listed = list(names.iter().copied());
            format!("{takes}, but the path has {}: {listed}", names.len())
        }
    })
}

#[cfg(test)]
mod tests;

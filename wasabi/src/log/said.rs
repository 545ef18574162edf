//! Text from outside, made safe for the log: on one line, and without secrets.

use std::{
    error::Error,
    fmt::{self, Write},
};

use wasabi_rules::without_secrets;

/// Displays text from a client, an upstream or a user's function. Control characters and the like are escaped as in
/// Rust's strings, so that nobody can forge log lines. User, password, query and fragment are removed from URLs.
pub(crate) fn said<T: fmt::Display>(value: T) -> Said<T> {
    Said(value)
}

/// See [`said`].
pub(crate) struct Said<T>(T);

impl<T: fmt::Display> fmt::Display for Said<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        for char in without_secrets(&text).chars() {
            match char {
                // Harmless here, and common in JSON and in other texts.
                '"' | '\'' => f.write_char(char)?,
                _ => write!(f, "{}", char.escape_debug())?,
            }
        }
        Ok(())
    }
}

impl<T: fmt::Display> fmt::Debug for Said<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error and its sources, made safe for the log.
#[derive(Debug)]
pub(crate) struct Logged {
    text: String,
    source: Option<Box<Self>>,
}

impl Logged {
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        Self {
            text: said(error).to_string(),
            source: error.source().map(|source| Box::new(Self::of(source))),
        }
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Logged {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_on_one_line() {
        let forged = "bye\n2026-01-01 ERROR \u{1b}[31mpwned\u{202e} \"ä\" C:\\";
        assert_eq!(
            said(forged).to_string(),
            r#"bye\n2026-01-01 ERROR \u{1b}[31mpwned\u{202e} "ä" C:\\"#
        );
    }

    #[test]
    fn the_sources_of_an_error_are_escaped_too() {
        let error = crate::Error::internal("a\nb");
        let logged = Logged::of(&error);
        assert_eq!(logged.to_string(), r"internal error: a\nb");
        let source = logged.source().expect("a source");
        assert_eq!(source.to_string(), r"a\nb");
    }
}

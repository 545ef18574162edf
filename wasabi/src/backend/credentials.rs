//! Credentials in the URL of an upstream that speaks HTTP (RFC 7617).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// The mistake of setting credentials twice.
pub(super) const TWICE: &str =
    "the URL and the header `authorization` both contain credentials; remove one of them";

/// Makes the value of `Authorization` from a user and a password, percent-encoded as in a URL.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let user = Vec::from_iter(percent_decode_str(user));
    if user.contains(&b':') {
        return Err(
            "the user in the URL contains a colon, but in HTTP Basic authentication a colon ends the user".to_owned(),
        );
    }
    let password = Vec::from_iter(percent_decode_str(password));
    let both = [&user[..], b":", &password[..]].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)))
        .map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a URL contains a user or a password.
pub(super) fn are_in(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Takes the credentials out of a URL, as a value for `Authorization`.
pub(super) fn take(url: &mut Url) -> Result<Option<HeaderValue>, String> {
    if !are_in(url) {
        return Ok(None);
    }
    let value = basic(url.username(), url.password().unwrap_or_default())?;
    // Fails only for URLs that cannot hold credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded() {
        let value = basic("Aladdin", "open%20sesame").expect("a value");
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        assert_eq!(basic("token", "").expect("a value"), "Basic dG9rZW46");
        assert!(basic("a%3Ab", "c").is_err());
    }
}

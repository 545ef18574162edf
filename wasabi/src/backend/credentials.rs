//! Credentials in the URL of an upstream that speaks HTTP (RFC 7617).

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};
use percent_encoding::percent_decode_str;

/// The mistake of setting credentials twice.
pub(super) const TWICE: &str =
    "credentials stand in the URL and in the header `authorization`; one of them is enough";

/// Makes the value of `Authorization` from a user and a password, percent-encoded as in a URL.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let user = Vec::from_iter(percent_decode_str(user));
    if user.contains(&b':') {
        return Err(
            "the user in a URL has a colon, which HTTP cannot tell from the password's".to_owned(),
        );
    }
    let password = Vec::from_iter(percent_decode_str(password));
    let both = [&user[..], b":", &password[..]].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)))
        .map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Moves the credentials from the URL to `Authorization`, unless the request has that header already.
pub(super) fn apply(request: &mut reqwest::Request) -> Result<(), String> {
    let url = request.url();
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    let value = basic(url.username(), url.password().unwrap_or_default())?;
    let url = request.url_mut();
    // Fails only for URLs that cannot hold credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    request
        .headers_mut()
        .entry(header::AUTHORIZATION)
        .or_insert(value);
    Ok(())
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

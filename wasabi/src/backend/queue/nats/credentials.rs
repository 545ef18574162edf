//! The gateway's credentials for NATS.

use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// Credentials for NATS. There is no `Debug`, so that they do not end up in a log.
#[derive(Clone, PartialEq)]
pub(super) enum Credentials {
    User {
        name: String,
        password: String,
    },
    Token(String),
    /// The seed of a user's nkey.
    Nkey(String),
    /// A file with a JWT and a seed.
    File(PathBuf),
    /// The content of such a file.
    Text(String),
}

impl Credentials {
    /// Splits a valid URL into the address and the credentials.
    pub(super) fn parse(url: &str) -> Result<(ServerAddr, Option<Self>), String> {
        let addr: ServerAddr = url.parse().map_err(|error| format!("{error}"))?;
        let mut url = addr.into_inner();
        let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err("the user or password in the URL is not UTF-8".to_owned()),
        };
        let credentials = match (decoded(url.username())?, url.password()) {
            (name, None) if name.is_empty() => None,
            (token, None) => Some(Self::Token(token)),
            (name, Some(_)) if name.is_empty() => {
                return Err("the URL has a password but no user".to_owned());
            }
            (name, Some(password)) => Some(Self::User {
                name,
                password: decoded(password)?,
            }),
        };
        // Cleared, so that nothing that shows the address shows a secret.
        let cleared = url.set_password(None).and_then(|()| url.set_username(""));
        cleared.map_err(|()| "the URL has no host".to_owned())?;
        let addr = ServerAddr::from_url(url).map_err(|error| error.to_string())?;
        Ok((addr, credentials))
    }

    /// Checks the credentials before NATS is asked.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Nkey(seed) => {
                let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
                match seed.starts_with("SU") && seed.len() == 58 && seed.bytes().all(is_base32) {
                    true => Ok(()),
                    false => Err(
                        "invalid nkey; expected the seed of a user: `SU` and 56 letters or digits"
                            .to_owned(),
                    ),
                }
            }
            Self::User { .. } | Self::Token(_) => Ok(()),
            Self::File(_) | Self::Text(_) => self.apply(ConnectOptions::new()).map(drop),
        }
    }

    /// Adds the credentials to the options. A file is read each time, so that a replaced one counts for the next
    /// connection.
    pub(super) fn apply(&self, options: ConnectOptions) -> Result<ConnectOptions, String> {
        let text = |options: ConnectOptions, text: &str| {
            let options = options.credentials(text);
            options.map_err(|_| {
                "invalid credentials; expected a JWT and a seed, as `nsc` writes them".to_owned()
            })
        };
        Ok(match self {
            Self::User { name, password } => {
                options.user_and_password(name.clone(), password.clone())
            }
            Self::Token(token) => options.token(token.clone()),
            Self::Nkey(seed) => options.nkey(seed.clone()),
            Self::Text(credentials) => text(options, credentials)?,
            Self::File(path) => {
                let read = std::fs::read_to_string(path);
                let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
                text(options, &read).map_err(|error| format!("{}: {error}", path.display()))?
            }
        })
    }
}

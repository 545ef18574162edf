//! The management of connections, groups and users over HTTP, on the admin listener.

mod answers;
mod asks;
mod keys;
mod routes;

use std::{fmt, net::IpAddr, path::Path, sync::Arc};

use axum::Router;

use self::keys::Keys;
use crate::{Registry, mistakes::Mistakes};

/// An HTTP API to manage connections, for other services and for operators: part of an [`Admin`](crate::Admin).
///
/// It publishes to groups and users, says who is there, sends to single connections and closes them, and puts users into
/// groups. With a [`Cluster`](crate::Cluster), each node answers for all nodes. The guide has a table of the requests;
/// `GET /v1/openapi.json` is a description for programs (OpenAPI 3.1).
///
/// ```no_run
/// use wasabi::{Admin, Management, prelude::*};
///
/// # async fn run(registry: Registry, gateway: Gateway) -> Result<(), wasabi::ServeError> {
/// let management = Management::new(registry).key_file("/run/secrets/management-keys");
/// let admin = Admin::bind("10.0.0.7:9090").manage(management);
/// Server::bind("0.0.0.0:8080").admin(admin).serve(gateway).await
/// // curl --fail -H "Authorization: Bearer $KEY" -d 'hello' http://10.0.0.7:9090/v1/groups/lobby/publish
/// # }
/// ```
///
/// # Who may ask
///
/// Whoever sends one of the [keys](Self::key) as a bearer token (RFC 6750). Without a key the listener must be on a loopback
/// address or a Unix socket, where every process of the machine may ask; on any other address that is a mistake, and the
/// server does not start. Requests of web pages, which browsers mark, are refused if there is no key. The admin listener
/// has no TLS, so keep it in a private network: a key travels as it is.
#[must_use = "management does nothing until an admin listener has it"]
pub struct Management {
    /// The first one has no name.
    registries: Vec<(Option<String>, Registry)>,
    keys: Keys,
    max_body_size: usize,
    mistakes: Mistakes,
}

impl Management {
    /// Manages the connections of this registry.
    pub fn new(registry: Registry) -> Self {
        Self {
            registries: vec![(None, registry)],
            keys: Keys::default(),
            max_body_size: 1024 * 1024,
            mistakes: Mistakes::default(),
        }
    }

    /// Also manages this registry: requests with the parameter `registry` and this name are about it. An empty name, and one
    /// that is there already, are mistakes.
    pub fn registry(mut self, name: impl Into<String>, registry: Registry) -> Self {
        let name = name.into();
        let is_taken = |other: &(Option<String>, Registry)| other.0.as_ref() == Some(&name);
        if name.is_empty() || self.registries.iter().any(is_taken) {
            let mistake = format!(
                "`Management::registry`: `{}` is empty or named already",
                name.escape_debug()
            );
            self.mistakes.push(mistake);
        }
        self.registries.push((Some(name), registry));
        self
    }

    /// Admits requests with this key. There may be several, so that a new one can be in use before the old one is removed.
    /// A key has 16 to 512 characters, printable ones of ASCII without spaces; anything else is a mistake. Take it from the
    /// environment or a [file](Self::key_file), and not from the source.
    ///
    /// Keys are compared in constant time, and appear in no log.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.mistakes.keep(self.keys.add(&key.into()));
        self
    }

    /// Admits requests with the keys in this file, one a line. It is read now; a file that cannot be read, and one without
    /// a key, are mistakes.
    pub fn key_file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mistake = |why: String| format!("`Management::key_file`: `{}`: {why}", path.display());
        match std::fs::read_to_string(path) {
            Err(error) => self.mistakes.push(mistake(error.to_string())),
            Ok(text) => {
                let keys = text.lines().map(str::trim).filter(|key| !key.is_empty());
                if keys.clone().next().is_none() {
                    self.mistakes.push(mistake("no key".to_owned()));
                }
                for key in keys {
                    self.mistakes.keep(self.keys.add(key));
                }
            }
        }
        self
    }

    /// The maximum size of a message in bytes; 1 MiB by default. A larger one is answered 413. Zero is a mistake.
    pub fn max_body_size(mut self, bytes: usize) -> Self {
        self.max_body_size = self.mistakes.above_zero("Management::max_body_size", bytes);
        self
    }

    /// The mistakes, on a listener with this address.
    pub(super) fn check(&self, address: &str) -> Vec<String> {
        let mut mistakes = self.mistakes.as_slice().to_vec();
        if self.keys.is_empty() && !is_local(address) {
            mistakes.push(format!(
                "`Admin::manage` on `{}`: without a key everybody who reaches this address may manage all connections; \
                 add `Management::key`, or listen on a loopback address or a Unix socket",
                address.escape_debug()
            ));
        }
        mistakes
    }

    pub(super) fn into_router(self) -> Router {
        routes::router(Arc::new(self))
    }

    /// The registry that a request names.
    fn named(&self, name: Option<&str>) -> Option<&Registry> {
        let mut registries = self.registries.iter();
        let (_, registry) = registries.find(|(own, _)| own.as_deref() == name)?;
        Some(registry)
    }
}

/// Whether only processes of this machine reach the address.
fn is_local(address: &str) -> bool {
    if address.starts_with("unix:") {
        return true;
    }
    let Some((host, _port)) = address.rsplit_once(':') else {
        return false;
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management")
            .field("registries", &self.registries)
            .field("max_body_size", &self.max_body_size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_key_only_this_machine_may_ask() {
        let keyless = || Management::new(Registry::new());
        for local in [
            "127.0.0.1:0",
            "127.8.8.8:1",
            "[::1]:9090",
            "localhost:9090",
            "unix:/run/a",
        ] {
            assert_eq!(keyless().check(local), [""; 0], "{local}");
        }
        for open in [
            "0.0.0.0:9090",
            "[::]:9090",
            "10.0.0.7:9090",
            "gateway:9090",
            "localhost.evil.test:9090",
            "9090",
            "",
        ] {
            assert_eq!(keyless().check(open).len(), 1, "{open}");
            let keyed = keyless().key("0123456789abcdef");
            assert_eq!(keyed.check(open), [""; 0], "{open}");
        }
    }

    #[test]
    fn mistakes_are_named_and_show_no_key() {
        let mistaken = Management::new(Registry::new())
            .key("too short")
            .key("with a space, which no token has")
            .key_file("no/such/file")
            .registry("", Registry::new())
            .registry("a", Registry::new())
            .registry("a", Registry::new())
            .max_body_size(0);
        let mistakes = mistaken.check("127.0.0.1:0");
        assert_eq!(mistakes.len(), 6, "{mistakes:?}");
        let shown = format!("{mistakes:?} {mistaken:?}");
        assert!(
            !shown.contains("too short") && !shown.contains("which no token has"),
            "{shown}"
        );
    }
}

//! A server's settings in a file.

#[cfg(feature = "tls")]
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Admin, ServeError, Server};
#[cfg(feature = "tls")]
use super::{ClientAuth, Tls};
use crate::units;

/// The settings of a [`Server`](crate::Server) as a type that serde can read from any format. Each has the name and the
/// default of the method. Unknown names are errors. Pass it to [`Server::configured`](crate::Server::configured).
///
/// Durations are strings with the units of `gateway!`: `250us`, `100ms`, `2s`, `5min`, `1h`; sizes are numbers of bytes,
/// or strings such as `64MiB`. [`units`](crate::units) reads the same in your own types. [`ChannelConfig`](crate::ChannelConfig) has the
/// settings of channels.
///
/// ```
/// use wasabi::{Server, ServerConfig};
///
/// let config: ServerConfig = serde_json::from_str(r#"{
///     "listen": ["127.0.0.1:8080", "unix:/run/gateway.sock"],
///     "admin": "127.0.0.1:9090",
///     "drain_timeout": "1min",
///     "max_sockets": 50000
/// }"#)?;
/// let server = Server::configured(&config)?;
/// # drop(server);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Where to listen: see [`Server::bind`](crate::Server::bind). At least one address.
    #[serde(deserialize_with = "not_empty")]
    pub listen: Vec<String>,
    /// Where to listen without TLS: see [`Server::also_bind_plain`](crate::Server::also_bind_plain).
    #[serde(default)]
    pub listen_plain: Vec<String>,
    /// Where to listen for proxies that speak the PROXY protocol: see
    /// [`Server::also_bind_proxied`](crate::Server::also_bind_proxied).
    #[serde(default)]
    pub listen_proxied: Vec<ProxiedListener>,
    /// The permissions of Unix sockets in octal digits, such as `"660"`: see
    /// [`Server::unix_mode`](crate::Server::unix_mode).
    #[serde(default, deserialize_with = "mode")]
    pub unix_mode: Option<u32>,
    /// Where to answer operators: see [`Server::admin`](crate::Server::admin).
    #[serde(default)]
    pub admin: Option<String>,
    /// Names that operators ask for: see [`Admin::hosts`](crate::Admin::hosts).
    #[serde(default)]
    pub admin_hosts: Vec<String>,
    /// See [`Server::tls`](crate::Server::tls).
    #[cfg(feature = "tls")]
    #[serde(default)]
    pub tls: Option<TlsFiles>,
    /// See [`Server::header_timeout`](crate::Server::header_timeout).
    #[serde(default, deserialize_with = "units::duration")]
    pub header_timeout: Option<Duration>,
    /// See [`Server::keep_alive_timeout`](crate::Server::keep_alive_timeout).
    #[serde(default, deserialize_with = "units::duration")]
    pub keep_alive_timeout: Option<Duration>,
    /// See [`Server::request_timeout`](crate::Server::request_timeout).
    #[serde(default, deserialize_with = "units::duration")]
    pub request_timeout: Option<Duration>,
    /// See [`Server::drain_delay`](crate::Server::drain_delay).
    #[serde(default, deserialize_with = "units::duration")]
    pub drain_delay: Option<Duration>,
    /// See [`Server::drain_timeout`](crate::Server::drain_timeout).
    #[serde(default, deserialize_with = "units::duration")]
    pub drain_timeout: Option<Duration>,
    /// See [`Server::drain_spread`](crate::Server::drain_spread).
    #[serde(default, deserialize_with = "units::duration")]
    pub drain_spread: Option<Duration>,
    /// See [`Server::max_sockets`](crate::Server::max_sockets).
    #[serde(default)]
    pub max_sockets: Option<usize>,
    /// See [`Server::max_waiting_bytes`](crate::Server::max_waiting_bytes).
    #[serde(default, deserialize_with = "units::size")]
    pub max_waiting_bytes: Option<usize>,
    /// See [`Server::max_sockets_per_client`](crate::Server::max_sockets_per_client).
    #[serde(default)]
    pub max_sockets_per_client: Option<usize>,
    /// See [`Server::http2_streams`](crate::Server::http2_streams).
    #[cfg(feature = "http2")]
    #[serde(default)]
    pub http2_streams: Option<u32>,
    /// See [`Server::signals`](crate::Server::signals).
    #[serde(default)]
    pub signals: Option<bool>,
}

/// An address, and the proxies that may begin connections there with a PROXY protocol header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxiedListener {
    /// Where to listen: see [`Server::bind`](crate::Server::bind).
    pub address: String,
    /// The networks of the proxies, such as `10.0.0.0/8`.
    pub proxies: Vec<String>,
}

/// The files of a certificate and its key.
#[cfg(feature = "tls")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate, followed by its chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities that client certificates are verified against, in PEM: see
    /// [`ClientAuth::from_pem`](crate::ClientAuth::from_pem).
    #[serde(default)]
    pub client_authorities: Option<PathBuf>,
    /// Whether clients may connect without a certificate: see [`ClientAuth::optional`](crate::ClientAuth::optional).
    #[serde(default)]
    pub clients_optional: bool,
    /// See [`Tls::handshake_timeout`](crate::Tls::handshake_timeout).
    #[serde(default, deserialize_with = "units::duration")]
    pub handshake_timeout: Option<Duration>,
}

#[cfg(feature = "tls")]
impl TlsFiles {
    /// Reads the files.
    pub fn load(&self) -> Result<Tls, crate::TlsError> {
        let mut tls = Tls::from_pem(&self.certificate, &self.key)?;
        if let Some(authorities) = &self.client_authorities {
            let clients = ClientAuth::from_pem(authorities);
            tls = tls.client_auth(match self.clients_optional {
                true => clients.optional(),
                false => clients,
            })?;
        }
        Ok(match self.handshake_timeout {
            Some(timeout) => tls.handshake_timeout(timeout),
            None => tls,
        })
    }
}

impl ServerConfig {
    pub(super) fn server(&self) -> Result<Server, ServeError> {
        let mut addresses = self.listen.iter();
        let mut server = Server::bind(addresses.next().map_or("", String::as_str));
        server = addresses.fold(server, Server::also_bind);
        server = self
            .listen_plain
            .iter()
            .fold(server, Server::also_bind_plain);
        for ProxiedListener { address, proxies } in &self.listen_proxied {
            server = server.also_bind_proxied(address, proxies);
        }
        if let Some(mode) = self.unix_mode {
            server = server.unix_mode(mode);
        }
        if let Some(address) = &self.admin {
            let admin = Admin::bind(address);
            server = server.admin(match self.admin_hosts.as_slice() {
                [] => admin,
                names => admin.hosts(names),
            });
        }
        #[cfg(feature = "tls")]
        if let Some(files) = &self.tls {
            server = server.tls(files.load()?);
        }
        type Set = fn(Server, Duration) -> Server;
        let durations: [(_, Set); 6] = [
            (self.header_timeout, Server::header_timeout),
            (self.keep_alive_timeout, Server::keep_alive_timeout),
            (self.drain_delay, Server::drain_delay),
            (self.request_timeout, Server::request_timeout),
            (self.drain_timeout, Server::drain_timeout),
            (self.drain_spread, Server::drain_spread),
        ];
        for (duration, set) in durations {
            if let Some(duration) = duration {
                server = set(server, duration);
            }
        }
        if let Some(sockets) = self.max_sockets {
            server = server.max_sockets(sockets);
        }
        if let Some(bytes) = self.max_waiting_bytes {
            server = server.max_waiting_bytes(bytes);
        }
        if let Some(sockets) = self.max_sockets_per_client {
            server = server.max_sockets_per_client(sockets);
        }
        #[cfg(feature = "http2")]
        if let Some(streams) = self.http2_streams {
            server = server.http2_streams(streams);
        }
        if let Some(signals) = self.signals {
            server = server.signals(signals);
        }
        Ok(server)
    }
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(D::Error::custom(
            "the list is empty; write at least one address to listen on",
        ));
    }
    Ok(list)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.trim_start_matches("0o");
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if digits.len() >= 3 => Ok(Some(mode)),
        _ => Err(D::Error::custom(format_args!(
            "`{text}` is not a mode; write it in octal digits, like `660`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_a_configuration_are_reported() {
        let cases = [
            (r#"{}"#, "missing field `listen`"),
            (
                r#"{"listen":[]}"#,
                "the list is empty; write at least one address to listen on",
            ),
            (r#"{"listen":["a"],"drain":"1s"}"#, "unknown field `drain`"),
            (
                r#"{"listen":["a"],"drain_timeout":"soon"}"#,
                "`soon` is not a duration",
            ),
            (r#"{"listen":["a"],"unix_mode":"rw"}"#, "`rw` is not a mode"),
            (
                r#"{"listen":["a"],"drain_timeout":30}"#,
                "expected a duration",
            ),
        ];
        for (text, expected) in cases {
            let error = serde_json::from_str::<ServerConfig>(text).expect_err(text);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn every_setting_of_a_configuration_reaches_the_server() {
        let config = serde_json::json!({
            "listen": ["a", "b"],
            "listen_plain": ["c"],
            "listen_proxied": [{"address": "x", "proxies": ["10.0.0.0/8"]}],
            "unix_mode": "0660",
            "admin": "d",
            "admin_hosts": ["e", "f g"],
            "header_timeout": "1s",
            "keep_alive_timeout": "8s",
            "drain_delay": "9s",
            "request_timeout": "2s",
            "drain_timeout": "3s",
            "drain_spread": "4s",
            "max_sockets": 5,
            "max_waiting_bytes": "7B",
            "max_sockets_per_client": 3,
            "signals": false,
        });
        let config: ServerConfig = serde_json::from_value(config).expect("a configuration");
        #[cfg(feature = "http2")]
        let config = ServerConfig {
            http2_streams: Some(6),
            ..config
        };
        let server = config.server().expect("a server");
        assert_eq!(server.sources.len(), 4);
        assert_eq!(server.unix_mode, Some(0o660));
        let mistakes = server.admin.expect("an admin listener").check();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(server.header_timeout.as_secs(), 1);
        assert_eq!(server.keep_alive_timeout.as_secs(), 8);
        assert_eq!(server.drain_delay.as_secs(), 9);
        assert_eq!(server.request_timeout.as_secs(), 2);
        assert_eq!(server.drain_timeout.as_secs(), 3);
        assert_eq!(server.drain_spread.as_secs(), 4);
        assert_eq!(server.max_sockets, Some(5));
        assert_eq!(server.max_waiting_bytes, Some(7));
        assert_eq!(server.max_sockets_per_client, Some(3));
        #[cfg(feature = "http2")]
        assert_eq!(server.http2_streams, 6);
        assert!(!server.signals);
    }
}

//! NATS as the broker of a queue, with NATS' own request and reply.

mod credentials;

use std::{borrow::Cow, fmt, path::PathBuf, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event, HeaderMap, HeaderName, HeaderValue, ServerAddr, StatusCode,
    Subscriber,
};
use futures_util::StreamExt;

use self::credentials::Credentials;
use super::{Inbox, Outgoing, Queue, Session, Transport, transport::expires_at};
use crate::{
    BoxError, Error, Result,
    backend::broker::session_task::{Ending, SessionTask},
    log::limited,
};
use wasabi_rules::schemes;

/// NATS as the transport of a queue. It needs version 2.2 or newer, which has headers.
///
/// ```
/// use wasabi::Queue;
///
/// let queue = Queue::nats("nats://127.0.0.1:4222", "orders");
/// # drop(queue);
/// ```
///
/// # For workers
///
/// A worker is any NATS responder: it subscribes to the subject (with a queue group if there are several workers) and
/// publishes the reply to the message's reply subject. Headers of a request:
///
/// | header | value |
/// |---|---|
/// | `id` | the correlation id, which is also the end of the reply subject |
/// | `kind` | `text` or `binary` |
/// | `expires_at` | when the gateway stops waiting, in milliseconds since 1970; absent if no reply is expected |
/// | others | the headers of the queue |
///
/// The reply may have the header `kind`. Without it the reply is text; with `error` the payload tells the client why
/// the job failed. In a reply in parts, each part except the last one has the header `more` with its number, counted
/// from 1.
///
/// # Limits
///
/// NATS stores nothing: a request fails at once with `upstream_unreachable` if no worker listens, and requests in
/// flight fail when the connection breaks. The client library ends the connection over a reply whose headers are not
/// valid UTF-8. The gateway reconnects within 50 ms, but the requests in flight fail with `upstream_lost`, so keep
/// workers from sending such replies. Subjects with the wildcards `*` and `>` are the error `bad_request`.
///
/// # Memory
///
/// The client library holds up to 256 messages on their way to NATS, and up to 65 536 replies that arrive at once. It
/// drops further replies, which is logged as a warning. A reply is never longer than the server's `max_payload`, 1 MiB
/// by default.
///
/// # TLS
///
/// A connection to a URL with the scheme `tls` is encrypted. With a `tls_config`, which needs the cargo feature `tls`,
/// connections to all URLs are. The gateway then refuses a server without TLS. The server's certificate must be valid for the host of the URL and
/// come from an authority that the system trusts, or as `tls_config` says. Other servers that a server announces are
/// not used.
///
/// # Credentials
///
/// A user and a password, or a token, may be in the URL, percent-encoded: `nats://user:password@host`,
/// `nats://token@host`. Or use the settings [`user`](Self::user) and [`token`](Self::token). An [`nkey`](Self::nkey)
/// and [`credentials`](Self::credentials_file) are settings as well. Credentials apply to all servers. If NATS refuses
/// them, the log says so as the reason for the missing connection. The credentials themselves are never logged.
pub struct Nats {
    servers: Result<Vec<ServerAddr>, String>,
    /// From the URLs.
    in_urls: Option<Credentials>,
    /// From a setting.
    credentials: Option<Credentials>,
    #[cfg(feature = "tls")]
    tls: crate::backend::broker::tls::TlsSettings,
}

/// The maximum number of messages that wait to be written to the connection.
const WRITE_QUEUE: usize = 256;
/// The maximum number of replies that have been read but not delivered. Those that do not fit are lost, so there is
/// room for one for each request.
const READ_QUEUE: usize = 65_536;

impl Nats {
    /// Makes a transport for NATS at a URL, or at one of several separated by commas.
    pub fn new(urls: impl AsRef<str>) -> Self {
        let mut in_urls = None;
        let servers = urls.as_ref().split(',').map(|url| {
            wasabi_rules::url(url, schemes::NATS)?;
            let (addr, credentials) = Credentials::parse(url)?;
            match (&in_urls, credentials) {
                (Some(others), Some(credentials)) if *others != credentials => {
                    return Err(
                        "the URLs contain different credentials; all servers share one set"
                            .to_owned(),
                    );
                }
                (_, Some(credentials)) => in_urls = Some(credentials),
                (_, None) => {}
            }
            Ok(addr)
        });
        Self {
            servers: servers.collect(),
            in_urls,
            credentials: None,
            #[cfg(feature = "tls")]
            tls: crate::backend::broker::tls::TlsSettings::default(),
        }
    }

    /// Authenticates with a user and a password. Of this and the other credentials settings the last one counts.
    /// Credentials in the URL as well as in a setting prevent the gateway from being served.
    #[must_use]
    pub fn user(self, name: impl Into<String>, password: impl Into<String>) -> Self {
        let (name, password) = (name.into(), password.into());
        self.known_by(Credentials::User { name, password })
    }

    /// Authenticates with a token.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        self.known_by(Credentials::Token(token.into()))
    }

    /// Authenticates with an nkey, given its seed: `SU..`.
    #[must_use]
    pub fn nkey(self, seed: impl Into<String>) -> Self {
        self.known_by(Credentials::Nkey(seed.into()))
    }

    /// Authenticates with the content of a credentials file, with a JWT and a seed, as `nsc` and NATS' services write
    /// it.
    #[must_use]
    pub fn credentials(self, text: impl Into<String>) -> Self {
        self.known_by(Credentials::Text(text.into()))
    }

    /// Authenticates with a file of [`credentials`](Self::credentials). It is read for each connection, so a replaced
    /// file counts from the next connection on. An unreadable file prevents the gateway from being served.
    ///
    /// ```
    /// use wasabi::{Queue, queue::Nats};
    ///
    /// let nats = Nats::new("tls://connect.example.com").credentials_file("/run/secrets/nats.creds");
    /// let queue = Queue::new(nats, "orders");
    /// # drop(queue);
    /// ```
    #[must_use]
    pub fn credentials_file(self, path: impl Into<PathBuf>) -> Self {
        self.known_by(Credentials::File(path.into()))
    }

    fn known_by(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the TLS configuration, for your own certificates or a client certificate. With it every connection is
    /// encrypted, whatever the scheme of its URL.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls_config(mut self, config: impl Into<std::sync::Arc<rustls::ClientConfig>>) -> Self {
        self.tls.set(config.into());
        self
    }

    /// Whether every connection must be encrypted, whatever the scheme of its URL.
    fn is_always_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_set() {
            return true;
        }
        false
    }

    /// Whether some connections must be encrypted.
    #[cfg(feature = "tls")]
    fn needs_tls(&self) -> bool {
        let mut servers = self.servers.iter().flatten();
        self.is_always_encrypted() || servers.any(ServerAddr::tls_required)
    }

    /// The servers, of which a connection tries each once, in random order.
    pub(crate) fn servers(&self) -> Result<&[ServerAddr], BoxError> {
        match &self.servers {
            Ok(servers) => Ok(servers),
            Err(mistake) => Err(mistake.as_str().into()),
        }
    }

    /// How it connects. A session ends with its connection, and is opened again by whoever needs it.
    pub(crate) fn options(&self) -> Result<ConnectOptions, BoxError> {
        let options = ConnectOptions::new().require_tls(self.is_always_encrypted());
        #[cfg(feature = "tls")]
        let options = match self.needs_tls() {
            true => options.tls_client_config(rustls::ClientConfig::clone(&*self.tls.config()?)),
            false => options,
        };
        let options = match self.credentials.as_ref().or(self.in_urls.as_ref()) {
            Some(credentials) => credentials.apply(options)?,
            None => options,
        };
        Ok(options
            .name("wasabi")
            // Announced servers need not be encrypted, and others may have announced them.
            .ignore_discovered_servers()
            .connection_timeout(Duration::from_secs(5))
            .ping_interval(Duration::from_secs(10))
            .max_reconnects(self.servers()?.len()))
    }

    /// Checks the URLs, the credentials and TLS.
    pub(crate) fn check_settings(&self) -> Result<(), String> {
        if let Err(mistake) = &self.servers {
            return Err(mistake.clone());
        }
        if let Some(credentials) = &self.credentials {
            if self.in_urls.is_some() {
                return Err(
                    "the URL and a setting both contain credentials; remove one of them".to_owned(),
                );
            }
            credentials.check()?;
        }
        #[cfg(feature = "tls")]
        if self.needs_tls() {
            self.tls.config()?;
        }
        Ok(())
    }
}

impl Queue<Nats> {
    /// Makes a queue over [`Nats`], at one or more `nats://` URLs separated by commas. The topic is a subject.
    pub fn nats(urls: impl AsRef<str>, subject: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Nats::new(urls), subject)
    }
}

impl Transport for Nats {
    type Session = NatsSession;

    async fn connect(&self, inbox: Inbox) -> Result<NatsSession, BoxError> {
        let servers = self.servers()?;
        let ending = Ending::new();
        let at_end = ending.clone();
        let client = self
            .options()?
            .client_capacity(WRITE_QUEUE)
            .subscription_capacity(READ_QUEUE)
            .event_callback(move |event| {
                match event {
                    // The client library gives no reason.
                    Event::Disconnected => {
                        at_end.end(&"disconnected, perhaps by a reply whose headers are not UTF-8");
                    }
                    Event::Closed => at_end.end(&event),
                    Event::SlowConsumer(_) => limited!(WARN, "replies dropped: too many at once"),
                    _ => {}
                }
                std::future::ready(())
            })
            .connect(servers)
            .await?;
        let prefix = format!("_INBOX.{}.", inbox.instance());
        let replies = client.subscribe(format!("{prefix}*")).await?;
        client.flush().await?;
        let read = read(replies, inbox, prefix.len());
        Ok(NatsSession {
            client,
            prefix,
            task: SessionTask::spawn(ending, read),
        })
    }

    fn check(&self) -> Result<(), String> {
        self.check_settings()
    }
}

/// Reads replies until the connection breaks.
async fn read(mut replies: Subscriber, inbox: Inbox, prefix: usize) -> BoxError {
    while let Some(message) = replies.next().await {
        let id = message.subject.get(prefix..).unwrap_or_default();
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            inbox.fail(
                id,
                Error::UpstreamUnreachable("no worker is listening".into()),
            );
            continue;
        }
        let header = |name| Some(message.headers.as_ref()?.get(name)?.as_str().as_bytes());
        let (kind, more) = (header("kind"), header("more"));
        inbox.reply_with(id, kind, more, message.payload.clone());
    }
    "the subscription has ended".into()
}

/// A connection to [`Nats`].
pub struct NatsSession {
    client: Client,
    prefix: String,
    task: SessionTask,
}

impl Session for NatsSession {
    async fn publish(&self, message: Outgoing<'_>) -> Result<()> {
        if message.topic.contains(['*', '>']) {
            return Err(Error::bad_request("the topic of this message is invalid"));
        }
        let mut headers = HeaderMap::new();
        headers.insert("id", message.id.as_str());
        headers.insert("kind", message.kind());
        if message.expects_reply {
            headers.insert("expires_at", expires_at(message.expires_in).to_string());
        }
        for (name, value) in message.headers {
            let name: HeaderName = name.parse().map_err(Error::internal)?;
            let value: HeaderValue = value.parse().map_err(Error::internal)?;
            headers.insert(name, value);
        }
        let (topic, payload) = (message.topic.to_owned(), message.request.payload());
        if message.expects_reply {
            let reply = format!("{}{}", self.prefix, message.id);
            self.client
                .publish_with_reply_and_headers(topic, reply, headers, payload)
                .await
                .map_err(not_published)
        } else {
            let published = self.client.publish_with_headers(topic, headers, payload);
            published.await.map_err(not_published)?;
            // Flushed, because a loss between here and the socket would go unnoticed.
            let flushed = self.client.flush().await;
            flushed.map_err(|error| Error::UpstreamLost(error.into()))
        }
    }

    async fn closed(&self) -> BoxError {
        self.task.ended().await
    }
}

fn not_published(error: async_nats::PublishError) -> Error {
    match error.kind() {
        async_nats::client::PublishErrorKind::InvalidSubject => {
            Error::bad_request("the topic of this message is invalid")
        }
        async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
            Error::bad_request("the message is too large")
        }
        _ => Error::UpstreamUnreachable(error.into()),
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nats(..)")
    }
}

impl fmt::Debug for NatsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSession")
            .field("replies", &self.prefix)
            .finish_non_exhaustive()
    }
}

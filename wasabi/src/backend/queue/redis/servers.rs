//! Which server of Redis to connect to: the one of the URL, the primary that Sentinels name, or the node of a Redis Cluster
//! that has a key.

mod watch;

use std::sync::Arc;

use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError,
    ServerErrorKind, aio::MultiplexedConnection,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use wasabi_rules::{RedisAt, RedisUrl, redis_url};

pub(crate) use self::watch::Watch;
use super::Redis;
use crate::{
    BoxError,
    backend::broker::socket::{self, CONNECT_TIMEOUT},
};

/// How often a Redis Cluster may send us to another node.
const REDIRECTS: usize = 5;

#[cfg(not(feature = "tls"))]
pub(super) const NEEDS_TLS: &str = "`rediss` needs the cargo feature `tls` of wasabi";

/// What the URL says.
#[derive(Clone)]
pub(super) struct Servers {
    pub(super) is_encrypted: bool,
    addrs: Vec<Addr>,
    pub(super) at: At,
    settings: RedisConnectionInfo,
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addr(Arc<str>, u16);

#[derive(Clone)]
pub(super) enum At {
    Server,
    Sentinels(Arc<str>),
    Cluster,
}

/// A connection for a question or two. It is closed when this is dropped, even if an answer is awaited.
struct Brief {
    connection: MultiplexedConnection,
    driver: AbortOnDropHandle<()>,
}

/// What a server says of itself.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) is_primary: bool,
    /// Another one after each start.
    pub(crate) run: String,
}

impl Servers {
    pub(super) fn of(url: &str) -> Result<Self, String> {
        let RedisUrl {
            is_encrypted,
            userinfo,
            hosts,
            at,
        } = redis_url(url)?;
        let rest = match at {
            RedisAt::Server { rest } if is_encrypted && rest.contains('#') => {
                return Err(
                    "the URL cannot have a fragment: certificates are always verified".to_owned(),
                );
            }
            RedisAt::Server { rest } => rest.to_owned(),
            RedisAt::Sentinels { database, .. } => format!("/{database}"),
            RedisAt::Cluster => String::new(),
        };
        let login = userinfo.map(|userinfo| format!("{userinfo}@"));
        // The library reads the rest; wasabi finds the servers and does the TLS.
        let url = format!("redis://{}redis{rest}", login.unwrap_or_default());
        let client = Client::open(url).map_err(|error| error.to_string())?;
        let hosts = hosts.into_iter();
        Ok(Self {
            is_encrypted,
            addrs: hosts.map(|(host, port)| Addr(host.into(), port)).collect(),
            at: match at {
                RedisAt::Server { .. } => At::Server,
                RedisAt::Sentinels { primary, .. } => At::Sentinels(primary.into()),
                RedisAt::Cluster => At::Cluster,
            },
            settings: client.get_connection_info().redis_settings().clone(),
        })
    }
}

impl Redis {
    fn servers(&self) -> Result<&Servers, BoxError> {
        Ok(self.servers.as_ref().map_err(|mistake| mistake.as_str())?)
    }

    /// Whether another server may take the place of this one, without some of what this one has acknowledged.
    pub(crate) fn fails_over(&self) -> bool {
        let servers = self.servers.as_ref();
        servers.is_ok_and(|servers| !matches!(servers.at, At::Server))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        let servers = self.servers.as_ref();
        servers.is_ok_and(|servers| matches!(servers.at, At::Cluster))
    }

    /// Finds the server to connect to, in a Redis Cluster for this key.
    pub(crate) async fn server(&self, key: &str) -> Result<Addr, BoxError> {
        let servers = self.servers()?;
        match &servers.at {
            At::Server => Ok(servers.addrs[0].clone()),
            At::Sentinels(_) | At::Cluster => {
                let addrs = servers.addrs.iter();
                first(addrs.map(|addr| self.ask(addr, key)).collect()).await
            }
        }
    }

    async fn ask(&self, addr: &Addr, key: &str) -> Result<Addr, BoxError> {
        match &self.servers()?.at {
            At::Server => Ok(addr.clone()),
            At::Sentinels(primary) => self.ask_sentinel(addr, primary).await,
            At::Cluster => self.ask_node(addr, key).await,
        }
    }

    fn of_sentinels(&self) -> RedisConnectionInfo {
        match &self.sentinel_user {
            Some((user, password)) => RedisConnectionInfo::default()
                .set_username(user)
                .set_password(password),
            None => RedisConnectionInfo::default(),
        }
    }

    async fn ask_sentinel(&self, sentinel: &Addr, primary: &str) -> Result<Addr, BoxError> {
        let settings = self.of_sentinels();
        let config = AsyncConnectionConfig::new();
        let mut sentinel = self.briefly(sentinel, &settings, config).await?;
        let addr = named(&mut sentinel.connection, primary).await?;
        // A Sentinel that was cut off may name an old one.
        let mut server = self.ask_at(&addr).await?;
        match identity(&mut server.connection).await?.is_primary {
            true => Ok(addr),
            false => Err(format!("`{}:{}` is not a primary", addr.0, addr.1).into()),
        }
    }

    async fn ask_node(&self, node: &Addr, key: &str) -> Result<Addr, BoxError> {
        let mut addr = node.clone();
        for _ in 0..REDIRECTS {
            let mut node = self.ask_at(&addr).await?;
            let Err(error) = has_slot(&mut node.connection, key).await else {
                return Ok(addr);
            };
            addr = match moved_to(&error) {
                None => return Err(error.into()),
                // A node that does not know its own address or name leaves it out.
                Some(("", port)) => Addr(addr.0, port),
                Some((host, port)) => Addr(host.into(), port),
            };
        }
        Err("the nodes of the Redis Cluster do not agree who has the key".into())
    }

    async fn ask_at(&self, addr: &Addr) -> Result<Brief, BoxError> {
        let settings = &self.servers()?.settings;
        self.briefly(addr, settings, AsyncConnectionConfig::new())
            .await
    }

    async fn briefly(
        &self,
        addr: &Addr,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<Brief, BoxError> {
        let config = config.set_response_timeout(Some(CONNECT_TIMEOUT));
        let (connection, driver) = self.open(addr, settings, config).await?;
        Ok(Brief {
            connection,
            driver: AbortOnDropHandle::new(driver),
        })
    }

    /// Opens a connection, by the protocol that the URL names unless another is given.
    pub(crate) async fn connect_to(
        &self,
        addr: &Addr,
        config: AsyncConnectionConfig,
        protocol: Option<ProtocolVersion>,
    ) -> Result<MultiplexedConnection, BoxError> {
        let settings = self.servers()?.settings.clone();
        let settings = match protocol {
            Some(protocol) => settings.set_protocol(protocol),
            None => settings,
        };
        Ok(self.open(addr, &settings, config).await?.0)
    }

    /// A connection, and the task that drives it.
    async fn open(
        &self,
        Addr(host, port): &Addr,
        settings: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, JoinHandle<()>), BoxError> {
        let is_encrypted = self.servers()?.is_encrypted;
        #[cfg(feature = "tls")]
        let tls = is_encrypted.then_some(&self.tls);
        #[cfg(not(feature = "tls"))]
        let tls = match is_encrypted {
            true => return Err(NEEDS_TLS.into()),
            false => None,
        };
        let config = config.set_connection_timeout(Some(CONNECT_TIMEOUT));
        let stream = socket::connect(host, *port, tls).await?;
        let opening = MultiplexedConnection::new_with_config(settings, stream, config);
        let (connection, driver) = timeout(CONNECT_TIMEOUT, opening).await??;
        Ok((connection, tokio::spawn(driver)))
    }
}

/// The first that succeeds. All run at once: one that does not answer holds up nothing.
async fn first<T>(
    mut asking: FuturesUnordered<impl Future<Output = Result<T, BoxError>>>,
) -> Result<T, BoxError> {
    let mut reason = None;
    while let Some(answer) = asking.next().await {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => reason = Some(error),
        }
    }
    Err(reason.unwrap_or_else(|| "the URL has no hosts".into()))
}

/// Asks a node of a Redis Cluster whether it has the slot of a key. Until all keys have moved, it has.
pub(crate) async fn has_slot(
    connection: &mut MultiplexedConnection,
    key: &str,
) -> Result<(), RedisError> {
    let exists = redis::cmd("EXISTS").arg(key).exec_async(connection).await;
    exists.or_else(|error| match error.kind() {
        ErrorKind::Server(ServerErrorKind::Ask) => Ok(()),
        _ => Err(error),
    })
}

/// Asks a Sentinel which server is the primary of this name.
async fn named(connection: &mut MultiplexedConnection, primary: &str) -> Result<Addr, BoxError> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let addr: Option<(String, u16)> = command.query_async(connection).await?;
    let (host, port) = addr.ok_or_else(|| format!("Sentinel knows no primary `{primary}`"))?;
    Ok(Addr(host.into(), port))
}

/// Asks a server what it is.
pub(crate) async fn identity(
    connection: &mut MultiplexedConnection,
) -> Result<Identity, RedisError> {
    let mut sections = redis::pipe();
    sections.cmd("INFO").arg("server");
    sections.cmd("INFO").arg("replication");
    let (server, replication): (String, String) = sections.query_async(connection).await?;
    let mut identity = Identity::default();
    for line in server.lines().chain(replication.lines()) {
        match line.trim_end().split_once(':') {
            Some(("role", role)) => identity.is_primary = role == "master",
            Some(("run_id", run)) => run.clone_into(&mut identity.run),
            _ => {}
        }
    }
    Ok(identity)
}

/// The host and the port of the node that has the key now.
fn moved_to(error: &RedisError) -> Option<(&str, u16)> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Moved) {
        return None;
    }
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    // How a node says that it has no name.
    let host = if host == "?" { "" } else { host };
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{super::Transport, *};

    #[test]
    fn only_a_key_that_has_moved_leads_elsewhere() {
        let error = |reply: &str| {
            let reply = redis::parse_redis_value(reply.as_bytes()).expect("a reply");
            reply.extract_error().expect_err("an error")
        };
        for (reply, expected) in [
            ("-MOVED 7 10.0.0.1:6380\r\n", Some(("10.0.0.1", 6380))),
            ("-MOVED 7 ::1:6380\r\n", Some(("::1", 6380))),
            ("-MOVED 7 :6380\r\n", Some(("", 6380))),
            ("-MOVED 7 ?:6380\r\n", Some(("", 6380))),
            ("-MOVED 7 nowhere\r\n", None),
            ("-ASK 7 10.0.0.1:6380\r\n", None),
            ("-ERR 7 10.0.0.1:6380\r\n", None),
        ] {
            assert_eq!(moved_to(&error(reply)), expected, "{reply}");
        }
    }

    #[test]
    fn settings_that_do_not_fit_the_url_are_mistakes() {
        let several = ["redis+sentinel://a,b/mymaster", "redis+cluster://a,b"].map(Redis::new);
        for redis in &several {
            assert_eq!(redis.check_connection(), Ok(()));
            let mistake = Transport::check(redis).expect_err("a mistake");
            assert!(mistake.contains("the URL of one server"), "{mistake}");
        }
        let [watched, cluster] = several.map(|redis| redis.sentinel_user("me", "secret"));
        assert_eq!(watched.check_connection(), Ok(()));
        for redis in [
            cluster,
            Redis::new("redis://a").sentinel_user("me", "secret"),
        ] {
            let mistake = redis.check_connection().expect_err("a mistake");
            assert!(mistake.contains("`sentinel_user` needs"), "{mistake}");
        }
    }
}

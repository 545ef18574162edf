//! URLs of Redis: of one server, of Sentinels, or of a Redis Cluster.

use crate::{
    secrets::url_without_secrets,
    url::{place, port, scheme_of, schemes, url},
};

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl<'a> {
    /// Whether connections use TLS.
    pub is_encrypted: bool,
    /// `user:password`, percent-encoded, if there is any.
    pub userinfo: Option<&'a str>,
    /// Hosts and ports; an IPv6 address without its brackets.
    pub hosts: Vec<(&'a str, u16)>,
    /// What is at these hosts.
    pub at: RedisAt<'a>,
}

/// What is at the hosts of a [`RedisUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisAt<'a> {
    /// The server.
    Server {
        /// Path, query and fragment.
        rest: &'a str,
    },
    /// Sentinels that know a primary.
    Sentinels {
        /// The name of the primary.
        primary: &'a str,
        /// The number of the database.
        database: u32,
    },
    /// Nodes of a Redis Cluster.
    Cluster,
}

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Parses a URL of Redis.
pub fn redis_url(text: &str) -> Result<RedisUrl<'_>, String> {
    match text.split_once("://") {
        Some((scheme, _)) if scheme.contains(['+', '-']) => {}
        _ => return server(text),
    }
    let (scheme, after_scheme) = scheme_of(text, schemes::REDIS_SERVERS)?;
    let shown = || url_without_secrets(text).escape_debug().to_string();
    let end = after_scheme
        .find(['/', '?', '#'])
        .unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at(end);
    let (userinfo, hosts) = match authority.rsplit_once('@') {
        Some((userinfo, hosts)) => (Some(userinfo), hosts),
        None => (None, authority),
    };
    if rest.contains(['?', '#', '@']) {
        return Err(format!(
            "`{scheme}://..` has neither `?`, `#` nor `@` after its hosts; percent-encode them in a user or password"
        ));
    }
    let (is_sentinel, default_port) = match scheme.ends_with("+sentinel") {
        true => (true, SENTINEL_PORT),
        false => (false, SERVER_PORT),
    };
    let hosts = hosts.split(',').zip(1..).map(|(at, nth)| {
        // Not shown: it is a password, if the `@` after that was forgotten.
        let mistake = |what| format!("host {nth} of `{scheme}://..` {what}");
        let place = place(at).ok_or_else(|| mistake("is not a host"))?;
        let host = place.host.trim_start_matches('[').trim_end_matches(']');
        let port = place.port.map_or(Ok(default_port), port);
        Ok((host, port.map_err(|_| mistake("has an invalid port"))?))
    });
    let hosts = hosts.collect::<Result<_, String>>()?;
    let path = rest.strip_prefix('/').unwrap_or(rest);
    let at = match is_sentinel {
        true => watched(path).ok_or_else(|| {
            format!(
                "`{}` does not name the primary; write `{scheme}://host:26379,host:26379/mymaster`, or `/mymaster/1` for database 1",
                shown()
            )
        })?,
        false if matches!(path, "" | "0") => RedisAt::Cluster,
        false => {
            return Err(format!(
                "`{}` names a database, which Redis Cluster does not have",
                shown()
            ));
        }
    };
    Ok(RedisUrl {
        is_encrypted: is_encrypted(scheme),
        userinfo,
        hosts,
        at,
    })
}

/// `name` or `name/database`.
fn watched(path: &str) -> Option<RedisAt<'_>> {
    let (primary, database) = path.split_once('/').unwrap_or((path, "0"));
    let database = database.parse().ok()?;
    (!primary.is_empty()).then_some(RedisAt::Sentinels { primary, database })
}

fn server(text: &str) -> Result<RedisUrl<'_>, String> {
    let url = url(text, schemes::REDIS).map_err(|mistake| match text.contains("://") {
        true => mistake,
        false => mistake + ", `redis+sentinel://` or `redis+cluster://`",
    })?;
    Ok(RedisUrl {
        is_encrypted: is_encrypted(url.scheme),
        userinfo: url.userinfo,
        hosts: vec![(url.host, url.port.unwrap_or(SERVER_PORT))],
        at: RedisAt::Server { rest: url.rest },
    })
}

fn is_encrypted(scheme: &str) -> bool {
    scheme.starts_with("rediss") || scheme.starts_with("valkeys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        let one = redis_url("valkeys://me:pw@a/2?protocol=resp3").expect("a URL");
        assert_eq!(
            one,
            RedisUrl {
                is_encrypted: true,
                userinfo: Some("me:pw"),
                hosts: vec![("a", 6379)],
                at: RedisAt::Server {
                    rest: "/2?protocol=resp3"
                },
            }
        );
        let sentinels = redis_url("redis+sentinel://:pw@a,[::1]:5/my-master/3").expect("a URL");
        assert_eq!(
            sentinels,
            RedisUrl {
                is_encrypted: false,
                userinfo: Some(":pw"),
                hosts: vec![("a", 26379), ("::1", 5)],
                at: RedisAt::Sentinels {
                    primary: "my-master",
                    database: 3
                },
            }
        );
        for text in ["rediss+cluster://a:1,b", "VALKEYS+CLUSTER://a:1,b/0"] {
            let cluster = redis_url(text).expect("a URL");
            assert_eq!(cluster.at, RedisAt::Cluster);
            assert!(cluster.is_encrypted);
            assert_eq!(cluster.hosts, [("a", 1), ("b", 6379)]);
        }
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        for (text, part) in [
            ("redis-sentinel://a/m", "write `redis+sentinel://`"),
            ("redis+sentinel://a", "does not name the primary; write"),
            ("redis+sentinel://a/", "does not name the primary; write"),
            ("redis+sentinel://a/m/x", "or `/mymaster/1`"),
            (
                "redis+sentinel://a,/m",
                "host 2 of `redis+sentinel://..` is not",
            ),
            (
                "redis+sentinel://a:0/m",
                "host 1 of `redis+sentinel://..` has an invalid port",
            ),
            ("redis+sentinel://:secret/mymaster", "host 1 of"),
            ("redis+cluster://me:secret,b", "has an invalid port"),
            ("redis+sentinel://a/m?x=1", "neither `?`"),
            ("redis+cluster://me:p/w@a", "percent-encode"),
            ("redis+cluster://", "is not a host"),
            ("redis+cluster://me:secret@a/1", "names a database"),
            ("my-host:6379", "start it with `redis://`"),
            ("ftp://a", "is not supported here"),
            ("ftp+x://a", "is not supported here"),
        ] {
            let mistake = redis_url(text).expect_err(text);
            assert!(mistake.contains(part), "{text}: {mistake}");
            assert!(!mistake.contains("secret"), "{mistake}");
        }
    }
}

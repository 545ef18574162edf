//! TCP sockets, from clients and to upstreams.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Makes the system probe a silent peer, so that one that vanished is noticed after a few minutes. Sockets accepted by
/// a listener inherit the setting.
pub(crate) fn keep_alive(socket: &SockRef<'_>) {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(60));
    #[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
    let probes = probes.with_interval(Duration::from_secs(10));
    if let Err(error) = socket.set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "cannot set TCP keep-alive");
    }
}

/// Connects to an upstream by host name.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addrs = lookup_host((host, port)).await?;
    connect_to(addrs.collect()).await
}

/// How long an address may take before the next one is tried in parallel (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the address that answers first (Happy Eyeballs, RFC 8305). Each attempt has a head start before the next
/// one; if it fails, the next one begins at once. So an address that drops packets costs a moment, not the whole dial
/// timeout.
pub(crate) async fn connect_to(addrs: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addrs = alternating(addrs).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        attempts.extend(addrs.next().map(TcpStream::connect));
        let first = match addrs.len() {
            0 => attempts.next().await,
            _ => match timeout(HEAD_START, attempts.next()).await {
                Ok(first) => first,
                Err(_) => continue,
            },
        };
        match first {
            Some(Ok(stream)) => {
                stream.set_nodelay(true)?;
                keep_alive(&SockRef::from(&stream));
                return Ok(stream);
            }
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}

/// The addresses in their order, but with alternating families (RFC 8305, section 4): one family may be broken.
fn alternating(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let mut ordered = Vec::with_capacity(addrs.len());
    let (preferred, others): (Vec<_>, Vec<_>) = addrs
        .into_iter()
        .partition(|addr| addr.is_ipv6() == begins_with_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    loop {
        let (one, other) = (preferred.next(), others.next());
        if one.is_none() && other.is_none() {
            return ordered;
        }
        ordered.extend(one.into_iter().chain(other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_of_addresses_take_turns() {
        let order = |texts: &[&str]| -> Vec<String> {
            let addrs = texts.iter().map(|text| text.parse().unwrap()).collect();
            alternating(addrs)
                .iter()
                .map(SocketAddr::to_string)
                .collect()
        };
        assert_eq!(
            order(&["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1"]),
            ["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"]
        );
        assert_eq!(
            order(&["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"]),
            ["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"]
        );
        assert!(order(&[]).is_empty());
    }

    #[tokio::test]
    async fn a_host_without_addresses_and_one_that_refuses_are_errors() {
        let none = connect_to(Vec::new()).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = closed.local_addr().unwrap();
        drop(closed);
        let refused = connect_to(vec![addr, addr]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

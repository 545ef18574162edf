//! What the system knows of TCP sockets.

use std::net::SocketAddr;

/// Fails the test unless the system probes the peer at this address when it is silent.
#[cfg(target_os = "linux")]
pub fn assert_probed(peer: SocketAddr) {
    let SocketAddr::V4(peer) = peer else {
        panic!("not for IPv6: {peer}");
    };
    let octets = u32::from_ne_bytes(peer.ip().octets());
    let remote = format!("{octets:08X}:{:04X}", peer.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let socket = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&&*remote) && fields.get(3) == Some(&"01"))
        .expect("an open socket");
    assert!(
        socket[5].starts_with("02:"),
        "no keep-alive timer: {socket:?}"
    );
}

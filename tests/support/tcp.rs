//! The system's view of TCP sockets.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

/// Fails the test unless the system probes the peer at this address when it is silent.
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

/// A listener with a full backlog: on Linux the system drops further connection attempts, as a firewall does.
pub struct BlackHole {
    /// The address at which nothing answers.
    pub addr: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens it on a free port of this address.
    pub fn open(ip: [u8; 4]) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener
            .bind(&SocketAddr::from((ip, 0)).into())
            .expect("a port");
        listener.listen(0).expect("listen");
        let addr = listener.local_addr().expect("an address");
        let addr = addr.as_socket().expect("an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&addr, Duration::from_millis(100)) {
            waiting.push(stream);
            assert!(waiting.len() < 100, "the backlog is never full");
        }
        Self {
            addr,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

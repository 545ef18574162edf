//! TLS of the load generator's connections.

use std::{
    fs,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::compare::target_dir;

/// How connections begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sessions {
    /// With a whole handshake each.
    Full,
    /// By going on with the session of an earlier connection, as browsers do.
    Resumed,
}

const HOST: &str = "localhost";

/// The folder with `cert.pem` and `key.pem`, which the servers are given. Makes them if they are missing.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let folder = target_dir()?.join("tls");
    if !folder.join("key.pem").exists() {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]);
        let made = made.map_err(|error| error.to_string())?;
        let write = |name: &str, text: String| fs::write(folder.join(name), text);
        fs::create_dir_all(&folder)
            .and_then(|()| write("cert.pem", made.cert.pem()))
            .and_then(|()| write("key.pem", made.signing_key.serialize_pem()))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(folder)
}

/// The client's side of all connections.
pub(super) fn config(sessions: Sessions) -> Result<Arc<ClientConfig>, String> {
    let path = folder()?.join("cert.pem");
    let certificate = CertificateDer::from_pem_file(&path);
    let certificate = certificate.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = match sessions {
        Sessions::Full => Resumption::disabled(),
        Sessions::Resumed => Resumption::in_memory_sessions(256),
    };
    Ok(Arc::new(config))
}

/// A stream, with TLS or without.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// A stream over a socket that is being connected; `first` is written as soon as the TLS handshake allows it.
    pub(super) fn tls(
        socket: TcpStream,
        config: &Arc<ClientConfig>,
        first: &[u8],
    ) -> io::Result<Self> {
        let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
        let client = ClientConnection::new(Arc::clone(config), name);
        let mut client = client.map_err(io::Error::other)?;
        client.writer().write_all(first)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(client, socket))))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Whether the connection goes on with an earlier session.
    pub(super) fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Whether something was written that the socket has not taken yet.
    pub(super) fn wants_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.conn.wants_write(),
        }
    }

    /// Gives the socket what it takes of that.
    pub(super) fn push(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            let StreamOwned { conn, sock } = &mut **stream;
            while conn.wants_write() {
                match conn.write_tls(sock) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(data),
            Self::Tls(stream) => stream.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

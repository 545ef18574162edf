//! lapin over streams of our own: its own TLS brings ciphers of the last century, for formats of keys.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_util::Stream;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, uri::AMQPUri};
use tokio::{net::TcpStream, runtime::Handle, time::Sleep};
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::super::tls::Settings;

pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: &Settings,
) -> lapin::Result<Connection> {
    let (tls, handle) = (tls.clone(), Handle::current());
    let connect = async move |uri: AMQPUri, _| {
        // lapin polls this on a thread of its own.
        let (tls, host, port) = (tls.clone(), uri.authority.host, uri.authority.port);
        let connecting = handle.spawn(async move { tls.connect(&host, port).await });
        let stream = connecting.await.map_err(io::Error::other)??;
        Ok(AsyncTcpStream::Plain(stream.compat()))
    };
    let runtime = Runtime::new(RuntimeParts::new(
        Tokio::current(),
        OverTls(Tokio::current()),
    ));
    Connection::connector(uri, runtime, connect, properties).await
}

/// tokio's, but for the type of the streams. lapin gets them from the function above.
#[derive(Debug, Clone)]
struct OverTls(Tokio);

impl Reactor for OverTls {
    type TcpStream = Compat<TlsStream<TcpStream>>;
    type Sleep = Sleep;

    #[expect(refining_impl_trait, reason = "nobody sees it")]
    fn register<H: Send + 'static>(&self, _socket: H) -> io::Result<Self::TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _addr: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

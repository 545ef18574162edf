//! Runs lapin over wasabi's own streams. lapin's own TLS pulls in obsolete ciphers for key formats, and the frames that
//! workers cause must be cleaned up for it.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_util::Stream;
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, uri::AMQPUri};
use tokio::{runtime::Handle, time::Sleep};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::legible::Legible;
use crate::backend::broker::socket::{self, Socket, Tls};

pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: Option<Tls>,
) -> lapin::Result<Connection> {
    let handle = Handle::current();
    let connect = async move |uri: AMQPUri, _| {
        // lapin polls this future on its own thread.
        let (tls, host, port) = (tls.clone(), uri.authority.host, uri.authority.port);
        let connecting =
            handle.spawn(async move { socket::connect(&host, port, tls.as_ref()).await });
        let stream = connecting.await.map_err(io::Error::other)??;
        Ok(AsyncTcpStream::Plain(Legible::new(stream).compat()))
    };
    let runtime = Runtime::new(RuntimeParts::new(
        Tokio::current(),
        Streams(Tokio::current()),
    ));
    Connection::connector(uri, runtime, connect, properties).await
}

/// Tokio's reactor with another stream type. lapin gets the streams from the function above.
#[derive(Debug, Clone)]
struct Streams(Tokio);

impl Reactor for Streams {
    type TcpStream = Compat<Legible<Socket>>;
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

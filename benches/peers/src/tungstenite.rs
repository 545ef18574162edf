//! tungstenite driven directly, without the waker proxies of tokio-tungstenite.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use tokio_tungstenite::tungstenite::{
    Error,
    handshake::derive_accept_key,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use crate::{Args, Failure};

struct Io<S> {
    stream: S,
    waker: Waker,
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.stream)
            .poll_read(&mut Context::from_waker(&self.waker), &mut buffer)
        {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(&self.waker), data) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // TLS may have bytes left that the socket did not take.
        match Pin::new(&mut self.stream).poll_flush(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn poll<T>(result: Result<T, Error>) -> Poll<Result<T, Error>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

pub(crate) async fn serve(args: Args) -> Result<(), Failure> {
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream));
    }
}

/// The same over TLS, by tokio-rustls.
pub(crate) async fn serve_tls(args: Args) -> Result<(), Failure> {
    let folder = args.tls.as_deref().ok_or("`--tls` is missing")?;
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"))?;
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            connection(acceptor.accept(stream).await?).await
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Result<(), Failure> {
    shake_hands(&mut stream).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(8 * 1024);
    let io = Io {
        stream,
        waker: Waker::noop().clone(),
    };
    let mut socket = WebSocket::from_raw_socket(io, Role::Server, Some(config));
    let mut is_dirty = false;
    poll_fn(|cx| {
        if !socket.get_ref().waker.will_wake(cx.waker()) {
            socket.get_mut().waker.clone_from(cx.waker());
        }
        loop {
            match poll(socket.read()) {
                Poll::Ready(Ok(message)) if message.is_text() || message.is_binary() => {
                    is_dirty = true;
                    if let Poll::Ready(Err(error)) = poll(socket.write(message)) {
                        return Poll::Ready(Err(error));
                    }
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if is_dirty {
                        ready!(poll(socket.flush()))?;
                        is_dirty = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    })
    .await?;
    Ok(())
}

/// Only the HTTP that the load generator needs.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
) -> Result<(), Failure> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err("closed during the handshake".into());
        }
    }
    let key = str::from_utf8(&request)?
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .ok_or("no key")?;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    stream.write_all(response.as_bytes()).await?;
    stream.flush().await?;
    Ok(())
}

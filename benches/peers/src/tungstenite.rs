//! tungstenite driven directly, without the waker proxies of tokio-tungstenite.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Error,
    handshake::derive_accept_key,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use crate::{Args, Failure};

struct Io {
    stream: TcpStream,
    waker: Waker,
}

impl Read for Io {
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

impl Write for Io {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(&self.waker), data) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        tokio::spawn(connection(stream));
    }
}

async fn connection(mut stream: TcpStream) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
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
pub(crate) async fn shake_hands(stream: &mut TcpStream) -> Result<(), Failure> {
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
    Ok(())
}

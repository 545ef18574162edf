//! Other WebSocket libraries, each written like its own example.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::{Bytes, BytesMut};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_websockets::{Config, Limits, ServerBuilder};

use crate::{Args, Failure, echo};

pub(crate) async fn fastwebsockets(args: Args) -> Result<(), Failure> {
    async fn client(upgrade: upgrade::UpgradeFut) -> Result<(), WebSocketError> {
        let mut socket = FragmentCollector::new(upgrade.await?);
        loop {
            let frame = socket.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
                _ => {}
            }
        }
    }
    async fn answer(mut req: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
        let (response, upgrade) = upgrade::upgrade(&mut req)?;
        tokio::spawn(client(upgrade));
        Ok(response)
    }
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .with_upgrades();
        tokio::spawn(connection);
    }
}

pub(crate) async fn tokio_websockets(args: Args) -> Result<(), Failure> {
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let accepted = ServerBuilder::new()
                .config(Config::default().frame_size(usize::MAX))
                .limits(Limits::unlimited())
                .accept(stream)
                .await;
            if let Ok((_request, socket)) = accepted {
                echo::feed(socket, |message: tokio_websockets::Message| {
                    (message.is_text() || message.is_binary()).then_some(message)
                })
                .await;
            }
        });
    }
}

pub(crate) async fn sockudo_ws(args: Args) -> Result<(), Failure> {
    use sockudo_ws::{Config, WebSocketStream, protocol::Message};

    let listener = args.listen()?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            sockudo_handshake(&mut stream).await?;
            let socket = WebSocketStream::server(stream, Config::default());
            echo::feed(socket, |message: Message| {
                matches!(message, Message::Text(_) | Message::Binary(_)).then_some(message)
            })
            .await;
            Ok::<(), Failure>(())
        });
    }
}

/// With permessage-deflate, at the level of wasabi's default.
pub(crate) async fn sockudo_ws_deflate(args: Args) -> Result<(), Failure> {
    use sockudo_ws::{CompressedWebSocketStream, Config, protocol::Message};

    let listener = args.listen()?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let agreed = sockudo_handshake(&mut stream).await?;
            let agreed = agreed.ok_or("no compression")?;
            let socket = CompressedWebSocketStream::server(stream, Config::default(), agreed);
            echo::feed(socket, |message: Message| {
                matches!(message, Message::Text(_) | Message::Binary(_)).then_some(message)
            })
            .await;
            Ok::<(), Failure>(())
        });
    }
}

/// Returns the agreed compression, if the client offers any.
async fn sockudo_handshake(stream: &mut TcpStream) -> Result<Option<DeflateConfig>, Failure> {
    use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};

    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err("closed during the handshake".into());
        }
        if let Some((request, _)) = parse_request(&buffer).map_err(|error| error.to_string())? {
            let accept = generate_accept_key(request.key);
            let policy = DeflateConfig {
                compression_level: 2,
                ..DeflateConfig::default()
            };
            let agreed = request
                .extensions
                .and_then(|offers| negotiate_server_deflate(offers, &policy));
            let extensions = agreed.as_ref().map(|agreed| agreed.to_response_header());
            stream
                .write_all(&build_response(&accept, None, extensions.as_deref()))
                .await?;
            return Ok(agreed.map(|agreed| agreed.config));
        }
    }
}

pub(crate) fn actix_ws(args: &Args) -> Result<(), Failure> {
    use actix_ws::Message;

    async fn upgrade(
        req: HttpRequest,
        body: web::Payload,
    ) -> Result<HttpResponse, actix_web::Error> {
        let (response, mut session, stream) = actix_ws::handle(&req, body)?;
        let mut stream = stream.max_frame_size(1 << 20);
        actix_web::rt::spawn(async move {
            while let Some(Ok(message)) = stream.recv().await {
                let sent = match message {
                    Message::Text(text) => session.text(text).await,
                    Message::Binary(data) => session.binary(data).await,
                    Message::Close(_) => return,
                    _ => Ok(()),
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Ok(response)
    }
    let (addr, threads) = (args.addr, args.threads);
    Ok(actix_web::rt::System::new().block_on(async move {
        HttpServer::new(|| App::new().route("/", web::get().to(upgrade)))
            .workers(threads)
            .backlog(1024)
            .bind(addr)?
            .run()
            .await
    })?)
}

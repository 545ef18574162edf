//! Opens a connection.

use std::io;

use http::{HeaderValue, Uri, header};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, client::IntoClientRequest, handshake::client::Request, protocol::WebSocketConfig,
    },
};

use super::{Handshake, Options, Wire, lost::Lost};
use crate::{panics::caught_future, tcp};

/// A stream of bytes, encrypted or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Io>>;

pub(super) async fn dial(options: &Options, wire: &Wire, uri: &Uri) -> Result<Socket, Lost> {
    let limit = options.connect_timeout;
    let dialed = timeout(limit, attempt(options, wire, uri)).await;
    dialed.unwrap_or_else(|_| Err(Lost::new(format!("no connection after {limit:?}"))))
}

async fn attempt(options: &Options, wire: &Wire, uri: &Uri) -> Result<Socket, Lost> {
    let handshake = match &options.hook {
        // The application's code.
        Some(hook) => match caught_future(async { hook().await }).await {
            Ok(handshake) => handshake.map_err(|error| Lost::new(error.to_string()))?,
            Err(_panic) => return Err(Lost::new("the hook of the handshake panicked")),
        },
        None => Handshake::new(),
    };
    let request = request(wire, uri, handshake)?;
    let stream = stream(uri)
        .await
        .map_err(|error| Lost::new(error.to_string()))?;
    match client_async_with_config(request, stream, Some(limits(options))).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(Lost::refused(response.status())),
        Err(error) => Err(Lost::new(error.to_string())),
    }
}

/// Bounds what is read, and what waits to be written: also the answers to pings of a gateway that does not read.
fn limits(options: &Options) -> WebSocketConfig {
    /// Besides the largest message: answers to pings.
    const ANSWERS: usize = 64 * 1024;
    /// Of a control frame: RFC 6455, section 5.5.
    const CONTROL: usize = 125;
    let config = WebSocketConfig::default();
    let largest = options.max_message_size;
    let waiting = config.write_buffer_size + ANSWERS;
    config
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest.max(CONTROL)))
        .max_write_buffer_size(largest.saturating_add(waiting))
}

fn request(wire: &Wire, uri: &Uri, handshake: Handshake) -> Result<Request, Lost> {
    let invalid = |_| Lost::new("the query of the handshake is invalid");
    let mut text = uri.to_string();
    if !handshake.query.is_empty() {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(handshake.query)
            .finish();
        text.push(if uri.query().is_some() { '&' } else { '?' });
        text += &query;
    }
    let mut request = text.into_client_request().map_err(invalid)?;
    if !wire.subprotocols.is_empty() {
        let offered = HeaderValue::from_str(&wire.subprotocols.join(", "));
        let offered = offered.map_err(|_| Lost::new("a subprotocol has an invalid name"))?;
        request
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
    }
    request.headers_mut().extend(handshake.headers);
    Ok(request)
}

async fn stream(uri: &Uri) -> io::Result<Box<dyn Io>> {
    let is_tls = uri.scheme_str() == Some("wss");
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = tcp::connect(host, port).await?;
    match is_tls {
        true => encrypted(host, stream).await,
        false => Ok(Box::new(stream)),
    }
}

#[cfg(feature = "tls")]
async fn encrypted(host: &str, stream: tokio::net::TcpStream) -> io::Result<Box<dyn Io>> {
    use crate::backend::tls;

    let config = tls::http1_config().map_err(io::Error::other)?;
    Ok(Box::new(tls::connect(config, host, stream).await?))
}

#[cfg(not(feature = "tls"))]
async fn encrypted(_host: &str, _stream: tokio::net::TcpStream) -> io::Result<Box<dyn Io>> {
    Err(io::ErrorKind::Unsupported.into()) // `Url::finish` reports this.
}

//! Opens an upstream connection.

use std::{io, sync::Arc};

use http::{HeaderValue, Method, Request, Uri, header};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::{
    opening::upgrade,
    settings::Config,
    stream::{Dialer, Io},
    unreachable::DialError,
};
use crate::{
    Connection,
    connection::socket::Socket,
    metrics,
    panics::{caught, caught_future},
    tcp,
};

impl Config {
    /// Dials for a client.
    pub(super) async fn dial(&self, connection: &Connection) -> Result<Socket<Io>, Arc<DialError>> {
        // An error in this client's handshake says nothing about the upstream.
        let request =
            caught(|| self.handshake(connection)).unwrap_or(Err(DialError::HeaderPanicked))?;
        self.dials.admit()?;
        let began = Instant::now();
        let mut is_connected = false;
        // A custom dialler and its streams are the user's code, so panics are caught.
        let connecting = self.connect_for(connection, &request, &mut is_connected);
        let dialed = tokio::time::timeout(self.connect_timeout, caught_future(connecting)).await;
        let error = match dialed {
            Ok(Ok(Ok(socket))) => {
                self.dialled("ok");
                self.dials.reached();
                return Ok(socket);
            }
            Ok(Ok(Err(error))) => error,
            Ok(Err(_panic)) => DialError::Panicked,
            Err(_) => DialError::TimedOut(self.connect_timeout),
        };
        let error = Arc::new(error);
        self.dialled(error.verdict().code());
        if is_connected {
            // An error after this point may be about this client only.
            self.dials.reached();
        } else if !matches!(self.dialer, Dialer::Custom(_)) {
            self.dials.failed(began, Arc::clone(&error));
        }
        Err(error)
    }

    fn dialled(&self, outcome: &str) {
        metrics::dialled(&self.target.host, self.target.port, outcome);
    }

    /// Counts a repeated dial.
    pub(super) fn redialled(&self) {
        metrics::redialled(&self.target.host, self.target.port);
    }

    /// Counts an open connection until the returned value is dropped.
    pub(super) fn opened(&self) -> metrics::OpenUpstream {
        metrics::OpenUpstream::at(&self.target.host, self.target.port)
    }

    /// Checks whether `wss` will work if the URL asks for it.
    pub(super) fn check_tls(&self) -> Result<(), String> {
        if !self.target.is_tls || matches!(self.dialer, Dialer::Custom(_)) {
            return Ok(());
        }
        #[cfg(feature = "tls")]
        return match &self.tls {
            Some(_) => Ok(()),
            None => crate::backend::tls::http1_config().map(drop),
        };
        #[cfg(not(feature = "tls"))]
        Err(format!(
            "`{}` needs the cargo feature `tls` of wasabi",
            wasabi_rules::url_without_secrets(&self.target.uri.to_string())
        ))
    }

    async fn connect_for(
        &self,
        connection: &Connection,
        request: &Request<()>,
        is_connected: &mut bool,
    ) -> Result<Socket<Io>, DialError> {
        #[cfg(any(test, feature = "testing"))]
        let replaced = crate::backend::replaced::dial(connection, &self.target.uri);
        #[cfg(not(any(test, feature = "testing")))]
        let replaced: Option<TcpStream> = None;
        let mut io = match replaced {
            Some(io) => Io::Custom(Box::new(io)),
            None => self.stream(request).await.map_err(DialError::Connect)?,
        };
        *is_connected = true;
        let read_already = upgrade(&mut io, request).await?;
        Ok(Socket::client(io, read_already, self.limits(connection)))
    }

    async fn stream(&self, request: &Request<()>) -> io::Result<Io> {
        match &self.dialer {
            Dialer::Custom(dial) => dial(request.clone()).await,
            Dialer::Tcp => {
                let stream = tcp::connect(&self.target.host, self.target.port).await?;
                self.encrypted(stream).await
            }
            Dialer::Resolved(resolve) => {
                let addrs = resolve(self.target.host.clone(), self.target.port).await?;
                self.encrypted(tcp::connect_to(addrs).await?).await
            }
        }
    }

    async fn encrypted(&self, stream: TcpStream) -> io::Result<Io> {
        match self.target.is_tls {
            true => self.encrypt(stream).await,
            false => Ok(Io::Tcp(stream)),
        }
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&self, stream: TcpStream) -> io::Result<Io> {
        let stream = super::tls::connect(self.tls.as_ref(), &self.target.host, stream).await?;
        Ok(Io::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypt(&self, _stream: TcpStream) -> io::Result<Io> {
        Err(io::ErrorKind::Unsupported.into()) // `check_tls` reports this at startup
    }

    fn handshake(&self, connection: &Connection) -> Result<Request<()>, DialError> {
        let uri = self.target.uri_for(connection)?;
        let mut request = self.request(&uri, connection.uri().query())?;
        let headers = request.headers_mut();
        self.forward
            .headers
            .add(connection, headers)
            .map_err(DialError::Header)?;
        if self.forward.subprotocol
            && let Some(subprotocol) = connection.subprotocol()
        {
            let subprotocol = HeaderValue::from_str(subprotocol).map_err(http::Error::from)?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        Ok(request)
    }

    /// Makes the handshake with the forwarded parameters of the client's query, but without the configured headers.
    fn request(&self, uri: &Uri, query: Option<&str>) -> Result<Request<()>, DialError> {
        let path_and_query = self.forward.path_and_query(uri, query);
        let mut uri = uri.clone().into_parts();
        uri.path_and_query = Some(path_and_query.try_into().map_err(http::Error::from)?);
        let uri = Uri::from_parts(uri).map_err(http::Error::from)?;
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let mut request = Request::builder()
            .method(Method::GET)
            .header(header::HOST, host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .uri(uri)
            .body(())?;
        if let Some(value) = &self.target.authorization {
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// Dials for a health check, without a client. Returns the stream after the handshake, and the bytes that have
    /// already been read from it.
    pub(super) async fn dial_to_ask(&self) -> Result<(Io, Vec<u8>), DialError> {
        let mut request = self.request(&self.target.uri, None)?;
        self.forward.headers.add_fixed(request.headers_mut());
        let mut io = self.stream(&request).await.map_err(DialError::Connect)?;
        let read_already = upgrade(&mut io, &request).await?;
        Ok((io, read_already))
    }
}

//! The client of a gateway without sockets.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Response, Uri};
use serde::de::DeserializeOwned;
use tokio::{io::DuplexStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message as Frame, protocol::CloseFrame},
};

use super::{TestError, Transcript, transcript::Side};
use crate::{Close, CloseCode, Message, Text};

/// A WebSocket client of a [`TestGateway`](super::TestGateway): tokio-tungstenite over a pipe in memory.
///
/// It reads only when the test receives something, and answers pings then. A test can thus be a client that reads
/// slowly, or one that is gone. Dropping it drops the connection without a close frame.
pub struct TestClient {
    stream: WebSocketStream<DuplexStream>,
    handshake: Response<()>,
    transcript: Transcript,
    pub(super) patience: Duration,
}

impl TestClient {
    pub(super) fn new(
        stream: WebSocketStream<DuplexStream>,
        handshake: Response<()>,
        asked: &(Uri, HeaderMap),
    ) -> Self {
        Self {
            stream,
            handshake,
            transcript: Transcript::opened(&asked.0, &asked.1),
            patience: Duration::from_secs(60),
        }
    }

    /// The gateway's response to the handshake.
    #[must_use]
    pub fn handshake(&self) -> &Response<()> {
        &self.handshake
    }

    /// How long to wait for a message before the test fails with [`TestError::Late`]. Default: 60 s of tokio's clock;
    /// with a paused clock, choose more than the timeouts that the test is about.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends a message. Waits while the pipe is full, because the gateway does not read.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Ended`] if the connection has ended.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), TestError> {
        let message = message.into();
        self.transcript.add(Side::Gateway, &message);
        let frame = match message {
            Message::Text(text) => Frame::text(text.as_str()),
            Message::Binary(data) => Frame::Binary(data),
        };
        self.stream.send(frame).await.map_err(ended)
    }

    /// Receives a message.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Ended`] if the connection has ended, and [`TestError::Late`] if no message arrives.
    pub async fn receive(&mut self) -> Result<Message, TestError> {
        let received = timeout(self.patience, self.next()).await;
        received.unwrap_or(Err(TestError::Late(self.patience)))
    }

    async fn next(&mut self) -> Result<Message, TestError> {
        loop {
            let message = match self.stream.next().await {
                Some(Ok(Frame::Text(text))) => Message::Text(text_of(text.into())?),
                Some(Ok(Frame::Binary(data))) => Message::Binary(data),
                Some(Ok(Frame::Close(frame))) => {
                    let close = close_of(frame)?;
                    self.transcript.close(Side::Client, &close);
                    // Sends the answer to the close frame.
                    let _ = self.stream.flush().await;
                    return Err(TestError::Ended(Some(close)));
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(ended(error)),
                None => return Err(TestError::Ended(None)),
            };
            self.transcript.add(Side::Client, &message);
            return Ok(message);
        }
    }

    /// Receives a text message.
    ///
    /// # Errors
    ///
    /// Those of [`receive`](Self::receive), and [`TestError::Unexpected`] for a binary message.
    pub async fn text(&mut self) -> Result<String, TestError> {
        match self.receive().await? {
            Message::Text(text) => Ok(text.as_str().to_owned()),
            message => Err(unexpected("a text message", message)),
        }
    }

    /// Receives a message of JSON.
    ///
    /// # Errors
    ///
    /// Those of [`receive`](Self::receive), and [`TestError::Unexpected`] for a message that is not JSON of this type.
    pub async fn json_of<T: DeserializeOwned>(&mut self) -> Result<T, TestError> {
        let message = self.receive().await?;
        serde_json::from_slice(message.as_bytes())
            .map_err(|_| unexpected("JSON of the expected type", message))
    }

    /// Sends a message and receives the next one.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send) and [`receive`](Self::receive).
    pub async fn ask(&mut self, message: impl Into<Message>) -> Result<Message, TestError> {
        self.send(message).await?;
        self.receive().await
    }

    /// Waits until the gateway closes the connection.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Unexpected`] if a message arrives first, [`TestError::Late`] if nothing arrives, and
    /// [`TestError::Ended`] if the connection breaks without a close frame.
    pub async fn closed(&mut self) -> Result<Close, TestError> {
        match self.receive().await {
            Ok(message) => Err(unexpected("a close frame", message)),
            Err(TestError::Ended(Some(close))) => Ok(close),
            Err(error) => Err(error),
        }
    }

    /// Closes the connection and waits for the gateway's close frame. Messages that arrive before it are dropped.
    ///
    /// # Errors
    ///
    /// Returns [`TestError::Late`] if nothing arrives, and [`TestError::Ended`] if the connection breaks without a close
    /// frame.
    pub async fn close(&mut self, close: impl Into<Close>) -> Result<Close, TestError> {
        let close = close.into();
        self.transcript.close(Side::Gateway, &close);
        let frame = CloseFrame {
            code: close.code.as_u16().into(),
            reason: close.reason.as_str().into(),
        };
        self.stream.close(Some(frame)).await.map_err(ended)?;
        let patience = self.patience;
        let closed = timeout(patience, async {
            loop {
                match self.next().await {
                    Ok(_) => {}
                    Err(TestError::Ended(Some(close))) => return Ok(close),
                    Err(error) => return Err(error),
                }
            }
        });
        closed.await.unwrap_or(Err(TestError::Late(patience)))
    }

    /// The stream of frames, for what no other method does: pings, fragments, and, through its `get_mut`, bytes that are
    /// not frames.
    pub fn stream(&mut self) -> &mut WebSocketStream<DuplexStream> {
        &mut self.stream
    }

    /// What has been sent and received so far.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }
}

fn text_of(bytes: Bytes) -> Result<Text, TestError> {
    Text::try_from(bytes).map_err(TestError::protocol)
}

fn close_of(frame: Option<CloseFrame>) -> Result<Close, TestError> {
    let Some(frame) = frame else {
        return Ok(CloseCode::NO_STATUS.into());
    };
    let code = CloseCode::try_from(u16::from(frame.code)).map_err(TestError::protocol)?;
    Ok(Close::new(code, frame.reason.as_str().to_owned()))
}

fn unexpected(expected: &'static str, message: Message) -> TestError {
    TestError::Unexpected { expected, message }
}

fn ended(error: tungstenite::Error) -> TestError {
    use tungstenite::{Error, error::ProtocolError};
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
        ) => TestError::Ended(None),
        error => TestError::protocol(error),
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").finish_non_exhaustive()
    }
}

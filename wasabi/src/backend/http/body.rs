//! The body of a response, of whichever client.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
#[cfg(feature = "decompress")]
use tower_http::decompression::DecompressionBody;

use super::{failure::in_transit, pool::Lease};
use crate::{Error, Result};

pub(super) enum Body {
    /// Over a connection of ours, which is kept once the body has been read to the end.
    Own(Incoming, Option<Lease>),
    /// Of a user's client.
    Given(reqwest::Body),
    /// Of the router that a test has put in place of the service.
    #[cfg(any(test, feature = "testing"))]
    Replaced(axum::body::Body),
    /// That was compressed.
    #[cfg(feature = "decompress")]
    Decoded(Pin<Box<DecompressionBody<Self>>>),
}

impl Body {
    pub(super) fn own(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self::Own(incoming, Some(lease));
        body.give_back_at_end();
        body
    }

    /// The next piece; `None` at the end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await;
            match frame.transpose()?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(_trailers)) => {}
            }
        }
    }

    /// The length that the head announces.
    pub(super) fn announced(&self) -> u64 {
        self.size_hint().exact().unwrap_or(0)
    }

    fn give_back_at_end(&mut self) {
        if let Self::Own(incoming, lease) = self
            && incoming.is_end_stream()
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Own(incoming, lease) => {
                let polled = Pin::new(incoming).poll_frame(cx);
                match &polled {
                    Poll::Ready(None) => {
                        if let Some(lease) = lease.take() {
                            lease.give_back();
                        }
                    }
                    Poll::Ready(Some(Ok(_))) => self.give_back_at_end(),
                    _ => {}
                }
                polled.map_err(in_transit)
            }
            Self::Given(body) => Pin::new(body).poll_frame(cx).map_err(Error::from),
            #[cfg(any(test, feature = "testing"))]
            Self::Replaced(body) => Pin::new(body).poll_frame(cx).map_err(Error::internal),
            #[cfg(feature = "decompress")]
            Self::Decoded(body) => body
                .as_mut()
                .poll_frame(cx)
                .map_err(super::failure::in_decoder),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(incoming, _) => incoming.is_end_stream(),
            Self::Given(body) => body.is_end_stream(),
            #[cfg(any(test, feature = "testing"))]
            Self::Replaced(body) => body.is_end_stream(),
            #[cfg(feature = "decompress")]
            Self::Decoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(incoming, _) => incoming.size_hint(),
            Self::Given(body) => body.size_hint(),
            #[cfg(any(test, feature = "testing"))]
            Self::Replaced(body) => body.size_hint(),
            #[cfg(feature = "decompress")]
            Self::Decoded(body) => body.size_hint(),
        }
    }
}

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

use super::{failure::in_transit, lease::Lease};
use crate::{Error, Result};

pub(super) enum Body {
    /// Over a connection of ours. The lease comes second, because it is dropped after the rest of the response.
    Own { incoming: Incoming, _lease: Lease },
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
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Own { incoming, .. } => Pin::new(incoming).poll_frame(cx).map_err(in_transit),
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
            Self::Own { incoming, .. } => incoming.is_end_stream(),
            Self::Given(body) => body.is_end_stream(),
            #[cfg(any(test, feature = "testing"))]
            Self::Replaced(body) => body.is_end_stream(),
            #[cfg(feature = "decompress")]
            Self::Decoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { incoming, .. } => incoming.size_hint(),
            Self::Given(body) => body.size_hint(),
            #[cfg(any(test, feature = "testing"))]
            Self::Replaced(body) => body.size_hint(),
            #[cfg(feature = "decompress")]
            Self::Decoded(body) => body.size_hint(),
        }
    }
}

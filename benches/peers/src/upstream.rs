//! Upstreams for the gateways.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use crate::{Args, Failure};

/// Reads the body and always answers with the same JSON.
pub(crate) async fn http(args: Args) -> Result<(), Failure> {
    async fn answer(req: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        req.into_body().collect().await?;
        let mut response =
            Response::new(Full::new(Bytes::from_static(br#"{"status":"ok","id":1}"#)));
        let json = hyper::header::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, json);
        Ok(response)
    }
    let listener = args.listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection);
    }
}

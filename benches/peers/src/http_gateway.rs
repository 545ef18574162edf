//! A gateway from WebSocket to HTTP, written by hand on axum.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, ready},
};

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    routing::any,
};
use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt, stream::FuturesUnordered};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::{
    client::legacy::connect::HttpConnector,
    rt::{TokioExecutor, TokioIo},
};
use reqwest::Url;
use tokio::net::TcpStream;

use crate::{Args, Failure, axum_ws};

/// The number of concurrent requests of one connection.
const CONCURRENCY: usize = 25;

trait Call: Clone + Send + Sync + 'static {
    fn call(&self, body: Bytes) -> impl Future<Output = Result<Bytes, Failure>> + Send;
}

#[derive(Clone)]
struct Reqwest(reqwest::Client, Url);

impl Call for Reqwest {
    async fn call(&self, body: Bytes) -> Result<Bytes, Failure> {
        let response = self.0.post(self.1.clone()).body(body).send().await?;
        Ok(response.bytes().await?)
    }
}

#[derive(Clone)]
struct HyperUtil(
    hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    hyper::Uri,
);

impl Call for HyperUtil {
    async fn call(&self, body: Bytes) -> Result<Bytes, Failure> {
        let request = hyper::Request::post(self.1.clone()).body(Full::new(body))?;
        let response = self.0.request(request).await?;
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// Bare connections of hyper. One that is free is used again.
#[derive(Clone)]
struct Bare {
    free: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
    upstream: hyper::Uri,
}

impl Bare {
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        loop {
            let Some(mut free) = self.free()?.pop() else {
                break;
            };
            if free.ready().await.is_ok() {
                return Ok(free);
            }
        }
        let authority = self.upstream.authority().ok_or("no authority")?;
        let stream = TcpStream::connect(authority.as_str()).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn free(&self) -> Result<MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>>, Failure> {
        self.free.lock().map_err(|_| "a task has panicked".into())
    }
}

impl Call for Bare {
    async fn call(&self, body: Bytes) -> Result<Bytes, Failure> {
        let mut connection = self.connection().await?;
        let request = hyper::Request::post(self.upstream.path())
            .header(
                "host",
                self.upstream.authority().ok_or("no authority")?.as_str(),
            )
            .body(Full::new(body))?;
        let response = connection.send_request(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        self.free()?.push(connection);
        Ok(body)
    }
}

pub(crate) async fn reqwest(args: Args) -> Result<(), Failure> {
    let client = reqwest_client(&args)?;
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| in_one_task(socket, client))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

pub(crate) async fn reqwest_spawning(args: Args) -> Result<(), Failure> {
    let client = reqwest_client(&args)?;
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(|socket| spawning(socket, client))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

pub(crate) async fn hyper_util(args: Args) -> Result<(), Failure> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let client = HyperUtil(client, args.upstream()?.parse()?);
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| in_one_task(socket, client))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

pub(crate) async fn bare(args: Args) -> Result<(), Failure> {
    let client = Bare {
        free: Arc::default(),
        upstream: args.upstream()?.parse()?,
    };
    let upgrade = async move |upgrade: WebSocketUpgrade| {
        axum_ws::small(upgrade).on_upgrade(|socket| in_one_task(socket, client))
    };
    axum_ws::serve(args, Router::new().route("/", any(upgrade))).await
}

fn reqwest_client(args: &Args) -> Result<Reqwest, Failure> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()?;
    Ok(Reqwest(client, args.upstream()?.parse()?))
}

fn payload(message: Message) -> Option<Bytes> {
    match message {
        Message::Text(text) => Some(text.into()),
        Message::Binary(data) => Some(data),
        _ => None,
    }
}

fn reply(answer: Result<Bytes, Failure>) -> Message {
    match answer.map(|body| axum::extract::ws::Utf8Bytes::try_from(body)) {
        Ok(Ok(text)) => Message::Text(text),
        Ok(Err(error)) => Message::Text(error.to_string().into()),
        Err(error) => Message::Text(error.to_string().into()),
    }
}

/// The natural first version: a writer task, and a task for each message.
async fn spawning(socket: WebSocket, client: impl Call) {
    let (mut sink, mut stream) = socket.split();
    let (replies, mut queue) = tokio::sync::mpsc::channel::<Message>(64);
    tokio::spawn(async move {
        while let Some(message) = queue.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        let Some(body) = payload(message) else {
            continue;
        };
        let (client, replies) = (client.clone(), replies.clone());
        tokio::spawn(async move {
            let _ = replies.send(reply(client.call(body).await)).await;
        });
    }
}

/// Concurrent calls in the task of the connection; gathers replies and flushes once when nothing is ready.
async fn in_one_task(mut socket: WebSocket, client: impl Call) {
    let client = Arc::new(client);
    let mut calls = FuturesUnordered::new();
    let mut is_dirty = false;
    poll_fn(|cx| {
        loop {
            let mut progress = false;
            if ready!(socket.poll_ready_unpin(cx)).is_err() {
                return Poll::Ready(());
            }
            if let Poll::Ready(Some(message)) = Pin::new(&mut calls).poll_next(cx) {
                if socket.start_send_unpin(message).is_err() {
                    return Poll::Ready(());
                }
                (is_dirty, progress) = (true, true);
            }
            if calls.len() < CONCURRENCY {
                match socket.poll_next_unpin(cx) {
                    Poll::Ready(Some(Ok(message))) => {
                        progress = true;
                        if let Some(body) = payload(message) {
                            let client = Arc::clone(&client);
                            calls.push(async move { reply(client.call(body).await) });
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if !progress {
                if is_dirty {
                    if ready!(socket.poll_flush_unpin(cx)).is_err() {
                        return Poll::Ready(());
                    }
                    is_dirty = false;
                }
                return Poll::Pending;
            }
        }
    })
    .await
}

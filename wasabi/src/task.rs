//! The task of a connection, which runs as long as the connection lives.

pub(crate) mod driver;
#[cfg(feature = "metrics")]
mod observed;

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{
    FutureExt,
    future::{self, Fuse},
};
use hyper::upgrade::OnUpgrade;

use self::driver::Driver;
use crate::{
    Backend, Close, CloseCode, Connection, ErrorFormat,
    channel::{
        Declared,
        hooks::{OnConnect, OnDisconnect},
    },
    connection::{
        companions::Companions,
        registry::Permit,
        socket::{Socket, deflate::Agreed},
        stash::free,
        transport::Transport,
    },
    dispatcher::Dispatcher,
    log::{limited, said},
    metrics::Counted,
    panics::{caught, caught_future},
    protocol::Dialect,
    runtime::{Runtime, SocketPermit},
    upgrade::UPGRADE_TIMEOUT,
};

/// How long companions may take to end after their connection.
const COMPANIONS_END: Duration = Duration::from_secs(5);

/// Runs the connections of a channel, each in a task of its own.
pub(crate) struct Runner<S, B, P, C, D> {
    pub(crate) dispatcher: Dispatcher<S, B, P>,
    pub(crate) on_connect: C,
    pub(crate) on_disconnect: D,
    /// How errors are written: as the channel says, or else as its parser does.
    pub(crate) errors: ErrorFormat,
    pub(crate) channel: Declared,
    pub(crate) counted: Counted,
}

impl<S, B, P, C, D> Runner<S, B, P, C, D>
where
    S: Send + Sync + 'static,
    B: Backend<S> + 'static,
    P: Dialect,
    C: OnConnect,
    D: OnDisconnect,
{
    /// The task of a connection. Its size counts for every idle connection, so what it needs only at the end is boxed.
    pub(crate) async fn run(
        self: Arc<Self>,
        connection: Connection,
        permit: Permit,
        socket: Option<SocketPermit>,
        upgrade: OnUpgrade,
        agreed: Option<Agreed>,
        runtime: Runtime,
    ) {
        let upgraded = match tokio::time::timeout(UPGRADE_TIMEOUT, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => {
                tracing::debug!(connection = %connection.id(), error = %said(&error), "upgrade failed");
                return connection.end(CloseCode::ABNORMAL.into());
            }
            Err(_) => {
                tracing::debug!(connection = %connection.id(), "upgrade timed out");
                return connection.end(CloseCode::ABNORMAL.into());
            }
        };
        let (transport, read_already) = runtime.transport(upgraded);
        let entry = self.channel.registry.enter(connection.clone(), permit);
        let listed = runtime.list(&connection);
        self.counted.opened();
        tracing::debug!(connection = %connection.id(), remote_addr = ?connection.remote_addr(), "connected");
        let mut admitted = false;
        let driven = self.drive(&connection, transport, read_already, agreed, &mut admitted);
        let (close, companions) = match caught_future(driven).await {
            Ok(end) => end,
            Err(_) => {
                limited!(ERROR, connection = %connection.id(), "the connection's task panicked");
                (CloseCode::ABNORMAL.into(), Companions::new())
            }
        };
        connection.end(close.clone());
        let age = connection.outbox().age();
        connection.traffic().closed(close.code, age);
        drop(entry);
        // The socket is closed, and the hook needs no place.
        drop(socket);
        tracing::debug!(connection = %connection.id(), code = close.code.as_u16(), reason = ?close.reason, "disconnected");
        Box::pin(self.ended(connection, close, admitted, companions)).await;
        drop(listed);
    }

    /// Runs the hook and the companions of a connection to their end.
    async fn ended(
        &self,
        connection: Connection,
        close: Close,
        admitted: bool,
        companions: Companions,
    ) {
        let hook = async {
            if admitted {
                let disconnected = self.on_disconnect.disconnected(connection.clone(), close);
                disconnected.await;
            }
        };
        let (hook, ()) = future::join(
            caught_future(hook),
            companions.finish(&connection, COMPANIONS_END),
        )
        .await;
        if hook.is_err() {
            limited!(ERROR, "on_disconnect panicked");
        }
        free(connection.extensions());
    }

    /// Runs the connection until it ends and returns how; sets `admitted` if `on_connect` admits it.
    async fn drive(
        &self,
        connection: &Connection,
        transport: Transport,
        read_already: Vec<u8>,
        agreed: Option<Agreed>,
        admitted: &mut bool,
    ) -> (Close, Companions) {
        let parse = |message| self.dispatcher.request(message, connection);
        let call = |req| self.dispatcher.call(req, connection);
        let settings = &self.channel.settings;
        let socket = Socket::server(transport, read_already, settings.limits(), agreed);
        let mut driver = Driver::new(socket, connection, settings, &self.errors, parse, call);
        let close = {
            let opening = async {
                let admitted = self.on_connect.connected(connection.clone()).await;
                if admitted.is_ok() {
                    self.dispatcher
                        .lifecycle(&mut |part| part.connected(connection));
                }
                admitted
            };
            let mut opening = pin!(caught_future(opening).fuse());
            let close = poll_fn(|cx| {
                if let Poll::Ready(result) = opening.as_mut().poll(cx) {
                    let result = result.unwrap_or_else(|_| {
                        limited!(ERROR, "on_connect panicked");
                        Err(CloseCode::INTERNAL.into())
                    });
                    *admitted = result.is_ok();
                    driver.opened(result);
                }
                driver.poll(cx)
            })
            .await;
            // A destructor in a cancelled hook may panic.
            let _ = caught(|| opening.set(Fuse::terminated()));
            close
        };
        let (parting, mut leaving) = driver.into_rest(close.clone());
        let limit = self.channel.settings.close_timeout;
        let parting = async {
            if let Some(parting) = parting {
                parting.part(connection, limit).await;
            }
        };
        if leaving.is_done() {
            Box::pin(parting).await;
        } else {
            // A connection that is still read does not know its end yet.
            if !leaving.is_read() {
                connection.leave(close);
            }
            let leave = poll_fn(|cx| leaving.poll(cx));
            Box::pin(future::join(parting, leave)).await;
        }
        leaving.into_end()
    }
}

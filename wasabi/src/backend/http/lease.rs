//! Connections whose responses are being read.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use reqwest::Body;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use super::{hosts::Host, idle::Kept};
use crate::sync::Unpoisoned;

/// A connection whose response is being read. Dropping it, after the response, keeps the connection for further requests:
/// hyper reads what has arrived of a response that nobody wants, and closes the connection if there is more.
pub(super) struct Lease {
    pub(super) sender: Option<SendRequest<Body>>,
    pub(super) until: Instant,
    pub(super) idle: Duration,
    pub(super) host: Arc<Host>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = Instant::now();
        let Some(sender) = self.sender.take() else {
            return;
        };
        if sender.is_closed() || self.until <= now {
            return;
        }
        let mut idle = self.host.idle.lock().unpoisoned();
        if !idle.is_watched {
            let Ok(runtime) = Handle::try_current() else {
                return;
            };
            idle.is_watched = true;
            runtime.spawn(watch(Arc::downgrade(&self.host)));
        }
        idle.connections.push(Kept {
            sender,
            until: self.until,
            closes: self.until.min(now + self.idle),
        });
    }
}

/// Closes the connections that stay idle, until there are none.
async fn watch(host: Weak<Host>) {
    while let Some(next) = host
        .upgrade()
        .and_then(|host| host.idle.lock().unpoisoned().close())
    {
        sleep_until(next).await;
    }
}

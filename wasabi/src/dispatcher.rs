//! The dispatcher: it makes a request of a message, finds the request's route, and runs it through the chain.

use std::sync::Arc;

use crate::{
    Backend, Connection, Lifecycle, Message, Reply, Request, Result,
    protocol::{Batch, Dialect, Inbound},
    request::Route,
};

/// The chain of a channel: its middleware around its router, or around its only target.
pub(crate) struct Dispatcher<S, B, P> {
    pub(crate) dialect: P,
    pub(crate) chain: B,
    pub(crate) state: Arc<S>,
    /// The name of the route if the chain does not route by key.
    pub(crate) target: &'static str,
}

impl<S: Sync, B: Backend<S>, P: Dialect> Dispatcher<S, B, P> {
    /// Makes a request of a message. The request has its route before the first middleware sees it.
    #[inline(always)]
    pub(crate) fn request(&self, message: Message, connection: &Connection) -> Inbound {
        let mut inbound = self.dialect.read(message, connection);
        match &mut inbound {
            Inbound::Request(req) | Inbound::Unique(req, _) => self.find(req),
            Inbound::Batch(batch, _) => self.find_all(batch),
            Inbound::Cancel(cancel) => self.find_after(&mut cancel.then),
            _ => {}
        }
        inbound
    }

    #[cold]
    fn find_after(&self, then: &mut Inbound) {
        match then {
            Inbound::Request(req) | Inbound::Unique(req, _) => self.find(req),
            Inbound::Batch(batch, _) => self.find_all(batch),
            _ => {}
        }
    }

    /// Finds the route of a request, and whether it owes a reply.
    #[inline(always)]
    fn find(&self, req: &mut Request) {
        let route = self.chain.route(req.key());
        req.set_route(route.unwrap_or(Route {
            path: 0,
            name: self.target,
        }));
        let owes_reply = self.chain.owes_reply_on(req, req.route_path());
        req.set_owes_reply(owes_reply);
    }

    #[inline(never)]
    fn find_all(&self, batch: &mut Request) {
        let mut owes_reply = false;
        if let Some(calls) = batch.value::<Batch>() {
            calls.visit(|req| {
                if req.invalid().is_none() {
                    self.find(req);
                }
                owes_reply |= req.owes_reply();
            });
        }
        batch.set_route(Route {
            path: 0,
            name: "batch",
        });
        batch.set_owes_reply(owes_reply);
    }

    /// A connection has been admitted.
    pub(crate) fn connected(&self, connection: &Connection) {
        self.dialect.connected(connection);
        self.lifecycle(&mut |part| part.connected(connection));
    }

    /// Runs a request through the chain.
    #[inline(always)]
    pub(crate) fn call(
        &self,
        req: Request,
        connection: &Connection,
    ) -> impl Future<Output = Result<Reply>> + Send {
        self.dialect
            .call(req, connection, &self.chain, &*self.state)
    }
}

impl<S, B: Backend<S>, P> Dispatcher<S, B, P> {
    /// Visits every part of the chain that takes part in the life of a connection.
    pub(crate) fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        self.chain.lifecycle(visit);
    }

    /// The path of the chain's router for a key.
    #[cfg(feature = "schema")]
    pub(crate) fn route(&self, key: &str) -> Option<u64> {
        self.chain.route(key).map(|route| route.path)
    }
}

//! Serving: a server listens, accepts until it is told to stop, and drains.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use futures_util::future::join_all;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::task::TaskTracker;
use wasabi_rules::setting_above_zero;

#[cfg(feature = "metrics")]
use super::figures::ServerFigures;
use super::{
    Admin, ServeError, Server,
    accept::Acceptor,
    control::{Addrs, Control, ServerPhase},
    crowd::Crowd,
    drain,
    http::{HttpService, LAST_ANSWER},
    http1,
    listener::Listener,
    source::Source,
};
use crate::{
    Gateway, GatewayError, cluster::Attach, gateway::ChannelPaths, per_client::PerClient,
    runtime::Runtime,
};

/// How many operator sockets may be open at the same time. A further one takes the place of the oldest.
const ADMIN_SOCKETS: usize = 64;

/// How long an operator's request may take: longer than a profile.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(90);

/// How long the server waits in total for an operator that reads an answer too slowly.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);

/// What a server's tasks have in common while it serves.
struct Serving {
    control: Arc<Control>,
    runtime: Runtime,
    /// The tasks of open sockets.
    sockets: TaskTracker,
    /// The HTTP requests that a drain waits for.
    requests: TaskTracker,
    /// The accept loops.
    accepting: JoinSet<()>,
}

impl Server {
    /// Serves the gateway until the server has drained or was stopped. Reports all mistakes in the gateway and in the
    /// server's settings together, before it listens on anything.
    // Long: all of a server's life, in order.
    pub async fn serve(mut self, gateway: Gateway) -> Result<(), ServeError> {
        self.check(&gateway)?;
        let mut serving = Serving {
            control: Arc::clone(&self.control),
            runtime: Runtime::new(self.max_waiting_bytes, http1::take_back),
            sockets: TaskTracker::new(),
            requests: TaskTracker::new(),
            accepting: JoinSet::new(),
        };
        let max_sockets = self.max_sockets.unwrap_or(usize::MAX);
        let max_sockets = max_sockets.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(max_sockets));
        #[cfg(feature = "console")]
        if let Some(admin) = &mut self.admin {
            admin.describe(&gateway);
        }
        #[cfg(feature = "metrics")]
        let observers = gateway.observers();
        let nodes = gateway.nodes().to_vec();
        let channels = gateway.channel_paths();
        // Before `serves`, because a channel learns its whole path here, and its metrics are labelled with it.
        let router = gateway.routed();
        #[cfg(feature = "metrics")]
        let figures = Arc::new(ServerFigures {
            channels: observers,
            runtime: serving.runtime.clone(),
            places: Arc::clone(&places),
            max_sockets,
        });
        #[cfg(feature = "metrics")]
        self.control.serves(&figures);
        let acceptor = self.acceptor(router, channels, places, &serving);
        let listening = listen(self.sources, self.unix_mode, &acceptor).await?;
        let mut addrs = Addrs::default();
        match self.admin {
            Some(admin) => addrs.admin = serving.operators(admin, acceptor, self.unix_mode).await?,
            None => drop(acceptor),
        }
        if self.signals {
            drain::on_signals(Arc::clone(&self.control)).map_err(ServeError::Signals)?;
        }
        for (listener, acceptor) in listening {
            listener.keep_alive();
            listener.take_little();
            tracing::info!(on = %listener, "listening");
            addrs.public.extend(listener.local_addr());
            serving.accepting.spawn(acceptor.run(listener));
        }
        self.control.bound(addrs);
        nodes.iter().for_each(|node| node.start());
        drain::leave(&self.control, &serving.runtime, self.drain_delay).await;
        let deadline = drain::drain(
            &self.control,
            &serving.runtime,
            &serving.requests,
            self.drain_timeout,
            self.drain_spread,
        )
        .await;
        tokio::join!(serving.end(deadline), leave(&nodes));
        Ok(())
    }

    /// How the public addresses accept.
    fn acceptor(
        &mut self,
        router: Router,
        channels: ChannelPaths,
        places: Arc<Semaphore>,
        serving: &Serving,
    ) -> Acceptor {
        Acceptor {
            http: HttpService {
                router,
                channels: Some(Arc::new(channels)),
                runtime: serving.runtime.clone(),
                requests: Some(serving.requests.clone()),
                places,
                header_timeout: self.header_timeout,
                keep_alive_timeout: self.keep_alive_timeout,
                request_timeout: self.request_timeout,
                patience: self.request_timeout,
                control: Arc::clone(&self.control),
                #[cfg(feature = "http2")]
                streams: (self.http2_streams > 0).then_some(self.http2_streams),
            },
            sockets: serving.sockets.clone(),
            per_client: self
                .max_sockets_per_client
                .map(|most| (most, PerClient::default())),
            proxies: None,
            crowd: None,
            #[cfg(feature = "tls")]
            tls: self.tls.take(),
        }
    }

    fn check(&self, gateway: &Gateway) -> Result<(), ServeError> {
        let mut mistakes = gateway.check().err().unwrap_or_default();
        mistakes.extend(self.mistakes().into_iter().map(GatewayError::Setting));
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(ServeError::Mistakes(mistakes)),
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let counts = [
            ("max_sockets", self.max_sockets),
            ("max_waiting_bytes", self.max_waiting_bytes),
            ("max_sockets_per_client", self.max_sockets_per_client),
        ];
        let times = [
            ("header_timeout", self.header_timeout),
            ("keep_alive_timeout", self.keep_alive_timeout),
            ("request_timeout", self.request_timeout),
            #[cfg(feature = "tls")]
            (
                "handshake_timeout",
                self.tls
                    .as_ref()
                    .map_or(crate::time::FOREVER, |tls| tls.handshake_timeout),
            ),
        ];
        let counts = counts.map(|(name, count)| setting_above_zero(name, count).err());
        let times = times.map(|(name, time)| setting_above_zero(name, time).err());
        let mode = self.unix_mode.filter(|mode| *mode > 0o777);
        let mode = mode
            .map(|mode| format!("{mode:#o} is not a mode for Unix sockets; write it like `0o660`"));
        let proxies = self.sources.iter().filter_map(|source| match source {
            Source::Proxied(_, proxies) => proxies.check().err(),
            _ => None,
        });
        let admin = self.admin.iter().flat_map(Admin::check);
        (counts.into_iter().chain(times).flatten())
            .chain(mode)
            .chain(proxies)
            .chain(admin)
            .collect()
    }
}

/// Tells the other processes that this one goes: nobody asks it anything more.
async fn leave(nodes: &[Arc<dyn Attach>]) {
    join_all(nodes.iter().map(|node| node.leave())).await;
}

/// Opens the listeners, each with how its sockets are accepted.
async fn listen(
    sources: Vec<Source>,
    unix_mode: Option<u32>,
    acceptor: &Acceptor,
) -> Result<Vec<(Listener, Acceptor)>, ServeError> {
    let mut listening = Vec::new();
    for source in sources {
        let mut acceptor = acceptor.clone();
        if let Source::Proxied(_, proxies) = &source {
            acceptor.proxies = Some(proxies.clone());
        }
        #[cfg(feature = "tls")]
        if matches!(source, Source::Plain(_)) {
            acceptor.tls = None;
        }
        listening.push((source.listen(unix_mode).await?, acceptor));
    }
    Ok(listening)
}

impl Serving {
    /// Begins to answer operators. Returns the address, unless it is that of a Unix socket.
    async fn operators(
        &mut self,
        admin: Admin,
        mut acceptor: Acceptor,
        unix_mode: Option<u32>,
    ) -> Result<Option<SocketAddr>, ServeError> {
        let listener = Source::Plain(admin.address.clone())
            .listen(unix_mode)
            .await?;
        let addr = listener.local_addr();
        #[cfg(feature = "console")]
        let admin = admin.with_console(&acceptor.http);
        let control = Arc::clone(&self.control);
        // Hosts are checked only over TCP: no web page can reach a Unix socket.
        let router = admin.into_router(addr.is_some(), move || control.observe());
        acceptor.http = HttpService {
            router,
            channels: None,
            places: Arc::new(Semaphore::new(ADMIN_SOCKETS)),
            request_timeout: ADMIN_TIMEOUT,
            keep_alive_timeout: acceptor.http.header_timeout,
            patience: ADMIN_PATIENCE,
            requests: None,
            #[cfg(feature = "http2")]
            streams: None,
            ..acceptor.http
        };
        acceptor.per_client = None;
        acceptor.crowd = Some(Crowd::default());
        #[cfg(feature = "tls")]
        {
            acceptor.tls = None;
        }
        tracing::info!(on = %listener, "listening for operators");
        self.accepting.spawn(acceptor.run(listener));
        Ok(addr)
    }

    /// Ends the sockets and the tasks that are left after a drain.
    async fn end(mut self, deadline: Instant) {
        self.control.set(ServerPhase::Closing);
        self.accepting.shutdown().await;
        self.sockets.close();
        tokio::select! {
            () = self.sockets.wait() => {}
            () = sleep_until(deadline) => {}
            () = self.control.wait_for(ServerPhase::Stopped) => {}
        }
        self.control.set(ServerPhase::Stopped);
        self.sockets.wait().await;
        // A handshake may have finished after the drain began.
        let _ = tokio::time::timeout(LAST_ANSWER, self.runtime.tasks().wait()).await;
        tracing::info!("stopped");
    }
}

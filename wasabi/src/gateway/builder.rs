//! What `gateway!` expands to: a gateway, declaration by declaration.

use std::{borrow::Borrow, fmt, sync::Arc};

use axum::{middleware::from_fn_with_state, routing::MethodRouter};

use super::{
    Gateway, GatewayError, Mount,
    route::{Answering, DeclaredRoute},
};
use crate::{
    Backend,
    backend::install_tls_provider,
    channel::{
        Channel, ChannelConfig, Declared,
        hooks::{OnConnect, OnDisconnect},
    },
    cluster::{Attach, Cluster},
    describe::{Description, EndpointInfo, RouteInfo, TargetInfo},
    endpoint,
    hosts::{self, Hosts},
    metrics::Observer,
    protocol::Dialect,
};

/// Collects what `gateway!` declares.
pub struct GatewayBuilder<S> {
    state: Arc<S>,
    gateway: Gateway,
    hosts: Option<Hosts>,
    cluster: Option<Arc<dyn Attach>>,
    /// In place of a cluster.
    alone: Option<Arc<dyn Attach>>,
    /// Endpoints with the same path and different methods share one route.
    endpoints: Vec<(String, Vec<&'static str>, MethodRouter)>,
}

impl<S: Clone + Send + Sync + 'static> GatewayBuilder<S> {
    /// Creates a builder with this state and nothing else yet.
    pub fn new(state: S) -> Self {
        // The gateway's functions may create TLS clients themselves.
        install_tls_provider();
        Self {
            state: Arc::new(state),
            gateway: Gateway {
                routes: Vec::new(),
                description: Description::default(),
                #[cfg(feature = "schema")]
                told: super::told::Told::default(),
                #[cfg(feature = "schema")]
                package: ("gateway", "0.0.0"),
                mistakes: Vec::new(),
                nodes: Vec::new(),
            },
            hosts: None,
            cluster: None,
            alone: None,
            endpoints: Vec::new(),
        }
    }

    /// `hosts`: the names that everything in the gateway without its own `hosts` setting answers to.
    pub fn hosts<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = N>) {
        let (hosts, mistakes) = Hosts::new(names);
        self.hosts = Some(hosts);
        let mistakes = mistakes.into_iter().map(GatewayError::Setting);
        self.gateway.mistakes.extend(mistakes);
    }

    /// `config`: its `hosts` apply to everything in the gateway.
    pub fn config(&mut self, config: impl Borrow<ChannelConfig>) {
        if let Some(names) = &config.borrow().hosts {
            self.hosts(names);
        }
    }

    /// `cluster`: the other gateways that the registries of its channels are shared with.
    pub fn cluster(&mut self, cluster: Cluster) {
        if let Err(mistake) = cluster.check() {
            self.gateway.mistakes.push(GatewayError::Setting(mistake));
        }
        let node = cluster.node();
        self.gateway.nodes.push(Arc::clone(&node));
        self.cluster = Some(node);
    }

    /// The name and the version of the package with the declaration, if Cargo builds it.
    #[cfg(feature = "schema")]
    pub fn package(&mut self, name: Option<&'static str>, version: Option<&'static str>) {
        let (own, first) = ("gateway", "0.0.0");
        self.gateway.package = (name.unwrap_or(own), version.unwrap_or(first));
    }

    /// Adds a channel.
    pub fn channel<B, P, C, D>(&mut self, channel: Channel<S, B, P, C, D>)
    where
        B: Backend<S> + 'static,
        P: Dialect,
        C: OnConnect<S>,
        D: OnDisconnect<S>,
    {
        let path = channel.declared.path.clone();
        self.gateway
            .description
            .channels
            .push((path.clone(), channel.declared.info));
        let tabled = channel.tabled().into_iter();
        let tabled = tabled.map(|(pattern, name)| RouteInfo {
            pattern,
            docs: "",
            target: TargetInfo::Backend { name },
        });
        let tables = &mut self.gateway.description.tables;
        tables.extend(tabled.map(|route| (path.clone(), route)));
        #[cfg(feature = "schema")]
        let (facts, routes) = {
            let declared = &channel.declared;
            let errors = channel.dialect.errors(declared.errors.clone());
            let places = channel.dialect.places();
            let facts = super::asyncapi::ChannelFacts::of(declared, places, errors);
            (facts, channel.describer())
        };
        let mut mistakes = channel.check();
        mistakes.extend(self.attach(&channel.declared, &path).err());
        let mistakes = mistakes
            .iter()
            .map(|mistake| GatewayError::Setting(format!("`{path}`: {mistake}")));
        self.gateway.mistakes.extend(mistakes);
        let has_hosts = channel.declared.hosts.is_some();
        let (parameters, path_types) = (channel.parameters(), channel.path_types());
        let (router, runner) = endpoint::router(channel, Arc::clone(&self.state));
        #[cfg(feature = "schema")]
        {
            let runner = Arc::clone(&runner);
            let route = move |key: &str| runner.dispatcher.route(key);
            self.gateway.told.push(facts, routes, Arc::new(route));
        }
        self.gateway.routes.push(DeclaredRoute {
            path,
            answering: Answering::Endpoint(Box::new(router)),
            has_hosts,
            parameters,
            path_types,
            observer: Some(Observer::of(&runner)),
        });
    }

    /// Connects the registry of a channel with the cluster. A channel with kept groups and no cluster gets one that the
    /// gateway is alone in.
    fn attach(&mut self, declared: &Declared, path: &str) -> Result<(), String> {
        let registry = &declared.registry;
        if !declared.kept.is_empty() {
            registry.keep(&declared.kept)?;
        }
        let cluster = match &self.cluster {
            Some(cluster) => cluster,
            None if declared.kept.is_empty() => return Ok(()),
            None => self.alone.get_or_insert_with(|| Cluster::memory().node()),
        };
        Arc::clone(cluster).attach(registry, path)
    }

    /// Adds an HTTP endpoint.
    pub fn endpoint(
        &mut self,
        path: impl AsRef<str>,
        method: &'static str,
        docs: &'static str,
        router: MethodRouter<S>,
    ) {
        let path = path.as_ref();
        self.gateway.description.endpoints.push(EndpointInfo {
            method,
            path: path.to_owned(),
            docs,
        });
        let router = router.with_state(S::clone(&self.state));
        match self.endpoints.iter_mut().find(|(other, ..)| other == path) {
            Some((_, methods, _))
                if methods.contains(&method) || method == "ANY" || methods.contains(&"ANY") =>
            {
                self.gateway.mistakes.push(GatewayError::Conflict {
                    path: format!("{method} {path}"),
                    other: path.to_owned(),
                });
            }
            Some((_, methods, merged)) => {
                methods.push(method);
                *merged = std::mem::take(merged).merge(router);
            }
            None => self.endpoints.push((path.to_owned(), vec![method], router)),
        }
    }

    /// Returns the gateway.
    pub fn finish(mut self) -> Gateway {
        for (path, _, router) in self.endpoints {
            self.gateway.routes.push(DeclaredRoute {
                path,
                answering: Answering::Endpoint(Box::new(router)),
                has_hosts: false,
                parameters: Vec::new(),
                path_types: Vec::new(),
                observer: None,
            });
        }
        if let Some(hosts) = self.hosts.map(Arc::new) {
            for route in &mut self.gateway.routes {
                if std::mem::replace(&mut route.has_hosts, true) {
                    continue;
                }
                let only = from_fn_with_state(Arc::clone(&hosts), hosts::only_for);
                let (endpoint, service) = (only.clone(), only);
                route
                    .answering
                    .wrap(|inner| inner.layer(endpoint), |inner| inner.layer(service));
            }
        }
        self.gateway
    }
}

/// Adds a sub-gateway or a service. It is no method, so that errors do not name the builder.
pub fn mount<S, M>(
    gateway: &mut GatewayBuilder<S>,
    path: impl AsRef<str>,
    docs: &'static str,
    mounted: impl Mount<M>,
) {
    mounted.mount(
        path.as_ref().trim_end_matches('/'),
        docs,
        &mut gateway.gateway,
    );
}

impl<S> fmt::Debug for GatewayBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("gateway", &self.gateway)
            .finish_non_exhaustive()
    }
}

//! Routes that are data: keys and backends from a file, say.

use std::{
    collections::{HashMap, HashSet},
    sync::{LazyLock, Mutex, PoisonError},
};

use crate::{
    Backend, BoxBackend, Error, Lifecycle, Reply, Request, Result,
    request::{Route, split},
};

/// Routes that are known only at run time: a [`Backend`] for each key. It stands beside static routes, as the target of
/// a channel's catch-all or of any other arm.
///
/// ```
/// use std::collections::HashMap;
/// use wasabi::{BoxBackend, RouteTable, prelude::*};
///
/// // As read from a file.
/// let services: HashMap<String, String> = serde_json::from_str(r#"{
///     "orders.place": "http://orders:8080/place",
///     "quotes": "http://quotes:8080/"
/// }"#)?;
/// let routes: RouteTable = services
///     .into_iter()
///     .map(|(key, url)| (key, BoxBackend::new(Http::post(&url))))
///     .collect();
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/action"),
///     match key {
///         "ping" => async || "pong",
///         _ => with([Throttle::new(100)], routes),
///     },
/// ));
/// assert!(gateway.check().is_ok());
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// Its keys are the names of the routes in metrics, traces, logs and breakers, and in
/// [`describe`](crate::Gateway::describe), as those of a `match` are. These names are never freed. Two backends with the
/// same key are a mistake, which keeps the gateway from being served. Keys that the table lacks are answered by
/// [`otherwise`](Self::otherwise), or with `no_route`.
///
/// A request costs a look-up by hash, and what a [`BoxBackend`] costs: one allocation. A `match` in `gateway!` costs
/// neither.
#[must_use = "a table does nothing until it is the target of a route"]
pub struct RouteTable<S = ()> {
    arms: HashMap<&'static str, usize>,
    routes: Vec<(&'static str, BoxBackend<S>)>,
    otherwise: Option<BoxBackend<S>>,
    twice: Vec<&'static str>,
}

impl<S> RouteTable<S> {
    /// A table without routes.
    pub fn new() -> Self {
        Self {
            arms: HashMap::new(),
            routes: Vec::new(),
            otherwise: None,
            twice: Vec::new(),
        }
    }

    /// Adds a route.
    pub fn route(mut self, key: impl AsRef<str>, backend: BoxBackend<S>) -> Self {
        self.extend([(key, backend)]);
        self
    }

    /// The backend for all other keys.
    pub fn otherwise(mut self, backend: BoxBackend<S>) -> Self {
        self.otherwise = Some(backend);
        self
    }

    /// The number of routes.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether the table has no routes.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// How many bits of a path tell its arms apart: those of the routes, from 1, and the one of other keys.
    fn bits(&self) -> u32 {
        usize::BITS - (self.routes.len() + 1).leading_zeros()
    }

    /// The backend of an arm.
    fn arm(&self, arm: u64) -> Option<&BoxBackend<S>> {
        let index = usize::try_from(arm).ok()?.checked_sub(1)?;
        match self.routes.get(index) {
            Some((_, backend)) => Some(backend),
            None => self.otherwise.as_ref(),
        }
    }
}

impl<S> Default for RouteTable<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, K: AsRef<str>> Extend<(K, BoxBackend<S>)> for RouteTable<S> {
    fn extend<T: IntoIterator<Item = (K, BoxBackend<S>)>>(&mut self, routes: T) {
        for (key, backend) in routes {
            let key = interned(key.as_ref());
            match self.arms.insert(key, self.routes.len()) {
                None => self.routes.push((key, backend)),
                Some(first) => {
                    self.arms.insert(key, first);
                    self.twice.push(key);
                }
            }
        }
    }
}

impl<S, K: AsRef<str>> FromIterator<(K, BoxBackend<S>)> for RouteTable<S> {
    fn from_iter<T: IntoIterator<Item = (K, BoxBackend<S>)>>(routes: T) -> Self {
        let mut table = Self::new();
        table.extend(routes);
        table
    }
}

impl<S> std::fmt::Debug for RouteTable<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteTable")
            .field("routes", &self.routes)
            .field("otherwise", &self.otherwise)
            .finish_non_exhaustive()
    }
}

impl<S: Sync> Backend<S> for RouteTable<S> {
    async fn call(&self, mut req: Request, state: &S) -> Result<Reply> {
        let arm = req.take_arm(self.bits(), |key| self.route(key));
        match self.arm(arm) {
            Some(backend) => backend.call(req, state).await,
            None => Err(Error::NoRoute),
        }
    }

    fn owes_reply(&self, req: &Request) -> bool {
        let path = self.route(req.key()).unwrap_or_default().path;
        self.owes_reply_on(req, path)
    }

    fn owes_reply_on(&self, req: &Request, path: u64) -> bool {
        let (arm, rest) = split(path, self.bits());
        match (arm, self.arm(arm)) {
            (0, _) => self.owes_reply(req),
            (_, Some(backend)) => backend.owes_reply_on(req, rest),
            (_, None) => true,
        }
    }

    fn route(&self, key: &str) -> Option<Route> {
        let index = self.arms.get(key).copied().unwrap_or(self.routes.len());
        let (name, backend) = match self.routes.get(index) {
            Some((name, backend)) => (*name, Some(backend)),
            None => ("_", self.otherwise.as_ref()),
        };
        let inner = backend.and_then(|backend| backend.route(key));
        Some(Route::through(index as u64 + 1, self.bits(), name, inner))
    }

    fn lifecycle(&self, visit: &mut dyn FnMut(&dyn Lifecycle)) {
        visit(&Itself(self));
        let backends = self.routes.iter().map(|(_, backend)| backend);
        for backend in backends.chain(&self.otherwise) {
            backend.lifecycle(visit);
        }
    }

    #[cfg(feature = "schema")]
    fn describe(&self, to: &mut crate::schema::Describer) {
        let bits = self.bits();
        for (number, (key, backend)) in (1..).zip(&self.routes) {
            let arm = crate::schema::Arm {
                name: key,
                keys: &[*key],
                target: interned(&backend.name()),
                ..Default::default()
            };
            to.arm(number, bits, &arm, &|to| backend.describe(to));
        }
        let number = self.routes.len() as u64 + 1;
        let arm = crate::schema::Arm {
            name: "_",
            target: self
                .otherwise
                .as_ref()
                .map_or("", |backend| interned(&backend.name())),
            ..Default::default()
        };
        match &self.otherwise {
            Some(backend) => to.arm(number, bits, &arm, &|to| backend.describe(to)),
            None => to.arm(number, bits, &arm, &|to| {
                Backend::<S>::describe(&crate::NoRoute, to)
            }),
        }
    }
}

/// The table itself, as a part with settings.
struct Itself<'a, S>(&'a RouteTable<S>);

impl<S> Lifecycle for Itself<'_, S> {
    fn check(&self) -> Result<(), String> {
        match self.0.twice.as_slice() {
            [] => Ok(()),
            twice => Err(format!(
                "a table of routes has these keys twice: {}",
                wasabi_rules::list(twice.iter().copied())
            )),
        }
    }

    fn tabled(&self) -> Vec<(&'static str, &'static str)> {
        let routes = self.0.routes.iter();
        let routes = routes.map(|(key, backend)| (*key, backend));
        let rest = self.0.otherwise.iter().map(|backend| ("_", backend));
        let named = routes.chain(rest);
        named
            .map(|(key, backend)| (key, interned(&backend.name())))
            .collect()
    }
}

/// The text in memory that is never freed, because the names of routes are static. Each text is there once, so that a
/// program which builds the same gateway again and again does not grow.
fn interned(text: &str) -> &'static str {
    static TEXTS: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    match texts.get(text) {
        Some(text) => text,
        None => {
            let text: &'static str = Box::leak(text.into());
            texts.insert(text);
            text
        }
    }
}

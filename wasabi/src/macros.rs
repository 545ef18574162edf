//! The macros, with their documentation.

/// Those that describe more with the cargo feature `schema`. A feature of `wasabi-macros` would not do: cargo may enable it
/// for one target and not for another.
mod chosen {
    #[cfg(not(feature = "schema"))]
    pub use wasabi_macros::{backend, gateway, routes};
    #[cfg(feature = "schema")]
    pub use wasabi_macros::{
        backend_with_schema as backend, gateway_with_schema as gateway,
        routes_with_schema as routes,
    };
}

/// Declares a gateway: an expression whose value is a [`Gateway`](crate::Gateway).
///
/// ```
/// use wasabi::prelude::*;
///
/// #[middleware]
/// async fn audit(req: Request, next: impl Next) -> Result<Reply> {
///     let key = req.key().to_owned();
///     let reply = next.run(req).await;
///     tracing::info!(key, ok = reply.is_ok());
///     reply
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Sum { numbers: Vec<i64> }
///
/// /// Answers with the sum of the numbers.
/// #[backend]
/// async fn sum(Json(sum): Json<Sum>) -> String {
///     sum.numbers.iter().sum::<i64>().to_string()
/// }
///
/// let legacy = String::from("legacy.");
/// let gateway = gateway!(
///     get("/livez", || async { "ok" }),
///     channel(
///         "/v1/{tenant}",
///         origins = ["https://*.example.com"],
///         max_message_size = 64KiB,
///         idle_timeout = 5min,
///         parser = JsonKey::at("/action").id("/id"),
///         middleware = [audit],
///         match key {
///             "sum" => with([Timeout::new(2s), Throttle::new(100)], sum),
///             "quote" | "ticks" => Http::post("http://quotes:8080/"),
///             "feed" => balance([(2, Http::post("http://a/")), (1, Http::post("http://b/"))]),
///             key if key.starts_with(&legacy) => Http::post("http://legacy:9000/"),
///             _ => NoRoute,
///         },
///     ),
///     channel("/echo", async |message: Message| message),
/// );
/// assert!(gateway.check().is_ok());
/// ```
///
/// # Sections
///
/// | section | what it declares |
/// |---|---|
/// | `name = value` | a setting of the gateway, or the default of one for all its channels |
/// | `channel("/path", name = value, .., target)` | a WebSocket endpoint |
/// | `get("/path", handler)`, `post`, `put`, `patch`, `delete`, `head`, `options`, `any` | an HTTP endpoint with an axum handler |
/// | `mount("/path", service)` | another `Gateway`, or a tower service |
///
/// Paths are axum's: `{name}` is a parameter, `{*name}` takes what is left. `///` before a section or an arm becomes
/// its documentation in [`Gateway::describe`](crate::Gateway::describe), and `#[cfg(..)]` works there as on items.
///
/// # Settings
///
/// `state` and [`cluster`](crate::Cluster) belong to the gateway, `registry`, `user`, [`groups`](crate::Kept) and `routes`
/// to a channel. All others may stand in both: a channel's value replaces
/// the gateway's, and a channel's lists `http` and `middleware` come after (inside) those of the gateway. They are the
/// methods of [`Channel`](crate::Channel), where their defaults are. `errors` also takes the words `Silent`, `Text` and
/// `Json`. Values are evaluated once, in the order of the text, when the gateway is made.
///
/// # State
///
/// `state = ..` is one value for all channels and HTTP endpoints, and what is mounted has its own. Functions take it, or a
/// part of it, as [`State<T>`](crate::State): parts are what [`FromRef`](crate::FromRef) takes out. That there is such a
/// part is checked at compile time.
///
/// ```
/// use wasabi::{FromRef, prelude::*};
///
/// #[derive(Clone)]
/// struct Prices;
///
/// #[derive(Clone)]
/// struct App {
///     prices: Prices,
///     registry: Registry,
/// }
///
/// impl FromRef<App> for Prices {
///     fn from_ref(app: &App) -> Self {
///         app.prices.clone()
///     }
/// }
///
/// async fn quote(State(prices): State<Prices>) -> &'static str {
///     "1.25"
/// }
///
/// let app = App { prices: Prices, registry: Registry::new() };
/// let gateway = gateway!(
///     state = app.clone(),
///     get("/connections", async |State(app): State<App>| app.registry.len().to_string()),
///     channel("/quotes", registry = app.registry.clone(), quote),
///     channel("/news", async |State(app): State<App>, news: Text| {
///         app.registry.broadcast(news);
///     }),
/// );
/// assert!(gateway.check().is_ok());
/// ```
///
/// # Targets
///
/// * a [`Backend`](crate::Backend): `Http::post("..")`, a value of your own
/// * an `async fn`, or an async closure that captures nothing, of up to ten extractors: see
///   [`FromRequest`](crate::FromRequest)
/// * `with([middleware, ..], target)`
/// * `balance([(weight, target), ..])`, of targets of any kinds: see [`Balance`](crate::Balance); a node may have a
///   [`HealthCheck`](crate::HealthCheck): `(weight, target, check)`
/// * `match key { pattern => target, .. }`. `key` is a `&str`, and the match is a real one, with guards. Match on
///   `key.parse::<Action>()` and the compiler checks that all actions are routed.
///
/// Inside each other, `with` and `match` group routes. Each request has the name of its innermost arm in metrics,
/// traces, logs and breakers.
///
/// # Routes of other modules
///
/// `routes = [..]` in a channel lists sets of routes, which [`routes!`](macro@crate::routes) declares in other modules.
/// An element may have middleware, `with([..], orders::routes())`, and may be a `match key { .. }` without a catch-all,
/// for routes that share middleware. The sets are asked in their order, and the channel's own target answers all other
/// keys.
///
/// ```
/// use wasabi::prelude::*;
///
/// mod orders {
///     use wasabi::prelude::*;
///
///     pub fn routes() -> impl Routes {
///         routes!(match key {
///             "orders.place" => async || "placed",
///             "orders.cancel" => async || "cancelled",
///         })
///     }
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     parser = JsonKey::at("/action"),
///     routes = [
///         with([Throttle::new(100)], orders::routes()),
///         with([Timeout::new(2s)], match key {
///             "quote" => async || "1.25",
///             "ticks" => async || "1.24 1.25",
///         }),
///     ],
///     match key {
///         "ping" => async || "pong",
///         _ => NoRoute,
///     },
/// ));
/// assert!(gateway.check().is_ok());
/// ```
///
/// # Units
///
/// `250us 100ms 2s 5min 1h` is a [`Duration`](std::time::Duration) and `512B 64KB 1MB 2GB 64KiB 1MiB 2GiB` a `usize` of
/// bytes, anywhere inside the macro.
///
/// # What the compiler checks
///
/// Types, of course: what is no backend, no extractor, no reply, not `Send`, not provided by the state is an error at
/// the place where it is written. Beside them: keys and paths that are there twice or match the same requests, arms
/// that are never reached, keys without a route, unknown, repeated and misplaced settings, malformed paths, URLs,
/// hosts, origins, header names, JSON pointers, networks and close codes, zeros where they make no sense, wrong units. All
/// mistakes are reported at once.
///
/// What is probably a mistake is a warning that `#[allow(deprecated)]` silences: a timeout around retries that take
/// longer, a rate limit inside a cache, `origins = ["*"]` together with a login that browsers send by themselves.
///
/// # Under another name
///
/// A crate that re-exports this one says so first: `gateway!(crate = toolkit::wasabi, ..)`. The attributes take
/// `crate = path` as an option.
#[doc(inline)]
pub use chosen::gateway;

/// Declares a set of routes: a part of a channel that a module declares, and a value that implements
/// [`Routes`](crate::Routes).
///
/// ```
/// use wasabi::{FromRef, prelude::*};
///
/// #[derive(Clone)]
/// struct App {
///     prices: Prices,
/// }
///
/// #[derive(Clone)]
/// struct Prices;
///
/// impl FromRef<App> for Prices {
///     fn from_ref(app: &App) -> Self {
///         app.prices.clone()
///     }
/// }
///
/// mod market {
///     use wasabi::prelude::*;
///
///     use super::{App, Prices};
///
///     #[backend]
///     async fn quote(State(prices): State<Prices>) -> &'static str {
///         "1.25"
///     }
///
///     pub fn routes(url: &str) -> impl Routes<App> {
///         routes!(
///             App,
///             middleware = [Trace::new()],
///             match key {
///                 /// The price of one item.
///                 "quote" => with([Timeout::new(2s)], quote),
///                 "history" => Http::post(url),
///             }
///         )
///     }
/// }
///
/// # fn main() {
/// let gateway = gateway!(
///     state = App { prices: Prices },
///     channel(
///         "/",
///         parser = JsonKey::at("/action"),
///         routes = [market::routes("http://history:8080/")],
///         NoRoute,
///     ),
/// );
/// assert!(gateway.check().is_ok());
/// # }
/// ```
///
/// The first argument is the type of the gateway's state. Without it the state is `()`, that of a gateway without
/// `state`. The settings are `middleware = [..]`, around all routes of the set, and `routes = [..]`, sets inside of this
/// one. The arms are those of [`gateway!`](macro@crate::gateway), with documentation, `#[cfg(..)]`, guards, `with`,
/// `balance` and units, but without a catch-all: other keys belong to other sets, or to the channel.
///
/// # Keys that are there twice
///
/// If two sets of a channel, or a set and the channel's own `match`, take the same key, the gateway does not compile:
///
/// ```text
/// error[E0080]: evaluation panicked: the key `orders.place` is routed twice: src/orders.rs:12 and src/market.rs:31
/// ```
///
/// [`Gateway::check`](crate::Gateway::check) compares them too. Both know literals and constants in a `match key`. They
/// cannot compare keys with guards, nor those of a match on another value, such as `key.parse::<Action>()`: there the
/// first set that takes the key answers.
#[doc(inline)]
pub use chosen::routes;

/// Checks a backend function where it is defined.
///
/// The function can be called as before, and could stand in a `gateway!` without the attribute. With it the errors are more
/// precise: an argument that is no extractor, a return type that is no reply and a future that is not `Send` are
/// reported in the signature, and not again at each route. A function around it does that, which returns `impl Future`.
///
/// ```
/// use wasabi::prelude::*;
///
/// #[backend]
/// async fn shout(text: Text) -> String {
///     text.to_uppercase()
/// }
/// ```
///
/// Extractors that are implemented for one type of state only need to know it:
///
/// ```
/// use wasabi::prelude::*;
///
/// #[derive(Clone)]
/// struct App {
///     greeting: &'static str,
/// }
///
/// #[backend(state = App)]
/// async fn greet(State(app): State<App>, text: Text) -> String {
///     format!("{}, {text}", app.greeting)
/// }
/// ```
///
/// Options: `state = Type`, `crate = path`. It stands on functions outside of `impl` blocks; arguments of generic
/// functions are checked where they are used.
#[doc(inline)]
pub use chosen::backend;

/// Makes a middleware of a function: a type of the function's name, and a function that makes its value.
///
/// ```
/// use wasabi::{Error, prelude::*};
///
/// /// Refuses long keys.
/// #[middleware]
/// async fn short_keys(longest: usize, req: Request, next: impl Next) -> Result<Reply> {
///     if req.key().len() > longest {
///         return Err(Error::bad_request("the key is too long"));
///     }
///     next.run(req).await
/// }
///
/// let gateway = gateway!(channel("/", middleware = [short_keys(20)], async |text: Text| text));
/// ```
///
/// The last two arguments are the request and the rest of the chain. Those before get their values in `gateway!`: each
/// request gets a clone, or a reference where the function takes `&T`. Without them the name itself is the middleware.
///
/// # Extractors
///
/// Arguments before the request may also be extractors, as those of backend functions are, in any order with the
/// others. They are taken from each request and from the gateway's state before the function runs. If one fails, its
/// error answers the request; an invalid message keeps the error of the parser.
///
/// ```
/// use std::{collections::HashSet, sync::Arc};
/// use wasabi::{Error, prelude::*};
///
/// type Admins = Arc<HashSet<String>>;
///
/// /// Lets only administrators pass.
/// #[middleware]
/// async fn admins(State(admins): State<Admins>, user: Identity<String>, req: Request, next: impl Next) -> Result<Reply> {
///     if !admins.contains(&*user) {
///         return Err(Error::new("forbidden", "only administrators may do this"));
///     }
///     next.run(req).await
/// }
///
/// let gateway = gateway!(
///     state = Admins::default(),
///     channel("/", middleware = [admins], async |text: Text| text),
/// );
/// # drop(gateway);
/// ```
///
/// The attribute knows these extractors by their names: `State`, `Identity`, `Path`, `Query`, `Connection`, `Key`,
/// `RequestId`, `Json`, `Params`, `Parsed`, `Extension`, `ClientIp`, `Stash`, `InFlight`, `PeerCertificates`, and
/// `Option<T>` of them. Mark other types that are taken from the request with `#[extract]`:
///
/// ```
/// use wasabi::{HeaderMap, prelude::*};
///
/// #[middleware]
/// async fn traced(#[extract] headers: HeaderMap, req: Request, next: impl Next) -> Result<Reply> {
///     tracing::info!(client = ?headers.get("x-client"), key = req.key());
///     next.run(req).await
/// }
/// ```
///
/// `Json<T>` and `Params<T>` read the message and leave it for the target, which reads it again. An argument of such a
/// type that is to get its value in `gateway!` is taken by reference: `key: &Key`.
///
/// Extractors that are implemented for one type of state only need to know it: `#[middleware(state = App)]`. A function
/// with extractors becomes a [`MiddlewareFor`](crate::MiddlewareFor) and not a [`Middleware`](crate::Middleware).
///
/// # HTTP middleware
///
/// `#[middleware(http)]` makes a `tower::Layer` around the handshake in the same way:
///
/// ```
/// use wasabi::{StatusCode, middleware::http, prelude::*};
///
/// #[middleware(http)]
/// async fn token(expected: &'static str, request: http::Request, next: http::Next) -> impl http::IntoResponse {
///     match request.headers().get("x-token") {
///         Some(token) if token == expected => Ok(next.run(request).await),
///         _ => Err(StatusCode::UNAUTHORIZED),
///     }
/// }
///
/// let gateway = gateway!(channel("/", http = [token("secret")], async |text: Text| text));
/// ```
///
/// It takes no extractors.
///
/// Outside of `gateway!`, for example in a router of axum, call the name also without arguments: `.layer(session())`.
///
/// Options: `http`, `crate = path`.
#[doc(inline)]
pub use wasabi_macros::middleware;

//! Duration and outcome of requests.

#[cfg(feature = "metrics")]
mod metrics;

use std::{fmt, time::Duration};

use tokio::time::Instant;

#[cfg(feature = "metrics")]
pub use self::metrics::{Metrics, RouteMetrics};
use crate::{Error, Fault, Middleware, Next, Reply, Request, Result, log::limited, panics::caught};

/// Reports each request to a function, or counts it in the process's metrics.
///
/// It measures everything inside: around a retry all tries together, inside one each try. It reports every request
/// exactly once, including one that is cancelled because its client has gone or because something further outside gave
/// up. A streaming reply is measured until it starts.
///
/// ```
/// use wasabi::{middleware::request::Measured, prelude::*};
///
/// async fn quote(text: Text) -> Text {
///     text
/// }
///
/// let measure = Measure::new(|measured: Measured<'_>| {
///     let Measured { route, duration, outcome, .. } = measured;
///     println!("{route}: {} after {duration:?}", outcome.code());
/// });
/// let gateway = gateway!(channel("/", middleware = [measure], quote));
/// # drop(gateway);
/// ```
#[derive(Clone, Copy)]
pub struct Measure<R>(R);

/// The measurement of one request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Measured<'a> {
    /// The route, as named by [`Request::route`]; `invalid` for a message that cannot be read.
    pub route: &'static str,
    /// The time from the request's arrival here until its reply, error or cancellation.
    pub duration: Duration,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// With a reply, including the empty one.
    Replied,
    /// With an error.
    Failed(&'a Error),
    /// With a panic, for which the client gets the error `internal`.
    Panicked,
    /// The request was dropped before it ended.
    Cancelled,
}

impl<'a> Outcome<'a> {
    /// `ok`, the code of the error, or `cancelled`.
    pub fn code(&self) -> &'a str {
        match self {
            Self::Replied => "ok",
            Self::Failed(error) => error.code(),
            Self::Panicked => "internal",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whose fault it is; `None` if nothing failed, or if the outcome is unknown because the request was cancelled.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Replied | Self::Cancelled => None,
            Self::Failed(error) => Some(error.fault()),
            Self::Panicked => Some(Fault::Gateway),
        }
    }
}

impl<F: Fn(Measured<'_>) + Send + Sync> Measure<F> {
    /// Calls this function for each request. It runs on the connection's task, so a slow one delays other messages. If
    /// it panics, a reply becomes the error `internal`; any other outcome stays unchanged.
    pub const fn new(function: F) -> Self {
        Self(function)
    }
}

#[cfg(feature = "metrics")]
impl Measure<Metrics> {
    /// Counts requests in the process's [metrics](https://docs.rs/metrics):
    ///
    /// * counter `wasabi_requests_total` by `route`, `outcome` (`ok`, the code of the error, `cancelled`) and `fault`
    ///   (`none`, `request`, `upstream`, `gateway`; see [`Error::fault`])
    /// * histogram `wasabi_request_duration_seconds` by `route`
    /// * gauge `wasabi_requests_in_flight` by `route`
    ///
    /// Install the recorder before the first request, because each route looks up its metrics only once. Clones are
    /// fine, but each request should pass through only one of them, or it counts twice.
    ///
    /// Requires the feature `metrics`.
    pub fn metrics() -> Self {
        Self(Metrics::new())
    }
}

/// Receives the measurements.
pub trait Record: Send + Sync {
    /// State of a request while it runs.
    #[doc(hidden)]
    type Running: Send;

    #[doc(hidden)]
    fn started(&self, route: &'static str) -> Self::Running;

    #[doc(hidden)]
    fn finished(&self, running: &Self::Running, measured: Measured<'_>);
}

impl<F: Fn(Measured<'_>) + Send + Sync> Record for F {
    type Running = ();

    fn started(&self, _route: &'static str) {}

    fn finished(&self, (): &(), measured: Measured<'_>) {
        self(measured);
    }
}

impl<R: Record> Middleware for Measure<R> {
    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        let mut running = Running {
            record: &self.0,
            state: self.0.started(req.route()),
            route: req.route(),
            since: Instant::now(),
            is_told: false,
        };
        let outcome = next.run(req).await;
        running.tell(match &outcome {
            Ok(_) => Outcome::Replied,
            Err(error) => Outcome::Failed(error),
        });
        outcome
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&[])
    }
}

struct Running<'a, R: Record> {
    record: &'a R,
    state: R::Running,
    route: &'static str,
    since: Instant,
    is_told: bool,
}

impl<R: Record> Running<'_, R> {
    fn tell(&mut self, outcome: Outcome<'_>) {
        self.is_told = true; // set first, in case the call below panics
        let measured = Measured {
            route: self.route,
            duration: self.since.elapsed(),
            outcome,
        };
        self.record.finished(&self.state, measured);
    }
}

impl<R: Record> Drop for Running<'_, R> {
    fn drop(&mut self) {
        if self.is_told {
            return;
        }
        let outcome = match std::thread::panicking() {
            true => Outcome::Panicked,
            false => Outcome::Cancelled,
        };
        // A second panic from here, while the first is unwinding, would abort the process.
        if caught(|| self.tell(outcome)).is_err() {
            limited!(
                ERROR,
                route = self.route,
                "the function of `Measure` panicked"
            );
        }
    }
}

impl<R> fmt::Debug for Measure<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measure").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        Backend,
        middleware::{Stack, request::Timeout},
        panics::caught_future,
        request::Route,
        testing::{backend, request},
    };

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn every_request_is_recorded_once_however_it_ends() {
        let told = Mutex::new(Vec::new());
        let measure = Measure::new(|measured: Measured<'_>| {
            let code = measured.outcome.code().to_owned();
            let mut told = told.lock().expect("not poisoned");
            told.push((measured.route, code, measured.duration.as_secs()));
        });
        let inner = backend(async |nth, _| {
            tokio::time::sleep(nth as u32 * SECOND).await;
            match nth {
                1 => Ok(Reply::none()),
                2 => Err(Error::NoRoute),
                3 => panic!("on purpose"),
                _ => std::future::pending().await,
            }
        });
        let chain = Stack::new(Timeout::new(9 * SECOND), Stack::new(measure, inner));
        let call = || {
            let mut req = request("k", "");
            req.set_route(Route { path: 0, name: "r" });
            chain.call(req, &())
        };
        let _ = call().now_or_never();
        let _ = call().await;
        let _ = call().await;
        let panics = caught_future(call()).await;
        assert!(panics.is_err());
        let _ = call().await;
        let expected = [
            ("r", "cancelled", 0),
            ("r", "ok", 1),
            ("r", "no_route", 2),
            ("r", "internal", 3),
            ("r", "cancelled", 9),
        ];
        let told = told.lock().expect("not poisoned");
        let told: Vec<_> = told
            .iter()
            .map(|(route, code, s)| (*route, code.as_str(), *s))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_function_that_panics_is_called_once() {
        let measure = Measure::new(|_: Measured<'_>| panic!("on purpose"));
        let chain = Stack::new(measure, backend(async |_, _| Ok(Reply::none())));
        let call = || chain.call(request("k", ""), &()).now_or_never();
        assert!(caught(call).is_err());
    }
}

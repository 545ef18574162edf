//! Measurements for the `metrics` facade.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use metrics::{Counter, Gauge, Histogram, Unit};

use super::{Measured, Outcome, Record};
use crate::{Fault, sync::Unpoisoned};

/// Counts requests in the process's metrics: what [`Measure::metrics`](super::Measure::metrics) makes.
#[derive(Clone)]
pub struct Metrics {
    /// Looked up once each, because a look-up allocates.
    routes: Arc<RwLock<HashMap<&'static str, Arc<RouteMetrics>>>>,
}

/// The metrics of one route.
pub struct RouteMetrics {
    name: &'static str,
    in_flight: Gauge,
    duration: Histogram,
    ok: Counter,
    cancelled: Counter,
    /// By code; a status is one code, but may be the fault of either side.
    failed: RwLock<Failed>,
}

type Failed = HashMap<Box<str>, Vec<(Fault, Counter)>>;

const REQUESTS: &str = "wasabi_requests_total";
const DURATION: &str = "wasabi_request_duration_seconds";
const IN_FLIGHT: &str = "wasabi_requests_in_flight";

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            routes: Arc::default(),
        }
    }

    fn route(&self, name: &'static str) -> Arc<RouteMetrics> {
        let known = self.routes.read().unpoisoned();
        if let Some(route) = known.get(name) {
            return Arc::clone(route);
        }
        drop(known);
        let mut routes = self.routes.write().unpoisoned();
        if routes.is_empty() {
            describe();
        }
        let route = routes
            .entry(name)
            .or_insert_with(|| Arc::new(RouteMetrics::new(name)));
        Arc::clone(route)
    }
}

fn describe() {
    metrics::describe_counter!(REQUESTS, "requests by route, outcome and whose fault it is");
    metrics::describe_histogram!(DURATION, Unit::Seconds, "how long requests took");
    metrics::describe_gauge!(IN_FLIGHT, "requests that are being answered");
}

impl RouteMetrics {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            in_flight: metrics::gauge!(IN_FLIGHT, "route" => name),
            duration: metrics::histogram!(DURATION, "route" => name),
            ok: requests(name, "ok", None),
            cancelled: requests(name, "cancelled", None),
            failed: RwLock::default(),
        }
    }

    fn failed(&self, code: &str, fault: Fault) {
        let is_it = |counter: &&(Fault, Counter)| counter.0 == fault;
        let known = self.failed.read().unpoisoned();
        if let Some((_, counter)) = known
            .get(code)
            .and_then(|counters| counters.iter().find(is_it))
        {
            return counter.increment(1);
        }
        drop(known);
        let mut failed = self.failed.write().unpoisoned();
        let counters = failed.entry(code.into()).or_default();
        if let Some((_, counter)) = counters.iter().find(is_it) {
            return counter.increment(1);
        }
        let counter = requests(self.name, code, Some(fault));
        counter.increment(1);
        counters.push((fault, counter));
    }
}

fn requests(route: &'static str, outcome: &str, fault: Option<Fault>) -> Counter {
    let (outcome, fault) = (outcome.to_owned(), fault.map_or("none", Fault::as_str));
    metrics::counter!(REQUESTS, "route" => route, "outcome" => outcome, "fault" => fault)
}

impl Record for Metrics {
    type Running = Arc<RouteMetrics>;

    fn started(&self, route: &'static str) -> Arc<RouteMetrics> {
        let route = self.route(route);
        route.in_flight.increment(1);
        route
    }

    fn finished(&self, route: &Arc<RouteMetrics>, measured: Measured<'_>) {
        route.in_flight.decrement(1);
        route.duration.record(measured.duration);
        match measured.outcome {
            Outcome::Replied => route.ok.increment(1),
            Outcome::Cancelled => route.cancelled.increment(1),
            outcome => route.failed(outcome.code(), outcome.fault().unwrap_or(Fault::Gateway)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use http::StatusCode;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use crate::{
        Backend, Error, Reply,
        middleware::{Stack, request::Measure},
        request::Route,
        testing::{backend, request},
    };

    #[test]
    fn requests_are_counted_by_route_and_outcome() {
        let recorder = DebuggingRecorder::new();
        let snapshots = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let inner = backend(async |nth, _| match nth {
                0 | 1 => Ok(Reply::none()),
                2 => Err(Error::NoRoute),
                3 => Err(Error::new("sold_out", "")),
                5 => Err(Error::upstream_status(StatusCode::UNAUTHORIZED)),
                6 => Err(Error::upstream_status(StatusCode::BAD_GATEWAY)),
                7 => Err(Error::upstream_status(StatusCode::NOT_FOUND)),
                _ => std::future::pending().await,
            });
            let chain = Stack::new(Measure::metrics(), inner);
            let call = || {
                let mut req = request("k", "");
                req.set_route(Route { path: 0, name: "r" });
                Box::pin(chain.call(req, &()))
            };
            for _ in 0..8 {
                let _ = call().now_or_never();
            }
            let mut running = call();
            assert!(running.as_mut().now_or_never().is_none());
            std::mem::forget(running);
        });
        let mut seen: Vec<String> = Vec::new();
        for (key, _, _, value) in snapshots.snapshot().into_vec() {
            let labels = key
                .key()
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let labels = labels.collect::<Vec<_>>().join(",");
            let value = match value {
                DebugValue::Counter(count) => count.to_string(),
                DebugValue::Gauge(value) => value.to_string(),
                DebugValue::Histogram(values) => {
                    let short = |value: &f64| *value < Duration::from_secs(1).as_secs_f64();
                    assert!(values.iter().all(|value| short(&value.into_inner())));
                    format!("{} values", values.len())
                }
            };
            seen.push(format!("{}{{{labels}}} {value}", key.key().name()));
        }
        seen.sort();
        let expected = [
            "wasabi_request_duration_seconds{route=r} 8 values",
            "wasabi_requests_in_flight{route=r} 1",
            "wasabi_requests_total{route=r,outcome=cancelled,fault=none} 1",
            "wasabi_requests_total{route=r,outcome=no_route,fault=request} 1",
            "wasabi_requests_total{route=r,outcome=ok,fault=none} 2",
            "wasabi_requests_total{route=r,outcome=sold_out,fault=request} 1",
            "wasabi_requests_total{route=r,outcome=upstream_status,fault=request} 2",
            "wasabi_requests_total{route=r,outcome=upstream_status,fault=upstream} 1",
        ];
        assert_eq!(seen, expected);
    }
}

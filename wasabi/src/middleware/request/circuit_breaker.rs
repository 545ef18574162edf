//! Protection of a backend that keeps failing.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Error, Fault, Middleware, Next, Reply, Request, Result, error::upstream_failed, log::limited,
    metrics, mistakes::Mistakes, sync::Unpoisoned, time::FOREVER,
};

/// Stops sending requests to a backend that keeps failing, and answers `breaker_open` at once for a while.
///
/// * **Closed:** requests pass. The breaker opens after the given number of failures in a row, or of failures
///   [out of](Self::out_of) a number of recent requests.
/// * **Open:** requests are refused. When the pause is over, the next request is a probe.
/// * **Half open:** the given number of [`probes`](Self::probes) pass, and further requests are refused. When the
///   probes have succeeded, the breaker closes; the first that fails opens it again.
///
/// Each route has its own breaker, even if the value wraps a whole channel; clones share the breakers. Routes are
/// identified by name: under one value for several channels, the `_` of all of them is one route. Wrap a single node of
/// a `balance` in a breaker to have one for that node. In the [metrics](crate::Admin::metrics), the breakers of all
/// routes with the same name are one series: it shows the state of the worst of them, and how often all have opened.
///
/// A failure is an error that is the upstream's [fault](Error::fault): it cannot be reached, breaks off, does not
/// answer in time, answers with a status from 500 to 599, or violates its protocol. [`when`](Self::when) replaces this
/// rule. Any other answer of the upstream counts as success.
///
/// Outcomes that a single client can cause say nothing about the upstream and are not counted: a request that is
/// cancelled, invalid, or refused by a limit on its way, or an answer too large to be passed on. For a
/// [`Timeout`](super::Timeout) to count, it must be inside; around a breaker it is a cancellation. Inside a
/// [`Retry`](super::Retry) each try counts.
///
/// ```
/// use std::time::Duration;
/// use wasabi::prelude::*;
///
/// async fn quote(text: Text) -> Text {
///     text
/// }
///
/// let gateway = gateway!(channel(
///     "/",
///     with([CircuitBreaker::new(5, 10s), Timeout::new(1s)], quote),
/// ));
/// # drop(gateway);
/// let half_of_twenty = CircuitBreaker::new(10, Duration::from_secs(10)).out_of(20).probes(3);
/// ```
pub struct CircuitBreaker<P = fn(&Error) -> bool> {
    rules: Rules,
    when: P,
    /// The breakers by route: at most one per route in the program.
    circuits: Arc<Mutex<HashMap<&'static str, Circuit>>>,
    mistakes: Mistakes,
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    failures: usize,
    out_of: usize,
    pause: Duration,
    probes: usize,
}

impl CircuitBreaker {
    /// Opens after this many failures in a row, for the duration of `pause`.
    pub fn new(failures: usize, pause: Duration) -> Self {
        let mut mistakes = Mistakes::default();
        let failures = mistakes.above_zero("CircuitBreaker::new", failures).max(1);
        let pause = mistakes.above_zero("CircuitBreaker::new", pause);
        Self {
            rules: Rules {
                failures,
                out_of: failures,
                pause: pause.min(FOREVER),
                probes: 1,
            },
            when: is_failure,
            circuits: Arc::default(),
            mistakes,
        }
    }
}

impl<P> CircuitBreaker<P> {
    /// Opens when the failures are among this many recent requests, instead of in a row. The number must be at least
    /// that of the failures and at most 1 000 000, because each request is remembered in a byte. Other numbers are
    /// mistakes.
    #[must_use]
    pub fn out_of(mut self, requests: usize) -> Self {
        let failures = self.rules.failures;
        let call = "CircuitBreaker::out_of";
        self.mistakes
            .keep(wasabi_rules::between(call, requests, 1..=MOST_REMEMBERED));
        if (1..failures).contains(&requests) {
            self.mistakes.push(format!(
                "`{call}({requests})` has no room for the {failures} failures of `CircuitBreaker::new`; \
                 write {failures} or more"
            ));
        }
        self.rules.out_of = requests.clamp(failures, failures.max(MOST_REMEMBERED));
        self
    }

    /// How many requests must succeed before the breaker closes again, which is also how many probes may run at the
    /// same time; 1 by default.
    #[must_use]
    pub fn probes(mut self, requests: usize) -> Self {
        let requests = self.mistakes.above_zero("CircuitBreaker::probes", requests);
        self.rules.probes = requests.max(1);
        self
    }

    /// Counts the errors that this function selects as failures, instead of those of the upstream.
    #[must_use]
    pub fn when<Q: Fn(&Error) -> bool + Send + Sync>(self, predicate: Q) -> CircuitBreaker<Q> {
        CircuitBreaker {
            rules: self.rules,
            when: predicate,
            circuits: self.circuits,
            mistakes: self.mistakes,
        }
    }

    fn admit(&self, route: &'static str) -> Option<Ticket<'_>> {
        let mut circuits = lock(&self.circuits);
        let circuit = circuits.entry(route).or_insert_with(Circuit::new);
        let age = circuit.admit(&self.rules)?;
        Some(Ticket {
            rules: &self.rules,
            circuits: &self.circuits,
            route,
            age,
            failed: None,
        })
    }
}

const MOST_REMEMBERED: usize = 1_000_000;

fn is_failure(error: &Error) -> bool {
    error.fault() == Fault::Upstream
}

impl<P: Fn(&Error) -> bool + Send + Sync> Middleware for CircuitBreaker<P> {
    fn check(&self) -> Result<(), String> {
        self.mistakes.check()
    }

    #[cfg(feature = "metrics")]
    fn observe(&self, seen: &mut metrics::Observation) {
        for (route, circuit) in &*lock(&self.circuits) {
            seen.breaker(route, circuit.shown());
        }
    }

    async fn handle(&self, req: Request, next: impl Next) -> Result<Reply> {
        if req.invalid().is_some() {
            return next.run(req).await; // it never reaches an upstream
        }
        let ticket = self.admit(req.route()).ok_or(Error::BreakerOpen)?;
        let outcome = next.run(req).await;
        match &outcome {
            Err(error) if (self.when)(error) => ticket.finish(true),
            _ if upstream_failed(&outcome).is_some() => ticket.finish(false),
            _ => drop(ticket),
        }
        outcome
    }

    #[cfg(feature = "schema")]
    fn codes(&self) -> crate::schema::Codes {
        crate::schema::Codes::of(&["breaker_open"])
    }
}

/// The breaker of one route.
struct Circuit {
    state: CircuitState,
    /// Grows with each change of state: the outcome of a request that started before a change is ignored after it.
    age: u64,
}

enum CircuitState {
    Closed(Outcomes),
    Open { until: Instant },
    HalfOpen { running: usize, succeeded: usize },
}

impl Circuit {
    fn new() -> Self {
        Self {
            state: CircuitState::closed(),
            age: 0,
        }
    }

    fn enter(&mut self, state: CircuitState) {
        self.state = state;
        self.age += 1;
    }

    fn admit(&mut self, rules: &Rules) -> Option<u64> {
        if let CircuitState::Open { until } = self.state {
            if Instant::now() < until {
                return None;
            }
            self.enter(CircuitState::HalfOpen {
                running: 0,
                succeeded: 0,
            });
        }
        if let CircuitState::HalfOpen { running, succeeded } = &mut self.state {
            if *running + *succeeded >= rules.probes {
                return None;
            }
            *running += 1;
        }
        Some(self.age)
    }

    /// The state that applies to the next request.
    #[cfg(feature = "metrics")]
    fn shown(&self) -> metrics::Breaker {
        match self.state {
            CircuitState::Closed(_) => metrics::Breaker::Closed,
            CircuitState::Open { until } if Instant::now() < until => metrics::Breaker::Open,
            CircuitState::Open { .. } | CircuitState::HalfOpen { .. } => metrics::Breaker::HalfOpen,
        }
    }

    /// Records an outcome; `failed` is `None` for a request that says nothing about the upstream. Returns whether the
    /// breaker has opened or closed.
    fn record(&mut self, rules: &Rules, failed: Option<bool>) -> bool {
        let next = match &mut self.state {
            CircuitState::Closed(outcomes) => {
                let Some(failed) = failed else {
                    return false;
                };
                outcomes.add(failed, rules);
                (outcomes.failures >= rules.failures).then(|| CircuitState::open(rules))
            }
            CircuitState::HalfOpen { running, succeeded } => {
                *running -= 1;
                *succeeded += usize::from(failed == Some(false));
                match failed {
                    Some(true) => Some(CircuitState::open(rules)),
                    _ => (*succeeded >= rules.probes).then(CircuitState::closed),
                }
            }
            CircuitState::Open { .. } => None,
        };
        let changes = next.is_some();
        if let Some(next) = next {
            self.enter(next);
        }
        changes
    }
}

impl CircuitState {
    fn closed() -> Self {
        Self::Closed(Outcomes::default())
    }

    fn open(rules: &Rules) -> Self {
        let until = Instant::now() + rules.pause;
        Self::Open { until }
    }
}

/// The recent outcomes that count.
#[derive(Default)]
struct Outcomes {
    /// Whether each was a failure; unused if failures in a row count.
    last: VecDeque<bool>,
    failures: usize,
}

impl Outcomes {
    fn add(&mut self, failed: bool, rules: &Rules) {
        if rules.out_of == rules.failures {
            self.failures = if failed { self.failures + 1 } else { 0 };
            return;
        }
        if self.last.len() >= rules.out_of && self.last.pop_front() == Some(true) {
            self.failures -= 1;
        }
        self.last.push_back(failed);
        self.failures += usize::from(failed);
    }
}

/// A request that was let through. Dropping it without an outcome says nothing about the upstream.
struct Ticket<'a> {
    rules: &'a Rules,
    circuits: &'a Mutex<HashMap<&'static str, Circuit>>,
    route: &'static str,
    age: u64,
    failed: Option<bool>,
}

impl Ticket<'_> {
    fn finish(mut self, failed: bool) {
        self.failed = Some(failed);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut circuits = lock(self.circuits);
        let Some(circuit) = circuits.get_mut(self.route) else {
            return;
        };
        if circuit.age != self.age || !circuit.record(self.rules, self.failed) {
            return;
        }
        let opened = matches!(circuit.state, CircuitState::Open { .. });
        drop(circuits);
        let route = self.route;
        match opened {
            true => {
                metrics::breaker_opened(route);
                limited!(WARN, of: route, route, pause = ?self.rules.pause, "circuit breaker opens")
            }
            false => limited!(INFO, of: route, route, "circuit breaker closes"),
        }
    }
}

/// No code panics while it holds the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

impl<P: Clone> Clone for CircuitBreaker<P> {
    /// The clone shares the state of the breakers.
    fn clone(&self) -> Self {
        Self {
            rules: self.rules,
            when: self.when.clone(),
            circuits: Arc::clone(&self.circuits),
            mistakes: self.mistakes.clone(),
        }
    }
}

impl<P> fmt::Debug for CircuitBreaker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

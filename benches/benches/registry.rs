//! The registry with 1 000 connections, alone and while connections open and close, and a broadcast to 10 000.

use std::{
    hint::black_box,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use wasabi::prelude::*;
use wasabi_bench::dispatch::Dispatcher;

const CONNECTIONS: usize = 1000;
const AUDIENCE: usize = 10_000;

type Work = fn(&Registry, &Connection);

/// Repeats a call as often as the message says, and replies with the elapsed nanoseconds.
async fn repeat(work: Work, registry: Registry, connection: Connection, text: Text) -> Text {
    let Ok(times) = text.parse::<u64>() else {
        return text;
    };
    let start = Instant::now();
    for _ in 0..times {
        work(&registry, &connection);
    }
    start.elapsed().as_nanos().to_string().into()
}

fn gateway(registry: Registry, work: Work) -> Gateway {
    gateway!(
        state = registry.clone(),
        channel(
            "/",
            registry = registry,
            move |State(registry): State<Registry>, connection: Connection, text: Text| {
                repeat(work, registry, connection, text)
            }
        ),
    )
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn registry(criterion: &mut Criterion) {
    let runtime = runtime();
    let variants: [(&str, Work); 3] = [
        ("lookup", |registry, connection| {
            black_box(registry.lookup(connection.id()).is_some());
        }),
        ("join and leave a group", |registry, connection| {
            black_box(registry.join("room", connection));
            black_box(registry.leave("room", connection));
        }),
        ("list of all connections", |registry, _| {
            black_box(registry.connections().len());
        }),
    ];
    for churn in [false, true] {
        let mut group = criterion.benchmark_group(match churn {
            false => "registry",
            true => "registry, connections come and go",
        });
        for (name, work) in variants {
            let mut dispatcher = Dispatcher::serve(&runtime, gateway(Registry::new(), work));
            let _others = dispatcher.connect(CONNECTIONS - 1);
            let goes_on = Arc::new(AtomicBool::new(churn));
            let coming_and_going = runtime.spawn(dispatcher.churn(Arc::clone(&goes_on)));
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| dispatcher.dispatch(times));
            });
            goes_on.store(false, Ordering::Relaxed);
            let _ = runtime.block_on(coming_and_going);
        }
        group.finish();
    }
}

/// The call alone, which queues the message for all connections; `compare broadcast` measures the delivery.
fn broadcast(criterion: &mut Criterion) {
    let runtime = runtime();
    let registry = Registry::new();
    let mut dispatcher = Dispatcher::serve(
        &runtime,
        gateway(registry.clone(), |registry, _| {
            black_box(registry.broadcast("x".repeat(128)));
        }),
    );
    let _audience = Audience::of(&dispatcher);
    while registry.len() <= AUDIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    let mut group = criterion.benchmark_group("broadcast");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(10))
        .measurement_time(Duration::from_millis(100));
    group.bench_function(format!("to {AUDIENCE} connections"), |bencher| {
        bencher.iter_custom(|times| {
            let once = |_| {
                let took = dispatcher.dispatch(1);
                // All clients receive a message before the next one is sent.
                thread::sleep(Duration::from_millis(200));
                took
            };
            (0..times).map(once).sum()
        });
    });
    group.finish();
}

/// Clients in a separate process: one process may not open both ends of this many sockets.
struct Audience(Child);

impl Audience {
    fn of(dispatcher: &Dispatcher<'_>) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_wasabi-bench"))
            .args(["load", "idle", "--seconds", "600", "--connections"])
            .args([AUDIENCE.to_string(), "--addr".to_owned()])
            .arg(dispatcher.addr().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("the load generator starts"))
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

criterion_group!(benches, registry, broadcast);
criterion_main!(benches);

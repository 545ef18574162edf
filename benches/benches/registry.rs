//! The registry with 1 000 connections in it: finding one, groups that it joins and leaves, and a list of all.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use wasabi::prelude::*;
use wasabi_bench::dispatch::Dispatcher;

const CONNECTIONS: usize = 1000;

/// Does something as often as the message says, and replies how many nanoseconds that took.
async fn repeat(
    work: fn(&Registry, &Connection),
    registry: Registry,
    connection: Connection,
    text: Text,
) -> String {
    let times: u64 = text.parse().unwrap_or(1);
    let start = Instant::now();
    for _ in 0..times {
        work(&registry, &connection);
    }
    start.elapsed().as_nanos().to_string()
}

fn gateway(work: fn(&Registry, &Connection)) -> Gateway {
    let registry = Registry::new();
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

fn registry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry");
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    type Variant = (&'static str, fn(&Registry, &Connection));
    let variants: [Variant; 3] = [
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
    for (name, work) in variants {
        let mut dispatcher = Dispatcher::serve(&runtime, gateway(work));
        let _others = dispatcher.connect(CONNECTIONS - 1);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| -> Duration { dispatcher.dispatch(times) });
        });
    }
    group.finish();
}

criterion_group!(benches, registry);
criterion_main!(benches);

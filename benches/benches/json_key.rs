//! Finds the routing key of a JSON message: without a tree, with a tree, and with a struct.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;
use serde_json::Value;
use wasabi::{Bytes, JsonKey, Message, Parser, Text};

#[derive(Deserialize)]
struct Envelope<'a> {
    action: &'a str,
    id: u64,
}

/// An order of about this many bytes, with the key first or last.
fn message(size: usize, key_first: bool) -> Message {
    let items = (0..size.saturating_sub(60) / 40)
        .map(|i| format!(r#"{{"name":"item {i:04}","price":{i}.25}}"#))
        .collect::<Vec<_>>()
        .join(",");
    let (key, items) = (
        r#""action":"order.place","id":17"#,
        format!(r#""items":[{items}]"#),
    );
    let json = match key_first {
        true => format!("{{{key},{items}}}"),
        false => format!("{{{items},{key}}}"),
    };
    let shared = Bytes::from(json);
    // In shared memory, as a message arrives from the socket.
    let _shared = shared.clone();
    Message::Text(Text::try_from(shared).unwrap_or_default())
}

fn json_key(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json key and id");
    for (size, key_first) in [(128, true), (128, false), (4096, true), (4096, false)] {
        let message = message(size, key_first);
        let text = message.as_text().unwrap_or_default();
        let place = if key_first { "first" } else { "last" };
        let name = format!("{} bytes, key {place}", text.len());
        group.throughput(Throughput::Bytes(text.len() as u64));
        let parser = JsonKey::at("/action").id("/id");
        group.bench_function(BenchmarkId::new("JsonKey", &name), |bencher| {
            bencher.iter(|| drop(black_box(parser.parse(black_box(&message)))));
        });
        group.bench_function(BenchmarkId::new("typed struct", &name), |bencher| {
            bencher.iter(|| {
                let envelope: Option<Envelope<'_>> = serde_json::from_str(black_box(text)).ok();
                black_box(envelope.map(|envelope| (envelope.action.len(), envelope.id)))
            });
        });
        group.bench_function(BenchmarkId::new("serde_json::Value", &name), |bencher| {
            bencher.iter(|| {
                let value: Value = serde_json::from_str(black_box(text)).unwrap_or_default();
                black_box((value["action"].as_str().map(str::len), value["id"].as_u64()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, json_key);
criterion_main!(benches);

//! Compresses separate messages and inflates them, with zlib-rs, which the library uses, and with miniz_oxide.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use miniz_oxide::{
    DataFormat, MZFlush,
    deflate::{
        core::{CompressorOxide, create_comp_flags_from_zip_params},
        stream::deflate,
    },
    inflate::stream::{InflateState, inflate},
};

/// Market data in JSON, about this many bytes.
fn message(size: usize) -> String {
    let mut json = String::from(r#"{"action":"ticks","items":["#);
    let mut state = 1_u64;
    while json.len() < size {
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let (symbol, bid, ask, time) = (next(100), next(900_000), next(900_000), next(1000));
        json.push_str(&format!(
            r#"{{"symbol":"R_{symbol}","bid":{}.{:02},"ask":{}.{:02},"epoch":{}}},"#,
            bid / 100,
            bid % 100,
            ask / 100,
            ask % 100,
            1_764_115_200 + time,
        ));
    }
    json.truncate(size);
    json
}

fn compress(compress: &mut Compress, message: &[u8], out: &mut Vec<u8>) {
    compress.reset();
    out.clear();
    let _ = black_box(compress.compress_vec(message, out, FlushCompress::Sync));
}

fn both(criterion: &mut Criterion) {
    for size in [256, 1024, 4096, 16_384] {
        let json = message(size);
        let json = json.as_bytes();
        let mut out = Vec::with_capacity(2 * size);
        let mut back = vec![0; 2 * size];

        let mut group = criterion.benchmark_group(format!("compress {size} bytes"));
        group.throughput(Throughput::Bytes(size as u64));
        for level in [1, 2, 6] {
            let mut state = Compress::new(Compression::new(level), false);
            compress(&mut state, json, &mut out);
            let name = format!("level {level}, to {} bytes", out.len());
            group.bench_function(BenchmarkId::new("zlib-rs", name), |bencher| {
                bencher.iter(|| compress(&mut state, json, &mut out));
            });
            let flags = create_comp_flags_from_zip_params(level as i32, -15, 0);
            let mut state = CompressorOxide::new(flags);
            let written = deflate(&mut state, json, &mut back, MZFlush::Sync).bytes_written;
            let name = format!("level {level}, to {written} bytes");
            group.bench_function(BenchmarkId::new("miniz_oxide", name), |bencher| {
                bencher.iter(|| {
                    state.reset();
                    black_box(deflate(&mut state, json, &mut back, MZFlush::Sync))
                });
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("inflate {size} bytes"));
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = Vec::with_capacity(2 * size);
        let mut state = Compress::new(Compression::new(6), false);
        compress(&mut state, json, &mut payload);
        let mut state = Decompress::new(false);
        group.bench_function("zlib-rs", |bencher| {
            bencher.iter(|| {
                state.reset(false);
                out.clear();
                let _ = black_box(state.decompress_vec(&payload, &mut out, FlushDecompress::None));
            });
        });
        let mut state = InflateState::new_boxed(DataFormat::Raw);
        group.bench_function("miniz_oxide", |bencher| {
            bencher.iter(|| {
                state.reset(DataFormat::Raw);
                black_box(inflate(&mut state, &payload, &mut back, MZFlush::Sync))
            });
        });
        group.finish();
    }
}

criterion_group!(benches, both);
criterion_main!(benches);

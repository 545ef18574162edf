//! The dispatcher without sockets: chain, router and function, declared and written by hand.

use criterion::{Criterion, criterion_group, criterion_main};
use wasabi_bench::dispatch::{Dispatcher, VARIANTS};

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    for (name, gateway) in VARIANTS {
        let mut dispatcher = Dispatcher::serve(&runtime, gateway());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| dispatcher.dispatch(times));
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);

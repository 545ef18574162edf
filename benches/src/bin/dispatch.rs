//! `dispatch VARIANT TIMES` dispatches a request `TIMES` times, for callgrind. `benches/instructions` uses it.

use std::process::ExitCode;

use wasabi_bench::dispatch::{Dispatcher, VARIANTS};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let variant = words.next().and_then(|name| {
        let mut variants = VARIANTS.into_iter();
        variants.find(|variant| variant.0 == name)
    });
    let times = words.next().and_then(|times| times.parse().ok());
    let (Some((_, gateway)), Some(times)) = (variant, times) else {
        eprintln!("dispatch VARIANT TIMES; variants:");
        VARIANTS
            .iter()
            .for_each(|variant| eprintln!("  {}", variant.0));
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let took = Dispatcher::serve(&runtime, gateway()).dispatch(times);
            println!("{took:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

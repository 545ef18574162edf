//! Compares wasabi with other servers, and generates load for any WebSocket server.
//!
//! ```text
//! cargo run --release -p wasabi-bench -- compare
//! cargo run --release -p wasabi-bench -- compile
//! cargo run --release -p wasabi-bench -- load messages --addr 127.0.0.1:9001 --connections 100 --depth 32
//! ```

#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod compile;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod median;
#[cfg(target_os = "linux")]
mod verdict;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("the comparison reads /proc and polls with epoll: it runs on Linux only");
    std::process::ExitCode::FAILURE
}

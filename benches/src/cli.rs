//! The command line.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    compare, compile,
    load::{self, Flood, Kind, Load, Outcome, Payload, Sessions, Window},
};

/// Measures WebSocket servers.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares wasabi with other servers; builds the required programs.
    Compare(compare::Args),
    /// Compares the cost of compiling a declaration with that of the same code written by hand.
    Compile(compile::Args),
    /// Puts load on one server.
    Load(LoadArgs),
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    kind: LoadKind,
    #[arg(long, default_value = "127.0.0.1:9001")]
    addr: SocketAddr,
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// Messages in flight on each connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    depth: u16,
    /// The size of a message in bytes.
    #[arg(long, default_value_t = 64)]
    size: usize,
    #[arg(long, default_value = "text")]
    payload: Payload,
    /// The answer to every message, if it is not the message itself. The HTTP upstream in `peers` answers
    /// `{"status":"ok","id":1}`.
    #[arg(long)]
    answer: Option<String>,
    /// What the connections do beside a calm client; for `gateway flooded`.
    #[arg(long, default_value = "nothing")]
    flood: Flood,
    /// Connects with TLS; for servers with `--tls target/tls`.
    #[arg(long)]
    tls: Option<Sessions>,
    /// The process whose processor time and memory are reported.
    #[arg(long)]
    pid: Option<u32>,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of load before anything is measured.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Stops early, after this many messages or handshakes.
    #[arg(long)]
    count: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LoadKind {
    Messages,
    Broadcasts,
    Handshakes,
    Churn,
    Mixed,
    Idle,
    Calm,
}

pub(crate) fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Compare(args) => compare::main(&args),
        Command::Compile(args) => compile::main(&args),
        Command::Load(args) => drive(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn drive(args: &LoadArgs) -> Result<(), String> {
    load::raise_file_limit();
    let load = Load {
        connections: args.connections.max(1),
        depth: usize::from(args.depth),
        payload: args.payload,
        size: args.size,
        // Leaked: it is needed for as long as the program runs.
        answer: args.answer.clone().map(|answer| &*answer.leak()),
        flood: args.flood,
        tls: args.tls,
    };
    let window = Window {
        warmup: seconds(args.warmup)?,
        length: seconds(args.seconds)?,
        limit: args.count,
    };
    let kind = match args.kind {
        LoadKind::Messages => Kind::Messages,
        LoadKind::Broadcasts => Kind::Broadcasts,
        LoadKind::Handshakes => Kind::Handshakes,
        LoadKind::Churn => Kind::Churn,
        LoadKind::Mixed => Kind::Mixed,
        LoadKind::Idle => Kind::Idle,
        LoadKind::Calm => Kind::Calm,
    };
    let outcome = load::run(kind, &load, args.addr, args.pid, window)?;
    println!("{}", line(kind, &outcome));
    outcome.complaint().map_or(Ok(()), Err)
}

fn seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn line(kind: Kind, outcome: &Outcome) -> String {
    let mut line = match kind {
        Kind::Idle => format!("{:.0} bytes for each connection", outcome.bytes_each()),
        Kind::Calm => format!("{} answers", outcome.count),
        Kind::Messages
        | Kind::Broadcasts
        | Kind::Handshakes
        | Kind::Churn
        | Kind::Mixed
        | Kind::Nodes => {
            format!(
                "{:.0}/s, {:.3} us of the server's processor time each, {:.3} us of the load generator's",
                outcome.per_second(),
                outcome.cpu_us_each(),
                outcome.own_cpu_us / outcome.count.max(1) as f64,
            )
        }
    };
    if !outcome.latency.is_empty() {
        line += &format!(
            ", p50 {:.1} us, p99 {:.1} us",
            outcome.latency.us(0.5),
            outcome.latency.us(0.99)
        );
    }
    line + &format!(", peak {:.1} MiB", outcome.peak_bytes as f64 / 1048576.0)
}

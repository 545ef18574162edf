//! Measures one server after the other under the same load, round after round.

mod build;
mod chart;
mod plan;
mod report;
mod server;

use std::{
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(crate) use self::build::target_dir;
use self::{
    build::Built,
    plan::{Contender, Program, REDIS, WORK, Work},
    report::Results,
    server::Server,
};
use crate::load::{self, Kind, Load, Nodes, Outcome, Window};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measures only the work whose name contains one of these.
    work: Vec<String>,
    /// Measures only servers whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    servers: Vec<String>,
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The length of one measurement in seconds.
    #[arg(long, default_value_t = 0.7)]
    seconds: f64,
    /// Three short rounds, for a first look.
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Starts no more rounds after this many minutes.
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// A file with rows of bars from another measurement, for the table of bars.
    #[arg(long)]
    bars: Option<PathBuf>,
    /// Where `results.md` and `results.svg` are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
}

// Long: the steps of a run, from its arguments to its report.
pub(crate) fn main(args: &Args) -> Result<(), String> {
    let (rounds, seconds) = match args.quick {
        true => (3, 0.3),
        false => (args.rounds as usize, args.seconds),
    };
    let length = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    let window = Window {
        warmup: (length / 3).min(Duration::from_millis(500)),
        length,
        limit: None,
    };
    let others = match &args.bars {
        Some(path) => {
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => String::new(),
    };
    // The servers inherit this limit.
    load::raise_file_limit();
    let built = build::all()?;
    let cores = Cores::choose();
    let pairs: Vec<(&Work, &Contender)> = WORK
        .iter()
        .filter(|work| matches(&args.work, work.name))
        .flat_map(|work| {
            work.contenders
                .iter()
                .map(move |contender| (work, contender))
        })
        .filter(|(_, contender)| matches(&args.servers, contender.name))
        .filter(|(_, contender)| built.has(contender))
        .collect();
    let total = pairs.len() * rounds;
    let started = Instant::now();
    let mut results = Results::default();
    let mut done = 0;
    for round in 0..rounds {
        if started.elapsed() > Duration::from_secs(60 * args.minutes) {
            eprintln!(
                "{} minutes are over: {round} rounds were measured",
                args.minutes
            );
            break;
        }
        // The processor is faster after an idle moment, so each round starts with another server.
        let first = round * pairs.len() / rounds;
        for at in 0..pairs.len() {
            let (work, contender) = pairs[(first + at) % pairs.len()];
            if work.rounds.is_some_and(|rounds| round >= rounds) {
                done += 1;
                continue;
            }
            progress(done, total, started, work, contender);
            match measure(&built, &cores, work, contender, window) {
                Ok(outcome) => results.add(work, contender, outcome),
                Err(why) => {
                    clear();
                    eprintln!("{} under {}: {why}", contender.name, work.name);
                    results.fail(work, contender, why);
                }
            }
            done += 1;
        }
    }
    clear();
    let report = report::markdown(&results, &cores, seconds, &others);
    println!("{report}");
    let write = |name: &str, text: &str| {
        let path = args.out.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("written: {}", path.display());
        Ok::<(), String>(())
    };
    fs::create_dir_all(&args.out).map_err(|error| error.to_string())?;
    write("results.md", &report)?;
    write("results.svg", &chart::svg(&results))
}

fn matches(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
}

/// Clears the progress line, which is overwritten again and again on a terminal.
fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

fn progress(done: usize, total: usize, started: Instant, work: &Work, contender: &Contender) {
    let left = match done {
        0 => String::new(),
        _ => {
            let each = started.elapsed().as_secs_f64() / done as f64;
            format!(", {:.0} s left", each * (total - done) as f64)
        }
    };
    let (work, name) = (work.name, contender.name);
    let line = format!("[{}/{total}{left}] {work}: {name}", done + 1);
    match std::io::stderr().is_terminal() {
        true => eprint!("\r\x1b[K{line}"),
        false => eprintln!("{line}"),
    }
    let _ = std::io::stderr().flush();
}

fn measure(
    built: &Built,
    cores: &Cores,
    work: &Work,
    contender: &Contender,
    window: Window,
) -> Result<Outcome, String> {
    let window = Window {
        warmup: match contender.program {
            // It compiles while it runs.
            Program::SocketIo(_) => 4 * window.length,
            _ => window.warmup,
        },
        ..window
    };
    cores.pin_load(contender.threads);
    let wanted = match contender.redis {
        true => Some(("redis", &REDIS)),
        false => work.upstream,
    };
    let upstream = match wanted {
        Some((_, upstream)) => Some(Server::start(built, upstream, None, None)?),
        None => None,
    };
    let url = wanted
        .zip(upstream.as_ref())
        .map(|((scheme, _), server)| format!("{scheme}://{}/", server.addr));
    // A child runs on the cores of its parent at the time of its start.
    cores.pin_server(contender.threads);
    let tls = match work.load.tls {
        Some(_) => Some(load::tls::folder()?),
        None => None,
    };
    let servers: Result<Vec<_>, _> = (0..work.nodes())
        .map(|_| Server::start(built, contender, url.clone(), tls.as_deref()))
        .collect();
    cores.pin_load(contender.threads);
    let servers = servers?;
    let load = Load {
        payload: contender.payload.unwrap_or(work.load.payload),
        flood: contender.flood,
        connections: contender.connections.unwrap_or(work.load.connections),
        ..work.load
    };
    let outcome = match work.kind {
        Kind::Nodes => {
            let nodes = Nodes {
                addrs: servers.iter().map(|server| server.addr).collect(),
                pids: servers.iter().map(Server::pid).collect(),
                engine: upstream.as_ref().map(Server::pid),
            };
            load::run_nodes(&load, &nodes, window).map_err(|error| error.to_string())?
        }
        kind => load::run(kind, &load, servers[0].addr, Some(servers[0].pid()), window)?,
    };
    match outcome.complaint() {
        Some(why) => Err(why),
        None => Ok(outcome),
    }
}

/// Assigns the cores: the first ones to the server, the last one to the load generator and to upstreams.
struct Cores(Vec<usize>);

impl Cores {
    fn choose() -> Self {
        let mut allowed = Vec::new();
        if let Ok(set) = sched_getaffinity(None) {
            allowed = (0..CpuSet::MAX_CPU)
                .filter(|cpu| set.is_set(*cpu))
                .collect();
        }
        Self(allowed)
    }

    fn pin_server(&self, threads: usize) {
        pin(&self.0[..threads.min(self.0.len())]);
    }

    fn pin_load(&self, threads: usize) {
        match self.0[..] {
            [.., last] if self.0.len() > threads => pin(&[last]),
            _ => pin(&self.0),
        }
    }
}

fn pin(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if !cores.is_empty() {
        let _ = sched_setaffinity(None, &set);
    }
}

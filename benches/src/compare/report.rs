//! The results as Markdown.

use std::fmt::Write;

use super::{
    Cores,
    plan::{BARS, Contender, Than, WORK, Work},
};
use crate::{
    load::{Kind, Outcome},
    median::median,
    verdict::verdict,
};

/// All results.
#[derive(Default)]
pub(super) struct Results {
    runs: Vec<Run>,
}

struct Run {
    work: &'static str,
    contender: &'static str,
    outcome: Result<Outcome, String>,
}

/// The rounds of one server under one load.
pub(super) struct Row<'r> {
    pub(super) name: &'static str,
    outcomes: Vec<&'r Outcome>,
    failures: Vec<&'r str>,
}

impl Results {
    pub(super) fn add(&mut self, work: &Work, contender: &Contender, outcome: Outcome) {
        self.runs.push(Run {
            work: work.name,
            contender: contender.name,
            outcome: Ok(outcome),
        });
    }

    pub(super) fn fail(&mut self, work: &Work, contender: &Contender, why: String) {
        self.runs.push(Run {
            work: work.name,
            contender: contender.name,
            outcome: Err(why),
        });
    }

    /// The results of the servers under a load, in the order of the plan.
    pub(super) fn rows(&self, work: &Work) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for contender in work.contenders {
            let mut row = Row {
                name: contender.name,
                outcomes: Vec::new(),
                failures: Vec::new(),
            };
            let runs = self.runs.iter();
            for run in runs.filter(|run| run.work == work.name && run.contender == contender.name) {
                match &run.outcome {
                    Ok(outcome) => row.outcomes.push(outcome),
                    Err(why) => row.failures.push(why),
                }
            }
            if !row.outcomes.is_empty() || !row.failures.is_empty() {
                rows.push(row);
            }
        }
        rows
    }
}

impl Row<'_> {
    /// The median of the rounds.
    pub(super) fn median(&self, figure: impl Fn(&Outcome) -> f64) -> Option<f64> {
        median(
            self.outcomes
                .iter()
                .map(|outcome| figure(outcome))
                .collect(),
        )
    }

    fn least(&self, figure: impl Fn(&Outcome) -> f64) -> Option<f64> {
        self.outcomes
            .iter()
            .map(|outcome| figure(outcome))
            .min_by(f64::total_cmp)
    }

    /// The main figure of the work: microseconds of processor time, bytes, or milliseconds of waiting.
    pub(super) fn cost(&self, kind: Kind) -> Option<f64> {
        match kind {
            Kind::Idle => self.median(Outcome::bytes_each),
            Kind::Calm | Kind::Mixed => self.median(|outcome| outcome.latency.us(0.99) / 1000.0),
            Kind::Messages | Kind::Broadcasts | Kind::Handshakes | Kind::Churn | Kind::Nodes => {
                self.median(Outcome::cpu_us_each)
            }
        }
    }
}

/// Writes the report. `others` are rows of bars that were measured elsewhere.
pub(super) fn markdown(results: &Results, cores: &Cores, seconds: f64, others: &str) -> String {
    let mut text = String::from("# Measured\n\n");
    let place = match cores.0.len() {
        0 | 1 => "Everything on one core. ",
        2 => {
            "The server on one core, the load generator and upstreams on the other; where the server has two, they \
             share them. "
        }
        _ => "The server on cores of its own, the load generator and upstreams on another. ",
    };
    let _ = writeln!(
        text,
        "{}, {} cores; Linux {}; {}. {place}Rounds of {seconds} s, interleaved; every byte of every reply is compared.\n\
         Processor time is user and system time of the server for each message: median of the rounds, then the \
         least.\nLatency runs from writing a batch of messages to the last of its replies. \
         In parentheses: how many times the first row.\n",
        processor(),
        cores.0.len(),
        kernel(),
        compiler(),
    );
    bars(&mut text, results, others);
    for work in WORK {
        let rows = results.rows(work);
        if !rows.is_empty() {
            let _ = writeln!(text, "## {}\n", work.title);
            match work.kind {
                Kind::Idle => idle(&mut text, &rows),
                Kind::Calm => calm(&mut text, &rows),
                kind => costs(&mut text, kind, &rows),
            }
            failures(&mut text, &rows);
        }
    }
    text
}

fn costs(text: &mut String, kind: Kind, rows: &[Row<'_>]) {
    let each = match kind {
        Kind::Broadcasts | Kind::Nodes => "receipt",
        Kind::Handshakes => "handshake",
        Kind::Churn => "connection",
        Kind::Messages | Kind::Idle | Kind::Calm | Kind::Mixed => "message",
    };
    let (engine, column) = match kind {
        Kind::Nodes => (" of Redis |", "---|"),
        _ => ("", ""),
    };
    let _ = writeln!(
        text,
        "| | processor time, us a {each} |{engine} {each}s/s | p50, us | p99, us | peak memory, MiB |\n\
         |---|---|{column}---|---|---|---|"
    );
    let mebibytes = |outcome: &Outcome| outcome.peak_bytes as f64 / 1048576.0;
    for row in rows {
        let cell = |figure: &dyn Fn(&Outcome) -> f64, digits| {
            compared(row.median(figure), rows[0].median(figure), digits)
        };
        let least = row
            .least(Outcome::cpu_us_each)
            .map_or(String::new(), |least| format!("{least:.3}"));
        let latency = |quantile| match kind {
            Kind::Messages | Kind::Broadcasts | Kind::Mixed | Kind::Nodes => {
                cell(&|outcome| outcome.latency.us(quantile), 0)
            }
            _ => "–".to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {}, {least} |{} {} | {} | {} | {} |",
            row.name,
            cell(&Outcome::cpu_us_each, 3),
            match kind {
                Kind::Nodes => format!(" {} |", cell(&Outcome::engine_cpu_us_each, 3)),
                _ => String::new(),
            },
            cell(&Outcome::per_second, 0),
            latency(0.5),
            latency(0.99),
            cell(&mebibytes, 1),
        );
    }
    text.push('\n');
}

fn idle(text: &mut String, rows: &[Row<'_>]) {
    text.push_str(
        "| | bytes of resident memory a connection | peak memory, MiB |\n|---|---|---|\n",
    );
    let mebibytes = |outcome: &Outcome| outcome.peak_bytes as f64 / 1048576.0;
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            row.name,
            compared(
                row.median(Outcome::bytes_each),
                rows[0].median(Outcome::bytes_each),
                0
            ),
            compared(row.median(mebibytes), rows[0].median(mebibytes), 1),
        );
    }
    text.push('\n');
}

fn calm(text: &mut String, rows: &[Row<'_>]) {
    text.push_str("| beside | p50, ms | p99, ms | the longest, ms |\n|---|---|---|---|\n");
    for row in rows {
        let cell = |quantile| {
            row.median(|outcome| outcome.latency.us(quantile) / 1000.0)
                .map_or("failed".to_owned(), |figure| format!("{figure:.2}"))
        };
        let (half, most, longest) = (cell(0.5), cell(0.99), cell(1.0));
        let _ = writeln!(text, "| {} | {half} | {most} | {longest} |", row.name);
    }
    text.push('\n');
}

fn compared(figure: Option<f64>, first: Option<f64>, digits: usize) -> String {
    match (figure, first) {
        (Some(figure), Some(first)) if first > 0.0 => {
            format!("{figure:.digits$} ({:.2})", figure / first)
        }
        (Some(figure), _) => format!("{figure:.digits$}"),
        (None, _) => "failed".to_owned(),
    }
}

fn failures(text: &mut String, rows: &[Row<'_>]) {
    for row in rows {
        if let Some(why) = row.failures.first() {
            let rounds = row.failures.len();
            let _ = writeln!(text, "{} failed in {rounds} rounds: {why}\n", row.name);
        }
    }
}

fn bars(text: &mut String, results: &Results, others: &str) {
    let mut lines = Vec::new();
    for bar in BARS {
        let Some(work) = WORK.iter().find(|work| work.name == bar.work) else {
            continue;
        };
        let rows = results.rows(work);
        let cost = |name: &str| rows.iter().find(|row| row.name == name)?.cost(work.kind);
        let cost_under = |other: &str| {
            let other = WORK.iter().find(|work| work.name == other)?;
            let mut rows = results.rows(other).into_iter();
            rows.find(|row| row.name == bar.contender)?.cost(other.kind)
        };
        let Some(own) = cost(bar.contender) else {
            continue;
        };
        let (figure, limit, what) = match bar.than {
            Than::Bytes(limit) => (own, limit, format!("{limit} bytes a connection")),
            Than::Millis(limit) => (own, limit, format!("{limit} ms, p99")),
            Than::Times(limit, other) => match cost(other) {
                Some(other_cost) => (own / other_cost, limit, format!("{limit:.2} x {other}")),
                None => continue,
            },
            Than::TimesItself(limit, other) => match cost_under(other) {
                Some(other_cost) => (own / other_cost, limit, format!("{limit:.2} x {other}")),
                None => continue,
            },
        };
        let verdict = verdict(figure, limit);
        let (name, figure) = (bar.contender, format!("{figure:.2}"));
        lines.push(format!(
            "| {} | {name} | {what} | {figure} | {verdict} |",
            work.title
        ));
    }
    lines.extend(others.lines().map(str::to_owned));
    if !lines.is_empty() {
        text.push_str("## Bars\n\n| | | at most | measured | |\n|---|---|---|---|---|\n");
        text.push_str(&lines.join("\n"));
        text.push_str("\n\n");
    }
}

/// The first two numbers of the kernel's version.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn compiler() -> String {
    let output = std::process::Command::new("rustc")
        .arg("--version")
        .output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let words = version.unwrap_or_default();
    words
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(':'))
        .map_or("An unknown processor".to_owned(), |(_, name)| {
            name.trim().to_owned()
        })
}

//! Processor time and memory of a process, from `/proc`.

use std::fs;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_us: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

/// What a process has used until now; nothing if it is not there.
pub(crate) fn usage(pid: u32) -> Usage {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Usage {
        cpu_us: cpu_us(pid).unwrap_or_default(),
        resident_bytes: kib(&status, "VmRSS:") * 1024,
        peak_bytes: kib(&status, "VmHWM:") * 1024,
    }
}

/// User and system time of this process's children that have ended.
pub(crate) fn children_cpu_us() -> f64 {
    ticks_us(std::process::id(), 13).unwrap_or_default()
}

fn cpu_us(pid: u32) -> Option<f64> {
    ticks_us(pid, 11)
}

/// Two fields of `stat` in clock ticks, counted from the state of the process on: 11 and 12 are its user and system
/// time, 13 and 14 those of its children.
fn ticks_us(pid: u32, first: usize) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(first)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64)
}

fn kib(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

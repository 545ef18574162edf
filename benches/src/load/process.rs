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

/// Fields 14 and 15 of `stat`, in clock ticks.
fn cpu_us(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(11)
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

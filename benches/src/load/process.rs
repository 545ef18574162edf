//! Processor time and memory of a process.

use std::{fs, time::Duration};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_us: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

/// What a process has used so far; zeros if it does not exist.
pub(crate) fn usage(pid: u32) -> Usage {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Usage {
        cpu_us: cpu_us(pid).unwrap_or_default(),
        resident_bytes: kib(&status, "VmRSS:") * 1024,
        peak_bytes: kib(&status, "VmHWM:") * 1024,
    }
}

/// Reads the clock of the process, because the times in `/proc` are truncated to hundredths of a second.
fn cpu_us(pid: u32) -> Option<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let time = clock_gettime(clock).ok()?;
    Some(Duration::from(time).as_secs_f64() * 1e6)
}

/// User and system time of this process's children that have ended.
pub(crate) fn children_cpu_us() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    // In clock ticks. The fields are counted from the process state.
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64
}

fn kib(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

//! Process: what the operating system says about this process, read when Prometheus asks.
//!
//! Linux only, from `/proc`; elsewhere these metrics are absent rather than wrong.

use std::fmt::Write as _;
use std::fs;

use super::catalogue::{CPU, FDS, METRICS, RESIDENT};

/// The unit of times in `/proc`; the kernel's ABI fixes it at 100 on every Linux platform Rust builds for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the process metrics in Prometheus' text format.
pub(crate) fn render(text: &mut String) {
    for (name, value) in [(CPU, cpu_seconds()), (RESIDENT, resident_bytes()), (FDS, open_fds())] {
        let Some(value) = value else { continue };
        let Some(metric) = METRICS.iter().find(|metric| metric.name == name) else { continue };
        let kind = metric.kind.as_str();
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n\n", metric.help);
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold spaces; user and system time
    // are the fields 14 and 15, so 12th and 13th after it.
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> =
        rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

fn open_fds() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_open_files() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(open_fds().unwrap() >= 3.0);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}

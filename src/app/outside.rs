//! Outside: what a bench or a chaos reads of the machine, and the push service it runs beside itself.
//!
//! Linux only: times and memory come from `/proc`. Nothing here is measured by what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::Deserialize;

/// The unit of times in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long the push service may take for an answer to a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The push service stand-in, as a process of its own so that its work is not counted as ours.
pub(super) struct Service {
    child: Child,
    /// Kept open: it says more than the line that is read.
    _out: BufReader<ChildStdout>,
    /// `127.0.0.1:port`.
    address: String,
}

/// What it has counted.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Counted {
    pub(super) jobs: u64,
    pub(super) distinct: u64,
    pub(super) repeated: u64,
    pub(super) resubmitted: u64,
    pub(super) asked_after: u64,
    pub(super) altered: u64,
}

// === impl Service ===

impl Service {
    /// Starts this very program as a stand-in, with further arguments.
    pub(super) fn start(more: &[&str]) -> io::Result<Self> {
        let mut child = itself("stand-in")?
            .args(["--listen", "127.0.0.1:0", "--inboxes", "0"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let service = Self { child, _out: out, address: address.unwrap_or_default() };
        if service.address.is_empty() {
            return Err(io::Error::other(format!("it did not start: `{}`", line.trim())));
        }
        Ok(service)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        cpu_of(&format!("/proc/{}/stat", self.child.id()))
    }

    /// Its sums.
    pub(super) fn counted(&self) -> io::Result<Counted> {
        serde_json::from_str(&self.ask("GET", "/ledger?limit=0", "")?).map_err(io::Error::other)
    }

    /// Asks it something over HTTP: the body of its answer.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(
            socket,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This very program with another verb; it ends with this process.
pub(super) fn itself(verb: &str) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([verb, "--ends-with", &std::process::id().to_string()]);
    Ok(command)
}

/// From now on this process is killed when `parent`, which started it, has ended, however that came: whoever is killed
/// ends nobody any more. It hits what stands still, too.
///
/// # Errors
/// `parent` is gone already, or the system knows no such thing.
pub fn end_with(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let gone = || io::Error::other(format!("process {parent}, with which this one is to end, has ended"));
    if parent_id() == parent { Ok(()) } else { Err(gone()) }
}

/// CPU seconds of this process so far.
pub(super) fn cpu_seconds() -> f64 {
    cpu_of("/proc/self/stat")
}

/// CPU seconds by what the threads are for: the lanes, the Kafka client, the runtime for HTTP.
pub(super) fn cpu_by_part() -> BTreeMap<String, f64> {
    let mut parts = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let part = match name.trim() {
            name if name.starts_with("rdk") || name == "producer polli" => "Kafka client",
            name if name.starts_with("tokio") => "HTTP",
            name => name.split('-').next().unwrap_or_default(),
        };
        let part = if ["source", "subject", "person", "delivery", "Kafka client", "HTTP"].contains(&part) {
            part
        } else {
            "other"
        };
        *parts.entry(part.to_owned()).or_insert(0.0) += cpu_of(&task.path().join("stat").to_string_lossy());
    }
    parts
}

/// The most memory this process held at once, in MiB.
pub(super) fn peak_mebibytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kibibytes.unwrap_or(0.0) / 1_024.0
}

/// What a process holds now: bytes of memory, open files, threads.
pub(super) fn held_by(process: u32) -> (u64, u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let files = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
    (number("VmRSS:") * 1_024, files as u64, number("Threads:"))
}

/// Bytes of all logs in a broker's data folder.
pub(super) fn log_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for partition in fs::read_dir(folder)? {
        let partition = partition?.path();
        for file in fs::read_dir(&partition).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "log") {
                bytes += file.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

fn cpu_of(stat: &str) -> f64 {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    // The second field is a name in brackets and may hold spaces; user and system time are 12th and 13th after it.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

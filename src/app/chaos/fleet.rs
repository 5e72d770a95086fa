//! Fleet: `bugle run` as child processes, and what is done to them.
//!
//! Whoever holds the fleet holds its processes: when it is dropped, none of them is left, and none when it is killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::outside;
use crate::clock::Tick;

/// How long a process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(60);

/// The signal by which it is asked.
const SIGTERM: i32 = 15;

/// Processes of this very program.
pub(super) struct Fleet {
    arguments: Vec<String>,
    folder: PathBuf,
    members: Vec<Member>,
    /// The most that any of them held at once.
    pub(super) peak: Held,
    /// Ends that nobody asked for.
    pub(super) unasked: Vec<String>,
}

/// What a process held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) threads: u64,
}

struct Member {
    /// Static members have names.
    name: Option<String>,
    child: Option<Child>,
}

// === impl Fleet ===

impl Fleet {
    /// So many members, every third of them without a name; none is started. Their logs go to `folder`.
    pub(super) fn new(count: usize, arguments: Vec<String>, folder: &Path) -> Self {
        let name = |number: usize| (number % 3 != 2).then(|| format!("chaos-{number}"));
        let members = (0..count).map(|number| Member { name: name(number), child: None }).collect();
        Self { arguments, folder: folder.to_owned(), members, peak: Held::default(), unasked: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn runs(&self, number: usize) -> bool {
        self.members.get(number).is_some_and(|member| member.child.is_some())
    }

    /// Starts a member that does not run.
    pub(super) fn start(&mut self, number: usize) -> io::Result<()> {
        if self.runs(number) {
            return Ok(());
        }
        let log = self.folder.join(format!("instance-{number}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let member = &mut self.members[number];
        let mut command = outside::itself("run")?;
        command.args(&self.arguments);
        if let Some(name) = &member.name {
            command.arg("--set").arg(format!("kafka.instance_id={name}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        member.child = Some(command.spawn()?);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, number: usize) -> io::Result<()> {
        let Some(mut child) = self.members[number].child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Stops its time, or lets it go on: `-STOP`, `-CONT`.
    pub(super) fn signal(&self, number: usize, signal: &str) -> io::Result<()> {
        let Some(child) = &self.members[number].child else { return Ok(()) };
        let sent = Command::new("kill").arg(signal).arg(child.id().to_string()).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other(format!("`kill {signal}` failed"))) }
    }

    /// Asks it to end, and waits for that.
    pub(super) fn end(&mut self, number: usize) -> io::Result<()> {
        self.signal(number, "-TERM")?;
        // One that stands still would hear of it later.
        self.signal(number, "-CONT")?;
        let Some(mut child) = self.members[number].child.take() else { return Ok(()) };
        let asked = Tick::now();
        loop {
            match child.try_wait()? {
                // Asked while it was still starting, it ends at once.
                Some(status) if status.success() || status.signal() == Some(SIGTERM) => return Ok(()),
                Some(status) => {
                    self.unasked.push(format!("instance {number}, asked to end, ended with {status}"));
                    return Ok(());
                }
                None if asked.elapsed() > END_WITHIN => {
                    self.unasked.push(format!("instance {number}, asked to end, did not"));
                    child.kill()?;
                    return child.wait().map(drop);
                }
                None => std::thread::park_timeout(Duration::from_millis(20)),
            }
        }
    }

    /// Looks at everybody: what they hold, and whether somebody ended.
    pub(super) fn look(&mut self) -> io::Result<()> {
        for (number, member) in self.members.iter_mut().enumerate() {
            let Some(child) = &mut member.child else { continue };
            if let Some(status) = child.try_wait()? {
                self.unasked.push(format!("instance {number} ended with {status}"));
                member.child = None;
                continue;
            }
            let (bytes, files, threads) = outside::held_by(child.id());
            self.peak.bytes = self.peak.bytes.max(bytes);
            self.peak.files = self.peak.files.max(files);
            self.peak.threads = self.peak.threads.max(threads);
        }
        Ok(())
    }

    /// The last lines of everybody's logs that warn of something.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        let logs = (0..self.members.len()).map(|number| self.folder.join(format!("instance-{number}.log")));
        logs.filter(|log| fs::metadata(log).is_ok_and(|log| log.len() > 0)).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &mut self.members {
            if let Some(mut child) = member.child.take() {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

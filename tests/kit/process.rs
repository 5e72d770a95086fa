//! Process: the built `bugle` as a child process, the way an operator runs it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::services::kit;
use super::until;

/// How long a process may take to start, or to end once it is told to.
const WITHIN: Duration = Duration::from_secs(60);

/// A `bugle` that runs until it is told to stop; its output lies in a file.
pub(crate) struct Process {
    child: Child,
    what: String,
    log: PathBuf,
}

fn bugle(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bugle"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    // Nobody's own settings get into a test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BUGLE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a verb to its end: its exit code and what it printed, standard error last.
pub(crate) fn ended(args: &[&str]) -> (Option<i32>, String) {
    let output = bugle(args).output().expect("the binary was just built");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Runs a verb that must end well; what it printed.
pub(crate) fn done(args: &[&str]) -> String {
    let (code, said) = ended(args);
    assert_eq!(code, Some(0), "bugle {}:\n{said}", args.join(" "));
    said
}

// === impl Process ===

impl Process {
    /// Starts a verb that stays.
    pub(crate) fn start(args: &[&str]) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let logs = kit().join("logs");
        fs::create_dir_all(&logs).expect("target/ can be written");
        let log = logs.join(format!("{}-{}-{number}.log", args[0], std::process::id()));
        let out = File::create(&log).expect("target/ can be written");
        let mut command = bugle(args);
        command.stdout(out.try_clone().expect("a file")).stderr(out);
        let child = command.spawn().expect("the binary was just built");
        Self { child, what: format!("bugle {}", args.join(" ")), log }
    }

    /// What it has printed so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has printed `words`; the rest of that line.
    pub(crate) fn until_it_says(&mut self, words: &str) -> String {
        let mut rest = None;
        until(&format!("{} says `{words}`", self.what), WITHIN, || {
            self.lives();
            let said = self.said();
            // A line is whole when its end was written.
            let whole = said.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
            rest = whole.split_once(words).map(|(_, rest)| rest.lines().next().unwrap_or("").to_owned());
            rest.is_some()
        });
        rest.expect("it was just found")
    }

    /// Fails when it has ended.
    pub(crate) fn lives(&mut self) {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            panic!("{} ended with {status}:\n{}", self.what, self.said());
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.expect("there is a `kill`").success(), "{} is not there any more", self.what);
    }

    /// Asks it to stop, as a supervisor does, and waits for its end: its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.lives();
        self.signal("-TERM");
        self.until_ended()
    }

    /// CPU seconds it has used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        ticks.sum::<f64>() / 100.0
    }

    /// Waits until it has ended by itself: its exit code.
    pub(crate) fn until_ended(&mut self) -> Option<i32> {
        let mut status = None;
        until(&format!("{} has ended", self.what), WITHIN, || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.lives();
        self.child.kill().expect("it lives");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines.len().saturating_sub(40);
            super::say(&format!("{}\n{}", self.what, lines[last..].join("\n")));
        }
    }
}

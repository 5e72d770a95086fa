//! Front desk: one file per verb; the home of clap and of every printed word.

mod account;
pub mod audience;
pub mod audit;
pub mod bench;
pub mod broker_args;
pub mod chaos;
pub mod check;
pub mod completions;
pub mod demo;
pub mod directory;
pub mod dlq;
pub mod explain;
pub mod graph;
pub mod offline;
mod payload;
pub mod publish;
pub mod registry_args;
pub mod replay;
pub mod run;
pub mod schemas;
pub mod silence;
#[cfg(test)]
mod stage;
pub mod stand_in;
pub mod test;
pub mod topics;
pub mod topology;

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::app::{Unready, outside};

/// Change events in, the right people told, once, in batches.
///
/// Bugle reads what happens in OpenText systems from Kafka, finds the people it concerns by role,
/// location and business unit, and sends them batched pushes. Begin with `bugle demo`.
#[derive(Debug, Parser)]
#[command(name = "bugle", version, max_term_width = 100)]
pub struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show everything on this machine: sample events, lanes, push service, inboxes. Needs no Kafka.
    Demo(demo::Args),
    /// Run the lanes until interrupted.
    Run(run::Args),
    /// Check the rules and say everything that is wrong with them.
    Check(check::Args),
    /// Play the scenarios beside the rules in virtual time, and say what came out otherwise than written.
    Test(test::Args),
    /// Draw the rules, as a picture or for Markdown.
    Graph(graph::Args),
    /// Publish events (JSON lines) as Avro, each to its source's topic.
    Publish(publish::Args),
    /// Make the topics, or check those there are.
    Topics(topics::Args),
    /// Publish rules to every running instance, list what was published, and show it.
    Topology(topology::Args),
    /// Register the schemas, check them, or print an example event.
    Schemas(schemas::Args),
    /// Load people into the directory, or look into it.
    Directory(directory::Args),
    /// Say who an audience expression names, now.
    Audience(audience::Args),
    /// Say why an event reached whom it reached, and nobody else: rule by rule, person by person.
    Explain(explain::Args),
    /// Play recorded events through new rules, and say who would hear more, less or at another time.
    Replay(replay::Args),
    /// Show what was decided about a subject and what became of it; prove it; export it.
    Audit(audit::Args),
    /// Silence tellings for a while, list silences, and end them.
    Silence(silence::Args),
    /// List, show and redrive dead letters.
    Dlq(dlq::Args),
    /// Run the local push service with its inboxes.
    StandIn(stand_in::Args),
    /// Measure the whole way on a Kafka of your choice.
    Bench(bench::Args),
    /// End and stop processes of its own on a Kafka of your choice, and judge what came of it.
    Chaos(chaos::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

/// Why a verb failed, in words for the person at the terminal.
#[derive(Debug)]
pub struct Failure {
    /// The fact, with paths and identifiers.
    pub message: String,
    /// What to do, in the imperative.
    pub hint: Option<String>,
    /// 1 failed, 2 usage, 78 bad configuration.
    pub exit: u8,
}

/// For processes that a bench or a chaos starts.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Leash {
    /// End with this process, which started this one, however it ends.
    #[arg(long, value_name = "PID", hide = true)]
    ends_with: Option<u32>,
}

/// What a verb ends with: the exit code, 0 when all is fine.
pub type Done = Result<u8, Failure>;

// === impl Leash ===

impl Leash {
    fn take(self) -> Result<(), Failure> {
        self.ends_with.map_or(Ok(()), outside::end_with).map_err(Failure::failed)
    }
}

/// Reads the command line, runs the verb, prints what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Line::parse().verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Graph(args) => graph::run(&args),
        Verb::Publish(args) => publish::run(&args),
        Verb::Topics(args) => topics::run(&args),
        Verb::Topology(args) => topology::run(&args),
        Verb::Schemas(args) => schemas::run(&args),
        Verb::Directory(args) => {
            broker_args::with_reach(&args.broker, |reach, out| directory::run(&args, reach, out))
        }
        Verb::Audience(args) => {
            broker_args::with_reach(&args.broker, |reach, out| audience::run(&args, reach, out))
        }
        Verb::Explain(args) => {
            broker_args::with_reach(&args.broker, |reach, out| explain::run(&args, reach, out))
        }
        Verb::Replay(args) => {
            broker_args::with_reach(&args.broker, |reach, out| replay::run(&args, reach, out))
        }
        Verb::Audit(args) => audit::run(&args),
        Verb::Silence(args) => silence::run(&args),
        Verb::Dlq(args) => dlq::run(&args),
        Verb::StandIn(args) => stand_in::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Chaos(args) => chaos::run(&args),
        Verb::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(code) => code.into(),
        Err(failure) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr(), "{failure}");
            failure.exit.into()
        }
    }
}

/// Prints a line; a reader that went away is no failure.
pub(crate) fn say(text: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Standard output. A reader that went away has read enough: that is no fault of what is printed.
pub(crate) struct Paper;

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Prints all of it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    Paper.write_all(text.as_bytes()).map_err(Failure::failed)
}

// === impl Failure ===

impl Failure {
    /// Something did not work: exit code 1.
    #[must_use]
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, exit: 1 }
    }

    /// The files or settings are wrong: exit code 78.
    #[must_use]
    pub fn configuration(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, exit: 78 }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Unready> for Failure {
    fn from(unready: Unready) -> Self {
        let failure =
            if unready.is_configuration() { Self::configuration(&unready) } else { Self::failed(&unready) };
        failure.hint(unready.hint())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

//! Topics: makes the topics Bugle needs, says what is wrong with those there are, and lets them grow.
//!
//! It never deletes one.

mod grow;

use std::io::{self, Write};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::broker_args::BrokerArgs;
use super::{Done, Failure};
use crate::app::{Unready, wiring};
use crate::broker::{Broker, BrokerError, TopicSpec};

/// Make, check and grow the topics Bugle reads and writes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle topics create --brokers kafka:9093
  bugle topics create --config bugle.yaml --partitions 12
  bugle topics check --output json
  bugle topics grow --partitions 12 --dry-run

Topics between Bugle's own lanes never expire: what nobody has read yet is kept, however long a system
was down. The directory, the members and the rules are compacted. `check` fails when a topic is made otherwise.

`grow` works while no instance runs and everything between the lanes is read (`bugle run --drain`), and only to a
multiple: what partition 1 of 4 remembers is shared out among 1, 5 and 9 of 12. Ended in the middle, run it again.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    settings: BrokerArgs,
    /// How many partitions each topic has; wins over `kafka.topics.default_partitions`. The directory and
    /// the members have one, and the rules.
    #[arg(long, global = true, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// What to print.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
enum Verb {
    /// Make the topics that do not exist yet.
    Create,
    /// Say what is wrong with the topics there are; exit code 1 when something is.
    Check,
    /// Give topics as many partitions as the settings say, and what is remembered to those it belongs to then.
    Grow {
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object, for scripts.
    Json,
}

/// What was found and done.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The names of the topics made now.
    pub made: Vec<String>,
    /// What is wrong, one sentence each.
    pub faults: Vec<String>,
    /// How many topics were looked at.
    pub topics: usize,
}

/// Runs the verb.
///
/// # Errors
/// When the cluster cannot be reached, or a setting is wrong.
pub fn run(args: &Args) -> Done {
    let mut settings = args.settings.clone();
    settings.set.extend(args.partitions.map(|count| format!("kafka.topics.default_partitions={count}")));
    let config = settings.load()?;
    let specs = wiring::specs(&config).map_err(unready)?;
    let kafka = wiring::kafka(&config).map_err(unready)?;
    let mut out = super::Paper;
    let report = match args.verb {
        Verb::Create => create(kafka.as_ref(), &specs)?,
        Verb::Check => check(kafka.as_ref(), &specs)?,
        Verb::Grow { dry_run } => {
            let of = (specs.as_slice(), config.kafka.group.as_str());
            return grow::run(kafka.as_ref(), of, (dry_run, args.output), &mut out);
        }
    };
    print(&report, args.output, &mut out).map_err(Failure::failed)?;
    Ok(u8::from(!report.faults.is_empty()))
}

/// Makes the topics that are missing, and looks at all of them.
///
/// # Errors
/// When the cluster cannot be reached, or refuses.
pub fn create(broker: &dyn Broker, specs: &[TopicSpec]) -> Result<Report, Failure> {
    let made = broker.create(specs).map_err(failure)?;
    let made = specs.iter().filter(|spec| made.contains(&spec.topic)).map(|spec| spec.name.clone()).collect();
    Ok(Report { made, ..check(broker, specs)? })
}

/// Looks at the topics.
///
/// # Errors
/// When the cluster cannot be reached.
pub fn check(broker: &dyn Broker, specs: &[TopicSpec]) -> Result<Report, Failure> {
    let faults = broker.check(specs).map_err(failure)?;
    let faults = faults.iter().map(ToString::to_string).collect();
    Ok(Report { made: Vec::new(), faults, topics: specs.len() })
}

fn print(report: &Report, output: Output, out: &mut dyn Write) -> io::Result<()> {
    if output == Output::Json {
        serde_json::to_writer(&mut *out, report)?;
        return writeln!(out);
    }
    for name in &report.made {
        writeln!(out, "made {name}")?;
    }
    for fault in &report.faults {
        writeln!(out, "error: {fault}")?;
    }
    match report.faults.len() {
        0 => writeln!(out, "topics as they should be: {}", report.topics),
        count => writeln!(out, "faults: {count}"),
    }
}

fn unready(unready: Unready) -> Failure {
    match unready {
        Unready::Broker(error) => failure(error),
        other => other.into(),
    }
}

fn failure(error: BrokerError) -> Failure {
    match &error {
        BrokerError::Setting { .. } => Failure::configuration(error),
        BrokerError::Unavailable { .. } => Failure::failed(error)
            .hint("check that the servers run, and give them with --brokers or BUGLE_BROKERS"),
        _ => Failure::failed(error),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::broker::model::Model;
    use crate::broker::names::Names;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn printed(report: &Report, output: Output) -> String {
        let mut out = Vec::new();
        print(report, output, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_missing_is_made_once() {
        let (broker, specs) = (Model::new(), Names::default().specs(2));
        let before = check(&broker, &specs).unwrap();
        assert_eq!(before.faults.len(), specs.len());
        let report = create(&broker, &specs[..2]).unwrap();
        assert_eq!(
            printed(&report, Output::Text),
            "made opentext.xconnector.events\nmade opentext.xecm.events\ntopics as they should be: 2\n"
        );
        assert_eq!(create(&broker, &specs[..2]).unwrap(), Report { topics: 2, ..Report::default() });
    }

    #[test]
    fn a_fault_is_a_line_for_people_and_a_text_for_scripts() {
        let report = check(&Model::new(), &Names::default().specs(4)[..1]).unwrap();
        assert_eq!(
            printed(&report, Output::Text),
            "error: topic `opentext.xconnector.events`: does not exist; run `bugle topics create`\n\
             faults: 1\n"
        );
        assert_eq!(
            printed(&report, Output::Json),
            "{\"made\":[],\"faults\":[\"topic `opentext.xconnector.events`: does not exist; run `bugle topics \
             create`\"],\"topics\":1}\n"
        );
    }

    #[test]
    fn the_flags_may_stand_before_and_behind_the_verb() {
        for line in [["x", "--partitions", "8", "check"], ["x", "check", "--partitions", "8"]] {
            let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((cli.args.verb, cli.args.partitions), (Verb::Check, Some(8)));
        }
        assert!(Cli::try_parse_from(["x", "check", "--partitions", "0"]).is_err());
    }

    #[test]
    fn a_cluster_out_of_reach_of_secrets_is_bad_configuration() {
        let cli = Cli::try_parse_from(["x", "check", "--brokers", "kafka.example.com:9092"]);
        let refused = run(&cli.unwrap_or_else(|error| panic!("{error}")).args).unwrap_err();
        assert_eq!(refused.exit, 78);
    }
}

//! Publish: `bugle publish` writes JSON events as Avro, each to its source's topic.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::broker_args::BrokerArgs;
use super::offline::{each_value, refused};
use super::{Done, Failure, say};
use crate::app::config::Config;
use crate::app::wiring;
use crate::broker::{Broker, Follow};
use crate::clock::Tick;
use crate::codec::{Codec, Name, outputs};
use crate::event::{Ending, Outgoing, Source, Topic, Verdict};

/// Arguments of `bugle publish`.
///
/// JSON events one after the other, from files or standard input; `bugle schemas example KIND` prints one to edit.
///
///   bugle schemas example xecm.task.assigned | bugle publish --brokers kafka-1:9092 --wait
///   bugle publish events.jsonl
///
/// Nothing is published when an event does not fit its schema: every faulty one is named with its line.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub settings: BrokerArgs,
    /// Files of JSON lines; standard input when there is none, or for `-`.
    pub files: Vec<PathBuf>,
    /// Wait for each event's verdict, or its dead letter, and print it.
    #[arg(long)]
    pub wait: bool,
    /// How long to wait for verdicts.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "wait")]
    pub patience: u64,
}

/// Records handed to the broker at once.
const MOST_AT_ONCE: usize = 10_000;
/// An event had no verdict in time.
const UNDECIDED: u8 = 1;

struct Read {
    records: Vec<Outgoing>,
    ids: Vec<(Source, String)>,
}

/// Publishes.
///
/// # Errors
/// Every line that does not fit, or what the cluster said.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    let codec = wiring::codec(&config)?;
    let Read { records, ids } = read(args, &codec, &config)?;
    let broker = wiring::kafka(&config)?;
    let mut verdicts = args.wait.then(|| Verdicts::open(broker.as_ref())).transpose()?;
    let began = Tick::now();
    let count = records.len();
    publish(broker.as_ref(), records)?;
    let seconds = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for a person to read")]
    let rate = count as f64 / seconds.max(0.001);
    say(format_args!("{count} events published in {seconds:.1} s ({rate:.0}/s)"));
    match &mut verdicts {
        Some(verdicts) => verdicts.wait(&ids, Duration::from_secs(args.patience)),
        None => Ok(0),
    }
}

fn read(args: &Args, codec: &Codec, config: &Config) -> Result<Read, Failure> {
    let mut schema_ids = BTreeMap::new();
    for source in Source::ALL {
        let name = config.kafka.topics.name(Topic::Events(source));
        let id = codec
            .id_for(Name::Events(source), &name)
            .map_err(|fault| Failure::failed(&fault).hint(fault.hint()))?;
        schema_ids.insert(source, id);
    }
    let mut read = Read { records: Vec::new(), ids: Vec::new() };
    let mut faults = Vec::new();
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() { stdin.as_slice() } else { args.files.as_slice() };
    for file in files {
        for (record, id) in each_value(file, |value| event(codec, value, &schema_ids), &mut faults)? {
            read.records.push(record);
            read.ids.push(id);
        }
    }
    refused(faults).map_or(Ok(read), Err)
}

fn event(
    codec: &Codec,
    value: &[u8],
    ids: &BTreeMap<Source, u32>,
) -> Result<(Outgoing, (Source, String)), String> {
    let (event, written) =
        super::payload::written(codec.schemas(), value).map_err(|fault| fault.to_string())?;
    let source = written.source;
    let id = ids.get(&source).copied().unwrap_or_else(|| Name::Events(source).local_id());
    let record = Outgoing {
        topic: Topic::Events(source),
        partition: None,
        key: Some(written.key.clone().into_bytes().into()),
        value: Some(written.framed(id).into()),
        headers: Vec::new(),
    };
    Ok((record, (source, event["event_id"].as_str().unwrap_or_default().to_owned())))
}

fn publish(broker: &dyn Broker, records: Vec<Outgoing>) -> Result<(), Failure> {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(records.len() as u64)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} events  {per_sec}") {
        bar.set_style(style);
    }
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let part: Vec<Outgoing> = records.by_ref().take(MOST_AT_ONCE).collect();
        let count = part.len() as u64;
        broker.publish(part).map_err(Failure::failed)?;
        bar.inc(count);
    }
    bar.finish_and_clear();
    Ok(())
}

/// The verdicts written since this was opened.
struct Verdicts {
    audit: Box<dyn Follow>,
    found: BTreeMap<(Source, String), Vec<Verdict>>,
}

// === impl Verdicts ===

impl Verdicts {
    fn open(broker: &dyn Broker) -> Result<Self, Failure> {
        let audit = broker.follow(Topic::Audit).map_err(Failure::failed)?;
        let mut verdicts = Self { audit, found: BTreeMap::new() };
        // What was decided before is passed over.
        let ends = verdicts.audit.ends().map_err(Failure::failed)?;
        while verdicts.audit.positions().iter().zip(&ends).any(|(position, end)| position < end) {
            verdicts.poll()?;
        }
        verdicts.found.clear();
        Ok(verdicts)
    }

    fn poll(&mut self) -> Result<(), Failure> {
        let mut records = Vec::new();
        self.audit.poll(Duration::from_millis(100), &mut records).map_err(Failure::failed)?;
        for record in records {
            let Ok((_, verdicts)) = outputs::decode_verdicts(record.value.as_deref().unwrap_or_default())
            else {
                continue;
            };
            for verdict in verdicts {
                let key = (verdict.change.source, verdict.event_id.clone());
                self.found.entry(key).or_default().push(verdict);
            }
        }
        Ok(())
    }

    fn wait(&mut self, ids: &[(Source, String)], patience: Duration) -> Done {
        let began = Tick::now();
        while began.elapsed() < patience && ids.iter().any(|id| !self.found.contains_key(id)) {
            self.poll()?;
        }
        // The rules of one change, and the duplicates of its copies, decide at about the same time.
        self.poll()?;
        let mut undecided = 0;
        for id in ids {
            let (source, event) = id;
            match self.found.get(id) {
                None => {
                    undecided += 1;
                    say(format_args!("{source} {event}: no verdict yet; is `bugle run` running?"));
                }
                Some(verdicts) => verdicts.iter().for_each(|verdict| say(line(verdict))),
            }
        }
        let _ = std::io::stdout().flush();
        Ok(if undecided > 0 { UNDECIDED } else { 0 })
    }
}

fn line(verdict: &Verdict) -> String {
    let rule = verdict.rule.as_deref().unwrap_or("-");
    let ending = match &verdict.ending {
        Ending::Routed => format!("routed to {} people", verdict.count),
        Ending::Told => format!("told {} people", verdict.count),
        Ending::Not(reason) if verdict.count > 0 => format!("{reason}: {} people", verdict.count),
        Ending::Not(reason) => reason.to_string(),
        Ending::Answered(verb) => format!("answered: {verb}"),
        Ending::AnswerRefused(why) => format!("an answer was refused: {why}"),
        Ending::Carried(carried) => format!("carried back: {}", carried.as_str()),
    };
    format!("{} {} {rule}: {ending}", verdict.change.source, verdict.event_id)
}

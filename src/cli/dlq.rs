//! Dlq: `bugle dlq` lists the dead letters, shows one, and sends those on their way again that can be.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use serde_json::{Value as Json, json};

use super::audit::each;
use super::broker_args::BrokerArgs;
use super::directory::{unprintable, unreachable};
use super::{Done, Failure};
use crate::app::letters::{Homes, Letter};
use crate::app::wiring;
use crate::broker::Broker;
use crate::clock;
use crate::event::{Timestamp, Topic};

/// List, show and redrive dead letters.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle dlq list                                  how many there are, by reason, and the newest
  bugle dlq list --code unknown-schema --output json
  bugle dlq show 0-42                             one letter: partition 0, offset 42
  bugle dlq redrive --code unknown-schema         what would be sent again: nothing is sent
  bugle dlq redrive --code unknown-schema --go --rate 50

Once the reason is mended (a schema registered, say), a letter goes back to whoever could not use it, and to nobody
else: to its topic, for one rule, to the push service under the id it had, or to the source system, where it is first
looked whether the answer is there. A letter sent twice is heard once. The letter itself stays where it is.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    settings: BrokerArgs,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Count the letters by reason, and show the newest.
    List {
        #[command(flatten)]
        which: Which,
        /// So many of the newest.
        #[arg(long, value_name = "N", default_value_t = 20)]
        newest: usize,
    },
    /// Show one letter whole.
    Show {
        /// Where it lies, as `list` prints it: PARTITION-OFFSET.
        #[arg(value_name = "PARTITION-OFFSET")]
        at: String,
    },
    /// Write letters to where they were set aside, as they came. Without `--go` nothing is written.
    Redrive {
        #[command(flatten)]
        which: Which,
        /// Write them.
        #[arg(long)]
        go: bool,
        /// So many a second at most.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
}

/// Which letters.
#[derive(Debug, clap::Args)]
struct Which {
    /// Only with this code, such as `unknown-schema`.
    #[arg(long)]
    code: Option<String>,
    /// Only those of this lane: source, subject, person, delivery, write_back.
    #[arg(long, value_name = "LANE")]
    stage: Option<String>,
    /// Only those written since.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

/// How a verb prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object, for scripts.
    Json,
}

/// The most bytes of a value that are shown.
const MOST_SHOWN: usize = 4_096;

// === impl Which ===

impl Which {
    fn fits(&self, letter: &Letter) -> bool {
        self.code.as_ref().is_none_or(|code| letter.word("code") == code)
            && self.stage.as_ref().is_none_or(|stage| letter.word("stage") == stage)
            && self.since.is_none_or(|since| letter.written >= since)
    }
}

/// Runs the verb.
///
/// # Errors
/// When the cluster cannot be reached, or there is no such letter.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    let kafka = wiring::kafka(&config)?;
    let out = &mut super::Paper;
    match &args.verb {
        Verb::List { which, newest } => list(kafka.as_ref(), which, (*newest, args.output), out),
        Verb::Show { at } => show(kafka.as_ref(), at, args.output, out),
        Verb::Redrive { which, go, rate } => {
            redrive(kafka.as_ref(), which, (go.then_some(*rate), args.output), out)
        }
    }
}

fn letters(broker: &dyn Broker, which: impl Fn(&Letter) -> bool) -> Result<Vec<Letter>, Failure> {
    let mut letters = Vec::new();
    each(broker, Topic::DeadLetters, |record| {
        letters.extend(Some(Letter::read(record)).filter(|letter| which(letter)));
        Ok(())
    })?;
    letters.sort_by_key(|letter| (letter.written, letter.at));
    Ok(letters)
}

fn place(letter: &Letter) -> String {
    format!("{}-{}", letter.at.0, letter.at.1)
}

fn list(broker: &dyn Broker, which: &Which, (newest, output): (usize, Output), out: &mut dyn Write) -> Done {
    let letters = letters(broker, |letter| which.fits(letter))?;
    let mut by_reason: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for letter in &letters {
        *by_reason.entry((letter.word("stage"), letter.word("code"))).or_default() += 1;
    }
    let shown = letters.iter().rev().take(newest);
    if output == Output::Json {
        let reasons = by_reason
            .iter()
            .map(|((stage, code), count)| json!({ "stage": stage, "code": code, "count": count }));
        let report = json!({
            "letters": letters.len(),
            "reasons": reasons.collect::<Vec<Json>>(),
            "newest": shown.map(as_json).collect::<Vec<Json>>(),
        });
        writeln!(out, "{report:#}").map_err(unprintable)?;
        return Ok(0);
    }
    if letters.is_empty() {
        writeln!(out, "no dead letters").map_err(unprintable)?;
        return Ok(0);
    }
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["stage", "code", "letters"]);
    for ((stage, code), count) in &by_reason {
        grid.add_row([(*stage).to_owned(), (*code).to_owned(), count.to_string()]);
    }
    writeln!(out, "{grid}\n").map_err(unprintable)?;
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["letter", "written", "code", "from", "why"]);
    for letter in shown {
        let from = format!("{}-{} {}", letter.word("topic"), letter.word("partition"), letter.word("offset"));
        let why: String = letter.word("message").chars().take(60).collect();
        grid.add_row([place(letter), letter.written.to_string(), letter.word("code").to_owned(), from, why]);
    }
    writeln!(out, "{grid}").map_err(unprintable)?;
    Ok(0)
}

fn show(broker: &dyn Broker, at: &str, output: Output, out: &mut dyn Write) -> Done {
    let found = letters(broker, |letter| place(letter) == at)?;
    let Some(letter) = found.first() else {
        return Err(Failure::failed(format!("there is no dead letter `{at}`"))
            .hint("see `bugle dlq list`, whose first column names each"));
    };
    if output == Output::Json {
        writeln!(out, "{:#}", as_json(letter)).map_err(unprintable)?;
        return Ok(0);
    }
    for (name, value) in &letter.said {
        writeln!(out, "{name:10} {value}").map_err(unprintable)?;
    }
    let again = letter.again().map_or_else(|stays| stays.to_string(), |_| "`bugle dlq redrive`".to_owned());
    writeln!(out, "{:10} {again}\n\n{}", "redrive", shown(letter.value.as_deref())).map_err(unprintable)?;
    Ok(0)
}

fn redrive(
    broker: &dyn Broker,
    which: &Which,
    (rate, output): (Option<u32>, Output),
    out: &mut dyn Write,
) -> Done {
    let (mut ready, mut count, mut stays) = (Vec::new(), 0, BTreeMap::<String, usize>::new());
    let homes = Homes::of(broker).map_err(unreachable)?;
    for letter in letters(broker, |letter| which.fits(letter))? {
        match letter.again() {
            Ok(record) => {
                count += 1;
                ready.extend(homes.take(record));
            }
            Err(why) => *stays.entry(why.to_string()).or_default() += 1,
        }
    }
    if let Some(rate) = rate {
        let at_once = usize::try_from(rate.div_ceil(10)).unwrap_or(1);
        while !ready.is_empty() {
            let part = ready.drain(..at_once.min(ready.len())).collect();
            broker.publish(part).map_err(unreachable)?;
            clock::sleep(Duration::from_millis(100));
        }
    }
    if output == Output::Json {
        let report = json!({ "sent": rate.is_some(), "letters": count, "stay": stays });
        writeln!(out, "{report:#}").map_err(unprintable)?;
        return Ok(0);
    }
    for (why, count) in &stays {
        writeln!(out, "stay: {count}, {why}").map_err(unprintable)?;
    }
    let told = if rate.is_some() { "sent again" } else { "would be sent again; add --go to do it" };
    writeln!(out, "{count} {told}").map_err(unprintable)?;
    Ok(0)
}

fn as_json(letter: &Letter) -> Json {
    json!({
        "letter": place(letter),
        "written": letter.written.to_string(),
        "said": letter.said,
        "key": letter.key.as_deref().map(|key| shown(Some(key))),
        "value": shown(letter.value.as_deref()),
        "redrive": letter.again().map_or_else(|stays| stays.to_string(), |_| "possible".to_owned()),
    })
}

/// Bytes as text where they are one; else as hexadecimal.
fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "no value".to_owned() };
    let part = &bytes[..bytes.len().min(MOST_SHOWN)];
    let more = bytes.len() - part.len();
    let text = match std::str::from_utf8(part) {
        Ok(text) if text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t') => text.to_owned(),
        _ => part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    };
    if more > 0 { format!("{text} … and {more} bytes more") } else { text }
}

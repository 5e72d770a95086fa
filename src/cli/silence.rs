//! Silence: `bugle silence` keeps tellings quiet for a while, and says which are.

use std::io::Write;

use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use serde_json::{Value as Json, json};

use super::account;
use super::audit::each;
use super::broker_args::BrokerArgs;
use super::directory::{unprintable, unreachable};
use super::{Done, Failure};
use crate::app::wiring;
use crate::broker::Broker;
use crate::clock;
use crate::codec::Schemas;
use crate::event::mute::{MOST_MATCHERS, Matcher, Mute, Silence};
use crate::event::{Outgoing, Source, Span, Timestamp, Topic, hash128};
use crate::topology::fault::nearest;

/// Silence tellings for a while, list silences, and end them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle silence add flow_id=pay-in --for 2h --comment 'new release of pay-in'
  bugle silence add 'kind=xecm.task.*' tenant=acme --from 2026-01-09T22:00:00Z --until 2026-01-10T04:00:00Z
                                           --comment 'archive is moved' --author ada
  bugle silence add rule=da-6-backlog 'severity!=critical' --for 30m --comment 'known'
  bugle silence list                       those that count or will; --all: also those that ended
  bugle silence end 5e1f03aa               ends one now

A silence has an end, always. All its matchers must hold: NAME=VALUE or NAME!=VALUE, where NAME is tenant,
source, kind, rule, category or a field of the event such as entity.id, and * in VALUE stands for any letters.
What is silenced ends untold, as `silenced`, and so does a reminder or a step that comes due meanwhile; what is
open goes on, and what comes due after the end is told. That something is over is told to those who heard of
it, silence or not, and so is what was said before and only waits for its reader.")]
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
    /// Silence what matches, for a while; prints the id.
    Add(Wanted),
    /// List silences, the next to end first.
    List {
        /// Also those that ended in the last 30 days.
        #[arg(long)]
        all: bool,
    },
    /// End silences now.
    End {
        /// Their ids, as `list` prints them.
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
}

/// A silence that is wanted.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// What to silence; all of them must hold.
    #[arg(value_name = "NAME=VALUE", required = true)]
    matchers: Vec<Matcher>,
    /// How long, such as 2h.
    #[arg(long = "for", value_name = "SPAN", required_unless_present = "until")]
    span: Option<Span>,
    /// Until then.
    #[arg(long, value_name = "TIME", conflicts_with = "span")]
    until: Option<Timestamp>,
    /// From then on; now unless a time is named.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who wants it; without it the account you are signed in with.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
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

/// What a matcher may name that is no field of an event, or of every event.
const OF_NO_FIELD: [&str; 5] = ["tenant", "source", "kind", "rule", "category"];
/// A silence that ended is shown, and kept, for this long.
const KEPT: Span = Span::from_secs(30 * 86_400);

// === impl Wanted ===

impl Wanted {
    /// A matcher of something that no event has would silence nothing, or everything.
    fn check(&self, schemas: &Schemas) -> Done {
        let shapes: Vec<_> = Source::ALL.into_iter().flat_map(|source| schemas.shapes(source)).collect();
        let fields = || shapes.iter().flat_map(|shape| &shape.fields).map(|field| field.path.as_str());
        let known = || OF_NO_FIELD.into_iter().chain(fields());
        for Matcher { name, .. } in &self.matchers {
            if !known().any(|known| known == name) {
                let failure = usage(format!("no event has a field `{name}`"));
                return Err(match nearest(name, known()) {
                    Some(near) => failure.hint(format!("write `{near}`")),
                    None => failure.hint("see `bugle schemas example KIND` for the fields of a kind"),
                });
            }
        }
        Ok(0)
    }

    fn silence(&self, now: Timestamp, account: Option<String>) -> Result<Silence, Failure> {
        let author = self.author.clone().or(account).ok_or_else(|| {
            usage("nobody knows who wants this silence".to_owned())
                .hint("say it with `--author NAME`: neither $USER nor the account has a name here")
        })?;
        let starts_at = self.from.unwrap_or(now).max(now);
        let ends_at = self.until.or_else(|| self.span.map(|span| starts_at + span)).unwrap_or(now);
        if ends_at <= starts_at {
            return Err(usage(format!("a silence from {starts_at} until {ends_at} silences nothing"))
                .hint("let it end in the future, after its start"));
        }
        if self.matchers.len() > MOST_MATCHERS {
            return Err(usage(format!("a silence has at most {MOST_MATCHERS} matchers")));
        }
        if self.matchers.iter().all(Matcher::holds_of_nothing_named) {
            return Err(usage(
                "these matchers silence whatever lacks the field, which is nearly everything".to_owned(),
            )
            .hint("add one that names a value, such as `rule=ec-3-sla` or `source=devadmin`"));
        }
        let matched: Vec<String> = self.matchers.iter().map(ToString::to_string).collect();
        let times = [starts_at, ends_at, now].map(|at| at.millis().to_le_bytes()).concat();
        let matched = matched.join("|");
        let id = hash128([matched.as_bytes(), author.as_bytes(), self.comment.as_bytes(), &times]);
        Ok(Silence {
            id: format!("{:08x}", id >> 96),
            matchers: self.matchers.clone(),
            starts_at,
            ends_at,
            author,
            comment: self.comment.clone(),
        })
    }
}

fn usage(message: String) -> Failure {
    Failure { exit: 2, ..Failure::failed(message) }
}

/// Runs the verb.
///
/// # Errors
/// The cluster cannot be reached, or what is wanted is no silence.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    let (now, out) = (clock::now(), &mut super::Paper);
    let kafka = wiring::kafka(&config)?;
    let broker = kafka.as_ref();
    match &args.verb {
        Verb::Add(wanted) => {
            wanted.check(&*wiring::schemas(&config)?)?;
            let new = wanted.silence(now, account::name())?;
            add(broker, &new, &present(broker)?, (now, args.output, out))
        }
        Verb::List { all } => list(present(broker)?, *all, (now, args.output, out)),
        Verb::End { ids } => end(broker, ids, &present(broker)?, (now, args.output, out)),
    }
}

/// The silences of the topic, the next to end first.
fn present(broker: &dyn Broker) -> Result<Vec<Silence>, Failure> {
    let mut found = std::collections::BTreeMap::new();
    each(broker, Topic::Mutes, |record| {
        let key = record.key.clone().unwrap_or_default();
        match record.value.as_deref().map(Mute::read) {
            Some(Ok(Mute::Silence(silence))) => drop(found.insert(key, silence)),
            Some(Ok(Mute::Block(_))) => {}
            Some(Err(unreadable)) => tracing::warn!(%unreadable, "an entry is passed over"),
            None => drop(found.remove(&key)),
        }
        Ok(())
    })?;
    let mut silences: Vec<Silence> = found.into_values().collect();
    silences.sort_by_key(|silence| (silence.ends_at, silence.id.clone()));
    Ok(silences)
}

fn record(silence: &Silence, value: Option<Vec<u8>>) -> Outgoing {
    Outgoing {
        topic: Topic::Mutes,
        partition: Some(0),
        key: Some(format!("silence|{}", silence.id).into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    }
}

/// Writes silences, and takes those away that ended long ago.
fn write(broker: &dyn Broker, new: &[Silence], all: &[Silence], now: Timestamp) -> Result<(), Failure> {
    let written = new.iter().map(|silence| record(silence, Some(Mute::Silence(silence.clone()).write())));
    let old = all.iter().filter(|silence| now.since(silence.ends_at) > KEPT);
    let records = written.chain(old.map(|silence| record(silence, None))).collect();
    broker.publish(records).map_err(unreachable)
}

fn add(
    broker: &dyn Broker,
    new: &Silence,
    all: &[Silence],
    (now, output, out): (Timestamp, Output, &mut dyn Write),
) -> Done {
    write(broker, std::slice::from_ref(new), all, now)?;
    let told = match output {
        Output::Json => format!("{:#}", as_json(new, now)),
        Output::Text => new.id.clone(),
    };
    writeln!(out, "{told}").map_err(unprintable)?;
    Ok(0)
}

fn end(
    broker: &dyn Broker,
    ids: &[String],
    all: &[Silence],
    (now, output, out): (Timestamp, Output, &mut dyn Write),
) -> Done {
    let mut ended = Vec::with_capacity(ids.len());
    for id in ids {
        let found = all.iter().find(|silence| silence.id == *id && silence.ends_at > now);
        let Some(silence) = found else {
            return Err(Failure::failed(format!("no silence `{id}` counts or will"))
                .hint("see `bugle silence list`; none was ended"));
        };
        ended.push(Silence { starts_at: silence.starts_at.min(now), ends_at: now, ..silence.clone() });
    }
    write(broker, &ended, all, now)?;
    let told = match output {
        Output::Json => format!("{:#}", json!({ "ended": ids })),
        Output::Text => format!("{} ended", ids.join(", ")),
    };
    writeln!(out, "{told}").map_err(unprintable)?;
    Ok(0)
}

fn list(silences: Vec<Silence>, all: bool, (now, output, out): (Timestamp, Output, &mut dyn Write)) -> Done {
    let shown: Vec<Silence> = silences.into_iter().filter(|silence| all || silence.ends_at > now).collect();
    if output == Output::Json {
        let shown: Vec<Json> = shown.iter().map(|silence| as_json(silence, now)).collect();
        writeln!(out, "{:#}", json!({ "silences": shown })).map_err(unprintable)?;
        return Ok(0);
    }
    if shown.is_empty() {
        writeln!(out, "nothing is silenced").map_err(unprintable)?;
        return Ok(0);
    }
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["id", "state", "from", "until", "author", "what", "why"]);
    for silence in &shown {
        let Silence { id, starts_at, ends_at, author, comment, .. } = silence;
        let what: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
        let (from, until) = (starts_at.to_string(), ends_at.to_string());
        grid.add_row([id, state(silence, now), &from, &until, author, &what.join(" "), comment]);
    }
    writeln!(out, "{grid}").map_err(unprintable)?;
    Ok(0)
}

fn state(silence: &Silence, now: Timestamp) -> &'static str {
    if silence.ends_at <= now {
        "ended"
    } else if silence.is_active(now) {
        "active"
    } else {
        "pending"
    }
}

fn as_json(silence: &Silence, now: Timestamp) -> Json {
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    json!({
        "id": silence.id,
        "state": state(silence, now),
        "matchers": matchers,
        "starts_at": silence.starts_at.to_string(),
        "ends_at": silence.ends_at.to_string(),
        "author": silence.author,
        "comment": silence.comment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wants_a_silence_is_named_or_known_by_their_account() {
        let wanted = |author: Option<&str>| Wanted {
            matchers: vec!["rule=ec-3-sla".parse().unwrap()],
            span: Some(Span::from_secs(60)),
            until: None,
            from: None,
            comment: "new release".to_owned(),
            author: author.map(str::to_owned),
        };
        let author = |author, account: Option<&str>| {
            let silence = wanted(author).silence(Timestamp::default(), account.map(str::to_owned));
            silence.map(|silence| silence.author).map_err(|failure| (failure.exit, failure.to_string()))
        };
        assert_eq!(author(None, Some("ada")), Ok("ada".to_owned()));
        assert_eq!(author(Some("ben"), Some("ada")), Ok("ben".to_owned()));
        let (exit, said) = author(None, None).unwrap_err();
        assert!(exit == 2 && said.contains("`--author NAME`"), "{said}");
    }
}

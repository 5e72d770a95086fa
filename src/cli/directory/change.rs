//! Change: what is written to `opentext.directory` so that it says what a file or a source of people says.
//!
//! Gains go before losses, removals last. Nobody is removed unless asked for, and not many at once
//! without being asked twice.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::Failure;
use super::super::broker_args::Reach;
use super::{Present, unprintable, unreachable};
use crate::broker::Broker;
use crate::clock::Tick;
use crate::codec::Name;
use crate::codec::person::encode;
use crate::directory::Difference;
use crate::directory::difference::ByKey;
use crate::directory::key::person_key;
use crate::event::{Outgoing, Person, Topic};

/// The part of the people known that may be removed or made inactive without `--yes`.
const MOST_REMOVED: f64 = 0.1;
/// Records published in one go.
const CHUNK: usize = 1_000;

/// How a difference is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Who says so: `the file`.
    pub(super) origin: &'static str,
    /// Show what would change, and change nothing.
    pub(super) dry_run: bool,
    /// Remove who is missing.
    pub(super) removes: bool,
    /// Remove them even when they are many.
    pub(super) yes: bool,
}

/// Carries a difference out; prints what changed to `out`.
///
/// # Errors
/// A [`Failure`] before anything was written, or naming how much was.
pub(super) fn carry_out(
    mut difference: Difference,
    (present, terms): (&Present, Terms),
    (broker, reach): (&dyn Broker, &Reach<'_>),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Terms { origin, dry_run, removes, yes } = terms;
    if present.unreadable > 0 {
        let what = format!("{} records of {} cannot be read", present.unreadable, Topic::Directory);
        writeln!(out, "{what}; they are replaced only where {origin} names their person")
            .map_err(unprintable)?;
    }
    if dry_run {
        show(&difference, &present.people, removes, out).map_err(unprintable)?;
    }
    summary(&difference, terms, out).map_err(unprintable)?;
    if !removes {
        difference.missing.clear();
    }
    if difference.missing_share() > MOST_REMOVED && !yes {
        let message = format!(
            "{origin} would remove {} people, {:.0} % of those known; nothing was written",
            difference.missing.len(),
            difference.missing_share() * 100.0
        );
        return Err(Failure::failed(message).hint(format!("add `--yes` if {origin} is complete")));
    }
    if !dry_run {
        publish(&difference, broker, reach)?;
    }
    Ok(())
}

fn publish(difference: &Difference, broker: &dyn Broker, reach: &Reach<'_>) -> Result<(), Failure> {
    let id = reach.codec.id_for(Name::Person, reach.directory);
    let id = id.map_err(|error| Failure::failed(&error).hint(error.hint()))?;
    let written = |people: &Vec<Person>| {
        let value = |person: &Person| Some(encode(id, person).into());
        people.iter().map(|person| record(&person.tenant, &person.user_id, value(person))).collect()
    };
    let mut steps: Vec<Vec<Outgoing>> =
        [&difference.gaining, &difference.between, &difference.losing].into_iter().map(written).collect();
    steps.push(difference.missing.iter().map(|(tenant, id)| record(tenant, id, None)).collect());
    let total: usize = steps.iter().map(Vec::len).sum();
    let mut progress = Progress::new("{bar:40} {pos}/{len} people, {eta} left");
    // Each chunk is safe before the next begins, so a step is safe before the next begins too.
    for chunk in steps.iter().flat_map(|step| step.chunks(CHUNK)) {
        broker.publish(chunk.to_vec()).map_err(|error| {
            unreachable(format!("{error}; {} of {total} records were written, run it again", progress.done))
        })?;
        progress.at(progress.done + chunk.len(), Some(total as u64));
    }
    progress.end();
    Ok(())
}

fn record(tenant: &str, user_id: &str, value: Option<bytes::Bytes>) -> Outgoing {
    let key = Some(person_key(tenant, user_id).into());
    Outgoing { topic: Topic::Directory, partition: None, key, value, headers: Vec::new() }
}

/// A bar that shows itself after a second, on a terminal.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Tick,
    done: usize,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new(form: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, begun: Tick::now(), done: 0 }
    }

    /// How much is done, and of how much, where that is known.
    pub(super) fn at(&mut self, done: usize, total: Option<u64>) {
        self.done = done;
        self.bar.set_position(done as u64);
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        if self.bar.is_hidden()
            && self.begun.elapsed() > Duration::from_secs(1)
            && std::io::stderr().is_terminal()
        {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

fn summary(difference: &Difference, terms: Terms, out: &mut dyn Write) -> std::io::Result<()> {
    let Difference { added, changed, same, missing, .. } = difference;
    let origin = terms.origin;
    write!(out, "{added} new, {changed} changed, {same} as before")?;
    match (missing.len(), terms.removes) {
        (0, _) => writeln!(out),
        (count, true) => writeln!(out, ", {count} to remove"),
        (count, false) => writeln!(out, ", {count} not in {origin} stay (`--remove-missing` removes them)"),
    }
}

fn show(difference: &Difference, present: &ByKey, removes: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let mut people: Vec<&Person> = difference.gaining.iter().chain(&difference.losing).collect();
    people.sort_by_key(|person| (&person.tenant, &person.user_id));
    for person in people {
        let key = (person.tenant.clone(), person.user_id.clone());
        match present.get(&key) {
            None => writeln!(out, "+ {}/{}", person.tenant, person.user_id)?,
            Some(before) => {
                writeln!(out, "~ {}/{}: {}", person.tenant, person.user_id, changes(before, person))?;
            }
        }
    }
    for (tenant, user_id) in difference.missing.iter().filter(|_| removes) {
        writeln!(out, "- {tenant}/{user_id}")?;
    }
    Ok(())
}

/// What differs between two entries of one person: `roles +legal -buyer, site P1 → P2`.
fn changes(before: &Person, after: &Person) -> String {
    let mut changes = Vec::new();
    let lists = [
        ("roles", &before.roles, &after.roles),
        ("deputies", &before.deputies, &after.deputies),
        ("channels", &before.channels, &after.channels),
        ("muted", &before.muted, &after.muted),
        ("known_as", &before.known_as, &after.known_as),
    ];
    for (name, before, after) in lists {
        let gained = after.iter().filter(|item| !before.contains(item)).map(|item| format!("+{item}"));
        let lost = before.iter().filter(|item| !after.contains(item)).map(|item| format!("-{item}"));
        let items: Vec<String> = gained.chain(lost).collect();
        if before != after {
            let items = if items.is_empty() { "in another order".to_owned() } else { items.join(" ") };
            changes.push(format!("{name} {items}"));
        }
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let pairs = [
        ("active", before.active.to_string(), after.active.to_string()),
        ("absent", before.absent.to_string(), after.absent.to_string()),
        ("absent_from", text(&before.absent_from), text(&after.absent_from)),
        ("absent_until", text(&before.absent_until), text(&after.absent_until)),
        ("display_name", text(&before.display_name), text(&after.display_name)),
        ("site", text(&before.location.site), text(&after.location.site)),
        ("locality", text(&before.location.locality), text(&after.location.locality)),
        ("region", text(&before.location.region), text(&after.location.region)),
        ("country", text(&before.location.country), text(&after.location.country)),
        ("business_unit", before.business_unit.join("/"), after.business_unit.join("/")),
        ("manager", text(&before.manager), text(&after.manager)),
        ("locale", text(&before.locale), text(&after.locale)),
        ("zone", text(&before.zone), text(&after.zone)),
        ("party", text(&before.party), text(&after.party)),
        ("device_zone", text(&before.device_zone), text(&after.device_zone)),
        ("quiet_from", text(&before.quiet_from), text(&after.quiet_from)),
        ("quiet_to", text(&before.quiet_to), text(&after.quiet_to)),
    ];
    let pairs = pairs.into_iter().filter(|(_, before, after)| before != after);
    changes.extend(pairs.map(|(name, before, after)| format!("{name} {before} → {after}")));
    changes.join(", ")
}

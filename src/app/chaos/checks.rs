//! Checks: the eight that are made when everything is healed.

use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::super::bench::NoResult;
use super::super::chains::Chains;
use super::judge::judge;
use super::{Chaos, Faults, LOOK_EVERY, PATIENCE, machine};
use crate::broker::{Broker, Follow};
use crate::clock::Tick;
use crate::event::Topic;

/// Copies that a new owner of everything is given.
const COPIES: usize = 2_000;
/// The most a process may hold: bytes, files, threads.
const BOUNDS: (u64, u64, u64) = (1 << 30, 1_024, 512);

/// One of the eight checks.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// `C1` to `C8`.
    pub id: &'static str,
    /// What has to be so.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// The first of what is wrong.
    pub wrong: Vec<String>,
    /// Whether it is so.
    pub clean: bool,
}

// === impl Chaos ===

impl Chaos {
    /// All of them. A new owner of everything is given copies for it.
    pub(super) fn checks(&mut self, stop: &AtomicBool) -> Result<Vec<Check>, NoResult> {
        let before = self.ground.service.counted().map_err(machine)?.distinct;
        // Everything is remembered by topics alone: whoever reads them back knows it.
        self.fleet.start(0).map_err(machine)?;
        let copies = self.load.copies(COPIES);
        let given = copies.len();
        self.cluster.publish(copies)?;
        self.drain(stop, &mut |_| {})?;
        self.fleet.end(0).map_err(machine)?;
        let counted = self.ground.service.counted().map_err(machine)?;
        let refs = self.ground.service.ask("GET", "/refs", "").map_err(machine)?;
        let found = judge(&self.load.owed, &refs);
        let told_again = counted.distinct - before;
        let (owed, lost, twice) = (self.load.tellings, found.lost.len(), found.twice.len());
        let (again, asked) = (counted.resubmitted, counted.asked_after);
        let mut checks = vec![
            check("C1", "nothing is lost", format!("{owed} tellings owed, {lost} lost"), found.lost),
            Check {
                clean: twice == 0 && counted.repeated == 0 && counted.altered == 0,
                ..check(
                    "C2",
                    "nobody is told twice",
                    format!(
                        "{twice} told twice; {asked} requests asked after, {again} sent again under their ids, {} of them altered",
                        counted.altered
                    ),
                    found.twice,
                )
            },
            check("C3", "nobody else is told", format!("{} told to others", found.wrong.len()), found.wrong),
            check(
                "C4",
                "the newer comes after the older",
                format!("{} out of turn", found.out_of_turn.len()),
                found.out_of_turn,
            ),
            Check {
                clean: told_again == 0 && given > 0,
                ..check(
                    "C5",
                    "memory is what was written",
                    format!("{given} copies to a new owner, {told_again} tellings of them"),
                    Vec::new(),
                )
            },
        ];
        checks.push(self.audited()?);
        checks.push(self.bounded()?);
        checks.push(self.progressed());
        Ok(checks)
    }

    fn audited(&mut self) -> Result<Check, NoResult> {
        let (mut chains, begun) = (Chains::default(), Tick::now());
        // The chains name the receipts, so these come after.
        for topic in [Topic::Audit, Topic::Receipts] {
            let mut follow = self.cluster.follow(topic)?;
            let (ends, mut records) = (follow.ends()?, Vec::new());
            while is_behind(follow.as_ref(), &ends) && begun.elapsed() < PATIENCE {
                follow.poll(LOOK_EVERY, &mut records)?;
                for record in records.drain(..) {
                    match topic {
                        Topic::Audit => drop(chains.read(&record)),
                        _ => chains.receipt(&record),
                    }
                }
            }
        }
        let books = self.ledgers.keeper.books();
        let mut wrong: Vec<String> = chains.breaks().iter().map(ToString::to_string).collect();
        if !books.close() || books.changes.read != self.load.made {
            wrong.push(format!("the books are open: {books:?}"));
        }
        let (records, verdicts) = chains.counted();
        let found = format!(
            "{} changes, {} tellings in books that {}; {verdicts} verdicts in {records} records",
            books.changes.read,
            books.tellings.candidates,
            if books.close() { "close" } else { "are open" },
        );
        Ok(check("C6", "the books close, the chains are whole", found, wrong))
    }

    fn bounded(&mut self) -> Result<Check, NoResult> {
        let mut wrong = std::mem::take(&mut self.fleet.unasked);
        for topic in Topic::ALL {
            if !self.cluster.follow(topic)?.is_settled()? {
                wrong.push(format!("a transaction is open in {topic}"));
            }
        }
        let peak = self.fleet.peak;
        let held = (peak.bytes, peak.files, peak.threads);
        if held.0 > BOUNDS.0 || held.1 > BOUNDS.1 || held.2 > BOUNDS.2 {
            wrong.push(format!("a process held more than {BOUNDS:?} bytes, files, threads"));
        }
        let found = format!(
            "{} MiB, {} files, {} threads at most; {} transactions open",
            peak.bytes >> 20,
            peak.files,
            peak.threads,
            wrong.iter().filter(|wrong| wrong.starts_with("a transaction")).count()
        );
        Ok(check("C7", "nothing is left open", found, wrong))
    }

    fn progressed(&self) -> Check {
        let Faults { kills, stalls, ends, push_service } = self.faults;
        let (told, owed) = self.meanwhile;
        let mut wrong = Vec::new();
        if kills == 0 {
            wrong.push("nobody was ended: more minutes are needed".to_owned());
        }
        if told * 5 < owed {
            wrong.push(format!("less than a fifth was told meanwhile: {told} of {owed}"));
        }
        let found = format!(
            "{kills} kills, {stalls} stalls, {ends} ends, {push_service} of the push service; {told} of {owed} \
             told meanwhile"
        );
        check("C8", "work goes on", found, wrong)
    }
}

fn check(id: &'static str, what: &'static str, found: String, mut wrong: Vec<String>) -> Check {
    let clean = wrong.is_empty();
    wrong.truncate(10);
    Check { id, what, found, wrong, clean }
}

fn is_behind(follow: &dyn Follow, ends: &[i64]) -> bool {
    follow.positions().iter().zip(ends).any(|(position, end)| position < end)
}

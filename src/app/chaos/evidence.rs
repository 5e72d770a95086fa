//! Evidence: what was found when everything is healed, and the eight checks made of it.

use serde::Serialize;

use super::super::books::Books;
use super::super::outside::Counted;
use super::Faults;
use super::fleet::Held;
use super::judge::Findings;

/// The most a process may hold: bytes, files, threads.
const BOUNDS: Held = Held { bytes: 1 << 30, files: 1_024, threads: 512 };

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

/// What was found.
#[derive(Debug, Default, Clone)]
pub(super) struct Evidence {
    /// Tellings owed.
    pub(super) owed: u64,
    /// Changes published.
    pub(super) made: u64,
    /// Of what was told.
    pub(super) findings: Findings,
    /// By the push service.
    pub(super) counted: Counted,
    /// Copies that a new owner of everything was given, and what it told of them.
    pub(super) copies: (usize, u64),
    pub(super) books: Books,
    /// Breaks of the audit's chains; its records and verdicts.
    pub(super) breaks: Vec<String>,
    pub(super) audited: (u64, u64),
    /// Topics in which a transaction is open.
    pub(super) open: Vec<String>,
    /// Processes that ended unasked.
    pub(super) unasked: Vec<String>,
    /// The most that any process held.
    pub(super) peak: Held,
    pub(super) faults: Faults,
    /// Of what was owed while faults were about: told, and all.
    pub(super) meanwhile: (u64, u64),
}

// === impl Evidence ===

impl Evidence {
    pub(super) fn checks(self) -> Vec<Check> {
        let audited = self.audited();
        let bounded = self.bounded();
        let progressed = self.progressed();
        let Self { findings, counted, copies: (given, again), .. } = self;
        let Findings { lost, twice, wrong, out_of_turn, .. } = findings;
        let (asked, sent, altered) = (counted.asked_after, counted.resubmitted, counted.altered);
        let (told_twice, mut repeated) = (twice.len(), twice);
        repeated.extend((counted.repeated > 0).then(|| format!("{} shown twice", counted.repeated)));
        repeated.extend((altered > 0).then(|| format!("{altered} sent again otherwise than before")));
        let mut forgotten = Vec::new();
        forgotten.extend((again > 0).then(|| format!("{again} copies were told")));
        forgotten.extend((given == 0).then(|| "no copy was given".to_owned()));
        vec![
            check("C1", "nothing is lost", format!("{} tellings owed, {} lost", self.owed, lost.len()), lost),
            check(
                "C2",
                "nobody is told twice",
                format!(
                    "{told_twice} told twice; {asked} requests asked after, {sent} sent again under their ids, {altered} of them altered"
                ),
                repeated,
            ),
            check("C3", "nobody else is told", format!("{} told to others", wrong.len()), wrong),
            check(
                "C4",
                "the newer comes after the older",
                format!("{} out of turn", out_of_turn.len()),
                out_of_turn,
            ),
            check(
                "C5",
                "memory is what was written",
                format!("{given} copies to a new owner, {again} tellings of them"),
                forgotten,
            ),
            audited,
            bounded,
            progressed,
        ]
    }

    fn audited(&self) -> Check {
        let Self { books, audited: (records, verdicts), .. } = self;
        let mut wrong = self.breaks.clone();
        if !books.close() || books.changes.read != self.made {
            wrong.push(format!("the books are open: {books:?}"));
        }
        let found = format!(
            "{} changes, {} tellings in books that {}; {verdicts} verdicts in {records} records",
            books.changes.read,
            books.tellings.candidates,
            if books.close() { "close" } else { "are open" },
        );
        check("C6", "the books close, the chains are whole", found, wrong)
    }

    fn bounded(&self) -> Check {
        let Self { peak, open, .. } = self;
        let mut wrong = self.unasked.clone();
        wrong.extend(open.iter().map(|topic| format!("a transaction is open in {topic}")));
        if peak.bytes > BOUNDS.bytes || peak.files > BOUNDS.files || peak.threads > BOUNDS.threads {
            wrong.push(format!("a process held more than {BOUNDS:?}"));
        }
        let found = format!(
            "{} MiB, {} files, {} threads at most; {} transactions open",
            peak.bytes >> 20,
            peak.files,
            peak.threads,
            open.len()
        );
        check("C7", "nothing is left open", found, wrong)
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

#[cfg(test)]
mod tests {
    use super::super::super::books::Bookkeeper;
    use super::*;

    fn clean() -> Evidence {
        Evidence {
            copies: (2_000, 0),
            books: Bookkeeper::default().books(),
            faults: Faults { kills: 1, ..Faults::default() },
            meanwhile: (20, 100),
            ..Evidence::default()
        }
    }

    /// The checks that are not clean with this wrong.
    fn found(plant: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
        let mut evidence = clean();
        plant(&mut evidence);
        evidence.checks().into_iter().filter(|check| !check.clean).map(|check| check.id).collect()
    }

    #[test]
    fn nothing_wrong_is_clean() {
        assert!(found(|_| {}).is_empty());
    }

    #[test]
    fn each_check_finds_what_is_planted_for_it_and_no_other_does() {
        let one = || vec!["`now 1` to ada".to_owned()];
        assert_eq!(found(|e| e.findings.lost = one()), ["C1"]);
        assert_eq!(found(|e| e.findings.twice = one()), ["C2"]);
        assert_eq!(found(|e| e.counted.repeated = 1), ["C2"]);
        assert_eq!(found(|e| e.counted.altered = 1), ["C2"]);
        assert_eq!(found(|e| e.findings.wrong = one()), ["C3"]);
        assert_eq!(found(|e| e.findings.out_of_turn = one()), ["C4"]);
        assert_eq!(found(|e| e.copies = (2_000, 1)), ["C5"]);
        assert_eq!(found(|e| e.copies = (0, 0)), ["C5"]);
        assert_eq!(found(|e| e.breaks = one()), ["C6"]);
        assert_eq!(found(|e| e.made = 1), ["C6"]);
        assert_eq!(found(|e| e.books.tellings.closes = false), ["C6"]);
        assert_eq!(found(|e| e.open = vec!["bugle.people".to_owned()]), ["C7"]);
        assert_eq!(found(|e| e.unasked = one()), ["C7"]);
        assert_eq!(found(|e| e.peak.bytes = 2 << 30), ["C7"]);
        assert_eq!(found(|e| e.peak.files = 2_000), ["C7"]);
        assert_eq!(found(|e| e.peak.threads = 600), ["C7"]);
        assert_eq!(found(|e| e.faults.kills = 0), ["C8"]);
        assert_eq!(found(|e| e.meanwhile = (19, 100)), ["C8"]);
    }
}

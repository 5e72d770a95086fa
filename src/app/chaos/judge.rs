//! Judge: what the push service accepted, held against what was owed.
//!
//! It knows nothing of lanes, topics and faults. Every finding names a title and a person, so that `bugle
//! audit` can be asked next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::load::Owed;

/// What the push service accepted, as its `GET /refs` has it: message id, reference, person, title.
struct Line<'r> {
    reference: &'r str,
    person: &'r str,
    title: &'r str,
}

/// What is wrong with what was told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Owed and never told.
    pub lost: Vec<String>,
    /// Told again under another id.
    pub twice: Vec<String>,
    /// Told to somebody it is not owed to.
    pub wrong: Vec<String>,
    /// Told before what comes before it.
    pub out_of_turn: Vec<String>,
    /// Tellings accepted.
    pub told: u64,
}

// === impl Findings ===

impl Findings {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [&self.lost, &self.twice, &self.wrong, &self.out_of_turn].into_iter().all(Vec::is_empty)
    }
}

/// Judges the lines of the push service, which stand in the order they were accepted.
#[must_use]
pub fn judge(owed: &Owed, refs: &str) -> Findings {
    let mut findings = Findings::default();
    let mut told: HashMap<(&str, &str), &str> = HashMap::new();
    let mut references: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut turns: HashMap<(&str, &str), u64> = HashMap::new();
    for line in refs.lines().filter_map(Line::read) {
        let Line { reference, person, title } = line;
        let Some(owing) = owed.get(title).filter(|owing| owing.people.contains(person)) else {
            findings.wrong.push(format!("`{title}` to {person}"));
            continue;
        };
        if told.insert((title, person), reference).is_some() {
            findings.twice.push(format!("`{title}` to {person}"));
            continue;
        }
        if let Some(other) = references.insert(reference, (title, person)) {
            findings.twice.push(format!("{reference} is `{title}` to {person}, and {other:?}"));
        }
        findings.told += 1;
        if let Some((subject, turn)) = &owing.turn {
            let last = turns.entry((subject.as_str(), person)).or_default();
            if *last > *turn {
                findings.out_of_turn.push(format!("`{title}` to {person} after number {last} of {subject}"));
            }
            *last = (*last).max(*turn);
        }
        if let Some(before) = &owing.after
            && !told.contains_key(&(before.as_str(), person))
        {
            findings.out_of_turn.push(format!("`{title}` to {person} before `{before}`"));
        }
    }
    for (title, owing) in owed {
        let untold: BTreeSet<&String> = owing
            .people
            .iter()
            .filter(|person| !told.contains_key(&(title.as_str(), person.as_str())))
            .collect();
        findings.lost.extend(untold.iter().map(|person| format!("`{title}` to {person}")));
    }
    findings
}

// === impl Line ===

impl<'r> Line<'r> {
    fn read(line: &'r str) -> Option<Self> {
        let mut cells = line.splitn(4, '\t').skip(1);
        Some(Self { reference: cells.next()?, person: cells.next()?, title: cells.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::Owing;
    use super::*;

    fn owed() -> Owed {
        let people = || ["ada", "ben"].map(str::to_owned).into();
        let owing = |turn: Option<u64>, after: Option<&str>| Owing {
            people: people(),
            turn: turn.map(|turn| ("s-1".to_owned(), turn)),
            after: after.map(str::to_owned),
        };
        [
            ("now 1", owing(Some(1), None)),
            ("now 2", owing(Some(2), None)),
            ("now 3", owing(None, None)),
            ("later 3", owing(None, Some("now 3"))),
        ]
        .into_iter()
        .map(|(title, owing)| (title.to_owned(), owing))
        .collect()
    }

    /// All that is owed, as it should come.
    fn told() -> Vec<(&'static str, &'static str)> {
        let titles = ["now 1", "now 2", "now 3", "later 3"];
        titles.into_iter().flat_map(|title| [(title, "ada"), (title, "ben")]).collect()
    }

    fn lines(told: &[(&str, &str)]) -> String {
        told.iter()
            .enumerate()
            .map(|(n, (title, person))| format!("b-{n}\td-{n}\t{person}\t{title}\n"))
            .collect()
    }

    #[test]
    fn all_that_is_owed_once_and_in_order_is_clean() {
        let findings = judge(&owed(), &lines(&told()));
        assert!(findings.is_clean(), "{findings:?}");
        assert_eq!(findings.told, 8);
    }

    #[test]
    fn a_planted_loss_copy_stranger_and_disorder_are_each_found() {
        let mut lost = told();
        lost.remove(3);
        assert_eq!(judge(&owed(), &lines(&lost)).lost, ["`now 2` to ben"]);

        let mut twice = told();
        twice.push(("now 1", "ada"));
        assert_eq!(judge(&owed(), &lines(&twice)).twice, ["`now 1` to ada"]);

        let mut wrong = told();
        wrong.extend([("now 1", "eve"), ("now 9", "ada")]);
        assert_eq!(judge(&owed(), &lines(&wrong)).wrong, ["`now 1` to eve", "`now 9` to ada"]);

        let mut disorder = told();
        disorder.swap(0, 2);
        disorder.swap(5, 7);
        let found = judge(&owed(), &lines(&disorder)).out_of_turn;
        assert_eq!(found, ["`now 1` to ada after number 2 of s-1", "`later 3` to ben before `now 3`"]);
    }

    #[test]
    fn one_id_for_two_tellings_is_found() {
        let text = lines(&told()).replace("d-5\t", "d-4\t");
        assert_eq!(judge(&owed(), &text).twice.len(), 1);
    }
}

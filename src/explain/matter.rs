//! Matter: what became of one subject: each change of it, who was told by which rule, what the push service took,
//! who answered, and whether it was carried into the source system.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::timestamp::as_text;
use crate::event::{Carried, Ending, Timestamp, Verdict};

use super::recalled::{Memory, Recalled};
use super::telling::Telling;

/// One subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matter {
    /// Its key.
    pub subject: String,
    /// Its changes, in the order in which they were decided.
    pub changes: Vec<Recalled>,
    /// What people answered, in the order in which it was decided.
    pub answers: Vec<Answered>,
}

/// An answer, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Its id, made by the device.
    pub response_id: String,
    /// When it was decided.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// Who answered.
    pub person: String,
    /// The rule that asked.
    pub rule: Option<String>,
    /// Which telling was answered.
    pub occasion: Option<String>,
    /// The change, the rule and the occasion that asked, where they are known.
    pub to: Option<(String, String, String)>,
    /// What was answered, where it counts.
    pub verb: Option<String>,
    /// Why it does not count.
    pub refused: Option<String>,
    /// How it came into the source system; where it lay in the dead letters meanwhile, more than once.
    pub carried: Vec<CarriedThere>,
}

/// How an answer came into the source system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarriedThere {
    /// When that was known.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// `confirmed`, `refused` or `dead`.
    pub ended: String,
    /// Why not.
    pub why: Option<String>,
}

/// Whether a subject's key is meant: it is the key, or a run of its parts: `task_id=4711`, `4711`,
/// `process_id=7|task_id=1`.
#[must_use]
pub fn is_about(subject: &str, asked: &str) -> bool {
    let parts = |text: &str| -> Vec<String> { split(text) };
    let (subject, asked) = (parts(subject), parts(asked));
    if asked.is_empty() {
        return false;
    }
    let same = |(part, asked): (&String, &String)| {
        part == asked || part.split_once('=').is_some_and(|(_, value)| value == asked)
    };
    subject.windows(asked.len()).any(|run| run.iter().zip(&asked).all(same))
}

/// A key's parts; a bar behind a backslash stands inside of one.
fn split(key: &str) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for letter in key.chars() {
        match letter {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => parts.push(String::new()),
            letter => {
                escaped = false;
                parts.last_mut().expect("there is one from the start").push(letter);
            }
        }
    }
    parts
}

// === impl Memory ===

impl Memory {
    /// The subjects of what it holds.
    #[must_use]
    pub fn matters(self) -> Vec<Matter> {
        let mut by_subject: BTreeMap<String, Self> = BTreeMap::new();
        let (found, pushed, held) = self.apart();
        for (topology, verdict) in found {
            let Some(subject) = verdict.subject.clone() else { continue };
            by_subject.entry(subject).or_default().verdict(topology, verdict);
        }
        for pushed in pushed {
            if let Some(memory) = by_subject.get_mut(&pushed.subject) {
                memory.pushed(pushed);
            }
        }
        for held in held {
            if let Some(memory) = held.owed.subject.as_ref().and_then(|subject| by_subject.get_mut(subject)) {
                memory.held(held);
            }
        }
        by_subject.into_iter().map(|(subject, memory)| Matter::of(subject, memory)).collect()
    }
}

// === impl Matter ===

impl Matter {
    fn of(subject: String, mut memory: Memory) -> Self {
        let answers = memory.take_answers();
        let mut changes = memory.events();
        changes.sort_by_key(|change| change.tellings.iter().map(|telling| telling.at).min());
        let tellings = changes.iter_mut().flat_map(|change| &mut change.tellings);
        tellings.for_each(Telling::hold_what_was_not_taken);
        let mut all: Vec<Answered> = Vec::new();
        for verdict in answers {
            match (
                &verdict.ending,
                all.iter_mut().rev().find(|answer| answer.response_id == verdict.event_id),
            ) {
                (Ending::Carried(carried), Some(answer)) => {
                    answer.carried.push(carried_there(&verdict, carried));
                }
                _ => all.push(Answered::of(&verdict, &changes)),
            }
        }
        Self { subject, changes, answers: all }
    }
}

fn carried_there(verdict: &Verdict, carried: &Carried) -> CarriedThere {
    let why = match carried {
        Carried::Confirmed => None,
        Carried::Refused(why) | Carried::Dead(why) => Some(why.clone()),
    };
    CarriedThere { at: verdict.at, ended: carried.as_str().to_owned(), why }
}

// === impl Answered ===

impl Answered {
    fn of(verdict: &Verdict, changes: &[Recalled]) -> Self {
        let (rule, occasion) = (verdict.rule.clone(), verdict.occasion.map(|occasion| occasion.to_string()));
        let asked = |telling: &&Telling| {
            Some(&telling.rule) == rule.as_ref()
                && Some(&telling.occasion) == occasion.as_ref()
                && telling.at <= verdict.at
        };
        // The newest round that asked so.
        let to = changes
            .iter()
            .rev()
            .find_map(|change| Some(change.tellings.iter().find(asked)?.place_in(change)));
        let (verb, refused, carried) = match &verdict.ending {
            Ending::Answered(verb) => (Some(verb.clone()), None, Vec::new()),
            Ending::AnswerRefused(why) => (None, Some(why.clone()), Vec::new()),
            Ending::Carried(carried) => (None, None, vec![carried_there(verdict, carried)]),
            _ => (None, None, Vec::new()),
        };
        Self {
            response_id: verdict.event_id.clone(),
            at: verdict.at,
            person: verdict.people.first().cloned().unwrap_or_default(),
            rule,
            occasion,
            to,
            verb,
            refused,
            carried,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::asked::{How, Standing};
    use crate::event::receipt::{Accepted, Exception, Mark, Undelivered};
    use crate::event::{Asked, Coordinates, NoticeId, Occasion, Reason, Receipt, Source};

    const SUBJECT: &str = "acme|xecm|process_id=7|task_id=1";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_767_605_124_000 + seconds * 1_000)
    }

    fn verdict(seconds: i64, id: &str, ending: Ending, people: &[&str]) -> Verdict {
        Verdict {
            at: at(seconds),
            tenant: "acme".to_owned(),
            event_id: id.to_owned(),
            change: Coordinates { source: Source::Xecm, partition: 0, offset: 12 },
            subject: Some(SUBJECT.to_owned()),
            rule: Some("ec-7-decide".to_owned()),
            occasion: Some(Occasion::First),
            ending,
            count: u32::try_from(people.len()).unwrap(),
            people: people.iter().map(|person| (*person).to_owned()).collect(),
            asked: None,
        }
    }

    fn owed() -> Verdict {
        let named = |how, term: &str, people: &[&str]| Standing {
            how,
            term: term.to_owned(),
            count: u32::try_from(people.len()).unwrap(),
            people: people.iter().map(|person| (*person).to_owned()).collect(),
        };
        let groups = vec![
            named(How::Named, "assignees", &["ada", "ben", "cem"]),
            named(How::Never, "person:dora", &["dora"]),
        ];
        let asked = Asked { audience: "assignees never person:dora".to_owned(), directory: vec![9], groups };
        Verdict { count: 3, asked: Some(Arc::new(asked)), ..verdict(0, "e-1", Ending::Routed, &[]) }
    }

    fn notice() -> NoticeId {
        NoticeId::of(("acme", Source::Xecm, "e-1"), ("ec-7-decide", SUBJECT), (Occasion::First, 0))
    }

    fn receipts() -> [Receipt; 2] {
        let exception = Exception {
            user_id: "cem".to_owned(),
            notice: notice(),
            reason: Reason::Refused("gone".to_owned()),
        };
        let taken = Receipt {
            message_id: "b-1".to_owned(),
            at: at(2),
            job_id: Some("otp-1".to_owned()),
            told: 6,
            notices: vec![Accepted { notice: 5, told: 5 }, Accepted { notice: notice().short(), told: 1 }],
            exceptions: vec![exception],
            ..Receipt::default()
        };
        let lost = |user_id: &str, notice: NoticeId| Undelivered {
            user_id: user_id.to_owned(),
            reference: notice.reference(user_id),
            mark: Mark::NoDevice,
            code: "UNREGISTERED".to_owned(),
        };
        let mark = Receipt {
            at: at(9),
            job_id: taken.job_id.clone(),
            delivered: 4,
            undelivered: vec![lost("ada", notice()), lost("eva", NoticeId(5))],
            ..Receipt::default()
        };
        [taken, mark]
    }

    fn told(verdicts: Vec<Verdict>, receipts: &[Receipt]) -> String {
        let mut memory = Memory::default();
        verdicts.into_iter().for_each(|verdict| memory.verdict(0xfeed, verdict));
        receipts.iter().for_each(|receipt| memory.receipt(receipt));
        let mut text = String::new();
        memory.matters().iter().for_each(|matter| matter.lines().draw(&mut text));
        text
    }

    #[test]
    fn a_matter_is_told_from_the_change_to_what_stands_in_the_source_system() {
        let verdicts = vec![
            owed(),
            verdict(1, "e-1", Ending::Not(Reason::QuietHours), &["ben"]),
            verdict(60, "r-1", Ending::Answered("approve".to_owned()), &["ada"]),
            verdict(61, "r-2", Ending::AnswerRefused("already_answered".to_owned()), &["ben"]),
            verdict(62, "r-1", Ending::Carried(Carried::Dead("write-back-gave-up".to_owned())), &["ada"]),
            verdict(70, "r-1", Ending::Carried(Carried::Confirmed), &["ada"]),
        ];
        let [taken, mark] = receipts();
        assert_eq!(
            told(verdicts.clone(), &[mark, taken]),
            told(verdicts.clone(), &receipts()),
            "in whatever order the partitions are read"
        );
        insta::assert_snapshot!(told(verdicts, &receipts()), @r"
        acme|xecm|process_id=7|task_id=1
        └─ e-1 of acme: xecm 0-12
           ├─ decided by rules 000000000000feed
           └─ ec-7-decide first at 2026-01-05T09:25:24.000Z: told 1 of 4
              ├─ asked for assignees never person:dora
              ├─ told
              │  └─ ada: assignees
              ├─ not told
              │  ├─ dora: never person:dora
              │  ├─ ben: quiet_hours (assignees)
              │  └─ cem: refused(gone) (assignees)
              ├─ 1 push accepted at 2026-01-05T09:25:26.000Z as job otp-1, batch b-1
              │  ├─ 4 of the batch's 6 reached a device
              │  └─ ada: no_device (UNREGISTERED)
              ├─ answered at 2026-01-05T09:26:24.000Z by ada: approve, as r-1
              │  ├─ carried into the source system at 2026-01-05T09:26:26.000Z: dead (write-back-gave-up)
              │  └─ carried into the source system at 2026-01-05T09:26:34.000Z: confirmed
              └─ an answer of ben at 2026-01-05T09:26:25.000Z does not count: already_answered, as r-2
        ");
    }

    #[test]
    fn what_the_push_service_has_not_taken_is_held() {
        insta::assert_snapshot!(told(vec![owed()], &[]), @r"
        acme|xecm|process_id=7|task_id=1
        └─ e-1 of acme: xecm 0-12
           ├─ decided by rules 000000000000feed
           └─ ec-7-decide first at 2026-01-05T09:25:24.000Z: told 0 of 4
              ├─ asked for assignees never person:dora
              └─ not told
                 ├─ dora: never person:dora
                 ├─ ada: held (assignees)
                 ├─ ben: held (assignees)
                 └─ cem: held (assignees)
        ");
    }

    #[test]
    fn a_subject_is_known_by_its_key_or_by_parts_of_it() {
        for asked in [SUBJECT, "process_id=7|task_id=1", "task_id=1", "7", "7|1", "xecm|process_id=7"] {
            assert!(is_about(SUBJECT, asked), "{asked}");
        }
        for asked in ["", "1|7", "task_id=11", "task", "cess_id=7", "7|task_id=2", "globex|xecm|process_id=7"]
        {
            assert!(!is_about(SUBJECT, asked), "{asked}");
        }
        assert!(is_about(r"acme|bws|name=A\|B", r"A\|B"), "a bar inside of a value is none between two");
    }
}

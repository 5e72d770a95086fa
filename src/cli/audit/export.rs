//! Export: everything that records of the audit topic hold, as JSON lines.
//!
//! A verdict has a line, with the record it stands in: its place in its chain, the rules it was decided by and how far
//! the directory had been read. A record that names receipts has one more. What is no record of ours is left out, and
//! counted.

use serde_json::{Value as Json, json};

use crate::codec::outputs::{self, Link};
use crate::event::asked::Standing;
use crate::event::{Asked, Carried, Ending, Incoming, Timestamp, Verdict};

/// What is exported.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct ExportArgs {
    /// Decided at this time or later.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Decided before this time.
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

// === impl ExportArgs ===

impl ExportArgs {
    fn holds(self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at < to)
    }

    /// The lines of a record, of one tenant where one is named; `None`: it is no record of ours.
    pub(super) fn lines(self, record: &Incoming, tenant: Option<&str>) -> Option<Vec<Json>> {
        let value = record.value.as_deref().unwrap_or_default();
        let (link, verdicts) = outputs::decode_verdicts(value).ok()?;
        let wanted = |verdict: &&Verdict| {
            self.holds(verdict.at) && tenant.is_none_or(|tenant| tenant == verdict.tenant)
        };
        let mut lines: Vec<Json> =
            verdicts.iter().filter(wanted).map(|verdict| of_verdict(&link, verdict)).collect();
        // Whose they are the receipts say.
        if !link.receipts.is_empty() && tenant.is_none() && self.holds(record.timestamp) {
            lines.push(of_receipts(&link, record.timestamp));
        }
        Some(lines)
    }
}

fn of_verdict(link: &Link, verdict: &Verdict) -> Json {
    let Verdict { at, tenant, event_id, change, subject, rule, occasion, ending, count, people, asked } =
        verdict;
    let (ending, code) = ended(ending);
    let mut line = of_record(link);
    line["at"] = at.to_string().into();
    line["tenant"] = tenant.as_str().into();
    line["event_id"] = event_id.as_str().into();
    line["source"] = change.source.as_str().into();
    line["partition"] = change.partition.into();
    line["offset"] = change.offset.into();
    line["subject"] = subject.as_deref().into();
    line["rule"] = rule.as_deref().into();
    line["occasion"] = occasion.map(|occasion| occasion.to_string()).into();
    line["ending"] = ending.into();
    line["code"] = code.into();
    line["count"] = (*count).into();
    line["people"] = people.as_slice().into();
    line["asked"] = asked.as_deref().map(of_asked).into();
    line
}

fn of_receipts(link: &Link, written: Timestamp) -> Json {
    let mut line = of_record(link);
    line["at"] = written.to_string().into();
    line["receipts"] = link.receipts.iter().map(|digest| hex(digest)).collect::<Vec<_>>().into();
    line
}

/// What a record says of all its verdicts.
fn of_record(Link { chain, seq, prev, topology, directory, receipts: _ }: &Link) -> Json {
    // Records of versions that did not write it have none.
    let topology = (*topology != 0).then(|| format!("{topology:016x}"));
    json!({ "chain": chain, "seq": seq, "prev": hex(prev), "topology": topology, "directory": directory })
}

fn of_asked(Asked { audience, directory, groups }: &Asked) -> Json {
    let groups = groups.iter().map(|Standing { how, term, count, people }| {
        json!({ "how": how.as_str(), "term": term, "count": count, "people": people })
    });
    json!({ "audience": audience, "directory": directory, "groups": groups.collect::<Vec<_>>() })
}

/// How it ended, in one word, and what more there is to say of it.
fn ended(ending: &Ending) -> (&str, Option<&str>) {
    match ending {
        Ending::Routed => ("owed", None),
        Ending::Told => ("told", None),
        Ending::Not(reason) => (reason.as_str(), reason.code()),
        Ending::Answered(verb) => ("answered", Some(verb)),
        Ending::AnswerRefused(why) => ("answer_refused", Some(why)),
        Ending::Carried(Carried::Confirmed) => ("carried", None),
        Ending::Carried(Carried::Refused(why)) => ("carry_refused", Some(why)),
        Ending::Carried(Carried::Dead(why)) => ("carry_dead", Some(why)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::asked::How;
    use crate::event::record::Input;
    use crate::event::{Coordinates, Occasion, Reason, Source, Topic};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_767_605_124_005 + seconds * 1_000)
    }

    fn link() -> Link {
        Link {
            chain: "subject-3".to_owned(),
            seq: 41,
            prev: [0xab; 16],
            topology: 0xfeed,
            directory: vec![17, 4],
            receipts: vec![[1; 16], [0xff; 16]],
        }
    }

    fn verdict(ending: Ending) -> Verdict {
        let standing = |how, term: &str, people: &[&str]| Standing {
            how,
            term: term.to_owned(),
            count: u32::try_from(people.len()).unwrap(),
            people: people.iter().map(|person| (*person).to_owned()).collect(),
        };
        let groups = vec![
            standing(How::Named, "role:approver", &["ada", "ben"]),
            standing(How::Never, "person:cem", &["cem"]),
            Standing { count: 70_000, ..standing(How::Lacks, "location:Hamburg", &[]) },
        ];
        let audience = "role:approver && location:Hamburg never person:cem".to_owned();
        Verdict {
            at: at(0),
            tenant: "acme".to_owned(),
            event_id: "e-1".to_owned(),
            change: Coordinates { source: Source::Bws, partition: 2, offset: 9 },
            subject: Some("acme|bws|workspace=7".to_owned()),
            rule: Some("bw-1-item".to_owned()),
            occasion: Some(Occasion::Reminder(2)),
            ending,
            count: 2,
            people: vec!["ada".to_owned()],
            asked: Some(Arc::new(Asked { audience, directory: vec![16, 4], groups })),
        }
    }

    fn record(link: &Link, verdicts: &[Verdict]) -> Incoming {
        Incoming {
            input: Input { topic: Topic::Audit, partition: 3 },
            offset: 5,
            timestamp: at(1),
            key: None,
            value: Some(outputs::encode_verdicts(1, link, verdicts).into()),
            headers: Vec::new(),
        }
    }

    fn text(json: &Json) -> String {
        json.as_str().unwrap().to_owned()
    }

    fn texts(json: &Json) -> Vec<String> {
        json.as_array().unwrap().iter().map(text).collect()
    }

    fn number<T: TryFrom<i64>>(json: &Json) -> T
    where
        T::Error: std::fmt::Debug,
    {
        json.as_i64().unwrap().try_into().unwrap()
    }

    fn longs(json: &Json) -> Vec<i64> {
        json.as_array().unwrap().iter().map(number).collect()
    }

    fn digest(json: &Json) -> [u8; 16] {
        u128::from_str_radix(json.as_str().unwrap(), 16).unwrap().to_be_bytes()
    }

    /// A record as it can be made again of what was exported.
    fn made_of(lines: &[Json]) -> (Link, Vec<Verdict>) {
        let (receipts, verdicts): (Vec<&Json>, Vec<&Json>) =
            lines.iter().partition(|line| line.get("receipts").is_some());
        let of = |line: &Json| Link {
            chain: text(&line["chain"]),
            seq: number(&line["seq"]),
            prev: digest(&line["prev"]),
            topology: u64::from_str_radix(line["topology"].as_str().unwrap(), 16).unwrap(),
            directory: longs(&line["directory"]),
            receipts: receipts[0]["receipts"].as_array().unwrap().iter().map(digest).collect(),
        };
        let links: Vec<Link> = lines.iter().map(of).collect();
        assert!(links.windows(2).all(|pair| pair[0] == pair[1]), "{links:?}");
        (links[0].clone(), verdicts.into_iter().map(verdict_of).collect())
    }

    fn verdict_of(line: &Json) -> Verdict {
        let code = || text(&line["code"]);
        let word = text(&line["ending"]);
        let ending = match word.as_str() {
            "owed" => Ending::Routed,
            "told" => Ending::Told,
            "answered" => Ending::Answered(code()),
            "answer_refused" => Ending::AnswerRefused(code()),
            "carried" => Ending::Carried(Carried::Confirmed),
            "carry_refused" => Ending::Carried(Carried::Refused(code())),
            "carry_dead" => Ending::Carried(Carried::Dead(code())),
            "refused" => Ending::Not(Reason::Refused(code())),
            "merged" => Ending::Not(Reason::Merged(code())),
            word => Ending::Not(Reason::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap()),
        };
        let group = |group: &Json| Standing {
            how: How::ALL.into_iter().find(|how| how.as_str() == group["how"]).unwrap(),
            term: text(&group["term"]),
            count: number(&group["count"]),
            people: texts(&group["people"]),
        };
        let asked = Some(&line["asked"]).filter(|asked| !asked.is_null()).map(|asked| {
            Arc::new(Asked {
                audience: text(&asked["audience"]),
                directory: longs(&asked["directory"]),
                groups: asked["groups"].as_array().unwrap().iter().map(group).collect(),
            })
        });
        let occasions = [Occasion::First, Occasion::Reminder(2), Occasion::Closed];
        Verdict {
            at: text(&line["at"]).parse().unwrap(),
            tenant: text(&line["tenant"]),
            event_id: text(&line["event_id"]),
            change: Coordinates {
                source: text(&line["source"]).parse().unwrap(),
                partition: number(&line["partition"]),
                offset: number(&line["offset"]),
            },
            subject: line["subject"].as_str().map(str::to_owned),
            rule: line["rule"].as_str().map(str::to_owned),
            occasion: occasions.into_iter().find(|occasion| line["occasion"] == occasion.to_string()),
            ending,
            count: number(&line["count"]),
            people: texts(&line["people"]),
            asked,
        }
    }

    #[test]
    fn whatever_a_record_holds_is_exported_and_can_be_made_into_it_again() {
        let word = || "word".to_owned();
        let reasons = Reason::ALL.into_iter().map(|reason| match reason {
            Reason::Refused(_) => Reason::Refused(word()),
            Reason::Merged(_) => Reason::Merged(word()),
            other => other,
        });
        let endings = [
            Ending::Routed,
            Ending::Told,
            Ending::Answered(word()),
            Ending::AnswerRefused(word()),
            Ending::Carried(Carried::Confirmed),
            Ending::Carried(Carried::Refused(word())),
            Ending::Carried(Carried::Dead(word())),
        ];
        let mut verdicts: Vec<Verdict> =
            endings.into_iter().chain(reasons.map(Ending::Not)).map(verdict).collect();
        let bare = Verdict { subject: None, rule: None, occasion: None, asked: None, ..verdicts[0].clone() };
        verdicts.push(bare);
        let lines = ExportArgs::default().lines(&record(&link(), &verdicts), None).unwrap();
        assert_eq!(made_of(&lines), (link(), verdicts));
    }

    #[test]
    fn a_line_says_which_rules_which_directory_and_which_terms_decided() {
        let lines = ExportArgs::default().lines(&record(&link(), &[verdict(Ending::Routed)]), None).unwrap();
        insta::assert_snapshot!(lines[0].to_string(), @r#"{"asked":{"audience":"role:approver && location:Hamburg never person:cem","directory":[16,4],"groups":[{"count":2,"how":"named","people":["ada","ben"],"term":"role:approver"},{"count":1,"how":"never","people":["cem"],"term":"person:cem"},{"count":70000,"how":"lacks","people":[],"term":"location:Hamburg"}]},"at":"2026-01-05T09:25:24.005Z","chain":"subject-3","code":null,"count":2,"directory":[17,4],"ending":"owed","event_id":"e-1","occasion":"reminder-2","offset":9,"partition":2,"people":["ada"],"prev":"abababababababababababababababab","rule":"bw-1-item","seq":41,"source":"bws","subject":"acme|bws|workspace=7","tenant":"acme","topology":"000000000000feed"}"#);
        insta::assert_snapshot!(lines[1].to_string(), @r#"{"at":"2026-01-05T09:25:25.005Z","chain":"subject-3","directory":[17,4],"prev":"abababababababababababababababab","receipts":["01010101010101010101010101010101","ffffffffffffffffffffffffffffffff"],"seq":41,"topology":"000000000000feed"}"#);
    }

    #[test]
    fn what_is_asked_for_is_exported_and_nothing_else() {
        let (other, late) = (verdict(Ending::Told), verdict(Ending::Told));
        let verdicts = [
            Verdict { tenant: "beta".to_owned(), ..other },
            Verdict { at: at(60), ..late },
            verdict(Ending::Routed),
        ];
        let record = record(&link(), &verdicts);
        let lines = |from, to, tenant| {
            let lines = ExportArgs { from, to }.lines(&record, tenant).unwrap();
            lines
                .iter()
                .map(|line| line["ending"].as_str().unwrap_or("receipts").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(None, None, None), ["told", "told", "owed", "receipts"]);
        assert_eq!(lines(None, None, Some("beta")), ["told"]);
        assert_eq!(lines(Some(at(2)), None, None), ["told"]);
        assert_eq!(lines(None, Some(at(1)), Some("acme")), ["owed"]);
        let foreign = Incoming { value: Some(b"a verdict of my own".as_slice().into()), ..record.clone() };
        assert_eq!(ExportArgs::default().lines(&foreign, None), None);
    }
}

//! Outputs: verdicts and receipts as public Avro, written directly.
//!
//! Records of the audit topic form one hash chain per writer: each holds the digest of the one before,
//! so that a record changed, left out or put in shows.

use sha2::{Digest, Sha256};

use super::audited;
use super::fault::{Code, Fault};
use super::wire::{
    Cursor, FRAMING, put_count, put_framing, put_long, put_maybe_text, put_text, put_texts, schema_id,
};
use crate::event::receipt::{Accepted, Exception, Mark, Undelivered};
use crate::event::{Carried, Coordinates, Ending, Occasion, Reason, Receipt, Source, Timestamp, Verdict};

/// Where a record of the audit topic stands in its writer's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The writer: lane and input partition.
    pub chain: String,
    /// Its number in the chain, from 0, without gaps.
    pub seq: i64,
    /// [`digest`] of the record before; zeros in the first.
    pub prev: [u8; 16],
    /// The hash of the rules in force; 0 in records of versions that did not write it.
    pub topology: u64,
    /// How far the directory had been read when the transaction ended.
    pub directory: Vec<i64>,
    /// [`digest`] of each receipt of the same transaction.
    pub receipts: Vec<[u8; 16]>,
}

/// The first 16 bytes of the SHA-256 of a record's whole value.
#[must_use]
pub fn digest(value: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&Sha256::digest(value)[..16]);
    out
}

/// Writes a record of the audit topic, framed with a schema id.
#[must_use]
pub fn encode_verdicts(id: u32, link: &Link, verdicts: &[Verdict]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + verdicts.len() * 128);
    put_framing(&mut out, id);
    put_text(&mut out, &link.chain);
    put_long(&mut out, link.seq);
    out.extend_from_slice(&link.prev);
    if !verdicts.is_empty() {
        put_count(&mut out, verdicts.len());
    }
    for verdict in verdicts {
        put_verdict(&mut out, verdict);
    }
    out.push(0);
    out.extend_from_slice(&link.topology.to_be_bytes());
    put_longs(&mut out, &link.directory);
    audited::put(&mut out, verdicts, &link.directory);
    if !link.receipts.is_empty() {
        put_count(&mut out, link.receipts.len());
    }
    link.receipts.iter().for_each(|digest| out.extend_from_slice(digest));
    out.push(0);
    out
}

fn put_verdict(out: &mut Vec<u8>, verdict: &Verdict) {
    put_long(out, verdict.at.millis());
    put_text(out, &verdict.tenant);
    put_text(out, &verdict.event_id);
    put_long(out, source_index(verdict.change.source));
    put_long(out, i64::from(verdict.change.partition));
    put_long(out, verdict.change.offset);
    put_maybe_text(out, verdict.subject.as_deref());
    put_maybe_text(out, verdict.rule.as_deref());
    match verdict.occasion {
        None => put_long(out, 0),
        Some(Occasion::First) => put_maybe_text(out, Some("first")),
        Some(occasion) => put_maybe_text(out, Some(&occasion.to_string())),
    }
    let (ending, reason) = match &verdict.ending {
        Ending::Routed => (0, None),
        Ending::Told => (1, None),
        Ending::Not(reason) => (2, Some(reason)),
        Ending::Answered(_) => (3, None),
        Ending::AnswerRefused(_) => (4, None),
        Ending::Carried(Carried::Confirmed) => (5, None),
        Ending::Carried(Carried::Refused(_)) => (6, None),
        Ending::Carried(Carried::Dead(_)) => (7, None),
    };
    put_long(out, ending);
    match reason {
        None => put_long(out, 0),
        Some(reason) => {
            put_long(out, 1);
            put_long(out, reason_index(reason));
        }
    }
    let word = match &verdict.ending {
        Ending::Answered(word)
        | Ending::AnswerRefused(word)
        | Ending::Carried(Carried::Refused(word) | Carried::Dead(word)) => Some(word.as_str()),
        _ => reason.and_then(Reason::code),
    };
    put_maybe_text(out, word);
    put_long(out, i64::from(verdict.count));
    put_texts(out, &verdict.people);
}

/// Reads a record of the audit topic.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_verdicts(value: &[u8]) -> Result<(Link, Vec<Verdict>), Fault> {
    decode(value, |cursor| {
        let chain = cursor.text()?.to_owned();
        let seq = cursor.long()?;
        let prev = cursor.take(16)?.try_into().map_err(|_| Code::Truncated)?;
        let mut verdicts = Vec::new();
        cursor.blocks(LEAST_VERDICT, |cursor| {
            verdicts.push(verdict(cursor)?);
            Ok(())
        })?;
        let mut link = Link { chain, seq, prev, ..Link::default() };
        // A record of a version before has nothing behind its verdicts.
        if cursor.left() > 0 {
            link.topology = u64::from_be_bytes(cursor.take(8)?.try_into().map_err(|_| Code::Truncated)?);
            link.directory = longs(cursor)?;
            audited::read(cursor, &mut verdicts, &link.directory)?;
        }
        // Receipts are named since a version later.
        if cursor.left() > 0 {
            cursor.blocks(DIGEST, |cursor| {
                link.receipts.push(cursor.take(DIGEST)?.try_into().map_err(|_| Code::Truncated)?);
                Ok(())
            })?;
        }
        Ok((link, verdicts))
    })
}

/// The bytes of a digest.
const DIGEST: usize = 16;
/// The bytes by which a receipt names a notice.
const NOTICE: usize = 8;
/// The fewest bytes of a verdict: its fields.
const LEAST_VERDICT: usize = 14;

fn verdict(cursor: &mut Cursor<'_>) -> Result<Verdict, Code> {
    let at = Timestamp::from_millis(cursor.long()?);
    let (tenant, event_id) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
    let source = Source::ALL[cursor.index(Source::ALL.len(), Code::BadEnum)?];
    let partition = i32::try_from(cursor.int()?).map_err(|_| Code::BadVarint)?;
    let change = Coordinates { source, partition, offset: cursor.long()? };
    let (subject, rule) = (maybe_text(cursor)?, maybe_text(cursor)?);
    let occasion = maybe_text(cursor)?.map(|text| occasion(&text)).transpose()?;
    let ending = cursor.index(8, Code::BadEnum)?;
    let reason = match cursor.index(2, Code::BadUnion)? {
        0 => None,
        _ => Some(cursor.index(REASONS.len(), Code::BadEnum)?),
    };
    let code = maybe_text(cursor)?;
    let ending = match (ending, reason) {
        (0, None) => Ending::Routed,
        (1, None) => Ending::Told,
        (2, Some(reason)) => Ending::Not(reason_of(reason, code)),
        (3, None) => Ending::Answered(code.unwrap_or_default()),
        (4, None) => Ending::AnswerRefused(code.unwrap_or_default()),
        (5, None) => Ending::Carried(Carried::Confirmed),
        (6, None) => Ending::Carried(Carried::Refused(code.unwrap_or_default())),
        (7, None) => Ending::Carried(Carried::Dead(code.unwrap_or_default())),
        _ => return Err(Code::BadEnum),
    };
    let count = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
    let people = texts(cursor)?;
    Ok(Verdict { at, tenant, event_id, change, subject, rule, occasion, ending, count, people, asked: None })
}

/// Writes a receipt, framed with a schema id.
#[must_use]
pub fn encode_receipt(id: u32, receipt: &Receipt) -> Vec<u8> {
    let mut out = Vec::with_capacity(160 + receipt.exceptions.len() * 64);
    put_framing(&mut out, id);
    for text in [&receipt.message_id, &receipt.tenant, &receipt.account, &receipt.rule] {
        put_text(&mut out, text);
    }
    put_long(&mut out, receipt.at.millis());
    put_maybe_text(&mut out, receipt.job_id.as_deref());
    put_long(&mut out, i64::from(receipt.told));
    if !receipt.exceptions.is_empty() {
        put_count(&mut out, receipt.exceptions.len());
    }
    for exception in &receipt.exceptions {
        put_text(&mut out, &exception.user_id);
        put_text(&mut out, &exception.notice.to_string());
        put_long(&mut out, reason_index(&exception.reason));
        put_maybe_text(&mut out, exception.reason.code());
    }
    out.push(0);
    put_long(&mut out, i64::from(receipt.again));
    put_long(&mut out, i64::from(receipt.delivered));
    if !receipt.undelivered.is_empty() {
        put_count(&mut out, receipt.undelivered.len());
    }
    for push in &receipt.undelivered {
        put_text(&mut out, &push.user_id);
        put_text(&mut out, &push.reference);
        put_long(
            &mut out,
            Mark::ALL.iter().zip(0..).find(|(mark, _)| **mark == push.mark).map_or(0, |(_, at)| at),
        );
        put_text(&mut out, &push.code);
    }
    out.push(0);
    if !receipt.notices.is_empty() {
        put_count(&mut out, receipt.notices.len());
    }
    for accepted in &receipt.notices {
        out.extend_from_slice(&accepted.notice.to_be_bytes());
        put_long(&mut out, i64::from(accepted.told));
    }
    out.push(0);
    out
}

/// Reads a receipt.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_receipt(value: &[u8]) -> Result<Receipt, Fault> {
    decode(value, |cursor| {
        let (message_id, tenant) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
        let (account, rule) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
        let at = Timestamp::from_millis(cursor.long()?);
        let job_id = maybe_text(cursor)?;
        let told = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
        let mut exceptions = Vec::new();
        cursor.blocks(4, |cursor| {
            let user_id = cursor.text()?.to_owned();
            let notice = cursor.text()?.parse().map_err(|_| Code::BadNumber)?;
            let reason = cursor.index(REASONS.len(), Code::BadEnum)?;
            let reason = reason_of(reason, maybe_text(cursor)?);
            exceptions.push(Exception { user_id, notice, reason });
            Ok(())
        })?;
        let receipt =
            Receipt { message_id, tenant, account, rule, at, job_id, told, exceptions, ..Receipt::default() };
        // Those of before say nothing of what comes after.
        if cursor.left() == 0 { Ok(receipt) } else { marks(cursor, receipt) }
    })
}

/// What a receipt says of later.
fn marks(cursor: &mut Cursor<'_>, receipt: Receipt) -> Result<Receipt, Code> {
    let again = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
    let delivered = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
    let mut undelivered = Vec::new();
    cursor.blocks(4, |cursor| {
        let (user_id, reference) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
        let mark = Mark::ALL[cursor.index(Mark::ALL.len(), Code::BadEnum)?];
        undelivered.push(Undelivered { user_id, reference, mark, code: cursor.text()?.to_owned() });
        Ok(())
    })?;
    let receipt = Receipt { again, delivered, undelivered, ..receipt };
    // And a version later said nothing of notices.
    if cursor.left() == 0 { Ok(receipt) } else { notices(cursor, receipt) }
}

/// Which notices a receipt is of.
fn notices(cursor: &mut Cursor<'_>, mut receipt: Receipt) -> Result<Receipt, Code> {
    cursor.blocks(NOTICE + 1, |cursor| {
        let notice = u64::from_be_bytes(cursor.take(NOTICE)?.try_into().map_err(|_| Code::Truncated)?);
        let told = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
        receipt.notices.push(Accepted { notice, told });
        Ok(())
    })?;
    Ok(receipt)
}

pub(super) fn decode<T, F>(value: &[u8], body: F) -> Result<T, Fault>
where
    F: FnOnce(&mut Cursor<'_>) -> Result<T, Code>,
{
    schema_id(value).map_err(|code| Fault::new(code, ""))?;
    let mut cursor = Cursor::new(value, FRAMING);
    let read = body(&mut cursor).map_err(|code| Fault::new(code, format!("at byte {}", cursor.at())))?;
    match cursor.left() {
        0 => Ok(read),
        left => Err(Fault::new(Code::TrailingBytes, format!("{left} bytes after the last field"))),
    }
}

pub(super) fn maybe_text(cursor: &mut Cursor<'_>) -> Result<Option<String>, Code> {
    match cursor.index(2, Code::BadUnion)? {
        0 => Ok(None),
        _ => Ok(Some(cursor.text()?.to_owned())),
    }
}

pub(super) fn put_longs(out: &mut Vec<u8>, longs: &[i64]) {
    if !longs.is_empty() {
        put_count(out, longs.len());
    }
    longs.iter().for_each(|long| put_long(out, *long));
    out.push(0);
}

pub(super) fn longs(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, Code> {
    let mut longs = Vec::new();
    cursor.blocks(1, |cursor| {
        longs.push(cursor.long()?);
        Ok(())
    })?;
    Ok(longs)
}

pub(super) fn texts(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Code> {
    let mut texts = Vec::new();
    cursor.blocks(1, |cursor| {
        texts.push(cursor.text()?.to_owned());
        Ok(())
    })?;
    Ok(texts)
}

pub(super) fn occasion(text: &str) -> Result<Occasion, Code> {
    let number = |digits: &str| digits.parse().map_err(|_| Code::BadEnum);
    match text.split_once('-') {
        None if text == "first" => Ok(Occasion::First),
        None if text == "closed" => Ok(Occasion::Closed),
        Some(("reminder", digits)) => Ok(Occasion::Reminder(number(digits)?)),
        Some(("step", digits)) => Ok(Occasion::Step(number(digits)?)),
        _ => Err(Code::BadEnum),
    }
}

pub(super) fn source_index(source: Source) -> i64 {
    match source {
        Source::XConnector => 0,
        Source::Xecm => 1,
        Source::Bws => 2,
        Source::DevAdmin => 3,
    }
}

/// The symbols of `Reason` in the schema. [`Reason::Refused`] carries its code beside it.
const REASONS: [Reason; 22] = [
    Reason::Duplicate,
    Reason::Unmatched,
    Reason::Merged(String::new()),
    Reason::Grouped,
    Reason::Inhibited,
    Reason::Silenced,
    Reason::QuietHours,
    Reason::Preference,
    Reason::Capped,
    Reason::Expired,
    Reason::Overtaken,
    Reason::LeftAudience,
    Reason::AlreadyClosed,
    Reason::RuleRemoved,
    Reason::PlaceholderEmpty,
    Reason::Nobody,
    Reason::NoChannel,
    Reason::NoDevice,
    Reason::AccountBlocked,
    Reason::Refused(String::new()),
    Reason::TooLarge,
    Reason::Unknown,
];

fn reason_index(reason: &Reason) -> i64 {
    let same = |known: &Reason| std::mem::discriminant(known) == std::mem::discriminant(reason);
    // A reason the schema has no symbol for yet is told as the last one, `unknown`.
    let index = REASONS.iter().position(same).unwrap_or(REASONS.len() - 1);
    i64::try_from(index).unwrap_or_default()
}

fn reason_of(index: usize, code: Option<String>) -> Reason {
    match &REASONS[index] {
        Reason::Refused(_) => Reason::Refused(code.unwrap_or_default()),
        Reason::Merged(_) => Reason::Merged(code.unwrap_or_default()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use apache_avro::Schema;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{Name, Schemas};
    use crate::event::Asked;
    use crate::event::asked::{How, Standing};

    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::built_in);

    fn theirs(name: Name, bytes: &[u8]) -> Value {
        let schema = SCHEMAS.schema(name);
        let mut body = &bytes[FRAMING..];
        let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut body).unwrap();
        assert!(body.is_empty(), "they read it whole");
        value
    }

    fn field<'v>(value: &'v Value, name: &str) -> &'v Value {
        let Value::Record(fields) = value else { panic!("not a record: {value:?}") };
        match &fields.iter().find(|(field, _)| field == name).unwrap().1 {
            Value::Union(_, value) => value,
            value => value,
        }
    }

    fn maybe() -> impl Strategy<Value = Option<String>> {
        prop::option::of(".{0,12}")
    }

    fn reason() -> impl Strategy<Value = Reason> {
        (0..REASONS.len(), "[a-z-]{1,12}").prop_map(|(index, code)| reason_of(index, Some(code)))
    }

    prop_compose! {
        fn verdict()(
            at in any::<i64>(), texts in (".{0,9}", ".{0,30}"), source in 0..4usize, place in any::<(i32, i64)>(),
            maybe in (maybe(), maybe()),
            occasion in prop::option::of((0..4u8, any::<u16>())),
            ending in (0..8u8, reason(), "[a-z-]{0,9}"), count in any::<u32>(), people in prop::collection::vec(".{0,9}", 0..3),
        ) -> Verdict {
            Verdict {
                at: Timestamp::from_millis(at), tenant: texts.0, event_id: texts.1,
                change: Coordinates { source: Source::ALL[source], partition: place.0, offset: place.1 },
                subject: maybe.0, rule: maybe.1,
                occasion: occasion.map(|(which, n)| match which {
                    0 => Occasion::First, 1 => Occasion::Reminder(n), 2 => Occasion::Step(n), _ => Occasion::Closed,
                }),
                ending: match ending {
                    (0, ..) => Ending::Routed, (1, ..) => Ending::Told, (2, why, _) => Ending::Not(why),
                    (3, _, word) => Ending::Answered(word), (4, _, word) => Ending::AnswerRefused(word),
                    (5, ..) => Ending::Carried(Carried::Confirmed),
                    (6, _, word) => Ending::Carried(Carried::Refused(word)),
                    (_, _, word) => Ending::Carried(Carried::Dead(word)),
                },
                count, people, asked: None,
            }
        }
    }

    prop_compose! {
        fn asked()(
            audience in ".{0,9}", directory in prop::collection::vec(any::<i64>(), 1..3),
            groups in prop::collection::vec((0..How::ALL.len(), ".{0,9}", any::<u32>(), prop::collection::vec(".{0,9}", 0..3)), 0..3),
        ) -> Arc<Asked> {
            let groups = groups.into_iter();
            let group = |(how, term, count, people)| Standing { how: How::ALL[how], term, count, people };
            Arc::new(Asked { audience, directory, groups: groups.map(group).collect() })
        }
    }

    proptest! {
        #[test]
        fn verdicts_are_read_as_written_and_by_others_too(
            verdicts in prop::collection::vec((verdict(), prop::option::of(0..2usize)), 0..4), shared in [asked(), asked()],
            seq in any::<i64>(), prev in any::<[u8; 16]>(), topology in any::<u64>(), directory in prop::collection::vec(any::<i64>(), 1..3),
        ) {
            let verdicts: Vec<Verdict> = verdicts
                .into_iter()
                .map(|(verdict, at)| Verdict { asked: at.map(|at| Arc::clone(&shared[at])), ..verdict })
                .collect();
            let receipts = vec![prev; usize::from(prev[0] % 3)];
            let link = Link { chain: "subject-3".into(), seq, prev, topology, directory, receipts };
            let bytes = encode_verdicts(7, &link, &verdicts);
            let theirs = theirs(Name::Verdict, &bytes);
            let Value::Array(items) = field(&theirs, "verdicts") else { panic!("no list") };
            prop_assert_eq!(field(&theirs, "prev"), &Value::Fixed(16, prev.to_vec()));
            for (item, verdict) in items.iter().zip(&verdicts) {
                prop_assert_eq!(field(item, "event_id"), &Value::String(verdict.event_id.clone()));
                if let Ending::Not(reason) = &verdict.ending {
                    let Value::Enum(_, word) = field(item, "reason") else { panic!("no reason") };
                    prop_assert_eq!(word, reason.as_str());
                }
            }
            let apart: std::collections::BTreeSet<_> = verdicts.iter().filter_map(|verdict| verdict.asked.as_ref().map(Arc::as_ptr)).collect();
            let Value::Array(answers) = field(&theirs, "asked") else { panic!("no list") };
            prop_assert_eq!(answers.len(), apart.len(), "each answer is written once");
            let Value::Array(receipts) = field(&theirs, "receipts") else { panic!("no list") };
            prop_assert_eq!(receipts.len(), link.receipts.len());
            prop_assert_eq!(decode_verdicts(&bytes).unwrap(), (link, verdicts));
        }

        #[test]
        fn a_receipt_is_read_as_written_and_by_others_too(
            texts in (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}"), at in any::<i64>(), job_id in maybe(), told in any::<u32>(),
            exceptions in prop::collection::vec((".{0,9}", any::<u128>(), reason()), 0..4),
            later in (any::<u32>(), any::<u32>()), marks in prop::collection::vec((".{0,9}", 0..Mark::ALL.len(), ".{0,9}"), 0..4),
        ) {
            let undelivered = marks.into_iter().map(|(user_id, mark, code)| {
                Undelivered { reference: format!("d-{user_id}"), user_id, mark: Mark::ALL[mark], code }
            });
            let exceptions = exceptions.into_iter();
            let exceptions = exceptions.map(|(user_id, notice, reason)| Exception { user_id, notice: crate::event::NoticeId(notice), reason });
            let receipt = Receipt {
                message_id: texts.0, tenant: texts.1, account: texts.2, rule: texts.3,
                at: Timestamp::from_millis(at), job_id, told, exceptions: exceptions.collect(),
                again: later.0, delivered: later.1, undelivered: undelivered.collect(),
                notices: vec![Accepted { notice: u64::from(told) << 32, told }; (told % 3) as usize],
            };
            let bytes = encode_receipt(9, &receipt);
            let theirs = theirs(Name::Receipt, &bytes);
            prop_assert_eq!(field(&theirs, "told"), &Value::Long(told.into()));
            let Value::Array(notices) = field(&theirs, "notices") else { panic!("no list") };
            prop_assert_eq!(notices.len(), receipt.notices.len());
            prop_assert_eq!(decode_receipt(&bytes).unwrap(), receipt);
        }
    }

    #[test]
    fn a_receipt_of_before_says_nothing_of_what_comes_after() {
        let receipt = Receipt { message_id: "b-1".into(), told: 2, ..Receipt::default() };
        let bytes = encode_receipt(9, &receipt);
        for later in [1, 4] {
            assert_eq!(decode_receipt(&bytes[..bytes.len() - later]).unwrap(), receipt);
        }
    }

    #[test]
    fn the_reasons_stand_in_the_order_of_the_schema() {
        let Schema::Record(receipt) = Schema::parse_str(Schemas::built_in().text(Name::Receipt)).unwrap()
        else {
            panic!("not a record")
        };
        let mut names = std::collections::HashMap::new();
        let receipt = Schema::Record(receipt);
        crate::codec::reader::collect(&receipt, &mut names);
        let Schema::Enum(symbols) = names["com.opentext.bugle.Reason"] else { panic!("not an enum") };
        assert_eq!(symbols.symbols, REASONS.iter().map(Reason::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_changed_or_cut_no_longer_fits_its_chain() {
        let first = encode_verdicts(7, &Link { chain: "source-0".into(), ..Link::default() }, &[]);
        let next = Link { seq: 1, prev: digest(&first), ..Link::default() };
        let mut forged = first.clone();
        forged[10] ^= 1;
        assert_ne!(digest(&forged), next.prev);
        // There records of versions before end: eight bytes and two lists, and later one list, were not written then.
        let before = [first.len() - 11, first.len() - 1];
        for end in (0..first.len()).filter(|end| !before.contains(end)) {
            assert!(decode_verdicts(&first[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_record_of_a_version_before_is_still_read() {
        let link = Link { chain: "person-1".into(), seq: 4, ..Link::default() };
        let bytes = encode_verdicts(7, &link, &[]);
        for later in [1, 11] {
            assert_eq!(decode_verdicts(&bytes[..bytes.len() - later]), Ok((link.clone(), Vec::new())));
        }
    }

    #[test]
    fn how_people_stand_is_told_in_the_order_of_the_schema() {
        let schema = Schema::parse_str(Schemas::built_in().text(Name::Verdict)).unwrap();
        let mut names = std::collections::HashMap::new();
        crate::codec::reader::collect(&schema, &mut names);
        let Schema::Enum(how) = names["com.opentext.bugle.How"] else { panic!("not an enum") };
        assert_eq!(how.symbols, How::ALL.map(How::as_str));
    }
}

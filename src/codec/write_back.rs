//! Write-back: an answer to carry out as public Avro, written and read directly.

use std::collections::BTreeMap;

use super::fault::{Code, Fault};
use super::outputs::{decode, maybe_text, occasion, source_index};
use super::wire::{Cursor, put_count, put_framing, put_long, put_maybe_text, put_text};
use crate::event::answer::{Proof, VerifiedBy};
use crate::event::notice::Verb;
use crate::event::write_back::{Entity, WriteBack};
use crate::event::{Source, Timestamp};

/// Writes an answer to carry out, framed with a schema id.
#[must_use]
pub fn encode(id: u32, answer: &WriteBack) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put_framing(&mut out, id);
    put_text(&mut out, &answer.response_id);
    put_text(&mut out, &format!("{:032x}", answer.conversation));
    put_text(&mut out, &answer.occasion.to_string());
    put_text(&mut out, &answer.tenant);
    put_long(&mut out, source_index(answer.source));
    for text in [&answer.event_id, &answer.rule, &answer.subject] {
        put_text(&mut out, text);
    }
    let entity = &answer.entity;
    put_text(&mut out, &entity.kind);
    put_text(&mut out, &entity.id);
    for text in [&entity.version, &entity.name, &entity.url] {
        put_maybe_text(&mut out, text.as_deref());
    }
    put_maybe_text(&mut out, answer.action_ref.as_deref());
    put_count(&mut out, Verb::ALL.iter().position(|verb| *verb == answer.verb).unwrap_or_default());
    put_maybe_text(&mut out, answer.comment.as_deref());
    put_text(&mut out, &answer.responder);
    put_maybe_text(&mut out, answer.proof.client_id.as_deref());
    let by = VerifiedBy::ALL.iter().zip(0..).find(|(by, _)| **by == answer.proof.verified_by);
    put_long(&mut out, by.map_or(0, |(_, at)| at));
    put_long(&mut out, answer.responded_at.millis());
    put_map(&mut out, &answer.target);
    put_map(&mut out, &answer.set);
    out
}

fn put_map(out: &mut Vec<u8>, map: &BTreeMap<String, String>) {
    if !map.is_empty() {
        put_count(out, map.len());
    }
    for (name, value) in map {
        put_text(out, name);
        put_text(out, value);
    }
    out.push(0);
}

/// Reads an answer to carry out.
///
/// # Errors
/// What is wrong with the bytes.
pub fn read(value: &[u8]) -> Result<WriteBack, Fault> {
    decode(value, |cursor| {
        let text = |cursor: &mut Cursor<'_>| Ok::<_, Code>(cursor.text()?.to_owned());
        let response_id = text(cursor)?;
        let conversation = u128::from_str_radix(cursor.text()?, 16).map_err(|_| Code::BadNumber)?;
        let occasion = occasion(cursor.text()?)?;
        let tenant = text(cursor)?;
        let source = Source::ALL[cursor.index(Source::ALL.len(), Code::BadEnum)?];
        let (event_id, rule, subject) = (text(cursor)?, text(cursor)?, text(cursor)?);
        let entity = Entity {
            kind: text(cursor)?,
            id: text(cursor)?,
            version: maybe_text(cursor)?,
            name: maybe_text(cursor)?,
            url: maybe_text(cursor)?,
        };
        let action_ref = maybe_text(cursor)?;
        let verb = Verb::ALL[cursor.index(Verb::ALL.len(), Code::BadEnum)?];
        let comment = maybe_text(cursor)?;
        let responder = text(cursor)?;
        let client_id = maybe_text(cursor)?;
        let verified_by = VerifiedBy::ALL[cursor.index(VerifiedBy::ALL.len(), Code::BadEnum)?];
        let responded_at = Timestamp::from_millis(cursor.long()?);
        let (target, set) = (map(cursor)?, map(cursor)?);
        Ok(WriteBack {
            response_id,
            conversation,
            occasion,
            tenant,
            source,
            event_id,
            rule,
            subject,
            entity,
            action_ref,
            verb,
            comment,
            responder,
            proof: Proof { verified_by, client_id },
            responded_at,
            target,
            set,
        })
    })
}

fn map(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>, Code> {
    let mut map = BTreeMap::new();
    cursor.blocks(2, |cursor| {
        map.insert(cursor.text()?.to_owned(), cursor.text()?.to_owned());
        Ok(())
    })?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;

    use super::super::wire::FRAMING;
    use super::*;
    use crate::codec::{Name, Schemas};
    use crate::event::write_back::tests::approval;

    #[test]
    fn an_answer_to_carry_out_is_read_as_written_and_by_others_too() {
        let schemas = Schemas::built_in();
        for (verb, verified_by) in Verb::ALL.into_iter().zip(VerifiedBy::ALL.into_iter().cycle()) {
            let proof = Proof { verified_by, client_id: Some("c-1".to_owned()) };
            let mut answer = WriteBack { verb, proof, ..approval("r-1") };
            answer.entity.version = Some("3".to_owned());
            let bytes = encode(7, &answer);
            let mut body = &bytes[FRAMING..];
            let reader = GenericDatumReader::builder(schemas.schema(Name::WriteBack)).build().unwrap();
            let Value::Record(fields) = reader.read_value(&mut body).unwrap() else { panic!("no record") };
            assert!(body.is_empty(), "they read it whole");
            let field = |name: &str| fields.iter().find(|(field, _)| field == name).unwrap().1.clone();
            assert_eq!(field("response_id"), Value::String("r-1".to_owned()));
            assert!(matches!(field("decision"), Value::Enum(_, word) if word == verb.as_str()));
            let Value::Record(responder) = field("responder") else { panic!("no record") };
            let by = &responder.iter().find(|(field, _)| field == "verified_by").unwrap().1;
            assert!(matches!(by, Value::Enum(_, word) if word == verified_by.as_str()));
            let Value::Map(set) = field("set") else { panic!("no map") };
            assert_eq!(set["custom_action"], Value::String("approve".to_owned()));
            assert_eq!(read(&bytes).unwrap(), answer);
        }
        let bytes = encode(7, &approval("r-1"));
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}

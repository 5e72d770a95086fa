//! Audited: whom the verdicts of an audit record were asked for, each answer once however many verdicts share it.

use std::sync::Arc;

use hashbrown::HashMap;

use super::fault::Code;
use super::outputs::{longs, put_longs, texts};
use super::wire::{Cursor, put_count, put_long, put_text, put_texts};
use crate::event::asked::{How, Standing};
use crate::event::{Asked, Verdict};

/// The fewest bytes of an answer, and of a group of it.
const LEAST_ASKED: usize = 4;
const LEAST_GROUP: usize = 4;

/// Writes the answers of a record's verdicts; where the directory stood as the record says, it is not repeated.
pub(super) fn put(out: &mut Vec<u8>, verdicts: &[Verdict], directory: &[i64]) {
    let mut by_answer: HashMap<*const Asked, usize> = HashMap::new();
    let mut answers: Vec<(&Asked, Vec<usize>)> = Vec::new();
    for (place, verdict) in verdicts.iter().enumerate() {
        let Some(asked) = &verdict.asked else { continue };
        let at = *by_answer.entry(Arc::as_ptr(asked)).or_insert_with(|| {
            answers.push((asked, Vec::new()));
            answers.len() - 1
        });
        answers[at].1.push(place);
    }
    if !answers.is_empty() {
        put_count(out, answers.len());
    }
    for (asked, places) in &answers {
        put_text(out, &asked.audience);
        put_longs(out, if asked.directory == directory { &[] } else { &asked.directory });
        put_count(out, places.len());
        places.iter().for_each(|place| put_long(out, i64::try_from(*place).unwrap_or(i64::MAX)));
        out.push(0);
        if !asked.groups.is_empty() {
            put_count(out, asked.groups.len());
        }
        for group in &asked.groups {
            let how = How::ALL.iter().position(|how| *how == group.how).unwrap_or_default();
            put_long(out, i64::try_from(how).unwrap_or_default());
            put_text(out, &group.term);
            put_long(out, i64::from(group.count));
            put_texts(out, &group.people);
        }
        out.push(0);
    }
    out.push(0);
}

/// Reads them and gives each verdict its own.
pub(super) fn read(cursor: &mut Cursor<'_>, verdicts: &mut [Verdict], directory: &[i64]) -> Result<(), Code> {
    cursor.blocks(LEAST_ASKED, |cursor| {
        let audience = cursor.text()?.to_owned();
        let own = longs(cursor)?;
        let places = longs(cursor)?;
        let mut groups = Vec::new();
        cursor.blocks(LEAST_GROUP, |cursor| {
            let how = How::ALL[cursor.index(How::ALL.len(), Code::BadEnum)?];
            let term = cursor.text()?.to_owned();
            let count = u32::try_from(cursor.long()?).map_err(|_| Code::BadNumber)?;
            groups.push(Standing { how, term, count, people: texts(cursor)? });
            Ok(())
        })?;
        let directory = if own.is_empty() { directory.to_vec() } else { own };
        let asked = Arc::new(Asked { audience, directory, groups });
        for place in places {
            let place = usize::try_from(place).map_err(|_| Code::BadNumber)?;
            verdicts.get_mut(place).ok_or(Code::BadNumber)?.asked = Some(Arc::clone(&asked));
        }
        Ok(())
    })
}

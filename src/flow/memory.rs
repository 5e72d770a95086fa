//! Memory: what a lane remembers, written down beside the offset it belongs to.
//!
//! Each transaction writes what it came to know to the memory topic of its partition, together with the
//! lane's position. The log is read back before a partition runs, and expires with what it says: it is
//! never compacted, for an id is written once.
//!
//! Layout of a page: version byte, four bytes of how many entries (little endian, so that a page cut short
//! is never taken for a shorter one), the place of the lane, then for each entry 16 bytes of key, when it was
//! heard and until when it counts, the two times as differences to the entry before: about 20 bytes an id.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::event::{Incoming, Span, Timestamp, Topic};

use super::{Cursor, Outbox};

/// The format this version writes; of a later one it reads nothing.
const VERSION: u8 = 1;
/// A page leaves when it is this large.
const MOST_PAGE_BYTES: usize = 256 * 1024;

/// One thing remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// What it is known by.
    pub key: u128,
    /// When it was heard.
    pub at: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
}

/// Where the lane was when it had remembered this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place<'a> {
    offset: i64,
    note: &'a str,
}

/// What one transaction, or part of one, came to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'a> {
    /// The offset committed with it.
    pub offset: i64,
    /// The cursor committed with it.
    pub cursor: Cursor,
    count: u32,
    entries: &'a [u8],
}

/// Why memory cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenMemory {
    /// Written by a later version.
    #[error(
        "it has format version {0}, which this version of Bugle does not know; run the version that wrote it, or a later one"
    )]
    Version(u8),
    /// Cut short or damaged.
    #[error("it is damaged")]
    Damaged,
}

/// Writes what a transaction came to know, and where the lane is now.
pub fn write(
    topic: Topic,
    partition: i32,
    position: (i64, &Cursor),
    entries: impl Iterator<Item = Remembered>,
    out: &mut Outbox,
) {
    let (offset, cursor) = position;
    let note = cursor.note(offset);
    let head = Place { offset, note: &note };
    let head =
        postcard::to_extend(&head, vec![VERSION, 0, 0, 0, 0]).expect("a place has nothing postcard refuses");
    let (mut page, mut count, mut before) = (head.clone(), 0_u32, START);
    for Remembered { key, at, until } in entries {
        if page.len() >= MOST_PAGE_BYTES {
            out.write(topic, partition, None, counted(std::mem::replace(&mut page, head.clone()), count));
            (count, before) = (0, START);
        }
        count += 1;
        page.extend_from_slice(&key.to_le_bytes());
        let times = (at.since(before.0).millis(), until.since(before.1).millis());
        page = postcard::to_extend(&times, page).expect("two numbers are nothing postcard refuses");
        before = (at, until);
    }
    out.write(topic, partition, None, counted(page, count));
}

/// The key under which a compacted log keeps where the lane was when it last wrote there.
pub(super) const PLACE_KEY: &[u8] = b"place";

/// Writes where the lane is, over where it was before.
pub fn write_place(topic: Topic, partition: i32, (offset, cursor): (i64, &Cursor), out: &mut Outbox) {
    let note = cursor.note(offset);
    let head = Place { offset, note: &note };
    let page =
        postcard::to_extend(&head, vec![VERSION, 0, 0, 0, 0]).expect("a place has nothing postcard refuses");
    out.write(topic, partition, Some(Bytes::from_static(PLACE_KEY)), page);
}

/// What a record of memory says of itself, whichever lane it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gist {
    /// The transaction up to which everything was read with it, where it says so.
    pub sequence: Option<u64>,
    /// Whether it says anything beside that.
    pub is_empty: bool,
    /// The newest time it tells of.
    pub newest: Timestamp,
    /// Until when anything in it counts.
    pub until: Timestamp,
}

impl Gist {
    /// Reads a record of a memory topic.
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn of(record: &Incoming) -> Result<Self, BrokenMemory> {
        let state = record.input.topic.is_state();
        // For as long as nothing else is said under its key.
        let until = if state { Timestamp::from_millis(i64::MAX) } else { START.1 };
        let mut gist = Self { sequence: None, is_empty: true, newest: START.0, until };
        if state && record.key.as_deref() != Some(PLACE_KEY) {
            return Ok(Self { is_empty: record.value.is_none(), ..gist });
        }
        let page = Page::read(record.value.as_deref().unwrap_or_default())?;
        gist.sequence = Some(page.cursor.sequence);
        for entry in page.entries() {
            let Remembered { at, until, .. } = entry?;
            (gist.is_empty, gist.newest) = (false, gist.newest.max(at));
            gist.until = gist.until.max(until);
        }
        Ok(gist)
    }
}

/// What the times of a page's first entry are told from.
const START: (Timestamp, Timestamp) = (Timestamp::from_millis(0), Timestamp::from_millis(0));

fn counted(mut page: Vec<u8>, count: u32) -> Vec<u8> {
    if let Some(place) = page.get_mut(1..5) {
        place.copy_from_slice(&count.to_le_bytes());
    }
    page
}

// === impl Page ===

impl<'a> Page<'a> {
    /// Reads a page in place. Its entries are read by [`Page::entries`].
    ///
    /// # Errors
    /// [`BrokenMemory`].
    pub fn read(page: &'a [u8]) -> Result<Self, BrokenMemory> {
        let (version, rest) = page.split_first().ok_or(BrokenMemory::Damaged)?;
        if *version != VERSION {
            return Err(BrokenMemory::Version(*version));
        }
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(BrokenMemory::Damaged)?;
        let (Place { offset, note }, entries) =
            postcard::take_from_bytes(rest).map_err(|_| BrokenMemory::Damaged)?;
        let cursor = Cursor::parse(note, offset).map_err(|_| BrokenMemory::Damaged)?;
        Ok(Self { offset, cursor, count: u32::from_le_bytes(*count), entries })
    }

    /// What it says was remembered, in the order it was heard.
    pub fn entries(&self) -> impl Iterator<Item = Result<Remembered, BrokenMemory>> + use<'a> {
        let (mut rest, mut owed, mut before) = (self.entries, self.count, START);
        std::iter::from_fn(move || {
            if owed == 0 && rest.is_empty() {
                return None;
            }
            match next(rest, before).filter(|_| owed > 0) {
                Some((entry, left)) => {
                    (rest, owed, before) = (left, owed - 1, (entry.at, entry.until));
                    Some(Ok(entry))
                }
                None => {
                    (rest, owed) = (&[], 0);
                    Some(Err(BrokenMemory::Damaged))
                }
            }
        })
    }
}

fn next(rest: &[u8], before: (Timestamp, Timestamp)) -> Option<(Remembered, &[u8])> {
    let (key, rest) = rest.split_first_chunk::<16>()?;
    let ((at, until), rest) = postcard::take_from_bytes::<(i64, i64)>(rest).ok()?;
    let at = before.0 + Span::from_millis(at);
    let until = before.1 + Span::from_millis(until);
    Some((Remembered { key: u128::from_le_bytes(*key), at, until }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: i64) -> Remembered {
        let at = Timestamp::from_millis(1_700_000_000_000 + number * 7);
        Remembered { key: u128::MAX - number.unsigned_abs() as u128, at, until: at + Span::from_secs(86_400) }
    }

    fn written(count: i64) -> Vec<Vec<u8>> {
        let cursor = Cursor { sequence: 9, place: 2, ..Cursor::default() };
        let mut out = Outbox::default();
        write(Topic::Seen, 1, (77, &cursor), (0..count).map(entry), &mut out);
        out.records.into_iter().filter_map(|record| record.value).map(|value| value.to_vec()).collect()
    }

    #[test]
    fn what_was_written_is_read_back_with_its_place() {
        let pages = written(1_000);
        let page = Page::read(&pages[0]).unwrap();
        assert_eq!((page.offset, page.cursor.sequence, page.cursor.place), (77, 9, 2));
        let read: Vec<_> = page.entries().map(Result::unwrap).collect();
        assert_eq!(read, (0..1_000).map(entry).collect::<Vec<_>>());
        assert!(pages[0].len() <= 20 * 1_000 + 100, "{} bytes", pages[0].len());
    }

    #[test]
    fn a_transaction_that_came_to_know_nothing_says_where_it_is() {
        let pages = written(0);
        assert_eq!(Page::read(&pages[0]).unwrap().entries().count(), 0);
    }

    #[test]
    fn a_record_says_how_long_it_counts_without_a_lane() {
        let of = |topic, key: Option<&'static [u8]>, value: Option<Vec<u8>>| {
            let (input, timestamp) = (crate::event::record::Input { topic, partition: 1 }, START.0);
            let (key, value) = (key.map(Bytes::from_static), value.map(Bytes::from));
            Gist::of(&Incoming { input, offset: 0, timestamp, key, value, headers: Vec::new() })
        };
        let page = of(Topic::Seen, None, Some(written(10).remove(0))).unwrap();
        assert_eq!((page.sequence, page.newest, page.until), (Some(9), entry(9).at, entry(9).until));
        assert!(of(Topic::Seen, None, Some(written(0).remove(0))).unwrap().is_empty);
        let (end, some) = (Timestamp::from_millis(i64::MAX), Some(vec![1, 2, 3]));
        let open = of(Topic::State, Some(b"a key of 16 byte"), some.clone()).unwrap();
        assert_eq!((open.sequence, open.until, open.is_empty), (None, end, false));
        let place = of(Topic::State, Some(PLACE_KEY), Some(written(0).remove(0))).unwrap();
        assert_eq!((place.sequence, place.until), (Some(9), end));
        assert!(of(Topic::Told, None, some).is_err());
    }

    #[test]
    fn a_page_stays_far_below_what_a_broker_takes() {
        let pages = written(60_000);
        assert!(pages.len() > 3 && pages.iter().all(|page| page.len() < MOST_PAGE_BYTES + 100));
        let read = pages.iter().flat_map(|page| Page::read(page).unwrap().entries().collect::<Vec<_>>());
        assert!(read.zip(0..).all(|(read, number)| read == Ok(entry(number))));
    }

    #[test]
    fn a_later_format_and_a_damaged_page_are_refused_and_never_a_panic() {
        let mut page = written(3).remove(0);
        for end in 0..page.len() {
            let whole = Page::read(&page[..end]).is_ok_and(|page| page.entries().all(|entry| entry.is_ok()));
            assert!(!whole, "cut at {end}");
        }
        page.push(0);
        assert!(Page::read(&page).unwrap().entries().any(|entry| entry.is_err()), "something behind it");
        page[0] = VERSION + 1;
        assert_eq!(Page::read(&page), Err(BrokenMemory::Version(VERSION + 1)));
        assert_eq!(Page::read(&[]), Err(BrokenMemory::Damaged));
    }
}

//! Snapshot file: what the memory topics of a partition held up to some offsets, on this machine.
//!
//! It says what the topics said and nothing else. It holds nothing that was not committed, whoever writes it,
//! and whoever reads it reads on in the topics where it ends. What no longer counts is left out.
//!
//! Layout: a head (magic, format version); blocks of records, each behind its length and its checksum; the
//! foot, which says where each topic is to be read on, behind which stand its length, its checksum and the
//! magic again. Numbers are little endian, checksums XXH3. It is written beside the one before and takes its
//! place only when all of it lies on the disk.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::frame::{append, take};
use crate::event::record::Input;
use crate::event::{Incoming, Span, Timestamp, Topic, hash128};

/// The format this version writes, and the only one it reads.
pub const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"BUGLEMEM";
const HEAD: usize = 12;
const TAIL: u64 = 20;
/// A block is written when it has this many bytes.
const BLOCK: usize = 1024 * 1024;
/// No block is longer: a record has at most a megabyte.
const MOST_BLOCK: usize = 4 * BLOCK;
/// The foot's checksum is none of a block's.
const FOOT: u64 = u64::MAX;

/// One record of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which of the lane's memory topics it is from, by its place among them.
    pub log: usize,
    /// Its offset there.
    pub offset: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Until when anything in it counts.
    pub until: Timestamp,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Bytes,
}

/// What stands before the bytes of a record.
#[derive(Serialize, Deserialize)]
struct Label {
    log: u8,
    offset: i64,
    at: Timestamp,
    until: Timestamp,
    key: Option<u32>,
    value: u32,
}

/// What the records are from, and where the topics are read on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foot {
    /// The partition.
    pub partition: i32,
    /// When the topics were looked at.
    pub read_at: Timestamp,
    /// How far each of the lane's memory topics was read.
    pub logs: Vec<Reached>,
    /// How many blocks of records there are.
    pub blocks: u64,
}

/// How far a topic was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// What tells the topic from every other.
    pub topic: String,
    /// The offset to read next.
    pub next: i64,
    /// The newest transaction it tells of.
    pub sequence: u64,
    /// The newest time it tells of.
    pub newest: Timestamp,
    /// The last record before `next`: as long as it is there, the topic is the one it was.
    pub last: Option<Mark>,
}

/// A record that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its offset.
    pub offset: i64,
    digest: u128,
}

/// Why a snapshot is of no use. The partition's memory is read from its topics.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no snapshot.
    #[error("it is no snapshot of Bugle's")]
    NoSnapshot,
    /// Written by another version.
    #[error("it has format version {0}, and this version of Bugle reads {VERSION}")]
    Version(u32),
    /// It ends before its end.
    #[error("it is cut short")]
    CutShort,
    /// A checksum does not fit.
    #[error("it is damaged: a checksum does not fit")]
    Damaged,
    /// It belongs to another partition or another cluster.
    #[error("it is of {found}, and {wanted} is wanted")]
    Foreign {
        /// What it is of.
        found: String,
        /// What it should be of.
        wanted: String,
    },
    /// What was deleted since may have been forgotten by its topic.
    #[error("it is {0} old, and its topic may have forgotten what ended since")]
    Old(Span),
    /// It knows of a transaction that the group does not.
    #[error("it knows transaction {found}, but only {committed} are committed")]
    Ahead {
        /// The newest it knows.
        found: u64,
        /// What the group says.
        committed: u64,
    },
    /// The topic no longer holds what comes next, or never did.
    #[error("`{0}` cannot be read on where it ends: the topic begins later, or was made anew")]
    Gap(Topic),
    /// A record in it is of a format this version does not know.
    #[error("a record in it cannot be read: {0}")]
    Unread(String),
}

/// A snapshot being written. Dropped before [`Writer::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    path: PathBuf,
    block: Vec<u8>,
    blocks: u64,
    bytes: u64,
    finished: bool,
}

/// A snapshot being read, block by block.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    foot: Foot,
    read: u64,
}

// === impl Mark ===

impl Mark {
    /// The mark of a record.
    #[must_use]
    pub fn of(record: &Incoming) -> Self {
        let time = record.timestamp.millis().to_le_bytes();
        let parts =
            [&time, record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or(&[])];
        Self { offset: record.offset, digest: hash128(parts) }
    }
}

// === impl Reached ===

impl Reached {
    /// From where on the topic is read: the last record is read again, to see that it is the same topic.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.last.map_or(self.next, |last| last.offset)
    }
}

// === impl Kept ===

impl Kept {
    /// The record as its topic gave it.
    #[must_use]
    pub fn record(self, input: Input) -> Incoming {
        let topic = input.topic.memories().get(self.log).copied().unwrap_or(input.topic);
        Incoming {
            input: Input { topic, ..input },
            offset: self.offset,
            timestamp: self.at,
            key: self.key,
            value: Some(self.value),
            headers: Vec::new(),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Begins a file that will take the place of the one at `path`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(beside(path))?);
        file.write_all(&MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        let (path, block) = (path.to_owned(), Vec::with_capacity(BLOCK));
        Ok(Self { file, path, block, blocks: 0, bytes: HEAD as u64, finished: false })
    }

    /// Appends a record.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn put(&mut self, kept: &Kept) -> io::Result<()> {
        let long = |bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let label = Label {
            log: u8::try_from(kept.log).unwrap_or(u8::MAX),
            offset: kept.offset,
            at: kept.at,
            until: kept.until,
            key: kept.key.as_ref().map(long),
            value: long(&kept.value),
        };
        self.block = append(&label, std::mem::take(&mut self.block));
        self.block.extend_from_slice(kept.key.as_deref().unwrap_or_default());
        self.block.extend_from_slice(&kept.value);
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> io::Result<()> {
        let long = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        self.file.write_all(&long.to_le_bytes())?;
        self.file.write_all(&xxh3_64_with_seed(&self.block, self.blocks).to_le_bytes())?;
        self.file.write_all(&self.block)?;
        self.bytes += HEAD as u64 + u64::from(long);
        self.blocks += 1;
        self.block.clear();
        Ok(())
    }

    /// Ends the file, and puts it in its place when all of it lies on the disk; how many bytes it has.
    ///
    /// # Errors
    /// The disk is full, or gone.
    pub fn finish(mut self, mut foot: Foot) -> io::Result<u64> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        foot.blocks = self.blocks;
        let foot = append(&foot, Vec::new());
        self.file.write_all(&foot)?;
        self.file.write_all(&u32::try_from(foot.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.file.write_all(&xxh3_64_with_seed(&foot, FOOT).to_le_bytes())?;
        self.file.write_all(&MAGIC)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(beside(&self.path), &self.path)?;
        self.finished = true;
        if let Some(folder) = self.path.parent() {
            // The name is safe when its folder is.
            File::open(folder)?.sync_all()?;
        }
        Ok(self.bytes + foot.len() as u64 + TAIL)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(beside(&self.path));
        }
    }
}

/// What a file is called until it is whole.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("part")
}

// === impl Reader ===

impl Reader {
    /// Opens a file and reads what it is; `None` where there is none.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(path: &Path) -> Result<Option<Self>, Unusable> {
        let mut file = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let long = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let head: [u8; HEAD] = bytes_of(&mut file).map_err(|_| Unusable::NoSnapshot)?;
        let version = head.strip_prefix(&MAGIC).and_then(|version| version.try_into().ok());
        let version = u32::from_le_bytes(version.ok_or(Unusable::NoSnapshot)?);
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        let tail = long.checked_sub(TAIL).filter(|tail| *tail >= HEAD as u64).ok_or(Unusable::CutShort)?;
        file.seek(SeekFrom::Start(tail))?;
        let (length, sum): ([u8; 4], [u8; 8]) = (bytes_of(&mut file)?, bytes_of(&mut file)?);
        if bytes_of(&mut file)? != MAGIC {
            return Err(Unusable::CutShort);
        }
        let length = u64::from(u32::from_le_bytes(length));
        let at = tail.checked_sub(length).filter(|at| *at >= HEAD as u64).ok_or(Unusable::Damaged)?;
        file.seek(SeekFrom::Start(at))?;
        let foot = block_of(&mut file, (usize::try_from(length).unwrap_or(usize::MAX), sum), FOOT)?;
        let (foot, _) = take::<Foot>(&foot).map_err(|_| Unusable::Damaged)?;
        file.seek(SeekFrom::Start(HEAD as u64))?;
        Ok(Some(Self { file, path: path.to_owned(), foot, read: 0 }))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is of.
    #[must_use]
    pub fn foot(&self) -> &Foot {
        &self.foot
    }

    /// The records of the next block; `None` when all were read.
    ///
    /// # Errors
    /// [`Unusable`]: nothing of the file counts, what was read before neither.
    pub fn block(&mut self) -> Result<Option<Vec<Kept>>, Unusable> {
        if self.read == self.foot.blocks {
            return Ok(None);
        }
        let (length, sum): ([u8; 4], [u8; 8]) = (bytes_of(&mut self.file)?, bytes_of(&mut self.file)?);
        let length = u32::from_le_bytes(length) as usize;
        let block = block_of(&mut self.file, (length, sum), self.read)?;
        self.read += 1;
        let (block, mut at, mut records) = (Bytes::from(block), 0, Vec::new());
        while at < block.len() {
            let (label, rest) = take::<Label>(&block[at..]).map_err(|_| Unusable::Damaged)?;
            at = block.len() - rest.len();
            let mut cut = |length: u32| {
                let end = at.checked_add(length as usize).filter(|end| *end <= block.len());
                let part = block.slice(at..end.ok_or(Unusable::Damaged)?);
                at += part.len();
                Ok::<_, Unusable>(part)
            };
            let (key, value) = (label.key.map(&mut cut).transpose()?, cut(label.value)?);
            let Label { log, offset, at, until, .. } = label;
            records.push(Kept { log: usize::from(log), offset, at, until, key, value });
        }
        Ok(Some(records))
    }
}

fn bytes_of<const N: usize>(file: &mut impl Read) -> Result<[u8; N], Unusable> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|_| Unusable::CutShort)?;
    Ok(bytes)
}

fn block_of(file: &mut impl Read, (length, sum): (usize, [u8; 8]), number: u64) -> Result<Vec<u8>, Unusable> {
    if length > MOST_BLOCK {
        return Err(Unusable::Damaged);
    }
    let mut block = vec![0; length];
    file.read_exact(&mut block).map_err(|_| Unusable::CutShort)?;
    if xxh3_64_with_seed(&block, number) == u64::from_le_bytes(sum) {
        Ok(block)
    } else {
        Err(Unusable::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: i64) -> Kept {
        Kept {
            log: usize::from(number % 2 == 1),
            offset: number,
            at: Timestamp::from_millis(number),
            until: Timestamp::from_millis(i64::MAX),
            key: (number % 2 == 1).then(|| number.to_string().into()),
            value: vec![0x5a; 1_000].into(),
        }
    }

    fn foot() -> Foot {
        let reached =
            Reached { topic: "c/bugle.subjects.seen".to_owned(), next: 9_000, ..Reached::default() };
        Foot { partition: 3, logs: vec![reached], ..Foot::default() }
    }

    fn written(path: &Path, count: i64) -> u64 {
        let mut writer = Writer::create(path).unwrap();
        (0..count).for_each(|number| writer.put(&kept(number)).unwrap());
        writer.finish(foot()).unwrap()
    }

    fn all(path: &Path) -> Result<(Foot, Vec<Kept>), Unusable> {
        let mut reader = Reader::open(path)?.expect("it was written");
        let mut records = Vec::new();
        while let Some(block) = reader.block()? {
            records.extend(block);
        }
        Ok((reader.foot().clone(), records))
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bugle.subjects-3.snapshot");
        assert!(Reader::open(&path).unwrap().is_none());
        for count in [0, 1, 3_000] {
            let bytes = written(&path, count);
            assert_eq!(bytes, fs::metadata(&path).unwrap().len());
            let (foot, records) = all(&path).unwrap();
            assert_eq!(records, (0..count).map(kept).collect::<Vec<_>>());
            assert_eq!((foot.partition, foot.logs[0].next), (3, 9_000));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_was_not_finished_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bugle.people-0.snapshot");
        written(&path, 5);
        let mut writer = Writer::create(&path).unwrap();
        writer.put(&kept(7)).unwrap();
        drop(writer);
        assert_eq!(all(&path).unwrap().1.len(), 5);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_that_is_cut_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.snapshot");
        written(&path, 2_500);
        let whole = fs::read(&path).unwrap();
        for end in (0..whole.len()).step_by(997).chain([whole.len() - 1, 11, 12, 31, 32]) {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(matches!(all(&path), Err(Unusable::CutShort | Unusable::NoSnapshot)), "cut at {end}");
        }
    }

    #[test]
    fn a_single_bit_that_flipped_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flipped.snapshot");
        written(&path, 2_500);
        let mut bytes = fs::read(&path).unwrap();
        for at in (0..bytes.len()).step_by(4_001).chain(bytes.len() - 60..bytes.len()) {
            bytes[at] ^= 4;
            fs::write(&path, &bytes).unwrap();
            assert!(all(&path).is_err(), "byte {at}");
            bytes[at] ^= 4;
        }
    }

    #[test]
    fn a_later_format_is_refused_by_its_number_and_what_is_none_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later.snapshot");
        written(&path, 3);
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 2;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(all(&path), Err(Unusable::Version(2))));
        fs::write(&path, "something else of the same folder").unwrap();
        assert!(matches!(all(&path), Err(Unusable::NoSnapshot)));
    }
}

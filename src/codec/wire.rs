//! Wire: Avro's binary building blocks, read in place and written in place.
//!
//! Reading refuses what does not fit the bytes left; nothing is ever allocated by what a length claims.

use super::fault::Code;

/// The first byte of a value framed for a schema registry.
pub const MAGIC: u8 = 0;

/// Bytes before the body: the magic byte and the schema id.
pub const FRAMING: usize = 5;

/// The most items of a list whose items take no bytes.
const MOST_EMPTY_ITEMS: u64 = 1_000;

/// Where reading stands in a value.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One block of a list or map.
pub(crate) struct Block {
    /// How many items follow.
    pub(crate) count: u64,
    /// Where they end, when the writer said so.
    pub(crate) end: Option<usize>,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// A zig-zag varint of at most 64 bits.
    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Code> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(unzigzag(u64::from(byte)))
            }
            _ => self.long_of_several(),
        }
    }

    fn long_of_several(&mut self) -> Result<i64, Code> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(Code::Truncated)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(Code::BadVarint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(unzigzag(value));
            }
        }
        Err(Code::BadVarint)
    }

    /// A varint that must fit 32 bits.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i64, Code> {
        let value = self.long()?;
        i32::try_from(value).map(i64::from).map_err(|_| Code::BadVarint)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Code> {
        match self.take(1)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Code::BadBool),
        }
    }

    pub(crate) fn float(&mut self) -> Result<f64, Code> {
        let bytes = self.take(4)?.try_into().map_err(|_| Code::Truncated)?;
        finite(f64::from(f32::from_le_bytes(bytes)))
    }

    pub(crate) fn double(&mut self) -> Result<f64, Code> {
        let bytes = self.take(8)?.try_into().map_err(|_| Code::Truncated)?;
        finite(f64::from_le_bytes(bytes))
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Code> {
        let end = self.at.checked_add(count).ok_or(Code::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(Code::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// A length and that many bytes.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Code> {
        let length = self.long()?;
        if length < 0 {
            return Err(Code::BadLength);
        }
        self.take(usize::try_from(length).map_err(|_| Code::Truncated)?)
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Code> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Code::BadUtf8)
    }

    /// The length of a text, which ends where the cursor then stands.
    #[inline(always)]
    pub(crate) fn text_length(&mut self) -> Result<usize, Code> {
        let bytes = self.bytes()?;
        // Most texts are ASCII, and asking that first is several times faster.
        if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
            Ok(bytes.len())
        } else {
            Err(Code::BadUtf8)
        }
    }

    /// The next block of a list whose items take at least `least` bytes each; `None` at its end.
    pub(crate) fn block(&mut self, least: usize, seen: u64) -> Result<Option<Block>, Code> {
        let count = self.long()?;
        let end = if count < 0 {
            let size = self.long()?;
            let size = usize::try_from(size).map_err(|_| Code::BadBlock)?;
            let end = self.at.checked_add(size).filter(|end| *end <= self.bytes.len());
            Some(end.ok_or(Code::Truncated)?)
        } else {
            None
        };
        let count = count.unsigned_abs();
        let most = match self.left().checked_div(least) {
            Some(fitting) => fitting as u64,
            None => MOST_EMPTY_ITEMS.saturating_sub(seen),
        };
        match count {
            0 => Ok(None),
            _ if count > most => Err(Code::TooManyItems),
            _ => Ok(Some(Block { count, end })),
        }
    }

    /// Reads every item of a list.
    #[inline]
    pub(crate) fn blocks<F>(&mut self, least: usize, mut item: F) -> Result<(), Code>
    where
        F: FnMut(&mut Self) -> Result<(), Code>,
    {
        let mut seen = 0;
        while let Some(block) = self.block(least, seen)? {
            for _ in 0..block.count {
                item(self)?;
            }
            self.close(&block)?;
            seen += block.count;
        }
        Ok(())
    }

    /// An index below `count`; `fault` when it is not.
    #[inline(always)]
    pub(crate) fn index(&mut self, count: usize, fault: Code) -> Result<usize, Code> {
        usize::try_from(self.long()?).ok().filter(|index| *index < count).ok_or(fault)
    }

    /// Refuses a block that did not end where it said.
    pub(crate) fn close(&self, block: &Block) -> Result<(), Code> {
        match block.end {
            Some(end) if end != self.at => Err(Code::BadBlock),
            _ => Ok(()),
        }
    }
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn finite(number: f64) -> Result<f64, Code> {
    if number.is_finite() { Ok(number) } else { Err(Code::BadNumber) }
}

// === writing ===

/// Appends a zig-zag varint.
pub(crate) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Appends a length, a count or an index.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_long(out, i64::try_from(count).unwrap_or(i64::MAX));
}

/// Appends a text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a text or null, written as the union of null and string.
pub(crate) fn put_maybe_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            put_long(out, 1);
            put_text(out, text);
        }
        None => put_long(out, 0),
    }
}

/// Appends a list of texts as one block.
pub(crate) fn put_texts<T: AsRef<str>>(out: &mut Vec<u8>, texts: &[T]) {
    if !texts.is_empty() {
        put_count(out, texts.len());
        for text in texts {
            put_text(out, text.as_ref());
        }
    }
    out.push(0);
}

/// Starts a value framed for a schema registry.
pub(crate) fn put_framing(out: &mut Vec<u8>, id: u32) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Reads the schema id of a framed value.
///
/// # Errors
/// [`Code::EmptyValue`], [`Code::BadMagic`] or [`Code::Truncated`].
pub fn schema_id(payload: &[u8]) -> Result<u32, Code> {
    match payload {
        [] => Err(Code::EmptyValue),
        [MAGIC, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [MAGIC, ..] => Err(Code::Truncated),
        _ => Err(Code::BadMagic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_long(&mut out, value);
        out
    }

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for value in [0, 1, -1, 63, 64, -65, 1 << 31, -(1 << 31), i64::MAX, i64::MIN] {
            assert_eq!(Cursor::new(&bytes(value), 0).long(), Ok(value));
        }
    }

    #[test]
    fn a_number_without_end_or_of_more_than_64_bits_is_refused() {
        assert_eq!(Cursor::new(&[0x80; 3], 0).long(), Err(Code::Truncated));
        assert_eq!(Cursor::new(&[0xff; 11], 0).long(), Err(Code::BadVarint));
        assert_eq!(Cursor::new(&bytes(1 << 31), 0).int(), Err(Code::BadVarint));
    }

    #[test]
    fn a_length_is_never_believed() {
        assert_eq!(Cursor::new(&bytes(i64::MAX), 0).bytes(), Err(Code::Truncated));
        assert_eq!(Cursor::new(&bytes(-1), 0).bytes(), Err(Code::BadLength));
        assert!(matches!(Cursor::new(&bytes(10_000_000), 0).block(0, 0), Err(Code::TooManyItems)));
        assert!(matches!(Cursor::new(&bytes(2), 0).block(1, 0), Err(Code::TooManyItems)));
        assert!(matches!(Cursor::new(&bytes(i64::MIN), 0).block(1, 0), Err(Code::Truncated)));
    }

    #[test]
    fn the_schema_id_stands_behind_the_magic_byte() {
        assert_eq!(schema_id(&[0, 0, 0, 1, 2, 9]), Ok(258));
        assert_eq!(schema_id(&[]), Err(Code::EmptyValue));
        assert_eq!(schema_id(&[0]), Err(Code::Truncated));
        assert_eq!(schema_id(&[1, 0, 0, 0, 1]), Err(Code::BadMagic));
    }
}

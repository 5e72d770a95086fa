//! Run: a plan carried out over one value.
//!
//! Nothing is copied: texts stay where they are and slots point at them. Two vectors are allocated, one
//! for the slots and one for the items of lists.

use super::fault::{Code, Fault};
use super::plan::{Op, Scalar, Steps};
use super::wire::Cursor;
use crate::event::change::Slot;

/// 9999-12-31T23:59:59.999Z in milliseconds.
const LAST_MILLI: i64 = 253_402_300_799_999;
/// 9999-12-31 in days.
const LAST_DAY: i64 = 2_932_896;

/// One value, decoded.
#[derive(Debug)]
pub(crate) struct Row {
    /// One per field.
    pub(crate) slots: Vec<Slot>,
    /// What lists and maps point at.
    pub(crate) items: Vec<Slot>,
    /// Which record stood in `data`, when it is one of ours.
    pub(crate) branch: Option<u16>,
}

struct Run<'a, 'p> {
    cursor: Cursor<'a>,
    row: Row,
    /// Where running stopped: the path of the innermost step.
    stopped: Option<&'p str>,
}

/// Decodes the body that starts at `from` into `width` slots.
///
/// # Errors
/// What is wrong with the bytes, and in which field.
pub(crate) fn run(steps: &Steps, bytes: &[u8], from: usize, width: usize) -> Result<Row, Fault> {
    let row = Row { slots: vec![Slot::Absent; width], items: Vec::with_capacity(16), branch: None };
    let mut run = Run { cursor: Cursor::new(bytes, from), row, stopped: None };
    run.steps::<false>(steps, 0).map_err(|code| Fault::at(code, run.stopped.unwrap_or_default()))?;
    match run.cursor.left() {
        0 => Ok(run.row),
        left => Err(Fault::new(Code::TrailingBytes, format!("{left} bytes after the last field"))),
    }
}

/// Whether a time lies in the years 1970 to 9999.
pub(crate) fn sane_time(millis: i64) -> bool {
    (0..=LAST_MILLI).contains(&millis)
}

/// Whether a day lies in the years 1970 to 9999.
pub(crate) fn sane_day(days: i64) -> bool {
    (0..=LAST_DAY).contains(&days)
}

// === impl Run ===

impl<'p> Run<'_, 'p> {
    fn steps<const IN_LIST: bool>(&mut self, steps: &'p Steps, base: usize) -> Result<(), Code> {
        for (index, op) in steps.ops.iter().enumerate() {
            if let Err(code) = self.step::<IN_LIST>(op, base) {
                self.stop(steps, index);
                return Err(code);
            }
        }
        Ok(())
    }

    #[cold]
    fn stop(&mut self, steps: &'p Steps, index: usize) {
        if self.stopped.is_none() {
            self.stopped = steps.paths.get(index).map(|path| &**path);
        }
    }

    #[inline]
    fn step<const IN_LIST: bool>(&mut self, op: &'p Op, base: usize) -> Result<(), Code> {
        match op {
            Op::Read(slot, scalar) => self.scalar::<IN_LIST>(base + usize::from(*slot), scalar)?,
            Op::Maybe { at, slot, scalar } => {
                if self.cursor.index(2, Code::BadUnion)? == usize::from(*at) {
                    self.scalar::<IN_LIST>(base + usize::from(*slot), scalar)?;
                }
            }
            Op::Either(branches) => {
                let index = self.cursor.index(branches.len(), Code::BadUnion)?;
                self.steps::<IN_LIST>(&branches[index], base)?;
            }
            Op::Texts(slot) => {
                let (first, count) = self.texts()?;
                self.set::<IN_LIST>(base + usize::from(*slot), Slot::List(first, count));
            }
            Op::Items { slot, item, width, least } => {
                let (first, count) = self.items(item, *width, *least)?;
                self.set::<IN_LIST>(base + usize::from(*slot), Slot::List(first, count));
            }
            Op::Map { slot, value, least } => {
                let (first, count) = self.map(value, *least)?;
                self.set::<IN_LIST>(base + usize::from(*slot), Slot::List(first, count));
            }
            Op::Set(slot, value) => self.set::<IN_LIST>(base + usize::from(*slot), *value),
            Op::Branch(branch) => self.row.branch = Some(*branch),
            Op::Skip(skip) => skip.run(&mut self.cursor)?,
            Op::Refuse(code) => return Err(*code),
        }
        Ok(())
    }

    #[inline(always)]
    fn set<const IN_LIST: bool>(&mut self, at: usize, value: Slot) {
        let into = if IN_LIST { &mut self.row.items } else { &mut self.row.slots };
        // A plan counts its slots from the schema `width` was counted from.
        if let Some(place) = into.get_mut(at) {
            *place = value;
        }
    }

    // Each arm writes its slot itself. Handed back in a `Result`, a slot crosses the stack in pieces the
    // processor cannot forward, which made this three times slower.
    #[inline(always)]
    fn scalar<const IN_LIST: bool>(&mut self, at: usize, scalar: &Scalar) -> Result<(), Code> {
        match scalar {
            Scalar::Text => {
                let (start, length) = self.text()?;
                self.set::<IN_LIST>(at, Slot::Text(start, length));
            }
            Scalar::Time(unit) => {
                let millis = match unit {
                    1 => self.cursor.long()?,
                    unit => self.cursor.long()?.div_euclid(*unit),
                };
                if !sane_time(millis) {
                    return Err(Code::BadTime);
                }
                self.set::<IN_LIST>(at, Slot::Int(millis));
            }
            Scalar::Int => {
                let number = self.cursor.int()?;
                self.set::<IN_LIST>(at, Slot::Int(number));
            }
            Scalar::Long => {
                let number = self.cursor.long()?;
                self.set::<IN_LIST>(at, Slot::Int(number));
            }
            Scalar::Bool => {
                let truth = self.cursor.bool()?;
                self.set::<IN_LIST>(at, Slot::Bool(truth));
            }
            Scalar::Symbol(symbols) => {
                let index = self.cursor.index(symbols.len(), Code::BadEnum)?;
                let symbol = symbols[index].ok_or(Code::BadEnum)?;
                self.set::<IN_LIST>(at, Slot::Symbol(symbol));
            }
            Scalar::Date => {
                let days = self.cursor.int()?;
                if !sane_day(days) {
                    return Err(Code::BadTime);
                }
                self.set::<IN_LIST>(at, Slot::Int(days));
            }
            Scalar::Double | Scalar::Float | Scalar::Whole => {
                let number = self.number(scalar)?;
                self.set::<IN_LIST>(at, Slot::Double(number));
            }
        }
        Ok(())
    }

    fn number(&mut self, scalar: &Scalar) -> Result<f64, Code> {
        match scalar {
            Scalar::Float => self.cursor.float(),
            #[allow(clippy::cast_precision_loss, reason = "Avro promotes a long to a double this way")]
            Scalar::Whole => Ok(self.cursor.long()? as f64),
            _ => self.cursor.double(),
        }
    }

    /// Where a text starts, and its length.
    #[inline(always)]
    fn text(&mut self) -> Result<(u32, u32), Code> {
        let length = self.cursor.text_length()?;
        // Values are at most a mebibyte, so that positions in them fit 32 bits.
        let end = u32::try_from(self.cursor.at()).map_err(|_| Code::TooLarge)?;
        let length = u32::try_from(length).map_err(|_| Code::TooLarge)?;
        Ok((end - length, length))
    }

    fn texts(&mut self) -> Result<(u32, u32), Code> {
        let first = self.row.items.len();
        let mut seen = 0;
        while let Some(block) = self.cursor.block(1, seen)? {
            for _ in 0..block.count {
                let (start, length) = self.text()?;
                self.row.items.push(Slot::Text(start, length));
            }
            self.cursor.close(&block)?;
            seen += block.count;
        }
        list(first, seen)
    }

    fn items(&mut self, item: &'p Steps, width: u16, least: usize) -> Result<(u32, u32), Code> {
        let first = self.row.items.len();
        let mut seen = 0;
        while let Some(block) = self.cursor.block(least, seen)? {
            for _ in 0..block.count {
                let base = self.row.items.len();
                self.row.items.resize(base + usize::from(width), Slot::Absent);
                self.steps::<true>(item, base)?;
            }
            self.cursor.close(&block)?;
            seen += block.count;
        }
        list(first, seen)
    }

    fn map(&mut self, value: &'p Steps, least: usize) -> Result<(u32, u32), Code> {
        let first = self.row.items.len();
        let mut seen = 0;
        while let Some(block) = self.cursor.block(least, seen)? {
            for _ in 0..block.count {
                let base = self.row.items.len();
                let (start, length) = self.text()?;
                self.row.items.extend([Slot::Text(start, length), Slot::Absent]);
                self.steps::<true>(value, base)?;
            }
            self.cursor.close(&block)?;
            seen += block.count;
        }
        list(first, seen)
    }
}

/// A list's first item and their number, as a slot keeps them.
fn list(first: usize, count: u64) -> Result<(u32, u32), Code> {
    let first = u32::try_from(first).map_err(|_| Code::TooManyItems)?;
    let count = u32::try_from(count).map_err(|_| Code::TooManyItems)?;
    Ok((first, count))
}

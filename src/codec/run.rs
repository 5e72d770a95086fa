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

/// Where running stopped; the innermost step's path.
struct Stop<'p> {
    code: Code,
    path: Option<&'p str>,
}

struct Run<'a> {
    cursor: Cursor<'a>,
    row: Row,
}

/// Decodes the body that starts at `from` into `width` slots.
///
/// # Errors
/// What is wrong with the bytes, and in which field.
pub(crate) fn run(steps: &Steps, bytes: &[u8], from: usize, width: usize) -> Result<Row, Fault> {
    let row = Row { slots: vec![Slot::Absent; width], items: Vec::new(), branch: None };
    let mut run = Run { cursor: Cursor::new(bytes, from), row };
    run.steps::<false>(steps, 0).map_err(|stop| Fault::at(stop.code, stop.path.unwrap_or_default()))?;
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

// === impl Stop ===

impl From<Code> for Stop<'_> {
    fn from(code: Code) -> Self {
        Self { code, path: None }
    }
}

// === impl Run ===

impl<'a> Run<'a> {
    fn steps<'p, const IN_LIST: bool>(&mut self, steps: &'p Steps, base: usize) -> Result<(), Stop<'p>> {
        for (index, op) in steps.ops.iter().enumerate() {
            if let Err(stop) = self.step::<IN_LIST>(op, base) {
                return Err(Stop {
                    path: stop.path.or_else(|| steps.paths.get(index).map(|path| &**path)),
                    ..stop
                });
            }
        }
        Ok(())
    }

    #[inline]
    fn step<'p, const IN_LIST: bool>(&mut self, op: &'p Op, base: usize) -> Result<(), Stop<'p>> {
        match op {
            Op::Read(slot, scalar) => {
                let value = self.scalar(scalar)?;
                self.set::<IN_LIST>(base, *slot, value);
            }
            Op::Maybe { at, slot, scalar } => {
                if self.cursor.index(2, Code::BadUnion)? == usize::from(*at) {
                    let value = self.scalar(scalar)?;
                    self.set::<IN_LIST>(base, *slot, value);
                }
            }
            Op::Either(branches) => {
                let index = self.cursor.index(branches.len(), Code::BadUnion)?;
                self.steps::<IN_LIST>(&branches[index], base)?;
            }
            Op::Texts(slot) => {
                let list = self.texts()?;
                self.set::<IN_LIST>(base, *slot, list);
            }
            Op::Items { slot, item, width, least } => {
                let list = self.items(item, *width, *least)?;
                self.set::<IN_LIST>(base, *slot, list);
            }
            Op::Map { slot, value, least } => {
                let map = self.map(value, *least)?;
                self.set::<IN_LIST>(base, *slot, map);
            }
            Op::Set(slot, value) => self.set::<IN_LIST>(base, *slot, *value),
            Op::Branch(branch) => self.row.branch = Some(*branch),
            Op::Skip(skip) => skip.run(&mut self.cursor)?,
            Op::Refuse(code) => return Err((*code).into()),
        }
        Ok(())
    }

    #[inline]
    fn set<const IN_LIST: bool>(&mut self, base: usize, slot: u16, value: Slot) {
        let into = if IN_LIST { &mut self.row.items } else { &mut self.row.slots };
        // A plan counts its slots from the schema `width` was counted from.
        if let Some(place) = into.get_mut(base + usize::from(slot)) {
            *place = value;
        }
    }

    #[inline]
    fn scalar(&mut self, scalar: &Scalar) -> Result<Slot, Code> {
        Ok(match scalar {
            Scalar::Text => self.text()?,
            Scalar::Time(unit) => {
                let millis = self.cursor.long()?.div_euclid(*unit);
                if !sane_time(millis) {
                    return Err(Code::BadTime);
                }
                Slot::Int(millis)
            }
            Scalar::Int => Slot::Int(self.cursor.int()?),
            Scalar::Long => Slot::Int(self.cursor.long()?),
            Scalar::Bool => Slot::Bool(self.cursor.bool()?),
            Scalar::Symbol(symbols) => {
                let index = self.cursor.index(symbols.len(), Code::BadEnum)?;
                Slot::Symbol(symbols[index].ok_or(Code::BadEnum)?)
            }
            Scalar::Date => {
                let days = self.cursor.int()?;
                if !sane_day(days) {
                    return Err(Code::BadTime);
                }
                Slot::Int(days)
            }
            Scalar::Double => Slot::Double(self.cursor.double()?),
            Scalar::Float => Slot::Double(self.cursor.float()?),
            #[allow(clippy::cast_precision_loss, reason = "Avro promotes a long to a double this way")]
            Scalar::Whole => Slot::Double(self.cursor.long()? as f64),
        })
    }

    #[inline]
    fn text(&mut self) -> Result<Slot, Code> {
        let length = self.cursor.text()?.len();
        // Values are at most a mebibyte, so that positions in them fit 32 bits.
        let end = u32::try_from(self.cursor.at()).map_err(|_| Code::TooLarge)?;
        let length = u32::try_from(length).map_err(|_| Code::TooLarge)?;
        Ok(Slot::Text(end - length, length))
    }

    fn texts(&mut self) -> Result<Slot, Code> {
        let first = self.row.items.len();
        let mut seen = 0;
        while let Some(block) = self.cursor.block(1, seen)? {
            for _ in 0..block.count {
                let text = self.text()?;
                self.row.items.push(text);
            }
            self.cursor.close(&block)?;
            seen += block.count;
        }
        self.list(first, seen)
    }

    fn items<'p>(&mut self, item: &'p Steps, width: u16, least: usize) -> Result<Slot, Stop<'p>> {
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
        Ok(self.list(first, seen)?)
    }

    fn map<'p>(&mut self, value: &'p Steps, least: usize) -> Result<Slot, Stop<'p>> {
        let first = self.row.items.len();
        let mut seen = 0;
        while let Some(block) = self.cursor.block(least, seen)? {
            for _ in 0..block.count {
                let base = self.row.items.len();
                let name = self.text()?;
                self.row.items.extend([name, Slot::Absent]);
                self.steps::<true>(value, base)?;
            }
            self.cursor.close(&block)?;
            seen += block.count;
        }
        Ok(self.list(first, seen)?)
    }

    fn list(&self, first: usize, count: u64) -> Result<Slot, Code> {
        let first = u32::try_from(first).map_err(|_| Code::TooManyItems)?;
        let count = u32::try_from(count).map_err(|_| Code::TooManyItems)?;
        Ok(Slot::List(first, count))
    }
}

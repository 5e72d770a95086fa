//! Chains: whether the records of the audit topic still say what their writers wrote.
//!
//! Every lane and input partition writes a chain: each record holds its number and the digest of the record
//! before. A record changed, left out, put in or moved breaks its chain there. The end of a chain has nothing
//! after it that could tell: heads kept elsewhere, from an earlier look, show when a tail was cut off.
//!
//! What the push service made of batches stands in receipts. The delivery lane's chain names each by its digest, so
//! that a receipt changed, left out or put in shows as well. Marks that the push service sent on its own change no
//! verdict, and no chain holds them.

mod receipts;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::outputs::{self, Link};
use crate::event::{Incoming, Verdict};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lies {
    /// The partition of the audit topic.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
}

/// The newest record of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub seq: i64,
    /// Its digest, in hexadecimal.
    pub digest: String,
}

/// Heads of chains, by chain.
pub type Heads = BTreeMap<String, Head>;

/// A place where a chain is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "break", rename_all = "snake_case")]
pub enum Break {
    /// A record is none of Bugle's.
    Unreadable {
        /// Where.
        at: Lies,
        /// What is wrong with it.
        fault: String,
    },
    /// A record does not follow the one before it: one of the two was changed.
    Changed {
        /// The chain.
        chain: String,
        /// The number of the record that no longer fits.
        seq: i64,
        /// Where it lies.
        at: Lies,
    },
    /// Records are missing.
    Missing {
        /// The chain.
        chain: String,
        /// The first of them.
        from: i64,
        /// The last of them.
        to: i64,
        /// Where the next one lies.
        at: Lies,
    },
    /// A record stands a second time, or out of its order.
    Again {
        /// The chain.
        chain: String,
        /// Its number.
        seq: i64,
        /// Where it lies.
        at: Lies,
    },
    /// No chain names a receipt: it was changed, or put in.
    Foreign {
        /// Where it lies, in the topic of receipts.
        at: Lies,
    },
    /// A chain names receipts that are not there.
    Lost {
        /// The chain.
        chain: String,
        /// The number of the record that names them.
        seq: i64,
        /// How many.
        receipts: u64,
    },
    /// The chain ends before a head that was seen earlier, or has another record there.
    Cut {
        /// The chain.
        chain: String,
        /// The head seen earlier.
        seq: i64,
    },
}

/// Follows every chain from record to record.
#[derive(Debug, Default)]
pub struct Chains {
    heads: BTreeMap<String, (i64, [u8; 16])>,
    /// The numbers chains begin with, where it is not 0: what came before is kept no longer.
    begins: BTreeMap<String, i64>,
    earlier: Heads,
    breaks: Vec<Break>,
    receipts: receipts::Named,
    records: u64,
    verdicts: u64,
}

// === impl Break ===

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { at, fault } => write!(f, "{at}: this is no audit record: {fault}"),
            Self::Changed { chain, seq, at } if *seq == 0 => {
                write!(f, "{at}: record 0 of chain `{chain}` says that another came before it")
            }
            Self::Changed { chain, seq, at } => write!(
                f,
                "{at}: record {seq} of chain `{chain}` does not follow record {}: one of the two was changed",
                seq - 1
            ),
            Self::Missing { chain, from, to, at } if from == to => {
                write!(f, "{at}: record {from} of chain `{chain}` is missing before this")
            }
            Self::Missing { chain, from, to, at } => {
                write!(f, "{at}: records {from} to {to} of chain `{chain}` are missing before this")
            }
            Self::Again { chain, seq, at } => {
                write!(f, "{at}: record {seq} of chain `{chain}` stands a second time, or out of its order")
            }
            Self::Foreign { at } => {
                write!(f, "receipts, {at}: no chain names this receipt: it was changed or put in")
            }
            Self::Lost { chain, seq, receipts: 1 } => {
                write!(f, "record {seq} of chain `{chain}` names a receipt that is missing or was changed")
            }
            Self::Lost { chain, seq, receipts } => write!(
                f,
                "record {seq} of chain `{chain}` names {receipts} receipts that are missing or were changed"
            ),
            Self::Cut { chain, seq } => {
                write!(f, "chain `{chain}` no longer has record {seq} as it was seen earlier")
            }
        }
    }
}

impl fmt::Display for Lies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {}, offset {}", self.partition, self.offset)
    }
}

// === impl Chains ===

impl Chains {
    /// Chains that must also hold the heads seen by an earlier look.
    #[must_use]
    pub fn with_earlier(earlier: Heads) -> Self {
        Self { earlier, ..Self::default() }
    }

    /// Takes in a record, in the order of its partition; its verdicts, where it has any.
    pub fn read(&mut self, record: &Incoming) -> Vec<Verdict> {
        let at = Lies { partition: record.input.partition, offset: record.offset };
        let value = record.value.as_deref().unwrap_or_default();
        self.records += 1;
        let (link, verdicts) = match outputs::decode_verdicts(value) {
            Ok(read) => read,
            Err(fault) => {
                self.breaks.push(Break::Unreadable { at, fault: fault.to_string() });
                return Vec::new();
            }
        };
        self.verdicts += verdicts.len() as u64;
        self.link(&link, outputs::digest(value), at);
        verdicts
    }

    /// Takes in a receipt, in the order of its partition; all audit records come before the first.
    pub fn receipt(&mut self, record: &Incoming) {
        self.breaks.extend(self.receipts.meet(record));
    }

    fn link(&mut self, link: &Link, digest: [u8; 16], at: Lies) {
        let (chain, seq) = (link.chain.clone(), link.seq);
        self.receipts.name(link);
        match self.heads.get(&chain) {
            None if seq > 0 => drop(self.begins.insert(chain.clone(), seq)),
            None if link.prev != [0; 16] => {
                self.breaks.push(Break::Changed { chain: chain.clone(), seq, at });
            }
            None => {}
            Some((before, _)) if seq <= *before => {
                // What stands where it does not belong is not the head of anything.
                return self.breaks.push(Break::Again { chain, seq, at });
            }
            Some((before, _)) if seq > before + 1 => {
                let (from, to) = (before + 1, seq - 1);
                self.breaks.push(Break::Missing { chain: chain.clone(), from, to, at });
            }
            Some((_, before)) if link.prev != *before => {
                self.breaks.push(Break::Changed { chain: chain.clone(), seq, at });
            }
            Some(_) => {}
        }
        if self.earlier.get(&chain).is_some_and(|head| head.seq == seq && head.digest == hex(&digest)) {
            self.earlier.remove(&chain);
        }
        self.heads.insert(chain, (seq, digest));
    }

    /// Every break, in the order they were read; heads that were not met are the last.
    #[must_use]
    pub fn breaks(&self) -> Vec<Break> {
        let begins_later = |chain: &str, seq: i64| self.begins.get(chain).is_some_and(|begins| *begins > seq);
        let cut = self.earlier.iter().filter(|(chain, head)| !begins_later(chain, head.seq));
        let cut = cut.map(|(chain, head)| Break::Cut { chain: chain.clone(), seq: head.seq });
        self.breaks.iter().cloned().chain(self.receipts.lost()).chain(cut).collect()
    }

    /// How many receipts were read, and how many of them are marks that no chain holds.
    #[must_use]
    pub fn receipts(&self) -> (u64, u64) {
        self.receipts.counted()
    }

    /// The newest record of each chain, to be kept elsewhere.
    #[must_use]
    pub fn heads(&self) -> Heads {
        let head = |(chain, (seq, digest)): (&String, &(i64, [u8; 16]))| {
            (chain.clone(), Head { seq: *seq, digest: hex(digest) })
        };
        self.heads.iter().map(head).collect()
    }

    /// Chains that begin later than with record 0, and with which.
    #[must_use]
    pub fn begins(&self) -> &BTreeMap<String, i64> {
        &self.begins
    }

    /// How many records and verdicts were read.
    #[must_use]
    pub fn counted(&self) -> (u64, u64) {
        (self.records, self.verdicts)
    }
}

fn hex(digest: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::Input;
    use crate::event::{Coordinates, Ending, Receipt, Source, Timestamp, Topic};

    fn verdict(number: i64) -> Verdict {
        Verdict {
            at: Timestamp::from_millis(number),
            tenant: "acme".to_owned(),
            event_id: format!("e-{number}"),
            change: Coordinates { source: Source::Xecm, partition: 0, offset: number },
            subject: None,
            rule: Some("ec-1".to_owned()),
            occasion: None,
            ending: Ending::Routed,
            count: 1,
            people: Vec::new(),
            asked: None,
        }
    }

    /// A chain of so many records, as its writer leaves it.
    fn written(count: i64) -> Vec<Vec<u8>> {
        let (mut records, mut prev) = (Vec::new(), [0; 16]);
        for seq in 0..count {
            let link = Link { chain: "subject-0".to_owned(), seq, prev, ..Link::default() };
            let record = outputs::encode_verdicts(7, &link, &[verdict(seq)]);
            prev = outputs::digest(&record);
            records.push(record);
        }
        records
    }

    fn read(records: &[Vec<u8>], earlier: Heads) -> Chains {
        let mut chains = Chains::with_earlier(earlier);
        for (value, offset) in records.iter().zip(0..) {
            chains.read(&at(offset, value));
        }
        chains
    }

    fn at(offset: i64, value: &[u8]) -> Incoming {
        let input = Input { topic: Topic::Audit, partition: 3 };
        let value = Some(value.to_vec().into());
        let timestamp = Timestamp::default();
        Incoming { input, offset, timestamp, key: None, value, headers: Vec::new() }
    }

    fn said(records: &[Vec<u8>]) -> String {
        let breaks = read(records, Heads::new()).breaks();
        breaks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_chain_as_it_was_written_has_no_break_and_tells_its_head() {
        let chains = read(&written(5), Heads::new());
        assert_eq!((chains.breaks(), chains.counted()), (Vec::new(), (5, 5)));
        assert_eq!(chains.heads()["subject-0"].seq, 4);
    }

    #[test]
    fn every_record_that_is_changed_missing_or_put_in_is_named() {
        let whole = written(5);
        let mut changed = whole.clone();
        let id = changed[2].windows(3).position(|bytes| bytes == b"e-2").unwrap();
        changed[2][id + 2] = b'9';
        let mut cut = whole.clone();
        cut.drain(1..3);
        let mut twice = whole.clone();
        twice.insert(4, whole[2].clone());
        let mut foreign = whole;
        foreign.insert(1, b"hello".to_vec());
        insta::assert_snapshot!([changed, cut, twice, foreign].map(|records| said(&records)).join("\n"), @r"
        partition 3, offset 3: record 3 of chain `subject-0` does not follow record 2: one of the two was changed
        partition 3, offset 1: records 1 to 2 of chain `subject-0` are missing before this
        partition 3, offset 4: record 2 of chain `subject-0` stands a second time, or out of its order
        partition 3, offset 1: this is no audit record: bad-magic
        ");
    }

    #[test]
    fn a_receipt_that_is_changed_missing_or_put_in_is_named() {
        let receipt = |number: u32| {
            let receipt = Receipt { message_id: format!("b-{number}"), told: number, ..Receipt::default() };
            outputs::encode_receipt(9, &receipt)
        };
        let all: Vec<Vec<u8>> = (1..=4).map(receipt).collect();
        let receipts = all.iter().map(|value| outputs::digest(value)).collect();
        let link = Link { chain: "delivery-3".to_owned(), receipts, ..Link::default() };
        let record = outputs::encode_verdicts(7, &link, &[]);
        let said = |all: &[Vec<u8>], first: i64| {
            let mut chains = read(std::slice::from_ref(&record), Heads::new());
            for (value, offset) in all.iter().zip(first..) {
                chains.receipt(&at(offset, value));
            }
            chains.breaks().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(said(&all, 0), "");
        let mark = Receipt { delivered: 2, ..Receipt::default() };
        assert_eq!(said(&[&all[..], &[outputs::encode_receipt(9, &mark)]].concat(), 0), "");
        let (mut changed, mut forged) = (all.clone(), all.clone());
        changed[1] = receipt(9);
        forged.push(receipt(9));
        insta::assert_snapshot!([changed, all[2..].to_vec(), forged].map(|all| said(&all, 0)).join("\n"), @r"
        receipts, partition 3, offset 1: no chain names this receipt: it was changed or put in
        record 0 of chain `delivery-3` names a receipt that is missing or was changed
        record 0 of chain `delivery-3` names 2 receipts that are missing or were changed
        receipts, partition 3, offset 4: no chain names this receipt: it was changed or put in
        ");
        // What is kept no longer is no break.
        assert_eq!(said(&all[2..], 17), "");
    }

    #[test]
    fn a_tail_that_was_cut_off_shows_beside_heads_that_were_kept() {
        let whole = written(5);
        let heads = read(&whole, Heads::new()).heads();
        assert_eq!(read(&whole, heads.clone()).breaks(), Vec::new());
        assert_eq!(read(&written(9), heads.clone()).breaks(), Vec::new());
        let breaks = read(&whole[..3], heads).breaks();
        assert_eq!(breaks, vec![Break::Cut { chain: "subject-0".to_owned(), seq: 4 }]);
        // What is kept no longer is not a break: the log begins later.
        assert_eq!(read(&whole[4..], Heads::new()).breaks(), Vec::new());
        let old = read(&whole[..2], Heads::new()).heads();
        assert_eq!(read(&whole[3..], old).breaks(), Vec::new());
    }
}

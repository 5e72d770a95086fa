//! Receipts: those that the chains name, beside those that are there.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::{Break, Lies};
use crate::codec::outputs::{self, Link};
use crate::event::{Incoming, Receipt};

/// The receipts that chains name, until they are met.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The chain and the number of the record that names it, by digest.
    open: HashMap<[u8; 16], (String, i64)>,
    /// Behind which record of a chain all receipts are still kept.
    begins: BTreeMap<String, i64>,
    /// Of each partition of receipts the first offset, and whether a chain names any of it.
    partitions: BTreeMap<i32, (i64, bool)>,
    read: u64,
    marks: u64,
}

// === impl Named ===

impl Named {
    /// A record of a chain names receipts.
    pub(super) fn name(&mut self, link: &Link) {
        for digest in &link.receipts {
            self.open.insert(*digest, (link.chain.clone(), link.seq));
        }
    }

    /// A receipt that is there.
    pub(super) fn meet(&mut self, record: &Incoming) -> Option<Break> {
        let at = Lies { partition: record.input.partition, offset: record.offset };
        let value = record.value.as_deref().unwrap_or_default();
        self.read += 1;
        let (first, named) = self.partitions.entry(at.partition).or_insert((at.offset, false));
        if let Some((chain, seq)) = self.open.remove(&outputs::digest(value)) {
            // What was deleted with age is no break; a partition that begins with 0 has lost nothing to it.
            let begins = if *first == 0 { -1 } else { seq };
            self.begins.entry(chain).or_insert(begins);
            *named = true;
            return None;
        }
        match outputs::decode_receipt(value) {
            Ok(receipt) if is_mark(&receipt) => self.marks += 1,
            // Before its lane named any, a version wrote receipts without notices.
            Ok(receipt) if !*named && receipt.notices.is_empty() => {}
            _ => return Some(Break::Foreign { at }),
        }
        None
    }

    /// Those that were named and not met, once receipts were read.
    pub(super) fn lost(&self) -> Vec<Break> {
        let mut lost: BTreeMap<(&str, i64), u64> = BTreeMap::new();
        for (chain, seq) in self.open.values() {
            let kept = self.begins.get(chain).is_none_or(|begins| begins < seq);
            if self.read > 0 && kept {
                *lost.entry((chain, *seq)).or_default() += 1;
            }
        }
        let lost = lost.into_iter();
        lost.map(|((chain, seq), receipts)| Break::Lost { chain: chain.to_owned(), seq, receipts }).collect()
    }

    pub(super) const fn counted(&self) -> (u64, u64) {
        (self.read, self.marks)
    }
}

/// Whether it says only what reached a device.
fn is_mark(receipt: &Receipt) -> bool {
    receipt.told == 0 && receipt.again == 0 && receipt.exceptions.is_empty() && receipt.notices.is_empty()
}

//! Checks: what they are made of is gathered when everything is healed.

use std::sync::atomic::AtomicBool;

use super::super::bench::NoResult;
use super::super::chains::Chains;
use super::evidence::{Check, Evidence};
use super::judge::judge;
use super::{Chaos, LOOK_EVERY, PATIENCE, machine};
use crate::broker::{Broker, Follow};
use crate::clock::Tick;
use crate::event::Topic;

/// Copies that a new owner of everything is given.
const COPIES: usize = 2_000;

// === impl Chaos ===

impl Chaos {
    /// All of them. A new owner of everything is given copies for it.
    pub(super) fn checks(&mut self, stop: &AtomicBool) -> Result<Vec<Check>, NoResult> {
        let before = self.ground.service.counted().map_err(machine)?.distinct;
        // Everything is remembered by topics alone: whoever reads them back knows it.
        self.fleet.start(0).map_err(machine)?;
        let copies = self.load.copies(COPIES);
        let given = copies.len();
        self.cluster.publish(copies)?;
        self.drain(stop, &mut |_| {})?;
        self.fleet.end(0).map_err(machine)?;
        let counted = self.ground.service.counted().map_err(machine)?;
        let refs = self.ground.service.ask("GET", "/refs", "").map_err(machine)?;
        let chains = self.chains()?;
        let evidence = Evidence {
            owed: self.load.tellings,
            made: self.load.made,
            findings: judge(&self.load.owed, &refs),
            copies: (given, counted.distinct - before),
            counted,
            books: self.ledgers.keeper.books(),
            breaks: chains.breaks().iter().map(ToString::to_string).collect(),
            audited: chains.counted(),
            open: self.open()?,
            unasked: std::mem::take(&mut self.fleet.unasked),
            peak: self.fleet.peak,
            faults: self.faults,
            meanwhile: self.meanwhile,
        };
        Ok(evidence.checks())
    }

    fn chains(&self) -> Result<Chains, NoResult> {
        let (mut chains, begun) = (Chains::default(), Tick::now());
        // The chains name the receipts, so these come after.
        for topic in [Topic::Audit, Topic::Receipts] {
            let mut follow = self.cluster.follow(topic)?;
            let (ends, mut records) = (follow.ends()?, Vec::new());
            while is_behind(follow.as_ref(), &ends) && begun.elapsed() < PATIENCE {
                follow.poll(LOOK_EVERY, &mut records)?;
                for record in records.drain(..) {
                    match topic {
                        Topic::Audit => drop(chains.read(&record)),
                        _ => chains.receipt(&record),
                    }
                }
            }
        }
        Ok(chains)
    }

    /// Topics in which a transaction is open.
    fn open(&self) -> Result<Vec<String>, NoResult> {
        let mut open = Vec::new();
        for topic in Topic::ALL {
            if !self.cluster.follow(topic)?.is_settled()? {
                open.push(topic.to_string());
            }
        }
        Ok(open)
    }
}

fn is_behind(follow: &dyn Follow, ends: &[i64]) -> bool {
    follow.positions().iter().zip(ends).any(|(position, end)| position < end)
}

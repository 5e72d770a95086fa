//! In force: the rules that this process goes by, switched as a whole.
//!
//! Who asks gets the rules as they stand and keeps them for as long as they need them; a lane takes newer
//! ones between two transactions. Nothing here decides which rules those are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::Topology;

/// So many versions before the newest are kept, for what was decided by them and is not told yet.
const MOST_EARLIER: usize = 8;

/// The rules in force.
#[derive(Debug)]
pub struct InForce {
    newest: RwLock<Arc<Topology>>,
    /// The newest generation that was published, whether or not it can be used here.
    published: AtomicU64,
}

// === impl InForce ===

impl InForce {
    /// These are in force.
    #[must_use]
    pub fn new(topology: impl Into<Arc<Topology>>) -> Self {
        let topology = topology.into();
        let published = AtomicU64::new(topology.generation);
        Self { newest: RwLock::new(topology), published }
    }

    /// Rules of this generation were published.
    pub fn note_published(&self, generation: u64) {
        self.published.fetch_max(generation, Ordering::Relaxed);
    }

    /// The newest generation that was published.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// The rules as they stand.
    #[must_use]
    pub fn newest(&self) -> Arc<Topology> {
        Arc::clone(&self.newest.read().expect("nothing panics while rules are switched"))
    }

    /// These are in force from now on.
    pub fn switch(&self, topology: Topology) {
        self.note_published(topology.generation);
        let mut newest = self.newest.write().expect("nothing panics while rules are switched");
        *newest = Arc::new(topology.after(&newest));
    }
}

// === impl Topology ===

impl Topology {
    /// These rules in the place of `before`, which they remember.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        let mut earlier = before.earlier.clone();
        earlier.push(Arc::new(Self { earlier: Vec::new(), ..before.clone() }));
        earlier.drain(..earlier.len().saturating_sub(MOST_EARLIER));
        Self { earlier, ..self }
    }

    /// The versions before that are known, newest first.
    pub fn before(&self) -> impl Iterator<Item = &Self> {
        self.earlier.iter().rev().map(|earlier| &**earlier)
    }

    /// The rules by which something was decided: those of that generation while they are known, else the
    /// oldest known that came after.
    #[must_use]
    pub fn at(&self, generation: u64) -> &Self {
        let after = self.earlier.iter().find(|earlier| earlier.generation >= generation);
        after.map_or(self, |earlier| earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(generation: u64) -> Topology {
        Topology { generation, ..Topology::default() }
    }

    #[test]
    fn what_was_decided_is_finished_by_its_own_rules_or_the_next_ones_that_are_known() {
        let in_force = InForce::new(rules(3));
        let held = in_force.newest();
        for generation in [5, 9] {
            in_force.switch(rules(generation));
        }
        let newest = in_force.newest();
        let at = |generation| newest.at(generation).generation;
        assert_eq!([0, 3, 4, 5, 6, 9, 12].map(at), [3, 3, 5, 5, 9, 9, 9]);
        assert_eq!(held.generation, 3, "who has them keeps them");
    }

    #[test]
    fn a_bounded_number_of_versions_is_kept() {
        let in_force = InForce::new(rules(0));
        (1..=100).for_each(|generation| in_force.switch(rules(generation)));
        let newest = in_force.newest();
        assert_eq!((newest.generation, newest.earlier.len()), (100, MOST_EARLIER));
        assert!(newest.earlier.iter().all(|earlier| earlier.earlier.is_empty()));
        assert_eq!(newest.at(1).generation, 92);
    }
}

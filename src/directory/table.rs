//! Table: names, and who stands under each, as bitmaps over one tenant's places.
//!
//! Names are compared exactly, after trimming: `Legal` and `legal` are two roles. Folding case would
//! depend on the language, and guessing at who is meant is how the wrong person hears.

use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;

/// A person's place in one tenant's tables.
///
/// **Invariant:** a place means something in this process and this run only: another process read the
/// directory in another order. It is never serialised; whatever leaves the process names user ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(pub(super) std::num::NonZeroU32);

/// A name's number in [`Names`]; as local as a [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(std::num::NonZeroU32);

/// Texts that many people share, each kept once. What was seen once stays.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_text: HashMap<Arc<str>, NameId>,
    texts: Vec<Arc<str>>,
}

/// Who stands under each name.
#[derive(Debug, Default)]
pub(super) struct Table {
    names: Names,
    sets: Vec<RoaringBitmap>,
}

/// Who stands under each node of a tree, at every level above their own: by the node's name, and by its
/// path from the top with `/` between (`EMEA/EMEA Sales`).
#[derive(Debug, Default)]
pub(super) struct Tree {
    leaves: Names,
    keys: Vec<Box<[NameId]>>,
    table: Table,
}

// === impl Place ===

impl Place {
    pub(super) fn bit(self) -> u32 {
        self.0.get()
    }

    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The place behind a bit; 0 is nobody's.
    pub(super) fn of(bit: u32) -> Option<Self> {
        std::num::NonZeroU32::new(bit).map(Self)
    }
}

// === impl NameId ===

impl NameId {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

// === impl Names ===

impl Names {
    pub(super) fn id(&mut self, text: &str) -> NameId {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        let number = u32::try_from(self.texts.len()).expect("fewer than 2^32 names fit into memory");
        let id = NameId(std::num::NonZeroU32::new(number).expect("one was just added"));
        self.by_text.insert(text, id);
        id
    }

    pub(super) fn find(&self, text: &str) -> Option<NameId> {
        self.by_text.get(text).copied()
    }

    pub(super) fn text(&self, id: NameId) -> &str {
        &self.texts[id.index()]
    }
}

// === impl Table ===

impl Table {
    pub(super) fn id(&mut self, name: &str) -> NameId {
        let id = self.names.id(name);
        if self.sets.len() <= id.index() {
            self.sets.push(RoaringBitmap::new());
        }
        id
    }

    pub(super) fn insert(&mut self, id: NameId, place: Place) {
        self.sets[id.index()].insert(place.bit());
    }

    pub(super) fn remove(&mut self, id: NameId, place: Place) {
        self.sets[id.index()].remove(place.bit());
    }

    /// Those under a name, nobody when it was never heard.
    pub(super) fn get(&self, name: &str) -> Option<&RoaringBitmap> {
        self.names.find(name.trim()).map(|id| &self.sets[id.index()])
    }

    pub(super) fn text(&self, id: NameId) -> &str {
        self.names.text(id)
    }

    /// The names somebody stands under, and how many do.
    pub(super) fn held(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names
            .texts
            .iter()
            .zip(&self.sets)
            .filter(|(_, set)| !set.is_empty())
            .map(|(name, set)| (&**name, set.len()))
    }

    /// Everybody under one of the names.
    pub(super) fn union(&self, names: &[String]) -> RoaringBitmap {
        match names {
            [only] => self.get(only).cloned().unwrap_or_default(),
            _ => {
                use roaring::MultiOps;
                names.iter().filter_map(|name| self.get(name)).union()
            }
        }
    }

    pub(super) fn contains(&self, names: &[String], place: Place) -> bool {
        names.iter().filter_map(|name| self.get(name)).any(|set| set.contains(place.bit()))
    }
}

// === impl Tree ===

impl Tree {
    /// The leaf at the end of `levels`, from the top; blank levels are passed over.
    pub(super) fn leaf<'l>(&mut self, levels: impl Iterator<Item = &'l str>) -> Option<NameId> {
        let levels: Vec<&str> = levels.map(str::trim).filter(|level| !level.is_empty()).collect();
        if levels.is_empty() {
            return None;
        }
        // With lengths, or a name that holds the separator would take another's place.
        let whole: String = levels.iter().map(|level| format!("{}:{level}", level.len())).collect();
        let leaf = self.leaves.id(&whole);
        if self.keys.len() <= leaf.index() {
            let paths = (1..=levels.len()).map(|depth| levels[..depth].join("/"));
            let names = levels.iter().map(|level| (*level).to_owned());
            let mut keys: Vec<NameId> = names.chain(paths).map(|name| self.table.id(&name)).collect();
            keys.sort_unstable();
            keys.dedup();
            self.keys.push(keys.into());
        }
        Some(leaf)
    }

    pub(super) fn insert(&mut self, leaf: NameId, place: Place) {
        for key in &self.keys[leaf.index()] {
            self.table.insert(*key, place);
        }
    }

    pub(super) fn remove(&mut self, leaf: NameId, place: Place) {
        for key in &self.keys[leaf.index()] {
            self.table.remove(*key, place);
        }
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }
}

/// Moves `place` from the sets of `old` into those of `new`.
pub(super) fn point(index: &mut HashMap<Place, RoaringBitmap>, old: &[Place], new: &[Place], place: Place) {
    for target in old {
        if let Some(set) = index.get_mut(target) {
            set.remove(place.bit());
            if set.is_empty() {
                index.remove(target);
            }
        }
    }
    for target in new {
        index.entry(*target).or_default().insert(place.bit());
    }
}

//! Named: whom an audience names, laid out as frames take them, and kept while the directory stands still.
//!
//! Many changes speak to the same people: a role at a site, a team, everybody. Looking them up and
//! spelling their names costs as much as all else a subject lane does for a change.
//!
//! **Invariant:** what is kept holds for one position of the directory and is forgotten with the next: it
//! is the same answer, never an older one.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::directory::Resolved;
use crate::event::frame::append;
use crate::event::ids::person_partition;
use crate::event::{Asked, Reason};

/// The most bytes of names in one item; with the longest usual user ids still well below a frame.
pub(super) const MOST_NAMES_BYTES: usize = 128 * 1024;
/// The most people that are named for having come in, or been kept out, by the same term.
pub(super) const MOST_STANDING: usize = 12;
/// The most bytes of names that are kept.
const MOST_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Whom an audience names.
#[derive(Debug)]
pub struct Named {
    /// How many people that is, those included whom no channel reaches.
    pub count: u32,
    /// The names of those to be told, as items hold them.
    pub(super) parts: Vec<Part>,
    /// Those whom no approved channel reaches.
    pub no_channel: Vec<String>,
    /// Those who have no device.
    pub no_device: Vec<String>,
    /// Whether only the fallback names them.
    pub(super) by_fallback: bool,
    /// Why nobody is named.
    pub nobody: Option<Reason>,
    /// By which terms they are named, and by which others are not.
    pub asked: Arc<Asked>,
}

/// The names of one item.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) partition: i32,
    pub(super) count: u32,
    pub(super) names: Vec<u8>,
}

/// The audiences asked for since the directory moved.
#[derive(Debug, Default)]
pub struct Kept {
    directory: Vec<i64>,
    by_audience: HashMap<u128, Arc<Named>, foldhash::fast::RandomState>,
    bytes: usize,
}

// === impl Named ===

impl Named {
    /// Lays them out for a `bugle.people` with this many partitions.
    #[must_use]
    pub fn of(found: &Resolved<'_>, asked: Asked, tenant: &str, partitions: u32) -> Self {
        let mut open: Vec<Part> = Vec::new();
        open.resize_with(partitions.max(1) as usize, Part::default);
        let mut parts = Vec::new();
        for entry in found.iter() {
            let user_id = entry.user_id();
            let partition = person_partition(tenant, user_id, partitions);
            let part = &mut open[usize::try_from(partition).unwrap_or(0)];
            part.partition = partition;
            // A name too long to share an item with others is no user id of any directory we know; the
            // directory refuses ids beyond 256 bytes.
            if part.names.len() + user_id.len() + 10 > MOST_NAMES_BYTES {
                parts.push(std::mem::take(part));
                part.partition = partition;
            }
            part.names = append(&user_id, std::mem::take(&mut part.names));
            part.count += 1;
        }
        parts.extend(open.into_iter().filter(|part| part.count > 0));
        let no_channel: Vec<String> = found.no_channel().map(|entry| entry.user_id().to_owned()).collect();
        let no_device: Vec<String> = found.no_device().map(|entry| entry.user_id().to_owned()).collect();
        Self {
            count: u32::try_from(found.len() + no_channel.len() + no_device.len()).unwrap_or(u32::MAX),
            parts,
            no_channel,
            no_device,
            by_fallback: found.by_fallback,
            nobody: found.nobody().map(|nobody| nobody.reason()),
            asked: Arc::new(asked),
        }
    }

    fn bytes(&self) -> usize {
        let names: usize = self.parts.iter().map(|part| part.names.len()).sum();
        let untold = self.no_channel.iter().chain(&self.no_device);
        names + untold.map(String::len).sum::<usize>() + 2 * self.asked.bytes() + 128
    }
}

// === impl Kept ===

impl Kept {
    /// Whom the audience with this key names by the directory at this position; `name` finds out where it
    /// was not asked for before.
    pub fn named(&mut self, key: u128, directory: &[i64], name: impl FnOnce() -> Named) -> Arc<Named> {
        if self.directory != directory {
            self.forget();
            self.directory = directory.to_vec();
        }
        if let Some(named) = self.by_audience.get(&key) {
            return Arc::clone(named);
        }
        let named = Arc::new(name());
        if self.bytes + named.bytes() > MOST_KEPT_BYTES {
            self.forget();
        }
        self.bytes += named.bytes();
        self.by_audience.insert(key, Arc::clone(&named));
        named
    }

    fn forget(&mut self) {
        self.by_audience.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: u32, bytes: usize) -> Named {
        let part = Part { partition: 0, count, names: vec![0; bytes] };
        let asked = Arc::default();
        let (no_channel, no_device) = (Vec::new(), Vec::new());
        Named { count, parts: vec![part], no_channel, no_device, by_fallback: false, nobody: None, asked }
    }

    #[test]
    fn an_audience_is_asked_for_once_until_the_directory_moves() {
        let mut kept = Kept::default();
        assert_eq!(kept.named(1, &[1, 7], || named(1, 1)).count, 1);
        assert_eq!(kept.named(1, &[1, 7], || unreachable!("it is kept")).count, 1);
        assert_eq!(kept.named(2, &[1, 7], || named(2, 1)).count, 2);
        assert_eq!(kept.named(1, &[1, 8], || named(3, 1)).count, 3);
        assert_eq!(kept.named(2, &[1, 8], || named(4, 1)).count, 4);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut kept = Kept::default();
        for key in 0..100 {
            kept.named(key, &[], || named(1, MOST_NAMES_BYTES));
            assert!(kept.bytes <= MOST_KEPT_BYTES + 256);
        }
        assert!(kept.by_audience.len() < 40);
    }
}

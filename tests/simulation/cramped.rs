//! Cramped: instances with hardly any memory, and disks that lose something now and then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bugle::flow::Spill;
use bugle::store::disk::FolderDisk;
use bugle::store::spill::{Disk, DiskFault, Part};

use super::play::Play;
use super::{STEPS, a_company, everybody, shown};

/// So many bytes an instance may keep in memory: those of a few conversations.
const MOST: usize = 2_000;

/// Whether the instances of a play have hardly any memory.
pub(crate) fn is_cramped(seed: u64) -> bool {
    seed % 5 == 3
}

/// What the disks of a play have in common.
#[derive(Clone)]
pub(crate) struct Cramped {
    disk: Arc<dyn Disk>,
    /// The next read fails.
    fails: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
}

struct Frail(Cramped, Box<dyn Part>);

/// Maps in the place of a disk.
struct Heap;

#[derive(Default)]
struct HeapPart(Mutex<BTreeMap<u128, Vec<u8>>>);

// === impl Cramped ===

impl Cramped {
    fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, fails: Arc::default(), reads: Arc::default() }
    }

    /// Room for an instance.
    pub(crate) fn room(&self) -> Spill {
        Spill::beyond(MOST, Box::new(self.clone()))
    }

    pub(crate) fn fail_next_read(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// How many entries came back.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Default for Cramped {
    fn default() -> Self {
        Self::on(Arc::new(Heap))
    }
}

impl Disk for Cramped {
    fn part(&self) -> Result<Box<dyn Part>, DiskFault> {
        Ok(Box::new(Frail(self.clone(), self.disk.part()?)))
    }
}

impl Part for Frail {
    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault> {
        if self.0.fails.swap(false, Ordering::Relaxed) {
            return Err(DiskFault { path: "/state".to_owned(), fault: "a sector is gone".to_owned() });
        }
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        self.1.get(key)
    }

    fn write(&self, gone: &[u128], entries: &[(u128, &[u8])]) -> Result<(), DiskFault> {
        self.1.write(gone, entries)
    }

    fn each(&self, look: &mut dyn FnMut(u128, &[u8])) -> Result<(), DiskFault> {
        self.1.each(look)
    }
}

impl Disk for Heap {
    fn part(&self) -> Result<Box<dyn Part>, DiskFault> {
        Ok(Box::<HeapPart>::default())
    }
}

impl Part for HeapPart {
    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault> {
        Ok(self.0.lock().unwrap().get(&key).cloned())
    }

    fn write(&self, gone: &[u128], entries: &[(u128, &[u8])]) -> Result<(), DiskFault> {
        let mut heap = self.0.lock().unwrap();
        gone.iter().for_each(|key| drop(heap.remove(key)));
        heap.extend(entries.iter().map(|(key, entry)| (*key, entry.to_vec())));
        Ok(())
    }

    fn each(&self, look: &mut dyn FnMut(u128, &[u8])) -> Result<(), DiskFault> {
        self.0.lock().unwrap().iter().for_each(|(key, entry)| look(*key, entry));
        Ok(())
    }
}

#[test]
fn a_play_is_the_same_on_a_real_disk() {
    let town = a_company(everybody());
    let played = |disk: Cramped| {
        let play = Play::on(&town, &town, (13, None), disk);
        play.run(STEPS).unwrap_or_else(|broken| panic!("{}", shown(&broken)))
    };
    let folder = tempfile::tempdir().unwrap();
    let real = played(Cramped::on(Arc::new(FolderDisk::empty(&folder.path().join("entries")).unwrap())));
    assert!(real.from_disk > 0, "nothing came back from it");
    assert_eq!(real, played(Cramped::default()));
}

//! Cramped: instances with hardly any memory, and disks that lose something now and then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    trouble: Arc<Mutex<Trouble>>,
    reads: Arc<AtomicU64>,
}

/// What is wrong with the disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// The next read fails.
    Scratch,
    /// Every read fails.
    Broken,
    /// Nothing is where it was put.
    Forgetful,
}

struct Frail(Cramped, Box<dyn Part>);

/// Maps in the place of a disk.
struct Heap;

#[derive(Default)]
struct HeapPart(Mutex<BTreeMap<u128, Vec<u8>>>);

// === impl Cramped ===

impl Cramped {
    fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, trouble: Arc::default(), reads: Arc::default() }
    }

    /// Room for an instance.
    pub(crate) fn room(&self) -> Spill {
        Spill::beyond(MOST, Box::new(self.clone()))
    }

    /// From now on this is wrong with them.
    pub(crate) fn meet(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// What a read meets.
    fn met(&self) -> Result<Trouble, DiskFault> {
        let mut trouble = self.trouble.lock().unwrap();
        match *trouble {
            Trouble::None | Trouble::Forgetful => return Ok(*trouble),
            Trouble::Scratch => *trouble = Trouble::None,
            Trouble::Broken => {}
        }
        Err(DiskFault { path: "/state".to_owned(), fault: "a sector is gone".to_owned() })
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
    fn place(&self) -> String {
        self.1.place()
    }

    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault> {
        if self.0.met()? == Trouble::Forgetful {
            return Ok(None);
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
    fn place(&self) -> String {
        "/state".to_owned()
    }

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

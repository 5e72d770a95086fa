//! Tests of what lies in memory and on disk: the same map, however little room there is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::keyed::{NEVER, Second};
use super::spill::{Disk, DiskFault, Part};
use super::{Keyed, Spill};
use crate::event::{Span, Timestamp};

type Heap = Mutex<BTreeMap<u128, Vec<u8>>>;

/// A disk that fails when it is told to.
#[derive(Default, Clone)]
struct Fragile {
    full: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    behind: Arc<AtomicBool>,
    forgets: Arc<AtomicBool>,
}

struct FragilePart(Fragile, Heap);

fn refused(is: &AtomicBool) -> Result<(), DiskFault> {
    let fault = DiskFault { path: "/state".to_owned(), fault: "as it was told".to_owned() };
    if is.load(Ordering::Relaxed) { Err(fault) } else { Ok(()) }
}

impl Disk for Fragile {
    fn part(&self) -> Result<Box<dyn Part>, DiskFault> {
        Ok(Box::new(FragilePart(self.clone(), Heap::default())))
    }
}

impl Part for FragilePart {
    fn place(&self) -> String {
        "/state".to_owned()
    }

    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault> {
        refused(&self.0.broken)?;
        let forgets = self.0.forgets.load(Ordering::Relaxed);
        Ok(self.1.lock().unwrap().get(&key).filter(|_| !forgets).cloned())
    }

    fn write(&self, gone: &[u128], entries: &[(u128, &[u8])]) -> Result<(), DiskFault> {
        refused(&self.0.full)?;
        let mut heap = self.1.lock().unwrap();
        gone.iter().for_each(|key| drop(heap.remove(key)));
        heap.extend(entries.iter().map(|(key, entry)| (*key, entry.to_vec())));
        Ok(())
    }

    fn each(&self, look: &mut dyn FnMut(u128, &[u8])) -> Result<(), DiskFault> {
        refused(&self.0.broken)?;
        self.1.lock().unwrap().iter().for_each(|(key, entry)| look(*key, entry));
        Ok(())
    }

    fn is_behind(&self) -> bool {
        self.0.behind.load(Ordering::Relaxed)
    }
}

fn fragile(most: usize) -> (Fragile, Spill) {
    let disk = Fragile::default();
    (disk.clone(), Spill::beyond(most, Box::new(disk)))
}

/// A map of entries of 100 bytes, committed one by one.
fn filled(spill: &Spill, keys: std::ops::Range<u128>) -> Keyed {
    let mut keyed = Keyed::within(spill);
    for key in keys {
        keyed.put(key, 7, &[1; 100]);
        keyed.settle();
    }
    keyed
}

#[derive(Debug, Clone)]
enum Step {
    Put(u128, Second, u8),
    Remove(u128),
    Get(u128),
    Settle,
    Undo,
    /// Of what an owner before left, after a commit.
    Restore(u128, Option<(Second, u8)>),
    Restored,
}

fn step() -> impl Strategy<Value = Step> {
    let (key, due) = (0..24_u128, prop_oneof![0..9_u32, Just(NEVER)]);
    prop_oneof![
        6 => (key.clone(), due.clone(), any::<u8>()).prop_map(|(key, due, len)| Step::Put(key, due, len)),
        2 => key.clone().prop_map(Step::Remove),
        3 => key.clone().prop_map(Step::Get),
        4 => Just(Step::Settle),
        2 => Just(Step::Undo),
        2 => (key, prop::option::of((due, any::<u8>()))).prop_map(|(key, entry)| Step::Restore(key, entry)),
        1 => Just(Step::Restored),
    ]
}

type Model = BTreeMap<u128, (Second, Vec<u8>)>;

/// A map, and a slow one that knows neither memory nor disk.
struct Pair {
    keyed: Keyed,
    settled: Model,
    open: Model,
}

impl Pair {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Put(key, due, len) => {
                let entry = vec![*len; usize::from(*len)];
                self.keyed.put(*key, *due, &entry);
                self.open.insert(*key, (*due, entry));
            }
            Step::Remove(key) => {
                self.keyed.remove(*key);
                self.open.remove(key);
            }
            Step::Get(key) => {
                let kept = self.open.get(key);
                assert_eq!(self.keyed.due_of(*key), kept.map(|(due, _)| *due));
                assert_eq!(self.keyed.contains(*key), kept.is_some());
                assert_eq!(self.keyed.get(*key), kept.map(|(_, entry)| entry.as_slice()));
            }
            Step::Settle => self.settle(),
            Step::Undo => {
                self.keyed.undo();
                self.open = self.settled.clone();
            }
            Step::Restore(key, entry) => {
                self.settle();
                let entry = entry.map(|(due, len)| (due, vec![len; usize::from(len)]));
                let given = entry.as_ref().map(|(due, entry)| (*due, entry.as_slice()));
                self.keyed.restore(*key, given);
                match entry {
                    Some(entry) => drop(self.open.insert(*key, entry)),
                    None => drop(self.open.remove(key)),
                }
                self.settled = self.open.clone();
            }
            Step::Restored => {
                self.settle();
                self.keyed.restored();
            }
        }
        let due = || self.open.values().map(|(due, _)| *due).filter(|due| *due != NEVER);
        assert_eq!((self.keyed.len(), self.keyed.pending()), (self.open.len(), due().count()));
        assert_eq!(self.keyed.next_due(), due().min());
    }

    fn settle(&mut self) {
        let changed: BTreeMap<u128, Option<Vec<u8>>> =
            self.keyed.changed().map(|(key, entry)| (key, entry.map(<[u8]>::to_vec))).collect();
        let keys = self.open.keys().chain(self.settled.keys());
        let meant = keys.filter(|key| self.open.get(key) != self.settled.get(key));
        let meant = meant.map(|key| (*key, self.open.get(key).map(|(_, entry)| entry.clone())));
        assert_eq!(changed, meant.collect());
        self.keyed.settle();
        self.settled = self.open.clone();
    }

    fn is_whole(&self) {
        let mut shown = BTreeMap::new();
        self.keyed.each(|key, entry| assert_eq!(shown.insert(key, entry.to_vec()), None));
        assert_eq!(shown, self.open.iter().map(|(key, (_, entry))| (*key, entry.clone())).collect());
        assert_eq!(self.keyed.fault(), None);
    }
}

fn plays(spill: &Spill, steps: &[Step]) {
    let mut pair = Pair { keyed: Keyed::within(spill), settled: Model::new(), open: Model::new() };
    steps.iter().for_each(|step| pair.take(step));
    pair.is_whole();
    drop(pair);
    let used = spill.used();
    assert_eq!((used.here, used.away), Default::default(), "what is gone takes no room");
}

proptest! {
    #[test]
    fn a_map_is_the_same_however_little_room_there_is(steps in prop::collection::vec(step(), 0..120)) {
        plays(&Spill::default(), &steps);
        for most in [0, 500, 2_000] {
            plays(&fragile(most).1, &steps);
        }
    }
}

#[cfg(feature = "state-disk")]
mod on_disk {
    use std::path::Path;

    use super::*;
    use crate::store::disk::FolderDisk;

    fn spill(path: &Path, most: usize) -> Spill {
        Spill::beyond(most, Box::new(FolderDisk::empty(path).unwrap()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_map_is_the_same_on_a_real_disk(steps in prop::collection::vec(step(), 60..120)) {
            let folder = tempfile::tempdir().unwrap();
            plays(&spill(&folder.path().join("entries"), 500), &steps);
        }
    }

    #[test]
    fn a_process_begins_with_an_empty_folder_and_a_map_with_an_empty_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entries");
        drop(FolderDisk::empty(&path).unwrap());
        std::fs::write(path.join("store/0.jnl"), "what a killed process left").unwrap();
        let spill = spill(&path, 1_000);
        let first = filled(&spill, 0..50);
        assert!(spill.used().away.entries > 40);
        drop(first);
        assert_eq!(filled(&spill, 0..1).len(), 1);
        let mut second = filled(&spill, 100..150);
        assert_eq!(second.get(7), None);
        assert_eq!(second.get(101), Some(&[1; 100][..]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "no folder").unwrap();
        let fault = FolderDisk::empty(&path.join("entries")).err().unwrap();
        assert!(fault.to_string().contains("file/entries` cannot be used: "), "{fault}");
    }

    #[test]
    fn what_bugle_did_not_write_is_not_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entries");
        let (beside, theirs) = (path.join("notes"), path.join("store/notes"));
        std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        for file in [&beside, &theirs] {
            std::fs::write(file, "theirs").unwrap();
        }
        let fault = FolderDisk::empty(&path).err().unwrap().to_string();
        assert!(
            fault.contains("entries/store` cannot be used: ") && fault.contains("`state.dir`"),
            "{fault}"
        );
        assert!(theirs.exists() && beside.exists());
        std::fs::rename(path.join("store"), path.join("moved")).unwrap();
        drop(FolderDisk::empty(&path).unwrap());
        drop(FolderDisk::empty(&path).unwrap());
        assert!(path.join("moved/notes").exists() && beside.exists());
    }
}

#[test]
fn what_was_used_last_stays_in_memory_and_the_rest_fits_its_room() {
    let (_, spill) = fragile(4_000);
    let mut keyed = filled(&spill, 0..200);
    let used = spill.used();
    assert!(used.here.bytes <= 4_000, "{used:?}");
    assert_eq!(used.here.entries + used.away.entries, 200);
    for _ in 0..5 {
        assert!(keyed.get(3).is_some());
        keyed.put(1_000, 7, &[2; 100]);
        keyed.settle();
    }
    assert_eq!(spill.used().read, 1, "it came back once and stayed");
}

#[test]
fn maps_share_the_room_by_what_they_have() {
    let (_, spill) = fragile(20_000);
    let small = filled(&spill, 0..20);
    let mut large = filled(&spill, 0..400);
    let used = spill.used();
    assert!(used.here.bytes <= 20_000 + 20 * 168, "{used:?}");
    drop(small);
    large.put(1, 7, b"x");
    large.settle();
    assert!(spill.used().here.bytes <= 20_000);
}

#[test]
fn what_a_disk_does_not_take_stays_in_memory() {
    let (disk, spill) = fragile(1_000);
    disk.full.store(true, Ordering::Relaxed);
    let mut keyed = filled(&spill, 0..50);
    let used = spill.used();
    assert_eq!((used.here.entries, used.away.entries), (50, 0));
    assert!(used.faults > 0 && spill.take_fault().is_some() && spill.take_fault().is_none());
    assert_eq!(keyed.get(3), Some(&[1; 100][..]));
    assert_eq!(keyed.fault(), None);
}

#[test]
fn a_map_whose_disk_gives_nothing_back_says_so() {
    let (disk, spill) = fragile(1_000);
    let mut keyed = filled(&spill, 0..50);
    disk.broken.store(true, Ordering::Relaxed);
    let lost = (0..50).find(|key| keyed.get(*key).is_none());
    assert!(lost.is_some() && keyed.fault().is_some());
    // Taken back, it is no more to be trusted than before; and whoever works off what is due comes to an end.
    keyed.undo();
    assert!(keyed.fault().is_some());
    assert_eq!((keyed.due_by(7), keyed.next_due()), (None, None));
    // Read back from its topics it would be lost again on the same disk, were it put there.
    drop(keyed);
    let mut again = filled(&spill, 0..50);
    assert_eq!((spill.used().here.entries, spill.used().away.entries), (50, 0));
    assert!(again.get(3).is_some() && again.fault().is_none());
}

#[test]
fn who_gives_a_disk_more_than_it_can_take_does_not_wait_for_it() {
    let (disk, spill) = fragile(0);
    let mut keyed = Keyed::within(&spill);
    (0..40).for_each(|key| keyed.put(key, 7, &[1; 100_000]));
    disk.behind.store(true, Ordering::Relaxed);
    keyed.settle();
    let taken = spill.used().away.entries;
    assert!((1..20).contains(&taken), "{taken}");
    keyed.settle();
    assert_eq!(spill.used().away.entries, taken);
    disk.behind.store(false, Ordering::Relaxed);
    keyed.settle();
    assert_eq!(spill.used().away.entries, 40);
}

#[test]
fn what_a_disk_has_forgotten_is_missed_and_its_place_is_named() {
    let (disk, spill) = fragile(1_000);
    let mut keyed = filled(&spill, 0..50);
    disk.forgets.store(true, Ordering::Relaxed);
    let lost = (0..50_u128).find(|key| keyed.get(*key).is_none()).unwrap();
    let fault = keyed.fault().unwrap().to_string();
    assert_eq!(fault, format!("`/state` cannot be used: of what was put there, {lost:032x} is gone"));
}

#[test]
fn a_disk_that_takes_nothing_for_half_a_minute_is_spoken_of() {
    let at = |secs: i64| Timestamp::from_millis(1_767_603_600_000 + secs * 1_000);
    let (disk, spill) = fragile(1_000);
    let mut keyed = filled(&spill, 0..50);
    assert_eq!(spill.waited(at(0)), (Span::ZERO, false));
    disk.behind.store(true, Ordering::Relaxed);
    let mut more = |key| {
        keyed.put(key, 7, &[1; 100]);
        keyed.settle();
    };
    (500..510).for_each(&mut more);
    let mut said = Vec::new();
    for second in 1..=70_i64 {
        more(1_000 + u128::from(second.unsigned_abs()));
        let (waited, is_long) = spill.waited(at(second));
        assert_eq!(waited, Span::from_secs(second));
        said.extend(is_long.then_some(second));
    }
    assert_eq!(said, [30, 60]);
    // Who has nothing more for it does not wait for it.
    assert_eq!(spill.waited(at(76)), (Span::ZERO, false));
    more(1);
    assert_eq!(spill.waited(at(77)), (Span::from_secs(1), false));
    disk.behind.store(false, Ordering::Relaxed);
    more(2);
    assert_eq!(spill.waited(at(78)), (Span::ZERO, false));
}

#[test]
fn an_open_transaction_is_nowhere_on_disk() {
    let (_, spill) = fragile(0);
    let mut keyed = filled(&spill, 0..10);
    assert_eq!(spill.used().here.entries, 0);
    let written = spill.used().written;
    for key in 0..10 {
        keyed.put(key, 3, b"open");
    }
    assert_eq!(spill.used().written, written);
    keyed.undo();
    keyed.settle();
    assert_eq!((keyed.due_by(3), keyed.get(4)), (None, Some(&[1; 100][..])));
}

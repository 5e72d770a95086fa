//! Disk: the embedded store that takes entries for which there is no room in memory (fjall, a log-structured
//! merge tree).
//!
//! A cache and nothing else: it is emptied when a process begins, each map has a part of its own that goes with it,
//! and nothing waits for the disk to be sure. What is emptied is what a process of Bugle has put there: a file beside
//! it says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use super::spill::{Disk, DiskFault, Part};

/// Where the store lies in its folder, and the file beside it that says whose it is.
const STORE: &str = "store";
const OURS: &str = "bugle";
const WORDS: &str = "What lies beside this file is Bugle's, and is thrown away whenever a process begins.\n";

/// Blocks that were read, kept in memory.
const CACHE: u64 = 16 * 1024 * 1024;
/// What one map has written and the disk has not taken: maps are many.
const WRITTEN: u64 = 4 * 1024 * 1024;
/// The least that fjall may be told.
const JOURNALS: u64 = 64 * 1024 * 1024;
/// One that flushes and one that tidies up.
const WORKERS: usize = 2;
/// With so many full tables on their way to the disk it is given no more: fjall would stop whoever writes.
const MOST_ON_THE_WAY: usize = 3;

/// A folder with the entries of one process.
pub struct FolderDisk {
    path: PathBuf,
    database: Database,
    parts: AtomicU64,
}

struct KeyspacePart {
    path: PathBuf,
    database: Database,
    keyspace: Keyspace,
}

// === impl FolderDisk ===

impl FolderDisk {
    /// Begins with an empty store: what a process before left of it is thrown away. No other process may have it.
    ///
    /// # Errors
    /// [`DiskFault`], also where a store lies in the folder that is not Bugle's.
    pub fn empty(path: &Path) -> Result<Self, DiskFault> {
        let failed = |fault: &dyn std::error::Error| said(path, fault);
        let (store, ours) = (path.join(STORE), path.join(OURS));
        if store.symlink_metadata().is_ok() {
            if !ours.is_file() {
                return Err(foreign(&store));
            }
            fs::remove_dir_all(&store).map_err(|fault| failed(&fault))?;
        }
        fs::create_dir_all(path).map_err(|fault| failed(&fault))?;
        // Before there is anything to be thrown away.
        fs::write(&ours, WORDS).map_err(|fault| failed(&fault))?;
        let database = Database::builder(&store)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .manual_journal_persist(true)
            .worker_threads(WORKERS)
            .open()
            .map_err(|fault| failed(&fault))?;
        Ok(Self { path: store, database, parts: AtomicU64::new(0) })
    }
}

impl Disk for FolderDisk {
    fn part(&self) -> Result<Box<dyn Part>, DiskFault> {
        let name = self.parts.fetch_add(1, Ordering::Relaxed).to_string();
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(WRITTEN)
                .manual_journal_persist(true)
                .expect_point_read_hits(true)
        };
        let (path, database) = (self.path.clone(), self.database.clone());
        let keyspace = database.keyspace(&name, options).map_err(|fault| said(&path, &fault))?;
        Ok(Box::new(KeyspacePart { path, database, keyspace }))
    }
}

impl Part for KeyspacePart {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn get(&self, key: u128) -> Result<Option<Vec<u8>>, DiskFault> {
        let entry = self.keyspace.get(key.to_be_bytes()).map_err(|fault| said(&self.path, &fault))?;
        Ok(entry.map(|entry| entry.to_vec()))
    }

    fn write(&self, gone: &[u128], entries: &[(u128, &[u8])]) -> Result<(), DiskFault> {
        let mut batch = self.database.batch();
        gone.iter().for_each(|key| batch.remove(&self.keyspace, key.to_be_bytes()));
        entries.iter().for_each(|(key, entry)| batch.insert(&self.keyspace, key.to_be_bytes(), *entry));
        batch.commit().map_err(|fault| said(&self.path, &fault))
    }

    fn each(&self, look: &mut dyn FnMut(u128, &[u8])) -> Result<(), DiskFault> {
        for found in self.keyspace.iter() {
            let (key, entry) = found.into_inner().map_err(|fault| said(&self.path, &fault))?;
            if let Ok(key) = key.as_ref().try_into() {
                look(u128::from_be_bytes(key), &entry);
            }
        }
        Ok(())
    }

    fn is_behind(&self) -> bool {
        self.keyspace.sealed_memtable_count() >= MOST_ON_THE_WAY
    }
}

impl Drop for KeyspacePart {
    fn drop(&mut self) {
        // What cannot be thrown away now is with the next start.
        let _ = self.database.delete_keyspace(self.keyspace.clone());
    }
}

/// Nobody asked for it to be thrown away.
fn foreign(store: &Path) -> DiskFault {
    let fault = format!(
        "it is there and not Bugle's, for no file `{OURS}` lies beside it; move it away, or name another folder in \
         `state.dir`"
    );
    DiskFault { path: store.display().to_string(), fault }
}

fn said(path: &Path, fault: &dyn std::error::Error) -> DiskFault {
    let fault = fault.source().map_or_else(|| fault.to_string(), ToString::to_string);
    DiskFault { path: path.display().to_string(), fault }
}

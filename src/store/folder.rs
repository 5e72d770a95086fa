//! Folder: where one process keeps what it has on this machine, and nobody else beside it.
//!
//! It removes what Bugle wrote, and nothing else: a setting may name a folder that somebody uses.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Lane;
use crate::event::record::Input;

/// The file whose lock says that the folder is taken.
const LOCK: &str = "lock";
/// The file that holds the folder's mark.
const MARK: &str = "instance";
/// How long a mark is, in hexadecimal digits.
const MARK_DIGITS: usize = 12;

/// A folder of snapshots.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held for as long as the process lives, however it ends.
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFolder {
    /// It cannot be made or written.
    #[error("`{path}`: {fault}", path = .0.display(), fault = .1)]
    Io(PathBuf, io::Error),
    /// Another process keeps its snapshots there.
    #[error("`{path}` is another process's folder", path = .0.display())]
    Taken(PathBuf),
}

// === impl Folder ===

impl Folder {
    /// Takes a folder, and makes it where there is none. What another process did not finish is removed.
    ///
    /// # Errors
    /// [`BadFolder`].
    pub fn take(path: &Path) -> Result<Self, BadFolder> {
        let failed = |error| BadFolder::Io(path.to_owned(), error);
        fs::create_dir_all(path).map_err(failed)?;
        let mut options = File::options();
        let lock = options.create(true).write(true).truncate(false).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BadFolder::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if is_unfinished(&file) {
                fs::remove_file(file).map_err(failed)?;
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// What tells the process of this folder from all others, over restarts: `new` gives it where there is none yet.
    ///
    /// # Errors
    /// [`BadFolder::Io`].
    pub fn mark(&self, new: impl FnOnce() -> u64) -> Result<String, BadFolder> {
        let path = self.path.join(MARK);
        let known = fs::read_to_string(&path).unwrap_or_default();
        if known.len() == MARK_DIGITS && known.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Ok(known);
        }
        let mark = mark(new());
        fs::write(&path, &mark).map_err(|error| BadFolder::Io(path, error))?;
        Ok(mark)
    }

    /// Where entries lie for which there is no room in memory.
    #[must_use]
    pub fn entries(&self) -> PathBuf {
        self.path.join("entries")
    }

    /// Where the snapshot of a lane's partition lies.
    #[must_use]
    pub fn file_of(&self, input: Input) -> PathBuf {
        self.path.join(format!("{input}.snapshot"))
    }
}

/// A number as a mark.
#[must_use]
pub fn mark(number: u64) -> String {
    format!("{number:016x}").split_off(16 - MARK_DIGITS)
}

/// Whether a file is a snapshot that was not written to its end.
fn is_unfinished(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".part"));
    let Some((topic, partition)) = name.and_then(|name| name.rsplit_once('-')) else { return false };
    let inputs = || Lane::ALL.into_iter().flat_map(Lane::inputs);
    partition.parse::<i32>().is_ok() && inputs().any(|input| input.to_string() == topic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Topic;

    #[test]
    fn a_folder_belongs_to_one_at_a_time_and_what_was_left_unfinished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let taken = Folder::take(&path).unwrap();
        assert!(matches!(Folder::take(&path), Err(BadFolder::Taken(_))));
        let file = taken.file_of(Input { topic: Topic::People, partition: 3 });
        assert!(file.ends_with("bugle.people-3.snapshot"));
        fs::write(&file, "whole").unwrap();
        fs::write(file.with_extension("part"), "half").unwrap();
        drop(taken);
        Folder::take(&path).unwrap();
        assert!(file.exists() && !file.with_extension("part").exists());
    }

    #[test]
    fn what_others_keep_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = ["film.part", "bugle.people-x.part", "others.people-3.part", "lock", "notes-1.snapshot"];
        theirs.iter().for_each(|name| fs::write(folder.path().join(name), "theirs").unwrap());
        Folder::take(folder.path()).unwrap();
        for name in theirs {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "theirs", "{name}");
        }
    }

    #[test]
    fn a_folder_has_its_mark_for_good_and_another_one_where_it_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let taken = Folder::take(folder.path()).unwrap();
        assert_eq!(taken.mark(|| 0x1234_5678_9abc_def0).unwrap(), "56789abcdef0");
        assert_eq!(taken.mark(|| 7).unwrap(), "56789abcdef0");
        for broken in ["", "5678", "56789abcdeg0", "56789abcdef0\n"] {
            fs::write(folder.path().join(MARK), broken).unwrap();
            assert_eq!(taken.mark(|| 7).unwrap(), "000000000007", "{broken:?}");
        }
    }
}

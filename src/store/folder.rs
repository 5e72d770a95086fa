//! Folder: where one process keeps what it has on this machine, and nobody else beside it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::event::record::Input;

/// The file whose lock says that the folder is taken.
const LOCK: &str = "lock";

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
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BadFolder::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(file).map_err(failed)?;
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
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
}

//! Memory: what was read last, in a file, so that a run need not ask for everybody again.
//!
//! It is a convenience and no truth: a file that cannot be read, or is about another source, is as good as none, and
//! then everybody is asked for.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scim::Read;
use super::{Access, base};

/// The format this version writes; of another it reads nothing.
const VERSION: u32 = 1;

/// Where it is kept.
pub(super) struct Memory {
    file: PathBuf,
    of: String,
}

#[derive(Serialize, Deserialize)]
struct Kept<R> {
    version: u32,
    /// Which source it was read from, and whose people they are.
    of: String,
    read: R,
}

// === impl Memory ===

impl Memory {
    pub(super) fn new(file: &Path, access: &Access) -> Self {
        let partition = access.partition.as_deref().unwrap_or_default();
        Self { file: file.to_owned(), of: format!("{}|{}|{partition}", base(access), access.tenant) }
    }

    /// What was read last, as far as it is known.
    pub(super) fn recall(&self) -> Read {
        let kept =
            fs::read(&self.file).ok().and_then(|bytes| serde_json::from_slice::<Kept<Read>>(&bytes).ok());
        let kept = kept.filter(|kept| kept.version == VERSION && kept.of == self.of);
        kept.map(|kept| kept.read).unwrap_or_default()
    }

    /// Keeps what was read; all of it or nothing.
    pub(super) fn keep(&self, read: &Read) -> io::Result<()> {
        let kept = Kept { version: VERSION, of: self.of.clone(), read };
        let fresh = self.file.with_extension("new");
        let mut file = private(&fresh)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.sync_all()?;
        fs::rename(fresh, &self.file)
    }
}

/// A file that nobody else may read: it names people.
fn private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

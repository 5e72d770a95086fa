//! Files: the texts of a topology, as they lie in a folder or as they were published.
//!
//! Their canonical bytes, and with them the hash, are the same wherever the folder lies. What they mean is
//! for [`Files::compile`] to say.

use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Faults, Place, Sheet};
use super::kinds::Kinds;
use super::load::sheets;
use super::{Topology, load};
use crate::event::frame::{append, take};
use crate::event::hash128;

/// The rules, messages and mappings of a topology.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub(super) rules: Vec<Arc<Sheet>>,
    pub(super) texts: Vec<Arc<Sheet>>,
    pub(super) mappings: Vec<Arc<Sheet>>,
    pub(super) faults: Faults,
}

/// Why published rules cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenFiles {
    /// Written by a later version.
    #[error("they have format version {0}, which this version of Bugle does not know")]
    Version(u8),
    /// Cut short or damaged.
    #[error("they are damaged")]
    Damaged,
}

/// The format of rules and messages alone.
const WITHOUT_MAPPINGS: u8 = 1;
/// The format with mappings; of a later one nothing is unpacked.
const VERSION: u8 = 2;
/// The most bytes of all files together: what says that it is more is damaged.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Name and text of files, as they are packed.
type Written<'w> = Vec<(&'w str, &'w str)>;

/// The code of the fault that a folder has no rules.
pub const NO_RULES: &str = "no-rules";

/// Why a folder has no rules.
fn why_none(folder: &Path) -> String {
    match std::fs::read_dir(folder) {
        Ok(_) => "no rules here: no `*.yaml`".to_owned(),
        Err(_) => "there is no such folder".to_owned(),
    }
}

// === impl Files ===

impl Files {
    /// Reads `folder/*.yaml`, `folder/messages/*.yaml` and `folder/mappings/*.yaml`. What cannot be read is a fault of the whole.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut faults = Faults::default();
        let rules = sheets(folder, &mut faults);
        let texts = sheets(&folder.join("messages"), &mut faults);
        let mappings = sheets(&folder.join("mappings"), &mut faults);
        if rules.is_empty() && faults.is_empty() {
            let sheet = Arc::new(Sheet { path: folder.display().to_string(), text: String::new() });
            let hint = "name a folder with files such as topology/xecm.yaml";
            faults.add(&sheet, Place::default(), NO_RULES, (why_none(folder), hint));
        }
        Self { rules, texts, mappings, faults }
    }

    /// The rules, ready to be asked.
    ///
    /// # Errors
    /// Every fault of every file, in reading order.
    pub fn compile(&self, kinds: &Kinds) -> Result<Topology, Vec<Fault>> {
        load::read(self, kinds)
    }

    /// Known by this: equal for the same files with the same content.
    #[must_use]
    pub fn hash(&self) -> u128 {
        hash128([&self.canonical()])
    }

    /// The files as they are published.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = vec![if self.mappings.is_empty() { WITHOUT_MAPPINGS } else { VERSION }];
        bytes.extend_from_slice(&lz4_flex::block::compress_prepend_size(&self.canonical()));
        bytes
    }

    /// Files as [`Files::pack`] wrote them.
    ///
    /// # Errors
    /// [`BrokenFiles`].
    pub fn unpack(bytes: &[u8]) -> Result<Self, BrokenFiles> {
        let (version, rest) = bytes.split_first().ok_or(BrokenFiles::Damaged)?;
        if !matches!(*version, WITHOUT_MAPPINGS | VERSION) {
            return Err(BrokenFiles::Version(*version));
        }
        let (size, _) = lz4_flex::block::uncompressed_size(rest).map_err(|_| BrokenFiles::Damaged)?;
        if size > MOST_BYTES {
            return Err(BrokenFiles::Damaged);
        }
        let plain = lz4_flex::block::decompress_size_prepended(rest).map_err(|_| BrokenFiles::Damaged)?;
        let unpacked = match *version {
            WITHOUT_MAPPINGS => take::<(Written<'_>, Written<'_>)>(&plain)
                .map(|((rules, texts), rest)| ((rules, texts, Vec::new()), rest)),
            _ => take::<(Written<'_>, Written<'_>, Written<'_>)>(&plain),
        };
        let Ok(((rules, texts, mappings), [])) = unpacked else {
            return Err(BrokenFiles::Damaged);
        };
        let sheet = |(name, text): &(&str, &str)| {
            Arc::new(Sheet { path: (*name).to_owned(), text: (*text).to_owned() })
        };
        Ok(Self {
            rules: rules.iter().map(sheet).collect(),
            texts: texts.iter().map(sheet).collect(),
            mappings: mappings.iter().map(sheet).collect(),
            faults: Faults::default(),
        })
    }

    /// Each file's name below its folder, and its text.
    pub fn iter(&self) -> impl Iterator<Item = (String, &str)> {
        let groups = [("", &self.rules), ("messages/", &self.texts), ("mappings/", &self.mappings)];
        let named = |folder: &'static str, sheet: &'_ Sheet| format!("{folder}{}", sheet.name());
        groups.into_iter().flat_map(move |(folder, sheets)| {
            sheets.iter().map(move |sheet| (named(folder, sheet), sheet.text.as_str()))
        })
    }

    /// Without mappings the bytes are those of versions that knew none: the same rules keep their hash.
    fn canonical(&self) -> Vec<u8> {
        let named: Vec<(String, &str)> = self.iter().collect();
        let written: Written<'_> = named.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let (rules, rest) = written.split_at(self.rules.len());
        let (texts, mappings) = rest.split_at(self.texts.len());
        match mappings {
            [] => append(&(rules, texts), Vec::new()),
            mappings => append(&(rules, texts, mappings), Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(path: &str, text: &str) -> Files {
        let sheet = |path: String| Arc::new(Sheet { path, text: text.to_owned() });
        Files {
            rules: vec![sheet(format!("{path}/xecm.yaml"))],
            texts: vec![sheet(format!("{path}/messages/xecm.yaml"))],
            mappings: Vec::new(),
            faults: Faults::default(),
        }
    }

    #[test]
    fn the_hash_knows_names_and_content_and_not_the_folder() {
        assert_eq!(files("topology", "a").hash(), files("/etc/bugle/rules", "a").hash());
        assert_ne!(files("topology", "a").hash(), files("topology", "b").hash());
        let mut moved = files("topology", "a");
        std::mem::swap(&mut moved.rules, &mut moved.texts);
        moved.rules.clear();
        assert_ne!(moved.hash(), files("topology", "a").hash());
    }

    #[test]
    fn what_was_packed_is_unpacked_and_anything_else_is_refused_and_never_a_panic() {
        let packed = files("topology", "rules: []\n").pack();
        let read = Files::unpack(&packed).unwrap();
        let names: Vec<String> = read.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["xecm.yaml", "messages/xecm.yaml"]);
        assert_eq!((read.hash(), read.pack()), (files("elsewhere", "rules: []\n").hash(), packed.clone()));
        for end in 0..packed.len() {
            assert!(Files::unpack(&packed[..end]).is_err(), "cut at {end}");
        }
        let mut later = packed;
        later[0] = 9;
        assert_eq!(Files::unpack(&later).err(), Some(BrokenFiles::Version(9)));
        assert_eq!(Files::unpack(&[1, 255, 255, 255, 255, 0]).err(), Some(BrokenFiles::Damaged));
    }

    #[test]
    fn mappings_are_packed_and_hashed_with_the_rules() {
        let mut with = files("topology", "rules: []\n");
        let text = "source: bws\n".to_owned();
        with.mappings = vec![Arc::new(Sheet { path: "topology/mappings/rows.yaml".to_owned(), text })];
        assert_ne!(with.hash(), files("topology", "rules: []\n").hash());
        let packed = with.pack();
        let read = Files::unpack(&packed).unwrap();
        let names: Vec<String> = read.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["xecm.yaml", "messages/xecm.yaml", "mappings/rows.yaml"]);
        assert_eq!((read.hash(), read.pack()), (with.hash(), packed.clone()));
        for end in 0..packed.len() {
            assert!(Files::unpack(&packed[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn the_shipped_rules_fit_a_record_with_room_to_spare() {
        let packed = Files::read(Path::new("topology")).pack();
        assert!(packed.len() < 64 * 1024, "{} bytes", packed.len());
    }
}

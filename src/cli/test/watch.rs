//! Watch: what lies below some folders, so that whatever is saved, renamed, added or taken away there shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Everything below some folders, as it was when somebody looked: of a file when it was changed, and its length.
///
/// The newest time alone would not do: whoever saves by renaming, or puts an older copy back, makes nothing newer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<PathBuf, Option<(SystemTime, u64)>>);

// === impl Seen ===

impl Seen {
    /// What lies there now, without `own`: what is written by whoever watches is no news to them.
    pub(super) fn below(folders: &[&Path], own: Option<&Path>) -> Self {
        let mut seen = Self::default();
        folders.iter().for_each(|folder| seen.look(folder, own));
        seen
    }

    fn look(&mut self, folder: &Path, own: Option<&Path>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            // Behind a link lies what is read, and not the link.
            let data = std::fs::metadata(&path).ok();
            if data.as_ref().is_some_and(std::fs::Metadata::is_dir) {
                self.look(&path, own);
            } else if own.is_some_and(|own| own.file_name() == path.file_name()) {
                continue;
            }
            let file = data.filter(std::fs::Metadata::is_file);
            self.0.insert(path, file.and_then(|data| Some((data.modified().ok()?, data.len()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_saved_renamed_added_or_taken_away_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (one, two, own) = (path("one.yaml"), path("two.yaml"), path("bugle.xml"));
        std::fs::write(&one, "a").unwrap();
        let older = std::fs::metadata(&one).unwrap().modified().unwrap();
        let look = || Seen::below(&[folder.path()], Some(&own));
        let mut before = look();
        assert_eq!(before, look(), "nothing happened");
        let mut shows = |what: &str, happens: &dyn Fn() -> std::io::Result<()>| {
            happens().unwrap();
            let now = look();
            assert!(now != before, "{what}");
            before = now;
        };
        shows("saved", &|| std::fs::write(&one, "ab"));
        shows("renamed", &|| std::fs::rename(&one, &two));
        shows("a folder of its own", &|| std::fs::create_dir(path("more")));
        shows("added", &|| std::fs::write(path("more/three.yaml"), "c"));
        shows("an older one of the same length in its place", &|| {
            std::fs::write(path("more/old"), "ba")?;
            std::fs::File::open(path("more/old"))?
                .set_modified(older - std::time::Duration::from_secs(60))?;
            std::fs::rename(path("more/old"), &two)
        });
        shows("taken away", &|| std::fs::remove_file(&two));
        std::fs::write(&own, "<xml/>").unwrap();
        assert_eq!(before, look(), "what it writes itself");
        assert_eq!(Seen::below(&[&path("nowhere")], None), Seen::default());
    }
}

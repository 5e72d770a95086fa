//! Shelf: what the files of scenarios have in common: the names so far, and the people they are about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::directory::{LoadError, read_people};
use crate::event::Person;
use crate::topology::fault::{Faults, Spot};
use crate::topology::reading::Reading;

/// The scenarios read so far by name, and where each stands: file and line.
type Names = BTreeMap<String, (String, usize)>;

/// What the files read so far have in common.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    names: Names,
    /// The files of people, and how many scenarios are about those.
    people: BTreeMap<PathBuf, (Result<Vec<Person>, LoadError>, usize)>,
}

// === impl Shelf ===

impl Shelf {
    /// A name is what a result is known by: two scenarios with one could not be told apart.
    pub(super) fn only_one(&mut self, cx: &mut Reading<'_>, name: &Spot<String>) {
        let place = (cx.sheet.path.clone(), cx.sheet.position(name.at.start).0);
        if let Some((file, line)) = self.names.get(&name.value) {
            let fact = format!("a second scenario is called `{}`; the first is at {file}:{line}", name.value);
            cx.fault(name.at, "duplicate-name", (fact, "give it a name of its own"));
        } else {
            self.names.insert(name.value.clone(), place);
        }
    }

    /// The people of a file, which is read once.
    pub(super) fn people(&mut self, file: &Path, scenarios: usize) -> &Result<Vec<Person>, LoadError> {
        let read = || (read_people(file, None), 0);
        let (people, count) = self.people.entry(file.to_owned()).or_insert_with(read);
        *count += scenarios;
        people
    }

    /// Notes what is wrong with files of people, once for all scenarios that are about them.
    pub(super) fn broken(&self, faults: &mut Faults) {
        for (file, (people, count)) in &self.people {
            let Err(error @ LoadError::Faults(_)) = people else { continue };
            let plural = if *count == 1 { "" } else { "s" };
            faults.people((file, error), &format!(" ({count} scenario{plural} cannot be played without)"));
        }
    }
}

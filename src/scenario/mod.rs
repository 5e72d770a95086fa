//! Scenarios: what the rules say and do not say over hours and days, played through the lanes in virtual time.
//!
//! `read` takes a file of `topology/scenarios/` with the manners of the rules' own files: every fault at once,
//! each with its place. [`play`] runs it through the same lanes as production; clock and push service alone are
//! others. [`compare`] says what came out otherwise than written. Nothing here prints or knows what time it is.

mod compare;
pub mod coverage;
pub mod editor;
mod expect;
mod happening;
mod moment;
mod payload;
mod phones;
mod play;
mod proof;
mod read;
mod reload;
mod script;
mod shelf;
mod step;

use std::path::Path;
use std::sync::Arc;

pub use compare::{Finding, compare};
pub use coverage::{Branch, Coverage};
pub use moment::Clock;
pub use phones::untold;
pub use play::{Moment, Played, Told, play, play_watched};
pub use script::{Act, Expected, Office, Reply, Scenario, Service, Step, Who};

use read::Houses;
use shelf::Shelf;

use crate::codec::{Codec, Schemas};
use crate::topology::fault::{Faults, Place, Sheet};
use crate::topology::{Fault, Topology};

/// What scenarios are read and played against.
#[derive(Clone, Copy)]
pub struct Ground<'g> {
    /// The schemas of events.
    pub schemas: &'g Schemas,
    /// How bytes are read.
    pub codec: &'g Codec,
    /// The rules.
    pub topology: &'g Topology,
}

/// Reads every `*.yaml` of a folder.
///
/// # Errors
/// Every fault of every file, in reading order.
pub fn load(folder: &Path, ground: Ground<'_>) -> Result<Vec<Scenario>, Vec<Fault>> {
    load_as(folder, ground, Houses::Shared)
}

/// The same, each scenario among people of its own: its tenants' names begin with its file's and its line, so
/// that all of them can be played at once.
///
/// # Errors
/// Every fault of every file, in reading order.
pub fn load_apart(folder: &Path, ground: Ground<'_>) -> Result<Vec<Scenario>, Vec<Fault>> {
    load_as(folder, ground, Houses::Apart)
}

fn load_as(folder: &Path, ground: Ground<'_>, houses: Houses) -> Result<Vec<Scenario>, Vec<Fault>> {
    let mut faults = Faults::default();
    let sheets = crate::topology::sheets(folder, &mut faults);
    if sheets.is_empty() && faults.is_empty() {
        let sheet = Arc::new(Sheet { path: folder.display().to_string(), text: String::new() });
        let told = ("no scenarios here: no `*.yaml`", "write one, such as topology/scenarios/ec-3.yaml");
        faults.add(&sheet, Place::default(), "no-scenarios", told);
    }
    let (mut scenarios, mut shelf) = (Vec::new(), Shelf::default());
    for sheet in &sheets {
        scenarios.extend(read::read(sheet, (folder, houses), ground, (&mut shelf, &mut faults)));
    }
    shelf.broken(&mut faults);
    if faults.is_empty() { Ok(scenarios) } else { Err(faults.sorted()) }
}

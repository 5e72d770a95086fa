//! Reload: the files of this instance and the rules that are published, and which of the two holds.
//!
//! The newest published rules hold, everywhere. Files are published when nobody ever saw them (a start after
//! a deployment), or when somebody asks for it: a signal, a changed file under watch, or `bugle topology
//! publish`. Files that were published before and are not the newest any more are an instance left behind,
//! and are never published by a start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::Config;
use super::{Unready, wiring};
use crate::broker::{Broker, BrokerError};
use crate::codec::Schemas;
use crate::engine::versions::{self, Compile, Versions};
use crate::event::Span;
use crate::store::view::Board;
use crate::topology::{Fault, Files, InForce, Rule, Topology};

/// What became of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// They are the newest rules now; every instance switches to them.
    Newest(u128),
    /// They are the newest rules already.
    Unchanged(u128),
}

/// Why files were not published.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// They are wrong, or cannot take the place of the rules in force.
    #[error("the rules have {} faults", .0.len())]
    Faulty(Vec<String>),
    /// Kafka cannot be used.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Whether what the rules in force have open may be orphaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// A change that would leave something open for ever is refused.
    Keep,
    /// It is not.
    Orphan,
}

/// What publishing needs.
#[derive(Clone)]
pub struct Publisher {
    /// Where the rules lie.
    pub broker: Arc<dyn Broker>,
    /// What files mean.
    pub compile: Compile,
    /// Who publishes, as the topic names them.
    pub by: String,
}

/// The files of a running instance.
pub struct Reload {
    publisher: Publisher,
    folder: PathBuf,
    rules: Arc<InForce>,
    board: Arc<Board>,
    /// The files as they were looked at last: their hash, and whether that was dealt with.
    looked: Mutex<(u128, bool)>,
}

// === impl Publisher ===

impl Publisher {
    /// Publishes files in the place of `old`, whole or not at all.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub fn publish(&self, files: &Files, old: &Topology, care: Care) -> Result<Published, NotPublished> {
        if files.hash() == old.hash {
            return Ok(Published::Unchanged(old.hash));
        }
        self.replace(files, old, care)
    }

    /// The same, as a generation after this one, though nothing else may have changed: the topic was made anew, and
    /// there are partitions that remember generations of the one before.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub fn publish_after(
        &self,
        generation: u64,
        files: &Files,
        (old, care): (&Topology, Care),
    ) -> Result<Published, NotPublished> {
        let mut old = old.clone();
        old.lifted = old.lifted.max(generation.saturating_add(1));
        self.replace(files, &old, care)
    }

    fn replace(&self, files: &Files, old: &Topology, care: Care) -> Result<Published, NotPublished> {
        let new = (self.compile)(files).map_err(NotPublished::Faulty)?;
        let orphans = if care == Care::Keep { new.against(old) } else { Vec::new() };
        if !orphans.is_empty() {
            let said = orphans.iter().map(|fault| format!("{fault}; {}", fault.hint));
            return Err(NotPublished::Faulty(said.collect()));
        }
        self.write(files, old.lifted)
    }

    fn write(&self, files: &Files, lifted: u64) -> Result<Published, NotPublished> {
        self.broker.publish(vec![versions::record(files, &self.by, lifted)])?;
        Ok(Published::Newest(files.hash()))
    }
}

/// What files mean here: their rules, or a line for each fault.
#[must_use]
pub fn compile(config: &Config, schemas: &Schemas) -> Compile {
    let (kinds, kept) = (wiring::kinds(schemas), wiring::memory_kept(config));
    Arc::new(move |files| {
        let shown = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        let topology = files.compile(&kinds).map_err(shown)?;
        let faults: Vec<String> = topology.rules.iter().filter_map(|rule| forgets(rule, kept)).collect();
        if faults.is_empty() { Ok(topology) } else { Err(faults) }
    })
}

/// What is wrong with a rule that remembers for longer than memory is kept.
fn forgets(rule: &Rule, kept: Span) -> Option<String> {
    let longest = rule.dedupe_for().max(rule.plan.within).unwrap_or(Span::ZERO);
    (Span::from_millis(longest.millis().saturating_mul(2)) > kept).then(|| {
        format!(
            "rule `{}` remembers for {longest}, but memory is kept for {kept}, which must be twice as long: \
             raise `lanes.dedupe_horizon`, or shorten the rule's `for` or `within`",
            rule.id
        )
    })
}

/// The rules to begin with: those of the folder where nobody ever saw them, else the newest published.
///
/// # Errors
/// [`Unready`] when neither can be used.
pub fn begin(
    folder: &Path,
    publisher: &Publisher,
    board: &Board,
) -> Result<(Arc<InForce>, Versions), Unready> {
    let files = Files::read(folder);
    let mut versions = Versions::open(publisher.broker.as_ref())?;
    versions.catch_up()?;
    let hash = files.hash();
    let shown = folder.display();
    match versions.read().last() {
        None => {
            // What is wrong with the very first rules is why nothing starts.
            (publisher.compile)(&files).map_err(Unready::Topology)?;
            publisher.write(&files, 0).map_err(Unready::from)?;
        }
        Some(newest) if newest.hash == hash => {}
        Some(newest) if versions.read().iter().any(|version| version.hash == hash) => {
            let generation = newest.generation;
            tracing::warn!(
                generation,
                "the rules in {shown} were replaced by newer ones, which are in force here, too; `bugle topology publish` puts the files in force again"
            );
        }
        Some(_) => {
            let old = versions.compile(&publisher.compile).map(|(old, _)| old).unwrap_or_default();
            match publisher.publish(&files, &old, Care::Keep) {
                Ok(_) => tracing::info!("the rules in {shown} are new and are published"),
                Err(NotPublished::Faulty(faults)) => versions::refuse(&faults, board),
                Err(NotPublished::Broker(error)) => return Err(error.into()),
            }
        }
    }
    versions.catch_up()?;
    let (newest, faults) = versions.compile(&publisher.compile).map_err(Unready::Topology)?;
    if !faults.is_empty() {
        versions::refuse(&faults, board);
    }
    versions::tell(&newest, None, board);
    let (generation, rules) = (newest.generation, newest.rules.len());
    tracing::info!(generation, hash = %format!("{:032x}", newest.hash), rules, "these rules are in force");
    let in_force = InForce::new(newest);
    // A newer one that cannot be used here was published all the same.
    versions.read().last().inspect(|last| in_force.note_published(last.generation));
    Ok((Arc::new(in_force), versions))
}

// === impl Reload ===

impl Reload {
    /// The files of `folder`, as they are now.
    #[must_use]
    pub fn new(publisher: Publisher, folder: &Path, rules: Arc<InForce>, board: Arc<Board>) -> Self {
        let looked = Mutex::new((Files::read(folder).hash(), true));
        Self { publisher, folder: folder.to_owned(), rules, board, looked }
    }

    /// Publishes the files, and says in the log what became of that.
    pub fn now(&self) {
        self.publish(&Files::read(&self.folder));
    }

    /// Publishes the files where they have changed and then stood still from one look to the next.
    pub fn look(&self) {
        let files = Files::read(&self.folder);
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        match *looked {
            (hash, _) if hash != files.hash() => *looked = (files.hash(), false),
            (_, true) => {}
            (hash, false) => {
                *looked = (hash, true);
                drop(looked);
                self.publish(&files);
            }
        }
    }

    fn publish(&self, files: &Files) {
        let folder = self.folder.display();
        match self.publisher.publish(files, &self.rules.newest(), Care::Keep) {
            Ok(Published::Newest(hash)) => {
                tracing::info!(hash = %format!("{hash:032x}"), "the rules in {folder} are published");
            }
            Ok(Published::Unchanged(_)) => tracing::info!("the rules in {folder} are in force already"),
            Err(NotPublished::Faulty(faults)) => {
                versions::refuse(&faults, &self.board);
                tracing::error!("the rules in {folder} are not published, and those before stay in force");
            }
            Err(NotPublished::Broker(error)) => {
                tracing::error!(%error, "the rules in {folder} could not be published; those before stay in force");
            }
        }
    }
}

// === impl Unready ===

impl From<NotPublished> for Unready {
    fn from(why: NotPublished) -> Self {
        match why {
            NotPublished::Faulty(faults) => Self::Topology(faults),
            NotPublished::Broker(error) => Self::Broker(error),
        }
    }
}

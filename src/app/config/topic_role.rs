//! Topic role: the topics as settings call them.

use serde::Deserialize;

use crate::event::{Source, Topic};

/// A topic as settings call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicRole {
    /// xConnector's changes.
    #[serde(rename = "xconnector")]
    XConnector,
    /// Extended ECM's changes.
    Xecm,
    /// Business Workspaces' changes.
    Bws,
    /// Developer Admin's changes.
    #[serde(rename = "devadmin")]
    DevAdmin,
    /// People.
    Directory,
    /// Members of scopes.
    Members,
    /// The rules.
    Topology,
    /// What is not told for a while.
    Mutes,
    /// Changes by subject.
    Subjects,
    /// What was heard.
    Seen,
    /// What is open at each subject.
    State,
    /// Notices by person.
    People,
    /// What was told.
    Told,
    /// What waits for people.
    Waiting,
    /// Batches.
    Pushes,
    /// Batches that were not finished in time.
    Parked,
    /// Answers to carry out.
    Writebacks,
    /// Answers that are not carried out yet.
    WritebackState,
    /// What became of batches.
    Receipts,
    /// Verdicts.
    Audit,
    /// What could not be used.
    DeadLetters,
}

// === impl TopicRole ===

impl From<Topic> for TopicRole {
    fn from(topic: Topic) -> Self {
        match topic {
            Topic::Events(Source::XConnector) => Self::XConnector,
            Topic::Events(Source::Xecm) => Self::Xecm,
            Topic::Events(Source::Bws) => Self::Bws,
            Topic::Events(Source::DevAdmin) => Self::DevAdmin,
            Topic::Directory => Self::Directory,
            Topic::Members => Self::Members,
            Topic::Topology => Self::Topology,
            Topic::Mutes => Self::Mutes,
            Topic::Subjects => Self::Subjects,
            Topic::Seen => Self::Seen,
            Topic::State => Self::State,
            Topic::People => Self::People,
            Topic::Told => Self::Told,
            Topic::Waiting => Self::Waiting,
            Topic::Pushes => Self::Pushes,
            Topic::Parked => Self::Parked,
            Topic::Writebacks => Self::Writebacks,
            Topic::WritebackState => Self::WritebackState,
            Topic::Receipts => Self::Receipts,
            Topic::Audit => Self::Audit,
            Topic::DeadLetters => Self::DeadLetters,
        }
    }
}

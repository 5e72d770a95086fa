//! Lane: one of the chains of rooms a record passes on its way.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Source, Topic};

/// A lane, in the order of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Reads the source systems' topics; decodes and routes.
    Source,
    /// Reads `bugle.subjects`; dedupes and fans out.
    Subject,
    /// Reads `bugle.people`; asks again who belongs, cuts the batches.
    Person,
    /// Reads `bugle.pushes`; sends.
    Delivery,
    /// Reads `bugle.writebacks`; carries answers into the source systems.
    WriteBack,
}

// === impl Lane ===

impl Lane {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 5] = [Self::Source, Self::Subject, Self::Person, Self::Delivery, Self::WriteBack];

    /// The topics it reads.
    #[must_use]
    pub const fn inputs(self) -> &'static [Topic] {
        match self {
            Self::Source => &[
                Topic::Events(Source::XConnector),
                Topic::Events(Source::Xecm),
                Topic::Events(Source::Bws),
                Topic::Events(Source::DevAdmin),
            ],
            Self::Subject => &[Topic::Subjects],
            Self::Person => &[Topic::People],
            Self::Delivery => &[Topic::Pushes],
            Self::WriteBack => &[Topic::Writebacks],
        }
    }

    /// The lane that reads a topic, or remembers in it.
    #[must_use]
    pub const fn of(topic: Topic) -> Self {
        match topic {
            Topic::Subjects | Topic::Seen | Topic::State => Self::Subject,
            Topic::People | Topic::Told | Topic::Waiting => Self::Person,
            Topic::Pushes | Topic::Parked => Self::Delivery,
            Topic::Writebacks | Topic::WritebackState => Self::WriteBack,
            _ => Self::Source,
        }
    }

    /// `source`, `subject`, `person`, `delivery` or `write_back`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Subject => "subject",
            Self::Person => "person",
            Self::Delivery => "delivery",
            Self::WriteBack => "write_back",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read_and_what_a_lane_reads_is_its_own() {
        assert_eq!(Lane::Source.inputs(), Source::ALL.map(Topic::Events));
        for lane in Lane::ALL {
            let its =
                lane.inputs().iter().flat_map(|topic| [*topic].into_iter().chain(topic.memories().to_vec()));
            assert!(its.map(Lane::of).all(|of| of == lane), "{lane}");
        }
    }
}

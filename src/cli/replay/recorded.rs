//! Recorded: the events of the source topics since some time, as the lanes read them then.

use std::str::FromStr;

use super::super::Failure;
use super::super::audit::each_of;
use super::super::directory::unreachable;
use super::super::offline::Event;
use crate::broker::Broker;
use crate::clock;
use crate::codec::{Codec, Name, Unreadable, json};
use crate::event::frame::Format;
use crate::event::record::Sent;
use crate::event::{Incoming, Source, Span, Timestamp, Topic};
use crate::topology::{Arrival, Topology};

/// Since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Span),
    /// Since this time.
    At(Timestamp),
}

/// Events in the order they were read.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) events: Vec<(Timestamp, Source, Sent)>,
    /// Records that are no events: they went to the dead letters, and would again.
    pub(super) unreadable: usize,
}

// === impl Since ===

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        text.parse()
            .map(Self::Ago)
            .map_err(|_| "write a span such as `24h`, or a time such as `2026-01-05T00:00:00Z`".to_owned())
    }
}

impl Since {
    fn time(self) -> Timestamp {
        match self {
            Self::Ago(span) => clock::now() - span,
            Self::At(at) => at,
        }
    }
}

// === impl Recorded ===

impl Recorded {
    pub(super) fn of_file(events: Vec<Event>) -> Self {
        let mut recorded = Self::default();
        recorded.events.extend(events.into_iter().map(|event| (event.at, event.source, event.sent)));
        recorded.sorted()
    }

    pub(super) fn since(
        since: Since,
        broker: &dyn Broker,
        sight: (&Codec, [&Topology; 2]),
    ) -> Result<Self, Failure> {
        let (from, mut recorded) = (since.time(), Self::default());
        for source in Source::ALL {
            let topic = Topic::Events(source);
            let mut follow = broker.follow_since(topic, from).map_err(unreachable)?;
            each_of(follow.as_mut(), topic, |record| {
                if record.timestamp >= from {
                    match read(&record, source, sight)? {
                        Some(value) => recorded.events.push((record.timestamp, source, value)),
                        None => recorded.unreadable += 1,
                    }
                }
                Ok(())
            })?;
        }
        Ok(recorded.sorted())
    }

    fn sorted(mut self) -> Self {
        self.events.sort_by_key(|(at, ..)| *at);
        self
    }
}

/// A record as our own Avro, whatever it was written with; what a mapping of one of the rules takes, as it came.
fn read(
    record: &Incoming,
    source: Source,
    (codec, rules): (&Codec, [&Topology; 2]),
) -> Result<Option<Sent>, Failure> {
    let format: Format = Codec::format_of(&record.headers);
    let headers = Codec::event_headers(&record.headers);
    let value = record.value.clone().unwrap_or_default();
    let mut native = None;
    for topology in rules {
        let taken = loop {
            match topology.take(codec, source, (format, &headers), &value) {
                Err(Unreadable::WantsSchema(id)) => {
                    codec.fetch(id).map_err(|error| Failure::failed(&error).hint(error.hint()))?;
                }
                taken => break taken,
            }
        };
        match taken {
            Ok(Arrival::Native(change)) => native = Some(change),
            Ok(Arrival::Mapped(..) | Arrival::Skipped(_)) => {
                return Ok(Some(Sent { value: value.clone(), headers: record.headers.clone() }));
            }
            Err(_) => {}
        }
    }
    let Some(change) = native else { return Ok(None) };
    let written = json::to_avro(codec.schemas(), &json::of_change(codec.schemas(), &change)).ok();
    Ok(written.map(|written| written.framed(Name::Events(source).local_id()).into()))
}

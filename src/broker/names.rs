//! Names: what each topic is called, how it is to be made, and what may be wrong with it.
//!
//! A name is configuration and known here alone; everybody else speaks of a topic by its role. Nothing
//! here talks to a cluster.

use std::collections::BTreeMap;

use super::{BrokerError, Topic, TopicSpec};

/// How many partitions a topic has when nobody says otherwise.
pub const DEFAULT_PARTITIONS: u32 = 4;

/// What a topic's record may weigh; above what `terms::MOST_RECORD_BYTES` lets through.
const MAX_MESSAGE_BYTES: &str = "1048576";

/// For how long verdicts, receipts and dead letters are kept: 400 days.
const LONG_MS: &str = "34560000000";

/// For how long memory is kept unless a horizon says otherwise: twice a week, and an outage of a week.
const MEMORY_MS: &str = "1814400000";

/// How much of memory is dropped at once: six hours.
const MEMORY_SEGMENT_MS: &str = "21600000";

/// For how long compacted memory says of what ended that it did: a day, longer than any copy of it is believed.
const ENDED_MS: &str = "86400000";

/// The name of each topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    names: BTreeMap<Topic, String>,
}

/// A topic as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many partitions it has.
    pub partitions: u32,
    /// Its configuration, as far as it is known.
    pub config: BTreeMap<String, String>,
}

// === impl Names ===

/// The names of the manual: `opentext.…` and `bugle.…`.
impl Default for Names {
    fn default() -> Self {
        Self { names: Topic::ALL.into_iter().map(|topic| (topic, topic.to_string())).collect() }
    }
}

impl Names {
    /// The names with other prefixes: `bugle` stands for `bugle.`, `opentext` for `opentext.`, dot included.
    #[must_use]
    pub fn with_prefixes(bugle: &str, opentext: &str) -> Self {
        let named = |topic: Topic| {
            let name = topic.to_string();
            match (name.strip_prefix("bugle."), name.strip_prefix("opentext.")) {
                (Some(rest), _) => format!("{bugle}{rest}"),
                (_, Some(rest)) => format!("{opentext}{rest}"),
                _ => name,
            }
        };
        Self { names: Topic::ALL.into_iter().map(|topic| (topic, named(topic))).collect() }
    }

    /// Calls one topic, known by the name it has in the manual, something else.
    ///
    /// # Errors
    /// [`BrokerError::Topic`] when the manual knows no such topic, or another one has the name already.
    pub fn rename(&mut self, manual: &str, name: &str) -> Result<(), BrokerError> {
        let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.to_string() == manual) else {
            let fault = "is none that Bugle knows; write one of `bugle topics create --help`".to_owned();
            return Err(BrokerError::Topic { name: manual.to_owned(), fault });
        };
        if let Some(other) = self.role(name).filter(|other| *other != topic) {
            let fault = format!("was given to both `{other}` and `{topic}`; give each its own");
            return Err(BrokerError::Topic { name: name.to_owned(), fault });
        }
        self.names.insert(topic, name.to_owned());
        Ok(())
    }

    /// The name of a topic.
    #[must_use]
    pub fn of(&self, topic: Topic) -> &str {
        self.names.get(&topic).map_or("", String::as_str)
    }

    /// The topic that has this name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Topic> {
        self.names.iter().find(|(_, known)| *known == name).map(|(topic, _)| *topic)
    }

    /// How all topics are to be made, those that every instance holds whole with one partition, the others with `partitions`.
    #[must_use]
    pub fn specs(&self, partitions: u32) -> Vec<TopicSpec> {
        Topic::ALL.into_iter().map(|topic| self.spec(topic, partitions)).collect()
    }

    fn spec(&self, topic: Topic, partitions: u32) -> TopicSpec {
        let mut config = vec![("max.message.bytes", MAX_MESSAGE_BYTES)];
        config.extend_from_slice(match topic {
            // A change's age counts from its append, not from what a publisher takes for the time.
            Topic::Events(_) => &[("cleanup.policy", "delete"), ("message.timestamp.type", "LogAppendTime")],
            Topic::Directory | Topic::Members | Topic::Topology | Topic::Mutes => {
                &[("cleanup.policy", "compact")]
            }
            // Expiry is a verdict given by a lane, never by the broker: see `Broker::trim`.
            Topic::Subjects | Topic::People | Topic::Pushes | Topic::Writebacks => {
                &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
            }
            // What ended is written over with nothing; what is open stays for as long as it is.
            Topic::State | Topic::Waiting | Topic::Parked | Topic::WritebackState => &[
                ("cleanup.policy", "compact"),
                ("segment.ms", MEMORY_SEGMENT_MS),
                ("delete.retention.ms", ENDED_MS),
            ],
            Topic::Seen | Topic::Told => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", MEMORY_MS),
                ("retention.bytes", "-1"),
                ("segment.ms", MEMORY_SEGMENT_MS),
                ("message.timestamp.type", "LogAppendTime"),
            ],
            Topic::Receipts | Topic::Audit | Topic::DeadLetters => {
                &[("cleanup.policy", "delete"), ("retention.ms", LONG_MS)]
            }
        });
        TopicSpec {
            topic,
            name: self.of(topic).to_owned(),
            partitions: if is_whole(topic) { 1 } else { partitions },
            config: config.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}

// === impl BrokerError ===

impl BrokerError {
    /// A topic that is not there.
    pub(super) fn missing(name: &str) -> Self {
        Self::Topic { name: name.to_owned(), fault: "does not exist; run `bugle topics create`".to_owned() }
    }

    /// A position outside of what the log still has, or has ever had.
    pub(super) fn gap(name: &str, input: super::Input, next: i64, (first, end): (i64, i64)) -> Self {
        let at = input.partition;
        let fault = if next < first {
            format!(
                "partition {at} begins with offset {first}, but {next} was to be read next: \
                 what lay between was deleted unread"
            )
        } else {
            format!(
                "partition {at} ends at offset {end}, but {next} was to be read next: \
                 the topic was made anew, or its newest records were lost"
            )
        };
        Self::Topic { name: name.to_owned(), fault }
    }
}

/// Says what is wrong with topics as `found` knows them; `None` is a topic that does not exist.
pub(super) fn faults_of(
    topics: &[TopicSpec],
    found: impl Fn(&TopicSpec) -> Option<Found>,
) -> Vec<BrokerError> {
    let mut faults = Vec::new();
    let mut counts = BTreeMap::new();
    for spec in topics {
        let mut wrong = |fault: String| faults.push(BrokerError::Topic { name: spec.name.clone(), fault });
        let Some(found) = found(spec) else {
            faults.push(BrokerError::missing(&spec.name));
            continue;
        };
        counts.insert(spec.topic, found.partitions);
        if is_ours(spec.topic) && found.partitions != spec.partitions {
            wrong(format!(
                "has {} partitions, but the configuration says {}; `bugle topics grow` gives it more",
                found.partitions, spec.partitions
            ));
        }
        for (name, wanted) in &spec.config {
            let Some(is) = found.config.get(name) else { continue };
            if let Some(fault) = setting_fault(spec, name, wanted, is) {
                wrong(fault);
            }
        }
    }
    for (follows, leads, why) in [
        (Topic::Receipts, Topic::People, "receipts go by the person"),
        (Topic::Seen, Topic::Subjects, "a partition and its memory belong together"),
        (Topic::State, Topic::Subjects, "a partition and its memory belong together"),
        (Topic::Parked, Topic::Pushes, "a partition and its memory belong together"),
        (Topic::WritebackState, Topic::Writebacks, "a partition and its memory belong together"),
        (Topic::Told, Topic::People, "a partition and its memory belong together"),
        (Topic::Waiting, Topic::People, "a partition and its memory belong together"),
    ] {
        if let (Some(has), Some(leading)) = (counts.get(&follows), counts.get(&leads))
            && has != leading
        {
            let name = topics.iter().find(|spec| spec.topic == follows).map(|spec| spec.name.clone());
            let fault =
                format!("has {has} partitions and `{leads}` {leading}, but {why}; make it with {leading}");
            faults.push(BrokerError::Topic { name: name.unwrap_or_default(), fault });
        }
    }
    faults
}

/// What is wrong with one setting, where it would cost something.
fn setting_fault(spec: &TopicSpec, name: &str, wanted: &str, is: &str) -> Option<String> {
    let number = |text: &str| text.parse::<i64>().unwrap_or_default();
    let set = |why: &str| Some(format!("has {name}={is}, {why}; set it to {wanted}"));
    match name {
        "cleanup.policy" if wanted == "compact" => match spec.topic {
            _ if is == wanted => None,
            Topic::Parked => set("and would forget batches that wait"),
            topic if topic.is_state() => set("and would forget what is open"),
            Topic::Topology => set("and would forget the rules"),
            Topic::Mutes => set("and would forget what is muted"),
            _ => set("and would forget people who do not change"),
        },
        "retention.ms" if spec.topic.is_memory() && number(is) >= 0 && number(is) < number(wanted) => {
            set("and would forget what must be remembered")
        }
        "delete.retention.ms" if number(is) < number(wanted) => {
            set("and would let an old copy of it bring back what ended")
        }
        "message.timestamp.type" if spec.topic.is_memory() && is != wanted => {
            set("and would be dropped by another clock than the cluster's")
        }
        "cleanup.policy" if is.contains("compact") => set("and would drop records that share a key"),
        "retention.ms" | "retention.bytes" if wanted == "-1" && number(is) >= 0 => {
            set("and would delete what nobody has read yet")
        }
        "max.message.bytes" if number(is) < number(wanted) => set("and would refuse what Bugle may write"),
        _ => None,
    }
}

/// Whether the topic is held as a whole by every instance, and not shared out.
pub(crate) const fn is_whole(topic: Topic) -> bool {
    matches!(topic, Topic::Directory | Topic::Members | Topic::Topology | Topic::Mutes)
}

/// Whether the topic is Bugle's own.
const fn is_ours(topic: Topic) -> bool {
    !matches!(topic, Topic::Events(_) | Topic::Directory | Topic::Members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spec: &TopicSpec) -> Found {
        Found { partitions: spec.partitions, config: spec.config.iter().cloned().collect() }
    }

    fn with(topic: Topic, name: &str, value: &str) -> Vec<String> {
        let specs = Names::default().specs(4);
        let faults = faults_of(&specs, |spec| {
            let mut found = found(spec);
            if spec.topic == topic {
                found.config.insert(name.to_owned(), value.to_owned());
            }
            Some(found)
        });
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn topics_made_as_specified_have_no_faults() {
        assert!(faults_of(&Names::default().specs(4), |spec| Some(found(spec))).is_empty());
    }

    #[test]
    fn a_finite_retention_between_lanes_is_refused() {
        assert_eq!(
            with(Topic::People, "retention.ms", "604800000"),
            ["topic `bugle.people`: has retention.ms=604800000, and would delete what nobody has read yet; \
              set it to -1"]
        );
    }

    #[test]
    fn a_directory_that_is_not_compacted_is_refused() {
        assert_eq!(with(Topic::Directory, "cleanup.policy", "delete").len(), 1);
    }

    #[test]
    fn state_that_forgets_early_what_ended_is_refused() {
        let [told] = with(Topic::State, "delete.retention.ms", "1000").try_into().unwrap();
        assert!(told.ends_with("bring back what ended; set it to 86400000"), "{told}");
    }

    #[test]
    fn topics_that_belong_together_and_differ_in_partitions_are_refused_one_by_one() {
        let specs = Names::default().specs(4);
        for topic in [
            Topic::Receipts,
            Topic::Seen,
            Topic::State,
            Topic::Parked,
            Topic::WritebackState,
            Topic::Told,
            Topic::Waiting,
        ] {
            let faults = faults_of(&specs, |spec| {
                let partitions = if spec.topic == topic { 3 } else { spec.partitions };
                Some(Found { partitions, ..found(spec) })
            });
            let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let begins = format!("topic `{topic}`: has 3 partitions and ");
            assert!(said.iter().any(|said| said.starts_with(&begins)), "{said:?}");
        }
    }

    #[test]
    fn the_retention_of_what_belongs_to_others_is_theirs() {
        assert!(with(Topic::Audit, "retention.ms", "1000").is_empty());
    }

    #[test]
    fn a_missing_topic_is_named_together_with_the_command_that_makes_it() {
        let faults = faults_of(&Names::default().specs(4)[..1], |_| None);
        assert_eq!(
            faults[0].to_string(),
            "topic `opentext.xconnector.events`: does not exist; run `bugle topics create`"
        );
    }

    #[test]
    fn a_prefix_and_a_name_of_its_own_are_heard() {
        let mut names = Names::with_prefixes("acme.bugle.", "ot.");
        assert_eq!(names.of(Topic::DeadLetters), "acme.bugle.dead-letters");
        names.rename("opentext.directory", "hr.people").unwrap();
        assert_eq!(names.role("hr.people"), Some(Topic::Directory));
        assert_eq!(names.role("ot.directory"), None);
        assert!(names.rename("opentext.members", "hr.people").is_err());
        assert!(names.rename("bugle.nothing", "x").is_err());
    }
}

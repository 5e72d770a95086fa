//! Kept: what lies on a disk is believed only where it says what the topics say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bugle::broker::{Broker, Input, Topic};
use bugle::event::Span;
use bugle::telemetry::Meters;

use super::play::{Instance, Play};
use super::town::{NOW, company};
use super::{Company, PARTITIONS, a_company};

/// A play whose instances have disks, and one in which they keep warm copies.
const DISKS: u64 = 16;
const STANDBY: u64 = 17;

/// The sum of a metric's series that have a label.
pub(crate) fn counted(page: &str, metric: &str, label: &str) -> u64 {
    let of = |line: &&str| line.starts_with(&format!("bugle_engine_{metric}{{")) && line.contains(label);
    let lines = page.lines().filter(of);
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// What a process that is started anew makes of what lies on its disk.
struct Came {
    from_snapshots: u64,
    from_topics: u64,
    discarded: u64,
    log: String,
}

/// One instance, the only one.
struct House<'t> {
    play: Play<'t>,
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl House ===

impl<'t> House<'t> {
    fn new(town: &'t Company) -> Self {
        Self { play: Play::new(town, town, DISKS, None) }
    }

    /// Changes come, and are carried to their ends; then hours go by, and nothing is due for a while.
    fn work(&mut self, changes: usize) {
        (0..changes).for_each(|_| self.play.publish());
        for _ in 0..4 {
            (0..30).for_each(|_| self.play.go_round());
            self.play.pass(Duration::from_secs(1_700));
        }
        (0..30).for_each(|_| self.play.go_round());
    }

    fn instance(&mut self) -> &mut Instance {
        self.play.instances.iter_mut().flatten().next().expect("one runs")
    }

    fn write_snapshots(&mut self) {
        self.instance().snapshots.as_mut().expect("it has a disk").write_all(Duration::from_secs(60));
    }

    /// Of what still counts when all this is over.
    fn memories(&mut self) -> BTreeMap<Input, u128> {
        let later = NOW + Span::from_secs(15 * 3_600);
        let running = self.play.instances.iter().flatten();
        running.flat_map(|instance| &instance.lanes).flat_map(|lane| lane.memories(later)).collect()
    }

    fn file(&self, topic: Topic, partition: i32) -> PathBuf {
        let disk = self.play.disk.as_ref().expect("it has a disk").path();
        disk.join("0").join(format!("{topic}-{partition}.snapshot"))
    }

    fn crash(&mut self) {
        self.play.instances[0] = None;
    }

    /// Started anew, it runs all its partitions.
    fn start(&mut self) -> Came {
        let heard = Heard::default();
        let sink = heard.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
        let page = tracing::subscriber::with_default(subscriber, || {
            Meters::apart(|meters| {
                self.play.start(0);
                (0..60).for_each(|_| self.play.go_round());
                meters.render()
            })
        });
        let log = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
        Came {
            from_snapshots: counted(&page, "restores_total", r#"origin="snapshot""#),
            from_topics: counted(&page, "restores_total", r#"origin="log""#),
            discarded: counted(&page, "snapshots_total", "discarded"),
            log,
        }
    }
}

/// The partitions of all lanes with memory.
const ALL: u64 = 4 * PARTITIONS as u64;

#[test]
fn a_new_process_knows_from_its_snapshots_what_the_one_before_knew() {
    let town = a_company(company(12));
    let mut house = House::new(&town);
    house.work(30);
    house.write_snapshots();
    // What is known of transactions after it lies in the topics alone.
    house.work(10);
    let known = house.memories();
    assert!(known.values().any(|digest| *digest != 0));
    house.crash();
    let came = house.start();
    assert_eq!((came.from_snapshots, came.from_topics, came.discarded), (ALL, 0, 0), "{}", came.log);
    assert_eq!(house.memories(), known);
    // And once more, from one that was made of the one before.
    house.work(10);
    house.write_snapshots();
    let known = house.memories();
    house.crash();
    assert_eq!(house.start().from_snapshots, ALL);
    assert_eq!(house.memories(), known);
}

/// Something is done to the file of one partition; it is read from its topics, as it would be without.
fn discarded(topic: Topic, spoil: impl Fn(&mut House<'_>, &Path), why: &str) {
    let town = a_company(company(12));
    let mut house = House::new(&town);
    house.work(30);
    house.write_snapshots();
    let known = house.memories();
    house.crash();
    let file = house.file(topic, 0);
    spoil(&mut house, &file);
    let came = house.start();
    assert_eq!((came.from_snapshots, came.from_topics, came.discarded), (ALL - 1, 1, 1), "{}", came.log);
    let warning = came.log.lines().find(|line| line.contains("a snapshot is discarded")).expect("it is said");
    assert!(warning.contains(&file.display().to_string()) && warning.contains(why), "{warning}");
    assert_eq!(house.memories(), known);
    // The next one takes its place.
    house.work(5);
    house.write_snapshots();
    house.crash();
    assert_eq!(house.start().from_snapshots, ALL);
}

#[test]
fn a_snapshot_that_is_cut_short_is_discarded() {
    let cut = |_: &mut House<'_>, file: &Path| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    };
    discarded(Topic::Subjects, cut, "cut short");
}

#[test]
fn a_snapshot_with_a_flipped_bit_is_discarded_though_some_of_it_was_read() {
    let flip = |_: &mut House<'_>, file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        bytes[200] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    discarded(Topic::People, flip, "checksum");
}

#[test]
fn a_snapshot_of_another_partition_is_discarded() {
    let other = |house: &mut House<'_>, file: &Path| {
        fs::copy(house.file(Topic::Subjects, 1), file).unwrap();
    };
    discarded(Topic::Subjects, other, "partition 1 of");
}

#[test]
fn a_snapshot_of_a_later_version_is_discarded() {
    let later = |_: &mut House<'_>, file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        bytes[8] = 2;
        fs::write(file, bytes).unwrap();
    };
    discarded(Topic::Pushes, later, "format version 2");
}

#[test]
fn a_snapshot_is_discarded_where_its_topic_begins_later_than_it_ends() {
    let town = a_company(company(12));
    let mut house = House::new(&town);
    house.work(20);
    house.write_snapshots();
    house.work(20);
    house.crash();
    let seen = Input { topic: Topic::Seen, partition: 0 };
    let end = house.play.model.recall(seen.topic, &[(0, None)]).unwrap().ends().unwrap()[0];
    // All but the last page has expired.
    house.play.model.trim(&[(seen, end - 2)]).unwrap();
    let came = house.start();
    assert_eq!((came.from_snapshots, came.from_topics, came.discarded), (ALL - 1, 1, 1), "{}", came.log);
    assert!(came.log.contains("the topic begins later"), "{}", came.log);
}

#[test]
fn a_snapshot_of_yesterday_is_not_believed_where_what_was_deleted_is_forgotten() {
    let town = a_company(company(12));
    let mut house = House::new(&town);
    house.work(20);
    house.write_snapshots();
    house.crash();
    house.play.pass(Duration::from_secs(13 * 3_600));
    let came = house.start();
    // Each lane has something that waits, in a topic that is compacted.
    assert_eq!((came.from_snapshots, came.discarded), (0, ALL), "{}", came.log);
    assert!(came.log.contains("13h old"), "{}", came.log);
}

/// A disk that comes from another life of the same cluster and the same topics.
fn with_the_disk_of_another(theirs: usize, ours: usize) -> Came {
    let town = a_company(company(12));
    let disk = {
        let mut other = House::new(&town);
        other.work(theirs);
        other.write_snapshots();
        other.crash();
        other.play.disk.take().unwrap()
    };
    let mut house = House::new(&town);
    house.play.pass(Duration::from_millis(7));
    house.work(ours);
    let known = house.memories();
    house.crash();
    house.play.disk = Some(disk);
    let came = house.start();
    assert_eq!(house.memories(), known);
    came
}

#[test]
fn a_snapshot_that_knows_more_than_was_committed_is_discarded() {
    let came = with_the_disk_of_another(60, 3);
    assert!(came.log.contains("are committed"), "{}", came.log);
}

#[test]
fn a_snapshot_is_discarded_where_its_topic_was_made_anew_and_has_grown_beyond_it() {
    let came = with_the_disk_of_another(3, 60);
    assert!(came.log.contains("was made anew"), "{}", came.log);
    assert_eq!(came.from_snapshots + came.from_topics, ALL);
}

#[test]
fn whoever_stands_by_takes_over_with_what_it_knows_already() {
    let town = a_company(company(12));
    let mut house = House { play: Play::new(&town, &town, STANDBY, None) };
    house.work(10);
    house.play.start(1);
    house.work(30);
    // Long enough ago that each copies what the other runs.
    house.work(10);
    let known = house.memories();
    let lost: BTreeMap<Input, u128> = {
        let first = house.play.instances[0].as_ref().unwrap();
        let all = first.lanes.iter().flat_map(|lane| lane.memories(NOW));
        all.filter(|(input, digest)| *digest != 0 && !input.topic.memories().is_empty()).collect()
    };
    assert!(!lost.is_empty(), "the first has given everything away");
    let page = Meters::apart(|meters| {
        house.crash();
        (0..30).for_each(|_| house.play.go_round());
        meters.render()
    });
    let warm = counted(&page, "restores_total", r#"origin="standby""#);
    assert!(warm >= lost.len() as u64, "{warm} of {} were warm", lost.len());
    assert_eq!(house.memories(), known);
}

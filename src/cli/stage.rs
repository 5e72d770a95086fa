//! Stage: the verbs about people, run in a test against a directory topic in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;

use super::broker_args::{BrokerArgs, Reach};
use super::{audience, directory};
use crate::app::config::DirectorySettings;
use crate::broker::{
    Broker, BrokerError, Follow, Incoming, Input, Link, LinkSpec, Outgoing, Topic, TopicSpec, Unread,
};
use crate::codec::{Codec, Schemas, example};
use crate::event::Timestamp;

/// The topics of the directory, and the verbs before them.
pub(super) struct Stage {
    log: Log,
    folder: tempfile::TempDir,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Outgoing>>>);

struct Reading {
    log: Log,
    topic: Topic,
    next: usize,
}

#[derive(clap::Parser)]
enum Line {
    Directory(directory::Args),
    Audience(audience::Args),
}

// === impl Stage ===

impl Stage {
    pub(super) fn new() -> Self {
        Self { log: Log::default(), folder: tempfile::tempdir().unwrap() }
    }

    /// Loads a `people.csv` of this text.
    pub(super) fn load(&self, text: &str, args: &[&str]) -> String {
        let file = self.folder.path().join("people.csv");
        std::fs::write(&file, text).unwrap();
        let words = ["directory", "load", file.to_str().unwrap(), "--tenant", "north"];
        self.run(&[&words[..], args].concat())
    }

    /// Loads a `members.jsonl` of this text.
    pub(super) fn members(&self, text: &str, args: &[&str]) -> String {
        let file = self.file("members.jsonl", text);
        self.run(&[&["directory", "members", &file], args].concat())
    }

    pub(super) fn show(&self, args: &[&str]) -> String {
        self.run(&[&["directory", "show"], args].concat())
    }

    pub(super) fn ask(&self, args: &[&str]) -> String {
        self.run(&[&["audience"], args].concat())
    }

    /// A file with the example event of a kind, changed.
    pub(super) fn event(&self, kind: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut event = example::event(&Schemas::built_in(), kind, example::MONDAY).unwrap();
        change(&mut event);
        let file = self.folder.path().join("event.json");
        std::fs::write(&file, event.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// A file of this text.
    pub(super) fn file(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The keys written so far; a tombstone is `gone`.
    pub(super) fn written(&self) -> Vec<String> {
        let key = |record: &Outgoing| {
            let key = String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap();
            if record.value.is_some() { key } else { format!("{key} gone") }
        };
        self.log.0.lock().unwrap().iter().map(key).collect()
    }

    /// What the verb prints, or its failure.
    fn run(&self, words: &[&str]) -> String {
        let line = Line::parse_from([&["bugle"], words].concat());
        let open = |_: &BrokerArgs| Ok(Arc::new(self.log.clone()) as Arc<dyn Broker>);
        let codec = Codec::new(Arc::new(Schemas::built_in()), None);
        let people = DirectorySettings::default();
        let (directory, members) = ("opentext.directory", "opentext.members");
        let reach = Reach { open: &open, codec: &codec, directory, members, people: &people };
        let mut out = Vec::new();
        let done = match &line {
            Line::Directory(args) => directory::run(args, &reach, &mut out),
            Line::Audience(args) => audience::run(args, &reach, &mut out),
        };
        let mut text = String::from_utf8(out).unwrap();
        if let Err(failure) = done {
            text += &format!("{failure}\n").replace(&format!("{}/", self.folder.path().display()), "");
        }
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }
}

// === impl Log ===

impl Log {
    /// What lies in a topic.
    fn of(&self, topic: Topic) -> Vec<Outgoing> {
        self.0.lock().unwrap().iter().filter(|record| record.topic == topic).cloned().collect()
    }
}

impl Follow for Reading {
    fn poll(&mut self, _: Duration, into: &mut Vec<Incoming>) -> Result<(), BrokerError> {
        let Some(record) = self.log.of(self.topic).get(self.next).cloned() else { return Ok(()) };
        into.push(Incoming {
            input: Input { topic: self.topic, partition: 0 },
            offset: i64::try_from(self.next).unwrap(),
            timestamp: Timestamp::default(),
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
        self.next += 1;
        Ok(())
    }

    fn positions(&self) -> Vec<i64> {
        vec![i64::try_from(self.next).unwrap()]
    }

    fn ends(&mut self) -> Result<Vec<i64>, BrokerError> {
        Ok(vec![i64::try_from(self.log.of(self.topic).len()).unwrap()])
    }

    fn is_settled(&mut self) -> Result<bool, BrokerError> {
        Ok(true)
    }
}

impl Broker for Log {
    fn link(&self, _: &LinkSpec) -> Result<Box<dyn Link>, BrokerError> {
        Err(BrokerError::Fatal("no lanes on this stage".to_owned()))
    }

    fn follow(&self, topic: Topic) -> Result<Box<dyn Follow>, BrokerError> {
        Ok(Box::new(Reading { log: self.clone(), topic, next: 0 }))
    }

    fn recall(&self, topic: Topic, _: &[(i32, Option<i64>)]) -> Result<Box<dyn Follow>, BrokerError> {
        self.follow(topic)
    }

    fn identity(&self, topic: Topic) -> Result<String, BrokerError> {
        Ok(topic.to_string())
    }

    fn unread(&self, _: &str, _: &[Topic]) -> Result<Vec<Unread>, BrokerError> {
        Ok(Vec::new())
    }

    fn publish(&self, records: Vec<Outgoing>) -> Result<(), BrokerError> {
        self.0.lock().unwrap().extend(records);
        Ok(())
    }

    fn partitions(&self, _: Topic) -> Result<u32, BrokerError> {
        Ok(1)
    }

    fn create(&self, _: &[TopicSpec]) -> Result<Vec<Topic>, BrokerError> {
        Ok(Vec::new())
    }

    fn grow(&self, _: Topic, _: u32) -> Result<(), BrokerError> {
        Ok(())
    }

    fn members(&self, _: &str) -> Result<usize, BrokerError> {
        Ok(0)
    }

    fn check(&self, _: &[TopicSpec]) -> Result<Vec<BrokerError>, BrokerError> {
        Ok(Vec::new())
    }

    fn trim(&self, _: &[(Input, i64)]) -> Result<(), BrokerError> {
        Ok(())
    }
}

//! Site: one whole Bugle on the shared Kafka and registry, under names of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bugle::app::books::{Books, Ledgers};
use bugle::app::config::Config;
use bugle::app::wiring;
use bugle::broker::{Broker, Topic};
use bugle::clock::Tick;
use bugle::codec::Name;

use super::process::{Process, done, ended};

/// Settings, topics and processes of one test.
pub(crate) struct Site {
    /// What the names of all its topics begin with.
    pub(crate) prefix: String,
    pub(crate) config: Config,
    pub(crate) broker: Arc<dyn Broker>,
    /// The push service.
    pub(crate) stand_in: Process,
    pub(crate) stand_in_url: String,
    file: PathBuf,
    folder: tempfile::TempDir,
}

/// What the push service says it accepted, by reference.
pub(crate) struct Told {
    pub(crate) message_id: String,
    pub(crate) person: String,
    pub(crate) title: String,
}

/// `tenant/event id`, a tab, and the person.
pub(crate) type Pairs = BTreeSet<String>;

/// What the reference says of the events in a file: who must hear of what at once, and the events that are
/// only told together with others, when their windows close.
pub(crate) struct Expected {
    pub(crate) pairs: Pairs,
    gathered: BTreeSet<String>,
}

// === impl Expected ===

impl Expected {
    pub(crate) fn of(sent: &Path) -> Self {
        let asked = ["--people", "tests/python/people.csv", "--sent", &sent.to_string_lossy()];
        let said = super::python::script("reference.py", &asked);
        let (gathered, pairs): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| line.ends_with("\t*"));
        Self {
            pairs: pairs.into_iter().map(str::to_owned).collect(),
            gathered: gathered.into_iter().map(|line| line.trim_end_matches('*').to_owned()).collect(),
        }
    }

    /// What was told at once.
    pub(crate) fn told(&self, site: &Site) -> Pairs {
        let pairs = site.told().iter().map(Told::pair).collect::<Pairs>().into_iter();
        let at_once = |pair: &String| {
            let event = pair.split_inclusive('\t').next().unwrap_or_default();
            !self.gathered.contains(event)
        };
        pairs.filter(at_once).collect()
    }
}

// === impl Told ===

impl Told {
    /// `tenant/event id`, a tab, and the person: events of the publisher name themselves in their titles.
    pub(crate) fn pair(&self) -> String {
        let words = self.title.split([' ', ':']);
        let named = words.into_iter().find(|word| word.starts_with("acme/") || word.starts_with("globex/"));
        let named = named.unwrap_or_else(|| panic!("no event in the title `{}`", self.title));
        format!("{named}\t{}", self.person)
    }
}

// === impl Site ===

impl Site {
    /// Starts the push service, makes the topics, registers the schemas and loads `people.csv`.
    ///
    /// `registry` is where Bugle asks for schemas: the kit's, or something that stands before it;
    /// `push_service` is how the push service is to behave.
    pub(crate) fn open(registry: &str, partitions: u32, push_service: &[&str]) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("s{}-{number}.", std::process::id());
        let usual = ["stand-in", "--listen", "127.0.0.1:0", "--keep-refs"];
        let inboxes: &[&str] = if push_service.contains(&"--inboxes") { &[] } else { &["--inboxes", "0"] };
        let mut stand_in = Process::start(&[&usual, inboxes, push_service].concat());
        let stand_in_url = stand_in.until_it_says("stand-in at ").trim().to_owned();
        let folder = tempfile::tempdir().expect("there is a place for temporary files");
        let rules = folder.path().join("rules");
        copy_rules(Path::new("topology"), &rules);
        let file = folder.path().join("bugle.yaml");
        let text = format!(
            "kafka:
  brokers: {}
  group: {prefix}bugle
  topics: {{ source_prefix: {prefix}opentext., own_prefix: {prefix}bugle., default_partitions: {partitions} }}
  properties: {{ consumer.session.timeout.ms: '4000', consumer.heartbeat.interval.ms: '500' }}
registry: {{ urls: [\"{registry}\"] }}
topology: {{ folder: {} }}
push: {{ url: \"{stand_in_url}\" }}
lanes: {{ threads: 1 }}
admin: {{ listen: 127.0.0.1:0 }}
answers: {{ listen: 127.0.0.1:0 }}
log: {{ format: human }}
",
            super::kafka(),
            rules.display()
        );
        fs::write(&file, text).expect("the folder was just made");
        let config = Config::load(Some(&file), &BTreeMap::new(), &[]).expect("these settings are right");
        let broker = wiring::kafka(&config).expect("these settings are right");
        let site = Self { prefix, config, broker, stand_in, stand_in_url, file, folder };
        site.bugle(&["topics", "create"]);
        site.register();
        site.bugle(&["directory", "load", "tests/python/people.csv"]);
        site
    }

    fn register(&self) {
        let renamed = |name: Name| format!("{}={}", name.topic(), self.topic(name.topic()));
        let renamed: Vec<String> = Name::ALL.iter().map(|name| renamed(*name)).collect();
        let mut args = vec!["schemas", "register", "--registry", super::registry()];
        renamed.iter().for_each(|renamed| args.extend(["--topic", renamed]));
        done(&args);
    }

    /// Runs a verb with the site's settings to its end.
    pub(crate) fn bugle(&self, args: &[&str]) -> String {
        done(&[args, &["--config", &self.file.to_string_lossy()]].concat())
    }

    /// Runs a verb with the site's settings to its end, however that is: the exit code, and what it printed.
    pub(crate) fn try_bugle(&self, args: &[&str]) -> (Option<i32>, String) {
        ended(&[args, &["--config", &self.file.to_string_lossy()]].concat())
    }

    /// Starts `bugle run` with the site's settings.
    pub(crate) fn run(&self) -> Process {
        self.run_with(&[])
    }

    /// Starts `bugle run` with further arguments.
    pub(crate) fn run_with(&self, more: &[&str]) -> Process {
        Process::start(&[&["run", "--config", &self.file.to_string_lossy()], more].concat())
    }

    /// What the site calls a topic.
    pub(crate) fn topic(&self, topic: Topic) -> String {
        self.config.kafka.topics.name(topic)
    }

    /// A file in the site's own folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads the books from the topics until `published` changes are decided and every book closes.
    pub(crate) fn until_the_books_close(
        &self,
        published: u64,
        within: Duration,
        mut running: impl FnMut(&Books),
    ) -> Books {
        let mut ledgers = Ledgers::open(self.broker.as_ref()).expect("the topics were made");
        let begun = Tick::now();
        loop {
            ledgers.read(Duration::from_millis(100)).expect("Kafka answers");
            let books = ledgers.keeper.books();
            if books.changes.read >= published && books.close() && books.tellings.held == 0 {
                assert_eq!(books.changes.read, published, "more was read than published: {books:#?}");
                return books;
            }
            running(&books);
            assert!(begun.elapsed() < within, "after {within:?} the books are open: {books:#?}");
        }
    }

    /// The push service's sums.
    pub(crate) fn ledger(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("/ledger?limit=0")).expect("the ledger is JSON")
    }

    /// Everything the push service accepted.
    pub(crate) fn told(&self) -> Vec<Told> {
        let refs = self.ask("/refs");
        let told = refs.lines().map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let mut next = || cells.next().expect("a line has four cells");
            let (message_id, _, person, title) = (next(), next(), next(), next());
            Told { message_id, person, title }
        });
        told.collect()
    }

    fn ask(&self, path: &str) -> String {
        let port = self.stand_in_url.rsplit(':').next().and_then(|port| port.parse().ok());
        let answer = super::get(port.expect("a URL with a port"), path).expect("the push service answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(head.contains(" 200 "), "{path}: {head}");
        body.to_owned()
    }
}

/// The rules as they are shipped, but that what waits half a minute for other news waits a second: so do the tests.
fn copy_rules(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("the rules are there") {
        let entry = entry.expect("the rules can be read");
        let copy = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_rules(&entry.path(), &copy);
        } else {
            let text = fs::read_to_string(entry.path()).expect("rules are text");
            fs::write(copy, text.replace("within: 30s", "within: 1s")).expect("the folder is ours");
        }
    }
}

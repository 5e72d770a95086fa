//! Sections: every setting there is, with its unit and its default.
//!
//! What one setting alone cannot know is checked in `checks`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::TopicRole;
use crate::event::{Span, Topic};
use crate::push::gateway::KnownBy;
use crate::telemetry::logs;

/// How to reach Kafka, and as whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Bootstrap servers: `host:port`, several with commas.
    pub brokers: String,
    /// Whether an unencrypted connection may leave this machine.
    pub allow_plaintext: bool,
    /// Client properties as librdkafka knows them, such as `security.protocol`. They may hold secrets.
    pub properties: BTreeMap<String, SecretString>,
    /// What the names of consumer groups and transactional ids start with.
    pub group: String,
    /// A name of this instance that outlives restarts; makes it a static member of its groups. Without one it is
    /// called after its host and a mark that it keeps in `state.dir`, or a new one each time, and is none.
    pub instance_id: Option<String>,
    /// Where to begin when nothing was ever committed.
    pub start_from: StartFrom,
    /// What the topics are called.
    pub topics: TopicSettings,
}

/// Where a lane begins when nothing was ever committed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// With the oldest record there is.
    #[default]
    Earliest,
    /// With the next one that comes.
    Now,
}

/// What the topics are called, and how many partitions `bugle topics create` gives them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicSettings {
    /// What the names of the source systems' topics and of the directory's start with.
    pub source_prefix: String,
    /// What the names of Bugle's own topics start with.
    pub own_prefix: String,
    /// Whole names for single topics.
    pub names: BTreeMap<TopicRole, String>,
    /// Partitions of every topic that `partitions` does not name; what every
    /// process reads whole has one.
    pub default_partitions: u32,
    /// Partitions of single topics.
    pub partitions: BTreeMap<TopicRole, u32>,
}

/// The schema registry. Without a URL the schemas of the folder are all there is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// Base URLs, asked in this order.
    pub urls: Vec<String>,
    /// Basic authentication.
    pub username: Option<String>,
    /// Basic authentication.
    pub password: Option<SecretString>,
}

/// The schemas Bugle reads by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchemaSettings {
    /// Avro schemas, one per source system and for the directory.
    pub folder: PathBuf,
}

/// The rules.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopologySettings {
    /// YAML files, one per source system.
    pub folder: PathBuf,
    /// How often a running instance looks at the files, and publishes them when they changed; without it only
    /// when it is told to (SIGHUP).
    #[serde(deserialize_with = "some_span")]
    pub watch: Option<Span>,
}

/// Language and clock of people whose directory entry says nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantsSettings {
    /// BCP 47, such as `de-CH`.
    pub locale: String,
    /// IANA name, such as `Europe/Berlin`.
    pub zone: String,
    /// What single tenants have instead.
    pub each: BTreeMap<String, TenantSettings>,
}

/// What one tenant has instead of the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSettings {
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA name.
    pub zone: Option<String>,
    /// IANA names of its places, by the names its events call them.
    pub places: BTreeMap<String, String>,
    /// The push account its people are told by, where it is not the usual one.
    pub account: Option<String>,
}

/// The lanes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneSettings {
    /// Threads per lane; 0 is one for two cores.
    pub threads: u16,
    /// The longest a transaction collects.
    #[serde(deserialize_with = "span")]
    pub commit_every: Span,
    /// The most input records of one transaction.
    pub commit_most: u32,
    /// How long a change is remembered, so that its repeat is not told again.
    #[serde(deserialize_with = "span")]
    pub dedupe_horizon: Span,
}

/// What is kept on this machine of what the lanes remember.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateSettings {
    /// A folder of this process's own, for snapshots and for what `memory_mib` has no room for; without one a
    /// restart reads everything from Kafka.
    pub dir: Option<PathBuf>,
    /// Of what the lanes keep open, so much lies in memory, in MiB, and the rest on disk; none: all of it lies in
    /// memory.
    pub memory_mib: Option<u32>,
    /// Between two snapshots of a partition.
    #[serde(deserialize_with = "span")]
    pub snapshot_every: Span,
    /// 1: this process keeps a warm copy of every partition's memory that another one runs.
    pub standby: u8,
}

/// Metrics, health and the live page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Where it listens; nobody has to log in, so loopback unless a network policy guards it.
    pub listen: SocketAddr,
    /// A link to the stand-in's inboxes for the live page.
    pub inbox: Option<String>,
}

/// Where answers come in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerSettings {
    /// Where it listens, for the gateway or the devices.
    pub listen: SocketAddr,
    /// Secrets shared with those who send answers on (`whsec_…`, Standard Webhooks); with any, a request must
    /// be signed.
    pub webhook_secrets: Vec<SecretString>,
    /// Who is asked whose session an answer comes from.
    pub gateway: GatewaySettings,
    /// What the push service knows who says what became of its jobs, as a bearer or a password; none: nobody may.
    pub status_token: Option<SecretString>,
    /// The address people's browsers reach this by; with it, pushes carry a link that answers.
    pub public_url: Option<String>,
    /// Who answers by a link.
    pub links: LinkSettings,
}

/// The AppWorks Gateway whose sessions people answer from; without a URL nobody is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Its base URL.
    pub url: Option<String>,
    /// The app that people are signed in to.
    pub app: Option<String>,
    /// Whose people they are: ids are unique in a tenant, and the gateway knows of one.
    pub tenant: Option<String>,
    /// The secret that the gateway shares with it (`otagAppKey`).
    pub app_key: Option<SecretString>,
    /// Which of its names for somebody is the id in the directory.
    pub known_by: KnownBy,
    /// For how long its word about a session counts.
    #[serde(deserialize_with = "span")]
    pub keep: Span,
    /// How long it may take.
    #[serde(deserialize_with = "span")]
    pub timeout: Span,
}

/// How it is known who opens a link.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSettings {
    /// Who says it.
    pub identity: LinkIdentity,
    /// The header in which the proxy says the user id.
    pub header: String,
    /// Whose people sign in at the proxy: ids are unique in a tenant.
    pub tenant: Option<String>,
    /// The header in which the proxy says that, where they are of several.
    pub tenant_header: Option<String>,
    /// What the proxy proves itself with, in `x-bugle-proxy-secret`.
    pub proxy_secret: Option<SecretString>,
}

/// Who says who opens a link.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkIdentity {
    /// A proxy that signs people in.
    #[default]
    Header,
    /// The link itself: whoever has it can answer.
    Token,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// How a line looks.
    pub format: logs::Format,
    /// Which lines are written: a level, or levels by module.
    pub filter: String,
}

pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn some_span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

// === impl Default ===

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            allow_plaintext: false,
            properties: BTreeMap::new(),
            group: "bugle".into(),
            instance_id: None,
            start_from: StartFrom::default(),
            topics: TopicSettings::default(),
        }
    }
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            source_prefix: "opentext.".into(),
            own_prefix: "bugle.".into(),
            names: BTreeMap::new(),
            default_partitions: 4,
            partitions: BTreeMap::new(),
        }
    }
}

impl Default for SchemaSettings {
    fn default() -> Self {
        Self { folder: "schemas".into() }
    }
}

impl Default for TopologySettings {
    fn default() -> Self {
        Self { folder: "topology".into(), watch: None }
    }
}

impl Default for TenantsSettings {
    fn default() -> Self {
        Self { locale: "en".into(), zone: "UTC".into(), each: BTreeMap::new() }
    }
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            threads: 0,
            commit_every: Span::from_millis(100),
            commit_most: 10_000,
            dedupe_horizon: Span::from_secs(24 * 60 * 60),
        }
    }
}

impl Default for StateSettings {
    fn default() -> Self {
        Self { dir: None, memory_mib: None, snapshot_every: Span::from_secs(5 * 60), standby: 0 }
    }
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8090)), inbox: None }
    }
}

impl Default for AnswerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8091)),
            webhook_secrets: Vec::new(),
            gateway: GatewaySettings::default(),
            status_token: None,
            public_url: None,
            links: LinkSettings::default(),
        }
    }
}

impl Default for GatewaySettings {
    fn default() -> Self {
        let (keep, timeout) = (Span::from_secs(30), Span::from_secs(5));
        let (url, app, tenant, app_key, known_by) = Default::default();
        Self { url, app, tenant, app_key, known_by, keep, timeout }
    }
}

impl Default for LinkSettings {
    fn default() -> Self {
        let header = "x-forwarded-user".to_owned();
        let (identity, tenant, tenant_header, proxy_secret) = Default::default();
        Self { identity, header, tenant, tenant_header, proxy_secret }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: logs::Format::default(), filter: "info".into() }
    }
}

// === impl TopicSettings ===

impl TopicSettings {
    /// The topic's name in the cluster.
    #[must_use]
    pub fn name(&self, topic: Topic) -> String {
        if let Some(name) = self.names.get(&topic.into()) {
            return name.clone();
        }
        let usual = topic.to_string();
        match (usual.strip_prefix("opentext."), usual.strip_prefix("bugle.")) {
            (Some(rest), _) => format!("{}{rest}", self.source_prefix),
            (_, Some(rest)) => format!("{}{rest}", self.own_prefix),
            _ => usual,
        }
    }

    /// How many partitions `bugle topics create` gives it.
    #[must_use]
    pub fn partitions(&self, topic: Topic) -> u32 {
        let usual = match topic {
            // Every process reads them whole; several partitions would only lose their order.
            Topic::Directory | Topic::Members | Topic::Topology | Topic::Mutes => 1,
            // A partition and its memory belong together.
            Topic::Seen | Topic::State => self.partitions(Topic::Subjects),
            Topic::Told | Topic::Waiting => self.partitions(Topic::People),
            Topic::Parked => self.partitions(Topic::Pushes),
            Topic::WritebackState => self.partitions(Topic::Writebacks),
            _ => self.default_partitions,
        };
        self.partitions.get(&topic.into()).copied().unwrap_or(usual)
    }
}

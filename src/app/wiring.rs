//! Wiring: settings become the parts that the engine runs on.

mod phones;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::Unready;
use super::config::{self, Config};
use crate::answers::{Identity, Tenant};
use crate::broker::kafka::{Kafka, KafkaSettings};
use crate::broker::names::Names;
use crate::broker::{Broker, StartFrom, TopicSpec};
use crate::codec::{Codec, Name, Registry, Schemas};
use crate::engine::Settings;
use crate::engine::shelf::Shelf;
use crate::event::{Span, Topic};
use crate::flow::{OutputIds, Parking, Plan, Spill, TenantDefaults};
use crate::push::KeyRing;
use crate::push::gateway::{Gateway, GatewaySettings};
use crate::source_systems::{Addresses, ContentServer, Offices, Service};
use crate::store::folder::{Folder, mark};
#[cfg(not(feature = "state-disk"))]
use crate::store::spill::DiskFault;
use crate::topology::Kinds;
use crate::topology::message::Links;

use phones::accounts;
pub use phones::push;

/// The name and secret of the key that signs reply tokens where no key is configured: for `demo` and
/// for a first look, never for answers that count.
const DEMO_KEY: (&str, &str) = ("demo", "not a secret: configure push.signing_keys");
/// When a lane's output is large enough to be committed at once.
const BUDGET: usize = 4 * 1024 * 1024;

/// The schemas of the configured folder, or those built in where there is none.
///
/// # Errors
/// [`Unready::Schemas`].
pub fn schemas(config: &Config) -> Result<Arc<Schemas>, Unready> {
    let folder = &config.schemas.folder;
    if folder.is_dir() { Ok(Arc::new(Schemas::load(folder)?)) } else { Ok(Arc::new(Schemas::built_in())) }
}

/// The registry, when one is configured.
///
/// # Errors
/// [`Unready::Registry`].
pub fn registry(config: &Config) -> Result<Option<Registry>, Unready> {
    let settings = &config.registry;
    if settings.urls.is_empty() {
        return Ok(None);
    }
    let login = settings.username.clone().zip(settings.password.clone());
    Ok(Some(Registry::new(&settings.urls, login)?))
}

/// How bytes are read.
///
/// # Errors
/// [`Unready::Schemas`] or [`Unready::Registry`].
pub fn codec(config: &Config) -> Result<Arc<Codec>, Unready> {
    Ok(Arc::new(Codec::new(schemas(config)?, registry(config)?)))
}

/// The kinds that rules may name.
#[must_use]
pub fn kinds(schemas: &Schemas) -> Kinds {
    let shapes = crate::event::Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec());
    Kinds::new(shapes)
}

/// What the topics are called.
///
/// # Errors
/// [`Unready::Broker`] when two topics were given one name.
pub fn names(config: &Config) -> Result<Names, Unready> {
    let topics = &config.kafka.topics;
    let mut names = Names::with_prefixes(&topics.own_prefix, &topics.source_prefix);
    for topic in Topic::ALL {
        let (name, usual) = (topics.name(topic), topic.to_string());
        if names.of(topic) != name {
            names.rename(&usual, &name)?;
        }
    }
    Ok(names)
}

/// How the topics are to be made.
///
/// # Errors
/// [`Unready::Broker`].
pub fn specs(config: &Config) -> Result<Vec<TopicSpec>, Unready> {
    let topics = &config.kafka.topics;
    let mut specs = names(config)?.specs(topics.default_partitions);
    for spec in &mut specs {
        spec.partitions = topics.partitions(spec.topic);
        for (name, value) in &mut spec.config {
            if spec.topic.is_memory() && name == "retention.ms" {
                *value = memory_kept(config).millis().to_string();
            }
        }
    }
    Ok(specs)
}

/// How long the memory topics keep: two horizons, for the partitions of a source may lag behind one
/// another by one, and an outage of a week. A rule may look back for a week whatever the horizon is.
pub(super) fn memory_kept(config: &Config) -> Span {
    const WEEK: Span = Span::from_secs(7 * 24 * 60 * 60);
    let horizon = config.lanes.dedupe_horizon.max(WEEK);
    Span::from_millis(horizon.millis().saturating_mul(2).saturating_add(WEEK.millis()))
}

/// The configured cluster.
///
/// # Errors
/// [`Unready::Broker`] when a setting breaks a promise.
pub fn kafka(config: &Config) -> Result<Arc<dyn Broker>, Unready> {
    Ok(Arc::new(Kafka::new(kafka_settings(config)?)?))
}

/// The same cluster, written to without transactions: for a bench that compares.
///
/// # Errors
/// [`Unready::Broker`] when a setting breaks a promise.
pub fn kafka_at_least_once(config: &Config) -> Result<Arc<dyn Broker>, Unready> {
    Ok(Arc::new(Kafka::new(KafkaSettings { exactly_once: false, ..kafka_settings(config)? })?))
}

/// How the configured cluster is reached.
///
/// # Errors
/// [`Unready::Broker`] when two topics share a name.
pub(super) fn kafka_settings(config: &Config) -> Result<KafkaSettings, Unready> {
    let settings = &config.kafka;
    let overrides: BTreeMap<String, String> = settings
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
        .collect();
    Ok(KafkaSettings {
        brokers: settings.brokers.clone(),
        client_id: settings.instance_id.clone().unwrap_or_else(|| "bugle".to_owned()),
        names: names(config)?,
        overrides,
        allow_plaintext: settings.allow_plaintext,
        exactly_once: true,
    })
}

/// The source systems' clients.
///
/// # Errors
/// [`Unready::Sources`].
pub fn sources(config: &Config) -> Result<Arc<Offices>, Unready> {
    let settings = &config.sources;
    let service = |service: &config::ServiceSettings| {
        let url = service.url.clone()?;
        Some(Service { url, token: service.token.clone() })
    };
    let xecm = &settings.xecm;
    let client = xecm.client_id.clone().zip(xecm.client_secret.clone());
    let content_server = xecm.url.clone().zip(xecm.otds_url.clone()).zip(client);
    let content_server = content_server.map(|((url, otds_url), (client_id, client_secret))| ContentServer {
        url,
        otds_url,
        client_id,
        client_secret,
        partition: xecm.partition.clone(),
        approve: xecm.approve.clone(),
        reject: xecm.reject.clone(),
    });
    let (xconnector, devadmin) = (service(&settings.xconnector), service(&settings.devadmin));
    let addresses = Addresses { content_server, xconnector, devadmin };
    Ok(Arc::new(Offices::new(addresses, settings.timeout.to_duration())?))
}

/// The keys that sign reply tokens, and prove them when an answer comes.
///
/// # Errors
/// [`Unready::SigningKey`].
pub fn keys(config: &Config) -> Result<KeyRing, Unready> {
    let settings = &config.push;
    let current = signing_key(config);
    let mut keys: Vec<(String, SecretString)> = settings.signing_keys.clone().into_iter().collect();
    if keys.is_empty() {
        keys.push((DEMO_KEY.0.to_owned(), DEMO_KEY.1.into()));
    }
    // The key ring signs with its first key.
    keys.sort_by_key(|(id, _)| *id != current);
    Ok(KeyRing::new(keys)?.with_links(config.answers.public_url.as_deref()))
}

/// Who says whose session an answer comes from; none where nobody is to be asked.
///
/// # Errors
/// [`Unready::Push`].
pub fn gateway(config: &Config) -> Result<Option<Arc<Gateway>>, Unready> {
    let settings = &config.answers.gateway;
    let Some(url) = settings.url.clone() else { return Ok(None) };
    let gateway = Gateway::new(GatewaySettings {
        url,
        app: settings.app.clone().unwrap_or_default(),
        tenant: settings.tenant.clone().unwrap_or_default(),
        key: settings.app_key.clone().unwrap_or_default(),
        known_by: settings.known_by,
        keep: settings.keep.to_duration(),
        timeout: settings.timeout.to_duration(),
    })?;
    Ok(Some(Arc::new(gateway)))
}

/// Who answers by a link; none where no link leads here.
#[must_use]
pub fn links(config: &Config) -> Option<Arc<Identity>> {
    config.answers.public_url.as_ref()?;
    let links = &config.answers.links;
    Some(Arc::new(match (links.identity, &links.proxy_secret) {
        (config::LinkIdentity::Token, _) => Identity::Link,
        (config::LinkIdentity::Header, secret) => {
            let tenant = match &links.tenant_header {
                Some(header) => Tenant::Said(header.clone()),
                None => Tenant::One(links.tenant.clone()?),
            };
            Identity::Proxy { header: links.header.clone(), tenant, secret: secret.clone()? }
        }
    }))
}

fn signing_key(config: &Config) -> String {
    let settings = &config.push;
    let first = || settings.signing_keys.keys().next().cloned();
    settings.signing_key.clone().or_else(first).unwrap_or_else(|| DEMO_KEY.0.to_owned())
}

/// What the lanes need to know of the cluster and the settings.
///
/// # Errors
/// [`Unready::Broker`] when a topic is missing, [`Unready::Registry`] when the registry cannot be asked.
pub fn plan(
    config: &Config,
    (broker, codec): (&dyn Broker, &Codec),
    spill: Spill,
) -> Result<Arc<Plan>, Unready> {
    let topics = &config.kafka.topics;
    let id = |name: Name| codec.id_for(name, &topics.name(name.topic()));
    let hears = config.push.follow_after > Span::ZERO || config.answers.status_token.is_some();
    let tenants = config.tenants.each.iter().map(|(tenant, own)| {
        let locale = own.locale.clone().unwrap_or_else(|| config.tenants.locale.clone());
        let zone = own.zone.clone().unwrap_or_else(|| config.tenants.zone.clone());
        (tenant.clone(), TenantDefaults { locale, zone, places: own.places.clone() })
    });
    Ok(Arc::new(Plan {
        subjects: broker.partitions(Topic::Subjects)?,
        people: broker.partitions(Topic::People)?,
        pushes: broker.partitions(Topic::Pushes)?,
        write_backs: broker.partitions(Topic::Writebacks)?,
        audit: broker.partitions(Topic::Audit)?,
        horizon: config.lanes.dedupe_horizon,
        accounts: accounts(config),
        target: config.push.target.clone(),
        links: Links::to(&config.push.link_hosts),
        signing_key: signing_key(config),
        tenants: tenants.collect(),
        defaults: TenantDefaults {
            locale: config.tenants.locale.clone(),
            zone: config.tenants.zone.clone(),
            places: BTreeMap::new(),
        },
        ids: OutputIds {
            verdict: id(Name::Verdict)?,
            receipt: id(Name::Receipt)?,
            write_back: id(Name::WriteBack)?,
            members: if hears { id(Name::Members)? } else { 0 },
        },
        budget: BUDGET,
        parking: Parking {
            most_bytes: config.push.parked_mib as usize * 1024 * 1024,
            refuse_blocked: config.push.when_blocked == config::WhenBlocked::Refuse,
        },
        spill,
    }))
}

/// The folder that this process has for itself, where it has one.
///
/// # Errors
/// [`Unready::State`].
pub fn folder(config: &Config) -> Result<Option<Folder>, Unready> {
    Ok(config.state.dir.as_deref().map(Folder::take).transpose()?)
}

/// What is kept of memory on this machine, and the room for what the lanes keep open.
///
/// # Errors
/// [`Unready::Disk`].
pub fn state(config: &Config, folder: Option<Folder>) -> Result<(Arc<Shelf>, Spill), Unready> {
    let spill = match (&folder, config.state.memory_mib) {
        (Some(folder), Some(most)) => spill(most as usize * 1024 * 1024, folder)?,
        _ => Spill::default(),
    };
    Ok((Arc::new(Shelf::new(folder)), spill))
}

#[cfg(feature = "state-disk")]
fn spill(most: usize, folder: &Folder) -> Result<Spill, Unready> {
    let disk = crate::store::disk::FolderDisk::empty(&folder.entries())?;
    Ok(Spill::beyond(most, Box::new(disk)))
}

#[cfg(not(feature = "state-disk"))]
fn spill(_most: usize, folder: &Folder) -> Result<Spill, Unready> {
    let (path, fault) = (folder.entries().display().to_string(), "built without `state-disk`".to_owned());
    Err(DiskFault { path, fault }.into())
}

/// What this instance is called: as it is configured, else after its machine and a mark of its own, which it keeps in
/// its folder where it has one. Host and process tell no containers apart: those of one pod or on the network of their
/// host may have one name, and all are process 1. Two of one name would end each other's transactions for ever.
///
/// # Errors
/// [`Unready::State`].
pub fn instance(config: &Config, folder: Option<&Folder>) -> Result<String, Unready> {
    if let Some(name) = &config.kafka.instance_id {
        return Ok(name.clone());
    }
    let known = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = known.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let host = if host.trim().is_empty() { "bugle" } else { host.trim() };
    // The keys of a hasher come from the operating system.
    let random = || RandomState::new().hash_one(std::process::id());
    let mark = folder.map_or_else(|| Ok(mark(random())), |folder| folder.mark(random))?;
    Ok(format!("{host}-{mark}"))
}

/// How many threads each lane has.
#[must_use]
pub fn threads(config: &Config) -> usize {
    match config.lanes.threads {
        // There are several lanes, and each has its turn: more threads than that would only take turns.
        0 => std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2),
        threads => usize::from(threads),
    }
}

/// How the engine of the instance that is called so runs.
#[must_use]
pub fn settings(config: &Config, instance: String) -> Settings {
    Settings {
        name: config.kafka.group.clone(),
        instance,
        static_member: config.kafka.instance_id.is_some(),
        threads: threads(config),
        commit_every: config.lanes.commit_every.to_duration(),
        commit_most: u64::from(config.lanes.commit_most),
        in_flight: config.push.in_flight as usize,
        start_from: match config.kafka.start_from {
            config::StartFrom::Earliest => StartFrom::Earliest,
            config::StartFrom::Now => StartFrom::Now,
        },
        snapshot_every: config.state.snapshot_every.to_duration(),
        standby: config.state.standby > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_without_a_name_are_called_the_same_and_a_folder_keeps_one() {
        let mut config = Config::default();
        let called = |config: &Config, folder: Option<&Folder>| instance(config, folder).unwrap();
        assert_ne!(called(&config, None), called(&config, None));
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::take(place.path()).unwrap();
        let first = called(&config, Some(&folder));
        drop(folder);
        let folder = Folder::take(place.path()).unwrap();
        assert_eq!(called(&config, Some(&folder)), first, "over a restart");
        assert!(!settings(&config, first).static_member);
        config.kafka.instance_id = Some("bugle-0".to_owned());
        assert_eq!(called(&config, Some(&folder)), "bugle-0");
        assert!(settings(&config, "bugle-0".to_owned()).static_member);
    }
}

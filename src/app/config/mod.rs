//! Config: the settings of one process, from a file, the environment and flags, the last winning.
//!
//! Every setting has a default, an unknown one is refused, and all problems are told at once with the
//! place to open and what to write. Secrets are typed so that no log and no `Debug` can show them.

mod checks;
mod directory;
mod fault;
mod interpolation;
mod push;
mod sections;
mod sources;
mod topic_role;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use directory::{DirectoryKind, DirectorySettings};
pub use fault::{ConfigFault, Problem};
pub use push::{AccountSettings, PushSettings, Transport, WhenBlocked};
pub use sections::{
    AdminSettings, AnswerSettings, GatewaySettings, KafkaSettings, LaneSettings, LinkIdentity, LinkSettings,
    LogSettings, RegistrySettings, SchemaSettings, StartFrom, StateSettings, TenantSettings, TenantsSettings,
    TopicSettings, TopologySettings,
};
pub use sources::{ContentServerSettings, ServiceSettings, SourcesSettings};
pub use topic_role::TopicRole;
use written::Setting;

/// All settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Kafka.
    pub kafka: KafkaSettings,
    /// The schema registry.
    pub registry: RegistrySettings,
    /// The schemas of the folder.
    pub schemas: SchemaSettings,
    /// The rules.
    pub topology: TopologySettings,
    /// The push service.
    pub push: PushSettings,
    /// Languages and clocks.
    pub tenants: TenantsSettings,
    /// The lanes.
    pub lanes: LaneSettings,
    /// What is kept on this machine.
    pub state: StateSettings,
    /// Where answers come in.
    pub answers: AnswerSettings,
    /// Where answers are carried to.
    pub sources: SourcesSettings,
    /// Where people come from.
    pub directory: DirectorySettings,
    /// Metrics, health and the live page.
    pub admin: AdminSettings,
    /// Logs.
    pub log: LogSettings,
    /// What works and somebody should know all the same.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
}

// === impl Config ===

impl Config {
    /// Reads `file` (none: defaults alone), then `BUGLE_SECTION__NAME` and `BUGLE_LOG` of
    /// `environment`, then `flags` such as `kafka.brokers=kafka-1:9092`.
    ///
    /// # Errors
    /// [`ConfigFault`] with every problem there is.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
        flags: &[String],
    ) -> Result<Self, ConfigFault> {
        let mut reader = Reader { environment, problems: Vec::new(), warnings: Vec::new() };
        let settings = reader.gather(file, flags);
        let mut tree = Map::new();
        for setting in settings {
            if let Some((path, value)) = reader.accept(setting) {
                put(&mut tree, &path, value);
            }
        }
        let Reader { mut problems, mut warnings, .. } = reader;
        match Self::deserialize(Value::Object(tree)) {
            Ok(mut config) => {
                checks::check(&config, &mut problems, &mut warnings);
                config.warnings = warnings;
                if problems.is_empty() { Ok(config) } else { Err(ConfigFault { problems }) }
            }
            Err(error) => {
                problems.push(Problem::new("the settings together", error.to_string()));
                Err(ConfigFault { problems })
            }
        }
    }
}

struct Reader<'e> {
    environment: &'e BTreeMap<String, String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

// === impl Reader ===

impl Reader<'_> {
    fn gather(&mut self, file: Option<&Path>, flags: &[String]) -> Vec<Setting> {
        let mut settings = Vec::new();
        if let Some(file) = file {
            let name = file.display().to_string();
            let read = std::fs::read_to_string(file).map_err(|error| {
                Problem::new(&name, format!("cannot be read: {error}"))
                    .hint("check the path given with --config")
            });
            match read.and_then(|text| written::in_file(&name, &text)) {
                Ok(found) => settings.extend(found.into_iter().filter_map(|found| self.fill(found))),
                Err(problem) => self.problems.push(problem),
            }
        }
        settings.extend(written::in_environment(self.environment));
        if let Some(filter) = self.environment.get("BUGLE_LOG") {
            let flag = written::in_flag(&format!("log.filter={filter}"));
            settings.extend(flag.map(|setting| Setting { origin: "BUGLE_LOG".into(), ..setting }));
        }
        for flag in flags {
            match written::in_flag(flag) {
                Ok(setting) => settings.push(setting),
                Err(problem) => self.problems.push(problem),
            }
        }
        settings
    }

    /// Fills in what the file takes from elsewhere.
    fn fill(&mut self, mut setting: Setting) -> Option<Setting> {
        let texts: Vec<&mut String> = match &mut setting.value {
            Value::String(text) => vec![text],
            Value::Array(items) => items
                .iter_mut()
                .filter_map(|item| match item {
                    Value::String(text) => Some(text),
                    _ => None,
                })
                .collect(),
            _ => return Some(setting),
        };
        let mut literal = false;
        for text in texts {
            match interpolation::fill(text, &setting.origin, self.environment) {
                Ok(filled) => {
                    self.warnings.extend(filled.warnings);
                    *text = filled.text;
                    literal |= !filled.changed;
                    setting.hidden |= filled.changed;
                }
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            }
        }
        setting.literal = literal;
        Some(setting)
    }

    /// Tries one setting with everything else at its default.
    fn accept(&mut self, setting: Setting) -> Option<(Vec<String>, Value)> {
        let path: Vec<String> = setting.path.iter().map(|step| step.name.clone()).collect();
        let secret = is_secret(&path);
        if secret && setting.literal {
            let fact = format!("the secret `{}` stands in the file for everybody to read", setting.name());
            let hint = "write `${env:NAME}` or `${file:/path}` instead";
            self.warnings.push(Problem::new(&setting.origin, fact).hint(hint));
        }
        let fault = match fits(&path, &setting.value) {
            Ok(()) => return Some((path, setting.value)),
            Err(fault) => fault,
        };
        // `account: 12345` means the text, and what comes from the environment is text to begin with.
        let text = match &setting.value {
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        if let Some(text) = text.map(Value::String).filter(|text| fits(&path, text).is_ok()) {
            return Some((path, text));
        }
        // A number from `${env:X}` arrives as a text.
        if let Value::String(text) = &setting.value
            && let Ok(value) = serde_json::from_str::<Value>(text)
            && fits(&path, &value).is_ok()
        {
            return Some((path, value));
        }
        let problem = describe(&setting, &fault, secret || setting.hidden);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        None
    }
}

fn fits(path: &[String], value: &Value) -> Result<(), String> {
    let mut tree = Map::new();
    put(&mut tree, path, value.clone());
    Config::deserialize(Value::Object(tree)).map(drop).map_err(|error| error.to_string())
}

/// Says what is wrong with a setting; its value only when it can be no secret.
fn describe(setting: &Setting, fault: &str, silent: bool) -> Problem {
    if let Some((name, known)) = unknown(fault)
        && let Some(at) = setting.path.iter().position(|step| step.name == name)
    {
        let problem = Problem::new(
            &setting.path[at].origin,
            format!("there is no setting `{}`", written::dotted(&setting.path[..=at])),
        );
        let nearest = known.iter().max_by(|a, b| strsim::jaro(&name, a).total_cmp(&strsim::jaro(&name, b)));
        return match nearest.filter(|near| strsim::jaro(&name, near) > 0.75) {
            Some(near) => problem.hint(format!("write `{near}`")),
            None => problem.hint(format!("here may stand: {}", known.join(", "))),
        };
    }
    let name = setting.name();
    match silent {
        true => Problem::new(&setting.origin, format!("`{name}` has a value that does not fit (not shown)")),
        false => Problem::new(&setting.origin, format!("`{name}`: {}", in_words(fault))),
    }
    .hint("deploy/bugle.yaml shows every setting with its default")
}

/// Rust's names for types in words for people.
fn in_words(fault: &str) -> String {
    let words = [("u16", "a whole number"), ("u32", "a whole number"), ("a sequence", "a list")];
    let mut fault = fault.to_owned();
    for (ours, theirs) in words {
        fault = fault.replace(&format!("expected {ours}"), &format!("expected {theirs}"));
    }
    fault
}

/// The name and the known names of serde's message about an unknown field or variant.
fn unknown(fault: &str) -> Option<(String, Vec<String>)> {
    let rest = fault.strip_prefix("unknown field `").or_else(|| fault.strip_prefix("unknown variant `"))?;
    let (name, rest) = rest.split_once('`')?;
    let known: BTreeSet<String> =
        rest.split('`').skip(1).step_by(2).map(str::to_owned).filter(|known| known != "warnings").collect();
    Some((name.to_owned(), known.into_iter().collect()))
}

/// Whether a setting is typed as a secret.
fn is_secret(path: &[String]) -> bool {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names.as_slice() {
        ["registry", "password"] | ["push", "signing_keys", _] => true,
        ["push", name] | ["push", "accounts", _, name] => {
            matches!(*name, "password" | "client_secret" | "app_key" | "webhook_secrets")
        }
        ["sources", _, "client_secret" | "token"] | ["directory", "client_secret" | "password"] => true,
        ["answers", "links", "proxy_secret"] | ["answers", "gateway", "app_key"] => true,
        ["answers", "status_token"] => true,
        ["kafka", "properties", name] => {
            ["password", "secret", "pem", "token", "jaas"].iter().any(|word| name.contains(word))
        }
        _ => false,
    }
}

fn put(tree: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [name] => drop(tree.insert(name.clone(), value)),
        [name, below @ ..] => {
            let branch = tree.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !branch.is_object() {
                *branch = Value::Object(Map::new());
            }
            if let Value::Object(branch) = branch {
                put(branch, below, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::event::{Source, Span, Topic};

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn load(text: &str, pairs: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bugle.yaml");
        fs::write(&path, text).unwrap();
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Config::load(Some(&path), &environment(pairs), &flags)
            .map_err(|fault| fault.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn no_settings_at_all_are_enough() {
        let config = Config::load(None, &BTreeMap::new(), &[]).unwrap();
        assert_eq!(config.kafka.brokers, "127.0.0.1:9092");
        assert_eq!(config.lanes.commit_every, Span::from_millis(100));
        assert!(load("", &[], &[]).is_ok() && load("# nothing\n", &[], &[]).is_ok());
        assert!(load("kafka:\n", &[], &[]).is_ok());
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = "lanes: {threads: 1, commit_most: 10}\nlog: {filter: warn}\n";
        let pairs =
            [("BUGLE_LANES__THREADS", "2"), ("BUGLE_LANES__COMMIT_MOST", "20"), ("BUGLE_LOG", "debug")];
        let config = load(file, &pairs, &["lanes.threads=3"]).unwrap();
        assert_eq!((config.lanes.threads, config.lanes.commit_most), (3, 20));
        assert_eq!(config.log.filter, "debug");
    }

    #[test]
    fn all_problems_are_told_at_once_with_their_places() {
        let file = "
kafka:
  broker: localhost:9092
  start_from: yesterday
lanes:
  commit_every: soon
  threads: many
lains: {threads: 1, commit_most: 2}
";
        let told = load(file, &[("BUGLE_PUSH__URI", "x")], &["admin.listen=8090"]).unwrap_err();
        insta::assert_snapshot!(told, @r#"
        bugle.yaml:3:3: there is no setting `kafka.broker`
          hint: write `brokers`
        bugle.yaml:4:15: `kafka.start_from`: unknown variant `yesterday`, expected `earliest` or `now`
          hint: deploy/bugle.yaml shows every setting with its default
        bugle.yaml:6:17: `lanes.commit_every`: `soon` is not a span such as 30s, 15m, 4h or 2d
          hint: deploy/bugle.yaml shows every setting with its default
        bugle.yaml:7:12: `lanes.threads`: invalid type: string "many", expected a whole number
          hint: deploy/bugle.yaml shows every setting with its default
        bugle.yaml:8:1: there is no setting `lains`
          hint: write `lanes`
        BUGLE_PUSH__URI: there is no setting `push.uri`
          hint: write `url`
        --set admin.listen: `admin.listen`: invalid type: integer `8090`, expected socket address
          hint: deploy/bugle.yaml shows every setting with its default
        "#);
    }

    #[test]
    fn a_file_that_is_no_yaml_says_where() {
        let told = load("kafka:\n  brokers: [a\nlog: {}\n", &[], &[]).unwrap_err();
        assert!(told.starts_with("bugle.yaml:"), "{told}");
        assert!(told.contains("cannot be read as YAML"), "{told}");
    }

    #[test]
    fn a_setting_written_twice_is_refused() {
        let told = load("log: {filter: info}\nlog: {filter: debug}\n", &[], &[]).unwrap_err();
        assert!(told.contains("duplicate"), "{told}");
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "a secret of many bytes\n").unwrap();
        let file = format!(
            "push:\n  username: bugle\n  password: ${{env:PUSH_PASSWORD}}\n  signing_keys:\n    k1: ${{file:{}}}\n",
            path.display()
        );
        let config = load(&file, &[("PUSH_PASSWORD", "12345")], &[]).unwrap();
        assert_eq!(config.push.password.as_ref().unwrap().expose_secret(), "12345");
        assert_eq!(config.push.signing_keys["k1"].expose_secret(), "a secret of many bytes");
        let shown = format!("{config:?}");
        assert!(!shown.contains("12345") && !shown.contains("many bytes"), "{shown}");
    }

    #[test]
    fn a_literal_secret_is_a_warning_and_one_that_is_missing_a_problem() {
        let config = load("push: {username: bugle, password: hunter2}\n", &[], &[]).unwrap();
        let warning = config.warnings[0].to_string();
        assert!(warning.contains("bugle.yaml:1:35") && !warning.contains("hunter2"), "{warning}");
        let told = load("push: {username: bugle, password: '${env:NOT_SET}'}\n", &[], &[]).unwrap_err();
        assert!(told.contains("the environment has no variable `NOT_SET`"), "{told}");
    }

    #[test]
    fn a_value_that_may_be_secret_is_not_repeated() {
        let told = load("lanes: {threads: '${env:WRONG}'}\n", &[("WRONG", "hunter2")], &[]).unwrap_err();
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn an_open_connection_may_not_leave_this_machine_unasked() {
        for brokers in ["localhost:9092", "127.0.0.1:1,[::1]:2"] {
            assert!(load(&format!("kafka: {{brokers: '{brokers}'}}\n"), &[], &[]).is_ok(), "{brokers}");
        }
        let file = "kafka: {brokers: 'localhost:9092,kafka-1:9092'}\n";
        assert!(load(file, &[], &[]).unwrap_err().contains("to kafka-1:9092 would be readable"));
        assert!(load(file, &[], &["kafka.allow_plaintext=true"]).is_ok());
        assert!(load(file, &[], &["kafka.properties.security.protocol=sasl_ssl"]).is_ok());
        assert!(load(file, &[("BUGLE_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl")], &[]).is_ok());
    }

    #[test]
    fn variables_kubernetes_makes_for_a_service_are_no_settings() {
        assert!(load("", &[("BUGLE_PORT_9090_TCP", "tcp://10.0.0.1:9090")], &[]).is_ok());
    }

    #[test]
    fn an_account_signs_in_one_way() {
        let file =
            "push: {username: a, password: b, token_url: 'https://x', client_id: c, client_secret: d}\n";
        assert!(load(file, &[], &[]).unwrap_err().contains("one way"));
        assert!(load("push: {username: a}\n", &[], &[]).unwrap_err().contains("go together"));
    }

    #[test]
    fn a_topic_is_named_by_prefix_or_in_full() {
        let file =
            "kafka: {topics: {own_prefix: 'acme.bugle.', names: {xecm: ECM}, partitions: {audit: 2}}}\n";
        let topics = load(file, &[], &["kafka.topics.names.dead_letters=DLQ"]).unwrap().kafka.topics;
        assert_eq!(topics.name(Topic::Subjects), "acme.bugle.subjects");
        assert_eq!(topics.name(Topic::Events(Source::Bws)), "opentext.bws.events");
        assert_eq!(topics.name(Topic::Events(Source::Xecm)), "ECM");
        assert_eq!(topics.name(Topic::DeadLetters), "DLQ");
        assert_eq!((topics.partitions(Topic::Audit), topics.partitions(Topic::People)), (2, 4));
    }

    #[test]
    fn the_sample_in_deploy_shows_every_default() {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/bugle.yaml");
        let mut sample = Config::load(Some(&sample), &BTreeMap::new(), &[]).unwrap();
        // Nobody but its users can say where their links lead.
        let warned: Vec<&str> = sample.warnings.iter().map(|warning| warning.origin.as_str()).collect();
        assert_eq!(warned, ["push.link_hosts"]);
        sample.warnings.clear();
        assert_eq!(format!("{sample:?}"), format!("{:?}", Config::default()));
    }
}

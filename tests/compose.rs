//! Compose: `docker-compose.yml` and what it mounts fit together and fit Bugle.
//!
//! No container is started here: these tests read files, and `docker-compose config` reads them too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bugle::app::config::Config;
use bugle::event::Topic;
use bugle::telemetry::catalogue::{Kind, METRICS};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn services() -> BTreeMap<String, Value> {
    yaml("docker-compose.yml")["services"].as_object().unwrap().clone().into_iter().collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// `${NAME:-default}` as it is when NAME is not set.
fn with_defaults(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    let default = inside.split_once(":-").map_or("", |(_, default)| default);
    format!("{before}{default}{}", with_defaults(after))
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), with_defaults(value.as_str().unwrap()))).collect()
}

/// Where in the container each mounted file or folder appears.
fn mounts(service: &Value) -> Vec<(PathBuf, String)> {
    let bound = texts(&service["volumes"]).into_iter().filter(|volume| volume.starts_with("./"));
    bound
        .map(|volume| {
            let parts: Vec<_> = volume.split(':').collect();
            (root().join(parts[0]), parts[1].to_owned())
        })
        .collect()
}

/// The ports a service publishes: address, outside, inside.
fn ports(service: &Value) -> Vec<(String, u16, u16)> {
    texts(&service["ports"])
        .iter()
        .map(|port| {
            let parts: Vec<_> = port.split(':').collect();
            assert_eq!(parts.len(), 3, "`{port}` has no address, outside and inside");
            (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].parse().unwrap())
        })
        .collect()
}

fn port_of(url: &str) -> u16 {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (_, port) = host.split('/').next().unwrap().rsplit_once(':').unwrap();
    port.parse().unwrap()
}

#[test]
fn docker_compose_accepts_the_file() {
    let ran = Command::new("docker-compose").args(["config", "-q"]).current_dir(root()).output();
    let ran = ran.expect("`docker-compose` is needed: apt-get install -y docker-compose");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn every_image_is_pinned_to_an_exact_version() {
    let mut images: Vec<String> =
        services().values().map(|s| s["image"].as_str().unwrap().to_owned()).collect();
    let dockerfile = read("deploy/Dockerfile");
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    images.extend(bases.map(|base| base.split(' ').next().unwrap().to_owned()));
    assert!(images.len() > 8);
    for image in images {
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("`{image}` has no tag"));
        let version = tag.trim_start_matches('v').split('-').next().unwrap();
        let numbers = version.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
        assert!(numbers >= 2, "`{image}` is not pinned: another image may have that name tomorrow");
    }
}

#[test]
fn every_mounted_file_is_there_and_every_named_volume_is_declared() {
    let declared = yaml("docker-compose.yml")["volumes"].clone();
    for (name, service) in services() {
        for (path, _) in mounts(&service) {
            assert!(path.exists(), "{name} mounts {}, which is not there", path.display());
        }
        for volume in texts(&service["volumes"]).iter().filter(|volume| !volume.starts_with("./")) {
            let volume = volume.split(':').next().unwrap();
            assert!(declared.get(volume).is_some(), "{name} uses the volume {volume}, which is not declared");
        }
    }
}

#[test]
fn the_image_is_built_from_the_locked_sources_and_runs_without_rights() {
    let let_through: Vec<String> =
        read(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "schemas", "topology"] {
        assert!(let_through.iter().any(|path| path == needed), ".dockerignore keeps {needed} out");
    }
    let dockerfile = read("deploy/Dockerfile");
    assert!(dockerfile.contains("cargo build --release --locked"));
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user.parse::<u32>().unwrap() >= 10_000, "a number, so that Kubernetes can tell it is not root");
    // The folders of the settings are found below the directory the process starts in.
    let config = Config::default();
    for folder in [&config.schemas.folder, &config.topology.folder] {
        assert!(dockerfile.contains(&format!("COPY {0} /opt/bugle/{0}", folder.display())));
    }
    assert!(dockerfile.contains("WORKDIR /opt/bugle\n"));
}

#[test]
fn every_setting_is_one_bugle_knows() {
    let services = services();
    let bugle = &services["bugle"];
    let sample = root().join("deploy/bugle.yaml");
    let config = Config::load(Some(&sample), &environment(bugle), &[]).unwrap();
    let warned: Vec<_> = config.warnings.iter().map(|warning| warning.origin.as_str()).collect();
    assert_eq!(
        warned,
        ["push.link_hosts", "admin.listen"],
        "links lead nowhere until somebody says where, Prometheus must reach it, and that is all"
    );

    let named = texts(&bugle["command"]);
    let path = &named[named.iter().position(|word| word == "--config").unwrap() + 1];
    let mounted = mounts(bugle).into_iter().find(|(_, inside)| inside == path);
    assert_eq!(mounted.unwrap().0.canonicalize().unwrap(), sample.canonicalize().unwrap());
}

#[test]
fn every_port_leads_to_somebody_who_listens_there() {
    let services = services();
    let config = Config::load(None, &environment(&services["bugle"]), &[]).unwrap();
    let inside = |name: &str| ports(&services[name]).iter().map(|port| port.2).collect::<Vec<_>>();

    assert_eq!(inside("bugle"), [config.admin.listen.port()]);
    assert!(read("deploy/Dockerfile").contains(&format!("EXPOSE {}", config.admin.listen.port())));
    let listen = texts(&services["stand-in"]["command"]).last().unwrap().clone();
    assert_eq!(inside("stand-in"), [port_of(&listen)]);
    assert_eq!(config.push.url, format!("http://stand-in:{}", port_of(&listen)));
    assert_eq!(port_of(&config.push.url), port_of(&Config::default().push.url));
    assert_eq!(config.registry.urls.len(), 1);
    assert_eq!(inside("registry"), [port_of(&config.registry.urls[0])]);

    let kafka = environment(&services["kafka"]);
    assert!(kafka["KAFKA_ADVERTISED_LISTENERS"].contains(&format!("INSIDE://{}", config.kafka.brokers)));
    let (_, outside, within) = ports(&services["kafka"])[0].clone();
    assert!(kafka["KAFKA_ADVERTISED_LISTENERS"].contains(&format!("OUTSIDE://127.0.0.1:{outside}")));
    assert!(kafka["KAFKA_LISTENERS"].contains(&format!("OUTSIDE://:{within}")));
    let made = texts(&services["topics"]["command"]);
    assert!(made.contains(&config.kafka.brokers), "the topics are made in another cluster: {made:?}");

    let target =
        yaml("deploy/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0].clone();
    assert_eq!(target.as_str().unwrap(), format!("bugle:{}", config.admin.listen.port()));
    let source =
        yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]["url"].clone();
    assert_eq!(source.as_str().unwrap(), format!("http://prometheus:{}", inside("prometheus")[0]));

    let mut taken = BTreeSet::new();
    for (name, service) in &services {
        for (address, outside, _) in ports(service) {
            assert_eq!(address, "127.0.0.1", "{name} can be reached from other machines");
            assert!(taken.insert(outside), "{name} wants port {outside}, which another has");
        }
    }
}

#[test]
fn every_service_waited_for_is_there() {
    let services = services();
    for (name, service) in &services {
        let waited = match &service["depends_on"] {
            Value::Object(map) => map.keys().cloned().collect(),
            list => texts(list),
        };
        for other in waited {
            assert!(services.contains_key(&other), "{name} waits for {other}, which is not there");
        }
    }
}

#[test]
fn every_file_prometheus_and_grafana_name_is_mounted() {
    let services = services();
    let inside = |name: &str| mounts(&services[name]).into_iter().map(|mount| mount.1).collect::<Vec<_>>();
    let prometheus = inside("prometheus");
    let flag = &texts(&services["prometheus"]["command"])[0];
    assert!(prometheus.contains(&flag.trim_start_matches("--config.file=").to_owned()));
    for rules in texts(&yaml("deploy/prometheus.yml")["rule_files"]) {
        assert!(prometheus.contains(&format!("/etc/prometheus/{rules}")), "{rules} is not mounted");
    }
    let grafana = inside("grafana");
    let provider = yaml("deploy/grafana/provisioning/dashboards/bugle.yml");
    let folder = provider["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    assert!(grafana.contains(&folder));
    let home = &environment(&services["grafana"])["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.strip_prefix(&format!("{folder}/")).unwrap();
    assert!(root().join("deploy/grafana/dashboards").join(home).exists());
}

#[test]
fn every_topic_named_is_one_of_ours() {
    let known: BTreeSet<String> = Topic::ALL.iter().map(Topic::to_string).collect();
    for file in ["docker-compose.yml", "deploy/alerts.yml", "deploy/grafana/dashboards/bugle.json"] {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')));
        for word in words.map(|word| word.trim_end_matches('.')) {
            let ours = word.starts_with("bugle.") || word.starts_with("opentext.");
            let file_name = [".yaml", ".yml", ".json"].iter().any(|end| word.ends_with(end));
            assert!(!ours || file_name || known.contains(word), "{file} names `{word}`, which is no topic");
        }
    }
}

/// Every expression of the dashboard and the alerts, with the title it stands under.
fn expressions() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboards/bugle.json")).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            all.push((panel["title"].as_str().unwrap().to_owned(), expression.to_owned()));
        }
    }
    for rule in yaml("deploy/alerts.yml")["groups"][0]["rules"].as_array().unwrap() {
        all.push((rule["alert"].as_str().unwrap().to_owned(), rule["expr"].as_str().unwrap().to_owned()));
    }
    all
}

#[test]
fn every_metric_and_label_shown_is_in_the_catalogue() {
    let always = ["le", "instance", "job"];
    for (title, expression) in expressions() {
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let metrics: Vec<_> = words.filter(|word| word.starts_with("bugle_")).collect();
        let mut labels: BTreeSet<&str> = always.into();
        for name in metrics {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let histogram =
                |base: &str| METRICS.iter().find(|m| m.name == base && matches!(m.kind, Kind::Histogram(_)));
            let metric = METRICS.iter().find(|m| m.name == name && !matches!(m.kind, Kind::Histogram(_)));
            let metric = metric.or_else(|| base.and_then(histogram));
            let metric = metric.unwrap_or_else(|| panic!("`{title}` shows `{name}`, which is no metric"));
            labels.extend(metric.labels);
        }
        for part in expression.split("by (").skip(1) {
            for label in part.split(')').next().unwrap().split(", ") {
                assert!(labels.contains(label), "`{title}` groups by `{label}`, which its metric has not");
            }
        }
        for part in expression.split('{').skip(1) {
            let label = part.split(['=', '!', '~']).next().unwrap();
            assert!(labels.contains(label), "`{title}` selects by `{label}`, which its metric has not");
        }
    }
}

#[test]
fn the_dashboard_shows_what_an_operator_asks_for() {
    let shown: String = expressions().into_iter().map(|(_, expression)| expression + "\n").collect();
    for metric in METRICS.iter().filter(|metric| metric.name != "bugle_route_matched_total") {
        assert!(shown.contains(metric.name), "no panel shows `{}`", metric.name);
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboards/bugle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    let uid = &sources["datasources"][0]["uid"];
    assert!(panels.iter().all(|panel| panel["type"] == "row" || &panel["datasource"]["uid"] == uid));
}

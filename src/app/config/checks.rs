//! Checks: what no setting can know alone.

use std::net::IpAddr;

use secrecy::ExposeSecret;

use super::directory;
use super::fault::Problem;
use super::{
    AccountSettings, AnswerSettings, Config, KafkaSettings, LinkIdentity, PushSettings, SourcesSettings,
    TenantsSettings, Transport,
};
use crate::event::Span;
use crate::flow::due;

/// The fewest bytes of a secret that signs.
const LEAST_KEY_BYTES: usize = 16;

/// Everything wrong, and everything somebody should know.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    kafka(&config.kafka, problems);
    push(config, problems, warnings);
    sources(&config.sources, problems, warnings);
    directory::check(&config.directory, problems, warnings);
    links(&config.answers, problems, warnings);
    gateway(&config.answers, problems, warnings);
    tenants(&config.tenants, problems);
    if config.registry.username.is_some() != config.registry.password.is_some() {
        problems.push(
            Problem::new("registry", "username and password go together")
                .hint("set both `registry.username` and `registry.password`, or neither"),
        );
    }
    between("lanes.commit_every", config.lanes.commit_every, ["10ms", "5s"], problems);
    between("lanes.dedupe_horizon", config.lanes.dedupe_horizon, ["1m", "30d"], problems);
    between("state.snapshot_every", config.state.snapshot_every, ["1s", "1h"], problems);
    if config.push.follow_after > Span::ZERO {
        between("push.follow_after", config.push.follow_after, ["1s", "15m"], problems);
    }
    if let Some(watch) = config.topology.watch {
        between("topology.watch", watch, ["1s", "1h"], problems);
    }
    if config.state.standby > 1 {
        let fact = "a process keeps one warm copy of a partition, or none";
        problems.push(Problem::new("state.standby", fact).hint("write 0 or 1"));
    }
    if config.state.memory_mib.is_some() && config.state.dir.is_none() {
        let fact = "what memory has no room for has nowhere to go";
        problems.push(Problem::new("state.memory_mib", fact).hint("name a folder in `state.dir`"));
    }
    if config.state.memory_mib == Some(0) {
        let fact = "no entry could be looked at";
        problems.push(Problem::new("state.memory_mib", fact).hint("write 64 or more, or leave it out"));
    }
    if config.lanes.commit_most == 0 {
        problems.push(
            Problem::new("lanes.commit_most", "no transaction could hold a record").hint("write 1 or more"),
        );
    }
    if !config.admin.listen.ip().is_loopback() {
        let fact =
            format!("{} is reachable from other machines, and nobody has to log in", config.admin.listen);
        warnings.push(Problem::new("admin.listen", fact).hint("let only Prometheus and operators reach it"));
    }
}

/// Zones that nobody knows would be UTC, and everybody told at another hour than meant.
fn tenants(tenants: &TenantsSettings, problems: &mut Vec<Problem>) {
    let mut zones = vec![("tenants.zone".to_owned(), &tenants.zone)];
    for (tenant, own) in &tenants.each {
        zones.extend(own.zone.iter().map(|zone| (format!("tenants.each.{tenant}.zone"), zone)));
        let places = own.places.iter();
        zones.extend(places.map(|(place, zone)| (format!("tenants.each.{tenant}.places.{place}"), zone)));
    }
    for (name, zone) in zones.into_iter().filter(|(_, zone)| !due::is_zone(zone)) {
        let fact = format!("nobody knows the zone `{zone}`");
        problems.push(Problem::new(name, fact).hint("write it as `Europe/Berlin`"));
    }
}

/// Whether those who open a link can be known.
fn links(answers: &AnswerSettings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let Some(url) = &answers.public_url else { return };
    address("answers.public_url", url, true, (problems, warnings));
    let secret = answers.links.proxy_secret.as_ref().map(|secret| secret.expose_secret().len());
    match answers.links.identity {
        LinkIdentity::Header if secret.is_none_or(|bytes| bytes < LEAST_KEY_BYTES) => {
            let fact = format!(
                "a proxy that says who clicks must prove itself with {LEAST_KEY_BYTES} bytes or more"
            );
            let hint =
                "set it to `${env:NAME}` here and in the proxy, or set `answers.links.identity: token`";
            problems.push(Problem::new("answers.links.proxy_secret", fact).hint(hint));
        }
        LinkIdentity::Header if answers.links.header.is_empty() => {
            let fact = "nobody knows where the proxy says who clicks";
            problems.push(Problem::new("answers.links.header", fact).hint("write `x-forwarded-user`"));
        }
        LinkIdentity::Header if answers.links.tenant.is_some() == answers.links.tenant_header.is_some() => {
            let fact = "the proxy says who somebody is, and nobody says of which tenant";
            let hint = "set one of `answers.links.tenant` and `answers.links.tenant_header`";
            problems.push(Problem::new("answers.links.tenant", fact).hint(hint));
        }
        LinkIdentity::Header | LinkIdentity::Token => {}
    }
}

/// Whether the gateway can be asked.
fn gateway(answers: &AnswerSettings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let gateway = &answers.gateway;
    let Some(url) = &gateway.url else { return };
    if answers.public_url.is_some() && matches!(answers.links.identity, LinkIdentity::Token) {
        let fact = "whoever has a push's link answers by it, without a session at the gateway";
        let hint = "set `answers.links.identity: header` behind a proxy that signs people in, or leave \
                    `answers.public_url` out";
        warnings.push(Problem::new("answers.links.identity", fact).hint(hint));
    }
    address("answers.gateway.url", url, true, (problems, warnings));
    if gateway.app.as_deref().unwrap_or_default().is_empty() || gateway.app_key.is_none() {
        let fact = "the gateway says whose session it is only to an app that it knows";
        let hint = "set `answers.gateway.app`, and `answers.gateway.app_key: ${env:NAME}`";
        problems.push(Problem::new("answers.gateway", fact).hint(hint));
    }
    if gateway.tenant.as_deref().unwrap_or_default().is_empty() {
        let fact = "the gateway says who somebody is, and nobody says of which tenant";
        let hint = "set `answers.gateway.tenant` to the tenant whose people sign in there";
        problems.push(Problem::new("answers.gateway.tenant", fact).hint(hint));
    }
    between("answers.gateway.keep", gateway.keep, ["1s", "5m"], problems);
    between("answers.gateway.timeout", gateway.timeout, ["100ms", "30s"], problems);
}

fn kafka(kafka: &KafkaSettings, problems: &mut Vec<Problem>) {
    let property = |name: &str| kafka.properties.get(name).map(ExposeSecret::expose_secret);
    let protocol = property("security.protocol").unwrap_or("plaintext");
    let open = protocol.eq_ignore_ascii_case("plaintext") || protocol.eq_ignore_ascii_case("sasl_plaintext");
    let away: Vec<_> =
        kafka.brokers.split(',').map(str::trim).filter(|broker| !on_loopback(broker)).collect();
    if open && !kafka.allow_plaintext && !away.is_empty() {
        let fact = format!("the connection to {} would be readable on its way", away.join(", "));
        problems.push(Problem::new("kafka.brokers", fact).hint(
            "set `security.protocol: ssl` or `sasl_ssl` in `kafka.properties`, or `kafka.allow_plaintext: true`",
        ));
    }
    if property("ssl.endpoint.identification.algorithm").is_some_and(|name| name.eq_ignore_ascii_case("none"))
    {
        let fact = "without it any certificate would do";
        problems.push(
            Problem::new("kafka.properties.ssl.endpoint.identification.algorithm", fact)
                .hint("remove it, and use a certificate with the broker's name"),
        );
    }
    if kafka.topics.default_partitions == 0 || kafka.topics.partitions.values().any(|count| *count == 0) {
        problems
            .push(Problem::new("kafka.topics", "a topic has at least one partition").hint("write 1 or more"));
    }
}

fn push(config: &Config, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let push = &config.push;
    for (at, (name, settings)) in push.each().iter().enumerate() {
        let place = if at == 0 { "push".to_owned() } else { format!("push.accounts.{name}") };
        account(&place, settings, problems, warnings);
    }
    if push.accounts.contains_key(&push.account) {
        let fact = format!("`{}` is the usual account's name already", push.account);
        let hint = "give the one under `push.accounts` another name";
        problems.push(Problem::new("push.accounts", fact).hint(hint));
    }
    let known = |name: &String| *name == push.account || push.accounts.contains_key(name);
    for (tenant, own) in &config.tenants.each {
        if let Some(name) = own.account.as_ref().filter(|name| !known(name)) {
            let fact = format!("there is no push account `{name}`");
            let hint = "name one of `push.accounts`, or the usual one of `push.account`";
            problems.push(Problem::new(format!("tenants.each.{tenant}.account"), fact).hint(hint));
        }
    }
    if push.in_flight == 0 || push.in_flight > 256 {
        problems
            .push(Problem::new("push.in_flight", "it lies between 1 and 256").hint("write 8, the default"));
    }
    if !(1..=1_024).contains(&push.parked_mib) {
        problems.push(
            Problem::new("push.parked_mib", "it lies between 1 and 1024").hint("write 32, the default"),
        );
    }
    between("push.timeout", push.timeout, ["1s", "60s"], problems);
    keys(push, problems);
    for host in push.link_hosts.iter().filter(|host| !is_host(host)) {
        let fact = format!("`{host}` is no host");
        let hint = "write `cs.example.com`, `*.example.com` for all below it, or `*` for any";
        problems.push(Problem::new("push.link_hosts", fact).hint(hint));
    }
    if push.link_hosts.is_empty() {
        let fact = "it is not said where links may lead: pushes have none";
        let hint = "set `push.link_hosts: [cs.example.com]`, the hosts of your systems";
        warnings.push(Problem::new("push.link_hosts", fact).hint(hint));
    }
}

/// A name, with `*` for all of it or for what stands before its first dot.
fn is_host(host: &str) -> bool {
    let below = host.strip_prefix('*').unwrap_or(host);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    host == "*"
        || (host.starts_with('*') == below.starts_with('.') && below.len() > 1 && below.chars().all(fits))
}

/// One account of the push service.
fn account(place: &str, account: &AccountSettings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let basic = [account.username.is_some(), account.password.is_some()];
    let bearer = [account.token_url.is_some(), account.client_id.is_some(), account.client_secret.is_some()];
    let some = |set: &[bool]| set.contains(&true);
    let part = |set: &[bool]| some(set) && set.contains(&false);
    let mut wrong = |fact: &str, hint: String| problems.push(Problem::new(place, fact).hint(hint));
    if part(&basic) {
        let hint = format!("set both `{place}.username` and `{place}.password`, or neither");
        wrong("username and password go together", hint);
    }
    if part(&bearer) {
        let hint = format!(
            "set all of `{place}.token_url`, `{place}.client_id` and `{place}.client_secret`, or none"
        );
        wrong("OAuth 2 needs a URL, a client and its secret", hint);
    }
    if some(&basic) && some(&bearer) {
        let hint = "keep `username` and `password`, or `token_url`, `client_id` and `client_secret`";
        wrong("an account signs in one way, and two are set", hint.to_owned());
    }
    let appworks = [account.app.is_some(), account.app_key.is_some()];
    match account.transport {
        Transport::Appworks if appworks.contains(&false) => {
            let hint = format!("set `{place}.app` and `{place}.app_key`, the key the gateway gave that app");
            wrong("an AppWorks Gateway is told by whom it is asked", hint);
        }
        Transport::Webhook if account.webhook_secrets.is_empty() => warnings.push(
            Problem::new(place, "the webhook's requests are not signed, and anybody could send them")
                .hint(format!("set `{place}.webhook_secrets`")),
        ),
        _ => {}
    }
    if !["http://", "https://"].iter().any(|scheme| account.url.starts_with(scheme)) {
        problems.push(Problem::new(format!("{place}.url"), "this is no URL").hint("write `https://…`"));
    }
}

fn sources(sources: &SourcesSettings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let xecm = &sources.xecm;
    let urls = [
        ("sources.xecm.url", &xecm.url, xecm.client_secret.is_some()),
        ("sources.xecm.otds_url", &xecm.otds_url, xecm.client_secret.is_some()),
        ("sources.xconnector.url", &sources.xconnector.url, sources.xconnector.token.is_some()),
        ("sources.devadmin.url", &sources.devadmin.url, sources.devadmin.token.is_some()),
    ];
    for (name, url, secret) in urls {
        let Some(url) = url else { continue };
        address(name, url, secret, (problems, warnings));
    }
    let parts = [xecm.otds_url.is_some(), xecm.client_id.is_some(), xecm.client_secret.is_some()];
    if xecm.url.is_some() && parts.contains(&false) {
        let hint =
            "set `otds_url`, `client_id` and `client_secret` of an OAuth client that may act for others";
        problems
            .push(Problem::new("sources.xecm", "a decision is made as the person who made it").hint(hint));
    }
    between("sources.timeout", sources.timeout, ["1s", "60s"], problems);
}

fn keys(push: &PushSettings, problems: &mut Vec<Problem>) {
    for (id, secret) in &push.signing_keys {
        if secret.expose_secret().len() < LEAST_KEY_BYTES {
            let fact = format!("the key has fewer than {LEAST_KEY_BYTES} bytes");
            let hint = "make one: head -c 32 /dev/urandom | base64";
            problems.push(Problem::new(format!("push.signing_keys.{id}"), fact).hint(hint));
        }
    }
    let known = push.signing_keys.keys().cloned().collect::<Vec<_>>().join("`, `");
    match &push.signing_key {
        Some(id) if !push.signing_keys.contains_key(id) => {
            let fact = format!("there is no key `{id}` in `push.signing_keys`");
            problems.push(Problem::new("push.signing_key", fact).hint(format!("write one of `{known}`")));
        }
        None if push.signing_keys.len() > 1 => {
            let fact = "several keys, and none is said to sign";
            let hint = format!("set `push.signing_key` to one of `{known}`");
            problems.push(Problem::new("push.signing_keys", fact).hint(hint));
        }
        _ => {}
    }
}

/// A URL that is none, or over which a secret would be readable.
pub(super) fn address(
    name: &str,
    url: &str,
    secret: bool,
    (problems, warnings): (&mut Vec<Problem>, &mut Vec<Problem>),
) {
    match url.split_once("://") {
        Some(("https", _)) => {}
        Some(("http", rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            if secret && !on_loopback(host) {
                let fact = format!("the secret it is asked with would be readable on its way to {host}");
                warnings.push(Problem::new(name, fact).hint("write `https://…`"));
            }
        }
        _ => problems.push(Problem::new(name, "this is no URL").hint("write `https://…`")),
    }
}

pub(super) fn between(name: &str, span: Span, [least, most]: [&str; 2], problems: &mut Vec<Problem>) {
    let bound = |text: &str| text.parse::<Span>().unwrap_or_default();
    if span < bound(least) || span > bound(most) {
        let fact = format!("it lies between {least} and {most}, and {span} does not");
        problems.push(Problem::new(name, fact).hint(format!("write a span such as `{least}`")));
    }
}

/// Whether `host:port` is this machine.
fn on_loopback(broker: &str) -> bool {
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

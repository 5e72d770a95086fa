//! Ways: which push accounts carry what a rule says, by the settings.

use crate::app::config::{Config, Transport};

/// A push account, and whose people it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// Its name.
    pub(super) account: String,
    /// How its service is spoken to.
    pub(super) transport: &'static str,
    /// The tenants that have it, where it is not the usual one.
    pub(super) tenants: Vec<String>,
    is_usual: bool,
}

// === impl Way ===

impl Way {
    /// Those that carry anything: the usual account, and each that a tenant has.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let usual = &config.push.account;
        let ways = config.push.each().into_iter().map(|(account, settings)| {
            let own = config.tenants.each.iter().filter(|(_, own)| own.account.as_deref() == Some(account));
            Self {
                account: account.to_owned(),
                transport: match settings.transport {
                    Transport::Mra => "mra",
                    Transport::Appworks => "appworks",
                    Transport::Webhook => "webhook",
                },
                tenants: own.map(|(tenant, _)| tenant.clone()).collect(),
                is_usual: account == usual,
            }
        });
        ways.filter(|way| way.is_usual || !way.tenants.is_empty()).collect()
    }

    /// Those of `ways` that carry what a rule for these tenants says; none named: for all.
    pub(super) fn of<'w>(ways: &'w [Self], tenants: &[String]) -> Vec<&'w Self> {
        let has_own = |tenant: &String| ways.iter().any(|way| !way.is_usual && way.tenants.contains(tenant));
        let carries = |way: &&Self| {
            tenants.is_empty()
                || tenants
                    .iter()
                    .any(|tenant| way.tenants.contains(tenant) || way.is_usual && !has_own(tenant))
        };
        ways.iter().filter(carries).collect()
    }

    /// Name, transport, and for whom.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.account.clone(), self.transport.to_owned()];
        if !self.is_usual {
            lines.push(format!("for {}", self.tenants.join(", ")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(settings: &str) -> Vec<Way> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bugle.yaml");
        std::fs::write(&file, settings).unwrap();
        Way::all(&Config::load(Some(&file), &std::collections::BTreeMap::new(), &[]).unwrap())
    }

    #[test]
    fn a_rule_goes_by_the_accounts_of_its_tenants_and_an_account_of_nobody_is_none() {
        let ways = ways(
            "push:
  accounts:
    gateway: { transport: appworks, url: 'https://gw.example', app: bugle, app_key: k }
    partners: { transport: webhook, url: 'https://push.example/hook', webhook_secrets: ['whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz'] }
    spare: { url: 'https://push.example' }
tenants:
  each: { acme: { account: gateway }, delta: { account: partners }, beta: { account: partners } }
",
        );
        let names = |tenants: &[&str]| {
            let tenants: Vec<String> = tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
            Way::of(&ways, &tenants).iter().map(|way| way.account.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&[]), "default gateway partners");
        assert_eq!(names(&["acme", "beta"]), "gateway partners");
        assert_eq!(names(&["omega", "delta"]), "default partners");
        assert_eq!(ways[2].lines(), ["partners", "webhook", "for beta, delta"]);
        assert_eq!(ways[0].lines(), ["default", "mra"]);
    }
}

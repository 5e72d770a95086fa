//! Links: where a push may lead. A link to any other place is left out; its text is told all the same.

/// The hosts that links may lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    hosts: Vec<String>,
}

// === impl Links ===

impl Links {
    /// Wherever they lead.
    #[must_use]
    pub fn anywhere() -> Self {
        Self { hosts: vec!["*".to_owned()] }
    }

    /// To these hosts: `cs.example.com`, `*.example.com` for all below it, `*` for any.
    pub fn to(hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { hosts: hosts.into_iter().map(|host| host.as_ref().trim().to_ascii_lowercase()).collect() }
    }

    /// Whether an address leads to one of them.
    #[must_use]
    pub fn allow(&self, address: &str) -> bool {
        let Some(host) = host(address) else { return false };
        self.hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some("") => true,
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == *allowed,
        })
    }
}

/// The host of a web address. One that hides it behind a name (`https://known.example@elsewhere`) has none.
pub(super) fn host(address: &str) -> Option<String> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let named = match place.strip_prefix('[') {
        Some(numbers) => numbers.split(']').next(),
        None => place.split(':').next(),
    };
    let host = named.filter(|host| !host.is_empty() && !place.contains(['@', '\\']))?;
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_known_host_or_nowhere() {
        let links = Links::to(["cs.example", "*.acme.example"]);
        for (address, is_allowed) in [
            ("https://cs.example/app/1", true),
            ("http://CS.EXAMPLE:8443?x", true),
            ("https://cs.example./x", true),
            ("https://portal.acme.example#a", true),
            ("https://a.b.acme.example/", true),
            ("https://acme.example/", false),
            ("https://evilacme.example/", false),
            ("https://cs.example.evil.example/", false),
            ("https://cs.example@evil.example/", false),
            ("https://cs.example\\@evil.example/", false),
            ("https://evil.example/?cs.example", false),
            ("ftp://cs.example/", false),
            ("https:///cs.example", false),
            ("", false),
        ] {
            assert_eq!(links.allow(address), is_allowed, "{address}");
        }
        assert!(!Links::default().allow("https://cs.example/"));
        assert!(
            Links::anywhere().allow("https://[2001:db8::1]:8443/") && !Links::anywhere().allow("cs.example")
        );
    }
}

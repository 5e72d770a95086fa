//! Account: who it is that runs a verb, for what is written down under a name.

use std::os::unix::fs::MetadataExt as _;

/// Who is signed in: as the environment says, else by the name of the account, as in a container. Where the account
/// is a number and nothing else, nobody knows.
pub(super) fn name() -> Option<String> {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    named.into_iter().find(|name| !name.trim().is_empty()).or_else(|| {
        let owner = std::fs::metadata("/proc/self").ok()?.uid();
        name_of(owner, &std::fs::read_to_string("/etc/passwd").ok()?)
    })
}

/// The name of an account in a text like `/etc/passwd`.
fn name_of(owner: u32, accounts: &str) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(owner)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_by_its_number_where_it_has_a_name() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody\nada:x:1000:1000::/var/ada:/bin/sh\n";
        let named = [0, 1_000, 10_001].map(|owner| name_of(owner, accounts));
        assert_eq!(named, [Some("root".to_owned()), Some("ada".to_owned()), None]);
    }
}

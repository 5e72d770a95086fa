//! People: the settings of the directory's source become the source that `bugle directory sync` asks.

use super::{Unready, config};
use crate::source_systems::people::{self, Access, PeopleSource};

/// Where `bugle directory sync` reads people; none where no URL is set.
///
/// # Errors
/// [`Unready::Sources`].
pub fn source(settings: &config::DirectorySettings) -> Result<Option<PeopleSource>, Unready> {
    let Some((url, tenant)) = settings.url.clone().zip(settings.tenant.clone()) else { return Ok(None) };
    let client = settings.client_id.clone().zip(settings.client_secret.clone());
    let user = settings.username.clone().zip(settings.password.clone());
    let own = || format!("{}/otdsws/oauth2/token", url.trim_end_matches('/'));
    let sign_in = match (client, user) {
        (Some((client_id, client_secret)), _) => {
            let token_url = settings.token_url.clone().unwrap_or_else(own);
            people::SignIn::Client { token_url, client_id, client_secret }
        }
        (None, Some((username, password))) => people::SignIn::Password { username, password },
        (None, None) => people::SignIn::None,
    };
    let kind = match settings.kind {
        config::DirectoryKind::Otds => people::Kind::Otds,
        config::DirectoryKind::Scim => people::Kind::Scim,
    };
    Ok(Some(PeopleSource::new(Access {
        kind,
        url,
        tenant,
        partition: settings.partition.clone(),
        sign_in,
        role_prefix: settings.role_prefix.clone(),
        page_size: settings.page_size,
        patience: settings.timeout.to_duration(),
        whole_every: settings.whole_every.to_duration(),
        memory: settings.memory.clone(),
    })?))
}

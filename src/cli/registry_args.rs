//! Registry arguments: which schema registry knows what payloads were written with.

use secrecy::SecretString;

use super::Failure;
use crate::app::config::Config;
use crate::app::wiring;
use crate::codec::{Registry, RegistryError};

/// Which registry, for verbs that read payloads.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RegistryArgs {
    /// Address of the schema registry that knows what a payload was written with; give it again for each further
    /// one. Without it those of the settings, `registry.urls`.
    #[arg(long = "registry", env = "BUGLE_REGISTRY", value_name = "URL", value_delimiter = ',')]
    pub urls: Vec<String>,
    /// User name for it; the password comes from `BUGLE_REGISTRY_PASSWORD`.
    #[arg(long = "registry-user", env = "BUGLE_REGISTRY_USER", value_name = "USER", requires = "urls")]
    pub user: Option<String>,
}

/// What to do where nobody knows the schema of a payload.
pub(super) const UNKNOWN_SCHEMA: &str =
    "name the registry that its publisher uses: `--registry URL`, or `registry.urls` in bugle.yaml";

// === impl RegistryArgs ===

impl RegistryArgs {
    /// The registry that is named, or that of the settings, if there is one.
    ///
    /// # Errors
    /// An address that is none, or settings that cannot be read.
    pub(super) fn open(
        &self,
        settings: impl FnOnce() -> Result<Config, Failure>,
    ) -> Result<Option<Registry>, Failure> {
        if self.urls.is_empty() {
            return Ok(wiring::registry(&settings()?)?);
        }
        open(&self.urls, self.user.as_deref()).map(Some)
    }
}

/// The registry at these addresses.
///
/// # Errors
/// An address that is none.
pub(super) fn open(urls: &[String], user: Option<&str>) -> Result<Registry, Failure> {
    let password = std::env::var("BUGLE_REGISTRY_PASSWORD").unwrap_or_default();
    let login = user.map(|user| (user.to_owned(), SecretString::from(password)));
    Registry::new(urls, login).map_err(told)
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
pub(super) fn told(fault: RegistryError) -> Failure {
    Failure::failed(&fault).hint(fault.hint())
}

//! Person: one entry of the directory, staff or external.

use serde::{Deserialize, Serialize};

/// A person as `opentext.directory` has them, key `tenant|user id`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Whose directory it is.
    pub tenant: String,
    /// Unique in the tenant: `jdoe@Content Server Members`.
    pub user_id: String,
    /// Nobody inactive is ever told anything.
    pub active: bool,
    /// For pages and `bugle directory show`; never in logs or metrics.
    pub display_name: Option<String>,
    /// Names of the groups and roles held.
    pub roles: Vec<String>,
    /// Where the person works.
    pub location: Location,
    /// The business unit as a path from the top: `["EMEA", "EMEA Sales"]`.
    pub business_unit: Vec<String>,
    /// The user id of the manager.
    pub manager: Option<String>,
    /// User ids of those who stand in.
    pub deputies: Vec<String>,
    /// Away until that is changed: the deputies are told instead.
    pub absent: bool,
    /// BCP 47, such as `de-CH`; the tenant's default when absent.
    pub locale: Option<String>,
    /// IANA name, such as `Europe/Berlin`; the tenant's default when absent.
    pub zone: Option<String>,
    /// The external party the person belongs to; staff have none.
    pub party: Option<String>,
    /// The channels approved for this person (`mobile`, `web`, an app's name); empty: all for staff,
    /// none for externals.
    pub channels: Vec<String>,
    /// IANA name of the zone the device is in; goes before `zone`.
    pub device_zone: Option<String>,
    /// When quiet hours begin, such as `22:00`; there are none when absent.
    pub quiet_from: Option<String>,
    /// When they end, such as `07:00`.
    pub quiet_to: Option<String>,
    /// Categories that are not wanted, or `category/channel` for one channel.
    pub muted: Vec<String>,
    /// Away from this day or time on, such as `2026-12-24`; the day begins where the person is.
    pub absent_from: Option<String>,
    /// Away up to the end of this day, or to this time.
    pub absent_until: Option<String>,
    /// What systems call the person beside `user_id`, such as a mail address: by each of these they are kept out of
    /// what is not theirs to decide, and by none are they told anything.
    pub known_as: Vec<String>,
}

/// A place in the location tree; each level lies inside the next.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Plant, office, branch.
    pub site: Option<String>,
    /// Town.
    pub locality: Option<String>,
    /// State or region.
    pub region: Option<String>,
    /// Country.
    pub country: Option<String>,
}

/// Who belongs to a workspace, process, app or record, as `opentext.members` has it, key
/// `tenant|scope type|scope id|role`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// Whose data it is.
    pub tenant: String,
    /// `workspace`, `process`, `app` or `record`.
    pub scope_type: String,
    /// Its id in the source system.
    pub scope_id: String,
    /// The role in that scope; empty for plain members.
    #[serde(default)]
    pub role: String,
    /// The members' user ids.
    pub user_ids: Vec<String>,
}

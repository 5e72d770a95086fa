//! Mute: what is not told for a while, because an operator or another rule says so.
//!
//! Entries of a compacted topic, one record each, as JSON so that an operator can read them there. They say
//! what is muted; whether a telling is, is decided where it is said.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The format this version writes; of a later one it reads nothing.
const VERSION: u8 = 1;
/// The most matchers of a silence.
pub const MOST_MATCHERS: usize = 32;

/// An entry of the topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mute {
    /// An operator wants no tellings that match, for a while.
    Silence(Silence),
    /// A rule has something open that mutes others.
    Block(Block),
}

/// What an operator does not want to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Known by this.
    pub id: String,
    /// All of them must hold.
    pub matchers: Vec<Matcher>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until then, and no longer.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub author: String,
    /// Why.
    pub comment: String,
}

/// One condition of a silence: `kind=xecm.task.*`, `node.id!=4711`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matcher {
    /// `tenant`, `source`, `kind`, `rule`, `category` or a field of the event, by path.
    pub name: String,
    /// Whether it must have another value.
    pub negated: bool,
    /// The value; `*` stands for any letters. A field that is absent is empty.
    pub value: String,
}

/// What a rule has open, as far as it mutes others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Whose data.
    pub tenant: String,
    /// The rule that mutes.
    pub rule: String,
    /// The values that what is muted has, too, as one text.
    pub equal: String,
    /// Since when.
    pub since: Timestamp,
}

/// A record of the topic that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMute {
    /// Written by a later version.
    #[error("it has format version {0}, which this version of Bugle does not know")]
    Version(u8),
    /// It is none.
    #[error("it is no mute: {0}")]
    Malformed(String),
}

/// A text that is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no matcher: write `name=value` or `name!=value`, such as `kind=xecm.task.*` or `rule=ec-3-sla`"
)]
pub struct NoMatcher(String);

#[derive(Serialize, Deserialize)]
struct Written {
    v: u8,
    #[serde(flatten)]
    mute: Mute,
}

#[derive(Deserialize)]
struct Head {
    v: u8,
}

// === impl Mute ===

impl Mute {
    /// The value of its record.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let written = Written { v: VERSION, mute: self.clone() };
        serde_json::to_vec(&written).expect("texts and times are nothing JSON refuses")
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// [`UnreadableMute`].
    pub fn read(value: &[u8]) -> Result<Self, UnreadableMute> {
        let malformed = |error: serde_json::Error| UnreadableMute::Malformed(error.to_string());
        let Head { v } = serde_json::from_slice(value).map_err(malformed)?;
        if v != VERSION {
            return Err(UnreadableMute::Version(v));
        }
        serde_json::from_slice::<Written>(value).map(|written| written.mute).map_err(malformed)
    }
}

// === impl Silence ===

impl Silence {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether all its matchers hold of what `value` says of each name.
    pub fn matches<'v>(&self, mut value: impl FnMut(&str) -> Option<std::borrow::Cow<'v, str>>) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = value(&matcher.name).unwrap_or_default();
            fits(&matcher.value, &value) != matcher.negated
        })
    }
}

/// Whether `text` is what `pattern` says, a `*` standing for any letters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    // What stands behind the last `*` is the end; everything before it is found as early as it can be.
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(end)
}

// === impl Matcher ===

impl Matcher {
    /// Whether it holds of everything, or of whatever lacks its field: alone it would silence all.
    #[must_use]
    pub fn holds_of_nothing_named(&self) -> bool {
        fits(&self.value, "") != self.negated
    }
}

impl FromStr for Matcher {
    type Err = NoMatcher;

    fn from_str(text: &str) -> Result<Self, NoMatcher> {
        let (name, value) = text.split_once('=').ok_or_else(|| NoMatcher(text.to_owned()))?;
        let (name, negated) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
        let name = name.trim().strip_prefix("event.").unwrap_or(name.trim());
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if name.is_empty() || !name.chars().all(is_name) || value.starts_with('~') {
            return Err(NoMatcher(text.to_owned()));
        }
        let value = value.trim().trim_matches('"').to_owned();
        Ok(Self { name: name.to_owned(), negated, value })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", self.name, if self.negated { "!" } else { "" }, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(matchers: &[&str]) -> Silence {
        Silence {
            id: "s".to_owned(),
            matchers: matchers.iter().map(|text| text.parse().unwrap()).collect(),
            starts_at: Timestamp::from_millis(10),
            ends_at: Timestamp::from_millis(20),
            author: "ops".to_owned(),
            comment: "deployment".to_owned(),
        }
    }

    fn holds(matchers: &[&str]) -> bool {
        silence(matchers).matches(|name| match name {
            "kind" => Some("xecm.task.assigned".into()),
            "rule" => Some("ec-3-sla".into()),
            "node.id" => Some("4711".into()),
            _ => None,
        })
    }

    #[test]
    fn a_silence_holds_where_all_its_matchers_do() {
        assert!(holds(&["kind=xecm.task.*", "rule=ec-3-sla", "node.id!=1"]));
        assert!(!holds(&["kind=xecm.task.*", "rule=ec-1-review"]));
        assert!(holds(&["kind=*.assigned"]) && holds(&["kind=xecm*assigned"]) && holds(&["kind=*task*"]));
        assert!(!holds(&["kind=*.done"]) && !holds(&["kind=task*"]) && !holds(&["kind=xecm.task"]));
        assert!(holds(&["event.node.id=4711"]) && holds(&["flow_id="]) && !holds(&["flow_id!="]));
        assert!(!fits("a*a", "a") && fits("a*a", "aa") && fits("*", ""));
    }

    #[test]
    fn it_counts_from_its_start_and_no_longer_at_its_end() {
        let active = |millis| silence(&["rule=a"]).is_active(Timestamp::from_millis(millis));
        assert_eq!([9, 10, 19, 20].map(active), [false, true, true, false]);
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in ["", "rule", "=x", "rule=~ec.*", "ru le=x", "!=x"] {
            assert!(text.parse::<Matcher>().is_err(), "{text}");
        }
        let matcher: Matcher = "rule != \"ec-1\"".parse().unwrap();
        assert_eq!(matcher.to_string(), "rule!=ec-1");
        assert!(matcher.holds_of_nothing_named());
        assert!("kind=*".parse::<Matcher>().unwrap().holds_of_nothing_named());
        assert!(!"kind=xecm.*".parse::<Matcher>().unwrap().holds_of_nothing_named());
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_a_later_format_is_refused() {
        let block = Block {
            tenant: "acme".to_owned(),
            rule: "bw-block".to_owned(),
            equal: "workspace.id=7".to_owned(),
            since: Timestamp::from_millis(5),
        };
        for mute in [Mute::Silence(silence(&["rule=a"])), Mute::Block(block)] {
            assert_eq!(Mute::read(&mute.write()), Ok(mute.clone()));
        }
        assert_eq!(Mute::read(br#"{"v":9,"silence":{}}"#), Err(UnreadableMute::Version(9)));
        for bytes in [&b""[..], b"{", br#"{"v":1}"#, br#"{"v":1,"silence":{}}"#, &[0, 159]] {
            assert!(matches!(Mute::read(bytes), Err(UnreadableMute::Malformed(_))), "{bytes:?}");
        }
    }
}

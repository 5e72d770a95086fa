//! Wishes: when a person is not to be told, and what of.
//!
//! Most people have none, and cost nothing here.

use crate::event::{DayTime, Person};

/// What a person does not wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    quiet: Option<(DayTime, DayTime)>,
    muted: Box<[Box<str>]>,
}

// === impl Wishes ===

impl Wishes {
    /// What a person's entry says; `None` when it says nothing.
    pub(super) fn of(person: &Person) -> Option<Self> {
        let hour = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let quiet = hour(&person.quiet_from).zip(hour(&person.quiet_to));
        let muted = person.muted.iter().map(|muted| muted.trim()).filter(|muted| !muted.is_empty());
        let muted: Box<[Box<str>]> = muted.map(Box::from).collect();
        (quiet.is_some() || !muted.is_empty()).then_some(Self { quiet, muted })
    }

    /// The hours in which they are not told: from the first to the second, perhaps over midnight.
    #[must_use]
    pub fn quiet(&self) -> Option<(DayTime, DayTime)> {
        self.quiet
    }

    /// Whether they want nothing of a category, or not through any of these channels.
    #[must_use]
    pub fn mute(&self, category: &str, channels: &[String]) -> bool {
        let is_muted = |channel: &String| {
            self.muted.iter().any(|muted| muted.split_once('/') == Some((category, channel.as_str())))
        };
        self.muted.iter().any(|muted| &**muted == category)
            || (!channels.is_empty() && channels.iter().all(is_muted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(quiet: (&str, &str), muted: &[&str]) -> Option<Wishes> {
        let hour = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let muted = muted.iter().map(|muted| (*muted).to_owned()).collect();
        Wishes::of(&Person { quiet_from: hour(quiet.0), quiet_to: hour(quiet.1), muted, ..Person::default() })
    }

    #[test]
    fn who_says_nothing_has_no_wishes() {
        assert_eq!(wishes(("", ""), &[]), None);
        assert_eq!(wishes(("22:00", ""), &[" "]), None);
        assert!(wishes(("22:00", "07:00"), &[]).unwrap().quiet().is_some());
    }

    #[test]
    fn a_category_is_muted_whole_or_where_all_its_channels_are() {
        let muted = wishes(("", ""), &["news", "safety/web", "status/web", "status/mobile"]).unwrap();
        let channels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(muted.mute("news", &[]) && muted.mute("news", &channels(&["mobile"])));
        assert!(!muted.mute("safety", &[]) && !muted.mute("safety", &channels(&["mobile", "web"])));
        assert!(muted.mute("safety", &channels(&["web"])));
        assert!(muted.mute("status", &channels(&["mobile", "web"])) && !muted.mute("status", &[]));
    }
}

//! Digest: several tellings for one person as one push that lists them.
//!
//! Where their message has words for several, and all of them say the same, that is the title: `3 contracts end
//! soon`. Else the first is the title, and how many more there are is said. Below stand the others, each by its own
//! title, as many as can be read. It offers no answers: an answer is about one thing.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::event::audience::Bound;
use crate::event::push::Letter;
use crate::event::{BoundAudience, NoticeId, Sealed, Span, Timestamp, Verdict, hash128};
use crate::topology::message::{MOST_SUMMARY, MOST_TITLE, shorten};
use crate::topology::plan::{WindowKind, WindowPlan};

use super::super::batch::{self, Grouped, Pile};
use super::super::telling::Telling;

/// What is listed, the most important first.
pub(super) struct Digest<'d, 't> {
    /// Each with what it is known by.
    pub(super) tellings: &'d [(u128, Telling<'t>)],
    /// How many more there are.
    pub(super) more: u32,
}

/// How many are listed where a window does not say.
const USUAL_MOST: u32 = 10;
/// A title in the list has at least so many characters, or is counted instead.
const LEGIBLE: usize = 24;
const BETWEEN: &str = " · ";

// === impl Digest ===

impl Digest<'_, '_> {
    /// The same list is the same digest.
    pub(super) fn id(&self) -> NoticeId {
        let mut ids: Vec<u128> = self.tellings.iter().map(|(_, telling)| telling.notice.id.0).collect();
        ids.sort_unstable();
        let ids: Vec<u8> = ids.into_iter().flat_map(u128::to_le_bytes).collect();
        NoticeId(hash128([b"digest", &ids, &self.more.to_le_bytes()]))
    }

    /// What the person has then been told, and for how long that is no news.
    pub(super) fn keys(&self) -> impl Iterator<Item = (u128, Option<Span>, &Arc<Verdict>)> {
        self.tellings
            .iter()
            .filter_map(|(key, telling)| Some((*key, telling.rule.plan.within, telling.if_merged.as_ref()?)))
    }

    /// How long the push service may keep trying.
    pub(super) fn ttl_seconds(&self, now: Timestamp) -> u32 {
        batch::ttl_seconds(now, self.expires_at())
    }

    /// When the last of it is noise.
    fn expires_at(&self) -> Option<Timestamp> {
        let ends = self.tellings.iter().map(|(_, telling)| telling.notice.expires_at);
        ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max())
    }

    /// Writes its letter.
    pub(super) fn write(
        &self,
        lead: &Telling<'_>,
        group: &Grouped<'_>,
        pile: &mut Pile,
    ) -> Result<u32, &'static str> {
        let (title, summary) = self.texts(group)?;
        let mut sealed = Vec::new();
        self.audience().ok_or("internal")?.seal(&mut sealed);
        let notice = lead.notice;
        // It goes out for what leads it, so that whoever reads a receipt knows of which telling it is.
        Ok(pile.write_as(
            self.id(),
            &Letter {
                notice: notice.id,
                subject: notice.subject,
                subject_partition: lead.from,
                conversation: notice.conversation,
                occasion: notice.occasion,
                expires_at: self.expires_at(),
                audience: Sealed::of(&sealed),
                inserts: vec![&title, &summary],
            },
        ))
    }

    /// Whoever belongs to the audience of each.
    fn audience(&self) -> Option<BoundAudience> {
        let mut sealed: Vec<Sealed<'_>> = Vec::new();
        for (_, telling) in self.tellings {
            if !sealed.contains(&telling.notice.audience) {
                sealed.push(telling.notice.audience);
            }
        }
        let mut all = sealed.into_iter().map(|sealed| sealed.open().ok()).collect::<Option<Vec<_>>>()?;
        if all.len() == 1 {
            return all.pop();
        }
        let never: Vec<Bound> = all.iter_mut().filter_map(|audience| audience.never.take()).collect();
        let tell = all.into_iter().map(|audience| match audience.fallback {
            Some(fallback) => Bound::Any(vec![audience.tell, fallback]),
            None => audience.tell,
        });
        let tell = Bound::All(tell.collect());
        Some(BoundAudience { tell, fallback: None, never: (!never.is_empty()).then_some(Bound::Any(never)) })
    }

    fn texts(&self, group: &Grouped<'_>) -> Result<(String, String), &'static str> {
        let titles = self.tellings.iter().map(|(_, telling)| telling.title(group, None));
        let titles = titles.collect::<Result<Vec<_>, _>>()?;
        if let Some(title) = self.of_several(group)? {
            let all = titles.len() + self.more as usize;
            return Ok((title, listed(titles, (self.most(), all))));
        }
        let mut titles = titles.into_iter();
        let mut title = titles.next().unwrap_or_default();
        let rest: Vec<String> = titles.collect();
        let others = rest.len() + self.more as usize;
        let count = format!(" (+{others})");
        shorten(&mut title, MOST_TITLE - count.len());
        title.push_str(&count);
        // The first of all stands in the title.
        Ok((title, listed(rest, (self.most().saturating_sub(1).max(1), others))))
    }

    /// What all of them say of that many.
    fn of_several(&self, group: &Grouped<'_>) -> Result<Option<String>, &'static str> {
        if !self.tellings.iter().all(|(_, telling)| telling.message.cut(group.locale).has_several()) {
            return Ok(None);
        }
        let count =
            self.tellings.iter().fold(self.more, |sum, (_, one)| sum.saturating_add(one.notice.count));
        let said = self.tellings.iter().map(|(_, telling)| telling.title(group, Some(count)));
        let mut said = said.collect::<Result<Vec<_>, _>>()?;
        said.dedup();
        Ok(said.pop().filter(|_| said.is_empty()))
    }

    /// How many its window lists.
    fn most(&self) -> usize {
        let said = self.tellings.first().and_then(|(_, lead)| match lead.window {
            Some(WindowPlan { kind: WindowKind::Digest { most, .. }, .. }) => *most,
            _ => None,
        });
        said.unwrap_or(USUAL_MOST) as usize
    }
}

/// The titles in one line, as many as can be read, and how many are left.
fn listed(mut titles: Vec<String>, (most, total): (usize, usize)) -> String {
    let room = MOST_SUMMARY - format!("{BETWEEN}+{total}").chars().count();
    let fitting = (room + BETWEEN.chars().count()) / (LEGIBLE + BETWEEN.chars().count());
    titles.truncate(most);
    let long = |titles: &[String]| {
        titles.iter().map(|title| title.chars().count() + BETWEEN.chars().count()).sum::<usize>() > room
    };
    while titles.len() > fitting && long(&titles) {
        titles.pop();
    }
    let share = (room / titles.len().max(1)).saturating_sub(BETWEEN.chars().count());
    if long(&titles) {
        titles.iter_mut().for_each(|title| shorten(title, share));
    }
    let left = total - titles.len();
    let mut line = titles.join(BETWEEN);
    if left > 0 {
        let _ = write!(line, "{}+{left}", if line.is_empty() { "" } else { BETWEEN });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(count: usize, length: usize) -> Vec<String> {
        (0..count).map(|number| format!("{number:0length$}")).collect()
    }

    #[test]
    fn a_list_fits_its_push_and_says_how_many_are_left() {
        let short = listed(titles(2, 5), (10, 2));
        assert_eq!(short, "00000 · 00001");
        assert_eq!(listed(titles(3, 5), (2, 7)), "00000 · 00001 · +5");
        assert_eq!(listed(Vec::new(), (10, 4)), "+4");
        for (count, length) in [(4, 100), (19, 30), (19, 8), (40, 300), (300, 24)] {
            let line = listed(titles(count, length), (20, count));
            assert!(line.chars().count() <= MOST_SUMMARY, "{count} of {length}: {line}");
            assert!(line.contains('+') || count < 20, "{line}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_counted() {
        let line = listed(titles(19, 60), (20, 19));
        let shown: Vec<&str> = line.split(BETWEEN).collect();
        assert!(shown.len() > 5 && shown[..5].iter().all(|title| title.chars().count() >= LEGIBLE), "{line}");
    }
}

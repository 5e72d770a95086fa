//! Plan: a rule as it was written, before anything was looked up.
//!
//! Every operator of the language is kept here, built or not; each value that a later check may fault
//! keeps its place in the file. What the words mean is README.md's "The rules".

use std::sync::Arc;

use crate::event::notice::Verb;
use crate::event::{DayTime, Priority, Span};

use super::fault::{Place, Sheet, Spot};

/// One rule of a file.
#[derive(Debug, Clone, Default)]
pub struct RulePlan {
    /// Stable: state is keyed by it.
    pub id: Spot<String>,
    /// Which use case of README.md's table it serves.
    pub use_case: Option<String>,
    /// What it wants to hear of.
    pub wanted: MatchPlan,
    /// A CEL condition.
    pub condition: Option<Spot<String>>,
    /// What it counts by.
    pub subject: Option<SubjectPlan>,
    /// What a telling is about.
    pub news: Vec<Spot<String>>,
    /// How long a person's lane waits for other tellings of the same news.
    pub within: Option<Span>,
    /// When it speaks.
    pub tell: Spot<Tell>,
    /// To whom.
    pub audience: Option<Spot<String>>,
    /// To whom when the audience is empty.
    pub fallback: Option<Spot<String>>,
    /// What those are told, where it is not what the audience is.
    pub instead: Option<Words>,
    /// To whom never.
    pub never: Option<Spot<String>>,
    /// The only tenants it is for; empty: all.
    pub tenants: Vec<String>,
    /// The only channels it uses; empty: all.
    pub channels: Vec<String>,
    /// The app it is for.
    pub app: Option<String>,
    /// What it says and offers.
    pub words: Words,
    /// What an answer stops, where it differs from the verb's own habit.
    pub stop: Vec<(Spot<Verb>, Stop)>,
    /// What an answer writes into the source system.
    pub write_back: Vec<(Spot<Verb>, Writes)>,
    /// Reminders on the way to an anchor or after it.
    pub remind: Vec<RemindPlan>,
    /// The same again, until it is answered.
    pub repeat: Option<RepeatPlan>,
    /// Steps to other people.
    pub escalate: Vec<StepPlan>,
    /// After this it is noise.
    pub expires: Option<Spot<Moment>>,
    /// The kinds that close the matter.
    pub until: Option<MatchPlan>,
    /// What those who heard are told when it closes.
    pub closed: Option<ClosedPlan>,
    /// What is told of an answer that the source system did not carry out.
    pub refused: Option<Words>,
    /// What makes a newer push replace an older one on the phone.
    pub replace: Option<Replace>,
    /// The field that tells an older state from a newer.
    pub order: Option<Spot<String>>,
    /// The field that says at which location the rule counts business time.
    pub calendar: Option<Spot<String>>,
    /// How several changes become one telling.
    pub window: Option<WindowPlan>,
    /// Equal keys within the span are the same change.
    pub dedupe: Option<DedupePlan>,
    /// How many tellings one person gets.
    pub cap: Option<CapPlan>,
    /// What a person's preferences refer to.
    pub category: Option<String>,
    /// Whether its category is one that nobody can mute.
    pub mandatory: bool,
    /// Another rule whose open conversations mute this one.
    pub inhibit: Option<InhibitPlan>,
    /// The rules that this one mutes while it has something open.
    pub mutes: Option<MutesPlan>,
    /// The locale every message of the file must have.
    pub locale: Option<Spot<String>>,
    /// Where the rule starts.
    pub at: Place,
    /// The file it stands in.
    pub sheet: Option<Arc<Sheet>>,
}

/// Fields of the source system and what an answer writes into them.
pub type Writes = Vec<(Spot<String>, String)>;

/// `match:` and `until:`.
#[derive(Debug, Clone, Default)]
pub struct MatchPlan {
    /// Kinds in full, or with `*` for their last words.
    pub kinds: Vec<Spot<String>>,
    /// Fields and the values they may have.
    pub fields: Vec<(Spot<String>, Vec<Spot<String>>)>,
}

/// `subject:`.
#[derive(Debug, Clone, Default)]
pub struct SubjectPlan {
    /// The fields that choose the partition.
    pub by: Vec<Spot<String>>,
    /// One conversation is kept for each value of these.
    pub each: Vec<Spot<String>>,
}

/// `tell:`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tell {
    /// At once.
    #[default]
    Now,
    /// After this span, unless it closed meanwhile.
    Hold(Span),
    /// Not for the event itself: it only arms timers.
    Later,
}

/// What a telling says, offers and how loudly. A rung or step may have its own.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// A message of `messages/`.
    pub message: Option<Spot<String>>,
    /// How urgent.
    pub priority: Option<Priority>,
    /// What may be answered.
    pub answers: Option<Spot<Vec<Verb>>>,
    /// A window of its own, or none.
    pub window: Option<OwnWindow>,
}

/// The window of a rung, repeat or step.
#[derive(Debug, Clone, PartialEq)]
pub enum OwnWindow {
    /// Alone and at once.
    None,
    /// Its own.
    Own(Box<WindowPlan>),
}

/// What an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The conversation, for everybody.
    All,
    /// The reminders of this person.
    Each,
    /// Nothing.
    None,
    /// Reminders, for this long.
    Pause(Span),
}

/// A point in time a rule can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// A time or day of the event, by path.
    Event(String),
    /// When the conversation opened.
    Opened,
    /// When the person was first told.
    Told,
    /// The last change of the subject.
    Last,
}

/// An anchor and a span after it (negative: before it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Counted from here; `None`: from the event itself.
    pub anchor: Option<Anchor>,
    /// This long after.
    pub offset: Span,
    /// Counted in business time, by the calendar of the rule's place.
    pub business: bool,
}

/// One ladder of reminders.
#[derive(Debug, Clone)]
pub struct RemindPlan {
    /// The date it leads to or starts from.
    pub anchor: Spot<Moment>,
    /// Before or after the anchor.
    pub side: Side,
    /// The rungs.
    pub rungs: Vec<RungPlan>,
    /// Again and again at this distance.
    pub every: Option<Span>,
    /// At most so often.
    pub most: Option<u32>,
    /// To whom instead of the audience.
    pub to: Option<Spot<String>>,
    /// What all its rungs say.
    pub words: Words,
}

/// On which side of its anchor a ladder lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Leading to it.
    Before,
    /// Following it.
    After,
}

/// One rung of a ladder.
#[derive(Debug, Clone)]
pub struct RungPlan {
    /// Its distance from the anchor.
    pub distance: Spot<Span>,
    /// What it says.
    pub words: Words,
}

/// `repeat:`.
#[derive(Debug, Clone)]
pub struct RepeatPlan {
    /// The distance between two.
    pub every: Span,
    /// The hour, where the subject is.
    pub at: Option<DayTime>,
    /// At most so often.
    pub most: Option<u32>,
    /// To whom: `unanswered`, `told` or an audience.
    pub to: Option<Spot<String>>,
    /// What it says.
    pub words: Words,
    /// Where it stands.
    pub place: Place,
}

/// One step of an escalation.
#[derive(Debug, Clone)]
pub struct StepPlan {
    /// When.
    pub at: Spot<Moment>,
    /// To whom.
    pub to: Option<Spot<String>>,
    /// What it says.
    pub words: Words,
}

/// `closed:`.
#[derive(Debug, Clone)]
pub struct ClosedPlan {
    /// To whom: `told` or an audience.
    pub to: Option<Spot<String>>,
    /// What it says.
    pub words: Words,
}

/// `replace:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replace {
    /// By the rule's subject.
    Subject,
    /// By these fields.
    Fields(Vec<Spot<String>>),
}

/// `window:`.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowPlan {
    /// Which kind.
    pub kind: WindowKind,
    /// One window for each value of these; `person` runs it in the person's lane.
    pub by: Vec<Spot<String>>,
    /// Where it stands.
    pub at: Place,
}

/// How several changes become one telling.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowKind {
    /// The last state after this span; a change back to where it was says nothing.
    LatestState(Span),
    /// One telling listing them.
    Digest {
        /// Open for this long.
        open: Option<Span>,
        /// Told again at most this often: what comes later waits until then.
        every: Option<Span>,
        /// Closed at this hour in the reader's zone.
        close: Option<DayTime>,
        /// The first is told at once.
        lead: bool,
        /// So many are shown, the rest counted.
        most: Option<u32>,
    },
    /// Nothing before so many came within a span.
    Threshold {
        /// So many.
        count: u32,
        /// Within this.
        within: Span,
    },
    /// Nothing before a number stood at a level for a while.
    Level {
        /// The number: a CEL expression.
        value: Spot<String>,
        /// The rest of a condition that raises it: `'>= event.threshold'`.
        raise: Spot<String>,
        /// The rest of a condition that clears it.
        clear: Option<Spot<String>>,
        /// For so long.
        held: Option<Span>,
    },
    /// One telling when nothing came for a while.
    Session {
        /// For so long.
        gap: Span,
        /// But never longer than this.
        longest: Option<Span>,
    },
}

/// `dedupe:`.
#[derive(Debug, Clone)]
pub struct DedupePlan {
    /// What makes two changes the same.
    pub by: Vec<Spot<String>>,
    /// For so long.
    pub horizon: Span,
}

/// `cap:`.
#[derive(Debug, Clone)]
pub struct CapPlan {
    /// So many.
    pub most: u32,
    /// In this span.
    pub span: Span,
    /// What becomes of the rest.
    pub then: Overflow,
}

/// What becomes of tellings above a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// They are listed in a digest.
    Digest,
    /// They are not told.
    Drop,
}

/// `inhibit:`.
#[derive(Debug, Clone)]
pub struct InhibitPlan {
    /// The rule whose open conversation mutes this one.
    pub rule: Spot<String>,
    /// Where these fields are equal in both.
    pub equal: Vec<Spot<String>>,
}

/// `mutes:`.
#[derive(Debug, Clone)]
pub struct MutesPlan {
    /// The rules it mutes.
    pub rules: Vec<Spot<String>>,
    /// Where these fields are equal in both.
    pub equal: Vec<Spot<String>>,
}

// === impl RulePlan ===

impl RulePlan {
    /// The distance between two of what it repeats: where a digest is told at most so often, a multiple of that.
    #[must_use]
    pub fn repeats_every(&self, repeat: &RepeatPlan) -> Span {
        let every = match self.window.as_ref().map(|window| &window.kind) {
            Some(WindowKind::Digest { every: Some(every), .. }) if repeat.at.is_none() => {
                every.millis().max(1)
            }
            _ => return repeat.every,
        };
        Span::from_millis(
            repeat.every.millis().saturating_add(every - 1).div_euclid(every).saturating_mul(every),
        )
    }
}

// === impl WindowPlan ===

impl WindowPlan {
    /// Whether each person has one of their own.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.by.iter().any(|field| field.value == "person")
    }
}

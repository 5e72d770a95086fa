//! Backstage: what the pages offer that a push service alone cannot: a person's wishes, what became of a matter, and
//! a clock that can be put forward.
//!
//! Whoever asks shows a reply token, which says whose push it was and what it is about. Nothing here waits for
//! long; without a host the pages show pushes and no more.

use crate::event::{Span, Timestamp};

/// Who stands behind the pages.
pub trait Host: Send + Sync {
    /// What the person does not wish who got the push with this token; `None` when nobody knows them.
    fn wishes(&self, token: &str) -> Option<Wishes>;

    /// The person wishes something else from now on.
    ///
    /// # Errors
    /// Why that cannot be written down.
    fn wish(&self, token: &str, wish: Wish) -> Result<(), String>;

    /// Whether an answer to the push with this token counts, or why it does not; `None` before that is decided.
    fn decided(&self, token: &str, response_id: &str) -> Option<Result<(), String>>;

    /// What was decided about the matter of the push with this token.
    fn trail(&self, token: &str) -> Option<Trail>;

    /// What the clock shows.
    fn now(&self) -> Timestamp;

    /// Puts the clock forward: what is due on the way happens in its order.
    fn put_forward(&self, by: Span);
}

/// What a person does not wish.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Categories.
    pub muted: Vec<String>,
    /// Hours of the day in which they are not told.
    pub quiet: Option<(String, String)>,
}

/// What a person wishes otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Nothing of a category.
    Mute(String),
    /// Something of it after all.
    Hear(String),
    /// Nothing between two hours of the day; `None`: at any hour.
    Quiet(Option<(String, String)>),
}

/// What became of one matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trail {
    /// The key of its subject.
    pub subject: String,
    /// In their order.
    pub entries: Vec<Entry>,
}

/// One thing that was decided or done, and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In words.
    pub what: String,
    /// What it tells of: `told`, `not`, `done`, or none of these.
    pub tone: &'static str,
    /// What hangs on it.
    pub under: Vec<Self>,
}

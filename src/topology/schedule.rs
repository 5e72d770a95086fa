//! Schedule: everything a rule says, and when it says what it does not say at once.
//!
//! Ladders, repeats and steps become one table of timers: an anchor, a distance, and which saying of the
//! rule is due then. Nothing here knows what time it is; `flow` arms the timers.

use std::sync::Arc;

use crate::event::notice::Verb;
use crate::event::{Audience, DayTime, Priority, Shape, Span, hash128};

use super::audience;
use super::compile::Compiler;
use super::fault::Spot;
use super::message::Message;
use super::plan::{Anchor, Moment, OwnWindow, RulePlan, Side, Tell, WindowPlan, Words};

/// One thing a rule says, and to whom.
#[derive(Debug, Clone)]
pub struct Saying {
    /// Its text.
    pub message: Option<Arc<Message>>,
    /// How urgent.
    pub priority: Priority,
    /// What it offers before a change's own options narrow it.
    pub answers: Vec<Verb>,
    /// To whom.
    pub to: To,
    /// The window in which each person has it gathered.
    pub window: Option<WindowPlan>,
}

/// To whom a saying goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// The rule's own audience, its fallback included.
    Audience,
    /// Somebody else.
    Other(Audience),
    /// Those who were told before.
    Told,
}

/// Where a timer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A time or day of the change, by slot.
    Event(u16),
    /// When the conversation opened.
    Opened,
    /// When somebody was first told.
    Told,
    /// The last change of the subject.
    Last,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A rung of the ladder with this number: of several that are due at once only the last is told.
    Rung(u16),
    /// Again and again.
    Repeat,
    /// The step with this number.
    Step(u16),
}

/// One timer of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// What it is known by in what is kept: the same however the rule's other timers change.
    pub id: u32,
    /// Where it starts.
    pub start: Start,
    /// How long after that it is due; negative: before.
    pub offset: Span,
    /// Counted in business time.
    pub business: bool,
    /// Due again at this distance.
    pub every: Option<Span>,
    /// At most so often.
    pub most: Option<u32>,
    /// At this hour.
    pub hour: Option<DayTime>,
    /// What it is for.
    pub purpose: Purpose,
    /// Which of the rule's sayings.
    pub saying: u16,
}

/// Everything a rule says: the first telling, then what each of its timers says, what its fallback is told instead,
/// what is said of an answer that was not carried out, last what is said at the close. Faults in audiences are noted.
pub(super) fn sayings(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) -> Vec<Saying> {
    let mut sayings = vec![saying(cx, plan, &[], None, shapes)];
    for ladder in &plan.remind {
        for rung in &ladder.rungs {
            sayings.push(saying(cx, plan, &[&rung.words, &ladder.words], ladder.to.as_ref(), shapes));
        }
        if ladder.every.is_some() {
            sayings.push(saying(cx, plan, &[&ladder.words], ladder.to.as_ref(), shapes));
        }
    }
    if let Some(repeat) = &plan.repeat {
        sayings.push(saying(cx, plan, &[&repeat.words], repeat.to.as_ref(), shapes));
    }
    for step in &plan.escalate {
        sayings.push(saying(cx, plan, &[&step.words], step.to.as_ref(), shapes));
    }
    if let Some(instead) = &plan.instead {
        sayings.push(saying(cx, plan, &[instead], plan.fallback.as_ref(), shapes));
    }
    if let Some(refused) = &plan.refused {
        let said = saying(cx, plan, &[refused], None, shapes);
        let window = said.window.filter(|_| refused.window.is_some());
        sayings.push(Saying { to: To::Told, window, ..said });
    }
    if let Some(closed) = &plan.closed {
        let said = saying(cx, plan, &[&closed.words], closed.to.as_ref(), shapes);
        // Good news does not shout, there is nothing left to answer, and nothing to gather it with.
        let priority = closed.words.priority.unwrap_or_default();
        let window = said.window.filter(|_| closed.words.window.is_some());
        sayings.push(Saying { priority, answers: Vec::new(), window, ..said });
    }
    sayings
}

/// The nearest words win, those of the rule last.
fn saying(
    cx: &mut Compiler<'_>,
    plan: &RulePlan,
    nearer: &[&Words],
    to: Option<&Spot<String>>,
    shapes: &[Arc<Shape>],
) -> Saying {
    let words = || nearer.iter().copied().chain([&plan.words]);
    let message = words().find_map(|words| words.message.as_ref());
    let to = match to.map(|text| (text, text.value.as_str())) {
        None => To::Audience,
        // Who has answered is known once answers are heard; until then nobody has.
        Some((_, "told" | "unanswered")) => To::Told,
        Some((text, _)) => audience::read(cx, text, shapes).map_or(To::Audience, To::Other),
    };
    Saying {
        message: message.and_then(|name| cx.messages.get(&name.value).cloned()),
        priority: words().find_map(|words| words.priority).unwrap_or_default(),
        answers: words()
            .find_map(|words| words.answers.as_ref())
            .map(|answers| answers.value.clone())
            .unwrap_or_default(),
        to,
        window: match nearer.iter().find_map(|words| words.window.as_ref()) {
            Some(OwnWindow::None) => None,
            Some(OwnWindow::Own(window)) => Some(WindowPlan::clone(window)),
            None => plan.window.clone(),
        }
        .filter(WindowPlan::is_personal),
    }
}

/// The timers of a plan for one shape, in the order of [`sayings`]; an anchor the shape lacks is a fault
/// that `check` notes.
pub(super) fn timers(plan: &RulePlan, shape: &Shape) -> Vec<Timer> {
    let mut timers = Vec::new();
    let mut saying = 0;
    let mut add = |start: Option<Start>, timer: Timer| {
        saying += 1;
        timers.extend(start.map(|start| {
            let timer = Timer { start, saying, ..timer };
            Timer { id: identity(&timer), ..timer }
        }));
    };
    for (number, ladder) in (0..).zip(&plan.remind) {
        let start = start(&ladder.anchor.value.anchor, shape);
        let from = ladder.anchor.value.offset;
        let rung = timer(Purpose::Rung(number));
        for step in &ladder.rungs {
            let distance = step.distance.value;
            let offset = match ladder.side {
                Side::Before => Span::from_millis(from.millis() - distance.millis()),
                Side::After => Span::from_millis(from.millis() + distance.millis()),
            };
            add(start, Timer { offset, ..rung.clone() });
        }
        if let Some(every) = ladder.every {
            let offset = Span::from_millis(from.millis() + every.millis());
            add(start, Timer { offset, every: Some(every), most: ladder.most, ..rung });
        }
    }
    if let Some(repeat) = &plan.repeat {
        let start = if plan.tell.value == Tell::Later { Start::Opened } else { Start::Told };
        let (offset, most, hour) = (plan.repeats_every(repeat), repeat.most, repeat.at);
        let every = Some(offset);
        add(Some(start), Timer { offset, every, most, hour, ..timer(Purpose::Repeat) });
    }
    for (number, step) in (0..).zip(&plan.escalate) {
        let start = start(&step.at.value.anchor, shape);
        let Moment { offset, business, .. } = step.at.value;
        add(start, Timer { offset, business, ..timer(Purpose::Step(number)) });
    }
    timers
}

fn timer(purpose: Purpose) -> Timer {
    let offset = Span::ZERO;
    Timer {
        id: 0,
        start: Start::Opened,
        offset,
        business: false,
        every: None,
        most: None,
        hour: None,
        purpose,
        saying: 0,
    }
}

/// A timer is the same for as long as it starts from the same kind of moment, is as far from it and is for
/// the same thing: slots differ between kinds, places between two versions of a rule.
fn identity(timer: &Timer) -> u32 {
    let start: &[u8] = match timer.start {
        Start::Event(_) => b"event",
        Start::Opened => b"opened",
        Start::Told => b"told",
        Start::Last => b"last",
    };
    let purpose: &[u8] = match timer.purpose {
        Purpose::Rung(_) => b"rung",
        Purpose::Repeat => b"repeat",
        Purpose::Step(_) => b"step",
    };
    let every = timer.every.unwrap_or_default().millis().to_le_bytes();
    let start = if timer.business { &[start, b" at work"].concat() } else { start };
    let hash = hash128([start, &timer.offset.millis().to_le_bytes(), &every, purpose]);
    u32::try_from(hash & u128::from(u32::MAX)).unwrap_or_default()
}

fn start(anchor: &Option<Anchor>, shape: &Shape) -> Option<Start> {
    match anchor {
        Some(Anchor::Event(path)) => shape.slot(path).map(Start::Event),
        Some(Anchor::Told) => Some(Start::Told),
        Some(Anchor::Last) => Some(Start::Last),
        Some(Anchor::Opened) | None => Some(Start::Opened),
    }
}

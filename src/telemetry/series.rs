//! Series: which label values a metric has from the start.

use super::catalogue::{Labels, book};
use crate::event::fact::{
    AnswerEnding, CallOutcome, CommitResult, RefusalClass, SendOutcome, SnapshotResult,
};
use crate::event::receipt::Mark;
use crate::event::{Lane, Origin, Reason, Source};

pub(super) fn alone() -> Vec<Labels> {
    vec![Vec::new()]
}

/// Written by `process` when asked, not kept.
pub(super) fn by_process() -> Vec<Labels> {
    Vec::new()
}

/// Known once partitions are.
pub(super) fn assigned() -> Vec<Labels> {
    Vec::new()
}

pub(super) fn by_version() -> Vec<Labels> {
    vec![vec![("version", env!("CARGO_PKG_VERSION"))]]
}

pub(super) fn by_source() -> Vec<Labels> {
    Source::ALL.iter().map(|source| vec![("source", source.as_str())]).collect()
}

pub(super) fn by_refusal() -> Vec<Labels> {
    pairs(("source", Source::ALL.map(Source::as_str)), ("class", RefusalClass::ALL.map(RefusalClass::as_str)))
}

pub(super) fn by_dead() -> Vec<Labels> {
    pairs(("lane", Lane::ALL.map(Lane::as_str)), ("class", RefusalClass::ALL.map(RefusalClass::as_str)))
}

pub(super) fn by_commit() -> Vec<Labels> {
    pairs(("lane", Lane::ALL.map(Lane::as_str)), ("result", CommitResult::ALL.map(CommitResult::as_str)))
}

pub(super) fn by_lane() -> Vec<Labels> {
    Lane::ALL.iter().map(|lane| vec![("lane", lane.as_str())]).collect()
}

pub(super) fn by_origin() -> Vec<Labels> {
    pairs(("lane", Lane::ALL.map(Lane::as_str)), ("origin", Origin::ALL.map(Origin::as_str)))
}

pub(super) fn by_snapshot() -> Vec<Labels> {
    SnapshotResult::ALL.iter().map(|result| vec![("result", result.as_str())]).collect()
}

/// Where entries of the lanes lie.
pub(super) const PLACES: [&str; 2] = ["memory", "disk"];

pub(super) fn by_place() -> Vec<Labels> {
    PLACES.iter().map(|place| vec![("place", *place)]).collect()
}

pub(super) fn by_outcome() -> Vec<Labels> {
    SendOutcome::ALL.iter().map(|outcome| vec![("outcome", outcome.as_str())]).collect()
}

pub(super) fn by_call() -> Vec<Labels> {
    pairs(("source", Source::ALL.map(Source::as_str)), ("outcome", CallOutcome::ALL.map(CallOutcome::as_str)))
}

pub(super) fn by_reason() -> Vec<Labels> {
    let labels = |reason: &Reason| vec![("reason", reason.as_str()), ("intentional", truth(reason))];
    Reason::ALL.iter().map(labels).collect()
}

pub(super) fn by_book() -> Vec<Labels> {
    [book::CHANGES, book::TELLINGS, book::ANSWERS, book::WRITE_BACKS]
        .iter()
        .map(|book| vec![("book", *book)])
        .collect()
}

pub(super) fn by_mark() -> Vec<Labels> {
    let marks = std::iter::once("delivered").chain(Mark::ALL.map(Mark::as_str));
    marks.map(|mark| vec![("mark", mark)]).collect()
}

pub(super) fn by_ending() -> Vec<Labels> {
    let changes = ["refused", "unmatched", "duplicate", "routed"].map(|ending| (book::CHANGES, ending));
    let untold = Reason::ALL.into_iter().map(|reason| reason.as_str());
    let tellings = std::iter::once("told").chain(untold).map(|ending| (book::TELLINGS, ending));
    let answers = AnswerEnding::ALL.map(|ending| (book::ANSWERS, ending.as_str()));
    let write_backs = ["confirmed", "refused", "dead"].map(|ending| (book::WRITE_BACKS, ending));
    let all = changes.into_iter().chain(tellings).chain(answers).chain(write_backs);
    all.map(|(book, ending)| vec![("book", book), ("ending", ending)]).collect()
}

/// `true` or `false`, as the label `intentional` has it.
pub(crate) const fn truth(reason: &Reason) -> &'static str {
    if reason.intentional() { "true" } else { "false" }
}

type Values<const N: usize> = (&'static str, [&'static str; N]);

fn pairs<const N: usize, const M: usize>(left: Values<N>, right: Values<M>) -> Vec<Labels> {
    let with = |value| right.1.map(|other| vec![(left.0, value), (right.0, other)]);
    left.1.into_iter().flat_map(with).collect()
}

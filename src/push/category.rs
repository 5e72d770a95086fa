//! Category: which buttons the app shows, out of the sets registered in it beforehand.
//!
//! | offered | category |
//! |---|---|
//! | nothing | `none` |
//! | acknowledge | `ack` |
//! | request_info, with or without acknowledge | `ack_info` |
//! | approve or reject, with or without acknowledge | `approve_reject_ack` |
//! | request_info with approve or reject | `approve_reject_info` |
//! | those and acknowledge | `approve_reject_ack_info` |
//! | follow_up, with or without approve, reject, acknowledge | `approve_reject_ack_follow` |
//!
//! An app cannot show a set it does not know, so the smallest category that holds all answers is taken.
//! Its other buttons are not offered: `data.actions` lists exactly what is, and an answer outside it is
//! refused. `follow_up` with `request_info` fits no set: there the set that holds most of them is taken.

use crate::event::notice::Verb::{self, Acknowledge, Approve, FollowUp, Reject, RequestInfo};

/// The seven sets, smallest first.
pub const CATEGORIES: [(&str, &[Verb]); 7] = [
    ("none", &[]),
    ("ack", &[Acknowledge]),
    ("ack_info", &[Acknowledge, RequestInfo]),
    ("approve_reject_ack", &[Approve, Reject, Acknowledge]),
    ("approve_reject_info", &[Approve, Reject, RequestInfo]),
    ("approve_reject_ack_info", &[Approve, Reject, Acknowledge, RequestInfo]),
    ("approve_reject_ack_follow", &[Approve, Reject, Acknowledge, FollowUp]),
];

/// The category for these answers.
#[must_use]
pub fn category(answers: &[Verb]) -> &'static str {
    let missing = |set: &[Verb]| answers.iter().filter(|verb| !set.contains(verb)).count();
    // `min_by_key` keeps the first of equals, and the smaller set stands first.
    CATEGORIES.iter().min_by_key(|(_, set)| missing(set)).map_or("none", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_set_that_holds_all_answers_is_taken() {
        for (answers, expected) in [
            (&[][..], "none"),
            (&[Acknowledge], "ack"),
            (&[RequestInfo], "ack_info"),
            (&[RequestInfo, Acknowledge], "ack_info"),
            (&[Approve], "approve_reject_ack"),
            (&[Approve, Reject], "approve_reject_ack"),
            (&[Reject, RequestInfo], "approve_reject_info"),
            (&[Approve, Reject, RequestInfo, Acknowledge], "approve_reject_ack_info"),
            (&[FollowUp], "approve_reject_ack_follow"),
            (&[Acknowledge, Approve, Reject, FollowUp], "approve_reject_ack_follow"),
            (&[RequestInfo, FollowUp], "ack_info"),
            (&Verb::ALL, "approve_reject_ack_info"),
        ] {
            assert_eq!(category(answers), expected, "{answers:?}");
        }
    }
}

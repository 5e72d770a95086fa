//! Table: which tests tell which story, so that none is forgotten and none is named that is not there.

use std::fs;
use std::path::Path;

/// A story by its number, what it is about, and the tests that tell it: file and name.
type Row = (u8, &'static str, &'static [(&'static str, &'static str)]);

const MEMORY: &str = "tests/stories/memory.rs";
const MUTES: &str = "tests/stories/mutes.rs";
const OWNERSHIP: &str = "tests/stories/ownership.rs";
const POISON: &str = "tests/stories/poison.rs";
const RELOAD: &str = "tests/reload.rs";
const SENDING: &str = "tests/stories/sending.rs";
const TIME: &str = "tests/stories/time.rs";
const WAITING: &str = "tests/stories/waiting.rs";
const DELIVERY: &str = "tests/exactness/delivery.rs";
const LANES: &str = "tests/exactness/lanes.rs";
const TALKS: &str = "tests/conversations.rs";
const CARRIED: &str = "tests/write_backs/lane.rs";

const TABLE: &[Row] = &[
    (
        1,
        "a timer-only transaction fences nobody",
        &[
            (OWNERSHIP, "story_01_a_timer_only_transaction_fences_nobody"),
            ("tests/broker/main.rs", "what_breaks_the_terms_is_refused_before_anything_is_written"),
            ("tests/broker/stalled.rs", "a_lane_that_stalled_is_refused_and_told_what_it_has_lost"),
        ],
    ),
    (
        2,
        "state and offset can disagree",
        &[
            (OWNERSHIP, "story_02_a_an_offset_seen_before_its_memory_makes_the_next_owner_wait"),
            (OWNERSHIP, "story_02_b_after_an_unknown_commit_every_partition_is_newly_assigned"),
            (OWNERSHIP, "story_02_c_a_group_that_forgot_its_offsets_goes_on_where_memory_says"),
        ],
    ),
    (
        3,
        "places in a bitmap must not leave the process",
        &[
            (MEMORY, "story_03_a_frame_names_the_same_people_to_whoever_read_them_in_another_order"),
            ("tests/tidy.rs", "places_stay_home"),
        ],
    ),
    (
        4,
        "keys without tenant and source",
        &[
            (MEMORY, "story_04_a_an_id_is_known_by_tenant_and_source"),
            (MEMORY, "story_04_b_no_request_holds_two_tenants_nor_staff_and_externals"),
            (LANES, "every_telling_owed_is_told_once_over_copies_and_aborts_and_new_owners"),
        ],
    ),
    (
        5,
        "the split of a refused batch outlives a crash",
        &[
            (SENDING, "story_05_a_a_split_is_decided_once_and_outlives_a_crash"),
            (SENDING, "story_05_b_a_batch_that_may_have_been_accepted_is_never_split"),
            (DELIVERY, "a_batch_that_may_have_arrived_before_a_crash_keeps_its_members"),
            (DELIVERY, "every_member_ends_in_one_receipt_and_nobody_is_told_under_two_ids"),
        ],
    ),
    (
        6,
        "a frame too large for one transaction",
        &[
            (SENDING, "story_06_a_a_frame_too_large_for_a_transaction_is_done_in_several"),
            (
                SENDING,
                "story_06_b_no_record_is_larger_than_a_broker_takes_and_what_is_too_large_alone_is_kept",
            ),
            (LANES, "a_crowd_is_told_in_batches_of_at_most_five_hundred"),
        ],
    ),
    (
        7,
        "one account that may not send",
        &[
            (DELIVERY, "an_account_that_may_not_send_makes_nobody_else_wait_and_survives_a_crash"),
            (DELIVERY, "of_an_account_that_stays_blocked_only_so_much_waits_and_the_rest_has_its_verdict"),
            (DELIVERY, "an_outage_fills_what_may_wait_and_then_the_partition_waits_and_nothing_is_lost"),
            (DELIVERY, "a_long_frame_behind_a_stuck_batch_is_neither_lost_nor_too_long_a_note"),
        ],
    ),
    (
        8,
        "retention eats undelivered work",
        &[
            (MEMORY, "story_08_a_log_that_begins_after_the_cursor_stops_its_lane_and_is_never_passed_over"),
            ("src/broker/names.rs", "a_finite_retention_between_lanes_is_refused"),
            ("tests/broker/main.rs", "a_position_whose_records_are_gone_is_a_loud_error"),
        ],
    ),
    (
        9,
        "a batch cut before somebody left, and two directories that disagree",
        &[
            (SENDING, "story_09_a_nobody_is_first_sent_what_was_decided_before_they_left"),
            (SENDING, "story_09_b_a_lane_waits_until_its_directory_has_come_as_far_as_the_one_before"),
            (SENDING, "story_09_c_a_directory_that_nobody_follows_holds_everything_back"),
            (SENDING, "story_09_d_a_batch_carries_the_directory_it_was_decided_with_and_not_that_of_its_cut"),
            (DELIVERY, "what_was_set_aside_unsent_does_not_reach_who_left_even_after_a_crash"),
        ],
    ),
    (
        10,
        "timers run ahead of unread input, and a close comes before its open",
        &[
            (TIME, "story_10_a_what_is_due_waits_for_what_is_unread"),
            (TIME, "story_10_b_what_was_closed_before_it_was_heard_of_is_never_told"),
            (TIME, "story_10_c_time_does_not_go_back_where_a_slower_clock_takes_over"),
            (
                "tests/memory.rs",
                "what_came_due_while_nobody_ran_is_told_once_and_what_was_done_meanwhile_is_not",
            ),
            (TALKS, "a_task_completed_before_it_was_heard_of_is_never_told"),
        ],
    ),
    (
        11,
        "ids that were heard do not fit a compacted topic",
        &[
            (MEMORY, "story_11_a_ids_that_were_heard_are_never_compacted"),
            (MEMORY, "story_11_b_a_copy_that_waited_out_an_outage_is_still_a_copy"),
            (MEMORY, "story_11_c_memory_is_kept_by_the_time_it_was_written"),
            ("src/flow/dedupe.rs", "a_copy_that_waited_out_an_outage_beside_its_original_is_still_a_copy"),
        ],
    ),
    (
        12,
        "the source lane is transactional, too",
        &[
            (OWNERSHIP, "story_12_the_source_lane_is_transactional_too"),
            ("tests/broker/transactions.rs", "a_transaction_that_nobody_ends_is_rolled_back_in_its_time"),
        ],
    ),
    (
        13,
        "a hash chain has one writer",
        &[
            (OWNERSHIP, "story_13_an_audit_chain_has_one_writer_and_goes_back_with_it"),
            ("tests/audit.rs", "the_chains_of_a_run_are_whole_and_a_record_put_in_is_named"),
        ],
    ),
    (
        14,
        "two topologies at once",
        &[
            (RELOAD, "two_versions_at_once_lose_nothing_while_they_differ"),
            (RELOAD, "an_instance_left_behind_never_puts_its_old_rules_in_force_again"),
            ("src/flow/progress.rs", "nothing_is_decided_by_older_rules_than_those_it_was_decided_by_before"),
        ],
    ),
    (
        15,
        "answers that are late, of another round or nobody's",
        &[
            ("tests/answers.rs", "a_button_decides_and_the_others_hear_of_it"),
            (TIME, "story_15_b_an_answer_is_for_the_round_it_was_asked_in"),
            (TIME, "story_15_c_where_nothing_is_known_any_more_no_answer_counts"),
            (TIME, "story_15_d_asked_is_who_holds_the_link_and_still_belongs"),
            (TIME, "story_15_e_two_answers_of_one_transaction_see_each_other"),
            (TALKS, "who_was_not_asked_or_may_not_decide_or_comes_from_another_round_is_refused"),
        ],
    ),
    (
        16,
        "what is held for a person outlives neither its reason nor its audience",
        &[
            (WAITING, "story_16_a_what_was_done_in_the_night_is_not_told_in_the_morning"),
            (WAITING, "story_16_b_told_once_never_becomes_told_never"),
            (WAITING, "story_16_c_a_text_is_written_once_and_goes_with_the_last_who_waits_for_it"),
            ("src/flow/person/texts.rs", "an_aborted_transaction_neither_brings_a_text_nor_takes_one"),
            ("src/flow/person/texts.rs", "counts_are_derived_from_what_points_to_a_text"),
        ],
    ),
    (
        17,
        "a poisoned item, and what is sent again",
        &[
            (POISON, "story_17_a_a_broken_record_is_kept_as_it_came_and_the_others_are_told"),
            (POISON, "story_17_b_a_frame_that_cannot_be_read_stops_its_partition_and_no_other"),
            (POISON, "story_17_c_what_is_sent_again_is_read_as_if_for_the_first_time_and_once"),
            (POISON, "story_17_d_what_one_rule_could_not_use_comes_again_for_that_rule_alone_and_once"),
            (POISON, "story_17_e_a_batch_that_was_refused_goes_out_again_under_its_id_and_the_books_close"),
            (
                POISON,
                "story_17_f_what_a_room_panics_on_harms_nothing_beside_it_and_is_not_known_when_it_comes_again",
            ),
            (
                POISON,
                "story_17_g_what_the_people_of_one_partition_could_not_be_told_comes_again_for_them_alone_and_once",
            ),
            (
                POISON,
                "story_17_h_where_it_is_not_kept_the_partition_stops_and_nothing_half_done_is_committed",
            ),
            (LANES, "a_frame_cut_or_damaged_anywhere_is_refused_with_no_trace_and_never_a_panic"),
        ],
    ),
    (
        18,
        "an answer whose carrying out nobody knows is not repeated blindly",
        &[
            (CARRIED, "an_answer_is_carried_out_only_after_it_was_written_down_that_it_is"),
            (CARRIED, "after_a_crash_it_is_only_looked_whether_it_was_carried_out"),
            (CARRIED, "what_nobody_knows_the_outcome_of_is_looked_after_and_not_done_again"),
            (CARRIED, "an_unguarded_system_is_not_asked_again_while_a_call_of_before_may_be_under_way"),
        ],
    ),
    (
        19,
        "a blocked parent and its children in other partitions",
        &[
            (MUTES, "story_19_a_a_blocked_parent_mutes_its_children_in_whichever_partition_they_are"),
            (MUTES, "story_19_b_who_decides_waits_until_it_knows_what_was_muted_when_it_was_read"),
            (MUTES, "story_19_c_a_silence_ends_in_its_time_and_is_never_taken_for_none"),
            ("src/store/mutes.rs", "two_that_block_the_same_are_two_until_both_are_gone"),
        ],
    ),
];

#[test]
fn a_story_has_its_tests_and_every_test_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(TABLE.iter().map(|row| row.0).eq(1..=19), "each story stands there once, in its order");
    for (story, about, tests) in TABLE {
        assert!(!tests.is_empty(), "story {story} ({about}) has no test");
        for (file, name) in *tests {
            let text = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(
                text.contains(&format!("fn {name}(")),
                "{file} has no `{name}` for story {story}: {about}"
            );
        }
    }
}

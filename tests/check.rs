//! `bugle check` names every fault of a folder at once, where it stands and what to write.

use std::path::{Path, PathBuf};

use bugle::cli::check::{Args, Output, report};
use bugle::topology::Paint;

fn check(folder: &str, output: Output) -> (String, u8) {
    let args = Args { folder: PathBuf::from(folder), schemas: None, output };
    report(&args, Paint::Plain).unwrap()
}

#[test]
fn ten_faults_of_ten_kinds_are_all_named_with_place_and_help() {
    let (text, code) = check("tests/fixtures/check/ten-faults", Output::Text);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r#"
    error[bad-audience]: `rol:` is no term
     --> tests/fixtures/check/ten-faults/bws.yaml:6:24
      |
    6 |     audience: owner || rol:data-steward
      |                        ^^^^
      |
      = help: write `role:`

    error[cannot-close]: `bws.task.completed` cannot close this rule: it has no field `milestone`
      --> tests/fixtures/check/ten-faults/bws.yaml:14:39
       |
    14 |     until: { kind: [bws.deadline.met, bws.task.completed] }
       |                                       ^^^^^^^^^^^^^^^^^^
       |
       = help: leave `bws.task.completed` out, or take `milestone` out of `subject`

    error[missing-locale]: message `nur-deutsch` has no text in `en`, the default locale
     --> tests/fixtures/check/ten-faults/devadmin.yaml:6:14
      |
    6 |     message: nur-deutsch
      |              ^^^^^^^^^^^
      |
      = help: add `en:` to `nur-deutsch` in topology/messages

    error[unknown-variable]: `xconnector.workflow.milestone` has no field `setp`
     --> tests/fixtures/check/ten-faults/messages/texts.yaml:3:61
      |
    3 |     title: "{{ event.flow_name | default('Workflow') }}: {{ event.setp }}"
      |                                                             ^^^^^^^^^^
      |
      = help: write `event.step`

    error[unknown-field]: unknown field `priorty` in a rule
     --> tests/fixtures/check/ten-faults/xconnector.yaml:7:5
      |
    7 |     priorty: high            # 1: a field that does not exist
      |     ^^^^^^^
      |
      = help: write `priority`

    error[unknown-kind]: no kind is called `xconnector.record.status_chnaged`
      --> tests/fixtures/check/ten-faults/xconnector.yaml:10:20
       |
    10 |     match: { kind: xconnector.record.status_chnaged }   # 2: a kind that does not exist
       |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write `xconnector.record.status_changed`

    error[bad-span]: `24 hours` is not a span such as 30s, 15m, 4h or 2d
      --> tests/fixtures/check/ten-faults/xconnector.yaml:20:12
       |
    20 |       for: 24 hours          # 3: a span that is none
       |            ^^^^^^^^
       |
       = help: write `24h`

    error[missing-null-check]: `event.due_at` may be absent here
     --> tests/fixtures/check/ten-faults/xecm.yaml:7:10
      |
    7 |       && event.due_at < timestamp("2026-01-05T09:00:00Z")
      |          ^^^^^^^^^^^^
      |
      = help: ask first: `event.due_at != null && …`

    error[duplicate-id]: a second rule is called `decide`; the first is at tests/fixtures/check/ten-faults/devadmin.yaml:3
      --> tests/fixtures/check/ten-faults/xecm.yaml:11:9
       |
    11 |   - id: decide
       |         ^^^^^^
       |
       = help: give it an id of its own

    error[missing-never]: who asked for `xecm.task.assigned` could approve it
      --> tests/fixtures/check/ten-faults/xecm.yaml:15:14
       |
    15 |     answers: [approve, reject]
       |              ^
       |
       = help: add `never: requester`

    10 faults in 5 files
    "#);
}

#[test]
fn a_file_that_is_no_yaml_hides_no_fault_of_another() {
    let (text, code) = check("tests/fixtures/check/not-yaml", Output::Json);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r#"
    {
      "faults": [
        {
          "code": "bad-audience",
          "column": 15,
          "file": "tests/fixtures/check/not-yaml/bws.yaml",
          "hint": "write `assignees`",
          "line": 5,
          "message": "`assignes` is no term"
        },
        {
          "code": "unknown-message",
          "column": 14,
          "file": "tests/fixtures/check/not-yaml/bws.yaml",
          "hint": "add `nothing:` to a file of topology/messages",
          "line": 6,
          "message": "no message is called `nothing`"
        },
        {
          "code": "not-yaml",
          "column": 20,
          "file": "tests/fixtures/check/not-yaml/xecm.yaml",
          "hint": "correct the indentation, quotes or brackets here; the rest of this file was not read",
          "line": 4,
          "message": "this is no YAML: mismatched bracket '[' closed by '}'"
        }
      ],
      "ok": false
    }
    "#);
}

#[test]
fn a_folder_without_rules_is_a_fault() {
    let (text, code) = check("tests/fixtures/check/nowhere", Output::Text);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r"
    error[no-rules]: no rules here: no `*.yaml`
     --> tests/fixtures/check/nowhere:1:1
      |
    1 |
      | ^
      |
      = help: name a folder with files such as topology/xecm.yaml

    1 fault in 1 file
    ");
}

#[test]
fn the_shipped_rules_serve_thirty_use_cases_and_pass() {
    assert!(Path::new("topology/xecm.yaml").exists());
    let (text, code) = check("topology", Output::Text);
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!(text, @r"
    40 rules for 30 use cases, 4 sources, 58 messages: all good

    Read but not carried out yet: cap, closed, escalate, inhibit, order, remind, repeat, stop, subject: each, tell: hold, tell: later, until, window: digest, window: latest-state, window: session, window: threshold, within, write_back.
      bw-1-item          tells at once; window: digest
      bw-2-approval      tells at once; within, write_back, until, closed
      bw-3-status        tells at once; order, window: latest-state
      bw-4-completeness  stays silent; tell: hold, stop, repeat, escalate, until
      bw-5-case          tells at once; escalate
      bw-6-deadline      stays silent; tell: later, remind, escalate, until, window: digest
      bw-7-next          tells at once; within
      bw-8-agreement     tells at once; repeat
      bw-8-incident      tells at once; repeat
      bw-8-notice        tells at once; repeat
      da-1-artifact      tells at once; window: digest
      da-2-failing       stays silent; subject: each, escalate, until, closed, window: threshold, inhibit
      da-2-broken        tells at once; subject: each, escalate, until, closed
      da-3-change        tells at once; repeat, escalate, until, closed
      da-4-partner       tells at once; window: latest-state
      da-4-desk          tells at once; window: latest-state
      da-5-credential    stays silent; tell: later, remind, escalate, until, closed, window: digest
      da-6-backlog       stays silent; escalate, until, closed, window: threshold
      da-6-breach        tells at once; escalate, until, closed
      da-7-work-item     tells at once; write_back, escalate, until
      xc-2-status        tells at once; order, window: latest-state
      xc-3-integration   tells at once; subject: each, escalate, until, closed, window: digest
      xc-4-customer      tells at once; cap
      xc-5-overdue       stays silent; tell: later, stop, remind, escalate, until
      xc-6-decide        tells at once; write_back, closed
      xc-7-segment       tells at once; window: digest, cap
      xc-8-process       stays silent; escalate, until, order, window: session
      ec-1-review        tells at once; within
      ec-1-stage         tells at once; within
      ec-2-expiry        stays silent; tell: later, remind, until, closed, window: digest
      ec-3-sla           stays silent; tell: later, escalate, until, closed
      ec-4-documents     tells at once; window: digest
      ec-5-published     tells at once; window: digest
      ec-6-access        stays silent; escalate, window: threshold
      ec-6-exception     tells at once; escalate
      ec-7-decide        tells at once; within, write_back, until, closed
    ");
}

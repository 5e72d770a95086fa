//! Check: `bugle check` names every fault of a folder at once, where it stands and what to write.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use bugle::cli::check::{Args, Output, SchemaOf, report};
use bugle::cli::registry_args::RegistryArgs;
use bugle::codec::{Name, Schemas, example, json};
use bugle::event::Source;
use bugle::topology::Paint;
use serde_json::Value as Json;

fn check(folder: &str, output: Output) -> (String, u8) {
    report(&args(Path::new(folder), output), Paint::Plain).unwrap()
}

fn args(folder: &Path, output: Output) -> Args {
    let (schemas, people, against, print_schema) = (None, None, None, None);
    let (sample, topic) = (None, None);
    let registry = RegistryArgs::default();
    Args {
        folder: folder.to_owned(),
        schemas,
        people,
        against,
        sample,
        topic,
        registry,
        print_schema,
        output,
    }
}

#[test]
fn ten_faults_of_ten_kinds_are_all_named_with_place_and_help() {
    let (text, code) = check("tests/fixtures/check/ten-faults", Output::Text);
    assert_eq!(code, 78);
    assert_eq!(text, include_str!("fixtures/check/ten-faults.txt"));
}

#[test]
fn every_fault_of_a_calendar_is_named() {
    let (text, code) = check("tests/fixtures/check/calendars", Output::Json);
    assert_eq!(code, 78);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let faults = report["faults"].as_array().unwrap().iter();
    let codes: Vec<&str> = faults.map(|fault| fault["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["no-calendar", "bad-date", "bad-hour", "duplicate-calendar"]);
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
    error[no-rules]: there is no such folder
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
    insta::assert_snapshot!(text, @"43 rules for 30 use cases, 4 sources, 62 messages, 5 mappings: all good");
}

/// A folder with one file of rules and one message for it.
fn codes(source: &str, rule: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("messages")).unwrap();
    let text = "m: { en: { title: A, body: B } }\n";
    std::fs::write(folder.path().join("messages/m.yaml"), text).unwrap();
    let rules = format!("source: {source}\nrules:\n{rule}");
    std::fs::write(folder.path().join("rules.yaml"), rules).unwrap();
    let (text, _) = report(&args(folder.path(), Output::Json), Paint::Plain).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let faults = report["faults"].as_array().unwrap().iter();
    let line = |fault: &serde_json::Value| {
        let part = |name: &str| fault[name].as_str().unwrap().to_owned();
        format!(
            "{}:{} {}: {} ({})",
            fault["line"],
            fault["column"],
            part("code"),
            part("message"),
            part("hint")
        )
    };
    faults.map(line).collect::<Vec<_>>().join("\n")
}

/// Ends of a rule, each with a fault or two.
const RESTS: &[&str] = &[
    "tell: later",
    "tell: hold 5 minuets",
    "escalate: [{ at: event.due, to: owner }]",
    "escalate: [{ at: event.task_name + 4h, to: assignees }, { at: soon, to: assignees }]",
    "remind: [{ before: event.due_at, at: [{ in: 1d }, { in: 24h }] }]",
    "remind: [{ after: event.due_at }]",
    "closed: { message: m, to: told }",
    "stop: { approve: all }",
    "window: { digest: { lead: true } }",
    "window: { session: { gap: 1h, longest: 5m }, by: [task] }",
    "window: { threshold: { value: event.seq, raise: '> \"x\"' } }",
    "window: { digest: { open: 5m }, session: { gap: 5m } }",
    "subject: { by: [task_id], eech: [node.id] }",
    "inhibit: { while: b }",
    "mutes: { rules: [b], equal: [node.id] }",
    "fallback: 'role:{site}', never: follower",
    "priority: urgent, answers: [aprove]",
    "repeat: { every: 1d, at: '25:00', most: 0 }",
    "message: n",
    "locale: en",
];

#[test]
fn what_no_single_field_can_know_is_a_fault() {
    let rule = |rest: &str| {
        format!(
            "  - {{ id: a, match: {{ kind: xecm.task.assigned }}, audience: assignees, message: m, {rest} }}\n"
        )
    };
    let said: Vec<String> =
        RESTS.iter().map(|rest| format!("{rest}\n{}", codes("xecm", &rule(rest)))).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    tell: later
    3:90 never-speaks: `tell: later` and nothing later: this rule never speaks (add `remind:` or `escalate:`)
    tell: hold 5 minuets
    3:95 bad-span: `5 minuets` is not a span such as 30s, 15m, 4h or 2d (write `5m`)
    escalate: [{ at: event.due, to: owner }]
    3:101 unknown-field: `xecm.task.assigned` has no field `event.due` (write `event.due_at`)
    3:116 no-relation: `xecm.task.assigned` has no owner (name a role, or one of its people: `assignees`, `initiator`, `manager`, `backup`)
    escalate: [{ at: event.task_name + 4h, to: assignees }, { at: soon, to: assignees }]
    3:101 wrong-type: `event.task_name` is a text, and an anchor is a time (start from a time such as `event.due_at`)
    3:146 bad-anchor: `soon` is no anchor (start from a time of the event such as `event.due_at`, or from `opened`, `told` or `last`)
    remind: [{ before: event.due_at, at: [{ in: 1d }, { in: 24h }] }]
    3:140 duplicate-rung: two rungs at 1d (keep one of the two)
    remind: [{ after: event.due_at }]
    3:93 missing-field: a reminder needs `at` or `every` (write `at: [{in: 3d}, {in: 1d}]` or `every: 24h`)
    closed: { message: m, to: told }
    3:103 never-closes: nothing closes this rule, so `closed` is never told (add `until:`, or an answer that stops `all`)
    stop: { approve: all }
    3:101 unoffered-answer: `stop` names `approve`, which is never offered (add `approve` to `answers`)
    window: { digest: { lead: true } }
    3:102 bad-window: a digest has one of `open` and `close` (write `open: 15m` or `close: "09:00"`)
    window: { session: { gap: 1h, longest: 5m }, by: [task] }
    3:123 bad-window: `longest` is shorter than `gap` (make `longest` the greater of the two)
    3:134 unknown-field: `xecm.task.assigned` has no field `task` (write `task_id`)
    window: { threshold: { value: event.seq, raise: '> "x"' } }
    3:135 wrong-type: a whole number cannot be compared with a text (compare it with a whole number)
    window: { digest: { open: 5m }, session: { gap: 5m } }
    3:92 bad-window: a window is of one kind (write one of `latest-state`, `digest`, `threshold` and `session`)
    subject: { by: [task_id], eech: [node.id] }
    3:110 unknown-field: unknown field `eech` in `subject` (write `each`)
    inhibit: { while: b }
    3:102 unknown-rule: no rule is called `b` (name the id of a rule)
    mutes: { rules: [b], equal: [node.id] }
    3:101 never-closes: nothing ends what this rule mutes (add `until:` with the kind that does)
    3:101 unknown-rule: no rule is called `b` (name the id of a rule)
    fallback: 'role:{site}', never: follower
    3:101 unknown-field: `xecm.task.assigned` has no field `site` (see the fields of Task in schemas/xecm.avsc)
    3:116 bad-audience: `follower` is no term (write `followers`)
    priority: urgent, answers: [aprove]
    3:94 unknown-word: `urgent` is none of `low`, `normal`, `high`, `critical` (write one of `low`, `normal`, `high`, `critical`)
    3:112 unknown-word: `aprove` is none of `approve`, `reject`, `acknowledge`, `request_info`, `follow_up` (write `approve`)
    repeat: { every: 1d, at: '25:00', most: 0 }
    3:109 bad-hour: `25:00` is no hour of the day (write it as `"09:00"`)
    3:124 wrong-type: `0` stands where a whole number from 1 should (write it as `most: 3`)
    message: n
    3:84 duplicate-field: `message` stands twice in a rule (keep one of the two)
    locale: en
    3:84 unknown-field: unknown field `locale` in a rule (see `bugle check --print-schema rules`, or `scenarios`, for all names)
    "#);
}

proptest::proptest! {
    /// Whatever is broken in a file, every fault has a place in it and can be shown.
    #[test]
    fn a_broken_file_is_never_a_panic(at in 0usize..9_000, length in 0usize..40, put in "[ -~äöü\\n]{0,6}") {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("messages")).unwrap();
        std::fs::create_dir(folder.path().join("mappings")).unwrap();
        let files = ["xecm.yaml", "messages/xecm.yaml", "mappings/workspace-rows.yaml"];
        for (name, from) in files.map(|name| (name, format!("topology/{name}"))) {
            let mut text = std::fs::read_to_string(from).unwrap();
            let floor = |text: &str, at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let at = at % text.len();
            let (start, end) = (floor(&text, at), floor(&text, at + length));
            text.replace_range(start..end, &put);
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let (text, code) = report(&args(folder.path(), Output::Text), Paint::Colour).unwrap();
        proptest::prop_assert!(code == 0 || text.contains(" fault"));
    }
}

/// What an expression, an anchor, an audience or a template is made of, one a line.
const WORDS: &str = include_str!("fixtures/check/words.txt");

/// Something that looks like one of them.
fn soup() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let words: Vec<&str> = WORDS.lines().collect();
    proptest::collection::vec(proptest::sample::select(words), 0..9).prop_map(|words| words.join(" "))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    /// Whatever stands where a rule, a message or a mapping has a language of its own.
    #[test]
    fn no_expression_is_a_panic(one in soup(), other in soup()) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let [one, other] = [one, other].map(|soup| serde_json::Value::from(soup).to_string());
        let rule = |number: usize, rest: String| {
            format!("  - {{ id: r{number}, match: {{ kind: xecm.task.assigned }}, message: m, {rest} }}\n")
        };
        let rules = [
            format!("audience: assignees, if: {one}"),
            format!("audience: {one}, never: {other}"),
            format!("audience: assignees, tell: {one}, expires: {other}"),
            format!("audience: assignees, escalate: [{{ at: {one}, to: {other} }}]"),
            format!("audience: assignees, remind: [{{ before: {one}, at: [{{ in: {other} }}] }}]"),
            format!("audience: assignees, window: {{ threshold: {{ value: {one}, raise: {other} }} }}"),
            format!("audience: assignees, answers: [acknowledge], stop: {{ acknowledge: {one} }}, subject: [{other}]"),
        ];
        let rules: String = rules.into_iter().enumerate().map(|(number, rest)| rule(number, rest)).collect();
        write("rules.yaml", format!("source: xecm\nrules:\n{rules}"));
        write("messages/m.yaml", format!("m: {{ en: {{ title: {one}, body: {other}, link: {one} }} }}\n"));
        let fields = format!("{{ event_id: {other}, state: {one}, seq: {{ from: {one}, table: {{ a: {other} }} }} }}");
        let mapping = format!("  - {{ id: a, when: {one}, kind: devadmin.business.event, fields: {fields} }}\n");
        write("mappings/m.yaml", format!("source: devadmin\nmappings:\n{mapping}"));
        let (text, code) = report(&args(folder.path(), Output::Text), Paint::Plain).unwrap();
        proptest::prop_assert!(code == 0 || text.contains(" fault"), "{}", text);
    }
}

#[test]
fn a_rule_of_another_system_or_without_a_kind_is_a_fault() {
    let rule = |wanted: &str| {
        codes("xecm", &format!("  - {{ id: A b, match: {{ {wanted} }}, audience: role:qa, message: m }}\n"))
    };
    let said = [
        "kind: bws.item.added",
        "kind: []",
        "severity: high",
        "kind: xecm.task.assigned, severity: hgih",
        "kind: xecm.task.assigned, due_at: soon",
    ]
    .map(rule);
    insta::assert_snapshot!(said.join("\n"), @r"
    3:11 bad-id: `A b` is no rule id (use lower-case letters, digits, `-`, `_` and `.`, at most 64)
    3:31 other-source: `bws.item.added` is not a kind of xecm (move the rule to topology/bws.yaml)
    3:11 bad-id: `A b` is no rule id (use lower-case letters, digits, `-`, `_` and `.`, at most 64)
    3:31 unreachable: no kind can reach `match` (name a kind: `kind: xecm.task.assigned`)
    3:11 bad-id: `A b` is no rule id (use lower-case letters, digits, `-`, `_` and `.`, at most 64)
    3:23 missing-field: `match` lacks `kind` (add `kind:`)
    3:11 bad-id: `A b` is no rule id (use lower-case letters, digits, `-`, `_` and `.`, at most 64)
    3:61 never-equal: `severity` is never `hgih` (write `high`)
    3:11 bad-id: `A b` is no rule id (use lower-case letters, digits, `-`, `_` and `.`, at most 64)
    3:51 wrong-type: `due_at` is a time and cannot be matched with this (write a condition: `if: event.due_at …`)
    ");
    insta::assert_snapshot!(codes("xcem", "  - id: a\n  - just text\n"), @r"
    1:1 unused: no rule says `m` (write `message: m` where it is to be said, or take it out)
    1:9 unknown-word: `xcem` is none of `xconnector`, `xecm`, `bws`, `devadmin` (write `xecm`)
    3:5 missing-field: a rule lacks `audience` (add `audience:`)
    3:5 missing-field: a rule lacks `match` (add `match:`)
    3:9 missing-field: a rule lacks `message` (add `message:`, a name of topology/messages)
    4:5 wrong-type: a text stands where a rule should (write it as `- { id: task-due, match: { kind: xecm.task.assigned }, audience: assignees, message: task-due }`)
    ");
}

/// Each file of the folder has the one fault its name tells; those of the messages, too.
#[test]
fn every_planted_fault_is_named_in_its_file_and_nothing_else_is() {
    let folder = "tests/fixtures/check/planted";
    let (text, code) = check(folder, Output::Text);
    assert_eq!(code, 78);
    let expected = Path::new("tests/fixtures/check/planted.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(expected, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(expected).unwrap());

    let (report, _) = check(folder, Output::Json);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for fault in report["faults"].as_array().unwrap() {
        *found.entry(fault["file"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let mut planted = Vec::new();
    for folder in [folder, &format!("{folder}/messages"), &format!("{folder}/mappings")] {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        planted.extend(files.filter(|path| path.is_file()).map(|path| path.display().to_string()));
    }
    assert!(planted.len() >= 40, "{}", planted.len());
    planted.sort();
    let named: Vec<String> = found.into_keys().collect();
    let sound = ["messages/news.yaml", "mappings/mapping-that-is-sound.yaml", "sound.yaml"];
    let sound = sound.map(|file| format!("{folder}/{file}"));
    planted.retain(|path| !sound.contains(path));
    assert_eq!(named, planted);
}

#[test]
fn what_no_rule_says_is_checked_by_itself_and_said_to_be_idle() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let said = |output| {
        let (text, code) = report(&args(folder.path(), output), Paint::Plain).unwrap();
        (text.replace(&folder.path().display().to_string(), "topology"), code)
    };
    write(
        "messages/m.yaml",
        "m: { en: { title: A, body: B } }\nfree: { en: { title: '{{ event.task_nam }}', body: '{{ event.seq | plural(one=\"# task\") }}' } }\n",
    );
    // Where a step cannot be read, what it says is said all the same.
    let rule = "  - { id: a, match: { kind: xecm.task.assigned }, audience: assignees, escalate: [{ at: soon, message: m }] }\n";
    write("rules.yaml", &format!("source: xecm\nrules:\n{rule}"));
    let (text, code) = said(Output::Github);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r##"
    ::error file=topology/messages/m.yaml,line=2,col=1,title=unused::no rule says `free`%0Ahint: write `message: free` where it is to be said, or take it out
    ::error file=topology/messages/m.yaml,line=2,col=26,title=unknown-variable::`any kind` has no field `task_nam`%0Ahint: write `event.task_name`
    ::error file=topology/messages/m.yaml,line=2,col=68,title=plural-form::`plural` lacks the form `other` of `en`%0Ahint: write `plural(one="# …", other="# …")`
    ::error file=topology/rules.yaml,line=3,col=11,title=missing-field::a rule lacks `message`%0Ahint: add `message:`, a name of topology/messages
    ::error file=topology/rules.yaml,line=3,col=83,title=missing-field::a step lacks `to`%0Ahint: add `to:`
    ::error file=topology/rules.yaml,line=3,col=89,title=bad-anchor::`soon` is no anchor%0Ahint: start from a time of the event such as `event.due_at`, or from `opened`, `told` or `last`
    "##);
    write("rules.yaml", "source: xecm\nrules: []\n");
    write("messages/m.yaml", "{}\n");
    insta::assert_snapshot!(said(Output::Github).0, @"::error file=topology/rules.yaml,line=2,col=8,title=no-rules::there is not a single rule here: nobody would ever be told anything%0Ahint: write one below `rules:`, such as `- { id: task-due, match: { kind: xecm.task.assigned }, audience: assignees, message: task-due }`");
    // What cannot be read may say it.
    write("rules.yaml", "source: xecm\nrules: [\n");
    write("messages/m.yaml", "m: { en: { title: A, body: B } }\n");
    let (text, _) = said(Output::Github);
    assert!(text.contains("not-yaml") && !text.contains("unused"), "{text}");
}

#[test]
fn a_folder_or_a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("messages"), "no folder").unwrap();
    std::fs::create_dir(path("rules.yaml")).unwrap();
    std::fs::create_dir(path("mappings")).unwrap();
    std::fs::write(path("mappings/odd.yaml"), b"source: \xff\n").unwrap();
    std::os::unix::fs::symlink("nowhere", path("gone.YAML")).unwrap();
    let (text, code) = report(&args(folder.path(), Output::Github), Paint::Plain).unwrap();
    assert_eq!(code, 78);
    insta::assert_snapshot!(text.replace(&folder.path().display().to_string(), "topology"), @r"
    ::error file=topology/gone.YAML,line=1,col=1,title=unreadable::this leads to no file%0Ahint: save it as UTF-8 text, readable by this user
    ::error file=topology/mappings/odd.yaml,line=1,col=1,title=unreadable::the file is no text in UTF-8%0Ahint: save it as UTF-8 text, readable by this user
    ::error file=topology/messages,line=1,col=1,title=unreadable::this is a file and no folder%0Ahint: make it a folder of `*.yaml` that this user may read
    ::error file=topology/rules.yaml,line=1,col=1,title=unreadable::this is a folder, and a file should be%0Ahint: save it as UTF-8 text, readable by this user
    ");
}

#[test]
fn what_keeps_everything_from_being_checked_is_told_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people.csv");
    std::fs::write(&people, "tenant,user_id,zone\nacme,ada,Europe/Berlyn\n,ben,\n").unwrap();
    let said = |output, change: &dyn Fn(&mut Args)| {
        let mut args = args(Path::new("topology"), output);
        change(&mut args);
        let (text, code) = report(&args, Paint::Plain).unwrap();
        assert_eq!(code, 78, "{text}");
        text.replace(&folder.path().display().to_string(), ".")
    };
    let with_people = |args: &mut Args| args.people = Some(people.clone());
    insta::assert_snapshot!(said(Output::Text, &with_people), @r"
    error[bad-people]: column `zone` (3): nobody knows the time zone `Europe/Berlyn`
     --> ./people.csv:2:1
      |
    2 | acme,ada,Europe/Berlyn
      | ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `Europe/Berlin`

    error[bad-people]: column `tenant`: it is empty
     --> ./people.csv:3:1
      |
    3 | ,ben,
      | ^^^^^
      |
      = help: write it, or give `--tenant`

    2 faults in 1 file
    ");
    insta::assert_snapshot!(said(Output::Github, &with_people), @r"
    ::error file=./people.csv,line=2,col=1,title=bad-people::column `zone` (3): nobody knows the time zone `Europe/Berlyn`%0Ahint: write `Europe/Berlin`
    ::error file=./people.csv,line=3,col=1,title=bad-people::column `tenant`: it is empty%0Ahint: write it, or give `--tenant`
    ");
    let report: Json = serde_json::from_str(&said(Output::Json, &with_people)).unwrap();
    assert_eq!((&report["ok"], &report["faults"][0]["line"]), (&false.into(), &2.into()));
    let nowhere = |args: &mut Args| args.schemas = Some("nowhere".into());
    insta::assert_snapshot!(said(Output::Github, &nowhere), @"::error title=unchecked::schema `nowhere`: No such file or directory (os error 2)");
    let report: Json = serde_json::from_str(&said(Output::Json, &nowhere)).unwrap();
    assert_eq!((&report["ok"], &report["faults"][0]["code"]), (&false.into(), &"unchecked".into()));
    let against = |args: &mut Args| args.against = Some("tests/fixtures/check/not-yaml".into());
    insta::assert_snapshot!(said(Output::Github, &against), @"::error title=unchecked::the rules in force, `tests/fixtures/check/not-yaml`, have 3 faults: tests/fixtures/check/not-yaml/bws.yaml:5:15: `assignes` is no term%0Ahint: name the folder that runs now, as it runs now");
}

#[test]
fn a_reader_that_has_read_enough_is_no_fault() {
    let people = "topology/scenarios/people.csv";
    for line in [
        &["check", "--print-schema", "rules"][..],
        &["check", "topology", "--output", "json"],
        &["completions", "bash"],
        &["directory", "show", "--people", people],
    ] {
        let mut bugle = Command::new(env!("CARGO_BIN_EXE_bugle"));
        let mut bugle = bugle.args(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(bugle.stdout.take());
        let ended = bugle.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""), "{line:?}");
    }
}

/// What a hint shows as the right form is one: it is taken at its place.
#[test]
fn every_form_that_a_hint_shows_can_be_read() {
    let asked = Args { print_schema: Some(SchemaOf::Rules), ..args(Path::new("topology"), Output::Text) };
    let schema: Json = serde_json::from_str(&report(&asked, Paint::Plain).unwrap().0).unwrap();
    let properties = schema["properties"]["rules"]["items"]["properties"].as_object().unwrap();
    let rule = |said: &str| {
        let own = ["match: { kind: xecm.task.assigned }", "audience: assignees", "message: m"];
        let key = said.split(':').next().unwrap();
        let own = own.into_iter().filter(|own| !own.starts_with(&format!("{key}:")));
        let parts: Vec<&str> = own.chain([said]).collect();
        codes("xecm", &format!("  - {{ id: a, {} }}\n", parts.join(", ")))
    };
    for name in properties.keys().filter(|name| *name != "id") {
        let wrong = rule(&format!("{name}: [[x]]"));
        let form = wrong.split_once("(write it as `").and_then(|(_, rest)| rest.split_once("`)"));
        let (form, _) = form.unwrap_or_else(|| panic!("{name}: no form in {wrong}"));
        let form = if form.starts_with('{') { format!("{name}: {form}") } else { form.to_owned() };
        assert!(form.starts_with(&format!("{name}: ")), "{name}: {form}");
        let said = rule(&form);
        let is_read = ["wrong-type", "empty-", "bad-span", "bad-hour", "unknown-word", "not-yaml"];
        assert!(!is_read.iter().any(|code| said.contains(code)), "{form}\n{said}");
    }
}

/// A schema registry that knows one of our schemas as id 7, and nothing else.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ours =
        serde_json::json!({ "schema": Schemas::built_in().text(Name::Events(Source::Xecm)) }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 2_048];
            let read = stream.read(&mut asked).unwrap();
            let is_known = String::from_utf8_lossy(&asked[..read]).starts_with("GET /schemas/ids/7 ");
            let (status, body) = if is_known {
                ("200 OK", ours.as_str())
            } else {
                ("404 Not Found", "{\"error_code\": 40403}")
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_sample_in_avro_is_read_by_the_schema_that_a_registry_has() {
    let schemas = Schemas::built_in();
    let event = example::event(&schemas, "xecm.task.assigned", example::MONDAY).unwrap();
    let framed = |id| json::to_avro(&schemas, &event).unwrap().framed(id);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.avro");
    let said = |id, registry: &[String]| {
        std::fs::write(&file, framed(id)).unwrap();
        let registry = RegistryArgs { urls: registry.to_vec(), ..RegistryArgs::default() };
        let args = Args { sample: Some(file.clone()), registry, ..args(Path::new("topology"), Output::Text) };
        let (text, code) = report(&args, Paint::Plain).unwrap();
        (text.replace(&folder.path().display().to_string(), "."), code)
    };
    let registry = [registry()];
    let (text, code) = said(7, &registry);
    assert!(
        code == 0 && text.starts_with("./event.avro in the topic of xecm: it is a change of ours"),
        "{text}"
    );
    let hint = "hint: name the registry that its publisher uses: `--registry URL`, or `registry.urls` in bugle.yaml\n";
    let letter = "./event.avro in any topic: a dead letter, unknown-schema";
    assert_eq!(said(8, &registry), (format!("{letter}: the registry does not know id 8\n{hint}"), 78));
    assert_eq!(said(7, &[]), (format!("{letter}: there is no registry to ask for id 7\n{hint}"), 78));
    let (text, code) = said(7, &["http://127.0.0.1:9".to_owned()]);
    assert!(
        code == 78
            && text.starts_with(&format!(
                "{letter}: schema id 7 cannot be asked for: schema registry http://127.0.0.1:9"
            )),
        "{text}"
    );
}

/// What `--sample` says of a payload.
fn sample(payload: &str, output: Output) -> (String, u8) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sample.json");
    std::fs::write(&file, payload).unwrap();
    let args = Args { sample: Some(file), ..args(Path::new("topology"), output) };
    let (text, code) = report(&args, Paint::Plain).unwrap();
    (text.replace(&folder.path().display().to_string(), "."), code)
}

#[test]
fn a_sample_is_shown_as_the_change_it_becomes() {
    let row = std::fs::read_to_string("topology/scenarios/payloads/workspace-row.json").unwrap();
    let (text, code) = sample(&row, Output::Text);
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r#"
    ./sample.json in the topic of bws: mapping `workspace-row-state` (topology/mappings/workspace-rows.yaml:6) makes of it
    {
      "actor": {
        "user_id": "tom.berger"
      },
      "data": {
        "stakeholders": [
          "sofia.rossi",
          "jonas.klein"
        ],
        "status_from": "Draft",
        "status_to": "In review"
      },
      "due_at": "2026-01-09T18:00:00.000Z",
      "entity": {
        "id": "20814",
        "type": "workspace",
        "version": "559"
      },
      "event_id": "workspaces/20814/24023128",
      "kind": "bws.workspace.status_changed",
      "occurred_at": "2026-01-05T09:00:00.000Z",
      "schema": 1,
      "seq": 24023128,
      "severity": "info",
      "source": "bws",
      "tenant": "acme",
      "workspace": {
        "id": "20814",
        "name": "Pier 7",
        "owner_user_id": "mara.weber"
      }
    }
    "#);
}

#[test]
fn a_sample_that_is_no_change_says_which_field_keeps_it_from_being_one() {
    let row = std::fs::read_to_string("topology/scenarios/payloads/workspace-row.json").unwrap();
    let (text, code) = sample(&row, Output::Json);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["ok"]), (0, &true.into()));
    assert_eq!(json["became"][0]["mapping"], "workspace-row-state");
    assert_eq!(json["became"][0]["change"]["data"]["status_to"], "In review");

    let nameless = row.replace("\"name\": \"Pier 7\", ", "");
    let (text, code) = sample(&nameless, Output::Text);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r"
    ./sample.json in the topic of bws: a dead letter, missing-field at `workspace.name`: nothing stands where a text should; mapping `workspace-row-state` takes it from `payload.after.name`
    hint: correct the path in the mapping, or give the field a `default`
    ");
    let (text, _) = sample(&nameless, Output::Json);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["became"][0]["fault"]["field"], "workspace.name");

    let read = row.replace("\"op\": \"u\"", "\"op\": \"r\"");
    insta::assert_snapshot!(sample(&read, Output::Text).0, @"./sample.json in the topic of bws: mapping `workspace-row-other` (topology/mappings/workspace-rows.yaml:31) skips it");
    insta::assert_snapshot!(sample("{\"a\": 1}", Output::Text).0, @r"
    ./sample.json in the topics of xconnector, bws, devadmin: a dead letter, unmapped: the mappings of xconnector are `oneteg-run-noise`, `oneteg-run`; the mappings of bws are `workspace-row-state`, `workspace-row-other`; the mappings of devadmin are `order-app-state`
    hint: add a mapping whose `when` it meets to a file of topology/mappings
    ");
    insta::assert_snapshot!(sample("<xml/>", Output::Text).0, @r"
    ./sample.json in any topic: a dead letter, bad-magic: it is neither Avro behind a zero byte and the id of its schema, nor a JSON object
    hint: check what sends it: Avro as a registry's serializer writes it, or JSON, in UTF-8 and without a mark before it, that a mapping of topology/mappings takes
    ");
}

/// The same bytes, read the same way by whoever is given a file: what is broken is not mended on the way.
#[test]
fn a_sample_is_read_byte_for_byte_in_the_way_of_the_lanes() {
    let first = |payload: &str| sample(payload, Output::Text).0.lines().next().unwrap().to_owned();
    let twice = r#"{"event": "flow.run.failed", "run": {"id": "a", "id": "b"}}"#;
    let large = format!(r#"{{"event": "flow.run.failed", "x": "{}"}}"#, "y".repeat(1024 * 1024));
    // A CloudEvent is one by what it says of itself, in whichever topic it fits.
    let example = example::event(&Schemas::built_in(), "devadmin.queue.backlog", example::MONDAY);
    let ours = example.unwrap().to_string();
    let cloud = |kind: &str| {
        let about = r#""time": "2026-01-05T09:00:00Z", "tenant": "acme", "subject": "queue/q""#;
        format!(r#"{{"specversion": "1.0", "id": "e", "type": "{kind}", {about}, "data": {ours}}}"#)
    };
    let said = [
        first(twice),
        first(&large),
        first(&cloud("devadmin.queue.backlog")),
        first(&cloud("com.acme.orders.lost")),
        first(&cloud("com.acme.orders.state-changed")),
        // And an event as `bugle publish` takes it is read as it would be published.
        first(&ours),
        first(r#"{"kind": "devadmin.queue.backlock"}"#),
        sample("{\"a\": 1}\n{\"event\": \"flow.run.started\"}", Output::Text).0,
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    ./sample.json in the topic of xconnector: a dead letter, duplicate-key: an object names a member twice: line 1, column 52
    ./sample.json in any topic: a dead letter, too-large: 1048613 bytes; at most 1048576 are read
    ./sample.json in the topic of devadmin: it is a change of ours
    ./sample.json in any topic: a dead letter, unknown-kind at `kind`: it is none of ours: `bugle schemas example` lists them
    ./sample.json in the topic of devadmin: a dead letter, missing-field at `entity.id`: nothing stands where a text should; mapping `order-app-state` takes it from `payload.data.order.number`
    ./sample.json in the topic of devadmin: it is a change of ours
    ./sample.json is no event that could be published in the topic of devadmin: unknown-kind at `kind`: it is none of ours: write `devadmin.queue.backlog`
    ./sample.json in the topics of xconnector, bws, devadmin: a dead letter, unmapped: the mappings of xconnector are `oneteg-run-noise`, `oneteg-run`; the mappings of bws are `workspace-row-state`, `workspace-row-other`; the mappings of devadmin are `order-app-state`
    hint: add a mapping whose `when` it meets to a file of topology/mappings
    ./sample.json in the topic of xconnector: mapping `oneteg-run-noise` (topology/mappings/oneteg-webhook.yaml:4) skips it
    ");
}

const PEOPLE: &str = "tenant,user_id,roles,site,business_unit,manager,locale
acme,ada,approver;manager,Hamburg Harbour,Operations/Harbour,,en
acme,ben,field-service,Kiel,Operations/Harbour,ada,de
";

fn beside(rules: &str, change: impl Fn(&mut Args)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("messages")).unwrap();
    std::fs::write(path("messages/m.yaml"), "m: { en: { title: A, body: B } }\n").unwrap();
    std::fs::write(path("rules.yaml"), rules).unwrap();
    std::fs::write(path("people.csv"), PEOPLE).unwrap();
    let mut args = args(folder.path(), Output::Text);
    change(&mut args);
    if args.people.is_some() {
        args.people = Some(path("people.csv"));
    }
    let (text, _) = report(&args, Paint::Plain).unwrap();
    text.replace(&folder.path().display().to_string(), "topology")
}

#[test]
fn a_name_nobody_in_the_directory_stands_under_is_a_fault() {
    let rules = "source: xecm
rules:
  - { id: a, match: { kind: xecm.task.assigned }, audience: role:aprover || assignees, message: m }
  - { id: b, match: { kind: xecm.task.assigned }, audience: 'role:field-service && location:\"Hamburg Harbour\"', message: m }
  - { id: c, match: { kind: xecm.task.assigned }, audience: assignees, fallback: 'role:approver', message: m }
  - { id: d, match: { kind: xecm.task.assigned }, audience: role:astronaut, message: m }
";
    let rules = rules.replace("\\\"", "\"");
    insta::assert_snapshot!(beside(&rules, |args| args.people = Some("people.csv".into())), @r#"
    error[nobody-known]: nobody holds role `aprover`
     --> topology/rules.yaml:3:66
      |
    3 |   - { id: a, match: { kind: xecm.task.assigned }, audience: role:aprover || assignees, message: m }
      |                                                                  ^^^^^^^
      |
      = help: write `approver`

    error[nobody]: nobody in the directory is meant by this
     --> topology/rules.yaml:4:61
      |
    4 |   - { id: b, match: { kind: xecm.task.assigned }, audience: 'role:field-service && location:"Hamburg Harbour"', message: m }
      |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: try it with `bugle audience EXPR --people topology/people.csv`, and widen it

    error[nobody-known]: nobody holds role `astronaut`
     --> topology/rules.yaml:6:66
      |
    6 |   - { id: d, match: { kind: xecm.task.assigned }, audience: role:astronaut, message: m }
      |                                                                  ^^^^^^^^^
      |
      = help: see `bugle directory show --people topology/people.csv` for the names there are

    3 faults in 1 file
    "#);
}

#[test]
fn a_change_that_would_leave_something_open_for_ever_is_a_fault() {
    let old = tempfile::tempdir().unwrap();
    std::fs::create_dir(old.path().join("messages")).unwrap();
    std::fs::write(old.path().join("messages/m.yaml"), "m: { en: { title: A, body: B } }\n").unwrap();
    let rule = |id: &str, rest: &str| {
        format!(
            "  - {{ id: {id}, match: {{ kind: xecm.task.assigned }}, audience: role:{id}, message: m, {rest} }}\n"
        )
    };
    let until = "until: { kind: xecm.task.completed }";
    let head = "source: xecm\nrules:\n";
    let before = [
        rule("subject", &format!("subject: [task_id], {until}")),
        rule("window", "window: { digest: { open: 5m } }"),
        rule("old-name", &format!("use_case: EC-1, {until}"))
            .replace("role:old-name", "role:legal")
            .replace("role:old-name", "role:legal"),
        rule("kept", until),
        "  - { id: forgets, match: { kind: xecm.task.assigned }, audience: assignees, message: m }\n"
            .to_owned(),
    ];
    std::fs::write(old.path().join("rules.yaml"), format!("{head}{}", before.concat())).unwrap();
    let after = [
        rule("subject", &format!("subject: [process_id], {until}")),
        rule("window", "window: { session: { gap: 5m } }"),
        rule("new-name", &format!("use_case: EC-1, {until}"))
            .replace("role:new-name", "role:legal")
            .replace("role:new-name", "role:legal"),
        rule("kept", &format!("priority: high, {until}")),
    ];
    let told =
        beside(&format!("{head}{}", after.concat()), |args| args.against = Some(old.path().to_owned()));
    insta::assert_snapshot!(told, @r#"
    error[orphans-state]: `subject` counts by other fields than before: what it has open would never be closed
     --> topology/rules.yaml:3:11
      |
    3 |   - { id: subject, match: { kind: xecm.task.assigned }, audience: role:subject, message: m, subject: [process_id], until: { kind: xec...
      |           ^^^^^^^
      |
      = help: give the changed rule a new id, and keep the old one until nothing of it is open

    error[orphans-state]: `window` gathers in another kind of window than before: what it has open would never be closed
     --> topology/rules.yaml:4:11
      |
    4 |   - { id: window, match: { kind: xecm.task.assigned }, audience: role:window, message: m, window: { session: { gap: 5m } } }
      |           ^^^^^^
      |
      = help: give the changed rule a new id, and keep the old one until nothing of it is open

    error[renamed]: `new-name` looks like `old-name` under another id: what that one has open would end as `rule_removed`
     --> topology/rules.yaml:5:11
      |
    5 |   - { id: new-name, match: { kind: xecm.task.assigned }, audience: role:legal, message: m, use_case: EC-1, until: { kind: xecm.task.c...
      |           ^^^^^^^^
      |
      = help: keep the id `old-name`

    3 faults in 1 file
    "#);
    let same =
        beside(&format!("{head}{}", before.concat()), |args| args.against = Some(old.path().to_owned()));
    assert!(same.contains("all good"), "{same}");
}

#[test]
fn faults_are_shown_beside_the_lines_of_a_pull_request() {
    let (text, code) = check("tests/fixtures/check/not-yaml", Output::Github);
    assert_eq!(code, 78);
    insta::assert_snapshot!(text, @r#"
    ::error file=tests/fixtures/check/not-yaml/bws.yaml,line=5,col=15,title=bad-audience::`assignes` is no term%0Ahint: write `assignees`
    ::error file=tests/fixtures/check/not-yaml/bws.yaml,line=6,col=14,title=unknown-message::no message is called `nothing`%0Ahint: add `nothing:` to a file of topology/messages
    ::error file=tests/fixtures/check/not-yaml/xecm.yaml,line=4,col=20,title=not-yaml::this is no YAML: mismatched bracket '[' closed by '}'%0Ahint: correct the indentation, quotes or brackets here; the rest of this file was not read
    "#);
    assert_eq!(check("topology", Output::Github), (String::new(), 0));
}

/// Every name that the shipped rules use is one that the schema knows, at its place.
#[test]
fn the_schema_for_editors_knows_every_field_the_shipped_rules_use() {
    let mut args = args(Path::new("topology"), Output::Text);
    args.print_schema = Some(SchemaOf::Rules);
    let (text, _) = report(&args, Paint::Plain).unwrap();
    let schema: Json = serde_json::from_str(&text).unwrap();
    let rule = &schema["properties"]["rules"]["items"];
    let properties = rule["properties"].as_object().unwrap();
    assert!(rule["additionalProperties"] == false && properties.len() > 30, "{}", properties.len());
    let kinds = schema.to_string();
    assert!(kinds.contains("xecm.task.assigned") && kinds.contains("devadmin.credential.expiring"));
    for name in properties.keys() {
        // What the schema offers, the reader takes: it may be wrong here, but it is known.
        let said = codes("xecm", &format!("  - {{ id: a, {name}: x }}\n"));
        assert!(!said.contains(&format!("unknown field `{name}`")), "{name}: {said}");
    }
    // And what the reader knows, the schema offers: the reader names all of it where a name is near none.
    let said = codes("xecm", "  - { id: a, x: x }\n");
    assert!(said.contains("unknown field `x`"), "{said}");
}

/// The words of a schema that ours use; what is not said is not asked.
fn fits(value: &Json, schema: &Json, root: &Json) -> Result<(), String> {
    let schema = match schema["$ref"].as_str() {
        Some(name) => root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name}")),
        None => schema,
    };
    let wrong = |what: &str| Err(format!("{value} is not {what}"));
    if let Some(all) = schema["allOf"].as_array() {
        all.iter().try_for_each(|one| fits(value, one, root))?;
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let faults: Vec<String> = any.iter().filter_map(|one| fits(value, one, root).err()).collect();
        if faults.len() == any.len() {
            return Err(faults.join(", nor: "));
        }
    }
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let types: Vec<&str> = types.iter().filter_map(Json::as_str).collect();
    if !types.is_empty() && !types.iter().any(|name| is(name)) {
        return wrong(&types.join(" or "));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return wrong("in the list");
    }
    if schema.get("const").is_some_and(|known| known != value) {
        return wrong(&schema["const"].to_string());
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{value} lacks {name}"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(schema), _) => fits(value, schema, root).map_err(|fault| format!("{name}: {fault}"))?,
            (None, Some(Json::Bool(false))) if !name.starts_with("extra.") => {
                return Err(format!("nothing knows {name}"));
            }
            (None, Some(schema)) => fits(value, schema, root).map_err(|fault| format!("{name}: {fault}"))?,
            (None, None) => {}
        }
    }
    let items = value.as_array().into_iter().flatten();
    items.filter(|_| schema.get("items").is_some()).try_for_each(|item| fits(item, &schema["items"], root))
}

/// An editor that goes by our schemas marks nothing in what is shipped.
#[test]
fn whatever_is_shipped_fits_the_schemas_for_editors() {
    for (of, folder) in [
        (SchemaOf::Rules, "topology"),
        (SchemaOf::Messages, "topology/messages"),
        (SchemaOf::Mappings, "topology/mappings"),
        (SchemaOf::Scenarios, "topology/scenarios"),
        (SchemaOf::Rules, "tests/fixtures/language"),
        (SchemaOf::Scenarios, "tests/fixtures/language/scenarios"),
    ] {
        let asked = Args { print_schema: Some(of), ..args(Path::new("topology"), Output::Text) };
        let schema: Json = serde_json::from_str(&report(&asked, Paint::Plain).unwrap().0).unwrap();
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml")) {
            let value: Json = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            fits(&value, &schema, &schema).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
        }
    }
}

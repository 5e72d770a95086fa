//! Scenarios: those that are shipped hold and reach every rule; one that is wrong says exactly how.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use bugle::cli::test::{Args, Output, report};
use bugle::event::Reason;
use bugle::topology::Paint;
use clap::Parser;
use serde_json::Value as Json;

/// `bugle test` with these arguments.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn ask(line: &str) -> (String, u8) {
    let args = Line::parse_from(["test"].into_iter().chain(line.split_whitespace())).args;
    report(&args, Paint::Plain).unwrap()
}

fn json(line: &str) -> Json {
    serde_json::from_str(&ask(&format!("{line} --output json")).0).unwrap()
}

/// Without how long it took.
fn timeless(text: &str) -> String {
    let line = |line: &str| {
        line.rsplit_once("; ").filter(|(_, took)| took.ends_with(" s")).map(|(rest, _)| rest.to_owned())
    };
    text.lines().map(|text| line(text).unwrap_or_else(|| text.to_owned())).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_shipped_scenario_holds_and_every_rule_speaks_in_one() {
    let (text, code) = ask("topology --min-coverage 100");
    assert_eq!(code, 0, "{text}");
    let run = json("topology");
    assert_eq!(run["coverage"]["rules"], run["coverage"]["rules_reached"]);
}

/// What a rule can say and no shipped rule says; the rules are named after the clauses they show.
#[test]
fn every_clause_of_the_language_holds_in_a_scenario_and_every_branch_is_reached() {
    let (text, code) = ask("tests/fixtures/language --min-coverage 100");
    assert_eq!(code, 0, "{text}");
}

#[test]
fn every_use_case_has_scenarios_in_a_file_named_after_it() {
    let run = json("topology");
    let scenarios = run["scenarios"].as_array().unwrap();
    for (system, count) in [("XC", 8), ("EC", 7), ("BW", 8), ("DA", 7)] {
        for number in 1..=count {
            let id = format!("{system}-{number}");
            let file = format!("topology/scenarios/{}.yaml", id.to_lowercase());
            let of_it: Vec<&Json> =
                scenarios.iter().filter(|scenario| scenario["use_case"] == id.as_str()).collect();
            assert!(
                !of_it.is_empty() && of_it.iter().all(|scenario| scenario["file"] == file.as_str()),
                "{id}"
            );
        }
    }
}

#[test]
fn the_scenario_shown_in_the_readme_is_one_that_is_shipped() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let shown = readme.split("```\n").find(|block| block.starts_with("  - name: ")).unwrap();
    assert!(std::fs::read_to_string("topology/scenarios/ec-3.yaml").unwrap().contains(shown));
}

#[test]
fn what_comes_otherwise_than_written_is_shown_line_by_line() {
    let (text, code) = ask("topology --scenarios tests/fixtures/scenarios/wrong");
    assert_eq!(code, 1);
    let text = timeless(text.split("rules spoke").next().unwrap());
    insta::assert_snapshot!(text.rsplit_once('\n').unwrap().0, @r#"
    FAIL  EC-4  another text, priority, locale, link and answers
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:10
            ec-4-safety -> paul.martin
            - text "Crane 5"
            + text "Safety at Lyon Depot: Crane 4 · Read it before you go on, and confirm."
            - locale de
            + locale en
            - answers [approve]
            + answers [acknowledge]
            - priority low
            + priority high
            - occasion closed
            + occasion first
            - link nowhere.example
            + link https://content.example.com/app/nodes/4711
            - app partner-portal
            + app bugle
    FAIL  EC-4  too many and too few
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:24
            - ec-4-safety -> mara.weber
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:22
            + ec-4-safety -> tom.berger "Safety at Hamburg Harbour: Crane 4 · Read it before you go on, and confirm." (first, en, high)
            lena.vogt is told, and must not be: ec-4-safety "Sicherheit, Hamburg Harbour: Crane 4 · Bitte vor der weiteren Arbeit lesen und bestätigen." (first, de, high)
    FAIL  EC-4  nothing expected
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:29
            + ec-4-safety -> lena.vogt "Sicherheit, Hamburg Harbour: Crane 4 · Bitte vor der weiteren Arbeit lesen und bestätigen." (first, de, high)
            + ec-4-safety -> tom.berger "Safety at Hamburg Harbour: Crane 4 · Read it before you go on, and confirm." (first, en, high)
    FAIL  EC-4  at another time
          2026-01-05 10:04  tests/fixtures/scenarios/wrong/wrong.yaml:38
            - ec-4-documents -> paul.martin
          2026-01-05 10:06  tests/fixtures/scenarios/wrong/wrong.yaml:40
            ec-4-documents -> paul.martin
            - at 2026-01-05 10:06
            + at 2026-01-05 10:05
    FAIL  EC-4  another verdict, answer, write-back and dead letter
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:46
            - verdict ec-4-safety first: capped ines.roth
            + verdict ec-4-safety first: nobody
          2026-01-05 10:00  tests/fixtures/scenarios/wrong/wrong.yaml:44
            - dead letter bad-utf8
          2026-01-05 10:01  tests/fixtures/scenarios/wrong/wrong.yaml:51
            paul.martin answers acknowledge
            - refused: closed
            + counts
          2026-01-05 10:01  tests/fixtures/scenarios/wrong/wrong.yaml:55
            - written back {"decision":"acknowledge","responder":{"user_id":"paul.martin"}}
          2026-01-05 10:02  tests/fixtures/scenarios/wrong/wrong.yaml:56
            mara.weber was told nothing that could be answered

    5 scenarios of 1 use case: 0 as written, 5 not
    "#);
}

/// Each fault in a line.
fn faults(line: &str) -> String {
    let shown = |fault: &Json| {
        let [message, hint] = ["message", "hint"].map(|name| fault[name].as_str().unwrap().to_owned());
        format!("{}:{} {message}; {hint}", fault["line"], fault["column"])
    };
    json(line)["faults"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_scenario_that_would_hold_whatever_the_rules_do_is_a_fault() {
    insta::assert_snapshot!(faults("topology --scenarios tests/fixtures/scenarios/hollow"), @r"
    4:11 this scenario expects nothing; add `told:` to a step; `told: []` means that nobody is told anything
    6:9 nothing stands in this step; remove it, or say what happens in it
    7:9 this step only lets time pass; say what comes of it: `told: []` means that nobody is told anything meanwhile
    9:12 this scenario has no steps; write what happens, and what comes of it
    11:10 this scenario has no steps; write what happens, and what comes of it
    12:11 this scenario expects nothing; add `told:` to a step; `told: []` means that nobody is told anything
    18:9 nothing has happened so far that anybody could hear of; write a step with an `event` or a `payload` before it
    24:13 nothing is said here; write who is told, or `[]` where nobody is
    25:19 nobody is named here; write who is not told
    26:19 no verdict is named here; write one, such as `{ rule: …, reason: nobody }`
    27:22 every write-back holds nothing; write what it holds, such as `{ decision: approve }`
    28:21 nothing is said here; write the codes of the dead letters, or `[]` where there are none
    29:41 nobody is named here; write who is meant
    29:51 an empty text says nothing; write a text, or take it out
    29:61 an empty text says nothing; write a text, or take it out
    29:110 no text is named here; write some of its words, or leave it out
    30:45 nobody is named here; write who is meant
    31:65 nobody is named here; write who is meant
    32:20 nobody is named here; write who is otherwise in the directory, and how
    33:18 no members are named here; write whose members are others now
    34:30 this names nothing to be silenced; write matchers such as `rule=ec-3-sla`
    38:9 it happens once; add `times:` and how often it happens
    39:16 this is before 2026-01-05 10:00, when the step happens; write a later time, or a span such as `4h`
    41:9 nothing happens here so often; add an `event` or a `payload`, or remove it
    42:15 no event is named for this; add `event:` and a kind
    44:18 no answer is given; add `answer:` and `by:`
    ");
}

#[test]
fn every_fault_of_a_scenario_is_told_at_once_where_it_stands() {
    let faulty = "topology --scenarios tests/fixtures/scenarios/faulty";
    let (text, code) = ask(faulty);
    assert_eq!(code, 78);
    assert!(
        text.starts_with("error[unknown-use-case]: no rule serves the use case `EC-44`\n --> tests/"),
        "{text}"
    );
    insta::assert_snapshot!(faults(faulty), @r"
    1:11 no rule serves the use case `EC-44`; write `EC-4`
    3:7 nobody knows the zone `Europe/Berlyn`; write it as `Europe/Berlin`
    4:10 a text stands where a map of tenants should; write a map of tenants
    7:5 unknown field `stepps` in a scenario; write `steps`
    8:12 `soon` is no time; write a time such as `2026-01-05 16:00`, `16:00` or `2026-01-05T15:00:00Z`
    9:24 `workspace` is no scope; write it as `workspace/20814`; there are workspace, process, app, record
    9:44 `mara.webber` is nobody in the directory of tenant `acme`; write `mara.weber`
    9:69 `folder/7` is no scope; write it as `workspace/20814`; there are workspace, process, app, record
    10:17 unknown field `activ`, expected one of `tenant`, `user_id`, `active`, `display_name`, `roles`, `location`, `business_unit`, `manager`, `deputies`, `absent`, `absent_from`, `absent_until`, `locale`, `zone`, `party`, `channels`, `device_zone`, `quiet_from`, `quiet_to`, `muted`, `known_as`; write them as a line of people.jsonl has them
    12:16 `xecm.document.availabel` is no kind; write `xecm.document.available`
    14:17 an event like this has no field `dok_kind`; write `doc_kind`
    14:35 an event like this has no field `node.nam`; write `node.name`
    14:60 `noon` is no time; write a time such as `2026-01-05 16:00`, `16:00` or `2026-01-05T15:00:00Z`, or a distance such as `+4h`
    15:9 unknown field `when` in a step; see `bugle check --print-schema rules`, or `scenarios`, for all names
    16:16 this is no event: bad-enum at `doc_kind`: it is none of job, safety, incident, instruction, other; compare it with `bugle schemas example xecm.document.available`
    18:9 this step only lets time pass; say what comes of it: `told: []` means that nobody is told anything meanwhile
    18:13 a step has one of `at` and `after`; remove one of the two
    20:9 this step only lets time pass; say what comes of it: `told: []` means that nobody is told anything meanwhile
    20:13 this is before 2026-01-05 10:00, where the step before ended; write the steps in the order of time
    21:17 `aprove` is none of `approve`, `reject`, `acknowledge`, `request_info`, `follow_up`; write `approve`
    23:17 nobody answers; add `by:` and a person
    24:13 no answer is given; add `answer:` and what they answer
    25:23 `sleeps` is nothing a push service does; write `takes`, `unavailable`, `blocks`, `unclear` or `{ refuses: CODE }`
    27:21 no rule is called `ec-4-safty`; write `ec-4-safety`
    27:37 `lena.voigt` is nobody in the directory of tenant `acme`; write `lena.vogt`
    28:59 `urgent` is none of `low`, `normal`, `high`, `critical`; write one of `low`, `normal`, `high`, `critical`
    28:77 `second` is no occasion; write `first`, `reminder-1`, `step-1` or `closed`
    29:20 who is not told lacks `to`; add `to:`
    30:49 `caped` is no reason; write `capped`
    31:22 a text stands where a map of what the write-back holds should; write a map of what the write-back holds
    32:11 a second scenario is called `everything is wrong`; the first is at tests/fixtures/scenarios/faulty/faulty.yaml:6; give it a name of its own
    32:11 this scenario expects nothing; add `told:` to a step; `told: []` means that nobody is told anything
    34:19 `no-such-folder` cannot be read: No such file or directory (os error 2); name a folder or file with rules, or `{ rules: { ID: … } }`; it lies beside the scenarios
    35:19 no rule is called `ec-4-safty`; write `ec-4-safety`
    35:63 unknown field `mesages` in a reload; write `messages`
    36:19 these rules would be refused: topology/xecm.yaml: `urgent` is none of `low`, `normal`, `high`, `critical`; write one of `low`, `normal`, `high`, `critical`
    37:19 these rules would be refused: topology/bws.yaml: `bw-2-approval` counts by other fields than before: what it has open would never be closed; give the changed rule a new id, and keep the old one until nothing of it is open
    38:19 nothing is otherwise; write `rules:` and, under a rule's id, what changes in it
    39:19 `7` stands where a folder or file with rules, or `{ rules: { ID: … } }` should; write a folder or file with rules, or `{ rules: { ID: … } }`
    ");
}

#[test]
fn coverage_names_what_no_scenario_reached_and_can_be_asked_for() {
    let wrong = "topology --scenarios tests/fixtures/scenarios/wrong";
    let (text, _) = ask(wrong);
    let missed = text.split("not reached:\n").nth(1).unwrap();
    let branch = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(missed.lines().any(|line| branch(line) == "ec-3-sla step at event.due_at + 4h"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.yaml"), ONE).unwrap();
    let one = format!("topology --scenarios {}", folder.path().display());
    assert_eq!(ask(&one).1, 0);
    let (text, code) = ask(&format!("{one} --min-coverage 50"));
    assert_eq!(code, 1);
    assert!(text.contains("that is less than the 50 % asked for"), "{text}");
}

const ONE: &str = "
people: [{ user_id: ada, roles: [field-service], location: { site: P1 } }]
scenarios:
  - name: a form reaches its site
    steps:
      - event: xecm.document.available
        with: { doc_kind: safety, site: P1 }
        told: [{ rule: ec-4-safety, to: ada }]
";

/// The built program, as somebody at a terminal leaves it running.
#[test]
fn a_watched_folder_is_played_again_when_a_file_of_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.yaml");
    std::fs::write(&file, ONE).unwrap();
    let mut watching = Command::new(env!("CARGO_BIN_EXE_bugle"))
        .args(["test", "topology", "--watch", "--scenarios"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
    let until = |words: &str| {
        while !said.recv_timeout(Duration::from_secs(60)).unwrap().contains(words) {}
    };
    until("1 as written, 0 not");
    until("watching topology");
    std::fs::write(&file, ONE.replace("to: ada", "to: [ada], priority: low")).unwrap();
    until("0 as written, 1 not");
    // Many an editor writes another file and gives it the name of the first.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("saved"), ONE).unwrap();
    std::fs::rename(other.path().join("saved"), &file).unwrap();
    until("1 as written, 0 not");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn the_result_is_written_as_junit_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bugle.xml");
    ask(&format!("topology --scenarios tests/fixtures/scenarios/wrong --junit {}", file.display()));
    let xml = std::fs::read_to_string(&file).unwrap();
    let named = "<testsuites name=\"bugle\" tests=\"5\" failures=\"5\"";
    assert!(
        xml.contains(named) && xml.contains("&quot;") && xml.trim_end().ends_with("</testsuites>"),
        "{xml}"
    );
    assert_eq!(xml.matches("<failure").count(), 5);
}

/// Where a reason is shown that no scenario gives: the push service or a size has to be otherwise than it is there.
const SHOWN_ELSEWHERE: [(Reason, &str, &str); 4] = [
    (Reason::NoDevice, "tests/push_faults.rs", "suppressed[\"no_device\"]"),
    (Reason::AccountBlocked, "tests/exactness/delivery.rs", "Reason::AccountBlocked"),
    (Reason::TooLarge, "tests/stories/sending.rs", "Fate::TooLarge"),
    (Reason::Unknown, "tests/exactness/delivery.rs", "Reason::Unknown"),
];

#[test]
fn every_reason_of_the_closed_list_ends_a_telling_somewhere() {
    let scenarios =
        ["topology/scenarios", "tests/fixtures/language/scenarios"].into_iter().flat_map(|folder| {
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        });
    let told: String = scenarios.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    // What comes in somebody's quiet hours is told after them, or has expired by then: nothing ends by them.
    for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::QuietHours) {
        let word = format!("reason: {}", reason.as_str());
        let is_whole = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let in_scenario = told.split(&word).skip(1).any(is_whole);
        let elsewhere = SHOWN_ELSEWHERE.iter().find(|(known, ..)| *known == reason);
        let in_test =
            elsewhere.is_some_and(|(_, file, text)| std::fs::read_to_string(file).unwrap().contains(text));
        assert!(in_scenario || in_test, "nothing ever ends as {}", reason.as_str());
    }
}

/// One line of people is wrong: that is one fault, however many scenarios are about those people.
#[test]
fn a_bad_line_of_people_is_told_once_and_written_as_junit_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("people.csv"), "tenant,user_id,zone\nacme,mara.weber,Europe/Berlyn\n").unwrap();
    let scenario = |name: &str| {
        format!(
            "  - name: {name}\n    steps: [{{ event: xecm.document.available, not_told: [{{ to: mara.weber }}] }}]\n"
        )
    };
    std::fs::write(path("one.yaml"), format!("scenarios:\n{}{}", scenario("one"), scenario("two"))).unwrap();
    std::fs::write(path("other.yaml"), format!("scenarios:\n{}", scenario("three"))).unwrap();
    let xml = path("junit.xml");
    let line = format!("topology --scenarios {} --junit {}", folder.path().display(), xml.display());
    let here = |text: &str| text.replace(&folder.path().display().to_string(), ".");
    let (text, code) = ask(&line);
    assert_eq!(code, 78);
    insta::assert_snapshot!(here(&text), @r"
    error[bad-people]: column `zone` (3): nobody knows the time zone `Europe/Berlyn` (3 scenarios cannot be played without)
     --> ./people.csv:2:1
      |
    2 | acme,mara.weber,Europe/Berlyn
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `Europe/Berlin`

    1 fault; nothing was played
    ");
    insta::assert_snapshot!(here(&std::fs::read_to_string(&xml).unwrap()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="bugle" tests="1" failures="0" errors="1" time="0.000">
      <testsuite name="./people.csv" tests="1" errors="1" time="0.000">
        <testcase classname="./people.csv" name="2:1 bad-people" file="./people.csv" line="2" time="0.000">
          <error message="column `zone` (3): nobody knows the time zone `Europe/Berlyn` (3 scenarios cannot be played without)" type="bad-people">write `Europe/Berlin`</error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);

    let args = format!("topology --schemas nowhere --junit {}", xml.display());
    let args = Line::parse_from(["test"].into_iter().chain(args.split_whitespace())).args;
    assert!(report(&args, Paint::Plain).is_err());
    insta::assert_snapshot!(std::fs::read_to_string(&xml).unwrap(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="bugle" tests="1" failures="0" errors="1" time="0.000">
      <testsuite name="bugle test" tests="1" errors="1" time="0.000">
        <testcase classname="bugle test" name="everything" time="0.000">
          <error message="schema `nowhere`: No such file or directory (os error 2)" type="unplayed"></error>
        </testcase>
      </testsuite>
    </testsuites>
    "#);
}

#[test]
fn a_filter_that_nothing_fits_is_told() {
    let args = Args { filter: Some("XC-99".to_owned()), ..Line::parse_from(["test"]).args };
    let failure = report(&args, Paint::Plain).unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (2, "no scenario holds `XC-99`"));
    let missing = Args {
        folder: Path::new("tests").to_owned(),
        output: Output::Text,
        ..Line::parse_from(["test"]).args
    };
    assert_eq!(report(&missing, Paint::Plain).unwrap().1, 78);
}

#[test]
fn business_time_counts_the_hours_of_work_of_a_place() {
    let (text, code) = ask("tests/fixtures/business");
    assert_eq!(code, 0, "{text}");
}

/// Rules that tell one person of every document, and once more later.
fn rules(folder: &Path, person: &str) {
    std::fs::create_dir_all(folder.join("messages")).unwrap();
    let rule = "source: xecm\nrules:\n  - id: papers\n    match: { kind: xecm.document.available }\n    message: paper";
    let step = "escalate: [{ at: told + 1h, to: 'person:cy' }]";
    let rule = format!("{rule}\n    audience: person:{person}\n    {step}\n");
    std::fs::write(folder.join("xecm.yaml"), rule).unwrap();
    let text = "paper: { en: { title: 'A paper', body: x } }\n";
    std::fs::write(folder.join("messages/xecm.yaml"), text).unwrap();
}

const SWITCHED: &str = "
people: [{ user_id: ada }, { user_id: ben }, { user_id: cy }]
scenarios:
  - name: rules come from a folder, a file, and from what is otherwise
    steps:
      - event: xecm.document.available
        told: [{ rule: papers, to: ada }]
      - topology: ../../other
      - event: xecm.document.available
        with: { entity.id: '2' }
        told: [{ rule: papers, to: ben }]
      - topology: { rules: { papers: { escalate: null, audience: 'person:cy' }, more: { match: { kind: xecm.document.available }, news: [event_id, kind], audience: 'person:ben', message: more } }, messages: { more: { en: { title: More, body: x } } } }
      - event: xecm.document.available
        with: { entity.id: '3' }
        told: [{ rule: papers, to: cy }, { rule: more, to: ben, text: More }]
      # Another step would come now, and is told by no rule any more.
      - after: 2h
        verdicts: [{ rule: papers, reason: rule_removed }]
      - topology: files/xecm.yaml
      - event: xecm.document.available
        with: { entity.id: '4' }
        told: [{ rule: papers, to: ada }]
      - after: 30m
        topology: ..
      - after: 30m
        told: [{ rule: papers, to: cy }]
";

#[test]
fn rules_are_switched_to_those_of_a_folder_a_file_or_what_is_otherwise() {
    let all = tempfile::tempdir().unwrap();
    let (here, files) = (all.path().join("here"), all.path().join("here/scenarios/files"));
    rules(&here, "ada");
    rules(&all.path().join("other"), "ben");
    rules(&files, "ada");
    std::fs::write(here.join("scenarios/one.yaml"), SWITCHED).unwrap();
    let (text, code) = ask(&here.display().to_string());
    assert_eq!(code, 0, "{text}");
    // What another version of a rule says counts for the branch of the same name.
    assert!(text.contains("1 of 1 rules spoke; 2 of 2 branches reached"), "{text}");
}

#[test]
fn two_scenarios_of_one_name_are_refused_with_both_places() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.yaml", "b.yaml"] {
        std::fs::write(folder.path().join(name), ONE).unwrap();
    }
    let (text, code) = ask(&format!("topology --scenarios {}", folder.path().display()));
    assert_eq!(code, 78);
    let [first, second] = ["a", "b"].map(|name| format!("{}/{name}.yaml:4", folder.path().display()));
    let fact = format!("a second scenario is called `a form reaches its site`; the first is at {first}");
    assert!(text.contains(&fact) && text.contains(&second), "{text}");
}

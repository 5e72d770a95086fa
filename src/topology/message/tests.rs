//! Tests: messages, cut and filled.

use super::super::fault::Faults;
use super::*;
use crate::event::{Field, FieldType, Shape, Source, Timestamp, Value};

fn reader(zone: &str) -> Reader<'_> {
    Reader { zone, now: Timestamp::from_millis(MONDAY), ..Reader::default() }
}

fn shape() -> Shape {
    let field = |path: &str, ty, optional| Field {
        path: path.to_owned(),
        ty,
        optional,
        default: None,
        relation: None,
        doc: String::new(),
    };
    let fields = vec![
        field("node.name", FieldType::Text, false),
        field("due_at", FieldType::Time, true),
        field("entity.url", FieldType::Text, true),
        field("amount", FieldType::Double, false),
        field("assignees", FieldType::Texts, false),
        field("expires_on", FieldType::Date, false),
    ];
    Shape::new(Source::Xecm, "Task".to_owned(), vec!["xecm.task.assigned".to_owned()], fields)
}

fn load(text: &str) -> (Vec<Message>, Faults) {
    let sheet = Arc::new(Sheet { path: "topology/messages/a.yaml".to_owned(), text: text.to_owned() });
    let mut faults = Faults::default();
    let messages = read(&sheet, &mut BTreeSet::new(), &mut faults);
    for message in &messages {
        check(message, &shape(), &mut faults);
    }
    (messages, faults)
}

fn one(text: &str) -> Message {
    let (mut messages, faults) = load(text);
    assert!(faults.is_empty(), "{:#?}", faults.sorted());
    messages.remove(0)
}

fn values(name: &str, due: Option<i64>) -> Vec<(&str, Value<'_>)> {
    vec![
        ("amount", Value::Double(1234.5)),
        ("due_at", due.map_or(Value::Null, |at| Value::Time(Timestamp::from_millis(at)))),
        ("entity.url", Value::Text("https://cs.example/app/4711".into())),
        ("node.name", Value::Text(name.into())),
    ]
}

const APPROVAL: &str = "
approval:
  en:
    title: 'Approval needed: {{ event.node.name }}'
    body: '{{ event.node.name }} is due {{ event.due_at | datetime | default(\"soon\") }}, {{ event.amount | number }}.'
    link: '{{ event.entity.url }}'
  de:
    title: 'Bitte freigeben: {{ event.node.name }}'
    body: '{% if event.due_at %}Bis {{ event.due_at | date }}{% else %}Bald{% endif %}'
";

const MONDAY: i64 = 1_767_603_600_000; // 2026-01-05T09:00:00Z

#[test]
fn equal_expressions_share_an_insert_and_the_rest_is_template() {
    let message = one(APPROVAL);
    assert_eq!(message.variables(), ["amount", "due_at", "entity.url", "node.name"]);
    let cut = message.cut("en");
    assert_eq!(
        (cut.title.as_str(), cut.summary.as_str()),
        ("Approval needed: {{1}}", "{{1}} is due {{2}}, {{3}}.")
    );
    assert_eq!((cut.link.as_deref(), cut.zone_matters), (Some("{{4}}"), true));
    let of_monday = values("Contract", Some(MONDAY));
    let inserts = cut.inserts(&of_monday, reader("Europe/Berlin"), &Links::anywhere()).unwrap();
    assert_eq!(inserts, ["Contract", "5 Jan 2026, 10:00", "1,234.50", "https://cs.example/app/4711"]);
    assert_eq!(cut.inserts(&values("Contract", None), reader("UTC"), &Links::anywhere()).unwrap()[1], "soon");
}

#[test]
fn a_locale_falls_back_to_its_language_then_to_english() {
    let message = one(APPROVAL);
    for (asked, got) in
        [("de-CH", "de"), ("de", "de"), ("fr", "en"), ("en-GB", "en"), ("DE-at", "de"), ("", "en")]
    {
        assert_eq!(message.cut(asked).locale, got, "{asked}");
    }
    let german = message.cut("de");
    assert_eq!(german.summary, "{{2}}");
    assert_eq!(
        german.inserts(&values("x", Some(MONDAY)), reader("UTC"), &Links::anywhere()).unwrap(),
        ["x", "Bis 05.01.2026"]
    );
    assert_eq!(german.inserts(&values("x", None), reader("UTC"), &Links::anywhere()).unwrap()[1], "Bald");
}

#[test]
fn a_long_name_is_cut_so_that_title_and_summary_fit() {
    let message = one(APPROVAL);
    let cut = message.cut("en");
    let long = "Vertrag ".repeat(80);
    let values = values(&long, Some(MONDAY));
    let inserts = cut.inserts(&values, reader("UTC"), &Links::anywhere()).unwrap();
    assert_eq!("Approval needed: ".chars().count() + inserts[0].chars().count(), 120);
    assert!(inserts[0].ends_with('…'));
}

#[test]
fn event_text_is_never_template_source_nor_a_link_of_another_kind() {
    let message = one(APPROVAL);
    let mut values = values("{{ event.amount }}\u{202e}{% x %}{{2}}", None);
    values[2].1 = Value::Text("javascript:alert(1)".into());
    let inserts = message.cut("en").inserts(&values, reader("UTC"), &Links::anywhere()).unwrap();
    assert_eq!(inserts[0], "{ { event.amount } }{% x %}{ {2} }");
    assert_eq!(inserts[3], "");
}

#[test]
fn a_field_inside_a_link_is_escaped() {
    let message = one("m:\n  en: {title: t, body: b, link: 'https://x.example/?q={{ event.node.name }}'}\n");
    let values = values("a b&c", None);
    let inserts = message.cut("en").inserts(&values, reader("UTC"), &Links::anywhere()).unwrap();
    assert_eq!(inserts, ["a%20b%26c"]);
}

#[test]
fn a_link_to_an_unknown_host_is_left_out_and_so_is_one_that_is_too_long() {
    let message = one(APPROVAL);
    let links = Links::to(["cs.example"]);
    let link = |address: &str, links: &Links| {
        let mut values = values("Contract", None);
        values[2].1 = Value::Text(address.to_owned().into());
        message.cut("en").inserts(&values, reader("UTC"), links).unwrap()[3].to_string()
    };
    assert_eq!(link("https://cs.example/app/4711", &links), "https://cs.example/app/4711");
    assert_eq!(link("https://cs.example.evil/app/4711", &links), "");
    assert_eq!(link("https://cs.example/app/4711", &Links::default()), "");
    let long = format!("https://cs.example/{}", "a".repeat(1_005));
    assert_eq!(link(&long, &links), long);
    assert_eq!(link(&format!("{long}a"), &links), "", "half a link leads nowhere");
    let written = one("m:\n  en: {title: t, body: b, link: 'https://x.example/?q={{ event.node.name }}'}\n");
    assert_eq!(written.cut("en").written_link(), Some("https://x.example/?q={{1}}"));
    assert_eq!(message.cut("en").written_link(), None);
}

#[test]
fn numbers_and_days_are_written_as_the_country_of_the_reader_writes_them() {
    let message = one(APPROVAL);
    let said = |locale: &str| {
        let values = values("Contract", Some(MONDAY));
        let cut = message.cut(locale);
        let reader = Reader { locale, ..reader("America/New_York") };
        cut.inserts(&values, reader, &Links::default()).unwrap()[1..].join(" | ")
    };
    assert_eq!(said("en"), "5 Jan 2026, 04:00 | 1,234.50 | ");
    assert_eq!(said("en-US"), "Jan 5, 2026, 4:00 AM | 1,234.50 | ");
    assert_eq!(said("de-CH"), "Bis 05.01.2026");
    // Who reads a language that is lacking gets English, written as English is.
    assert_eq!(said("fr"), said("en"));
    let cut = message.cut("en-US");
    assert_eq!(
        (cut.habits_for("en-US"), cut.habits_for("fr-FR"), cut.habits_for("en")),
        ("en-US", "en", "en")
    );
    assert_eq!(
        one("m:\n  en: {title: t, body: b}\n").cut("en-US").habits_for("en-US"),
        "en",
        "it makes no difference"
    );
}

const DAYS: &str = "
ends:
  en:
    title: 'Ends: {{ event.node.name }}'
    body: '{{ event.expires_on | days | plural(one=\"One day\", other=\"# days\") }} left'
    several:
      title: '{{ count | plural(one=\"# record ends\", other=\"# records end\") }}'
";

#[test]
fn days_are_counted_by_the_calendar_of_the_reader_and_several_have_words_of_their_own() {
    let message = one(DAYS);
    let cut = message.cut("en");
    assert!(cut.zone_matters && cut.has_several() && !cut.of(2).has_several());
    let said = |zone: &str, day: i32, count: u32| {
        let values = vec![("expires_on", Value::Date(day)), ("node.name", Value::Text("Lease".into()))];
        let reader = Reader { count, now: Timestamp::from_millis(MONDAY), zone, ..Reader::default() };
        cut.of(count).inserts(&values, reader, &Links::default()).unwrap().join(" | ")
    };
    // The sixth of January, asked on the fifth at nine in Greenwich: on Kiritimati it is the fifth still, at 23.
    assert_eq!(said("UTC", 20_459, 1), "Lease | One day");
    assert_eq!(said("Pacific/Kiritimati", 20_459, 1), "Lease | One day");
    assert_eq!(said("UTC", 20_465, 1), "Lease | 7 days");
    assert_eq!(said("UTC", 20_458, 1), "Lease | 0 days");
    let late = Timestamp::from_millis(MONDAY + 5 * 3_600_000);
    let values = vec![("expires_on", Value::Date(20_459)), ("node.name", Value::Text("Lease".into()))];
    let there = Reader { zone: "Pacific/Kiritimati", now: late, ..Reader::default() };
    assert_eq!(cut.inserts(&values, there, &Links::default()).unwrap()[1], "0 days", "there it is the sixth");
    assert_eq!(said("UTC", 20_459, 3), "3 records end | One day");
}

#[test]
fn forms_hosts_and_counts_that_are_wrong_are_found_before_any_event() {
    let (_, faults) = load(
        "
a:
  en:
    title: '{{ event.expires_on | days | plural(one=\"# day\") }}'
    body: '{{ event.assignees | length | plural(one=\"# person\", few=\"x\", other=\"# people\") }}'
  pl:
    title: '{{ event.expires_on | days | plural(one=\"# dzień\", other=\"# dni\") }}'
    body: '{{ event.amount | plural(one=\"a\", few=\"b\", many=\"c\", other=\"d\") }}'
  xx:
    title: '{{ event.assignees | length | plural(one=\"x\", other=\"y\") }}'
    body: x
c:
  en: {title: t, body: '{{ count }}'}
b:
  en:
    title: t
    body: b
    link: 'https://{{ event.node.name }}.example/'
    several:
      title: '{{ count | plural(other=\"y\") }}'
      link: x
",
    );
    let said: Vec<String> =
        faults.sorted().iter().map(|fault| format!("{fault} [{}] {}", fault.code, fault.hint)).collect();
    insta::assert_snapshot!(said.join("\n"), @r##"
    topology/messages/a.yaml:4:42: `plural` lacks the form `other` of `en` [plural-form] write `plural(one="# …", other="# …")`
    topology/messages/a.yaml:5:42: `plural` has no form `few` in `en` [plural-form] write `plural(one="# …", other="# …")`
    topology/messages/a.yaml:7:42: `plural` lacks the form `few` of `pl` [plural-form] write `plural(one="# …", few="# …", many="# …", other="# …")`
    topology/messages/a.yaml:8:30: `plural` needs a whole number [plural-form] give it a number: `event.count | plural(…)`, or of a list `event.names | length | plural(…)`
    topology/messages/a.yaml:10:43: `plural` does not know how `xx` counts [plural-form] write the message in a locale such as `en` or `de-CH`, or without `plural`
    topology/messages/a.yaml:13:28: unknown name `count` [unknown-variable] write it below `several:`, which says how many changes there are
    topology/messages/a.yaml:18:11: where a link leads is written, or the link is all of the event: no part of its host comes from one [bad-link] write the host, or `{{ event.entity.url }}` alone
    topology/messages/a.yaml:21:7: unknown field `link` in what is said of several [unknown-field] write one of `title`, `body`
    "##);
}

#[test]
fn what_others_say_in_a_language_every_message_says() {
    let sheet = |text: &str| {
        let sheet = Arc::new(Sheet { path: "topology/messages/a.yaml".to_owned(), text: text.to_owned() });
        let mut faults = Faults::default();
        let messages = read(&sheet, &mut BTreeSet::new(), &mut faults);
        complete(messages.iter(), &BTreeSet::from(["en"]), &mut faults);
        faults.sorted().iter().map(|fault| format!("{fault} ({})", fault.hint)).collect::<Vec<_>>()
    };
    let text = "{title: t, body: b}";
    assert_eq!(sheet(&format!("a:\n  en: {text}\n  de: {text}\nb:\n  en: {text}\n  de: {text}\n")), [""; 0]);
    // British English is the English of a message without any other; who reads French does not get Swiss French.
    assert_eq!(
        sheet(&format!("a:\n  en: {text}\n  fr: {text}\nb:\n  en-GB: {text}\n  fr-CH: {text}\n")),
        ["topology/messages/a.yaml:4:1: message `b` has no text in `fr`, and others have (add `fr:` to `b`)"]
    );
}

#[test]
fn what_a_text_asks_for_in_vain_is_found_before_any_event() {
    let (_, faults) = load(
        "
a:
  en:
    title: '{{ event.node.nmae }}'
    body: '{{ event.due_at }} {{ event.entity.url }} {{ event.node.name | date }}'
b:
  en:
    title: '{{ node.name | upper }} {{ event.node.name | shout }}'
    body: '{% for who in event.assignees %}{{ who }}{% endfor %}{{ event.expires_on | date }}'
c:
  english:
    title: x
d:
  en:
    title: '{{ event.node.name'
    body: '{{ event.node.name | }} {{ event.due_at | date | upper }}'
    link: 'ftp://{{ event.node.name }}'
    url: x
",
    );
    let said: Vec<String> =
        faults.sorted().iter().map(|fault| format!("{fault} [{}] {}", fault.code, fault.hint)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    topology/messages/a.yaml:4:16: `xecm.task.assigned` has no field `node.nmae` [unknown-variable] write `event.node.name`
    topology/messages/a.yaml:5:15: `event.due_at` may be absent [may-be-absent] write `event.due_at | default("…")`, or put it into `{% if event.due_at %}…{% endif %}`
    topology/messages/a.yaml:5:15: `event.due_at` is a time and cannot be shown like this [wrong-type] write `event.due_at | datetime`, `| date` or `| time`
    topology/messages/a.yaml:5:34: `event.entity.url` may be absent [may-be-absent] write `event.entity.url | default("…")`, or put it into `{% if event.entity.url %}…{% endif %}`
    topology/messages/a.yaml:5:57: `event.node.name` is a text and cannot be shown like this [wrong-type] write `event.node.name` without the filter
    topology/messages/a.yaml:8:16: unknown name `node.name` [unknown-variable] write `event.node.name`
    topology/messages/a.yaml:11:3: `english` is no locale [bad-locale] write a locale such as `en` or `de-CH`
    topology/messages/a.yaml:15:13: this `{{` is never closed [bad-template] write `{{ event.field }}`
    topology/messages/a.yaml:16:33: this is no template: unexpected end of variable block, expected identifier [bad-template] write `{{ event.field }}` or `{% if event.field %}…{% endif %}`
    topology/messages/a.yaml:17:11: a link opens only `http://` and `https://` addresses [bad-link] start the link with `https://`, or write `{{ event.entity.url }}`
    topology/messages/a.yaml:18:5: unknown field `url` in a message's text [unknown-field] write one of `title`, `body`, `link`, `several`
    "#);
}

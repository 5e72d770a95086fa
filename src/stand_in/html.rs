//! HTML: how a push, a person and a number are written on a page.
//!
//! What stands in a push was written by somebody else: every text is escaped where it is put into a
//! page, and a link is one only to http and https.

use std::fmt::Write;

use super::inbox::Push;
use super::ledger::{Reader, Totals};
use crate::event::{Source, Timestamp, hash128};

/// Fills a page's `<!--name-->` marks in one go, so that no filled text is searched for marks.
pub(super) fn fill(page: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!--") {
        let (name, after) = after.split_once("-->").unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The sums over everything.
pub(super) fn totals(totals: &Totals) -> String {
    let mut html = r#"<dl id="totals">"#.to_owned();
    for (name, count, class) in [
        ("pushes", totals.destinations, ""),
        ("people", totals.people, ""),
        ("requests", totals.requests, ""),
        ("jobs", totals.jobs, ""),
        ("sent twice", totals.repeated, if totals.repeated > 0 { "bad" } else { "" }),
    ] {
        let count = thousands(count);
        write!(html, r#"<div class="{class}"><dt>{name}</dt><dd>{count}</dd></div>"#)
            .expect("a string takes every text");
    }
    html + "</dl>"
}

/// One person in the list.
pub(super) fn person_row(reader: &Reader) -> String {
    let person = &reader.account.person;
    let (name, realm) = split_name(person);
    let unseen = match reader.unseen {
        0 => String::new(),
        count => format!(r#"<span class="unseen"><b>{count}</b><span class="sr"> unread</span></span>"#),
    };
    format!(
        r#"<li id="{id}" data-key="{key}"><a href="/inbox/{link}"><span class="face {hue}" aria-hidden="true">{initials}</span><span class="who"><b>{name}</b><small>{realm}</small></span><span class="when">{time}{unseen}</span></a></li>"#,
        id = id_of(person),
        key = format_args!("{}-{}", reader.account.pushes, reader.unseen),
        link = escape(&percent(person)),
        hue = hue(person),
        initials = escape(&initials(name)),
        name = escape(name),
        realm = escape(realm),
        time = time(reader.account.last_at),
    )
}

/// What can be done with the pushes of an inbox.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers {
    /// Where an answer of this person goes; without it the buttons cannot be pressed.
    pub(super) answer: Option<String>,
    /// Where a wish of theirs goes, and where to see what became of a matter; without a host nowhere.
    pub(super) wish: Option<String>,
    pub(super) trail: Option<String>,
    /// The categories they have muted.
    pub(super) muted: Vec<String>,
}

/// One push in an inbox.
pub(super) fn card(push: &Push, offers: &Offers) -> String {
    let source = push.source.parse::<Source>();
    let (class, system) = match source {
        Ok(source) => (source.as_str(), source.title()),
        Err(_) => ("other", if push.source.is_empty() { "Push" } else { push.source.as_str() }),
    };
    let mut html = format!(
        r#"<li id="push-{arrival}" data-key="{answered}{muted}" class="card {class} {priority}"><header><span class="badge">{system}</span>"#,
        arrival = push.arrival,
        answered = escape(push.answered.as_deref().unwrap_or_default()),
        muted = if offers.muted.contains(&push.category) { "-muted" } else { "" },
        priority = escape(&push.priority),
        system = escape(system),
    );
    if matches!(push.priority.as_str(), "high" | "critical" | "low") {
        html += &format!(r#"<span class="priority">{}</span>"#, escape(&push.priority));
    }
    if push.repeat {
        html += r#"<span class="twice">sent twice</span>"#;
    }
    html += &format!(r"{}</header><h2>{}</h2>", time(push.at), escape(&push.title));
    if !push.summary.is_empty() {
        html += &format!("<p>{}</p>", escape(&push.summary));
    }
    html += &reason(push, offers);
    html += &footer(push, system, offers);
    html + "</li>"
}

/// Why the person got it, and what they can do about that.
fn reason(push: &Push, offers: &Offers) -> String {
    if push.why.is_empty() {
        return String::new();
    }
    let mut html = format!(
        r#"<div class="why"><p>Why you: {}, by rule <b>{}</b></p>"#,
        escape(&push.why),
        escape(&push.rule)
    );
    let category = escape(&push.category);
    match &offers.wish {
        None => {}
        Some(_) if push.category.is_empty() => {}
        Some(_) if push.is_mandatory => {
            html += &format!(
                r#"<p class="must">“{category}” cannot be muted: the rules make it mandatory for everybody.</p>"#
            );
        }
        Some(to) => {
            let is_muted = offers.muted.contains(&push.category);
            let (wish, words) = if is_muted { ("hear", "Hear") } else { ("mute", "Mute") };
            let again = if is_muted { " again" } else { "" };
            html += &format!(
                r#"<form method="post" action="{}?push={}&amp;{wish}={}"><button>{words} “{category}”{again}</button></form>"#,
                escape(to),
                push.arrival,
                percent(&push.category),
            );
        }
    }
    html + "</div>"
}

fn footer(push: &Push, system: &str, offers: &Offers) -> String {
    let mut html = String::from("<footer>");
    if push.link.starts_with("https://") || push.link.starts_with("http://") {
        html += &format!(
            r#"<a class="link" href="{}" rel="noreferrer noopener" target="_blank">Open in {}</a>"#,
            escape(&push.link),
            escape(system)
        );
    }
    if push.answer_url.starts_with("https://") || push.answer_url.starts_with("http://") {
        html += &format!(
            r#"<a class="link" href="{}" rel="noreferrer noopener" target="_blank">Answer on a page</a>"#,
            escape(&push.answer_url)
        );
    }
    if let Some(to) = &offers.trail {
        let to = escape(to);
        html += &format!(r#"<a class="link" href="{to}?push={}">What became of it</a>"#, push.arrival);
    }
    if let Some(said) = &push.answered {
        html += &format!(r#"<p class="answered">{}</p>"#, escape(said));
    } else if !push.actions.is_empty() {
        html += r#"<div class="actions">"#;
        push.actions.iter().for_each(|action| html += &button(push, action, offers.answer.as_deref()));
        html += "</div>";
    }
    let kind = if push.kind.is_empty() {
        String::new()
    } else {
        format!("<dt>Kind</dt><dd>{}</dd>", escape(&push.kind))
    };
    let job = escape(&push.job);
    html +=
        &format!(r"<details><summary>Details</summary><dl>{kind}<dt>Job</dt><dd>{job}</dd></dl></details>");
    html + "</footer>"
}

fn button(push: &Push, action: &str, answer: Option<&str>) -> String {
    let words = escape(&action.replace('_', " "));
    let class = if action == "approve" { " class=\"first\"" } else { "" };
    match answer {
        None => format!(r#"<button type="button" disabled{class}>{words}</button>"#),
        Some(to) => format!(
            r#"<form method="post" action="{}?push={}&amp;verb={}"><button{class}>{words}</button></form>"#,
            escape(to),
            push.arrival,
            percent(action),
        ),
    }
}

/// The text as it may stand in a page or inside a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The text as one segment or value of a URL.
pub(super) fn percent(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            spelled.push(char::from(byte));
        } else {
            write!(spelled, "%{byte:02X}").expect("a string takes every text");
        }
    }
    spelled
}

/// An element id that no name can break.
fn id_of(person: &str) -> String {
    person.bytes().fold("p-".to_owned(), |mut id, byte| {
        write!(id, "{byte:02x}").expect("a string takes every text");
        id
    })
}

/// `jdoe@Content Server Members` as name and realm.
pub(super) fn split_name(person: &str) -> (&str, &str) {
    person.split_once('@').unwrap_or((person, ""))
}

/// At most two letters for a face.
pub(super) fn initials(name: &str) -> String {
    let mut words = name.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    let (first, last) = (words.next(), words.next_back());
    first.into_iter().chain(last).flat_map(char::to_uppercase).take(2).collect()
}

/// One of eight colours, always the same for a person.
pub(super) fn hue(person: &str) -> String {
    format!("hue-{}", hash128([person.as_bytes()]) % 8)
}

fn time(at: Timestamp) -> String {
    let full = at.to_string();
    let short = full.get(11..16).unwrap_or(&full);
    format!(r#"<time datetime="{full}">{short} UTC</time>"#)
}

/// A time with its day.
pub(super) fn moment(at: Timestamp) -> String {
    let full = at.to_string();
    let short = full.get(..16).map_or_else(|| full.clone(), |text| text.replace('T', " "));
    format!(r#"<time datetime="{full}" data-day="always">{short} UTC</time>"#)
}

/// `1 234 567`, with narrow no-break spaces.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut spelled = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            spelled.push('\u{202f}');
        }
        spelled.push(digit);
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push() -> Push {
        Push {
            arrival: 7,
            at: "2026-01-05T09:25:26Z".parse().unwrap(),
            repeat: false,
            title: "Approval needed: Contract 4711".into(),
            summary: "Draft v3 is waiting".into(),
            link: "https://cs.example/115295".into(),
            answer_url: String::new(),
            source: "xecm".into(),
            kind: "xecm.task.assigned".into(),
            why: "assigned to it".into(),
            rule: "ec-7-decide".into(),
            category: "approvals".into(),
            is_mandatory: false,
            actions: vec!["approve".into(), "request_info".into()],
            sent: None,
            answered: None,
            priority: "high".into(),
            job: "otp-1000001".into(),
        }
    }

    fn offers(person: &str) -> Offers {
        let to = |what: &str| Some(format!("/inbox/{person}/{what}"));
        Offers { answer: to("answer"), wish: to("wish"), trail: to("trail"), muted: Vec::new() }
    }

    #[test]
    fn a_push_says_why_it_came_and_offers_to_mute_what_may_be_muted() {
        let html = card(&push(), &offers("ada"));
        assert!(html.contains("Why you: assigned to it, by rule <b>ec-7-decide</b>"), "{html}");
        assert!(
            html.contains(r#"action="/inbox/ada/wish?push=7&amp;mute=approvals"><button>Mute “approvals”"#)
        );
        let muted = Offers { muted: vec!["approvals".into()], ..offers("ada") };
        assert!(card(&push(), &muted).contains("hear=approvals\"><button>Hear “approvals” again"));
        let html = card(&Push { is_mandatory: true, ..push() }, &offers("ada"));
        assert!(html.contains("cannot be muted") && !html.contains("Mute “"), "{html}");
        assert!(!card(&push(), &Offers::default()).contains("Mute"), "nobody hears the wish");
    }

    #[test]
    fn a_push_written_to_break_the_page_is_shown_as_text() {
        let evil = r#"<img src=x onerror="alert('1')">"#;
        let push = Push {
            title: evil.into(),
            summary: evil.into(),
            source: evil.into(),
            kind: evil.into(),
            why: evil.into(),
            rule: evil.into(),
            category: evil.into(),
            priority: evil.into(),
            actions: vec![evil.into()],
            link: format!("https://x/\"{evil}"),
            ..push()
        };
        let html = card(&push, &offers("x"));
        assert!(!html.contains("<img"), "{html}");
        assert!(!html.contains(r#"onerror=""#), "{html}");
    }

    #[test]
    fn only_an_http_link_is_one() {
        for link in ["javascript:alert(1)", "data:text/html,x", " https://x", "//x", ""] {
            let html = card(&Push { link: link.into(), ..push() }, &Offers::default());
            assert!(!html.contains("href"), "{html}");
        }
        assert!(card(&push(), &Offers::default()).contains(r#"href="https://cs.example/115295""#));
    }

    #[test]
    fn answers_can_be_pressed_once_and_only_where_somebody_hears_them() {
        let html = card(&push(), &Offers::default());
        assert!(html.contains(r#"<button type="button" disabled>request info</button>"#), "{html}");
        assert_eq!(html.matches("<button").count(), html.matches("disabled").count());
        let html = card(&push(), &Offers { wish: None, ..offers("ada") });
        let wanted = r#"action="/inbox/ada/answer?push=7&amp;verb=request_info"><button>request info"#;
        assert!(html.contains(wanted) && !html.contains("disabled"), "{html}");
        let html = card(
            &Push { answered: Some("Your answer counts: approve".into()), ..push() },
            &Offers { wish: None, ..offers("x") },
        );
        assert!(html.contains("Your answer counts: approve") && !html.contains("<button"), "{html}");
    }

    #[test]
    fn a_filled_text_is_not_searched_for_marks() {
        let filled = fill("<p><!--a--></p><!--b--><!--c-->", &[("a", "<!--b-->"), ("b", "two")]);
        assert_eq!(filled, "<p><!--b--></p>two");
    }

    #[test]
    fn names_and_numbers_are_spelled_for_people() {
        assert_eq!(initials("anna.maria-berg"), "AB");
        assert_eq!(initials("çelik"), "Ç");
        assert_eq!(initials(""), "");
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(thousands(12), "12");
        assert_eq!(percent("jdoe@Content Server/ä"), "jdoe@Content%20Server%2F%C3%A4");
    }
}

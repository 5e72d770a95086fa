//! File: from one file of `topology/messages/` to its messages, cut and compiled.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::Environment;

use super::super::fault::{Faults, Sheet, Spot, listed};
use super::super::forms::FORMS;
use super::super::reading::{Fields, Reading};
use super::super::rules_file::LOCALES;
use super::super::tree::{self, Branch};
use super::cut::{Cut, Fill, Insert, Line, Part, Piece, is_insert, pieces, plain};
use super::filters::{Show, environment};
use super::{ANSWER, Message, links, text};

/// Reads a file; every fault of every message noted, messages with faults left out.
/// Every name goes into `named`.
pub(crate) fn read(sheet: &Arc<Sheet>, named: &mut BTreeSet<String>, faults: &mut Faults) -> Vec<Message> {
    let Some(node) = tree::parse(sheet, faults) else { return Vec::new() };
    let cx = &mut Reading { sheet: Arc::clone(sheet), faults, forms: FORMS };
    let Some(all) = cx.fields(&node, "a file of messages") else { return Vec::new() };
    let mut messages = Vec::new();
    for (name, node) in all.rest() {
        named.insert(name.value.clone());
        let Some(by_locale) = cx.fields(node, "a message") else { continue };
        let (mut drafts, before) = (Vec::new(), cx.faults.len());
        for (locale, node) in by_locale.rest() {
            if !is_locale(&locale.value) {
                let fact = format!("`{}` is no locale", locale.value);
                cx.fault(locale.at, "bad-locale", (fact, LOCALES));
                continue;
            }
            let Some(fields) = cx.fields(node, "a message's text") else { continue };
            drafts.extend(draft(cx, &locale.value, fields));
        }
        if drafts.is_empty() && cx.faults.len() == before {
            let fact = format!("message `{}` has no text", name.value);
            cx.fault(name.at, "no-locale", (fact, "add `en:` with `title:` and `body:`"));
        }
        messages.extend(message(cx, name, drafts));
    }
    messages
}

/// Whether it is spelled as a locale: `en`, `de-CH`.
pub(crate) fn is_locale(locale: &str) -> bool {
    let mut parts = locale.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// A message in one locale, as it is written.
struct Draft {
    locale: String,
    lines: Vec<(Part, Spot<String>)>,
    /// What is said instead of several changes.
    several: Option<Vec<(Part, Spot<String>)>>,
}

/// A message in one locale, its lines cut.
struct Lines {
    lines: Vec<(Line, String)>,
    inserts: Vec<Insert>,
}

fn draft(cx: &mut Reading<'_>, locale: &str, mut fields: Fields<'_>) -> Option<Draft> {
    let title = fields.need("title", cx).and_then(|node| cx.any_text(node, "a text"));
    let body = fields.need("body", cx).and_then(|node| cx.any_text(node, "a text"));
    let link = fields
        .get("link")
        .filter(|node| node.value != Branch::Nothing)
        .and_then(|node| cx.any_text(node, "a text"));
    let several = fields.get("several").and_then(|node| cx.fields(node, "what is said of several"));
    let several = several.map(|mut fields| {
        let title = fields.need("title", cx).and_then(|node| cx.any_text(node, "a text"));
        let body = fields.get("body").and_then(|node| cx.any_text(node, "a text"));
        fields.done(cx);
        (title, body)
    });
    fields.done(cx);
    let (title, body) = (title?, body?);
    let lines = |title: Spot<String>, body: Spot<String>| {
        let link = link.clone().map(|link| (Part::Link, link));
        [(Part::Title, title), (Part::Body, body)].into_iter().chain(link).collect()
    };
    let several = match several {
        Some((of_several, own)) => Some(lines(of_several?, own.unwrap_or_else(|| body.clone()))),
        None => None,
    };
    Some(Draft { locale: locale.to_owned(), lines: lines(title, body), several })
}

fn message(cx: &mut Reading<'_>, name: &Spot<String>, drafts: Vec<Draft>) -> Option<Message> {
    let sound_until = cx.faults.len();
    if let Some(with) = drafts.iter().find(|draft| draft.several.is_some()) {
        for draft in drafts.iter().filter(|draft| draft.several.is_none()) {
            let at = draft.lines.first().map_or(name.at, |(_, title)| title.at);
            let fact =
                format!("`{}` has no words for several changes, and `{}` has", draft.locale, with.locale);
            cx.fault(at, "missing-several", (fact, format!("add `several:` to `{}`", draft.locale)));
        }
    }
    let mut environment = environment();
    let mut variables = Vec::new();
    let mut drawn = Vec::new();
    for draft in drafts {
        let lines = read_lines(cx, (draft.lines, false), (&mut environment, &mut variables));
        let several =
            draft.several.map(|several| read_lines(cx, (several, true), (&mut environment, &mut variables)));
        drawn.push((draft.locale, lines, several));
    }
    variables.sort();
    variables.dedup();
    let default = drawn.iter().position(|(locale, ..)| locale == "en").unwrap_or(0);
    let (variables, environment): (Arc<[String]>, _) = (variables.into(), Arc::new(environment));
    let cut = |locale: &str, Lines { lines, inserts }: Lines, several: Option<Box<Cut>>| Cut {
        locale: locale.to_owned(),
        zone_matters: inserts.iter().any(|insert| insert.shows(Show::is_zoned)),
        locale_matters: inserts.iter().any(|insert| insert.shows(|show| show != Show::Days)),
        title: template(&lines, Part::Title).unwrap_or_default(),
        summary: template(&lines, Part::Body).unwrap_or_default(),
        link: template(&lines, Part::Link),
        message: name.value.clone(),
        lines: lines.into_iter().map(|(line, _)| line).collect(),
        inserts,
        several,
        variables: Arc::clone(&variables),
        environment: Arc::clone(&environment),
    };
    let cuts: Vec<Cut> = drawn
        .into_iter()
        .map(|(locale, lines, several)| {
            let several = several.map(|several| Box::new(cut(&locale, several, None)));
            cut(&locale, lines, several)
        })
        .collect();
    if cuts.is_empty() {
        return None;
    }
    let is_sound = cx.faults.len() == sound_until;
    Some(Message { name: name.clone(), cuts, default, variables, sheet: Arc::clone(&cx.sheet), is_sound })
}

/// Cuts lines, and adds the fields they use to `variables`; of several changes they may say how many.
fn read_lines(
    cx: &mut Reading<'_>,
    (lines, is_several): (Vec<(Part, Spot<String>)>, bool),
    (environment, variables): (&mut Environment<'static>, &mut Vec<String>),
) -> Lines {
    let mut inserts = Vec::new();
    let before = cx.faults.len();
    let lines: Vec<(Line, String)> = lines
        .into_iter()
        .map(|(part, source)| line(cx, (part, source), (environment, &mut inserts)))
        .collect();
    if cx.faults.len() == before {
        for insert in &inserts {
            collect(cx, (insert, is_several), (&lines, environment), variables);
        }
    }
    Lines { lines, inserts }
}

fn template(lines: &[(Line, String)], part: Part) -> Option<String> {
    lines.iter().find(|(line, _)| line.part == part).map(|(_, template)| template.clone())
}

/// One line: its template, and its inserts added to those of the lines before it.
fn line(
    cx: &mut Reading<'_>,
    (part, source): (Part, Spot<String>),
    (environment, inserts): (&mut Environment<'static>, &mut Vec<Insert>),
) -> (Line, String) {
    let mut template = String::new();
    let mut line = Line { part, fixed: 0, used: Vec::new(), source: source.clone() };
    for piece in pieces(&source.value) {
        match piece {
            Piece::Fixed(fixed) => {
                unclosed(cx, &source, fixed);
                let fixed = if part == Part::Link { fixed.to_owned() } else { fixed.replace('\n', " ") };
                line.fixed += fixed.chars().count();
                template.push_str(&fixed);
            }
            Piece::Insert(whole, expression, offset) => {
                let index = insert(cx, (&line, environment), (whole, expression, offset), inserts);
                template.push_str(&format!("{{{{{}}}}}", index + 1));
                match line.used.iter_mut().find(|(used, _)| *used == index) {
                    Some((_, times)) => *times += 1,
                    None => line.used.push((index, 1)),
                }
            }
        }
    }
    check_line(cx, &line, &template);
    (line, template)
}

/// Braces outside an insert are a slip, and would look like an insert to a push service.
fn unclosed(cx: &mut Reading<'_>, source: &Spot<String>, fixed: &str) {
    for (braces, fact) in [("{{", "this `{{` is never closed"), ("}}", "this `}}` closes nothing")] {
        if fixed.contains(braces) {
            let at = cx.sheet.inside(source, source.value.find(braces).unwrap_or(0), 2);
            cx.fault(at, "bad-template", (fact, "write `{{ event.field }}`"));
        }
    }
}

fn insert(
    cx: &mut Reading<'_>,
    (line, environment): (&Line, &mut Environment<'static>),
    (whole, expression, offset): (&str, &str, usize),
    inserts: &mut Vec<Insert>,
) -> usize {
    let is_link = line.part == Part::Link;
    let same = |insert: &Insert| insert.source == whole && (insert.part == Part::Link) == is_link;
    if let Some(index) = inserts.iter().position(same) {
        return index;
    }
    let fill = plain(expression)
        .filter(|fill| !matches!(fill, Fill::Field { path, .. } if path.starts_with("extra.")));
    let fill = fill.unwrap_or(Fill::Template);
    if fill == Fill::Template
        && let Err(error) = environment.add_template_owned(whole.to_owned(), whole.to_owned())
    {
        let range = error.range().unwrap_or(0..whole.len());
        let at = cx.sheet.inside(&line.source, offset + range.start, range.len());
        let said = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let hint = "write `{{ event.field }}` or `{% if event.field %}…{% endif %}`";
        cx.fault(at, "bad-template", (format!("this is no template: {said}"), hint));
    }
    inserts.push(Insert { source: whole.to_owned(), offset, part: line.part, fill });
    inserts.len() - 1
}

fn check_line(cx: &mut Reading<'_>, line: &Line, template: &str) {
    let at = line.source.at;
    if let Some(most) = line.part.most()
        && line.fixed > most
    {
        let fact = format!("{} characters stand in every push; at most {most} fit", line.fixed);
        cx.fault(at, "too-long", (fact, "shorten the text"));
    }
    let of = match line.part {
        Part::Title => Some("title"),
        Part::Body => Some("body"),
        Part::Link => None,
    };
    if let Some(of) = of.filter(|_| line.source.value.trim().is_empty()) {
        cx.fault(at, "empty-text", (format!("the {of} is empty"), format!("write a {of}")));
    }
    let alone = is_insert(template);
    if line.part == Part::Link && !alone {
        // An insert is a digit here: a host that has one is not the host that is written.
        let filled = |digit: &str| {
            line.used.iter().fold(template.to_owned(), |link, (index, _)| {
                link.replace(&format!("{{{{{}}}}}", index + 1), digit)
            })
        };
        if !text::is_web(&filled("1")) {
            let told = (
                "a link opens only `http://` and `https://` addresses",
                "start the link with `https://`, or write `{{ event.entity.url }}`",
            );
            cx.fault(at, "bad-link", told);
        } else if links::host(&filled("1")) != links::host(&filled("2")) {
            let told = (
                "where a link leads is written, or the link is all of the event: no part of its host comes from one",
                "write the host, or `{{ event.entity.url }}` alone",
            );
            cx.fault(at, "bad-link", told);
        }
    }
}

/// Adds the fields an insert uses to `variables`; whatever is not of the event is a fault.
fn collect(
    cx: &mut Reading<'_>,
    (insert, is_several): (&Insert, bool),
    (lines, environment): (&[(Line, String)], &Environment<'static>),
    variables: &mut Vec<String>,
) {
    if let Fill::Field { path, .. } = &insert.fill {
        variables.push(path.clone());
        return;
    }
    let Ok(template) = environment.get_template(&insert.source) else { return };
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    for name in names {
        match name.strip_prefix("event.") {
            Some(path) if path.starts_with("extra.") => variables.push("extra".to_owned()),
            Some(path) => variables.push(path.to_owned()),
            None if name == "count" && is_several => {}
            None if name == "answer" => {}
            None if ANSWER.contains(&name.as_str()) => variables.push(name),
            None => {
                let Some((line, _)) = lines.iter().find(|(line, _)| line.part == insert.part) else {
                    continue;
                };
                let start = insert.offset + insert.source.find(&name).unwrap_or(0);
                let at = cx.sheet.inside(&line.source, start, name.len());
                let hint = match name.as_str() {
                    "count" => "write it below `several:`, which says how many changes there are".to_owned(),
                    "event" => "write a field of it, such as `event.entity.name`".to_owned(),
                    name if name.starts_with("answer.") => format!("write one of {}", listed(&ANSWER)),
                    _ => format!("write `event.{name}`"),
                };
                let told = (format!("unknown name `{name}`"), hint);
                cx.fault(at, "unknown-variable", told);
            }
        }
    }
}

// === impl Insert ===

impl Insert {
    /// Whether something in it is shown in a way that `wanted` asks for.
    fn shows(&self, wanted: impl Fn(Show) -> bool) -> bool {
        match &self.fill {
            Fill::Field { show, .. } => *show != Show::Plain && wanted(*show),
            Fill::Template => self.source.split('|').skip(1).any(|rest| {
                let name: String = rest
                    .trim_start()
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                let known = Show::FILTERS.iter().find(|(known, _)| *known == name).map(|(_, show)| *show);
                // A plural shows its number.
                known.or((name == "plural").then_some(Show::Number)).is_some_and(&wanted)
            }),
        }
    }
}

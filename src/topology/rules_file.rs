//! Rules file: from one file of `topology/` to its plans, every fault of every rule noted.
//!
//! A rule with a fault is still read to its end, and the rules after it too. What needs the schemas or
//! another file is looked at later, by `check`.

use std::sync::Arc;

use crate::event::notice::Verb;
use crate::event::{Priority, Source, Span};

use super::calendar::{self, Calendar};
use super::fault::{Faults, Place, Sheet, Spot};
use super::forms::FORMS;
use super::message::is_locale;
use super::plan::{
    CapPlan, DedupePlan, InhibitPlan, MatchPlan, MutesPlan, Overflow, OwnWindow, Replace, RulePlan, Stop,
    SubjectPlan, Tell, Words, Writes,
};
use super::reading::{Fields, Reading};
use super::tree::{Branch, Node};
use super::{timing, tree};

/// A file of rules, read.
#[derive(Debug)]
pub(crate) struct RulesFile {
    /// The source its rules listen to.
    pub(crate) source: Option<Spot<Source>>,
    /// Categories that nobody can mute.
    pub(crate) mandatory: Vec<Spot<String>>,
    /// When people work, place by place.
    pub(crate) calendars: Vec<Spot<Calendar>>,
    /// The channels its rules use, and the apps they are for.
    pub(crate) channels: Vec<Spot<String>>,
    /// The apps they are for.
    pub(crate) apps: Vec<String>,
    /// The messages that stand anywhere in it, also where a rule cannot be read.
    pub(crate) messages: Vec<String>,
    /// Its rules, in order.
    pub(crate) rules: Vec<RulePlan>,
    /// Whether something is listed as a rule, readable or not.
    pub(crate) lists_any: bool,
    /// Where they stand.
    pub(crate) at: Place,
}

const PRIORITIES: [(&str, Priority); 4] = [
    ("low", Priority::Low),
    ("normal", Priority::Normal),
    ("high", Priority::High),
    ("critical", Priority::Critical),
];

/// What a locale looks like.
pub(super) const LOCALES: &str = "write a locale such as `en` or `de-CH`";

/// Reads a file; `None` when it is no YAML or no map.
pub(crate) fn read(sheet: &Arc<Sheet>, faults: &mut Faults) -> Option<RulesFile> {
    let node = tree::parse(sheet, faults)?;
    let cx = &mut Reading { sheet: Arc::clone(sheet), faults, forms: FORMS };
    let mut fields = cx.fields(&node, "a file of rules")?;
    let source = fields.need("source", cx).and_then(|node| read_source(cx, node));
    let mandatory = fields.get("mandatory").map(|node| cx.names(node)).unwrap_or_default();
    let calendars = fields.get("calendars").map(|node| cx.some(node, calendar::read)).unwrap_or_default();
    let written = fields.get("defaults");
    let locale = written.and_then(|node| defaults(cx, node));
    let defaults = written.filter(|node| matches!(node.value, Branch::Map(_)));
    let defaults = defaults.and_then(|node| cx.fields(node, "`defaults`"));
    let list = fields.need("rules", cx);
    let rules = match list {
        Some(Node { value: Branch::List(items), .. }) => {
            items.iter().filter_map(|item| rule(cx, item, defaults.as_ref())).collect()
        }
        Some(Node { value: Branch::Nothing, .. }) | None => Vec::new(),
        Some(node) => {
            cx.fault(node.at, "wrong-type", ("`rules` is no list", "start each rule with `- id:`"));
            Vec::new()
        }
    };
    fields.done(cx);
    let mut messages = Vec::new();
    node.all_behind("message", &mut messages);
    let (mut channels, mut apps) = (Vec::new(), Vec::new());
    let of_defaults = defaults.iter().flat_map(Fields::own);
    let of_rules = list.into_iter().flat_map(Node::items).flat_map(Node::entries);
    for (name, node) in of_defaults.chain(of_rules) {
        match name.value.as_str() {
            "channel" => channels.extend(node.texts()),
            "app" => apps.extend(node.texts().map(|app| app.value)),
            _ => {}
        }
    }
    Some(RulesFile {
        source,
        mandatory,
        calendars,
        channels,
        apps,
        messages: messages.into_iter().map(str::to_owned).collect(),
        rules: rules.into_iter().map(|plan| RulePlan { locale: locale.clone(), ..plan }).collect(),
        // That there is no list at all is a fault of its own.
        lists_any: list.is_none_or(|list| !list.is_empty()),
        at: list.map_or(fields.at, |node| node.at),
    })
}

pub(super) fn read_source(cx: &mut Reading<'_>, node: &Node) -> Option<Spot<Source>> {
    let words = Source::ALL.map(|source| (source.as_str(), source));
    cx.word(node, &words).map(|value| Spot { value, at: node.at })
}

/// Reads the defaults for their faults, also those that no rule asks for; the locale is the file's.
fn defaults(cx: &mut Reading<'_>, node: &Node) -> Option<Spot<String>> {
    let mut fields = cx.fields(node, "`defaults`")?;
    loudness(cx, &mut fields);
    inherited(cx, &mut fields, &mut RulePlan::default());
    let locale = fields.get("locale").and_then(|node| cx.text(node));
    fields.done(cx);
    if let Some(Spot { value, at }) = locale.as_ref().filter(|locale| !is_locale(&locale.value)) {
        cx.fault(*at, "bad-locale", (format!("`{value}` is no locale"), LOCALES));
        return None;
    }
    locale
}

fn rule<'n>(cx: &mut Reading<'_>, node: &'n Node, defaults: Option<&'n Fields<'n>>) -> Option<RulePlan> {
    let mut fields = cx.fields(node, "a rule")?.over(defaults);
    let mut plan = RulePlan { at: node.at, sheet: Some(Arc::clone(&cx.sheet)), ..RulePlan::default() };
    if let Some(id) = fields.need("id", cx).and_then(|node| cx.text(node)) {
        plan.at = id.at;
        check_id(cx, &id, "rule");
        plan.id = id;
    }
    plan.use_case = fields.get("use_case").and_then(|node| cx.text(node)).map(|spot| spot.value);
    if let Some(node) = fields.need("match", cx) {
        plan.wanted = wanted(cx, node, "`match`").unwrap_or_default();
    }
    plan.condition = fields.get("if").and_then(|node| cx.text(node));
    plan.subject = fields.get("subject").and_then(|node| subject(cx, node));
    plan.news = fields.get("news").map(|node| cx.names(node)).unwrap_or_default();
    plan.within = fields.get("within").and_then(|node| {
        cx.lasting(
            node,
            ("waiting for less than a second waits for nothing", "write a longer span, such as `30s`"),
        )
    });
    if let Some(node) = fields.get("tell") {
        plan.tell = Spot { value: tell(cx, node).unwrap_or_default(), at: node.at };
    }
    plan.words = words(cx, &mut fields);
    plan.audience = fields.need("audience", cx).and_then(|node| cx.text(node));
    inherited(cx, &mut fields, &mut plan);
    timers(cx, &mut fields, &mut plan);
    limits(cx, &mut fields, &mut plan);
    fields.done(cx);
    Some(plan)
}

pub(super) fn check_id(cx: &mut Reading<'_>, id: &Spot<String>, of: &str) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.';
    if id.value.is_empty() || id.value.len() > 64 || !id.value.chars().all(fits) {
        let fact = format!("`{}` is no {of} id", id.value);
        cx.fault(id.at, "bad-id", (fact, "use lower-case letters, digits, `-`, `_` and `.`, at most 64"));
    }
}

/// What a rule says itself or leaves to the defaults of its file.
fn inherited<'n>(cx: &mut Reading<'_>, fields: &mut Fields<'n>, plan: &mut RulePlan) {
    (plan.fallback, plan.instead) =
        fields.inherit("fallback").map(|node| fallback(cx, node)).unwrap_or_default();
    plan.never = fields.inherit("never").and_then(|node| cx.text(node));
    plan.tenants = any(cx, fields, "tenants");
    plan.channels = any(cx, fields, "channel");
    plan.app = fields.inherit("app").and_then(|node| cx.text(node)).map(|spot| spot.value);
    plan.expires = fields.inherit("expires").and_then(|node| timing::moment(cx, node));
    plan.cap = fields.inherit("cap").and_then(|node| cap(cx, node));
    plan.category = fields.inherit("category").and_then(|node| cx.text(node)).map(|spot| spot.value);
}

/// Names out of many: none of them means all, and is written only where a default names some.
fn any(cx: &mut Reading<'_>, fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let is_all = fields.overrides(name);
    let Some(node) = fields.inherit(name).filter(|node| !(is_all && node.is_empty())) else {
        return Vec::new();
    };
    cx.names(node).into_iter().map(|spot| spot.value).collect()
}

/// `fallback:`: whom, or whom and what they are told.
fn fallback(cx: &mut Reading<'_>, node: &Node) -> (Option<Spot<String>>, Option<Words>) {
    if !matches!(node.value, Branch::Map(_)) {
        return (cx.text(node), None);
    }
    let Some(mut fields) = cx.fields(node, "`fallback`") else { return (None, None) };
    let to = fields.need("to", cx).and_then(|node| cx.text(node));
    let words = words(cx, &mut fields);
    fields.done(cx);
    (to, Some(words))
}

fn timers<'n>(cx: &mut Reading<'_>, fields: &mut Fields<'n>, plan: &mut RulePlan) {
    plan.stop = fields.get("stop").map(|node| stop(cx, node)).unwrap_or_default();
    plan.write_back = fields.get("write_back").map(|node| write_back(cx, node)).unwrap_or_default();
    plan.remind = fields.get("remind").map(|node| cx.some(node, timing::remind)).unwrap_or_default();
    plan.repeat = fields.get("repeat").and_then(|node| timing::repeat(cx, node));
    plan.escalate = fields.get("escalate").map(|node| cx.some(node, timing::step)).unwrap_or_default();
    plan.until = fields.get("until").and_then(|node| wanted(cx, node, "`until`"));
    plan.closed = fields.get("closed").and_then(|node| timing::closed(cx, node));
    plan.refused = fields.get("refused").and_then(|node| timing::refused(cx, node));
}

fn limits<'n>(cx: &mut Reading<'_>, fields: &mut Fields<'n>, plan: &mut RulePlan) {
    plan.replace = fields.get("replace").map(|node| replace(cx, node));
    plan.calendar = fields.get("calendar").and_then(|node| cx.text(node));
    plan.order = fields.get("order").and_then(|node| cx.text(node));
    plan.window = plan.words.window.take().and_then(|own| match own {
        OwnWindow::Own(window) => Some(*window),
        OwnWindow::None => {
            let told = (
                "`none` takes the rule's window away from a rung, repeat or step, and this is the rule's own",
                "leave `window` out",
            );
            cx.fault(fields.get("window").map_or(fields.at, |node| node.at), "bad-window", told);
            None
        }
    });
    plan.dedupe = fields.get("dedupe").and_then(|node| dedupe(cx, node));
    plan.mutes = fields.get("mutes").and_then(|node| mutes(cx, node));
    plan.inhibit = fields.get("inhibit").and_then(|node| inhibit(cx, node));
}

/// What a rule, rung, repeat, step or close says and how loudly.
pub(crate) fn words(cx: &mut Reading<'_>, fields: &mut Fields<'_>) -> Words {
    let (priority, answers) = loudness(cx, fields);
    Words {
        // What cannot be read is said to be so, and not to be missing.
        message: fields
            .get("message")
            .map(|node| cx.text(node).unwrap_or(Spot { value: String::new(), at: node.at })),
        priority,
        answers,
        window: fields.get("window").and_then(|node| timing::own_window(cx, node)),
    }
}

/// How urgent it is, and what may be answered.
fn loudness(cx: &mut Reading<'_>, fields: &mut Fields<'_>) -> (Option<Priority>, Option<Spot<Vec<Verb>>>) {
    let priority = fields.inherit("priority").and_then(|node| cx.word(node, &PRIORITIES));
    let answers = fields.inherit("answers").map(|node| {
        cx.once(node);
        let verbs = Verb::ALL.map(|verb| (verb.as_str(), verb));
        Spot { value: cx.list(node, |cx, node| cx.word(node, &verbs)), at: node.at }
    });
    (priority, answers)
}

fn wanted(cx: &mut Reading<'_>, node: &Node, what: &'static str) -> Option<MatchPlan> {
    let mut fields = cx.fields(node, what)?;
    let kinds = fields.need("kind", cx);
    if let Some(node) = kinds.filter(|node| node.is_empty()) {
        let told = (format!("no kind can reach {what}"), "name a kind: `kind: xecm.task.assigned`");
        cx.fault(node.at, "unreachable", told);
    }
    let kinds = kinds.filter(|node| !node.is_empty()).map(|node| cx.names(node)).unwrap_or_default();
    let mut rest = Vec::new();
    for (key, node) in fields.rest() {
        if node.is_empty() {
            let fact =
                format!("no change can have a `{}` out of nothing: {what} lets nothing through", key.value);
            cx.fault(key.at, "never-equal", (fact, "name the values it may have, or take it out"));
        }
        cx.once(node);
        rest.push((key.clone(), cx.list(node, |cx, node| cx.any_text(node, "a value to match"))));
    }
    Some(MatchPlan { kinds, fields: rest })
}

fn subject(cx: &mut Reading<'_>, node: &Node) -> Option<SubjectPlan> {
    if !matches!(node.value, Branch::Map(_)) {
        return Some(SubjectPlan { by: cx.names(node), each: Vec::new() });
    }
    let mut fields = cx.fields(node, "`subject`")?;
    let by = fields.need("by", cx).map(|node| cx.names(node)).unwrap_or_default();
    let each = fields.get("each").map(|node| cx.names(node)).unwrap_or_default();
    fields.done(cx);
    for field in each.iter().filter(|field| by.iter().any(|known| known.value == field.value)) {
        let told =
            ("a conversation for each of what is counted by already", "take it out of `each` or of `by`");
        cx.fault(field.at, "stands-twice", told);
    }
    Some(SubjectPlan { by, each })
}

fn tell(cx: &mut Reading<'_>, node: &Node) -> Option<Tell> {
    let text = cx.text(node)?;
    if text.value.starts_with("hold ") {
        let span = cx.span_in(&text, "hold ".len())?;
        let told = ("a hold of less than a second holds nothing", "write `tell: now`, or a longer span");
        cx.at_least_a_second(span, node.at, told);
        return Some(Tell::Hold(span));
    }
    cx.word(node, &[("now", Tell::Now), ("later", Tell::Later), ("hold 15m", Tell::Now)])
}

fn stop(cx: &mut Reading<'_>, node: &Node) -> Vec<(Spot<Verb>, Stop)> {
    let Some(mut fields) = cx.fields_of(node, "`stop`") else { return Vec::new() };
    let mut stops = Vec::new();
    for verb in Verb::ALL {
        let Some(node) = fields.get(verb.as_str()) else { continue };
        let Some(text) = cx.text(node) else { continue };
        let verb = Spot { value: verb, at: node.at };
        if text.value.starts_with("pause ") {
            let span = cx.span_in(&text, "pause ".len());
            let told = ("a pause of less than a second pauses nothing", "write `none`, or a longer span");
            span.iter().for_each(|span| cx.at_least_a_second(*span, node.at, told));
            stops.extend(span.map(|span| (verb, Stop::Pause(span))));
            continue;
        }
        let day = Stop::Pause(Span::from_secs(86_400));
        let words = [("all", Stop::All), ("each", Stop::Each), ("none", Stop::None), ("pause 24h", day)];
        stops.extend(cx.word(node, &words).map(|stop| (verb, stop)));
    }
    fields.done(cx);
    stops
}

fn write_back(cx: &mut Reading<'_>, node: &Node) -> Vec<(Spot<Verb>, Writes)> {
    let Some(mut fields) = cx.fields_of(node, "`write_back`") else { return Vec::new() };
    let mut writes = Vec::new();
    for verb in Verb::ALL {
        let Some(node) = fields.get(verb.as_str()) else { continue };
        let Some(values) = cx.fields(node, "a write-back") else { continue };
        let values = values
            .rest()
            .filter_map(|(key, node)| Some((key.clone(), cx.any_text(node, "a value to set")?.value)))
            .collect();
        writes.push((Spot { value: verb, at: node.at }, values));
    }
    fields.done(cx);
    writes
}

fn replace(cx: &mut Reading<'_>, node: &Node) -> Replace {
    match &node.value {
        Branch::Text(text) if text == "subject" => Replace::Subject,
        _ => Replace::Fields(cx.names(node)),
    }
}

fn dedupe(cx: &mut Reading<'_>, node: &Node) -> Option<DedupePlan> {
    let mut fields = cx.fields(node, "`dedupe`")?;
    let by = fields.need("by", cx).map(|node| cx.names(node)).unwrap_or_default();
    let told = ("a `dedupe` of less than a second knows nothing again", "write a longer span, such as `24h`");
    let horizon = fields.need("for", cx).and_then(|node| cx.lasting(node, told));
    fields.done(cx);
    Some(DedupePlan { by, horizon: horizon? })
}

fn cap(cx: &mut Reading<'_>, node: &Node) -> Option<CapPlan> {
    let mut fields = cx.fields(node, "`cap`")?;
    let most = fields.need("most", cx).and_then(|node| cx.count(node));
    let told = ("a cap over less than a second caps nothing", "write a longer span, such as `1d`");
    let span = fields.need("in", cx).and_then(|node| cx.lasting(node, told));
    let words = [("digest", Overflow::Digest), ("drop", Overflow::Drop)];
    let then = fields.get("then").and_then(|node| cx.word(node, &words)).unwrap_or(Overflow::Digest);
    fields.done(cx);
    Some(CapPlan { most: most?, span: span?, then })
}

fn mutes(cx: &mut Reading<'_>, node: &Node) -> Option<MutesPlan> {
    let mut fields = cx.fields(node, "`mutes`")?;
    let rules = fields.need("rules", cx).map(|node| cx.names(node)).unwrap_or_default();
    let equal = fields.need("equal", cx).map(|node| cx.names(node)).unwrap_or_default();
    fields.done(cx);
    Some(MutesPlan { rules, equal })
}

fn inhibit(cx: &mut Reading<'_>, node: &Node) -> Option<InhibitPlan> {
    let mut fields = cx.fields(node, "`inhibit`")?;
    let rule = fields.need("while", cx).and_then(|node| cx.text(node));
    let equal = fields.get("equal").map(|node| cx.names(node)).unwrap_or_default();
    fields.done(cx);
    Some(InhibitPlan { rule: rule?, equal })
}

//! Load: a folder of rules and messages, read whole, with every fault of every file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;

use super::calendar::Calendars;
use super::compile::Compiler;
use super::fault::{Faults, Place, Sheet, Spot, nearest, suggest};
use super::files::Files;
use super::kinds::Kinds;
use super::mapping;
use super::message::{self, Message};
use super::plan::{RulePlan, Tell};
use super::rules_file::{self, RulesFile};
use super::{Fault, Rule, Topology, muting, sense};

// === impl Topology ===

impl Topology {
    /// Reads `folder/*.yaml`, `folder/messages/*.yaml` and `folder/mappings/*.yaml` against the kinds of the schemas.
    ///
    /// # Errors
    /// Every fault of every file, in reading order.
    pub fn load(folder: &Path, kinds: &Kinds) -> Result<Self, Vec<Fault>> {
        Files::read(folder).compile(kinds)
    }

    /// The same, with what is idle: messages that no rule says, files without a single rule. Rules can be in force
    /// that have some of that; whoever writes them wants to know.
    ///
    /// # Errors
    /// Every fault of every file, in reading order.
    pub fn check(folder: &Path, kinds: &Kinds) -> Result<Self, Vec<Fault>> {
        let files = Files::read(folder);
        let mut faults = Faults::default();
        idle(&files, kinds, &mut faults);
        match files.compile(kinds) {
            Ok(topology) if faults.is_empty() => Ok(topology),
            Ok(_) => Err(faults.sorted()),
            Err(found) => Err(faults.with(found).sorted()),
        }
    }
}

/// Notes what nothing would ever be said of. Nothing is noted where a file cannot be read: it may be in that one.
fn idle(files: &Files, kinds: &Kinds, faults: &mut Faults) {
    let mut unread = Faults::default();
    let read = |sheet: &Arc<Sheet>| rules_file::read(sheet, &mut unread);
    let parsed: Option<Vec<RulesFile>> = files.rules.iter().map(read).collect();
    let parsed = parsed.filter(|_| files.faults.is_empty());
    let (Some(parsed), Some(first)) = (parsed, files.rules.first()) else { return };
    if parsed.iter().all(|file| !file.lists_any) {
        let at = parsed.first().map(|file| file.at).unwrap_or_default();
        let told = ("there is not a single rule here: nobody would ever be told anything", RULE);
        faults.add(first, at, "no-rules", told);
    }
    let named: BTreeSet<&str> = parsed.iter().flat_map(|file| &file.messages).map(String::as_str).collect();
    let (messages, _) = messages(&files.texts, &mut unread);
    message::idle(messages.values().map(|message| &**message), (&named, &kinds.any(None)), faults);
}

const RULE: &str = "write one below `rules:`, such as `- { id: task-due, match: { kind: xecm.task.assigned }, audience: assignees, message: task-due }`";

/// The rules that files hold.
pub(super) fn read(files: &Files, kinds: &Kinds) -> Result<Topology, Vec<Fault>> {
    let (rules, mut faults) = (&files.rules, files.faults.clone());
    let (messages, named) = messages(&files.texts, &mut faults);
    let mut parsed: Vec<(&Arc<Sheet>, RulesFile)> =
        rules.iter().filter_map(|sheet| Some((sheet, rules_file::read(sheet, &mut faults)?))).collect();
    ids(&parsed, &mut faults);
    mandatory(&mut parsed, &mut faults);
    channels(&parsed, &mut faults);
    let calendars = Arc::new(calendars(&parsed, &mut faults));
    let (mut uses, mut ordered) = (Vec::new(), Vec::new());
    let mut by_kind: HashMap<String, Vec<super::KindRule>> = HashMap::new();
    let mut closers: HashMap<String, Vec<super::Closer>> = HashMap::new();
    for (sheet, file) in &parsed {
        let source = file.source.as_ref().map(|source| source.value);
        let mut compiler = Compiler {
            kinds,
            messages: &messages,
            named: &named,
            calendars: &calendars,
            uses: Vec::new(),
            faults: &mut faults,
            sheet: Arc::clone(sheet),
            is_guess: false,
        };
        for plan in &file.rules {
            let compiled = compiler.rule(plan, source);
            if let Some((_, form)) = compiled.first() {
                ordered.push(Arc::clone(&form.rule));
                for (kind, closer) in compiler.closers(&form.rule, source) {
                    closers.entry(kind).or_default().push(closer);
                }
            }
            for (kind, form) in compiled {
                by_kind.entry(kind).or_default().push(form);
            }
        }
        uses.extend(compiler.uses);
    }
    for (name, shape) in uses {
        if let Some(message) = messages.get(&name) {
            message::check(message, &shape, &mut faults);
        }
    }
    let plans = parsed.iter().flat_map(|(_, file)| &file.rules);
    let defaults =
        plans.map(|plan| plan.locale.as_ref().map_or("en", |locale| locale.value.as_str())).collect();
    message::complete(messages.values().map(|message| &**message), &defaults, &mut faults);
    muting::link(&ordered, &mut by_kind, (kinds, &mut faults));
    sense::rules((&ordered, &by_kind), kinds, &mut faults);
    waits(&ordered, &mut faults);
    let mappings = mapping::read(&files.mappings, kinds, &mut faults);
    if !faults.is_empty() {
        return Err(faults.sorted());
    }
    let by_id = ordered.iter().enumerate().map(|(place, rule)| (rule.id.clone(), place)).collect();
    let (shared, rivals) = news(&ordered);
    let (hash, messages) = (files.hash(), messages.len());
    let base = Topology { files: files.clone(), hash, mappings, ..Topology::default() };
    Ok(Topology { rules: ordered, by_kind, closers, by_id, shared, rivals, messages, ..base })
}

/// For each rule whether another may tell its news, and which, where it is only one.
fn news(rules: &[Arc<Rule>]) -> (Vec<bool>, Vec<Option<usize>>) {
    let of = |rule: &Arc<Rule>| {
        let mut rivals = (0..).zip(rules).filter(|(_, other)| may_meet(rule, other)).map(|(place, _)| place);
        let (one, another) = (rivals.next(), rivals.next());
        (rule.plan.within.is_some() || one.is_some(), one.filter(|_| another.is_none()))
    };
    rules.iter().map(of).unzip()
}

/// Notes rules that wait for others to tell their news where no other does.
fn waits(rules: &[Arc<Rule>], faults: &mut Faults) {
    let alone = |rule: &Rule| rule.plan.news.is_empty() && !rules.iter().any(|other| may_meet(rule, other));
    for rule in rules.iter().filter(|rule| rule.plan.within.is_some() && alone(rule)) {
        let Some(sheet) = &rule.plan.sheet else { continue };
        let told = (
            "no other rule tells this news: `within` waits for nothing",
            "leave `within` out, or name in `news` what they have in common",
        );
        faults.add(sheet, rule.plan.at, "unused", told);
    }
}

/// Whether two rules may tell a person the same news: they hear the same kind, or name the same fields.
fn may_meet(rule: &Rule, other: &Rule) -> bool {
    let named = |rule: &Rule| rule.plan.news.iter().map(|field| field.value.clone()).collect::<Vec<_>>();
    let (ours, theirs) = (named(rule), named(other));
    let same_kind = rule.kinds.iter().any(|kind| other.kinds.contains(kind));
    // What comes first meets what comes first, and what comes later what comes later.
    let first = |rule: &Rule| rule.plan.tell.value != Tell::Later;
    let later = |rule: &Rule| rule.sayings.len() > 1;
    let same_time = (first(rule) && first(other)) || (later(rule) && later(other));
    rule.id != other.id && ours == theirs && (same_kind || !ours.is_empty()) && same_time
}

/// The YAML files right inside a folder, by name; a folder that is not there has none.
pub(crate) fn sheets(folder: &Path, faults: &mut Faults) -> Vec<Arc<Sheet>> {
    let unread = |path: &Path| Arc::new(Sheet { path: path.display().to_string(), text: String::new() });
    let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let fact = match error.kind() {
                ErrorKind::NotADirectory => "this is a file and no folder".to_owned(),
                _ => format!("the folder cannot be read: {error}"),
            };
            let told = (fact, "make it a folder of `*.yaml` that this user may read");
            faults.add(&unread(folder), Place::default(), "unreadable", told);
            return Vec::new();
        }
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| ending == "yaml" || ending == "yml")
    });
    paths.sort();
    let mut sheets = Vec::with_capacity(paths.len());
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => sheets.push(Arc::new(Sheet { path: path.display().to_string(), text })),
            Err(error) => {
                let fact = match error.kind() {
                    ErrorKind::InvalidData => "the file is no text in UTF-8".to_owned(),
                    ErrorKind::IsADirectory => "this is a folder, and a file should be".to_owned(),
                    ErrorKind::NotFound => "this leads to no file".to_owned(),
                    _ => format!("the file cannot be read: {error}"),
                };
                let told = (fact, "save it as UTF-8 text, readable by this user");
                faults.add(&unread(&path), Place::default(), "unreadable", told);
            }
        }
    }
    sheets
}

/// The messages that can be read, and the names of all.
fn messages(texts: &[Arc<Sheet>], faults: &mut Faults) -> (BTreeMap<String, Arc<Message>>, BTreeSet<String>) {
    let mut messages: BTreeMap<String, Arc<Message>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for sheet in texts {
        for message in message::read(sheet, &mut named, faults) {
            let name = message.name.clone();
            if messages.insert(name.value.clone(), Arc::new(message)).is_some() {
                let fact = format!("a second message is called `{}`", name.value);
                faults.add(sheet, name.at, "duplicate-message", (fact, "give it another name"));
            }
        }
    }
    (messages, named)
}

/// The calendars of all files; two for one place are a fault.
fn calendars(files: &[(&Arc<Sheet>, RulesFile)], faults: &mut Faults) -> Calendars {
    let mut seen = BTreeSet::new();
    let mut calendars = Calendars::default();
    for (sheet, file) in files {
        for Spot { value, at } in &file.calendars {
            if !seen.insert((&value.tenant, &value.location)) {
                let told = ("a second calendar for the same place", "keep one of the two");
                faults.add(sheet, *at, "duplicate-calendar", told);
            }
            calendars.0.push(value.clone());
        }
    }
    calendars
}

/// A category that one file calls mandatory is so for the rules of all of them.
fn mandatory(files: &mut [(&Arc<Sheet>, RulesFile)], faults: &mut Faults) {
    let known: BTreeSet<String> =
        files.iter().flat_map(|(_, file)| &file.rules).filter_map(|plan| plan.category.clone()).collect();
    let mut named = BTreeSet::new();
    for (sheet, file) in files.iter() {
        for category in &file.mandatory {
            if !known.contains(&category.value) {
                let hint = match nearest(&category.value, known.iter().map(String::as_str)) {
                    Some(near) => format!("write `{near}`"),
                    None => "write the `category` of a rule".to_owned(),
                };
                let fact = format!("no rule has the category `{}`", category.value);
                faults.add(sheet, category.at, "unknown-category", (fact, hint));
            }
            named.insert(category.value.clone());
        }
    }
    for plan in files.iter_mut().flat_map(|(_, file)| &mut file.rules) {
        plan.mandatory = plan.category.as_ref().is_some_and(|category| named.contains(category));
    }
}

/// A channel is one of ours, or the app that some rule is for; through any other nobody is told.
fn channels(files: &[(&Arc<Sheet>, RulesFile)], faults: &mut Faults) {
    let apps = files.iter().flat_map(|(_, file)| &file.apps).map(String::as_str);
    let known: BTreeSet<&str> = CHANNELS.into_iter().chain(apps).collect();
    for (sheet, file) in files {
        for Spot { value, at } in file.channels.iter().filter(|channel| !known.contains(&*channel.value)) {
            if value.trim().is_empty() {
                continue;
            }
            let known: Vec<&str> = known.iter().copied().collect();
            let fact = format!("`{value}` is no channel, and the app of no rule");
            faults.add(sheet, *at, "unknown-channel", (fact, suggest(value, &known)));
        }
    }
}

/// The ways to a person that have a name of their own.
const CHANNELS: [&str; 2] = ["mobile", "web"];

/// Ids are keys of state: two rules with one would share it.
fn ids(files: &[(&Arc<Sheet>, RulesFile)], faults: &mut Faults) {
    let mut seen: BTreeMap<&str, (&Arc<Sheet>, usize)> = BTreeMap::new();
    for (sheet, file) in files {
        for plan in file.rules.iter().filter(|plan| !plan.id.value.is_empty()) {
            let (line, _) = sheet.position(plan.id.at.start);
            if let Some((first, at)) = seen.get(plan.id.value.as_str()) {
                let fact = format!(
                    "a second rule is called `{}`; the first is at {}:{at}",
                    plan.id.value, first.path
                );
                faults.add(sheet, plan.id.at, "duplicate-id", (fact, "give it an id of its own"));
            } else {
                seen.insert(&plan.id.value, (sheet, line));
            }
        }
    }
    let counts_by = |plan: &RulePlan| -> Vec<String> {
        let by = plan.subject.iter().flat_map(|subject| &subject.by);
        by.map(|field| field.value.clone()).collect()
    };
    let rules = || files.iter().flat_map(|(_, file)| &file.rules);
    for (sheet, file) in files {
        for (plan, inhibit) in file.rules.iter().filter_map(|plan| Some((plan, plan.inhibit.as_ref()?))) {
            let equal: Vec<String> = inhibit.equal.iter().map(|field| field.value.clone()).collect();
            let other = rules().find(|other| other.id.value == inhibit.rule.value);
            let is_other = inhibit.rule.value != plan.id.value;
            if is_other && other.is_some_and(RulePlan::opens_nothing) {
                let fact = format!("`{}` has nothing open, ever: it mutes nothing", inhibit.rule.value);
                faults.add(
                    sheet,
                    inhibit.rule.at,
                    "bad-inhibit",
                    (fact, "let it have an `until`, or name another rule"),
                );
            }
            if other.is_some_and(|other| counts_by(other) != equal || counts_by(plan) != equal) {
                let told = (
                    "a rule is muted by another only at the same subject",
                    "write the same fields in `equal` and in the `subject` of both rules",
                );
                faults.add(sheet, inhibit.rule.at, "bad-inhibit", told);
            }
        }
        let inhibiting = file.rules.iter().filter_map(|plan| plan.inhibit.as_ref()).map(|other| &other.rule);
        let muted = file.rules.iter().filter_map(|plan| plan.mutes.as_ref()).flat_map(|mutes| &mutes.rules);
        for named in inhibiting.chain(muted).filter(|named| !seen.contains_key(named.value.as_str())) {
            let hint = match nearest(&named.value, seen.keys().copied()) {
                Some(near) => format!("write `{near}`"),
                None => "name the id of a rule".to_owned(),
            };
            faults.add(
                sheet,
                named.at,
                "unknown-rule",
                (format!("no rule is called `{}`", named.value), hint),
            );
        }
    }
}

//! Tidy: the house rules, so that a rule is a test and not a wish.
//!
//! Every breach is told as `file:line: what: rule`, all of them at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where each foreign crate lives. A crate named anywhere else is a wall knocked through.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/broker/"]),
    ("reqwest", &["src/push/", "src/source_systems/", "src/codec/registry", "src/stand_in/answer"]),
    ("apache_avro", &["src/codec/"]),
    ("fjall", &["src/store/disk.rs"]),
    ("rustix", &["src/app/outside.rs"]),
    ("metrics", &["src/telemetry/"]),
    ("metrics_exporter_prometheus", &["src/telemetry/"]),
    ("tracing_subscriber", &["src/telemetry/"]),
    ("clap", &["src/cli/", "src/main.rs"]),
    ("clap_complete", &["src/cli/"]),
    ("indicatif", &["src/cli/"]),
    ("comfy_table", &["src/cli/"]),
    ("anyhow", &["src/cli/", "src/main.rs"]),
    ("mimalloc", &["src/main.rs"]),
    ("axum", &["src/answers/", "src/serve/", "src/stand_in/"]),
    ("cel", &["src/topology/"]),
    ("minijinja", &["src/topology/", "src/push/webhook.rs"]),
    ("annotate_snippets", &["src/topology/"]),
    ("icu_plurals", &["src/topology/message/"]),
    ("icu_locale_core", &["src/topology/message/"]),
    ("serde_saphyr", &["src/topology/", "src/app/config/"]),
    ("roaring", &["src/directory/"]),
    ("csv", &["src/directory/"]),
    ("hmac", &["src/push/"]),
    ("sha2", &["src/push/", "src/codec/", "src/event/message_id.rs"]),
    // Scenarios are written in the hours of a place.
    (
        "jiff",
        &[
            "src/event/timestamp.rs",
            "src/clock.rs",
            "src/directory/",
            "src/topology/",
            "src/flow/",
            "src/scenario/moment.rs",
        ],
    ),
    ("postcard", &["src/event/frame", "src/flow/"]),
    // A view shared with threads that only read; the codec's plans are one, too.
    ("dashmap", &["src/store/view.rs", "src/codec/"]),
];

/// What each folder may name besides itself. `*` is everything but `cli`.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("clock", &["event"]),
    ("codec", &["clock", "event"]),
    ("directory", &["codec", "event"]),
    ("topology", &["directory", "codec", "event"]),
    ("store", &["event"]),
    ("flow", &["store", "directory", "topology", "codec", "event"]),
    ("scenario", &["flow", "directory", "topology", "codec", "event"]),
    ("explain", &["scenario", "flow", "directory", "topology", "codec", "event"]),
    ("broker", &["clock", "event"]),
    ("push", &["clock", "event"]),
    ("source_systems", &["push", "clock", "event"]),
    (
        "engine",
        &[
            "flow",
            "store",
            "directory",
            "topology",
            "codec",
            "broker",
            "push",
            "source_systems",
            "telemetry",
            "clock",
            "event",
        ],
    ),
    ("telemetry", &["event"]),
    ("answers", &["flow", "store", "topology", "broker", "push", "telemetry", "clock", "event"]),
    ("sample", &["codec", "event"]),
    ("serve", &["store", "clock", "event"]),
    ("stand_in", &["push", "clock", "event"]),
    ("app", &["*"]),
    ("cli", &["*", "cli"]),
];

/// Folders whose code takes `now` and gives effects: no clock, no threads, no sockets, no chance.
const PURE: &[&str] = &[
    "src/flow/",
    "src/store/",
    "src/directory/",
    "src/topology/",
    "src/event/",
    "src/scenario/",
    "src/explain/",
];
const IMPURE: &[&str] = &[
    "tokio::",
    "rdkafka::",
    "reqwest::",
    "metrics::",
    "fastrand::",
    "crate::clock",
    "std::net",
    "std::thread",
    "Instant::now",
    "SystemTime",
];

/// Words that say nothing about what a type is.
const EMPTY_WORDS: &[&str] = &[
    "Manager",
    "Handler",
    "Processor",
    "Helper",
    "Helpers",
    "Util",
    "Utils",
    "Common",
    "Base",
    "Impl",
    "Data",
    "Info",
];

/// What a log line must never hold.
const PERSONAL: &[&str] = &["user_id", "display_name", "email", "password", "secret", "inserts", "payload"];

const MOST_LINES: usize = 400;

/// A Rust file, and its code with comments and texts blanked out.
struct Source {
    path: String,
    text: String,
    code: String,
}

// === impl Source ===

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    /// The code before its tests, line by line, counted from 1.
    fn logic(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().take(self.before_tests()).enumerate().map(|(index, line)| (index + 1, line))
    }

    fn before_tests(&self) -> usize {
        let mut lines = self.code.lines().zip(self.code.lines().skip(1));
        let inline = |(here, next): (&str, &str)| here == "#[cfg(test)]" && next.starts_with("mod tests {");
        lines.position(inline).unwrap_or_else(|| self.code.lines().count())
    }

    /// `src/serve/live.rs` is in `serve`.
    fn folder(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    fn breach(&self, line: usize, what: &str, rule: &str) -> String {
        format!("{}:{line}: {what}: {rule}", self.path)
    }
}

/// `text` with comments, texts and characters as blanks, line for line.
fn code_of(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    let starts =
        |at: usize, word: &str| word.chars().enumerate().all(|(i, c)| letters.get(at + i) == Some(&c));
    while at < letters.len() {
        let end = if starts(at, "//") {
            (at..letters.len()).find(|i| letters[*i] == '\n').unwrap_or(letters.len())
        } else if starts(at, "/*") {
            end_of_comment(&letters, at)
        } else if let Some(end) = end_of_text(&letters, at) {
            end
        } else {
            code.push(letters[at]);
            at += 1;
            continue;
        };
        code.extend(letters[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

fn end_of_comment(letters: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at + 1 < letters.len() {
        match (letters[at], letters[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    letters.len()
}

/// Where the text or character that begins here ends, if one does.
fn end_of_text(letters: &[char], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).map(|at| letters[at]);
    let in_word = before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    match letters[start] {
        'r' if !in_word || before == Some('b') => {
            let hashes = letters[start + 1..].iter().take_while(|letter| **letter == '#').count();
            if letters.get(start + 1 + hashes) != Some(&'"') {
                return None;
            }
            let mut at = start + 2 + hashes;
            while at < letters.len() {
                let closes = letters[at] == '"'
                    && letters[at + 1..].iter().take_while(|letter| **letter == '#').count() >= hashes;
                if closes {
                    return Some(at + 1 + hashes);
                }
                at += 1;
            }
            Some(letters.len())
        }
        '"' => Some(end_of_quoted(letters, start, '"')),
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        '\'' if letters.get(start + 1) == Some(&'\\') || letters.get(start + 2) == Some(&'\'') => {
            Some(end_of_quoted(letters, start, '\''))
        }
        _ => None,
    }
}

fn end_of_quoted(letters: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < letters.len() {
        match letters[at] {
            '\\' => at += 2,
            letter if letter == quote => return at + 1,
            _ => at += 1,
        }
    }
    letters.len()
}

/// Whether `word` stands in `line` by itself.
fn names(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !(before.is_some_and(part) || after.is_some_and(part) && word.ends_with(part))
    })
}

fn first_line(file: &Source) -> Vec<String> {
    let rule = "a file opens with `//! Name: one sentence a stranger understands`";
    let line = file.text.lines().next().unwrap_or_default();
    let said = line.strip_prefix("//! ").and_then(|rest| rest.split_once(": "));
    let named = said.is_some_and(|(name, sentence)| {
        name.starts_with(|letter: char| letter.is_uppercase() || letter == '`') && sentence.len() > 10
    });
    // The two roots speak of the whole house.
    let root = ["src/lib.rs", "src/main.rs"].contains(&file.path.as_str()) && line.starts_with("//! ");
    if named || root { Vec::new() } else { vec![file.breach(1, "no opening line", rule)] }
}

fn foreign_crates(file: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for (number, line) in file.logic() {
        for (foreign, homes) in HOMES {
            let path = format!("{foreign}::");
            let ours = [format!("crate::{path}"), format!("super::{path}"), format!("self::{path}")];
            let own = ours.iter().any(|own| line.contains(own.as_str()));
            if names(line, &path) && !own && !homes.iter().any(|home| file.path.starts_with(home)) {
                breaches.push(file.breach(
                    number,
                    &format!("`{foreign}`"),
                    &format!("it lives in {homes:?}"),
                ));
            }
        }
    }
    breaches
}

fn directions(file: &Source) -> Vec<String> {
    let Some((_, allowed)) = MAY_NAME.iter().find(|(folder, _)| *folder == file.folder()) else {
        return Vec::new();
    };
    let mut breaches = Vec::new();
    let logic: String = file.logic().map(|(_, line)| format!("{line}\n")).collect();
    for (at, _) in logic.match_indices("crate::") {
        if logic[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$') {
            continue;
        }
        let number = logic[..at].matches('\n').count() + 1;
        for named in first_names(&logic[at + "crate::".len()..]) {
            let known = MAY_NAME.iter().any(|(folder, _)| *folder == named);
            let free = allowed.contains(&named.as_str()) || (allowed.contains(&"*") && named != "cli");
            if known && named != file.folder() && !free {
                let rule = format!("`{}` may name {allowed:?}", file.folder());
                breaches.push(file.breach(number, &format!("`crate::{named}`"), &rule));
            }
        }
    }
    breaches
}

/// The modules named after `crate::`: one, or several in braces.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
    };
    let Some(inside) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut found, mut start) = (0_usize, Vec::new(), 0);
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(word(&inside[start..at]));
                return found;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(word(&inside[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn purity(file: &Source) -> Vec<String> {
    if !PURE.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let rule = "pure folders take `now` and give effects";
    let mut breaches = Vec::new();
    for (number, line) in file.logic() {
        let impure = IMPURE.iter().filter(|word| names(line, word));
        breaches.extend(impure.map(|word| file.breach(number, &format!("`{word}`"), rule)));
    }
    breaches
}

fn size(file: &Source) -> Vec<String> {
    let lines = file.before_tests();
    let rule = format!("split a file by noun before it has more than {MOST_LINES}");
    if lines > MOST_LINES {
        vec![file.breach(lines, &format!("{lines} lines before its tests"), &rule)]
    } else {
        Vec::new()
    }
}

fn empty_words(file: &Source) -> Vec<String> {
    let rule = "a name says what a thing is; this word says nothing";
    let mut breaches = Vec::new();
    for (number, line) in file.logic() {
        let words: Vec<&str> =
            line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
        for pair in words.windows(2) {
            if ["struct", "enum", "trait", "type", "mod"].contains(&pair[0]) {
                let parts = parts_of(pair[1]);
                if parts.iter().any(|part| EMPTY_WORDS.iter().any(|empty| empty.eq_ignore_ascii_case(part))) {
                    breaches.push(file.breach(number, &format!("`{}`", pair[1]), rule));
                }
            }
        }
    }
    breaches
}

/// `FrameHead` is `Frame` and `Head`, `dead_letter` is `dead` and `letter`.
fn parts_of(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            parts.push(String::new());
        }
        if letter != '_' {
            parts.last_mut().unwrap().push(letter);
        }
    }
    parts
}

fn loose_ends(file: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
            if names(line, word) {
                breaches.push(file.breach(
                    index + 1,
                    &format!("`{word}`"),
                    "nothing is left for later on main",
                ));
            }
        }
    }
    for (index, line) in file.code.lines().enumerate() {
        for word in ["todo!", "unimplemented!"] {
            if names(line, word) {
                breaches.push(file.breach(
                    index + 1,
                    &format!("`{word}`"),
                    "nothing is left for later on main",
                ));
            }
        }
        if line.contains(concat!("#[", "ignore")) {
            breaches.push(file.breach(index + 1, "an ignored test", "a test runs or is removed"));
        }
    }
    breaches
}

fn test_switches(file: &Source) -> Vec<String> {
    let rule = "logic does not ask whether it is under test; `#[cfg(test)]` stands before a module";
    let lines: Vec<&str> = file.code.lines().collect();
    let mut breaches = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let asks = line.contains("cfg!(test") || line.contains("cfg(not(test") || line.contains("cfg(test");
        let mut next = lines[index + 1..].iter().map(|line| line.trim());
        let next = next.find(|line| !line.is_empty() && !line.starts_with("#[")).unwrap_or_default();
        let module = line.trim() == "#[cfg(test)]" && names(next, "mod");
        if asks && !module {
            breaches.push(file.breach(index + 1, line.trim(), rule));
        }
    }
    breaches
}

fn prints(file: &Source) -> Vec<String> {
    if file.path.starts_with("src/cli/") || file.path == "src/main.rs" {
        return Vec::new();
    }
    let prints =
        |line: &str| ["print!", "println!", "eprint!", "eprintln!"].iter().any(|word| names(line, word));
    let printing = file.logic().filter(|(_, line)| prints(line));
    printing.map(|(number, line)| file.breach(number, line.trim(), "only `src/cli` prints")).collect()
}

fn personal_logs(file: &Source) -> Vec<String> {
    let rule = "a log names events and rules by id, never a person, a secret or a text that was sent";
    let mut breaches = Vec::new();
    let end: usize = file.text.split_inclusive('\n').take(file.before_tests()).map(str::len).sum();
    let text = &file.text[..end];
    for level in ["trace!(", "debug!(", "info!(", "warn!(", "error!("] {
        for (at, _) in text.match_indices(level) {
            let call = text[at..].split_inclusive(");").next().unwrap_or_default();
            let number = text[..at].matches('\n').count() + 1;
            let told = PERSONAL.iter().filter(|word| names(call, word));
            breaches.extend(told.map(|word| file.breach(number, &format!("a log with `{word}`"), rule)));
        }
    }
    breaches
}

/// `correctness` 3: a place in a bitmap means another person in another process.
fn places_stay_home(file: &Source) -> Vec<String> {
    if !file.path.starts_with("src/directory") {
        return Vec::new();
    }
    let rule = "a place in a bitmap is another person in the next process: it is never serialised";
    let lines: Vec<&str> = file.code.lines().collect();
    let mut breaches = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let before = lines[..index].iter().rev().take_while(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with("#[") || line.ends_with(")]") || line.ends_with(',')
        });
        let derived = before.clone().any(|line| line.contains("Serialize") || line.contains("Deserialize"));
        let place = names(line, "struct Place") || names(line, "type Place");
        let implemented = line.contains("Serialize for Place") || line.contains("Deserialize<'de> for Place");
        if (place && derived) || implemented {
            breaches.push(file.breach(index + 1, line.trim(), rule));
        }
    }
    breaches
}

const RULES: &[fn(&Source) -> Vec<String>] = &[
    first_line,
    foreign_crates,
    directions,
    purity,
    size,
    empty_words,
    loose_ends,
    test_switches,
    prints,
    personal_logs,
    places_stay_home,
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder`, without what is built and what git keeps.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name();
        let path = entry.path();
        if path.is_dir() && !["target", ".git"].iter().any(|skip| name == *skip) {
            files(&path, out);
        } else if path.is_file() && name != ".git" {
            out.push(path);
        }
    }
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| files(&root().join(folder), &mut paths));
    paths.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    paths.sort();
    let source = |path: &PathBuf| Source::new(&shown(path), &fs::read_to_string(path).unwrap());
    paths.iter().map(source).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "{} house rules are broken:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn the_house_is_in_order() {
    let sources = sources(&["src"]);
    assert!(sources.len() > 20);
    let breaches: Vec<String> =
        sources.iter().flat_map(|file| RULES.iter().flat_map(|rule| rule(file))).collect();
    assert_none(&breaches);
}

#[test]
fn tests_and_benches_open_with_what_they_are_and_leave_nothing_for_later() {
    let sources = sources(&["tests", "benches"]);
    let rules = [first_line, loose_ends];
    let breaches: Vec<String> =
        sources.iter().flat_map(|file| rules.iter().flat_map(|rule| rule(file))).collect();
    assert_none(&breaches);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Written in two halves, or this file would be its own breach.
    let machines = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("arti", "factory"),
        concat!("jfr", "og"),
    ];
    let mut paths = Vec::new();
    files(root(), &mut paths);
    let mut breaches = Vec::new();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (index, line) in text.lines().enumerate() {
            for machine in machines.iter().filter(|machine| line.contains(**machine)) {
                let rule = "a path or host of one machine means nothing on another";
                breaches.push(format!("{}:{}: `{machine}`: {rule}", shown(&path), index + 1));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn every_dependency_is_used() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let sources = sources(&["src", "tests", "benches"]);
    let (mut section, mut breaches) = (String::new(), Vec::new());
    for (index, line) in manifest.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            continue;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| section.ends_with("dependencies")) else {
            continue;
        };
        let word = name.replace('-', "_");
        let within = |file: &&Source| section != "dependencies" || file.path.starts_with("src/");
        let used = sources.iter().filter(within).any(|file| file.code.lines().any(|line| names(line, &word)));
        if !used {
            breaches
                .push(format!("Cargo.toml:{}: `{name}`: a dependency nobody names is removed", index + 1));
        }
    }
    assert_none(&breaches);
}

#[test]
fn every_folder_has_its_place_in_the_direction() {
    let folders: BTreeSet<String> = sources(&["src"]).iter().map(|file| file.folder().to_owned()).collect();
    for folder in folders {
        let known =
            ["lib", "main"].contains(&folder.as_str()) || MAY_NAME.iter().any(|(name, _)| *name == folder);
        assert!(known, "src/{folder}: say in MAY_NAME what it may name");
    }
}

#[test]
fn every_rule_finds_its_breach() {
    let breach = |path: &str, text: &str| -> Vec<String> {
        let file = Source::new(path, text);
        RULES.iter().flat_map(|rule| rule(&file)).map(|told| told.replace(path, "")).collect()
    };
    let open = "//! Name: a sentence that says enough.\n";
    let found = [
        ("src/flow/a.rs", "fn a() {}", ":1: no opening line"),
        ("src/flow/a.rs", "use rdkafka::Message;", ":2: `rdkafka`"),
        ("src/cli/a.rs", "fn a(b: metrics::Counter) {}", ":2: `metrics`"),
        ("src/event/a.rs", "use crate::{clock, flow::{a, b}};", ":2: `crate::flow`"),
        ("src/app/a.rs", "use crate::cli::Done;", ":2: `crate::cli`"),
        ("src/store/a.rs", "fn a() { let b = crate::clock::now(); }", ":2: `crate::clock`"),
        ("src/directory/a.rs", "use std::thread;", ":2: `std::thread`"),
        ("src/codec/a.rs", "pub struct SchemaManager;", ":2: `SchemaManager`"),
        ("src/codec/a.rs", "mod utils;", ":2: `utils`"),
        ("src/codec/a.rs", concat!("// TO", "DO later"), ":2: `TO"),
        ("src/codec/a.rs", concat!("#[", "ignore = \"slow\"]"), ":2: an ignored test"),
        ("src/codec/a.rs", "if cfg!(test) { a(); }", ":2: if cfg!(test)"),
        ("src/codec/a.rs", "#[cfg(test)]\nfn a() {}", ":2: #[cfg(test)]"),
        ("src/codec/a.rs", "fn a() { println!(\"b\"); }", ":2: fn a()"),
        ("src/codec/a.rs", "warn!(rule, \"{user_id} left\");", ":2: a log with `user_id`"),
        ("src/directory/a.rs", "#[derive(Debug, Serialize)]\nstruct Place(u32);", ":3: struct Place"),
    ];
    for (path, text, told) in found {
        let opening = if told.contains("opening") { "" } else { open };
        let breaches = breach(path, &format!("{opening}{text}\n"));
        assert!(breaches.iter().any(|breach| breach.starts_with(told)), "{text}: {breaches:?}");
    }
    let long = open.to_owned() + &"fn a() {}\n".repeat(MOST_LINES);
    assert!(breach("src/codec/a.rs", &long)[0].contains("401 lines"));
}

#[test]
fn what_only_looks_like_a_breach_is_none() {
    let fine = r##"//! Name: a sentence about rdkafka::Message and crate::cli.
// reqwest::Client lives elsewhere
fn a<'a>(b: &'a str) -> bool { b == "crate::cli::Done" || b == r#"println!("x")"# || b.starts_with('"') }
pub struct Database;
mod information;
/* TOD0: /* crate::engine */ */
#[cfg(test)]
mod tests {
    use crate::clock;
}
"##;
    let file = Source::new("src/store/a.rs", fine);
    assert_none(&RULES.iter().flat_map(|rule| rule(&file)).collect::<Vec<_>>());
}

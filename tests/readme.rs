//! Readme: what `README.md` says is so: its links, its commands, its table, its lists.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use bugle::codec::Schemas;
use bugle::event::{Reason, Source};
use bugle::topology::{Kinds, Topology};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The text between the fences of this language, block by block.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut parts = text.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        let (named, body) = block.split_once('\n').unwrap();
        if named == language {
            blocks.push(body.to_owned());
        }
        parts.next();
    }
    blocks
}

/// Everything outside the fences.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

fn inline_code(text: &str) -> Vec<String> {
    prose(text)
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// What follows the name of the program, in every command of the readme.
fn commands(text: &str) -> Vec<String> {
    let lines = blocks(text, "").join("\n").lines().map(str::to_owned).collect::<Vec<_>>();
    let mut found = Vec::new();
    for line in lines.into_iter().chain(inline_code(text)) {
        let line = line.split(" #").next().unwrap_or_default();
        for part in line.split('|') {
            let part = part.trim();
            let rest = part.strip_prefix("bugle ").or_else(|| part.strip_prefix("cargo run --release -- "));
            found.extend(rest.map(str::to_owned));
        }
    }
    found
}

fn help(verbs: &[&str]) -> Option<String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_bugle")).args(verbs).arg("--help").output().unwrap();
    ran.status.success().then(|| String::from_utf8(ran.stdout).unwrap())
}

/// The text of the longest chain of verbs that `words` begin with.
fn help_of(words: &[&str]) -> Option<String> {
    let named = words.iter().take_while(|word| {
        word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
    });
    let named: Vec<&str> = named.copied().collect();
    let first = help(named.get(..1)?)?;
    let is_verb = |verb: &&str| first.lines().any(|line| line.trim_start().starts_with(&format!("{verb} ")));
    match named.get(1).filter(|_| first.contains("Commands:")).filter(|verb| is_verb(verb)) {
        Some(_) => help(&named[..2]),
        None => Some(first),
    }
}

#[test]
fn every_command_is_one_that_bugle_has_with_every_flag_named() {
    let readme = read("README.md");
    let commands = commands(&readme);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let help = help_of(&words).unwrap_or_else(|| panic!("`bugle {command}`: no such verb"));
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap();
            let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag);
            assert!(known, "`bugle {command}`: no flag {flag}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let readme = read("README.md");
    let headings: BTreeSet<String> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    let mut seen = 0;
    for target in prose(&readme).split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()) {
        seen += 1;
        match target.strip_prefix('#') {
            Some(anchor) => assert!(headings.contains(anchor), "no heading for #{anchor}"),
            None => assert!(root().join(target).exists(), "there is no {target}"),
        }
    }
    assert!(seen > 40, "{seen} links");
    let tree = blocks(&readme, "").into_iter().find(|block| block.starts_with("src/main.rs")).unwrap();
    for path in tree.lines().filter_map(|line| line.split("  ").next()).flat_map(|paths| paths.split(", ")) {
        let exists = root().join(path).exists() || root().join("src").join(path).exists();
        assert!(exists, "the source tree has no {path}");
    }
}

fn topology() -> Topology {
    let schemas = Schemas::built_in();
    let kinds = Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()));
    Topology::load(&root().join("topology"), &kinds).unwrap()
}

#[test]
fn the_table_says_of_every_use_case_what_its_rules_do_now() {
    let readme = read("README.md");
    let topology = topology();
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("](topology/"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 30);
    for row in rows {
        let [id, _, link, scenarios, now] = row[..] else { panic!("{row:?} has not five columns") };
        let rules: Vec<_> =
            topology.rules.iter().filter(|rule| rule.plan.use_case.as_deref() == Some(id)).collect();
        assert!(!rules.is_empty(), "no rule serves {id}");
        assert!(rules.iter().all(|rule| link.contains(&format!("](topology/{}.yaml)", rule.source))), "{id}");
        assert!(rules.iter().all(|rule| link.contains(&rule.id)), "{id}: {link}");
        let file = format!("topology/scenarios/{}.yaml", id.to_lowercase());
        assert!(scenarios.ends_with(&format!("]({file})")) && root().join(&file).exists(), "{id}");
        assert_eq!(now, "works", "{id}");
    }
}

#[test]
fn the_rule_shown_is_a_rule_that_is_shipped() {
    for block in blocks(&read("README.md"), "yaml") {
        let rules = Source::ALL.map(|source| format!("topology/{source}.yaml"));
        let mappings = fs::read_dir(root().join("topology/mappings"))
            .unwrap()
            .map(|entry| format!("topology/mappings/{}", entry.unwrap().file_name().to_string_lossy()));
        let shipped = rules.into_iter().chain(mappings).any(|file| read(&file).contains(&block));
        assert!(shipped, "no file of topology/ has this rule:\n{block}");
    }
}

#[test]
fn the_reasons_and_the_metrics_are_those_there_are() {
    let readme = read("README.md");
    let list = readme.split("exactly one of these reasons:").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: Vec<String> = inline_code(list);
    let reasons: Vec<&str> = Reason::ALL.iter().map(Reason::as_str).collect();
    assert_eq!(listed, reasons);
    let metrics = read("tests/metrics.txt");
    let metrics: BTreeSet<&str> = metrics.lines().filter_map(|line| line.split(' ').next()).collect();
    for code in inline_code(&readme).iter().filter(|code| code.starts_with("bugle_")) {
        let name = code.split('{').next().unwrap();
        assert!(metrics.contains(name), "there is no metric {name}");
    }
}

#[test]
fn no_line_but_a_table_row_is_wider_than_120_columns() {
    let wide = |line: &&str| line.chars().count() > 120 && !line.starts_with('|');
    let readme = read("README.md");
    assert_eq!(readme.lines().filter(wide).collect::<Vec<_>>(), [] as [&str; 0]);
}

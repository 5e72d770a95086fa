//! Topology: `bugle topology` publishes rules to every instance, lists what was published, and shows it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_table::Table as Grid;
use comfy_table::presets::NOTHING;
use serde_json::{Value as Json, json};

use super::account;
use super::broker_args::BrokerArgs;
use super::directory::{unprintable, unreachable};
use super::{Done, Failure};
use crate::app::reload::{self, Care, NotPublished, Published, Publisher};
use crate::app::wiring;
use crate::engine::versions::{Version, Versions};
use crate::topology::Files;

/// Publish rules to every running instance, list what was published, and show it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bugle topology publish                   the rules in topology/: every instance switches to them
  bugle topology publish new-rules --orphan
                                           also when that leaves something open for ever
  bugle topology publish --after 57        where bugle.topology was made anew and the log of an instance says so
  bugle topology list                      every version that was published, the newest last
  bugle topology show 12                   one version, file by file
  bugle topology show 4f2a --into /tmp/old its files into a folder

The newest published rules are in force in all instances. An instance that starts publishes its own files only
where nobody ever published them; SIGHUP, `topology.watch` and `publish` do so whenever they differ from the
newest. What is faulty is not published.")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    settings: BrokerArgs,
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Put the rules of a folder in force everywhere, whole or not at all.
    Publish {
        /// The folder; `topology.folder` of the settings unless one is named.
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
        /// Publish also what leaves something of the rules in force open for ever.
        #[arg(long)]
        orphan: bool,
        /// As a generation after this one: where `bugle.topology` was made anew, and partitions wait for what they
        /// remember.
        #[arg(long, value_name = "GENERATION")]
        after: Option<u64>,
    },
    /// List the versions, the newest last.
    List,
    /// Print the files of a version.
    Show {
        /// Its generation, or how its hash begins.
        #[arg(value_name = "GENERATION|HASH")]
        version: String,
        /// Write them into this folder, which must be empty or not there.
        #[arg(long, value_name = "FOLDER")]
        into: Option<PathBuf>,
    },
}

/// How a verb prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object, for scripts.
    Json,
}

/// Runs the verb.
///
/// # Errors
/// The cluster cannot be reached, the rules are wrong, or there is no such version.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    let broker = wiring::kafka(&config)?;
    let mut versions = Versions::open(broker.as_ref()).map_err(unreachable)?;
    versions.catch_up().map_err(unreachable)?;
    let out = &mut super::Paper;
    match &args.verb {
        Verb::Publish { folder, orphan, after } => {
            let schemas = wiring::schemas(&config)?;
            let compile = reload::compile(&config, &schemas);
            let by = account::name().map(|name| format!("{name}, "));
            let by = format!("{}bugle topology publish", by.unwrap_or_default());
            let publisher = Publisher { broker, compile, by };
            let folder = folder.as_ref().unwrap_or(&config.topology.folder);
            let care = if *orphan { Care::Orphan } else { Care::Keep };
            publish(&publisher, (folder, care, *after), versions, (args.output, out))
        }
        Verb::List => list(versions.read(), args.output, out),
        Verb::Show { version, into } => show(versions.read(), version, into.as_deref(), (args.output, out)),
    }
}

fn publish(
    publisher: &Publisher,
    (folder, care, after): (&Path, Care, Option<u64>),
    mut versions: Versions,
    (output, out): (Output, &mut dyn Write),
) -> Done {
    // What is in force and cannot be used by this Bugle has nothing open that it could orphan.
    let old = versions.compile(&publisher.compile).map(|(old, _)| old).unwrap_or_default();
    let files = Files::read(folder);
    let published = match after {
        Some(after) => publisher.publish_after(after, &files, (&old, care)),
        None => publisher.publish(&files, &old, care),
    };
    let published = published.map_err(|why| match why {
        NotPublished::Faulty(faults) => {
            let shown = folder.display();
            Failure::configuration(format!("`{shown}` is not published:\n  {}", faults.join("\n  ")))
                .hint("run `bugle check`, and see `bugle topology publish --help`")
        }
        NotPublished::Broker(error) => unreachable(error),
    })?;
    versions.catch_up().map_err(unreachable)?;
    let (hash, is_new) = match published {
        Published::Newest(hash) => (hash, true),
        Published::Unchanged(hash) => (hash, false),
    };
    let newest = versions.read().iter().rfind(|version| version.hash == hash);
    let generation = newest.map(|version| version.generation);
    let told = match output {
        Output::Json => {
            format!("{:#}", json!({ "hash": hash_text(hash), "generation": generation, "published": is_new }))
        }
        Output::Text => {
            let generation = generation.map_or_else(String::new, |number| format!(" as generation {number}"));
            let what = if is_new { "published" } else { "in force already" };
            format!("{} is {what}{generation}", hash_text(hash))
        }
    };
    writeln!(out, "{told}").map_err(unprintable)?;
    Ok(0)
}

fn list(versions: &[Version], output: Output, out: &mut dyn Write) -> Done {
    let newest = versions.last().map(|version| version.generation);
    if output == Output::Json {
        let all: Vec<Json> = versions.iter().map(as_json).collect();
        writeln!(out, "{:#}", json!({ "in_force": newest, "versions": all })).map_err(unprintable)?;
        return Ok(0);
    }
    if versions.is_empty() {
        writeln!(out, "nothing was published yet").map_err(unprintable)?;
        return Ok(0);
    }
    let mut grid = Grid::new();
    grid.load_style(NOTHING).set_header(["generation", "hash", "published", "by", ""]);
    for version in versions {
        let Version { generation, at, by, .. } = version;
        let word = if Some(*generation) == newest { "in force" } else { "" };
        let cells = [generation.to_string(), hash_text(version.hash), at.to_string(), by.clone()];
        grid.add_row(cells.into_iter().chain([word.to_owned()]));
    }
    writeln!(out, "{grid}").map_err(unprintable)?;
    Ok(0)
}

fn show(
    versions: &[Version],
    named: &str,
    into: Option<&Path>,
    (output, out): (Output, &mut dyn Write),
) -> Done {
    let is_named = |version: &&Version| {
        version.generation.to_string() == named
            || (named.len() >= 4 && hash_text(version.hash).starts_with(named))
    };
    let Some(version) = versions.iter().rfind(is_named) else {
        return Err(Failure::failed(format!("no rules were published as `{named}`"))
            .hint("see `bugle topology list`; of a hash at least four letters are needed"));
    };
    let files = version.files().map_err(Failure::failed)?;
    if let Some(folder) = into {
        return write_into(folder, &files, out);
    }
    if output == Output::Json {
        let texts: serde_json::Map<String, Json> =
            files.iter().map(|(name, text)| (name, text.into())).collect();
        let mut shown = as_json(version);
        shown["files"] = texts.into();
        writeln!(out, "{shown:#}").map_err(unprintable)?;
        return Ok(0);
    }
    for (name, text) in files.iter() {
        writeln!(out, "# {name}\n{}", text.trim_end()).map_err(unprintable)?;
    }
    Ok(0)
}

fn write_into(folder: &Path, files: &Files, out: &mut dyn Write) -> Done {
    let failed = |error: std::io::Error| Failure::failed(format!("`{}`: {error}", folder.display()));
    for inner in ["messages", "mappings"] {
        fs::create_dir_all(folder.join(inner)).map_err(failed)?;
    }
    let mut count = 0;
    for (name, text) in files.iter() {
        // Names come from the topic: only below the folder, and over nothing that is there.
        let inner = name.strip_prefix("messages/").or_else(|| name.strip_prefix("mappings/"));
        let safe = inner.unwrap_or(&name);
        if safe.contains(['/', '\\']) || safe.starts_with('.') {
            return Err(Failure::failed(format!("`{name}` is no name of a file below a folder")));
        }
        let mut file = fs::File::create_new(folder.join(&name)).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        count += 1;
    }
    writeln!(out, "{count} files written to {}", folder.display()).map_err(unprintable)?;
    Ok(0)
}

fn as_json(version: &Version) -> Json {
    let Version { generation, hash, at, by, .. } = version;
    json!({ "generation": generation, "hash": hash_text(*hash), "published": at.to_string(), "by": by })
}

fn hash_text(hash: u128) -> String {
    format!("{hash:032x}")
}

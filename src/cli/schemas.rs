//! `bugle schemas`: the schemas of what is published, for a registry and for people.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::registry_args::{self, told};
use super::{Done, Failure, say};
use crate::clock;
use crate::codec::{Name, Registry, Schemas, example, subject};
use crate::event::Source;
use crate::topology::fault::nearest;

/// Arguments of `bugle schemas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// A folder with schema files; what is not in it is built in.
    #[arg(long, global = true, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Register every schema under `<topic>-value`, so that new versions must read old events.
    ///
    /// Registering what is registered already changes nothing. Nothing is registered when one schema
    /// is not compatible with its last version.
    Register(Access),
    /// Ask whether every schema is registered, and whether it reads what its last version wrote.
    ///
    /// Ends with 1 when something is missing or does not fit.
    Check(Access),
    /// Print an event of a kind as JSON, to edit and to publish.
    ///
    /// Example: bugle schemas example xecm.task.assigned > event.json
    Example {
        /// The kind, such as `xecm.task.assigned`; without one the kinds are listed.
        kind: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Access {
    /// Address of the schema registry; give it again for each further one.
    #[arg(
        long = "registry",
        env = "BUGLE_REGISTRY",
        value_name = "URL",
        value_delimiter = ',',
        required = true
    )]
    urls: Vec<String>,
    /// User name for the registry; the password comes from `BUGLE_REGISTRY_PASSWORD`.
    #[arg(long, env = "BUGLE_REGISTRY_USER", value_name = "USER")]
    user: Option<String>,
    /// A topic with another name, such as `opentext.xecm.events=prod.xecm`; may be given again.
    #[arg(long = "topic", value_name = "NAME=TOPIC")]
    topics: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// A schema file is wrong (78), the registry does not answer or refuses (1), the kind is unknown (2).
pub fn run(args: &Args) -> Done {
    let schemas = schemas(args.folder.as_deref())?;
    match &args.what {
        What::Register(access) => register(&schemas, access),
        What::Check(access) => check(&schemas, access),
        What::Example { kind } => example(&schemas, kind.as_deref()),
    }
}

fn schemas(folder: Option<&Path>) -> Result<Schemas, Failure> {
    match folder {
        None => Ok(Schemas::built_in()),
        Some(folder) => Schemas::load(folder).map_err(|fault| {
            Failure::configuration(fault).hint("compare it with the file of the same name in `schemas/`")
        }),
    }
}

impl Access {
    fn open(&self) -> Result<Registry, Failure> {
        registry_args::open(&self.urls, self.user.as_deref())
    }

    /// The registry's subject of a schema.
    fn subject(&self, name: Name) -> Result<String, Failure> {
        let default = name.topic().to_string();
        let mut topic = default.as_str();
        for renamed in &self.topics {
            let pair = renamed.split_once('=').filter(|(_, to)| !to.is_empty());
            let Some((from, to)) = pair else {
                return Err(Failure { exit: 2, ..Failure::failed(format!("`{renamed}` is not NAME=TOPIC")) });
            };
            if !Name::ALL.iter().any(|name| name.topic().to_string() == from) {
                let names: Vec<_> = Name::ALL.iter().map(|name| name.topic().to_string()).collect();
                let fault = Failure::failed(format!("`{from}` is no topic with a schema"));
                return Err(Failure { exit: 2, ..fault }.hint(format!("use one of {}", names.join(", "))));
            }
            if from == default {
                topic = to;
            }
        }
        Ok(subject(topic))
    }
}

fn register(schemas: &Schemas, access: &Access) -> Done {
    let registry = access.open()?;
    for name in Name::ALL {
        let subject = access.subject(name)?;
        let faults = registry.compatibility(&subject, schemas.text(name)).map_err(told)?.unwrap_or_default();
        if let Some(fault) = faults.first() {
            let what =
                format!("`{}` cannot read what the last version of {subject} wrote: {fault}", name.file());
            return Err(Failure::failed(what).hint("give new fields a default; nothing was registered"));
        }
    }
    for name in Name::ALL {
        let subject = access.subject(name)?;
        let id = registry.register(&subject, schemas.text(name)).map_err(told)?;
        registry.keep_backward(&subject).map_err(told)?;
        say(format_args!("{subject}: id {id}"));
    }
    Ok(0)
}

fn check(schemas: &Schemas, access: &Access) -> Done {
    let registry = access.open()?;
    let mut fine = true;
    for name in Name::ALL {
        let subject = access.subject(name)?;
        let finding = match registry.look_up(&subject, schemas.text(name)).map_err(told)? {
            Some(id) => registry
                .by_id(id)
                .map_err(told)?
                .map(|_| format!("id {id}"))
                .ok_or_else(|| format!("registered as id {id}, which the registry does not answer for")),
            None => match registry.compatibility(&subject, schemas.text(name)).map_err(told)? {
                None => Err("not registered".to_owned()),
                Some(faults) if faults.is_empty() => {
                    Err("another version is registered; this one fits it".to_owned())
                }
                Some(faults) => {
                    Err(format!("another version is registered and does not fit: {}", faults.join("; ")))
                }
            },
        };
        fine &= finding.is_ok();
        let (Ok(said) | Err(said)) = finding;
        say(format_args!("{subject}: {said}"));
    }
    match fine {
        true => Ok(0),
        false => Err(Failure::failed("the registry lacks schemas").hint("run `bugle schemas register`")),
    }
}

fn example(schemas: &Schemas, kind: Option<&str>) -> Done {
    let kinds: Vec<_> = Source::ALL.iter().flat_map(|source| schemas.kinds(*source)).collect();
    let Some(kind) = kind else {
        kinds.iter().for_each(|kind| say(format_args!("{kind}")));
        return Ok(0);
    };
    let Some(event) = example::event(schemas, kind, clock::now()) else {
        let failure = Failure { exit: 2, ..Failure::failed(format!("`{kind}` is no kind")) };
        return Err(match nearest(kind, kinds.iter().copied()) {
            Some(near) => failure.hint(format!("write {near}")),
            None => failure.hint("`bugle schemas example` lists all kinds"),
        });
    };
    say(format_args!("{event:#}"));
    Ok(0)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Desk {
        #[command(flatten)]
        args: Args,
    }

    fn run_with(line: &str) -> Result<u8, String> {
        let desk = Desk::try_parse_from(line.split(' ')).map_err(|fault| fault.to_string())?;
        run(&desk.args).map_err(|failure| format!("{}: {failure}", failure.exit))
    }

    #[test]
    fn an_example_is_printed_and_an_unknown_kind_has_a_suggestion() {
        assert_eq!(run_with("schemas example xecm.task.assigned"), Ok(0));
        assert_eq!(
            run_with("schemas example xecm.task.asigned").unwrap_err(),
            "2: error: `xecm.task.asigned` is no kind\nhint: write xecm.task.assigned"
        );
    }

    #[test]
    fn a_registry_that_does_not_answer_is_named() {
        let fault = run_with("schemas check --registry http://127.0.0.1:9").unwrap_err();
        assert!(
            fault.starts_with(
                "1: error: schema registry http://127.0.0.1:9/subjects/opentext.xconnector.events-value: "
            ),
            "{fault}"
        );
    }

    #[test]
    fn a_renamed_topic_renames_its_subject() {
        let access = |topics: &[&str]| Access {
            urls: Vec::new(),
            user: None,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        };
        let xecm = Name::Events(Source::Xecm);
        assert_eq!(access(&[]).subject(xecm).unwrap(), "opentext.xecm.events-value");
        assert_eq!(access(&["opentext.xecm.events=prod"]).subject(xecm).unwrap(), "prod-value");
        assert!(access(&["opentext.xcm.events=prod"]).subject(xecm).is_err());
    }
}

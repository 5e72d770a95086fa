//! Audience: `bugle audience 'role:approver && unit:EMEA'` says who that would be, now.
//!
//! It tells nobody anything. The answer is the directory's own: border, deputies and `never` included.

mod change;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json as object;

use super::broker_args::{BrokerArgs, Reach};
use super::directory::show::{Output, grid, print_json};
use super::directory::{from_file, unprintable};
use super::offline::{Town, TownArgs, members_of};
use super::{Done, Failure};
use crate::clock;
use crate::codec::{Codec, Name, json};
use crate::directory::{ExpressionFault, People, Resolved, bind_rule, parse, zones};
use crate::event::audience::{Audience, BoundAudience};
use crate::event::frame::Format;
use crate::event::{Change, Members, Person, Shape, Source};
use change::{Asking, Changes, Moved};

const AFTER_HELP: &str = "\
An expression joins terms with &&, ||, ! and ( ):
  role:approver              holders of a role or group
  location:DE/Bavaria        who works there or in a place under it
  unit:\"EMEA Sales\"          who belongs to a unit or one under it
  person:jdoe  party:acme    one person; the people of an external party
  member:workspace/4711/lead members of a workspace, process, app or record
  assignees owner requester followers supervisor(x) backup(x) addressed
                             as the event says; give one with `--event`
  role:{event.site}-lead     a value of the event; without a value it is nobody

Examples:
  bugle audience 'role:approver && unit:EMEA && !location:FR' --tenant north
  bugle audience 'supervisor(assignees)' --event task.json
  bugle audience 'party:acme' --channel mobile --people people.csv --output json
  bugle audience 'role:approver' --against people-last-week.csv  who is in now, who is out, and why";

/// Arguments of `bugle audience`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The expression, as a rule would say it.
    #[arg(value_name = "EXPRESSION")]
    pub expression: String,
    /// Asked when the expression names nobody.
    #[arg(long, value_name = "EXPRESSION")]
    pub fallback: Option<String>,
    /// Taken away at the very end.
    #[arg(long, value_name = "EXPRESSION")]
    pub never: Option<String>,
    /// Whose people; the event's, or the only one there is, when left out.
    #[arg(long)]
    pub tenant: Option<String>,
    /// An event as JSON, whose values fill the expression.
    #[arg(long, value_name = "FILE")]
    pub event: Option<PathBuf>,
    /// Who is asked.
    #[command(flatten)]
    pub town: TownArgs,
    /// Compare with an older `people.csv` or `people.jsonl`: who is in now, who is out, and why.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The members that went with it; the same as now, when left out.
    #[arg(long, value_name = "FILE", requires = "against")]
    pub against_members: Option<PathBuf>,
    /// Only through these channels.
    #[arg(long = "channel", value_name = "CHANNEL")]
    pub channels: Vec<String>,
    /// How many people to show; all of them are counted, and JSON names them all.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub first: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub(super) broker: BrokerArgs,
}

/// Answers on `out`.
///
/// # Errors
/// A [`Failure`] when the expression cannot be read, or the people cannot.
pub fn run(args: &Args, reach: &Reach<'_>, out: &mut dyn Write) -> Done {
    let tell = read(&args.expression)?;
    let fallback = args.fallback.as_deref().map(read).transpose()?;
    let never = args.never.as_deref().map(read).transpose()?;
    let event = args.event.as_deref().map(|file| event(file, reach.codec)).transpose()?;
    let change = event.as_ref().map(|event| event.change(reach.codec)).transpose()?;
    let town = Town::load(&args.town, args.tenant.as_deref(), &args.broker, reach)?;
    let people = known(&town, (&town.people, &town.members));
    let tenant = tenant(args, change.as_ref(), &people)?;
    let change = change.unwrap_or_else(nothing);
    let audience = bind_rule(&tell, fallback.as_ref(), never.as_ref(), &change);
    let resolved = people.resolve(&tenant, &audience, &args.channels);
    let changes = match &args.against {
        None => None,
        Some(file) => {
            let older = args.against_members.as_deref().map(members_of).transpose()?;
            let old = from_file(file, args.tenant.as_deref())?;
            let old = known(&town, (&old, older.as_deref().unwrap_or(&town.members)));
            let asking = Asking { tenant: &tenant, audience: &audience, channels: &args.channels };
            Some(Changes::between(&old, &people, asking))
        }
    };
    let mut advice = advice(&people, &tenant, &audience);
    advice.extend(zoneless(&town.people, (&tenant, &resolved)));
    let answer = Answer { args, all: &town.people, tenant: &tenant, advice, resolved, changes };
    match args.output {
        Output::Table => answer.table(out),
        Output::Json => answer.json(&tell, out),
    }
    .map_err(unprintable)?;
    Ok(0)
}

struct Answer<'a> {
    args: &'a Args,
    all: &'a [Person],
    tenant: &'a str,
    advice: Vec<String>,
    resolved: Resolved<'a>,
    changes: Option<Changes>,
}

// === impl Answer ===

impl Answer<'_> {
    fn table(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (told, no_channel) = (self.resolved.len(), self.resolved.no_channel().count());
        match self.resolved.nobody() {
            Some(nobody) => writeln!(out, "nobody of tenant {}: {}", self.tenant, nobody.text())?,
            None if told == 1 => writeln!(out, "1 person of tenant {}", self.tenant)?,
            None => writeln!(out, "{told} people of tenant {}", self.tenant)?,
        }
        let by_id: BTreeMap<&str, &Person> = self
            .all
            .iter()
            .filter(|person| person.tenant == self.tenant)
            .map(|person| (person.user_id.as_str(), person))
            .collect();
        let first: Vec<&Person> = self
            .resolved
            .iter()
            .take(self.args.first)
            .filter_map(|entry| by_id.get(entry.user_id()).copied())
            .collect();
        if !first.is_empty() {
            writeln!(out, "{}", grid(&first))?;
        }
        if told > first.len() {
            writeln!(out, "… and {} more", told - first.len())?;
        }
        if no_channel > 0 {
            writeln!(out, "{no_channel} more belong but have no approved channel")?;
        }
        self.advice.iter().try_for_each(|line| writeln!(out, "note: {line}"))?;
        self.changes.as_ref().map_or(Ok(()), |changes| self.changed(changes, out))
    }

    /// Who is in now, and who is out.
    fn changed(&self, changes: &Changes, out: &mut dyn Write) -> std::io::Result<()> {
        let (entered, left) = (changes.entered.len(), changes.left.len());
        let file = self.args.against.as_deref().unwrap_or(Path::new("")).display();
        writeln!(out, "against {file}: {entered} in, {left} out")?;
        for (sign, moved) in [('+', &changes.entered), ('-', &changes.left)] {
            for Moved { user_id, why, was } in moved.iter().take(self.args.first) {
                writeln!(out, "  {sign} {user_id}: {why} (was: {was})")?;
            }
            if moved.len() > self.args.first {
                writeln!(out, "  {sign} … and {} more", moved.len() - self.args.first)?;
            }
        }
        Ok(())
    }

    fn json(&self, tell: &Audience, out: &mut dyn Write) -> std::io::Result<()> {
        let people: Vec<&str> = self.resolved.iter().map(|entry| entry.user_id()).collect();
        let no_channel: Vec<&str> = self.resolved.no_channel().map(|entry| entry.user_id()).collect();
        let nobody = self.resolved.nobody();
        let answer = object!({
            "expression": tell.to_string(),
            "tenant": self.tenant,
            "count": people.len(),
            "people": people,
            "no_channel": no_channel,
            "nobody": nobody.map(|nobody| object!({ "reason": nobody.reason().as_str(), "text": nobody.text() })),
            "notes": self.advice,
        });
        let answer = match &self.changes {
            None => answer,
            Some(changes) => {
                let mut answer = answer;
                answer["against"] = object!(changes);
                answer
            }
        };
        print_json(&answer, out)
    }
}

/// What is said of those in the audience whose time zone nobody knows.
fn zoneless(all: &[Person], (tenant, resolved): (&str, &Resolved<'_>)) -> Option<String> {
    let told: BTreeSet<&str> = resolved.iter().map(|entry| entry.user_id()).collect();
    let own = all.iter().filter(|person| person.tenant == tenant && told.contains(person.user_id.as_str()));
    let mut odd = own.filter_map(|person| Some((person, zones::unknown(person).next()?.1)));
    let (person, zone) = odd.next()?;
    let others = match odd.count() {
        0 => String::new(),
        more => format!(", nor those of {more} more"),
    };
    Some(format!("nobody knows the time zone `{zone}` of {}{others}: the tenant's counts", person.user_id))
}

fn known(town: &Town, (all, members): (&[Person], &[Members])) -> People {
    let mut people = People::in_zones(town.zones());
    people.pass(clock::now());
    all.iter().for_each(|person| people.apply(person));
    members.iter().for_each(|members| people.apply_members(members));
    people
}

/// An event of a file, as its source would have published it.
struct Event {
    file: PathBuf,
    source: Source,
    payload: Vec<u8>,
}

// === impl Event ===

impl Event {
    fn change(&self, codec: &Codec) -> Result<Change<'_>, Failure> {
        let change = codec.decode(self.source, Format::Avro, &[], &self.payload);
        change.map_err(|error| wrong_event(&self.file, error))
    }
}

fn event(file: &Path, codec: &Codec) -> Result<Event, Failure> {
    let bytes = std::fs::read(file).map_err(|error| {
        Failure::failed(format!("`{}` cannot be read: {error}", file.display())).hint("check the path")
    })?;
    let json = json::parse(&bytes).map_err(|fault| wrong_event(file, fault))?;
    let written = json::to_avro(codec.schemas(), &json).map_err(|fault| wrong_event(file, fault))?;
    let name = Name::Events(written.source);
    Ok(Event { file: file.to_owned(), source: written.source, payload: written.framed(name.local_id()) })
}

fn wrong_event(file: &Path, fault: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("`{}` holds no event: {fault}", file.display()))
        .hint("run `bugle schemas example KIND` to see one")
}

fn read(text: &str) -> Result<Audience, Failure> {
    parse(text).map_err(|fault| {
        let failure = Failure { exit: 2, ..Failure::failed(placed(text, &fault)) };
        match fault.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// The fault, the line it stands in, and a mark under it.
fn placed(text: &str, fault: &ExpressionFault) -> String {
    let begin = text[..fault.offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    let count = |text: &str| text.chars().count();
    let before = " ".repeat(count(&text[begin..fault.offset]));
    let under =
        "^".repeat(count(&text[fault.offset..fault.offset + fault.length]).clamp(1, count(line).max(1)));
    let mut placed = fault.message.clone();
    write!(placed, "\n  {line}\n  {before}{under}").expect("a string takes any text");
    placed
}

fn tenant(args: &Args, change: Option<&Change<'_>>, people: &People) -> Result<String, Failure> {
    let of_event = change.map(Change::tenant).filter(|tenant| !tenant.is_empty());
    if let Some(tenant) = args.tenant.as_deref().or(of_event) {
        return Ok(tenant.to_owned());
    }
    match people.tenants()[..] {
        [only] => Ok(only.to_owned()),
        [] => Err(Failure::failed("the directory is empty").hint("run `bugle directory load people.csv`")),
        ref many => {
            let message = format!("the directory holds {} tenants: {}", many.len(), many.join(", "));
            Err(Failure { exit: 2, ..Failure::failed(message) }.hint("say which with `--tenant`"))
        }
    }
}

fn advice(people: &People, tenant: &str, audience: &BoundAudience) -> Vec<String> {
    let parts = [Some(&audience.tell), audience.fallback.as_ref(), audience.never.as_ref()];
    let unheard = parts.into_iter().flatten().flat_map(|bound| people.unheard(tenant, bound));
    let line = |unheard: crate::directory::Unheard| match unheard.hint() {
        Some(hint) => format!("{unheard}; {hint}"),
        None => unheard.to_string(),
    };
    unheard.map(line).collect()
}

/// An event that says nothing.
fn nothing<'a>() -> Change<'a> {
    let shape = Shape::new(Source::Xecm, String::new(), Vec::new(), Vec::new());
    Change::new(Arc::new(shape), Cow::Borrowed(&[]), Vec::new(), Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::cli::stage::Stage;

    const PEOPLE: &str = "tenant,user_id,roles,site,business_unit,party,channels\n\
        north,ada,legal,P1,EMEA/Sales,,\nnorth,bob,legal,P2,EMEA,,\nnorth,cid,buyer,P1,APAC,,\n\
        north,eve,,,,acme,mobile\nnorth,fay,,,,acme,\nsouth,ada,legal,P1,EMEA,,\n";

    fn ask(args: &[&str]) -> String {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        stage.ask(args)
    }

    #[test]
    fn it_says_who_that_would_be() {
        insta::assert_snapshot!(ask(&["role:legal && unit:EMEA", "--tenant", "north"]), @r"
        2 people of tenant north
         TENANT  USER  NAME  ROLES  LOCATION  UNIT        PARTY
         north   ada         legal  P1        EMEA/Sales
         north   bob         legal  P2        EMEA
        ");
        insta::assert_snapshot!(ask(&["role:legal || role:buyer", "--tenant", "north", "--first", "1"]), @r"
        3 people of tenant north
         TENANT  USER  NAME  ROLES  LOCATION  UNIT        PARTY
         north   ada         legal  P1        EMEA/Sales
        … and 2 more
        ");
        insta::assert_snapshot!(ask(&["party:acme", "--tenant", "north", "--output", "json"]), @r#"
        {
          "count": 1,
          "expression": "party:acme",
          "no_channel": [
            "fay"
          ],
          "nobody": null,
          "notes": [],
          "people": [
            "eve"
          ],
          "tenant": "north"
        }
        "#);
    }

    #[test]
    fn an_event_fills_the_expression_and_says_whose_people() {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        let event = stage.event("xecm.task.assigned", |event| {
            event["tenant"] = "north".into();
            event["data"]["assignees"] = serde_json::json!([{ "user_id": "bob" }]);
            event["entity"]["name"] = "legal".into();
        });
        let ask = |expression: &str| {
            stage
                .ask(&[expression, "--event", &event, "--output", "json"])
                .lines()
                .filter(|line| line.contains("    \""))
                .collect::<String>()
        };
        assert_eq!(ask("assignees"), "    \"bob\"");
        assert_eq!(ask("role:{event.entity.name} && !assignees"), "    \"ada\"");
    }

    #[test]
    fn it_says_who_is_in_now_and_who_is_out_by_an_older_directory_and_why() {
        let stage = Stage::new();
        stage.load(PEOPLE, &[]);
        let older = PEOPLE
            .replace("north,ada,legal", "north,ada,buyer")
            .replace("north,cid,buyer,P1,APAC", "north,cid,legal,P1,EMEA")
            .replace("north,bob,legal,P2,EMEA", "north,bob,legal,P2,APAC")
            + "north,zoe,legal,P1,EMEA,,\n";
        let older = stage.file("older.csv", &older);
        let ask = |more: &[&str]| {
            stage
                .ask(&[&["role:legal && unit:EMEA", "--tenant", "north", "--against", &older], more].concat())
        };
        let said = ask(&["--first", "9"]);
        insta::assert_snapshot!(said.split_once("against ").unwrap().1.replace(&older, "older.csv"), @r"
        older.csv: 2 in, 2 out
          + ada: role:legal && unit:EMEA (was: not role:legal)
          + bob: role:legal && unit:EMEA (was: not unit:EMEA)
          - cid: not (role:legal && unit:EMEA) (was: role:legal && unit:EMEA)
          - zoe: no entry in the directory (was: role:legal && unit:EMEA)
        ");
        let json: serde_json::Value = serde_json::from_str(&ask(&["--output", "json"])).unwrap();
        assert_eq!(json["against"]["out"][1]["user_id"], "zoe");
    }

    #[test]
    fn it_says_why_it_is_nobody() {
        insta::assert_snapshot!(ask(&["role:{event.role}", "--tenant", "north"]), @r"nobody of tenant north: `role` has no value in this event");
        insta::assert_snapshot!(ask(&["role:leagl", "--tenant", "north"]), @r"
        nobody of tenant north: nobody fits
        note: nobody holds role `leagl`; write `legal`
        ");
    }

    #[test]
    fn it_shows_where_the_expression_stops_making_sense() {
        insta::assert_snapshot!(ask(&["role:legal && unti:EMEA"]), @r"
        error: `unti:` is no term
          role:legal && unti:EMEA
                        ^^^^^
        hint: write `unit:`
        ");
    }

    #[test]
    fn it_asks_which_tenant_when_there_are_several() {
        insta::assert_snapshot!(ask(&["role:legal"]), @r"
        error: the directory holds 2 tenants: north, south
        hint: say which with `--tenant`
        ");
    }
}

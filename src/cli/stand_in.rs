//! `bugle stand-in`: the local push service, in the foreground until it is interrupted.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use tokio::net::TcpListener;

use super::run::interrupted;
use super::{Done, Failure, Leash};
use crate::push::signature::Secret;
use crate::stand_in::{Faults, Latency, Options, SignIn, serve};

/// A push service for trying things out: it speaks OpenText's contract, counts
/// what it gets, and shows every person's inbox as a page that updates itself.
///
/// It speaks all transports of `push.transport`, into one ledger: `mra` at its
/// address, `appworks` there, too, and `webhook` at /webhook.
///
/// Open its address in a browser to see the inboxes. `GET /ledger` says how many
/// pushes came, and how many of them came twice.
///
/// Beside it stand source systems that answers are carried into (`sources` in
/// bugle.yaml): Content Server at /otcs/cs.exe with its sign-in, xConnector and
/// Developer Admin. /systems shows them, and takes what is to be there, such as
/// `workflows`, each with a `process_id` and `assignees` like ada@members:
///
///   curl localhost:8089/systems -d @workflows.json
///   curl localhost:8089/systems/faults -d '{"next": ["drop_answer"]}'
///   curl localhost:8089/systems/ledger
///
/// It can be told to misbehave, here or while it runs:
///
///   bugle stand-in --latency exp:30ms --rate-limited 0.05 --retry-after 2
///   curl localhost:8089/faults -d '{"unavailable": 1, "retry_after": "5"}'
///   curl localhost:8089/faults -d '{}'
///
/// It keeps everything in memory and reaches no phone.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8089")]
    pub listen: SocketAddr,

    /// How many inboxes to hold at least, of the last 50 pushes each; 0 holds none.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub inboxes: usize,

    /// How many jobs the status call can still answer for.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub jobs: usize,

    /// Keep every reference for `GET /refs`, at about 50 bytes and its title each.
    #[arg(long)]
    pub keep_refs: bool,

    /// Where Bugle hears answers; `none` leaves the buttons of the inboxes without effect.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8091")]
    pub answers: String,

    /// Ask for HTTP Basic with this user; the password comes from --secret or --secret-file.
    #[arg(long, value_name = "USER", conflicts_with = "client")]
    pub user: Option<String>,

    /// Ask for a bearer token of this client, fetched at /tenants/{any}/oauth2/token with its secret.
    #[arg(long, value_name = "CLIENT")]
    pub client: Option<String>,

    /// The password or the client's secret.
    #[arg(long, value_name = "TEXT", env = "BUGLE_STAND_IN_SECRET", hide_env_values = true)]
    pub secret: Option<SecretString>,

    /// A file that holds nothing but the password or the client's secret.
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub secret_file: Option<PathBuf>,

    /// Ask whoever calls the AppWorks Gateway for this `otagAppKey`.
    #[arg(long, value_name = "TEXT", env = "BUGLE_STAND_IN_APP_KEY", hide_env_values = true)]
    pub app_key: Option<SecretString>,

    /// Ask for webhooks that are signed with this secret, `whsec_` and base64 of 24 bytes or more.
    #[arg(long, value_name = "TEXT", env = "BUGLE_STAND_IN_WEBHOOK_SECRET", hide_env_values = true)]
    pub webhook_secret: Option<SecretString>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub misbehaviour: Misbehaviour,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub leash: Leash,
}

/// What goes wrong. Shares are between 0 (never) and 1 (always).
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Misbehaviour (shares between 0, never, and 1, always)")]
pub struct Misbehaviour {
    /// How long an answer takes: `20ms`, `5ms..50ms`, or `exp:20ms` for that mean.
    #[arg(long, value_name = "SPAN", default_value = "0")]
    pub latency: Latency,

    /// The share of submits refused with 429.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub rate_limited: f64,

    /// What a 429 or 503 says in Retry-After, word for word: `2`, a date, or nonsense.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub retry_after: Option<String>,

    /// The share of submits that fail with 500.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub server_error: f64,

    /// The share of submits refused with 503.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub unavailable: f64,

    /// The share of submits accepted and then cut off before the answer.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub cut_before_answer: f64,

    /// The share of submits accepted and then cut off inside the answer.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub cut_inside_answer: f64,

    /// Refuse a sign-in with 401 after so many submits; 0 never does.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub unauthorized_after: u64,

    /// The share of destinations that end as `Error: UNREGISTERED` in the job's status.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub partial: f64,

    /// The share of destinations that end as `Error: INTERNAL` in the job's status.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub bounced: f64,

    /// For so many seconds a job is on its way.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    pub pending_seconds: f64,

    /// The share of status calls that fail with 500.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub silent_status: f64,

    /// Tell whoever asked to be told of jobs twice of each.
    #[arg(long)]
    pub told_twice: bool,

    /// An address such as `user:jdoe` that makes a whole request be refused; may be given often.
    #[arg(long, value_name = "ADDRESS")]
    pub poison: Vec<String>,

    /// Webhook: the share of pushes refused one by one.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub refused_pushes: f64,

    /// Webhook: the share of pushes not taken now, one by one.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub later_pushes: f64,

    /// Webhook: the share of pushes of which the first answer says nothing.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub unnamed_pushes: f64,

    /// Webhook: results in another order than the pushes.
    #[arg(long)]
    pub shuffled: bool,

    /// Where the generator of the faults starts: the same seed misbehaves the same way.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
}

/// Runs the stand-in until it is interrupted.
///
/// # Errors
/// When the address is taken or a secret cannot be read.
pub fn run(args: &Args) -> Done {
    args.leash.take()?;
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(|error| {
            Failure::failed(format!("cannot listen on {}: {error}", args.listen))
                .hint("choose another address with --listen, or port 0 for a free one")
        })?;
        let stand_in = serve(listener, options)
            .map_err(|error| Failure::failed(format!("the listener on {} failed: {error}", args.listen)))?;
        announce(&stand_in.url()).map_err(Failure::failed)?;
        interrupted()
            .await
            .map_err(|error| Failure::failed(format!("cannot wait for an interrupt: {error}")))?;
        stand_in.stop().await;
        Ok(0)
    })
}

fn announce(url: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Push service stand-in at {url}")?;
    writeln!(out, "  inboxes  {url}/")?;
    writeln!(out, "  ledger   {url}/ledger")?;
    writeln!(out, "  faults   {url}/faults")?;
    writeln!(out, "  systems  {url}/systems")?;
    out.flush()
}

fn options(args: &Args) -> Result<Options, Failure> {
    let secret = || match (&args.secret, &args.secret_file) {
        (Some(secret), _) => Ok(secret.clone()),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map(|text| SecretString::from(text.trim_end().to_owned()))
            .map_err(|error| Failure::configuration(format!("`{}`: {error}", file.display()))),
        (None, None) => Err(Failure::configuration("a sign-in is asked for, and there is no secret")
            .hint("give it with --secret-file, or in the environment as BUGLE_STAND_IN_SECRET")),
    };
    let sign_in = match (&args.user, &args.client) {
        (Some(user), _) => SignIn::Basic(user.clone(), secret()?),
        (None, Some(client)) => SignIn::Bearer(client.clone(), secret()?),
        (None, None) => SignIn::Open,
    };
    let faults = args.misbehaviour.faults();
    let answers = Some(args.answers.clone()).filter(|url| url != "none");
    let Args { inboxes, jobs, keep_refs, .. } = *args;
    let webhook_secrets = args.webhook_secret.iter().map(Secret::read).collect::<Result<_, _>>();
    let webhook_secrets = webhook_secrets.map_err(|bad| Failure::configuration(bad.to_string()))?;
    let app_key = args.app_key.clone();
    Ok(Options {
        faults,
        sign_in,
        inboxes,
        jobs,
        keep_refs,
        answers,
        app_key,
        webhook_secrets,
        ..Options::default()
    })
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number between 0 and 1, such as 0.05".to_owned()),
    }
}

// === impl Misbehaviour ===

impl Misbehaviour {
    fn faults(&self) -> Faults {
        Faults {
            seed: self.seed,
            latency: self.latency,
            rate_limited: self.rate_limited,
            retry_after: self.retry_after.clone(),
            server_error: self.server_error,
            unavailable: self.unavailable,
            cut_before_answer: self.cut_before_answer,
            cut_inside_answer: self.cut_inside_answer,
            unauthorized_after: self.unauthorized_after,
            partial: self.partial,
            bounced: self.bounced,
            pending_seconds: self.pending_seconds,
            silent_status: self.silent_status,
            told_twice: self.told_twice,
            poison: self.poison.clone(),
            poison_code: None,
            dead_seconds: 0.0,
            refused_pushes: self.refused_pushes,
            later_pushes: self.later_pushes,
            unnamed_pushes: self.unnamed_pushes,
            shuffled: self.shuffled,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn read(words: &[&str]) -> Result<Args, clap::Error> {
        let command = <Args as clap::Args>::augment_args(Command::new("stand-in"));
        let words = std::iter::once("stand-in").chain(words.iter().copied());
        command.try_get_matches_from(words).and_then(|matches| Args::from_arg_matches(&matches))
    }

    #[test]
    fn the_flags_say_how_it_misbehaves() {
        let args = read(&[
            "--latency",
            "exp:30ms",
            "--rate-limited",
            "0.5",
            "--retry-after",
            "-1",
            "--poison",
            "user:a",
        ]);
        let options = options(&args.unwrap()).unwrap();
        assert_eq!(options.faults.latency, "exp:30ms".parse().unwrap());
        assert_eq!(options.faults.retry_after.as_deref(), Some("-1"));
        assert_eq!(options.faults.poison, ["user:a"]);
        assert!(read(&["--rate-limited", "2"]).is_err());
        assert!(read(&["--latency", "20"]).is_err());
    }

    #[test]
    fn a_sign_in_needs_a_secret() {
        let failure = options(&read(&["--client", "c"]).unwrap()).unwrap_err();
        assert_eq!(failure.exit, 78);
        let options = options(&read(&["--client", "c", "--secret", "s"]).unwrap()).unwrap();
        assert!(matches!(options.sign_in, SignIn::Bearer(client, _) if client == "c"));
    }
}

//! Run: `bugle run` starts the lanes and stops them when it is told to.

use std::sync::Arc;
use std::time::Duration;

use super::broker_args::BrokerArgs;
use super::{Done, Failure, say};
use crate::app::{App, wiring};
use crate::broker::model::Model;
use crate::broker::{Broker, BrokerError, TopicSpec};
use crate::clock::Tick;
use crate::telemetry::logs;

/// Arguments of `bugle run`.
///
/// Reads `bugle.yaml`, the environment (`BUGLE_KAFKA__BROKERS=…`) and `--set`, the last winning. Every
/// setting and its default stands in deploy/bugle.yaml.
///
///   bugle topics create --brokers kafka-1:9092
///   bugle run --config bugle.yaml --set push.in_flight=32
///
/// SIGTERM and Ctrl-C finish what is under way, commit it, and leave the groups. SIGHUP reads the rules of
/// `topology.folder` again and publishes them: every instance switches to them, whole or not at all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub settings: BrokerArgs,
    /// Run on a broker in memory instead of Kafka: nothing outlives the process.
    #[arg(long)]
    pub embedded: bool,
}

/// Between two looks for a cluster that is away, and between two words about it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Runs until interrupted.
///
/// # Errors
/// What keeps it from starting, and what to do about it.
pub fn run(args: &Args) -> Done {
    let config = args.settings.load()?;
    logs::install(config.log.format, &config.log.filter)
        .map_err(|fault| Failure::configuration(&fault).hint(fault.hint()))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let broker: Arc<dyn Broker> = if args.embedded {
        say(
            "embedded: the broker is in memory, its topics end with this process, and no instance shares the work",
        );
        let model = Model::new();
        model.create(&wiring::specs(&config)?).map_err(Failure::failed)?;
        Arc::new(model)
    } else {
        let kafka = wiring::kafka(&config)?;
        refuse_faulty_topics(&wait_for_topics(kafka.as_ref(), &wiring::specs(&config)?)?)?;
        kafka
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let runtime = Arc::new(runtime);
    let app = App::start(&config, broker, Arc::clone(&runtime))?;
    tracing::info!(admin = %format!("http://{}", app.admin), "running");
    let given_up = runtime.block_on(async {
        tokio::select! {
            asked = until_interrupted(&app) => asked.map(|()| None),
            why = app.given_up() => Ok(Some(why)),
        }
    });
    let given_up = given_up.map_err(Failure::failed)?;
    tracing::info!("stopping: what is under way is finished first");
    app.stop();
    match given_up {
        None => Ok(0),
        Some(why) => {
            Err(Failure::failed(why).hint("give each process a `kafka.instance_id` of its own, or none"))
        }
    }
}

/// What is wrong with the topics. A cluster that is away is waited for, as the lanes do later.
fn wait_for_topics(broker: &dyn Broker, specs: &[TopicSpec]) -> Result<Vec<BrokerError>, Failure> {
    let mut said: Option<Tick> = None;
    loop {
        match broker.check(specs) {
            Err(error @ BrokerError::Unavailable { .. }) => {
                if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                    let hint = "check `kafka.brokers`, or start the cluster; nothing is lost meanwhile";
                    tracing::warn!(%error, hint, "Kafka is waited for");
                    said = Some(Tick::now());
                }
                std::thread::park_timeout(LOOK_AGAIN);
            }
            faults => return faults.map_err(Failure::failed),
        }
    }
}

fn refuse_faulty_topics(faults: &[BrokerError]) -> Result<(), Failure> {
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(Failure::failed(faults.join("\nerror: "))
        .hint("run `bugle topics create`, then `bugle topics check`"))
}

/// Ends with SIGTERM or Ctrl-C; with SIGHUP the rules are read again, and published.
async fn until_interrupted(app: &App) -> std::io::Result<()> {
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
    let ended = interrupted();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => return ended,
            _ = hangup.recv() => tokio::task::block_in_place(|| app.reload()),
        }
    }
}

/// Ends with SIGTERM or Ctrl-C.
pub(crate) async fn interrupted() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended,
        _ = terminate.recv() => Ok(()),
    }
}

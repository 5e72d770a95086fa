//! Run: `bugle run` starts the lanes and stops them when it is told to.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::broker_args::BrokerArgs;
use super::{Done, Failure, Leash, say};
use crate::app::drain::Drain;
use crate::app::grow::wait_for_the_last;
use crate::app::{App, wiring};
use crate::broker::model::Model;
use crate::broker::{Broker, BrokerError, TopicSpec};
use crate::clock::Tick;
use crate::engine::GivenUp;
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
    /// Take nothing new in: carry what lies between the lanes to its end, and end. No other instance may run.
    #[arg(long, conflicts_with = "embedded")]
    pub drain: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a flattened group's doc comment would become help text")]
    pub leash: Leash,
}

/// Between two looks for a cluster that is away, and between two words about it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Runs until interrupted.
///
/// # Errors
/// What keeps it from starting, and what to do about it.
pub fn run(args: &Args) -> Done {
    args.leash.take()?;
    let mut config = args.settings.load()?;
    if args.drain {
        // Nobody is told where the door is: an answer would lie behind what is read to its end.
        config.answers.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    }
    logs::install(config.log.format, &config.log.filter)
        .map_err(|fault| Failure::configuration(&fault).hint(fault.hint()))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let runtime = Arc::new(runtime);
    let mut asked = runtime.block_on(async { Asked::listen() }).map_err(Failure::failed)?;
    let broker: Arc<dyn Broker> = if args.embedded {
        say(
            "embedded: the broker is in memory, its topics end with this process, and no instance shares the work",
        );
        let model = Model::new();
        model.create(&wiring::specs(&config)?).map_err(Failure::failed)?;
        Arc::new(model)
    } else {
        let kafka = wiring::kafka(&config)?;
        let specs = wiring::specs(&config)?;
        let Some(faults) = wait_for_topics(kafka.as_ref(), &specs, &runtime, &mut asked.to_stop)? else {
            return Ok(0);
        };
        refuse_faulty_topics(&faults)?;
        if args.drain {
            refuse_others(kafka.as_ref(), &config.kafka.group)?;
        }
        kafka
    };
    let mut app = App::start(&config, Arc::clone(&broker), Arc::clone(&runtime))?;
    tracing::info!(admin = %format!("http://{}", app.admin), "running");
    let ended = runtime.block_on(async {
        if args.drain {
            return until_drained(&mut app, broker.as_ref(), (&config.kafka.group, &mut asked.to_stop)).await;
        }
        tokio::select! {
            () = until_stopped(&app, &mut asked) => Ended::Asked,
            why = app.given_up() => Ended::GivenUp(why),
        }
    });
    tracing::info!("stopping: what is under way is finished first");
    app.stop();
    match ended {
        Ended::Asked if args.drain => Err(Failure::failed("not everything between the lanes was read")),
        Ended::Asked | Ended::Drained => Ok(0),
        Ended::GivenUp(why) => Err(Failure::failed(&why).hint(why.hint())),
    }
}

/// Why it ends.
enum Ended {
    Asked,
    Drained,
    GivenUp(GivenUp),
}

async fn until_drained(app: &mut App, broker: &dyn Broker, (group, to_stop): (&str, &mut ToStop)) -> Ended {
    let mut drain = Drain::new(group);
    let mut every = tokio::time::interval(LOOK_AGAIN / 4);
    loop {
        tokio::select! {
            () = to_stop.asked() => return Ended::Asked,
            why = app.given_up() => return Ended::GivenUp(why),
            _ = every.tick() => {}
        }
        match drain.go_on(app, broker) {
            Ok(true) => return Ended::Drained,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "Kafka is waited for"),
        }
    }
}

/// What others take in, they write between the lanes.
fn refuse_others(broker: &dyn Broker, group: &str) -> Result<(), Failure> {
    match wait_for_the_last(broker, group).map_err(Failure::failed)? {
        None => Ok(()),
        Some((group, members)) => Err(Failure::failed(format!("`{group}` has {members} members"))
            .hint("stop every other instance first")),
    }
}

/// What is wrong with the topics, or nothing when it is asked to stop before that is known. A cluster that is
/// away is waited for, as the lanes do later.
fn wait_for_topics(
    broker: &dyn Broker,
    specs: &[TopicSpec],
    runtime: &Runtime,
    to_stop: &mut ToStop,
) -> Result<Option<Vec<BrokerError>>, Failure> {
    let mut said: Option<Tick> = None;
    loop {
        match broker.check(specs) {
            Err(error @ BrokerError::Unavailable { .. }) => {
                if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
                    let hint = "check `kafka.brokers`, or start the cluster; nothing is lost meanwhile";
                    tracing::warn!(%error, hint, "Kafka is waited for");
                    said = Some(Tick::now());
                }
                let asked = async { tokio::time::timeout(LOOK_AGAIN, to_stop.asked()).await };
                if runtime.block_on(asked).is_ok() {
                    return Ok(None);
                }
            }
            faults => return faults.map(Some).map_err(Failure::failed),
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
async fn until_stopped(app: &App, asked: &mut Asked) {
    loop {
        tokio::select! {
            () = asked.to_stop.asked() => return,
            _ = asked.to_reload.recv() => tokio::task::block_in_place(|| app.reload()),
        }
    }
}

/// What a process may be asked for by signals; whatever it is asked before it can do it, it does then.
struct Asked {
    to_stop: ToStop,
    to_reload: Signal,
}

/// Ends with SIGTERM or Ctrl-C.
pub(crate) async fn interrupted() -> std::io::Result<()> {
    ToStop::listen()?.asked().await;
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct ToStop {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Asked ===

impl Asked {
    /// Listens from now on; a runtime must be entered.
    fn listen() -> std::io::Result<Self> {
        Ok(Self { to_stop: ToStop::listen()?, to_reload: signal(SignalKind::hangup())? })
    }
}

// === impl ToStop ===

impl ToStop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

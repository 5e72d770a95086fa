//! Cluster: three Kafka nodes of a test's own, each behind a proxy, that can be ended and started again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bugle::broker::kafka::{Kafka, KafkaSettings};
use bugle::broker::{Broker, BrokerError, Topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::proxy::Proxy;
use super::services::{KAFKA, fetched_kafka, free_ports, home, java, kit, quiet_port, run};
use super::until;

const NODES: usize = 3;

/// How long the cluster may take to answer, and a node to end.
const WITHIN: Duration = Duration::from_secs(120);

/// Three nodes; none of them outlives this.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    /// Where the node is asked without its proxy.
    direct: u16,
    proxy: Proxy,
    home: PathBuf,
    child: Option<Child>,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn start() -> Self {
        fetched_kafka(&kit());
        let ports = free_ports(NODES * 3);
        let voters: Vec<String> =
            (0..NODES).map(|node| format!("{}@127.0.0.1:{}", node + 1, ports[node * 3 + 1])).collect();
        let nodes = (0..NODES).map(|node| {
            let home = home(&kit(), &format!("cluster-{node}"));
            let front = quiet_port();
            let [direct, controller, behind] = [0, 1, 2].map(|port| ports[node * 3 + port]);
            let text = properties(node + 1, &voters.join(","), [direct, controller, behind, front])
                + &format!("log.dirs={}\n", home.join("data").display());
            let config = home.join("server.properties");
            fs::write(&config, text).expect("target/ can be written");
            let id = "YnVnbGUtdGVzdC1raXQwMQ";
            run(java("-Xmx128m").args(["kafka.tools.StorageTool", "format", "-t", id, "-c"]).arg(&config));
            Node { direct, proxy: Proxy::open(front, behind), home, child: None }
        });
        let mut cluster = Self { nodes: nodes.collect() };
        for node in 0..NODES {
            cluster.start_node(node);
        }
        cluster.until_it_answers();
        super::say(&format!("a cluster of {NODES} nodes, Apache Kafka {KAFKA}"));
        cluster
    }

    /// Where it is asked without proxies.
    pub(crate) fn servers(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.direct)).collect::<Vec<_>>().join(",")
    }

    /// Where it is asked through its proxies.
    pub(crate) fn behind_proxies(&self) -> String {
        self.nodes.iter().map(|node| node.proxy.servers()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.nodes.iter().map(|node| &node.proxy)
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The node that leads partition 0 of a topic of this name.
    pub(crate) fn leader(&self, topic: &str) -> usize {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.servers()).create().expect("right settings");
        let mut leader = None;
        until(&format!("{topic} has a leader"), WITHIN, || {
            let asked = consumer.fetch_metadata(Some(topic), Duration::from_secs(5));
            let metadata = asked.ok();
            let partitions =
                metadata.iter().flat_map(|metadata| metadata.topics()).flat_map(|t| t.partitions());
            leader = partitions.into_iter().find(|partition| partition.id() == 0).map(|p| p.leader());
            leader.is_some_and(|leader| leader > 0)
        });
        usize::try_from(leader.expect("it was just found")).expect("a node") - 1
    }

    /// Ends a node in the middle of whatever it does.
    pub(crate) fn kill(&mut self, node: usize) {
        if let Some(mut child) = self.nodes[node].child.take() {
            child.kill().expect("it lives");
            child.wait().expect("it is our child");
        }
    }

    /// Asks a node to end, and waits.
    pub(crate) fn end(&mut self, node: usize) {
        let Some(mut child) = self.nodes[node].child.take() else { return };
        run(Command::new("kill").arg("-TERM").arg(child.id().to_string()));
        until("the node has ended", WITHIN, || child.try_wait().expect("it is our child").is_some());
    }

    pub(crate) fn start_node(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let log = File::options().create(true).append(true).open(node.home.join("log"));
        let log = log.expect("target/ can be written");
        let mut command = java("-Xmx400m");
        command.arg("kafka.Kafka").arg(node.home.join("server.properties"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        node.child = Some(command.spawn().expect("java runs"));
    }

    /// Waits until every node that runs answers.
    pub(crate) fn until_it_answers(&self) {
        for node in self.nodes.iter().filter(|node| node.child.is_some()) {
            let kafka = Kafka::new(KafkaSettings::local(format!("127.0.0.1:{}", node.direct)));
            let kafka = kafka.expect("right settings");
            until("the node answers", WITHIN, || {
                !matches!(kafka.partitions(Topic::Audit), Err(BrokerError::Unavailable { .. }))
            });
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
        if !std::thread::panicking() {
            self.nodes.iter().for_each(|node| drop(fs::remove_dir_all(&node.home)));
        }
    }
}

fn properties(id: usize, voters: &str, ports: [u16; 4]) -> String {
    let [direct, controller, behind, front] = ports;
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{direct},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{behind}
advertised.listeners=PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{front}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.num.partitions=1
offsets.topic.replication.factor=3
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
"
    )
}

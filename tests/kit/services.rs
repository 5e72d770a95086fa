//! Services: how a service is fetched, started, shared by test processes, and stopped.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;

use bugle::clock::Tick;

use super::{say, until};

pub(crate) const KAFKA: &str = "4.1.1";
pub(crate) const REGISTRY: &str = "3.0.9";

/// How long a service runs on after the last test process has gone.
const IDLE_SECONDS: &str = "20";

/// How long a service may take to answer, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// A service as it is started.
pub(crate) struct Service {
    name: String,
    home: PathBuf,
    /// Free ports of 127.0.0.1, found a moment ago.
    ports: Vec<u16>,
    command: Command,
}

/// The port of a running service, started when there is none.
pub(crate) fn shared(name: &str, start: fn(&Path) -> Service, answers: impl Fn(u16) -> bool) -> u16 {
    let kit = kit();
    fs::create_dir_all(&kit).expect("target/ can be written");
    let lock = File::create(kit.join(format!("{name}.lock"))).expect("target/ can be written");
    lock.lock().expect("the file system has locks");
    let state = kit.join(format!("{name}.state"));
    if let Some((port, home)) = running(&state) {
        sign_in(&home);
        // It may have been stopped between the look and the signing in; then the state is gone, too.
        if running(&state).is_some() && answers(port) {
            return port;
        }
    }
    for _ in 0..3 {
        let begun = Tick::now();
        let mut service = start(&kit);
        sign_in(&service.home);
        let log = File::create(service.home.join("log")).expect("target/ can be written");
        let mut keeper = keeper(&service, &state);
        let keeper = keeper.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let mut keeper = keeper.process_group(0).spawn().expect("sh runs");
        let port = service.ports[0];
        let mut gone = false;
        until(&format!("{} answers", service.name), READY_WITHIN, || {
            gone = matches!(keeper.try_wait(), Ok(Some(_)));
            gone || answers(port)
        });
        if !gone {
            let text = format!("{}\n{port}\n{}\n", keeper.id(), service.home.display());
            fs::write(&state, text).expect("target/ can be written");
            say(&format!(
                "{} on 127.0.0.1, port(s) {:?}, after {:.1} s",
                service.name,
                service.ports,
                begun.elapsed().as_secs_f32()
            ));
            service.ports.clear();
            return port;
        }
    }
    panic!("{name} ended before it answered, three times; see {}/runs/*/log", kit.display());
}

/// The watchdog, which is the service's parent.
fn keeper(service: &Service, state: &Path) -> Command {
    let mut keeper = Command::new("sh");
    keeper.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit/keep.sh"));
    keeper.arg(&service.home).arg(state).arg(IDLE_SECONDS);
    keeper.arg(service.command.get_program()).args(service.command.get_args());
    for (name, value) in service.command.get_envs() {
        keeper.env(name, value.unwrap_or_default());
    }
    keeper
}

/// The port and home of the service that the state speaks of, when its watchdog lives.
fn running(state: &Path) -> Option<(u16, PathBuf)> {
    let text = fs::read_to_string(state).ok()?;
    let mut lines = text.lines();
    let (pid, port, home) = (lines.next()?, lines.next()?.parse().ok()?, lines.next()?);
    let alive = Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().ok()?.success();
    (alive && TcpStream::connect(("127.0.0.1", port)).is_ok()).then(|| (port, home.into()))
}

/// Where a running service has its files.
pub(crate) fn home_of(name: &str) -> PathBuf {
    let state = kit().join(format!("{name}.state"));
    running(&state).expect("it runs for as long as somebody is signed in").1
}

/// Says that this process uses the service, for as long as it lives.
fn sign_in(home: &Path) {
    let users = home.join("users");
    if fs::create_dir_all(&users).is_ok() {
        fs::write(users.join(process::id().to_string()), "").expect("target/ can be written");
    }
}

/// Kafka's own files, fetched once: where they are.
pub(crate) fn fetched_kafka(kit: &Path) -> PathBuf {
    run(Command::new("java").arg("-version"));
    let root = kit.join(format!("kafka-{KAFKA}"));
    fetched(&root, || {
        let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kit/pom.xml");
        let into = format!("-DoutputDirectory={}", root.join("libs").display());
        run(Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(pom)
            .args(["dependency:copy-dependencies", &into]));
    });
    root
}

/// A JVM with Kafka's classes.
pub(crate) fn java(heap: &str) -> Command {
    let libs = kit().join(format!("kafka-{KAFKA}")).join("libs").join("*");
    let mut java = Command::new("java");
    java.args([heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(libs);
    java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    java
}

pub(crate) fn start_kafka(kit: &Path) -> Service {
    let root = fetched_kafka(kit);
    let mut ports = free_ports(3);
    ports.push(quiet_port());
    let home = home(kit, "kafka");
    let data = home.join("data");
    let config = home.join("server.properties");
    fs::write(&config, server_properties(&ports, &data)).expect("target/ can be written");
    // Formatting takes a JVM of its own; its two small files serve every node of this kind.
    let formatted = root.join("formatted");
    if formatted.exists() {
        copy(&formatted, &data);
    } else {
        let id = "YnVnbGUtdGVzdC1raXQwMA";
        run(java("-Xmx128m").args(["kafka.tools.StorageTool", "format", "-t", id, "-c"]).arg(&config));
        copy(&data, &formatted);
    }
    let mut command = java("-Xmx512m");
    command.arg("kafka.Kafka").arg(&config);
    Service { name: format!("Apache Kafka {KAFKA}"), home, ports, command }
}

/// One node that is broker and controller, with small internal topics and short waits. Of two listeners one
/// is to be reached through a proxy: who comes by it is told to ask at the proxy's port.
fn server_properties(ports: &[u16], data: &Path) -> String {
    let [broker, controller, behind, proxy] = ports else { panic!("four ports") };
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},PROXIED://127.0.0.1:{behind}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},PROXIED://127.0.0.1:{proxy}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={}
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
group.coordinator.append.linger.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=200
",
        data.display()
    )
}

pub(crate) fn start_registry(kit: &Path) -> Service {
    run(Command::new("java").arg("-version"));
    let root = kit.join(format!("registry-{REGISTRY}"));
    let app = root.join("app");
    fetched(&root, || {
        let archive = root.join("registry.tar.gz");
        run(Command::new("mvn")
            .args([
                "-q",
                "-B",
                "org.apache.maven.plugins:maven-dependency-plugin:2.8:get",
                "-Dtransitive=false",
            ])
            .arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all"))
            .arg(format!("-Ddest={}", archive.display())));
        fs::create_dir_all(&app).expect("target/ can be written");
        run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&app));
        fs::remove_file(archive).expect("it was just made");
    });
    let ports = free_ports(1);
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar"]);
    command.arg(app.join(format!("apicurio-registry-app-{REGISTRY}-runner.jar")));
    command.env("QUARKUS_HTTP_HOST", "127.0.0.1").env("QUARKUS_HTTP_PORT", ports[0].to_string());
    Service { name: format!("Apicurio Registry {REGISTRY}"), home: home(kit, "registry"), ports, command }
}

/// Fetches once into `root`; what was left half done is done again.
pub(crate) fn fetched(root: &Path, fetch: impl FnOnce()) {
    let complete = root.join("complete");
    if complete.exists() {
        return;
    }
    let _ = fs::remove_dir_all(root);
    fs::create_dir_all(root).expect("target/ can be written");
    let begun = Tick::now();
    fetch();
    fs::write(complete, "").expect("target/ can be written");
    say(&format!("{} fetched in {:.1} s", root.display(), begun.elapsed().as_secs_f32()));
}

/// Runs a tool to its end: what it printed. Fails with what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!(
            "`{tool}` does not run: {error}. The tests start a real Kafka: they need a JDK of version 17 or \
             later, Maven and tar (Debian: `apt-get install openjdk-17-jdk-headless maven`)"
        )
    });
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?} failed:\n{}{}", said(&output.stdout), said(&output.stderr));
    said(&output.stdout)
}

/// A fresh folder for one run of a service; those of runs that have ended go.
pub(crate) fn home(kit: &Path, name: &str) -> PathBuf {
    let runs = kit.join("runs");
    let home = runs.join(format!("{name}-{}-{}", process::id(), bugle::clock::now().millis()));
    fs::create_dir_all(&home).expect("target/ can be written");
    for run in fs::read_dir(&runs).expect("it was just made").flatten() {
        let ended = run.path() != home && !run.path().join("users").exists();
        if ended && run.file_name().to_string_lossy().starts_with(name) {
            let _ = fs::remove_dir_all(run.path());
        }
    }
    home
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let sockets: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect()
}

/// A port that the system gives to nobody who asks for any.
pub(crate) fn quiet_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("it has no end")
}

/// Of a Kafka with its files there: the port a proxy has to listen on, and the one behind it.
pub(crate) fn proxied(home: &Path) -> (u16, u16) {
    let text = fs::read_to_string(home.join("server.properties")).expect("it was started with them");
    let port = |setting: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(setting)).expect("the setting is there");
        let port = line.split("PROXIED://127.0.0.1:").nth(1).and_then(|rest| rest.split(',').next());
        port.and_then(|port| port.parse().ok()).expect("a port")
    };
    (port("advertised.listeners="), port("listeners="))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("target/ can be written");
    for entry in fs::read_dir(from).expect("it was just made").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a small file");
    }
}

/// The answer to a GET, head and all.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub(crate) fn kit() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kit")
}

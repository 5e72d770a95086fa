//! Window: what the admin server shows from outside, over a real socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bugle::event::{Fact, Source, Timestamp};
use bugle::serve::{self, Limits, Window};
use bugle::store::view::Board;
use bugle::{clock, telemetry::Meters};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

struct Open {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn open(board: &Arc<Board>) -> Open {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let page = Meters::apart(Meters::render);
    let window = Window {
        board: Arc::clone(board),
        metrics: Arc::new(move || page.clone()),
        inbox: Some("http://127.0.0.1:8089/".into()),
        limits: Limits::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let listener =
        runtime.block_on(serve::listen(SocketAddr::from(([127, 0, 0, 1], 0)), "admin.listen")).unwrap();
    let address = listener.local_addr().unwrap();
    let served = runtime.spawn(serve::serve(listener, window, async {
        let _ = stopped.await;
    }));
    Open { runtime, address, stop, served }
}

fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bugle\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut text = String::new();
    ask(address, path).read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

#[test]
fn the_window_shows_metrics_health_the_flow_and_the_page() {
    let board = Arc::new(Board::new(clock::now()));
    let open = open(&board);
    let (status, metrics) = get(open.address, "/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("text/plain; version=0.0.4") && metrics.contains("bugle_build_info"),
        "{metrics}"
    );

    assert_eq!(get(open.address, "/livez").0, 200);
    let (status, ready) = get(open.address, "/readyz");
    assert_eq!(status, 503);
    assert!(ready.contains("Kafka does not answer"), "{ready}");
    board.connected(true);
    board.note(&Fact::DirectoryRead { people: 7, zoneless: 0, at: clock::now() });
    assert_eq!(get(open.address, "/readyz").0, 200);

    board.note(&Fact::Read { source: Source::Xecm, count: 12 });
    let (status, flow) = get(open.address, "/api/flow");
    assert_eq!(status, 200);
    assert!(flow.contains(r#""name":"xecm","title":"Extended ECM","read":12"#), "{flow}");

    let (status, page) = get(open.address, "/");
    assert_eq!(status, 200);
    assert!(page.to_lowercase().contains("content-security-policy: default-src 'none'"), "{page}");
    for foreign in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(foreign), "the page loads {foreign} from elsewhere");
    }
    assert_eq!(get(open.address, "/etc/passwd").0, 404);
}

#[test]
fn stopping_ends_live_streams_and_the_server() {
    let board = Arc::new(Board::new(Timestamp::from_millis(0)));
    let open = open(&board);
    let mut stream = ask(open.address, "/api/events");
    let mut start = [0; 4096];
    let mut seen = String::new();
    while !seen.contains("data: {") {
        let length = stream.read(&mut start).unwrap();
        assert!(length > 0, "the stream ended at once: {seen}");
        seen.push_str(&String::from_utf8_lossy(&start[..length]));
    }
    open.stop.send(()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let ended =
        open.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), open.served).await });
    ended.expect("the server stops").unwrap().unwrap();
    assert!(TcpStream::connect(open.address).is_err());
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let open = open(&Arc::new(Board::new(Timestamp::from_millis(0))));
    let fault = open.runtime.block_on(serve::listen(open.address, "admin.listen")).unwrap_err();
    assert!(fault.to_string().starts_with(&format!("cannot listen on {}", open.address)), "{fault}");
    assert!(fault.hint().contains("admin.listen"));
}

//! Kafka: from a published event over a button in an inbox to a workflow that has moved on, and `kill -9` where
//! it hurts most.

use std::fs;
use std::time::Duration;

use bugle::app::books::Ledgers;
use bugle::app::wiring;
use bugle::clock;
use bugle::codec::example;
use bugle::event::Span;
use serde_json::{Value as Json, json};

use super::kit;
use super::kit::process::Process;
use super::kit::site::Site;

const SOON: Duration = Duration::from_secs(120);

fn ask(runtime: &tokio::runtime::Runtime, method: &str, url: &str, body: &str) -> String {
    let http = reqwest::Client::new();
    let request = if method == "GET" { http.get(url) } else { http.post(url).body(body.to_owned()) };
    runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
}

/// A port that is free now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A task of Bob's in its first round.
fn publish_task(site: &Site) {
    let schemas = wiring::schemas(&site.config).unwrap();
    let mut event = example::event(&schemas, "xecm.task.assigned", clock::now()).unwrap();
    event["tenant"] = "acme".into();
    event["expires_at"] = Json::Null;
    event["due_at"] = (clock::now() + Span::from_secs(86_400)).to_string().into();
    event["entity"] = json!({ "type": "task", "id": "115295/1" });
    event["action"] = json!({ "ref": "115295/1", "options": ["approve", "reject"], "answer_by": null });
    let data = json!({
        "process_id": "115295", "subprocess_id": "115295", "task_id": "1", "status_key": "s1",
        "assignees": [{ "user_id": "bob" }], "initiator": "eve", "signature_required": false,
        "group_task": false,
    });
    for (name, value) in data.as_object().unwrap() {
        event["data"][name] = value.clone();
    }
    let file = site.file("task.jsonl");
    fs::write(&file, event.to_string()).unwrap();
    site.bugle(&["publish", &file.to_string_lossy()]);
}

#[test]
fn an_approval_moves_its_workflow_on_once_though_bugle_is_killed_between_the_put_and_its_answer() {
    let port = free_port();
    let answers = format!("http://127.0.0.1:{port}");
    let site = Site::open(kit::registry(), 2, &["--inboxes", "10", "--answers", &answers]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = |path: &str| format!("{}{path}", site.stand_in_url);
    let settings = [
        format!("answers.listen=127.0.0.1:{port}"),
        format!("sources.xecm.url={}", url("/otcs/cs.exe")),
        format!("sources.xecm.otds_url={}", url("")),
        "sources.xecm.client_id=bugle".to_owned(),
        "sources.xecm.client_secret=a secret".to_owned(),
        "sources.xecm.partition=members".to_owned(),
    ];
    let flags: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let run = || -> Process { site.run_with(&flags) };
    let things = json!({ "workflows": [
        { "process_id": "115295", "assignees": ["bob@members"], "rounds": 1 },
    ]});
    ask(&runtime, "POST", &url("/systems"), &things.to_string());
    ask(&runtime, "POST", &url("/systems/faults"), r#"{"next": ["hang"]}"#);
    let ledger = || serde_json::from_str::<Json>(&ask(&runtime, "GET", &url("/systems/ledger"), "")).unwrap();

    let mut first = run();
    publish_task(&site);
    let mut button = None;
    kit::until("the button is there", SOON, || {
        first.lives();
        let page = ask(&runtime, "GET", &url("/inbox/bob"), "");
        let end = page.find("&amp;verb=approve\"");
        button = end.map(|end| page[page[..end].rfind("action=\"").unwrap() + 8..end].to_owned());
        button.is_some()
    });
    ask(&runtime, "POST", &url(&format!("{}&verb=approve", button.unwrap())), "");
    kit::until("the PUT has arrived, and nobody has heard so", SOON, || {
        first.lives();
        ledger()["applied"].as_array().is_some_and(|applied| applied.len() == 1)
    });
    first.kill();

    let mut second = run();
    let mut ledgers = Ledgers::open(site.broker.as_ref()).unwrap();
    kit::until("the next owner knows that it was carried out", SOON, || {
        second.lives();
        ledgers.read(Duration::from_millis(100)).unwrap();
        ledgers.keeper.books().write_backs.confirmed == 1
    });
    let books = ledgers.keeper.books();
    assert_eq!((books.write_backs.owed, books.write_backs.open), (1, 0), "{books:?}");
    let ledger = ledger();
    let applied = &ledger["applied"];
    assert_eq!(applied.as_array().unwrap().len(), 1, "{applied}");
    let first_round = (&applied[0]["what"], &applied[0]["by"], &applied[0]["thing"]);
    assert_eq!(first_round, (&json!("Approve"), &json!("bob@members"), &json!("115295/115295/1#s1")));
    let task = &ledger["workflows"][0];
    assert_eq!((&task["status_key"], &task["is_done"]), (&json!("s2"), &json!(false)), "it moved on, once");
    assert_eq!(second.terminate(), Some(0));
}

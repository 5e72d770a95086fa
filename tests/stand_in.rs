//! The stand-in as a script or a browser meets it: books, status, pages that follow what arrives.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use base64_simd::STANDARD;
use bugle::stand_in::{Faults, Options, StandIn, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn stand_in(options: Options) -> StandIn {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap()
}

/// Submits one push per person, with the title as insert 1.
async fn submit(stand_in: &StandIn, message_id: &str, pushes: &[(&str, &str, &str)]) -> (u16, Value) {
    let destinations: Vec<_> = pushes
        .iter()
        .map(|(reference, person, title)| {
            json!({"ref": reference, "push": format!("user:{person}"), "inserts": [{"id": 1, "value": title}]})
        })
        .collect();
    let inner = json!({
        "options": {"message_id": message_id, "customer_reference": "acme/ec-1", "billing_code": "EMEA"},
        "push_message": {"title": "{{1}}", "summary": "Please look", "category": "approve_reject_ack",
            "data": {"source": "bws", "actions": "approve,reject", "link": "https://cs.example/1"}},
        "destinations": destinations,
    });
    let body =
        json!({"domain": "MR", "filename": "x.json", "data": STANDARD.encode_to_string(inner.to_string())});
    let url = format!("{}/mra/v1/utils/parser", stand_in.url());
    let answer = reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn get(stand_in: &StandIn, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("{}{path}", stand_in.url())).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn get_json(stand_in: &StandIn, path: &str) -> Value {
    serde_json::from_str(&get(stand_in, path).await.1).unwrap()
}

#[tokio::test]
async fn the_ledger_counts_what_came_and_what_came_twice() {
    let stand_in = stand_in(Options { keep_refs: true, ..Options::default() }).await;
    let one = format!("d-{:032x}", 1);
    submit(&stand_in, "b-1", &[(&one, "amy", "x"), ("other", "bob", "x")]).await;
    submit(&stand_in, "b-1", &[(&one, "amy", "x"), ("other", "bob", "x")]).await;
    submit(&stand_in, "b-2", &[(&one, "amy", "x")]).await;
    let (status, refusal) = submit(&stand_in, "b-3", &[]).await;
    assert_eq!((status, &refusal["error"]["field"]), (400, &json!("destinations")));
    let ledger = get_json(&stand_in, "/ledger?person=amy").await;
    assert_eq!(ledger["per_person"].as_array().unwrap().len(), 1);
    assert_eq!(ledger["per_person"][0]["pushes"], 2);
    assert_eq!(ledger["per_person"][0]["repeated"], 1);
    for (name, count) in [
        ("jobs", 2),
        ("resubmitted", 1),
        ("destinations", 3),
        ("distinct", 2),
        ("repeated", 1),
        ("people", 2),
        ("requests", 4),
    ] {
        assert_eq!(ledger[name], count, "{name}");
    }
    assert_eq!(ledger["refused"], json!({"INVALID_REQUEST": 1}));
    let page = get_json(&stand_in, "/ledger?offset=1&limit=5").await;
    assert_eq!(page["per_person"].as_array().unwrap().len(), 1);
    assert_eq!(page["per_person"][0]["person"], "bob");
    let (_, refs) = get(&stand_in, "/refs").await;
    let first: Vec<_> = refs.lines().next().unwrap().split('\t').collect();
    assert_eq!((refs.lines().count(), &first[..3]), (3, &["b-1", &one, "amy"][..]));
    stand_in.stop().await;
}

#[tokio::test]
async fn a_jobs_status_tells_of_each_destination_in_base64() {
    let faults = Faults { partial: 1.0, ..Faults::default() };
    let stand_in = stand_in(Options { faults, ..Options::default() }).await;
    let (_, job) = submit(&stand_in, "b-1", &[("r-1", "amy", "x")]).await;
    let path = format!("/mra/v1/outbound/push/status?job_id={}", job["job_id"].as_str().unwrap());
    let status = get_json(&stand_in, &path).await;
    assert_eq!(status["customer_reference_base64"], STANDARD.encode_to_string("acme/ec-1"));
    assert_eq!(status["billing_code_base64"], STANDARD.encode_to_string("EMEA"));
    let delivery = &status["deliveries"][0];
    assert_eq!(delivery["ref_base64"], STANDARD.encode_to_string("r-1"));
    assert_eq!(delivery["push"], "user:amy");
    assert_eq!(delivery["delivery_attempts"][0]["state"], "Error");
    assert_eq!(delivery["events"]["push_delivery_events"][0]["message"], "UNREGISTERED");
    assert_eq!(stand_in.totals().failed, 1);
    assert_eq!(get(&stand_in, "/mra/v1/outbound/push/status?job_id=otp-9").await.0, 404);
    stand_in.stop().await;
}

#[tokio::test]
async fn faults_are_told_as_json_and_nonsense_is_refused() {
    let stand_in = stand_in(Options::default()).await;
    let url = format!("{}/faults", stand_in.url());
    let http = reqwest::Client::new();
    let wrong = http.post(&url).body(r#"{"rate_limitd": 1}"#).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    http.post(&url).body(r#"{"rate_limited": 1, "retry_after": "3"}"#).send().await.unwrap();
    assert_eq!(get_json(&stand_in, "/faults").await["retry_after"], "3");
    assert_eq!(submit(&stand_in, "b-1", &[("r-1", "amy", "x")]).await.0, 429);
    http.post(&url).body("{}").send().await.unwrap();
    assert_eq!(submit(&stand_in, "b-1", &[("r-1", "amy", "x")]).await.0, 200);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_page_follows_what_arrives_and_shows_it_as_text() {
    let stand_in = stand_in(Options::default()).await;
    let evil = "<script>alert(1)</script>";
    submit(&stand_in, "b-1", &[("r-1", "amy@Content Server", "First")]).await;
    let (status, list) = get(&stand_in, "/?q=AMY").await;
    assert_eq!(status, 200);
    assert!(list.contains(r#"href="/inbox/amy@Content%20Server""#), "{list}");
    assert!(list.contains(r#"<span class="unseen"><b>1</b>"#), "{list}");
    let inbox = reqwest::get(format!("{}/inbox/amy@Content%20Server", stand_in.url())).await.unwrap();
    let policy = inbox.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(inbox.text().await.unwrap().contains("<h2>First</h2>"));
    assert!(!get(&stand_in, "/").await.1.contains(r#"class="unseen""#), "an inbox looked at is read");

    let url = format!("{}/inbox/amy@Content%20Server/events", stand_in.url());
    let mut events = reqwest::get(url).await.unwrap();
    submit(&stand_in, "b-2", &[("r-2", "amy@Content Server", evil), ("r-3", "bob", "Not for amy")]).await;
    let mut seen = String::new();
    while !seen.contains("&lt;script&gt;alert(1)&lt;/script&gt;") {
        let chunk = events.chunk().await.unwrap().expect("the stream goes on");
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!seen.contains("<script"), "{seen}");
    assert!(!seen.contains("Not for amy"), "{seen}");
    stand_in.stop().await;
    while events.chunk().await.unwrap_or_default().is_some() {}
}

#[tokio::test]
async fn a_page_for_nobody_is_an_empty_inbox() {
    let stand_in = stand_in(Options::default()).await;
    let (status, page) = get(&stand_in, "/inbox/%3Cb%3Enobody").await;
    assert_eq!(status, 200);
    assert!(page.contains("&lt;b&gt;nobody") && !page.contains("<b>nobody"), "{page}");
    stand_in.stop().await;
}

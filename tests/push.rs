//! The push client against everything that can answer it: the stand-in as it should, and servers that
//! break off, stall, lie or never end.

#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bugle::clock::Tick;
use bugle::event::message_id;
use bugle::event::notice::Verb;
use bugle::event::{
    Batch, BatchHead, BoundAudience, Letter, Member, NoticeId, Occasion, Parcel, Priority, Sealed, Span,
    Template, Timestamp,
};
use bugle::push::client::{Account, Patience};
use bugle::push::signature::Secret;
use bugle::push::transport::Transport;
use bugle::push::webhook::{Form, USUAL_FORM};
use bugle::push::{Client, Credentials, Item, KeyRing, Outcome, PushService};
use bugle::stand_in::{Faults, Options, SignIn, StandIn, serve};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

// === the parts of a test ===

fn head(people: &[&str]) -> BatchHead {
    let template = Template {
        rule: "ec-1-review".into(),
        locale: "en".into(),
        title: "Approval needed: {{1}}".into(),
        summary: "{{2}} is waiting for you".into(),
        target: "otnotify".into(),
        collapse_key: None,
        ttl_seconds: 86_400,
        priority: Priority::High,
        answers: vec![Verb::Approve, Verb::Reject],
        data: vec![("source".into(), "xecm".into()), ("kind".into(), "xecm.task.assigned".into())],
    };
    BatchHead {
        message_id: message_id::of_batch("acme", &template, references(people)),
        tenant: "acme".into(),
        account: "main".into(),
        template,
        expires_at: None,
        cut_at: Timestamp::from_millis(1_767_600_000_000),
        oldest: Timestamp::from_millis(1_767_600_000_000),
        signing_key: "k1".into(),
    }
}

fn references(people: &[&str]) -> Vec<u128> {
    people.iter().map(|user_id| NOTICE.delivery(user_id)).collect()
}

const NOTICE: NoticeId = NoticeId(7);

fn packed(head: &BatchHead, people: &[&str]) -> Parcel {
    let mut sealed = Vec::new();
    BoundAudience::nobody().seal(&mut sealed);
    let letter = Letter {
        notice: NOTICE,
        expires_at: None,
        audience: Sealed::of(&sealed),
        subject: "acme|xecm|task_id=115295",
        subject_partition: 3,
        conversation: 77,
        occasion: Occasion::First,
        inserts: vec!["Contract 4711", "Draft v3"],
    };
    let members = people.iter().map(|user_id| Member { user_id, letter: 0 }).collect();
    Batch { head, letters: vec![letter], members }.pack()
}

fn batch(people: &[&str]) -> Parcel {
    packed(&head(people), people)
}

fn client(url: &str, credentials: Credentials) -> Client {
    speaking(Transport::Mra, url, credentials)
}

fn speaking(transport: Transport, url: &str, credentials: Credentials) -> Client {
    let account = Account { name: "main".into(), transport, base_url: url.into(), credentials };
    let keys = KeyRing::new([("k1".to_owned(), SecretString::from("a secret of the tests"))]).unwrap();
    let patience = Patience { connect: Duration::from_secs(2), total: Duration::from_millis(500) };
    Client::new([account], keys, patience).unwrap()
}

async fn stand_in(options: Options) -> StandIn {
    serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), options).unwrap()
}

async fn with(faults: Faults) -> (StandIn, Client) {
    let stand_in = stand_in(Options { faults, ..Options::default() }).await;
    let client = client(&stand_in.url(), Credentials::None);
    (stand_in, client)
}

async fn send(client: &Client, batch: &Parcel) -> Outcome {
    client.submit(batch, client.encode(&batch.open()).unwrap()).await
}

/// A server that reads one whole request per connection and then does as the script says.
async fn scripted<F, S>(script: S) -> (String, Arc<AtomicUsize>)
where
    S: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (script, count) = (Arc::clone(&script), Arc::clone(&count));
            tokio::spawn(async move {
                read_request(&mut stream).await;
                count.fetch_add(1, Ordering::SeqCst);
                script(stream).await;
            });
        }
    });
    (url, requests)
}

async fn read_request(stream: &mut TcpStream) {
    let (mut request, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if read == 0 || body.len() >= length.parse().unwrap() {
            return;
        }
    }
}

/// What comes of a request that is answered with these bytes, and then the end of the connection.
async fn answered(bytes: &'static str) -> Outcome {
    let (url, requests) = scripted(move |mut stream| async move {
        _ = stream.write_all(bytes.as_bytes()).await;
    })
    .await;
    let outcome = send(&client(&url, Credentials::None), &batch(&["amy"])).await;
    assert_eq!(requests.load(Ordering::SeqCst), 1, "one request, and one only");
    outcome
}

fn later(code: &'static str, after: Option<Span>) -> Outcome {
    Outcome::TryLater { after, code }
}

// === a service that works ===

#[tokio::test]
async fn a_batch_is_accepted_once_however_often_it_is_sent() {
    let (stand_in, client) = with(Faults::default()).await;
    let batch = batch(&["amy", "bob", "cem"]);
    let first = send(&client, &batch).await;
    assert_eq!(first, Outcome::Accepted("otp-1000001".into()));
    assert_eq!(send(&client, &batch).await, first);
    let totals = stand_in.totals();
    assert_eq!((totals.jobs, totals.resubmitted, totals.destinations, totals.repeated), (1, 1, 3, 0));
    stand_in.stop().await;
}

#[tokio::test]
async fn two_processes_make_the_same_bytes() {
    let (one, other) = (client("http://one", Credentials::None), client("http://other", Credentials::None));
    let batch = batch(&["amy", "bob"]);
    assert_eq!(one.encode(&batch.open()).unwrap(), other.encode(&batch.open()).unwrap());
}

#[tokio::test]
async fn a_refused_batch_is_split_until_the_poison_is_alone_and_nobody_hears_twice() {
    let names: Vec<_> = (0..500).map(|n| format!("user-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let whole = batch(&names);
    let poison = vec!["user:user-123".to_owned()];
    let (stand_in, client) = with(Faults { poison, ..Faults::default() }).await;
    let refused = |member| Outcome::Unacceptable { code: "INVALID_REQUEST".into(), member: Some(member) };
    assert_eq!(send(&client, &whole).await, refused(123));
    // Halved blindly, as with a service that names nobody; each part under its own id.
    let mut alone: Vec<&str> = Vec::new();
    let mut open = vec![names.as_slice()];
    let mut requests = 0;
    while let Some(part) = open.pop() {
        let message_id = message_id::of_part(&whole.head.message_id, references(part));
        let parcel = packed(&BatchHead { message_id, ..whole.head.clone() }, part);
        requests += 1;
        match send(&client, &parcel).await {
            Outcome::Accepted(_) => {}
            Outcome::Unacceptable { .. } if part.len() == 1 => alone.extend(part.iter()),
            Outcome::Unacceptable { .. } => {
                let (left, right) = part.split_at(part.len() / 2);
                open.extend([left, right]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(alone, ["user-123"]);
    let totals = stand_in.totals();
    assert_eq!((totals.destinations, totals.distinct, totals.repeated), (499, 499, 0));
    assert!(requests <= 2 * 9 + 1, "{requests}");
    stand_in.stop().await;
}

#[tokio::test]
async fn a_batch_over_the_limit_is_too_large_on_either_side() {
    let (stand_in, client) = with(Faults::default()).await;
    let body = vec![b' '; 4 * 1024 * 1024 + 1].into();
    assert_eq!(client.submit(&batch(&["amy"]), body).await, Outcome::TooLarge);
    assert_eq!(stand_in.totals().requests, 0, "what cannot be accepted is not sent");
    assert_eq!(answered("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await, Outcome::TooLarge);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_batch_for_an_account_nobody_configured_is_forbidden() {
    let client = client("http://127.0.0.1:9", Credentials::None);
    let mut other = head(&["amy"]);
    other.account = "other".into();
    let outcome = client.submit(&packed(&other, &["amy"]), "{}".into()).await;
    assert_eq!(outcome, Outcome::Forbidden("the push account `other` is not configured".into()));
}

// === a service that is busy, down or slow (F26 to F29) ===

#[tokio::test]
async fn a_429_is_waited_for_as_long_as_it_says_and_never_longer_than_an_hour() {
    for (said, expected) in [
        (None, None),
        (Some("7"), Some(Span::from_secs(7))),
        (Some("-1"), Some(Span::ZERO)),
        (Some("1000000000"), Some(Span::from_secs(3_600))),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Span::ZERO)),
        (Some("Fri, 29 Dec 9999 23:59:59 GMT"), Some(Span::from_secs(3_600))),
        (Some("soon"), None),
    ] {
        let retry_after = said.map(str::to_owned);
        let (stand_in, client) = with(Faults { rate_limited: 1.0, retry_after, ..Faults::default() }).await;
        assert_eq!(send(&client, &batch(&["amy"])).await, later("rate-limited", expected), "{said:?}");
        assert_eq!(stand_in.totals().refused["RATE_LIMITED"], 1);
        stand_in.stop().await;
    }
}

#[tokio::test]
async fn a_service_that_fails_is_tried_later_and_works_when_it_is_back() {
    let (stand_in, client) = with(Faults { server_error: 1.0, ..Faults::default() }).await;
    let batch = batch(&["amy"]);
    let outcome = send(&client, &batch).await;
    assert_eq!(outcome, later("server-error", None));
    assert!(outcome.may_have_arrived(), "a server that failed may have made the job before");
    let retry_after = Some("2".to_owned());
    stand_in.set_faults(Faults { unavailable: 1.0, retry_after, ..Faults::default() });
    assert_eq!(send(&client, &batch).await, later("unavailable", Some(Span::from_secs(2))));
    stand_in.set_faults(Faults { dead_seconds: 60.0, ..Faults::default() });
    // A connection from before is cut; then nobody is there.
    let since = Tick::now();
    while send(&client, &batch).await != later("unreachable", None) {
        assert!(since.elapsed() < Duration::from_secs(5), "the door stays open");
    }
    stand_in.set_faults(Faults::default());
    let since = Tick::now();
    while !matches!(send(&client, &batch).await, Outcome::Accepted(_)) {
        assert!(since.elapsed() < Duration::from_secs(5), "the door stays shut");
    }
    assert_eq!(stand_in.totals().destinations, 1);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_connection_cut_after_the_acceptance_is_unknown_and_the_same_id_settles_it() {
    for faults in [
        Faults { cut_before_answer: 1.0, ..Faults::default() },
        Faults { cut_inside_answer: 1.0, ..Faults::default() },
    ] {
        let (stand_in, client) = with(faults).await;
        let batch = batch(&["amy", "bob"]);
        assert_eq!(send(&client, &batch).await, Outcome::Unknown("connection-lost"));
        stand_in.set_faults(Faults::default());
        assert_eq!(send(&client, &batch).await, Outcome::Accepted("otp-1000001".into()));
        let totals = stand_in.totals();
        assert_eq!((totals.jobs, totals.resubmitted, totals.destinations), (1, 1, 2));
        stand_in.stop().await;
    }
}

#[tokio::test]
async fn a_batch_of_which_nobody_knows_is_asked_after() {
    let (stand_in, client) = with(Faults { cut_before_answer: 1.0, ..Faults::default() }).await;
    let (taken, never) = (batch(&["amy"]), batch(&["bob"]));
    assert_eq!(send(&client, &taken).await, Outcome::Unknown("connection-lost"));
    stand_in.set_faults(Faults::default());
    assert_eq!(client.was_taken(&taken).await, Outcome::Accepted("otp-1000001".into()));
    assert_eq!(client.was_taken(&never).await, Outcome::NotThere);
    assert_eq!(stand_in.totals().destinations, 1, "asking sends nothing");
    stand_in.stop().await;
    let (stand_in, client) = webhook(Faults::default(), SECRET).await;
    assert_eq!(client.was_taken(&taken).await, Outcome::Unknown("no-status"));
    stand_in.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_late_is_unknown() {
    let latency = "1m".parse().unwrap();
    let (stand_in, client) = with(Faults { latency, ..Faults::default() }).await;
    assert_eq!(send(&client, &batch(&["amy"])).await, Outcome::Unknown("timeout"));
    assert_eq!(stand_in.totals().destinations, 1, "it was accepted all the same");
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_in_time() {
    let (url, _) = scripted(|mut stream| async move {
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n").await;
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        while stream.write_all(b"{").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    let since = Tick::now();
    let outcome = send(&client(&url, Credentials::None), &batch(&["amy"])).await;
    assert_eq!(outcome, Outcome::Unknown("timeout"));
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_read_to_its_end() {
    let (url, _) = scripted(|mut stream| async move {
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    })
    .await;
    let outcome = send(&client(&url, Credentials::None), &batch(&["amy"])).await;
    assert_eq!(outcome, Outcome::Unknown("answer-too-long"));
}

// === a service that is something else (F31) ===

#[tokio::test]
async fn a_200_that_is_no_job_is_unknown() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 20\r\n\r\n<html>Sign in</html>",
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"job_id\":\"o",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        assert_eq!(answered(answer).await, Outcome::Unknown("answer-unreadable"), "{answer}");
    }
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{\"job_id\":\"o";
    assert_eq!(answered(cut).await, Outcome::Unknown("connection-lost"));
    assert_eq!(answered("").await, Outcome::Unknown("connection-lost"));
    assert_eq!(answered("SSH-2.0-OpenSSH_9.6\r\n").await, Outcome::Unknown("connection-lost"));
}

#[tokio::test]
async fn a_refusal_counts_even_when_its_explanation_is_cut_off() {
    let cut = "HTTP/1.1 400 Bad Request\r\ncontent-length: 90\r\n\r\n{\"error\":";
    assert_eq!(answered(cut).await, Outcome::Unacceptable { code: "HTTP_400".into(), member: None });
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, followed) = scripted(|mut stream| async move {
        _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"job_id\":\"otp-1\"}").await;
    })
    .await;
    for status in ["301", "302", "307", "308"] {
        let answer =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\n\r\n");
        let outcome = answered(answer.leak()).await;
        assert_eq!(outcome, later("redirected", None));
    }
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_account_that_may_not_send_is_halted() {
    let body = r#"{"error":{"code":"PERMISSION_DENIED","message":"suspended"}}"#;
    let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let outcome = answered(answer.leak()).await;
    assert_eq!(outcome, Outcome::Forbidden("PERMISSION_DENIED: suspended".into()));
}

// === a service that cannot be found or proved (F33) ===

#[tokio::test]
async fn without_an_address_or_a_certificate_nothing_is_sent() {
    // It speaks at once, and no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            _ = stream.write_all(b"220 plain.example.com\r\n").await;
        }
    });
    for url in [
        format!("https://{plain}"),
        "http://no-such-host.invalid".to_owned(),
        "https://127.0.0.1:9".to_owned(),
    ] {
        let outcome = send(&client(&url, Credentials::None), &batch(&["amy"])).await;
        assert_eq!(outcome, later("unreachable", None), "{url}");
        assert!(!outcome.may_have_arrived());
    }
}

// === signing in (F32) ===

fn bearer(url: &str, secret: &str) -> Credentials {
    Credentials::Bearer {
        token_url: format!("{url}/tenants/acme/oauth2/token"),
        client_id: "bugle".into(),
        client_secret: SecretString::from(secret),
    }
}

async fn with_bearer(faults: Faults, secret: &str) -> (StandIn, Client) {
    let sign_in = SignIn::Bearer("bugle".into(), SecretString::from("s3cret"));
    let stand_in = stand_in(Options { faults, sign_in, ..Options::default() }).await;
    let client = client(&stand_in.url(), bearer(&stand_in.url(), secret));
    (stand_in, client)
}

#[tokio::test]
async fn a_password_signs_in_and_a_wrong_one_halts_the_account() {
    let sign_in = SignIn::Basic("bugle".into(), SecretString::from("s3cret"));
    let stand_in = stand_in(Options { sign_in, ..Options::default() }).await;
    let basic =
        |password| Credentials::Basic { user: "bugle".into(), password: SecretString::from(password) };
    let right = send(&client(&stand_in.url(), basic("s3cret")), &batch(&["amy"])).await;
    assert_eq!(right, Outcome::Accepted("otp-1000001".into()));
    let wrong = send(&client(&stand_in.url(), basic("guess")), &batch(&["bob"])).await;
    let why = "UNAUTHENTICATED: the user or the password is wrong";
    assert_eq!(wrong, Outcome::Forbidden(why.into()));
    assert_eq!(stand_in.totals().destinations, 1);
    stand_in.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_the_batch_arrives() {
    let (stand_in, client) =
        with_bearer(Faults { unauthorized_after: 2, ..Faults::default() }, "s3cret").await;
    for name in ["a", "b", "c", "d", "e"] {
        assert!(matches!(send(&client, &batch(&[name])).await, Outcome::Accepted(_)), "{name}");
    }
    let totals = stand_in.totals();
    assert_eq!((totals.destinations, totals.refused["UNAUTHENTICATED"]), (5, 2));
    stand_in.stop().await;
}

#[tokio::test]
async fn a_token_that_is_refused_again_after_its_renewal_halts_the_account() {
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    let (url, requests) = scripted(move |mut stream| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        async move {
            // Token, refusal, token, refusal.
            let answer = if turn.is_multiple_of(2) {
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 20\r\n\r\n{\"access_token\":\"t\"}"
            } else {
                "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            };
            _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let outcome = send(&client(&url, bearer(&url, "s3cret")), &batch(&["amy"])).await;
    assert_eq!(outcome, Outcome::Forbidden("HTTP_401".into()));
    assert_eq!(requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn one_request_fetches_the_token_for_all() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetches);
    let (tokens, _) = scripted(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"access_token\":\"t\"}";
            _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let stand_in = stand_in(Options::default()).await;
    let client = client(&stand_in.url(), bearer(&tokens, "s3cret"));
    let names: Vec<_> = (0..20).map(|n| format!("u{n}")).collect();
    let batches: Vec<_> = names.iter().map(|name| batch(&[name])).collect();
    let sends = batches.iter().map(|batch| send(&client, batch));
    let outcomes = futures_util::future::join_all(sends).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))), "{outcomes:?}");
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_token_service_that_is_down_is_not_the_batchs_fault() {
    let stand_in = stand_in(Options::default()).await;
    let client = client(&stand_in.url(), bearer("http://127.0.0.1:9", "s3cret"));
    assert_eq!(send(&client, &batch(&["amy"])).await, later("token-unavailable", None));
    stand_in.stop().await;
}

#[tokio::test]
async fn a_wrong_client_secret_halts_the_account_without_naming_the_secret() {
    let (stand_in, client) = with_bearer(Faults::default(), "gu3ss").await;
    let outcome = send(&client, &batch(&["amy"])).await;
    assert_eq!(outcome, Outcome::Forbidden("the credentials of push account `main` are refused".into()));
    assert!(!format!("{:?}", bearer("http://x", "gu3ss")).contains("gu3ss"));
    stand_in.stop().await;
}

// === an AppWorks Gateway ===

/// A batch with one text that nobody can answer.
fn news(people: &[&str]) -> Parcel {
    let mut head = head(people);
    head.template.answers.clear();
    packed(&head, people)
}

async fn gateway(faults: Faults, key: &str) -> (StandIn, Client) {
    let app_key = Some(SecretString::from("s3cret"));
    let stand_in = stand_in(Options { faults, app_key, ..Options::default() }).await;
    let transport = Transport::AppWorks { app: "bugle".into(), key: SecretString::from(key) };
    let client = speaking(transport, &stand_in.url(), Credentials::None);
    (stand_in, client)
}

#[tokio::test]
async fn a_gateway_takes_one_text_for_many_and_a_repeat_replaces_itself() {
    let (stand_in, client) = gateway(Faults::default(), "s3cret").await;
    let batch = news(&["amy", "bob"]);
    assert_eq!(send(&client, &batch).await, Outcome::Accepted(String::new()));
    stand_in.set_faults(Faults { cut_before_answer: 1.0, ..Faults::default() });
    assert_eq!(send(&client, &batch).await, Outcome::Unknown("connection-lost"));
    stand_in.set_faults(Faults::default());
    assert_eq!(send(&client, &batch).await, Outcome::Accepted(String::new()));
    let totals = stand_in.totals();
    assert_eq!((totals.distinct, totals.repeated, totals.replaced), (2, 0, 4));
    assert_eq!(stand_in.account("amy").unwrap().repeated, 0);
    stand_in.stop().await;
}

#[tokio::test]
async fn a_gateway_that_does_not_know_the_key_halts_the_account_and_its_code_is_told() {
    let (stand_in, client) = gateway(Faults::default(), "guess").await;
    let refused = Outcome::Forbidden("UNAUTHORIZED: unknown otagAppKey".into());
    assert_eq!(send(&client, &news(&["amy"])).await, refused);
    assert_eq!(stand_in.totals().destinations, 0);
    stand_in.stop().await;
    let (stand_in, client) =
        gateway(Faults { poison: vec!["user:amy".into()], ..Faults::default() }, "s3cret").await;
    let refused = Outcome::Unacceptable { code: "BAD_REQUEST".into(), member: None };
    assert_eq!(send(&client, &news(&["amy", "bob"])).await, refused, "and not about whom");
    stand_in.stop().await;
}

#[tokio::test]
async fn a_gateway_that_fails_is_tried_later_though_its_own_clients_would_not() {
    let (stand_in, client) = gateway(Faults { unavailable: 1.0, ..Faults::default() }, "s3cret").await;
    assert_eq!(send(&client, &news(&["amy"])).await, later("unavailable", None));
    stand_in.set_faults(Faults { rate_limited: 1.0, retry_after: Some("3".into()), ..Faults::default() });
    assert_eq!(send(&client, &news(&["amy"])).await, later("rate-limited", Some(Span::from_secs(3))));
    stand_in.stop().await;
}

// === a signed webhook ===

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn webhook(faults: Faults, secret: &str) -> (StandIn, Client) {
    let webhook_secrets = vec![Secret::read(&SECRET.into()).unwrap()];
    let stand_in = stand_in(Options { faults, webhook_secrets, ..Options::default() }).await;
    let form = Box::new(Form::read(USUAL_FORM).unwrap());
    let transport = Transport::Webhook { form, secrets: vec![Secret::read(&secret.into()).unwrap()] };
    let client = speaking(transport, &format!("{}/webhook", stand_in.url()), Credentials::None);
    (stand_in, client)
}

#[tokio::test]
async fn a_webhook_is_signed_and_a_repeated_id_is_taken_once() {
    let (stand_in, client) = webhook(Faults::default(), SECRET).await;
    let batch = batch(&["amy", "bob"]);
    for _ in 0..2 {
        assert_eq!(send(&client, &batch).await, Outcome::Accepted(String::new()));
    }
    let totals = stand_in.totals();
    assert_eq!((totals.jobs, totals.resubmitted, totals.destinations, totals.repeated), (1, 1, 2, 0));
    stand_in.stop().await;
    let (stand_in, client) = webhook(Faults::default(), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    let why = "BAD_SIGNATURE: no signature fits; check the shared secret";
    assert_eq!(send(&client, &batch).await, Outcome::Forbidden(why.into()));
    stand_in.stop().await;
}

#[tokio::test]
async fn a_webhook_says_of_each_push_what_became_of_it_in_whatever_order() {
    let faults = Faults { refused_pushes: 0.3, later_pushes: 0.3, shuffled: true, ..Faults::default() };
    let (stand_in, client) = webhook(faults, SECRET).await;
    let names: Vec<_> = (0..100).map(|n| format!("user-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Outcome::Each(items) = send(&client, &batch(&names)).await else { panic!("results are missing") };
    for (name, item) in names.iter().zip(&items) {
        let got = stand_in.account(name).map_or(0, |account| account.pushes);
        assert_eq!(got, u64::from(*item == Item::Accepted), "{name}: {item:?}");
    }
    let count = |wanted: &Item| items.iter().filter(|item| *item == wanted).count();
    let refused = count(&Item::Refused("NO_SUCH_PERSON".into()));
    assert!(refused > 10 && count(&Item::Later) > 10 && count(&Item::Accepted) > 30, "{items:?}");
    stand_in.stop().await;
}

#[tokio::test]
async fn what_a_webhook_does_not_name_is_asked_again_under_the_same_id() {
    let (stand_in, client) = webhook(Faults { unnamed_pushes: 0.5, ..Faults::default() }, SECRET).await;
    let batch = batch(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let Outcome::Each(items) = send(&client, &batch).await else { panic!("all were named") };
    assert!(items.contains(&Item::Unnamed) && items.contains(&Item::Accepted), "{items:?}");
    assert_eq!(send(&client, &batch).await, Outcome::Accepted(String::new()));
    assert_eq!((stand_in.totals().distinct, stand_in.totals().repeated), (8, 0));
    stand_in.set_faults(Faults { later_pushes: 0.5, ..Faults::default() });
    let another = packed(&head(&["i", "j", "k", "l", "m", "n"]), &["i", "j", "k", "l", "m", "n"]);
    let Outcome::Each(items) = send(&client, &another).await else { panic!("nothing was put off") };
    assert!(items.contains(&Item::Later) && items.contains(&Item::Accepted), "{items:?}");
    assert_eq!(send(&client, &another).await, Outcome::Accepted(String::new()));
    assert_eq!((stand_in.totals().distinct, stand_in.totals().repeated), (14, 0));
    stand_in.stop().await;
}

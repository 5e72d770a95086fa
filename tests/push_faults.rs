//! Push faults: whatever the push service does, nothing is lost and nobody is told under two ids.
//!
//! A whole Bugle on the model broker sends to the stand-in, whose ledger is the judge.
//!
//! | fault | what happens | judged here, and where else |
//! |---|---|---|
//! | F26 | 429, with `Retry-After` in all its forms | `f26_…`; `tests/push.rs`, and no other account waits: `tests/exactness` |
//! | F27 | 503 for long, then back | `f27_…`; what expires meanwhile: `tests/exactness` |
//! | F28 | it accepts and drops the answer, before it or inside it | `f28_…` |
//! | F29 | it stalls, drips, never ends | `f29_…`; the client's patience: `tests/push.rs` |
//! | F30 | some pushes are refused, results are shuffled, put off or missing; one poisons its batch | `f30_…` |
//! | F31 | a page, half an answer, something else entirely, a redirect | `f31_…`; `tests/push.rs` |
//! | F32 | tokens expire, and the token service is away | `f32_…`; one renewal for all: `tests/push.rs` |
//! | F33 | no address, no TLS, a stranger's certificate; then all is well again | `f33_…`; `tests/push.rs` |
//! | F38 | many answers at once, late, withdrawn | `f38_…` in `tests/write_backs`; `fifty_…` in `tests/links.rs`, story 15 |
//! | F39 | the source system is away, says no, or nobody knows what it did | `f39_…` in `tests/write_backs` |
//! | F40 | people leave between the decision and the sending | `f40_…`; at every step: story 9, `tests/exactness` |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod rig;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bugle::app::config::Transport;
use bugle::broker::Broker;
use bugle::clock::Tick;
use bugle::codec::outputs::decode_receipt;
use bugle::event::{Person, Topic};
use bugle::push::signature::Secret;
use bugle::sample;
use bugle::stand_in::{Faults, Options, SignIn};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use rig::{PATIENCE, Rig};

// === the parts of a test ===

/// Until the stand-in has seen so many requests.
fn requests(rig: &mut Rig, least: u64) {
    let began = Tick::now();
    while rig.stand_in.totals().requests < least {
        assert!(began.elapsed() < PATIENCE, "{:?}", rig.stand_in.totals());
        rig.ledgers.read(Duration::from_millis(20)).unwrap();
    }
}

fn after(rig: &mut Rig, span: Duration) {
    let began = Tick::now();
    while began.elapsed() < span {
        rig.ledgers.read(Duration::from_millis(20)).unwrap();
    }
}

/// Something before the stand-in that answers the first connections itself.
fn front(rig: &Rig, behind: SocketAddr, answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let spoken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&spoken);
    let listener = rig.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    rig.runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answers.get(count.fetch_add(1, Ordering::SeqCst)).cloned();
            tokio::spawn(async move {
                let Some(answer) = answer else {
                    let mut to = TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
                    return;
                };
                let mut asked = vec![0; 65_536];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    (url, spoken)
}

fn webhook_secret() -> SecretString {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()
}

// === the faults ===

#[test]
fn f26_a_service_that_wants_less_gets_less_and_everybody_is_told_once() {
    let mut rig = Rig::new();
    let app = rig.start();
    let forms = [None, Some("1"), Some("-1"), Some("Sun, 06 Nov 1994 08:49:37 GMT"), Some("soon")];
    for (round, form) in (0..).zip(forms) {
        let retry_after = form.map(str::to_owned);
        rig.stand_in.set_faults(Faults { rate_limited: 0.3, retry_after, seed: round, ..Faults::default() });
        rig.publish(round * 40, 40);
        let books = rig.settle();
        rig.assert_told_once(&books);
    }
    assert!(rig.stand_in.totals().refused["RATE_LIMITED"] > 0);
    app.stop();
}

#[test]
fn f26_a_pause_that_is_asked_for_is_kept() {
    let mut rig = Rig::new();
    let app = rig.start();
    let retry_after = Some("600".to_owned());
    rig.stand_in.set_faults(Faults { rate_limited: 1.0, retry_after, ..Faults::default() });
    rig.publish(0, 200);
    requests(&mut rig, 1);
    after(&mut rig, Duration::from_secs(3));
    let asked = rig.stand_in.totals().requests;
    rig.publish(200, 200);
    after(&mut rig, Duration::from_secs(3));
    // Four partitions, each with eight under way at most before the first answer came.
    let now = rig.stand_in.totals().requests;
    assert!(asked <= 32 && now <= 32, "{asked}, then {now}");
    assert_eq!(rig.stand_in.totals().destinations, 0);
    app.stop();
}

#[test]
fn f27_a_service_that_is_down_is_asked_seldom_and_is_told_all_when_it_is_back() {
    let mut rig = Rig::new();
    let app = rig.start();
    rig.stand_in.set_faults(Faults { unavailable: 1.0, ..Faults::default() });
    for round in 0..6 {
        rig.publish(round * 40, 40);
        after(&mut rig, Duration::from_secs(1));
    }
    let asked = rig.stand_in.totals().requests;
    // In each of four partitions: what was under way, and then one that asks, after 1 s, 2 s, 4 s.
    assert!((5..=4 * (8 + 5 + 4)).contains(&asked), "{asked} requests to a service that is down");
    rig.stand_in.set_faults(Faults::default());
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}

#[test]
fn f28_what_was_accepted_in_silence_is_asked_after_and_not_sent_again() {
    let mut rig = Rig::new();
    let app = rig.start();
    let faults = Faults { cut_before_answer: 0.4, cut_inside_answer: 0.3, ..Faults::default() };
    rig.stand_in.set_faults(faults);
    rig.publish(0, 200);
    let books = rig.settle();
    rig.assert_told_once(&books);
    let totals = rig.stand_in.totals();
    assert!(
        totals.asked_after > 0 && totals.resubmitted == 0,
        "it is asked whether it took them: {totals:?}"
    );
    app.stop();
}

#[test]
fn f29_an_answer_that_comes_too_late_is_not_waited_for_and_nobody_is_told_again() {
    let mut rig = Rig::with(Options::default(), |config| config.push.timeout = "1s".parse().unwrap());
    let app = rig.start();
    rig.stand_in.set_faults(Faults { latency: "30s".parse().unwrap(), ..Faults::default() });
    rig.publish(0, 40);
    requests(&mut rig, 2);
    rig.stand_in.set_faults(Faults::default());
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}

#[test]
fn f30_of_a_webhook_each_push_has_its_own_end() {
    let options =
        Options { webhook_secrets: vec![Secret::read(&webhook_secret()).unwrap()], ..Options::default() };
    let mut rig = Rig::with(options, |config| {
        config.push.transport = Transport::Webhook;
        config.push.url.push_str("/webhook");
        config.push.webhook_secrets = vec![webhook_secret()];
    });
    let app = rig.start();
    rig.stand_in.set_faults(Faults {
        refused_pushes: 0.1,
        later_pushes: 0.1,
        unnamed_pushes: 0.1,
        partial: 0.1,
        shuffled: true,
        cut_before_answer: 0.1,
        ..Faults::default()
    });
    rig.publish(0, 200);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert!(books.tellings.failed > 0, "{books:?}");
    app.stop();
}

#[test]
fn f30_a_gateway_that_names_nobody_is_asked_until_the_poison_is_alone_and_repeats_replace_themselves() {
    let app_key = Some(SecretString::from("s3cret"));
    let mut rig = Rig::with(Options { app_key, ..Options::default() }, |config| {
        config.push.transport = Transport::Appworks;
        config.push.app = Some("bugle".to_owned());
        config.push.app_key = Some("s3cret".into());
    });
    let app = rig.start();
    rig.stand_in.set_faults(Faults {
        poison: vec!["user:mara.weber".to_owned()],
        cut_before_answer: 0.3,
        ..Faults::default()
    });
    rig.publish(0, 110);
    let books = rig.settle();
    assert!(books.close(), "{books:?}");
    let totals = rig.stand_in.totals();
    assert!(totals.replaced > 0, "{totals:?}");
    assert_eq!((totals.distinct, totals.repeated), (books.tellings.told, 0), "{totals:?}");
    assert!(rig.stand_in.account("mara.weber").is_none());
    app.stop();
}

#[test]
fn f31_what_is_no_push_service_is_believed_nothing_and_not_followed() {
    let mut rig = Rig::new();
    let elsewhere = rig.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let page = "<html>Sign in</html>";
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        elsewhere.local_addr().unwrap()
    );
    let strange = [
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len()),
        "HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n{\"job_id\":\"otp-".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        redirect,
        String::new(),
    ];
    // A body that is packed is not unpacked: this one says it is a gigabyte.
    let mut packed = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 18\r\n\r\n".to_vec();
    packed.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    let strange = strange.map(String::into_bytes).into_iter().chain([packed]).collect();
    let (url, spoken) = front(&rig, rig.stand_in.addr(), strange);
    rig.config.push.url = url;
    let app = rig.start();
    rig.publish(0, 80);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert!(spoken.load(Ordering::SeqCst) > 5, "all of it was heard");
    let followed = rig
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_millis(1), elsewhere.accept()).await });
    assert!(followed.is_err(), "a redirect was followed");
    app.stop();
}

#[test]
fn f32_tokens_expire_in_the_middle_and_nothing_counts_as_refused() {
    let sign_in = SignIn::Bearer("bugle".into(), SecretString::from("s3cret"));
    let mut rig = Rig::with(Options { sign_in, ..Options::default() }, |config| {
        config.push.token_url = Some(format!("{}/tenants/acme/oauth2/token", config.push.url));
        config.push.client_id = Some("bugle".to_owned());
        config.push.client_secret = Some("s3cret".into());
    });
    let app = rig.start();
    rig.stand_in.set_faults(Faults { unauthorized_after: 20, ..Faults::default() });
    rig.publish(0, 120);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert_eq!(books.tellings.failed, 0, "{books:?}");
    // Nobody is at home for a moment: neither at the token service nor behind it.
    rig.stand_in.set_faults(Faults { dead_seconds: 2.0, unauthorized_after: 20, ..Faults::default() });
    rig.publish(120, 120);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert_eq!(books.tellings.failed, 0, "{books:?}");
    app.stop();
}

#[test]
fn f33_a_stranger_in_its_place_gets_nothing_and_the_service_all_when_it_is_back() {
    let mut rig = Rig::new();
    // Nobody listens there yet: the address is taken, and given back.
    let taken = rig.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    rig.config.push.url = format!("http://{address}");
    let behind = rig.stand_in.addr();
    let app = rig.start();
    rig.publish(0, 80);
    after(&mut rig, Duration::from_secs(2));
    assert_eq!(rig.stand_in.totals().requests, 0);
    let listener = rig.runtime.block_on(TcpListener::bind(address)).unwrap();
    rig.runtime.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut to).await;
            });
        }
    });
    let books = rig.settle();
    rig.assert_told_once(&books);
    app.stop();
}

#[test]
fn f40_whoever_leaves_while_the_service_is_away_is_told_nothing_when_it_is_back() {
    let mut rig = Rig::new();
    let app = rig.start();
    rig.stand_in.set_faults(Faults { unavailable: 1.0, ..Faults::default() });
    rig.publish(0, 120);
    // Some of it waits at the push service, some is not cut yet.
    requests(&mut rig, 4);
    let gone = |user: &str| {
        let known = sample::people(0).into_iter().find(|person| person.user_id == user).unwrap();
        Person { active: false, ..known }
    };
    let leavers = ["mara.weber", "jonas.klein", "lena.vogt"];
    rig.hear(leavers.iter().map(|user| gone(user)));
    after(&mut rig, Duration::from_secs(1));
    rig.stand_in.set_faults(Faults::default());
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert!(books.tellings.suppressed["left_audience"] > 0, "{books:?}");
    for user in leavers {
        assert!(rig.stand_in.account(user).is_none(), "{user} left before the first push was taken");
    }
    app.stop();
}

/// What is known later of what was told: marks by what they say, once so many are known.
fn marks(rig: &mut Rig, least: u64) -> BTreeMap<&'static str, u64> {
    let mut follow = rig.model.follow(Topic::Receipts).unwrap();
    let (mut known, mut records, began) = (BTreeMap::new(), Vec::new(), Tick::now());
    while known.values().sum::<u64>() < least {
        assert!(began.elapsed() < PATIENCE, "{known:?} of {least}");
        follow.poll(Duration::from_millis(20), &mut records).unwrap();
        for record in records.drain(..) {
            let receipt = decode_receipt(&record.value.unwrap()).unwrap();
            *known.entry("delivered").or_default() += u64::from(receipt.delivered);
            for push in receipt.undelivered {
                *known.entry(push.mark.as_str()).or_default() += 1;
            }
        }
    }
    known
}

#[test]
fn what_became_of_a_job_is_asked_after_and_who_has_no_device_is_not_told_again() {
    let mut rig = Rig::with(Options { jobs: 10_000, ..Options::default() }, |config| {
        config.push.follow_after = "1s".parse().unwrap();
    });
    let app = rig.start();
    rig.stand_in.set_faults(Faults {
        partial: 0.1,
        bounced: 0.1,
        pending_seconds: 1.5,
        silent_status: 0.2,
        ..Faults::default()
    });
    rig.publish(0, 40);
    let books = rig.settle();
    rig.assert_told_once(&books);
    let known = marks(&mut rig, books.tellings.told);
    assert_eq!(known.values().sum::<u64>(), books.tellings.told, "each once: {known:?}");
    assert!(known["delivered"] > 0 && known["failed"] > 0 && known["no_device"] > 0, "{known:?}");
    rig.publish(40, 40);
    let books = rig.settle();
    rig.assert_told_once(&books);
    assert!(books.tellings.suppressed["no_device"] > 0, "{books:?}");
    app.stop();
}

#[test]
fn the_service_may_say_itself_what_became_of_a_job_and_that_a_device_is_back() {
    let mut rig = Rig::with(Options { jobs: 10_000, ..Options::default() }, |config| {
        config.answers.status_token = Some("t0ken".into());
    });
    let app = rig.start();
    let http = reqwest::Client::new();
    let answers = format!("http://{}", app.answers);
    let post = |rig: &Rig, url: String, body: serde_json::Value| {
        let request = http.post(url).bearer_auth("t0ken").header("content-type", "application/json");
        let sent = request.body(body.to_string()).send();
        rig.runtime.block_on(sent).unwrap().status().as_u16()
    };
    let hook = answers.replacen("http://", "http://mra:t0ken@", 1) + "/v1/push-status";
    let place = format!("{}/mra/v1/outbound/push/webhook", rig.stand_in.url());
    assert_eq!(post(&rig, place, json!({ "url": hook })), 200);
    rig.stand_in.set_faults(Faults { partial: 0.2, pending_seconds: 0.2, ..Faults::default() });
    rig.publish(0, 40);
    let books = rig.settle();
    rig.assert_told_once(&books);
    let known = marks(&mut rig, books.tellings.told);
    assert!(known["no_device"] > 0 && known["delivered"] > 0, "{known:?}");
    rig.publish(40, 40);
    let books = rig.settle();
    let before = books.tellings.suppressed["no_device"];
    assert!(before > 0);
    rig.stand_in.set_faults(Faults::default());
    marks(&mut rig, books.tellings.told);
    // Everybody has a new one.
    for person in sample::people(40) {
        let body = json!({ "tenant": person.tenant, "user_id": person.user_id });
        assert_eq!(post(&rig, format!("{answers}/v1/devices"), body), 204);
    }
    after(&mut rig, Duration::from_secs(1));
    rig.publish(80, 40);
    let books = rig.settle();
    assert_eq!((books.close(), books.tellings.suppressed["no_device"]), (true, before), "{books:?}");
    // Nobody else may say so.
    let stranger = http.post(format!("{answers}/v1/push-status")).bearer_auth("other").body("{}").send();
    assert_eq!(rig.runtime.block_on(stranger).unwrap().status().as_u16(), 401);
    assert_eq!(post(&rig, format!("{answers}/v1/push-status"), json!({ "job": 1 })), 400);
    app.stop();
}

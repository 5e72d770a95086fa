//! Browser: the answer loop as somebody sees it who sits before it, clicked through in a headless Chromium.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use kit::browser::Browser;
use kit::process::Process;

#[test]
fn an_approval_is_clicked_and_the_workflow_moves_on_and_another_climbs() {
    let answers = format!("answers.listen=127.0.0.1:{}", kit::services::free_ports(1)[0]);
    let demo = ["demo", "--crowd", "50", "--inboxes", "127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"];
    let mut bugle = Process::start(&[&demo[..], &["--set", &answers]].concat());
    let inboxes = bugle.until_it_says("inboxes").trim().to_owned();
    let systems = bugle.until_it_says("systems").trim().to_owned();
    let live = bugle.until_it_says("live page").trim().to_owned();
    bugle.until_it_says("a slow stream of events follows");

    let browser = Browser::open();
    browser.go(&inboxes);
    browser.sees("#list", "jonas.klein");
    browser.go(&format!("{inboxes}/inbox/jonas.klein"));
    let card = browser.sees("li.card.xecm:has(form[action$='verb=approve'])", "Supply contract");
    let contract = card.lines().find_map(|line| line.find("Supply contract").map(|at| line[at..].to_owned()));
    let contract = contract.unwrap();
    // Which of the approvals lies on top depends on which the push service heard last.
    let trail = browser.link("li.card.xecm:has(form[action$='verb=approve']) a[href*='/trail?']", &contract);
    let push = trail.split_once("push=").unwrap().1;
    browser.click(&format!("li.card:has(a[href$='push={push}']) form[action$='verb=approve'] button"));
    browser.sees("li.card.xecm .answered", "Your answer counts: approve");

    // Nobody reloads the page: what Bugle has carried back is put in while it is open.
    browser.go(&systems);
    browser.click("nav.states a[href*='over']");
    let moved = browser.sees("li.card:has(.answered)", "jonas.klein");
    assert!(moved.contains("moved on") && moved.contains("Supply contract"), "{moved}");
    kit::say(&format!("{contract}: {}", moved.replace('\n', ", ")));

    // The trail of the same matter says who was owed it, who was told, who answered, and that it was carried.
    browser.go(&format!("{inboxes}/inbox/jonas.klein"));
    let card = "li.card.xecm:has(.answered)";
    let why = browser.sees(&format!("{card} .why"), "assigned to it");
    assert!(why.contains("ec-7-decide"), "{why}");
    browser.click(&format!("{card} a[href*='/trail?']"));
    for (tone, words) in [
        ("told", "jonas.klein"),
        ("told", "accepted at"),
        ("done", "by jonas.klein: approve"),
        ("done", "carried into the source system"),
    ] {
        browser.sees(&format!("li.entry.{tone}"), words);
    }

    answer_by_link(&browser, &inboxes);

    // What nobody answers is overdue in an hour, and four hours later the supervisor's.
    browser.go(&inboxes);
    browser.click("form[action*='by=1h'] button");
    browser.click("form[action*='by=4h'] button");
    browser.go(&format!("{inboxes}/inbox/clara.stein"));
    let climbed = browser.sees("li.card.critical", "Crane contract 3");
    assert!(climbed.contains("supervisor of whom it is assigned to"), "{climbed}");

    // What is mandatory says so; anything else can be muted, and taken back.
    browser.go(&format!("{inboxes}/inbox/lena.vogt"));
    browser.sees("li.card .must", "cannot be muted");
    browser.go(&format!("{inboxes}/inbox/jonas.klein"));
    browser.click("form[action*='mute=approvals'] button");
    browser.sees("form[action*='hear=approvals'] button", "approvals");
    browser.click("details.wishes summary");
    browser.fill("details.wishes input[name=from]", "22:00");
    browser.fill("details.wishes input[name=to]", "07:00");
    browser.click("details.wishes button");
    browser.sees("details.wishes summary", "Quiet from 22:00 to 07:00");

    browser.go(&live);
    browser.sees("#books tr", "write-backs\t2\t2\t0");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(bugle.terminate(), Some(0));
}

/// The link of another push says what it is about, takes one answer, and then says how it ended.
fn answer_by_link(browser: &Browser, inboxes: &str) {
    browser.go(&format!("{inboxes}/inbox/jonas.klein"));
    let link = browser.link("li.card.xecm a[href*='/a/']", "Berth lease 17");
    browser.go(&link);
    browser.sees("h1", "Berth lease 17");
    browser.sees("dl", "Answer until");
    browser.click("input[name=me]");
    browser.click("button[value=reject]");
    browser.sees("body", "answered at");
    browser.go(&link);
    browser.sees(".over", "already answered by you");
    assert!(!browser.has("form"), "nothing is asked any more");
}

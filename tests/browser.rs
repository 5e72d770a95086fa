//! Browser: the answer loop as somebody sees it who sits before it, clicked through in a headless Chromium.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod kit;

use kit::browser::Browser;
use kit::process::Process;

#[test]
fn an_approval_is_clicked_and_the_workflow_moves_on() {
    let demo = ["demo", "--crowd", "50", "--inboxes", "127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0"];
    let mut bugle = Process::start(&demo);
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
    browser.click("li.card.xecm form[action$='verb=approve'] button");
    browser.sees("li.card.xecm .answered", "Answered: approve");

    // Nobody reloads the page: what Bugle has carried back is put in while it is open.
    browser.go(&systems);
    let moved = browser.sees("li.card:has(.answered)", "jonas.klein");
    assert!(moved.contains("moved on") && moved.contains("Supply contract"), "{moved}");
    kit::say(&format!("{contract}: {}", moved.replace('\n', ", ")));

    browser.go(&live);
    browser.sees("#books tr", "write-backs\t1\t1\t0");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    assert_eq!(bugle.terminate(), Some(0));
}

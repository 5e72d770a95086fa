//! Browser: a headless Chromium, asked what it shows and told where to click by the five calls of WebDriver
//! that this takes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};

use super::{ground::SOON, until};

/// How WebDriver calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window, and what drives it.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

// === impl Browser ===

impl Browser {
    /// Opens an empty window.
    pub(crate) fn open() -> Self {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = started.unwrap_or_else(|error| {
            panic!(
                "`chromedriver` does not run: {error} (Debian: `apt-get install chromium chromium-driver`)"
            )
        });
        let lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver says which port it took");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}/session"), http, runtime };
        let args = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": args } } } });
        let opened = browser.call(&reqwest::Method::POST, "", &wanted).expect("Chromium starts");
        browser.session = format!("{}/{}", browser.session, opened["sessionId"].as_str().expect("an id"));
        browser
    }

    /// One call; `Err` is what the driver says is wrong.
    fn call(&self, method: &reqwest::Method, path: &str, body: &Json) -> Result<Json, String> {
        let url = format!("{}{path}", self.session);
        let mut request = self.http.request(method.clone(), url);
        if *method == reqwest::Method::POST {
            request = request.json(body);
        }
        let answered = self.runtime.block_on(async { request.send().await?.json::<Json>().await });
        let answer = answered.expect("chromedriver answers in JSON");
        let value = answer["value"].clone();
        match value["error"].as_str() {
            Some(_) => Err(value["message"].as_str().unwrap_or_default().to_owned()),
            None => Ok(value),
        }
    }

    fn run(&self, script: &str, arguments: &[Json]) -> Json {
        let body = json!({ "script": script, "args": arguments });
        self.call(&reqwest::Method::POST, "/execute/sync", &body).expect("the script runs")
    }

    /// Goes to a page.
    pub(crate) fn go(&self, url: &str) {
        self.call(&reqwest::Method::POST, "/url", &json!({ "url": url })).expect("the page opens");
    }

    /// Waits for an element in which these words stand; all of its text.
    pub(crate) fn sees(&self, css: &str, words: &str) -> String {
        let mut text = None;
        until(&format!("`{css}` with `{words}` is to be seen"), SOON, || {
            let found = "return [...document.querySelectorAll(arguments[0])].map(it => it.innerText)\
                         .find(text => text.includes(arguments[1])) ?? null";
            text = self.run(found, &[css.into(), words.into()]).as_str().map(str::to_owned);
            text.is_some()
        });
        text.expect("it was just seen")
    }

    /// Waits for an element, and clicks it as a person would: it must be there to be clicked.
    pub(crate) fn click(&self, css: &str) {
        let by_css = json!({ "using": "css selector", "value": css });
        let mut said = String::new();
        let clicked = || {
            let found = self.call(&reqwest::Method::POST, "/element", &by_css)?;
            let id = found[ELEMENT].as_str().expect("an element has an id");
            self.call(&reqwest::Method::POST, &format!("/element/{id}/click"), &json!({}))
        };
        until(&format!("`{css}` is clicked"), SOON, || {
            said = clicked().err().unwrap_or_default();
            said.is_empty()
        });
    }

    /// Where a link leads that stands in a list's item with these words.
    pub(crate) fn link(&self, css: &str, words: &str) -> String {
        let href = "return [...document.querySelectorAll(arguments[0])]\
                    .find(it => it.closest('li').innerText.includes(arguments[1]))?.href ?? null";
        let mut found = None;
        until(&format!("`{css}` beside `{words}` leads somewhere"), SOON, || {
            found = self.run(href, &[css.into(), words.into()]).as_str().map(str::to_owned);
            found.is_some()
        });
        found.expect("it was just found")
    }

    /// Whether there is such an element.
    pub(crate) fn has(&self, css: &str) -> bool {
        self.run("return document.querySelector(arguments[0]) !== null", &[css.into()]) == true
    }

    /// Writes into a field.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let write = "document.querySelector(arguments[0]).value = arguments[1]";
        self.run(write, &[css.into(), text.into()]);
    }

    /// What pages have complained of since they were opened.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.call(&reqwest::Method::POST, "/se/log", &json!({ "type": "browser" })).expect("a log");
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session.
        let _ = self.call(&reqwest::Method::DELETE, "", &Json::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

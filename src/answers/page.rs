//! Page: what a link shows. Plain HTML that needs no script, loads nothing from elsewhere and is never kept.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Refused;
use crate::event::Timestamp;
use crate::event::answer::MOST_COMMENT_BYTES;
use crate::event::notice::Verb;
use crate::push::reply_token::Claims;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;color:#1b2430;\
overflow-wrap:anywhere}.over{font-weight:600}.over::first-letter{text-transform:uppercase}\
h1{font-size:1.4rem}dt{color:#5a6675;font-size:.85rem}dd{margin:0 0 .6rem}\
textarea{width:100%;box-sizing:border-box}button{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem 0 0}\
button.first{background:#0b5cad;color:#fff;border:1px solid #0b5cad}\n";

/// What a page asks.
pub(super) struct Asks<'a> {
    pub(super) claims: &'a Claims,
    /// The system that waits for the answer.
    pub(super) source: &'static str,
    pub(super) verbs: Vec<Verb>,
    /// The answer the link was about.
    pub(super) wanted: Option<Verb>,
    /// Whether the person says themselves that it is them.
    pub(super) says_who: bool,
}

/// A page of this status.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"style.css\">\
         </head><body><h1>{title}</h1>{body}</body></html>\n",
        title = escape(title)
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    (status, headers, html).into_response()
}

/// Why not.
pub(super) fn refusal(refused: &Refused) -> Response {
    let body = format!("<p>{}.</p><p><small>{}</small></p>", escape(&refused.message), refused.code);
    page(refused.status, "This was not answered", &body)
}

/// `GET /a/style.css`.
pub(super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css"), (X_CONTENT_TYPE_OPTIONS, "nosniff")], STYLE).into_response()
}

// === impl Asks ===

impl Asks<'_> {
    /// What the push said.
    pub(super) fn title(&self) -> &str {
        self.claims.about.as_ref().map_or("Your answer", |about| &about.title)
    }

    fn facts(&self) -> String {
        let Claims { person, subject, rule, expires_at, about, .. } = self.claims;
        let subject = subject.splitn(3, '|').nth(2).unwrap_or(subject).replace('|', ", ");
        let until = about.as_ref().and_then(|about| about.until).map(moment);
        let ends = moment(*expires_at);
        let facts = [
            ("Asked", Some(person.as_str())),
            ("About", Some(subject.as_str())),
            ("By", Some(self.source)),
            ("Rule", Some(rule)),
            ("Answer until", until.as_deref()),
            ("This link works until", Some(&ends).filter(|_| until.is_none()).map(String::as_str)),
        ];
        let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let facts: String =
            facts.map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(value))).collect();
        format!("<dl>{facts}</dl>")
    }

    /// Nothing more can be answered.
    pub(super) fn over(&self, how: &str) -> String {
        format!("{}<p class=\"over\">This is {}.</p>", self.facts(), escape(how))
    }

    /// The form; nothing happens before it is sent.
    pub(super) fn form(&self) -> String {
        let Claims { person, .. } = self.claims;
        let facts = self.facts();
        let buttons: String = self.verbs.iter().map(|verb| self.button(*verb)).collect();
        let tick = if self.says_who {
            let who = escape(person);
            format!(
                "<p><label><input type=\"checkbox\" name=\"me\" value=\"yes\" required> I am {who}</label></p>"
            )
        } else {
            String::new()
        };
        format!(
            "{facts}<form method=\"post\"><p><label>Comment<br><textarea name=\"comment\" rows=\"3\" \
             maxlength=\"{}\"></textarea></label></p>{tick}<p>{buttons}</p></form>",
            // A character takes four bytes at most.
            MOST_COMMENT_BYTES / 4
        )
    }

    fn button(&self, verb: Verb) -> String {
        let class = if self.wanted == Some(verb) { " class=\"first\"" } else { "" };
        let word = verb.as_str();
        format!("<button name=\"verb\" value=\"{word}\"{class}>{}</button>", word.replace('_', " "))
    }

    /// The answer counts.
    pub(super) fn taken(claims: &Claims, verb: Verb, at: Timestamp) -> String {
        let (who, word) = (escape(&claims.person), verb.as_str().replace('_', " "));
        format!("<p>{who} answered at {}: <b>{word}</b>. You can close this page.</p>", moment(at))
    }

    /// The same answer of the same person counted before.
    pub(super) fn taken_before(claims: &Claims, verb: Verb) -> String {
        let (who, word) = (escape(&claims.person), verb.as_str().replace('_', " "));
        format!("<p>{who} has answered already: <b>{word}</b>. It counts once. You can close this page.</p>")
    }

    /// Nobody knows yet.
    pub(super) fn waiting(verb: Verb) -> String {
        let word = verb.as_str().replace('_', " ");
        format!(
            "<p>Your answer, <b>{word}</b>, is safe, and it is being decided whether it counts. Send this page \
             again to hear how it ended; your answer counts once.</p>"
        )
    }
}

/// A time in few words.
pub(super) fn moment(at: Timestamp) -> String {
    let full = at.to_string();
    full.get(..16).map_or_else(|| full.clone(), |text| format!("{} UTC", text.replace('T', " ")))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(char),
        }
    }
    escaped
}

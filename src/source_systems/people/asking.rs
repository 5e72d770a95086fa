//! Asking: one page after the other, with patience for a service that stumbles and a new sign-in when the old
//! one is no longer known.
//!
//! Pages change nothing where they come from, so a page that failed is asked for again, as is one that is not
//! what it says it is. A redirect is a refusal.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use super::super::http::{Answered, Http, Lost, form, send, send_for_page};
use super::{NoListing, SignIn};
use crate::event::Span;
use crate::push::backoff::{at_least, full_jitter};

/// How often a page is asked for.
const MOST_TRIES: u32 = 6;
/// The longest a source is waited for because it says so.
const LONGEST_WAIT: Span = Span::from_secs(5 * 60);
/// How much of a refusal's text is shown.
const SHOWN: usize = 200;

/// Whoever asks, with the sign-in it has at the moment.
pub(super) struct Asking {
    http: Http,
    sign_in: SignIn,
    base: String,
    pass: Option<(HeaderName, HeaderValue)>,
}

/// How one try ended.
enum Tried {
    Page(Json),
    /// The sign-in is not known.
    Stranger,
    Again(String, Option<Span>),
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(http: Http, sign_in: SignIn, base: String) -> Self {
        Self { http, sign_in, base, pass: None }
    }

    /// A page, when it is whole: `sound` says what is wrong with it otherwise.
    pub(super) async fn page(
        &mut self,
        url: &str,
        sound: fn(&Json) -> Result<(), &'static str>,
    ) -> Result<Json, NoListing> {
        let shown = without_question(url);
        let (mut tries, mut renewed) = (0, false);
        loop {
            let (why, asked) = match self.once(url, sound).await? {
                Tried::Page(page) => return Ok(page),
                Tried::Stranger if renewed || matches!(self.sign_in, SignIn::None) => {
                    return Err(NoListing::NotSignedIn { url: shown, why: "401".to_owned() });
                }
                Tried::Stranger => {
                    (renewed, self.pass) = (true, None);
                    continue;
                }
                Tried::Again(why, asked) => (why, asked),
            };
            tries += 1;
            if tries == MOST_TRIES {
                return Err(NoListing::Failing { url: shown, why, tries });
            }
            match at_least(full_jitter(tries, fastrand::u64(..)), asked) {
                wait if wait > LONGEST_WAIT => return Err(NoListing::Later { url: shown, wait }),
                wait => rest(wait.to_duration()).await,
            }
        }
    }

    async fn once(
        &mut self,
        url: &str,
        sound: fn(&Json) -> Result<(), &'static str>,
    ) -> Result<Tried, NoListing> {
        let pass = match self.pass().await? {
            Ok(pass) => pass,
            Err((why, asked)) => return Ok(Tried::Again(why, asked)),
        };
        let mut request = self.http.request(Method::GET, url);
        if let Some((name, value)) = pass {
            request = request.header(name, value);
        }
        let said = match send_for_page(request).await {
            Ok(said) => said,
            Err(lost) => return Ok(Tried::Again(words(lost).to_owned(), None)),
        };
        match said.status {
            200..=299 => {
                let page = said.json();
                Ok(sound(&page).map_or_else(|why| Tried::Again(why.to_owned(), None), |()| Tried::Page(page)))
            }
            401 => Ok(Tried::Stranger),
            429 | 500..=599 => Ok(Tried::Again(format!("it answers {}", said.status), said.retry_after())),
            _ => Err(refused(url, &said)),
        }
    }

    /// What to sign in with; inside, why there is none now.
    #[allow(clippy::type_complexity, reason = "a pass, or why not yet, or why never")]
    async fn pass(
        &mut self,
    ) -> Result<Result<Option<(HeaderName, HeaderValue)>, (String, Option<Span>)>, NoListing> {
        if let Some(pass) = &self.pass {
            return Ok(Ok(Some(pass.clone())));
        }
        let (url, request) = match self.request_for_pass() {
            Some(asked) => asked,
            None => return Ok(Ok(None)),
        };
        let said = match send(request).await {
            Ok(said) => said,
            Err(lost) => return Ok(Err((format!("{url}: {}", words(lost)), None))),
        };
        if said.status == 429 || said.status >= 500 {
            return Ok(Err((format!("{url} answers {}", said.status), said.retry_after())));
        }
        let granted = said.json();
        let (name, value) = match &self.sign_in {
            SignIn::Password { .. } => {
                (HeaderName::from_static("otdsticket"), granted["ticket"].as_str().map(str::to_owned))
            }
            _ => (AUTHORIZATION, granted["access_token"].as_str().map(|token| format!("Bearer {token}"))),
        };
        let value = value.filter(|_| said.is_success()).and_then(|value| HeaderValue::from_str(&value).ok());
        let Some(mut value) = value else {
            return Err(NoListing::NotSignedIn { url, why: format!("it answers {}", said.status) });
        };
        value.set_sensitive(true);
        self.pass = Some((name, value));
        Ok(Ok(self.pass.clone()))
    }

    fn request_for_pass(&self) -> Option<(String, RequestBuilder)> {
        match &self.sign_in {
            SignIn::None => None,
            SignIn::Client { token_url, client_id, client_secret } => {
                let body = form(&[
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    ("client_secret", client_secret.expose_secret()),
                ]);
                let request = self.http.request(Method::POST, token_url);
                let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
                Some((token_url.clone(), request))
            }
            SignIn::Password { username, password } => {
                let url = format!("{}/otdsws/rest/authentication/credentials", self.base);
                let body = json!({ "userName": username, "password": password.expose_secret() });
                let request = self.http.request(Method::POST, &url);
                let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
                Some((url, request))
            }
        }
    }
}

fn refused(url: &str, said: &Answered) -> NoListing {
    let (url, status) = (without_question(url), said.status);
    match status {
        403 => NoListing::NotSignedIn { url, why: "403".to_owned() },
        300..=399 => NoListing::Refused { url, status, said: "it leads elsewhere".to_owned() },
        _ => NoListing::Refused { url, status, said: said.text(SHOWN) },
    }
}

/// Names are nobody's business in a log.
fn without_question(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_owned()
}

fn words(lost: Lost) -> &'static str {
    match lost {
        Lost::NotSent => "it cannot be reached",
        Lost::Perhaps("timeout") => "it does not answer in time",
        Lost::Perhaps("answer-too-long") => "its answer is too long",
        Lost::Perhaps(_) => "the connection is lost",
    }
}

#[allow(clippy::disallowed_methods, reason = "a service that asks to be left alone is left alone")]
async fn rest(wait: Duration) {
    tokio::time::sleep(wait).await;
}

//! Door for answers: what people tap on their phones comes in here, and goes to the subject that asked.
//!
//! It proves who answers, by the reply token that was signed when the push was sent, and where a gateway can be asked
//! also by whose session it comes from; and hands the answer to `bugle.subjects`. It decides nothing. Whether the answer still counts is the subject lane's to say. A 202
//! means that the answer is safe in Kafka. A signed link does the same in a browser: `links`.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::broker::{Broker, Outgoing, Topic};
use crate::clock;
use crate::event::answer::{Answer, MOST_COMMENT_BYTES, Proof, VerifiedBy};
use crate::event::frame::FrameHead;
use crate::event::notice::Verb;
use crate::event::{Fact, SubjectKey, Timestamp, hash128};
use crate::flow::frames;
use crate::push::KeyRing;
use crate::push::gateway::{Gateway, Session, TOKEN_HEADER, Unproven};
use crate::push::reply_token::{Claims, Refusal};
use crate::push::signature::{self, Secret};
use crate::push::status::MOST_STATUS_BYTES;
use crate::store::view::Board;
use crate::telemetry;
use crate::topology::{InForce, Rule};

mod links;
mod marks;
mod page;

pub use links::{Identity, Tenant};
pub use marks::Marks;

/// The most bytes of a request.
const MOST_BYTES: usize = 64 * 1024;
/// The longest id of an answer.
const MOST_ID: usize = 128;

/// What the door needs.
#[derive(Clone)]
pub struct Door {
    /// The keys that reply tokens were signed with.
    pub keys: KeyRing,
    /// Where answers go.
    pub broker: Arc<dyn Broker>,
    /// How many partitions `bugle.subjects` has: more, perhaps, than when a push was cut.
    pub subjects: u32,
    /// The rules that ask.
    pub rules: Arc<InForce>,
    /// What the live page shows.
    pub board: Arc<Board>,
    /// With any, a request must be signed by one of them (Standard Webhooks).
    pub secrets: Arc<[Secret]>,
    /// Who says whose session a request comes from; none: nobody is asked.
    pub gateway: Option<Arc<Gateway>>,
    /// Who answers by a link; none: nobody does.
    pub links: Option<Arc<Identity>>,
    /// Who says what became of pushes; none: nobody does.
    pub marks: Option<Arc<Marks>>,
}

/// What a device or a gateway sends.
#[derive(Debug, Deserialize)]
struct Given {
    reply_token: String,
    answer: String,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    response_id: Option<String>,
}

/// Why an answer is not taken in. The words are stable; the texts say what to do.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// Answers until `stop` is done; then lets those under way finish.
///
/// # Errors
/// What the socket says when it breaks.
pub async fn serve(
    listener: TcpListener,
    door: Door,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/answers", post(answer))
        .route("/v1/push-status", post(marks::status).layer(DefaultBodyLimit::max(MOST_STATUS_BYTES)))
        .route("/v1/devices", post(marks::device))
        .route("/a/style.css", get(page::style))
        .route("/a/{token}", get(links::show).post(links::decide))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is POST /v1/answers\n") })
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(door);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// `POST /v1/answers`.
async fn answer(State(door): State<Door>, headers: HeaderMap, body: Body) -> Response {
    let taken_in = match whole(body) {
        Ok(body) => door.take_in(&headers, &body, clock::now()).await,
        Err(refused) => Err(refused),
    };
    match taken_in {
        Ok(response_id) => {
            let said = json!({ "response_id": response_id, "status": "received" }).to_string();
            (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], said).into_response()
        }
        Err(refused) => refused.into_response(),
    }
}

/// A request's body, or why there is none.
type Body = Result<Bytes, BytesRejection>;

fn whole(body: Body) -> Result<Bytes, Refused> {
    body.map_err(|why| Refused::unread(why.status(), why.body_text()))
}

// === impl Door ===

impl Door {
    async fn take_in(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<String, Refused> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token = header(TOKEN_HEADER).filter(|_| self.gateway.is_some());
        // The gateway is not troubled, nor others kept waiting for it, by who holds no token of ours: to look at that
        // costs nothing.
        let early = token.map(|_| self.read(body, now)).transpose()?;
        let session = self.session(token).await?;
        let signed = match session {
            Some(_) => None,
            None => signature::check(&self.secrets, header, body, now)
                .map_err(|why| Refused::new(StatusCode::UNAUTHORIZED, "bad_signature", why))?,
        };
        let (given, claims) = early.map_or_else(|| self.read(body, now), Ok)?;
        if session.as_ref().is_some_and(|session| !session.is_of(&claims.tenant, &claims.person)) {
            let told = "somebody else was asked; only they can answer this";
            return Err(Refused::new(StatusCode::FORBIDDEN, "not_you", told));
        }
        let proof = session.map_or_else(Proof::default, |session| Proof {
            verified_by: VerifiedBy::OtagSession,
            client_id: session.client_id,
        });
        let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == given.answer);
        let verb = verb.ok_or_else(|| Refused::no_answer(&given.answer))?;
        let (rule, generation) = self.rule_of(&claims)?;
        // Without an id of its own the same tap sent twice is the same answer all the same.
        let response_id = given.response_id.or(signed).unwrap_or_else(|| id_of(&given.reply_token, verb));
        // It becomes a header where the answer is carried back.
        let is_fit = (1..=MOST_ID).contains(&response_id.len())
            && response_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_fit {
            let told =
                format!("`response_id` takes 1 to {MOST_ID} letters, digits and signs of ASCII, no space");
            return Err(Refused::new(StatusCode::BAD_REQUEST, "bad_request", told));
        }
        let said = (verb, given.comment.as_deref(), response_id.as_str());
        self.accept((&claims, &proof), (&rule, generation), said, now).await?;
        Ok(response_id)
    }

    /// What a request says, and what was asked of whom.
    fn read(&self, body: &[u8], now: Timestamp) -> Result<(Given, Claims), Refused> {
        let given: Given = serde_json::from_slice(body).map_err(|error| {
            let wanted = "send {\"reply_token\": \"…\", \"answer\": \"approve\"}";
            Refused::new(StatusCode::BAD_REQUEST, "bad_request", format!("{error}; {wanted}"))
        })?;
        let claims = self.keys.verify(&given.reply_token, now).map_err(Refused::of)?;
        Ok((given, claims))
    }

    /// Whose session a request comes from, where it says so and somebody can be asked.
    ///
    /// **Invariant:** with a gateway, a request that is not signed is heard only when the gateway says who sent it.
    async fn session(&self, token: Option<&str>) -> Result<Option<Session>, Refused> {
        let Some(gateway) = &self.gateway else { return Ok(None) };
        let Some(token) = token else {
            let told = "send the token of your session as `otagtoken`";
            let none = || Refused::new(StatusCode::UNAUTHORIZED, "not_signed_in", told);
            return if self.secrets.is_empty() { Err(none()) } else { Ok(None) };
        };
        let refused = |unproven: Unproven| match unproven {
            Unproven::NotSignedIn => {
                Refused::new(StatusCode::UNAUTHORIZED, "not_signed_in", unproven.to_string())
            }
            Unproven::Unavailable => {
                Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", unproven.to_string())
            }
        };
        gateway.whose(token).await.map(Some).map_err(refused)
    }

    /// The rule that asked, and the generation of the rules it is from.
    fn rule_of(&self, claims: &Claims) -> Result<(Arc<Rule>, u64), Refused> {
        let rules = self.rules.newest();
        let rule = rules.rule(&claims.rule).cloned().ok_or_else(|| {
            let told = format!("rule `{}` is gone", claims.rule);
            Refused::new(StatusCode::GONE, "rule_removed", told)
        })?;
        Ok((rule, rules.generation))
    }

    /// Hands an answer on whose person is proven.
    async fn accept(
        &self,
        (claims, proof): (&Claims, &Proof),
        (rule, generation): (&Rule, u64),
        (verb, comment, response_id): (Verb, Option<&str>, &str),
        now: Timestamp,
    ) -> Result<(), Refused> {
        if comment.is_some_and(|comment| comment.len() > MOST_COMMENT_BYTES) {
            let told = format!("`comment` takes at most {MOST_COMMENT_BYTES} bytes");
            return Err(Refused::new(StatusCode::BAD_REQUEST, "bad_request", told));
        }
        let answer = Answer {
            response_id,
            tenant: &claims.tenant,
            conversation: claims.conversation,
            occasion: claims.occasion,
            person: &claims.person,
            verb,
            comment,
            received_at: now,
        };
        let item = answer.proven(proof, rule.source, (&claims.subject, &claims.rule));
        self.hand_on(claims, generation, item).await?;
        let fact = Fact::Answered { count: 1 };
        telemetry::meters::count(&fact);
        self.board.note(&fact);
        Ok(())
    }

    /// Writes it down; the answer to the phone waits until it is safe.
    async fn hand_on(&self, claims: &Claims, generation: u64, item: Vec<u8>) -> Result<(), Refused> {
        let record = Outgoing {
            topic: Topic::Subjects,
            partition: Some(SubjectKey(claims.subject.clone()).partition(self.subjects)),
            key: None,
            value: Some(frames::single(&FrameHead { generation, ..FrameHead::default() }, &item).into()),
            headers: Vec::new(),
        };
        self.write(vec![record], "the answer").await
    }

    async fn write(&self, records: Vec<Outgoing>, what: &str) -> Result<(), Refused> {
        let broker = Arc::clone(&self.broker);
        let written = tokio::task::spawn_blocking(move || broker.publish(records)).await;
        let fault = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(fault, what, "what came in could not be written down");
        let told = format!("{what} could not be written down; send it again as it is");
        Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", told))
    }
}

fn id_of(token: &str, verb: Verb) -> String {
    format!("r-{:032x}", hash128([token.as_bytes(), verb.as_str().as_bytes()]))
}

// === impl Refused ===

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A request that could not be read to its end.
    fn unread(status: StatusCode, why: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "too_large", "the request is larger than anything that is taken in here")
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "bad_request", why),
        }
    }

    fn no_answer(word: &str) -> Self {
        let verbs = Verb::ALL.map(Verb::as_str).join(", ");
        let told = format!("`{word}` is no answer; send one of {verbs}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_answer", told)
    }

    fn of(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "bad_token"),
            Refusal::UnknownKey => (StatusCode::UNAUTHORIZED, "unknown_key"),
            Refusal::Forged => (StatusCode::UNAUTHORIZED, "forged_token"),
            Refusal::Expired => (StatusCode::GONE, "expired"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let said = json!({ "error": { "code": self.code, "message": self.message } }).to_string();
        let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, said).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, 1.into());
        }
        response
    }
}

//! Outcome: what a status and a body mean. One match over all there are, and nothing sent or awaited.
//!
//! A 200 counts only with a job id: proxies and sign-in pages answer 200 too. A redirect is not followed
//! and not blamed on the batch: somebody's gateway is wrong, and the batch waits until it is right.

use serde::Deserialize;

use super::Outcome;
use crate::event::Span;

/// The codes of [`Outcome::TryLater`], and whether the request may have been accepted all the same: a
/// server that fails, or a gateway that gave up waiting for one, may have made the job before.
pub const LATER: [(&str, bool); 11] = [
    ("unreachable", false),
    ("token-unavailable", false),
    ("redirected", false),
    ("request-timeout", false),
    ("too-early", false),
    ("rate-limited", false),
    ("unavailable", false),
    ("conflict", true),
    ("server-error", true),
    ("bad-gateway", true),
    ("gateway-timeout", true),
];

#[derive(Deserialize)]
struct Job {
    job_id: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Fault,
}

/// What a service says is wrong.
#[derive(Deserialize, Default)]
pub(super) struct Fault {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) field: String,
}

// === impl Outcome ===

impl Outcome {
    /// What an answer means, in the words of one transport: what a 2xx with this body is, and which fault
    /// the body of a refusal names. `body` may be cut: then it is no JSON and proves nothing.
    pub(super) fn of_answer(
        (status, after): (u16, Option<Span>),
        body: &[u8],
        taken: impl FnOnce(&[u8]) -> Self,
        fault: impl FnOnce(&[u8]) -> Fault,
    ) -> Self {
        let later = |code| Self::TryLater { after, code };
        match status {
            200..=299 => taken(body),
            // The account, not the batch: no right, no money, or nobody at this address who takes pushes.
            401..=405 | 407 | 410 => Self::Forbidden(refused(status, &fault(body))),
            408 => later("request-timeout"),
            409 => later("conflict"),
            413 => Self::TooLarge,
            425 => later("too-early"),
            429 => later("rate-limited"),
            400..=499 => {
                let fault = fault(body);
                let member = index(&fault.field);
                Self::Unacceptable { code: code(status, &fault), member }
            }
            502 => later("bad-gateway"),
            503 => later("unavailable"),
            504 => later("gateway-timeout"),
            500..=599 => later("server-error"),
            300..=399 => later("redirected"),
            // Neither a final answer nor a failure that HTTP knows.
            _ => Self::Unknown("answer-unreadable"),
        }
    }

    /// Whether the push service may have taken the request. Where it may, only the same id may follow: a
    /// batch cut anew or split would tell its people twice.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Accepted(_) | Self::Each(_) | Self::Unknown(_) => true,
            Self::TryLater { code, .. } => LATER.iter().any(|(known, arrived)| known == code && *arrived),
            Self::Unacceptable { .. } | Self::TooLarge | Self::NotThere | Self::Forbidden(_) => false,
        }
    }
}

/// What a 2xx of cloud messaging means: only a job is an acceptance.
pub(super) fn job(body: &[u8]) -> Outcome {
    match serde_json::from_slice::<Job>(body) {
        Ok(job) if !job.job_id.is_empty() => Outcome::Accepted(job.job_id),
        _ => Outcome::Unknown("answer-unreadable"),
    }
}

/// What the status call says of a batch: a job that never was is said in the service's own words, for a 404 of
/// somebody else's means that nothing is known. Nor does another refusal say anything.
pub(super) fn status((status, after): (u16, Option<Span>), body: &[u8]) -> Outcome {
    match status {
        404 if fault(body).code == "NOT_FOUND" => Outcome::NotThere,
        400 | 404..=407 | 410..=424 => Outcome::Unknown("status-refused"),
        _ => Outcome::of_answer((status, after), body, job, fault),
    }
}

/// The fault in `{"error": {"code": …}}`.
pub(super) fn fault(body: &[u8]) -> Fault {
    serde_json::from_slice::<Failure>(body).map(|failure| failure.error).unwrap_or_default()
}

/// A service's code when it looks like one: codes become verdicts and are shown.
pub(super) fn plain_code(code: &str) -> Option<&str> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    ((1..=64).contains(&code.len()) && code.bytes().all(plain)).then_some(code)
}

fn code(status: u16, fault: &Fault) -> String {
    plain_code(&fault.code).map_or_else(|| format!("HTTP_{status}"), str::to_owned)
}

fn refused(status: u16, fault: &Fault) -> String {
    let message: String = fault.message.chars().filter(|c| !c.is_control()).take(200).collect();
    let code = code(status, fault);
    if message.is_empty() { code } else { format!("{code}: {message}") }
}

/// The number in `destinations[3].push`.
fn index(field: &str) -> Option<usize> {
    field.strip_prefix("destinations[")?.split_once(']')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Outcome {
        Outcome::of_answer((status, None), body.as_bytes(), job, fault)
    }

    #[test]
    fn only_a_job_id_is_an_acceptance() {
        assert_eq!(of(200, r#"{"job_id":"otp-1"}"#), Outcome::Accepted("otp-1".into()));
        assert_eq!(of(202, r#"{"job_id":"otp-1","more":[]}"#), Outcome::Accepted("otp-1".into()));
        for body in
            ["", "<html>Sign in</html>", r#"{"job_id":"otp-"#, r#"{"job_id":""}"#, r#"{"job_id":7}"#, "{}"]
        {
            assert_eq!(of(200, body), Outcome::Unknown("answer-unreadable"), "{body}");
        }
    }

    #[test]
    fn a_refusal_names_its_code_and_the_destination_it_is_about() {
        let refused = |code: &str, member| Outcome::Unacceptable { code: code.into(), member };
        let body = r#"{"error":{"code":"INVALID_REQUEST","message":"m","field":"destinations[3].push"}}"#;
        assert_eq!(of(400, body), refused("INVALID_REQUEST", Some(3)));
        assert_eq!(of(400, r#"{"error":{"code":"X","field":"destinations"}}"#), refused("X", None));
        assert_eq!(of(400, r#"{"error":{"code":"<b>\u0000"}}"#), refused("HTTP_400", None));
        assert_eq!(of(404, "not here"), Outcome::Forbidden("HTTP_404".into()));
        assert_eq!(of(422, ""), refused("HTTP_422", None));
    }

    #[test]
    fn every_status_means_something() {
        let mut meant = std::collections::BTreeMap::<_, Vec<u16>>::new();
        for status in 100..=599 {
            let word = match of(status, "") {
                Outcome::TryLater { code, .. } => code.to_owned(),
                Outcome::Unacceptable { .. } => "unacceptable".to_owned(),
                other => format!("{other:?}"),
            };
            meant.entry(word).or_default().push(status);
        }
        let lines: Vec<_> = meant
            .iter()
            .map(|(word, all)| match all.as_slice() {
                [only] => format!("{word}: {only}"),
                [first, .., last] => format!("{word}: {first}..{last}, {} in all", all.len()),
                [] => unreachable!("an entry is made with its first status"),
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        Forbidden("HTTP_401"): 401
        Forbidden("HTTP_402"): 402
        Forbidden("HTTP_403"): 403
        Forbidden("HTTP_404"): 404
        Forbidden("HTTP_405"): 405
        Forbidden("HTTP_407"): 407
        Forbidden("HTTP_410"): 410
        TooLarge: 413
        Unknown("answer-unreadable"): 100..299, 200 in all
        bad-gateway: 502
        conflict: 409
        gateway-timeout: 504
        rate-limited: 429
        redirected: 300..399, 100 in all
        request-timeout: 408
        server-error: 500..599, 97 in all
        too-early: 425
        unacceptable: 400..499, 88 in all
        unavailable: 503
        "#);
    }

    #[test]
    fn a_status_is_a_job_or_none_or_not_known() {
        let of = |code: u16, body: &str| status((code, None), body.as_bytes());
        assert_eq!(
            of(200, r#"{"job_id":"otp-1","job_state":["Complete"]}"#),
            Outcome::Accepted("otp-1".into())
        );
        assert_eq!(of(404, r#"{"error":{"code":"NOT_FOUND"}}"#), Outcome::NotThere);
        assert_eq!(of(404, "no such page"), Outcome::Unknown("status-refused"));
        assert_eq!(of(200, "<html>"), Outcome::Unknown("answer-unreadable"));
        assert_eq!(of(400, ""), Outcome::Unknown("status-refused"));
        assert_eq!(of(403, ""), Outcome::Forbidden("HTTP_403".into()));
        assert_eq!(of(503, ""), Outcome::TryLater { after: None, code: "unavailable" });
    }

    #[test]
    fn what_may_have_arrived_is_known_for_every_code() {
        for (code, arrived) in LATER {
            assert_eq!(Outcome::TryLater { after: None, code }.may_have_arrived(), arrived, "{code}");
        }
        assert!(of(504, "").may_have_arrived());
        assert!(!of(429, "").may_have_arrived());
        assert!(!of(400, "").may_have_arrived());
        assert!(Outcome::Unknown("timeout").may_have_arrived());
    }
}

//! Faults: how the stand-in misbehaves when it is told to.
//!
//! All is drawn from one seeded generator, so a run with the same requests in the same order misbehaves
//! the same way again. What is not listed here it does right.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Span, hash128};

/// What goes wrong. Shares are between 0 (never) and 1 (always). As JSON on `POST /faults`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Where the generator starts; setting the faults starts it again.
    pub seed: u64,
    /// How long an answer takes.
    pub latency: Latency,
    /// The share of submits refused with 429.
    pub rate_limited: f64,
    /// What a 429 or 503 says in `Retry-After`, word for word; nothing when absent.
    pub retry_after: Option<String>,
    /// The share of submits that fail with 500.
    pub server_error: f64,
    /// The share of submits refused with 503.
    pub unavailable: f64,
    /// The share of submits that are accepted and then cut before the answer.
    pub cut_before_answer: f64,
    /// The share of submits that are accepted and then cut in the middle of the answer.
    pub cut_inside_answer: f64,
    /// A sign-in is refused with 401 after so many submits; a new token counts anew. 0 is never.
    pub unauthorized_after: u64,
    /// The share of destinations that end as `Error: UNREGISTERED` in the job's status.
    pub partial: f64,
    /// The share of destinations that end as `Error: INTERNAL` in the job's status.
    pub bounced: f64,
    /// For so many seconds after it was taken, a job is on its way.
    pub pending_seconds: f64,
    /// The share of status calls that fail with 500.
    pub silent_status: f64,
    /// Whoever asked to be told of jobs is told twice of each.
    pub told_twice: bool,
    /// Addresses such as `user:jdoe`: a request to one of them is refused as a whole, naming it.
    pub poison: Vec<String>,
    /// The code such a request is refused with; `INVALID_REQUEST` when absent.
    pub poison_code: Option<String>,
    /// Nobody listens for so many seconds from now.
    pub dead_seconds: f64,
    /// Webhook: the share of pushes that are refused one by one.
    pub refused_pushes: f64,
    /// Webhook: the share of pushes that are not taken now, one by one.
    pub later_pushes: f64,
    /// Webhook: the share of pushes of which the first answer says nothing, though they were taken or refused.
    pub unnamed_pushes: f64,
    /// Webhook: the results come in another order than the pushes.
    pub shuffled: bool,
}

/// How long an answer takes: `20ms`, between two (`5ms..50ms`), or spread around a mean as waiting times
/// are (`exp:20ms`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Latency {
    /// At once.
    #[default]
    None,
    /// Always so long.
    Fixed(Span),
    /// Anything between the two.
    Uniform(Span, Span),
    /// Exponentially distributed with this mean, at most ten times of it.
    Exponential(Span),
}

/// A text that says no latency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a latency such as 20ms, 5ms..50ms or exp:20ms")]
pub struct NoLatency(String);

/// What becomes of one submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Served,
    RateLimited,
    ServerError,
    Unavailable,
    CutBeforeAnswer,
    CutInsideAnswer,
}

/// The faults at work, and where their generator stands.
pub(super) struct Dice {
    pub(super) faults: Arc<Faults>,
    random: fastrand::Rng,
}

// === impl Dice ===

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        Self { random: fastrand::Rng::with_seed(faults.seed), faults: Arc::new(faults) }
    }

    /// Whether the next status call fails.
    pub(super) fn fails_status(&mut self) -> bool {
        self.random.f64() < self.faults.silent_status
    }

    /// What becomes of the next submit, and how long its answer takes.
    pub(super) fn roll(&mut self) -> (Fate, Duration) {
        let faults = &self.faults;
        let shares = [
            (faults.rate_limited, Fate::RateLimited),
            (faults.server_error, Fate::ServerError),
            (faults.unavailable, Fate::Unavailable),
            (faults.cut_before_answer, Fate::CutBeforeAnswer),
            (faults.cut_inside_answer, Fate::CutInsideAnswer),
        ];
        let mut drawn = self.random.f64();
        let mut fate = Fate::Served;
        for (share, candidate) in shares {
            if drawn < share {
                fate = candidate;
                break;
            }
            drawn -= share.max(0.0);
        }
        (fate, faults.latency.draw(&mut self.random))
    }
}

// === impl Faults ===

impl Faults {
    /// Whether the destination with this reference ends in an error: the same one each time.
    #[must_use]
    pub(super) fn fails(&self, reference: u128) -> bool {
        self.draws(self.partial, [&[], &reference.to_le_bytes()])
    }

    /// Whether the destination with this reference cannot be delivered to: the same one each time.
    #[must_use]
    pub(super) fn bounces(&self, reference: u128) -> bool {
        self.draws(self.bounced, [b"bounced", &reference.to_le_bytes()])
    }

    /// Whether one thing has a fault that a share of all such things have: the same one each time.
    #[must_use]
    pub(super) fn draws(&self, share: f64, [of, which]: [&[u8]; 2]) -> bool {
        const STEPS: u32 = 1_000_000;
        if share <= 0.0 {
            return false;
        }
        let drawn = hash128([&self.seed.to_le_bytes(), of, which]) % u128::from(STEPS);
        let drawn = f64::from(u32::try_from(drawn).unwrap_or(STEPS));
        drawn < share * f64::from(STEPS)
    }
}

// === impl Latency ===

impl Latency {
    pub(super) fn draw(self, random: &mut fastrand::Rng) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(span) => span.to_duration(),
            Self::Uniform(from, to) => {
                Span::from_millis(random.i64(from.millis()..=to.millis())).to_duration()
            }
            Self::Exponential(mean) => {
                // 1 - f64() is never 0, so the logarithm is finite.
                mean.to_duration().mul_f64((-(1.0 - random.f64()).ln()).min(10.0))
            }
        }
    }
}

impl FromStr for Latency {
    type Err = NoLatency;

    fn from_str(text: &str) -> Result<Self, NoLatency> {
        let span = |part: &str| {
            part.parse::<Span>()
                .ok()
                .filter(|span| *span >= Span::ZERO)
                .ok_or_else(|| NoLatency(text.to_owned()))
        };
        match text.trim() {
            "" | "0" => Ok(Self::None),
            text if text.starts_with("exp:") => Ok(Self::Exponential(span(&text[4..])?)),
            text => match text.split_once("..") {
                Some((from, to)) => {
                    let (from, to) = (span(from)?, span(to)?);
                    Ok(Self::Uniform(from.min(to), from.max(to)))
                }
                None => Ok(Self::Fixed(span(text)?)),
            },
        }
    }
}

impl TryFrom<String> for Latency {
    type Error = NoLatency;

    fn try_from(text: String) -> Result<Self, NoLatency> {
        text.parse()
    }
}

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.to_string()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0"),
            Self::Fixed(span) => write!(f, "{span}"),
            Self::Uniform(from, to) => write!(f, "{from}..{to}"),
            Self::Exponential(mean) => write!(f, "exp:{mean}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_read_as_it_is_written() {
        for text in ["0", "20ms", "5ms..50ms", "exp:20ms", "1m30s"] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
        for text in ["20", "fast", "5ms..", "exp:", "-5ms"] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_same_seed_misbehaves_the_same_way() {
        let faults = Faults {
            seed: 7,
            rate_limited: 0.2,
            cut_before_answer: 0.3,
            latency: "exp:20ms".parse().unwrap(),
            ..Faults::default()
        };
        let mut dice = Dice::new(faults.clone());
        let rolls: Vec<_> = (0..1_000).map(|_| dice.roll()).collect();
        let mut again = Dice::new(faults);
        assert!(rolls.iter().all(|roll| *roll == again.roll()));
        let share = |fate| rolls.iter().filter(|(drawn, _)| *drawn == fate).count();
        assert!((150..250).contains(&share(Fate::RateLimited)));
        assert!((250..350).contains(&share(Fate::CutBeforeAnswer)));
        assert_eq!(share(Fate::ServerError), 0);
    }

    #[test]
    fn a_share_of_the_destinations_fails_and_always_the_same_ones() {
        let faults = Faults { partial: 0.25, ..Faults::default() };
        let failed = (0..4_000_u128).filter(|reference| faults.fails(*reference)).count();
        assert!((900..1_100).contains(&failed), "{failed}");
        assert!((0..100).all(|reference| !Faults::default().fails(reference)));
    }

    #[test]
    fn an_unknown_fault_is_refused() {
        assert!(serde_json::from_str::<Faults>(r#"{"rate_limitd":1}"#).is_err());
        let faults: Faults = serde_json::from_str(r#"{"latency":"5ms","rate_limited":1}"#).unwrap();
        assert_eq!(faults.latency, Latency::Fixed(Span::from_millis(5)));
    }
}

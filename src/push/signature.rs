//! Signature: proof of who sent a request, by the Standard Webhooks specification, made and checked.
//!
//! `webhook-signature` holds one signature or several with spaces between, each `v1,` and base64 of
//! HMAC-SHA256 over `webhook-id.webhook-timestamp.body`; several while a secret is being replaced.

use std::fmt;

use base64_simd::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::event::{Span, Timestamp};

/// How far the sender's clock may be off, and how old a request may be.
const TOLERANCE: Span = Span::from_secs(300);
/// What a secret begins with when it is written down.
const PREFIX: &str = "whsec_";

/// A secret shared with a sender.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// A secret that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is not `whsec_` and base64 of at least 24 bytes")]
pub struct BadSecret;

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn read(text: &SecretString) -> Result<Self, BadSecret> {
        let key = text.expose_secret().strip_prefix(PREFIX).unwrap_or(text.expose_secret());
        let key = STANDARD.decode_to_vec(key).map_err(|_| BadSecret)?;
        if key.len() < 24 {
            return Err(BadSecret);
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|_| BadSecret)
    }

    fn signed(&self, signature: &str, parts: [&[u8]; 3]) -> bool {
        let Some(encoded) = signature.strip_prefix("v1,") else { return false };
        let Ok(mac) = STANDARD.decode_to_vec(encoded) else { return false };
        // Compared in constant time.
        self.over(parts).verify_slice(&mac).is_ok()
    }

    fn over(&self, [id, time, body]: [&[u8]; 3]) -> Hmac<Sha256> {
        let state = self.0.clone().chain_update(id).chain_update(b".").chain_update(time);
        state.chain_update(b".").chain_update(body)
    }
}

/// What `webhook-signature` says of a request: one signature by each secret. `time` is `webhook-timestamp`.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, time: &str, body: &[u8]) -> String {
    let parts = [id.as_bytes(), time.as_bytes(), body];
    let one = |secret: &Secret| {
        let mac = secret.over(parts).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode_to_string(mac.as_slice()))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The id of a signed request; `None` where no secret is shared, for then nothing need be signed.
///
/// # Errors
/// What is wrong with its signature, for whoever sent it.
pub fn check<'h>(
    secrets: &[Secret],
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<String>, &'static str> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let (Some(id), Some(time), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return Err("send webhook-id, webhook-timestamp and webhook-signature");
    };
    let sent = time.parse::<i64>().map_err(|_| "webhook-timestamp is no number of seconds")?;
    let age = now.since(Timestamp::from_millis(sent.saturating_mul(1_000)));
    if age > TOLERANCE || Span::from_millis(-age.millis()) > TOLERANCE {
        return Err("webhook-timestamp is more than five minutes away; check the sender's clock");
    }
    let parts = [id.as_bytes(), time.as_bytes(), body];
    let is_signed =
        signatures.split(' ').any(|signature| secrets.iter().any(|secret| secret.signed(signature, parts)));
    if is_signed { Ok(Some(id.to_owned())) } else { Err("no signature fits; check the shared secret") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const TIME: i64 = 1_614_265_330;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn checked(signature: &str, body: &[u8], later: i64) -> Result<Option<String>, &'static str> {
        let time = TIME.to_string();
        let header = |name: &str| match name {
            "webhook-id" => Some(ID),
            "webhook-timestamp" => Some(time.as_str()),
            _ => Some(signature),
        };
        check(&[secret()], header, body, Timestamp::from_millis((TIME + later) * 1_000))
    }

    fn secret() -> Secret {
        Secret::read(&SECRET.into()).unwrap()
    }

    #[test]
    fn a_signature_of_the_specification_is_good_alone_and_among_others() {
        assert_eq!(checked(SIGNATURE, BODY, 0), Ok(Some(ID.to_owned())));
        assert!(checked(&format!("v1,AAAA v2,x {SIGNATURE}"), BODY, 299).is_ok());
    }

    #[test]
    fn a_request_is_signed_as_the_specification_does_by_each_secret() {
        assert_eq!(sign(&[secret()], ID, &TIME.to_string(), BODY), SIGNATURE);
        let both = sign(&[secret(), secret()], ID, &TIME.to_string(), BODY);
        assert_eq!(both, format!("{SIGNATURE} {SIGNATURE}"));
    }

    #[test]
    fn what_was_changed_or_is_old_or_from_the_future_is_refused() {
        assert!(checked(SIGNATURE, b"{}", 0).is_err());
        assert!(checked("v1,AAAA", BODY, 0).is_err());
        assert!(checked(SIGNATURE, BODY, 301).is_err());
        assert!(checked(SIGNATURE, BODY, -301).is_err());
        assert!(check(&[secret()], |_| None, BODY, Timestamp::default()).is_err());
    }

    #[test]
    fn without_a_shared_secret_nothing_need_be_signed() {
        assert_eq!(check(&[], |_| None, BODY, Timestamp::default()), Ok(None));
        for short in ["whsec_AAAA", "whsec_?", ""] {
            assert!(Secret::read(&short.into()).is_err());
        }
    }
}

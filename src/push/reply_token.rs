//! Reply token: what an answer must bring along, signed when the push was sent.
//!
//! It says which conversation a push belongs to, where that lives, and who was asked, so that an answer
//! needs no lookup to be routed and cannot be moved to another person or round. It does not say that the
//! answer is still wanted: the subject lane's state decides that. The claims can be read by whoever holds
//! the token; only their origin is protected.
//!
//! ```text
//! bt1 . key id . batch's part . letter's part . person . HMAC-SHA256 of all before, first 16 bytes
//! ```
//! Each part after the key id is base64url. The batch's part stands once in the message, the letter's is
//! encoded and hashed once for all its people: a person costs the hashing of the rest.
//!
//! Where links lead to a page that answers, the token is the only thing which that page knows of the push. There it
//! begins with `bt2`, and the letter's part says the title, too, and when the matter ends.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use smallvec::SmallVec;

use super::{Unsendable, base64url};
use crate::event::push::fill;
use crate::event::{BatchHead, Letter, Occasion, Span, Timestamp};

/// How long after its cut a push can be answered at least. A conversation that ends earlier refuses by itself.
pub const ANSWERABLE: Span = Span::from_secs(30 * 86_400);
/// The shortest secret, in bytes.
pub const LEAST_SECRET: usize = 16;

const VERSION: &str = "bt1";
const WITH_TITLE: &str = "bt2";
/// The most bytes of a title in a token, which a push of 4 KiB carries twice.
const MOST_TITLE_BYTES: usize = 120;
const MOST_TOKEN_BYTES: usize = 4096;
/// RFC 2104 allows half the hash; a forger has one guess in 2¹²⁸.
const MAC_BYTES: usize = 16;

/// The signing keys by id. New batches are cut with the current one; the others stay until the last
/// token signed with them has expired.
#[derive(Clone)]
pub struct KeyRing {
    current: String,
    keys: HashMap<String, Hmac<Sha256>>,
    /// What stands before a token in a link that answers.
    links: Option<Arc<str>>,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose data.
    pub tenant: String,
    /// The partition of `bugle.subjects` that spoke. The topic may have grown since: an answer goes to where its
    /// subject is now.
    pub subject_partition: i32,
    /// The subject's key.
    pub subject: String,
    /// The rule that asked.
    pub rule: String,
    /// The round of the conversation.
    pub conversation: u128,
    /// Which telling.
    pub occasion: Occasion,
    /// The user id of the person who was asked.
    pub person: String,
    /// From here on it is refused.
    pub expires_at: Timestamp,
    /// What the push said, where a page may have to say it again.
    pub about: Option<About>,
}

/// What a push is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its title, the end of a long one left out.
    pub title: String,
    /// When the matter ends.
    pub until: Option<Timestamp>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not one of our tokens.
    #[error("the reply token is not in the form that bugle writes")]
    Malformed,
    /// Its key is not in the ring.
    #[error("the reply token was signed with a key that is not in the key ring")]
    UnknownKey,
    /// It was changed, or made elsewhere.
    #[error("the reply token's signature does not fit its content")]
    Forged,
    /// It was good once.
    #[error("the reply token has expired")]
    Expired,
}

/// Why a key ring cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// There is no key at all.
    #[error("there is no key to sign reply tokens with")]
    None,
    /// The id cannot stand in a token.
    #[error("`{0}` cannot be the id of a signing key: it takes 1 to 32 letters, digits, `-` or `_`")]
    Id(String),
    /// Two keys have one id.
    #[error("two signing keys have the id `{0}`")]
    Twice(String),
    /// The secret can be guessed.
    #[error("the secret of signing key `{0}` is shorter than {LEAST_SECRET} bytes")]
    Short(String),
}

/// Signs the tokens of one batch.
pub(super) struct BatchSigner {
    head: Vec<u8>,
    state: Hmac<Sha256>,
    /// The title, inserts open, where the tokens say it.
    title: Option<String>,
}

/// Signs the tokens of one letter.
pub(super) struct LetterSigner {
    state: Hmac<Sha256>,
}

// === impl KeyRing ===

impl KeyRing {
    /// A ring of `(id, secret)`; the first is the current one.
    ///
    /// # Errors
    /// When there is none, two share an id, an id cannot stand in a token or a secret is too short.
    pub fn new(keys: impl IntoIterator<Item = (String, SecretString)>) -> Result<Self, BadKey> {
        let mut ring = Self { current: String::new(), keys: HashMap::new(), links: None };
        for (id, secret) in keys {
            let sound = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            if !(1..=32).contains(&id.len()) || !id.bytes().all(sound) {
                return Err(BadKey::Id(id));
            }
            let secret = secret.expose_secret().as_bytes();
            if secret.len() < LEAST_SECRET {
                return Err(BadKey::Short(id));
            }
            let state = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
            if ring.current.is_empty() {
                ring.current.clone_from(&id);
            }
            if ring.keys.insert(id.clone(), state).is_some() {
                return Err(BadKey::Twice(id));
            }
        }
        if ring.keys.is_empty() { Err(BadKey::None) } else { Ok(ring) }
    }

    /// Pushes carry a link, too, that answers under this address.
    #[must_use]
    pub fn with_links(mut self, public_url: Option<&str>) -> Self {
        self.links = public_url.map(|url| format!("{}/a/", url.trim_end_matches('/')).into());
        self
    }

    /// What stands before a token in a link; none without links.
    pub(super) fn links(&self) -> Option<&str> {
        self.links.as_deref()
    }

    /// The link that a token answers by.
    pub(super) fn link(&self, token: &str) -> Option<String> {
        self.links().map(|before| format!("{before}{token}"))
    }

    /// The id of the key that new batches are cut with.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Whether the ring holds this key.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        self.keys.contains_key(id)
    }

    /// One token, signed with the key `id`; `None` when the ring lacks it.
    #[must_use]
    pub fn sign(&self, id: &str, claims: &Claims) -> Option<String> {
        let title = claims.about.as_ref().map(|about| about.title.clone());
        let batch = self.signer(id, (&claims.tenant, &claims.rule), claims.expires_at, title)?;
        let place = (claims.subject_partition, claims.subject.as_str());
        let mut token = batch.head().to_vec();
        let round = (claims.conversation, claims.occasion);
        let letter = batch.letter(place, round, claims.about.clone(), &mut token);
        letter.append(&claims.person, &mut token);
        Some(String::from_utf8(token).expect("ids and base64url are ASCII"))
    }

    /// The token of one person's push.
    ///
    /// # Errors
    /// When the ring lacks the batch's key.
    pub fn token(&self, head: &BatchHead, letter: &Letter<'_>, person: &str) -> Result<String, Unsendable> {
        let batch = self.batch(head).ok_or_else(|| Unsendable::unknown_key(head))?;
        let mut token = batch.head().to_vec();
        batch.of(letter, &mut token).append(person, &mut token);
        Ok(String::from_utf8(token).expect("ids and base64url are ASCII"))
    }

    /// The claims of a token of ours that has not expired at `now`.
    ///
    /// # Errors
    /// Why it is refused. The signature is compared in constant time, before anything is read.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Refusal> {
        if token.len() > MOST_TOKEN_BYTES {
            return Err(Refusal::Malformed);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let mut parts = signed.split('.');
        let mut part = || parts.next().ok_or(Refusal::Malformed);
        let (version, id, head, letter, person) = (part()?, part()?, part()?, part()?, part()?);
        if ![VERSION, WITH_TITLE].contains(&version) || parts.next().is_some() {
            return Err(Refusal::Malformed);
        }
        let mac = base64url::read(mac).filter(|mac| mac.len() == MAC_BYTES).ok_or(Refusal::Malformed)?;
        let state = self.keys.get(id).ok_or(Refusal::UnknownKey)?;
        state.clone().chain_update(signed).verify_truncated_left(&mac).map_err(|_| Refusal::Forged)?;
        let claims = read_claims(version, (head, letter, person)).ok_or(Refusal::Malformed)?;
        if claims.expires_at <= now { Err(Refusal::Expired) } else { Ok(claims) }
    }

    /// A signer for what a batch shares; `None` when the ring lacks the batch's key.
    pub(super) fn batch(&self, head: &BatchHead) -> Option<BatchSigner> {
        let answerable = head.cut_at + ANSWERABLE;
        let expires_at = head.expires_at.map_or(answerable, |expires_at| expires_at.max(answerable));
        let template = &head.template;
        let shows = self.links.is_some() && !template.answers.is_empty();
        let title = shows.then(|| template.title.clone());
        self.signer(&head.signing_key, (&head.tenant, &template.rule), expires_at, title)
    }

    fn signer(
        &self,
        id: &str,
        (tenant, rule): (&str, &str),
        expires_at: Timestamp,
        title: Option<String>,
    ) -> Option<BatchSigner> {
        let state = self.keys.get(id)?;
        let mut part = expires_at.millis().to_be_bytes().to_vec();
        part.extend_from_slice(&u32::try_from(tenant.len()).unwrap_or(u32::MAX).to_be_bytes());
        part.extend_from_slice(tenant.as_bytes());
        part.extend_from_slice(rule.as_bytes());
        let version = if title.is_some() { WITH_TITLE } else { VERSION };
        let mut head = format!("{version}.{id}.").into_bytes();
        base64url::append(&mut head, &part);
        head.push(b'.');
        let state = state.clone().chain_update(&head);
        Some(BatchSigner { head, state, title })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("current", &self.current).finish_non_exhaustive()
    }
}

// === impl BatchSigner ===

impl BatchSigner {
    /// The token's beginning, up to and with the dot before the letter's part.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Appends the letter's part and the dot after it; a signer for its people.
    pub(super) fn of(&self, letter: &Letter<'_>, out: &mut Vec<u8>) -> LetterSigner {
        let subject = (letter.subject_partition, letter.subject);
        let about = self.title.as_ref().map(|title| {
            let mut title = fill(title, &letter.inserts);
            title.truncate(title.floor_char_boundary(MOST_TITLE_BYTES));
            About { title, until: letter.expires_at }
        });
        self.letter(subject, (letter.conversation, letter.occasion), about, out)
    }

    fn letter(
        &self,
        subject: (i32, &str),
        round: (u128, Occasion),
        about: Option<About>,
        out: &mut Vec<u8>,
    ) -> LetterSigner {
        let ((partition, key), (conversation, occasion)) = (subject, round);
        let (kind, number) = match occasion {
            Occasion::First => (0, 0),
            Occasion::Reminder(n) => (1, n),
            Occasion::Step(n) => (2, n),
            Occasion::Closed => (3, 0),
        };
        let mut bytes = SmallVec::<[u8; 256]>::from_slice(&partition.to_be_bytes());
        bytes.extend_from_slice(&conversation.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&number.to_be_bytes());
        if let Some(About { title, until }) = about {
            bytes.extend_from_slice(&until.map_or(0, Timestamp::millis).to_be_bytes());
            bytes.extend_from_slice(&u32::try_from(title.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(title.as_bytes());
        }
        bytes.extend_from_slice(key.as_bytes());
        let start = out.len();
        base64url::append(out, &bytes);
        out.push(b'.');
        LetterSigner { state: self.state.clone().chain_update(&out[start..]) }
    }
}

// === impl LetterSigner ===

impl LetterSigner {
    /// Appends the person and the signature.
    pub(super) fn append(&self, person: &str, out: &mut Vec<u8>) {
        let start = out.len();
        base64url::append(out, person.as_bytes());
        let mac = self.state.clone().chain_update(&out[start..]).finalize().into_bytes();
        out.push(b'.');
        base64url::append(out, &mac[..MAC_BYTES]);
    }
}

fn read_claims(version: &str, (head, letter, person): (&str, &str, &str)) -> Option<Claims> {
    let head = base64url::read(head)?;
    let (expires_at, rest) = head.split_first_chunk()?;
    let (tenant, rule) = measured(rest)?;
    let letter = base64url::read(letter)?;
    let (partition, rest) = letter.split_first_chunk()?;
    let (conversation, rest) = rest.split_first_chunk()?;
    let (&kind, rest) = rest.split_first()?;
    let (number, mut subject) = rest.split_first_chunk()?;
    let mut about = None;
    if version == WITH_TITLE {
        let (until, rest) = subject.split_first_chunk()?;
        let (title, rest) = measured(rest)?;
        let until = Some(i64::from_be_bytes(*until)).filter(|until| *until != 0);
        let title = String::from_utf8(title.to_vec()).ok()?;
        about = Some(About { title, until: until.map(Timestamp::from_millis) });
        subject = rest;
    }
    let occasion = match (kind, u16::from_be_bytes(*number)) {
        (0, 0) => Occasion::First,
        (1, n) => Occasion::Reminder(n),
        (2, n) => Occasion::Step(n),
        (3, 0) => Occasion::Closed,
        _ => return None,
    };
    Some(Claims {
        tenant: String::from_utf8(tenant.to_vec()).ok()?,
        subject_partition: i32::from_be_bytes(*partition),
        subject: String::from_utf8(subject.to_vec()).ok()?,
        rule: String::from_utf8(rule.to_vec()).ok()?,
        conversation: u128::from_be_bytes(*conversation),
        occasion,
        person: String::from_utf8(base64url::read(person)?).ok()?,
        expires_at: Timestamp::from_millis(i64::from_be_bytes(*expires_at)),
        about,
    })
}

/// What is written behind its length, and what comes then.
fn measured(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::push::example;

    fn ring(ids: &[&str]) -> KeyRing {
        let secret = |id: &str| SecretString::from(format!("{id}-a-secret-of-the-tests"));
        KeyRing::new(ids.iter().map(|id| ((*id).to_owned(), secret(id)))).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            tenant: "acme".into(),
            subject_partition: 11,
            subject: "acme|xecm|task_id=115295".into(),
            rule: "ec-7-decide".into(),
            conversation: u128::MAX - 5,
            occasion: Occasion::Reminder(2),
            person: "jdoe@Content Server Members".into(),
            expires_at: Timestamp::from_millis(1_000),
            about: None,
        }
    }

    const BEFORE: Timestamp = Timestamp::from_millis(999);

    #[test]
    fn a_signed_token_says_what_was_signed() {
        let ring = ring(&["k1"]);
        for occasion in [Occasion::First, Occasion::Reminder(7), Occasion::Step(65_535), Occasion::Closed] {
            let title = "Approve: Größe | 7".to_owned();
            let shown = [None, Some(Timestamp::from_millis(7))]
                .map(|until| Some(About { title: title.clone(), until }));
            for about in [None].into_iter().chain(shown) {
                let claims = Claims { occasion, about, ..claims() };
                let token = ring.sign("k1", &claims).unwrap();
                assert_eq!(ring.verify(&token, BEFORE), Ok(claims));
            }
        }
    }

    #[test]
    fn where_a_page_answers_the_token_says_what_the_push_said() {
        let head = example::head();
        let batch = example::batch(&head);
        let plain = ring(&["k1"]);
        let linked = ring(&["k1"]).with_links(Some("https://bugle.example"));
        let about = |ring: &KeyRing, letter: &Letter<'_>| {
            let token = ring.token(&head, letter, "ada").unwrap();
            plain.verify(&token, Timestamp::default()).unwrap().about
        };
        assert_eq!(about(&plain, &batch.letters[0]), None);
        let said = about(&linked, &batch.letters[0]).unwrap();
        assert_eq!((said.title.as_str(), said.until), ("Approval needed: Contract 4711", None));
        let long = "ä".repeat(200);
        let letter = Letter { inserts: vec![&long], expires_at: Some(BEFORE), ..batch.letters[0].clone() };
        let said = about(&linked, &letter).unwrap();
        assert!(said.title.len() <= MOST_TITLE_BYTES && said.title.ends_with('ä'), "{}", said.title);
        assert_eq!(said.until, Some(BEFORE));
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed_added_or_left_out() {
        let ring = ring(&["k1"]);
        let token = ring.sign("k1", &claims()).unwrap();
        for at in 0..token.len() {
            for change in [1_u8, 2, 4, 8, 16, 32, 64] {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= change;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(ring.verify(&changed, BEFORE).is_err(), "byte {at}: {changed}");
            }
            assert!(ring.verify(&token[..at], BEFORE).is_err(), "cut at {at}");
            let mut longer = token.clone();
            longer.insert(at, 'A');
            assert!(ring.verify(&longer, BEFORE).is_err(), "grown at {at}");
        }
    }

    #[test]
    fn parts_of_two_tokens_do_not_make_a_third() {
        let ring = ring(&["k1"]);
        let mine = ring.sign("k1", &claims()).unwrap();
        let theirs = ring.sign("k1", &Claims { person: "mallory".into(), ..claims() }).unwrap();
        let (mine, theirs): (Vec<_>, Vec<_>) = (mine.split('.').collect(), theirs.split('.').collect());
        let mixed = [&theirs[..5], &mine[5..]].concat().join(".");
        assert_eq!(ring.verify(&mixed, BEFORE), Err(Refusal::Forged));
    }

    #[test]
    fn a_token_lives_as_long_as_its_key_and_not_past_its_end() {
        let old = ring(&["k1"]);
        let token = old.sign("k1", &claims()).unwrap();
        let rotated = ring(&["k2", "k1"]);
        assert_eq!(rotated.current(), "k2");
        assert_eq!(rotated.verify(&token, BEFORE), Ok(claims()));
        assert_eq!(rotated.verify(&token, Timestamp::from_millis(1_000)), Err(Refusal::Expired));
        assert_eq!(ring(&["k2"]).verify(&token, BEFORE), Err(Refusal::UnknownKey));
        assert_eq!(ring(&["k2"]).sign("k1", &claims()), None);
    }

    #[test]
    fn what_is_no_token_is_refused_without_a_panic() {
        let ring = ring(&["k1"]);
        for text in
            ["", ".", "bt1", "bt1.k1....", "bt3.k1.a.b.c.d", "bt1.k1.a.b.c.d.e", "🎺.🎺", &"a.".repeat(4000)]
        {
            assert_eq!(ring.verify(text, BEFORE), Err(Refusal::Malformed), "{text}");
        }
    }

    #[test]
    fn a_ring_is_refused_when_a_key_is_weak_or_ambiguous() {
        let key = |id: &str, secret: &str| (id.to_owned(), SecretString::from(secret.to_owned()));
        let good = "0123456789abcdef";
        assert_eq!(KeyRing::new([]).unwrap_err(), BadKey::None);
        assert_eq!(KeyRing::new([key("a.b", good)]).unwrap_err(), BadKey::Id("a.b".into()));
        assert_eq!(KeyRing::new([key("a", "short")]).unwrap_err(), BadKey::Short("a".into()));
        assert_eq!(KeyRing::new([key("a", good), key("a", good)]).unwrap_err(), BadKey::Twice("a".into()));
        assert_eq!(format!("{:?}", ring(&["k1"])), "KeyRing { current: \"k1\", .. }");
    }
}

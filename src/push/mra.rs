//! MRA: a batch as the bytes of one request to OpenText cloud messaging.
//!
//! **Invariant:** equal batches make equal bytes, in every process and on every try; nothing here asks
//! for the time, a random number or an environment. The JSON is written by hand into one buffer, because
//! this runs once for every person told.
//!
//! What a batch's pushes share stands in `push_message`; what differs stands in the destinations'
//! inserts: the letter's own, then the notification id, then the letter's and the person's part of the
//! reply token. Data keys that Firebase keeps for itself (`from`, `gcm`, `google…`) get the prefix
//! `bugle_`: a push with a renamed value is worth more than none. `ttl_seconds` is cut to 28 days.

use std::cell::RefCell;
use std::ops::Range;

use base64_simd::STANDARD;
use bytes::Bytes;

use super::Unsendable;
use super::category::category;
use super::reply_token::{BatchSigner, KeyRing, LetterSigner};
use crate::event::digits;
use crate::event::{Batch, BatchHead, Letter};

/// The longest a push service keeps trying, in seconds: 28 days.
pub const MOST_TTL_SECONDS: u32 = 2_419_200;
/// The largest request body, in bytes.
pub const MOST_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A letter with everything written that its people share.
struct Prepared {
    notice: crate::event::NoticeId,
    /// From `","inserts":[` to the token's letter part: what stands between a person's address and name,
    /// in the buffer of all letters.
    shared: Range<usize>,
    signer: LetterSigner,
}

thread_local! {
    /// Room for the letters and for the document. A request has half a mebibyte of each, and fresh memory of
    /// that size costs more than what is written into it.
    static WORK: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// The body of the request that submits `batch`.
///
/// # Errors
/// When the ring lacks the batch's key, or a member names a letter that is not there.
pub fn encode(batch: &Batch<'_>, keys: &KeyRing) -> Result<Bytes, Unsendable> {
    let head = batch.head;
    let signer = keys.batch(head).ok_or_else(|| Unsendable::unknown_key(head))?;
    // The numbers after the template's own: a template may leave inserts of a letter unused, never reuse them.
    let own = batch.letters.iter().map(|letter| letter.inserts.len()).max().unwrap_or(0);
    WORK.with_borrow_mut(|(shared, inner)| {
        shared.clear();
        inner.clear();
        let letters: Vec<_> =
            batch.letters.iter().map(|letter| prepare(letter, own, &signer, shared)).collect();
        options(inner, head);
        message(inner, head, own, (&signer, keys.links()));
        destinations(inner, batch, (&letters, shared))?;
        Ok(envelope(&head.message_id, inner))
    })
}

fn prepare(letter: &Letter<'_>, own: usize, signer: &BatchSigner, shared: &mut Vec<u8>) -> Prepared {
    let start = shared.len();
    shared.extend_from_slice(br#","inserts":["#);
    for (number, value) in (1_usize..).zip(&letter.inserts) {
        insert(shared, number);
        string(shared, value);
        shared.extend_from_slice(b"},");
    }
    insert(shared, own + 1);
    shared.extend_from_slice(b"\"n-");
    digits::hex(shared, &letter.notice.0.to_be_bytes());
    shared.extend_from_slice(b"\"},");
    insert(shared, own + 2);
    shared.push(b'"');
    let signer = signer.of(letter, shared);
    Prepared { notice: letter.notice, shared: start..shared.len(), signer }
}

fn insert(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(br#"{"id":"#);
    digits::decimal(out, number);
    out.extend_from_slice(br#","value":"#);
}

fn options(out: &mut Vec<u8>, head: &BatchHead) {
    out.extend_from_slice(br#"{"options":{"message_id":"#);
    string(out, &head.message_id);
    out.extend_from_slice(br#","customer_reference":"#);
    string(out, &format!("{}/{}", head.tenant, head.template.rule));
    out.push(b'}');
}

fn message(out: &mut Vec<u8>, head: &BatchHead, own: usize, (signer, links): (&BatchSigner, Option<&str>)) {
    let template = &head.template;
    out.extend_from_slice(br#","push_message":{"title":"#);
    string(out, &template.title);
    out.extend_from_slice(br#","summary":"#);
    string(out, &template.summary);
    out.extend_from_slice(br#","target":"#);
    string(out, &template.target);
    if let Some(key) = &template.collapse_key {
        out.extend_from_slice(br#","collapse_key":"#);
        string(out, key);
    }
    out.extend_from_slice(br#","ttl_seconds":"#);
    digits::decimal(out, template.ttl_seconds.min(MOST_TTL_SECONDS));
    out.extend_from_slice(br#","priority":"#);
    string(out, template.priority.as_str());
    out.extend_from_slice(br#","category":"#);
    string(out, category(&template.answers));
    out.extend_from_slice(br#","data":{"#);
    data(out, head, own, (signer, links));
    out.extend_from_slice(b"}}");
}

fn data(out: &mut Vec<u8>, head: &BatchHead, own: usize, (signer, links): (&BatchSigner, Option<&str>)) {
    let mut entries = vec![("notification_id".to_owned(), format!("{{{{{}}}}}", own + 1))];
    // What the transport owes the contract wins over an equal key of the message.
    let ours = ["notification_id", "reply_token", "answer_url"];
    for (key, value) in &head.template.data {
        let key = if reserved(key) { format!("bugle_{key}") } else { key.clone() };
        if !ours.contains(&key.as_str()) && entries.iter().all(|(taken, _)| *taken != key) {
            entries.push((key, value.clone()));
        }
    }
    let mut default = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|_| entries.iter().all(|(taken, _)| taken != key)) {
            entries.push((key.to_owned(), value));
        }
    };
    default("created", Some(head.cut_at.millis().to_string()));
    let actions: Vec<_> = head.template.answers.iter().map(|verb| verb.as_str()).collect();
    default("actions", (!actions.is_empty()).then(|| actions.join(",")));
    default("expires_at", head.expires_at.map(|expires_at| expires_at.to_string()));
    let start = String::from_utf8_lossy(signer.head());
    let token = format!("{start}{{{{{}}}}}", own + 2);
    if let (Some(before), false) = (links, head.template.answers.is_empty()) {
        entries.push(("answer_url".to_owned(), format!("{before}{token}")));
    }
    entries.push(("reply_token".to_owned(), token));
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, key);
        out.push(b':');
        string(out, value);
    }
}

/// The data keys that Firebase refuses.
#[must_use]
pub fn reserved(key: &str) -> bool {
    key == "from" || key == "gcm" || key.starts_with("google")
}

fn destinations(
    out: &mut Vec<u8>,
    batch: &Batch<'_>,
    prepared: (&[Prepared], &[u8]),
) -> Result<(), Unsendable> {
    let (letters, shared) = prepared;
    out.extend_from_slice(br#","destinations":["#);
    for (at, member) in batch.members.iter().enumerate() {
        let letter = usize::try_from(member.letter).ok().and_then(|letter| letters.get(letter));
        let letter = letter.ok_or_else(|| Unsendable::no_letter(batch, member))?;
        out.extend_from_slice(if at == 0 { br#"{"ref":"d-"# } else { br#",{"ref":"d-"# });
        digits::hex(out, &letter.notice.delivery(member.user_id).to_be_bytes());
        out.extend_from_slice(br#"","push":"user:"#);
        inside(out, member.user_id);
        out.push(b'"');
        out.extend_from_slice(&shared[letter.shared.clone()]);
        letter.signer.append(member.user_id, out);
        out.extend_from_slice(br#""}]}"#);
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn envelope(message_id: &str, inner: &[u8]) -> Bytes {
    let mut body = br#"{"domain":"MR","filename":"#.to_vec();
    string(&mut body, &format!("{message_id}.json"));
    body.extend_from_slice(br#","data":""#);
    body.reserve_exact(STANDARD.encoded_length(inner.len()) + 2);
    STANDARD.encode_append(inner, &mut body);
    body.extend_from_slice(br#""}"#);
    body.into()
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inside(out, text);
    out.push(b'"');
}

/// What stands between the quotes.
fn inside(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        return out.extend_from_slice(text.as_bytes());
    }
    let start = out.len();
    serde_json::to_writer(&mut *out, text).expect("a buffer in memory takes every text");
    out.pop();
    out.remove(start);
}

#[cfg(test)]
pub(super) mod tests {
    use base64_simd::STANDARD;
    use proptest::prelude::*;
    use secrecy::SecretString;
    use serde_json::Value;

    use super::*;
    pub(in crate::push) use crate::event::push::example::{batch, head};
    use crate::push::reply_token::ANSWERABLE;

    pub(in crate::push) fn ring() -> KeyRing {
        KeyRing::new([("k1".to_owned(), SecretString::from("a secret of the tests"))]).unwrap()
    }

    fn read(body: &[u8]) -> Value {
        let envelope: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(envelope["domain"], "MR");
        serde_json::from_slice(&STANDARD.decode_to_vec(envelope["data"].as_str().unwrap()).unwrap()).unwrap()
    }

    /// A value with its inserts filled, as the device gets it.
    fn fill(text: &Value, destination: &Value) -> String {
        let mut text = text.as_str().unwrap().to_owned();
        for insert in destination["inserts"].as_array().unwrap() {
            text = text.replace(&format!("{{{{{}}}}}", insert["id"]), insert["value"].as_str().unwrap());
        }
        text
    }

    #[test]
    fn a_request_reads_back_as_the_contract_says() {
        let head = head();
        let body = encode(&batch(&head), &ring()).unwrap();
        assert!(body.starts_with(br#"{"domain":"MR","filename":"b-5f0c.json","data":"ey"#));
        let envelope: Value = serde_json::from_slice(&body).unwrap();
        let inner = STANDARD.decode_to_vec(envelope["data"].as_str().unwrap()).unwrap();
        let mut text = String::from_utf8(inner).unwrap();
        for start in [
            r#","push_message""#,
            r#","ttl_seconds""#,
            r#","data""#,
            r#","reply_token""#,
            r#","destinations""#,
        ] {
            text = text.replace(start, &format!("\n {start}"));
        }
        let text = text.replace(r#"{"ref""#, "\n  {\"ref\"");
        let signed = r"(bt1\.k1\.)[^{]*|(AAAAA)[\w.-]+";
        insta::with_settings!({filters => vec![(signed, "${1}${2}…")]}, {
            insta::assert_snapshot!(text, @r##"
            {"options":{"message_id":"b-5f0c","customer_reference":"acme/ec-1-review"}
             ,"push_message":{"title":"Approval needed: {{1}}","summary":"{{2}} is waiting for you","target":"otnotify","collapse_key":"xecm:task:{{3}}"
             ,"ttl_seconds":86400,"priority":"high","category":"approve_reject_info"
             ,"data":{"notification_id":"{{4}}","source":"xecm","link":"https://cs.example/{{3}}","created":"1767600000000","actions":"approve,reject,request_info","expires_at":"2026-01-05T17:00:00.000Z"
             ,"reply_token":"bt1.k1.…{{5}}"}}
             ,"destinations":[
              {"ref":"d-b39707693d61c09c3e22bcc40e52750b","push":"user:amy@Content Server Members","inserts":[{"id":1,"value":"Contract 4711"},{"id":2,"value":"Draft v3"},{"id":3,"value":"115295"},{"id":4,"value":"n-00000000000000000000000000000001"},{"id":5,"value":"AAAAA…"}]},
              {"ref":"d-8d6a5f6da7a909c5886fae13c017e59d","push":"user:bob \"the\" boss","inserts":[{"id":1,"value":"\"B\"\n"},{"id":2,"value":"🎺"},{"id":3,"value":"7"},{"id":4,"value":"n-00000000000000000000000000000002"},{"id":5,"value":"AAAAA…"}]},
              {"ref":"d-cfb710686b8463c4e2736e7907d3a9f3","push":"user:çelik","inserts":[{"id":1,"value":"Contract 4711"},{"id":2,"value":"Draft v3"},{"id":3,"value":"115295"},{"id":4,"value":"n-00000000000000000000000000000001"},{"id":5,"value":"AAAAA…"}]}]}
            "##);
        });
    }

    #[test]
    fn every_person_gets_the_own_text_and_a_token_in_the_own_name() {
        let head = head();
        let batch = batch(&head);
        let inner = read(&encode(&batch, &ring()).unwrap());
        let data = &inner["push_message"]["data"];
        let destinations = inner["destinations"].as_array().unwrap();
        assert_eq!(destinations.len(), 3);
        for (member, destination) in batch.members.iter().zip(destinations) {
            let letter = &batch.letters[usize::try_from(member.letter).unwrap()];
            assert_eq!(destination["ref"], letter.notice.reference(member.user_id));
            assert_eq!(destination["push"], format!("user:{}", member.user_id));
            assert_eq!(
                fill(&inner["push_message"]["title"], destination),
                format!("Approval needed: {}", letter.inserts[0])
            );
            assert_eq!(fill(&data["notification_id"], destination), letter.notice.to_string());
            let claims = ring().verify(&fill(&data["reply_token"], destination), head.cut_at).unwrap();
            assert_eq!(
                (claims.person, claims.subject),
                (member.user_id.to_owned(), letter.subject.to_owned())
            );
            assert_eq!((claims.conversation, claims.occasion), (letter.conversation, letter.occasion));
            assert_eq!((claims.tenant, claims.rule), (head.tenant.clone(), head.template.rule.clone()));
            assert_eq!(claims.expires_at, head.cut_at + ANSWERABLE);
        }
    }

    #[test]
    fn equal_batches_make_equal_bytes() {
        let head = head();
        assert_eq!(encode(&batch(&head), &ring()).unwrap(), encode(&batch(&head), &ring()).unwrap());
    }

    #[test]
    fn a_data_key_that_firebase_keeps_for_itself_is_renamed() {
        let mut head = head();
        head.template.data = ["from", "gcm", "google.ttl", "reply_token", "created"]
            .map(|key| (key.to_owned(), format!("their {key}")))
            .to_vec();
        let inner = read(&encode(&batch(&head), &ring()).unwrap());
        let data = inner["push_message"]["data"].as_object().unwrap();
        assert_eq!(data["bugle_from"], "their from");
        assert_eq!(data["bugle_gcm"], "their gcm");
        assert_eq!(data["bugle_google.ttl"], "their google.ttl");
        assert_eq!(data["created"], "their created");
        assert!(data["reply_token"].as_str().unwrap().starts_with("bt1.k1."));
        assert!(data.keys().all(|key| !reserved(key)));
    }

    #[test]
    fn a_batch_without_its_key_or_letter_is_not_sent() {
        let mut other = head();
        other.signing_key = "k0".into();
        let error = encode(&batch(&other), &ring()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "batch `b-5f0c` is to be signed with key `k0`, which is not in the key ring"
        );
        let head = head();
        let mut other = batch(&head);
        other.members[0].letter = 2;
        assert!(matches!(
            encode(&other, &ring()),
            Err(Unsendable::NoSuchLetter { letters: 2, wanted: 2, .. })
        ));
    }

    proptest! {
        #[test]
        fn any_text_comes_through_whole(title in ".{0,40}", name in ".{0,40}", value in ".{0,40}") {
            let mut head = head();
            head.template.title.clone_from(&title);
            let mut batch = batch(&head);
            batch.members[1].user_id = &name;
            batch.letters[1].inserts[0] = &value;
            let inner = read(&encode(&batch, &ring()).unwrap());
            prop_assert_eq!(inner["push_message"]["title"].as_str(), Some(title.as_str()));
            let destination = &inner["destinations"][1];
            prop_assert_eq!(destination["push"].as_str().unwrap(), format!("user:{name}"));
            prop_assert_eq!(destination["inserts"][0]["value"].as_str(), Some(value.as_str()));
        }
    }
}

//! Message id: the name of a batch, made from nothing but what is in it.
//!
//! The push service sends a repeated id to nobody, so a batch read again after a crash must get the id
//! it had. **Invariant:** the id depends on tenant, template and the references of the members, never on
//! an offset, an attempt or a clock; and a child of a split never shares an id with its parent.

use sha2::{Digest, Sha256};

use super::digits;
use crate::event::Template;

/// The id of a batch: `b-` and 40 hex digits of SHA-256 over tenant, template and sorted references.
/// A reference is one person's push of one notice: [`crate::event::NoticeId::delivery`].
#[must_use]
pub fn of_batch(tenant: &str, template: &Template, references: Vec<u128>) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, "batch");
    text(&mut hash, tenant);
    hash.update(template_hash(template));
    put(&mut hash, references);
    spell(hash)
}

/// The id of a part of a refused batch, from the refused one's id and the part's references.
#[must_use]
pub fn of_part(parent: &str, references: Vec<u128>) -> String {
    let mut hash = Sha256::new();
    text(&mut hash, "part");
    text(&mut hash, parent);
    put(&mut hash, references);
    spell(hash)
}

/// The hash of everything the pushes of a batch share.
#[must_use]
pub fn template_hash(template: &Template) -> [u8; 32] {
    // Taken apart whole: a new field does not compile until it is part of the id.
    let Template { rule, locale, title, summary, target, collapse_key, ttl_seconds, priority, answers, data } =
        template;
    let mut hash = Sha256::new();
    for part in [rule, locale, title, summary, target] {
        text(&mut hash, part);
    }
    hash.update([u8::from(collapse_key.is_some())]);
    text(&mut hash, collapse_key.as_deref().unwrap_or_default());
    hash.update(ttl_seconds.to_le_bytes());
    text(&mut hash, priority.as_str());
    count(&mut hash, answers.len());
    for verb in answers {
        text(&mut hash, verb.as_str());
    }
    count(&mut hash, data.len());
    for (key, value) in data {
        text(&mut hash, key);
        text(&mut hash, value);
    }
    hash.finalize().into()
}

/// The length goes in first, so that words cut elsewhere are another id.
fn text(hash: &mut Sha256, part: &str) {
    count(hash, part.len());
    hash.update(part.as_bytes());
}

fn count(hash: &mut Sha256, count: usize) {
    hash.update((count as u64).to_le_bytes());
}

fn put(hash: &mut Sha256, mut references: Vec<u128>) {
    references.sort_unstable();
    count(hash, references.len());
    for reference in references {
        hash.update(reference.to_be_bytes());
    }
}

fn spell(hash: Sha256) -> String {
    let mut id = b"b-".to_vec();
    digits::hex(&mut id, &hash.finalize()[..20]);
    String::from_utf8(id).expect("hex digits are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::push::example::{batch, head};

    fn references() -> Vec<u128> {
        let head = head();
        let batch = batch(&head);
        let member = |member: &crate::event::Member<'_>| {
            batch.letters[usize::try_from(member.letter).unwrap()].notice.delivery(member.user_id)
        };
        batch.members.iter().map(member).collect()
    }

    #[test]
    fn the_order_of_members_is_not_part_of_the_id_and_the_members_are() {
        let head = head();
        let id = of_batch(&head.tenant, &head.template, references());
        let mut members = references();
        members.reverse();
        assert_eq!(of_batch(&head.tenant, &head.template, members.clone()), id);
        assert_eq!(id.len(), 42);
        members.pop();
        assert_ne!(of_batch(&head.tenant, &head.template, members), id);
    }

    #[test]
    fn another_tenant_or_text_is_another_id() {
        let head = head();
        let id = of_batch(&head.tenant, &head.template, references());
        assert_ne!(of_batch("umbrella", &head.template, references()), id);
        let mut template = head.template;
        template.collapse_key = None;
        assert_ne!(of_batch(&head.tenant, &template, references()), id);
    }

    #[test]
    fn a_part_has_its_own_id_and_has_it_again_after_a_crash() {
        let all = references();
        let part = |references: &[u128]| of_part("b-5f0c", references.to_vec());
        let (left, right) = all.split_at(1);
        assert_eq!(part(left), part(left));
        assert_ne!(part(left), part(right));
        assert_ne!(part(&all), "b-5f0c");
    }

    #[test]
    fn a_stored_id_never_changes() {
        let head = head();
        insta::assert_snapshot!(of_batch(&head.tenant, &head.template, references()), @"b-ff66135ac4aa514ce5c670dd40f008336bb8163f");
        insta::assert_snapshot!(of_part("b-1", references()), @"b-8af9e399d89a7b7e4567ed11687041017b0bc3bd");
    }
}

//! Mixed: batches that hold what belongs to two tenants, cut as if there were none.

use bugle::broker::Effect;
use bugle::event::push::MOST_BATCH_BYTES;
use bugle::event::{Batch, Letter, Member, Parcel, Topic};
use bugle::flow::Outbox;
use bugle::flow::frames::{FrameItems, FrameSet};
use bytes::Bytes;

/// Two batches as one, under the first one's head.
fn merged(first: &Parcel, second: &Parcel) -> Parcel {
    let (one, other) = (first.open(), second.open());
    let shift = u32::try_from(one.letters.len()).unwrap();
    let moved = other.members.iter().map(|member| Member { letter: member.letter + shift, ..*member });
    let members = one.members.iter().copied().chain(moved).collect();
    let letters: Vec<Letter<'_>> = one.letters.iter().chain(&other.letters).cloned().collect();
    Batch { head: one.head, letters, members }.pack()
}

/// All batches of a commit for one partition become one.
pub(crate) fn mix(effects: &mut [Effect]) {
    for effect in effects.iter_mut().filter(|effect| effect.record.topic == Topic::Pushes) {
        let frame = effect.record.value.clone().unwrap();
        let (head, items) = FrameItems::read(&frame).unwrap();
        let batches = items.map(|item| Parcel::read(Bytes::copy_from_slice(item.unwrap())).unwrap());
        let one = batches.reduce(|one, other| merged(&one, &other)).unwrap();
        let (mut set, mut out) = (FrameSet::new(Topic::Pushes, 1, MOST_BATCH_BYTES), Outbox::default());
        set.set_head(&head, &mut out);
        set.push(0, &mut out, &[one.bytes()]);
        set.cut(&mut out);
        effect.record.value = out.records.remove(0).value;
    }
}

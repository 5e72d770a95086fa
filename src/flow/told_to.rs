//! Told to: audiences of those who heard, put together and taken apart.
//!
//! Nobody is looked up here: what comes out is asked of the directory when it is told.

use crate::event::BoundAudience;
use crate::event::audience::{Bound, Table};

/// One person.
pub(super) fn only(person: &str) -> BoundAudience {
    let tell = Bound::In(Table::Person, vec![person.to_owned()]);
    BoundAudience { tell, fallback: None, never: None }
}

/// The expression alone, or its fallback alone: who was told of the two is told of the end, and nobody else.
pub(super) fn half(audience: BoundAudience, by_fallback: bool) -> BoundAudience {
    let BoundAudience { tell, fallback, never } = audience;
    match fallback {
        Some(fallback) if by_fallback => BoundAudience { tell: fallback, fallback: None, never },
        _ => BoundAudience { tell, fallback: None, never },
    }
}

/// Everybody of several audiences.
pub(super) fn all_of(told: &[BoundAudience]) -> BoundAudience {
    if let [only] = told {
        return only.clone();
    }
    let any = |part: fn(&BoundAudience) -> Option<Bound>| {
        let parts: Vec<Bound> = told.iter().filter_map(part).collect();
        (!parts.is_empty()).then_some(Bound::Any(parts))
    };
    BoundAudience {
        tell: Bound::Any(told.iter().map(|told| told.tell.clone()).collect()),
        fallback: any(|told| told.fallback.clone()),
        never: any(|told| told.never.clone()),
    }
}

/// Takes a person out of an audience, after everything else.
pub(super) fn leave_out(audience: &mut BoundAudience, person: &str) {
    let person = only(person).tell;
    audience.never = Some(match audience.never.take() {
        Some(never) => Bound::Any(vec![never, person]),
        None => person,
    });
}

/// Everybody of an audience but those of another.
pub(super) fn without(mut audience: BoundAudience, other: &BoundAudience) -> BoundAudience {
    let named = [Some(&other.tell), other.fallback.as_ref()].into_iter().flatten();
    // Whom a term without a value names nobody knows: it keeps nobody out here.
    let named = named.filter(|bound| !matches!(bound, Bound::Empty(_))).cloned();
    audience.never = Some(Bound::Any(audience.never.take().into_iter().chain(named).collect()));
    audience
}

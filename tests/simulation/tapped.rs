//! Tapped: what an answer changes about what is owed.

use bugle::event::Occasion;
use bugle::event::notice::Verb;

use super::owed::{Owed, Telling, What};
use super::town::Town;

/// What comes later need not come any more, and that it was decided may be told.
pub(crate) fn answered(owed: &mut Owed, town: &Town, (telling, verb): &(Telling, Verb)) {
    let Telling { tenant, rule, conversation, .. } = telling;
    let later = |what: &What| what.0 == *rule && what.1 == *conversation && what.2 != Occasion::First;
    for ((whose, user, _), tellings) in &owed.exactly {
        let freed = tellings.iter().filter(|what| later(what));
        owed.perhaps.extend(freed.map(|what| (whose.clone(), user.clone(), what.clone())));
    }
    owed.exactly.retain(|_, tellings| {
        tellings.retain(|what| !later(what));
        !tellings.is_empty()
    });
    let ends = matches!(verb, Verb::Approve | Verb::Reject);
    if ends && town.topology.rule(rule).is_some_and(|rule| rule.closing().is_some()) {
        owed.decided.insert((rule.clone(), *conversation, tenant.clone()));
    }
}

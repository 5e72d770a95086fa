//! Tapped: what an answer changes about what is owed.

use bugle::event::Occasion;
use bugle::event::notice::Verb;

use super::owed::{Owed, Telling, What};
use super::town::Town;

/// What comes later need not come any more, and that it was decided may be told.
pub(crate) fn answered(owed: &mut Owed, town: &Town, (telling, verb): &(Telling, Verb)) {
    let Telling { tenant, rule, conversation, .. } = telling;
    let ends = matches!(verb, Verb::Approve | Verb::Reject);
    // A decision is one of all rules that ask for it.
    let asking = town.topology.rule(rule).into_iter().filter(|_| ends);
    let others = asking.flat_map(|rule| town.topology.deciding_with(rule)).map(|rule| rule.id.as_str());
    let rules: Vec<&str> = std::iter::once(rule.as_str()).chain(others).collect();
    let is_over = |of: &str| rules.contains(&of);
    let later = |what: &What| is_over(&what.0) && what.1 == *conversation && what.2 != Occasion::First;
    for ((whose, user, _), tellings) in &owed.exactly {
        let freed = tellings.iter().filter(|what| later(what));
        owed.perhaps.extend(freed.map(|what| (whose.clone(), user.clone(), what.clone())));
    }
    owed.exactly.retain(|_, tellings| {
        tellings.retain(|what| !later(what));
        !tellings.is_empty()
    });
    let closing = |rule: &&str| town.topology.rule(rule).is_some_and(|rule| rule.closing().is_some());
    let told = rules.into_iter().filter(|_| ends).filter(closing);
    owed.decided.extend(told.map(|rule| (rule.to_owned(), *conversation, tenant.clone())));
}

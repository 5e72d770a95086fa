//! Roles: how a stand-in plays a push service, or a source system, as it is in a scenario, and that it played no other.

use crate::event::Ending;
use crate::event::write_back::Carried;
use crate::scenario::{Act, Moment, Office, Scenario, Service};
use crate::stand_in::{Faults, Trouble, Troubles};

/// A push service.
pub(super) fn faults(service: &Service) -> Result<Faults, &'static str> {
    Ok(match service {
        Service::Takes => Faults::default(),
        Service::Unavailable => Faults { unavailable: 1.0, ..Faults::default() },
        Service::Refuses(code, Some(person)) => {
            let poison = vec![format!("user:{person}")];
            Faults { poison, poison_code: Some(code.clone()), ..Faults::default() }
        }
        Service::Refuses(_, None) | Service::Blocks | Service::Unclear => {
            return Err("the stand-in cannot be such a push service");
        }
    })
}

/// The source systems.
pub(super) fn troubles(office: Office) -> Result<Troubles, &'static str> {
    let every = match office {
        Office::Takes => None,
        Office::Refuses("conflict") => Some(Trouble::Conflict),
        Office::Refuses("gone") => Some(Trouble::Gone),
        Office::Refuses("not_assignee") => Some(Trouble::NotTheirs),
        Office::Refuses("needs_signature") => Some(Trouble::Unsigned),
        Office::Refuses("already_decided") => Some(Trouble::SomebodyElse),
        Office::Refuses(_) => return Err("the stand-in cannot be such a source system"),
    };
    Ok(Troubles { every, ..Troubles::default() })
}

/// Source systems take what is answered, where the scenario does not say otherwise.
pub(super) fn refused_unasked(scenario: &Scenario, moment: &mut Moment) {
    let mut acts = scenario.steps.iter().flat_map(|step| &step.acts);
    if acts.any(|(_, act)| matches!(act, Act::Office(Office::Refuses(_)))) {
        return;
    }
    for verdict in &moment.verdicts {
        if let Ending::Carried(Carried::Refused(why) | Carried::Dead(why)) = &verdict.ending {
            let people = verdict.people.join(", ");
            moment.stuck.push(format!("the source system did not take the answer of {people}: {why}"));
        }
    }
}

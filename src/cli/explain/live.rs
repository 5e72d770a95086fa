//! Live: what was decided about an event, by its id, from the audit topic and the receipts, and what of it still
//! waits for people.

use std::io::Write;

use serde_json::json;

use super::super::audit::each;
use super::super::directory::show::print_json;
use super::super::directory::unprintable;
use super::super::{Done, Failure};
use super::{Output, tree};
use crate::app::books::Bookkeeper;
use crate::broker::Broker;
use crate::codec::outputs;
use crate::event::Topic;
use crate::explain::{Memory, Recalled};

/// What is asked.
pub(super) struct Asking<'a> {
    pub(super) event_id: &'a str,
    pub(super) tenant: Option<&'a str>,
    pub(super) person: Option<&'a str>,
    pub(super) output: Output,
}

/// Recalls the event and prints it.
pub(super) fn run(asking: &Asking<'_>, broker: &dyn Broker, out: &mut dyn Write) -> Done {
    let (mut memory, mut keeper) = (Memory::default(), Bookkeeper::default());
    each(broker, Topic::Audit, |record| {
        // What is none of Bugle's is `bugle audit verify`'s business.
        let Ok((link, verdicts)) = outputs::decode_verdicts(record.value.as_deref().unwrap_or_default())
        else {
            return Ok(());
        };
        for verdict in verdicts {
            keeper.verdict(&verdict);
            let of_tenant = asking.tenant.is_none_or(|tenant| tenant == verdict.tenant);
            if verdict.event_id == asking.event_id && of_tenant {
                memory.verdict(link.topology, verdict);
            }
        }
        Ok(())
    })?;
    if memory.is_empty() {
        let fact = format!("`{}` is no file, no kind, and nothing was decided about it", asking.event_id);
        return Err(Failure::failed(fact).hint("give an event file, or the id of an event that was read"));
    }
    each(broker, Topic::Receipts, |record| {
        if let Ok(receipt) = outputs::decode_receipt(record.value.as_deref().unwrap_or_default()) {
            keeper.receipt(&receipt);
            memory.receipt(&receipt);
        }
        Ok(())
    })?;
    each(broker, Topic::Waiting, |record| {
        let (key, entry) = (record.key.as_ref(), record.value.as_deref());
        keeper.record(Topic::Waiting, (key, entry));
        memory.waits(key.map_or(&[], |key| &key[..]), entry);
        Ok(())
    })?;
    let open = keeper.books().tellings.open;
    let events: Vec<Recalled> = memory.events();
    match asking.output {
        Output::Text => out.write_all(tree::recalled(&events, (open, asking.person)).as_bytes()),
        Output::Json => print_json(&json!({ "events": events, "on_their_way": open }), out),
    }
    .map_err(unprintable)?;
    Ok(0)
}

//! The rules that ship with Bugle, asked as a running Bugle asks them.

use std::path::Path;

use super::*;
use crate::codec::Schemas;
use crate::event::Source;

pub(crate) fn kinds() -> Kinds {
    let schemas = Schemas::built_in();
    Kinds::new(Source::ALL.into_iter().flat_map(|source| schemas.shapes(source).to_vec()))
}

fn shipped() -> Topology {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topology");
    Topology::load(&folder, &kinds()).unwrap_or_else(|faults| {
        let shown: Vec<String> = faults.iter().map(|fault| fault.render(Paint::Plain)).collect();
        panic!("{}\n{} faults", shown.join("\n"), shown.len())
    })
}

#[test]
fn the_thirty_use_cases_have_rules_that_pass() {
    let topology = shipped();
    let mut cases: Vec<&str> =
        topology.rules.iter().filter_map(|rule| rule.plan.use_case.as_deref()).collect();
    cases.sort_unstable();
    cases.dedup();
    assert_eq!(cases.len(), 30);
}

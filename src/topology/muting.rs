//! Muting: which rules another one mutes while it has something open, and by which values.

use std::sync::Arc;

use hashbrown::HashMap;

use super::fault::{Faults, nearest};
use super::key::{put, value_text};
use super::kinds::Kinds;
use super::rule::{KindRule, Named, Rule};
use crate::event::Change;

/// Tells each rule which others mute it. `rules` are those without a fault of their own.
pub(super) fn link(
    rules: &[Arc<Rule>],
    by_kind: &mut HashMap<String, Vec<KindRule>>,
    (kinds, faults): (&Kinds, &mut Faults),
) {
    for rule in rules {
        let (Some(mutes), Some(sheet)) = (&rule.plan.mutes, &rule.plan.sheet) else { continue };
        for muted in &mutes.rules {
            let Some(other) = rules.iter().find(|other| other.id == muted.value) else { continue };
            for kind in &other.kinds {
                let Some(shape) = kinds.shape(kind) else { continue };
                let mut fields = Vec::with_capacity(mutes.equal.len());
                for field in &mutes.equal {
                    let Some(slot) = shape.slot(&field.value) else {
                        let known = shape.fields.iter().map(|field| field.path.as_str());
                        let hint = match nearest(&field.value, known) {
                            Some(near) => {
                                format!("write `{near}`, or mute a rule whose changes have the field")
                            }
                            None => "mute only rules whose changes have the field".to_owned(),
                        };
                        let fact =
                            format!("`{kind}`, which `{}` hears, has no field `{}`", other.id, field.value);
                        faults.add(sheet, field.at, "unknown-field", (fact, hint));
                        continue;
                    };
                    fields.push((field.value.clone(), slot));
                }
                let forms = by_kind.get_mut(kind).into_iter().flatten();
                for form in forms.filter(|form| form.rule.id == other.id) {
                    form.muted_by.push((rule.id.clone(), fields.clone()));
                }
            }
        }
    }
}

// === impl KindRule ===

impl KindRule {
    /// What the rules it mutes have in common with it; `None` where it mutes none, or a field is absent.
    #[must_use]
    pub fn mutes(&self, change: &Change<'_>) -> Option<String> {
        self.rule.plan.mutes.as_ref().and_then(|_| common(change, &self.mutes))
    }

    /// The rules that may mute it, each with what it has in common with that rule.
    pub fn muted_by(&self, change: &Change<'_>) -> impl Iterator<Item = (&str, String)> {
        self.muted_by.iter().filter_map(|(rule, fields)| Some((rule.as_str(), common(change, fields)?)))
    }
}

/// Fields and their values as one text; `None` where one is absent.
fn common(change: &Change<'_>, fields: &[Named]) -> Option<String> {
    let mut text = String::new();
    for (name, slot) in fields {
        text.push('|');
        put(&mut text, name, &value_text(change, *slot)?);
    }
    Some(text)
}

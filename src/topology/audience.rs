//! Audience: whom a rule's texts mean, read by the directory's parser and checked against its kinds.

use std::sync::Arc;

use crate::directory::expression;
use crate::event::audience::Piece;
use crate::event::{Audience, FieldType, Relation, Shape, Term};

use super::compile::Compiler;
use super::fault::Spot;
use super::kinds::type_name;
use super::plan::RulePlan;

/// Whom the first telling is for.
pub(super) struct Heard {
    pub(super) audience: Audience,
    pub(super) fallback: Option<Audience>,
    pub(super) never: Option<Audience>,
}

// === impl Heard ===

impl Heard {
    /// Reads the audiences of the first telling; nobody where one cannot be read, which is a fault.
    pub(super) fn read(cx: &mut Compiler<'_>, plan: &RulePlan, shapes: &[Arc<Shape>]) -> Self {
        let fallback = plan.fallback.as_ref().map(|text| read(cx, text, shapes));
        let never = plan.never.as_ref().map(|text| read(cx, text, shapes));
        let audience = plan.audience.as_ref().and_then(|text| read(cx, text, shapes));
        let audience = audience.unwrap_or(Audience::Any(Vec::new()));
        Self { audience, fallback: fallback.flatten(), never: never.flatten() }
    }
}

/// Reads one audience, and checks it against every kind it will be bound to.
pub(super) fn read(cx: &mut Compiler<'_>, text: &Spot<String>, shapes: &[Arc<Shape>]) -> Option<Audience> {
    match expression::parse(&text.value) {
        Ok(audience) => {
            for shape in shapes {
                check(cx, (text, &audience), shape);
            }
            Some(audience)
        }
        Err(fault) => {
            let at = cx.sheet.inside(text, fault.offset, fault.length.max(1));
            let hint = fault
                .hint
                .unwrap_or_else(|| "write an audience such as `role:approver && unit:\"EMEA\"`".into());
            cx.fault(at, "bad-audience", (fault.message, hint));
            None
        }
    }
}

fn check(cx: &mut Compiler<'_>, (text, audience): (&Spot<String>, &Audience), shape: &Shape) {
    match audience {
        Audience::In(_, term) => placeholders(cx, (text, term), shape),
        Audience::Member(_, id, role) => {
            placeholders(cx, (text, id), shape);
            if let Some(role) = role {
                placeholders(cx, (text, role), shape);
            }
        }
        Audience::Addressed => {}
        Audience::Related(relation) => related(cx, (text, *relation), shape),
        Audience::SupervisorOf(inner) | Audience::BackupOf(inner) | Audience::Not(inner) => {
            check(cx, (text, inner), shape);
        }
        Audience::All(parts) | Audience::Any(parts) => {
            parts.iter().for_each(|part| check(cx, (text, part), shape));
        }
    }
}

fn placeholders(cx: &mut Compiler<'_>, (text, term): (&Spot<String>, &Term), shape: &Shape) {
    for piece in &term.0 {
        let Piece::Field(path) = piece else { continue };
        let at = cx.relation_place(text, path);
        match shape.field(path).map(|field| &field.ty) {
            None => cx.unknown_field(at, path, shape),
            Some(
                FieldType::Text
                | FieldType::Texts
                | FieldType::Symbol(_)
                | FieldType::Records(_)
                | FieldType::Int,
            ) => {}
            Some(other) => {
                let fact = format!("`{path}` is {} and names nobody", type_name(other));
                cx.fault(at, "wrong-type", (fact, "use a field that holds names"));
            }
        }
    }
}

/// Relations the directory cannot know must be in the event. Followers may come from the members.
fn related(cx: &mut Compiler<'_>, (text, relation): (&Spot<String>, Relation), shape: &Shape) {
    let word = match relation {
        Relation::Assignees => "assignees",
        Relation::Owner => "owner",
        Relation::Requester => "requester",
        Relation::Followers | Relation::Supervisor | Relation::Backup => return,
    };
    if shape.related(relation).next().is_none() {
        let kind = shape.kinds.first().map_or("this kind", String::as_str);
        let at = cx.relation_place(text, word);
        let known: Vec<&str> = shape
            .fields
            .iter()
            .filter(|field| field.relation.is_some())
            .map(|field| field.path.as_str())
            .collect();
        let hint = match known.is_empty() {
            true => "name a role: `role:…`".to_owned(),
            false => format!("name a role, or one of its people: {}", super::fault::listed(&known)),
        };
        cx.fault(at, "no-relation", (format!("`{kind}` has no {word}"), hint));
    }
}

//! Places: where a part of an expression stands in its text.

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

/// An expression's text, and what CEL counted in it.
#[derive(Clone, Copy)]
pub(in crate::topology) struct Places<'a> {
    pub(in crate::topology) info: &'a SourceInfo,
    pub(in crate::topology) text: &'a str,
}

// === impl Places ===

impl Places<'_> {
    /// Where an expression stands: a path from its first letter, anything else by CEL's own count.
    pub(in crate::topology) fn of(&self, at: &IdedExpr) -> (usize, usize) {
        if let Some((start, path)) = self.path(at) {
            return (start, path.len());
        }
        let (start, stop) = self.info.offset_for(at.id).unwrap_or((0, 0));
        let start = self.byte(start);
        let before = self.text.get(..start).unwrap_or_default();
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if self.text.get(start..).is_some_and(|rest| rest.starts_with('(')) && !name.is_empty() {
            // CEL counts a call from its bracket; a reader looks at the name.
            return (start - name.len(), name.len());
        }
        (start, self.byte(stop).saturating_sub(start) + 1)
    }

    fn byte(&self, chars: u32) -> usize {
        self.text.chars().take(chars as usize).map(char::len_utf8).sum()
    }

    /// `event.a.b` and where it starts, when the expression is such a path.
    pub(in crate::topology) fn path(&self, at: &IdedExpr) -> Option<(usize, String)> {
        match &at.expr {
            Expr::Ident(name) => {
                let start = self.info.offset_for(at.id).map_or(0, |(start, _)| self.byte(start));
                Some((start, name.clone()))
            }
            Expr::Select(select) => {
                let (start, path) = self.path(&select.operand)?;
                Some((start, format!("{path}.{}", select.field)))
            }
            _ => None,
        }
    }
}

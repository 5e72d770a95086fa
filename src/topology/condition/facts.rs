//! Facts: which optional fields are there, once an expression is known to be true or false.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// When what an expression asks is known to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    WhenTrue,
    WhenFalse,
}

/// The optional fields an expression, being true or false, shows to be there.
pub(super) fn known(at: &IdedExpr, when: Facts, out: &mut Vec<String>) {
    let call = match &at.expr {
        Expr::Call(call) => call,
        Expr::Select(select) if select.test && when == Facts::WhenTrue => {
            out.extend(plain_path(at));
            return;
        }
        _ => return,
    };
    let is_null = |at: &IdedExpr| matches!(at.expr, Expr::Literal(LiteralValue::Null));
    match (call.func_name.as_str(), call.args.as_slice(), when) {
        (operators::LOGICAL_AND, [left, right], Facts::WhenTrue)
        | (operators::LOGICAL_OR, [left, right], Facts::WhenFalse) => {
            known(left, when, out);
            known(right, when, out);
        }
        (operators::LOGICAL_NOT, [inner], Facts::WhenTrue) => known(inner, Facts::WhenFalse, out),
        (operators::LOGICAL_NOT, [inner], Facts::WhenFalse) => known(inner, Facts::WhenTrue, out),
        (operators::NOT_EQUALS, [left, right], Facts::WhenTrue)
        | (operators::EQUALS, [left, right], Facts::WhenFalse)
            if is_null(right) || is_null(left) =>
        {
            out.extend(plain_path(if is_null(right) { left } else { right }));
        }
        (operators::EQUALS, [left, right], Facts::WhenTrue)
            if matches!(right.expr, Expr::Literal(_)) && !is_null(right) =>
        {
            out.extend(plain_path(left));
        }
        _ => {}
    }
}

fn plain_path(at: &IdedExpr) -> Option<String> {
    match &at.expr {
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(root) if root == "event" => Some(select.field.clone()),
            _ => Some(format!("{}.{}", plain_path(&select.operand)?, select.field)),
        },
        _ => None,
    }
}

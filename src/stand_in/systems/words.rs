//! Words: forms and marks as they come in from outside.

use std::collections::BTreeMap;

/// The fields of `application/x-www-form-urlencoded`; what is no text is left out.
pub(super) fn form(body: &str) -> BTreeMap<String, String> {
    let field = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, decoded(value)?))
    };
    body.split('&').filter(|pair| !pair.is_empty()).filter_map(field).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The id of the answer whose mark a comment ends with.
pub(super) fn mark_in(comment: &str) -> String {
    let marked = comment.rsplit_once("[otnotify:").and_then(|(_, rest)| rest.strip_suffix(']'));
    marked.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let fields =
            form("custom_action=Approve&comment=Looks+fine%2C+%C3%A4+%5Botnotify%3Ar-1%5D&broken=%zz");
        assert_eq!(fields["custom_action"], "Approve");
        assert_eq!(fields["comment"], "Looks fine, ä [otnotify:r-1]");
        assert_eq!(mark_in(&fields["comment"]), "r-1");
        assert_eq!(fields.len(), 2);
    }
}

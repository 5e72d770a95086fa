//! Text: what event text may and may not bring into a push, and how a long one is cut.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// Event text made fit for a push: no control characters, nothing invisible and nothing that turns the
/// direction of reading; line breaks are spaces; two braces never stand together, so that no push
/// service takes the text for a template.
pub(super) fn clean(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_clean(&text) { text } else { scrubbed(&text).into() }
}

fn scrubbed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.chars() {
        let c = if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c };
        // A joiner holds emoji and some scripts together; after a plain letter it only hides something.
        let keeps = if c == '\u{200d}' { !last.is_ascii() } else { !is_hidden(c) };
        if !keeps || (c == ' ' && last == ' ' && !out.is_empty()) {
            continue;
        }
        if (c == '{' || c == '}') && last == c {
            out.push(' ');
        }
        out.push(c);
        last = c;
    }
    out.truncate(out.trim_end().len());
    out
}

/// Whether [`scrubbed`] has nothing to do, for sure: words of Latin letters and usual signs with single
/// spaces between them, and no braces. That is most texts.
fn is_clean(text: &str) -> bool {
    let mut last = ' ';
    let plain = text.chars().all(|c| {
        let double = c == ' ' && last == ' ';
        last = c;
        !double && matches!(c, ' '..='z' | '|' | '~' | '\u{00c0}'..='\u{024f}' | '\u{2010}'..='\u{2027}')
    });
    plain && last != ' '
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cuts `text` to at most `most` characters, the last of them `…`, between two letters as people see
/// them: never inside an emoji or an accented letter.
pub(super) fn shorten(text: &mut Cow<'_, str>, most: usize) {
    // A character is a byte at least.
    if text.len() <= most || text.chars().count() <= most {
        return;
    }
    let text = text.to_mut();
    let mut left = most.saturating_sub(1);
    let mut end = 0;
    for grapheme in text.graphemes(true) {
        let count = grapheme.chars().count();
        if count > left {
            break;
        }
        left -= count;
        end += grapheme.len();
    }
    text.truncate(end);
    text.truncate(text.trim_end().len());
    if most > 0 {
        text.push('…');
    }
}

/// Shortens `texts` (index and how often it stands in the line) so that together they take at most
/// `room` characters: the longest first, all of one length in the end.
pub(super) fn share(texts: &mut [Cow<'_, str>], used: &[(usize, usize)], room: usize) {
    // A character is a byte at least, and most texts are far from too long.
    let bytes = |(index, times): &(usize, usize)| texts.get(*index).map_or(0, |text| text.len()) * times;
    if used.iter().map(bytes).sum::<usize>() <= room {
        return;
    }
    let length =
        |texts: &[Cow<'_, str>], index: usize| texts.get(index).map_or(0, |text| text.chars().count());
    let total = |texts: &[Cow<'_, str>], cap: usize| -> usize {
        used.iter().map(|(index, times)| length(texts, *index).min(cap) * times).sum()
    };
    if total(texts, usize::MAX) <= room {
        return;
    }
    let longest = used.iter().map(|(index, _)| length(texts, *index)).max().unwrap_or(0);
    let (mut fits, mut over) = (0, longest);
    while fits + 1 < over {
        let middle = usize::midpoint(fits, over);
        if total(texts, middle) <= room { fits = middle } else { over = middle }
    }
    for (index, _) in used {
        if let Some(text) = texts.get_mut(*index) {
            shorten(text, fits);
        }
    }
}

/// A value inside an address: everything but letters, digits and `-._~` as `%XX`.
pub(super) fn percent(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.into()
}

/// Whether an address may stand in a push: `http` or `https`, and nothing that could end it early.
pub(super) fn is_web(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte);
    if address.bytes().all(plain) {
        return rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    }
    let odd = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '`') || is_hidden(c)
    };
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) && !address.contains(odd)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn event_text_brings_nothing_hidden_and_no_template() {
        let clean = |text: &'static str| clean(text.into());
        assert_eq!(clean("a\u{202e}b\u{200b}c\nd\te\u{0}  f"), "abcd e f".replace("cd", "c d"));
        assert_eq!(clean("{{1}} {% x %}"), "{ {1} } {% x %}");
        assert_eq!(clean("👩\u{200d}🔧 x\u{200d}y"), "👩\u{200d}🔧 xy");
    }

    #[test]
    fn a_cut_never_goes_through_a_letter() {
        let mut family = Cow::Borrowed("ab👩\u{200d}👩\u{200d}👧cd");
        shorten(&mut family, 6);
        assert_eq!(family, "ab…");
        let mut accent = Cow::Borrowed("ae\u{301}xyz");
        shorten(&mut accent, 3);
        assert_eq!(accent, "a…");
    }

    #[test]
    fn only_web_addresses_are_links() {
        for (address, web) in [
            ("https://cs.example/1", true),
            ("http://x", true),
            ("javascript:alert(1)", false),
            ("https://", false),
            ("https:///x", false),
            ("https://x y", false),
            ("ftp://x", false),
        ] {
            assert_eq!(is_web(address), web, "{address}");
        }
        assert_eq!(percent("a/b ä".into()), "a%2Fb%20%C3%A4");
    }

    proptest! {
        #[test]
        fn shared_texts_always_fit(texts in proptest::collection::vec(".{0,90}", 1..4), room in 0usize..120) {
            let mut texts: Vec<Cow<'_, str>> = texts.into_iter().map(Cow::Owned).collect();
            let used: Vec<(usize, usize)> = (0..texts.len()).map(|index| (index, 1 + index % 2)).collect();
            share(&mut texts, &used, room);
            let total: usize = used.iter().map(|(index, times)| texts[*index].chars().count() * times).sum();
            prop_assert!(total <= room);
        }

        #[test]
        fn what_counts_as_clean_stays_as_it_is(text in "[ -~äß„“…\u{200b}\n]{0,12}") {
            prop_assert!(!is_clean(&text) || scrubbed(&text) == text);
        }

        #[test]
        fn clean_text_never_opens_a_template(text in "[{}%a\u{200b} ]{0,30}") {
            let clean = clean(text.into());
            prop_assert!(!clean.contains("{{") && !clean.contains("}}"));
        }
    }
}

//! Habits: how a language, or a country's way of writing it, shows days, hours and numbers.
//!
//! Only the forms with digits: names of months stand in English texts alone. Whatever is not listed gets the
//! forms that nobody can misread: ISO days, hours from 0 to 23.

/// The habits of a locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    /// A day, as jiff's `strftime` writes it.
    pub(super) day: &'static str,
    /// Hour and minute, likewise.
    pub(super) hour: &'static str,
    /// What stands between thousands.
    pub(super) group: char,
    /// What stands before a fraction.
    pub(super) point: char,
}

/// A space that no line is broken at.
const SPACE: char = '\u{a0}';
/// The same, narrow.
const NARROW: char = '\u{202f}';

const ISO: &str = "%Y-%m-%d";
const DOTS: &str = "%d.%m.%Y";
const SLASHES: &str = "%d/%m/%Y";
const USUAL_HOUR: &str = "%H:%M";

const fn of(day: &'static str, group: char, point: char) -> Habits {
    Habits { day, hour: USUAL_HOUR, group, point }
}

// === impl Habits ===

impl Habits {
    /// Those of a BCP 47 locale.
    pub(super) fn of(locale: &str) -> Self {
        let mut parts = locale.split(['-', '_']);
        let language = parts.next().unwrap_or_default().to_ascii_lowercase();
        // A script such as `Hans` may stand before the country.
        let region = parts.find(|part| part.len() == 2).unwrap_or_default().to_ascii_uppercase();
        match (language.as_str(), region.as_str()) {
            ("en", "US" | "CA" | "PH") => Self { hour: "%-I:%M %p", ..of("%b %-d, %Y", ',', '.') },
            ("en", "AU" | "IN" | "NZ") => Self { hour: "%-I:%M %P", ..of("%-d %b %Y", ',', '.') },
            ("en", "ZA") => of("%-d %b %Y", SPACE, ','),
            ("en", _) => of("%-d %b %Y", ',', '.'),
            ("de" | "it", "CH" | "LI") => of(DOTS, '’', '.'),
            ("de", "AT") => of(DOTS, SPACE, ','),
            ("fr", "CH") => of(DOTS, NARROW, ','),
            ("fr", "CA") => of(ISO, SPACE, ','),
            ("fr", _) => of(SLASHES, NARROW, ','),
            ("es", "MX" | "US" | "GT" | "HN" | "NI" | "PA" | "PE" | "SV") => of(SLASHES, ',', '.'),
            ("pt", "PT" | "AO" | "MZ") => of(SLASHES, SPACE, ','),
            ("nl", "BE") | ("es" | "pt" | "it" | "el" | "ca" | "gl", _) => of(SLASHES, '.', ','),
            ("nl", _) => of("%d-%m-%Y", '.', ','),
            ("de" | "da" | "hr" | "ro" | "sl" | "sr" | "tr", _) => of(DOTS, '.', ','),
            ("bg" | "cs" | "et" | "fi" | "lv" | "nb" | "nn" | "no" | "pl" | "ru" | "sk" | "uk", _) => {
                of(DOTS, SPACE, ',')
            }
            ("lt" | "sv", _) => of(ISO, SPACE, ','),
            ("hu", _) => of("%Y. %m. %d.", SPACE, ','),
            ("ja" | "zh", _) => of("%Y/%m/%d", ',', '.'),
            ("ko", _) => of("%Y. %-m. %-d.", ',', '.'),
            _ => of(ISO, ',', '.'),
        }
    }

    /// A number, as Rust writes it, with its thousands set apart.
    pub(super) fn grouped(self, number: &str) -> String {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
        let mut out = String::from(sign);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(self.group);
            }
            out.push(digit);
        }
        if !fraction.is_empty() {
            out.push(self.point);
            out.push_str(fraction);
        }
        out
    }
}

/// The language of a locale: `de` of `de-CH`.
pub(super) fn language(locale: &str) -> &str {
    locale.split(['-', '_']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_country_writes_its_language_in_its_own_way() {
        let written = |locale: &str| {
            let habits = Habits::of(locale);
            let at = date(2026, 3, 9).at(15, 5, 0, 0);
            let [day, hour] = [habits.day, habits.hour].map(|form| at.strftime(form).to_string());
            format!("{day} | {hour} | {} | {}", habits.grouped("-1234567.50"), habits.grouped("999"))
        };
        insta::assert_snapshot!(
            ["en", "en-US", "en-IN", "de", "de-CH", "de_AT", "fr", "fr-CA", "sv", "zh-Hans-CN", "ko", "sw"]
                .map(|locale| format!("{locale}: {}", written(locale)))
                .join("\n")
                // Seen in the test.
                .replace([SPACE], "_")
                .replace([NARROW], "~"),
            @r"
        en: 9 Mar 2026 | 15:05 | -1,234,567.50 | 999
        en-US: Mar 9, 2026 | 3:05 PM | -1,234,567.50 | 999
        en-IN: 9 Mar 2026 | 3:05 pm | -1,234,567.50 | 999
        de: 09.03.2026 | 15:05 | -1.234.567,50 | 999
        de-CH: 09.03.2026 | 15:05 | -1’234’567.50 | 999
        de_AT: 09.03.2026 | 15:05 | -1_234_567,50 | 999
        fr: 09/03/2026 | 15:05 | -1~234~567,50 | 999
        fr-CA: 2026-03-09 | 15:05 | -1_234_567,50 | 999
        sv: 2026-03-09 | 15:05 | -1_234_567,50 | 999
        zh-Hans-CN: 2026/03/09 | 15:05 | -1,234,567.50 | 999
        ko: 2026. 3. 9. | 15:05 | -1,234,567.50 | 999
        sw: 2026-03-09 | 15:05 | -1,234,567.50 | 999
        "
        );
    }
}

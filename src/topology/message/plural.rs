//! Plural: the form of a text that goes with a number: `1 task`, `3 tasks`; Polish has four of them.
//!
//! Which numbers go with which form is CLDR's word. A text writes each form its language has and no other: one
//! that is lacking would be noticed only by whoever gets that number.

use icu_locale_core::Locale;
use icu_plurals::{PluralCategory, PluralRules};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::habits::Habits;

/// What stands for the number in a form.
const NUMBER: char = '#';
/// Languages that have one form for all numbers. CLDR's data does not tell them from those it does not know.
const ONE_FORM: &[&str] = &[
    "bm", "bo", "dz", "hnj", "id", "ig", "ii", "ja", "jbo", "jv", "kde", "kea", "km", "ko", "lkt", "lo",
    "ms", "my", "nqo", "osa", "sah", "ses", "sg", "su", "th", "to", "tpi", "vi", "wo", "yo", "yue", "zh",
];
/// The forms in the order people write them.
const ORDER: [PluralCategory; 6] = [
    PluralCategory::Zero,
    PluralCategory::One,
    PluralCategory::Two,
    PluralCategory::Few,
    PluralCategory::Many,
    PluralCategory::Other,
];
/// Between them they have every form that a language uses for whole numbers below a thousand. What it keeps for
/// a million (`many` in Spanish) may be left out.
const NUMBERS: [u32; 24] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 100, 101];

/// The forms of one language.
struct Forms {
    rules: PluralRules,
}

// === impl Forms ===

impl Forms {
    /// `None`: nobody knows how this locale counts.
    fn of(locale: &str) -> Option<Self> {
        let known = Locale::try_from_str(locale).ok()?;
        let rules = PluralRules::try_new_cardinal((&known).into()).ok()?;
        let has_forms = rules.categories().any(|form| form != PluralCategory::Other);
        (has_forms || ONE_FORM.contains(&known.id.language.as_str())).then_some(Self { rules })
    }

    /// Those that a text must write.
    fn needed(&self) -> impl Iterator<Item = PluralCategory> {
        ORDER.into_iter().filter(|form| {
            *form == PluralCategory::Other
                || NUMBERS.iter().any(|number| self.rules.category_for(*number) == *form)
        })
    }
}

fn name(form: PluralCategory) -> &'static str {
    match form {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

/// How `plural` is written for a locale: what a fault about it suggests.
pub(super) fn example(locale: &str) -> String {
    let Some(forms) = Forms::of(locale) else {
        return "write the message in a locale such as `en` or `de-CH`, or without `plural`".to_owned();
    };
    let forms: Vec<String> = forms.needed().map(|form| format!("{}=\"# …\"", name(form))).collect();
    format!("write `plural({})`", forms.join(", "))
}

/// The form for a number, with the number in it.
///
/// # Errors
/// It is no whole number, or the forms are not those of the locale.
pub(super) fn plural(number: &Value, texts: &Kwargs, locale: &str) -> Result<String, Error> {
    let fault = |said: String| Error::new(ErrorKind::InvalidOperation, said);
    let forms =
        Forms::of(locale).ok_or_else(|| fault(format!("`plural` does not know how `{locale}` counts")))?;
    for written in texts.args() {
        let has = forms.rules.categories().any(|form| name(form) == written);
        if !has && written != name(PluralCategory::Other) {
            return Err(fault(format!("`plural` has no form `{written}` in `{locale}`")));
        }
    }
    for form in forms.needed() {
        if !texts.has(name(form)) {
            return Err(fault(format!("`plural` lacks the form `{}` of `{locale}`", name(form))));
        }
    }
    let whole = number.as_i64().filter(|_| number.kind() == ValueKind::Number);
    let whole = whole.ok_or_else(|| fault("`plural` needs a whole number".to_owned()))?;
    let form = name(forms.rules.category_for(whole));
    let text: String = texts.get(if texts.has(form) { form } else { "other" })?;
    Ok(text.replace(NUMBER, &Habits::of(locale).grouped(&whole.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(number: impl Into<Value>, locale: &str, forms: &[(&str, &str)]) -> String {
        let texts: Kwargs = forms.iter().map(|(name, text)| (*name, Value::from(*text))).collect();
        match plural(&number.into(), &texts, locale) {
            Ok(text) => text,
            Err(error) => error.detail().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn each_language_has_its_own_forms() {
        let english = [("one", "# task"), ("other", "# tasks")];
        let told: Vec<String> = [0, 1, 2, 1_200].map(|number| said(number, "en-GB", &english)).into();
        assert_eq!(told, ["0 tasks", "1 task", "2 tasks", "1,200 tasks"]);
        let polish =
            [("one", "# zadanie"), ("few", "# zadania"), ("many", "# zadań"), ("other", "# zadania")];
        let told = [1, 3, 5, 12, 22, 112].map(|number| said(number, "pl", &polish));
        assert_eq!(told, ["1 zadanie", "3 zadania", "5 zadań", "12 zadań", "22 zadania", "112 zadań"]);
        assert_eq!(said(1, "ja", &[("other", "#件")]), "1件");
        // French says one thing of none and of one, and has a form for a million that may be left out.
        let french = [("one", "# tâche"), ("other", "# tâches")];
        assert_eq!(said(0, "fr", &french), "0 tâche");
        assert_eq!(said(1_000_000, "fr", &french), "1\u{202f}000\u{202f}000 tâches");
    }

    #[test]
    fn a_form_that_is_lacking_or_of_another_language_is_a_fault_whatever_the_number() {
        let english = [("one", "# task"), ("other", "# tasks")];
        assert_eq!(said(1, "pl", &english), "`plural` lacks the form `few` of `pl`");
        assert_eq!(said(1, "ar", &english), "`plural` lacks the form `zero` of `ar`");
        assert_eq!(said(1, "ja", &english), "`plural` has no form `one` in `ja`");
        assert_eq!(said(5, "en", &[("one", "# task")]), "`plural` lacks the form `other` of `en`");
        assert_eq!(said(5, "en", &[("oen", "x"), ("other", "y")]), "`plural` has no form `oen` in `en`");
        assert_eq!(said(5, "xx", &english), "`plural` does not know how `xx` counts");
        for odd in [Value::from("five"), Value::from(1.5), Value::from(true), Value::UNDEFINED] {
            assert_eq!(said(odd, "en", &english), "`plural` needs a whole number");
        }
        assert_eq!(example("pl"), "write `plural(one=\"# …\", few=\"# …\", many=\"# …\", other=\"# …\")`");
    }
}

//! Fault: why bytes could not become words, as a closed list of stable codes.
//!
//! A code stands in dead letters, verdicts and metrics: it is never renamed, and never says what the
//! bytes held.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal,)*) => {
        /// Why something could not be read. The words are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable word in kebab case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// What it means, in one sentence for an operator.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+)),* }
            }
        }
    };
}

codes! {
    /// The record has no value, and its topic has no tombstones.
    NullValue "null-value",
    /// The value has no bytes.
    EmptyValue "empty-value",
    /// The value is larger than one change may be.
    TooLarge "too-large",
    /// The value does not start with the magic byte 0 of a schema registry's framing.
    BadMagic "bad-magic",
    /// No schema is known under the id the value carries.
    UnknownSchema "unknown-schema",
    /// The schema the value was written with cannot be read as ours.
    IncompatibleSchema "incompatible-schema",
    /// The schema the value was written with refers to itself.
    RecursiveSchema "recursive-schema",
    /// The schema the value was written with is nested too deeply or is too large.
    OversizedSchema "oversized-schema",
    /// The same schema id stood for another schema before.
    SchemaChanged "schema-changed",
    /// The bytes end in the middle of a field.
    Truncated "truncated",
    /// Bytes are left over after the last field.
    TrailingBytes "trailing-bytes",
    /// A text is not UTF-8.
    BadUtf8 "bad-utf8",
    /// A length is negative.
    BadLength "bad-length",
    /// A whole number does not end, or does not fit its type.
    BadVarint "bad-varint",
    /// A truth value is neither 0 nor 1.
    BadBool "bad-bool",
    /// A number is infinite, is not a number, or is not one its field can hold.
    BadNumber "bad-number",
    /// A union names a branch that does not exist or cannot be here.
    BadUnion "bad-union",
    /// A symbol is not in its list.
    BadEnum "bad-enum",
    /// A block of a list does not have the size it says.
    BadBlock "bad-block",
    /// A list says it has more items than its bytes can hold.
    TooManyItems "too-many-items",
    /// A time or a day lies outside the years 1970 to 9999, or is not one.
    BadTime "bad-time",
    /// The kind is none this source has.
    UnknownKind "unknown-kind",
    /// The data is not of the record its kind has.
    KindMismatch "kind-mismatch",
    /// The event says it comes from another source than its topic's.
    SourceMismatch "source-mismatch",
    /// A field that must be there is missing or empty.
    MissingField "missing-field",
    /// The text is not JSON.
    BadJson "bad-json",
    /// A JSON object names a member twice.
    DuplicateKey "duplicate-key",
    /// JSON is nested too deeply.
    TooDeep "too-deep",
    /// A JSON value is not of the type its field has.
    WrongType "wrong-type",
    /// A CloudEvents attribute is wrong, or of a version other than 1.0.
    BadAttribute "bad-attribute",
    /// It is somebody else's payload, and no mapping of its topic takes it.
    Unmapped "unmapped",
    /// An expression of a mapping has no value for this payload.
    BadExpression "bad-expression",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why one value is refused, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{}{}{}", if path.is_empty() { "" } else { " at `" }, path, if path.is_empty() { "" } else { "`" },
    if detail.is_empty() { String::new() } else { format!(": {detail}") })]
pub struct Fault {
    /// The stable code.
    pub code: Code,
    /// The field, as rules name it; empty when the fault lies in no field.
    pub path: String,
    /// What more there is to say; never the value itself.
    pub detail: String,
}

// === impl Fault ===

impl Fault {
    /// A fault in no particular field.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, path: String::new(), detail: detail.into() }
    }

    /// A fault in the field `path`.
    #[must_use]
    pub fn at(code: Code, path: impl Into<String>) -> Self {
        Self { code, path: path.into(), detail: String::new() }
    }

    /// Something else stands at `path` than its field holds, or nothing where something must.
    #[must_use]
    pub fn stands(code: Code, path: &str, (found, wanted): (&str, &str)) -> Self {
        Self::at(code, path).because(format!("{found} stands where {wanted} should"))
    }

    /// Nothing stands at `path`, and something must.
    #[must_use]
    pub fn missing(path: &str, wanted: &str) -> Self {
        Self::stands(Code::MissingField, path, ("nothing", wanted))
    }

    /// A number at `path` that its field cannot hold.
    #[must_use]
    pub fn number(path: &str, wanted: &str) -> Self {
        Self::stands(Code::BadNumber, path, ("another number", wanted))
    }

    /// A symbol at `path` that is not in its list.
    #[must_use]
    pub fn symbol(path: &str, names: &[String]) -> Self {
        Self::at(Code::BadEnum, path).because(format!("it is none of {}", names.join(", ")))
    }

    /// What stands at `path` is no time, or no day, as `wanted` shows one.
    #[must_use]
    pub fn no_time(path: &str, (what, wanted): (&str, &str)) -> Self {
        Self::at(Code::BadTime, path).because(format!("it is no {what}: write {wanted}"))
    }

    /// What stands at `path` is a time, or a day, of other years than those that are told.
    #[must_use]
    pub fn out_of_time(path: &str, wanted: &str) -> Self {
        Self::at(Code::BadTime, path)
            .because(format!("it lies outside the years 1970 to 9999: write {wanted}"))
    }

    /// Says more about it.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_in_kebab_case_and_only_once() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(
            words
                .iter()
                .all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }

    #[test]
    fn a_fault_names_its_field() {
        let fault = Fault::at(Code::MissingField, "entity.id").because("it is empty");
        assert_eq!(fault.to_string(), "missing-field at `entity.id`: it is empty");
        assert_eq!(Fault::new(Code::BadMagic, "").to_string(), "bad-magic");
    }
}

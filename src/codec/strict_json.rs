//! Strict JSON: a text read whole, or refused with the code that says why.
//!
//! Two members of one name are refused, since readers disagree about which of them counts; so are
//! numbers that no field can hold, and nesting without a bottom.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use super::fault::{Code, Fault};

/// The deepest nesting.
const MOST_DEPTH: usize = 64;

/// Reads one JSON text.
///
/// # Errors
/// [`Code::BadJson`], [`Code::DuplicateKey`], [`Code::BadNumber`], [`Code::TooDeep`] or
/// [`Code::EmptyValue`], with line and column.
pub fn parse(text: &[u8]) -> Result<Json, Fault> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::new(Code::EmptyValue, ""));
    }
    let code = Cell::new(Code::BadJson);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: 0, code: &code }.deserialize(&mut reader);
    value.and_then(|value| reader.end().map(|()| value)).map_err(|fault| {
        let said = fault.to_string();
        if said.starts_with("number out of range") {
            code.set(Code::BadNumber);
        }
        // The parser's own words may repeat what stands in the text.
        unreadable(code.get(), &fault)
    })
}

/// What is wrong with a text, and where; never what stands there.
pub(super) fn unreadable(code: Code, error: &serde_json::Error) -> Fault {
    let what = match code {
        Code::DuplicateKey => "an object names a member twice",
        Code::TooDeep => "it is nested too deeply",
        Code::BadNumber => "a number is too large for any field",
        _ if error.is_eof() => "it ends in the middle",
        _ => "it is no JSON from here on",
    };
    Fault::new(code, format!("{what}: line {}, column {}", error.line(), error.column()))
}

#[derive(Clone, Copy)]
struct Strict<'c> {
    depth: usize,
    code: &'c Cell<Code>,
}

// === impl Strict ===

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == MOST_DEPTH {
            self.code.set(Code::TooDeep);
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        match Number::from_f64(number) {
            Some(number) => Ok(Json::Number(number)),
            None => {
                self.code.set(Code::BadNumber);
                Err(E::custom("not a finite number"))
            }
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                self.code.set(Code::DuplicateKey);
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Code {
        parse(text.as_bytes()).unwrap_err().code
    }

    #[test]
    fn json_that_readers_disagree_about_is_refused() {
        assert_eq!(refusal(r#"{"a":1,"b":{"c":1,"c":2}}"#), Code::DuplicateKey);
        assert_eq!(refusal("[1e400]"), Code::BadNumber);
        assert_eq!(refusal(&"[".repeat(10_000)), Code::TooDeep);
        assert_eq!(refusal("{} {}"), Code::BadJson);
        assert_eq!(refusal("{\"a\":"), Code::BadJson);
        assert_eq!(refusal(" \n"), Code::EmptyValue);
    }

    #[test]
    fn odd_numbers_are_numbers() {
        assert_eq!(parse(b"[-0, 9223372036854775808]").unwrap().to_string(), "[-0.0,9223372036854775808]");
    }
}

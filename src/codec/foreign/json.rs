//! JSON of others: one pass over the text that keeps what is wanted and steps over the rest.
//!
//! A text without escapes stays where it lies. A wanted member that stands twice is refused, since readers
//! disagree about which of the two counts.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::{SmallVec, smallvec};

use super::Found;
use super::paths::{Paths, There};
use crate::codec::fault::{Code, Fault};
use crate::codec::strict_json::unreadable;
use crate::event::Value;

/// Finds what is wanted from `node` on in a JSON text.
pub(super) fn read<'p>(
    paths: &Paths,
    node: usize,
    text: &'p [u8],
    found: &mut Found<'p>,
) -> Result<(), Fault> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::new(Code::EmptyValue, ""));
    }
    let code = Cell::new(Code::BadJson);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let walk = Walk { paths, node, keep: false, found, code: &code };
    walk.deserialize(&mut reader).and_then(|_| reader.end()).map_err(|fault| {
        let said = fault.to_string();
        if said.starts_with("number out of range") {
            code.set(Code::BadNumber);
        } else if said.starts_with("recursion limit") {
            code.set(Code::TooDeep);
        }
        // The parser's own words may repeat what stands in the text.
        unreadable(code.get(), &fault)
    })
}

/// One place of the payload.
struct Walk<'w, 'p> {
    paths: &'w Paths,
    node: usize,
    /// Whether whoever asked wants the value, too: an item of a wanted list.
    keep: bool,
    found: &'w mut Found<'p>,
    code: &'w Cell<Code>,
}

/// Which member of a node a name is.
struct Named<'w>(&'w super::paths::Node);

// === impl Walk ===

impl<'w, 'p> Walk<'w, 'p> {
    fn at(&mut self, node: usize, keep: bool) -> Walk<'_, 'p> {
        Walk { paths: self.paths, node, keep, found: self.found, code: self.code }
    }
}

impl<'p> DeserializeSeed<'p> for Walk<'_, 'p> {
    type Value = Value<'p>;

    fn deserialize<D: serde::Deserializer<'p>>(mut self, reader: D) -> Result<Value<'p>, D::Error> {
        let keep = self.keep;
        let wanted = self.paths.node(self.node).value;
        let value = reader.deserialize_any(self.at(self.node, keep))?;
        let there = match &value {
            Value::Null => None,
            Value::List(_) => Some(There::List),
            Value::Named(_) => Some(There::Members),
            _ => Some(There::Scalar),
        };
        if let Some(there) = there {
            self.found.misfits.extend(self.paths.misfits(self.node, there));
        }
        if let Some(number) = wanted {
            let kept = if keep { value.clone() } else { Value::Null };
            self.found.put(number, value, self.paths.is_many(number));
            return Ok(kept);
        }
        Ok(value)
    }
}

impl<'p> Visitor<'p> for Walk<'_, 'p> {
    type Value = Value<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'p>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value<'p>, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'p>, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'p>, E> {
        // An id of 64 bits loses nothing as a text, and its last digits as a fraction.
        Ok(i64::try_from(number).map_or_else(|_| Value::Text(Cow::Owned(number.to_string())), Value::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value<'p>, E> {
        if number.is_finite() {
            return Ok(Value::Double(number));
        }
        self.code.set(Code::BadNumber);
        Err(E::custom("not a finite number"))
    }

    fn visit_borrowed_str<E>(self, text: &'p str) -> Result<Value<'p>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'p>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'p>>(mut self, mut items: A) -> Result<Value<'p>, A::Error> {
        let node = self.paths.node(self.node);
        let keep = node.value.is_some() || self.keep;
        let mut list = Vec::new();
        match node.each.or_else(|| keep.then_some(Paths::LEAF)) {
            Some(each) => {
                while let Some(item) = items.next_element_seed(self.at(each, keep))? {
                    if keep {
                        list.push(item);
                    }
                }
            }
            None => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'p>>(mut self, mut members: A) -> Result<Value<'p>, A::Error> {
        let node = self.paths.node(self.node);
        let mut seen: SmallVec<[bool; 16]> = smallvec![false; node.names.len()];
        while let Some(name) = members.next_key_seed(Named(node))? {
            let Some((which, child)) = name else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[which], true) {
                self.code.set(Code::DuplicateKey);
                return Err(A::Error::custom("a name stands twice"));
            }
            members.next_value_seed(self.at(child, false))?;
        }
        Ok(Value::Named(Vec::new()))
    }
}

// === impl Named ===

impl<'p> DeserializeSeed<'p> for Named<'_> {
    type Value = Option<(usize, usize)>;

    fn deserialize<D: serde::Deserializer<'p>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = Option<(usize, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.named(name))
    }
}

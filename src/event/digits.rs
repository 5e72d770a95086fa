//! Digits: numbers and hashes appended to a buffer as ASCII, without a detour through `String`.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends two lower-case hex digits per byte.
pub(crate) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Appends a number.
pub(crate) fn decimal(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    use std::io::Write;
    write!(out, "{number}").expect("a buffer in memory takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_as_the_formatter_writes_it() {
        let number = 0x0123_4567_89ab_cdef_0011_2233_4455_6677_u128;
        let mut out = Vec::new();
        hex(&mut out, &number.to_be_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), format!("{number:032x}"));
    }
}

//! Base64 without padding, in the alphabet that is safe in links: short spellings for the token's parts.

use base64_simd::URL_SAFE_NO_PAD;

/// Appends `bytes` to `out`, which holds ASCII only.
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_append(bytes, out);
}

/// Reads what [`append`] wrote; any other spelling of the same bytes is refused.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode_to_vec(text).ok()
}

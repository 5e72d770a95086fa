//! Base64 without padding, in the alphabet that is safe in links: short spellings for the token's parts.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Appends `bytes` to `out`, which holds ASCII only.
pub(super) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut out[start..]).expect("the room is reckoned above");
    out.truncate(start + written);
}

/// Reads what [`append`] wrote; any other spelling of the same bytes is refused.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

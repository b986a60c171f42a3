//! Opaque tokens: shard iterators and NextTokens. Clients see base64; a changed or invented one is refused.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::twin::mix;

const SEED: u64 = 0x746f_6b65_6e70;

/// A token that carries these parts; none may hold a line break.
pub(super) fn seal(parts: &[String]) -> String {
    let text = parts.join("\n");
    BASE64_STANDARD.encode(format!("{:016x}\n{text}", checksum(&text)))
}

/// The parts of a token made by [`seal`].
pub(super) fn open(token: &str) -> Option<Vec<String>> {
    let text = String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok()?;
    let (sum, parts) = text.split_once('\n')?;
    (sum == format!("{:016x}", checksum(parts))).then(|| parts.split('\n').map(str::to_owned).collect())
}

fn checksum(text: &str) -> u64 {
    text.bytes().fold(SEED, |sum, byte| mix(sum, u64::from(byte)))
}

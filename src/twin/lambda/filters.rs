//! Filter patterns: whether Lambda takes one.
//!
//! Lambda guide, "Control which events Lambda sends to your function" and "Using event filtering with a Kinesis
//! event source". Which records match is a share in the world's file: the data plane's records have no payload.

use serde_json::Value;

/// Letters of one pattern (API reference).
const LETTERS: usize = 4_096;

/// Whether this is a pattern: a JSON object whose leaves are arrays.
pub(super) fn is_pattern(text: &str) -> bool {
    fn leaves(value: &Value) -> bool {
        match value {
            Value::Object(members) => members.values().all(leaves),
            Value::Array(_) => true,
            _ => false,
        }
    }
    text.len() <= LETTERS
        && serde_json::from_str::<Value>(text).is_ok_and(|pattern| pattern.is_object() && leaves(&pattern))
}

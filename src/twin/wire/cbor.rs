//! CBOR (RFC 8949): Smithy's RPC v2 for CloudWatch, and the older dialect that Java's Kinesis client speaks, which
//! writes times in milliseconds.
//!
//! JSON has no NaN and no infinities: inside the twin they are the strings that AWS JSON uses for them.

#![allow(
    clippy::option_option,
    clippy::large_stack_arrays,
    reason = "broken bytes, the end and an item are three things"
)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ciborium::value::Value as Cbor;
use serde_json::{Map, Value, json};

use super::{Answer, budget::Budget, json::error_members};
use crate::twin::cloudwatch::{is_number, is_timestamp, not_finite, number as number_value};

/// Whose CBOR it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Smithy RPC v2: times are tag 1 around seconds.
    RpcV2,
    /// `application/x-amz-cbor-1.1`: times are tag 1 around milliseconds.
    Kinesis,
}

/// Nesting that is read (`serde_json` has the same bound).
const DEPTH: u32 = 128;

/// The map in `body`; nothing is an empty one.
pub(super) fn decode(body: &[u8], dialect: Dialect) -> Option<Value> {
    if body.is_empty() {
        return Some(json!({}));
    }
    let mut reader = Reader { rest: body, budget: Budget::new(), dialect };
    reader.value(DEPTH).filter(Value::is_object)
}

struct Reader<'a> {
    rest: &'a [u8],
    budget: Budget,
    dialect: Dialect,
}

/// First byte of an item and its number; `None` is an item of indefinite length, or a break.
type Head = (u8, u8, Option<u64>);

impl<'a> Reader<'a> {
    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn head(&mut self) -> Option<Head> {
        let first = *self.take(1)?.first()?;
        let (major, info) = (first >> 5, first & 31);
        let number = match info {
            0..=23 => Some(u64::from(info)),
            24..=27 => {
                let bytes = self.take(1 << (info - 24))?;
                Some(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
            }
            31 => None,
            _ => return None,
        };
        Some((major, info, number))
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let head = self.head()?;
        self.after(head, depth)
    }

    fn after(&mut self, (major, info, number): Head, depth: u32) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.budget.value()?;
        Some(match (major, number) {
            (0, Some(number)) => json!(number),
            (1, Some(number)) => json!(-1 - i64::try_from(number).ok()?),
            (2, _) => {
                let bytes = self.string(major, number)?;
                json!(STANDARD.encode(bytes))
            }
            (3, _) => Value::String(String::from_utf8(self.string(major, number)?).ok()?),
            (4, _) => Value::Array(self.list(number, depth)?),
            (5, _) => Value::Object(self.map(number, depth)?),
            (6, Some(tag)) => {
                let inner = self.value(depth)?;
                match (tag, self.dialect) {
                    (1, Dialect::Kinesis) => json!(inner.as_f64()? / 1000.0),
                    _ => inner,
                }
            }
            (7, Some(number)) => match info {
                20 => json!(false),
                21 => json!(true),
                22 | 23 => Value::Null,
                25 => number_value(half(u16::try_from(number).ok()?)),
                26 => number_value(f32::from_bits(u32::try_from(number).ok()?).into()),
                27 => number_value(f64::from_bits(number)),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Bytes or text, in one piece or in several.
    fn string(&mut self, major: u8, length: Option<u64>) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        if let Some(length) = length {
            whole.extend_from_slice(self.take(length)?);
        } else {
            loop {
                match self.head()? {
                    (7, 31, _) => break,
                    (piece, _, Some(length)) if piece == major => {
                        self.budget.value()?;
                        whole.extend_from_slice(self.take(length)?);
                    }
                    _ => return None,
                }
            }
        }
        self.budget.text(whole.len().saturating_mul(2))?;
        Some(whole)
    }

    fn list(&mut self, mut length: Option<u64>, depth: u32) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        while let Some(head) = self.next(&mut length)? {
            items.push(self.after(head, depth)?);
        }
        Some(items)
    }

    fn map(&mut self, mut length: Option<u64>, depth: u32) -> Option<Map<String, Value>> {
        self.budget.map()?;
        let mut members = Map::new();
        while let Some(head) = self.next(&mut length)? {
            let Value::String(key) = self.after(head, depth)? else { return None };
            self.budget.member(0)?;
            members.insert(key, self.value(depth)?);
        }
        Some(members)
    }

    /// The head of a collection's next item, `None` behind its last one.
    fn next(&mut self, left: &mut Option<u64>) -> Option<Option<Head>> {
        match left {
            Some(0) => return Some(None),
            Some(left) => *left -= 1,
            None => {}
        }
        let head = self.head()?;
        let end = left.is_none() && matches!(head, (7, 31, None));
        Some((!end).then_some(head))
    }
}

/// A float of 16 bits (IEEE 754), which writers choose where it loses nothing.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (fraction + 1_024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The answer's body.
pub(super) fn encode(answer: Answer, dialect: Dialect) -> Vec<u8> {
    let value = match answer {
        Ok(Value::Null) => json!({}),
        Ok(output) => output,
        Err(refusal) => {
            let namespace = if dialect == Dialect::RpcV2 { "com.amazonaws.cloudwatch#" } else { "" };
            let kind = format!("{namespace}{}", refusal.code);
            let mut members = error_members(refusal, "message");
            members.insert("__type".to_owned(), Value::String(kind));
            Value::Object(members)
        }
    };
    let mut body = Vec::new();
    // Writing to a vector does not fail.
    let _ = ciborium::into_writer(&convert(value, "", dialect), &mut body);
    body
}

/// `member` is the name under which the value stands, a list's for its items.
fn convert(value: Value, member: &str, dialect: Dialect) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(flag),
        Value::Number(number) if is_timestamp(member) || member.ends_with("Timestamp") => {
            let seconds = number.as_f64().unwrap_or_default();
            Cbor::Tag(
                1,
                Box::new(match dialect {
                    Dialect::RpcV2 => Cbor::Float(seconds),
                    Dialect::Kinesis => Cbor::Integer(((seconds * 1000.0).round() as i64).into()),
                }),
            )
        }
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => match (member, text.as_str(), dialect) {
            ("Data", data, Dialect::Kinesis) => STANDARD.decode(data).map_or(Cbor::Null, Cbor::Bytes),
            (number, text, _) if is_number(number) && not_finite(text).is_some() => {
                Cbor::Float(not_finite(text).unwrap_or_default())
            }
            _ => Cbor::Text(text),
        },
        Value::Array(items) => Cbor::Array(items.into_iter().map(|item| convert(item, member, dialect)).collect()),
        Value::Object(members) => Cbor::Map(
            members
                .into_iter()
                .map(|(key, value)| {
                    let value = convert(value, &key, dialect);
                    (Cbor::Text(key), value)
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Value> {
        decode(bytes, Dialect::RpcV2)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({"a": [1, -2, 2.5, "x", true, null], "b": {"c": {}}, "n": 4_000_000_000_u64});
        assert_eq!(read(&encode(Ok(value.clone()), Dialect::RpcV2)), Some(value));
        let times = json!({"Timestamps": [1.5], "Timestamp": 2.5});
        assert_eq!(read(&encode(Ok(times.clone()), Dialect::RpcV2)), Some(times.clone()));
        assert_eq!(decode(&encode(Ok(times.clone()), Dialect::Kinesis), Dialect::Kinesis), Some(times));
        let blob = json!({"Data": "AAEC"});
        let written = encode(Ok(blob.clone()), Dialect::Kinesis);
        assert!(written.ends_with(&[0x43, 0, 1, 2]), "{written:?}");
        assert_eq!(decode(&written, Dialect::Kinesis), Some(blob));
    }

    #[test]
    fn items_of_indefinite_length_are_read() {
        let body = [0xbf, 0x7f, 0x61, b'a', 0x61, b'b', 0xff, 0x9f, 1, 2, 0xff, 0xff];
        assert_eq!(read(&body), Some(json!({"ab": [1, 2]})));
    }

    #[test]
    fn numbers_beyond_json_have_names() {
        let body = [&[0xa1, 0x61, b'a', 0xfb][..], &f64::NAN.to_be_bytes()].concat();
        assert_eq!(read(&body), Some(json!({"a": "NaN"})));
        let values = encode(Ok(json!({"Values": ["NaN", "-Infinity"]})), Dialect::RpcV2);
        assert_eq!(read(&values), Some(json!({"Values": ["NaN", "-Infinity"]})));
    }

    #[test]
    fn lies_about_lengths_and_depth_are_refused() {
        assert_eq!(read(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read(&[0xa1, 0x61, b'a', 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read(&[0x81; 100_000]), None);
        assert_eq!(read(&[0xc1; 100_000]), None);
        assert_eq!(read(&[0xff]), None);
        assert_eq!(read(&[0x00]), None);
        let many = [&[0xa1, 0x61, b'a', 0x9f][..], &vec![0xa0; super::super::MAX_BODY - 8], &[0xff]].concat();
        assert_eq!(read(&many), None);
    }
}

//! Attribute values: what DynamoDB takes, how large it counts them, and numbers as keys compare them.

use std::collections::BTreeSet;

use base64::Engine;
use serde_json::{Map, Value};

use super::super::{Refusal, invalid};

/// An item: attribute names to attribute values.
pub(in crate::twin::dynamodb) type Item = Map<String, Value>;

/// Nested levels of an item, and digits and exponents of a number (DynamoDB quotas).
const LEVELS: u32 = 32;
const DIGITS: usize = 38;
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;

/// Checks an item and gives its size in bytes: names and values in UTF-8.
pub(super) fn size_of(item: &Item) -> Result<u64, Refusal> {
    item.iter().try_fold(0, |sum, (name, value)| Ok(sum + name.len() as u64 + size(value, 1)?))
}

/// The one type and content of an attribute value.
pub(super) fn typed(value: &Value) -> Result<(&str, &Value), Refusal> {
    let mut members = value.as_object().into_iter().flatten().filter(|(_, content)| !content.is_null());
    let first = members.next().ok_or_else(|| {
        Refusal::validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    })?;
    if members.next().is_some() {
        return Err(Refusal::validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        ));
    }
    Ok((first.0, first.1))
}

fn size(value: &Value, level: u32) -> Result<u64, Refusal> {
    if level > LEVELS {
        return Err(Refusal::validation(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit",
        ));
    }
    let (kind, content) = typed(value)?;
    let wrong = || {
        Refusal::new(400, "SerializationException", format!("Unexpected content of an attribute value of type {kind}"))
    };
    let text = |content: &'_ Value| content.as_str().map(str::to_owned).ok_or_else(wrong);
    Ok(match kind {
        "S" => text(content)?.len() as u64,
        "N" => Number::parse(&text(content)?)?.size(),
        "B" => binary(&text(content)?)?.len() as u64,
        "BOOL" => content.as_bool().map(|_| 1).ok_or_else(wrong)?,
        "NULL" => {
            if content.as_bool().ok_or_else(wrong)? {
                1
            } else {
                return Err(invalid("Null attribute value types must have the value of true"));
            }
        }
        "SS" | "NS" | "BS" => set(kind, content.as_array().ok_or_else(wrong)?)?,
        "L" => {
            let items = content.as_array().ok_or_else(wrong)?;
            items.iter().try_fold(3, |sum, value| Ok::<u64, Refusal>(sum + 1 + size(value, level + 1)?))?
        }
        "M" => content.as_object().ok_or_else(wrong)?.iter().try_fold(3, |sum, (name, value)| {
            Ok::<u64, Refusal>(sum + 1 + name.len() as u64 + size(value, level + 1)?)
        })?,
        _ => {
            return Err(Refusal::validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ));
        }
    })
}

fn set(kind: &str, members: &[Value]) -> Result<u64, Refusal> {
    let name = match kind {
        "SS" => "string set ",
        "NS" => "number set ",
        _ => "binary set ",
    };
    if members.is_empty() {
        return Err(invalid(format!("An {name} may not be empty")));
    }
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    for member in members {
        let text = member.as_str().unwrap_or_default();
        let (canonical, size) = match kind {
            "SS" => (text.to_owned(), text.len() as u64),
            "NS" => Number::parse(text).map(|number| (number.canonical(), number.size()))?,
            _ => (text.to_owned(), binary(text)?.len() as u64),
        };
        bytes += size;
        if !seen.insert(canonical) {
            let list: Vec<&str> = members.iter().filter_map(Value::as_str).collect();
            return Err(invalid(format!("Input collection [{}] contains duplicates.", list.join(", "))));
        }
    }
    Ok(bytes)
}

fn binary(text: &str) -> Result<Vec<u8>, Refusal> {
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    decoded.map_err(|_| Refusal::new(400, "SerializationException", "Base64 encoded length is unexpected"))
}

/// A decimal number: its significant digits and the exponent of the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::validation(format!("The parameter cannot be converted to a numeric value: {text}"));
        let trimmed = text.trim();
        let (negative, unsigned) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let exponent: i64 = exponent.parse().map_err(|_| wrong())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let stripped = all.trim_start_matches('0');
        let digits = stripped.trim_end_matches('0');
        if digits.is_empty() {
            return Ok(Self { negative: false, digits: "0".to_owned(), exponent: 0 });
        }
        let zeros = (stripped.len() - digits.len()) as i64;
        let exponent = exponent.saturating_sub(fraction.len() as i64).saturating_add(zeros);
        if digits.len() > DIGITS {
            return Err(Refusal::validation("Attempting to store more than 38 significant digits in a Number"));
        }
        let magnitude = exponent.saturating_add(digits.len() as i64 - 1);
        if magnitude > *EXPONENTS.end() {
            return Err(Refusal::validation(
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ));
        }
        if magnitude < *EXPONENTS.start() {
            return Err(Refusal::validation(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range",
            ));
        }
        Ok(Self { negative, digits: digits.to_owned(), exponent })
    }

    /// One byte for two digits, and one.
    fn size(&self) -> u64 {
        self.digits.len().div_ceil(2) as u64 + 1 + u64::from(self.negative)
    }

    /// The same text for equal numbers.
    fn canonical(&self) -> String {
        format!("{}{}e{}", if self.negative { "-" } else { "" }, self.digits, self.exponent)
    }

    /// The whole part, when it is a positive integer: epoch seconds of a time to live.
    pub fn seconds(&self) -> Option<i64> {
        let power = u32::try_from(self.exponent).ok()?;
        let value = self.digits.parse::<i64>().ok()?.checked_mul(10_i64.checked_pow(power)?)?;
        Some(value).filter(|_| !self.negative)
    }
}

/// The text of a key value: equal for equal keys, and its size in bytes.
pub(super) fn key_text(kind: &str, content: &Value) -> Result<(String, u64), Refusal> {
    let text = content.as_str().unwrap_or_default();
    Ok(match kind {
        "N" => {
            let number = Number::parse(text)?;
            (format!("N:{}", number.canonical()), number.size())
        }
        "B" => (format!("B:{text}"), binary(text)?.len() as u64),
        _ => (format!("S:{text}"), text.len() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_numbers_have_one_text() {
        let text = |number: &str| Number::parse(number).unwrap().canonical();
        for same in ["100", "1e2", "+100.0", "0100", "1000E-1"] {
            assert_eq!(text(same), "1e2");
        }
        assert_eq!(text("-0.0"), "0e0");
        assert_eq!(Number::parse("12e2").unwrap().seconds(), Some(1_200));
        assert_eq!(Number::parse("1.5").unwrap().seconds(), None);
        for wrong in ["", "-", "1x", "e", "1e", "1e999999999999999999999", "1e126", "1e-131", ".", "--1"] {
            assert!(Number::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Number::parse(&"1".repeat(39)).is_err());
    }

    #[test]
    fn sizes_are_names_and_values() {
        let item = json!({"pk": {"S": "abc"}, "n": {"N": "1234"}, "l": {"L": [{"BOOL": true}, {"NULL": true}]}});
        // 2+3, 1+3, 1+3+2+2.
        assert_eq!(size_of(item.as_object().unwrap()).unwrap(), 17);
        let mut deep = json!({"S": "x"});
        for _ in 0..40 {
            deep = json!({"L": [deep]});
        }
        assert!(size_of(json!({ "a": deep }).as_object().unwrap()).is_err());
    }
}

//! The members of a call's input, read with the checks that AWS's front ends make.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Refusal;

/// The input members of a call.
#[derive(Debug, Clone, Copy)]
pub(in crate::twin) struct Args<'a>(pub &'a Value);

impl<'a> Args<'a> {
    /// The member, unless absent or null.
    pub fn get(self, member: &str) -> Option<&'a Value> {
        self.0.get(member).filter(|value| !value.is_null())
    }

    pub fn text(self, member: &str) -> Option<&'a str> {
        self.get(member)?.as_str()
    }

    pub fn int(self, member: &str) -> Option<i64> {
        let value = self.get(member)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    pub fn flag(self, member: &str) -> Option<bool> {
        self.get(member)?.as_bool()
    }

    pub fn at(self, member: &str) -> Option<Args<'a>> {
        self.get(member).map(Args)
    }

    pub fn list(self, member: &str) -> impl Iterator<Item = Args<'a>> {
        self.get(member).and_then(Value::as_array).into_iter().flatten().map(Args)
    }

    pub fn texts(self, member: &str) -> impl Iterator<Item = &'a str> {
        self.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// A map of strings to strings, e.g. tags.
    pub fn map(self, member: &str) -> BTreeMap<String, String> {
        let members = self.get(member).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    pub fn need_text(self, member: &str) -> Result<&'a str, Refusal> {
        self.text(member).ok_or_else(|| missing(member))
    }

    pub fn need_int(self, member: &str) -> Result<i64, Refusal> {
        self.int(member).ok_or_else(|| missing(member))
    }

    /// The member if present, inside `low..=high`.
    pub fn ranged(self, member: &str, low: i64, high: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.int(member) else { return Ok(None) };
        let bound = match value {
            value if value < low => format!("have value greater than or equal to {low}"),
            value if value > high => format!("have value less than or equal to {high}"),
            _ => return Ok(Some(value)),
        };
        Err(Refusal::constraint(&value.to_string(), &decapitalised(member), &bound))
    }
}

fn missing(member: &str) -> Refusal {
    let member = decapitalised(member);
    Refusal::validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}

fn decapitalised(member: &str) -> String {
    let mut letters = member.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}

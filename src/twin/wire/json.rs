//! AWS JSON 1.0 and 1.1, and the bodies of REST-JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::{Answer, Refusal, Service, budget::Budget};

/// The object in `body`; nothing is an empty one. `None` when it is no JSON object or takes too much memory.
pub(super) fn decode(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return Some(json!({}));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Seed(&mut Budget::new()).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    value.is_object().then_some(value)
}

/// A value of any kind, counted while it is read. Depth is bounded by `serde_json` (128).
struct Seed<'a>(&'a mut Budget);

fn full<E: Error>() -> E {
    E::custom("too many values")
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.value().ok_or_else(full)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(json!(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.0.text(value.len()).ok_or_else(full)?;
        Ok(json!(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Seed(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.0.map().ok_or_else(full)?;
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.0.member(key.len()).ok_or_else(full)?;
            members.insert(key, access.next_value_seed(Seed(self.0))?);
        }
        Ok(Value::Object(members))
    }
}

/// Members of an error's shape with its message.
pub(super) fn error_members(refusal: Refusal, message_member: &str) -> Map<String, Value> {
    let mut members = refusal.extra;
    if !refusal.message.is_empty() {
        members.insert(message_member.to_owned(), Value::String(refusal.message));
    }
    members
}

/// Empty outputs of the JSON protocols have no body at all in Kinesis and `{}` in the others.
pub(super) fn encode(service: Service, answer: Answer) -> Vec<u8> {
    match answer {
        Ok(Value::Null) if service == Service::Kinesis => Vec::new(),
        Ok(Value::Null) => b"{}".to_vec(),
        Ok(output) => output.to_string().into_bytes(),
        Err(refusal) => {
            let namespace = match (service, refusal.code.as_str()) {
                (Service::DynamoDb, "ValidationException" | "ThrottlingException") => "com.amazon.coral.validate#",
                (Service::DynamoDb, "UnknownOperationException" | "SerializationException") => {
                    "com.amazon.coral.service#"
                }
                (Service::DynamoDb, _) => "com.amazonaws.dynamodb.v20120810#",
                (Service::CloudWatch, _) => "com.amazonaws.cloudwatch.v2010_08_01#",
                _ => "",
            };
            let kind = format!("{namespace}{}", refusal.code);
            // Application Auto Scaling's shapes spell the member with a capital (botocore's model).
            let member = if service == Service::AutoScaling { "Message" } else { "message" };
            let mut members = error_members(refusal, member);
            members.insert("__type".to_owned(), Value::String(kind));
            Value::Object(members).to_string().into_bytes()
        }
    }
}

/// REST-JSON as Lambda writes it.
pub(super) fn encode_rest(answer: Answer) -> Vec<u8> {
    let value = match answer {
        Ok(Value::Null) => json!({}),
        Ok(output) => output,
        Err(refusal) => {
            // Lambda's shapes spell the member differently (botocore's model).
            let capital = ["ResourceNotFoundException", "ResourceInUseException", "ServiceException"];
            let member = if capital.contains(&refusal.code.as_str()) { "Message" } else { "message" };
            let side = if refusal.status >= 500 { "Service" } else { "User" };
            let mut members = error_members(refusal, member);
            members.insert("Type".to_owned(), json!(side));
            Value::Object(members)
        }
    };
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_and_nothing_else() {
        let read = decode(br#"{"a":[1,-2,2.5,"x",true,null,{"b":{}}]}"#).unwrap();
        assert_eq!(read, json!({"a": [1, -2, 2.5, "x", true, null, {"b": {}}]}));
        assert_eq!(decode(b""), Some(json!({})));
        for wrong in [&b"[]"[..], b"5", b"{", b"{} {}", b"\xff", b"{\"a\":1e999}"] {
            assert_eq!(decode(wrong), None, "{}", String::from_utf8_lossy(wrong));
        }
        assert_eq!(decode("[".repeat(100_000).as_bytes()), None);
    }

    #[test]
    fn a_body_of_many_values_is_refused_before_they_fill_the_memory() {
        let many = format!("{{\"a\":[{}{{}}]}}", "{\"\":0},".repeat(super::super::MAX_BODY / 8));
        assert_eq!(decode(many.as_bytes()), None);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(super::super::MAX_BODY));
        assert!(decode(long.as_bytes()).is_some());
    }
}

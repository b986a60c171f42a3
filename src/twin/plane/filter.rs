//! Event filtering: whether what a record carries matches a pattern.
//!
//! Lambda guide, "Control which events Lambda sends to your function" and "Using event filtering with a Kinesis
//! event source": the pattern's `data` is the decoded data; data that is not JSON fails a JSON pattern. Fields are
//! joined by "and", the values of a field and `$or` by "or".

use serde_json::{Value, json};

use super::payload::Payload;

/// Whether the record passes: it matches one of the patterns.
pub(super) fn passes(patterns: &[String], payload: &Payload) -> bool {
    let text = String::from_utf8_lossy(&payload.data);
    let data = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    let event = json!({ "data": data, "partitionKey": payload.key, "kinesisSchemaVersion": "1.0" });
    let pattern = |text: &String| serde_json::from_str(text).unwrap_or(Value::Null);
    patterns.iter().any(|text| matches(&pattern(text), Some(&event)))
}

fn matches(pattern: &Value, value: Option<&Value>) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, inner)| match (name.as_str(), inner) {
            ("$or", Value::Array(ways)) => ways.iter().any(|way| matches(way, value)),
            _ => matches(inner, value.and_then(|value| value.get(name))),
        }),
        Value::Array(ways) => ways.iter().any(|way| match value {
            Some(Value::Array(items)) => items.iter().any(|item| is(way, Some(item))),
            _ => is(way, value),
        }),
        _ => false,
    }
}

/// One way a leaf may match: an exact value, or an operator.
fn is(way: &Value, value: Option<&Value>) -> bool {
    let Some((operator, given)) = way.as_object().and_then(|way| way.iter().next()) else {
        return value == Some(way);
    };
    let text = value.and_then(Value::as_str);
    let wanted = given.as_str().unwrap_or_default();
    match operator.as_str() {
        "exists" => given.as_bool() == Some(value.is_some()),
        "prefix" => text.is_some_and(|text| text.starts_with(wanted)),
        "suffix" => text.is_some_and(|text| text.ends_with(wanted)),
        "equals-ignore-case" => text.is_some_and(|text| text.to_lowercase() == wanted.to_lowercase()),
        "anything-but" => {
            let not = given.as_array().map_or(std::slice::from_ref(given), Vec::as_slice);
            value.is_some_and(|value| !not.iter().any(|other| is(other, Some(value))))
        }
        "numeric" => {
            let (Some(number), Some(bounds)) = (value.and_then(Value::as_f64), given.as_array()) else { return false };
            bounds.chunks(2).all(|bound| match bound {
                [Value::String(sign), limit] => compare(number, sign, limit.as_f64().unwrap_or(f64::NAN)),
                _ => false,
            })
        }
        _ => false,
    }
}

#[allow(clippy::float_cmp, reason = "the pattern asks for the very number")]
fn compare(number: f64, sign: &str, limit: f64) -> bool {
    match sign {
        "=" => number == limit,
        "<" => number < limit,
        "<=" => number <= limit,
        ">" => number > limit,
        ">=" => number >= limit,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_records_by_their_data() {
        let record = |data: &str| Payload { key: "k-1".into(), data: data.as_bytes().to_vec() };
        let score = record(r#"{"race":"a","score":7,"tags":["x","y"],"none":null}"#);
        for (pattern, passed) in [
            (r#"{"data":{"race":["a","b"]}}"#, true),
            (r#"{"data":{"race":["b"]}}"#, false),
            (r#"{"data":{"race":["a"],"score":[{"numeric":[">",5,"<=",7]}]}}"#, true),
            (r#"{"data":{"score":[{"numeric":["<",7]}]}}"#, false),
            (r#"{"data":{"tags":["y"]}}"#, true),
            (r#"{"data":{"none":[null]}}"#, true),
            (r#"{"data":{"missing":[{"exists":false}]}}"#, true),
            (r#"{"data":{"race":[{"anything-but":["a"]}]}}"#, false),
            (r#"{"data":{"race":[{"equals-ignore-case":"A"}]}}"#, true),
            (r#"{"data":{"$or":[{"race":["z"]},{"score":[7]}]}}"#, true),
            (r#"{"partitionKey":[{"prefix":"k-"}]}"#, true),
            (r#"{"partitionKey":[{"suffix":"-2"}]}"#, false),
        ] {
            assert_eq!(passes(&[pattern.to_owned()], &score), passed, "{pattern}");
        }
        let pattern = [r#"{"data":{"race":["a"]}}"#.to_owned()];
        assert!(!passes(&pattern, &record("not JSON")));
        assert!(passes(&[r#"{"data":["plain"]}"#.to_owned()], &record("plain")));
    }
}

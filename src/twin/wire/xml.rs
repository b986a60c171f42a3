//! AWS Query's answers: XML for the members JSON would carry.

#![allow(clippy::format_push_string, reason = "an answer is small")]

use serde_json::Value;

use super::{Answer, Service};
use crate::twin::{millis, timestamp};

/// The answer's body.
pub(super) fn encode(service: Service, operation: &str, answer: Answer, id: &str) -> Vec<u8> {
    let namespace = match service {
        Service::CloudWatch => "http://monitoring.amazonaws.com/doc/2010-08-01/",
        _ => "https://sts.amazonaws.com/doc/2011-06-15/",
    };
    let metadata = format!("<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>");
    let operation = escaped(operation);
    let text = match answer {
        Ok(Value::Null) => {
            format!("<{operation}Response xmlns=\"{namespace}\">{metadata}</{operation}Response>")
        }
        Ok(output) => {
            let mut members = String::new();
            write(&mut members, &output, "");
            format!(
                "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{members}</{operation}Result>\
                 {metadata}</{operation}Response>"
            )
        }
        Err(refusal) => {
            let side = if refusal.status >= 500 { "Receiver" } else { "Sender" };
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{side}</Type><Code>{}</Code>\
                 <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
                escaped(super::query_code(&refusal.code)),
                escaped(&refusal.message)
            )
        }
    };
    text.into_bytes()
}

/// Writes what stands inside the element `member`, or, for a list, inside the list.
fn write(text: &mut String, value: &Value, member: &str) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => *text += if *flag { "true" } else { "false" },
        Value::Number(number) if member == "Timestamps" || member.ends_with("Timestamp") => {
            *text += &timestamp(millis(number.as_f64().unwrap_or_default())).to_string();
        }
        Value::Number(number) => *text += &number.to_string(),
        Value::String(string) => *text += &escaped(string),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item, member)),
        Value::Object(members) => {
            members.iter().filter(|(_, value)| !value.is_null()).for_each(|(name, value)| {
                element(text, name, value, name);
            });
        }
    }
}

fn element(text: &mut String, tag: &str, value: &Value, member: &str) {
    let tag = escaped(tag);
    *text += &format!("<{tag}>");
    write(text, value, member);
    *text += &format!("</{tag}>");
}

/// Text as XML 1.0 can carry it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\t' | '\n' => escaped.push(letter),
            '\r' => escaped += "&#13;",
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if letter < ' ' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::twin::wire::Refusal;

    #[test]
    fn lists_times_and_markup_are_written_as_aws_does() {
        let output = json!({"R": [{"Timestamps": [1_772_438_400.0], "V": 1.5, "L": "<a&\u{1}>"}], "N": null});
        let text = String::from_utf8(encode(Service::CloudWatch, "Op", Ok(output), "i")).unwrap();
        let expected = "<OpResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><OpResult><R><member>\
            <L>&lt;a&amp;\u{fffd}&gt;</L><Timestamps><member>2026-03-02T08:00:00Z</member></Timestamps><V>1.5</V>\
            </member></R></OpResult><ResponseMetadata><RequestId>i</RequestId></ResponseMetadata></OpResponse>";
        assert_eq!(text, expected);
        let refused = encode(Service::Sts, "x", Err(Refusal::new(400, "A", "1 < 2")), "i");
        assert!(String::from_utf8(refused).unwrap().contains("<Message>1 &lt; 2</Message>"));
    }
}

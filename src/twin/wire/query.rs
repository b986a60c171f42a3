//! AWS Query: form parameters to the members JSON would carry. `MetricData.member.1.Dimensions.member.1.Name=x`
//! is a list in a list; what is a number, a flag or a time stands in [`kind`], because the form does not say.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{budget::Budget, text::parameters};

/// Names in one key; CloudWatch's deepest has nine.
const DEPTH: usize = 12;

/// The members of the form, without those that every action has. `None` when a value is not what it should be.
pub(super) fn decode(form: &str) -> Option<Value> {
    let mut budget = Budget::new();
    let mut root = Node::default();
    for (key, value) in parameters(form) {
        if ["Action", "Version"].contains(&key.as_str()) || key.starts_with("X-Amz-") {
            continue;
        }
        let names: Vec<&str> = key.split('.').collect();
        if names.len() > DEPTH {
            return None;
        }
        let mut node = &mut root;
        for name in names {
            budget.map()?;
            budget.member(name.len())?;
            node = node.children.entry(name.to_owned()).or_default();
        }
        budget.text(value.len())?;
        node.text = Some(value);
    }
    root.members("")
}

#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    /// The value of a node that stands as `name` in `container`.
    fn value(self, container: &str, name: &str) -> Option<Value> {
        if self.children.is_empty() {
            return scalar(container, name, self.text.unwrap_or_default());
        }
        self.members(name)
    }

    fn members(mut self, name: &str) -> Option<Value> {
        if let Some(list) = self.children.remove("member") {
            let mut items: Vec<(u64, Node)> = list
                .children
                .into_iter()
                .map(|(index, item)| Some((index.parse().ok()?, item)))
                .collect::<Option<_>>()?;
            items.sort_by_key(|(index, _)| *index);
            let items = items.into_iter().map(|(_, item)| item.value(name, name));
            return Some(Value::Array(items.collect::<Option<_>>()?));
        }
        if let Some(map) = self.children.remove("entry") {
            let entries = map.children.into_values().map(|mut entry| {
                let key = entry.children.remove("key")?.text?;
                Some((key, json!(entry.children.remove("value")?.text?)))
            });
            return Some(Value::Object(entries.collect::<Option<_>>()?));
        }
        let members = self.children.into_iter().map(|(member, node)| {
            let value = node.value(name, &member)?;
            Some((member, value))
        });
        Some(Value::Object(members.collect::<Option<Map<_, _>>>()?))
    }
}

enum Kind {
    Integer,
    Float,
    Flag,
    Time,
    Text,
}

/// Of CloudWatch's inputs (its model of 2010-08-01).
fn kind(container: &str, name: &str) -> Kind {
    match (container, name) {
        (_, "Period" | "MaxDatapoints" | "StorageResolution") => Kind::Integer,
        ("MetricData", "Value")
        | (_, "Values" | "Counts")
        | ("StatisticValues", "SampleCount" | "Sum" | "Minimum" | "Maximum") => Kind::Float,
        (_, "ReturnData" | "IncludeLinkedAccounts" | "StrictEntityValidation") => Kind::Flag,
        (_, "StartTime" | "EndTime" | "Timestamp") => Kind::Time,
        _ => Kind::Text,
    }
}

fn scalar(container: &str, name: &str, text: String) -> Option<Value> {
    Some(match kind(container, name) {
        Kind::Text => Value::String(text),
        Kind::Integer => json!(text.parse::<i64>().ok()?),
        Kind::Float => match text.parse::<f64>().ok()? {
            number if number.is_finite() => json!(number),
            _ => Value::String(text),
        },
        Kind::Flag => json!(match text.as_str() {
            "true" => true,
            "false" => false,
            _ => return None,
        }),
        Kind::Time => {
            let moment = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").parse());
            match moment {
                Ok(moment) => json!(moment.as_millisecond() as f64 / 1000.0),
                Err(_) => json!(text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_what_json_would_say() {
        let form = "Action=PutMetricData&Version=2010-08-01&Namespace=N&MetricData.member.2.MetricName=b\
            &MetricData.member.1.MetricName=a&MetricData.member.1.Dimensions.member.1.Name=D\
            &MetricData.member.1.Dimensions.member.1.Value=7&MetricData.member.1.Value=1.5\
            &MetricData.member.1.Timestamp=2026-03-02T08%3A00%3A00Z&MetricData.member.2.Values.member.1=2\
            &MetricData.member.10.StatisticValues.Sum=3&StrictEntityValidation=true\
            &EntityMetricData.member.1.Entity.Attributes.entry.1.key=k\
            &EntityMetricData.member.1.Entity.Attributes.entry.1.value=v";
        let expected = json!({
            "Namespace": "N", "StrictEntityValidation": true,
            "EntityMetricData": [{"Entity": {"Attributes": {"k": "v"}}}],
            "MetricData": [
                {"MetricName": "a", "Dimensions": [{"Name": "D", "Value": "7"}], "Value": 1.5,
                 "Timestamp": 1_772_438_400.0},
                {"MetricName": "b", "Values": [2.0]},
                {"StatisticValues": {"Sum": 3.0}},
            ],
        });
        assert_eq!(decode(form), Some(expected));
        assert_eq!(
            decode("StartTime=1.5&EndTime=2026-03-02T08:00:00"),
            Some(json!({"StartTime": 1.5, "EndTime": 1_772_438_400.0}))
        );
    }

    #[test]
    fn wrong_forms_are_refused() {
        for wrong in ["Period=x", "ReturnData=1", "StartTime=NaN", "a.member.x=1", &".".repeat(50_000)] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}

//! What the wire must know of CloudWatch's shapes: which members are times, which are doubles (JSON has no NaN:
//! there it is the text "NaN", as in Smithy's JSON protocols).

use serde_json::{Value, json};

/// Members of type timestamp, in inputs and outputs of the four operations.
const TIMESTAMPS: &[&str] = &["Timestamp", "Timestamps", "StartTime", "EndTime"];

/// Members of type double, in inputs and outputs.
const NUMBERS: &[&str] =
    &["Values", "Counts", "Value", "Sum", "Minimum", "Maximum", "SampleCount", "Average", "ExtendedStatistics"];

/// The API's StandardUnit.
pub(super) const UNITS: &[&str] = &[
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

/// Whether a member of this name is a time: epoch seconds in JSON, tag 1 in CBOR, ISO 8601 in XML.
pub(in crate::twin) fn is_timestamp(member: &str) -> bool {
    TIMESTAMPS.contains(&member)
}

/// Whether a member of this name is a double, or a list of doubles.
pub(in crate::twin) fn is_number(member: &str) -> bool {
    NUMBERS.contains(&member)
}

/// The double that this text stands for.
pub(in crate::twin) fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A double as JSON carries it.
pub(in crate::twin) fn number(value: f64) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        value => json!(value),
    }
}

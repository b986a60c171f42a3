//! What can go wrong with published metrics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CloudWatch publishes some minutes late, wrong, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricFault {
    /// First minute concerned, in epoch milliseconds.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// Only this namespace, e.g. `AWS/Lambda`; a `*` at the end stands for any rest.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Only this metric, e.g. `IteratorAge`; a `*` at the end stands for any rest.
    #[serde(default)]
    pub metric: Option<String>,
    /// What happens to them.
    pub trouble: MetricTrouble,
}

/// The ways in which a minute's statistics can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum MetricTrouble {
    /// Published this much later than usual.
    Late {
        /// Seconds more than usual.
        seconds: u32,
    },
    /// Never published.
    Missing,
    /// First published from some of the samples only, corrected later.
    Revised {
        /// Share of the sum and of the sample count that is there at first, in percent, 0 to 100.
        percent: u32,
        /// Seconds after publication until the value is right.
        seconds: u32,
    },
    /// Published as zero: what a reader makes of a missing minute that fills it with zeros.
    Zero,
    /// Published as NaN.
    NotANumber,
    /// Every sample is counted twice: sum and sample count double.
    Duplicated,
}

impl MetricFault {
    /// Whether it concerns this minute of this metric.
    pub(super) fn hits(&self, namespace: &str, metric: &str, minute: i64) -> bool {
        let matches = |pattern: &Option<String>, name: &str| {
            let pattern = pattern.as_deref().unwrap_or("*");
            pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
        };
        (self.from_ms..self.to_ms).contains(&minute)
            && matches(&self.namespace, namespace)
            && matches(&self.metric, metric)
    }
}

//! How many calls a second the control plane takes (Kinesis quotas and limits). Counted per whole second:
//! an assumption. Refused calls count as well: an assumption.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limit;
use crate::twin::wire::Refusal;

/// Whether a rate is for the account or for each stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Account,
    Stream,
}

/// Calls a second of an operation, from the quotas page; the last line's are an assumption.
pub(super) fn rate(operation: &str) -> Option<(u32, Of)> {
    Some(match operation {
        "CreateStream" | "DeleteStream" | "ListStreams" | "AddTagsToStream" | "RegisterStreamConsumer" => {
            (5, Of::Account)
        }
        "GetResourcePolicy" | "PutResourcePolicy" | "DeleteResourcePolicy" | "SplitShard" | "MergeShards" => {
            (5, Of::Account)
        }
        "DescribeLimits" => (1, Of::Account),
        "DescribeStream" | "UpdateShardCount" => (10, Of::Account),
        "DescribeStreamSummary" => (20, Of::Account),
        "ListShards" => (1_000, Of::Stream),
        "DescribeStreamConsumer" => (20, Of::Stream),
        "IncreaseStreamRetentionPeriod" | "DecreaseStreamRetentionPeriod" | "ListTagsForStream" => (5, Of::Stream),
        "RemoveTagsFromStream" | "DeregisterStreamConsumer" | "ListStreamConsumers" => (5, Of::Stream),
        "EnableEnhancedMonitoring" | "DisableEnhancedMonitoring" => (5, Of::Stream),
        "StartStreamEncryption" | "StopStreamEncryption" | "UpdateStreamMode" | "UpdateMaxRecordSize" => {
            (5, Of::Stream)
        }
        "TagResource" | "UntagResource" | "ListTagsForResource" => (5, Of::Account),
        _ => return None,
    })
}

/// Calls of the present second, by operation and stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rates {
    second: i64,
    calls: BTreeMap<String, u32>,
}

impl Rates {
    /// Counts a call at `now_ms`; whether it is within `rate` calls a second.
    pub fn admit(&mut self, now_ms: i64, key: String, rate: u32) -> bool {
        let second = now_ms.div_euclid(1_000);
        if second != self.second {
            (self.second, self.calls) = (second, BTreeMap::new());
        }
        let calls = self.calls.entry(key).or_default();
        *calls = calls.saturating_add(1);
        *calls <= rate
    }
}

/// The refusal of a call above its rate.
pub(super) fn exceeded(account: &str, stream: Option<&str>) -> Refusal {
    match stream {
        Some(stream) => limit(format!("Rate exceeded for stream {stream} under account {account}.")),
        None => limit(format!("Rate exceeded for account {account}.")),
    }
}

//! What the control plane assumes where AWS documents nothing, or documents two things. One place, by name,
//! so that a probe of a real account can correct it. How long things take, and whether a stream can be tagged
//! while UPDATING, is in the world's `Timings`.

use serde::{Deserialize, Serialize};

/// Named assumptions and account quotas of the control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assumptions {
    /// Accepted UpdateShardCount calls per stream in a rolling 24 h (API reference: ten). A refused call does
    /// not count: assumption.
    pub reshards_per_day: usize,
    /// Seconds after a change of deletion protection in which UpdateTable is throttled; published probes saw
    /// about 15.
    pub protection_cooldown_seconds: u32,
    /// Greatest write or read capacity of one table or index (DynamoDB quotas, default).
    pub per_table_maximum: u64,
    /// Sum of provisioned capacity in the account (DynamoDB quotas, default).
    pub per_account_maximum: u64,
    /// Concurrency that must stay unreserved (Lambda quotas).
    pub unreserved_minimum: u32,
    /// Whether the control planes' request rates hold (a bucket of one second's calls: assumption).
    pub enforce_request_rates: bool,
    /// Seconds from a metric's first sample until ListMetrics and SEARCH know it. AWS says "up to 15 minutes":
    /// the value is an assumption.
    pub metric_listing_seconds: u32,
    /// On-demand streams per account (Kinesis quotas, default).
    pub on_demand_streams: usize,
    /// Most shards of an on-demand stream: 200 MB/s, the default ceiling outside the three largest regions.
    pub on_demand_shards: u32,
    /// Seconds between two looks at an on-demand stream, each splitting the shards that took more than 500 KB/s
    /// since the last (developer guide: "within 15 minutes"). Assumption.
    pub on_demand_look_seconds: u32,
    /// Records a second above which a shard of an on-demand stream is split: half its limit. Assumption, the
    /// guide speaks of bytes only.
    pub on_demand_records: u64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            reshards_per_day: 10,
            protection_cooldown_seconds: 15,
            per_table_maximum: 40_000,
            per_account_maximum: 80_000,
            unreserved_minimum: 100,
            enforce_request_rates: true,
            metric_listing_seconds: 180,
            on_demand_streams: 50,
            on_demand_shards: 200,
            on_demand_look_seconds: 300,
            on_demand_records: 500,
        }
    }
}

//! What the control plane assumes where AWS documents nothing, or documents two things. One place, by name,
//! so that a probe of a real account can correct it; a world file may set each under `assumptions`. How long things take, and whether a stream can be tagged
//! while UPDATING, is in the world's `Timings`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::world::FunctionModel;

/// Named assumptions and account quotas of the control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Assumptions {
    /// Accepted UpdateShardCount calls per stream in a rolling 24 h (API reference: ten). A refused call does
    /// not count: assumption.
    pub reshards_per_day: usize,
    /// Seconds after a change of deletion protection in which UpdateTable is throttled; published probes saw
    /// about 15.
    pub protection_cooldown_seconds: u32,
    /// Milliseconds after a change of a table's tags in which another is refused; published probes saw about 2 s.
    pub table_tags_settle_ms: u32,
    /// Seconds of a switch to on-demand of a table that has been on demand before; published probes saw 4–5.
    pub billing_mode_again_seconds: u32,
    /// Seconds until a greater warm throughput is there; published probes saw 272–514.
    pub warm_throughput_seconds: u32,
    /// Seconds between two looks for items past their time to live. AWS says "within a few days". Assumption.
    pub time_to_live_sweep_seconds: u32,
    /// What DynamoDB itself takes for a request for items, in milliseconds. Assumption.
    pub item_latency_ms: u32,
    /// Bytes of memory the twin gives to all items; AWS has no such bound.
    pub stored_item_bytes: u64,
    /// Bytes of the items of one partition key in a table with a local index (DynamoDB quotas: 10 GB).
    pub item_collection_bytes: u64,
    /// Greatest write or read capacity of one table or index (DynamoDB quotas, default).
    pub per_table_maximum: u64,
    /// Sum of provisioned capacity in the account (DynamoDB quotas, default).
    pub per_account_maximum: u64,
    /// Concurrency that must stay unreserved (Lambda quotas).
    pub unreserved_minimum: u32,
    /// Bytes of all deployment packages (Lambda quotas: 75 GB).
    pub code_storage_bytes: u64,
    /// Functions the twin keeps; beyond it CreateFunction answers as for full code storage. Assumption.
    pub functions_maximum: usize,
    /// Event source mappings the twin keeps. Assumption.
    pub mappings_maximum: usize,
    /// Filters of one event source mapping (Lambda guide: five, raisable to ten).
    pub filters_maximum: usize,
    /// Seconds from CreateFunction until the function is Active. Assumption.
    pub function_create_seconds: u32,
    /// Seconds of LastUpdateStatus InProgress; the new settings are in force after them. Assumption.
    pub function_update_seconds: u32,
    /// Seconds in which ListEventSourceMappings does not show a new mapping. Assumption: none.
    pub mapping_list_lag_seconds: u32,
    /// How a function behaves that was created on the wire and that the world does not describe. Assumption.
    pub function: FunctionModel,
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
            table_tags_settle_ms: 2_000,
            billing_mode_again_seconds: 5,
            warm_throughput_seconds: 300,
            time_to_live_sweep_seconds: 3_600,
            item_latency_ms: 5,
            stored_item_bytes: 16 * 1_024 * 1_024,
            item_collection_bytes: 10_000_000_000,
            per_table_maximum: 40_000,
            per_account_maximum: 80_000,
            unreserved_minimum: 100,
            code_storage_bytes: 80_530_636_800,
            functions_maximum: 1_000,
            mappings_maximum: 1_000,
            filters_maximum: 5,
            function_create_seconds: 3,
            function_update_seconds: 3,
            mapping_list_lag_seconds: 0,
            function: FunctionModel { startup_ms: 10, per_record_us: 100, ..FunctionModel::default() },
            enforce_request_rates: true,
            metric_listing_seconds: 180,
            on_demand_streams: 50,
            on_demand_shards: 200,
            on_demand_look_seconds: 300,
            on_demand_records: 500,
        }
    }
}

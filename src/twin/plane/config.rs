//! What the control plane tells the data plane, and what it can see of the shards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a new mapping starts to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// The oldest record.
    TrimHorizon,
    /// Only records that arrive from now on.
    Latest,
    /// The first record at or after this moment, in epoch milliseconds.
    At(i64),
}

/// An event source mapping as the data plane needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingConfig {
    /// Stream name.
    pub stream: String,
    /// Function name.
    pub function: String,
    /// Records per batch, 1–10,000.
    pub batch_size: u32,
    /// Batching window in milliseconds.
    pub window_ms: i64,
    /// Slots per shard, 1–10.
    pub parallelization_factor: u32,
    /// Where it starts; looked at when the mapping is new.
    pub starting_position: Start,
    /// −1 (until expiry) or the number of retries of a failed batch.
    pub max_retries: i64,
    /// −1 (never) or the age in seconds above which a record is given up.
    pub max_age_s: i64,
    /// Split a failed batch in two.
    pub bisect: bool,
    /// Whether it polls and invokes. A disabled mapping keeps its position.
    pub enabled: bool,
    /// The fan-out consumer it reads through, by name; `None` shares the stream's GetRecords limits.
    pub consumer: Option<String>,
    /// Alias the function is invoked by; its metrics appear under it too.
    pub qualifier: Option<String>,
    /// Whether it looks at `batchItemFailures` in the function's answer.
    pub reports_failures: bool,
    /// Length of a tumbling window in milliseconds; 0: none.
    pub tumbling_ms: i64,
    /// Whether given-up records go to a destination.
    pub on_failure: bool,
    /// Filter patterns; a record that matches none of them is done without an invocation.
    pub filters: Vec<String>,
    /// Whether it publishes the EventCount metrics.
    pub counts_events: bool,
}

impl Default for MappingConfig {
    /// Lambda's defaults for Kinesis, from the oldest record on; stream and function without a name.
    fn default() -> Self {
        Self {
            stream: String::new(),
            function: String::new(),
            batch_size: 100,
            window_ms: 0,
            parallelization_factor: 1,
            starting_position: Start::TrimHorizon,
            max_retries: -1,
            max_age_s: -1,
            bisect: false,
            enabled: true,
            consumer: None,
            qualifier: None,
            reports_failures: false,
            tumbling_ms: 0,
            on_failure: false,
            filters: Vec::new(),
            counts_events: false,
        }
    }
}

/// What came of a mapping's latest attempt to invoke its function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastResult {
    /// There was none.
    #[default]
    None,
    /// The function succeeded.
    Ok,
    /// It failed.
    Failed,
    /// Its concurrency did not allow it.
    Throttled,
    /// The function does not exist.
    NoFunction,
    /// The function's role may not read the stream.
    Denied,
}

/// A table as the data plane needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableConfig {
    /// Pay per request: capacities below are ignored.
    pub on_demand: bool,
    /// Read units per second of the table.
    pub read: u64,
    /// Write units per second of the table.
    pub write: u64,
    /// (read, write) units per second of each global secondary index.
    pub gsis: BTreeMap<String, (u64, u64)>,
    /// Number of local secondary indexes.
    pub lsis: u32,
}

/// One shard as ListShards shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardView {
    /// `shardId-000000000000`.
    pub id: String,
    /// The shards it was made from.
    pub parents: Vec<String>,
    /// First hash key, inclusive.
    pub starting_hash: u128,
    /// Last hash key, inclusive.
    pub ending_hash: u128,
    /// Whether it takes records.
    pub open: bool,
    /// When it was opened, in epoch milliseconds.
    pub created_ms: i64,
    /// The number in its id.
    pub number: u32,
    /// When it was closed, in epoch milliseconds.
    pub closed_ms: Option<i64>,
    /// Position of the next record to arrive.
    pub tip: u64,
}

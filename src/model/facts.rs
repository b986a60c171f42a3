//! `Facts`: what AWS says exists, at one moment. Maps are ordered, so equal facts print equal bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::units::{BatchSize, CapacityUnits, Hours, ParallelizationFactor, ShardCount};

/// Everything observed of one pipeline's resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// When the last describe call of this observation was answered.
    pub observed_at: Timestamp,
    /// The account of the caller (STS GetCallerIdentity).
    pub account: String,
    /// The region the clients are bound to.
    pub region: String,
    /// The caller's ARN.
    pub caller: String,
    /// The stream named in the spec, if it exists.
    pub stream: Option<StreamFacts>,
    /// Enhanced fan-out consumers registered on the stream.
    pub fan_out: Vec<FanOutFacts>,
    /// Functions named in the spec that exist, by the name used in the spec.
    pub functions: BTreeMap<String, FunctionFacts>,
    /// Every event source mapping on the stream (ours or not), ordered by UUID.
    pub mappings: Vec<MappingFacts>,
    /// Tables named in the spec that exist, by name.
    pub tables: BTreeMap<String, TableFacts>,
    /// The account's Lambda concurrency limit in this region (GetAccountSettings), when it answered.
    pub account_concurrency: Option<u32>,
    /// The account's shard limit in this region (DescribeLimits), when it answered.
    pub shard_limit: Option<u32>,
}

impl Facts {
    /// The mapping on this stream (or on a fan-out consumer of it) that invokes this function, by its name in the
    /// spec, and this alias or version. Of the two that there are while a consumer is moved, the one that reads.
    pub fn mapping_to(&self, function: &str, alias: Option<&str>) -> Option<&MappingFacts> {
        let arn = &self.functions.get(function)?.arn;
        let wanted = alias.map_or_else(|| arn.clone(), |alias| format!("{arn}:{alias}"));
        let found = self.mappings.iter().filter(|mapping| mapping.function_arn == wanted);
        found.min_by_key(|mapping| !mapping.state.reads())
    }

    /// [`Self::mapping_to`], also when the function is gone and its mapping is not.
    pub fn mapping_named(&self, function: &str, alias: Option<&str>) -> Option<&MappingFacts> {
        let named = |mapping: &&MappingFacts| {
            mapping.function_name().as_deref() == Some(function) && mapping.function_alias().as_deref() == alias
        };
        self.mapping_to(function, alias).or_else(|| self.mappings.iter().find(named))
    }
}

/// The life cycle of a stream, table, index or fan-out consumer. AWS accepts changes when `Active` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LifecycleStatus {
    /// Being created.
    Creating,
    /// Settled: it may be changed.
    Active,
    /// A change is in progress.
    Updating,
    /// Being deleted.
    Deleting,
    /// A state that this version does not know (archived, no access to the key, …): never changed.
    Other,
}

/// Kinesis capacity mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamMode {
    /// Shards are counted and paid for.
    Provisioned,
    /// AWS scales; billed by volume.
    OnDemand,
}

impl StreamMode {
    /// As the spec spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::OnDemand => "onDemand",
        }
    }
}

/// A Kinesis data stream (DescribeStreamSummary + ListTagsForStream).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFacts {
    /// Stream name.
    pub name: String,
    /// Stream ARN.
    pub arn: String,
    /// CREATING, ACTIVE, UPDATING or DELETING.
    pub status: LifecycleStatus,
    /// Capacity mode.
    pub mode: StreamMode,
    /// Open shards (closed ones inside retention are not counted).
    pub open_shards: ShardCount,
    /// The open shards themselves; empty unless they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardFacts>,
    /// Retention.
    pub retention: Hours,
    /// The KMS key, when server-side encryption is on.
    pub encryption_key: Option<String>,
    /// Enhanced (shard-level) metrics switched on.
    pub shard_level_metrics: Vec<String>,
    /// Creation time: with the ARN it tells a recreated stream from the one we knew.
    pub created_at: Option<Timestamp>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl StreamFacts {
    /// How many shards as wide as the widest one would make the stream; all open ones where their ranges are not known.
    /// With keys that spread evenly the widest shard is full when that many would be.
    pub fn even_shards(&self) -> f64 {
        let widest = self.shards.iter().filter_map(ShardFacts::width).max();
        widest.map_or(f64::from(self.open_shards.get()), |width| u128::MAX as f64 / (width as f64).max(1.0))
    }
}

/// An open shard (ListShards).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardFacts {
    /// Shard id.
    pub id: String,
    /// First hash key of its range, as AWS writes it: decimal, up to 2^128 - 1.
    pub starting_hash_key: String,
    /// Last hash key of its range.
    pub ending_hash_key: String,
}

impl ShardFacts {
    /// Hash keys after the first of its range; `None` when AWS wrote no range of numbers.
    pub fn width(&self) -> Option<u128> {
        let (first, last): (u128, u128) = (self.starting_hash_key.parse().ok()?, self.ending_hash_key.parse().ok()?);
        last.checked_sub(first)
    }
}

/// A registered enhanced fan-out consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FanOutFacts {
    /// Consumer name.
    pub name: String,
    /// Consumer ARN; it ends in the creation time, so registering again gives another one.
    pub arn: String,
    /// CREATING, ACTIVE or DELETING.
    pub status: LifecycleStatus,
    /// Tags; empty when the service could not be asked.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A Lambda function (GetFunction).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionFacts {
    /// Function name.
    pub name: String,
    /// Unqualified function ARN.
    pub arn: String,
    /// Timeout in seconds, 1–900.
    pub timeout_seconds: u32,
    /// Memory in MB, 128–10,240.
    pub memory_mb: u32,
    /// Reserved concurrency, if any.
    pub reserved_concurrency: Option<u32>,
}

/// The state of an event source mapping. Changes are accepted when `Enabled` or `Disabled` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MappingState {
    /// Being created.
    Creating,
    /// Polling is starting.
    Enabling,
    /// Settled and polling.
    Enabled,
    /// Polling is stopping.
    Disabling,
    /// Settled and not polling; the position is kept.
    Disabled,
    /// A change is in progress.
    Updating,
    /// Being deleted.
    Deleting,
    /// A state that this version does not know: never changed.
    Other,
}

impl MappingState {
    /// Whether AWS accepts a change now.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Enabled | Self::Disabled)
    }

    /// Whether it polls, or soon will.
    pub fn reads(self) -> bool {
        matches!(self, Self::Creating | Self::Enabling | Self::Enabled | Self::Updating)
    }
}

/// A Lambda event source mapping on the stream (ListEventSourceMappings + ListTags).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingFacts {
    /// UUID.
    pub uuid: String,
    /// Mapping ARN, when the service reports it.
    pub arn: Option<String>,
    /// Function ARN it invokes (may be qualified).
    pub function_arn: String,
    /// Stream ARN (shared) or consumer ARN (enhanced fan-out).
    pub source_arn: String,
    /// State.
    pub state: MappingState,
    /// Records per batch.
    pub batch_size: BatchSize,
    /// Maximum batching window in seconds, 0–300.
    pub maximum_batching_window_seconds: u32,
    /// Concurrent batches per shard.
    pub parallelization_factor: ParallelizationFactor,
    /// `TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP`; cannot be changed.
    pub starting_position: String,
    /// Tumbling window in seconds, 0–900.
    pub tumbling_window_seconds: u32,
    /// −1 (until expiry) to 10,000.
    pub maximum_retry_attempts: i32,
    /// −1 (never) or 60–604,800.
    pub maximum_record_age_seconds: i32,
    /// Split a failed batch in two.
    pub bisect_batch_on_function_error: bool,
    /// `ReportBatchItemFailures` is on.
    pub report_batch_item_failures: bool,
    /// On-failure destination ARN.
    pub on_failure: Option<String>,
    /// Filter patterns, as JSON text. Empty, too, where a key encrypts them: the listing hides them then (Lambda API
    /// reference, EventSourceMappingConfiguration).
    pub filter_criteria: Vec<String>,
    /// The KMS key that encrypts the filter patterns.
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// Metrics of the mapping itself that are switched on (`EventCount` is the only one for Kinesis).
    #[serde(default)]
    pub metrics: Vec<String>,
    /// When it was created or last changed.
    pub last_modified: Option<Timestamp>,
    /// LastProcessingResult: `OK`, `No records processed` or `PROBLEM: …`; free text.
    #[serde(default)]
    pub last_processing_result: Option<String>,
    /// Tags; empty when the service could not be asked.
    pub tags: BTreeMap<String, String>,
}

impl MappingFacts {
    /// The name of the function it invokes, without account, region and alias.
    pub fn function_name(&self) -> Option<String> {
        self.function_arn.split(':').nth(6).map(str::to_owned)
    }

    /// The alias or version that it invokes, if it names one.
    pub fn function_alias(&self) -> Option<String> {
        self.function_arn.split(':').nth(7).map(str::to_owned)
    }
}

/// DynamoDB billing mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BillingMode {
    /// Capacity units are reserved and paid for.
    Provisioned,
    /// Pay per request.
    OnDemand,
}

impl BillingMode {
    /// As the spec spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::OnDemand => "onDemand",
        }
    }
}

/// Provisioned throughput of a table or index and what is left of its decrease budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityFacts {
    /// Read capacity units; 0 on demand.
    pub read: CapacityUnits,
    /// Write capacity units; 0 on demand.
    pub write: CapacityUnits,
    /// NumberOfDecreasesToday: decreases already made in this UTC day.
    pub decreases_today: u32,
    /// LastDecreaseDateTime.
    pub last_decrease: Option<Timestamp>,
}

/// A DynamoDB table (DescribeTable + DescribeContinuousBackups + DescribeTimeToLive + ListTagsOfResource).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableFacts {
    /// Table name.
    pub name: String,
    /// Table ARN.
    pub arn: String,
    /// TableId: differs when a table of the same name was recreated.
    pub id: Option<String>,
    /// TableStatus.
    pub status: LifecycleStatus,
    /// Billing mode.
    pub billing_mode: BillingMode,
    /// Throughput of the table itself.
    pub capacity: CapacityFacts,
    /// Partition key as `NAME:TYPE`, e.g. `PK:S`.
    pub partition_key: String,
    /// Sort key as `NAME:TYPE`.
    pub sort_key: Option<String>,
    /// Global secondary indexes, ordered by name.
    pub global_secondary_indexes: BTreeMap<String, IndexFacts>,
    /// Local secondary index names, ordered.
    pub local_secondary_indexes: Vec<String>,
    /// StreamViewType when the table's stream is enabled.
    pub stream_view_type: Option<String>,
    /// TTL attribute when enabled.
    pub time_to_live: Option<String>,
    /// Point-in-time recovery.
    pub point_in_time_recovery: bool,
    /// Deletion protection.
    pub deletion_protection: bool,
    /// OnDemandThroughput.MaxWriteRequestUnits: the write units/s somebody allows an on-demand table, if so.
    #[serde(default)]
    pub on_demand_maximum_write: Option<u64>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexFacts {
    /// Index name.
    pub name: String,
    /// IndexStatus.
    pub status: LifecycleStatus,
    /// Partition key as `NAME:TYPE`.
    pub partition_key: String,
    /// Sort key as `NAME:TYPE`.
    pub sort_key: Option<String>,
    /// Its own throughput and decrease budget.
    pub capacity: CapacityFacts,
}

impl TableFacts {
    /// Whether table and every index are ACTIVE, so that UpdateTable is accepted.
    pub fn is_settled(&self) -> bool {
        self.status == LifecycleStatus::Active
            && self.global_secondary_indexes.values().all(|index| index.status == LifecycleStatus::Active)
    }
}

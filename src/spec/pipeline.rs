//! `Pipeline`: the validated spec. What is in here has passed every check of `validate`, so the rooms
//! behind it cannot fail on it: bounds are ordered, references resolve, ranges are AWS's.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::calendar::{Freeze, ScheduledLoad};
use crate::model::{
    BatchSize, BillingMode, Bounds, CapacityUnits, Hours, ParallelizationFactor, ShardCount, StreamMode,
};

/// One pipeline, as the user wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// `metadata.name`; also the value of the ownership tag.
    pub name: String,
    /// Region override: as written, or of a function's ARN when that is all there is.
    pub region: Option<String>,
    /// Accounts this spec may be used in; empty: any. A function's ARN fills it when it is not written.
    pub expected_account_ids: Vec<String>,
    /// Whether anything may be written.
    pub management: Management,
    /// Extra tags for everything created.
    pub tags: BTreeMap<String, String>,
    /// The stream.
    pub stream: StreamSpec,
    /// Our consumers, in the order of the file.
    pub consumers: Vec<ConsumerSpec>,
    /// Readers that share the stream and are not ours.
    pub external_consumers: Vec<ExternalConsumer>,
    /// Tables, in the order of the file.
    pub tables: Vec<TableSpec>,
    /// What the scaler aims at.
    pub objectives: Objectives,
    /// How it gets there.
    pub scaling: ScalingSpec,
}

/// `management`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Management {
    /// Create, change, scale, delete.
    Full,
    /// Never writes.
    Observe,
}

/// What to do when a resource exists without our tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdoptionPolicy {
    /// Leave it alone and say so.
    Refuse,
    /// Tag it and manage it.
    Adopt,
}

/// What `destroy` does with a stateful resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeletionPolicy {
    /// Keep it.
    Retain,
    /// Delete it, when the person confirms the name.
    Delete,
}

/// Server-side encryption of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encryption {
    /// None.
    None,
    /// `alias/aws/kinesis`.
    AwsManaged,
    /// A key ARN or alias.
    Key(String),
}

/// The Kinesis data stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSpec {
    /// Stream name.
    pub name: String,
    /// Capacity mode.
    pub mode: StreamMode,
    /// Open shards.
    pub shards: Bounds<ShardCount>,
    /// Retention.
    pub retention: Bounds<Hours>,
    /// Enhanced metrics to switch on.
    pub shard_level_metrics: Vec<String>,
    /// Encryption.
    pub encryption: Encryption,
    /// When it exists without our tag.
    pub adoption_policy: AdoptionPolicy,
    /// On `destroy`.
    pub deletion_policy: DeletionPolicy,
}

/// How a consumer reads the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Delivery {
    /// The operator chooses: shared until fan-out is needed and is the cheaper way, for idempotent consumers only.
    Auto,
    /// GetRecords, 2 MiB/s a shard shared by all readers.
    Shared,
    /// SubscribeToShard, 2 MiB/s a shard of its own.
    EnhancedFanOut,
}

/// Where a new mapping starts to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartingPosition {
    /// The oldest record.
    TrimHorizon,
    /// The newest: records that arrive before polling starts are skipped.
    Latest,
    /// The first record at or after this moment.
    AtTimestamp(Timestamp),
}

impl StartingPosition {
    /// As AWS writes it: `AT_TIMESTAMP 2026-01-31T12:00:00Z`.
    pub fn words(&self) -> String {
        match self {
            Self::TrimHorizon => "TRIM_HORIZON".to_owned(),
            Self::Latest => "LATEST".to_owned(),
            Self::AtTimestamp(at) => format!("AT_TIMESTAMP {at}"),
        }
    }
}

/// One of our consumers: a function and its event source mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerSpec {
    /// Name inside the spec.
    pub name: String,
    /// Function name, without account, region or alias.
    pub function: String,
    /// Alias or version, when given.
    pub alias: Option<String>,
    /// Delivery.
    pub delivery: Delivery,
    /// Concurrent batches per shard.
    pub parallelization_factor: Bounds<ParallelizationFactor>,
    /// Records per batch.
    pub batch_size: Bounds<BatchSize>,
    /// Seconds, 0–300.
    pub maximum_batching_window_seconds: u32,
    /// Start of a new mapping.
    pub starting_position: StartingPosition,
    /// Seconds, 0–900.
    pub tumbling_window_seconds: u32,
    /// −1 or 0–10,000.
    pub maximum_retry_attempts: i32,
    /// −1 or 60–604,800 s.
    pub maximum_record_age_seconds: i32,
    /// Split a failed batch.
    pub bisect_batch_on_function_error: bool,
    /// `ReportBatchItemFailures`.
    pub report_batch_item_failures: bool,
    /// SQS, SNS or S3 ARN.
    pub on_failure: Option<String>,
    /// JSON patterns.
    pub filter_criteria: Vec<String>,
    /// Whether re-reading records is harmless.
    pub idempotent: bool,
    /// `false`: never more than one invocation at a time over all shards.
    pub concurrency_safe: bool,
    /// Tables whose capacity bounds this consumer.
    pub writes_to: Vec<String>,
}

/// A reader that shares the stream and is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalConsumer {
    /// Name, for messages.
    pub name: String,
    /// What it is, e.g. `firehose`.
    pub kind: String,
}

/// A key attribute, `NAME:TYPE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyAttribute {
    /// Attribute name.
    pub name: String,
    /// `S`, `N` or `B`.
    pub kind: String,
}

impl std::fmt::Display for KeyAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.kind)
    }
}

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSpec {
    /// Table name.
    pub name: String,
    /// Billing mode.
    pub billing_mode: Billing,
    /// Partition key.
    pub partition_key: KeyAttribute,
    /// Sort key.
    pub sort_key: Option<KeyAttribute>,
    /// Write capacity of the table; pinned at 0 on demand.
    pub write_capacity: Bounds<CapacityUnits>,
    /// Read capacity of the table; pinned at 0 on demand.
    pub read_capacity: Bounds<CapacityUnits>,
    /// Global secondary indexes.
    pub global_secondary_indexes: Vec<GlobalIndexSpec>,
    /// Local secondary indexes.
    pub local_secondary_indexes: Vec<LocalIndexSpec>,
    /// StreamViewType, when the table has a stream.
    pub stream_view_type: Option<String>,
    /// TTL attribute.
    pub time_to_live: Option<String>,
    /// Point-in-time recovery.
    pub point_in_time_recovery: bool,
    /// Deletion protection.
    pub deletion_protection: bool,
    /// When it exists without our tag.
    pub adoption_policy: AdoptionPolicy,
    /// On `destroy`.
    pub deletion_policy: DeletionPolicy,
}

/// How a table is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Billing {
    /// Always provisioned.
    Provisioned,
    /// Always on demand.
    OnDemand,
    /// The cheaper one, from what was measured.
    Auto,
}

impl Billing {
    /// The mode that a new table begins in: what exists is kept by `auto`, what does not begins provisioned.
    pub fn initial(self) -> BillingMode {
        if self == Self::OnDemand { BillingMode::OnDemand } else { BillingMode::Provisioned }
    }
}

impl From<BillingMode> for Billing {
    fn from(mode: BillingMode) -> Self {
        match mode {
            BillingMode::Provisioned => Self::Provisioned,
            BillingMode::OnDemand => Self::OnDemand,
        }
    }
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GlobalIndexSpec {
    /// Index name.
    pub name: String,
    /// Partition key.
    pub partition_key: KeyAttribute,
    /// Sort key.
    pub sort_key: Option<KeyAttribute>,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE` with attributes.
    pub projection: Projection,
    /// Write capacity; pinned at 0 on demand.
    pub write_capacity: Bounds<CapacityUnits>,
    /// Read capacity; pinned at 0 on demand.
    pub read_capacity: Bounds<CapacityUnits>,
}

/// A local secondary index; it shares the table's partition key and capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalIndexSpec {
    /// Index name.
    pub name: String,
    /// Sort key.
    pub sort_key: KeyAttribute,
    /// Projection.
    pub projection: Projection,
}

/// Which attributes an index carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Projection {
    /// All attributes.
    All,
    /// Keys only.
    KeysOnly,
    /// Keys and these.
    Include(Vec<String>),
}

/// What the scaler aims at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// Greatest tolerable iterator age.
    pub iterator_age: SignedDuration,
    /// Time in which a backlog should be drained.
    pub recovery: SignedDuration,
    /// Dollars a calendar month (UTC) that streams, tables and fan-out consumers at rest may cost: what would cost more is
    /// not raised, and a plan warns of it.
    pub monthly_budget_usd: Option<f64>,
}

/// How the scaler gets there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalingSpec {
    /// Name of a built-in policy or path of a policy file, as written; `spec::policy` resolves it.
    pub policy: String,
    /// Loads that are known beforehand.
    pub schedule: Vec<ScheduledLoad>,
    /// When nothing is raised or lowered.
    pub freeze: Vec<Freeze>,
    /// What may be done, in this order, when all UpdateShardCount calls are used and records are rejected.
    pub break_glass: Vec<BreakGlass>,
}

impl Default for ScalingSpec {
    /// The standard policy, nothing scheduled or frozen, no break-glass.
    fn default() -> Self {
        Self { policy: "balanced".to_owned(), schedule: Vec::new(), freeze: Vec::new(), break_glass: Vec::new() }
    }
}

/// A way out when the budget of UpdateShardCount is used up. Each is opt-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BreakGlass {
    /// SplitShard, one shard a pass: it is not counted with UpdateShardCount.
    SplitShard,
    /// UpdateStreamMode to on-demand, and back once a day has passed and the load fits.
    OnDemand,
}

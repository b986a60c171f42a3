//! `Plan`, `Change`, `Step`: a plan is data; every text is a rendering of it.

use std::{collections::BTreeMap, fmt::Display};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    model::{
        BatchSize, BillingMode, CapacityUnits, Hours, ParallelizationFactor, ResourceId, ShardCount, StreamMode,
        UsdPerHour,
    },
    spec::{GlobalIndexSpec, StartingPosition},
};

/// What would change, in the order in which it would be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// `major.minor`; readers ignore unknown keys and refuse an unknown major.
    pub format_version: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Account it was made for.
    pub account: String,
    /// Region it was made for.
    pub region: String,
    /// Observation it was made from.
    pub observed_at: Timestamp,
    /// Changes, in order. Empty: nothing to do.
    pub changes: Vec<Change>,
    /// What the spec asks for and the plan refuses, with the reason.
    pub blocked: Vec<Blocked>,
    /// Resources that are as the spec wants them.
    pub unchanged: Vec<ResourceId>,
    /// Values inside their bounds that belong to the scaler, e.g. `stream/x shards = 5 in [2, 32]`.
    pub owned_by_scaler: Vec<String>,
    /// Cost before and after.
    pub cost: CostEstimate,
    /// Things worth a warning that block nothing.
    pub warnings: Vec<String>,
    /// The name a person confirmed for deleting stateful resources. Nothing stateful is deleted without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_name: Option<String>,
}

impl Plan {
    /// Whether nothing would be called.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Cost of the pipeline's configuration at rest and per month, without traffic charges.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CostEstimate {
    /// As observed.
    #[serde(rename = "beforeUsdPerHour")]
    pub before: UsdPerHour,
    /// With the plan applied.
    #[serde(rename = "afterUsdPerHour")]
    pub after: UsdPerHour,
}

/// What happens to one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// A setting changes.
    Update,
    /// A scaled value changes.
    Scale,
    /// It exists untagged and becomes ours.
    Adopt,
    /// Delete and create anew: an immutable setting changes. Only a mapping's delivery: see `fan_out`.
    Replace,
    /// It goes.
    Delete,
}

/// How dangerous a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Risk {
    /// Nothing is interrupted.
    None,
    /// Consumption may pause or records may be read twice.
    Interrupts,
    /// Data may be lost.
    LosesData,
}

/// Whose value a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// The spec says it.
    Spec,
    /// The scaler chose it, inside the spec's bounds.
    Scaler,
}

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The spec's name for it, e.g. `shards`, `writeCapacity`.
    pub path: String,
    /// Live value; none on creation.
    pub before: Option<String>,
    /// New value; none on deletion.
    pub after: Option<String>,
    /// Whose value it is.
    pub owner: Owner,
    /// Why.
    pub reason: String,
}

impl FieldChange {
    /// A value that the sizing sets.
    pub(super) fn scaled(path: &str, before: impl Display, after: impl Display, reason: &str) -> Self {
        Self {
            path: path.to_owned(),
            before: Some(before.to_string()),
            after: Some(after.to_string()),
            owner: Owner::Scaler,
            reason: reason.to_owned(),
        }
    }
}

/// Use of a quota by a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaUse {
    /// E.g. `UpdateShardCount per 24 h`.
    pub quota: String,
    /// Calls this change takes.
    pub takes: u32,
    /// Known to be used before it.
    pub used: u32,
    /// The limit.
    pub limit: u32,
}

/// What happens to one resource, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Which.
    pub resource: ResourceId,
    /// What.
    pub action: Action,
    /// Why, in one sentence.
    pub reason: String,
    /// The fields.
    pub fields: Vec<FieldChange>,
    /// The API calls, in order; each waits until the resource has settled from the one before.
    pub steps: Vec<Step>,
    /// Risk.
    pub risk: Risk,
    /// Quotas it draws on.
    pub quota: Vec<QuotaUse>,
    /// How long it usually takes until it is settled.
    pub expected: SignedDuration,
    /// What its first call waits for, if not only for the resource itself to settle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// Cost difference.
    #[serde(rename = "costDeltaUsdPerHour")]
    pub cost_delta: UsdPerHour,
}

/// Something the spec asks for and the plan refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// Which resource.
    pub resource: ResourceId,
    /// Stable code, e.g. `AC0207`.
    pub code: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl Blocked {
    /// Whether `apply` must not start because of it: someone else's resource, a missing function, a difference that
    /// cannot be changed. The others (a used-up budget, something `destroy` retains) hold back their own value only.
    pub fn is_conflict(&self) -> bool {
        super::codes::is_conflict(&self.code)
    }
}

/// One mutating API call with everything it needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "call")]
#[expect(missing_docs, reason = "the fields carry the names of the API parameters")]
pub enum Step {
    /// kinesis:CreateStream (provisioned) with tags.
    CreateStream { stream: String, shards: ShardCount, tags: BTreeMap<String, String> },
    /// kinesis:AddTagsToStream.
    TagStream { stream: String, tags: BTreeMap<String, String> },
    /// kinesis:IncreaseStreamRetentionPeriod.
    IncreaseRetention { stream: String, retention: Hours },
    /// kinesis:DecreaseStreamRetentionPeriod.
    DecreaseRetention { stream: String, retention: Hours },
    /// kinesis:UpdateShardCount; the driver writes the ledger and its tag before it.
    UpdateShardCount { stream: String, from: ShardCount, to: ShardCount },
    /// kinesis:SplitShard: one shard becomes two, `to` in all. Break-glass only.
    SplitShard { stream: String, shard: String, new_hash_key: String, to: ShardCount },
    /// kinesis:RegisterStreamConsumer with tags.
    RegisterStreamConsumer { stream: String, consumer: String, tags: BTreeMap<String, String> },
    /// kinesis:TagResource on a fan-out consumer.
    TagStreamConsumer { stream: String, consumer: String, arn: String, tags: BTreeMap<String, String> },
    /// kinesis:DeregisterStreamConsumer.
    DeregisterStreamConsumer { stream: String, consumer: String, arn: String },
    /// kinesis:UpdateStreamMode. Break-glass, and back.
    UpdateStreamMode { stream: String, to: StreamMode },
    /// kinesis:DeleteStream.
    DeleteStream { stream: String },
    /// dynamodb:CreateTable with indexes and tags.
    CreateTable(Box<NewTable>),
    /// dynamodb:UpdateTable, throughput of the table and of indexes. Numbers that do not change are sent as they
    /// are re-read just before the call.
    UpdateCapacity(CapacityChange),
    /// dynamodb:UpdateTable, billing mode; to provisioned with the throughput of the table and of every index.
    UpdateBillingMode { to: BillingMode, capacity: CapacityChange },
    /// dynamodb:UpdateTable, one index created.
    CreateIndex { table: String, index: NewIndex },
    /// dynamodb:UpdateTable, stream switched on or off.
    UpdateTableStream { table: String, view_type: Option<String> },
    /// dynamodb:UpdateTable, deletion protection.
    UpdateDeletionProtection { table: String, enabled: bool },
    /// dynamodb:UpdateContinuousBackups.
    UpdatePointInTimeRecovery { table: String, enabled: bool },
    /// dynamodb:UpdateTimeToLive.
    UpdateTimeToLive { table: String, attribute: String, enabled: bool },
    /// dynamodb:TagResource.
    TagTable { table: String, arn: String, tags: BTreeMap<String, String> },
    /// dynamodb:DeleteTable.
    DeleteTable { table: String },
    /// lambda:CreateEventSourceMapping with tags.
    CreateMapping(Box<NewMapping>),
    /// lambda:UpdateEventSourceMapping; only what is set changes.
    UpdateMapping(Box<MappingChange>),
    /// lambda:TagResource on the mapping.
    TagMapping { consumer: String, arn: String, tags: BTreeMap<String, String> },
    /// lambda:DeleteEventSourceMapping.
    DeleteMapping { consumer: String, uuid: String },
}

/// A table to be created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewTable {
    /// Its spec: keys, indexes, stream, protection.
    pub spec: crate::spec::TableSpec,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An index to be created on an existing table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewIndex {
    /// Its spec.
    pub spec: GlobalIndexSpec,
    /// Whether the table is provisioned (then the index needs throughput).
    pub provisioned: bool,
}

/// New throughput of a table and its indexes, in one UpdateTable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityChange {
    /// Table.
    pub table: String,
    /// (read, write) of the table, when either changes.
    pub capacity: Option<(CapacityUnits, CapacityUnits)>,
    /// Indexes that change.
    pub indexes: Vec<IndexCapacityChange>,
}

/// New throughput of one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexCapacityChange {
    /// Index.
    pub index: String,
    /// Read capacity units.
    pub read: CapacityUnits,
    /// Write capacity units.
    pub write: CapacityUnits,
}

/// A mapping to be created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewMapping {
    /// Consumer name in the spec.
    pub consumer: String,
    /// Function name, qualified with the alias when the spec has one (`name:alias`).
    pub function: String,
    /// ARN of the stream or of the fan-out consumer; known only once that exists, so the driver fills it from the
    /// facts when absent.
    pub source_arn: Option<String>,
    /// The fan-out consumer it reads through, by name; none: it polls the stream.
    #[serde(default)]
    pub fan_out_consumer: Option<String>,
    /// Start.
    pub starting_position: StartingPosition,
    /// All other settings.
    pub settings: MappingChange,
    /// The KMS key that encrypts the filter patterns; copied by a move, because the spec does not name it.
    #[serde(default)]
    pub kms_key_arn: Option<String>,
    /// Metrics of the mapping itself; copied likewise.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Settings of a mapping; `None` leaves a setting as it is (AWS's own rule for UpdateEventSourceMapping).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingChange {
    /// Consumer name in the spec.
    pub consumer: String,
    /// UUID; empty on creation.
    pub uuid: String,
    /// Records per batch.
    pub batch_size: Option<BatchSize>,
    /// Concurrent batches per shard.
    pub parallelization_factor: Option<ParallelizationFactor>,
    /// Seconds.
    pub maximum_batching_window_seconds: Option<u32>,
    /// Seconds.
    pub tumbling_window_seconds: Option<u32>,
    /// −1 or 0–10,000.
    pub maximum_retry_attempts: Option<i32>,
    /// −1 or 60–604,800 s.
    pub maximum_record_age_seconds: Option<i32>,
    /// Split a failed batch.
    pub bisect_batch_on_function_error: Option<bool>,
    /// `ReportBatchItemFailures`.
    pub report_batch_item_failures: Option<bool>,
    /// ARN, or the empty string to clear it.
    pub on_failure: Option<String>,
    /// Patterns; empty clears them.
    pub filter_criteria: Option<Vec<String>>,
    /// `false` disables polling and keeps the position.
    pub enabled: Option<bool>,
}

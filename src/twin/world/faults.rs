//! The parts of a world file in which things go wrong or are there already: faults, other hands, late metrics,
//! resources that exist from the start. Pure data; `trouble.rs` plays it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::twin::MetricTrouble;

/// What goes wrong with some of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// `service:Operation` as in IAM. A `*` at the end stands for any rest: `kinesis:Describe*`, `*`.
    #[serde(default = "any")]
    pub operation: String,
    /// Only these of its calls, by number from 1; empty: all of them. Calls are counted from the world's start.
    #[serde(default)]
    pub calls: Vec<u64>,
    /// Not before this many seconds after the world's start.
    #[serde(default)]
    pub from_seconds: u32,
    /// Not at and after this many seconds after the world's start.
    #[serde(default)]
    pub to_seconds: Option<u32>,
    /// Chance of each call that is meant, 0 to 1.
    #[serde(default = "always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: f64,
    /// What happens.
    pub effect: FaultEffect,
}

/// The ways in which a request can go wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum FaultEffect {
    /// The connection breaks before AWS sees the request.
    LostBefore,
    /// AWS does it and the answer is lost.
    LostAfter,
    /// The request arrives twice, at one moment; the caller sees the second answer.
    Duplicate,
    /// AWS answers with an error.
    Error {
        /// Any error code that AWS documents, e.g. `LimitExceededException`.
        code: String,
        /// Its text; absent: a usual one.
        #[serde(default)]
        message: Option<String>,
        /// HTTP status; absent: the one that goes with the code.
        #[serde(default)]
        #[schemars(range(min = 400, max = 599))]
        status: Option<u16>,
        /// Seconds in a `Retry-After` header; absent: no such header.
        #[serde(default)]
        retry_after_seconds: Option<u32>,
        /// AWS does what was asked all the same.
        #[serde(default)]
        has_effect: bool,
    },
    /// A Describe…, List… or Get… of the control plane shows what was true so many seconds ago: an old version,
    /// or a list without the newest item.
    Stale {
        /// Age of the answer in seconds, 1 to 60.
        #[schemars(range(min = 1, max = 60))]
        seconds: u32,
    },
    /// An UpdateShardCount that AWS accepts ends short of its target, as public reports say it may.
    EndsShort {
        /// How much of the way is gone, in percent, 0 to 99; rounded towards where it began.
        #[schemars(range(min = 0, max = 99))]
        percent: u32,
    },
    /// The change that the call starts takes this long.
    SlowSettle {
        /// Seconds, 1 to 3,600.
        #[schemars(range(min = 1, max = 3600))]
        seconds: u32,
    },
    /// The change is undone later, as if by another user: of UpdateShardCount, UpdateTable,
    /// UpdateEventSourceMapping, PutFunctionConcurrency.
    Revert {
        /// Seconds after the call, 1 to 3,600. While the resource is in transition, it is tried again.
        #[schemars(range(min = 1, max = 3600))]
        seconds: u32,
    },
    /// The answer's `Date` header is wrong: AWS's clock and the client's differ.
    ClockSkew {
        /// Seconds ahead (or behind, when negative) of the true time.
        #[schemars(range(min = -86400, max = 86400))]
        seconds: i64,
    },
}

/// A call that somebody else makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Act {
    /// Seconds after the world's start.
    pub at_seconds: u32,
    /// `service:Operation` as in IAM, e.g. `kinesis:DeleteStream`.
    pub operation: String,
    /// Its members as in the API reference. `${account}` and `${region}` in text stand for the world's. For a
    /// change of an event source mapping, `FunctionName` may stand instead of its `UUID`.
    #[serde(default)]
    pub input: Value,
}

/// CloudWatch publishes the minutes of a time late, wrong, or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricOutage {
    /// First second concerned, after the world's start.
    pub from_seconds: u32,
    /// End, exclusive, in seconds after the world's start.
    pub to_seconds: u32,
    /// Only this namespace, e.g. `AWS/Lambda`; a `*` at the end stands for any rest; absent: all.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Only this metric, e.g. `IteratorAge`; a `*` at the end stands for any rest; absent: all.
    #[serde(default)]
    pub metric: Option<String>,
    /// What happens to them.
    pub trouble: MetricTrouble,
}

/// What a KMS key answers to those who use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeyState {
    /// It works.
    Enabled,
    /// KMSDisabledException.
    Disabled,
    /// KMSInvalidStateException.
    PendingDeletion,
    /// KMSAccessDeniedException.
    Denied,
    /// KMSThrottlingException.
    Throttled,
    /// KMSOptInRequired: the account has no subscription to KMS.
    NotSubscribed,
}

/// A stream that exists from the start and is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingStream {
    /// Name.
    pub name: String,
    /// Shards, 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub shards: u32,
    /// Tags.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Hours for which records are kept, 24 to 8,760.
    #[serde(default = "day")]
    #[schemars(range(min = 24, max = 8760))]
    pub retention_hours: u32,
    /// Shard-level metrics that are switched on, e.g. `IncomingRecords`.
    #[serde(default)]
    pub shard_level_metrics: Vec<String>,
    /// UpdateShardCount calls that were accepted in the last 24 h: how many minutes before the world's start.
    #[serde(default)]
    pub reshards_minutes_ago: Vec<u32>,
}

/// A table that exists from the start and is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingTable {
    /// Name.
    pub name: String,
    /// Name of the partition key's attribute, which is text.
    #[serde(default = "id")]
    pub partition_key: String,
    /// Write units a second, 1 to 40,000; absent with `readCapacity`: on demand.
    #[serde(default)]
    #[schemars(range(min = 1, max = 40_000))]
    pub write_capacity: Option<u32>,
    /// Read units a second, 1 to 40,000.
    #[serde(default)]
    #[schemars(range(min = 1, max = 40_000))]
    pub read_capacity: Option<u32>,
    /// Write units a second above which the table throttles although it is on demand.
    #[serde(default)]
    #[schemars(range(min = 1, max = 40_000))]
    pub on_demand_maximum_write: Option<u32>,
    /// Global secondary indexes, which project everything.
    #[serde(default)]
    pub global_secondary_indexes: Vec<ExistingIndex>,
}

/// A global secondary index of a table that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingIndex {
    /// Name.
    pub name: String,
    /// Name of the partition key's attribute, which is text.
    pub partition_key: String,
    /// Write units a second, 1 to 40,000; of no account when the table is on demand.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 40_000))]
    pub write_capacity: u32,
    /// Read units a second, 1 to 40,000; of no account when the table is on demand.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 40_000))]
    pub read_capacity: u32,
}

/// An event source mapping that exists from the start and is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingMapping {
    /// Stream name.
    pub stream: String,
    /// Function name.
    pub function: String,
    /// Records a batch, 1 to 10,000.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: u32,
    /// Batches of one shard at once, 1 to 10.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub parallelization_factor: u32,
    /// Further members of CreateEventSourceMapping as in the API reference, e.g. `MaximumRetryAttempts`.
    #[serde(default)]
    pub settings: Value,
}

/// Calls on a stream that fail on AWS's side or the client's, and not for a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamFailure {
    /// Stream name.
    pub stream: String,
    /// Which calls.
    pub call: StreamCall,
    /// First second concerned, after the world's start.
    pub from_seconds: u32,
    /// End, exclusive; absent: it never ends.
    #[serde(default)]
    pub to_seconds: Option<u32>,
    /// Share of the calls that fail, 0–1.
    #[serde(default = "always")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub share: f64,
}

/// A kind of calls on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamCall {
    /// PutRecord of the world's producers, who do not try again.
    Put,
    /// GetRecords of the stream's readers, who try again.
    Get,
}

fn any() -> String {
    "*".to_owned()
}

fn always() -> f64 {
    1.0
}

fn id() -> String {
    "id".to_owned()
}

fn day() -> u32 {
    24
}

fn hundred() -> u32 {
    100
}

fn one() -> u32 {
    1
}

impl FaultRule {
    /// A rule for each call of an operation, to be narrowed.
    pub fn of(operation: &str, effect: FaultEffect) -> Self {
        let operation = operation.to_owned();
        Self { operation, calls: Vec::new(), from_seconds: 0, to_seconds: None, probability: 1.0, effect }
    }

    /// Whether it means this operation (`kinesis:ListStreams`).
    pub fn means(&self, operation: &str) -> bool {
        match self.operation.strip_suffix('*') {
            Some(start) => operation.starts_with(start),
            None => self.operation == operation,
        }
    }
}

impl FaultEffect {
    /// An error with its usual status and text.
    pub fn error(code: &str) -> Self {
        let code = code.to_owned();
        Self::Error { code, message: None, status: None, retry_after_seconds: None, has_effect: false }
    }
}

impl ExistingStream {
    /// The calls that make it, in order.
    pub(in crate::twin) fn calls(&self) -> Vec<Act> {
        let name = &self.name;
        let mut calls = vec![start("kinesis:CreateStream", {
            json!({"StreamName": name, "ShardCount": self.shards, "Tags": self.tags})
        })];
        if self.retention_hours != day() {
            let input = json!({"StreamName": name, "RetentionPeriodHours": self.retention_hours});
            calls.push(start("kinesis:IncreaseStreamRetentionPeriod", input));
        }
        if !self.shard_level_metrics.is_empty() {
            let input = json!({"StreamName": name, "ShardLevelMetrics": self.shard_level_metrics});
            calls.push(start("kinesis:EnableEnhancedMonitoring", input));
        }
        calls
    }
}

impl ExistingTable {
    pub(in crate::twin) fn call(&self) -> Act {
        let provisioned = self.write_capacity.is_some() || self.read_capacity.is_some();
        let mut input = json!({
            "TableName": self.name,
            "KeySchema": [{"AttributeName": self.partition_key, "KeyType": "HASH"}],
            "BillingMode": if provisioned { "PROVISIONED" } else { "PAY_PER_REQUEST" },
        });
        if provisioned {
            let (write, read) = (self.write_capacity.unwrap_or(1), self.read_capacity.unwrap_or(1));
            input["ProvisionedThroughput"] = json!({"WriteCapacityUnits": write, "ReadCapacityUnits": read});
        }
        if let Some(maximum) = self.on_demand_maximum_write {
            input["OnDemandThroughput"] = json!({"MaxWriteRequestUnits": maximum});
        }
        let mut attributes = vec![self.partition_key.as_str()];
        for index in &self.global_secondary_indexes {
            if !attributes.contains(&index.partition_key.as_str()) {
                attributes.push(&index.partition_key);
            }
        }
        let attribute = |name: &&str| json!({"AttributeName": name, "AttributeType": "S"});
        input["AttributeDefinitions"] = attributes.iter().map(attribute).collect();
        if !self.global_secondary_indexes.is_empty() {
            input["GlobalSecondaryIndexes"] =
                self.global_secondary_indexes.iter().map(|index| index.member(provisioned)).collect();
        }
        start("dynamodb:CreateTable", input)
    }
}

impl ExistingIndex {
    fn member(&self, provisioned: bool) -> Value {
        let mut member = json!({
            "IndexName": self.name,
            "KeySchema": [{"AttributeName": self.partition_key, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        });
        if provisioned {
            let units = json!({"WriteCapacityUnits": self.write_capacity, "ReadCapacityUnits": self.read_capacity});
            member["ProvisionedThroughput"] = units;
        }
        member
    }
}

impl ExistingMapping {
    pub(in crate::twin) fn call(&self) -> Act {
        let mut input = json!({
            "EventSourceArn": format!("arn:aws:kinesis:${{region}}:${{account}}:stream/{}", self.stream),
            "FunctionName": self.function,
            "BatchSize": self.batch_size,
            "ParallelizationFactor": self.parallelization_factor,
            "StartingPosition": "TRIM_HORIZON",
        });
        for (name, value) in self.settings.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        start("lambda:CreateEventSourceMapping", input)
    }
}

fn start(operation: &str, input: Value) -> Act {
    Act { at_seconds: 0, operation: operation.to_owned(), input }
}

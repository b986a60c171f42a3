//! The world file (`kind: World`): what surrounds the pipeline. Producers, functions with what they do to
//! tables, readers that are not ours, and how long AWS takes.
//!
//! Pure data. A parsed world is consistent: the checks of [`World::parse`] have passed.

mod timings;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use timings::Timings;

/// The embedded Alleycat world.
const ALLEYCAT: &str = include_str!("../../../examples/worlds/alleycat.yaml");

/// Everything around the pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct World {
    /// `alleycat.dev/v1alpha1`.
    pub api_version: String,
    /// `World`.
    pub kind: String,
    /// Name, for messages.
    pub name: String,
    /// The simulated account, twelve digits.
    #[serde(default = "default_account")]
    pub account_id: String,
    /// The simulated region.
    #[serde(default = "default_region")]
    pub region: String,
    /// The moment the simulation begins.
    pub start: Timestamp,
    /// Lambda functions that exist from the start, by name.
    #[serde(default)]
    pub functions: BTreeMap<String, FunctionModel>,
    /// Who puts records.
    #[serde(default)]
    pub producers: Vec<Producer>,
    /// Readers that share a stream and are not event source mappings.
    #[serde(default)]
    pub external_consumers: Vec<ExternalReader>,
    /// Control-plane timings.
    #[serde(default)]
    pub timings: Timings,
    /// The account's concurrent executions. Lambda quota: 1,000 by default.
    #[serde(default = "default_concurrency")]
    pub account_concurrency: u32,
    /// The account's shard limit. Kinesis quota: 20,000 in the largest regions, 1,000 or 6,000 elsewhere.
    #[serde(default = "default_shard_limit")]
    pub shard_limit: u32,
    /// Partition keys fall on shards at random (as MD5 does) instead of exactly in proportion.
    #[serde(default)]
    pub random_keys: bool,
}

/// A Lambda function: its settings and what one invocation costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FunctionModel {
    /// Timeout in seconds, 1–900.
    pub timeout_seconds: u32,
    /// Memory in MB, 128–10,240.
    pub memory_mb: u32,
    /// Time of an invocation before its first record, in milliseconds.
    #[serde(default)]
    pub startup_ms: u32,
    /// Time per record of the batch, in microseconds.
    #[serde(default)]
    pub per_record_us: u32,
    /// Share of invocations that fail at their end for reasons of their own, 0–1.
    #[serde(default)]
    pub error_rate: f64,
    /// Reserved concurrency, if any.
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// What an invocation asks of tables, in this order after its own work.
    #[serde(default)]
    pub tables: Vec<TableAccess>,
    /// Aliases that exist: `live` makes `NAME:live` a function that a mapping can invoke.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Every so many-th record of a shard is poison: it fails each invocation that holds it. 0: none.
    #[serde(default)]
    pub poison_every: u64,
    /// Answers with the first poison record of the batch (`batchItemFailures`) instead of failing. Counts only
    /// when the mapping asks for it; otherwise Lambda takes the answer for success.
    #[serde(default)]
    pub partial_batch_response: bool,
    /// Share of records that pass the filters of a mapping that has some, 0–1. The twin's records have no
    /// payload to filter by.
    #[serde(default = "default_pass_share")]
    pub filter_pass_share: f64,
    /// Share of deliveries to an on-failure destination that fail, 0–1.
    #[serde(default)]
    pub destination_error_rate: f64,
}

impl Default for FunctionModel {
    /// A function that does nothing, with Lambda's default settings.
    fn default() -> Self {
        Self {
            timeout_seconds: 3,
            memory_mb: 128,
            startup_ms: 0,
            per_record_us: 0,
            error_rate: 0.0,
            reserved_concurrency: None,
            tables: Vec::new(),
            aliases: Vec::new(),
            poison_every: 0,
            partial_batch_response: false,
            filter_pass_share: default_pass_share(),
            destination_error_rate: 0.0,
        }
    }
}

/// Requests to one table, repeated for each group or each record of the batch, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableAccess {
    /// Table name.
    pub table: String,
    /// How often.
    pub per: Per,
    /// Milliseconds of one request.
    #[serde(default = "default_latency")]
    pub latency_ms: u32,
    /// The requests, in order.
    pub operations: Vec<Operation>,
}

/// How often the operations of a [`TableAccess`] run in one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Per {
    /// Once per group (race) with a record in the batch.
    Group,
    /// Once per record.
    Record,
    /// Once per final record (the last of a racer in a race).
    FinalRecord,
}

/// One request to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Get, put or update.
    pub kind: OperationKind,
    /// Name of the partition key's kind, e.g. `race`.
    pub key: String,
    /// Whether each group has its own partition key (`race-<id>`); otherwise the kind is one key.
    #[serde(default)]
    pub key_per_group: bool,
    /// Fixed item size in bytes.
    #[serde(default)]
    pub item_bytes: u64,
    /// Bytes added for each racer of the world: an item that holds a map over all of them.
    #[serde(default)]
    pub bytes_per_racer: u64,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OperationKind {
    /// GetItem, eventually consistent.
    Get,
    /// PutItem.
    Put,
    /// UpdateItem: billed as the whole item.
    Update,
}

impl OperationKind {
    /// Whether it consumes write capacity.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// A source of records. It never retries: a record the stream rejects is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Producer {
    /// Racers who send one message a second, in races back to back.
    #[serde(rename_all = "camelCase")]
    Racers {
        /// Stream name.
        stream: String,
        /// Number of racers.
        racers: u32,
        /// Seconds of one race.
        #[serde(default = "default_race")]
        race_seconds: u32,
        /// Seconds from the world's start to the first race.
        #[serde(default)]
        start_seconds: u32,
        /// Number of races.
        races: u32,
        /// Seconds between races.
        #[serde(default)]
        gap_seconds: u32,
        /// Bytes of a record with its partition key.
        record_bytes: u32,
        /// Each message is late by a random time below this; 0 keeps every second equally full.
        #[serde(default)]
        jitter_ms: u32,
    },
    /// A given rate over time.
    #[serde(rename_all = "camelCase")]
    Rate {
        /// Stream name.
        stream: String,
        /// Bytes of a record with its partition key.
        record_bytes: u32,
        /// Rates from given moments on, in order.
        points: Vec<RatePoint>,
        /// Between two points the rate moves in a straight line instead of a step.
        #[serde(default)]
        ramp: bool,
        /// Share of the records that carry one and the same partition key, 0–1.
        #[serde(default)]
        hot_key_share: f64,
    },
}

/// A rate from a moment on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatePoint {
    /// Seconds after the world's start.
    pub at_seconds: u32,
    /// Records a second.
    pub records_per_second: f64,
}

/// A reader that shares the stream's GetRecords limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalReader {
    /// Stream name.
    pub stream: String,
    /// Name, for messages.
    pub name: String,
}

fn default_account() -> String {
    "123456789012".to_owned()
}

fn default_region() -> String {
    "us-east-2".to_owned()
}

fn default_concurrency() -> u32 {
    1_000
}

fn default_shard_limit() -> u32 {
    1_000
}

fn default_latency() -> u32 {
    5
}

fn default_pass_share() -> f64 {
    1.0
}

fn default_race() -> u32 {
    300
}

impl World {
    /// Reads and checks a world file.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence a person can act on.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let world: Self = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        world.check()?;
        Ok(world)
    }

    /// The embedded Alleycat world: 1,000 racers for two hours from minute 1, then quiet.
    ///
    /// # Panics
    /// Never: a test parses the embedded file.
    #[allow(clippy::expect_used, reason = "the file is compiled in, and a test parses it")]
    pub fn alleycat() -> Self {
        Self::parse(ALLEYCAT).expect("the embedded world is valid")
    }

    /// The number of racers of all producers; sizes items that hold a map over all racers.
    pub fn racers(&self) -> u32 {
        let racers = |producer: &Producer| if let Producer::Racers { racers, .. } = producer { *racers } else { 0 };
        self.producers.iter().map(racers).fold(0, u32::saturating_add)
    }

    /// The same world with another number of racers in every racing producer.
    #[must_use]
    pub fn with_racers(mut self, number: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { racers, .. } = producer {
                *racers = number;
            }
        }
        self
    }

    /// The same world with messages late by a random time below `milliseconds` (at most 999).
    #[must_use]
    pub fn with_jitter(mut self, milliseconds: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { jitter_ms, .. } = producer {
                *jitter_ms = milliseconds.min(999);
            }
        }
        self
    }

    /// The same world with this many races from each racing producer.
    #[must_use]
    pub fn with_races(mut self, number: u32) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { races, .. } = producer {
                *races = number;
            }
        }
        self
    }

    /// The same world with races for this long (rounded down to whole races).
    #[must_use]
    pub fn with_race_time(mut self, time: SignedDuration) -> Self {
        for producer in &mut self.producers {
            if let Producer::Racers { races, race_seconds, gap_seconds, .. } = producer {
                let one = i64::from(*race_seconds) + i64::from(*gap_seconds);
                *races = u32::try_from(time.as_secs() / one.max(1)).unwrap_or(0);
            }
        }
        self
    }

    /// The same world with another timeout for every function.
    #[must_use]
    pub fn with_timeout(mut self, seconds: u32) -> Self {
        for function in self.functions.values_mut() {
            function.timeout_seconds = seconds;
        }
        self
    }

    fn check(&self) -> Result<(), String> {
        if self.api_version != "alleycat.dev/v1alpha1" || self.kind != "World" {
            return Err("a world file has apiVersion alleycat.dev/v1alpha1 and kind World".to_owned());
        }
        if self.account_id.len() != 12 || !self.account_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("accountId {:?} is not twelve digits", self.account_id));
        }
        self.timings.check()?;
        for (name, function) in &self.functions {
            function.check().map_err(|problem| format!("functions.{name}: {problem}"))?;
        }
        for (index, producer) in self.producers.iter().enumerate() {
            producer.check().map_err(|problem| format!("producers[{index}]: {problem}"))?;
        }
        Ok(())
    }
}

impl FunctionModel {
    fn check(&self) -> Result<(), String> {
        if !(1..=900).contains(&self.timeout_seconds) {
            return Err("timeoutSeconds must be 1 to 900".to_owned());
        }
        if !(128..=10_240).contains(&self.memory_mb) {
            return Err("memoryMb must be 128 to 10240".to_owned());
        }
        for (field, share) in [
            ("errorRate", self.error_rate),
            ("filterPassShare", self.filter_pass_share),
            ("destinationErrorRate", self.destination_error_rate),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{field} must be 0 to 1"));
            }
        }
        let bytes = |op: &Operation| op.item_bytes > 409_600 || op.bytes_per_racer > 409_600;
        if self.tables.iter().flat_map(|access| &access.operations).any(bytes) {
            return Err("an item is at most 409600 bytes".to_owned());
        }
        Ok(())
    }
}

impl Producer {
    fn check(&self) -> Result<(), String> {
        let record_bytes = match self {
            Self::Racers { racers, race_seconds, jitter_ms, record_bytes, .. } => {
                if *racers > 100_000 {
                    return Err("racers must be at most 100000".to_owned());
                }
                if *race_seconds == 0 {
                    return Err("raceSeconds must be at least 1".to_owned());
                }
                if *jitter_ms >= 1_000 {
                    return Err("jitterMs must be below 1000".to_owned());
                }
                record_bytes
            }
            Self::Rate { record_bytes, points, hot_key_share, .. } => {
                if !points.is_sorted_by_key(|point| point.at_seconds) {
                    return Err("points must be in order of atSeconds".to_owned());
                }
                if !points.iter().all(|point| (0.0..=1_000_000.0).contains(&point.records_per_second)) {
                    return Err("recordsPerSecond must be 0 to 1000000".to_owned());
                }
                if !(0.0..=1.0).contains(hot_key_share) {
                    return Err("hotKeyShare must be 0 to 1".to_owned());
                }
                record_bytes
            }
        };
        if !(1..=1_048_576).contains(record_bytes) {
            return Err("recordBytes must be 1 to 1048576".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_world_is_the_one_of_the_walk_through() {
        let world = World::alleycat();
        assert_eq!(world.racers(), 1_000);
        let names: Vec<&str> = world.functions.keys().map(String::as_str).collect();
        assert_eq!(names, ["alleycat-FinalResultsFunction", "alleycat-TumblingWindowFunction"]);
        assert_eq!(world.clone().with_race_time(SignedDuration::from_hours(2)), world, "two hours of races");
        let again: World = serde_json::from_str(&serde_json::to_string(&world).unwrap()).unwrap();
        assert_eq!(again, world);
    }

    #[test]
    fn a_wrong_world_is_refused_with_what_is_wrong() {
        let wrong = |from: &str, to: &str| World::parse(&ALLEYCAT.replacen(from, to, 1)).unwrap_err();
        assert!(wrong("shardLimit", "shardLimits").contains("shardLimits"));
        assert!(wrong("kind: World", "kind: Pipeline").contains("kind World"));
        assert!(wrong("timeoutSeconds: 15", "timeoutSeconds: 901").contains("timeoutSeconds must be 1 to 900"));
        assert!(wrong("jitterMs: 0", "jitterMs: 1000").contains("producers[0]: jitterMs"));
        assert!(wrong("\"123456789012\"", "\"12\"").contains("twelve digits"));
        assert!(wrong("createStream: 20", "createStream: -1").contains("timings.createStream"));
    }
}

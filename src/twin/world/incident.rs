//! The part of a world file that says what is wrong in it: the label by which a diagnosis is checked, and the patch
//! that makes the world healthy.
//!
//! What always holds: a label names causes in the words of the world, never rules; the twin plays a world with a
//! label as it plays it without one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::World;

/// What is wrong in a world, for those who check a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Incident {
    /// The pipeline's spec: the name of a file in `specs/` beside the world, without `.yaml`.
    pub spec: String,
    /// How many minutes to play.
    #[schemars(range(min = 40, max = 2880))]
    pub minutes: u32,
    /// The causes, one or two.
    pub causes: Vec<Cause>,
    /// A JSON merge patch (RFC 7396) that makes the world healthy.
    pub without: Value,
    /// Kept out of all tuning.
    #[serde(default)]
    pub held_out: bool,
}

/// One cause and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cause {
    /// What is wrong.
    pub cause: IncidentCause,
    /// Where: `stream/NAME`, `mapping/CONSUMER`, `table/NAME` or `table/NAME/index/NAME`.
    pub resource: String,
}

/// What can be wrong in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IncidentCause {
    /// Puts fail, and not for a limit.
    ProducersFail,
    /// Producers fall silent, or nearly so.
    ProducersStop,
    /// One partition key carries more than its shard takes.
    HotKey,
    /// More is put than the shards take.
    StreamTooSmall,
    /// Readers are added until the shared reads are used up.
    ReadersAdded,
    /// GetRecords fails, and not for a limit.
    ReadsFail,
    /// A table has too little write capacity.
    TableTooSmall,
    /// A global secondary index has too little write capacity.
    IndexTooSmall,
    /// A table has too little read capacity.
    TableReadsTooSmall,
    /// A table has the write capacity that the spec allows at most, and that is too little.
    TableAtBound,
    /// One partition key of a table takes more writes than a partition serves.
    HotItem,
    /// An on-demand table reaches the account's limit of one table.
    AccountTableLimit,
    /// An on-demand table reaches the maximum that its owner has set.
    OnDemandMaximum,
    /// Somebody disables the mapping.
    MappingDisabled,
    /// Somebody deletes the function.
    FunctionDeleted,
    /// The function's role loses the right to read the stream.
    RoleWithoutRead,
    /// The function's reserved concurrency is too small.
    ReservedConcurrency,
    /// Others use up the account's concurrency.
    AccountConcurrency,
    /// The function fails for a reason of its own.
    FunctionFails,
    /// A record fails each invocation that holds it.
    PoisonRecord,
    /// A batch takes longer than the function's timeout.
    BatchTooLarge,
    /// The function works with the processor and has too little of it.
    CpuTooSmall,
    /// The function waits longer for each record, so that its slots are too few.
    FunctionSlower,
    /// More arrives than the consumer's slots can do.
    ConsumerTooSmall,
    /// Records that are given up do not reach their destination.
    DestinationFails,
    /// Records are given up for their age.
    RecordAgeTooShort,
    /// What waits is nearly as old as the stream's retention.
    RetentionNear,
    /// CloudWatch does not publish.
    MetricsMissing,
    /// Much more capacity is provisioned than is used.
    CapacityUnused,
    /// A table with a high and steady load is on demand.
    OnDemandAtSteadyLoad,
}

impl Incident {
    /// The same world without what is wrong in it, and without the label.
    ///
    /// # Errors
    /// When the patch makes no world of it, in words.
    pub fn world_without(&self, world: &World) -> Result<World, String> {
        let mut whole = serde_json::to_value(world).map_err(|error| error.to_string())?;
        merge(&mut whole, &self.without);
        let healthy: World = serde_json::from_value(whole).map_err(|error| error.to_string())?;
        Ok(World { incident: None, ..healthy })
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

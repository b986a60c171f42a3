//! The types of memory. All of them are bounded: windows are pruned by time when they are written to.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    diagnose::Diagnosis,
    model::{BillingMode, Failure, ResourceId, ShardCount, StreamMode},
    plan::Step,
};

/// Everything remembered of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Layout version of this record; a store refuses a newer one.
    pub version: u32,
    /// Calls of UpdateShardCount.
    pub reshards: ReshardLedger,
    /// Set when both copies of the ledger were missing: nothing scales in before this.
    pub no_scale_in_before: Option<Timestamp>,
    /// The stream as last seen, to notice other people's resharding.
    pub stream_seen: Option<StreamSeen>,
    /// Recommendations per scaled field (`stream/x shards`, `table/y write`, …), oldest first.
    pub recommendations: BTreeMap<String, Vec<Recommendation>>,
    /// Minutes of demand per table and index (`table/y`, `table/y/index/z`), oldest first.
    pub sink_samples: BTreeMap<String, Vec<SinkSample>>,
    /// True processing rate per slot (records/s) of healthy minutes, by consumer, oldest first.
    pub slot_rates: BTreeMap<String, Vec<Recommendation>>,
    /// Last change per scaled field that we made or noticed, for cool-downs.
    pub last_change: BTreeMap<String, Timestamp>,
    /// Since when every consumer has been drained; `None` while there is a backlog or no fresh signal.
    pub drained_since: Option<Timestamp>,
    /// The newest minute that the last pass had metrics of.
    #[serde(default)]
    pub newest_minute: Option<Timestamp>,
    /// The last pass brought no newer minute than the one before, or CloudWatch is later than it usually is.
    #[serde(default)]
    pub no_news: bool,
    /// What this month has cost.
    #[serde(default)]
    pub spent: Option<Spent>,
    /// What came in at each time of the last weeks.
    #[serde(default)]
    pub season: Season,
    /// What the daemon last did to a resource (by its printed name) that has not led to the wanted state yet.
    pub attempts: BTreeMap<String, Attempt>,
    /// Enhanced fan-out: since when it is wanted or not, and moves that were given up.
    #[serde(default)]
    pub fan_out: FanOutMemory,
    /// Tables with `billingMode: auto`: what their hours used, and when they were switched; by table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub billing: BTreeMap<String, BillingMemory>,
    /// Switches of the stream's capacity mode.
    #[serde(default, skip_serializing_if = "StreamModeMemory::is_empty")]
    pub stream_mode: StreamModeMemory,
    /// Raises and whether they help, by scaled field.
    #[serde(default)]
    pub efforts: BTreeMap<String, Effort>,
    /// How long tables took to change, by table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settling: BTreeMap<String, Settling>,
}

/// How long the changes of a resource took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settling {
    /// Since when it has been seen in transition.
    pub since: Option<Timestamp>,
    /// Seconds of each change that was slow enough to be seen, of the last day.
    pub took: Vec<Recommendation>,
}

/// What the choice of a table's billing mode needs to remember.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingMemory {
    /// The mode last seen.
    pub mode: Option<BillingMode>,
    /// Until when the minutes are counted.
    pub until: Option<Timestamp>,
    /// What was measured in that mode, oldest first: the last 24 h, at most 25 hours of the clock.
    pub hours: Vec<BillingHour>,
    /// Switches of the last 24 h, ours and others', oldest first.
    pub switches: Vec<BillingSwitch>,
}

/// One hour of the clock: the measured minutes of a table with all its indexes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingHour {
    /// When it begins.
    pub at: Timestamp,
    /// Minutes of it that were measured, 0-60.
    pub minutes: u32,
    /// Write units consumed in them.
    pub write: f64,
    /// Read units consumed in them.
    pub read: f64,
    /// Write capacity held in them, unit-hours: what was provisioned, or what the sizing would have provisioned.
    pub held_write: f64,
    /// Read capacity held in them, unit-hours, likewise.
    pub held_read: f64,
    /// A part needed more than the upper bound of its capacity.
    pub over: bool,
}

/// A switch of a table's billing mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingSwitch {
    /// When it was asked for or noticed.
    pub at: Timestamp,
    /// The mode it leads to.
    pub to: BillingMode,
}

/// Switches of the stream's capacity mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamModeMemory {
    /// The mode last seen.
    pub mode: Option<StreamMode>,
    /// Switches of the last 24 h, ours and others', oldest first.
    pub switches: Vec<Timestamp>,
    /// Since when the stream is on demand by our break-glass.
    pub break_glass_since: Option<Timestamp>,
}

impl StreamModeMemory {
    /// Whether there is nothing to be written down.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Raises of one value against one shortage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effort {
    /// Whose value.
    pub resource: ResourceId,
    /// The shortage that it answers.
    pub against: Diagnosis,
    /// How many in a row did nothing against it.
    pub failures: u32,
    /// The value that the last one of those went up from.
    #[serde(default)]
    pub from: u64,
    /// None is made before this, unless the load rises much.
    pub rests_until: Option<Timestamp>,
    /// Records/s offered when the last one was made or judged.
    pub offered: f64,
    /// The last one, while it is not judged.
    pub open: Option<OpenEffort>,
}

/// A raise that is not judged yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenEffort {
    /// When it was decided.
    pub at: Timestamp,
    /// The value before.
    pub from: u64,
    /// The value after.
    pub to: u64,
    /// When AWS showed it.
    pub seen: Option<Timestamp>,
    /// What got done before: records/s or units/s.
    pub work: f64,
    /// What should go away: the share rejected, seconds of age gained a second, or throttles.
    pub trouble: f64,
    /// Records/s offered before.
    pub offered: f64,
}

/// What the choice of delivery needs to remember. The state of a move is not in here: AWS holds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FanOutMemory {
    /// Since when shared reads have been short without a pause.
    pub short_since: Option<Timestamp>,
    /// Since when a consumer on fan-out could have shared the stream at less than half of what asks for fan-out.
    pub quiet_since: BTreeMap<String, Timestamp>,
    /// Moves that were given up, by consumer.
    pub refused: BTreeMap<String, RefusedMove>,
}

/// A move that was given up. The old mapping reads on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedMove {
    /// When.
    pub at: Timestamp,
    /// Not tried again before this.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a month has cost at rest so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spent {
    /// Its first day (UTC).
    pub month: Date,
    /// US dollars.
    pub usd: f64,
    /// Until when it is counted.
    pub at: Timestamp,
}

/// The highest offered load of each quarter of an hour, for some weeks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Season {
    /// By days since the epoch (UTC): records/s of the 96 quarters of an hour; none where nothing was seen.
    pub days: BTreeMap<i64, Vec<Option<u32>>>,
}

/// The last step tried on a resource that still wants a change. Keeps the daemon from repeating a call every minute
/// that AWS refuses for good, or that succeeds without ever taking effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The step.
    pub step: Step,
    /// How often it was accepted in a row without the resource becoming what it should be.
    pub accepted: u32,
    /// Not tried again before this.
    pub not_before: Timestamp,
    /// Whether `not_before` holds for every step on the resource (no permission, or its effect is yet to show), or for
    /// this very step only.
    pub whole_resource: bool,
}

impl Memory {
    /// The layout version this build writes.
    pub const VERSION: u32 = 1;

    /// A memory that knows nothing yet, for a pipeline that the store has no record of.
    pub fn empty() -> Self {
        Self {
            version: Self::VERSION,
            reshards: ReshardLedger { entries: Vec::new(), exhausted_until: None },
            no_scale_in_before: None,
            stream_seen: None,
            recommendations: BTreeMap::new(),
            sink_samples: BTreeMap::new(),
            slot_rates: BTreeMap::new(),
            last_change: BTreeMap::new(),
            drained_since: None,
            newest_minute: None,
            no_news: false,
            spent: None,
            season: Season::default(),
            attempts: BTreeMap::new(),
            fan_out: FanOutMemory::default(),
            billing: BTreeMap::new(),
            stream_mode: StreamModeMemory::default(),
            efforts: BTreeMap::new(),
            settling: BTreeMap::new(),
        }
    }
}

/// Calls of UpdateShardCount on one stream, ours and others', of the last 24 h.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReshardLedger {
    /// Entries, oldest first.
    pub entries: Vec<LedgerEntry>,
    /// AWS refused a call for quota: none is made before this.
    pub exhausted_until: Option<Timestamp>,
}

/// One entry of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub kind: LedgerEntryKind,
}

/// Whose call an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LedgerEntryKind {
    /// We called.
    Ours,
    /// The open shard count changed and it was not us.
    Foreign,
    /// Both copies were lost: assumed used.
    Assumed,
}

/// The stream as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSeen {
    /// Open shards when it was last ACTIVE.
    pub open_shards: ShardCount,
    /// What our last call asked for, until it is seen to have settled.
    pub pending_target: Option<ShardCount>,
    /// When that call was noted.
    pub pending_since: Option<Timestamp>,
    /// When it was seen.
    pub at: Timestamp,
}

/// One recommendation (or sample) of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// When.
    pub at: Timestamp,
    /// Value.
    pub value: f64,
}

/// One minute of demand on a table or index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkSample {
    /// Start of the minute.
    pub at: Timestamp,
    /// Invocations per second of each consumer that writes to it.
    pub invocations: BTreeMap<String, f64>,
    /// Records per second processed.
    pub records: f64,
    /// Consumed write units per second.
    pub write: f64,
    /// Consumed read units per second.
    pub read: f64,
    /// Whether writes were throttled in this minute: then demand was higher than consumption.
    pub throttled: bool,
}

/// A mutating call that is about to be made, or was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Ascending number inside the store.
    pub id: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The call.
    pub step: Step,
    /// What became of it.
    pub state: IntentState,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IntentState {
    /// Written before the call; a crash leaves it here and the effect is unknown.
    Pending,
    /// AWS accepted it.
    Accepted {
        /// When.
        at: Timestamp,
    },
    /// AWS (or our gate) refused it, or its effect is unknown.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        failure: Failure,
    },
}

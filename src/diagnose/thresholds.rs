//! Every threshold of the rules, once: its value, its unit and where it comes from. `explain` and docs/diagnoses.md
//! are written from this table. What a user may tune lies in the policy instead and is named on the pages.
//!
//! What always holds: a rule compares with a constant of this file, with the policy, or with a limit of AWS.

use serde::Serialize;

/// One threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    /// Its name on the pages.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// What the value counts.
    pub unit: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

const fn threshold(name: &'static str, value: f64, unit: &'static str, source: &'static str) -> Threshold {
    Threshold { name, value, unit, source }
}

pub(super) const HOT_BELOW: Threshold = threshold(
    "hotShardBelow",
    0.7,
    "share of the stream's limit",
    "Ours, checked on the labelled worlds: with rejections below it, at least one shard has room (Kinesis developer guide, hot shards).",
);
pub(super) const HOT_REJECTED: Threshold = threshold(
    "hotShardRejected",
    0.1,
    "share of the records",
    "Ours: bursts within a second reject less where the minute has room.",
);
pub(super) const HOT_TAKEN: Threshold = threshold(
    "hotShardTaken",
    0.8,
    "share of the stream's limit that is accepted",
    "Ours: a load that is spread evenly is rejected only where all shards are full.",
);
pub(super) const WILL_DROP: Threshold = threshold(
    "willDrop",
    600.0,
    "seconds until records reach the mapping's maximum age",
    "Ours: time for a person to lengthen it.",
);
pub(super) const HOT_SKEW: Threshold = threshold(
    "hotShardSkew",
    1.5,
    "times the mean of the shards",
    "Ours, checked on the labelled worlds: of two shards, one with three quarters of the load.",
);
pub(super) const PACKING_ROOM: Threshold =
    threshold("packingRoom", 0.5, "bytes share over records share", "Ours: records bind and bytes are far below.");
pub(super) const FAILING_CALLS: Threshold = threshold(
    "failingCalls",
    0.01,
    "share of the calls, beyond what throttling explains",
    "Ours; AWS advises an alarm on the average of PutRecord.Success (Kinesis developer guide, CloudWatch metrics).",
);
pub(super) const FAILING_CALLS_CRITICAL: Threshold =
    threshold("failingCallsCritical", 0.1, "share of the calls", "Ours.");
pub(super) const SILENT_SHARE: Threshold = threshold(
    "silentShare",
    0.2,
    "share of the low end of the band before the fall",
    "Ours, checked on the healthy shapes.",
);
pub(super) const SILENT_FLOOR: Threshold =
    threshold("silentFloor", 1.0, "records/s in the recent band", "Ours: below it silence is no news.");
pub(super) const NEAR_TOP: Threshold = threshold(
    "nearTop",
    0.8,
    "share of the top of the recent minutes",
    "Ours: the band ends with the last minute above it, so a fall does not count as what was usual; a low before a short peak does.",
);
pub(super) const FADING_BELOW: Threshold = threshold(
    "fadingBelow",
    0.8,
    "share of the low end of the band before the fall",
    "Ours, checked on the healthy shapes: lower than it was at any usual time.",
);
pub(super) const STRAIGHT: Threshold = threshold(
    "straight",
    0.9,
    "share of the changes of five minutes that a straight line explains",
    "Ours, checked on the healthy shapes: noise has no direction for so long, and a single step explains less.",
);
pub(super) const FADING_LEFT: Threshold = threshold(
    "fadingLeft",
    25.0,
    "minutes until nothing comes at the pace of the last five",
    "Ours: an evening takes hours; producers that stop one after the other do not.",
);
pub(super) const SHARD_READS: Threshold =
    threshold("sharedPolls", 5.0, "GetRecords calls/s of a shard", "Kinesis developer guide, Quotas and limits.");
pub(super) const MANY_READERS: Threshold = threshold(
    "manyReaders",
    5.0,
    "shared readers",
    "Kinesis developer guide, enhanced fan-out: five shared consumers propagate in about 1,000 ms; five polls a second are a shard's limit.",
);
pub(super) const READ_NEAR: Threshold = threshold(
    "readNearLimit",
    0.9,
    "share of 2 MiB/s a shard",
    "Kinesis developer guide, Quotas and limits; the share is ours.",
);
pub(super) const READS_FAILING: Threshold = threshold(
    "readsFailing",
    0.05,
    "share of GetRecords calls without a throttle",
    "Ours; AWS advises an alarm on the average of GetRecords.Success.",
);
pub(super) const CREDIT_LOW: Threshold = threshold(
    "creditLow",
    900.0,
    "seconds of burst credit left at the present rate",
    "Ours: what lasts longer carries a burst; what does not leaves time to raise (credit: 300 s of unused capacity, DynamoDB developer guide).",
);
pub(super) const NEARLY_FULL: Threshold = threshold(
    "nearlyFull",
    0.9,
    "share of what a consumer's slots do with full batches",
    "Ours: above it a slightly longer batch is a lag.",
);
pub(super) const SLOWER: Threshold = threshold(
    "slowerBatch",
    1.5,
    "times what a full batch took in healthy minutes",
    "Ours: more than batches of one size differ among themselves.",
);
pub(super) const CREEPING: Threshold = threshold(
    "creepingAge",
    5.0,
    "seconds of age gained in three minutes, each minute more",
    "Ours: a consumer that keeps up is at its poll interval, about a second, in each minute.",
);
pub(super) const LATELY: Threshold = threshold(
    "lately",
    10.0,
    "minutes",
    "Ours: of few invocations three minutes may hold no failed one, and a wave of refusals has pauses.",
);
pub(super) const INDEX_HOLDS: Threshold = threshold(
    "indexHolds",
    0.7,
    "share of the table's capacity",
    "Ours: a table that throttles below it is held back by an index (DynamoDB developer guide, GSI back-pressure).",
);
pub(super) const TIMEOUT_SHARE: Threshold =
    threshold("timeoutShare", 0.98, "share of the function's timeout", "Ours: the metric is cut off at the timeout.");
pub(super) const FITTING_SHARE: Threshold =
    threshold("fittingShare", 0.8, "share of the function's timeout", "Ours: room for the slower of the batches.");
pub(super) const FAULTY: Threshold = threshold("faultyShare", 0.01, "share of the invocations", "Ours.");
pub(super) const BLOCKED_SLOPE: Threshold =
    threshold("blockedSlope", 0.8, "seconds of age a second", "Ours: a blocked shard ages by one second a second.");
pub(super) const OTHERS: Threshold = threshold(
    "othersCarry",
    0.5,
    "share of the records of the slots that are not blocked",
    "Ours: two blocked slots of four still are poison; all of them are a fault.",
);
pub(super) const BUSY: Threshold = threshold("busySlots", 0.85, "share of the slots", "Ours; as the scaler's.");
pub(super) const CATCHING_UP: Threshold = threshold("catchingUp", -0.1, "seconds of age a second", "Ours.");
pub(super) const ACCOUNT_NEAR: Threshold = threshold(
    "accountNear",
    0.9,
    "share of the account's concurrency",
    "Ours; the limit itself comes from GetAccountSettings.",
);
pub(super) const FULL_VCPU_MB: Threshold =
    threshold("fullVcpu", 1769.0, "MB of memory", "Lambda developer guide, memory: 1,769 MB is one vCPU.");
pub(super) const OWN_WORK: Threshold = threshold(
    "ownWork",
    0.5,
    "share of a batch's time that grows with its records",
    "Ours: what waits for a table is mostly per batch.",
);
pub(crate) const RETENTION_WARN: Threshold = threshold(
    "retentionWarn",
    0.5,
    "share of the retention",
    "Kinesis developer guide, CloudWatch metrics: above 50 % there is a risk of losing records.",
);
pub(crate) const RETENTION_ACT: Threshold = threshold("retentionAct", 0.8, "share of the retention", "Ours.");
pub(super) const SETTLING: Threshold = threshold(
    "settling",
    5.0,
    "minutes after a change of a mapping",
    "Lambda developer guide: an update takes up to minutes; its metrics come a minute or two late.",
);
pub(super) const STUCK: Threshold =
    threshold("stuckMapping", 10.0, "minutes in transition", "Ours: twice what an update takes at most.");
pub(super) const NOT_INVOKED: Threshold =
    threshold("notInvoked", 5.0, "minutes without an invocation while records wait", "Ours.");
pub(super) const HISTORY: Threshold =
    threshold("economyHistory", 20.0, "minutes of measurements", "Ours: less says nothing about what to pay for.");
pub(super) const SURE_HISTORY: Threshold = threshold(
    "economySureHistory",
    60.0,
    "minutes of measurements",
    "Ours: below it a finding about money has a low confidence.",
);
pub(super) const CHEAPER: Threshold =
    threshold("cheaperBy", 0.9, "share of the present cost", "Ours: a smaller saving is not worth a change.");
pub(super) const OVER: Threshold = threshold(
    "overProvisioned",
    0.35,
    "share of what is provisioned, in the busiest minute",
    "Ours; as the scaler's lower utilization of shards.",
);

/// All of them.
pub const ALL: [Threshold; 43] = [
    HOT_BELOW,
    HOT_REJECTED,
    HOT_TAKEN,
    WILL_DROP,
    HOT_SKEW,
    PACKING_ROOM,
    FAILING_CALLS,
    FAILING_CALLS_CRITICAL,
    SILENT_SHARE,
    SILENT_FLOOR,
    NEAR_TOP,
    FADING_BELOW,
    STRAIGHT,
    FADING_LEFT,
    SHARD_READS,
    MANY_READERS,
    READ_NEAR,
    READS_FAILING,
    CREDIT_LOW,
    NEARLY_FULL,
    SLOWER,
    CREEPING,
    LATELY,
    INDEX_HOLDS,
    TIMEOUT_SHARE,
    FITTING_SHARE,
    FAULTY,
    BLOCKED_SLOPE,
    OTHERS,
    BUSY,
    CATCHING_UP,
    ACCOUNT_NEAR,
    FULL_VCPU_MB,
    OWN_WORK,
    RETENTION_WARN,
    RETENTION_ACT,
    SETTLING,
    STUCK,
    NOT_INVOKED,
    HISTORY,
    SURE_HISTORY,
    CHEAPER,
    OVER,
];

//! What AWS documents of DynamoDB, in our words.

use super::super::Rule;

const QUOTAS: &str = "DynamoDB developer guide: Quotas";
const UPDATE: &str = "DynamoDB API: UpdateTable";
const CREATE: &str = "DynamoDB API: CreateTable";
const TABLE: &str = "DynamoDB API: TableDescription";
const UNITS: &str = "DynamoDB developer guide: Read and write operations";
const BATCH: &str = "DynamoDB API: BatchWriteItem";
const GSI: &str = "DynamoDB developer guide: Global secondary indexes";
const BURST: &str = "DynamoDB developer guide: Burst and adaptive capacity";
const MODES: &str = "DynamoDB developer guide: Switching capacity modes";
const ON_DEMAND: &str = "DynamoDB developer guide: On-demand capacity mode";
const WARM: &str = "DynamoDB developer guide: Warm throughput";
const THROTTLING: &str = "DynamoDB developer guide: Diagnosing throttling";
const METRICS: &str = "DynamoDB developer guide: Metrics and dimensions";
const TTL: &str = "DynamoDB developer guide: Time to live";
const BACKUPS: &str = "DynamoDB API: UpdateContinuousBackups";
const TAGS: &str = "DynamoDB API: TagResource";
const PROBES: &str = "published probes of the live API, 2026";

const fn rule(id: &'static str, says: &'static str, source: &'static str) -> Rule {
    Rule { id, says, source }
}

pub const RULES: &[Rule] = &[
    rule("dynamodb.units.write", "a write costs one unit for each started KB", UNITS),
    rule("dynamodb.units.read", "a consistent read costs one unit for each started 4 KB, otherwise half", UNITS),
    rule("dynamodb.units.larger", "a put is billed by the larger of the item before and after", UNITS),
    rule("dynamodb.units.condition", "a write whose condition fails consumes nevertheless", UNITS),
    rule("dynamodb.item.size", "an item has at most 400 KB", QUOTAS),
    rule("dynamodb.item.keys", "partition keys have at most 2,048 bytes, sort keys 1,024, neither is empty", QUOTAS),
    rule("dynamodb.item.number", "numbers have at most 38 digits", QUOTAS),
    rule("dynamodb.item.nesting", "items nest at most 32 levels", QUOTAS),
    rule("dynamodb.item.collection", "a collection with a local index is bounded", QUOTAS),
    rule("dynamodb.batch.limit", "a batch has at most 25 writes, no two of one item", BATCH),
    rule("dynamodb.batch.rounding", "each item of a batch is rounded up by itself", BATCH),
    rule("dynamodb.batch.unprocessed", "throttled items of a batch come back; only if all are, the call fails", BATCH),
    rule("dynamodb.index.write", "an index is billed by itself: one write, two when its key changes", GSI),
    rule("dynamodb.index.back-pressure", "an index short of writes throttles its table's writes", GSI),
    rule("dynamodb.index.excluded", "the table's consumption leaves its global indexes out", METRICS),
    rule("dynamodb.index.one", "one index is created or deleted at a time and in a call", UPDATE),
    rule("dynamodb.index.backfill", "a new index is CREATING while the table stays ACTIVE", UPDATE),
    rule("dynamodb.index.limits", "a table has at most 20 global and 5 local indexes", QUOTAS),
    rule("dynamodb.table.limits", "one table or index has 1 to 40,000 units, all together at most 80,000", QUOTAS),
    rule("dynamodb.table.number", "an account has at most 2,500 tables in a region", QUOTAS),
    rule("dynamodb.table.in-flight", "at most 500 table operations are in flight", QUOTAS),
    rule("dynamodb.table.status", "a table is CREATING, ACTIVE, UPDATING, DELETING", TABLE),
    rule(
        "dynamodb.table.delete",
        "a table in transition is not deleted; deleting twice is no error",
        "DynamoDB API: DeleteTable",
    ),
    rule("dynamodb.table.protection", "deletion protection is off unless asked for, and refuses deletion", CREATE),
    rule(
        "dynamodb.table.protection-alone",
        "it is changed alone, and UpdateTable is throttled for a while after",
        PROBES,
    ),
    rule("dynamodb.partition.key", "one partition takes 1,000 write and 3,000 read units a second", BURST),
    rule("dynamodb.partition.adaptive", "other keys are not held back by a hot one", BURST),
    rule("dynamodb.burst", "300 seconds of unused capacity are kept", BURST),
    rule("dynamodb.throughput.one", "one throughput change at a time", UPDATE),
    rule("dynamodb.throughput.together", "table and indexes change in one call", UPDATE),
    rule("dynamodb.throughput.later", "new numbers count when UPDATING ends; the answer shows the old ones", PROBES),
    rule("dynamodb.throughput.same", "the same numbers are refused", PROBES),
    rule("dynamodb.throughput.both", "read and write units are both required", "DynamoDB API: ProvisionedThroughput"),
    rule("dynamodb.decrease.four", "four decreases a UTC day, then one an hour after the last", QUOTAS),
    rule("dynamodb.decrease.apart", "table and index have budgets of their own; a call is refused whole", QUOTAS),
    rule("dynamodb.decrease.refused", "a refused decrease does not count", PROBES),
    rule("dynamodb.decrease.shown", "DescribeTable shows the decreases of today", TABLE),
    rule("dynamodb.increase.free", "increases have no budget", QUOTAS),
    rule("dynamodb.billing.default", "a table without BillingMode is provisioned and needs throughput", CREATE),
    rule("dynamodb.billing.switches", "four switches to on-demand in 24 hours, back at any time", MODES),
    rule("dynamodb.billing.numbers", "back needs throughput for the table and every index", UPDATE),
    rule("dynamodb.billing.summary", "a table born provisioned shows no BillingModeSummary", PROBES),
    rule("dynamodb.billing.zero", "an on-demand table shows 0 units and takes no throughput", TABLE),
    rule("dynamodb.billing.again", "a table that was on demand before switches in seconds", PROBES),
    rule("dynamodb.on-demand.fresh", "a new on-demand table takes 4,000 writes a second", ON_DEMAND),
    rule("dynamodb.on-demand.maximum", "a maximum throttles at once; -1 is none", ON_DEMAND),
    rule("dynamodb.warm", "warm throughput only goes up; the table stays ACTIVE", WARM),
    rule("dynamodb.reasons.provisioned", "a throttled request says which table or index was short", THROTTLING),
    rule("dynamodb.reasons.key-range", "and when a partition was hot", THROTTLING),
    rule("dynamodb.reasons.on-demand", "and when the account's limit or the owner's maximum was met", THROTTLING),
    rule("dynamodb.backups.days", "point-in-time recovery keeps 1 to 35 days", BACKUPS),
    rule("dynamodb.ttl.hour", "time to live is changed once an hour", "DynamoDB API: UpdateTimeToLive"),
    rule("dynamodb.ttl.free", "expired items go without consuming", TTL),
    rule("dynamodb.encryption.default", "the default key is AWS's own", "DynamoDB API: SSESpecification"),
    rule("dynamodb.encryption.changes", "encryption changes four times in 24 hours, then once in 6", QUOTAS),
    rule("dynamodb.stream.twice", "a stream is not enabled or disabled twice", UPDATE),
    rule("dynamodb.tags.limit", "a table has at most 50 tags", TAGS),
    rule("dynamodb.tags.updating", "tags in transition refuse another change", PROBES),
    rule("dynamodb.metric.consumed", "consumption is reported each minute, zero without traffic", METRICS),
    rule("dynamodb.metric.provisioned", "provisioned units are reported every five minutes", METRICS),
    rule("dynamodb.metric.causes", "each cause of a throttle has a metric, absent without events", METRICS),
    rule(
        "dynamodb.metric.operation",
        "ThrottledRequests and latency are by operation; a partly served batch is not counted",
        METRICS,
    ),
    rule("dynamodb.metric.condition", "failed conditions are counted by table", METRICS),
    rule("dynamodb.metric.user-errors", "other errors of the client are counted for the account", METRICS),
    rule("dynamodb.metric.account", "the account's use of its quota is reported", METRICS),
    rule("dynamodb.metric.build", "the progress of a new index is reported", METRICS),
];

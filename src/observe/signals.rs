//! The metrics of a pipeline, in one batched GetMetricData, as signals with their freshness.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{fill, retry::retry};
use crate::{
    aws::{Aws, MetricQuery, Statistic, is_unsupported},
    model::{
        BillingMode, ConsumerSignals, ErrorClass, Facts, Failure, IndexSignals, Point, ShardSignals, Signal, Signals,
        StreamFacts, StreamSignals, TableFacts, TableSignals, WINDOW,
    },
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

/// What an observation is for: how far back it looks, and which metrics it pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The daemon's: what sizes depend on, of the last [`WINDOW`].
    Scaling,
    /// A consumer is moved to or from fan-out: the daemon's metrics, further back, because the position may lie
    /// before [`WINDOW`].
    Moving,
    /// `diagnose`: everything that a rule can use, of so long. CloudWatch keeps single minutes for 15 days.
    Diagnosis(SignedDuration),
}

/// How far back a move looks: twice the longest timeout of a function (15 min, Lambda quotas), and as much again for
/// a minute in which no poller was throttled.
const MOVE_WINDOW: SignedDuration = SignedDuration::from_hours(2);

impl Scope {
    fn diagnoses(self) -> bool {
        matches!(self, Self::Diagnosis(_))
    }

    fn window(self) -> SignedDuration {
        match self {
            Self::Scaling => WINDOW,
            Self::Moving => MOVE_WINDOW,
            Self::Diagnosis(window) => window,
        }
    }
}

/// Reads the metrics of what exists; what does not exist is `Absent` without being asked for.
///
/// Minutes younger than the policy's metric delay stand apart: CloudWatch may still change them. A signal is `Fresh`
/// when it has the newest minute that ended at least the delay ago; where CloudWatch as a whole is later than that, the
/// newest minute that any metric has, up to the policy's `staleAfterSeconds` later.
///
/// # Errors
/// The read that failed for good, also when CloudWatch says that its answer is not complete.
pub async fn signals(
    aws: &Aws,
    pipeline: &Pipeline,
    facts: &Facts,
    policy: &ScalingPolicy,
    scope: Scope,
) -> Result<Signals, Failure> {
    let now = aws.clock().now();
    let usual = newest_expected(now, policy.metric_delay_seconds);
    let end = usual + MINUTE;
    let young = newest_expected(now, 0) + MINUTE;
    let shards = shards(aws, facts, scope).await?;
    let mut queries: BTreeSet<MetricQuery> = BTreeSet::new();
    let _ = assemble(pipeline, facts, scope, &shards, &mut |query| {
        queries.insert(query);
        Signal::absent()
    });
    let queries: Vec<MetricQuery> = queries.into_iter().collect();
    let answers = if queries.is_empty() {
        Vec::new()
    } else {
        retry(aws.clock(), || aws.metrics(&queries, 60, end - scope.window(), young)).await?
    };
    let metrics_requested = billed(&queries);
    let answers: BTreeMap<MetricQuery, Vec<Point>> = queries.into_iter().zip(answers).collect();
    let late = usual - SignedDuration::from_secs(i64::from(policy.stale_after_seconds));
    let seen = answers.values().filter_map(|points| points.last()).map(|point| point.at).max();
    let newest_expected = seen.map_or(usual, |seen| seen.clamp(late, usual));
    let Assembled { account_concurrency, stream, consumers, tables } =
        assemble(pipeline, facts, scope, &shards, &mut |query| {
            Signal::of(answers.get(&query).cloned().unwrap_or_default(), newest_expected)
        });
    let mut signals = Signals {
        observed_at: now,
        newest_expected,
        metrics_requested,
        account_concurrency,
        stream,
        consumers,
        tables,
    };
    fill::fill(&mut signals);
    Ok(signals)
}

/// The open shards, when a diagnosis can use their metrics: they are switched on, and they may be listed.
async fn shards(aws: &Aws, facts: &Facts, scope: Scope) -> Result<Vec<String>, Failure> {
    let Some(stream) = facts.stream.as_ref().filter(|stream| !stream.shard_level_metrics.is_empty()) else {
        return Ok(Vec::new());
    };
    if !scope.diagnoses() {
        return Ok(Vec::new());
    }
    match retry(aws.clock(), || aws.open_shards(&stream.name)).await {
        Err(failure) if failure.class == ErrorClass::Denied || is_unsupported(&failure) => {
            tracing::warn!(%failure, "the shards cannot be listed; a hot one is not named");
            Ok(Vec::new())
        }
        answer => Ok(answer?.into_iter().map(|shard| shard.id).collect()),
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The start of the newest minute that ended at least `delay_seconds` ago.
fn newest_expected(now: Timestamp, delay_seconds: u32) -> Timestamp {
    let settled = now.as_second() - i64::from(delay_seconds);
    Timestamp::from_second(settled.div_euclid(60) * 60 - 60).unwrap_or(Timestamp::MIN)
}

/// CloudWatch bills metrics, up to five statistics of one as one (CloudWatch pricing, "GetMetricData").
fn billed(queries: &[MetricQuery]) -> u32 {
    let metrics: BTreeSet<_> =
        queries.iter().map(|query| (query.namespace, query.metric, query.dimensions.as_slice())).collect();
    metrics.len().try_into().unwrap_or(u32::MAX)
}

struct Assembled {
    account_concurrency: Signal,
    stream: StreamSignals,
    consumers: BTreeMap<String, ConsumerSignals>,
    tables: BTreeMap<String, TableSignals>,
}

type Ask<'a> = dyn FnMut(MetricQuery) -> Signal + 'a;

/// Names every metric there is to ask for. It is walked twice: to collect the queries, and to put the answers
/// in their places.
fn assemble(pipeline: &Pipeline, facts: &Facts, scope: Scope, shards: &[String], ask: &mut Ask<'_>) -> Assembled {
    let diagnosing = scope.diagnoses();
    let account = MetricQuery {
        namespace: "AWS/Lambda",
        metric: "ConcurrentExecutions",
        dimensions: Vec::new(),
        statistic: Statistic::Maximum,
    };
    let consumers = pipeline.consumers.iter();
    let consumers = consumers.map(|consumer| {
        let asked = consumer_signals(pipeline, facts, consumer, diagnosing, ask);
        (consumer.name.clone(), asked)
    });
    let consumers = consumers.collect();
    let tables = pipeline.tables.iter();
    let tables = tables.map(|spec| {
        let table = facts.tables.get(&spec.name);
        let mut sink = |index: Option<&String>| match table {
            Some(table) => capacity_signals(table, index, diagnosing, ask),
            None => IndexSignals::default(),
        };
        let indexes = table.into_iter().flat_map(|table| table.global_secondary_indexes.keys());
        let indexes = indexes.map(|index| (index.clone(), sink(Some(index)))).collect();
        (spec.name.clone(), TableSignals { table: sink(None), indexes })
    });
    let tables = tables.collect();
    Assembled {
        account_concurrency: get(diagnosing && !facts.functions.is_empty(), account, ask),
        stream: stream_signals(&pipeline.stream.name, facts.stream.as_ref(), diagnosing, shards, ask),
        consumers,
        tables,
    }
}

fn stream_signals(
    name: &str,
    stream: Option<&StreamFacts>,
    diagnosing: bool,
    shards: &[String],
    ask: &mut Ask<'_>,
) -> StreamSignals {
    let levels = stream.map_or(&[][..], |stream| stream.shard_level_metrics.as_slice());
    let mut of_shard = |id: &String, metric: &'static str| {
        let dimensions = vec![("StreamName", name.to_owned()), ("ShardId", id.clone())];
        let on = levels.iter().any(|level| level == metric || level == "ALL");
        get(on, MetricQuery { namespace: KINESIS, metric, dimensions, statistic: Statistic::Sum }, ask)
    };
    let shards = shards.iter().map(|id| {
        let shard = ShardSignals {
            incoming_records: of_shard(id, "IncomingRecords"),
            incoming_bytes: of_shard(id, "IncomingBytes"),
            rejected_records: of_shard(id, "WriteProvisionedThroughputExceeded"),
        };
        (id.clone(), shard)
    });
    let shards = shards.collect();
    let mut metric = |wanted: bool, metric, statistic| {
        let dimensions = vec![("StreamName", name.to_owned())];
        get(wanted && stream.is_some(), MetricQuery { namespace: KINESIS, metric, dimensions, statistic }, ask)
    };
    StreamSignals {
        incoming_records: metric(true, "IncomingRecords", Statistic::Sum),
        incoming_bytes: metric(true, "IncomingBytes", Statistic::Sum),
        rejected_records: metric(true, "WriteProvisionedThroughputExceeded", Statistic::Sum),
        read_throttles: metric(true, "ReadProvisionedThroughputExceeded", Statistic::Sum),
        iterator_age_ms: metric(true, "GetRecords.IteratorAgeMilliseconds", Statistic::Maximum),
        get_records: metric(true, "GetRecords.Records", Statistic::Sum),
        get_records_bytes: metric(diagnosing, "GetRecords.Bytes", Statistic::Sum),
        get_records_success: metric(diagnosing, "GetRecords.Success", Statistic::Average),
        put_record_success: metric(diagnosing, "PutRecord.Success", Statistic::Average),
        put_records_success: metric(diagnosing, "PutRecords.Success", Statistic::Average),
        shards,
    }
}

/// The dimension is the function's name alone, so the numbers are of all its versions and aliases.
fn consumer_signals(
    pipeline: &Pipeline,
    facts: &Facts,
    consumer: &ConsumerSpec,
    diagnosing: bool,
    ask: &mut Ask<'_>,
) -> ConsumerSignals {
    let exists = facts.functions.contains_key(&consumer.function);
    let mapping = facts.mapping_to(&consumer.function, consumer.alias.as_deref());
    let fan_out = mapping.and_then(|mapping| facts.fan_out.iter().find(|it| it.arn == mapping.source_arn));
    let behind_latest_ms = match fan_out {
        None => Signal::absent(),
        Some(fan_out) => ask(MetricQuery {
            namespace: KINESIS,
            metric: "SubscribeToShardEvent.MillisBehindLatest",
            dimensions: vec![("StreamName", pipeline.stream.name.clone()), ("ConsumerName", fan_out.name.clone())],
            statistic: Statistic::Maximum,
        }),
    };
    let dropped_events = match mapping.filter(|_| diagnosing) {
        None => Signal::absent(),
        Some(mapping) => ask(MetricQuery {
            namespace: LAMBDA,
            metric: "DroppedEventCount",
            dimensions: vec![("EventSourceMappingUUID", mapping.uuid.clone())],
            statistic: Statistic::Sum,
        }),
    };
    let mut metric = |wanted: bool, metric, statistic| {
        let dimensions = vec![("FunctionName", consumer.function.clone())];
        get(wanted && exists, MetricQuery { namespace: LAMBDA, metric, dimensions, statistic }, ask)
    };
    let delivers = mapping.is_some_and(|mapping| mapping.on_failure.is_some());
    ConsumerSignals {
        invocations: metric(true, "Invocations", Statistic::Sum),
        errors: metric(true, "Errors", Statistic::Sum),
        throttles: metric(true, "Throttles", Statistic::Sum),
        duration_avg_ms: metric(true, "Duration", Statistic::Average),
        duration_max_ms: metric(true, "Duration", Statistic::Maximum),
        iterator_age_ms: metric(true, "IteratorAge", Statistic::Maximum),
        concurrent_executions: metric(true, "ConcurrentExecutions", Statistic::Maximum),
        destination_failures: metric(diagnosing && delivers, "DestinationDeliveryFailures", Statistic::Sum),
        behind_latest_ms,
        dropped_events,
    }
}

fn capacity_signals(table: &TableFacts, index: Option<&String>, diagnosing: bool, ask: &mut Ask<'_>) -> IndexSignals {
    let on_demand = table.billing_mode == BillingMode::OnDemand;
    let mut metric = |wanted: bool, metric| {
        let mut dimensions = vec![("TableName", table.name.clone())];
        dimensions.extend(index.map(|index| ("GlobalSecondaryIndexName", index.clone())));
        get(wanted, MetricQuery { namespace: DYNAMODB, metric, dimensions, statistic: Statistic::Sum }, ask)
    };
    IndexSignals {
        consumed_write: metric(true, "ConsumedWriteCapacityUnits"),
        consumed_read: metric(true, "ConsumedReadCapacityUnits"),
        write_throttles: metric(true, "WriteProvisionedThroughputThrottleEvents"),
        key_range_throttles: metric(true, "WriteKeyRangeThroughputThrottleEvents"),
        read_throttles: metric(true, "ReadProvisionedThroughputThrottleEvents"),
        // Documented for tables only (DynamoDB developer guide, "DynamoDB metrics and dimensions").
        account_limit_throttles: metric(diagnosing && index.is_none(), "WriteAccountLimitThrottleEvents"),
        on_demand_maximum_throttles: metric(diagnosing && on_demand, "WriteMaxOnDemandThroughputThrottleEvents"),
    }
}

fn get(wanted: bool, query: MetricQuery, ask: &mut Ask<'_>) -> Signal {
    if wanted { ask(query) } else { Signal::absent() }
}

const KINESIS: &str = "AWS/Kinesis";
const LAMBDA: &str = "AWS/Lambda";
const DYNAMODB: &str = "AWS/DynamoDB";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_newest_expected_minute_ended_at_least_the_delay_ago() {
        assert_eq!(newest_expected(at("2026-01-01T12:05:30Z"), 120), at("2026-01-01T12:02:00Z"));
        assert_eq!(newest_expected(at("2026-01-01T12:05:00Z"), 120), at("2026-01-01T12:02:00Z"));
        assert_eq!(newest_expected(at("2026-01-01T12:04:59Z"), 120), at("2026-01-01T12:01:00Z"));
        assert_eq!(newest_expected(at("2026-01-01T12:05:00Z"), 0), at("2026-01-01T12:04:00Z"));
    }

    #[test]
    fn two_statistics_of_one_metric_are_billed_once() {
        let query = |statistic| MetricQuery {
            namespace: "AWS/Lambda",
            metric: "Duration",
            dimensions: vec![("FunctionName", "f".to_owned())],
            statistic,
        };
        assert_eq!(billed(&[query(Statistic::Average), query(Statistic::Maximum)]), 1);
    }
}

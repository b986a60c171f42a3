//! The metrics of a pipeline, in one batched GetMetricData, as signals with their freshness.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{fill, retry::retry};
use crate::{
    aws::{Aws, MetricQuery, Statistic},
    model::{
        ConsumerSignals, Facts, Failure, Freshness, IndexSignals, Point, Signal, Signals, StreamSignals, TableSignals,
    },
    spec::{Pipeline, ScalingPolicy},
};

/// How far back each observation looks.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// Reads the metrics of what exists; what does not exist is `Absent` without being asked for.
///
/// Minutes younger than the policy's metric delay are not asked for: CloudWatch may still change them. A signal
/// is `Fresh` when it has the newest minute that ended at least the delay ago.
///
/// # Errors
/// The read that failed for good, also when CloudWatch says that its answer is not complete.
pub async fn signals(
    aws: &Aws,
    pipeline: &Pipeline,
    facts: &Facts,
    policy: &ScalingPolicy,
) -> Result<Signals, Failure> {
    let now = aws.clock().now();
    let newest_expected = newest_expected(now, policy.metric_delay_seconds);
    let end = newest_expected + MINUTE;
    let mut queries: BTreeSet<MetricQuery> = BTreeSet::new();
    let _ = assemble(pipeline, facts, &mut |query| {
        queries.insert(query);
        Signal::absent()
    });
    let queries: Vec<MetricQuery> = queries.into_iter().collect();
    let answers = if queries.is_empty() {
        Vec::new()
    } else {
        retry(aws.clock(), || aws.metrics(&queries, end - WINDOW, end)).await?
    };
    let metrics_requested = billed(&queries);
    let answers: BTreeMap<MetricQuery, Vec<Point>> = queries.into_iter().zip(answers).collect();
    let Assembled { stream, consumers, tables } = assemble(pipeline, facts, &mut |query| {
        let points = answers.get(&query).cloned().unwrap_or_default();
        Signal { freshness: freshness(&points, newest_expected), points }
    });
    let mut signals = Signals { observed_at: now, newest_expected, metrics_requested, stream, consumers, tables };
    fill::fill(&mut signals);
    Ok(signals)
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The start of the newest minute that ended at least `delay_seconds` ago.
fn newest_expected(now: Timestamp, delay_seconds: u32) -> Timestamp {
    let settled = now.as_second() - i64::from(delay_seconds);
    Timestamp::from_second(settled.div_euclid(60) * 60 - 60).unwrap_or(Timestamp::MIN)
}

/// The freshness of points that stand oldest first.
pub(super) fn freshness(points: &[Point], newest_expected: Timestamp) -> Freshness {
    match points.last() {
        None => Freshness::Absent,
        Some(last) if last.at >= newest_expected => Freshness::Fresh,
        Some(_) => Freshness::Stale,
    }
}

/// CloudWatch bills metrics, up to five statistics of one as one (CloudWatch pricing, "GetMetricData").
fn billed(queries: &[MetricQuery]) -> u32 {
    let metrics: BTreeSet<_> =
        queries.iter().map(|query| (query.namespace, query.metric, query.dimensions.as_slice())).collect();
    metrics.len().try_into().unwrap_or(u32::MAX)
}

struct Assembled {
    stream: StreamSignals,
    consumers: BTreeMap<String, ConsumerSignals>,
    tables: BTreeMap<String, TableSignals>,
}

type Ask<'a> = dyn FnMut(MetricQuery) -> Signal + 'a;

/// Names every metric there is to ask for. It is walked twice: to collect the queries, and to put the answers
/// in their places.
fn assemble(pipeline: &Pipeline, facts: &Facts, ask: &mut Ask<'_>) -> Assembled {
    let stream = stream_signals(&pipeline.stream.name, facts.stream.is_some(), ask);
    let consumers = pipeline
        .consumers
        .iter()
        .map(|consumer| {
            let exists = facts.functions.contains_key(&consumer.function);
            (consumer.name.clone(), consumer_signals(&consumer.function, exists, ask))
        })
        .collect();
    let tables = pipeline
        .tables
        .iter()
        .map(|spec| {
            let table = facts.tables.get(&spec.name);
            let indexes = table
                .into_iter()
                .flat_map(|table| table.global_secondary_indexes.keys())
                .map(|index| (index.clone(), capacity_signals(&spec.name, Some(index), true, ask)))
                .collect();
            let table = capacity_signals(&spec.name, None, table.is_some(), ask);
            (spec.name.clone(), TableSignals { table, indexes })
        })
        .collect();
    Assembled { stream, consumers, tables }
}

fn stream_signals(stream: &str, exists: bool, ask: &mut Ask<'_>) -> StreamSignals {
    let mut metric = |metric, statistic| {
        let dimensions = vec![("StreamName", stream.to_owned())];
        get(exists, MetricQuery { namespace: "AWS/Kinesis", metric, dimensions, statistic }, ask)
    };
    StreamSignals {
        incoming_records: metric("IncomingRecords", Statistic::Sum),
        incoming_bytes: metric("IncomingBytes", Statistic::Sum),
        rejected_records: metric("WriteProvisionedThroughputExceeded", Statistic::Sum),
        read_throttles: metric("ReadProvisionedThroughputExceeded", Statistic::Sum),
        iterator_age_ms: metric("GetRecords.IteratorAgeMilliseconds", Statistic::Maximum),
        get_records: metric("GetRecords.Records", Statistic::Sum),
    }
}

/// The dimension is the function's name alone, so the numbers are of all its versions and aliases.
fn consumer_signals(function: &str, exists: bool, ask: &mut Ask<'_>) -> ConsumerSignals {
    let mut metric = |metric, statistic| {
        let dimensions = vec![("FunctionName", function.to_owned())];
        get(exists, MetricQuery { namespace: "AWS/Lambda", metric, dimensions, statistic }, ask)
    };
    ConsumerSignals {
        invocations: metric("Invocations", Statistic::Sum),
        errors: metric("Errors", Statistic::Sum),
        throttles: metric("Throttles", Statistic::Sum),
        duration_avg_ms: metric("Duration", Statistic::Average),
        duration_max_ms: metric("Duration", Statistic::Maximum),
        iterator_age_ms: metric("IteratorAge", Statistic::Maximum),
        concurrent_executions: metric("ConcurrentExecutions", Statistic::Maximum),
    }
}

fn capacity_signals(table: &str, index: Option<&str>, exists: bool, ask: &mut Ask<'_>) -> IndexSignals {
    let mut metric = |metric| {
        let mut dimensions = vec![("TableName", table.to_owned())];
        dimensions.extend(index.map(|index| ("GlobalSecondaryIndexName", index.to_owned())));
        get(exists, MetricQuery { namespace: "AWS/DynamoDB", metric, dimensions, statistic: Statistic::Sum }, ask)
    };
    IndexSignals {
        consumed_write: metric("ConsumedWriteCapacityUnits"),
        consumed_read: metric("ConsumedReadCapacityUnits"),
        write_throttles: metric("WriteProvisionedThroughputThrottleEvents"),
        key_range_throttles: metric("WriteKeyRangeThroughputThrottleEvents"),
        read_throttles: metric("ReadProvisionedThroughputThrottleEvents"),
    }
}

fn get(exists: bool, query: MetricQuery, ask: &mut Ask<'_>) -> Signal {
    if exists { ask(query) } else { Signal::absent() }
}

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
    fn a_signal_without_its_newest_minute_is_stale() {
        let newest = at("2026-01-01T12:02:00Z");
        let point = |text| Point { at: at(text), value: 1.0 };
        assert_eq!(freshness(&[], newest), Freshness::Absent);
        assert_eq!(freshness(&[point("2026-01-01T12:02:00Z")], newest), Freshness::Fresh);
        assert_eq!(freshness(&[point("2026-01-01T12:01:00Z")], newest), Freshness::Stale);
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

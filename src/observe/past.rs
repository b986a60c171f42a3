//! The load of days and weeks as CloudWatch keeps it, for a simulation of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::retry::retry;
use crate::{
    aws::{Aws, MetricQuery, Statistic},
    model::{Failure, Point},
    spec::Pipeline,
};

/// How long CloudWatch keeps periods of so many seconds (CloudWatch concepts, "Metrics retention").
const KEPT: [(i64, u32); 3] = [(15, 60), (63, 300), (455, 3_600)];
/// Days after which nothing is kept.
pub const LONGEST_PAST_DAYS: i64 = KEPT[2].0;
/// Datapoints of one answer (CloudWatch API, GetMetricData).
const POINTS_PER_CALL: usize = 100_800;

/// What CloudWatch kept of a pipeline. A period without a point was not published.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Start of the first period.
    pub start: Timestamp,
    /// End of the last one.
    pub end: Timestamp,
    /// Seconds of a period.
    pub period_seconds: u32,
    /// IncomingRecords of the stream, Sum.
    pub records: Vec<Point>,
    /// IncomingBytes of the stream, Sum.
    pub bytes: Vec<Point>,
    /// WriteProvisionedThroughputExceeded of the stream, Sum: records rejected.
    pub rejected: Vec<Point>,
    /// Each consumer's, by its name in the spec.
    pub consumers: BTreeMap<String, PastConsumer>,
    /// ConsumedWriteCapacityUnits of each table without its indexes, Sum, by name.
    pub writes: BTreeMap<String, Vec<Point>>,
}

/// A function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PastConsumer {
    /// Invocations, Sum.
    pub invocations: Vec<Point>,
    /// Duration, Sum: milliseconds of all invocations together.
    pub duration_ms: Vec<Point>,
}

/// Reads the last `back` of the pipeline's stream, functions and tables, up to the newest period that ended at least
/// `delay_seconds` ago; `None` when the stream does not exist. Further back, the periods are coarser.
///
/// # Errors
/// The read that failed for good.
pub async fn past(
    aws: &Aws,
    pipeline: &Pipeline,
    back: SignedDuration,
    delay_seconds: u32,
) -> Result<Option<Past>, Failure> {
    let clock = aws.clock();
    let name = &pipeline.stream.name;
    let Some(stream) = retry(clock, || aws.stream(name)).await? else { return Ok(None) };
    let now = clock.now();
    let period_seconds = period(back);
    let period = i64::from(period_seconds);
    let created = stream.created_at.map_or(i64::MIN, Timestamp::as_second).div_euclid(period);
    // The first period that is whole, the last that is settled.
    let first = (now.as_second() - back.as_secs() + period - 1).div_euclid(period).max(created);
    let last = (now.as_second() - i64::from(delay_seconds)).div_euclid(period).max(first);
    let start_of = |number: i64| Timestamp::from_second(number.saturating_mul(period)).unwrap_or(now);
    let queries = queries(pipeline);
    let mut answers = vec![Vec::new(); queries.len()];
    let step = (POINTS_PER_CALL / queries.len().max(1)).max(1) as i64;
    for from in (first..last).step_by(step as usize) {
        let (start, end) = (start_of(from), start_of((from + step).min(last)));
        let found = retry(clock, || aws.metrics(&queries, period_seconds, start, end)).await?;
        answers.iter_mut().zip(found).for_each(|(all, more)| all.extend(more));
    }
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let (records, bytes, rejected) = (next(), next(), next());
    let consumers = pipeline.consumers.iter();
    let consumers =
        consumers.map(|it| (it.name.clone(), PastConsumer { invocations: next(), duration_ms: next() })).collect();
    let writes = pipeline.tables.iter().map(|it| (it.name.clone(), next())).collect();
    let (start, end) = (start_of(first), start_of(last));
    Ok(Some(Past { start, end, period_seconds, records, bytes, rejected, consumers, writes }))
}

/// The finest period that is kept for so long.
fn period(back: SignedDuration) -> u32 {
    let kept = KEPT.iter().find(|(days, _)| back <= SignedDuration::from_hours(days * 24));
    kept.map_or(KEPT[2].1, |(_, period)| *period)
}

/// In the order in which [`past`] takes the answers.
fn queries(pipeline: &Pipeline) -> Vec<MetricQuery> {
    let sum = |namespace, metric, dimension: &'static str, of: &String| MetricQuery {
        namespace,
        metric,
        dimensions: vec![(dimension, of.clone())],
        statistic: Statistic::Sum,
    };
    let mut queries: Vec<MetricQuery> = ["IncomingRecords", "IncomingBytes", "WriteProvisionedThroughputExceeded"]
        .map(|metric| sum("AWS/Kinesis", metric, "StreamName", &pipeline.stream.name))
        .into();
    for consumer in &pipeline.consumers {
        let of = |metric| sum("AWS/Lambda", metric, "FunctionName", &consumer.function);
        queries.extend(["Invocations", "Duration"].map(of));
    }
    let tables = pipeline.tables.iter();
    queries.extend(tables.map(|table| sum("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", &table.name)));
    queries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_period_that_is_still_kept_is_asked_for() {
        let days = |days: i64| period(SignedDuration::from_hours(days * 24));
        assert_eq!([1, 15, 16, 63, 64, 455].map(days), [60, 60, 300, 300, 3_600, 3_600]);
    }
}

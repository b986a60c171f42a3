//! What a run looked like, read from what CloudWatch published: the symptoms of a pipeline that cannot keep
//! up, and the figures of the before/after table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::story::Story;
use crate::{
    aws::{Aws, MetricQuery, Statistic},
    cost::{Bill, Meters, PriceSheet},
    diagnose::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND},
    model::Failure,
    spec::Pipeline,
    twin::{Host, Twin, plane::TableTotals},
};

/// A duration this near the timeout is a timeout: billing rounds up to the millisecond.
const AT_TIMEOUT: f64 = 0.999;
/// "Almost at the line", as a share of what the shards take.
const NEAR_LINE: f64 = 0.95;
/// "Far below its line".
const FAR_BELOW: f64 = 0.5;
/// "Normally under one second": an invocation above this is slow, ms.
const SLOW_MS: f64 = 2_000.0;

/// The symptoms of the published walk-through, and what it rules out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Symptom {
    /// Iterator age is higher at the end of each half hour than at the end of the one before.
    IteratorAgeGrows,
    /// Iterator age is above the objective.
    IteratorAgeAboveObjective,
    /// Incoming records almost at the shards' limit, bytes far below theirs.
    RecordsAtShardLimit,
    /// Records were rejected.
    RecordsRejected,
    /// FinalResults runs into its timeout.
    FinalResultsTimesOut,
    /// TumblingWindow takes more than two seconds.
    LeaderboardSlow,
    /// Function errors, and more of them as time goes on.
    ErrorsGrow,
    /// One concurrent execution per function at most.
    OneExecutionPerFunction,
    /// More write units consumed than provisioned.
    WritesOverProvisioned,
    /// Writes throttled for provisioned throughput.
    WritesThrottled,
    /// Writes throttled at one partition key's limit: more capacity does not cure it.
    HotKeyThrottled,
    /// Reads throttled.
    ReadsThrottled,
}

/// Minute sums and maxima by metric; a minute without a point is missing, not zero.
pub type Minutes = BTreeMap<Timestamp, f64>;

/// Every metric the walk-through looks at, over one run.
#[derive(Debug, Clone, Default)]
pub struct Series {
    start: Timestamp,
    values: BTreeMap<String, Minutes>,
    leaderboard: String,
    finals: String,
    sinks: Vec<String>,
    timeouts_ms: BTreeMap<String, f64>,
}

impl Series {
    /// Reads the run from CloudWatch.
    pub async fn read(aws: &Aws, pipeline: &Pipeline, start: Timestamp, end: Timestamp) -> Result<Self, Failure> {
        let mut series = Self { start, ..Self::default() };
        let mut names = Vec::new();
        let mut queries = Vec::new();
        let mut ask = |name: String, namespace, metric, dimensions, statistic| {
            names.push(name);
            queries.push(MetricQuery { namespace, metric, dimensions, statistic });
        };
        let stream = || vec![("StreamName", pipeline.stream.name.clone())];
        for metric in ["IncomingRecords", "IncomingBytes", "WriteProvisionedThroughputExceeded"] {
            ask(metric.to_owned(), "AWS/Kinesis", metric, stream(), Statistic::Sum);
        }
        for consumer in &pipeline.consumers {
            let function = || vec![("FunctionName", consumer.function.clone())];
            for (metric, statistic) in [
                ("Duration", Statistic::Maximum),
                ("IteratorAge", Statistic::Maximum),
                ("ConcurrentExecutions", Statistic::Maximum),
                ("Errors", Statistic::Sum),
                ("Invocations", Statistic::Sum),
            ] {
                ask(format!("{} {metric}", consumer.function), "AWS/Lambda", metric, function(), statistic);
            }
        }
        for table in &pipeline.tables {
            let indexes = table.global_secondary_indexes.iter().map(|index| Some(index.name.clone()));
            for index in std::iter::once(None).chain(indexes) {
                let sink = index.as_ref().map_or_else(|| table.name.clone(), |index| format!("{}/{index}", table.name));
                for metric in [
                    "ConsumedWriteCapacityUnits",
                    "ConsumedReadCapacityUnits",
                    "WriteProvisionedThroughputThrottleEvents",
                    "WriteKeyRangeThroughputThrottleEvents",
                    "ReadProvisionedThroughputThrottleEvents",
                ] {
                    let mut dimensions = vec![("TableName", table.name.clone())];
                    dimensions.extend(index.clone().map(|index| ("GlobalSecondaryIndexName", index)));
                    ask(format!("{sink} {metric}"), "AWS/DynamoDB", metric, dimensions, Statistic::Sum);
                }
                series.sinks.push(sink);
            }
        }
        let answers = aws.metrics(&queries, 60, start, end).await?;
        for (name, points) in names.into_iter().zip(answers) {
            series.values.insert(name, points.into_iter().map(|point| (point.at, point.value)).collect());
        }
        series.leaderboard = pipeline.consumers.first().map(|it| it.function.clone()).unwrap_or_default();
        series.finals = pipeline.consumers.last().map(|it| it.function.clone()).unwrap_or_default();
        Ok(series)
    }

    /// Says how long each function may run, ms: the walk-through holds durations against it.
    pub fn set_timeout(&mut self, function: &str, milliseconds: f64) {
        self.timeouts_ms.insert(function.to_owned(), milliseconds);
    }

    /// The minutes of a metric; empty when it was never published.
    pub fn minutes(&self, name: &str) -> Minutes {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// The values of a metric from `from` to before `to`, minutes since the start.
    fn window(&self, name: &str, from: i64, to: i64) -> Vec<f64> {
        let (from, to) = (self.start + SignedDuration::from_mins(from), self.start + SignedDuration::from_mins(to));
        self.values
            .get(name)
            .map(|minutes| minutes.range(from..to).map(|(_, value)| *value).collect())
            .unwrap_or_default()
    }

    fn sum(&self, name: &str, from: i64, to: i64) -> f64 {
        self.window(name, from, to).iter().sum()
    }

    fn max(&self, name: &str, from: i64, to: i64) -> f64 {
        self.window(name, from, to).into_iter().fold(0.0, f64::max)
    }

    /// The highest iterator age of both functions, seconds.
    pub fn age_seconds(&self, from: i64, to: i64) -> f64 {
        let of = |function: &str| self.max(&format!("{function} IteratorAge"), from, to);
        of(&self.leaderboard).max(of(&self.finals)) / 1000.0
    }

    /// Sum of a DynamoDB metric over the table and its indexes.
    pub fn sinks(&self, metric: &str, from: i64, to: i64) -> f64 {
        self.sinks.iter().map(|sink| self.sum(&format!("{sink} {metric}"), from, to)).sum()
    }

    /// Whether a function ran into its timeout.
    pub fn times_out(&self, function: &str, from: i64, to: i64) -> bool {
        let limit = self.timeouts_ms.get(function).copied().unwrap_or(f64::INFINITY);
        self.max(&format!("{function} Duration"), from, to) >= AT_TIMEOUT * limit
    }

    /// The symptoms between two minutes since the start, with the capacity that was provisioned then.
    pub fn symptoms(&self, story: &Story, values: &Live, from: i64, to: i64) -> BTreeSet<Symptom> {
        let mut found = BTreeSet::new();
        let mut note = |symptom, is| {
            if is {
                found.insert(symptom);
            }
        };
        let objective = story.pipeline.objectives.iterator_age.as_secs_f64();
        let ends: Vec<f64> = (from + 30..=to).step_by(30).map(|end| self.age_seconds(end - 5, end)).collect();
        note(Symptom::IteratorAgeGrows, ends.len() > 1 && ends.windows(2).all(|pair| pair[1] > pair[0] + 30.0));
        note(Symptom::IteratorAgeAboveObjective, self.age_seconds(from, to) > objective);
        let seconds = 60.0 * self.window("IncomingRecords", from, to).len().max(1) as f64;
        let records = self.sum("IncomingRecords", from, to) / seconds / values.shards;
        let bytes = self.sum("IncomingBytes", from, to) / seconds / values.shards;
        note(
            Symptom::RecordsAtShardLimit,
            records >= NEAR_LINE * SHARD_RECORDS_PER_SECOND && bytes <= FAR_BELOW * SHARD_BYTES_PER_SECOND,
        );
        note(Symptom::RecordsRejected, self.sum("WriteProvisionedThroughputExceeded", from, to) > 0.0);
        note(Symptom::FinalResultsTimesOut, self.times_out(&self.finals, from, to));
        note(Symptom::LeaderboardSlow, self.max(&format!("{} Duration", self.leaderboard), from, to) > SLOW_MS);
        let middle = i64::midpoint(from, to);
        let errors = |from, to| {
            self.sum(&format!("{} Errors", self.leaderboard), from, to)
                + self.sum(&format!("{} Errors", self.finals), from, to)
        };
        note(Symptom::ErrorsGrow, errors(middle, to) > 0.0 && errors(from, to) > errors(from, middle));
        let concurrent = |function: &str| self.max(&format!("{function} ConcurrentExecutions"), from, to);
        note(Symptom::OneExecutionPerFunction, concurrent(&self.leaderboard) <= 1.0 && concurrent(&self.finals) <= 1.0);
        let over = self.sinks.iter().zip(&values.write).any(|(sink, provisioned)| {
            self.max(&format!("{sink} ConsumedWriteCapacityUnits"), from, to) / 60.0 > provisioned * 1.01
        });
        note(Symptom::WritesOverProvisioned, over);
        note(Symptom::WritesThrottled, self.sinks("WriteProvisionedThroughputThrottleEvents", from, to) > 0.0);
        note(Symptom::HotKeyThrottled, self.sinks("WriteKeyRangeThroughputThrottleEvents", from, to) > 0.0);
        note(Symptom::ReadsThrottled, self.sinks("ReadProvisionedThroughputThrottleEvents", from, to) > 0.0);
        found
    }

    /// Minutes in which the age was above the objective or more than 0.1 % of the records were rejected.
    fn violations(&self, objective_seconds: f64, from: i64, to: i64) -> u32 {
        let violated = |minute: i64| {
            let rejected = self.sum("WriteProvisionedThroughputExceeded", minute, minute + 1);
            let offered = rejected + self.sum("IncomingRecords", minute, minute + 1);
            self.age_seconds(minute, minute + 1) > objective_seconds || rejected > 0.001 * offered
        };
        (from..to).filter(|minute| violated(*minute)).count() as u32
    }
}

/// Capacity that a window is held against: the values live at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Open shards.
    pub shards: f64,
    /// Write units of the table and its indexes, in the spec's order.
    pub write: Vec<f64>,
}

impl Live {
    /// What was live at a minute since the start.
    pub fn at(story: &Story, twin: &Twin, minute: i64) -> Self {
        let until = story.world.start + SignedDuration::from_mins(minute);
        let value = |resource: &str, field: &str| {
            let mut changes = twin.audit().history.iter().filter(|change| change.at <= until);
            changes.rfind(|it| it.resource == resource && it.field == field).map_or(0.0, |it| it.to as f64)
        };
        let shards = value(&format!("stream/{}", story.pipeline.stream.name), "shards").max(1.0);
        let mut write = Vec::new();
        for table in &story.pipeline.tables {
            write.push(value(&format!("table/{}", table.name), "writeCapacity"));
            for index in &table.global_secondary_indexes {
                write.push(value(&format!("table/{}/index/{}", table.name, index.name), "writeCapacity"));
            }
        }
        Self { shards, write }
    }
}

/// The last value of every scaled field, by `resource field`.
pub fn last_values(twin: &Twin) -> BTreeMap<String, u64> {
    let mut values = BTreeMap::new();
    for change in &twin.audit().history {
        values.insert(format!("{} {}", change.resource, change.field), change.to);
    }
    values
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measures {
    /// Minutes with an age above the objective or more than 0.1 % of the records rejected.
    pub violation_minutes: u32,
    /// Highest iterator age, seconds.
    pub max_iterator_age_seconds: f64,
    /// Records offered.
    pub records_offered: u64,
    /// Records rejected: lost, because the producer does not send them again.
    pub records_rejected: u64,
    /// Records that left the stream's retention unread.
    pub records_expired: u64,
    /// Invocations that ended at the timeout.
    pub function_timeouts: u64,
    /// Writes throttled for provisioned throughput.
    pub writes_throttled: u64,
    /// Writes throttled at one partition key's limit.
    pub writes_throttled_hot_key: u64,
    /// Reads throttled.
    pub reads_throttled: u64,
    /// UpdateShardCount calls that AWS accepted.
    pub update_shard_count_calls: u64,
    /// Of them, those that raised the count.
    pub shard_raises: u64,
    /// Requests that AWS refused for a quota.
    pub quota_refusals: u64,
    /// Cost of the whole run, dollars; the metrics that the operator itself reads are in it.
    pub cost: Bill,
    /// Cost of the second hour without the metrics read, dollars.
    pub second_hour_usd: f64,
    /// What the metrics read in the second hour cost, dollars.
    pub second_hour_metrics_usd: f64,
    /// The most concurrent executions of the first consumer's function.
    pub leaderboard_max_concurrency: u64,
    /// Symptoms over the two hours of races.
    pub symptoms: BTreeSet<Symptom>,
    /// Symptoms in the second hour.
    pub symptoms_second_hour: BTreeSet<Symptom>,
    /// Minutes after the first race's start at which the last timeout, the last throttle for provisioned
    /// throughput, the last rejection and the last age above the objective were seen; none if never.
    pub last_trouble_minute: BTreeMap<&'static str, i64>,
}

/// Minute of the first race.
pub const FIRST_RACE: i64 = 1;
/// Minutes of races in the story.
pub const RACES: i64 = 120;

impl Measures {
    /// Sums a run up.
    pub fn of(story: &Story, series: &Series, hours: &[Meters], prices: &PriceSheet, host: &Host) -> Self {
        let mut series = series.clone();
        for (function, model) in &story.world.functions {
            series.set_timeout(function, f64::from(model.timeout_seconds) * 1000.0);
        }
        let minutes = i64::from(story.hours) * 60;
        let objective = story.pipeline.objectives.iterator_age.as_secs_f64();
        let (from, to) = (FIRST_RACE, (FIRST_RACE + RACES).min(minutes));
        let half = i64::midpoint(from, to);
        host.with(|twin| {
            let totals = twin.plane().totals();
            let stream = totals.streams.get(&story.pipeline.stream.name).cloned().unwrap_or_default();
            let tables = |count: fn(&TableTotals) -> u64| totals.tables.values().map(count).sum::<u64>();
            let shard_key = format!("stream/{}", story.pipeline.stream.name);
            let audit = twin.audit();
            let raises = audit
                .history
                .iter()
                .filter(|it| it.resource == shard_key && it.field == "shards" && it.from > 0 && it.to > it.from)
                .count();
            let calls = audit.accepted().filter(|it| it.operation == "kinesis:UpdateShardCount").count();
            let all = hours.iter().fold(Meters::default(), |sum, hour| sum.plus(hour));
            let second = hours.get(1).copied().unwrap_or_default();
            let metrics = Meters { cloudwatch_metrics: second.cloudwatch_metrics, ..Meters::default() };
            let metrics_usd = metrics.usd(prices).total_usd;
            let live = |minute| Live::at(story, twin, minute);
            Self {
                violation_minutes: series.violations(objective, 0, minutes),
                max_iterator_age_seconds: series.age_seconds(0, minutes),
                records_offered: stream.offered,
                records_rejected: stream.rejected,
                records_expired: totals.mappings.values().map(|it| it.expired).sum(),
                function_timeouts: totals.functions.values().map(|it| it.timeouts).sum(),
                writes_throttled: tables(|it| it.provisioned_write_throttles),
                writes_throttled_hot_key: tables(|it| it.key_range_write_throttles),
                reads_throttled: tables(|it| it.provisioned_read_throttles + it.key_range_read_throttles),
                update_shard_count_calls: calls as u64,
                shard_raises: raises as u64,
                quota_refusals: audit.quota_refusals,
                cost: all.usd(prices),
                second_hour_usd: second.usd(prices).total_usd - metrics_usd,
                second_hour_metrics_usd: metrics_usd,
                leaderboard_max_concurrency: story
                    .pipeline
                    .consumers
                    .first()
                    .and_then(|it| totals.functions.get(&it.function))
                    .map_or(0, |it| u64::from(it.max_concurrent)),
                symptoms: series.symptoms(story, &live(FIRST_RACE), from, to),
                symptoms_second_hour: series.symptoms(story, &live(to), half, to),
                last_trouble_minute: last_trouble(&series, objective, from, to),
            }
        })
    }
}

fn last_trouble(series: &Series, objective: f64, from: i64, to: i64) -> BTreeMap<&'static str, i64> {
    let mut last = BTreeMap::new();
    for minute in from..to {
        let next = minute + 1;
        let mut note = |name, is| {
            if is {
                last.insert(name, next - FIRST_RACE);
            }
        };
        note(
            "timeout",
            series.times_out(&series.leaderboard, minute, next) || series.times_out(&series.finals, minute, next),
        );
        note("writeThrottle", series.sinks("WriteProvisionedThroughputThrottleEvents", minute, next) > 0.0);
        note("rejection", series.sum("WriteProvisionedThroughputExceeded", minute, next) > 0.0);
        note("ageAboveObjective", series.age_seconds(minute, next) > objective);
    }
    last
}

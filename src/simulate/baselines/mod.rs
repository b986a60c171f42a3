//! The others: what people use today, each by its own published rules, on what that tool really reads.
//!
//! What always holds: a tool sees CloudWatch and the describe calls only, with the delay and the gaps they have; it
//! acts through the same SDK clients as our daemon, and AWS's quotas hold for it. Where a tool scales shards only, the
//! tables are left to Application Auto Scaling at 70 % (the console's default) and the factor is fixed at 8: the study
//! whose marks we compare with did so.

mod aws_samples;
mod lag;
mod target_tracking;
#[cfg(test)]
mod tests;
mod votes;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    cell::Acted,
    stage::{Stage, broken},
    timeline::{Event, EventKind},
};
use crate::{
    apply,
    aws::{Allow, Aws, MetricQuery, Statistic},
    diagnose::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND},
    model::{Bounds, Facts, Failure, LifecycleStatus, ParallelizationFactor, Point, ShardCount},
    observe,
    plan::Step,
    spec::Pipeline,
    twin::Twin,
};

/// Slots per shard where a tool does not scale them.
const FACTOR: u32 = 8;
/// Target of Application Auto Scaling in percent (DynamoDB developer guide: the console's default).
const TARGET_PERCENT: u32 = 70;

/// Minutes in which the first description may fail.
const FIRST_LOOKS: u32 = 30;

/// What a tool asks for: by a name of its own.
type Asks = Vec<(String, MetricQuery)>;

/// What it sees in one look.
struct Look<'a> {
    now: Timestamp,
    pipeline: &'a Pipeline,
    facts: &'a Facts,
    /// By the name it asked with; minutes without a point are missing.
    metrics: &'a BTreeMap<String, Vec<Point>>,
}

/// A tool with what it remembers.
#[derive(Debug)]
pub(super) enum Tool {
    TargetTracking(target_tracking::State),
    AwsSamples(aws_samples::State),
    Lag(lag::State),
    Votes(votes::State),
}

impl Tool {
    pub(super) fn target_tracking() -> Self {
        Self::TargetTracking(target_tracking::State::default())
    }

    pub(super) fn aws_samples() -> Self {
        Self::AwsSamples(aws_samples::State::default())
    }

    pub(super) fn lag_proportional() -> Self {
        Self::Lag(lag::State::default())
    }

    pub(super) fn scaling_votes() -> Self {
        Self::Votes(votes::State::default())
    }

    /// Time between two looks.
    fn every(&self) -> SignedDuration {
        match self {
            Self::AwsSamples(_) => aws_samples::EVERY,
            Self::TargetTracking(_) | Self::Votes(_) => SignedDuration::from_mins(1),
            Self::Lag(_) => lag::EVERY,
        }
    }

    /// How far back it reads.
    fn window(&self) -> SignedDuration {
        match self {
            Self::AwsSamples(_) => aws_samples::WINDOW,
            Self::TargetTracking(_) => target_tracking::WINDOW,
            Self::Votes(_) => votes::WINDOW,
            Self::Lag(_) => lag::WINDOW,
        }
    }

    fn asks(&self, pipeline: &Pipeline) -> Asks {
        let mut asks = incoming(pipeline);
        match self {
            Self::AwsSamples(_) => asks.push(aws_samples::age(pipeline)),
            Self::Lag(_) => asks.extend(lag::ages(pipeline)),
            Self::TargetTracking(_) | Self::Votes(_) => {}
        }
        asks
    }

    fn decide(&mut self, look: &Look) -> Vec<Step> {
        match self {
            Self::TargetTracking(state) => state.decide(look).into_iter().collect(),
            Self::AwsSamples(state) => state.decide(look).into_iter().collect(),
            Self::Lag(state) => state.decide(look),
            Self::Votes(state) => state.decide(look).into_iter().collect(),
        }
    }
}

/// Lets every consumer start at the fixed factor, within its bounds.
pub(super) fn fix_factor(pipeline: &mut Pipeline) {
    for consumer in &mut pipeline.consumers {
        let factor = &mut consumer.parallelization_factor;
        factor.initial = factor.clamp(ParallelizationFactor(FACTOR));
    }
}

/// Runs a tool until `end`.
pub(super) async fn run(stage: &Stage, pipeline: &Pipeline, mut tool: Tool, end: Timestamp) -> Result<Acted, Failure> {
    let aws = stage.connect(Allow::Autoscale).await?;
    stage.host.with(|twin| track_tables(twin, pipeline)).map_err(|why| broken("Application Auto Scaling", &why))?;
    let (names, queries): (Vec<_>, Vec<_>) = tool.asks(pipeline).into_iter().unzip();
    let (clock, every, window) = (&stage.clock, tool.every(), tool.window());
    let mut timeline = Vec::new();
    let mut facts = first_look(stage, &aws, pipeline).await?;
    while clock.now() < end {
        let now = clock.now();
        // A look that fails is lost, as it is for the tools.
        let seen = refresh(&aws, &tool, &mut facts).await;
        let answers = aws.metrics(&queries, 60, now - window, now).await;
        if let (Ok(()), Ok(answers)) = (seen, answers) {
            let metrics = names.iter().cloned().zip(answers).collect();
            for step in tool.decide(&Look { now, pipeline, facts: &facts, metrics: &metrics }) {
                let (kind, text) = match aws.execute(&step, &facts).await {
                    Ok(()) => (EventKind::Action, apply::describe(&step)),
                    Err(failure) => (EventKind::Refused, failure.to_string()),
                };
                timeline.push(Event { at: now, kind, resource: apply::resource(&step).to_string(), text });
            }
        }
        let passed = clock.now().duration_since(now);
        clock.sleep(every.saturating_sub(passed).min(end.duration_since(clock.now()))).await;
    }
    let mut calls = aws.calls();
    let tracked = stage.host.with(|twin| scaled_by_aws(twin));
    if tracked > 0 {
        *calls.entry("dynamodb:UpdateTable".to_owned()).or_default() += tracked;
    }
    Ok(Acted { timeline, calls, ..Acted::default() })
}

/// Describes everything once; a world's faults may need more than one try.
async fn first_look(stage: &Stage, aws: &Aws, pipeline: &Pipeline) -> Result<Facts, Failure> {
    for _ in 1..FIRST_LOOKS {
        match observe::facts(aws, pipeline).await {
            Ok(facts) => return Ok(facts),
            Err(_) => stage.clock.sleep(SignedDuration::from_mins(1)).await,
        }
    }
    observe::facts(aws, pipeline).await
}

/// Describes again what the tool looks at: the stream, and the mappings when it scales them.
async fn refresh(aws: &Aws, tool: &Tool, facts: &mut Facts) -> Result<(), Failure> {
    let Some(stream) = &mut facts.stream else { return Ok(()) };
    if let Some(found) = aws.stream(&stream.name).await? {
        *stream = found;
    }
    if matches!(tool, Tool::Lag(_)) {
        facts.mappings = aws.mappings(&stream.arn).await?;
    }
    Ok(())
}

/// UpdateTable calls of Application Auto Scaling: the world's other users change no capacity as a rule.
fn scaled_by_aws(twin: &Twin) -> u64 {
    twin.audit().mutations.iter().filter(|it| it.foreign && it.operation == "dynamodb:UpdateTable").count() as u64
}

/// Hands the capacity of every table and index to Application Auto Scaling, within the spec's bounds.
fn track_tables(twin: &mut Twin, pipeline: &Pipeline) -> Result<(), String> {
    for table in &pipeline.tables {
        let resource = format!("table/{}", table.name);
        track(twin, &resource, "table", "Write", table.write_capacity.min.get(), table.write_capacity.max.get())?;
        track(twin, &resource, "table", "Read", table.read_capacity.min.get(), table.read_capacity.max.get())?;
        for index in &table.global_secondary_indexes {
            let resource = format!("table/{}/index/{}", table.name, index.name);
            track(twin, &resource, "index", "Write", index.write_capacity.min.get(), index.write_capacity.max.get())?;
            track(twin, &resource, "index", "Read", index.read_capacity.min.get(), index.read_capacity.max.get())?;
        }
    }
    Ok(())
}

fn track(twin: &mut Twin, resource: &str, kind: &str, direction: &str, min: u64, max: u64) -> Result<(), String> {
    if max == 0 {
        // On demand by the spec: nothing to scale.
        return Ok(());
    }
    let dimension = format!("dynamodb:{kind}:{direction}CapacityUnits");
    let target = json!({"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension,
                        "MinCapacity": min, "MaxCapacity": max});
    twin.foreign_call("application-autoscaling", "RegisterScalableTarget", target)?;
    let policy = json!({
        "ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension,
        "PolicyName": format!("{direction}-{TARGET_PERCENT}"), "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": f64::from(TARGET_PERCENT),
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": format!("DynamoDB{direction}CapacityUtilization")
            }
        }
    });
    twin.foreign_call("application-autoscaling", "PutScalingPolicy", policy)
}

/// Stream and tables switched to on demand, right after they were created. AWS scales them from then on.
pub(super) async fn on_demand(stage: &Stage, pipeline: &Pipeline) -> Result<Acted, Failure> {
    let aws = stage.connect(Allow::Reads).await?;
    let facts = first_look(stage, &aws, pipeline).await?;
    let stream = facts.stream.map(|stream| stream.arn).unwrap_or_default();
    let switched = stage.host.with(|twin| {
        let mode = json!({"StreamARN": stream, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
        twin.foreign_call("kinesis", "UpdateStreamMode", mode)?;
        for table in &pipeline.tables {
            let mode = json!({"TableName": table.name, "BillingMode": "PAY_PER_REQUEST"});
            twin.foreign_call("dynamodb", "UpdateTable", mode)?;
        }
        Ok::<(), String>(())
    });
    switched.map_err(|why| broken("the switch to on demand", &why))?;
    Ok(Acted { calls: aws.calls(), ..Acted::default() })
}

const RECORDS: &str = "IncomingRecords";
const BYTES: &str = "IncomingBytes";

/// What the stream took.
fn incoming(pipeline: &Pipeline) -> Asks {
    let ask = |metric: &'static str| (metric.to_owned(), stream_metric(pipeline, metric, Statistic::Sum));
    vec![ask(RECORDS), ask(BYTES)]
}

fn stream_metric(pipeline: &Pipeline, metric: &'static str, statistic: Statistic) -> MetricQuery {
    let dimensions = vec![("StreamName", pipeline.stream.name.clone())];
    MetricQuery { namespace: "AWS/Kinesis", metric, dimensions, statistic }
}

impl Look<'_> {
    fn points(&self, name: &str) -> &[Point] {
        self.metrics.get(name).map_or(&[], Vec::as_slice)
    }

    /// The stream's open shards, when it takes a change now.
    fn shards(&self) -> Option<u32> {
        let stream = self.facts.stream.as_ref()?;
        (stream.status == LifecycleStatus::Active).then_some(stream.open_shards.get().max(1))
    }

    /// Records and bytes of the minutes as a share of what so many shards take, the greater of both; by the minute.
    fn usage(&self, shards: u32) -> BTreeMap<Timestamp, f64> {
        let mut usage: BTreeMap<Timestamp, f64> = BTreeMap::new();
        for (name, limit) in [(RECORDS, SHARD_RECORDS_PER_SECOND), (BYTES, SHARD_BYTES_PER_SECOND)] {
            for point in self.points(name) {
                let share = point.value / (60.0 * limit * f64::from(shards));
                let greatest = usage.entry(point.at).or_default();
                *greatest = greatest.max(share);
            }
        }
        usage
    }

    /// The change to `wanted` shards, as near as the spec's bounds and Kinesis allow (at most double, at least half
    /// rounded up: API reference, UpdateShardCount).
    fn reshard(&self, wanted: u32) -> Option<Step> {
        let from = self.shards()?;
        let to = reachable(from, wanted, &self.pipeline.stream.shards);
        let stream = self.pipeline.stream.name.clone();
        (to != from).then_some(Step::UpdateShardCount { stream, from: ShardCount(from), to: ShardCount(to) })
    }
}

/// What one UpdateShardCount reaches of `wanted`.
fn reachable(from: u32, wanted: u32, bounds: &Bounds<ShardCount>) -> u32 {
    let to = bounds.clamp(ShardCount(wanted)).get();
    to.clamp(from.div_ceil(2), from.saturating_mul(2))
}

/// Rounded up; what only the arithmetic of doubles adds does not count.
fn whole(units: f64) -> u32 {
    (units - 1e-9).ceil() as u32
}

/// The last `count` points, when none is missing between them and the newest is not older than `late`.
fn latest(points: &BTreeMap<Timestamp, f64>, count: usize, now: Timestamp, late: SignedDuration) -> Option<Vec<f64>> {
    let last: Vec<_> = points.iter().rev().take(count).collect();
    let (newest, oldest) = (last.first()?.0, last.last()?.0);
    let whole = last.len() == count && newest.duration_since(*oldest).as_mins() == count as i64 - 1;
    let fresh = now.duration_since(*newest) <= late;
    (whole && fresh).then(|| last.into_iter().map(|(_, value)| *value).collect())
}

//! Each tool against its published rules, on series made by hand.

use super::*;
use crate::{
    model::{Hours, StreamFacts, StreamMode},
    spec,
};

const SPEC: &str = include_str!("../../../examples/alleycat.yaml");

/// One shard takes this many records in a minute.
const SHARD_MINUTE: f64 = 60_000.0;

struct Bench {
    pipeline: Pipeline,
    facts: Facts,
}

impl Bench {
    fn new(shards: u32) -> Self {
        let pipeline = spec::parse(SPEC).unwrap();
        let stream = StreamFacts {
            name: pipeline.stream.name.clone(),
            arn: String::new(),
            status: LifecycleStatus::Active,
            mode: StreamMode::Provisioned,
            open_shards: ShardCount(shards),
            shards: Vec::new(),
            retention: Hours(24),
            encryption_key: None,
            shard_level_metrics: Vec::new(),
            created_at: None,
            tags: BTreeMap::new(),
        };
        let facts = Facts {
            observed_at: at(0),
            account: String::new(),
            region: String::new(),
            caller: String::new(),
            stream: Some(stream),
            fan_out: Vec::new(),
            functions: BTreeMap::new(),
            mappings: Vec::new(),
            tables: BTreeMap::new(),
            account_concurrency: None,
            shard_limit: None,
        };
        Self { pipeline, facts }
    }

    /// What the tool does `now`, with this share of the shards' records in each listed minute.
    fn decide(&self, tool: &mut Tool, now: i64, usage: &[(i64, f64)], ages: &[(i64, f64)]) -> Option<u32> {
        let shards = f64::from(self.facts.stream.as_ref().unwrap().open_shards.get());
        let point = |(minute, value): &(i64, f64), scale: f64| Point { at: at(*minute), value: value * scale };
        let metrics = BTreeMap::from([
            (RECORDS.to_owned(), usage.iter().map(|it| point(it, shards * SHARD_MINUTE)).collect()),
            ("GetRecords.IteratorAgeMilliseconds".to_owned(), ages.iter().map(|it| point(it, 1.0)).collect()),
        ]);
        let look = Look { now: at(now), pipeline: &self.pipeline, facts: &self.facts, metrics: &metrics };
        tool.decide(&look).into_iter().find_map(|step| match step {
            Step::UpdateShardCount { to, .. } => Some(to.get()),
            _ => None,
        })
    }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
}

fn flat(minutes: std::ops::Range<i64>, share: f64) -> Vec<(i64, f64)> {
    minutes.map(|minute| (minute, share)).collect()
}

#[test]
fn target_tracking_scales_out_in_proportion_after_three_points_and_in_after_fifteen() {
    let bench = Bench::new(7);
    let decide = |usage: &[(i64, f64)]| bench.decide(&mut Tool::target_tracking(), 31, usage, &[]);
    assert_eq!(decide(&flat(27..30, 0.9)), Some(9), "7 x 0.9 / 0.7");
    assert_eq!(decide(&flat(28..30, 0.9)), None, "two points");
    assert_eq!(decide(&[(26, 0.9), (27, 0.9), (29, 0.9)]), None, "a gap");
    assert_eq!(decide(&flat(20..23, 0.9)), None, "no data for eight minutes");
    assert_eq!(decide(&flat(15..30, 0.62)), None, "7 x 0.62 / 0.7 is seven again");
    assert_eq!(decide(&flat(15..30, 0.45)), Some(5));
    assert_eq!(decide(&flat(16..30, 0.45)), None, "fourteen points");
    assert_eq!(decide(&flat(15..30, 0.1)), Some(4), "half, rounded up, at most");
}

#[test]
fn target_tracking_cools_down_unless_more_is_needed() {
    let bench = Bench::new(7);
    let mut tool = Tool::target_tracking();
    assert_eq!(bench.decide(&mut tool, 31, &flat(27..30, 0.8), &[]), Some(8));
    assert_eq!(bench.decide(&mut tool, 33, &flat(29..32, 0.8), &[]), None);
    assert_eq!(bench.decide(&mut tool, 34, &flat(30..33, 1.0), &[]), Some(10), "a larger scale-out");
    assert_eq!(bench.decide(&mut tool, 40, &flat(36..39, 0.8), &[]), Some(8), "after 300 s");
}

/// The alarms of aws-samples, there for long.
fn alarms() -> Tool {
    Tool::AwsSamples(aws_samples::State { since: Some(at(0)) })
}

#[test]
fn aws_samples_doubles_after_five_of_five_periods_and_halves_after_57_of_60() {
    let bench = Bench::new(6);
    let decide = |usage: &[(i64, f64)], ages: &[(i64, f64)]| bench.decide(&mut alarms(), 402, usage, ages);
    // At minute 402 the newest whole and published period began at 395.
    let low = flat(100..375, 0.1);
    let with = |more: Vec<(i64, f64)>| [low.clone(), more].concat();
    assert_eq!(decide(&with(flat(375..400, 0.75)), &[]), Some(12));
    assert_eq!(decide(&with(flat(380..400, 0.75)), &[]), None, "four periods");
    assert_eq!(decide(&with(flat(375..400, 0.24)), &[]), Some(3));
    assert_eq!(decide(&with(flat(385..400, 0.5)), &[]), Some(3), "57 of 60 are low");
    assert_eq!(decide(&with(flat(380..400, 0.5)), &[]), None, "56 of 60");
    assert_eq!(decide(&[], &[]), Some(3), "missing periods are filled with zero");
    let old: Vec<(i64, f64)> = (380..400).map(|minute| (minute, 31.0 * 60_000.0)).collect();
    assert_eq!(decide(&with(flat(375..400, 0.1)), &old), None, "an iterator age of 30 minutes blocks");
    assert_eq!(bench.decide(&mut Tool::aws_samples(), 402, &[], &[]), None, "new alarms have seen nothing yet");
    assert_eq!(Bench::new(1).decide(&mut alarms(), 402, &[], &[]), None, "one shard stays");
}

#[test]
fn votes_double_after_two_high_minutes_and_take_one_shard_after_sixty_low_ones() {
    let bench = Bench::new(6);
    let mut tool = Tool::scaling_votes();
    assert_eq!(bench.decide(&mut tool, 61, &flat(59..60, 0.8), &[]), None, "one vote");
    assert_eq!(bench.decide(&mut tool, 61, &flat(58..60, 0.8), &[]), Some(12));
    assert_eq!(bench.decide(&mut tool, 61, &flat(1..61, 0.25), &[]), None, "25 % is not below");
    assert_eq!(bench.decide(&mut tool, 61, &flat(31..61, 0.2), &[]), Some(5), "missing minutes vote low");
    assert_eq!(bench.decide(&mut tool, 180, &flat(120..180, 0.2), &[]), None, "cooling off");
    assert_eq!(bench.decide(&mut tool, 181, &flat(121..181, 0.2), &[]), Some(5));
}

#[test]
fn the_pod_autoscaler_tolerates_a_tenth_limits_steps_and_waits_before_it_goes_down() {
    let bench = Bench::new(10);
    let mut tool = Tool::lag_proportional();
    assert_eq!(bench.decide(&mut tool, 5, &[(3, 0.7 * 1.09)], &[]), None, "within 10 %");
    assert_eq!(bench.decide(&mut tool, 6, &[(4, 0.7 * 1.15)], &[]), Some(12));
    assert_eq!(bench.decide(&mut tool, 7, &[(5, 0.35)], &[]), None, "300 s have not passed");
    assert_eq!(bench.decide(&mut tool, 12, &[(10, 0.35)], &[]), Some(5));
    let mut blind = Tool::lag_proportional();
    assert_eq!(bench.decide(&mut blind, 5, &[], &[]), None, "it has just started");
    assert_eq!(bench.decide(&mut blind, 11, &[], &[]), Some(5), "no data counts as no load");
}

#[test]
fn no_tool_acts_on_a_stream_that_changes() {
    let mut bench = Bench::new(6);
    bench.facts.stream.as_mut().unwrap().status = LifecycleStatus::Updating;
    let high = flat(0..400, 1.0);
    for mut tool in [Tool::target_tracking(), Tool::aws_samples(), Tool::lag_proportional(), Tool::scaling_votes()] {
        assert_eq!(bench.decide(&mut tool, 402, &high, &[]), None, "{tool:?}");
    }
}

#[test]
fn what_one_call_reaches_keeps_to_kinesis_and_to_the_spec() {
    let bounds = Bounds { min: ShardCount(2), max: ShardCount(16), initial: ShardCount(2) };
    assert_eq!(reachable(5, 40, &bounds), 10);
    assert_eq!(reachable(5, 1, &bounds), 3);
    assert_eq!(reachable(9, 40, &bounds), 16);
    assert_eq!(reachable(3, 1, &bounds), 2);
}

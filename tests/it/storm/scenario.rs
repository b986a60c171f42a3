//! What one run is made of: a world, a spec, a policy, and everything that goes wrong on the way, all from a seed.

use std::collections::BTreeMap;

use alleycat_operator::{
    spec::{self, Pipeline, ScalingPolicy},
    twin::{
        Assumptions, Crash, Fault, Faults, MetricFault, MetricTrouble, Moment, Which, World,
        world::{
            ExternalReader, FaultEffect, FaultRule, FunctionModel, Operation, OperationKind, Per, Producer, RatePoint,
            TableAccess, Timings,
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::rng::Rng;

pub const STREAM: &str = "storm";
pub const TABLE: &str = "storm-table";
pub const INDEX: &str = "by-score";
pub const PIPELINE: &str = "storm";
/// Belongs to nobody's spec and must never be touched.
pub const BYSTANDER: &str = "bystander";

#[derive(Debug, Clone)]
pub struct Scenario {
    pub seed: u64,
    pub world: World,
    pub pipeline: Pipeline,
    pub policy: ScalingPolicy,
    /// The run ends so long after the world's start.
    pub minutes: i64,
    /// From here on: no faults, no other hands, no restarts, steady traffic. Minutes after the start.
    pub calm_from: i64,
    pub existing: Existing,
    /// One entry for each try; a last one without faults always follows.
    pub applies: Vec<Life>,
    pub lives: Vec<Life>,
    pub metric_faults: Vec<MetricFault>,
    pub foreign: Vec<(SignedDuration, Foreign)>,
}

/// One life of the process.
#[derive(Debug, Clone)]
pub struct Life {
    /// It ends then at the latest, after the world's start.
    pub until: SignedDuration,
    pub faults: Faults,
    /// It begins with an empty state directory.
    pub store_lost: bool,
    pub watching: Watching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// It acts.
    No,
    /// `daemon --observe` with a connector that lets everything of the scaler pass.
    Mode,
    /// The spec says `management: observe`.
    Spec,
    /// The connector lets reads pass only, and nothing else stops it.
    Connector,
}

/// A stream that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    None,
    /// Without any of our tags, with so many shards.
    Untagged(u32),
    /// Another pipeline's.
    Foreign(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Doubles (or adds half) or halves the shards.
    Reshard { up: bool },
    /// Sets the table's write capacity.
    Capacity(u64),
    /// Puts another pipeline's tag on the stream.
    TakeStream,
    /// Puts another pipeline's tag on the table.
    TakeTable,
}

impl Scenario {
    pub fn end(&self) -> Timestamp {
        self.world.start + SignedDuration::from_mins(self.minutes)
    }

    pub fn calm(&self) -> Timestamp {
        self.world.start + SignedDuration::from_mins(self.calm_from)
    }

    /// Whether the spec allows to take over what exists.
    pub fn is_refused(&self) -> bool {
        match self.existing {
            Existing::None => false,
            Existing::Untagged(_) => self.pipeline.stream.adoption_policy == spec::AdoptionPolicy::Refuse,
            Existing::Foreign(_) => true,
        }
    }

    pub fn is_alone(&self) -> bool {
        self.foreign.is_empty()
    }

    /// The scenario of a seed.
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let minutes = rng.range(30, 120);
        let calm_from = (minutes * rng.range(25, 75) / 100).max(12);
        let start: Timestamp =
            rng.pick(&["2026-03-02T08:00:00Z", "2026-03-02T23:10:00Z", "2026-03-02T12:00:00Z"]).parse().unwrap();
        let consumers = 1 + usize::from(rng.chance(0.5));
        let has_table = rng.chance(0.85);
        let has_index = has_table && rng.chance(0.6);
        let world = world(rng, start, consumers, has_table, minutes, calm_from);
        let existing = match rng.range(0, 9) {
            0 => Existing::Untagged(rng.range(1, 6) as u32),
            1 if rng.chance(0.5) => Existing::Foreign(rng.range(1, 4) as u32),
            _ => Existing::None,
        };
        let spec = spec(rng, consumers, has_table, has_index, &world);
        let pipeline = spec::parse(&spec.to_string())
            .unwrap_or_else(|problems| panic!("seed {seed}: the storm's own spec is wrong: {problems:#?}\n{spec:#}"));
        let policy = policy(rng);
        let faulty = rng.chance(0.75);
        let lives = lives(rng, minutes, calm_from, faulty, start);
        let applies = applies(rng, faulty);
        let metric_faults = metric_faults(rng, start, calm_from);
        let foreign = foreign(rng, calm_from);
        Self { seed, world, pipeline, policy, minutes, calm_from, existing, applies, lives, metric_faults, foreign }
    }
}

fn world(rng: &mut Rng, start: Timestamp, consumers: usize, has_table: bool, minutes: i64, calm_from: i64) -> World {
    let mut producers = Vec::new();
    let racing = rng.chance(0.35);
    if racing {
        let race_seconds = rng.range(60, 300) as u32;
        let gap_seconds = if rng.chance(0.4) { rng.range(0, 120) as u32 } else { 0 };
        let start_seconds = rng.range(60, 400) as u32;
        let until = if rng.chance(0.6) { calm_from } else { minutes } * 60;
        let races = ((until - i64::from(start_seconds)).max(0) / i64::from(race_seconds + gap_seconds)) as u32;
        producers.push(Producer::Racers {
            stream: STREAM.into(),
            racers: rng.range(50, 1500) as u32,
            race_seconds,
            start_seconds,
            races,
            gap_seconds,
            record_bytes: rng.range(100, 900) as u32,
            jitter_ms: if rng.chance(0.4) { rng.range(1, 999) as u32 } else { 0 },
        });
    }
    if !racing || rng.chance(0.2) {
        producers.push(rate(rng, calm_from));
    }
    let timings = timings(rng);
    let function = |rng: &mut Rng| {
        let slow = rng.chance(0.35);
        FunctionModel {
            timeout_seconds: rng.pick(&[3, 15, 15, 60]),
            memory_mb: 256,
            startup_ms: rng.range(2, 60) as u32,
            per_record_us: if slow { rng.range(500, 4000) } else { rng.range(10, 400) } as u32,
            error_rate: rng.pick(&[0.0, 0.0, 0.0, 0.005, 0.05]),
            reserved_concurrency: rng.chance(0.1).then(|| rng.range(2, 20) as u32),
            tables: if has_table { vec![access(rng)] } else { Vec::new() },
            ..FunctionModel::default()
        }
    };
    let functions: BTreeMap<_, _> = (0..consumers).map(|index| (function_name(index), function(rng))).collect();
    let external_consumers = (0..rng.pick(&[0, 0, 1, 2])).map(reader).collect();
    let world = World {
        api_version: "alleycat.dev/v1alpha1".into(),
        kind: "World".into(),
        name: "storm".into(),
        account_id: "123456789012".into(),
        region: "us-east-2".into(),
        start,
        functions,
        producers,
        external_consumers,
        timings,
        account_concurrency: 1000,
        shard_limit: 1000,
        random_keys: rng.chance(0.3),
        streams: Vec::new(),
        tables: Vec::new(),
        mappings: Vec::new(),
        faults: troubles(rng, calm_from),
        others: Vec::new(),
        metric_outages: Vec::new(),
        stream_failures: Vec::new(),
        kms_keys: BTreeMap::new(),
        step_ms: 100,
        incident: None,
        assumptions: Assumptions::default(),
    };
    World::parse(&serde_json::to_string(&world).unwrap()).unwrap()
}

fn reader(index: u32) -> ExternalReader {
    ExternalReader { stream: STREAM.into(), name: format!("reader-{index}"), from_seconds: 0, to_seconds: None }
}

/// Faults that AWS plays itself, until the calm. Drawn from a generator of their own: the rest of a seed stays.
fn troubles(rng: &Rng, calm_from: i64) -> Vec<FaultRule> {
    let mut rng = rng.clone();
    let rng = &mut rng;
    rng.next();
    let count = if rng.chance(0.4) { rng.range(1, 3) } else { 0 };
    let rule = |rng: &mut Rng| {
        let (operation, effect, probability) = match rng.range(0, 6) {
            0 => ("*", FaultEffect::Stale { seconds: rng.range(1, 30) as u32 }, 0.3),
            1 => ("*", FaultEffect::SlowSettle { seconds: rng.range(5, 600) as u32 }, 0.3),
            2 => ("*", FaultEffect::Revert { seconds: rng.range(60, 400) as u32 }, 0.1),
            3 => ("*", FaultEffect::error("AccessDeniedException"), 1.0),
            4 => ("*", FaultEffect::error("ExpiredTokenException"), 1.0),
            5 => (
                rng.pick(&["kinesis:List*", "lambda:List*", "dynamodb:List*"]),
                FaultEffect::Stale { seconds: rng.range(5, 30) as u32 },
                1.0,
            ),
            _ => ("*", FaultEffect::Duplicate, 0.1),
        };
        let from = rng.range(1, calm_from - 6) as u32 * 60;
        let length = rng.range(1, 10) as u32 * 60;
        let last = (calm_from - 5) as u32 * 60;
        FaultRule {
            from_seconds: from,
            to_seconds: Some((from + length).min(last)),
            probability,
            ..FaultRule::of(operation, effect)
        }
    };
    (0..count).map(|_| rule(rng)).collect()
}

pub fn function_name(index: usize) -> String {
    format!("fn-{}", ["a", "b"][index])
}

/// Steps, ramps and bursts until the calm, one rate after it.
fn rate(rng: &mut Rng, calm_from: i64) -> Producer {
    let top = rng.pick(&[300, 900, 1500, 2500, 4000]);
    let mut points = Vec::new();
    let mut at = rng.range(0, 300);
    let ramp = rng.chance(0.4);
    // Bursts of seconds, steps of minutes, or a swing that asks for many changes.
    let (shortest, longest) = rng.pick(&[(5, 60), (60, 600), (300, 1500)]);
    while at < calm_from * 60 {
        let value = if rng.chance(0.2) { 0 } else { rng.range(0, top) };
        points.push(RatePoint { at_seconds: at as u32, records_per_second: value as f64 });
        at += rng.range(shortest, longest);
    }
    let steady = if rng.chance(0.25) { 0 } else { rng.range(0, top) };
    points.push(RatePoint { at_seconds: (calm_from * 60) as u32, records_per_second: steady as f64 });
    Producer::Rate {
        stream: STREAM.into(),
        record_bytes: rng.pick(&[150, 400, 1000, 2500]),
        points,
        ramp,
        hot_key_share: if rng.chance(0.1) { 0.2 + rng.unit() * 0.7 } else { 0.0 },
        jitter: 0.0,
    }
}

fn access(rng: &mut Rng) -> TableAccess {
    let per = rng.pick(&[Per::Group, Per::Group, Per::FinalRecord, Per::Record]);
    let heavy = per == Per::Group;
    let mut operations = vec![Operation {
        kind: rng.pick(&[OperationKind::Put, OperationKind::Update]),
        key: "item".into(),
        key_per_group: rng.chance(0.7),
        key_per_record: false,
        item_bytes: if heavy { rng.range(200, 20_000) } else { rng.range(100, 900) } as u64,
        bytes_per_racer: if heavy { rng.range(0, 20) as u64 } else { 0 },
        index_percent: std::collections::BTreeMap::new(),
    }];
    if rng.chance(0.5) {
        operations.insert(0, Operation { kind: OperationKind::Get, ..operations[0].clone() });
    }
    TableAccess { table: TABLE.into(), per, latency_ms: rng.range(1, 6) as u32, records_per_request: 1, operations }
}

fn timings(rng: &mut Rng) -> Timings {
    let usual = Timings::default();
    let speed = rng.pick(&[0.05, 1.0, 1.0, 4.0]);
    Timings {
        create_stream: usual.create_stream * speed,
        reshard_base: usual.reshard_base * speed,
        table_update: usual.table_update * speed,
        table_create: usual.table_create * speed,
        mapping_create: usual.mapping_create * speed,
        mapping_update: usual.mapping_update * speed,
        // The policies expect two minutes; more leaves the operator blind for good.
        metric_delay: rng.pick(&[5.0, 60.0, 60.0, 100.0, 120.0, 120.0, 200.0]),
        api_latency_ms: rng.pick(&[5, 25, 25, 200]),
        refuse_tags_while_updating: rng.chance(0.7),
        ..usual
    }
}

fn bounds(rng: &mut Rng, least: (i64, i64), growth: i64) -> Value {
    let min = rng.range(least.0, least.1);
    if rng.chance(0.12) {
        return json!(min);
    }
    let max = min + rng.range(0, growth);
    json!({"min": min, "max": max, "initial": rng.range(min, max)})
}

fn spec(rng: &mut Rng, consumers: usize, has_table: bool, has_index: bool, world: &World) -> Value {
    let one_at_a_time = rng.chance(0.12);
    let shards = if one_at_a_time {
        json!({"min": 1, "max": rng.range(1, 8), "initial": 1})
    } else {
        let top = rng.pick(&[3, 8, 20]);
        bounds(rng, (1, 4), top)
    };
    let consumer = |rng: &mut Rng, index: usize| {
        let unsafe_one = one_at_a_time && index == 0;
        let factor = if unsafe_one { json!({"min": 1, "max": rng.range(1, 10)}) } else { bounds(rng, (1, 2), 8) };
        let gives_up = rng.chance(0.08);
        json!({
            "name": format!("consumer-{index}"),
            "function": function_name(index),
            "parallelizationFactor": factor,
            "batchSize": bounds(rng, (20, 400), 800),
            "maximumBatchingWindow": if rng.chance(0.2) { "2s" } else { "0s" },
            "startingPosition": if rng.chance(0.1) { "LATEST" } else { "TRIM_HORIZON" },
            "maximumRetryAttempts": if gives_up { 2 } else { -1 },
            "bisectBatchOnFunctionError": rng.chance(0.2),
            "concurrencySafe": !unsafe_one,
            "writesTo": if has_table { vec![TABLE] } else { vec![] },
        })
    };
    let consumers: Vec<Value> = (0..consumers).map(|index| consumer(rng, index)).collect();
    let externals: Vec<Value> =
        world.external_consumers.iter().map(|it| json!({"name": it.name, "kind": "firehose"})).collect();
    let growth = rng.pick(&[30, 300, 3000]);
    let capacity = |rng: &mut Rng, growth| bounds(rng, (5, 60), growth);
    let mut tables = Vec::new();
    if has_table {
        let indexes = if has_index {
            vec![json!({
                "name": INDEX, "partitionKey": "score:N", "projection": "ALL",
                "writeCapacity": capacity(rng, growth), "readCapacity": 5,
            })]
        } else {
            Vec::new()
        };
        tables.push(json!({
            "name": TABLE, "partitionKey": "id:S",
            "writeCapacity": capacity(rng, growth), "readCapacity": capacity(rng, 200),
            "globalSecondaryIndexes": indexes, "pointInTimeRecovery": rng.chance(0.5), "deletionProtection": rng.chance(0.5),
        }));
    }
    json!({
        "apiVersion": "alleycat.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": PIPELINE},
        "spec": {
            "region": "us-east-2",
            "stream": {
                "name": STREAM, "shards": shards,
                "retention": if rng.chance(0.2) { json!({"min": "24h", "max": "48h", "initial": "48h"}) } else { json!("24h") },
                "adoptionPolicy": if rng.chance(0.7) { "adopt" } else { "refuse" },
            },
            "consumers": consumers, "externalConsumers": externals, "tables": tables,
            "objectives": {"iteratorAge": rng.pick(&["30s", "60s", "5m"]), "recovery": "10m"},
        },
    })
}

/// A built-in policy; half of the time with windows so short that lowering shows within the run.
fn policy(rng: &mut Rng) -> ScalingPolicy {
    let mut policy = spec::policy::builtin(rng.pick(&["careful", "balanced", "balanced", "eager"])).unwrap();
    if rng.chance(0.6) {
        policy.shard_stabilization_seconds = rng.range(5, 20) as u32 * 60;
        policy.write_stabilization_seconds = rng.range(3, 10) as u32 * 60;
        policy.factor_stabilization_seconds = rng.range(3, 10) as u32 * 60;
        policy.shard_cooldown_seconds = rng.range(0, 10) as u32 * 60;
        policy.drained_for_seconds = rng.range(2, 10) as u32 * 60;
        policy.reserved_reshards = rng.range(0, 4) as u32;
        policy.reserved_decreases = rng.range(0, 2) as u32;
    }
    policy
}

fn random_faults(rng: &mut Rng, until: Timestamp) -> Faults {
    let each = rng.pick(&[0.0, 0.01, 0.03, 0.07]);
    let mut part = || if rng.chance(0.7) { each * rng.unit() } else { 0.0 };
    let (lost_before, lost_after, server_error, throttled) = (part(), part(), part(), part());
    let placed = |rng: &mut Rng, share: f64, most: i64| {
        let fault = |rng: &mut Rng| {
            rng.pick(&[
                Fault::LostBefore,
                Fault::LostAfter,
                Fault::ServerError,
                Fault::ServerErrorAfter,
                Fault::Unavailable,
                Fault::Throttled,
            ])
        };
        let count = if rng.chance(share) { rng.range(1, 6) } else { 0 };
        (0..count).map(|_| (rng.range(0, most) as u64, fault(rng))).collect()
    };
    Faults {
        seed: rng.next(),
        lost_before,
        lost_after,
        server_error,
        throttled,
        which: rng.pick(&[Which::All, Which::All, Which::Mutations, Which::Reads]),
        until: Some(until),
        placed: placed(rng, 0.3, 500),
        placed_mutations: placed(rng, 0.5, 12),
        crash: None,
    }
}

fn crash(rng: &mut Rng) -> Crash {
    let which = rng.pick(&[Which::All, Which::Mutations, Which::Mutations]);
    let most = if which == Which::All { 400 } else { 8 };
    Crash { which, index: rng.range(0, most) as u64, moment: rng.pick(&[Moment::Before, Moment::After]) }
}

fn lives(rng: &mut Rng, minutes: i64, calm_from: i64, faulty: bool, start: Timestamp) -> Vec<Life> {
    let calm = start + SignedDuration::from_mins(calm_from);
    let mut lives = Vec::new();
    let mut at = 0;
    let restarts = if rng.chance(0.6) { rng.range(1, 4) } else { 0 };
    for _ in 0..restarts {
        at += rng.range(1, (calm_from / 2).max(2));
        if at >= calm_from {
            break;
        }
        let mut faults = if faulty { random_faults(rng, calm) } else { Faults::default() };
        if rng.chance(0.5) {
            faults.crash = Some(crash(rng));
        }
        lives.push(Life {
            until: SignedDuration::from_secs(at * 60 + rng.range(0, 59)),
            faults,
            store_lost: rng.chance(0.35),
            watching: if rng.chance(0.15) {
                rng.pick(&[Watching::Mode, Watching::Spec, Watching::Connector])
            } else {
                Watching::No
            },
        });
    }
    lives.push(Life {
        until: SignedDuration::from_mins(minutes),
        faults: if faulty { random_faults(rng, calm) } else { Faults::default() },
        store_lost: rng.chance(0.15),
        watching: Watching::No,
    });
    lives
}

fn applies(rng: &mut Rng, faulty: bool) -> Vec<Life> {
    if !faulty {
        return Vec::new();
    }
    let life = |rng: &mut Rng| {
        // Faults of a few minutes: the run itself must not become one long apply.
        let mut faults = random_faults(rng, Timestamp::MAX);
        faults.crash = rng.chance(0.5).then(|| Crash { index: rng.range(0, 40) as u64, ..crash(rng) });
        Life { until: SignedDuration::from_mins(4), faults, store_lost: rng.chance(0.3), watching: Watching::No }
    };
    (0..rng.range(0, 2)).map(|_| life(rng)).collect()
}

fn metric_faults(rng: &mut Rng, start: Timestamp, calm_from: i64) -> Vec<MetricFault> {
    let count = if rng.chance(0.3) { rng.range(1, 3) } else { 0 };
    (0..count)
        .map(|_| {
            let from = rng.range(2, calm_from - 6);
            let to = (from + rng.range(1, 12)).min(calm_from - 4);
            let ms = |minute: i64| start.as_millisecond() + minute * 60_000;
            MetricFault {
                from_ms: ms(from),
                to_ms: ms(to),
                namespace: rng
                    .pick(&[None, Some("AWS/Kinesis"), Some("AWS/Lambda"), Some("AWS/DynamoDB")])
                    .map(Into::into),
                metric: None,
                trouble: if rng.chance(0.4) {
                    MetricTrouble::Late { seconds: rng.range(30, 200) as u32 }
                } else {
                    MetricTrouble::Missing
                },
            }
        })
        .collect()
}

fn foreign(rng: &mut Rng, calm_from: i64) -> Vec<(SignedDuration, Foreign)> {
    let count = match rng.range(0, 9) {
        0 => rng.range(1, 3),
        1 => rng.range(4, 12),
        _ => 0,
    };
    let mut acts: Vec<_> = (0..count)
        .map(|_| {
            let at = SignedDuration::from_secs(rng.range(240, (calm_from * 60).max(241)));
            let up = rng.chance(0.5);
            let act = match rng.range(0, 19) {
                0 => Foreign::TakeStream,
                1 => Foreign::TakeTable,
                2..=4 => Foreign::Capacity(rng.range(1, 200) as u64),
                _ => Foreign::Reshard { up },
            };
            (at, act)
        })
        .collect();
    acts.sort_by_key(|(at, _)| *at);
    acts
}

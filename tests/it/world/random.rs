//! Fifty random worlds with every kind of producer and fault, under random calls: the same seed gives the same
//! bytes, and time in pieces is time in one.

use alleycat_operator::twin::{
    MetricTrouble, Request, Twin, World,
    world::{
        Act, ExistingIndex, ExistingMapping, ExistingStream, ExistingTable, ExternalReader, FaultEffect, FaultRule,
        MetricOutage, Phase, Producer, RatePoint, StreamCall, StreamFailure, schema,
    },
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{conformance::request, storm::rng::Rng};

const WORLDS: u64 = 50;
const SECONDS: i64 = 1_200;

fn producer(rng: &mut Rng) -> Producer {
    let stream = "s".to_owned();
    let record_bytes = rng.range(1, 2_000) as u32;
    let rate = rng.range(0, 2_500) as f64;
    match rng.range(0, 3) {
        0 => Producer::Racers {
            stream,
            racers: rng.range(1, 800) as u32,
            race_seconds: rng.range(1, 300) as u32,
            start_seconds: rng.range(0, 100) as u32,
            races: rng.range(0, 9) as u32,
            gap_seconds: rng.range(0, 50) as u32,
            record_bytes,
            jitter_ms: rng.range(0, 999) as u32,
        },
        1 => Producer::Rate {
            stream,
            record_bytes,
            points: vec![
                RatePoint { at_seconds: rng.range(0, 60) as u32, records_per_second: rate },
                RatePoint { at_seconds: rng.range(60, 900) as u32, records_per_second: rate / 3.0 },
            ],
            ramp: rng.chance(0.5),
            hot_key_share: if rng.chance(0.3) { rng.unit() } else { 0.0 },
            jitter: if rng.chance(0.3) { rng.unit() } else { 0.0 },
        },
        2 => Producer::Trace {
            stream,
            record_bytes,
            file: None,
            column: None,
            rows: (0..rng.range(1, 20)).map(|_| rng.range(0, 100) as f64).collect(),
            seconds_per_row: rng.range(1, 120) as u32,
            start_seconds: rng.range(0, 100) as u32,
            skip_rows: 0,
            take_rows: None,
            ramp: rng.chance(0.5),
            peak_records_per_second: rate,
        },
        _ => Producer::Wave {
            stream,
            record_bytes,
            low: rate / 2.0,
            high: rate,
            period_seconds: rng.range(60, 900) as u32,
            start_seconds: rng.range(0, 100) as u32,
            periods: rng.range(1, 4) as u32,
        },
    }
}

fn effect(rng: &mut Rng) -> FaultEffect {
    match rng.range(0, 8) {
        0 => FaultEffect::LostBefore,
        1 => FaultEffect::LostAfter,
        2 => FaultEffect::Duplicate,
        3 => FaultEffect::error(rng.pick(&["LimitExceededException", "AccessDeniedException", "ServiceUnavailable"])),
        4 => FaultEffect::Stale { seconds: rng.range(1, 60) as u32 },
        5 => FaultEffect::SlowSettle { seconds: rng.range(5, 600) as u32 },
        6 => FaultEffect::Revert { seconds: rng.range(1, 300) as u32 },
        7 => FaultEffect::EndsShort { percent: rng.range(0, 99) as u32 },
        _ => FaultEffect::ClockSkew { seconds: rng.range(-500, 500) },
    }
}

fn phase(rng: &mut Rng) -> Phase {
    Phase {
        from_seconds: rng.range(0, 600) as u32,
        to_seconds: rng.chance(0.7).then_some(900),
        per_record_us: rng.chance(0.5).then_some(5_000),
        error_rate: rng.chance(0.3).then_some(0.3),
        poison_every: rng.chance(0.3).then_some(100),
        tables: rng.chance(0.3).then(Vec::new),
        read_denied: rng.chance(0.3),
        ..Phase::default()
    }
}

fn stream(rng: &mut Rng) -> ExistingStream {
    ExistingStream {
        name: "s".into(),
        shards: rng.range(1, 5) as u32,
        tags: [].into(),
        retention_hours: if rng.chance(0.5) { 24 } else { 48 },
        shard_level_metrics: if rng.chance(0.5) { Vec::new() } else { vec!["IncomingRecords".into()] },
        reshards_minutes_ago: if rng.chance(0.3) { vec![10, 200] } else { Vec::new() },
    }
}

fn table(rng: &mut Rng) -> ExistingTable {
    let index =
        ExistingIndex { name: "byKind".into(), partition_key: "kind".into(), write_capacity: 20, read_capacity: 5 };
    ExistingTable {
        name: "t".into(),
        partition_key: "id".into(),
        write_capacity: rng.chance(0.5).then_some(50),
        read_capacity: None,
        on_demand_maximum_write: None,
        global_secondary_indexes: rng.chance(0.5).then_some(index).into_iter().collect(),
    }
}

fn world(rng: &mut Rng) -> World {
    let alleycat = World::alleycat();
    let mut functions = alleycat.functions.clone();
    let function = functions.keys().next().unwrap().clone();
    functions.values_mut().for_each(|model| {
        model.cpu_bound = rng.chance(0.3);
        model.phases = (0..rng.range(0, 2)).map(|_| phase(rng)).collect();
    });
    let operation =
        |rng: &mut Rng| rng.pick(&["*", "kinesis:*", "kinesis:Describe*", "lambda:*", "dynamodb:UpdateTable"]);
    World {
        functions,
        producers: (0..rng.range(0, 3)).map(|_| producer(rng)).collect(),
        random_keys: rng.chance(0.3),
        streams: vec![stream(rng)],
        tables: vec![table(rng)],
        mappings: vec![ExistingMapping {
            stream: "s".into(),
            function,
            batch_size: rng.range(1, 500) as u32,
            parallelization_factor: rng.range(1, 10) as u32,
            settings: json!({"MaximumRetryAttempts": rng.range(-1, 5)}),
        }],
        external_consumers: vec![ExternalReader {
            stream: "s".into(),
            name: "other".into(),
            from_seconds: rng.range(0, 600) as u32,
            to_seconds: rng.chance(0.5).then_some(700),
        }],
        stream_failures: (0..rng.range(0, 2))
            .map(|_| StreamFailure {
                stream: "s".into(),
                call: if rng.chance(0.5) { StreamCall::Put } else { StreamCall::Get },
                from_seconds: rng.range(0, 600) as u32,
                to_seconds: rng.chance(0.5).then_some(700),
                share: rng.unit(),
            })
            .collect(),
        faults: (0..rng.range(0, 6))
            .map(|_| FaultRule {
                probability: if rng.chance(0.5) { 1.0 } else { rng.unit() },
                calls: if rng.chance(0.3) { vec![rng.range(1, 9) as u64] } else { Vec::new() },
                from_seconds: rng.range(0, 300) as u32,
                ..FaultRule::of(operation(rng), effect(rng))
            })
            .collect(),
        others: vec![Act {
            at_seconds: rng.range(0, 900) as u32,
            operation: "kinesis:UpdateShardCount".into(),
            input: json!({"StreamName": "s", "TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"}),
        }],
        metric_outages: vec![MetricOutage {
            from_seconds: 100,
            to_seconds: 400,
            namespace: None,
            metric: None,
            trouble: if rng.chance(0.5) { MetricTrouble::Late { seconds: 90 } } else { MetricTrouble::Missing },
        }],
        ..alleycat
    }
}

fn call(rng: &mut Rng) -> Request {
    let count = rng.range(1, 8);
    let (operation, input) = match rng.range(0, 8) {
        0 => ("kinesis:UpdateShardCount", json!({"TargetShardCount": count, "ScalingType": "UNIFORM_SCALING"})),
        1 => ("kinesis:AddTagsToStream", json!({"Tags": {"a": count.to_string()}})),
        2 => ("kinesis:DescribeStreamSummary", json!({})),
        3 => ("kinesis:ListShards", json!({})),
        4 => {
            let units = json!({"ReadCapacityUnits": count, "WriteCapacityUnits": count * 10});
            ("dynamodb:UpdateTable", json!({"TableName": "t", "ProvisionedThroughput": units}))
        }
        5 => ("dynamodb:DescribeTable", json!({"TableName": "t"})),
        6 => ("lambda:ListEventSourceMappings", json!({})),
        7 => ("kinesis:ListStreams", json!({})),
        _ => ("sts:GetCallerIdentity", json!({})),
    };
    let mut input = input;
    if operation.starts_with("kinesis:") && operation != "kinesis:ListStreams" {
        input["StreamName"] = json!("s");
    }
    request(operation, &input)
}

/// All answers and the last state. `pieces`: time comes in steps of odd lengths instead of at once.
fn play(seed: u64, pieces: bool) -> (Vec<String>, Vec<u8>) {
    let rng = &mut Rng::new(seed);
    let world = world(rng);
    let start = world.start;
    let mut twin = Twin::new(world, seed);
    let mut answers = Vec::new();
    let mut second = 0;
    while second < SECONDS {
        let next = second + rng.range(1, 120);
        let call = call(rng);
        if pieces {
            for ms in (second * 1_000..next * 1_000).step_by(7_777) {
                twin.advance(start + SignedDuration::from_millis(ms));
            }
        }
        second = next;
        answers.push(format!("{:?}", twin.serve(start + SignedDuration::from_secs(second), &call)));
    }
    let mut kept = Vec::new();
    kept.extend(twin.to_bytes().unwrap());
    (answers, kept)
}

#[test]
fn fifty_random_worlds_are_the_same_twice_and_in_pieces() {
    for seed in 0..WORLDS {
        let first = play(seed, false);
        assert!(first == play(seed, false), "seed {seed}: played twice");
        let pieces = play(seed, true);
        assert_eq!(first.0, pieces.0, "seed {seed}: answers in pieces");
        assert!(first.1 == pieces.1, "seed {seed}: state in pieces");
    }
}

#[test]
fn random_worlds_are_read_as_they_were_written() {
    for seed in 0..WORLDS {
        let world = world(&mut Rng::new(seed));
        let text = serde_json::to_string_pretty(&world).unwrap();
        let again = World::parse(&text).unwrap_or_else(|problems| panic!("seed {seed}: {problems:#?}\n{text}"));
        assert_eq!(again, world, "seed {seed}");
        let known = schema()["properties"].as_object().unwrap().clone();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert!(written.as_object().unwrap().keys().all(|field| known.contains_key(field)), "seed {seed}");
    }
}

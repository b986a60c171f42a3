//! Worlds and troubles of a move, drawn from a seed.

use alleycat_operator::{
    model::{BatchSize, Bounds, ParallelizationFactor, ShardCount},
    spec::{self, Delivery, Pipeline},
    twin::{
        Crash, Fault, Faults, MetricFault, MetricTrouble, Moment, Which, World,
        world::{ExternalReader, FunctionModel, Phase, Producer, RatePoint},
    },
};
use jiff::SignedDuration;

use crate::storm::rng::Rng;

pub const STREAM: &str = "clicks";
pub const FUNCTION: &str = "count";
/// The minute in which the spec changes, the one from which nothing is wrong any more, the last one with traffic, and
/// the end.
pub const CHANGE: i64 = 12;
pub const CALM: i64 = 40;
pub const SILENCE: i64 = 110;
pub const END: i64 = 130;

/// One life of the process.
#[derive(Debug, Clone)]
pub struct Life {
    pub apply: bool,
    pub faults: Faults,
    pub store_lost: bool,
}

#[derive(Debug, Clone)]
pub struct Scenario {
    pub seed: u64,
    pub to: Delivery,
    pub kind: Kind,
    pub world: World,
    pub pipeline: Pipeline,
    pub lives: Vec<Life>,
    pub metric_faults: Vec<MetricFault>,
    /// The minute in which somebody else reshards.
    pub reshard: Option<i64>,
}

/// What is special about a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Plain,
    /// One slot of ten has half of the work and hardly keeps up.
    SlowSlot,
    /// A part of the batches fails for a while.
    FailingBatch,
    LateMetrics,
    /// More is read than the shards give out, for a while.
    ThrottledPollers,
    /// State is kept over a window of records.
    Tumbling,
    /// Invocations of minutes.
    LongInvocations,
}

const KINDS: [Kind; 7] = [
    Kind::Plain,
    Kind::SlowSlot,
    Kind::FailingBatch,
    Kind::LateMetrics,
    Kind::ThrottledPollers,
    Kind::Tumbling,
    Kind::LongInvocations,
];

const SPEC: &str = "
apiVersion: alleycat.dev/v1alpha1
kind: Pipeline
metadata: {name: clicks}
spec:
  region: us-east-2
  stream: {name: clicks, shards: {min: 1, max: 8}}
  consumers:
    - {name: counter, function: count, idempotent: true, delivery: shared, parallelizationFactor: {min: 1, max: 10}, batchSize: {min: 1, max: 2000, initial: 200}}
";

pub fn of(seed: u64) -> Scenario {
    let mut rng = Rng::new(seed.wrapping_mul(2).wrapping_add(0xFA0));
    let rng = &mut rng;
    let kind = KINDS[(seed / 2) as usize % KINDS.len()];
    let to = if seed.is_multiple_of(2) { Delivery::EnhancedFanOut } else { Delivery::Shared };
    let shards = rng.range(1, 3) as u32;
    let factor = match kind {
        Kind::SlowSlot => 10,
        Kind::ThrottledPollers | Kind::Tumbling => 1,
        _ => rng.pick(&[1, 1, 2, 5]),
    };
    let mut pipeline = spec::parse(SPEC).unwrap();
    pipeline.stream.shards = Bounds::pinned(ShardCount(shards));
    let consumer = &mut pipeline.consumers[0];
    consumer.parallelization_factor = Bounds::pinned(ParallelizationFactor(factor));
    consumer.batch_size = Bounds::pinned(BatchSize(rng.pick(&[200, 500, 1000])));
    consumer.maximum_batching_window_seconds = rng.pick(&[0, 0, 0, 5, 60]);
    if kind == Kind::Tumbling {
        consumer.tumbling_window_seconds = rng.pick(&[30, 120]);
        consumer.maximum_batching_window_seconds = 0;
    }
    consumer.bisect_batch_on_function_error = rng.chance(0.3);
    let world = world(rng, kind, shards);
    let start = world.start;
    let late = |rng: &mut Rng| {
        let ms = |minute: i64| start.as_millisecond() + minute * 60_000;
        MetricFault {
            from_ms: ms(CHANGE - 2),
            to_ms: ms(CALM - 2),
            namespace: rng.pick(&[None, Some("AWS/Lambda"), Some("AWS/Kinesis")]).map(str::to_owned),
            metric: None,
            trouble: if rng.chance(0.7) {
                MetricTrouble::Late { seconds: rng.range(30, 400) as u32 }
            } else {
                MetricTrouble::Missing
            },
        }
    };
    let metric_faults = if kind == Kind::LateMetrics { vec![late(rng)] } else { Vec::new() };
    let reshard = rng.chance(0.15).then(|| rng.range(CHANGE - 3, CALM - 5));
    let lives = lives(rng, seed, start + SignedDuration::from_mins(CALM));
    Scenario { seed, to, kind, world, pipeline, lives, metric_faults, reshard }
}

fn world(rng: &mut Rng, kind: Kind, shards: u32) -> World {
    let mut world = World::alleycat();
    let calm = (CALM * 60) as u32;
    let mut function = FunctionModel {
        timeout_seconds: rng.pick(&[15, 60]),
        memory_mb: 256,
        startup_ms: rng.range(2, 20) as u32,
        per_record_us: rng.range(10, 200) as u32,
        ..FunctionModel::default()
    };
    let mut producer = (rng.range(20, 400) as f64 * f64::from(shards), rng.range(100, 900) as u32, 0.0);
    let phase = |rng: &mut Rng| Phase {
        from_seconds: rng.range(CHANGE - 4, CHANGE + 12) as u32 * 60,
        to_seconds: Some(calm - 120),
        ..Phase::default()
    };
    match kind {
        Kind::Plain | Kind::LateMetrics | Kind::Tumbling => {}
        Kind::SlowSlot => {
            function = FunctionModel { startup_ms: 5, per_record_us: 9_000, timeout_seconds: 60, ..function };
            producer = (150.0, 300, 0.6);
        }
        Kind::FailingBatch => {
            let error_rate = Some(rng.pick(&[0.02, 0.2, 0.9]));
            function.phases = vec![Phase { error_rate, ..phase(rng) }];
        }
        Kind::ThrottledPollers => {
            // Four readers of 0.7 MB/s share 2 MiB/s.
            producer = (140.0 * f64::from(shards), 5_000, 0.0);
            let reader = |index: u32| ExternalReader {
                stream: STREAM.into(),
                name: format!("reader-{index}"),
                from_seconds: (CHANGE as u32 - rng.range(1, 8) as u32) * 60,
                to_seconds: Some(calm - 600),
            };
            world.external_consumers = (0..3).map(reader).collect();
        }
        Kind::LongInvocations => {
            let startup_ms = Some(rng.range(20_000, 150_000) as u32);
            function.timeout_seconds = rng.pick(&[180, 420]);
            let from_seconds = 0;
            function.phases = vec![Phase { from_seconds, to_seconds: Some(calm), startup_ms, ..Phase::default() }];
            producer = (20.0, 300, 0.0);
        }
    }
    if kind != Kind::ThrottledPollers {
        world.external_consumers.clear();
    }
    let point =
        |minute: i64, records_per_second: f64| RatePoint { at_seconds: (minute * 60) as u32, records_per_second };
    world.producers = vec![Producer::Rate {
        stream: STREAM.into(),
        record_bytes: producer.1,
        points: vec![point(0, producer.0), point(SILENCE, 0.0)],
        ramp: false,
        hot_key_share: if producer.2 > 0.0 || rng.chance(0.5) { f64::max(producer.2, 0.1) } else { 0.0 },
        jitter: 0.0,
    }];
    world.functions = [(FUNCTION.to_owned(), function)].into();
    let speed = rng.pick(&[0.2, 1.0, 3.0]);
    world.timings.mapping_create *= speed;
    world.timings.mapping_update *= speed;
    world.timings.mapping_delete *= speed;
    world.timings.consumer_create *= speed;
    world.timings.metric_delay = rng.pick(&[5.0, 60.0, 115.0]);
    world
}

fn lives(rng: &mut Rng, seed: u64, calm: jiff::Timestamp) -> Vec<Life> {
    let crash = |rng: &mut Rng| Crash {
        which: rng.pick(&[Which::Mutations, Which::Mutations, Which::Mutations, Which::All]),
        index: rng.range(0, 5) as u64,
        moment: rng.pick(&[Moment::Before, Moment::After]),
    };
    let rate = if seed % 4 < 2 { rng.pick(&[0.0, 0.02, 0.06]) } else { 0.0 };
    let life = |rng: &mut Rng, number: u64| {
        let mut crash = crash(rng);
        if crash.which == Which::All {
            crash.index = rng.range(0, 600) as u64;
        }
        let placed = |rng: &mut Rng| {
            (rng.range(0, 5) as u64, rng.pick(&[Fault::LostAfter, Fault::ServerErrorAfter, Fault::Throttled]))
        };
        Life {
            apply: rng.chance(0.4),
            faults: Faults {
                seed: rng.next() ^ number,
                lost_before: rate,
                lost_after: rate,
                server_error: rate,
                throttled: rate,
                until: Some(calm),
                placed_mutations: if rng.chance(0.3) { [placed(rng)].into() } else { [].into() },
                crash: Some(crash),
                ..Faults::default()
            },
            store_lost: rng.chance(0.4),
        }
    };
    (0..rng.range(1, 3) as u64).map(|number| life(rng, number)).collect()
}

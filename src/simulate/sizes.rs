//! What a load takes: measured on a twin that has enough of everything, then given the usual headroom. The static
//! baselines are sized by it, and so is the start of a benchmark.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    minute::Minute,
    sample::{Sampler, minute_ends},
    stage::{Stage, broken, on_virtual_time},
};
use crate::{
    diagnose::shards_filled,
    memory::Memory,
    model::{BatchSize, Bounds, CapacityUnits, Failure, ParallelizationFactor, ResourceId, ShardCount},
    spec::{self, Pipeline},
    twin::{
        Twin, World,
        world::{Producer, RatePoint},
    },
};

/// Share of a static size that its load uses: the marks of the published study were made with it (its static peak
/// costs 1.25 times the clairvoyant at a constant load).
const HEADROOM: f64 = 0.8;
/// Length of a measurement; its second half counts.
const MEASURED: SignedDuration = SignedDuration::from_mins(10);
/// Share of each shard that a measurement uses.
const ROOMY: f64 = 0.5;
/// Concurrent executions of the account that is measured in.
const PLENTY: u32 = 1_000_000;
/// Greatest factor (Lambda guide, "Kinesis parameters for event source mappings").
const MOST_SLOTS: u32 = 10;

/// What one load takes, without headroom.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// Records a second.
    pub records: f64,
    /// Bytes a second.
    pub bytes: f64,
    /// Slots that work, by consumer.
    pub busy_slots: BTreeMap<String, f64>,
    /// Units a second consumed by the table or index (its printed name): write, read.
    pub units: BTreeMap<String, (f64, f64)>,
}

impl Sizes {
    /// What the greatest minute of the first hour takes.
    ///
    /// # Errors
    /// When the measurement cannot be provisioned.
    pub fn first_hour(pipeline: &Pipeline, world: &World, seed: u64) -> Result<Self, Failure> {
        Self::peak(pipeline, world, seed, SignedDuration::from_hours(1))
    }

    /// What the greatest minute of so long takes.
    ///
    /// # Errors
    /// As [`Self::first_hour`].
    pub fn peak(pipeline: &Pipeline, world: &World, seed: u64, length: SignedDuration) -> Result<Self, Failure> {
        let greatest = offered(world, seed, length).into_iter().max().unwrap_or(0);
        Self::at(pipeline, world, seed, greatest as f64 / 60.0)
    }

    /// What so many records a second take.
    ///
    /// # Errors
    /// As [`Self::first_hour`].
    pub fn at(pipeline: &Pipeline, world: &World, seed: u64, records: f64) -> Result<Self, Failure> {
        let bytes_each = world.producers.iter().map(Producer::record_bytes).max().unwrap_or(1);
        let mut roomy = pipeline.clone();
        let share = shards_filled(records, records * f64::from(bytes_each));
        let shards = ((share / ROOMY).ceil() as u32).max(1);
        roomy.stream.shards = Bounds::pinned(ShardCount(shards));
        for consumer in &mut roomy.consumers {
            let factor = consumer.parallelization_factor.max.get().clamp(1, MOST_SLOTS);
            consumer.parallelization_factor = Bounds::pinned(ParallelizationFactor(factor));
            consumer.batch_size = Bounds::pinned(BatchSize(consumer.batch_size.max.get()));
        }
        for_each_capacity(&mut roomy, &mut |_, write, read| {
            write.initial = write.max;
            read.initial = read.max;
        });
        let world = measuring(world, pipeline, records, bytes_each, shards);
        let (minutes, busy_slots) = on_virtual_time(seed, measure(&roomy, &world, seed))?;
        let seconds = minutes.len().max(1) as f64 * 60.0;
        let mut units: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (sink, minute) in minutes.iter().flat_map(|minute| &minute.sinks) {
            let sum = units.entry(sink.clone()).or_default();
            *sum = (sum.0 + minute.written / seconds, sum.1 + minute.read / seconds);
        }
        Ok(Self { records, bytes: records * f64::from(bytes_each), busy_slots, units })
    }

    /// Lets a pipeline start with these sizes and the usual headroom, within its bounds.
    pub fn start(&self, pipeline: &mut Pipeline) {
        let share = shards_filled(self.records, self.bytes);
        let shards = &mut pipeline.stream.shards;
        shards.initial = shards.clamp(ShardCount((share / HEADROOM).ceil() as u32));
        let count = f64::from(shards.initial.get().max(1));
        for consumer in &mut pipeline.consumers {
            let busy = self.busy_slots.get(&consumer.name).copied().unwrap_or(0.0);
            let factor = &mut consumer.parallelization_factor;
            factor.initial = factor.clamp(ParallelizationFactor((busy / HEADROOM / count).ceil() as u32));
        }
        for_each_capacity(pipeline, &mut |name, write, read| {
            let (written, gotten) = self.units.get(name).copied().unwrap_or_default();
            write.initial = write.clamp(CapacityUnits((written / HEADROOM).ceil() as u64));
            read.initial = read.clamp(CapacityUnits((gotten / HEADROOM).ceil() as u64));
        });
    }
}

/// The pipeline, sized for the first hour at the start.
///
/// # Errors
/// As [`Sizes::first_hour`].
pub fn first_hour(pipeline: &Pipeline, world: &World, seed: u64) -> Result<Pipeline, Failure> {
    let mut sized = pipeline.clone();
    Sizes::first_hour(pipeline, world, seed)?.start(&mut sized);
    Ok(sized)
}

type Units = Bounds<CapacityUnits>;

/// Write and read bounds of each table and index, by its printed name.
fn for_each_capacity(pipeline: &mut Pipeline, act: &mut dyn FnMut(&str, &mut Units, &mut Units)) {
    for table in &mut pipeline.tables {
        act(&ResourceId::Table(table.name.clone()).to_string(), &mut table.write_capacity, &mut table.read_capacity);
        for index in &mut table.global_secondary_indexes {
            let id = ResourceId::Index(table.name.clone(), index.name.clone());
            act(&id.to_string(), &mut index.write_capacity, &mut index.read_capacity);
        }
    }
}

/// Records offered in each minute of a world: to no stream, so that it costs next to nothing.
fn offered(world: &World, seed: u64, length: SignedDuration) -> Vec<u64> {
    let bare = World { streams: Vec::new(), tables: Vec::new(), mappings: Vec::new(), ..without_trouble(world) };
    let mut twin = Twin::new(bare, seed);
    let mut before = 0;
    minute_ends(world.start, length)
        .map(|at| {
            twin.advance(at);
            let all: u64 = twin.plane().totals().streams.values().map(|stream| stream.no_stream).sum();
            all - std::mem::replace(&mut before, all)
        })
        .collect()
}

/// The world without what goes wrong in it.
fn without_trouble(world: &World) -> World {
    World {
        faults: Vec::new(),
        others: Vec::new(),
        metric_outages: Vec::new(),
        stream_failures: Vec::new(),
        incident: None,
        ..world.clone()
    }
}

/// A world of the same functions, with a constant load and nothing else.
fn measuring(world: &World, pipeline: &Pipeline, records: f64, bytes_each: u32, shards: u32) -> World {
    let producer = Producer::Rate {
        stream: pipeline.stream.name.clone(),
        record_bytes: bytes_each,
        points: vec![RatePoint { at_seconds: 0, records_per_second: records }],
        ramp: false,
        hot_key_share: 0.0,
        jitter: 0.0,
    };
    let mut measuring = World {
        producers: vec![producer],
        streams: Vec::new(),
        tables: Vec::new(),
        mappings: Vec::new(),
        account_concurrency: PLENTY,
        shard_limit: world.shard_limit.max(shards),
        ..without_trouble(world)
    };
    for function in measuring.functions.values_mut() {
        function.reserved_concurrency = None;
    }
    measuring
}

/// The counted minutes, and the slots that worked in them by consumer.
async fn measure(
    pipeline: &Pipeline,
    world: &World,
    seed: u64,
) -> Result<(Vec<Minute>, BTreeMap<String, f64>), Failure> {
    let stage = Stage::new(world, seed);
    let policy = spec::policy::builtin("balanced").ok_or_else(|| broken("the policy `balanced`", "does not parse"))?;
    stage.provision(pipeline, &policy, &mut Memory::empty()).await?;
    let mut sampler = Sampler::new(pipeline);
    let busy = |twin: &Twin| -> BTreeMap<String, u64> {
        let billed = |function: &String| twin.plane().totals().functions.get(function).map_or(0, |it| it.megabyte_ms);
        pipeline.consumers.iter().map(|consumer| (consumer.name.clone(), billed(&consumer.function))).collect()
    };
    let mut before = BTreeMap::new();
    let half = MEASURED.as_mins() / 2;
    // The minute that has begun is not whole.
    for (minute, at) in (0..).zip(minute_ends(stage.clock.now(), MEASURED + SignedDuration::from_mins(1))) {
        stage.clock.sleep(at.duration_since(stage.clock.now())).await;
        stage.host.with(|twin| {
            sampler.sample(twin);
            if minute == half {
                before = busy(twin);
            }
        });
    }
    let after = stage.host.with(|twin| busy(twin));
    let slots = pipeline.consumers.iter().map(|consumer| {
        let memory = world.functions.get(&consumer.function).map_or(1, |model| model.memory_mb.max(1));
        let used = |at: &BTreeMap<String, u64>| at.get(&consumer.name).copied().unwrap_or(0);
        let ms = (used(&after) - used(&before)) as f64 / f64::from(memory);
        (consumer.name.clone(), ms / (half * 60_000) as f64)
    });
    let slots = slots.collect();
    Ok((sampler.into_minutes().split_off(half as usize + 1), slots))
}

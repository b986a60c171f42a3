//! A life: a load, a pipeline, AWS and CloudWatch, minute by minute, drawn at random from a seed.
//!
//! What AWS counts (calls, decreases, transitions) is counted here from what was accepted, apart from the operator's
//! own memory.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    cost::PriceSheet,
    model::{
        Bounds, CapacityFacts, CapacityUnits, ConsumerSignals, IndexSignals, LifecycleStatus, MappingState, Point,
        ResourceId, ShardCount, Signal, Signals, StreamSignals, TableSignals,
    },
    scale::{
        CapacityTarget, Sizing, note_reshard,
        tests::{Scene, shards},
    },
    spec::{self, ScalingPolicy},
};

/// Minutes that an observation shows. The windows of the rules are longer and live in the memory.
const SHOWN: i64 = 5;
/// Minutes that CloudWatch takes; as the policies' delay.
const DELAY: i64 = 2;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// UpdateShardCount calls are counted for so long.
pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);
pub(super) const CONSUMER: &str = "writer";
pub(super) const TABLE: &str = "orders";
const INDEX: &str = "by-day";

type Units = Bounds<CapacityUnits>;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(super) fn whole(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }
}

/// What a minute measured, and which services published it.
#[derive(Clone, Copy, Default)]
pub(super) struct Measured {
    pub(super) accepted: f64,
    pub(super) rejected: f64,
    pub(super) age_seconds: f64,
    pub(super) invocations: f64,
    pub(super) duration_ms: f64,
    pub(super) errors: f64,
    pub(super) write: f64,
    pub(super) index_write: f64,
    pub(super) throttles: f64,
    pub(super) kinesis: bool,
    pub(super) lambda: bool,
    pub(super) dynamodb: bool,
}

/// How the load goes for a while.
struct Phase {
    left: u64,
    /// Records/s, and how much of it comes or goes each minute.
    level: f64,
    slope: f64,
    noise: f64,
}

/// What the function and its writes are like.
struct Nature {
    slot_rate: f64,
    units_per_record: f64,
    index_share: f64,
    /// Share of the load on the first shard beyond its due.
    hot: f64,
    peak: f64,
}

/// More load than there was.
#[derive(Debug, Clone, Copy)]
pub(super) struct More {
    /// Times what was offered.
    pub(super) factor: f64,
    /// In the minutes that are not settled yet, instead of all.
    pub(super) young: bool,
}

pub(super) struct Life {
    pub(super) rng: Rng,
    pub(super) scene: Scene,
    pub(super) prices: PriceSheet,
    nature: Nature,
    phase: Phase,
    pub(super) minutes: BTreeMap<i64, Measured>,
    waiting: f64,
    /// Minutes for which Kinesis, Lambda and DynamoDB publish nothing more.
    dark: [u64; 3],
    /// Minutes until the stream, the table and the mapping are settled again.
    pub(super) busy: [u64; 3],
    reshard_to: u32,
    /// Accepted UpdateShardCount calls, everybody's.
    pub(super) calls: Vec<Timestamp>,
    /// Accepted decreases of the table and of the index.
    pub(super) decreases: [Vec<Timestamp>; 2],
    /// The last pass that saw a backlog, or could not see the age.
    pub(super) waited_at: Timestamp,
}

fn scene(rng: &mut Rng) -> Scene {
    let (low, high) = (rng.whole(1, 3), rng.whole(4, 40));
    let (write, index) = (rng.whole(500, 40_000), rng.whole(500, 20_000));
    let text = format!(
        "
apiVersion: alleycat.dev/v1alpha1
kind: Pipeline
metadata: {{name: orders}}
spec:
  region: us-east-2
  stream: {{name: orders, shards: {{min: {low}, max: {high}, initial: {low}}}}}
  consumers:
    - name: writer
      function: order-writer
      parallelizationFactor: {{min: 1, max: {}, initial: 1}}
      batchSize: {{min: 100, max: 1000, initial: 500}}
      startingPosition: TRIM_HORIZON
      writesTo: [orders]
  tables:
    - name: orders
      partitionKey: PK:S
      writeCapacity: {{min: 10, max: {write}, initial: 100}}
      readCapacity: {{min: 5, max: 10, initial: 5}}
      globalSecondaryIndexes:
        - name: by-day
          partitionKey: D:S
          projection: ALL
          writeCapacity: {{min: 10, max: {index}}}
          readCapacity: {{min: 5, max: 10}}
  objectives: {{iteratorAge: 300s}}
",
        rng.whole(1, 10)
    );
    let pipeline = spec::parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    let mut scene = Scene::of(pipeline);
    scene.stream().open_shards = ShardCount(rng.whole(low, high) as u32);
    scene.policy = policy(rng);
    let table = scene.facts.tables.get_mut(TABLE).unwrap();
    table.capacity.write = CapacityUnits(rng.whole(10, write));
    table.global_secondary_indexes.get_mut(INDEX).unwrap().capacity.write = CapacityUnits(rng.whole(10, index));
    scene
}

/// A built-in policy, every second time with windows and reserves of its own.
fn policy(rng: &mut Rng) -> ScalingPolicy {
    let name = ["careful", "balanced", "eager"][rng.whole(0, 2) as usize];
    let mut policy = spec::policy::builtin(name).unwrap();
    policy.metric_delay_seconds = DELAY as u32 * 60;
    if rng.chance(0.5) {
        let mut window = |most| if rng.chance(0.3) { 0 } else { rng.whole(1, most) as u32 };
        policy.shard_stabilization_seconds = window(7_200);
        policy.write_stabilization_seconds = window(1_200);
        policy.factor_stabilization_seconds = window(1_200);
        policy.shard_cooldown_seconds = window(3_600);
        policy.reserved_reshards = rng.whole(0, 10) as u32;
        policy.reserved_decreases = rng.whole(0, 4) as u32;
        policy.minimum_decrease = rng.within(0.0, 0.5);
        policy.drained_for_seconds = rng.whole(0, 900) as u32;
        policy.seasonal_days = rng.whole(1, 7) as u32;
    }
    policy
}

impl Life {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0xd134_2543_de82_ef95));
        let scene = scene(&mut rng);
        let nature = Nature {
            slot_rate: rng.within(50.0, 800.0),
            units_per_record: rng.within(0.05, 2.0),
            index_share: rng.within(0.0, 1.0),
            hot: if rng.chance(0.1) { rng.within(0.2, 0.6) } else { 0.0 },
            peak: rng.within(500.0, 50_000.0),
        };
        let waited_at = scene.now;
        Self {
            rng,
            scene,
            prices: PriceSheet::us_east_1(),
            nature,
            phase: Phase { left: 0, level: 100.0, slope: 0.0, noise: 0.0 },
            minutes: BTreeMap::new(),
            waiting: 0.0,
            dark: [0; 3],
            busy: [0; 3],
            reshard_to: 0,
            calls: Vec::new(),
            decreases: [Vec::new(), Vec::new()],
            waited_at,
        }
    }

    /// The load, the pipeline and CloudWatch go on by a minute.
    pub(super) fn pass_a_minute(&mut self) {
        if self.phase.left == 0 {
            let minutes = self.rng.whole(3, 240);
            let to = if self.rng.chance(0.25) { 0.0 } else { self.nature.peak * self.rng.unit().powi(2) };
            let jump = self.rng.chance(0.5);
            let slope = if jump { 0.0 } else { (to - self.phase.level) / minutes as f64 };
            let level = if jump { to } else { self.phase.level };
            self.phase = Phase { left: minutes, level, slope, noise: self.rng.within(0.0, 0.3) };
        }
        self.phase.left -= 1;
        self.phase.level = (self.phase.level + self.phase.slope).max(0.0);
        let noise = 1.0 + self.phase.noise * (self.rng.unit() - 0.5);
        let measured = self.flow(self.phase.level * noise);
        for (service, dark) in self.dark.iter_mut().enumerate() {
            *dark = dark.saturating_sub(1);
            if *dark == 0 && self.rng.chance(0.001) {
                *dark = self.rng.whole(1, 40) * if service == 0 { 1 } else { 2 };
            }
        }
        let [kinesis, lambda, dynamodb] = self.dark.map(|left| left == 0);
        let minute = self.scene.now.as_second() / 60;
        self.minutes.insert(minute, Measured { kinesis, lambda, dynamodb, ..measured });
        self.minutes.retain(|at, _| *at > minute - SHOWN - DELAY);
        self.scene.now += MINUTE;
        self.settle();
    }

    /// A minute of records through the stream, the function and the table.
    fn flow(&mut self, offered: f64) -> Measured {
        let table = &self.scene.facts.tables[TABLE];
        let units = table.capacity.write.get() as f64;
        let index_units = table.global_secondary_indexes[INDEX].capacity.write.get() as f64;
        let shards = f64::from(self.scene.facts.stream.as_ref().unwrap().open_shards.get());
        let mapping = &self.scene.facts.mappings[0];
        let slots = shards * f64::from(mapping.parallelization_factor.get());
        let batch = f64::from(mapping.batch_size.get());
        let Nature { slot_rate, units_per_record, index_share, hot, .. } = self.nature;
        let first = offered * (hot + (1.0 - hot) / shards);
        let accepted = first.min(1_000.0) + (offered - first).min(1_000.0 * (shards - 1.0));
        self.waiting += accepted * 60.0;
        let by_table = units.min(index_units / index_share.max(1e-9)) / units_per_record;
        let done = self.waiting.min(slots * slot_rate * 60.0).min(by_table * 60.0);
        let short = done < self.waiting && by_table < slots * slot_rate;
        self.waiting -= done;
        let behind = self.waiting > 0.0;
        let invocations = if behind { done / batch } else { slots * 60.0 * f64::from(u8::from(done > 0.0)) };
        Measured {
            accepted: accepted * 60.0,
            rejected: (offered - accepted) * 60.0,
            age_seconds: if behind { (self.waiting / accepted.max(1.0)).min(86_400.0) } else { 0.5 },
            invocations,
            duration_ms: if invocations > 0.0 { done / invocations / slot_rate * 1_000.0 } else { 0.0 },
            errors: if self.rng.chance(0.01) { self.rng.whole(1, 50) as f64 } else { 0.0 },
            write: done * units_per_record,
            index_write: done * units_per_record * index_share,
            throttles: if short { 60.0 } else { 0.0 },
            ..Measured::default()
        }
    }

    /// What was under way is done; now and then a stranger changes the shard count. Each of his calls can be seen: the
    /// stream was ACTIVE in the pass before, and the count becomes another.
    fn settle(&mut self) {
        let stranger = self.busy[0] == 0;
        for (part, left) in self.busy.iter_mut().enumerate().filter(|(_, left)| **left > 0) {
            *left -= 1;
            if *left > 0 {
                continue;
            }
            match part {
                0 => {
                    let to = ShardCount(self.reshard_to);
                    let stream = self.scene.stream();
                    (stream.status, stream.open_shards) = (LifecycleStatus::Active, to);
                }
                1 => self.scene.facts.tables.get_mut(TABLE).unwrap().status = LifecycleStatus::Active,
                _ => self.scene.facts.mappings[0].state = MappingState::Enabled,
            }
        }
        let pending = self.scene.memory.stream_seen.as_ref().is_some_and(|seen| seen.pending_target.is_some());
        let used = self.calls.iter().filter(|at| self.scene.now < **at + DAY).count();
        if stranger && !pending && used < 10 && self.rng.chance(0.000_5) {
            let live = self.scene.stream().open_shards.get();
            let to = self.rng.whole(u64::from(live.div_ceil(2)), u64::from(live) * 2) as u32;
            if to != live {
                self.reshard(ShardCount(to));
            }
        }
    }

    fn reshard(&mut self, to: ShardCount) {
        self.calls.push(self.scene.now);
        self.reshard_to = to.get();
        self.scene.stream().status = LifecycleStatus::Updating;
        self.busy[0] = self.rng.whole(1, 8);
    }

    pub(super) fn newest(&self) -> i64 {
        self.scene.now.as_second() / 60 - 1 - DELAY
    }

    /// What CloudWatch says now, with more offered than there was.
    pub(super) fn signals(&self, more: More) -> Signals {
        let start = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let published = |it: &Measured| it.kinesis || it.lambda || it.dynamodb;
        let seen = self.minutes.iter().rev().find(|(_, it)| published(it)).map(|(at, _)| *at);
        let usual = self.newest();
        let newest = start(seen.map_or(usual, |seen| seen.clamp(usual - 3, usual)));
        let series = |of: &dyn Fn(&Measured) -> Option<f64>| {
            let points = self.minutes.iter().filter_map(|(at, it)| Some(Point { at: start(*at), value: of(it)? }));
            Signal::of(points.collect(), newest)
        };
        let kinesis = |of: fn(&Measured) -> f64| series(&|it| it.kinesis.then(|| of(it)));
        // What comes in beyond the shards is rejected; or it comes in minutes that the other metrics do not tell of yet.
        let extra = if more.young { 0.0 } else { more.factor - 1.0 };
        let offered = |of: &dyn Fn(&Measured) -> f64| {
            let mut signal = series(&|it| it.kinesis.then(|| of(it)));
            let young = if more.young { more.factor } else { 1.0 };
            signal.young.iter_mut().for_each(|point| point.value *= young);
            signal
        };
        let lambda = |of: fn(&Measured) -> f64| series(&|it| it.lambda.then(|| of(it)));
        let invoked = |of: fn(&Measured) -> f64| series(&|it| (it.lambda && it.invocations > 0.0).then(|| of(it)));
        let dynamodb = |of: fn(&Measured) -> f64| series(&|it| it.dynamodb.then(|| of(it)));
        let sink = |write: fn(&Measured) -> f64| IndexSignals {
            consumed_write: dynamodb(write),
            consumed_read: dynamodb(|_| 0.0),
            write_throttles: dynamodb(|it| it.throttles),
            read_throttles: dynamodb(|_| 0.0),
            ..IndexSignals::default()
        };
        let table = TableSignals {
            table: sink(|it| it.write),
            indexes: BTreeMap::from([(INDEX.to_owned(), sink(|it| it.index_write))]),
        };
        let writer = ConsumerSignals {
            invocations: lambda(|it| it.invocations),
            errors: lambda(|it| it.errors),
            throttles: lambda(|_| 0.0),
            duration_avg_ms: invoked(|it| it.duration_ms),
            duration_max_ms: invoked(|it| it.duration_ms * 1.5),
            iterator_age_ms: invoked(|it| it.age_seconds * 1_000.0),
            ..ConsumerSignals::default()
        };
        Signals {
            observed_at: self.scene.now,
            newest_expected: newest,
            metrics_requested: 20,
            account_concurrency: Signal::absent(),
            stream: StreamSignals {
                incoming_records: offered(&|it| it.accepted),
                incoming_bytes: offered(&|it| it.accepted * 512.0),
                rejected_records: offered(&|it| it.rejected + it.accepted * extra),
                read_throttles: kinesis(|_| 0.0),
                iterator_age_ms: kinesis(|it| it.age_seconds * 1_000.0),
                get_records: kinesis(|it| it.accepted),
                ..StreamSignals::default()
            },
            consumers: BTreeMap::from([(CONSUMER.to_owned(), writer)]),
            tables: BTreeMap::from([(TABLE.to_owned(), table)]),
        }
    }

    /// The table and its index: live write capacity, target and bounds.
    pub(super) fn capacities(&self, sizing: &Sizing) -> [(ResourceId, CapacityUnits, Option<CapacityUnits>, Units); 2] {
        let (live, spec) = (&self.scene.facts.tables[TABLE], &self.scene.pipeline.tables[0]);
        let wanted = sizing.targets.tables.get(TABLE);
        let units = |it: &CapacityTarget| it.write.as_ref().map(|target| target.value);
        let (index, bounds) = (&live.global_secondary_indexes[INDEX], spec.global_secondary_indexes[0].write_capacity);
        [
            (
                ResourceId::Table(TABLE.to_owned()),
                live.capacity.write,
                wanted.and_then(|it| units(&it.table)),
                spec.write_capacity,
            ),
            (
                ResourceId::Index(TABLE.to_owned(), INDEX.to_owned()),
                index.capacity.write,
                wanted.and_then(|it| it.indexes.get(INDEX)).and_then(units),
                bounds,
            ),
        ]
    }

    /// AWS does what was decided.
    pub(super) fn carry_out(&mut self, sizing: &Sizing) {
        let now = self.scene.now;
        if let Some(count) = shards(sizing) {
            note_reshard(&mut self.scene.memory, ShardCount(count), now);
            self.reshard(ShardCount(count));
        }
        let capacities = self.capacities(sizing);
        let table = self.scene.facts.tables.get_mut(TABLE).unwrap();
        let index = table.global_secondary_indexes.get_mut(INDEX).unwrap();
        for (nth, (live, (_, _, target, _))) in
            [&mut table.capacity, &mut index.capacity].into_iter().zip(capacities).enumerate()
        {
            let Some(units) = target else { continue };
            if units < live.write {
                self.decreases[nth].push(now);
                count_decrease(live, now);
            }
            live.write = units;
            table.status = LifecycleStatus::Updating;
            self.busy[1] = 1 + self.rng.whole(0, 2);
        }
        let mapping = &mut self.scene.facts.mappings[0];
        if let Some(consumer) = sizing.targets.consumers.get(CONSUMER) {
            let factor = consumer.parallelization_factor.as_ref().map(|it| it.value);
            mapping.parallelization_factor = factor.unwrap_or(mapping.parallelization_factor);
            mapping.batch_size = consumer.batch_size.as_ref().map_or(mapping.batch_size, |it| it.value);
            mapping.state = MappingState::Updating;
            self.busy[2] = 1;
        }
    }
}

/// As DescribeTable tells it: yesterday's count stands there until the first decrease of today.
fn count_decrease(live: &mut CapacityFacts, now: Timestamp) {
    let today = now.to_zoned(TimeZone::UTC).date();
    let same_day = live.last_decrease.is_some_and(|at| at.to_zoned(TimeZone::UTC).date() == today);
    live.decreases_today = if same_day { live.decreases_today + 1 } else { 1 };
    live.last_decrease = Some(now);
}

//! Who should read through enhanced fan-out. Only consumers with `delivery: auto` that may read records twice, only one
//! at a time, late and for a reason that lasted; back only after a week.
//!
//! What always holds: nothing is chosen on missing signals; while a consumer is being moved nothing else of it, and no
//! shard count, is changed (a shard that closes would make the move's position unsafe), unless records are rejected.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cost::PriceSheet,
    diagnose::{self, Diagnosis, FAN_OUT_MS, Finding, KIB, Reading, SHARD_READ_BYTES_PER_SECOND, SHARED_MS, Way},
    memory::Memory,
    model::{Facts, ResourceId, ShardCount, Signals, StreamFacts},
    spec::{ConsumerSpec, Delivery, Pipeline, ScalingPolicy},
};

use super::{
    Sizing, Target,
    guards::{Frozen, hold},
    stream,
};

/// Shared reads must have been short for so long. Our choice: a move pauses the consumer for minutes.
const SHORT_FOR: SignedDuration = SignedDuration::from_mins(15);
/// So many shared readers that lag at once contend. Our choice.
const LAGGING_READERS: usize = 3;
/// Fan-out is given up after so long at less than half of what asks for it. Our choice.
const QUIET_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Share of a shard's 2 MiB/s that shared readers may use; the same air as the sizing of shards leaves.
const READ_SHARE: f64 = 0.9;
/// Half of what asks for fan-out.
const HALF: f64 = 0.5;

/// What the choice is made from.
struct Scene<'a> {
    pipeline: &'a Pipeline,
    stream: &'a StreamFacts,
    signals: &'a Signals,
    prices: &'a PriceSheet,
    /// Readers that share the stream.
    sharing: usize,
    /// Shared consumers of ours that lag, with their age in seconds.
    lagging: Vec<(&'a ConsumerSpec, f64)>,
    /// Bytes/s offered.
    bytes: f64,
    now: Timestamp,
}

/// Chooses the delivery of `auto` consumers, and keeps everything still around a move that is under way.
#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing and the prices")]
pub(super) fn deliver(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    findings: &[Finding],
    prices: &PriceSheet,
    memory: &mut Memory,
    now: Timestamp,
    sizing: &mut Sizing,
) {
    let Some(stream) = &facts.stream else { return };
    let readings: Vec<(&ConsumerSpec, Reading<'_>)> =
        pipeline.consumers.iter().map(|spec| (spec, Reading::of(pipeline, facts, spec))).collect();
    let moving = readings.iter().find_map(|(spec, reading)| reading.moving().map(|to| (*spec, to)));
    if let Some((spec, to)) = moving {
        return keep_still(spec, to, stream, signals, sizing);
    }
    let free = |spec: &ConsumerSpec| spec.delivery == Delivery::Auto && spec.idempotent;
    let frozen = Frozen::at(&pipeline.scaling.freeze, now);
    if !pipeline.consumers.iter().any(free) || frozen.up.is_some() || frozen.down.is_some() {
        return;
    }
    // A load that is not known neither ends a quiet week nor lets it begin anew.
    let Some(load) = diagnose::stream_load(policy, stream, signals) else {
        memory.fan_out.short_since = None;
        return;
    };
    let sharing = diagnose::known_readers(pipeline, facts);
    let lagging = readings.iter().filter(|(_, reading)| reading.way() == Some(Way::Shared)).filter_map(|(spec, _)| {
        let load = diagnose::consumer_load(pipeline, policy, signals, spec)?;
        load.lagging.then_some((*spec, load.age_seconds))
    });
    let lagging = lagging.collect();
    let scene = Scene { pipeline, stream, signals, prices, sharing, lagging, bytes: load.offered_bytes, now };
    let since = memory.fan_out.short_since.or(Some(now));
    memory.fan_out.short_since = since.filter(|_| short(&scene, findings));
    let to = readings.iter().filter(|(spec, reading)| free(spec) && reading.way() == Some(Way::Shared));
    if let Some(reason) = wanted(&scene, memory)
        && let Some(spec) = scene.furthest_behind(to.map(|(spec, _)| *spec))
    {
        set(sizing, spec, Way::EnhancedFanOut, reason);
    }
    let fanned = readings.iter().filter(|(spec, reading)| free(spec) && reading.way() == Some(Way::EnhancedFanOut));
    for (spec, _) in fanned {
        if !quiet(&scene) {
            memory.fan_out.quiet_since.remove(&spec.name);
            continue;
        }
        let since = *memory.fan_out.quiet_since.entry(spec.name.clone()).or_insert(now);
        if now.duration_since(since) >= QUIET_FOR {
            let reason = "for 7 days shared reads would have done at half of what asks for fan-out".to_owned();
            set(sizing, spec, Way::Shared, reason);
            break;
        }
    }
}

fn set(sizing: &mut Sizing, spec: &ConsumerSpec, way: Way, reason: String) {
    sizing.targets.consumers.entry(spec.name.clone()).or_default().delivery = Some(Target { value: way, reason });
}

/// Takes out what would disturb a move, and says so.
fn keep_still(spec: &ConsumerSpec, to: Way, stream: &StreamFacts, signals: &Signals, sizing: &mut Sizing) {
    let id = ResourceId::Mapping(spec.name.clone());
    sizing.targets.consumers.remove(&spec.name);
    let reason = format!("ACTUATING: it is being moved to {}", to.word());
    sizing.holds.push(hold(&id, "actuating", reason, None));
    let rejecting = signals.stream.rejected_records.last().is_some_and(|point| point.value > 0.0);
    let lowers = sizing.targets.shards.as_ref().is_some_and(|target| target.value < stream.open_shards);
    if sizing.targets.shards.is_some() && (lowers || !rejecting) {
        sizing.targets.shards = None;
        let reason = format!("ACTUATING: {id} is being moved to {}, and no shard may close meanwhile", to.word());
        sizing.holds.push(hold(&ResourceId::Stream(stream.name.clone()), "actuating", reason, None));
    }
}

/// Whether shared reads are short now: near the limit in bytes, or throttled.
fn short(scene: &Scene<'_>, findings: &[Finding]) -> bool {
    let found = |diagnosis| findings.iter().any(|finding| finding.diagnosis == diagnosis);
    found(Diagnosis::ReadShort) || (found(Diagnosis::TooManyReaders) && scene.throttled_minutes() >= 2)
}

/// Why one more consumer should read through fan-out, if so.
fn wanted(scene: &Scene<'_>, memory: &Memory) -> Option<String> {
    let shared_ms = scene.sharing as f64 * SHARED_MS;
    let objective_ms = scene.pipeline.objectives.iterator_age.as_secs_f64() * 1000.0;
    if objective_ms < shared_ms {
        return Some(format!(
            "the objective of {objective_ms:.0} ms is below the {shared_ms:.0} ms that {} shared readers reach; fan-out \
             takes about {FAN_OUT_MS:.0} ms",
            scene.sharing
        ));
    }
    let lagging = scene.lagging.len();
    let why = if memory.fan_out.short_since.is_some_and(|since| scene.now.duration_since(since) >= SHORT_FOR) {
        format!("shared reads have been short for {} min", SHORT_FOR.as_mins())
    } else if lagging >= LAGGING_READERS {
        format!("{lagging} shared readers lag at once")
    } else {
        return None;
    };
    scene.cheaper_than_shards().map(|price| format!("{why}; {price}"))
}

/// Whether one more shared reader would leave everything below half of what asks for fan-out.
fn quiet(scene: &Scene<'_>) -> bool {
    let readers = scene.sharing as f64 + 1.0;
    let shards = f64::from(scene.stream.open_shards.get().max(1));
    let used = readers * scene.bytes / (shards * SHARD_READ_BYTES_PER_SECOND);
    let objective_ms = scene.pipeline.objectives.iterator_age.as_secs_f64() * 1000.0;
    let tight = objective_ms * HALF < readers * SHARED_MS;
    used < HALF * READ_SHARE && !tight && scene.throttled_minutes() == 0 && scene.lagging.is_empty()
}

impl Scene<'_> {
    /// Of the last three minutes, those in which GetRecords was throttled.
    fn throttled_minutes(&self) -> usize {
        let from = self.signals.newest_expected - SignedDuration::from_mins(2);
        let points = &self.signals.stream.read_throttles.points;
        points.iter().filter(|point| point.at >= from && point.value > 0.0).count()
    }

    /// Of these the one that is furthest behind, else the first by name.
    fn furthest_behind<'b>(&self, of: impl Iterator<Item = &'b ConsumerSpec>) -> Option<&'b ConsumerSpec> {
        let age = |spec: &ConsumerSpec| {
            self.lagging.iter().find(|(other, _)| other.name == spec.name).map_or(0.0, |(_, age)| *age)
        };
        of.min_by(|one, other| age(other).total_cmp(&age(one)).then_with(|| one.name.cmp(&other.name)))
    }

    /// The price of fan-out in words when it is at most that of enough shards for all readers; `None` when shards are
    /// the cheaper way. Where shards do not help, or there may not be so many, fan-out is the only way.
    fn cheaper_than_shards(&self) -> Option<String> {
        let live = f64::from(self.stream.open_shards.get());
        let enough = (self.sharing as f64 * self.bytes / (SHARD_READ_BYTES_PER_SECOND * READ_SHARE)).ceil();
        let gigabyte = KIB * KIB * KIB;
        let fan_out =
            live * self.prices.fan_out_consumer_shard_hour + self.bytes * 3600.0 / gigabyte * self.prices.fan_out_gb;
        let bound = f64::from(stream::shard_bound(self.pipeline).get());
        if enough <= live || enough > bound {
            return Some(format!("fan-out costs ${fan_out:.3}/h, and shards would not do it"));
        }
        let shards = (enough - live) * self.prices.shard_hour;
        let words = ShardCount(enough as u32).words();
        (fan_out <= shards).then(|| format!("fan-out costs ${fan_out:.3}/h, {words} would cost ${shards:.3}/h more"))
    }
}

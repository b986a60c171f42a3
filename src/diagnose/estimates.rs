//! What cannot be read off a chart: the load that is really offered, how fast a slot works, how long a batch of a
//! given size takes, what a record costs a table, how long burst credit lasts, when records are lost. Pure.
//!
//! What always holds: a number that the measurements do not allow is `None`, never a guess; rates are per second.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    series::{MINUTE, mean, median, ratio, trend},
    symptoms::{self, ConsumerLoad, SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND},
    thresholds::FITTING_SHARE,
};
use crate::{
    model::{
        BillingMode, CapacityFacts, ConsumerSignals, Facts, FunctionFacts, IndexSignals, MappingFacts, MappingState,
        ResourceId, Signal, Signals, StreamFacts,
    },
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

/// A shard's read limit, bytes a second over all shared readers: 2 MiB (Kinesis developer guide, "Quotas").
pub const SHARD_READ_BYTES_PER_SECOND: f64 = 2.0 * SHARD_BYTES_PER_SECOND;
/// Burst credit: so many seconds of unused capacity (DynamoDB developer guide, "Burst capacity").
pub const BURST_SECONDS: f64 = 300.0;
/// A consumer this close, ms, processed what came in: as the scaler's.
pub(super) const HEALTHY_MS: f64 = 30_000.0;
/// Minutes that a fit takes at least.
const FIT_MINUTES: usize = 5;
/// Spread of the batch sizes, relative to their mean, below which fixed and per-record time cannot be told apart.
const FIT_SPREAD: f64 = 0.1;

/// Estimates of every stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimates {
    /// The stream, when it exists and its incoming load is known.
    pub stream: Option<StreamEstimate>,
    /// Each consumer with a mapping, by its name in the spec.
    pub consumers: BTreeMap<String, ConsumerEstimate>,
    /// Tables and their indexes that exist, in the order of the spec, a table before its indexes.
    pub sinks: Vec<SinkEstimate>,
}

/// The stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamEstimate {
    /// Records/s offered now, rejected ones included.
    pub offered_records: f64,
    /// Bytes/s offered now.
    pub offered_bytes: f64,
    /// Records/s the open shards take.
    pub capacity_records: f64,
    /// Bytes/s the open shards take.
    pub capacity_bytes: f64,
    /// Offered over capacity, by the tighter of the two.
    pub utilization: f64,
    /// Bytes of an average record; `None` while nothing comes in.
    pub record_bytes: Option<f64>,
    /// Readers that share the 2 MiB/s and 5 calls/s of a shard: as many as are known, or as the volume fetched shows.
    pub shared_readers: u32,
    /// Share of the shards' read limit in bytes that the shared readers need when they keep up.
    pub read_utilization: f64,
    /// Load of the fullest shard over the mean of the shards; `None` without shard-level metrics.
    pub skew: Option<f64>,
    /// The fullest shard.
    pub hottest_shard: Option<String>,
}

/// A consumer: a function and its mapping.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerEstimate {
    /// Iterator age, s; `None` when it is not known.
    pub age_seconds: Option<f64>,
    /// Records not processed yet, at most; `None` when the age is not known.
    pub backlog_records: Option<f64>,
    /// Batches that can be worked on at a time: open shards × parallelization factor.
    pub slots: u32,
    /// How many of them are, on average; never more than there are, which the mean of unlike minutes could be.
    pub slots_used: Option<f64>,
    /// Records/s of a slot while it works: the median of healthy minutes.
    pub slot_rate: Option<f64>,
    /// Records/s that all slots do with full batches; `None` while the batches seen say too little of full ones.
    pub capacity_records: Option<f64>,
    /// How long a batch takes.
    pub batch_time: Option<BatchTime>,
    /// Records in a batch whose time fits into the timeout with room to spare.
    pub fitting_batch: Option<u32>,
    /// Seconds until records are lost, at the present course.
    pub data_loss_seconds: Option<f64>,
    /// Seconds until nothing waits, at the present course; 0 when nothing waits.
    pub drain_seconds: Option<f64>,
}

/// The time of a batch of n records: fixed + n × per record.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchTime {
    /// Whatever the size, ms.
    pub fixed_ms: f64,
    /// For each record, ms.
    pub per_record_ms: f64,
    /// Longest over average of a minute's invocations.
    pub slowest: f64,
    /// Batches differed enough in size to tell the two apart; otherwise all time is taken for the records'.
    pub fitted: bool,
}

/// A table or one of its indexes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkEstimate {
    /// Which.
    pub resource: ResourceId,
    /// Write units/s consumed now.
    pub write: f64,
    /// Write units/s provisioned; `None` on demand.
    pub write_capacity: Option<f64>,
    /// Read units/s consumed now.
    pub read: f64,
    /// Read units/s provisioned; `None` on demand.
    pub read_capacity: Option<f64>,
    /// Write units that a processed record costs: the median of minutes without a throttle.
    pub write_per_record: Option<f64>,
    /// Write units/s that what is offered to the stream would take.
    pub write_demand: Option<f64>,
    /// Burst credit left, write units; `None` on demand.
    pub burst_units: Option<f64>,
    /// Seconds that it lasts at the present rate, or at its trend when that rises steadily; `None` when none will be
    /// spent.
    pub burst_seconds: Option<f64>,
    /// The same of the credit for reads.
    pub read_burst_seconds: Option<f64>,
}

/// Estimates from what exists and what was measured.
pub fn estimates(pipeline: &Pipeline, policy: &ScalingPolicy, facts: &Facts, signals: &Signals) -> Estimates {
    let stream = facts.stream.as_ref();
    let stream_estimate = stream.and_then(|live| stream_estimate(pipeline, policy, facts, live, signals));
    let mut found = Estimates { stream: stream_estimate, ..Estimates::default() };
    let pairs = pipeline
        .consumers
        .iter()
        .filter_map(|spec| Some((spec, stream?, facts.mapping_named(&spec.function, spec.alias.as_deref())?)));
    for (spec, stream, mapping) in pairs {
        let estimate = consumer_estimate(pipeline, policy, facts, signals, (spec, stream, mapping));
        found.consumers.insert(spec.name.clone(), estimate);
    }
    let offered = found.stream.as_ref().map(|stream| stream.offered_records);
    for table in &pipeline.tables {
        let (Some(live), Some(measured)) = (facts.tables.get(&table.name), signals.tables.get(&table.name)) else {
            continue;
        };
        let provisioned = live.billing_mode == BillingMode::Provisioned;
        let mut add = |resource, sink: &IndexSignals, capacity: &CapacityFacts| {
            let load = symptoms::sink_load(signals, sink, capacity);
            found.sinks.extend(load.map(|load| {
                let credit = |consumed: &Signal, throttles: &Signal, capacity| {
                    provisioned.then(|| burst(consumed, throttles, capacity)).flatten()
                };
                let burst = credit(&sink.consumed_write, &sink.write_throttles, load.provisioned.1);
                let read_burst = credit(&sink.consumed_read, &sink.read_throttles, load.provisioned.0);
                let write_per_record = write_per_record(pipeline, signals, sink, &table.name);
                SinkEstimate {
                    resource,
                    write: load.write,
                    write_capacity: provisioned.then_some(load.provisioned.1),
                    read: load.read,
                    read_capacity: provisioned.then_some(load.provisioned.0),
                    write_per_record,
                    write_demand: write_per_record.zip(offered).map(|(units, records)| units * records),
                    burst_units: burst,
                    burst_seconds: burst
                        .and_then(|units| lasts(units, load.write - load.provisioned.1, &sink.consumed_write)),
                    read_burst_seconds: read_burst
                        .and_then(|units| lasts(units, load.read - load.provisioned.0, &sink.consumed_read)),
                }
            }));
        };
        add(ResourceId::Table(table.name.clone()), &measured.table, &live.capacity);
        for index in &table.global_secondary_indexes {
            let index = &index.name;
            if let Some((live, sink)) = live.global_secondary_indexes.get(index).zip(measured.indexes.get(index)) {
                add(ResourceId::Index(table.name.clone(), index.clone()), sink, &live.capacity);
            }
        }
    }
    found
}

fn stream_estimate(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    live: &StreamFacts,
    signals: &Signals,
) -> Option<StreamEstimate> {
    let load = symptoms::stream_load(policy, live, signals)?;
    let shards = f64::from(live.open_shards.get());
    let readers = shared_readers(pipeline, facts, signals);
    let shards_seen = symptoms::shard_loads(signals);
    Some(StreamEstimate {
        offered_records: load.offered,
        offered_bytes: load.offered_bytes,
        capacity_records: shards * SHARD_RECORDS_PER_SECOND,
        capacity_bytes: shards * SHARD_BYTES_PER_SECOND,
        utilization: load.utilization,
        record_bytes: (load.offered > 0.0).then(|| load.offered_bytes / load.offered),
        shared_readers: readers,
        read_utilization: ratio(f64::from(readers) * load.offered_bytes, shards * SHARD_READ_BYTES_PER_SECOND),
        skew: shards_seen.as_ref().map(|(_, skew)| *skew),
        hottest_shard: shards_seen.and_then(|(shards, _)| shards.into_iter().next()).map(|shard| shard.id),
    })
}

/// The readers that share the stream: those that are known, or more when more than they can account for is fetched
/// (a reader that keeps up fetches each record once; minutes in which one was behind say nothing).
pub(super) fn shared_readers(pipeline: &Pipeline, facts: &Facts, signals: &Signals) -> u32 {
    let known = u32::try_from(known_readers(pipeline, facts)).unwrap_or(u32::MAX);
    let stream = &signals.stream;
    let at_tip = |at: Timestamp| stream.iterator_age_ms.at(at).is_some_and(|age| age < HEALTHY_MS);
    let newest = stream.incoming_records.points.iter().rev();
    let each = newest.filter(|point| point.value > 0.0 && at_tip(point.at)).take(FIT_MINUTES);
    let copies: Vec<f64> = each.filter_map(|point| Some(stream.get_records.at(point.at)? / point.value)).collect();
    let seen = if copies.len() < FIT_MINUTES { 0.0 } else { median(copies).unwrap_or(0.0).round() };
    known.max(seen.clamp(0.0, f64::from(MOST_READERS)) as u32)
}

/// Mappings that poll the stream, and the readers that the spec names.
pub fn known_readers(pipeline: &Pipeline, facts: &Facts) -> usize {
    let arn = facts.stream.as_ref().map_or("", |stream| stream.arn.as_str());
    let polls = |mapping: &&MappingFacts| mapping.source_arn == arn && mapping.state != MappingState::Disabled;
    facts.mappings.iter().filter(polls).count() + pipeline.external_consumers.len()
}

/// No more shared readers than this are believed: each needs a call of the five a second now and then.
const MOST_READERS: u32 = 50;

fn consumer_estimate(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    (spec, stream, mapping): (&ConsumerSpec, &StreamFacts, &MappingFacts),
) -> ConsumerEstimate {
    let load = symptoms::consumer_load(pipeline, policy, signals, spec);
    let minutes =
        signals.consumers.get(&spec.name).map(|own| healthy(pipeline, signals, spec, own)).unwrap_or_default();
    let batch_time = batch_time(&minutes);
    let function = facts.functions.get(&spec.function);
    let slots = stream.open_shards.get().saturating_mul(mapping.parallelization_factor.get());
    let retention = f64::from(stream.retention.get()) * 3600.0;
    let rates = minutes.iter().map(|minute| minute.records / (minute.average_ms / 1000.0)).collect();
    ConsumerEstimate {
        age_seconds: load.as_ref().map(|load| load.age_seconds),
        backlog_records: load.as_ref().map(|load| load.backlog),
        slots,
        slots_used: load.as_ref().and_then(|load| load.concurrency).map(|used| used.min(f64::from(slots))),
        capacity_records: batch_time.and_then(|time| capacity_records(time, &minutes, mapping, slots)),
        slot_rate: median(rates),
        fitting_batch: batch_time.zip(function).and_then(|(time, function)| fitting(time, function)),
        batch_time,
        data_loss_seconds: load
            .as_ref()
            .filter(|load| load.age_slope > 0.0 && load.lagging)
            .map(|load| (retention - load.age_seconds).max(0.0) / load.age_slope),
        drain_seconds: load.as_ref().and_then(|load| drain_seconds(pipeline, facts, signals, mapping, load)),
    }
}

/// Minutes over which the course of a backlog is measured: Lambda fetches in bursts.
const COURSE_MINUTES: i64 = 5;

/// Seconds until nothing waits, by what is fetched from the stream beyond what comes in, if other shared readers keep up.
/// The age alone misleads: while a flood is read it grows although less waits, and it is that of the slowest shard. It
/// has to do where a consumer has its own fan-out, or nothing is published.
fn drain_seconds(
    pipeline: &Pipeline,
    facts: &Facts,
    signals: &Signals,
    mapping: &MappingFacts,
    load: &ConsumerLoad,
) -> Option<f64> {
    if load.backlog <= 0.0 {
        return Some(0.0);
    }
    let is_shared = facts.stream.as_ref().is_some_and(|stream| stream.arn == mapping.source_arn);
    let copies = f64::from(shared_readers(pipeline, facts, signals).max(1));
    let from = signals.newest_expected - SignedDuration::from_mins(COURSE_MINUTES - 1);
    let fetched = signals.stream.get_records.points.iter().filter(|point| is_shared && point.at >= from);
    let beyond = fetched.filter_map(|point| Some(point.value - copies * signals.stream.incoming_records.at(point.at)?));
    let beyond: Vec<f64> = beyond.collect();
    if beyond.len() as i64 > COURSE_MINUTES / 2 {
        let rate = mean(&beyond) / MINUTE;
        return (rate > 0.0).then(|| load.backlog / rate);
    }
    (load.age_slope < 0.0).then(|| load.age_seconds / -load.age_slope)
}

/// A minute in which a consumer kept up without a failure or a throttled table.
struct Healthy {
    /// Records in an invocation.
    records: f64,
    average_ms: f64,
    longest_ms: f64,
}

fn healthy(pipeline: &Pipeline, signals: &Signals, spec: &ConsumerSpec, own: &ConsumerSignals) -> Vec<Healthy> {
    let sinks: Vec<&IndexSignals> = sinks_of(pipeline, signals, spec).collect();
    let none = |signal: &Signal, at: Timestamp| signal.at(at).unwrap_or(0.0) <= 0.0;
    let minute = |at: Timestamp, invocations: f64| {
        let kept_up = own.iterator_age_ms.at(at)? < HEALTHY_MS && none(&own.errors, at) && none(&own.throttles, at);
        let free = sinks.iter().all(|sink| none(&sink.write_throttles, at) && none(&sink.key_range_throttles, at));
        let average_ms = own.duration_avg_ms.at(at).filter(|ms| *ms > 0.0)?;
        let records = signals.stream.incoming_records.at(at).filter(|count| *count > 0.0)? / invocations;
        let longest_ms = own.duration_max_ms.at(at).unwrap_or(average_ms);
        (kept_up && free).then_some(Healthy { records, average_ms, longest_ms })
    };
    let points = own.invocations.points.iter().filter(|point| point.value > 0.0);
    points.filter_map(|point| minute(point.at, point.value)).collect()
}

/// The signals of the tables that a consumer writes to, with their indexes.
pub(super) fn sinks_of<'a>(
    pipeline: &'a Pipeline,
    signals: &'a Signals,
    spec: &'a ConsumerSpec,
) -> impl Iterator<Item = &'a IndexSignals> {
    let own = pipeline.tables.iter().filter(|table| spec.writes_to.contains(&table.name));
    let measured = own.filter_map(|table| signals.tables.get(&table.name));
    measured.flat_map(|table| std::iter::once(&table.table).chain(table.indexes.values()))
}

/// Least squares through the healthy minutes.
fn batch_time(minutes: &[Healthy]) -> Option<BatchTime> {
    if minutes.len() < FIT_MINUTES {
        return None;
    }
    let mean_of = |value: &dyn Fn(&Healthy) -> f64| mean(&minutes.iter().map(value).collect::<Vec<_>>());
    let (x, y) = (mean_of(&|minute| minute.records), mean_of(&|minute| minute.average_ms));
    let variance = mean_of(&|minute| (minute.records - x).powi(2));
    let covariance = mean_of(&|minute| (minute.records - x) * (minute.average_ms - y));
    let slowest = median(minutes.iter().map(|minute| minute.longest_ms / minute.average_ms).collect())?.max(1.0);
    if x <= 0.0 || variance.sqrt() < FIT_SPREAD * x {
        return (x > 0.0).then(|| BatchTime { fixed_ms: 0.0, per_record_ms: y / x, slowest, fitted: false });
    }
    let per_record_ms = (covariance / variance).clamp(0.0, y / x);
    Some(BatchTime { fixed_ms: y - per_record_ms * x, per_record_ms, slowest, fitted: true })
}

/// Records/s of all slots with full batches, when the fit or the batches seen allow to say so.
fn capacity_records(time: BatchTime, minutes: &[Healthy], mapping: &MappingFacts, slots: u32) -> Option<f64> {
    let batch = f64::from(mapping.batch_size.get());
    let seen = median(minutes.iter().map(|minute| minute.records).collect())?;
    let ms = time.fixed_ms + batch * time.per_record_ms;
    ((time.fitted || seen >= FULL_ENOUGH * batch) && ms > 0.0).then(|| f64::from(slots) * batch * 1000.0 / ms)
}

/// Share of a full batch from which on the time of one says how long a full one takes.
const FULL_ENOUGH: f64 = 0.5;

/// The largest batch whose slowest invocation stays below a share of the timeout; `None` when not even one record
/// does, or when the size does not matter.
fn fitting(time: BatchTime, function: &FunctionFacts) -> Option<u32> {
    let limit = f64::from(function.timeout_seconds) * 1000.0 * FITTING_SHARE.value / time.slowest;
    let records = ((limit - time.fixed_ms) / time.per_record_ms).floor();
    (records >= 1.0 && records.is_finite()).then(|| records.min(LARGEST_BATCH) as u32)
}

/// Records in a batch, at most (Lambda developer guide, "Kinesis parameters").
const LARGEST_BATCH: f64 = 10_000.0;

/// What a record costs: consumed units over records that came in, in minutes without a throttle in which the writers
/// kept up.
fn write_per_record(pipeline: &Pipeline, signals: &Signals, sink: &IndexSignals, table: &str) -> Option<f64> {
    let writers = pipeline.consumers.iter().filter(|spec| spec.writes_to.iter().any(|name| name == table));
    let writers: Vec<&ConsumerSignals> = writers.filter_map(|spec| signals.consumers.get(&spec.name)).collect();
    let cost = |at: Timestamp, consumed: f64| {
        let kept_up = writers.iter().all(|own| own.iterator_age_ms.at(at).is_some_and(|age| age < HEALTHY_MS));
        let throttled = sink.write_throttles.at(at).is_some_and(|count| count > 0.0);
        let records = signals.stream.incoming_records.at(at).filter(|count| *count > 0.0)?;
        (kept_up && !throttled && !writers.is_empty()).then(|| consumed / records)
    };
    median(sink.consumed_write.points.iter().filter_map(|point| cost(point.at, point.value)).collect())
}

/// Burst credit left: it starts full, takes up what is not used and is gone in a minute with throttles. `None`
/// without a measurement.
fn burst(consumed: &Signal, throttles: &Signal, capacity: f64) -> Option<f64> {
    let full = BURST_SECONDS * capacity;
    let points = &consumed.points;
    (!points.is_empty()).then(|| {
        points.iter().fold(full, |left, point| {
            let throttled = throttles.at(point.at).is_some_and(|count| count > 0.0);
            if throttled { 0.0 } else { (left + capacity * MINUTE - point.value).clamp(0.0, full) }
        })
    })
}

/// Seconds until so many units of credit are spent, at `over` units/s above the capacity and the trend of that.
fn lasts(units: f64, over: f64, consumed: &Signal) -> Option<f64> {
    let values: Vec<f64> = consumed.points.iter().map(|point| point.value).collect();
    // Units a minute and minute, as units a second and second.
    let rise = trend(&values).map_or(0.0, |slope| slope / MINUTE / MINUTE);
    match (over > 0.0, rise > 0.0) {
        (true, true) => Some((over.mul_add(over, 2.0 * rise * units).sqrt() - over) / rise),
        (true, false) => Some(units / over),
        (false, true) => Some(-over / rise + (2.0 * units / rise).sqrt()),
        (false, false) => None,
    }
}

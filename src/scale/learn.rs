//! What each cycle's signals teach: demand of tables per minute, the true rate of a consumer's slot, and
//! since when nothing waits. CloudWatch revises late, so the newest minutes are learnt anew each time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{self, consumer_load},
    memory::{Memory, Recommendation, SinkSample},
    model::{CapacityUnits, ConsumerSignals, Facts, IndexSignals, ResourceId, Signals},
    spec::{ConsumerSpec, Pipeline, ScalingPolicy, TableSpec},
};

use super::{billing, forecast, guards, ledger::DAY, settle};

/// Minutes of traffic kept per sink.
const ACTIVE_SAMPLES: usize = 60;
/// Minutes kept whether or not there was traffic: what "recently" means for bursts.
const RECENT: SignedDuration = SignedDuration::from_mins(10);
/// A consumer whose age is below this processed what came in, ms.
const KEEPS_UP_MS: f64 = 10_000.0;
/// A slot's true rate is measured only while the consumer is this close, ms: back-off in a throttled
/// function would pass for slowness. One that catches up from further behind has done nobody knows how much.
const HEALTHY_MS: f64 = 30_000.0;

/// Takes in one set of signals.
pub fn learn(
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    now: Timestamp,
) {
    guards::notice_lateness(memory, policy, signals, now);
    forecast::learn(memory, policy, facts, signals);
    settle::learn(memory, facts, now);
    for table in &pipeline.tables {
        let (Some(live), Some(measured)) = (facts.tables.get(&table.name), signals.tables.get(&table.name)) else {
            continue;
        };
        let writers = writers(pipeline, facts, signals, &table.name);
        let id = ResourceId::Table(table.name.clone()).to_string();
        sample(memory, id, &writers, signals, &measured.table, live.capacity.write);
        for (name, index) in &measured.indexes {
            let Some(live) = live.global_secondary_indexes.get(name) else { continue };
            let id = ResourceId::Index(table.name.clone(), name.clone()).to_string();
            sample(memory, id, &writers, signals, index, live.capacity.write);
        }
    }
    for consumer in &pipeline.consumers {
        slot_rates(memory, pipeline, signals, consumer, now);
    }
    let drained = pipeline.consumers.iter().all(|consumer| {
        consumer_load(pipeline, policy, signals, consumer)
            .is_some_and(|load| load.age_seconds <= f64::from(policy.drained_age_seconds))
    });
    billing::learn(memory, pipeline, policy, facts, signals, now);
    memory.drained_since = if drained { memory.drained_since.or(Some(now)) } else { None };
}

/// A consumer that writes to a table, with its signals and live batch size.
struct Writer<'a> {
    name: &'a str,
    signals: &'a ConsumerSignals,
    batch: f64,
}

impl Writer<'_> {
    /// Its iterator age in a minute, ms.
    fn age(&self, minute: Timestamp) -> Option<f64> {
        self.signals.iterator_age_ms.at(minute)
    }

    /// Whether it is known to have been behind in a minute.
    fn lags(&self, minute: Timestamp) -> bool {
        self.age(minute).is_some_and(|age| age > KEEPS_UP_MS)
    }
}

fn writers<'a>(pipeline: &'a Pipeline, facts: &Facts, signals: &'a Signals, table: &str) -> Vec<Writer<'a>> {
    pipeline
        .consumers
        .iter()
        .filter(|consumer| consumer.writes_to.iter().any(|name| name == table))
        .filter_map(|consumer| {
            Some(Writer {
                name: &consumer.name,
                signals: signals.consumers.get(&consumer.name)?,
                batch: f64::from(facts.mapping_to(&consumer.function, consumer.alias.as_deref())?.batch_size.get()),
            })
        })
        .collect()
}

fn sample(
    memory: &mut Memory,
    id: String,
    writers: &[Writer<'_>],
    signals: &Signals,
    sink: &IndexSignals,
    provisioned: CapacityUnits,
) {
    let samples = memory.sink_samples.entry(id).or_default();
    for point in sink.consumed_write.points.iter().rev().take(30).rev() {
        let invocations: Option<BTreeMap<String, f64>> = writers
            .iter()
            .map(|writer| Some((writer.name.to_owned(), writer.signals.invocations.at(point.at)? / 60.0)))
            .collect();
        let (Some(invocations), Some(read)) = (invocations, sink.consumed_read.at(point.at)) else { continue };
        let Some(records) = records(writers, signals, point.at) else {
            samples.retain(|sample| sample.at != point.at);
            continue;
        };
        // A throttled batch of a consumer that lags goes on for minutes: it is not the work of the minute it began in.
        let full = point.value / 60.0 >= 0.9 * provisioned.get() as f64;
        let new = SinkSample {
            at: point.at,
            records,
            invocations,
            write: point.value / 60.0,
            read: read / 60.0,
            throttled: sink.write_throttles.at(point.at).is_some_and(|count| count > 0.0)
                && (full || writers.iter().any(|writer| writer.lags(point.at))),
        };
        match samples.binary_search_by_key(&point.at, |sample| sample.at) {
            // What it was at its capacity of then it is not at a greater one since.
            Ok(index) => samples[index] = SinkSample { throttled: new.throttled || samples[index].throttled, ..new },
            Err(index) => samples.insert(index, new),
        }
    }
    prune(samples);
}

/// Drops what is old, and of the rest the oldest minutes of the configuration that has the most: minutes of
/// another configuration are what tells invocations from records, so a few of each are kept.
fn prune(samples: &mut Vec<SinkSample>) {
    let Some(newest) = samples.last().map(|sample| sample.at) else { return };
    let active = |sample: &SinkSample| sample.invocations.values().any(|rate| *rate > 0.0);
    samples.retain(|sample| sample.at >= newest - if active(sample) { DAY } else { RECENT });
    let mut surplus = samples.iter().filter(|sample| active(sample)).count().saturating_sub(ACTIVE_SAMPLES);
    while surplus > 0 {
        let mut counts: BTreeMap<Vec<i64>, (usize, usize)> = BTreeMap::new();
        for (index, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.at < newest - RECENT) {
            counts.entry(configuration(sample)).or_insert((index, 0)).1 += 1;
        }
        let Some((oldest, _)) = counts.into_values().max_by_key(|(oldest, count)| (*count, usize::MAX - oldest)) else {
            return;
        };
        samples.remove(oldest);
        surplus -= 1;
    }
}

/// Minutes with about the same invocation rates have the same key.
fn configuration(sample: &SinkSample) -> Vec<i64> {
    sample.invocations.values().map(|rate| (rate.max(0.01).ln() * 3.0).round() as i64).collect()
}

/// Records/s the writers processed in a minute, on average over them. One that is behind has full batches, but does not
/// do more than what waited and what came in. `None` in the minute in which one catches up from far: nobody counts how
/// many it did.
fn records(writers: &[Writer<'_>], signals: &Signals, at: Timestamp) -> Option<f64> {
    let minute = SignedDuration::from_mins(1);
    let arrivals = &signals.stream.incoming_records;
    let incoming = arrivals.at(at).unwrap_or(0.0) / 60.0;
    let done = |writer: &Writer<'_>| {
        if !writer.lags(at) {
            return Some(incoming);
        }
        let from_far = writer.age(at).is_some_and(|age| age >= HEALTHY_MS);
        if from_far && writer.age(at + minute).is_some_and(|next| next <= KEEPS_UP_MS) {
            return None;
        }
        let full = writer.signals.invocations.at(at).unwrap_or(0.0) / 60.0 * writer.batch;
        let waited = writer.age(at - minute).map(|age| diagnose::backlog(arrivals, at - minute, age / 1000.0) / 60.0);
        Some(waited.map_or(full, |waited| full.min(waited + incoming)))
    };
    let each: Vec<f64> = writers.iter().map(done).collect::<Option<_>>()?;
    Some(if each.is_empty() { incoming } else { each.iter().sum::<f64>() / each.len() as f64 })
}

/// Records/s that one slot of a consumer gets done while it works, from healthy minutes only.
fn slot_rates(memory: &mut Memory, pipeline: &Pipeline, signals: &Signals, consumer: &ConsumerSpec, now: Timestamp) {
    let Some(own) = signals.consumers.get(&consumer.name) else { return };
    let rates = memory.slot_rates.entry(consumer.name.clone()).or_default();
    for point in own.invocations.points.iter().rev().take(30).rev() {
        let healthy = own.iterator_age_ms.at(point.at).is_some_and(|age| age < HEALTHY_MS)
            && own.errors.at(point.at) == Some(0.0)
            && pipeline
                .tables
                .iter()
                .filter(|table| consumer.writes_to.contains(&table.name))
                .all(|table| !throttled_at(signals, table, point.at));
        let (Some(duration), Some(incoming)) = (
            own.duration_avg_ms.at(point.at).filter(|ms| *ms > 0.0),
            signals.stream.incoming_records.at(point.at).filter(|count| *count > 0.0),
        ) else {
            continue;
        };
        if !healthy || point.value <= 0.0 {
            continue;
        }
        let new = Recommendation { at: point.at, value: incoming / point.value / (duration / 1000.0) };
        match rates.binary_search_by_key(&point.at, |rate| rate.at) {
            Ok(index) => rates[index] = new,
            Err(index) => rates.insert(index, new),
        }
    }
    rates.retain(|rate| rate.at >= now - DAY);
}

fn throttled_at(signals: &Signals, table: &TableSpec, at: Timestamp) -> bool {
    let Some(measured) = signals.tables.get(&table.name) else { return false };
    std::iter::once(&measured.table)
        .chain(measured.indexes.values())
        .any(|sink| sink.write_throttles.at(at).is_some_and(|count| count > 0.0))
}

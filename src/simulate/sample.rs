//! Reads one minute after the other off the twin: differences of its counters, and the state at the minute's end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    meters,
    minute::{Minute, SinkMinute},
};
use crate::{
    cost::{GB, Meters},
    model::ResourceId,
    spec::Pipeline,
    twin::{
        Twin,
        plane::{MINUTE_MS, MappingTotals, MappingView, Plane, SinkView},
    },
};

/// Bytes of a KiB on a bill.
const KIB: f64 = 1_024.0;

/// Counters since the start.
#[derive(Debug, Clone, Default)]
struct Counters {
    offered: u64,
    offered_bytes: u64,
    accepted: u64,
    accepted_bytes: u64,
    accepted_kib: u64,
    rejected: u64,
    expired: u64,
    reread: u64,
    busy_mb_ms: u64,
    on_demand_hours: f64,
}

/// The minutes of a run as they pass.
#[derive(Debug)]
pub(super) struct Sampler {
    stream: String,
    /// Functions of the consumers, the first one first.
    functions: Vec<String>,
    before: Counters,
    /// What traffic cost that depends on the mode it met.
    by_volume: Meters,
    minutes: Vec<Minute>,
}

impl Sampler {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        Self {
            stream: pipeline.stream.name.clone(),
            functions: pipeline.consumers.iter().map(|consumer| consumer.function.clone()).collect(),
            before: Counters::default(),
            by_volume: Meters::default(),
            minutes: Vec::new(),
        }
    }

    /// The minutes so far.
    pub(super) fn into_minutes(self) -> Vec<Minute> {
        self.minutes
    }

    /// Everything used so far.
    pub(super) fn meters(&self, twin: &Twin) -> Meters {
        meters(twin).plus(&self.by_volume)
    }

    /// The minute that ends now.
    pub(super) fn sample(&mut self, twin: &Twin) {
        let now_ms = twin.now().as_millisecond();
        let from_ms = now_ms - MINUTE_MS;
        let plane = twin.plane();
        let views: Vec<Vec<MappingView>> =
            self.functions.iter().map(|function| plane.mappings_of(&self.stream, function)).collect();
        let now = self.count(twin, &views);
        let before = std::mem::replace(&mut self.before, now.clone());
        let sinks: BTreeMap<_, _> = plane
            .sinks()
            .into_iter()
            .map(|(name, view)| (resource(&name), sink(plane, &name, view, from_ms)))
            .collect();
        self.charge(twin, &views, &before, &sinks);
        let first = views.first().and_then(|views| views.last());
        let shards = plane.open_shards(&self.stream);
        let ages = views.iter().map(|views| age_ms(plane, views, from_ms, now_ms));
        let memory = self.functions.first().and_then(|function| twin.world().functions.get(function));
        let memory_mb = memory.map_or(1, |model| model.memory_mb.max(1));
        self.minutes.push(Minute {
            at: twin.now() - SignedDuration::from_mins(1),
            offered: now.offered - before.offered,
            offered_bytes: now.offered_bytes - before.offered_bytes,
            accepted: now.accepted - before.accepted,
            rejected: now.rejected - before.rejected,
            expired: now.expired.saturating_sub(before.expired),
            reread: now.reread - before.reread,
            max_age_ms: ages.fold(0.0, f64::max),
            shards,
            slots: first.map_or(0, |mapping| shards * mapping.parallelization_factor),
            busy_slots: (now.busy_mb_ms - before.busy_mb_ms) as f64 / f64::from(memory_mb) / MINUTE_MS as f64,
            sinks,
        });
    }

    fn count(&self, twin: &Twin, views: &[Vec<MappingView>]) -> Counters {
        let totals = twin.plane().totals();
        let stream = totals.streams.get(&self.stream).cloned().unwrap_or_default();
        let sum = |function: &String, of: fn(&MappingTotals) -> u64| {
            totals.mappings.values().filter(|it| it.function == *function).map(of).sum::<u64>()
        };
        let again = |(function, views): (&String, &Vec<MappingView>)| {
            let done = sum(function, done);
            let waiting = views.last().map_or(0, |newest| newest.waiting);
            let skipped = views.first().and_then(|first| totals.mappings.get(&first.uuid)).map_or(0, |it| it.skipped);
            // What was done and what will be, less what there is: done twice.
            (done + waiting).saturating_sub(stream.accepted.saturating_sub(skipped))
        };
        let reread: u64 = self.functions.iter().zip(views).map(again).sum();
        Counters {
            offered: stream.offered,
            offered_bytes: stream.offered_bytes,
            accepted: stream.accepted,
            accepted_bytes: stream.accepted_bytes,
            accepted_kib: stream.accepted_kib,
            rejected: stream.rejected,
            expired: self.functions.iter().map(|function| sum(function, |it| it.expired)).sum(),
            // A mapping that is being removed takes its waiting records out of the sum for a while.
            reread: reread.max(self.before.reread),
            busy_mb_ms: self
                .functions
                .first()
                .and_then(|function| totals.functions.get(function))
                .map_or(0, |it| it.megabyte_ms),
            on_demand_hours: twin.audit().meters.on_demand_stream_hours(),
        }
    }

    /// What this minute's traffic costs by volume.
    fn charge(
        &mut self,
        twin: &Twin,
        views: &[Vec<MappingView>],
        before: &Counters,
        sinks: &BTreeMap<String, SinkMinute>,
    ) {
        let now = &self.before;
        let gb = (now.accepted_bytes - before.accepted_bytes) as f64 / GB;
        let fan_out = views.iter().flatten().filter(|mapping| mapping.fan_out).count() as f64;
        let others = twin.world().external_consumers.iter().filter(|reader| reader.stream == self.stream).count();
        let shared = views.iter().flatten().filter(|mapping| !mapping.fan_out).count() + others;
        // Share of the minute in which the stream was on demand.
        let on_demand = ((now.on_demand_hours - before.on_demand_hours) * 60.0).clamp(0.0, 1.0);
        let by_volume = &mut self.by_volume;
        by_volume.fan_out_gb += gb * fan_out;
        by_volume.on_demand_in_gb += on_demand * (now.accepted_kib - before.accepted_kib) as f64 * KIB / GB;
        by_volume.on_demand_out_gb += on_demand * gb * shared as f64;
        for sink in sinks.values().filter(|sink| sink.on_demand) {
            by_volume.write_request_units += sink.written;
            by_volume.read_request_units += sink.read;
        }
    }
}

/// Records a mapping is done with, one way or another.
fn done(totals: &MappingTotals) -> u64 {
    totals.delivered + totals.expired + totals.dropped + totals.filtered
}

fn resource((table, index): &(String, Option<String>)) -> String {
    ResourceId::sink(table, index.as_deref()).to_string()
}

/// The greatest age of a consumer's records: of invocations begun in the minute, and of the oldest one its newest
/// mapping is not done with.
fn age_ms(plane: &Plane, views: &[MappingView], from_ms: i64, now_ms: i64) -> f64 {
    let noted = |view: &MappingView| plane.totals().mappings.get(&view.uuid)?.iterator_age_ms.get(&from_ms).copied();
    let oldest = views.last().and_then(|newest| newest.oldest_ms).map(|at| now_ms - at);
    views.iter().filter_map(noted).chain(oldest).max().unwrap_or(0) as f64
}

fn sink(plane: &Plane, (table, index): &(String, Option<String>), view: SinkView, from_ms: i64) -> SinkMinute {
    let mut dimensions = BTreeMap::from([("TableName".to_owned(), table.clone())]);
    dimensions.extend(index.iter().map(|index| ("GlobalSecondaryIndexName".to_owned(), index.clone())));
    let sum = |metric: &str| {
        let points = plane.metrics().get("AWS/DynamoDB", metric, &dimensions, from_ms, from_ms + MINUTE_MS);
        points.iter().fold(0.0, |sum, (_, stat)| sum + stat.sum)
    };
    SinkMinute {
        write_capacity: view.write,
        read_capacity: view.read,
        written: sum("ConsumedWriteCapacityUnits"),
        read: sum("ConsumedReadCapacityUnits"),
        throttled: (sum("WriteThrottleEvents") + sum("ReadThrottleEvents")) as u64,
        on_demand: view.on_demand,
    }
}

/// The end of each whole minute from `start` on: the twin's own counters are kept by the minute of the clock.
pub(super) fn minute_ends(start: Timestamp, length: SignedDuration) -> impl Iterator<Item = Timestamp> {
    let into = start.as_millisecond().rem_euclid(MINUTE_MS);
    let first = start - SignedDuration::from_millis(into);
    (1..=length.as_mins()).map(move |minute| first + SignedDuration::from_mins(minute))
}

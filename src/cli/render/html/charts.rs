//! Which charts there are: those of the walk-through, from the signals of a diagnosis.
//!
//! What always holds: a minute that CloudWatch did not publish is a gap; rates are means of a minute.

use jiff::Timestamp;

use super::look::Ink;
use crate::{
    cli::diagnose::Diagnosed,
    diagnose::{
        SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND,
        thresholds::{RETENTION_ACT, RETENTION_WARN},
    },
    model::{CapacityFacts, ConsumerSignals, IndexSignals, ResourceId, Signal, StreamFacts},
    spec::ConsumerSpec,
};

/// Charts of one resource.
pub struct Section {
    /// Its anchor.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// Its charts.
    pub charts: Vec<Chart>,
}

/// One chart.
pub struct Chart {
    /// Its anchor.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// Unit of all its values.
    pub unit: &'static str,
    /// Whose findings and decisions are marked on it.
    pub of: Vec<ResourceId>,
    /// The lines.
    pub series: Vec<Series>,
    /// The limits.
    pub limits: Vec<Limit>,
    /// What shades the minutes in which there is any.
    pub shade: Option<Shade>,
}

/// One line.
pub struct Series {
    /// Its name.
    pub name: &'static str,
    /// Its colour.
    pub ink: Ink,
    /// Its points.
    pub points: Vec<(Timestamp, f64)>,
}

/// A line that the others are held against.
pub struct Limit {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// A hard limit, or an objective.
    pub ink: Ink,
    /// Drawn however far above the data it is; otherwise it may be named at the edge instead.
    pub always: bool,
}

/// Counts a minute; the minutes with any are shaded.
pub struct Shade {
    /// What is counted.
    pub name: &'static str,
    /// The counts.
    pub points: Vec<(Timestamp, f64)>,
}

const KIB: f64 = 1024.0;
const MINUTE: f64 = 60.0;

/// A signal in another unit.
fn points(signal: &Signal, over: f64) -> Vec<(Timestamp, f64)> {
    signal.points.iter().map(|point| (point.at, point.value / over)).collect()
}

fn line(name: &'static str, ink: Ink, signal: &Signal, over: f64) -> Series {
    Series { name, ink, points: points(signal, over) }
}

fn limit(name: &'static str, value: f64) -> Limit {
    Limit { name, value, ink: Ink::Limit, always: true }
}

/// Several counts as one.
fn shade(name: &'static str, signals: &[&Signal]) -> Shade {
    let mut sum: std::collections::BTreeMap<Timestamp, f64> = std::collections::BTreeMap::new();
    for point in signals.iter().flat_map(|signal| &signal.points) {
        *sum.entry(point.at).or_default() += point.value;
    }
    Shade { name, points: sum.into_iter().collect() }
}

/// Every chart of a diagnosis.
pub fn sections(diagnosed: &Diagnosed) -> Vec<Section> {
    let mut sections = Vec::new();
    if let Some(live) = &diagnosed.facts.stream {
        sections.push(stream(diagnosed, live));
    }
    for (at, spec) in diagnosed.pipeline.consumers.iter().enumerate() {
        if let Some(own) = diagnosed.signals.consumers.get(&spec.name) {
            sections.push(consumer(diagnosed, at, spec, own));
        }
    }
    let mut sinks = 0;
    for spec in &diagnosed.pipeline.tables {
        let (Some(live), Some(own)) =
            (diagnosed.facts.tables.get(&spec.name), diagnosed.signals.tables.get(&spec.name))
        else {
            continue;
        };
        let mut add = |id: ResourceId, title: String, signals: &IndexSignals, live: &CapacityFacts| {
            sinks += 1;
            sections.push(sink(format!("sink-{sinks}"), title, id, signals, live));
        };
        let name = &spec.name;
        add(ResourceId::Table(name.clone()), format!("Table {name}"), &own.table, &live.capacity);
        for (index, live) in &live.global_secondary_indexes {
            let Some(own) = own.indexes.get(index) else { continue };
            let id = ResourceId::Index(name.clone(), index.clone());
            add(id, format!("Index {index} of {name}"), own, &live.capacity);
        }
    }
    sections
}

fn stream(diagnosed: &Diagnosed, live: &StreamFacts) -> Section {
    let own = &diagnosed.signals.stream;
    let shards = f64::from(live.open_shards.get());
    let id = ResourceId::Stream(live.name.clone());
    let chart = |name: &str, title: &str, unit, series, limits, shade| Chart {
        id: format!("stream-{name}"),
        title: title.to_owned(),
        unit,
        of: vec![id.clone()],
        series,
        limits,
        shade,
    };
    let rejected = || Some(shade("records rejected", &[&own.rejected_records]));
    let records = chart(
        "records",
        "Incoming records",
        "records/s",
        vec![line("accepted", Ink::First, &own.incoming_records, MINUTE)],
        vec![limit("limit of the shards", shards * SHARD_RECORDS_PER_SECOND)],
        rejected(),
    );
    let bytes = chart(
        "bytes",
        "Incoming bytes",
        "KiB/s",
        vec![line("accepted", Ink::First, &own.incoming_bytes, MINUTE * KIB)],
        vec![limit("limit of the shards", shards * SHARD_BYTES_PER_SECOND / KIB)],
        rejected(),
    );
    let age = chart(
        "age",
        "Iterator age, all shared readers",
        "s",
        vec![line("oldest record read", Ink::First, &own.iterator_age_ms, 1000.0)],
        age_limits(diagnosed),
        Some(shade("reads throttled", &[&own.read_throttles])),
    );
    Section { id: "stream".to_owned(), title: format!("Stream {}", live.name), charts: vec![records, bytes, age] }
}

/// The objective, and where losing records comes near.
fn age_limits(diagnosed: &Diagnosed) -> Vec<Limit> {
    let objective = diagnosed.pipeline.objectives.iterator_age.as_secs_f64();
    let retention = diagnosed.facts.stream.as_ref().map(|live| f64::from(live.retention.get()) * 3600.0);
    let mut limits = vec![Limit { name: "objective", value: objective, ink: Ink::Objective, always: true }];
    for (name, threshold) in [("50 % of retention", RETENTION_WARN), ("80 % of retention", RETENTION_ACT)] {
        limits.extend(retention.map(|length| Limit {
            name,
            value: threshold.value * length,
            ink: Ink::Limit,
            always: false,
        }));
    }
    limits
}

fn consumer(diagnosed: &Diagnosed, at: usize, spec: &ConsumerSpec, own: &ConsumerSignals) -> Section {
    let of = vec![ResourceId::Mapping(spec.name.clone()), ResourceId::Function(spec.function.clone())];
    let chart = |name: &str, title: &str, unit, series, limits| Chart {
        id: format!("consumer-{at}-{name}"),
        title: title.to_owned(),
        unit,
        of: of.clone(),
        series,
        limits,
        shade: None,
    };
    let function = diagnosed.facts.functions.get(&spec.function);
    let timeout = function.map(|it| limit("timeout", f64::from(it.timeout_seconds)));
    let reserved = function.and_then(|it| it.reserved_concurrency);
    let slots = diagnosed.estimates.consumers.get(&spec.name).map(|it| f64::from(it.slots));
    let duration = chart(
        "duration",
        "Duration of an invocation",
        "s",
        vec![
            line("longest", Ink::First, &own.duration_max_ms, 1000.0),
            line("average", Ink::Second, &own.duration_avg_ms, 1000.0),
        ],
        timeout.into_iter().collect(),
    );
    let errors = chart(
        "errors",
        "Errors and throttles",
        "a minute",
        vec![
            line("errors", Ink::Trouble, &own.errors, 1.0),
            line("invocations throttled", Ink::Second, &own.throttles, 1.0),
        ],
        Vec::new(),
    );
    let age = chart(
        "age",
        "Iterator age",
        "s",
        vec![line("oldest record of a batch", Ink::First, &own.iterator_age_ms, 1000.0)],
        age_limits(diagnosed),
    );
    let concurrency = chart(
        "concurrency",
        "Concurrent executions",
        "at a time",
        vec![line("most at a time", Ink::First, &own.concurrent_executions, 1.0)],
        slots
            .map(|slots| limit("slots: shards x factor", slots))
            .into_iter()
            .chain(reserved.map(|most| limit("reserved", f64::from(most))))
            .collect(),
    );
    Section {
        id: format!("consumer-{at}"),
        title: format!("Consumer {}: {}", spec.name, spec.function),
        charts: vec![duration, errors, age, concurrency],
    }
}

fn sink(anchor: String, title: String, id: ResourceId, own: &IndexSignals, live: &CapacityFacts) -> Section {
    let provisioned = |units: crate::model::CapacityUnits| {
        let known = (units.get() > 0).then(|| limit("provisioned", units.get() as f64));
        known.into_iter().collect::<Vec<Limit>>()
    };
    let throttles = [
        &own.write_throttles,
        &own.key_range_throttles,
        &own.account_limit_throttles,
        &own.on_demand_maximum_throttles,
    ];
    let write = Chart {
        id: format!("{anchor}-write"),
        title: "Write units".to_owned(),
        unit: "units/s",
        of: vec![id.clone()],
        series: vec![line("consumed", Ink::First, &own.consumed_write, MINUTE)],
        limits: provisioned(live.write),
        shade: Some(shade("writes throttled", &throttles)),
    };
    let read = Chart {
        id: format!("{anchor}-read"),
        title: "Read units".to_owned(),
        unit: "units/s",
        of: vec![id],
        series: vec![line("consumed", Ink::First, &own.consumed_read, MINUTE)],
        limits: provisioned(live.read),
        shade: Some(shade("reads throttled", &[&own.read_throttles])),
    };
    Section { id: anchor, title, charts: vec![write, read] }
}

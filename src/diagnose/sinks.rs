//! Tables and indexes: capacity that is short, at its bound, held by one key, by a quota or by a maximum.

use std::collections::BTreeMap;

use super::{
    Diagnosis, Evidence, Finding, Severity, SinkLoad,
    estimates::SinkEstimate,
    rules::{Answer, View, actuating, blind, evidence},
    series::{busy_minutes, sum, went_missing},
    symptoms,
    thresholds::{CREDIT_LOW, INDEX_HOLDS},
};
use crate::{
    model::{BillingMode, Bounds, CapacityUnits, IndexSignals, ResourceId, TableFacts, TableSignals},
    spec::TableSpec,
};

/// A table that still throttles needs at least this much more, whatever was measured: as the scaler.
const STILL_THROTTLING: f64 = 1.3;

/// Adds what is found; which tables throttle requests, and why.
pub(super) fn rules(view: &View<'_>, answer: &mut Answer) -> BTreeMap<String, Diagnosis> {
    let mut throttling = BTreeMap::new();
    for spec in &view.pipeline.tables {
        let (Some(live), Some(measured)) = (view.facts.tables.get(&spec.name), view.signals.tables.get(&spec.name))
        else {
            continue;
        };
        if !live.is_settled() {
            answer.cause(actuating(ResourceId::Table(spec.name.clone()), "being changed"));
        }
        quotas(view, answer, spec, live, measured, &mut throttling);
        let indexes = spec.global_secondary_indexes.iter().filter_map(|index| {
            let (live, measured) =
                live.global_secondary_indexes.get(&index.name).zip(measured.indexes.get(&index.name))?;
            let id = ResourceId::Index(spec.name.clone(), index.name.clone());
            Some((id, measured, &live.capacity, (index.write_capacity, index.read_capacity)))
        });
        let table = ResourceId::Table(spec.name.clone());
        let parts: Vec<Part<'_>> =
            std::iter::once((table, &measured.table, &live.capacity, (spec.write_capacity, spec.read_capacity)))
                .chain(indexes)
                .map(|(resource, signals, capacity, bounds)| Part {
                    load: symptoms::sink_load(view.signals, signals, capacity),
                    missed: missed(view, &spec.name, signals),
                    resource,
                    signals,
                    bounds,
                })
                .collect();
        let index_throttles =
            parts.iter().skip(1).any(|part| part.load.as_ref().is_some_and(|load| load.write_throttles > 0.0));
        for part in &parts {
            let on_demand = live.billing_mode == BillingMode::OnDemand;
            let found = capacity(view, answer, part, on_demand, index_throttles);
            throttling.extend(found.map(|diagnosis| (spec.name.clone(), diagnosis)));
        }
    }
    throttling
}

/// A table or one of its indexes.
struct Part<'a> {
    resource: ResourceId,
    signals: &'a IndexSignals,
    /// Write and read bounds.
    bounds: (Bounds<CapacityUnits>, Bounds<CapacityUnits>),
    load: Option<SinkLoad>,
    /// Its consumption is missing while its writers work.
    missed: bool,
}

/// Whether a table's consumption came with each minute of a writer's work and comes no more.
fn missed(view: &View<'_>, table: &str, signals: &IndexSignals) -> bool {
    let writers = view.pipeline.consumers.iter().filter(|spec| spec.writes_to.iter().any(|name| name == table));
    let mut measured = writers.filter_map(|spec| view.signals.consumers.get(&spec.name));
    measured.any(|own| went_missing(&signals.consumed_write, &own.invocations, view.signals.newest_expected))
}

/// Capacity that is short or held by one key; why requests are throttled, if they are.
fn capacity(
    view: &View<'_>,
    answer: &mut Answer,
    part: &Part<'_>,
    on_demand: bool,
    index_throttles: bool,
) -> Option<Diagnosis> {
    let resource = &part.resource;
    let Some(load) = &part.load else {
        // An on-demand table that is not used publishes nothing, and needs nothing.
        if !on_demand || part.missed {
            answer.cause(blind(resource, "The consumed capacity"));
        }
        return None;
    };
    let (read, write) = load.provisioned;
    let numbers = vec![
        evidence("consumed write units/s", load.write, (!on_demand).then_some(write)),
        evidence("write throttle events, 3 min", load.write_throttles, Some(0.0)),
        evidence("key-range throttle events, 3 min", load.key_range_throttles, Some(0.0)),
    ];
    let mut throttled = None;
    if load.key_range_throttles > 0.0 {
        throttled = Some(Diagnosis::HotItem);
        let often = busy_minutes(&part.signals.key_range_throttles, view.signals.newest_expected, 3) >= 2;
        answer.cause(hot_item(resource, load, numbers.clone(), often));
    }
    let held_by_index =
        index_throttles && matches!(resource, ResourceId::Table(_)) && load.write < INDEX_HOLDS.value * write;
    // A burst on top of a mean that fits is what the credit is for, while there is enough of it.
    let estimate = estimate_of(view, resource);
    let spent = |left: Option<f64>| left.filter(|seconds| *seconds < CREDIT_LOW.value);
    let left = estimate.and_then(|sink| spent(sink.burst_seconds));
    if (load.write_throttles > 0.0 || left.is_some()) && !held_by_index {
        let finding = shortage(view, part, load, numbers, on_demand);
        if load.write_throttles > 0.0 {
            throttled = Some(finding.diagnosis);
            answer.cause(finding);
        } else {
            answer.soon(finding);
        }
    } else if !on_demand && let Some(demand) = out_of_bounds(part, estimate) {
        answer.soon(limit(part, load, demand, numbers));
    }
    let left = estimate.and_then(|sink| spent(sink.read_burst_seconds));
    if load.read_throttles > 0.0 || left.is_some() {
        let next = ((load.read.max(read) * STILL_THROTTLING).ceil() as u64).min(part.bounds.1.max.get());
        let remedy = if next as f64 > read {
            format!("Raise read capacity from {read:.0} to {next}.")
        } else {
            "None inside the bounds: read capacity is at its maximum.".to_owned()
        };
        let (severity, effect) = if let Some(left) = left.filter(|_| load.read_throttles <= 0.0) {
            (Severity::Warning, on_credit(left, load.read, read))
        } else {
            throttled = throttled.or(Some(Diagnosis::SinkReadShort));
            (Severity::Critical, "throttles reads".to_owned())
        };
        let summary = format!("{resource} consumes {:.0} of {read:.0} read units/s and {effect}.", load.read);
        let finding = Finding::new(Diagnosis::SinkReadShort, severity, resource.clone(), summary, remedy)
            .with(vec![evidence("read throttle events, 3 min", load.read_throttles, Some(0.0))]);
        if severity == Severity::Critical { answer.cause(finding) } else { answer.soon(finding) }
    }
    throttled
}

/// What a rate does to the burst credit, in words.
fn on_credit(left: f64, used: f64, capacity: f64) -> String {
    if used > capacity {
        format!("lives on burst credit, of which {left:.0} s are left")
    } else {
        format!("grows so steadily that it will be throttled in {left:.0} s")
    }
}

fn estimate_of<'a>(view: &'a View<'_>, resource: &ResourceId) -> Option<&'a SinkEstimate> {
    view.estimates.sinks.iter().find(|sink| sink.resource == *resource)
}

fn hot_item(resource: &ResourceId, load: &SinkLoad, numbers: Vec<Evidence>, often: bool) -> Finding {
    let severity = if often { Severity::Critical } else { Severity::Warning };
    let summary = format!(
        "{resource}: {:.0} writes in the last 3 minutes were throttled at one partition key's 1,000 units/s.",
        load.key_range_throttles
    );
    Finding::new(Diagnosis::HotItem, severity, resource.clone(), summary, "None: more capacity does not cure it.")
        .with(numbers)
        .person("Spread the writes over keys, write smaller items, or less often.")
}

fn shortage(view: &View<'_>, part: &Part<'_>, load: &SinkLoad, numbers: Vec<Evidence>, on_demand: bool) -> Finding {
    let resource = &part.resource;
    let write = load.provisioned.1;
    let throttling = load.write_throttles > 0.0;
    let often = busy_minutes(&part.signals.write_throttles, view.signals.newest_expected, 3) >= 2;
    let severity = if often { Severity::Critical } else { Severity::Warning };
    let estimate = estimate_of(view, resource);
    let holds = if matches!(resource, ResourceId::Index(..)) { ", which holds back writes of the table" } else { "" };
    if on_demand {
        let summary =
            format!("{resource} is on demand and throttled {:.0} writes in the last 3 minutes.", load.write_throttles);
        return Finding::new(Diagnosis::SinkShort, severity, resource.clone(), summary, "None: AWS sizes it.")
            .with(numbers)
            .person("The load more than doubled within 30 minutes: pre-warm the table before such a rise.");
    }
    let left = estimate.and_then(|sink| sink.burst_seconds).filter(|_| !throttling);
    let effect = match left {
        Some(left) => on_credit(left, load.write, write),
        None => format!("throttled {:.0} writes in the last 3 minutes{holds}", load.write_throttles),
    };
    let summary = format!("{resource} consumes {:.0} of {write:.0} write units/s and {effect}.", load.write);
    let most = part.bounds.0.max.get();
    let next = needed(view, load, estimate, throttling).min(most);
    let finding = if write >= most as f64 {
        let remedy = format!("None inside the bounds: write capacity is at {most}. Consumers are not scaled up.");
        Finding::new(Diagnosis::SinkLimit, severity, resource.clone(), summary, remedy)
            .person("Raise the bound, write less often, or smaller items.")
    } else {
        let remedy = format!("Raise write capacity from {write:.0} to {next}, before anything that writes to it.");
        Finding::new(Diagnosis::SinkShort, severity, resource.clone(), summary, remedy)
    };
    finding.with(numbers).leads_to("burst credit is gone and writes are throttled", view.signals.observed_at, left)
}

/// Write units/s that what is offered to the stream takes, where the spec's bound is below it.
fn out_of_bounds(part: &Part<'_>, estimate: Option<&SinkEstimate>) -> Option<f64> {
    estimate?.write_demand.filter(|demand| *demand > part.bounds.0.max.get() as f64)
}

/// The bound is too low for what comes in, before anything is throttled.
fn limit(part: &Part<'_>, load: &SinkLoad, demand: f64, numbers: Vec<Evidence>) -> Finding {
    let (resource, most) = (&part.resource, part.bounds.0.max);
    let summary =
        format!("{resource} needs {demand:.0} write units/s for what is offered; the bound of the spec is {most}.");
    let remedy = if load.provisioned.1 < most.get() as f64 {
        format!("Raise write capacity from {:.0} to {most}; more is not allowed.", load.provisioned.1)
    } else {
        format!("None inside the bounds: write capacity is at {most}.")
    };
    Finding::new(Diagnosis::SinkLimit, Severity::Warning, resource.clone(), summary, remedy)
        .with(numbers)
        .person("Raise the bound, write less often, or smaller items.")
}

/// Write capacity for what is offered, from what a record costs; while it throttles, at least clearly more than now.
fn needed(view: &View<'_>, load: &SinkLoad, estimate: Option<&SinkEstimate>, throttling: bool) -> u64 {
    let demand = estimate.and_then(|sink| sink.write_demand).unwrap_or(0.0).max(load.write);
    let least = if throttling { load.provisioned.1 * STILL_THROTTLING } else { load.provisioned.1 + 1.0 };
    (demand / view.policy.write_target_utilization).max(least).ceil().min(1e12) as u64
}

/// Refusals that belong to the whole table: a quota of the account, and an on-demand maximum.
fn quotas(
    view: &View<'_>,
    answer: &mut Answer,
    spec: &TableSpec,
    live: &TableFacts,
    measured: &TableSignals,
    throttling: &mut BTreeMap<String, Diagnosis>,
) {
    let newest = view.signals.newest_expected;
    let resource = ResourceId::Table(spec.name.clone());
    let account = sum(&measured.table.account_limit_throttles, newest, 3);
    if account > 0.0 {
        throttling.insert(spec.name.clone(), Diagnosis::AccountLimit);
        let summary =
            format!("{resource}: {account:.0} writes in the last 3 minutes were refused at a quota of the account.");
        answer.cause(
            Finding::new(Diagnosis::AccountLimit, Severity::Critical, resource.clone(), summary, "None.")
                .with(vec![evidence("account limit throttle events, 3 min", account, Some(0.0))])
                .person("Ask AWS for a higher DynamoDB quota of write units, per table or for the account."),
        );
    }
    let parts = std::iter::once(&measured.table).chain(measured.indexes.values());
    let maximum: f64 = parts.map(|part| sum(&part.on_demand_maximum_throttles, newest, 3)).sum();
    if maximum > 0.0 {
        throttling.insert(spec.name.clone(), Diagnosis::OnDemandMaximum);
        let set = live.on_demand_maximum_write.map_or(String::new(), |units| format!(" of {units} write units/s"));
        let summary = format!(
            "{resource}: {maximum:.0} writes in the last 3 minutes were refused at the on-demand maximum{set} that was \
             set on it."
        );
        let limit = live.on_demand_maximum_write.map(|units| units as f64);
        let load = symptoms::sink_load(view.signals, &measured.table, &live.capacity);
        answer.cause(
            Finding::new(
                Diagnosis::OnDemandMaximum,
                Severity::Critical,
                resource,
                summary,
                "None: it was set by hand.",
            )
            .with(vec![
                evidence("on-demand maximum throttle events, 3 min", maximum, Some(0.0)),
                evidence("consumed write units/s", load.map_or(0.0, |load| load.write), limit),
            ])
            .person("Raise or remove OnDemandThroughput.MaxWriteRequestUnits; it applies at once."),
        );
    }
}

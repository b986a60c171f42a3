//! How long a table takes to change, measured: while it does nothing about it can be changed, so a raise has to last
//! until the one after it would be there.
//!
//! What always holds: this only raises, and only where a change of the table was slow within the last day: one that takes
//! a minute or two is made again in time.

use jiff::{SignedDuration, Timestamp};

use crate::{
    memory::{Memory, Recommendation, Settling},
    model::{Facts, ResourceId, TableFacts},
};

use super::{
    consumers,
    cycle::Cycle,
    forecast, guards,
    ledger::DAY,
    model::{Side, SinkInputs},
    sinks::{Sink, field},
};

/// A change that takes longer is slow, seconds. AWS says "several minutes" (DynamoDB developer guide, auto scaling
/// metrics); probes of small tables saw seconds.
const SLOW: f64 = 120.0;
/// A change of ours is seen by the pass after it: a transition that is first seen later is somebody else's.
const SEEN_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// Notes which tables we have in transition, and how long those took that no longer are.
pub(super) fn learn(memory: &mut Memory, facts: &Facts, now: Timestamp) {
    for (name, table) in &facts.tables {
        let id = ResourceId::Table(name.clone()).to_string();
        let ours = fields(table).filter_map(|field| memory.last_change.get(&field)).max().copied();
        let ours = ours.filter(|at| now <= *at + SEEN_WITHIN);
        let known = memory.settling.entry(id.clone()).or_default();
        if !table.is_settled() {
            known.since = known.since.or(ours);
        } else if let Some(since) = known.since.take() {
            known.took.push(Recommendation { at: now, value: now.duration_since(since).as_secs_f64() });
        }
        known.took.retain(|change| change.at >= now - DAY);
        if known.since.is_none() && known.took.is_empty() {
            memory.settling.remove(&id);
        }
    }
}

fn known<'a>(memory: &'a Memory, table: &str) -> Option<&'a Settling> {
    memory.settling.get(&ResourceId::Table(table.to_owned()).to_string())
}

fn fields(table: &TableFacts) -> impl Iterator<Item = String> {
    let index = |name: &String| ResourceId::Index(table.name.clone(), name.clone());
    let resources = table.global_secondary_indexes.keys().map(index);
    resources
        .chain([ResourceId::Table(table.name.clone())])
        .flat_map(|resource| [Side::Write, Side::Read].map(|side| field(&resource, side)))
}

/// Whether a table is in transition because we raise it: what it has it keeps. One call of ours never raises and lowers.
pub(super) fn rises(memory: &Memory, table: &TableFacts) -> bool {
    let Some(since) = known(memory, &table.name).and_then(|known| known.since) else { return false };
    fields(table).any(|field| guards::raised(memory, &field).is_some_and(|at| at >= since))
}

/// When a table was last seen to come out of a transition.
pub(super) fn ended(memory: &Memory, table: &str) -> Option<Timestamp> {
    known(memory, table)?.took.last().map(|change| change.at)
}

/// What the consumers will ask of a slow table by the time a raise made now is there: growth goes on, and what the table
/// does not take until then waits. `None` for a table that is not slow.
pub(super) fn by_then(
    cycle: &Cycle<'_>,
    sink: &Sink<'_>,
    inputs: &[SinkInputs],
    memory: &Memory,
) -> Option<SinkInputs> {
    let takes = known(memory, sink.table)?
        .took
        .iter()
        .map(|change| change.value)
        .reduce(f64::max)
        .filter(|takes| *takes > SLOW)?;
    let horizon = forecast::horizon(cycle.policy, takes);
    let most = inputs.iter().max_by(|one, other| one.records.total_cmp(&other.records))?;
    let growth = cycle.growing.map_or(0.0, |growth| growth.per_minute);
    let (now, then) = (cycle.expected, cycle.expected + growth * horizon / 60.0);
    let each = sink.write_demand(inputs)? / most.records.max(1.0);
    let taken = sink.capacity.write.get() as f64 / each.max(f64::MIN_POSITIVE);
    let waits = (f64::midpoint(now, then) - taken).max(0.0) * horizon;
    let asked = most.records + then - now + waits / consumers::catch_up(cycle.pipeline, cycle.policy);
    let scale = asked / most.records.max(1.0);
    let invocations = most.invocations.iter().map(|(name, rate)| (name.clone(), rate * scale)).collect();
    (asked > most.records).then_some(SinkInputs { invocations, records: asked })
}

//! The month's budget: what has been spent on what scales, and what may still be raised.
//!
//! What always holds: a raise that costs money is made only while the rest of the month could still be paid at the
//! spec's lower bounds, and the raise for an hour on top. Nothing is lowered for money's sake while it is needed: a
//! budget that is too small is told by what it holds back. Spending is counted from the cost at rest of what exists,
//! minute by minute, in UTC months, as AWS bills.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    CapacityTarget, Sizing, TableTargets, Target, Targets,
    raises::{self, Raise},
};
use crate::{
    cost::{self, PriceSheet},
    memory::{Memory, Spent},
    model::{Bounds, CapacityUnits, Facts, ResourceId, ShardCount},
    spec::Pipeline,
};

/// What is raised is paid for at least so long: capacity goes down after twenty minutes at the earliest, shards after hours.
const PAID_FOR_HOURS: f64 = 1.0;
/// A pass that comes later than this after the last one says nothing of the time between.
const GAP: SignedDuration = SignedDuration::from_hours(24);

/// Counts what the time since the last pass has cost. Without a memory of this month it is taken as if what exists now
/// had existed since the month began, or since the stream was created.
fn count(memory: &mut Memory, facts: &Facts, rate: f64, now: Timestamp) -> f64 {
    let (month, begin) = month(now);
    let known = memory.spent.take().filter(|spent| spent.month == month && now.duration_since(spent.at) < GAP);
    let (since, before) = known.map_or_else(
        || {
            let created = facts.stream.as_ref().and_then(|stream| stream.created_at);
            (created.map_or(begin, |at| at.max(begin)), 0.0)
        },
        |spent| (spent.at, spent.usd),
    );
    let hours = now.duration_since(since).as_secs_f64().max(0.0) / 3600.0;
    let usd = before + rate * hours;
    memory.spent = Some(Spent { month, usd, at: now });
    usd
}

/// The first day of the UTC month, and its beginning.
fn month(now: Timestamp) -> (Date, Timestamp) {
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    (first, first.to_zoned(TimeZone::UTC).map_or(now, |at| at.timestamp()))
}

fn next_month(now: Timestamp) -> Timestamp {
    let (first, _) = month(now);
    let next = first.saturating_add(1.month()).to_zoned(TimeZone::UTC);
    next.map_or(now, |at| at.timestamp())
}

/// Takes out of the targets what the month's budget does not pay for. A table's billing mode is chosen because it is
/// cheaper, so it is left alone; `volume` is what a stream on demand would cost for its load, dollars an hour.
#[expect(clippy::too_many_arguments, reason = "what a budget is kept from, passed on once")]
pub(super) fn keep(
    pipeline: &Pipeline,
    facts: &Facts,
    prices: &PriceSheet,
    memory: &mut Memory,
    changed_before: &BTreeMap<String, Timestamp>,
    volume: f64,
    sizing: &mut Sizing,
    now: Timestamp,
) {
    let rate = cost::of_facts(facts, prices).0;
    let spent = count(memory, facts, rate, now);
    let Some(budget) = pipeline.objectives.monthly_budget_usd else { return };
    let floor = cost::of_targets(facts, &at_lower_bounds(pipeline, facts), prices).0.min(rate);
    let until = next_month(now);
    let left = budget - spent - floor * until.duration_since(now).as_secs_f64() / 3600.0;
    let mut paid = sizing.targets.clone();
    paid.tables.retain(|_, table| table.billing.is_none());
    let after = cost::of_targets(facts, &paid, prices).0 + volume;
    if after <= rate || (after - floor) * PAID_FOR_HOURS <= left {
        return;
    }
    let reason = format!(
        "${spent:.2} of the month's ${budget:.2} are spent, and the lower bounds cost ${:.2} until its end",
        budget - spent - left
    );
    // More slots cost nothing at rest.
    let priced = |raise: &Raise| !matches!(raise.resource, ResourceId::Mapping(_));
    let why = ("budget", reason.as_str(), Some(until));
    raises::hold_back(pipeline, facts, memory, changed_before, sizing, &priced, why);
}

/// Everything at the spec's lower bounds.
fn at_lower_bounds(pipeline: &Pipeline, facts: &Facts) -> Targets {
    fn least<T>(value: T) -> Target<T> {
        Target { value, reason: String::new() }
    }
    let capacity = |write: Bounds<CapacityUnits>, read: Bounds<CapacityUnits>| CapacityTarget {
        write: Some(least(write.min)),
        read: Some(least(read.min)),
    };
    let tables = pipeline.tables.iter().filter(|table| facts.tables.contains_key(&table.name)).map(|table| {
        let indexes = table.global_secondary_indexes.iter();
        let indexes = indexes.map(|it| (it.name.clone(), capacity(it.write_capacity, it.read_capacity))).collect();
        (
            table.name.clone(),
            TableTargets { billing: None, table: capacity(table.write_capacity, table.read_capacity), indexes },
        )
    });
    let shards: Target<ShardCount> = least(pipeline.stream.shards.min);
    Targets { shards: Some(shards), tables: tables.collect(), ..Targets::default() }
}

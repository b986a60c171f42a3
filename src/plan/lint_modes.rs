//! The linter's rules about billing modes of tables and capacity modes of streams.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::{
    model::{BillingMode, Bounds, CapacityUnits, StreamMode},
    spec::{Billing, BreakGlass},
};

use super::{CapacityChange, Input};

/// A stream that went on demand by break-glass stays so for this long at least.
const STAYS: SignedDuration = SignedDuration::from_hours(24);

/// Only `auto` tables, only when asked for; to provisioned with every throughput, inside its bounds.
pub(super) fn billing(input: &Input<'_>, to: BillingMode, change: &CapacityChange, complain: &mut impl FnMut(String)) {
    let spec = input.pipeline.tables.iter().find(|spec| spec.name == change.table);
    let (Some(live), Some(spec)) = (input.facts.tables.get(&change.table), spec) else { return };
    if spec.billing_mode != Billing::Auto {
        complain("the spec's billingMode is not auto".to_owned());
    }
    if live.billing_mode == to {
        complain("it is billed so already".to_owned());
    }
    let targets = input.targets.and_then(|targets| targets.tables.get(&change.table));
    if targets.and_then(|targets| targets.billing.as_ref()).is_none_or(|target| target.value != to) {
        complain("nobody asked for another billing mode".to_owned());
    }
    let mut given: BTreeMap<&str, (CapacityUnits, CapacityUnits)> =
        change.indexes.iter().map(|index| (index.index.as_str(), (index.read, index.write))).collect();
    if to == BillingMode::OnDemand {
        if change.capacity.is_some() || !given.is_empty() {
            complain("an on-demand table has no capacity to set".to_owned());
        }
        return;
    }
    let mut part = |name: &str, units: Option<(CapacityUnits, CapacityUnits)>, bounds: [&Bounds<CapacityUnits>; 2]| {
        let Some((read, write)) = units else { return complain(format!("{name}: its capacity is missing")) };
        for (kind, value, bounds) in [("read", read, bounds[0]), ("write", write, bounds[1])] {
            if value.get() == 0 || !bounds.contains(value) {
                complain(format!("{name}: {kind} capacity {value} is outside [{}, {}]", bounds.min, bounds.max));
            }
        }
    };
    part("table", change.capacity, [&spec.read_capacity, &spec.write_capacity]);
    for index in &spec.global_secondary_indexes {
        if live.global_secondary_indexes.contains_key(&index.name) {
            let units = given.remove(index.name.as_str());
            part(&index.name, units, [&index.read_capacity, &index.write_capacity]);
        }
    }
    for name in live.global_secondary_indexes.keys() {
        if !spec.global_secondary_indexes.iter().any(|index| index.name == *name) {
            complain(format!("index {name} is not in the spec: nobody knows its capacity"));
        }
    }
    given.keys().for_each(|name| complain(format!("index {name} is not in the spec, or does not exist")));
}

/// On demand only where the spec's `breakGlass` says so; back only what break-glass changed, and not before a day.
pub(super) fn stream(input: &Input<'_>, to: StreamMode, complain: &mut impl FnMut(String)) {
    let (pipeline, Some(live)) = (input.pipeline, &input.facts.stream) else { return };
    if live.mode == to {
        complain("it is in that mode already".to_owned());
    }
    if input.targets.and_then(|targets| targets.mode.as_ref()).is_none_or(|target| target.value != to) {
        complain("nobody asked for another capacity mode".to_owned());
    }
    if to == StreamMode::Provisioned {
        if input.break_glass_since.is_none_or(|since| input.now.duration_since(since) < STAYS) {
            complain("it did not go on demand by break-glass 24 h ago".to_owned());
        }
        return;
    }
    if !pipeline.scaling.break_glass.contains(&BreakGlass::OnDemand) {
        complain("the spec's breakGlass does not allow on-demand".to_owned());
    }
    if pipeline.consumers.iter().any(|consumer| !consumer.concurrency_safe) {
        complain("AWS adds shards, and a consumer is not concurrencySafe".to_owned());
    }
}

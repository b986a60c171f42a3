//! Throughput of a table and its indexes: one UpdateTable carries all of it.
//!
//! A call is refused as a whole when one decrease in it has no budget. So a decrease without budget is left out, and
//! never delays a raise.

use crate::{
    cost,
    model::{Bounds, CapacityFacts, CapacityUnits, ResourceId, TableFacts, UsdPerHour},
    scale::{CapacityTarget, TableTargets, Target},
    spec::TableSpec,
};

use super::{
    CapacityChange, FieldChange, IndexCapacityChange, Input, Owner, QuotaUse, Step, codes,
    draft::{Draft, Work},
    quota, timing,
};

/// The table itself or one index of it.
struct Unit<'a> {
    index: Option<&'a str>,
    live: &'a CapacityFacts,
    read: Bounds<CapacityUnits>,
    write: Bounds<CapacityUnits>,
    target: Option<&'a CapacityTarget>,
}

/// One of the two numbers: where it is and where it should be.
struct Dimension {
    path: String,
    live: CapacityUnits,
    wanted: CapacityUnits,
    bounds: Bounds<CapacityUnits>,
    owner: Owner,
    reason: String,
}

impl Dimension {
    fn new(
        path: String,
        live: CapacityUnits,
        bounds: Bounds<CapacityUnits>,
        target: Option<&Target<CapacityUnits>>,
    ) -> Self {
        let (wanted, owner, reason) = match target {
            // What brings a value back into its bounds is the spec's wish, whoever computed it.
            Some(target) if bounds.contains(live) => (bounds.clamp(target.value), Owner::Scaler, target.reason.clone()),
            Some(target) => (bounds.clamp(target.value), Owner::Spec, outside(live, bounds)),
            None => (bounds.clamp(live), Owner::Spec, outside(live, bounds)),
        };
        Self { path, live, wanted, bounds, owner, reason }
    }

    fn changes(&self) -> bool {
        self.wanted != self.live
    }

    fn lowers(&self) -> bool {
        self.wanted < self.live
    }
}

/// Why a value outside its bounds moves.
fn outside(live: CapacityUnits, bounds: Bounds<CapacityUnits>) -> String {
    let side = if live < bounds.min { "below" } else { "above" };
    format!("{live} is {side} the spec's [{}, {}]", bounds.min, bounds.max)
}

impl Unit<'_> {
    fn resource(&self, table: &str) -> ResourceId {
        match self.index {
            None => ResourceId::Table(table.to_owned()),
            Some(index) => ResourceId::Index(table.to_owned(), index.to_owned()),
        }
    }

    fn dimensions(&self) -> [Dimension; 2] {
        let path = |field: &str| match self.index {
            None => field.to_owned(),
            Some(index) => format!("globalSecondaryIndexes.{index}.{field}"),
        };
        let target = self.target;
        [
            Dimension::new(path("writeCapacity"), self.live.write, self.write, target.and_then(|t| t.write.as_ref())),
            Dimension::new(path("readCapacity"), self.live.read, self.read, target.and_then(|t| t.read.as_ref())),
        ]
    }
}

fn units<'a>(spec: &'a TableSpec, live: &'a TableFacts, targets: Option<&'a TableTargets>) -> Vec<Unit<'a>> {
    let mut units = vec![Unit {
        index: None,
        live: &live.capacity,
        read: spec.read_capacity,
        write: spec.write_capacity,
        target: targets.map(|targets| &targets.table),
    }];
    let mut indexes: Vec<_> = spec.global_secondary_indexes.iter().collect();
    indexes.sort_by(|a, b| a.name.cmp(&b.name));
    for index in indexes {
        let Some(facts) = live.global_secondary_indexes.get(&index.name) else { continue };
        units.push(Unit {
            index: Some(&index.name),
            live: &facts.capacity,
            read: index.read_capacity,
            write: index.write_capacity,
            target: targets.and_then(|targets| targets.indexes.get(&index.name)),
        });
    }
    units
}

/// Adds what the throughput of a provisioned table needs to `work`: at most one call.
pub(super) fn plan(draft: &mut Draft, input: &Input<'_>, spec: &TableSpec, live: &TableFacts, work: &mut Work) {
    let targets = input.targets.and_then(|targets| targets.tables.get(&spec.name));
    let mut change = CapacityChange { table: spec.name.clone(), capacity: None, indexes: Vec::new() };
    for unit in units(spec, live, targets) {
        let mut dimensions = unit.dimensions();
        if dimensions.iter().any(Dimension::lowers) {
            hold_without_budget(draft, input, &unit, &spec.name, &mut dimensions);
        }
        note_owned(draft, &unit.resource(&spec.name), unit.index, &dimensions);
        let [write, read] = &dimensions;
        if !write.changes() && !read.changes() {
            continue;
        }
        if dimensions.iter().any(Dimension::lowers) {
            work.quota.push(decrease_quota(&unit, &spec.name, input));
        }
        match unit.index {
            None => change.capacity = Some((read.wanted, write.wanted)),
            Some(index) => change.indexes.push(IndexCapacityChange {
                index: index.to_owned(),
                read: read.wanted,
                write: write.wanted,
            }),
        }
        work.cost_delta = work.cost_delta + cost_delta(&dimensions, input);
        work.fields.extend(dimensions.into_iter().filter(Dimension::changes).map(field));
    }
    if change.capacity.is_some() || !change.indexes.is_empty() {
        work.step(Step::UpdateCapacity(change), timing::UPDATE_CAPACITY);
    }
}

/// Keeps the live value of every number that would go down while the budget of its table or index allows none.
fn hold_without_budget(draft: &mut Draft, input: &Input<'_>, unit: &Unit<'_>, table: &str, both: &mut [Dimension; 2]) {
    let scaler = both.iter().filter(|dimension| dimension.lowers()).all(|dimension| dimension.owner == Owner::Scaler);
    let reserve = if scaler { input.policy.reserved_decreases } else { 0 };
    let Some(free) = quota::decrease_free_at(unit.live, reserve, input.now) else { return };
    let resource = unit.resource(table);
    let held: Vec<String> = both
        .iter()
        .filter(|dimension| dimension.lowers())
        .map(|dimension| format!("{} {} -> {}", dimension.path, dimension.live, dimension.wanted))
        .collect();
    let used = quota::decreases_today(unit.live, input.now);
    let reason = format!("{} waits: {used} decreases used today", held.join(", "));
    if scaler {
        draft.warnings.push(format!("{resource}: {reason}; the next may be made at {free}"));
    } else {
        let hint = format!("run apply again after {free}: AWS allows 4 a UTC day, then one an hour");
        draft.block(&resource, codes::DECREASE_QUOTA, reason, hint);
    }
    for dimension in both.iter_mut().filter(|dimension| dimension.lowers()) {
        dimension.wanted = dimension.live;
    }
}

/// Says which numbers stand where the scaler put them.
fn note_owned(draft: &mut Draft, resource: &ResourceId, index: Option<&str>, both: &[Dimension; 2]) {
    for dimension in both {
        let Bounds { min, max, .. } = dimension.bounds;
        if dimension.changes() || min == max || !dimension.bounds.contains(dimension.live) {
            continue;
        }
        let name = match index {
            None => dimension.path.as_str(),
            Some(_) => dimension.path.rsplit('.').next().unwrap_or_default(),
        };
        draft.owned_by_scaler.push(format!("{resource} {name} = {} in [{min}, {max}]", dimension.live));
    }
}

fn decrease_quota(unit: &Unit<'_>, table: &str, input: &Input<'_>) -> QuotaUse {
    let used = quota::decreases_today(unit.live, input.now);
    let limit = if used < quota::DECREASES_AT_ONCE { quota::DECREASES_AT_ONCE } else { quota::DECREASES_PER_DAY };
    QuotaUse { quota: format!("capacity decreases today, {}", unit.resource(table)), takes: 1, used, limit }
}

fn cost_delta([write, read]: &[Dimension; 2], input: &Input<'_>) -> UsdPerHour {
    cost::of_capacity(read.wanted, write.wanted, input.prices) - cost::of_capacity(read.live, write.live, input.prices)
}

fn field(dimension: Dimension) -> FieldChange {
    FieldChange {
        path: dimension.path,
        before: Some(dimension.live.to_string()),
        after: Some(dimension.wanted.to_string()),
        owner: dimension.owner,
        reason: dimension.reason,
    }
}

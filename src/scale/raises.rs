//! The raises among the targets, and how one is taken out again by a rule that looks at the whole decision.
//!
//! What always holds: what is taken out leaves no trace but a hold. No cool-down begins for it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    CapacityTarget, Sizing, Target, Targets,
    guards::{self, SHARDS, hold},
    model::Side,
    sinks::field,
};
use crate::{
    memory::Memory,
    model::{CapacityUnits, Facts, ResourceId, StreamMode},
    spec::Pipeline,
};

/// One value that is to be raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raise {
    pub(super) resource: ResourceId,
    /// Its key in the memory's windows.
    pub(super) key: String,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// The raises of the targets.
pub(super) fn raises(pipeline: &Pipeline, facts: &Facts, targets: &Targets) -> Vec<Raise> {
    take(pipeline, facts, &mut targets.clone(), &|_| true)
}

/// Takes out the raises that `picked` picks; each is held for the reason.
pub(super) fn hold_back(
    pipeline: &Pipeline,
    facts: &Facts,
    memory: &mut Memory,
    changed_before: &BTreeMap<String, Timestamp>,
    sizing: &mut Sizing,
    picked: &dyn Fn(&Raise) -> bool,
    (guard, reason, until): (&str, &str, Option<Timestamp>),
) {
    for Raise { resource, key, .. } in take(pipeline, facts, &mut sizing.targets, picked) {
        guards::forget_change(memory, changed_before, &key);
        if !sizing.holds.iter().any(|it| it.resource == resource && it.guard == guard) {
            sizing.holds.push(hold(&resource, guard, reason.to_owned(), until));
        }
    }
}

fn take(pipeline: &Pipeline, facts: &Facts, targets: &mut Targets, picked: &dyn Fn(&Raise) -> bool) -> Vec<Raise> {
    let mut taken = Vec::new();
    let mut keep = |raise: Raise| {
        let out = picked(&raise);
        taken.extend(out.then_some(raise));
        out
    };
    if let Some(stream) = &facts.stream {
        let from = u64::from(stream.open_shards.get());
        let mut raised = |to: u64| {
            to > from
                && keep(Raise { resource: ResourceId::Stream(stream.name.clone()), key: SHARDS.to_owned(), from, to })
        };
        targets.shards.take_if(|target| raised(target.value.get().into()));
        targets.split.take_if(|_| raised(from + 1));
        // What an on-demand stream takes is at least double.
        targets.mode.take_if(|target| target.value == StreamMode::OnDemand && raised(2 * from));
    }
    for (name, consumer) in &mut targets.consumers {
        let spec = pipeline.consumers.iter().find(|it| it.name == *name);
        let Some(live) = spec.and_then(|it| facts.mapping_to(&it.function, it.alias.as_deref())) else { continue };
        let (resource, from) = (ResourceId::Mapping(name.clone()), u64::from(live.parallelization_factor.get()));
        let key = format!("{resource} parallelizationFactor");
        consumer.parallelization_factor.take_if(|target| {
            let to = u64::from(target.value.get());
            to > from && keep(Raise { resource: resource.clone(), key: key.clone(), from, to })
        });
    }
    // A table that changes its billing mode brings the capacity it needs.
    for (name, table) in targets.tables.iter_mut().filter(|(_, table)| table.billing.is_none()) {
        let Some(live) = facts.tables.get(name) else { continue };
        let mut of = |resource: ResourceId, target: &mut CapacityTarget, write: CapacityUnits, read: CapacityUnits| {
            for (side, slot, from) in [(Side::Write, &mut target.write, write), (Side::Read, &mut target.read, read)] {
                slot.take_if(|target: &mut Target<CapacityUnits>| {
                    let (from, to, key) = (from.get(), target.value.get(), field(&resource, side));
                    to > from && keep(Raise { resource: resource.clone(), key, from, to })
                });
            }
        };
        of(ResourceId::Table(name.clone()), &mut table.table, live.capacity.write, live.capacity.read);
        for (index, target) in &mut table.indexes {
            let Some(found) = live.global_secondary_indexes.get(index) else { continue };
            let resource = ResourceId::Index(name.clone(), index.clone());
            of(resource, target, found.capacity.write, found.capacity.read);
        }
    }
    taken
}

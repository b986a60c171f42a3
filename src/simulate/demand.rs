//! What a world asks of each stage, minute by minute: the yardstick's input.
//!
//! What always holds: it comes from what producers offered, never from what a policy let through, so every policy on
//! one world and seed is held against the same demand. No demand is below one: the least that AWS provisions.

use std::collections::BTreeMap;

use super::Minute;
use crate::{
    diagnose::shards_filled,
    model::ResourceId,
    spec::Pipeline,
    twin::{
        World,
        world::{FunctionModel, OperationKind, Per},
    },
};

/// Seconds of a minute.
const MINUTE: f64 = 60.0;

/// The least supply that meets the objective, a value a minute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demand {
    /// Shards, by records and by bytes, at full use.
    pub shards: Vec<u32>,
    /// Slots of the first consumer.
    pub slots: Vec<f64>,
    /// Units a second of each table and index, as [`super::SinkMinute`] names them.
    pub sinks: BTreeMap<String, SinkDemand>,
}

/// Units a second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SinkDemand {
    /// Write units.
    pub writes: Vec<f64>,
    /// Read units.
    pub reads: Vec<f64>,
}

/// Units that one offered record takes of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Units {
    /// Write units.
    pub write: f64,
    /// Read units.
    pub read: f64,
}

impl Demand {
    /// The demand of a world whose producers offered what `minutes` say. A sink whose requests do not go record by
    /// record takes what it was asked for in `unthrottled`: a run of the same world in which nothing was short.
    pub fn of(world: &World, pipeline: &Pipeline, minutes: &[Minute], unthrottled: &[Minute]) -> Self {
        let shards = |minute: &Minute| shards(minute.offered, minute.offered_bytes);
        let rate = |minute: &Minute| minute.offered as f64 / MINUTE;
        let per_slot = slot_rate(world, pipeline);
        let mut sinks = BTreeMap::new();
        for (name, units) in units(world, pipeline) {
            let series = |each: Option<f64>, asked: fn(&super::SinkMinute) -> f64| -> Vec<f64> {
                let measured = |minute: &Minute| minute.sinks.get(&name).map_or(0.0, asked) / MINUTE;
                match each {
                    Some(each) => minutes.iter().map(|minute| rate(minute) * each).collect(),
                    None => unthrottled.iter().map(measured).collect(),
                }
            };
            let writes = series(units.map(|units| units.write), |sink| sink.written);
            let reads = series(units.map(|units| units.read), |sink| sink.read);
            sinks.insert(name, SinkDemand { writes, reads });
        }
        Self {
            shards: minutes.iter().map(shards).collect(),
            slots: minutes.iter().map(|minute| (rate(minute) / per_slot).max(1.0)).collect(),
            sinks,
        }
    }
}

/// Shards that take a minute's records and bytes, evenly spread over it and over the keys.
fn shards(records: u64, bytes: u64) -> u32 {
    shards_filled(records as f64 / MINUTE, bytes as f64 / MINUTE).ceil().max(1.0) as u32
}

/// Records a second that one slot of the first consumer does, its batches full; infinite without work.
pub fn slot_rate(world: &World, pipeline: &Pipeline) -> f64 {
    let Some(consumer) = pipeline.consumers.first() else { return f64::INFINITY };
    let Some(model) = world.functions.get(&consumer.function) else { return f64::INFINITY };
    let batch = f64::from(consumer.batch_size.initial.get());
    let work = f64::from(model.startup_ms) + batch * f64::from(model.per_record_us) / 1_000.0;
    let requests: f64 = model
        .tables
        .iter()
        .map(|access| {
            let repeats = match access.per {
                Per::Group => 1.0,
                Per::Record => (batch / f64::from(access.records_per_request)).ceil(),
                Per::FinalRecord => 0.0,
            };
            repeats * access.operations.len() as f64 * f64::from(access.latency_ms)
        })
        .sum();
    batch * 1_000.0 / (work + requests)
}

/// Units a record of every table and index that the pipeline's consumers use; `None` where they depend on how records
/// fall into batches and races.
pub fn units(world: &World, pipeline: &Pipeline) -> BTreeMap<String, Option<Units>> {
    let mut all: BTreeMap<String, Option<Units>> = BTreeMap::new();
    for table in &pipeline.tables {
        let indexes = || table.global_secondary_indexes.iter().map(|index| index.name.as_str());
        let names = std::iter::once(None).chain(indexes().map(Some));
        for index in names {
            let functions = pipeline.consumers.iter().filter_map(|it| world.functions.get(&it.function));
            let local = index.map_or(table.local_secondary_indexes.len(), |_| 0);
            let sum = functions.map(|model| of_function(model, &table.name, index, local)).try_fold(
                Units::default(),
                |sum, units| {
                    let units = units?;
                    Some(Units { write: sum.write + units.write, read: sum.read + units.read })
                },
            );
            all.insert(ResourceId::sink(&table.name, index).to_string(), sum);
        }
    }
    all
}

/// Units a record that one function takes of a table, or of one of its indexes.
fn of_function(model: &FunctionModel, table: &str, index: Option<&str>, local_indexes: usize) -> Option<Units> {
    let mut units = Units::default();
    let of_phases = model.phases.iter().filter_map(|phase| phase.tables.as_ref()).flatten();
    if of_phases.into_iter().any(|access| access.table == table) {
        return None;
    }
    for access in model.tables.iter().filter(|access| access.table == table) {
        if access.per != Per::Record {
            return None;
        }
        for operation in &access.operations {
            // Sizes as DynamoDB rounds them (developer guide, "Read/write capacity mode"): 1 KB a write, 4 KB a read of
            // which an eventually consistent one takes half a unit.
            let written = operation.item_bytes.div_ceil(1_024).max(1) as f64;
            match (operation.kind, index) {
                (OperationKind::Get, None) => units.read += operation.item_bytes.div_ceil(4_096).max(1) as f64 / 2.0,
                (OperationKind::Get, Some(_)) => {}
                (_, None) => units.write += written * (1 + local_indexes) as f64,
                (_, Some(index)) => {
                    let percent = operation.index_percent.get(index).map_or(100.0, |it| f64::from(*it));
                    units.write += written * percent / 100.0;
                }
            }
        }
    }
    Some(units)
}

//! Cost at rest: what exists, or would exist, whether or not a record flows.

use crate::{
    model::{BillingMode, CapacityUnits, Facts, Hours, ShardCount, StreamFacts, StreamMode, TableFacts, UsdPerHour},
    scale::{CapacityTarget, Targets},
    spec::{StreamSpec, TableSpec},
};

use super::PriceSheet;

/// Retention that the shard price includes (Kinesis pricing page).
const INCLUDED_RETENTION: Hours = Hours(24);
/// Hours in the month AWS prices by.
const MONTH_HOURS: f64 = 730.0;

/// Shards of a provisioned stream with their retention. Retention above 7 days is billed by stored volume on top,
/// which is traffic and left out.
fn shards(count: ShardCount, retention: Hours, prices: &PriceSheet) -> UsdPerHour {
    let extended = if retention > INCLUDED_RETENTION { prices.extended_retention_shard_hour } else { 0.0 };
    UsdPerHour(f64::from(count.get()) * (prices.shard_hour + extended))
}

/// Provisioned throughput of one table or index.
pub fn of_capacity(read: CapacityUnits, write: CapacityUnits, prices: &PriceSheet) -> UsdPerHour {
    UsdPerHour(
        read.get() as f64 * prices.read_capacity_unit_hour + write.get() as f64 * prices.write_capacity_unit_hour,
    )
}

/// A stream with its enhanced fan-out consumers and shard-level metrics.
pub fn of_stream(stream: &StreamFacts, fan_out_consumers: usize, prices: &PriceSheet) -> UsdPerHour {
    let per_shard = fan_out_consumers as f64 * prices.fan_out_consumer_shard_hour
        + stream.shard_level_metrics.len() as f64 * prices.custom_metric_month / MONTH_HOURS;
    let base = match stream.mode {
        StreamMode::Provisioned => shards(stream.open_shards, stream.retention, prices),
        StreamMode::OnDemand => UsdPerHour(prices.on_demand_stream_hour),
    };
    base + UsdPerHour(f64::from(stream.open_shards.get()) * per_shard)
}

/// A stream as it would be created.
pub fn of_new_stream(spec: &StreamSpec, count: ShardCount, prices: &PriceSheet) -> UsdPerHour {
    match spec.mode {
        StreamMode::Provisioned => shards(count, spec.retention.initial, prices),
        StreamMode::OnDemand => UsdPerHour(prices.on_demand_stream_hour),
    }
}

/// A table with its indexes; on demand costs nothing at rest.
pub fn of_table(table: &TableFacts, prices: &PriceSheet) -> UsdPerHour {
    if table.billing_mode == BillingMode::OnDemand {
        return UsdPerHour(0.0);
    }
    let indexes: UsdPerHour = table
        .global_secondary_indexes
        .values()
        .map(|index| of_capacity(index.capacity.read, index.capacity.write, prices))
        .sum();
    of_capacity(table.capacity.read, table.capacity.write, prices) + indexes
}

/// A table as it would be created.
pub fn of_new_table(spec: &TableSpec, prices: &PriceSheet) -> UsdPerHour {
    if spec.billing_mode.initial() == BillingMode::OnDemand {
        return UsdPerHour(0.0);
    }
    let indexes: UsdPerHour = spec
        .global_secondary_indexes
        .iter()
        .map(|index| of_capacity(index.read_capacity.initial, index.write_capacity.initial, prices))
        .sum();
    of_capacity(spec.read_capacity.initial, spec.write_capacity.initial, prices) + indexes
}

/// Everything that exists of a pipeline.
pub fn of_facts(facts: &Facts, prices: &PriceSheet) -> UsdPerHour {
    let stream = facts.stream.as_ref().map_or(UsdPerHour(0.0), |stream| of_stream(stream, facts.fan_out.len(), prices));
    stream + facts.tables.values().map(|table| of_table(table, prices)).sum()
}

/// What exists, once the targets hold.
pub fn of_targets(facts: &Facts, targets: &Targets, prices: &PriceSheet) -> UsdPerHour {
    let mut after = facts.clone();
    if let (Some(stream), Some(target)) = (&mut after.stream, &targets.shards) {
        stream.open_shards = target.value;
    }
    if let (Some(stream), Some(target)) = (&mut after.stream, &targets.mode) {
        stream.mode = target.value;
    }
    if let (Some(stream), Some(target)) = (&mut after.stream, &targets.retention) {
        stream.retention = target.value;
    }
    let set = |units: &mut crate::model::CapacityFacts, target: &CapacityTarget| {
        if let Some(write) = &target.write {
            units.write = write.value;
        }
        if let Some(read) = &target.read {
            units.read = read.value;
        }
    };
    for (name, target) in &targets.tables {
        let Some(table) = after.tables.get_mut(name) else { continue };
        if let Some(billing) = &target.billing {
            table.billing_mode = billing.value;
        }
        set(&mut table.capacity, &target.table);
        for (index, target) in &target.indexes {
            if let Some(index) = table.global_secondary_indexes.get_mut(index) {
                set(&mut index.capacity, target);
            }
        }
    }
    of_facts(&after, prices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_prices_give_the_known_months() {
        let prices = PriceSheet::us_east_1();
        let month = |hours: UsdPerHour| (hours.per_month() * 100.0).round() / 100.0;
        assert!((month(shards(ShardCount(1), Hours(24), &prices)) - 10.95).abs() < 1e-9);
        assert!((month(shards(ShardCount(1), Hours(25), &prices)) - 25.55).abs() < 1e-9);
        assert!((month(of_capacity(CapacityUnits(0), CapacityUnits(20), &prices)) - 9.49).abs() < 1e-9);
        assert!((month(of_capacity(CapacityUnits(30), CapacityUnits(0), &prices)) - 2.85).abs() < 1e-9);
    }
}

//! A DynamoDB table with its indexes: token buckets, the cap of one partition key, index back-pressure.
//!
//! A request is admitted when the table, its partition key and every index it writes all admit it; then it
//! consumes on all of them, otherwise on none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::TableConfig;
use super::metrics::{MetricStore, SeriesId};
use super::totals::TableTotals;

/// Unused capacity kept for bursts, in seconds (developer guide, "Burst and adaptive capacity"). That a new
/// table starts with all of it is an assumption.
const BURST_SECONDS: u64 = 300;
/// Write units per second of one partition, which one item collection with a local index never leaves
/// (same page).
const KEY_WRITE_UNITS: u64 = 1_000;
/// Read units per second of one partition (same page).
const KEY_READ_UNITS: u64 = 3_000;
/// Units per second an on-demand table may reach (service quotas: 40,000 per table by default).
const ON_DEMAND_UNITS: u64 = 40_000;

/// A token bucket in thousandths of a unit: `rate` units a second are `rate` thousandths a millisecond. It
/// admits while it is above zero and may be taken below (an assumption: AWS does not publish the arithmetic).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    level: i64,
    rate: u64,
    cap: i64,
    at_ms: i64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn full(rate: u64, seconds: u64, now: i64) -> Self {
        let cap = capacity(rate, seconds);
        Self { level: cap, rate, cap, at_ms: now }
    }

    fn refill(&mut self, now: i64) {
        let elapsed = (now - self.at_ms).max(0);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.rate as i64)).min(self.cap);
        self.at_ms = now;
    }

    /// Whether anything is left.
    pub(super) fn admits(&mut self, now: i64) -> bool {
        self.refill(now);
        self.level > 0
    }

    /// Consumes, below zero if need be.
    pub(super) fn take(&mut self, milli_units: u64) {
        self.level = self.level.saturating_sub(milli_units as i64);
    }

    fn set_rate(&mut self, rate: u64, seconds: u64, now: i64) {
        self.refill(now);
        self.rate = rate;
        self.cap = capacity(rate, seconds);
        self.level = self.level.min(self.cap);
    }

    fn is_full(&mut self, now: i64) -> bool {
        self.refill(now);
        self.level == self.cap
    }
}

fn capacity(rate: u64, seconds: u64) -> i64 {
    rate.saturating_mul(seconds).saturating_mul(1_000).min(i64::MAX as u64) as i64
}

/// The series of one direction (read or write) of a table or index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Series {
    consumed: SeriesId,
    throttled: SeriesId,
    provisioned: SeriesId,
    key_range: SeriesId,
}

impl Series {
    fn new(metrics: &mut MetricStore, direction: &str, dims: &[(&str, &str)]) -> Self {
        let mut series = |name: String| metrics.series("AWS/DynamoDB", &name, dims);
        Self {
            consumed: series(format!("Consumed{direction}CapacityUnits")),
            throttled: series(format!("{direction}ThrottleEvents")),
            provisioned: series(format!("{direction}ProvisionedThroughputThrottleEvents")),
            key_range: series(format!("{direction}KeyRangeThroughputThrottleEvents")),
        }
    }
}

/// The throughput of a table or of a global secondary index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    read_units: u64,
    write_units: u64,
    read: Bucket,
    write: Bucket,
    read_series: Series,
    write_series: Series,
}

impl Resource {
    fn new(metrics: &mut MetricStore, dims: &[(&str, &str)], read: u64, write: u64, now: i64) -> Self {
        Self {
            read_units: read,
            write_units: write,
            read: Bucket::full(read, BURST_SECONDS, now),
            write: Bucket::full(write, BURST_SECONDS, now),
            read_series: Series::new(metrics, "Read", dims),
            write_series: Series::new(metrics, "Write", dims),
        }
    }

    fn set_units(&mut self, read: u64, write: u64, now: i64) {
        self.read_units = read;
        self.write_units = write;
        self.read.set_rate(read, BURST_SECONDS, now);
        self.write.set_rate(write, BURST_SECONDS, now);
    }

    fn apply_mode(&mut self, on_demand: bool, now: i64) {
        if on_demand {
            self.read.set_rate(ON_DEMAND_UNITS, 1, now);
            self.write.set_rate(ON_DEMAND_UNITS, 1, now);
        } else {
            self.set_units(self.read_units, self.write_units, now);
        }
    }
}

/// One request as the table sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    /// Write or read.
    pub write: bool,
    /// Item size in bytes.
    pub bytes: u64,
    /// Its partition key.
    pub key: u64,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    on_demand: bool,
    lsis: u32,
    own: Resource,
    indexes: BTreeMap<String, Resource>,
    /// Per partition key in recent use: (read, write).
    keys: BTreeMap<u64, (Bucket, Bucket)>,
}

impl Table {
    /// A new table with full burst credit.
    pub(super) fn new(name: &str, config: &TableConfig, metrics: &mut MetricStore, now: i64) -> Self {
        let own = Resource::new(metrics, &[("TableName", name)], config.read, config.write, now);
        let mut table =
            Self { on_demand: false, lsis: config.lsis, own, indexes: BTreeMap::new(), keys: BTreeMap::new() };
        for (index, (read, write)) in &config.gsis {
            table.add_index(name, index, (*read, *write), metrics, now);
        }
        table.set_on_demand(config.on_demand, now);
        table
    }

    /// Adds an index with full burst credit.
    pub(super) fn add_index(
        &mut self,
        name: &str,
        index: &str,
        (read, write): (u64, u64),
        metrics: &mut MetricStore,
        now: i64,
    ) {
        let dims = [("TableName", name), ("GlobalSecondaryIndexName", index)];
        let mut resource = Resource::new(metrics, &dims, read, write, now);
        if self.on_demand {
            resource.apply_mode(true, now);
        }
        self.indexes.insert(index.to_owned(), resource);
    }

    /// Removes an index.
    pub(super) fn remove_index(&mut self, index: &str) {
        self.indexes.remove(index);
    }

    /// Changes the throughput of the table or of one index.
    pub(super) fn set_capacity(&mut self, index: Option<&str>, read: u64, write: u64, now: i64) {
        let resource = match index {
            None => Some(&mut self.own),
            Some(index) => self.indexes.get_mut(index),
        };
        if let Some(resource) = resource {
            resource.set_units(read, write, now);
            resource.apply_mode(self.on_demand, now);
        }
    }

    /// Switches the billing mode.
    pub(super) fn set_on_demand(&mut self, on_demand: bool, now: i64) {
        self.on_demand = on_demand;
        self.own.apply_mode(on_demand, now);
        self.indexes.values_mut().for_each(|index| index.apply_mode(on_demand, now));
    }

    /// Makes a request; `true` when it was admitted and consumed.
    pub(super) fn request(
        &mut self,
        demand: Demand,
        now: i64,
        metrics: &mut MetricStore,
        totals: &mut TableTotals,
    ) -> bool {
        let admitted = if demand.write {
            self.write(demand, now, metrics, totals)
        } else {
            self.read(demand, now, metrics, totals)
        };
        if admitted {
            totals.requests += 1;
        } else {
            totals.throttled_requests += 1;
        }
        admitted
    }

    fn key(&mut self, key: u64, now: i64) -> &mut (Bucket, Bucket) {
        let fresh = || (Bucket::full(KEY_READ_UNITS, 1, now), Bucket::full(KEY_WRITE_UNITS, 1, now));
        self.keys.entry(key).or_insert_with(fresh)
    }

    fn write(&mut self, demand: Demand, now: i64, metrics: &mut MetricStore, totals: &mut TableTotals) -> bool {
        let item = demand.bytes.div_ceil(1_024).max(1) * 1_000;
        let on_table = item * (1 + u64::from(self.lsis));
        let key_admits = self.key(demand.key, now).1.admits(now);
        let table_admits = self.own.write.admits(now);
        let series = self.own.write_series;
        if !key_admits {
            metrics.add(series.key_range, now, 1.0, 1);
            totals.key_range_write_throttles += 1;
        }
        if !table_admits {
            metrics.add(series.provisioned, now, 1.0, 1);
            totals.provisioned_write_throttles += 1;
        }
        if !key_admits || !table_admits {
            metrics.add(series.throttled, now, 1.0, 1);
        }
        let mut admitted = key_admits && table_admits;
        for index in self.indexes.values_mut() {
            if !index.write.admits(now) {
                metrics.add(index.write_series.throttled, now, 1.0, 1);
                metrics.add(index.write_series.provisioned, now, 1.0, 1);
                totals.provisioned_write_throttles += 1;
                admitted = false;
            }
        }
        if admitted {
            self.key(demand.key, now).1.take(on_table);
            self.own.write.take(on_table);
            metrics.add(series.consumed, now, on_table as f64 / 1_000.0, 1);
            totals.write_milli_units += on_table;
            for index in self.indexes.values_mut() {
                index.write.take(item);
                metrics.add(index.write_series.consumed, now, item as f64 / 1_000.0, 1);
            }
        }
        admitted
    }

    fn read(&mut self, demand: Demand, now: i64, metrics: &mut MetricStore, totals: &mut TableTotals) -> bool {
        // Eventually consistent: half a unit per 4 KB.
        let units = demand.bytes.div_ceil(4_096).max(1) * 500;
        let key_admits = self.key(demand.key, now).0.admits(now);
        let table_admits = self.own.read.admits(now);
        let series = self.own.read_series;
        if !key_admits {
            metrics.add(series.key_range, now, 1.0, 1);
            totals.key_range_read_throttles += 1;
        }
        if !table_admits {
            metrics.add(series.provisioned, now, 1.0, 1);
            totals.provisioned_read_throttles += 1;
        }
        if !key_admits || !table_admits {
            metrics.add(series.throttled, now, 1.0, 1);
            return false;
        }
        self.key(demand.key, now).0.take(units);
        self.own.read.take(units);
        metrics.add(series.consumed, now, units as f64 / 1_000.0, 1);
        totals.read_milli_units += units;
        true
    }

    /// Closes the minute that starts at `minute`: a table without traffic reports zero.
    pub(super) fn end_minute(&mut self, minute: i64, now: i64, metrics: &mut MetricStore) {
        for resource in std::iter::once(&self.own).chain(self.indexes.values()) {
            metrics.zero_if_absent(resource.read_series.consumed, minute);
            metrics.zero_if_absent(resource.write_series.consumed, minute);
        }
        self.keys.retain(|_, (read, write)| !(read.is_full(now) && write.is_full(now)));
    }
}

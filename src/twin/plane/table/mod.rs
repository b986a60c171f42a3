//! A DynamoDB table with its indexes: token buckets, the cap of one partition key, index back-pressure.
//!
//! A request is admitted when the table, its partition key and every index it writes all admit it; then it
//! consumes on all of them, otherwise on none.

mod bucket;
mod lane;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::TableConfig;
use super::metrics::{MINUTE_MS, MetricStore, SeriesId};
use super::totals::TableTotals;
use super::view::SinkView;
pub(super) use bucket::Bucket;
use lane::Lane;
pub use lane::ThrottleCause;

/// The operation a request counts under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Api {
    /// GetItem.
    GetItem,
    /// PutItem.
    PutItem,
    /// UpdateItem.
    UpdateItem,
    /// DeleteItem.
    DeleteItem,
    /// BatchWriteItem.
    BatchWriteItem,
}

impl Api {
    const ALL: [Self; 5] = [Self::GetItem, Self::PutItem, Self::UpdateItem, Self::DeleteItem, Self::BatchWriteItem];

    /// As AWS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetItem => "GetItem",
            Self::PutItem => "PutItem",
            Self::UpdateItem => "UpdateItem",
            Self::DeleteItem => "DeleteItem",
            Self::BatchWriteItem => "BatchWriteItem",
        }
    }
}

/// What one item of a request wants, or several that are served or refused together.
#[derive(Debug, Clone, Copy)]
pub(in crate::twin) struct Draw<'a> {
    /// Write or read.
    pub write: bool,
    /// How many items.
    pub items: u64,
    /// Thousandths of a unit on the table, its local indexes included.
    pub milli_units: u64,
    /// The partition key; `None`: one that is never hot.
    pub key: Option<u64>,
    /// The global indexes it writes.
    pub indexes: Indexes<'a>,
}

/// The global indexes a write reaches.
#[derive(Debug, Clone, Copy)]
pub(in crate::twin) enum Indexes<'a> {
    /// All of them, this many thousandths each.
    All(u64),
    /// All of them, of this many thousandths each its share in percent; one that is not named takes all.
    Shares(u64, &'a BTreeMap<String, u32>),
    /// By name: thousandths and the index's partition key.
    These(&'a BTreeMap<String, (u64, u64)>),
}

impl Indexes<'_> {
    /// Thousandths and partition key, for an index that is written.
    fn of(self, name: &str) -> Option<(u64, Option<u64>)> {
        match self {
            Self::All(units) => Some((units, None)),
            Self::Shares(units, shares) => match shares.get(name) {
                None => Some((units, None)),
                Some(percent) => (*percent > 0).then_some((units * u64::from(*percent) / 100, None)),
            },
            Self::These(map) => map.get(name).map(|(units, key)| (*units, Some(*key))),
        }
    }
}

/// One thing that refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::twin) struct Throttle {
    /// The index, or the table itself.
    pub index: Option<String>,
    pub write: bool,
    pub cause: ThrottleCause,
}

/// The throughput of a table or of a global secondary index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    read: Lane,
    write: Lane,
}

impl Resource {
    fn new(metrics: &mut MetricStore, dims: &[(&str, &str)], units: (u64, u64), quota: u64, now: i64) -> Self {
        Self {
            read: Lane::new(metrics, false, dims, units.0, quota, now),
            write: Lane::new(metrics, true, dims, units.1, quota, now),
        }
    }

    fn lane(&mut self, write: bool) -> &mut Lane {
        if write { &mut self.write } else { &mut self.read }
    }

    fn set_on_demand(&mut self, on_demand: bool, now: i64) {
        self.read.set_on_demand(on_demand, now);
        self.write.set_on_demand(on_demand, now);
    }
}

/// One request of a simulated function as the table sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand<'a> {
    /// The operation.
    pub api: Api,
    /// Item size in bytes.
    pub bytes: u64,
    /// How many such items.
    pub records: u64,
    /// Its partition key; `None`: one that is never hot.
    pub key: Option<u64>,
    /// What it takes when it is admitted, in milliseconds.
    pub latency_ms: u32,
    /// Of the items written, the percentage that a sparse index holds.
    pub shares: &'a BTreeMap<String, u32>,
}

/// The metrics of one operation on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct OperationSeries {
    throttled: SeriesId,
    latency: SeriesId,
}

/// An index that is being built: its series, when that began and when it ends.
type Build = (SeriesId, i64, i64);

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    on_demand: bool,
    lsis: u32,
    quota: u64,
    own: Resource,
    indexes: BTreeMap<String, Resource>,
    operations: BTreeMap<Api, OperationSeries>,
    builds: BTreeMap<String, Build>,
}

impl Table {
    /// A new table with full burst credit. `quota`: units per second the account allows an on-demand table.
    pub(super) fn new(name: &str, config: &TableConfig, quota: u64, metrics: &mut MetricStore, now: i64) -> Self {
        let own = Resource::new(metrics, &[("TableName", name)], (config.read, config.write), quota, now);
        let mut operations = BTreeMap::new();
        for api in Api::ALL {
            let dims = [("TableName", name), ("Operation", api.name())];
            let throttled = metrics.series("AWS/DynamoDB", "ThrottledRequests", &dims);
            let latency = metrics.series("AWS/DynamoDB", "SuccessfulRequestLatency", &dims);
            operations.insert(api, OperationSeries { throttled, latency });
        }
        let (indexes, builds) = (BTreeMap::new(), BTreeMap::new());
        let mut table = Self { on_demand: false, lsis: config.lsis, quota, own, indexes, operations, builds };
        for (index, units) in &config.gsis {
            table.add_index(name, index, *units, metrics, now);
        }
        table.set_on_demand(config.on_demand, now);
        table
    }

    /// An index is being built until `until`; it takes part when it is added.
    pub(super) fn build_index(&mut self, name: &str, index: &str, now: i64, until: i64, metrics: &mut MetricStore) {
        let dims = [("TableName", name), ("GlobalSecondaryIndexName", index)];
        let series = metrics.series("AWS/DynamoDB", "OnlineIndexPercentageProgress", &dims);
        self.builds.insert(index.to_owned(), (series, now, until));
    }

    /// Adds an index with full burst credit.
    pub(super) fn add_index(
        &mut self,
        name: &str,
        index: &str,
        units: (u64, u64),
        metrics: &mut MetricStore,
        now: i64,
    ) {
        let dims = [("TableName", name), ("GlobalSecondaryIndexName", index)];
        let mut resource = Resource::new(metrics, &dims, units, self.quota, now);
        resource.set_on_demand(self.on_demand, now);
        self.indexes.insert(index.to_owned(), resource);
        self.builds.remove(index);
    }

    /// Removes an index.
    pub(super) fn remove_index(&mut self, index: &str) {
        self.indexes.remove(index);
    }

    fn resource(&mut self, index: Option<&str>) -> Option<&mut Resource> {
        match index {
            None => Some(&mut self.own),
            Some(index) => self.indexes.get_mut(index),
        }
    }

    /// Changes the throughput of the table or of one index.
    pub(super) fn set_capacity(&mut self, index: Option<&str>, read: u64, write: u64, now: i64) {
        if let Some(resource) = self.resource(index) {
            resource.read.set_units(read, now);
            resource.write.set_units(write, now);
        }
    }

    /// Switches the billing mode.
    pub(super) fn set_on_demand(&mut self, on_demand: bool, now: i64) {
        self.on_demand = on_demand;
        self.own.set_on_demand(on_demand, now);
        self.indexes.values_mut().for_each(|index| index.set_on_demand(on_demand, now));
    }

    /// On-demand maxima and warm throughput, each (read, write).
    pub(super) fn set_on_demand_limits(
        &mut self,
        index: Option<&str>,
        maximum: (Option<u64>, Option<u64>),
        warm: (u64, u64),
        now: i64,
    ) {
        if let Some(resource) = self.resource(index) {
            resource.read.set_on_demand_limits(maximum.0, warm.0, now);
            resource.write.set_on_demand_limits(maximum.1, warm.1, now);
        }
    }

    /// Provisioned (read, write) units of the table and its indexes, and the table's own.
    pub(super) fn provisioned(&self) -> ((u64, u64), (u64, u64)) {
        if self.on_demand {
            return ((0, 0), (0, 0));
        }
        let own = (self.own.read.units, self.own.write.units);
        let add = |sum: (u64, u64), index: &Resource| (sum.0 + index.read.units, sum.1 + index.write.units);
        (self.indexes.values().fold(own, add), own)
    }

    /// The table (without a name) and its indexes as they stand.
    pub(super) fn sinks(&self) -> impl Iterator<Item = (Option<String>, SinkView)> {
        let on_demand = self.on_demand;
        let units = move |lane: &Lane| if on_demand { 0 } else { lane.units };
        let view = move |resource: &Resource| SinkView {
            write: units(&resource.write),
            read: units(&resource.read),
            on_demand,
        };
        let indexes = self.indexes.iter().map(move |(name, index)| (Some(name.clone()), view(index)));
        std::iter::once((None, view(&self.own))).chain(indexes)
    }

    /// A simulated function makes a request; `true` when it was admitted and consumed.
    pub(super) fn request(
        &mut self,
        demand: Demand<'_>,
        now: i64,
        metrics: &mut MetricStore,
        totals: &mut TableTotals,
    ) -> bool {
        let write = demand.api != Api::GetItem;
        let item = demand.bytes.div_ceil(1_024).max(1) * 1_000 * demand.records;
        // Eventually consistent: half a unit per 4 KB.
        let read = demand.bytes.div_ceil(4_096).max(1) * 500 * demand.records;
        let milli_units = if write { item * (1 + u64::from(self.lsis)) } else { read };
        let indexes = Indexes::Shares(item, demand.shares);
        let draw = Draw { write, items: demand.records, milli_units, key: demand.key, indexes };
        let admitted = self.draw(draw, now, metrics, totals).is_ok();
        self.count(demand.api, admitted.then_some(demand.latency_ms), now, metrics);
        admitted
    }

    /// Notes a whole request: its latency, or that everything in it was throttled.
    pub(super) fn count(&self, api: Api, latency_ms: Option<u32>, now: i64, metrics: &mut MetricStore) {
        let Some(series) = self.operations.get(&api) else { return };
        match latency_ms {
            Some(latency) => metrics.add(series.latency, now, f64::from(latency), 1),
            None => metrics.add(series.throttled, now, 1.0, 1),
        }
    }

    /// Consumes for a draw's items, or says everything that refuses them.
    pub(super) fn draw(
        &mut self,
        draw: Draw,
        now: i64,
        metrics: &mut MetricStore,
        totals: &mut TableTotals,
    ) -> Result<(), Vec<Throttle>> {
        totals.offered += draw.items;
        let (write, items) = (draw.write, draw.items);
        let (mut throttles, mut held) = (Vec::new(), Vec::new());
        self.own.lane(write).holds(draw.key, items, now, metrics, &mut held);
        throttles.extend(held.drain(..).map(|cause| Throttle { index: None, write, cause }));
        for (name, index) in self.indexes.iter_mut().filter(|_| write) {
            let Some((_, key)) = draw.indexes.of(name) else { continue };
            index.write.holds(key, items, now, metrics, &mut held);
            throttles.extend(held.drain(..).map(|cause| Throttle { index: Some(name.clone()), write, cause }));
        }
        if !throttles.is_empty() {
            totals.throttled_requests += items;
            throttles.iter().for_each(|throttle| totals.count(throttle.write, throttle.cause, items));
            return Err(throttles);
        }
        self.own.lane(write).take(draw.key, draw.milli_units, now, metrics);
        for (name, index) in self.indexes.iter_mut().filter(|_| write) {
            if let Some((units, key)) = draw.indexes.of(name) {
                index.write.take(key, units, now, metrics);
            }
        }
        totals.requests += items;
        if write {
            totals.write_milli_units += draw.milli_units;
        } else {
            totals.read_milli_units += draw.milli_units;
        }
        Ok(())
    }

    /// Closes the minute that starts at `minute`.
    pub(super) fn end_minute(&mut self, minute: i64, now: i64, metrics: &mut MetricStore) {
        for resource in std::iter::once(&mut self.own).chain(self.indexes.values_mut()) {
            resource.read.end_minute(minute, now, metrics);
            resource.write.end_minute(minute, now, metrics);
        }
        if minute.rem_euclid(5 * MINUTE_MS) == 0 {
            for (series, from, until) in self.builds.values() {
                let done = (now - from) as f64 / (until - from).max(1) as f64;
                metrics.add(*series, minute, (done * 100.0).clamp(0.0, 100.0), 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(write: u64, index: u64, lsis: u32, metrics: &mut MetricStore) -> Table {
        let gsis = BTreeMap::from([("by-class".to_owned(), (10, index))]);
        Table::new("races", &TableConfig { on_demand: false, read: 10, write, gsis, lsis }, 40_000, metrics, 0)
    }

    /// How many writes of this size are admitted at one moment.
    fn admitted(table: &mut Table, bytes: u64, key: impl Fn(u64) -> u64, now: i64) -> (u64, TableTotals) {
        let (mut metrics, mut totals) = (MetricStore::default(), TableTotals::default());
        let shares = BTreeMap::new();
        let demand =
            |n| Demand { api: Api::PutItem, bytes, records: 1, key: Some(key(n)), latency_ms: 5, shares: &shares };
        let count = (0..100_000).take_while(|n| table.request(demand(*n), now, &mut metrics, &mut totals)).count();
        (count as u64, totals)
    }

    #[test]
    fn a_write_costs_its_local_index_again_and_bursts_for_300_seconds() {
        let mut table = table(20, 1_000, 1, &mut MetricStore::default());
        // 24 KB: 24 units for the item, 24 for the local index, out of 20 x 300.
        let (count, totals) = admitted(&mut table, 24_000, |n| n, 0);
        assert_eq!(count, 6_000 / 48);
        assert_eq!(totals.write_milli_units, 6_000_000);
        assert_eq!((totals.provisioned_write_throttles, totals.key_range_write_throttles), (1, 0));
        // The bucket is at zero: 50 ms later one unit is there, and that admits one more, into debt.
        assert_eq!(admitted(&mut table, 24_000, |n| n, 50).0, 1);
        assert_eq!(admitted(&mut table, 24_000, |n| n, 2_350).0, 0, "47 units of debt take 2.35 s");
        assert_eq!(admitted(&mut table, 24_000, |n| n, 2_401).0, 1);
    }

    #[test]
    fn a_short_index_holds_back_the_table() {
        let mut table = table(4_000, 1, 0, &mut MetricStore::default());
        let (count, totals) = admitted(&mut table, 100, |n| n, 0);
        assert_eq!(count, 300, "the index had 300 units of credit");
        assert_eq!(totals.write_milli_units, 300_000, "what the index refused costs the table nothing");
    }

    #[test]
    fn a_sparse_index_takes_its_share_and_items_of_one_request_count_each() {
        let mut table = table(4_000, 1, 0, &mut MetricStore::default());
        let (mut metrics, mut totals) = (MetricStore::default(), TableTotals::default());
        let shares = BTreeMap::from([("by-class".to_owned(), 20)]);
        let demand =
            Demand { api: Api::BatchWriteItem, bytes: 100, records: 25, key: None, latency_ms: 5, shares: &shares };
        let count = (0..1_000).take_while(|_| table.request(demand, 0, &mut metrics, &mut totals)).count();
        assert_eq!(count, 60, "25 items are 5 units of the index, which had 300 of credit");
        assert_eq!((totals.requests, totals.throttled_requests, totals.provisioned_write_throttles), (1_500, 25, 25));
        assert_eq!(totals.write_milli_units, 1_500_000);
    }

    #[test]
    fn one_key_takes_1000_units_a_second_whatever_the_capacity() {
        let mut table = table(40_000, 40_000, 0, &mut MetricStore::default());
        let (count, totals) = admitted(&mut table, 100, |_| 7, 0);
        assert_eq!((count, totals.key_range_write_throttles, totals.provisioned_write_throttles), (1_000, 1, 0));
        assert!(admitted(&mut table, 100, |n| n + 100, 0).0 > 10_000, "other keys are not held back");
        table.set_on_demand(true, 0);
        assert_eq!(admitted(&mut table, 100, |_| 7, 500).0, 500, "nor is a key helped by on-demand");
    }

    #[test]
    fn capacity_raised_is_used_at_once_and_lowered_takes_the_credit_above_its_cap() {
        let mut table = table(20, 10_000, 0, &mut MetricStore::default());
        table.set_capacity(None, 10, 1, 0);
        assert_eq!(admitted(&mut table, 100, |n| n, 0).0, 300);
        table.set_capacity(None, 10, 100, 0);
        assert_eq!(admitted(&mut table, 100, |n| n, 1_000).0, 100);
    }

    #[test]
    fn on_demand_serves_4000_at_once_and_twice_the_peak_of_half_an_hour_ago() {
        let mut table = table(10, 10, 0, &mut MetricStore::default());
        table.set_on_demand(true, 0);
        let mut metrics = MetricStore::default();
        assert_eq!(admitted(&mut table, 100, |n| n, 0).0, 4_000);
        // A minute of 3,600 a second: half an hour later the table serves 7,200.
        for second in 60..120_i64 {
            let (count, _) = admitted(&mut table, 1_024 * 9, |n| n, second * 1_000);
            assert!((444..=445).contains(&count), "4,000 units a second in items of nine");
        }
        for minute in 1..=31 {
            table.end_minute((minute - 1) * MINUTE_MS, minute * MINUTE_MS, &mut metrics);
        }
        assert!(admitted(&mut table, 100, |n| n, 40 * MINUTE_MS).0 >= 4_000);
        table.end_minute(39 * MINUTE_MS, 40 * MINUTE_MS, &mut metrics);
        let later = admitted(&mut table, 100, |n| n, 41 * MINUTE_MS).0;
        assert!(later > 7_500, "{later}");
    }
}

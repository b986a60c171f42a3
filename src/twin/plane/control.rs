//! What the control plane does to the data plane. Each call takes effect at the plane's present moment.

use super::config::{LastResult, MappingConfig, ShardView, TableConfig};
use super::function::Function;
use super::reader::Mapping;
use super::rng::Rng;
use super::stream::Stream;
use super::stream_metrics::Level;
use super::table::{Api, Draw, Table, Throttle};
use super::totals::MappingTotals;
use super::{Event, Plane};
use crate::twin::world::FunctionModel;

impl Plane {
    /// Opens a stream with even shards. Does nothing when it exists.
    pub fn create_stream(&mut self, name: &str, shards: u32, retention_hours: u32) {
        if self.streams.get(name).is_some() {
            return;
        }
        let stream = Stream::new(name, shards, retention_hours, &mut self.metrics, self.now_ms);
        self.streams.insert(name, stream);
        self.totals.streams.entry(name.to_owned()).or_default();
        self.meet_outside(name);
        let attached: Vec<u32> = self.on_stream(name);
        for mapping in attached {
            self.attach(mapping);
        }
    }

    /// Removes a stream with its records; what a mapping had not delivered counts as expired.
    pub fn delete_stream(&mut self, name: &str) {
        let Some(stream) = self.streams.remove(name) else { return };
        self.payload_bytes = self.payload_bytes.saturating_sub(stream.payload_memory());
        for id in self.on_stream(name) {
            let Some(mapping) = self.mappings.get_mut(id) else { continue };
            let waiting = mapping.waiting(&stream);
            mapping.readers.clear();
            match &mapping.uuid {
                None => {
                    self.mappings.remove(id);
                }
                Some(uuid) => {
                    if let Some(totals) = self.totals.mappings.get_mut(uuid) {
                        totals.expired += waiting;
                    }
                }
            }
        }
    }

    /// Changes the retention. A shorter one drops older records at the end of the minute.
    pub fn set_retention(&mut self, name: &str, hours: u32) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.set_retention(hours);
        }
    }

    /// Closes all open shards and opens `target` even ones, now.
    pub fn reshard(&mut self, name: &str, target: u32) {
        self.change_shards(name, |stream, now| stream.reshard(target, now));
    }

    /// Splits a shard; the second child begins at hash key `second_start`. Nothing happens when the shard is
    /// closed or the key is not inside it.
    pub fn split_shard(&mut self, name: &str, shard: u32, second_start: u128) {
        self.change_shards(name, |stream, now| _ = stream.split(shard, second_start, now));
    }

    /// Merges two open shards. Their ranges must be adjacent: the caller has looked.
    pub fn merge_shards(&mut self, name: &str, shard: u32, adjacent: u32) {
        self.change_shards(name, |stream, now| _ = stream.merge(shard, adjacent, now));
    }

    /// Splits in the middle each open shard that stored more than this a second in the last `seconds`, until
    /// `most` shards are open. Returns the open shards.
    pub fn split_busy(&mut self, name: &str, seconds: u64, bytes: u64, records: u64, most: u32) -> u32 {
        let Some(stream) = self.streams.get_mut(name) else { return 0 };
        let busy = stream.busy(seconds, bytes, records);
        let mut open = stream.shards().values().filter(|shard| shard.is_open()).count() as u32;
        let ranges = |number: u32| stream.shards().get(number).map(|shard| (number, shard.range()));
        let wanted: Vec<_> = busy.into_iter().filter_map(ranges).collect();
        for (number, (start, end)) in wanted {
            if open < most && end > start {
                self.split_shard(name, number, start + (end - start) / 2 + 1);
                open += 1;
            }
        }
        open
    }

    fn change_shards(&mut self, name: &str, change: impl FnOnce(&mut Stream, i64)) {
        let now = self.now_ms;
        let Some(stream) = self.streams.get_mut(name) else { return };
        change(stream, now);
        stream.set_levels(&mut self.metrics);
        for id in self.on_stream(name) {
            if let (Some(mapping), Some(stream)) = (self.mappings.get_mut(id), self.streams.get(name)) {
                mapping.add_shards(stream);
                // Tumbling windows end with their shard.
                for (shard, _) in mapping.readers.iter().filter(|_| mapping.config.tumbling_ms > 0) {
                    self.agenda.add(now, Event::Wake(id, shard));
                }
            }
            self.settle(id);
        }
    }

    /// Switches shard-level metrics on (those named, by CloudWatch's names) and all others off.
    pub fn monitor_shards(&mut self, name: &str, metrics: &[&str]) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.levels = metrics.iter().filter_map(|metric| Level::named(metric)).collect();
        stream.set_levels(&mut self.metrics);
    }

    /// A fan-out consumer is gone: its pipe is forgotten.
    pub fn forget_consumer(&mut self, name: &str, consumer: &str) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.forget_consumer(consumer);
        }
    }

    /// The shards of a stream, open ones and those inside retention, in order of their ids.
    pub fn shards(&self, name: &str) -> Vec<ShardView> {
        self.streams.get(name).map(Stream::views).unwrap_or_default()
    }

    /// One shard of a stream.
    pub fn shard(&self, name: &str, number: u32) -> Option<ShardView> {
        Some(self.streams.get(name)?.shards().get(number)?.view(number))
    }

    /// Creates or updates a mapping. Of an existing one, stream and starting position stay as they are.
    pub fn put_mapping(&mut self, uuid: &str, mut config: MappingConfig) {
        config.parallelization_factor = config.parallelization_factor.max(1);
        config.batch_size = config.batch_size.max(1);
        let existing = self.mappings.iter().find(|(_, mapping)| mapping.uuid.as_deref() == Some(uuid));
        let id = if let Some((id, _)) = existing {
            self.update_mapping(id, config);
            id
        } else {
            let function = config.function.clone();
            let totals = self.totals.mappings.entry(uuid.to_owned());
            totals.or_insert_with(|| MappingTotals { function, ..MappingTotals::default() });
            let id = self.next_mapping;
            self.next_mapping += 1;
            let rng = Rng::new(self.seed, &format!("mapping/{uuid}"));
            let numbers = (self.streams.number(&config.stream), self.functions.number(&config.function));
            self.mappings.insert(id, Mapping::new(Some(uuid), config, numbers, rng));
            self.attach(id);
            id
        };
        if let Some(mapping) = self.mappings.get_mut(id) {
            mapping.count_events(&mut self.metrics);
            let (name, qualifier) = (&mapping.config.function, mapping.config.qualifier.as_ref());
            if let (Some(function), Some(qualifier)) = (self.functions.at_mut(mapping.function), qualifier) {
                function.qualify(name, qualifier, &mut self.metrics);
            }
        }
        self.pump_all(id);
    }

    /// What came of a mapping's latest attempt to invoke its function.
    pub fn last_result(&self, uuid: &str) -> LastResult {
        let mut mappings = self.mappings.values();
        let found = mappings.find(|mapping| mapping.uuid.as_deref() == Some(uuid));
        found.map(|mapping| mapping.last).unwrap_or_default()
    }

    /// Adds a function, or replaces its behaviour.
    pub fn put_function(&mut self, name: &str, model: &FunctionModel, racers: u32) {
        let of = (self.seed, self.origin);
        let mut function = Function::new(name, model, racers, of, &mut self.tables, &mut self.metrics);
        function.running = self.functions.get(name).map_or(0, |before| before.running);
        for mapping in self.mappings.values().filter(|mapping| mapping.config.function == name) {
            if let Some(qualifier) = &mapping.config.qualifier {
                function.qualify(name, qualifier, &mut self.metrics);
            }
        }
        self.functions.insert(name, function);
        self.totals.functions.entry(name.to_owned()).or_default();
    }

    /// Changes a function's timeout (seconds) and memory (MB), for invocations from now on.
    pub fn set_function(&mut self, name: &str, timeout_seconds: u32, memory_mb: u32) {
        if let Some(function) = self.functions.get_mut(name) {
            function.set(timeout_seconds, memory_mb);
        }
    }

    /// Removes a function: its invocations in flight fail, and mappings cannot invoke it.
    pub fn remove_function(&mut self, name: &str) {
        self.functions.remove(name);
    }

    /// Removes a mapping; invocations in flight end without effect on it.
    pub fn remove_mapping(&mut self, uuid: &str) {
        self.mappings.retain(|_, mapping| mapping.uuid.as_deref() != Some(uuid));
    }

    /// Sets or clears a function's reserved concurrency.
    pub fn set_reserved_concurrency(&mut self, function: &str, value: Option<u32>) {
        if let Some(function) = self.functions.get_mut(function) {
            function.reserved = value;
        }
    }

    /// Creates a table, with full burst credit. Does nothing when it exists.
    #[allow(clippy::needless_pass_by_value, reason = "the caller is done with it")]
    pub fn create_table(&mut self, name: &str, table: TableConfig) {
        if self.tables.get(name).is_none() {
            let created = Table::new(name, &table, self.table_quota, &mut self.metrics, self.now_ms);
            self.tables.insert(name, created);
            self.totals.tables.entry(name.to_owned()).or_default();
        }
    }

    /// Changes the capacity of a table, or of one of its indexes. Credit above the new cap is lost.
    pub fn set_capacity(&mut self, table: &str, index: Option<&str>, read: u64, write: u64) {
        if let Some(table) = self.tables.get_mut(table) {
            table.set_capacity(index, read, write, self.now_ms);
        }
    }

    /// Switches a table and its indexes between on-demand and provisioned.
    pub fn set_on_demand(&mut self, table: &str, on_demand: bool) {
        if let Some(table) = self.tables.get_mut(table) {
            table.set_on_demand(on_demand, self.now_ms);
        }
    }

    /// Adds a global secondary index, with full burst credit.
    pub fn add_index(&mut self, table: &str, index: &str, read: u64, write: u64) {
        if let Some(found) = self.tables.get_mut(table) {
            found.add_index(table, index, (read, write), &mut self.metrics, self.now_ms);
        }
    }

    /// A global secondary index is being built until `until_ms`.
    pub(in crate::twin) fn build_index(&mut self, table: &str, index: &str, until_ms: i64) {
        if let Some(found) = self.tables.get_mut(table) {
            found.build_index(table, index, self.now_ms, until_ms, &mut self.metrics);
        }
    }

    /// On-demand maxima and warm throughput of a table or index, each (read, write) in units per second.
    pub(in crate::twin) fn set_on_demand_limits(
        &mut self,
        table: &str,
        index: Option<&str>,
        maximum: (Option<u64>, Option<u64>),
        warm: (u64, u64),
    ) {
        if let Some(table) = self.tables.get_mut(table) {
            table.set_on_demand_limits(index, maximum, warm, self.now_ms);
        }
    }

    /// The account's quotas of units per second, for one table and for all; for tables created later.
    pub(in crate::twin) fn set_table_quotas(&mut self, table: u64, account: u64) {
        (self.table_quota, self.account_quota) = (table, account);
    }

    /// Consumes for one item of a request over the wire, or says everything that refuses it. A table the plane
    /// does not have refuses nothing.
    pub(in crate::twin) fn draw(&mut self, table: &str, draw: Draw) -> Result<(), Vec<Throttle>> {
        match (self.tables.get_mut(table), self.totals.tables.get_mut(table)) {
            (Some(table), Some(totals)) => table.draw(draw, self.now_ms, &mut self.metrics, totals),
            _ => Ok(()),
        }
    }

    /// Notes a request over the wire: what it took in milliseconds, or that all of it was throttled.
    pub(in crate::twin) fn count_request(&mut self, table: &str, api: Api, latency_ms: Option<u32>) {
        if let Some(table) = self.tables.get(table) {
            table.count(api, latency_ms, self.now_ms, &mut self.metrics);
        }
    }

    /// Adds one sample to a metric that has no series kept at hand.
    pub(in crate::twin) fn note(&mut self, namespace: &str, metric: &str, dims: &[(&str, &str)], value: f64) {
        let series = self.metrics.series(namespace, metric, dims);
        self.metrics.add(series, self.now_ms, value, 1);
    }

    /// Removes a global secondary index.
    pub fn remove_index(&mut self, table: &str, index: &str) {
        if let Some(table) = self.tables.get_mut(table) {
            table.remove_index(index);
        }
    }

    /// Removes a table: requests to it fail.
    pub fn delete_table(&mut self, name: &str) {
        self.tables.remove(name);
    }

    /// Mappings and external readers of a stream.
    fn on_stream(&self, name: &str) -> Vec<u32> {
        let on = |(id, mapping): (u32, &Mapping)| (mapping.config.stream == name).then_some(id);
        self.mappings.iter().filter_map(on).collect()
    }

    /// A mapping takes its positions on the stream, when that exists.
    pub(super) fn attach(&mut self, id: u32) {
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let Some(stream) = self.streams.at(mapping.stream) else { return };
        let (held, skipped) = mapping.attach(stream);
        if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
            let accepted = self.totals.streams.get(&mapping.config.stream).map_or(0, |totals| totals.accepted);
            mapping.expected = totals.accounted() as i64 + held as i64 - accepted as i64;
            totals.skipped += skipped;
        }
        self.settle(id);
    }

    fn update_mapping(&mut self, id: u32, config: MappingConfig) {
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let stream = mapping.config.stream.clone();
        mapping.function = self.functions.number(&config.function);
        mapping.config = MappingConfig { stream, starting_position: mapping.config.starting_position, ..config };
        for reader in mapping.readers.values_mut() {
            reader.poll = None;
            reader.slots.iter_mut().for_each(|slot| slot.wake = None);
        }
    }

    /// Lets readers of drained shards end and those of their children begin.
    pub(super) fn settle(&mut self, id: u32) {
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let Some(stream) = self.streams.at(mapping.stream) else { return };
        for shard in mapping.settle(stream) {
            self.agenda.add(self.now_ms, Event::Wake(id, shard));
        }
    }

    fn pump_all(&mut self, id: u32) {
        let shards: Vec<u32> = self
            .mappings
            .get(id)
            .map(|mapping| mapping.readers.iter().map(|(shard, _)| shard).collect())
            .unwrap_or_default();
        for shard in shards {
            self.pump(id, shard);
        }
    }
}

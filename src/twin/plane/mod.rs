//! The twin's data plane: producers → shards → pollers → functions → tables, and the metrics of it all.
//!
//! A discrete-event model without clock, I/O or outside randomness. Every change of state happens at an
//! event's own time, so advancing once or in a thousand pieces gives the same bytes.

mod config;
mod metrics;
mod rng;
mod totals;

use serde::{Deserialize, Serialize};

pub use config::{MappingConfig, ShardView, Start, TableConfig};
pub use metrics::{MINUTE_MS, MetricStore, Stat};
pub use totals::{FunctionTotals, MappingTotals, StreamTotals, TableTotals, Totals};

use crate::twin::World;

/// The data plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plane {
    now_ms: i64,
    metrics: MetricStore,
    totals: Totals,
}

#[allow(unused_variables, clippy::unused_self, clippy::needless_pass_by_value, clippy::needless_pass_by_ref_mut)]
impl Plane {
    /// The plane of this world at its start, without stream, mapping or table.
    pub fn new(world: &World, seed: u64) -> Self {
        Self {
            now_ms: world.start.as_millisecond(),
            metrics: MetricStore::default(),
            totals: Totals::default(),
        }
    }
    /// The moment up to which everything has happened (exclusive), in epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }
    /// Lets everything before `to_ms` happen. Does nothing when that is in the past.
    pub fn advance(&mut self, to_ms: i64) {
        self.now_ms = self.now_ms.max(to_ms);
    }
    /// Opens a stream with even shards. Does nothing when it exists.
    pub fn create_stream(&mut self, name: &str, shards: u32, retention_hours: u32) {}
    /// Removes a stream with its records.
    pub fn delete_stream(&mut self, name: &str) {}
    /// Changes the retention.
    pub fn set_retention(&mut self, name: &str, hours: u32) {}
    /// Closes all open shards and opens `target` even ones, now.
    pub fn reshard(&mut self, name: &str, target: u32) {}
    /// The shards of a stream, open ones and those that still hold records, in order of their ids.
    pub fn shards(&self, name: &str) -> Vec<ShardView> {
        Vec::new()
    }
    /// Creates or updates a mapping.
    pub fn put_mapping(&mut self, uuid: &str, config: MappingConfig) {}
    /// Removes a mapping; invocations in flight end without effect on it.
    pub fn remove_mapping(&mut self, uuid: &str) {}
    /// Sets or clears a function's reserved concurrency.
    pub fn set_reserved_concurrency(&mut self, function: &str, value: Option<u32>) {}
    /// Creates a table, with full burst credit. Does nothing when it exists.
    pub fn create_table(&mut self, name: &str, table: TableConfig) {}
    /// Changes the capacity of a table, or of one of its indexes.
    pub fn set_capacity(&mut self, table: &str, index: Option<&str>, read: u64, write: u64) {}
    /// Switches a table and its indexes between on-demand and provisioned.
    pub fn set_on_demand(&mut self, table: &str, on_demand: bool) {}
    /// Adds a global secondary index, with full burst credit.
    pub fn add_index(&mut self, table: &str, index: &str, read: u64, write: u64) {}
    /// Removes a global secondary index.
    pub fn remove_index(&mut self, table: &str, index: &str) {}
    /// Removes a table.
    pub fn delete_table(&mut self, name: &str) {}
    /// The metrics so far.
    pub fn metrics(&self) -> &MetricStore {
        &self.metrics
    }
    /// The counters so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
    /// Checks that no record was made up or lost.
    ///
    /// # Errors
    /// The equation that does not hold, with its numbers.
    pub fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

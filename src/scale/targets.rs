//! `Targets`: what the sizing wants each resource to be, with every term that led there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    diagnose::Way,
    model::{BatchSize, BillingMode, CapacityUnits, Hours, ParallelizationFactor, ResourceId, ShardCount, StreamMode},
};

/// One wanted value and the sentence that explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target<T> {
    /// The value for this cycle: after bounds, guards and interlocks. Equal to the live value: no change.
    pub value: T,
    /// Why, in words with numbers.
    pub reason: String,
}

/// Wanted values of all scaled fields. A field without an entry keeps its live value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// Open shards.
    pub shards: Option<Target<ShardCount>>,
    /// One shard to be split, when UpdateShardCount is used up.
    #[serde(default)]
    pub split: Option<Target<Split>>,
    /// The stream's capacity mode: break-glass when UpdateShardCount is used up, and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Target<StreamMode>>,
    /// A longer retention, before records are lost.
    #[serde(default)]
    pub retention: Option<Target<Hours>>,
    /// By consumer name.
    pub consumers: BTreeMap<String, ConsumerTargets>,
    /// By table name.
    pub tables: BTreeMap<String, TableTargets>,
}

/// Where a shard is split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Split {
    /// The shard.
    pub shard: String,
    /// First hash key of its second half, decimal.
    pub new_hash_key: String,
}

/// Wanted values of one consumer's mapping.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerTargets {
    /// Concurrent batches per shard.
    pub parallelization_factor: Option<Target<ParallelizationFactor>>,
    /// Records per batch.
    pub batch_size: Option<Target<BatchSize>>,
    /// Polling or enhanced fan-out, for a consumer whose `delivery` is `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Target<Way>>,
}

/// Wanted capacity of one table and its indexes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableTargets {
    /// Another billing mode, of a table with `billingMode: auto`. To provisioned, the capacities are those it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Target<BillingMode>>,
    /// The table's own.
    pub table: CapacityTarget,
    /// By index name.
    pub indexes: BTreeMap<String, CapacityTarget>,
}

impl TableTargets {
    /// The targets of the table, or of the index that this is.
    pub(super) fn part(&mut self, id: &ResourceId) -> &mut CapacityTarget {
        match id {
            ResourceId::Index(_, index) => self.indexes.entry(index.clone()).or_default(),
            _ => &mut self.table,
        }
    }
}

/// Wanted throughput. Both numbers travel in one UpdateTable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityTarget {
    /// Write capacity units.
    pub write: Option<Target<CapacityUnits>>,
    /// Read capacity units.
    pub read: Option<Target<CapacityUnits>>,
}

/// One term of the sizing formulas, kept for the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Name as in the docs, e.g. `S_in`.
    pub name: String,
    /// Value.
    pub value: f64,
}

/// Why something wanted was not done this cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which resource.
    pub resource: ResourceId,
    /// Which guard held it, e.g. `stabilization`, `quota`, `in-transition`, `blind`, `sink-first`.
    pub guard: String,
    /// In words with numbers.
    pub reason: String,
    /// When it may be tried again, if known.
    pub until: Option<Timestamp>,
}

/// The result of one sizing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// What to set now.
    pub targets: Targets,
    /// What was wanted and held back.
    pub holds: Vec<Hold>,
    /// Every term of the formulas.
    pub terms: Vec<Term>,
}

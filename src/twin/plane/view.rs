//! The truth about mappings and tables at this moment, for those who judge a run. Reading changes nothing.

use std::collections::BTreeMap;

use super::Plane;
use super::reader::{Mapping, Reader, State};
use super::stream::{Shard, Stream};

/// An event source mapping as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingView {
    /// UUID.
    pub uuid: String,
    /// Slots per shard.
    pub parallelization_factor: u32,
    /// Whether it reads through a fan-out consumer.
    pub fan_out: bool,
    /// Records it is not done with.
    pub waiting: u64,
    /// When the oldest of them arrived, in epoch milliseconds.
    pub oldest_ms: Option<i64>,
}

/// The throughput of a table or of a global secondary index as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkView {
    /// Provisioned write units per second; 0 while on demand.
    pub write: u64,
    /// Provisioned read units per second; 0 while on demand.
    pub read: u64,
    /// Whether it is billed by request.
    pub on_demand: bool,
}

impl Plane {
    /// The mappings from a stream to a function, the oldest one first.
    pub fn mappings_of(&self, stream: &str, function: &str) -> Vec<MappingView> {
        let ours = self.mappings.values().filter(|it| it.config.stream == stream && it.config.function == function);
        ours.filter_map(|mapping| {
            let stream = self.streams.at(mapping.stream);
            Some(MappingView {
                uuid: mapping.uuid.clone()?,
                parallelization_factor: mapping.config.parallelization_factor,
                fan_out: mapping.config.consumer.is_some(),
                waiting: stream.map_or(0, |stream| mapping.waiting(stream)),
                oldest_ms: stream.and_then(|stream| mapping.oldest(stream)),
            })
        })
        .collect()
    }

    /// The tables and their global secondary indexes (with their names).
    pub fn sinks(&self) -> BTreeMap<(String, Option<String>), SinkView> {
        let mut sinks = BTreeMap::new();
        for (name, number) in self.tables.names() {
            let Some(table) = self.tables.at(number) else { continue };
            sinks.extend(table.sinks().map(|(index, view)| ((name.clone(), index), view)));
        }
        sinks
    }

    /// Open shards of a stream.
    pub fn open_shards(&self, stream: &str) -> u32 {
        let open = |stream: &Stream| stream.shards().values().filter(|shard| shard.is_open()).count();
        self.streams.get(stream).map_or(0, open) as u32
    }
}

impl Mapping {
    /// Arrival of the oldest record it is not done with.
    fn oldest(&self, stream: &Stream) -> Option<i64> {
        let readers = self.readers.iter().filter(|(_, reader)| reader.state != State::Done);
        readers.filter_map(|(number, reader)| reader.oldest(stream.shards().get(number))).min()
    }
}

impl Reader {
    fn oldest(&self, shard: Option<&Shard>) -> Option<i64> {
        let held = self.slots.iter().flat_map(|slot| {
            let batch = slot.batch.as_ref().and_then(|batch| batch.pieces.first());
            batch.into_iter().chain(slot.queue.front()).map(|piece| piece.at)
        });
        let ahead = shard.filter(|shard| self.cursor < shard.tip()).and_then(|shard| shard.arrival(self.cursor));
        held.chain(ahead).min()
    }
}

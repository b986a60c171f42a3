//! What the world does to a stream beside producers and mappings: readers that come and go, and calls that fail for
//! reasons of their own.
//!
//! What always holds: failures fall evenly, what rounding takes from one call the next one gets; no chance is drawn.

use serde::{Deserialize, Serialize};

use super::Plane;
use super::config::{MappingConfig, Start};
use super::reader::Mapping;
use super::rng::Rng;
use crate::twin::world::{ExternalReader, StreamCall, StreamFailure};

/// One call, in the unit of fractions that are carried on.
const ONE: u64 = 1_000_000;

/// A reader that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutsideReader {
    stream: String,
    name: String,
    from_ms: i64,
    to_ms: i64,
    /// It is there from the world's start.
    first: bool,
    /// Its mapping, while the stream exists.
    mapping: Option<u32>,
}

impl OutsideReader {
    pub(super) fn new(reader: &ExternalReader, origin: i64) -> Self {
        let at = |seconds: u32| origin + i64::from(seconds) * 1_000;
        Self {
            stream: reader.stream.clone(),
            name: reader.name.clone(),
            from_ms: at(reader.from_seconds),
            to_ms: reader.to_seconds.map_or(i64::MAX, at),
            first: reader.from_seconds == 0,
            mapping: None,
        }
    }

    /// The moments at which it begins and ends, where that is not the world's own.
    pub(super) fn turns(&self) -> Vec<i64> {
        let begin = (!self.first).then_some(self.from_ms);
        begin.into_iter().chain((self.to_ms < i64::MAX).then_some(self.to_ms)).collect()
    }

    fn reads(&self, now: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&now)
    }

    /// Its stand-in configuration.
    fn config(&self, now: i64) -> MappingConfig {
        MappingConfig {
            stream: self.stream.clone(),
            batch_size: 10_000,
            parallelization_factor: 0,
            starting_position: if self.first { Start::TrimHorizon } else { Start::Latest },
            enabled: self.reads(now),
            ..MappingConfig::default()
        }
    }
}

/// Calls that fail, and what rounding has left over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Failures {
    stream: String,
    call: StreamCall,
    from_ms: i64,
    to_ms: i64,
    /// Millionths of the calls.
    share: u64,
    carry: u64,
}

impl Failures {
    pub(super) fn new(failure: &StreamFailure, origin: i64) -> Self {
        let at = |seconds: u32| origin + i64::from(seconds) * 1_000;
        Self {
            stream: failure.stream.clone(),
            call: failure.call,
            from_ms: at(failure.from_seconds),
            to_ms: failure.to_seconds.map_or(i64::MAX, at),
            share: (failure.share.clamp(0.0, 1.0) * ONE as f64).round() as u64,
            carry: 0,
        }
    }
}

/// How many of `count` calls on a stream fail now.
pub(super) fn failing(failures: &mut [Failures], stream: &str, call: StreamCall, now: i64, count: u32) -> u32 {
    let mut left = u64::from(count);
    for failure in failures {
        if failure.call == call && failure.stream == stream && (failure.from_ms..failure.to_ms).contains(&now) {
            failure.carry += left * failure.share;
            left -= (failure.carry / ONE).min(left);
            failure.carry %= ONE;
        }
    }
    count - left as u32
}

impl Plane {
    /// Readers that are not ours find the stream that has just been opened.
    pub(super) fn meet_outside(&mut self, stream: &str) {
        let now = self.now_ms;
        for reader in self.outside.iter_mut().filter(|reader| reader.stream == stream) {
            let rng = Rng::new(self.seed, &format!("external/{stream}/{}", reader.name));
            let of = (self.streams.number(stream), u32::MAX);
            self.mappings.insert(self.next_mapping, Mapping::new(None, reader.config(now), of, rng));
            reader.mapping = Some(self.next_mapping);
            self.next_mapping += 1;
        }
    }

    /// A reader that is not ours begins or ends.
    pub(super) fn turn_outside(&mut self, index: u32) {
        let now = self.now_ms;
        let Some(reader) = self.outside.get(index as usize) else { return };
        let (Some(id), reads) = (reader.mapping, reader.reads(now)) else { return };
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        mapping.config.enabled = reads;
        if reads {
            self.attach(id);
        } else {
            mapping.readers.values_mut().for_each(|reader| reader.poll = None);
        }
    }
}

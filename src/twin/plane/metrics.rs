//! The metrics AWS would publish: one-minute statistics per namespace, metric and dimensions.
//!
//! A minute without a sample has no point: absent is not zero.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Milliseconds of one point.
pub const MINUTE_MS: i64 = 60_000;
/// How long points are kept: longer than anything the operator asks for.
const KEEP_MS: i64 = 24 * 3_600_000;

/// The statistics of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// Sum of the samples.
    pub sum: f64,
    /// Smallest sample.
    pub min: f64,
    /// Largest sample.
    pub max: f64,
    /// Number of samples.
    pub count: u64,
}

/// A series inside the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SeriesId(u32);

/// All series since the start, oldest points dropped after a day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricStore {
    names: BTreeMap<String, SeriesId>,
    series: Vec<VecDeque<(i64, Stat)>>,
}

fn name_of(namespace: &str, metric: &str, dims: &BTreeMap<String, String>) -> String {
    let mut name = format!("{namespace}|{metric}");
    for (key, value) in dims {
        name.push('|');
        name.push_str(key);
        name.push('=');
        name.push_str(value);
    }
    name
}

impl MetricStore {
    /// The points whose minute starts in `[from_ms, to_ms)`, oldest first; the minute is given in epoch
    /// milliseconds. Empty when the series does not exist.
    pub fn get(
        &self,
        namespace: &str,
        metric: &str,
        dims: &BTreeMap<String, String>,
        from_ms: i64,
        to_ms: i64,
    ) -> Vec<(i64, Stat)> {
        let Some(points) = self.names.get(&name_of(namespace, metric, dims)).and_then(|id| self.points(*id)) else {
            return Vec::new();
        };
        let first = points.partition_point(|(minute, _)| *minute < from_ms);
        points.range(first..).take_while(|(minute, _)| *minute < to_ms).copied().collect()
    }

    fn points(&self, id: SeriesId) -> Option<&VecDeque<(i64, Stat)>> {
        self.series.get(id.0 as usize)
    }

    /// The series of this name, created when it is new.
    pub(super) fn series(&mut self, namespace: &str, metric: &str, dims: &[(&str, &str)]) -> SeriesId {
        let dims = dims.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let name = name_of(namespace, metric, &dims);
        let next = SeriesId(u32::try_from(self.series.len()).unwrap_or(u32::MAX));
        let id = *self.names.entry(name).or_insert(next);
        if id == next {
            self.series.push(VecDeque::new());
        }
        id
    }

    /// Adds `times` equal samples at this moment.
    pub(super) fn add(&mut self, id: SeriesId, at_ms: i64, value: f64, times: u64) {
        let sum = value * times as f64;
        self.merge(id, at_ms, Stat { sum, min: value, max: value, count: times });
    }

    /// Adds already summed samples at this moment; nothing when there are none.
    pub(super) fn merge(&mut self, id: SeriesId, at_ms: i64, more: Stat) {
        let Some(points) = self.series.get_mut(id.0 as usize) else { return };
        if more.count == 0 {
            return;
        }
        let minute = at_ms - at_ms.rem_euclid(MINUTE_MS);
        // Nearly every sample falls into the newest minute.
        let newest = points.back().is_some_and(|(last, _)| *last == minute);
        let index = if newest { points.len() - 1 } else { points.partition_point(|(other, _)| *other < minute) };
        match points.get_mut(index) {
            Some((other, stat)) if *other == minute => {
                stat.sum += more.sum;
                stat.min = stat.min.min(more.min);
                stat.max = stat.max.max(more.max);
                stat.count += more.count;
            }
            _ => points.insert(index, (minute, more)),
        }
    }

    /// A zero in this minute when it has no sample yet.
    pub(super) fn zero_if_absent(&mut self, id: SeriesId, minute: i64) {
        let last = self.points(id).and_then(|points| points.back());
        if last.is_none_or(|(other, _)| *other < minute) {
            self.add(id, minute, 0.0, 1);
        }
    }

    /// Drops points older than a day.
    pub(super) fn prune(&mut self, now_ms: i64) {
        for points in &mut self.series {
            while points.front().is_some_and(|(minute, _)| *minute < now_ms - KEEP_MS) {
                points.pop_front();
            }
        }
    }
}

//! The metrics AWS would publish, and those a client put: one-minute statistics per series.
//!
//! A minute without a sample has no point: absent is not zero. The newest hours are plain, older ones packed;
//! minutes are kept for 15 days, then five minutes for 63 days, then hours for 455 days (CloudWatch concepts,
//! "Metrics retention").

#![allow(clippy::float_cmp, reason = "one value seen is the same double twice")]

mod hour;
mod sketch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use hour::Hour;
pub use sketch::Sketch;

/// Milliseconds of one point.
pub const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long one-second points are kept, and minutes unpacked.
const FINE_MS: i64 = 3 * HOUR_MS;
/// (older than, length of a point from then on).
const ROLL_UPS: [(i64, i64); 2] = [(15 * DAY_MS, 5 * MINUTE_MS), (63 * DAY_MS, HOUR_MS)];
const KEEP_MS: i64 = 455 * DAY_MS;
/// Series that clients may add, and the bytes all their points may take: bounds of this program.
const CLIENT_SERIES: usize = 2_000;
const CLIENT_BYTES: usize = 16 << 20;
/// An unpacked point or bucket, generously.
const ENTRY_BYTES: usize = 64;

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

impl Stat {
    /// `times` equal samples.
    pub fn of(value: f64, times: u64) -> Self {
        Self { sum: value * times as f64, min: value, max: value, count: times }
    }

    /// Adds the other's samples.
    pub fn absorb(&mut self, other: &Self) {
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count = self.count.saturating_add(other.count);
    }
}

/// One period of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its start, in epoch milliseconds.
    pub start: i64,
    /// Its statistics.
    pub stat: Stat,
    /// Its samples' distribution, where the series keeps one and all samples are known and not negative.
    pub sketch: Option<Sketch>,
}

impl Point {
    /// A period of samples known only by their statistics: with a distribution when they are all equal.
    fn of(start: i64, stat: Stat, distribution: bool) -> Self {
        let sketch = (distribution && stat.min == stat.max && stat.min >= 0.0).then(|| {
            let mut sketch = Sketch::default();
            sketch.add(stat.min, stat.count);
            sketch
        });
        Self { start, stat, sketch }
    }

    /// Adds `times` equal samples.
    #[inline]
    fn take(&mut self, value: f64, times: u64) {
        self.stat.sum += value * times as f64;
        self.stat.min = self.stat.min.min(value);
        self.stat.max = self.stat.max.max(value);
        self.stat.count = self.stat.count.saturating_add(times);
        match &mut self.sketch {
            Some(sketch) if value >= 0.0 => sketch.add(value, times),
            sketch => *sketch = None,
        }
    }

    /// Adds the other's samples; the start stays.
    pub fn absorb(&mut self, other: &Self) {
        self.stat.absorb(&other.stat);
        self.sketch = match (self.sketch.take(), &other.sketch) {
            (Some(mut sketch), Some(more)) => {
                sketch.absorb(more);
                Some(sketch)
            }
            _ => None,
        };
    }
}

/// Adds a point to those of its start, in order.
fn absorb_at(points: &mut VecDeque<Point>, more: Point) {
    // Nearly every sample falls into the newest period.
    let newest = points.back().is_some_and(|last| last.start == more.start);
    let index = if newest { points.len() - 1 } else { points.partition_point(|other| other.start < more.start) };
    match points.get_mut(index) {
        Some(other) if other.start == more.start => other.absorb(&more),
        _ => points.insert(index, more),
    }
}

/// What names a series. Clients' series differ by unit too; AWS's own have an empty one here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// E.g. `AWS/Kinesis`.
    pub namespace: String,
    /// E.g. `IncomingRecords`.
    pub metric: String,
    /// All dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// As published by a client.
    pub unit: String,
}

/// A series inside the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct SeriesId(u32);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Series {
    /// Put by a client.
    client: bool,
    /// Keeps distributions.
    distribution: bool,
    /// When its first sample came.
    since: Option<i64>,
    packed: VecDeque<Hour>,
    recent: VecDeque<Point>,
    /// The newest minute, which nearly every sample falls into; apart, so that those of all series lie together.
    newest: Option<Point>,
    /// One-second points of clients' high-resolution metrics.
    fine: VecDeque<Point>,
}

/// What a reader wants to know of a series besides its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Put by a client, not published by AWS.
    pub client: bool,
    /// When its first sample came, in epoch milliseconds.
    pub since: i64,
    /// Start of its newest point.
    pub last: i64,
}

impl Series {
    /// Adds samples at `at_ms` that arrive at `now_ms`. Apart from the usual way, which stays short.
    #[inline(never)]
    fn add(&mut self, now_ms: i64, at_ms: i64, stat: Stat) {
        self.since.get_or_insert(now_ms);
        let start = at_ms - at_ms.rem_euclid(MINUTE_MS);
        if self.packed.back().is_none_or(|hour| start >= hour.end()) {
            let point = Point::of(start, stat, self.distribution);
            return match &mut self.newest {
                Some(newest) if newest.start == start => newest.absorb(&point),
                Some(newest) if newest.start > start => absorb_at(&mut self.recent, point),
                newest => self.recent.extend(newest.replace(point)),
            };
        }
        let point = Point::of(start, stat, self.distribution);
        let hour = start - start.rem_euclid(HOUR_MS);
        let index = self.packed.partition_point(|other| other.start < hour);
        match self.packed.get_mut(index) {
            Some(other) if other.start == hour => *other = other.with(point),
            _ => self.packed.insert(index, Hour::pack(hour, MINUTE_MS, [&point])),
        }
    }

    fn prune(&mut self, now: i64) {
        let old = |start: i64| start - start.rem_euclid(HOUR_MS) + HOUR_MS + FINE_MS <= now;
        if self.newest.as_ref().is_some_and(|newest| old(newest.start)) {
            self.recent.extend(self.newest.take());
        }
        while let Some(first) = self.recent.front() {
            let hour = first.start - first.start.rem_euclid(HOUR_MS);
            if !old(hour) {
                break;
            }
            let length = self.recent.partition_point(|point| point.start < hour + HOUR_MS);
            let points: Vec<Point> = self.recent.drain(..length).collect();
            self.packed.push_back(Hour::pack(hour, MINUTE_MS, &points));
        }
        while self.fine.front().is_some_and(|point| point.start + FINE_MS < now) {
            self.fine.pop_front();
        }
        if now.rem_euclid(HOUR_MS) != 0 {
            return;
        }
        for (age, resolution) in ROLL_UPS {
            // Older hours have longer points.
            let first = self.packed.partition_point(|hour| hour.resolution >= resolution);
            for hour in self.packed.range_mut(first..).take_while(|hour| hour.end() + age <= now) {
                *hour = hour.rolled_up(resolution);
            }
        }
        while self.packed.front().is_some_and(|hour| hour.end() + KEEP_MS <= now) {
            self.packed.pop_front();
        }
    }

    /// (length in milliseconds, point) for starts in `[from, to)`.
    fn points(&self, from: i64, to: i64) -> Vec<(i64, Point)> {
        let first = self.packed.partition_point(|hour| hour.end() <= from);
        let packed = self.packed.range(first..).take_while(|hour| hour.start < to);
        let packed = packed.flat_map(|hour| hour.unpack().into_iter().map(|point| (hour.resolution, point)));
        let first = self.recent.partition_point(|point| point.start < from);
        let recent = self.recent.range(first..).chain(&self.newest).map(|point| (MINUTE_MS, point.clone()));
        packed.chain(recent).filter(|(_, point)| (from..to).contains(&point.start)).collect()
    }

    fn last(&self) -> Option<i64> {
        let packed = || self.packed.back()?.unpack().last().map(|point| point.start);
        self.newest.as_ref().map(|point| point.start).or_else(packed)
    }

    fn size(&self) -> usize {
        let buckets = |point: &Point| 1 + point.sketch.as_ref().map_or(0, |sketch| sketch.0.len());
        let plain: usize = self.recent.iter().chain(&self.newest).chain(&self.fine).map(buckets).sum();
        plain * ENTRY_BYTES + self.packed.iter().map(|hour| hour.size() + ENTRY_BYTES).sum::<usize>()
    }
}

/// All series since the start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricStore {
    names: BTreeSet<(Name, SeriesId)>,
    series: Vec<Series>,
    /// Bytes that clients' points took when last counted, and an upper bound of what came since.
    client_bytes: usize,
}

/// AWS's metrics whose percentiles are asked for; a client's metric always keeps its distribution.
fn keeps_distribution(metric: &str) -> bool {
    metric == "Duration" || metric == "IteratorAge" || metric.ends_with("Latency")
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
        let found = self.find(namespace, metric, dims).flat_map(|name| self.points(name, from_ms, to_ms));
        found.map(|(_, point)| (point.start, point.stat)).collect()
    }

    /// The series of this metric: one, or one for each unit a client used.
    pub fn find<'a>(
        &'a self,
        namespace: &str,
        metric: &str,
        dims: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a Name> {
        let (namespace, metric, dimensions) = (namespace.to_owned(), metric.to_owned(), dims.clone());
        let from = Name { namespace, metric, dimensions, unit: String::new() };
        let wanted = from.clone();
        let names = self.names.range((from, SeriesId(0))..).map(|(name, _)| name);
        names.take_while(move |name| Name { unit: String::new(), ..(*name).clone() } == wanted)
    }

    /// All series that ever had a sample, in order of their names.
    pub fn names(&self) -> impl Iterator<Item = (&Name, Seen)> {
        self.names.iter().filter_map(|(name, _)| Some((name, self.seen(name)?)))
    }

    /// What is known of a series; `None` before its first sample.
    pub fn seen(&self, name: &Name) -> Option<Seen> {
        let series = self.of(name)?;
        Some(Seen { client: series.client, since: series.since?, last: series.last()? })
    }

    /// (length in milliseconds, point), oldest first, for starts in `[from_ms, to_ms)`.
    pub fn points(&self, name: &Name, from_ms: i64, to_ms: i64) -> Vec<(i64, Point)> {
        self.of(name).map(|series| series.points(from_ms, to_ms)).unwrap_or_default()
    }

    /// The one-second points of the last three hours of a client's high-resolution metric.
    pub fn fine(&self, name: &Name, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Point> {
        let points = self.of(name).into_iter().flat_map(|series| &series.fine);
        points.filter(move |point| (from_ms..to_ms).contains(&point.start))
    }

    fn of(&self, name: &Name) -> Option<&Series> {
        self.series.get(self.id(name)?.0 as usize)
    }

    fn id(&self, name: &Name) -> Option<SeriesId> {
        let (found, id) = self.names.range((name.clone(), SeriesId(0))..).next()?;
        (found == name).then_some(*id)
    }

    fn create(&mut self, name: Name, client: bool) -> SeriesId {
        let distribution = client || keeps_distribution(&name.metric);
        if let Some(id) = self.id(&name) {
            return id;
        }
        let id = SeriesId(u32::try_from(self.series.len()).unwrap_or(u32::MAX));
        self.names.insert((name, id));
        self.series.push(Series { client, distribution, ..Series::default() });
        id
    }

    /// The series of this name, created when it is new.
    pub(super) fn series(&mut self, namespace: &str, metric: &str, dims: &[(&str, &str)]) -> SeriesId {
        let dimensions = dims.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (namespace, metric) = (namespace.to_owned(), metric.to_owned());
        self.create(Name { namespace, metric, dimensions, unit: String::new() }, false)
    }

    /// Whether there is room for a client's `series` new series and `entries` new points or buckets.
    pub(in crate::twin) fn has_room(&mut self, series: usize, entries: usize) -> bool {
        let clients = || self.series.iter().filter(|series| series.client);
        if clients().count() + series > CLIENT_SERIES {
            return false;
        }
        let more = entries * ENTRY_BYTES;
        if self.client_bytes + more > CLIENT_BYTES {
            self.client_bytes = clients().map(Series::size).sum();
        }
        self.client_bytes + more <= CLIENT_BYTES
    }

    /// A client's samples at `at_ms`, arriving at `now_ms`; with one-second points too when `fine`.
    pub(in crate::twin) fn put(&mut self, name: Name, now_ms: i64, at_ms: i64, samples: &[Stat], fine: bool) {
        let SeriesId(index) = self.create(name, true);
        let Some(series) = self.series.get_mut(index as usize) else { return };
        for stat in samples {
            series.add(now_ms, at_ms, *stat);
            if fine && at_ms + FINE_MS >= now_ms {
                let second = at_ms - at_ms.rem_euclid(1_000);
                absorb_at(&mut series.fine, Point::of(second, *stat, true));
            }
        }
        self.client_bytes += samples.len() * (2 + 2 * usize::from(fine)) * ENTRY_BYTES;
    }

    /// Adds `times` equal samples at this moment; nothing when there are none.
    pub(super) fn add(&mut self, id: SeriesId, at_ms: i64, value: f64, times: u64) {
        let Some(series) = self.series.get_mut(id.0 as usize).filter(|_| times > 0) else { return };
        match series.newest.as_mut().filter(|newest| (0..MINUTE_MS).contains(&(at_ms - newest.start))) {
            Some(newest) => newest.take(value, times),
            None => series.add(at_ms, at_ms, Stat::of(value, times)),
        }
    }

    /// A zero in this minute when it has no sample yet.
    pub(super) fn zero_if_absent(&mut self, id: SeriesId, minute: i64) {
        let last = self.series.get(id.0 as usize).and_then(|series| series.newest.as_ref());
        if last.is_none_or(|other| other.start < minute) {
            self.add(id, minute, 0.0, 1);
        }
    }

    /// Packs, rolls up and at last drops what has become old; called at each full minute.
    pub(super) fn prune(&mut self, now_ms: i64) {
        for series in &mut self.series {
            series.prune(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        let (namespace, metric) = ("Own".to_owned(), "m".to_owned());
        Name { namespace, metric, dimensions: BTreeMap::new(), unit: "None".to_owned() }
    }

    #[test]
    fn points_survive_packing_and_roll_up_to_the_same_sums() {
        let mut store = MetricStore::default();
        for minute in 0..120_i64 {
            let samples = [Stat::of(minute as f64 / 8.0, 3), Stat::of(-0.0, 1), Stat::of(1e300, 1)];
            store.put(name(), minute * MINUTE_MS, minute * MINUTE_MS, &samples, false);
        }
        let before = store.points(&name(), 0, i64::MAX);
        assert_eq!(before.len(), 120);
        store.prune(10 * HOUR_MS);
        assert_eq!(store.points(&name(), 0, i64::MAX), before, "packed");
        store.put(name(), 10 * HOUR_MS, 30 * MINUTE_MS, &[Stat::of(5.0, 1)], false);
        assert_eq!(store.points(&name(), 30 * MINUTE_MS, 31 * MINUTE_MS)[0].1.stat.count, 6, "into a packed hour");
        let count = |points: &[(i64, Point)]| points.iter().map(|(_, point)| point.stat.count).sum::<u64>();
        for (days, length, resolution) in [(16, 24, 5 * MINUTE_MS), (64, 2, HOUR_MS)] {
            store.prune(days * DAY_MS);
            let points = store.points(&name(), 0, i64::MAX);
            assert_eq!((points.len(), points[0].0), (length, resolution));
            assert_eq!(count(&points), 601);
        }
        store.prune(456 * DAY_MS);
        assert!(store.points(&name(), 0, i64::MAX).is_empty());
    }

    #[test]
    fn fifteen_days_of_steady_minutes_stay_small() {
        let mut store = MetricStore::default();
        let id = store.series("AWS/Kinesis", "IncomingRecords", &[("StreamName", "s")]);
        for minute in 0..15 * 1_440_i64 {
            store.add(id, minute * MINUTE_MS, (minute % 7) as f64, 60);
            store.prune(minute * MINUTE_MS);
        }
        assert_eq!(store.series[0].points(0, i64::MAX).len(), 15 * 1_440);
        assert!(store.series[0].size() < 256 * 1024, "{}", store.series[0].size());
    }
}

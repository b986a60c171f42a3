//! Arithmetic on signals of one-minute points: the newest minutes, their sums and slopes, the middle of many.
//!
//! What always holds: a minute without a point is left out, never taken for zero; an empty series has no middle.

use jiff::{SignedDuration, Timestamp};

use super::thresholds::STRAIGHT;
use crate::model::Signal;

/// A minute in seconds.
pub(super) const MINUTE: f64 = 60.0;

/// Per-second value now of a signal of minute sums: the higher of the newest and the mean of the newest two.
pub(super) fn now_of(signal: &Signal) -> Option<f64> {
    now_of_points(signal.points.iter().map(|point| point.value))
}

/// [`now_of`] of values, oldest first.
pub(super) fn now_of_points(values: impl DoubleEndedIterator<Item = f64>) -> Option<f64> {
    let mut newest = values.rev();
    let last = newest.next()?;
    let mean = newest.next().map_or(last, |before| f64::midpoint(last, before));
    Some(last.max(mean) / MINUTE)
}

/// Values of the newest `minutes` expected minutes, oldest first; minutes without a point are left out.
pub(super) fn newest(signal: &Signal, newest_expected: Timestamp, minutes: i64) -> Vec<f64> {
    let from = newest_expected - SignedDuration::from_mins(minutes - 1);
    signal.points.iter().filter(|point| point.at >= from).map(|point| point.value).collect()
}

/// Sum of the newest `minutes` expected minutes.
pub(super) fn sum(signal: &Signal, newest_expected: Timestamp, minutes: i64) -> f64 {
    newest(signal, newest_expected, minutes).iter().sum()
}

/// In how many of the newest `minutes` expected minutes there was any.
pub(super) fn busy_minutes(signal: &Signal, newest_expected: Timestamp, minutes: i64) -> usize {
    newest(signal, newest_expected, minutes).iter().filter(|value| **value > 0.0).count()
}

/// Newest minutes in which a signal that is missed must be missing: one or two may only be late.
const MISSED: i64 = 3;
/// Minutes of work that show whether a signal comes with it.
const KNOWN: usize = 5;
/// Share of them in which it must have come: a signal that comes now and then is not missed.
const USUAL: f64 = 0.8;

/// Whether a signal came nearly whenever the other one showed work, and now comes no more although there is work.
pub(super) fn went_missing(signal: &Signal, work: &Signal, newest_expected: Timestamp) -> bool {
    let from = newest_expected - SignedDuration::from_mins(MISSED - 1);
    let Some(last) = signal.last().filter(|last| last.at < from) else { return false };
    let minutes = || work.points.iter().filter(|point| point.value > 0.0).map(|point| point.at);
    let before = minutes().filter(|at| *at <= last.at).count();
    let seen = minutes().filter(|at| *at <= last.at && signal.at(*at).is_some()).count();
    let now = minutes().filter(|at| *at >= from).count();
    before >= KNOWN && ratio(seen as f64, before as f64) >= USUAL && now >= MISSED as usize
}

/// Newest minutes through which the line of a trend is drawn.
const TREND: usize = 5;

/// Change a minute of the newest minutes, when they lie on a line: noise and a single step do not.
pub(super) fn trend(values: &[f64]) -> Option<f64> {
    let newest = values.get(values.len().checked_sub(TREND)?..)?;
    let (middle, level) = ((TREND - 1) as f64 / 2.0, mean(newest));
    let offsets = || newest.iter().enumerate().map(|(at, value)| (at as f64 - middle, value - level));
    let both: f64 = offsets().map(|(x, y)| x * y).sum();
    let (time, spread) = offsets().fold((0.0, 0.0), |(time, spread), (x, y)| (time + x * x, spread + y * y));
    // The share of the ups and downs that the line explains.
    (ratio(both * both, time * spread) >= STRAIGHT.value).then(|| both / time)
}

/// Seconds of age gained per second over the last three minutes, of a signal in ms.
pub(super) fn slope(age: &Signal, newest_expected: Timestamp) -> f64 {
    let values = newest(age, newest_expected, 4);
    match (values.first(), values.last()) {
        (Some(first), Some(last)) if values.len() >= 3 => {
            (last - first) / 1000.0 / (MINUTE * (values.len() - 1) as f64)
        }
        _ => 0.0,
    }
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// A part of a whole; 0 of nothing.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// The value below which a share (0 to 1) of the values lies.
pub(super) fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * share).round() as usize).copied()
}

/// The middle value; the higher of two.
pub fn median(values: Vec<f64>) -> Option<f64> {
    quantile(values, 0.5)
}

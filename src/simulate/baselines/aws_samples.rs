//! The rules of aws-samples/kinesis-auto-scaling (README, `terraform/scale.tf`, `terraform/stream.tf`, `scale.go`).
//!
//! Periods of five minutes. Usage is the greater share of the shards' bytes and records; up when the last 5 of 5
//! periods reach 75 %: twice the shards. Down when 57 of the last 60 are below 25 %: half of them; an iterator age of 30
//! minutes counts as 25 %, and one shard never goes down. A missing period is filled with zero (`FILL(m1,0)`);
//! what lies before the alarms does not count.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{BYTES, Look, RECORDS, stream_metric};
use crate::{
    aws::{MetricQuery, Statistic},
    diagnose::{SHARD_BYTES_PER_SECOND, SHARD_RECORDS_PER_SECOND},
    plan::Step,
    spec::Pipeline,
};

const PERIOD_MINUTES: i64 = 5;
pub(super) const EVERY: SignedDuration = SignedDuration::from_mins(PERIOD_MINUTES);
/// Sixty periods, and what is not published yet.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(65 * PERIOD_MINUTES);
const UP: f64 = 0.75;
const UP_PERIODS: usize = 5;
const DOWN: f64 = 0.25;
const DOWN_PERIODS: usize = 60;
const DOWN_OF_THEM: usize = 57;
const BLOCKING_AGE_MS: f64 = 30.0 * 60_000.0;
const AGE: &str = "GetRecords.IteratorAgeMilliseconds";
/// The alarms look at a period when it should be published.
const DELAY: SignedDuration = SignedDuration::from_mins(2);

pub(super) fn age(pipeline: &Pipeline) -> (String, MetricQuery) {
    (AGE.to_owned(), stream_metric(pipeline, AGE, Statistic::Maximum))
}

/// When its alarms were made: a period before that judges nothing.
#[derive(Debug, Default)]
pub(in crate::simulate) struct State {
    pub(super) since: Option<Timestamp>,
}

impl State {
    pub(super) fn decide(&mut self, look: &Look) -> Option<Step> {
        let since = period(*self.since.get_or_insert(look.now));
        let shards = look.shards()?;
        let newest = period(look.now.saturating_sub(DELAY).unwrap_or(look.now)) - 1;
        let limit = |per_second: f64| per_second * 60.0 * PERIOD_MINUTES as f64 * f64::from(shards);
        let sums = |name: &str| fold(look, name, |sum, value| sum + value);
        let (records, bytes) = (sums(RECORDS), sums(BYTES));
        let ages = fold(look, AGE, f64::max);
        let at = |series: &BTreeMap<i64, f64>, period: i64| series.get(&period).copied().unwrap_or(0.0);
        let usage = |period: i64| {
            let records = at(&records, period) / limit(SHARD_RECORDS_PER_SECOND);
            records.max(at(&bytes, period) / limit(SHARD_BYTES_PER_SECOND))
        };
        let last = |count: usize| (0..count as i64).map(move |back| newest - back).filter(|period| *period >= since);
        if last(UP_PERIODS).filter(|period| usage(*period) >= UP).count() == UP_PERIODS {
            return look.reshard(shards.saturating_mul(2));
        }
        let low = |period: &i64| usage(*period).max(at(&ages, *period) / BLOCKING_AGE_MS * DOWN) < DOWN;
        let down = shards > 1 && last(DOWN_PERIODS).filter(low).count() >= DOWN_OF_THEM;
        if down { look.reshard(shards.div_ceil(2)) } else { None }
    }
}

fn period(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60 * PERIOD_MINUTES)
}

/// A metric by period.
fn fold(look: &Look, name: &str, with: impl Fn(f64, f64) -> f64) -> BTreeMap<i64, f64> {
    let mut periods = BTreeMap::new();
    for point in look.points(name) {
        let value = periods.entry(period(point.at)).or_insert(0.0);
        *value = with(*value, point.value);
    }
    periods
}

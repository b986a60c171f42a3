//! One direction (read or write) of a table or index: what holds a request back, and the metrics of it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use crate::twin::plane::metrics::{MINUTE_MS, MetricStore, SeriesId};

/// Unused capacity kept for bursts, in seconds (developer guide, "Burst and adaptive capacity"). That a new
/// table starts with all of it is an assumption.
const BURST_SECONDS: u64 = 300;
/// Units per second of one partition, which one item collection with a local index never leaves (same page):
/// (read, write).
const KEY_UNITS: (u64, u64) = (3_000, 1_000);
/// Units per second a new on-demand table takes at once (developer guide, "On-demand capacity mode"): (read,
/// write).
const FRESH_UNITS: (u64, u64) = (12_000, 4_000);
/// Time before a peak counts as a previous one (same page).
const RAMP_MS: i64 = 30 * MINUTE_MS;
/// Partition keys remembered before those with full credit are forgotten; forgetting them changes nothing.
const KEYS_KEPT: usize = 10_000;

/// Why a request was refused (developer guide, "Diagnosing throttling").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ThrottleCause {
    /// Provisioned capacity and burst credit are used up.
    ProvisionedThroughput,
    /// One partition is hot, or an on-demand table grows faster than twice its previous peak in 30 minutes.
    KeyRangeThroughput,
    /// The account's limit per table is reached (on-demand).
    AccountLimit,
    /// The maximum that the owner has set is reached (on-demand).
    MaxOnDemandThroughput,
}

impl ThrottleCause {
    pub(super) const ALL: [Self; 4] =
        [Self::ProvisionedThroughput, Self::KeyRangeThroughput, Self::AccountLimit, Self::MaxOnDemandThroughput];

    /// As the metrics and ThrottlingReasons spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProvisionedThroughput => "ProvisionedThroughput",
            Self::KeyRangeThroughput => "KeyRangeThroughput",
            Self::AccountLimit => "AccountLimit",
            Self::MaxOnDemandThroughput => "MaxOnDemandThroughput",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Series {
    consumed: SeriesId,
    throttled: SeriesId,
    provisioned: SeriesId,
    maximum: SeriesId,
    causes: BTreeMap<ThrottleCause, SeriesId>,
}

/// What an on-demand table may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ramp {
    /// Units per second served at once.
    base: u64,
    /// Greatest one-minute average before the last 30 minutes, units per second.
    peak: u64,
    /// (minute, thousandths consumed) of the last 30 minutes.
    recent: VecDeque<(i64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// Provisioned units per second; 0 while on demand.
    pub units: u64,
    on_demand: bool,
    write: bool,
    bucket: Bucket,
    ramp: Ramp,
    /// The account's limit per on-demand table.
    quota: u64,
    quota_bucket: Bucket,
    maximum: Option<(u64, Bucket)>,
    /// Per partition key in recent use.
    keys: BTreeMap<u64, Bucket>,
    series: Series,
}

impl Lane {
    pub fn new(
        metrics: &mut MetricStore,
        write: bool,
        dims: &[(&str, &str)],
        units: u64,
        quota: u64,
        now: i64,
    ) -> Self {
        let direction = if write { "Write" } else { "Read" };
        let mut series = |name: String| metrics.series("AWS/DynamoDB", &name, dims);
        let causes =
            ThrottleCause::ALL.map(|cause| (cause, series(format!("{direction}{}ThrottleEvents", cause.name()))));
        let series = Series {
            consumed: series(format!("Consumed{direction}CapacityUnits")),
            throttled: series(format!("{direction}ThrottleEvents")),
            provisioned: series(format!("Provisioned{direction}CapacityUnits")),
            maximum: series(format!("OnDemandMax{direction}RequestUnits")),
            causes: BTreeMap::from(causes),
        };
        Self {
            units,
            on_demand: false,
            write,
            bucket: Bucket::full(units, BURST_SECONDS, now),
            ramp: Ramp { base: of(FRESH_UNITS, write), peak: 0, recent: VecDeque::new() },
            quota,
            quota_bucket: Bucket::full(quota, 1, now),
            maximum: None,
            keys: BTreeMap::new(),
            series,
        }
    }

    pub fn set_units(&mut self, units: u64, now: i64) {
        self.units = units;
        if !self.on_demand {
            self.bucket.set_rate(units, BURST_SECONDS, now);
        }
    }

    /// Switches the mode. What was provisioned can be served on demand at once (assumption, after "previous
    /// peak" of the developer guide).
    pub fn set_on_demand(&mut self, on_demand: bool, now: i64) {
        if on_demand && !self.on_demand {
            self.ramp.base = self.ramp.base.max(self.units);
            self.bucket = Bucket::full(self.allowed(), 1, now);
        } else if !on_demand {
            self.bucket.set_rate(self.units, BURST_SECONDS, now);
        }
        self.on_demand = on_demand;
    }

    /// The owner's own limit, and what has been warmed up, in units per second.
    pub fn set_on_demand_limits(&mut self, maximum: Option<u64>, warm: u64, now: i64) {
        if self.maximum.as_ref().map(|(units, _)| *units) != maximum {
            self.maximum = maximum.map(|units| (units, Bucket::full(units, 1, now)));
        }
        self.ramp.base = self.ramp.base.max(warm);
        if self.on_demand {
            self.bucket.set_rate(self.allowed(), 1, now);
        }
    }

    fn allowed(&self) -> u64 {
        self.ramp.base.max(self.ramp.peak.saturating_mul(2))
    }

    /// Everything that holds back a request for this partition key now; notes an event for each of its items when
    /// there is any.
    pub fn holds(
        &mut self,
        key: Option<u64>,
        items: u64,
        now: i64,
        metrics: &mut MetricStore,
        held: &mut Vec<ThrottleCause>,
    ) {
        let before = held.len();
        let mut hot = key.is_some_and(|key| !self.key(key, now).admits(now));
        if self.on_demand {
            hot |= !self.bucket.admits(now);
        } else if !self.bucket.admits(now) {
            held.push(ThrottleCause::ProvisionedThroughput);
        }
        if hot {
            held.push(ThrottleCause::KeyRangeThroughput);
        }
        if self.on_demand && !self.quota_bucket.admits(now) {
            held.push(ThrottleCause::AccountLimit);
        }
        if self.on_demand && self.maximum.as_mut().is_some_and(|(_, bucket)| !bucket.admits(now)) {
            held.push(ThrottleCause::MaxOnDemandThroughput);
        }
        for cause in held.get(before..).unwrap_or_default() {
            if let Some(series) = self.series.causes.get(cause) {
                metrics.add(*series, now, 1.0, items);
            }
        }
        if held.len() > before {
            metrics.add(self.series.throttled, now, 1.0, items);
        }
    }

    fn key(&mut self, key: u64, now: i64) -> &mut Bucket {
        if self.keys.len() >= KEYS_KEPT {
            self.keys.retain(|_, bucket| !bucket.is_full(now));
        }
        let rate = of(KEY_UNITS, self.write);
        self.keys.entry(key).or_insert_with(|| Bucket::full(rate, 1, now))
    }

    /// An admitted request consumes.
    pub fn take(&mut self, key: Option<u64>, milli_units: u64, now: i64, metrics: &mut MetricStore) {
        if let Some(key) = key {
            self.key(key, now).take(milli_units);
        }
        self.bucket.take(milli_units);
        if self.on_demand {
            self.quota_bucket.take(milli_units);
            if let Some((_, bucket)) = &mut self.maximum {
                bucket.take(milli_units);
            }
            let minute = now - now.rem_euclid(MINUTE_MS);
            match self.ramp.recent.back_mut() {
                Some((at, sum)) if *at == minute => *sum = sum.saturating_add(milli_units),
                _ => self.ramp.recent.push_back((minute, milli_units)),
            }
        }
        metrics.add(self.series.consumed, now, milli_units as f64 / 1_000.0, 1);
    }

    /// Closes the minute that starts at `minute`: without traffic it reports zero; gauges every five minutes.
    pub fn end_minute(&mut self, minute: i64, now: i64, metrics: &mut MetricStore) {
        metrics.zero_if_absent(self.series.consumed, minute);
        if minute.rem_euclid(5 * MINUTE_MS) == 0 {
            if !self.on_demand {
                metrics.add(self.series.provisioned, minute, self.units as f64, 1);
            } else if let Some((units, _)) = &self.maximum {
                metrics.add(self.series.maximum, minute, *units as f64, 1);
            }
        }
        self.keys.retain(|_, bucket| !bucket.is_full(now));
        while let Some((_, sum)) = self.ramp.recent.front().copied().filter(|(at, _)| *at <= now - RAMP_MS) {
            self.ramp.recent.pop_front();
            self.ramp.peak = self.ramp.peak.max(sum / 60_000);
            if self.on_demand {
                self.bucket.set_rate(self.allowed(), 1, now);
            }
        }
    }
}

fn of(pair: (u64, u64), write: bool) -> u64 {
    if write { pair.1 } else { pair.0 }
}

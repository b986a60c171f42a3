//! Producers: when how many records leave for the stream. They emit once in the world's `stepMs` (an
//! assumption about granularity: records inside one such step are not told apart).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rng::Rng;
use crate::twin::world::{Producer, RatePoint};

/// Distance between the group numbers of two producers.
const GROUPS: u32 = 1_000_000;
/// One record, in the unit of fractions that are carried on.
const ONE: u64 = 1_000_000;

/// What distinguishes records of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Class {
    /// Any record.
    Regular,
    /// The last record of a racer in a race.
    Final,
    /// A record that carries the one hot partition key.
    Hot,
    /// A record of the wire, with a short hash of its partition key.
    Keyed(u16),
}

/// Records that leave together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Burst {
    /// Race, or producer.
    pub group: u32,
    /// Class.
    pub class: Class,
    /// How many.
    pub count: u32,
}

/// A producer and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ProducerState {
    spec: Producer,
    origin: i64,
    first_group: u32,
    rng: Rng,
    /// Messages already due at later steps.
    pending: BTreeMap<i64, Vec<Burst>>,
    carry: u64,
    hot_carry: u64,
    /// Milliseconds of one emission step.
    step_ms: i64,
}

impl ProducerState {
    /// The `index`-th producer of a world that starts at `origin`.
    pub(super) fn new(spec: &Producer, index: u32, origin: i64, seed: u64, step_ms: u32) -> Self {
        Self {
            spec: spec.as_rate(),
            origin,
            first_group: index.saturating_mul(GROUPS),
            rng: Rng::new(seed, &format!("producer/{index}")),
            pending: BTreeMap::new(),
            carry: 0,
            hot_carry: 0,
            step_ms: i64::from(step_ms),
        }
    }

    /// The stream it writes to.
    pub(super) fn stream(&self) -> &str {
        match &self.spec {
            Producer::Racers { stream, .. }
            | Producer::Rate { stream, .. }
            | Producer::Trace { stream, .. }
            | Producer::Wave { stream, .. } => stream,
        }
    }

    /// Bytes of each record.
    pub(super) fn record_bytes(&self) -> u32 {
        self.spec.record_bytes()
    }

    /// The first step.
    pub(super) fn first(&self) -> Option<i64> {
        match &self.spec {
            Producer::Racers { .. } => self.next_second(self.origin),
            Producer::Rate { points, .. } => points.first().map(|point| self.at(point)),
            // `as_rate` has made rates of them.
            Producer::Trace { .. } | Producer::Wave { .. } => None,
        }
    }

    /// What leaves at this step, and when the next one is.
    pub(super) fn step(&mut self, now: i64) -> (Vec<Burst>, Option<i64>) {
        if let Producer::Rate { .. } = &self.spec {
            return self.rate_step(now);
        }
        if self.next_second(now) == Some(now) {
            self.race_second(now);
        }
        let bursts = self.pending.remove(&now).unwrap_or_default();
        let later = self.pending.keys().next().copied();
        let second = self.next_second(now + 1);
        (bursts, [later, second].into_iter().flatten().min())
    }

    /// The first whole second of a race at or after `from`.
    fn next_second(&self, from: i64) -> Option<i64> {
        let Producer::Racers { race_seconds, start_seconds, races, gap_seconds, .. } = &self.spec else { return None };
        let start = self.origin + i64::from(*start_seconds) * 1_000;
        let race = i64::from(*race_seconds);
        let cycle = race + i64::from(*gap_seconds);
        let mut second = if from <= start { 0 } else { (from - start + 999) / 1_000 };
        if second % cycle >= race {
            second = (second / cycle + 1) * cycle;
        }
        (second / cycle < i64::from(*races)).then_some(start + second * 1_000)
    }

    /// Every racer sends one message in the second that starts now, at its own phase.
    fn race_second(&mut self, now: i64) {
        let Producer::Racers { racers, race_seconds, start_seconds, gap_seconds, jitter_ms, .. } = &self.spec else {
            return;
        };
        let second = (now - self.origin) / 1_000 - i64::from(*start_seconds);
        let race = i64::from(*race_seconds);
        let cycle = race + i64::from(*gap_seconds);
        let group = self.first_group + (second / cycle) as u32;
        let class = if second % cycle == race - 1 { Class::Final } else { Class::Regular };
        let mut steps: BTreeMap<i64, u32> = BTreeMap::new();
        for racer in 0..*racers {
            let phase = u64::from(racer) * 1_000 / u64::from(*racers);
            let late = if *jitter_ms == 0 { 0 } else { self.rng.below(u64::from(*jitter_ms)) };
            let offset = (phase + late) as i64;
            *steps.entry(offset / self.step_ms * self.step_ms).or_default() += 1;
        }
        for (offset, count) in steps {
            self.pending.entry(now + offset).or_default().push(Burst { group, class, count });
        }
    }

    fn at(&self, point: &RatePoint) -> i64 {
        self.origin + i64::from(point.at_seconds) * 1_000
    }

    fn rate_step(&mut self, now: i64) -> (Vec<Burst>, Option<i64>) {
        let Producer::Rate { points, ramp, hot_key_share, jitter, .. } = &self.spec else { return (Vec::new(), None) };
        let passed = points.partition_point(|point| self.at(point) <= now);
        let next_point = points.get(passed);
        let Some(point) = passed.checked_sub(1).and_then(|last| points.get(last)) else { return (Vec::new(), None) };
        let mut rate = point.records_per_second;
        let mut moving = false;
        if let (true, Some(next)) = (*ramp, next_point) {
            let done = (now - self.at(point)) as f64 / (self.at(next) - self.at(point)).max(1) as f64;
            rate += (next.records_per_second - rate) * done;
            moving = next.records_per_second > 0.0;
        }
        if *jitter > 0.0 {
            let most = (jitter * ONE as f64).round() as u64;
            rate *= (ONE - most.min(ONE) + self.rng.below(2 * most + 1)) as f64 / ONE as f64;
        }
        // Thousandths of a record a second, times milliseconds, are millionths of a record.
        self.carry += (rate * 1_000.0).round() as u64 * self.step_ms as u64;
        let count = self.carry / ONE;
        self.carry %= ONE;
        self.hot_carry += count * (hot_key_share * ONE as f64).round() as u64;
        let hot = self.hot_carry / ONE;
        self.hot_carry %= ONE;
        let idle = rate <= 0.0 && !moving;
        let next = if idle { next_point.map(|point| self.at(point)) } else { Some(now + self.step_ms) };
        let group = self.first_group;
        let bursts = [(Class::Regular, count - hot), (Class::Hot, hot)];
        let burst = |(class, count): (Class, u64)| Burst { group, class, count: count as u32 };
        (bursts.into_iter().map(burst).filter(|burst| burst.count > 0).collect(), next)
    }
}

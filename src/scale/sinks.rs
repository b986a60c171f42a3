//! A table or index: write and read capacity for a configuration of the consumers.
//!
//! Capacity is dear in money and cheap in operations upwards; the stream is the buffer. It is sized for what
//! is steady at a high utilization, and for the mean with its bursts at a higher one: burst credit (300 s of
//! unused capacity) carries the peaks in between.

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::SinkLoad,
    memory::{Memory, SinkSample},
    model::{Bounds, CapacityFacts, CapacityUnits, ResourceId},
    spec::ScalingPolicy,
};

use super::{
    Hold, Target, Term, billing,
    guards::{self, Frozen, hold},
    model::{DemandModel, Side, SinkInputs},
    settle,
};

/// While it still throttles at what the model thought enough, the model is wrong: raise by this factor.
const STILL_THROTTLING: f64 = 1.3;
/// A raise below this factor is not worth an UpdateTable while what is there carries the demand with its bursts.
const DEAD_BAND: f64 = 1.08;
/// An UpdateTable takes effect within this (assumption; the throttles of the minute it was made in are old news).
const EFFECTIVE_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Which capacity a configuration is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// What is provisioned now.
    Live,
    /// The most the spec allows.
    Bound,
}

/// One sink with all that is known of it.
pub(super) struct Sink<'a> {
    pub(super) resource: ResourceId,
    pub(super) table: &'a str,
    /// What is provisioned; on demand what AWS serves at once.
    pub(super) capacity: CapacityFacts,
    /// AWS sizes it: nothing is set.
    pub(super) on_demand: bool,
    pub(super) write_bounds: Bounds<CapacityUnits>,
    pub(super) read_bounds: Bounds<CapacityUnits>,
    pub(super) load: Option<SinkLoad>,
    pub(super) write_model: DemandModel,
    pub(super) read_model: DemandModel,
    /// Table and indexes are ACTIVE.
    pub(super) settled: bool,
    /// What changes is raised by us: what it has it keeps.
    pub(super) rises: bool,
}

impl Sink<'_> {
    /// Whether a configuration fits: into the capacity that is there (then raising what leads to it is
    /// allowed), or into any inside the bounds.
    pub(super) fn carries(&self, inputs: &[SinkInputs], room: Room) -> bool {
        match room {
            // One whose metrics are missing may throttle.
            Room::Live => {
                let known = self.load.is_some() || self.on_demand;
                (self.settled || self.rises) && known && self.holds(inputs, self.capacity.write, self.capacity.read)
            }
            Room::Bound if self.on_demand => self.holds(inputs, billing::MOST_UNITS, billing::MOST_UNITS),
            Room::Bound => self.holds(inputs, self.write_bounds.max, self.read_bounds.max),
        }
    }

    /// Whether a configuration fits into so much.
    pub(super) fn holds(&self, inputs: &[SinkInputs], write: CapacityUnits, read: CapacityUnits) -> bool {
        let fits = |model: &DemandModel, limit: CapacityUnits| {
            units(model, inputs).is_none_or(|need| need <= limit.get() as f64)
        };
        fits(&self.write_model, write) && fits(&self.read_model, read)
    }

    /// Units/s of writes that it is asked for, bursts included; what it takes now while nothing else is known.
    pub(super) fn write_demand(&self, inputs: &[SinkInputs]) -> Option<f64> {
        let seen = self.load.as_ref().map(|load| load.write);
        Some(units(&self.write_model, inputs).or(seen)? + self.write_model.burst_mean)
    }

    /// Whether what it takes now is within the shares of its capacity that the policy aims at, and no bound asks for more.
    pub(super) fn has_room(&self, policy: &ScalingPolicy) -> bool {
        self.load.as_ref().is_some_and(|load| {
            let (read, write) = load.provisioned;
            let asked = load.write <= policy.write_target_utilization * write
                && load.read <= policy.read_target_utilization * read;
            let inside = self.capacity.write >= self.write_bounds.min && self.capacity.read >= self.read_bounds.min;
            asked && inside && load.write_throttles <= 0.0 && load.read_throttles <= 0.0
        })
    }

    /// Whether writes are throttled for provisioned throughput now.
    pub(super) fn throttled(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.write_throttles > 0.0)
    }

    /// Whether writes were throttled after the last change of the capacity had taken effect.
    pub(super) fn still_throttled(&self, memory: &Memory) -> bool {
        let changed = self.changed(memory, Side::Write);
        let newest = self.load.as_ref().and_then(|load| load.last_write_throttle);
        self.throttled() && newest.is_some_and(|at| changed.is_none_or(|change| at > change + EFFECTIVE_AFTER))
    }

    /// When the last change of a side had its effect: at once, unless the table was seen in transition for longer.
    fn changed(&self, memory: &Memory, side: Side) -> Option<Timestamp> {
        let decided = memory.last_change.get(&field(&self.resource, side)).copied();
        decided.max(settle::ended(memory, self.table))
    }

    /// Whether it is short and at its upper bound.
    pub(super) fn limited(&self) -> bool {
        self.throttled() && (self.on_demand || self.capacity.write >= self.write_bounds.max)
    }
}

/// The models of a sink, from what is remembered of it.
pub(super) fn models(samples: Option<&Vec<SinkSample>>) -> (DemandModel, DemandModel) {
    let samples = samples.map_or(&[][..], Vec::as_slice);
    (DemandModel::fit(samples, Side::Write), DemandModel::fit(samples, Side::Read))
}

fn units(model: &DemandModel, inputs: &[SinkInputs]) -> Option<f64> {
    (!model.is_empty()).then(|| inputs.iter().map(|input| model.units(input)).fold(0.0, f64::max))
}

/// What one side of a sink needs and how it got there.
struct Need {
    value: CapacityUnits,
    /// Less than this does not last: the mean with its bursts.
    mean: f64,
    reason: String,
}

/// Sizes one side of a sink for a configuration: `steady` are the loads it must carry for long (caught up, and
/// catching up). `None` when nothing is known of it.
fn need(
    policy: &ScalingPolicy,
    sink: &Sink<'_>,
    side: Side,
    steady: &[SinkInputs],
    last_change: Option<Timestamp>,
    terms: &mut Vec<Term>,
) -> Option<Need> {
    let (model, target, bounds, live, throttle) = match side {
        Side::Write => (
            &sink.write_model,
            policy.write_target_utilization,
            sink.write_bounds,
            sink.capacity.write,
            sink.load.as_ref().and_then(|load| load.last_write_throttle),
        ),
        Side::Read => (
            &sink.read_model,
            policy.read_target_utilization,
            sink.read_bounds,
            sink.capacity.read,
            sink.load.as_ref().and_then(|load| load.last_read_throttle),
        ),
    };
    // Without a minute of traffic to learn from, what is consumed now is all there is to go by.
    let seen = sink.load.as_ref().map(|load| if side == Side::Write { load.write } else { load.read });
    let demand = units(model, steady).or(seen)?;
    let mean = demand + model.burst_mean;
    let by_steady = demand / target;
    let by_mean = mean / policy.write_mean_utilization;
    let mut value = by_steady.max(by_mean).ceil();
    let mut reason = format!(
        "{demand:.0} units/s steady ({}) at {:.0} %, {mean:.0} with bursts at {:.0} %",
        model.describe(steady),
        target * 100.0,
        policy.write_mean_utilization * 100.0
    );
    let recent = sink
        .load
        .as_ref()
        .is_some_and(|load| if side == Side::Write { load.write_throttles > 0.0 } else { load.read_throttles > 0.0 });
    let still = throttle.is_some_and(|at| last_change.is_none_or(|change| at > change + EFFECTIVE_AFTER));
    if recent && still {
        let more = (live.get() as f64 * STILL_THROTTLING).ceil();
        if more > value {
            value = more;
            reason = format!("still throttled at {live} units/s, which the fit ({demand:.0} units/s) thinks enough");
        }
    }
    let name = if side == Side::Write { "W" } else { "R" };
    terms.push(Term { name: format!("{name}_need({})", sink.resource), value });
    terms.push(Term { name: format!("{name}_demand({}) units/s", sink.resource), value: demand });
    Some(Need { mean, value: bounds.clamp(CapacityUnits(value.clamp(1.0, 1e12) as u64)), reason })
}

/// Key of a side of a sink in the memory's windows.
pub(super) fn field(resource: &ResourceId, side: Side) -> String {
    format!("{resource} {}", if side == Side::Write { "writeCapacity" } else { "readCapacity" })
}

/// Notes what an on-demand sink would need if it were provisioned.
pub(super) fn watch(
    policy: &ScalingPolicy,
    sink: &Sink<'_>,
    steady: &[SinkInputs],
    memory: &mut Memory,
    now: Timestamp,
    terms: &mut Vec<Term>,
) {
    let keep = SignedDuration::from_secs(i64::from(policy.write_stabilization_seconds));
    for side in [Side::Write, Side::Read] {
        let known = sink.load.as_ref().and_then(|_| need(policy, sink, side, steady, None, terms));
        if let Some(need) = known {
            guards::recommend(memory, &field(&sink.resource, side), need.value.get() as f64, keep, now);
        }
    }
}

/// What the two sides of a sink should be now.
#[derive(Debug, Default)]
pub(super) struct SinkTargets {
    pub(super) write: Option<Target<CapacityUnits>>,
    pub(super) read: Option<Target<CapacityUnits>>,
    /// A side is raised.
    pub(super) raises: bool,
    /// A side is lowered.
    pub(super) lowers: bool,
}

/// Decides both sides of a sink.
#[expect(clippy::too_many_arguments, reason = "what a sink is decided from, passed on once")]
pub(super) fn decide(
    policy: &ScalingPolicy,
    sink: &Sink<'_>,
    steady: &[SinkInputs],
    memory: &mut Memory,
    frozen: Frozen,
    now: Timestamp,
    terms: &mut Vec<Term>,
    holds: &mut Vec<Hold>,
) -> SinkTargets {
    let mut targets = SinkTargets::default();
    if sink.load.is_none() {
        holds.push(hold(&sink.resource, "blind", "its consumed capacity is missing or stale".to_owned(), None));
        return targets;
    }
    let keep = SignedDuration::from_secs(i64::from(policy.write_stabilization_seconds));
    let mut lower: Vec<(Side, CapacityUnits, String)> = Vec::new();
    for side in [Side::Write, Side::Read] {
        let field = field(&sink.resource, side);
        let last_change = sink.changed(memory, side);
        let Some(need) = need(policy, sink, side, steady, last_change, terms) else { continue };
        guards::recommend(memory, &field, need.value.get() as f64, keep, now);
        let (live, bounds) = match side {
            Side::Write => (sink.capacity.write, sink.write_bounds),
            Side::Read => (sink.capacity.read, sink.read_bounds),
        };
        let slot = if side == Side::Write { &mut targets.write } else { &mut targets.read };
        let short = need.value > live && need.mean > live.get() as f64;
        if short || need.value.get() as f64 > live.get() as f64 * DEAD_BAND {
            *slot = Some(Target { value: need.value, reason: need.reason });
            targets.raises = true;
        } else if let Some(highest) = guards::lower_capacity_to(memory, &field, &sink.capacity, live, keep, now) {
            let value = bounds.clamp(CapacityUnits(highest as u64));
            if value.get() as f64 <= live.get() as f64 * (1.0 - policy.minimum_decrease) {
                lower.push((side, value, field));
            }
        }
    }
    if let Some(until) = frozen.up.filter(|_| targets.raises) {
        let reason = "the spec freezes raises: more capacity is wanted".to_owned();
        holds.push(hold(&sink.resource, "frozen", reason, Some(until)));
        return SinkTargets::default();
    }
    if !sink.settled && targets.raises {
        holds.push(hold(&sink.resource, "in-transition", "the table is being changed".to_owned(), None));
        return SinkTargets::default();
    }
    if targets.raises || lower.is_empty() || !sink.settled {
        return targets;
    }
    if let Some(hold) = lowering_held(policy, sink, memory, frozen, now) {
        holds.push(hold);
    } else {
        for (side, value, field) in lower {
            if let Some(until) = guards::turned(memory, &field, now) {
                holds.push(hold(&sink.resource, "lowered-too-soon", guards::TURNED.to_owned(), Some(until)));
                continue;
            }
            let reason = format!("{value} units/s were enough at all times of the last {} min", keep.as_mins());
            let target = Target { value, reason };
            if side == Side::Write {
                targets.write = Some(target);
            } else {
                targets.read = Some(target);
            }
            targets.lowers = true;
        }
    }
    targets
}

/// What forbids to lower a sink now, if anything.
fn lowering_held(
    policy: &ScalingPolicy,
    sink: &Sink<'_>,
    memory: &Memory,
    frozen: Frozen,
    now: Timestamp,
) -> Option<Hold> {
    if let Some((reason, until)) = guards::lowering_forbidden(memory, policy, frozen, now) {
        return Some(hold(&sink.resource, "scale-in", reason, until));
    }
    let used = sink.capacity.decreases_today;
    (!guards::decrease_allowed(policy, &sink.capacity, now))
        .then(|| hold(&sink.resource, "quota", format!("{used} decreases today; the next is kept for later"), None))
}

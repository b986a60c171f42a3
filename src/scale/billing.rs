//! How a table with `billingMode: auto` is paid for: by what is provisioned or by what is used, whichever a day's
//! measurements say is clearly cheaper.
//!
//! What always holds: a switch is chosen from 24 h of measured minutes and 24 h after the last switch, never past AWS's
//! four switches to on-demand a day, and never while anything is updated, blind, throttled, behind, or frozen; back to
//! provisioned the table and every index get their throughput in the same call. A mode that somebody else chose is
//! kept like our own.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cost::{Meters, PriceSheet},
    diagnose,
    memory::{BillingHour, BillingMemory, BillingSwitch, Memory, SinkSample},
    model::{
        BillingMode, Bounds, CapacityFacts, CapacityUnits, ErrorClass, Facts, Failure, IndexSignals, LifecycleStatus,
        ResourceId, Signal, Signals, TableFacts, TableSignals,
    },
    spec::{Billing, Pipeline, ScalingPolicy, TableSpec},
};

use super::{
    CapacityTarget, Sizing, TableTargets, Target, Targets,
    guards::{self, Frozen, hold},
    ledger::{DAY, SLACK},
    model::Side,
    sinks::field,
    size::{Refusal, refuse, refuse_until},
};

/// Switches of a table to on-demand in a rolling 24 h; back is possible at any time (DynamoDB developer guide,
/// "Considerations when switching capacity modes").
pub const MAX_ON_DEMAND_SWITCHES_PER_DAY: usize = 4;
/// The other mode must cost at most this share of what the present one cost. Our choice: the rest pays for the day
/// on which tomorrow is not like today.
const CHEAPER: f64 = 0.85;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// A minute is counted so long after it is expected: CloudWatch publishes some late. Our choice.
const LATE: SignedDuration = SignedDuration::from_mins(3);
/// After a pause of the operator, minutes are counted no further back. Our choice: what is read reaches about so far.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(30);
/// Share of a day's minutes that must have been measured. Our choice.
const COVERED: f64 = 0.9;
/// Units/s that a table or index takes at most, whatever its mode (DynamoDB developer guide, "Service, account, and
/// table quotas": 40,000 by default).
pub(super) const MOST_UNITS: CapacityUnits = CapacityUnits(40_000);
/// Write and read units/s that an on-demand table takes from its first minute (DynamoDB developer guide, "On-demand
/// capacity mode").
const FRESH_UNITS: (f64, f64) = (4_000.0, 12_000.0);
/// A peak this old is a previous one, of which on-demand takes the double at once (same source).
const PREVIOUS: SignedDuration = SignedDuration::from_mins(30);

/// What an on-demand table or index takes at once: twice the highest minute that is half an hour old, what a new one
/// takes at least, and no more than the quota and the maximum that somebody has set.
pub(super) fn at_once(
    samples: &[SinkSample],
    side: Side,
    maximum: Option<CapacityUnits>,
    now: Timestamp,
) -> CapacityUnits {
    let (value, fresh): (fn(&SinkSample) -> f64, f64) = match side {
        Side::Write => (|sample| sample.write, FRESH_UNITS.0),
        Side::Read => (|sample| sample.read, FRESH_UNITS.1),
    };
    let peak = samples.iter().filter(|sample| sample.at <= now - PREVIOUS).map(value).fold(0.0, f64::max);
    let units = CapacityUnits((2.0 * peak).max(fresh) as u64).min(MOST_UNITS);
    maximum.map_or(units, |most| units.min(most))
}

fn automatic(pipeline: &Pipeline) -> impl Iterator<Item = &TableSpec> {
    pipeline.tables.iter().filter(|table| table.billing_mode == Billing::Auto)
}

/// Takes in the mode of every `auto` table and what its newest minutes used and held.
pub(super) fn learn(
    memory: &mut Memory,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    now: Timestamp,
) {
    memory.billing.retain(|name, _| automatic(pipeline).any(|spec| spec.name == *name));
    for spec in automatic(pipeline) {
        let (Some(live), Some(measured)) = (facts.tables.get(&spec.name), signals.tables.get(&spec.name)) else {
            continue;
        };
        let known = memory.billing.entry(spec.name.clone()).or_default();
        notice(known, live.billing_mode, now);
        let last = signals.newest_expected - LATE;
        let mut at = known.until.map_or(last, |until| until + MINUTE).max(last - LOOK_BACK);
        let table = Measured { policy, spec, live, signals: measured, idle: &|at| idle(pipeline, signals, spec, at) };
        while at <= last {
            if let Some(minute) = table.minute(at) {
                add(known, minute);
            }
            at += MINUTE;
        }
        known.until = known.until.max(Some(last));
        known.hours.retain(|hour| hour.at > now - DAY - HOUR);
    }
}

/// Whether every consumer that writes to the table was idle in a minute: DynamoDB publishes nothing then.
fn idle(pipeline: &Pipeline, signals: &Signals, spec: &TableSpec, at: Timestamp) -> bool {
    let mut writers = pipeline.consumers.iter().filter(|it| it.writes_to.contains(&spec.name)).peekable();
    let rests = |name: &String| signals.consumers.get(name).is_some_and(|own| own.invocations.at(at) == Some(0.0));
    writers.peek().is_some() && writers.all(|consumer| rests(&consumer.name))
}

/// Notices a switch: ours was entered before the call, any other is somebody else's.
fn notice(known: &mut BillingMemory, mode: BillingMode, now: Timestamp) {
    if known.mode.is_some_and(|seen| seen != mode) {
        if known.switches.last().is_none_or(|last| last.to != mode) {
            known.switches.push(BillingSwitch { at: now, to: mode });
        }
        // What is compared was measured in one mode.
        known.hours.clear();
        known.until = Some(now);
    }
    known.mode = Some(mode);
    known.switches.retain(|switch| now < switch.at + DAY + SLACK);
}

/// Adds a minute to its hour of the clock; an hour begins with its first measured minute.
fn add(known: &mut BillingMemory, minute: BillingHour) {
    let clock = |at: Timestamp| at.as_second().div_euclid(HOUR.as_secs());
    match known.hours.last_mut().filter(|hour| clock(hour.at) == clock(minute.at)) {
        Some(hour) => {
            hour.minutes += minute.minutes;
            hour.write += minute.write;
            hour.read += minute.read;
            hour.held_write += minute.held_write;
            hour.held_read += minute.held_read;
            hour.over |= minute.over;
        }
        None => known.hours.push(minute),
    }
}

/// A table with its metrics.
struct Measured<'a> {
    policy: &'a ScalingPolicy,
    spec: &'a TableSpec,
    live: &'a TableFacts,
    signals: &'a TableSignals,
    idle: &'a dyn Fn(Timestamp) -> bool,
}

type Units = Bounds<CapacityUnits>;

impl Measured<'_> {
    /// One minute of the table with all its indexes; `None` when a part of it was not measured.
    fn minute(&self, at: Timestamp) -> Option<BillingHour> {
        let mut minute =
            BillingHour { at, minutes: 1, write: 0.0, read: 0.0, held_write: 0.0, held_read: 0.0, over: false };
        let own = (self.spec.write_capacity, self.spec.read_capacity);
        self.part(&mut minute, &self.live.capacity, &self.signals.table, own)?;
        for (name, index) in &self.live.global_secondary_indexes {
            let signals = self.signals.indexes.get(name)?;
            let spec = self.spec.global_secondary_indexes.iter().find(|it| it.name == *name)?;
            self.part(&mut minute, &index.capacity, signals, (spec.write_capacity, spec.read_capacity))?;
        }
        Some(minute)
    }

    fn part(
        &self,
        minute: &mut BillingHour,
        live: &CapacityFacts,
        signals: &IndexSignals,
        bounds: (Units, Units),
    ) -> Option<()> {
        let write = signals.consumed_write.at(minute.at);
        if write.is_none() && !(self.idle)(minute.at) {
            return None;
        }
        minute.write += write.unwrap_or(0.0);
        // Where writes are published and reads are not, there were none.
        minute.read += signals.consumed_read.at(minute.at).unwrap_or(0.0);
        let (write, read) = match self.live.billing_mode {
            BillingMode::Provisioned => (live.write.get() as f64, live.read.get() as f64),
            BillingMode::OnDemand => {
                let (write, over) = self.would_hold(&signals.consumed_write, minute.at, Side::Write, bounds.0);
                let (read, over_read) = self.would_hold(&signals.consumed_read, minute.at, Side::Read, bounds.1);
                minute.over |= over || over_read;
                (write, read)
            }
        };
        minute.held_write += write / 60.0;
        minute.held_read += read / 60.0;
        Some(())
    }

    /// What the sizing would have provisioned, and whether it would have needed more than it may: the busiest minute of
    /// its window at the utilization it aims at.
    fn would_hold(&self, consumed: &Signal, at: Timestamp, side: Side, bounds: Units) -> (f64, bool) {
        let target = match side {
            Side::Write => self.policy.write_target_utilization,
            Side::Read => self.policy.read_target_utilization,
        };
        let since = at - SignedDuration::from_secs(i64::from(self.policy.write_stabilization_seconds));
        let window = consumed.points.iter().filter(|point| since < point.at && point.at <= at);
        let needed = (window.map(|point| point.value / 60.0).fold(0.0, f64::max) / target).ceil();
        let units = CapacityUnits(needed.clamp(1.0, 1e12) as u64);
        (bounds.clamp(units).get() as f64, units > bounds.max)
    }
}

/// What a day cost in the present mode, what it would have cost in the other, and the sentence about it.
struct Comparison {
    to: BillingMode,
    reason: String,
    /// Provisioned could not have carried it inside the bounds.
    over: bool,
}

/// Whether the other mode is clearly cheaper; `None` while too little is measured, too.
fn cheaper(known: &BillingMemory, prices: &PriceSheet, now: Timestamp) -> Option<Comparison> {
    let since = known.hours.first()?.at;
    let minutes: u32 = known.hours.iter().map(|hour| hour.minutes).sum();
    if now < since + DAY || f64::from(minutes) < COVERED * now.duration_since(since).as_secs_f64() / 60.0 {
        return None;
    }
    let sum = |of: fn(&BillingHour) -> f64| known.hours.iter().map(of).sum::<f64>();
    let usd = |meters: Meters| meters.usd(prices).total_usd;
    let (write, read) = (sum(|it| it.write), sum(|it| it.read));
    let used = Meters { write_request_units: write, read_request_units: read, ..Meters::default() };
    let held = sum(|it| it.held_write);
    let held = Meters { wcu_hours: held, rcu_hours: sum(|it| it.held_read), ..Meters::default() };
    let (used, held) = (usd(used), usd(held));
    let hours = f64::from(minutes) / 60.0;
    let (to, now_usd, then, words) = match known.mode? {
        BillingMode::Provisioned => (BillingMode::OnDemand, held, used, ["provisioned", "on demand"]),
        BillingMode::OnDemand => (BillingMode::Provisioned, used, held, ["on demand", "provisioned"]),
    };
    let reason = format!(
        "{hours:.0} h measured cost ${now_usd:.4} {} and would have cost ${then:.4} {}, for {write:.0} write and \
         {read:.0} read units",
        words[0], words[1]
    );
    let over = known.hours.iter().any(|hour| hour.over);
    (then <= CHEAPER * now_usd).then_some(Comparison { to, reason, over })
}

/// Chooses the billing mode of `auto` tables: at most one switch a cycle.
#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing and the prices")]
pub(super) fn choose(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    prices: &PriceSheet,
    memory: &mut Memory,
    now: Timestamp,
    sizing: &mut Sizing,
) {
    for spec in automatic(pipeline) {
        let (Some(live), Some(known)) = (facts.tables.get(&spec.name), memory.billing.get(&spec.name)) else {
            continue;
        };
        let Some(wanted) = cheaper(known, prices, now).filter(|it| it.to != live.billing_mode) else { continue };
        let id = ResourceId::Table(spec.name.clone());
        let scene = Scene { pipeline, policy, facts, signals, memory, spec, live, known, now };
        match scene.may_switch(&wanted, &sizing.targets).and_then(|()| scene.begin_with(&wanted)) {
            Ok(mut target) => {
                target.billing = Some(Target { value: wanted.to, reason: wanted.reason });
                sizing.targets.tables.insert(spec.name.clone(), target);
                memory.last_change.insert(format!("{id} billingMode"), now);
                return;
            }
            Err(refusal) => {
                let reason = format!("{}; {}", refusal.reason, wanted.reason);
                sizing.holds.push(hold(&id, refusal.guard, reason, refusal.until));
            }
        }
    }
}

/// What a switch is decided from.
struct Scene<'a> {
    pipeline: &'a Pipeline,
    policy: &'a ScalingPolicy,
    facts: &'a Facts,
    signals: &'a Signals,
    memory: &'a Memory,
    spec: &'a TableSpec,
    live: &'a TableFacts,
    known: &'a BillingMemory,
    now: Timestamp,
}

impl Scene<'_> {
    fn may_switch(&self, wanted: &Comparison, targets: &Targets) -> Result<(), Refusal> {
        let frozen = Frozen::at(&self.pipeline.scaling.freeze, self.now);
        if let Some(until) = frozen.up.or(frozen.down) {
            return refuse_until("frozen", "the spec freezes changes", Some(until));
        }
        rested(&self.known.switches, wanted.to, self.now)?;
        if !self.settled() {
            return refuse("in-transition", "something of the pipeline is being changed");
        }
        let missing = self.parts().any(|(_, signals, live)| diagnose::sink_load(self.signals, signals, live).is_none());
        if missing && !idle(self.pipeline, self.signals, self.spec, self.signals.newest_expected) {
            return refuse("blind", "its consumed capacity is missing or stale");
        }
        let some = |signal: &Signal| signal.points.iter().chain(&signal.young).any(|point| point.value > 0.0);
        let throttles = |it: &IndexSignals| {
            [&it.write_throttles, &it.read_throttles, &it.key_range_throttles, &it.account_limit_throttles]
                .into_iter()
                .any(some)
        };
        if self.parts().any(|(_, signals, _)| throttles(signals)) {
            return refuse("throttling", "requests were throttled a short time ago");
        }
        if *targets != (Targets { tables: targets.tables.clone(), ..Targets::default() }) {
            return refuse("one-stage-at-a-time", "another stage is changed in this cycle");
        }
        if let Some((reason, until)) = guards::lowering_forbidden(self.memory, self.policy, frozen, self.now) {
            return refuse_until("scale-in", reason, until);
        }
        if wanted.to == BillingMode::Provisioned && wanted.over {
            return refuse("bounds", "it needed more than the upper bound of its capacity");
        }
        Ok(())
    }

    /// The stream, every table and every mapping are as the last call wanted them.
    fn settled(&self) -> bool {
        let facts = self.facts;
        let pending = self.memory.stream_seen.as_ref().is_some_and(|seen| seen.pending_target.is_some());
        facts.stream.as_ref().is_some_and(|stream| stream.status == LifecycleStatus::Active)
            && !pending
            && facts.tables.values().all(TableFacts::is_settled)
            && facts.mappings.iter().all(|mapping| mapping.state.is_settled())
    }

    /// The table and its indexes.
    fn parts(&self) -> impl Iterator<Item = (ResourceId, &IndexSignals, &CapacityFacts)> {
        let name = &self.spec.name;
        let measured = self.signals.tables.get(name);
        let own = measured.map(|it| (ResourceId::Table(name.clone()), &it.table, &self.live.capacity));
        let indexes = self.live.global_secondary_indexes.values().filter_map(move |index| {
            let signals = measured?.indexes.get(&index.name)?;
            Some((ResourceId::Index(name.clone(), index.name.clone()), signals, &index.capacity))
        });
        own.into_iter().chain(indexes)
    }

    /// The capacities that the table begins with: the most that was needed in the sizing's window.
    fn begin_with(&self, wanted: &Comparison) -> Result<TableTargets, Refusal> {
        let mut targets = TableTargets::default();
        if wanted.to == BillingMode::OnDemand {
            return Ok(targets);
        }
        for (id, ..) in self.parts() {
            *targets.part(&id) = CapacityTarget {
                write: Some(self.needed(&id, Side::Write)?),
                read: Some(self.needed(&id, Side::Read)?),
            };
        }
        Ok(targets)
    }

    fn needed(&self, id: &ResourceId, side: Side) -> Result<Target<CapacityUnits>, Refusal> {
        let window = SignedDuration::from_secs(i64::from(self.policy.write_stabilization_seconds));
        match guards::highest(self.memory, &field(id, side), window, self.now) {
            None => refuse("stabilization", format!("what {id} needs has not been watched for long enough")),
            Some(units) => {
                let reason = format!("{units} units/s were enough at all times of the last {} min", window.as_mins());
                Ok(Target { value: CapacityUnits(units as u64), reason })
            }
        }
    }
}

/// Whether the last switch is long enough ago, and AWS takes another one to on-demand.
fn rested(switches: &[BillingSwitch], to: BillingMode, now: Timestamp) -> Result<(), Refusal> {
    let counts = |switch: &&BillingSwitch| now < switch.at + DAY + SLACK;
    let used = switches.iter().filter(counts).filter(|switch| switch.to == BillingMode::OnDemand).count();
    if to == BillingMode::OnDemand && used >= MAX_ON_DEMAND_SWITCHES_PER_DAY {
        return refuse("quota", format!("all {MAX_ON_DEMAND_SWITCHES_PER_DAY} switches to on-demand of 24 h are used"));
    }
    if let Some(last) = switches.iter().rfind(counts) {
        let reason = "the billing mode was switched less than 24 h ago";
        return refuse_until("cool-down", reason, Some(last.at + DAY + SLACK));
    }
    Ok(())
}

/// Enters a switch of ours. To be called, and stored, before the call is made.
pub fn note_billing(memory: &mut Memory, table: &str, to: BillingMode, now: Timestamp) {
    let known = memory.billing.entry(table.to_owned()).or_default();
    known.switches.push(BillingSwitch { at: now, to });
}

/// Takes out the switch just entered when AWS certainly refused it; a refusal for quota counts as one, so that the
/// table rests.
pub fn note_billing_refused(memory: &mut Memory, table: &str, failure: &Failure) {
    if failure.class.effect_unknown() || failure.class == ErrorClass::QuotaExhausted {
        return;
    }
    if let Some(known) = memory.billing.get_mut(table) {
        known.switches.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    #[test]
    fn on_demand_takes_twice_the_peak_of_half_an_hour_ago_and_never_more_than_the_quota() {
        let sample = |minute, write| SinkSample {
            at: at(minute),
            invocations: std::collections::BTreeMap::new(),
            records: 0.0,
            write,
            read: 20_000.0,
            throttled: false,
        };
        let units = |samples: &[SinkSample], side| at_once(samples, side, None, at(60)).get();
        assert_eq!(units(&[], Side::Write), 4_000);
        assert_eq!(units(&[], Side::Read), 12_000);
        assert_eq!(units(&[sample(30, 3_000.0)], Side::Write), 6_000);
        assert_eq!(units(&[sample(31, 3_000.0)], Side::Write), 4_000, "not a previous peak yet");
        assert_eq!(units(&[sample(0, 30_000.0)], Side::Write), 40_000);
        assert_eq!(units(&[sample(0, 1.0)], Side::Read), 40_000);
        assert_eq!(at_once(&[], Side::Write, Some(CapacityUnits(50)), at(0)).get(), 50, "somebody set a maximum");
    }

    #[test]
    fn another_mode_has_to_be_clearly_cheaper() {
        let prices = PriceSheet::us_east_1();
        let usd = |meters: Meters| meters.usd(&prices).total_usd;
        let held = usd(Meters { wcu_hours: 2400.0, ..Meters::default() });
        let million = usd(Meters { write_request_units: 1e6, ..Meters::default() });
        // A day in which on demand would have cost this share of 100 provisioned units.
        let switches = |share: f64| {
            let write = share * held / million * 1e6;
            let hour = BillingHour {
                at: at(0),
                minutes: 24 * 60,
                write,
                read: 0.0,
                held_write: 2400.0,
                held_read: 0.0,
                over: false,
            };
            let mode = Some(BillingMode::Provisioned);
            let known = BillingMemory { mode, hours: vec![hour], ..BillingMemory::default() };
            cheaper(&known, &prices, at(24 * 60)).is_some()
        };
        assert!(switches(0.84));
        assert!(!switches(0.86));
    }

    #[test]
    fn a_table_rests_a_day_after_a_switch_and_aws_takes_four_to_on_demand() {
        let guard = |switches: &[(i64, BillingMode)], to| {
            let switches: Vec<_> =
                switches.iter().map(|(minute, to)| BillingSwitch { at: at(*minute), to: *to }).collect();
            rested(&switches, to, at(24 * 60)).err().map(|refusal| refusal.guard)
        };
        let (down, up) = (BillingMode::OnDemand, BillingMode::Provisioned);
        assert_eq!(guard(&[], down), None);
        assert_eq!(guard(&[(-1, down)], up), None, "a day and a minute ago");
        assert_eq!(guard(&[(0, down)], up), Some("cool-down"));
        assert_eq!(guard(&[(0, up)], down), Some("cool-down"), "in either direction");
        let four = [(0, down), (1, down), (2, down), (3, down)];
        assert_eq!(guard(&four, down), Some("quota"));
        assert_eq!(guard(&four, up), Some("cool-down"), "back is not counted by AWS");
    }
}

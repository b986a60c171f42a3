//! What is done when all ten UpdateShardCount calls are used and the stream still rejects records: shards are split
//! one by one, or the stream goes on demand. Only where the spec's `breakGlass` says so.
//!
//! SplitShard is not one of the ten calls a day (Kinesis API reference, UpdateShardCount: the limit is of that
//! operation), but a stream takes one at a time, so it is the slow way. It is tried first all the same: the shard count
//! stays ours. UpdateStreamMode keeps the shards and lets AWS add more; a stream takes two of them a day.
//!
//! What always holds: a stream goes on demand only while it rejects records and nothing else is left, and never where a
//! consumer must not run twice at a time; it goes back after a day at the earliest, and only into shards that carry it.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cost::{Meters, PriceSheet},
    diagnose,
    memory::{Memory, StreamModeMemory},
    model::{ErrorClass, Facts, Failure, LifecycleStatus, ResourceId, ShardCount, Signals, StreamFacts, StreamMode},
    spec::{BreakGlass, Pipeline},
};

use super::{
    Sizing, Split, Target, Targets,
    cycle::Cycle,
    guards::{self, hold},
    ledger::{DAY, SLACK},
    size::{Refusal, refuse, refuse_until},
    stream::{self, ShardDemand},
};

/// UpdateStreamMode calls per stream in a rolling 24 h (Kinesis developer guide, "Quotas and limits").
pub const MAX_MODE_SWITCHES_PER_DAY: usize = 2;
/// A switch that was made shows within this time (assumption).
const SHOWS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// The shard to split now, if the way is open: the one with the widest range of hash keys, in its middle.
pub(super) fn split(
    pipeline: &Pipeline,
    stream: &StreamFacts,
    demand: &ShardDemand,
    bound: ShardCount,
) -> Option<Target<Split>> {
    let wanted = uneven(stream, demand) && stream.open_shards < bound;
    if !wanted || !pipeline.scaling.break_glass.contains(&BreakGlass::SplitShard) {
        return None;
    }
    let ranges = stream.shards.iter().filter_map(|shard| Some((shard.width()?, shard)));
    // Of several equally wide ones the first.
    let (width, shard) = ranges.rev().max_by_key(|(width, _)| *width).filter(|(width, _)| *width > 1)?;
    let first: u128 = shard.starting_hash_key.parse().ok()?;
    let value = Split { shard: shard.id.clone(), new_hash_key: (first + width / 2 + 1).to_string() };
    let reason = format!("break-glass, all ten UpdateShardCount calls are used: {}", demand.reason);
    Some(Target { value, reason })
}

/// Whether the widest shard has more than its part of the keys: single splits leave the others behind.
pub(super) fn uneven(stream: &StreamFacts, demand: &ShardDemand) -> bool {
    f64::from(demand.wanted.get()) > stream.even_shards() * 1.01
}

/// Whether more shards are wanted than the spec allows while no call is left: then going on demand is the way out.
pub(super) fn stuck(cycle: &Cycle<'_>, live: ShardCount) -> bool {
    let allowed = cycle.pipeline.scaling.break_glass.contains(&BreakGlass::OnDemand);
    allowed && cycle.calls_left == 0 && cycle.load.rejecting && live >= stream::shard_bound(cycle.pipeline)
}

/// The switch to on-demand, if the way is open.
pub(super) fn on_demand(cycle: &Cycle<'_>, demand: &ShardDemand, memory: &mut Memory) -> Option<Target<StreamMode>> {
    let (pipeline, known) = (cycle.pipeline, &memory.stream_mode);
    let allowed = pipeline.scaling.break_glass.contains(&BreakGlass::OnDemand);
    // AWS adds shards as it likes, and each would be one more invocation at a time.
    let safe = pipeline.consumers.iter().all(|consumer| consumer.concurrency_safe);
    let left = switches(known, cycle.now) < MAX_MODE_SWITCHES_PER_DAY;
    let more = demand.wanted > cycle.stream.open_shards || stuck(cycle, cycle.stream.open_shards);
    let more = more && cycle.load.rejecting;
    if !allowed || !safe || !left || !more || known.break_glass_since.is_some() {
        return None;
    }
    memory.last_change.insert(field(cycle.stream), cycle.now);
    let reason =
        format!("break-glass, all ten UpdateShardCount calls are used and no shard can be split: {}", demand.reason);
    Some(Target { value: StreamMode::OnDemand, reason })
}

/// Key of the capacity mode in the memory's changes.
fn field(stream: &StreamFacts) -> String {
    format!("{} streamMode", ResourceId::Stream(stream.name.clone()))
}

fn switches(known: &StreamModeMemory, now: Timestamp) -> usize {
    known.switches.iter().filter(|at| now < **at + DAY + SLACK).count()
}

impl Cycle<'_> {
    /// Brings a stream back that our break-glass put on demand.
    pub(super) fn leave_on_demand(&self, lowered: bool, memory: &mut Memory, sizing: &mut Sizing) {
        let Some(since) = memory.stream_mode.break_glass_since else { return };
        match self.may_leave(since, lowered, memory) {
            Ok(()) => {
                memory.last_change.insert(field(self.stream), self.now);
                let words = self.stream.open_shards.words();
                let reason = format!("on demand by break-glass since {since}; {words} carry the load again");
                sizing.targets.mode = Some(Target { value: StreamMode::Provisioned, reason });
            }
            Err(refusal) => {
                let id = ResourceId::Stream(self.stream.name.clone());
                let reason = format!("on demand by break-glass since {since}: {}", refusal.reason);
                sizing.holds.push(hold(&id, refusal.guard, reason, refusal.until));
            }
        }
    }

    fn may_leave(&self, since: Timestamp, lowered: bool, memory: &Memory) -> Result<(), Refusal> {
        self.may_reshard(memory)?;
        let until = since + DAY + SLACK;
        if self.now < until {
            return refuse_until("break-glass", "it stays so for 24 h", Some(until));
        }
        if switches(&memory.stream_mode, self.now) >= MAX_MODE_SWITCHES_PER_DAY {
            return refuse("quota", "both switches of the capacity mode in 24 h are used");
        }
        if self.calls_left == 0 {
            return refuse("quota", "no UpdateShardCount call is left to raise it with afterwards");
        }
        let (open, bound) = (self.stream.open_shards, stream::shard_bound(self.pipeline));
        let growth = if self.load.offered > 0.0 { (self.expected / self.load.offered).max(1.0) } else { 1.0 };
        let needed = self.load.utilization * f64::from(open.get()) * growth / self.policy.shard_raise_utilization;
        if self.load.rejecting || needed > f64::from(open.min(bound).get()) {
            let reason = format!("the load needs {:.0} shards; {open} are open, {bound} allowed", needed.ceil());
            return refuse("break-glass", reason);
        }
        if lowered {
            return refuse("one-stage-at-a-time", "another stage is lowered in this cycle");
        }
        match guards::lowering_forbidden(memory, self.policy, self.frozen, self.now) {
            Some((reason, until)) => refuse_until("scale-in", reason, until),
            None => Ok(()),
        }
    }
}

/// Says in the reason of a switch to on-demand what it costs at the present load; dollars an hour for that load, without
/// the charge for the stream itself. 0 without such a switch.
pub(super) fn price(
    pipeline: &Pipeline,
    facts: &Facts,
    signals: &Signals,
    prices: &PriceSheet,
    targets: &mut Targets,
) -> f64 {
    let Some(target) = targets.mode.as_mut().filter(|target| target.value == StreamMode::OnDemand) else { return 0.0 };
    let per_hour = |signal: &crate::model::Signal| signal.points.last().map_or(0.0, |point| point.value * 60.0);
    let (records, bytes) = (per_hour(&signals.stream.incoming_records), per_hour(&signals.stream.incoming_bytes));
    let readers = diagnose::known_readers(pipeline, facts) as f64;
    let volume = Meters::on_demand_volume(records, bytes, readers).usd(prices).total_usd;
    let shards = facts.stream.as_ref().map_or(ShardCount(0), |stream| stream.open_shards);
    let provisioned = f64::from(shards.get()) * prices.shard_hour;
    target.reason = format!(
        "{}; on demand costs ${:.3}/h at this load, {} cost ${provisioned:.3}/h",
        target.reason,
        volume + prices.on_demand_stream_hour,
        shards.words()
    );
    volume
}

/// Takes in the mode that the stream is seen in: ours was entered before the call, any other switch is somebody else's.
pub(super) fn remember(known: &mut StreamModeMemory, stream: &StreamFacts, now: Timestamp) {
    known.switches.retain(|at| now < *at + DAY + SLACK);
    let recent = |at: &Timestamp, within: SignedDuration| now < *at + within;
    let ours = known.switches.last().is_some_and(|at| recent(at, SHOWS_WITHIN));
    if known.mode.is_some_and(|seen| seen != stream.mode) && !ours {
        known.switches.push(now);
    }
    known.mode = Some(stream.mode);
    // A call that was just made may not show yet.
    let settled = stream.mode == StreamMode::Provisioned && stream.status == LifecycleStatus::Active;
    known.break_glass_since.take_if(|since| settled && !recent(since, SHOWS_WITHIN));
}

/// Enters a switch of ours. To be called, and stored, before the call is made.
pub fn note_stream_mode(memory: &mut Memory, to: StreamMode, now: Timestamp) {
    memory.stream_mode.switches.push(now);
    if to == StreamMode::OnDemand {
        memory.stream_mode.break_glass_since = Some(now);
    }
}

/// Takes out the switch just entered when AWS certainly refused it; a refusal for quota counts as one.
pub fn note_stream_mode_refused(memory: &mut Memory, to: StreamMode, failure: &Failure) {
    if failure.class.effect_unknown() {
        return;
    }
    if failure.class != ErrorClass::QuotaExhausted {
        memory.stream_mode.switches.pop();
    }
    if to == StreamMode::OnDemand {
        memory.stream_mode.break_glass_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::ShardFacts,
        scale::tests::{Load, Scene, shards},
    };

    /// Records are rejected; the shards' ranges are given in 64ths.
    fn scene(ranges: &[(u128, u128)]) -> Scene {
        let mut scene = Scene::new();
        scene.set_write(4000, 2000);
        let ranges = ranges.iter().enumerate().map(|(index, (first, last))| ShardFacts {
            id: format!("shardId-{index:012}"),
            starting_hash_key: (first << 122).to_string(),
            ending_hash_key: ((last << 122) - 1).to_string(),
        });
        scene.stream().shards = ranges.collect();
        scene.stream().open_shards = ShardCount(scene.stream().shards.len() as u32);
        scene.memory.reshards.exhausted_until = Some(scene.now + jiff::SignedDuration::from_hours(24));
        scene
    }

    fn split_of(scene: &mut Scene) -> Option<Split> {
        let sizing = scene.cycle(&Load { records: 3000.0, rejected: 300.0, ..Load::race() }).1;
        assert_eq!(shards(&sizing), None);
        sizing.targets.split.map(|target| target.value)
    }

    #[test]
    fn the_widest_shard_is_split_in_its_middle_once_the_quota_is_used_up() {
        let mut scene = scene(&[(0, 16), (16, 48), (48, 63)]);
        assert_eq!(split_of(&mut scene), None, "not allowed by the spec");
        scene.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        let expected = Split { shard: "shardId-000000000001".into(), new_hash_key: (32_u128 << 122).to_string() };
        assert_eq!(split_of(&mut scene), Some(expected));
        scene.memory.reshards.exhausted_until = None;
        let sizing = scene.cycle(&Load { records: 3000.0, rejected: 300.0, ..Load::race() }).1;
        assert_eq!(sizing.targets.split, None, "UpdateShardCount is possible again");
        assert!(shards(&sizing).is_some());
    }

    #[test]
    fn no_split_beyond_the_bound_or_of_a_range_that_cannot_be_read() {
        let mut scene = self::scene(&[(0, 63)]);
        scene.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        scene.pipeline.stream.shards.max = ShardCount(1);
        assert_eq!(split_of(&mut scene), None);
        scene.pipeline.stream.shards.max = ShardCount(16);
        scene.stream().shards[0].ending_hash_key = "?".into();
        assert_eq!(split_of(&mut scene), None);
    }

    #[test]
    fn shards_are_split_until_the_widest_has_room() {
        // The load wants six shards. Six are open, and one of them has half of the keys.
        let mut uneven = scene(&[(0, 32), (32, 38), (38, 44), (44, 50), (50, 57), (57, 63)]);
        uneven.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        let expected = Split { shard: "shardId-000000000000".into(), new_hash_key: (16_u128 << 122).to_string() };
        assert_eq!(split_of(&mut uneven), Some(expected));
        let mut even = scene(&[(0, 11), (11, 22), (22, 32), (32, 43), (43, 53), (53, 63)]);
        even.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard];
        assert_eq!(split_of(&mut even), None);
    }

    fn over() -> Load {
        Load { records: 3000.0, rejected: 300.0, ..Load::race() }
    }

    /// One shard, no call left, and the spec allows on-demand.
    fn last_resort() -> Scene {
        let mut scene = scene(&[(0, 63)]);
        scene.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
        scene
    }

    fn mode_of(sizing: &Sizing) -> Option<StreamMode> {
        sizing.targets.mode.as_ref().map(|target| target.value)
    }

    fn switched(change: impl Fn(&mut Scene)) -> Option<StreamMode> {
        let mut scene = last_resort();
        change(&mut scene);
        mode_of(&scene.cycle(&over()).1)
    }

    #[test]
    fn on_demand_is_the_last_resort() {
        let sizing = last_resort().cycle(&over()).1;
        let target = sizing.targets.mode.unwrap();
        assert_eq!(target.value, StreamMode::OnDemand);
        let cost = "on demand costs $1.093/h at this load, 1 shard cost $0.015/h";
        assert!(target.reason.ends_with(cost), "{}", target.reason);
        assert_eq!(switched(|scene| scene.pipeline.scaling.break_glass.clear()), None, "not allowed");
        assert_eq!(switched(|scene| scene.memory.reshards.exhausted_until = None), None, "a call is left");
        assert_eq!(switched(|scene| scene.pipeline.consumers[0].concurrency_safe = false), None, "AWS adds shards");
        assert_eq!(switched(|scene| scene.stream().status = LifecycleStatus::Updating), None);
        let calm = Load { rejected: 0.0, ..over() };
        assert_eq!(mode_of(&last_resort().cycle(&calm).1), None, "nothing is rejected");
        let at_bound = |scene: &mut Scene| scene.pipeline.stream.shards.max = ShardCount(1);
        assert_eq!(switched(at_bound), Some(StreamMode::OnDemand), "the bound is of shards that are ours");
        let frozen = |scene: &mut Scene| {
            let begins = crate::spec::Begins::At(scene.now);
            let window = crate::spec::Window { begins, duration: SignedDuration::from_hours(1) };
            scene.pipeline.scaling.freeze = vec![crate::spec::Freeze { window, up: true, down: false }];
        };
        assert_eq!(switched(frozen), None);
        let called = |scene: &mut Scene| {
            let a_minute_ago = scene.now - SignedDuration::from_mins(1);
            note_stream_mode(&mut scene.memory, StreamMode::OnDemand, a_minute_ago);
        };
        assert_eq!(switched(called), None, "the call does not show yet");
        let mut uneven = scene(&[(0, 32), (32, 38), (38, 44), (44, 50), (50, 57), (57, 63)]);
        uneven.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
        assert_eq!(mode_of(&uneven.cycle(&over()).1), None, "as many shards as are wanted");
        assert_eq!(switched(|scene| scene.pipeline.objectives.monthly_budget_usd = Some(1.0)), None, "not paid for");
    }

    #[test]
    fn a_shard_is_split_first_where_that_is_possible() {
        let both = |scene: &mut Scene| {
            scene.pipeline.scaling.break_glass = vec![BreakGlass::SplitShard, BreakGlass::OnDemand];
        };
        assert_eq!(switched(both), None);
        let unreadable = |scene: &mut Scene| {
            both(scene);
            scene.stream().shards.clear();
        };
        assert_eq!(switched(unreadable), Some(StreamMode::OnDemand));
    }

    #[test]
    fn a_stream_takes_two_switches_a_day() {
        let used = |count: usize, hours: i64| {
            switched(|scene| {
                let at = scene.now - SignedDuration::from_hours(hours);
                scene.memory.stream_mode.switches = vec![at; count];
            })
        };
        assert_eq!(used(1, 1), Some(StreamMode::OnDemand));
        assert_eq!(used(2, 1), None);
        assert_eq!(used(2, 25), Some(StreamMode::OnDemand));
    }

    /// On demand by break-glass for so many hours, with four shards, watched long enough for anything.
    fn back(hours: i64, load: &Load, change: impl Fn(&mut Scene)) -> Sizing {
        let mut scene = scene(&[(0, 16), (16, 32), (32, 48), (48, 63)]);
        scene.pipeline.scaling.break_glass = vec![BreakGlass::OnDemand];
        scene.memory.reshards.exhausted_until = None;
        scene.stream().mode = StreamMode::OnDemand;
        let since = scene.now - SignedDuration::from_hours(hours);
        note_stream_mode(&mut scene.memory, StreamMode::OnDemand, since);
        scene.memory.drained_since = Some(since);
        for consumer in &mut scene.pipeline.consumers {
            consumer.batch_size = crate::model::Bounds::pinned(consumer.batch_size.initial);
            consumer.parallelization_factor = crate::model::Bounds::pinned(consumer.parallelization_factor.initial);
        }
        change(&mut scene);
        scene.cycle(load);
        scene.memory.last_change.clear();
        scene.cycle(load).1
    }

    #[test]
    fn it_goes_back_after_a_day_into_shards_that_carry_the_load() {
        let load = Load { records: 1000.0, ..Load::race() };
        let sizing = back(25, &load, |_| ());
        assert_eq!(mode_of(&sizing), Some(StreamMode::Provisioned), "{sizing:?}");
        let held = |sizing: &Sizing, guard| crate::scale::tests::held(sizing, guard) && mode_of(sizing).is_none();
        let early = back(23, &load, |_| ());
        assert!(held(&early, "break-glass"), "{:?}", early.holds);
        let heavy = back(25, &Load { records: 3900.0, ..load.clone() }, |_| ());
        assert!(held(&heavy, "break-glass"), "{:?}", heavy.holds);
        let bounded = back(25, &load, |scene| scene.pipeline.stream.shards.max = ShardCount(1));
        assert!(held(&bounded, "break-glass"), "{:?}", bounded.holds);
        let no_call = back(25, &load, |scene| {
            scene.memory.reshards.exhausted_until = Some(scene.now + SignedDuration::from_hours(1));
        });
        assert!(held(&no_call, "quota"), "{:?}", no_call.holds);
        let twice = back(25, &load, |scene| scene.memory.stream_mode.switches = vec![scene.now; 2]);
        assert!(held(&twice, "quota"), "{:?}", twice.holds);
        let changing = back(25, &load, |scene| scene.stream().status = LifecycleStatus::Updating);
        assert!(held(&changing, "in-transition"), "{:?}", changing.holds);
        let rejecting = back(25, &Load { rejected: 100.0, ..load.clone() }, |_| ());
        assert!(held(&rejecting, "break-glass"), "{:?}", rejecting.holds);
        let lowered = back(25, &load, |scene| {
            let window = SignedDuration::from_secs(i64::from(scene.policy.write_stabilization_seconds));
            for minutes in (1..=window.as_mins() + 3).rev() {
                let at = scene.now - SignedDuration::from_mins(minutes);
                guards::recommend(&mut scene.memory, "table/alleycat-races writeCapacity", 60.0, window, at);
            }
        });
        assert!(held(&lowered, "one-stage-at-a-time"), "{:?}", lowered.holds);
        let behind = back(25, &Load { age_seconds: 300.0, ..load.clone() }, |_| ());
        assert!(held(&behind, "scale-in"), "{:?}", behind.holds);
        let not_ours = back(25, &load, |scene| scene.memory.stream_mode.break_glass_since = None);
        assert_eq!(mode_of(&not_ours), None, "somebody else's choice");
    }

    #[test]
    fn switches_of_others_are_noticed_and_shards_that_aws_adds_are_no_calls() {
        let mut scene = last_resort();
        scene.cycle(&over());
        scene.stream().mode = StreamMode::OnDemand;
        scene.cycle(&over());
        assert_eq!(scene.memory.stream_mode.switches.len(), 1);
        assert_eq!(scene.memory.stream_mode.break_glass_since, None);

        let mut scene = last_resort();
        scene.cycle(&over());
        let since = scene.now;
        note_stream_mode(&mut scene.memory, StreamMode::OnDemand, since);
        scene.cycle(&over());
        assert!(scene.memory.stream_mode.break_glass_since.is_some(), "it does not show yet");
        scene.stream().mode = StreamMode::OnDemand;
        scene.cycle(&over());
        scene.stream().open_shards = ShardCount(3);
        scene.cycle(&over());
        assert_eq!(scene.memory.stream_mode.switches, [since], "ours is counted once");
        assert!(scene.memory.reshards.entries.is_empty());
        scene.now = since + SignedDuration::from_hours(30);
        scene.stream().mode = StreamMode::Provisioned;
        scene.cycle(&over());
        assert_eq!(scene.memory.stream_mode.break_glass_since, None);
    }

    #[test]
    fn a_refused_switch_is_taken_back_unless_aws_counts_it() {
        for (class, left) in [(ErrorClass::Invalid, 0), (ErrorClass::Unreachable, 1), (ErrorClass::QuotaExhausted, 1)] {
            let mut scene = last_resort();
            note_stream_mode(&mut scene.memory, StreamMode::OnDemand, scene.now);
            let failure = Failure {
                class,
                operation: "kinesis:UpdateStreamMode".into(),
                resource: "stream/s".into(),
                code: "x".into(),
                message: String::new(),
                request_id: None,
            };
            note_stream_mode_refused(&mut scene.memory, StreamMode::OnDemand, &failure);
            let known = &scene.memory.stream_mode;
            let on_demand = class == ErrorClass::Unreachable;
            assert_eq!((known.switches.len(), known.break_glass_since.is_some()), (left, on_demand), "{class:?}");
        }
    }
}

//! A million decisions, each held to the rules that must always hold: whole days of a small pipeline under loads,
//! outages, strangers and policies drawn at random, driven through [`decide`] minute by minute.
//!
//! What always holds: a rule is checked against what AWS accepted and CloudWatch published in the life, never against
//! the ledgers and windows of the operator's memory, so that one that counts wrongly is found out.

mod life;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{
    Hold, Sizing, decide, learn, remember, replay, size,
    tests::{Scene, factor, shards},
};
use crate::{
    diagnose::Finding,
    memory::{Inputs, Memory},
    model::{LifecycleStatus, MappingState, ParallelizationFactor, ResourceId, ShardCount, Signals},
};

use life::{CONSUMER, DAY, Life, Measured, More, TABLE};

/// Decisions in all that CI holds to the rules.
const STEPS: u64 = 1_000_000;
/// Tests that share them, so that they run beside each other.
const PARTS: u64 = 4;
/// Minutes of a life: two days, so that whole rolling days pass.
const LIFE: u64 = 2_880;

impl Life {
    /// One pass: what is decided is held to the rules, and done.
    fn step(&mut self, nth: u64) -> Result<(), String> {
        let signals = self.signals(More { factor: 1.0, young: false });
        let (now, newest) = (self.scene.now, self.newest());
        remember(&mut self.scene.memory, &self.scene.policy, &self.scene.facts, now);
        let Scene { pipeline, policy, facts, memory, .. } = &mut self.scene;
        learn(memory, pipeline, policy, facts, &signals, now);
        // A short past is as good as a long one for the rules, and a hundred times cheaper to fit.
        memory.sink_samples.values_mut().for_each(|samples| keep_newest(samples, 5));
        memory.slot_rates.values_mut().for_each(|rates| keep_newest(rates, 16));
        let before = nth.is_multiple_of(16).then(|| memory.clone());
        let decided = decide(pipeline, policy, &self.prices, facts, &signals, memory, now);
        let known = |at: i64, of: fn(&Measured) -> bool| self.minutes.get(&at).is_some_and(of);
        let aged = [newest, newest - 1]
            .iter()
            .filter_map(|at| self.minutes.get(at))
            .any(|it| (it.kinesis || it.lambda) && it.age_seconds > f64::from(self.scene.policy.drained_age_seconds));
        if aged || !(known(newest, |it| it.kinesis) || known(newest, |it| it.lambda)) {
            self.waited_at = now;
        }
        let mut kept = self.holds(&decided.1);
        if let Some(before) = before {
            kept = kept.and_then(|()| self.is_monotone(&before, &decided));
            if nth.is_multiple_of(1_024) {
                kept = kept.and_then(|()| self.replays(&signals, before, decided.clone()));
            }
        }
        self.carry_out(&decided.1);
        kept
    }

    /// The rules that one decision keeps.
    fn holds(&self, sizing: &Sizing) -> Result<(), String> {
        let Scene { pipeline, policy, facts, now, .. } = &self.scene;
        let rule = |kept: bool, what: &str| if kept { Ok(()) } else { Err(format!("{what}: {:?}", sizing.targets)) };
        let (stream, table) = (facts.stream.as_ref().unwrap(), &facts.tables[TABLE]);
        let (mut lowers, mut of_table) = (false, false);
        if let Some(count) = shards(sizing) {
            let open = stream.open_shards.get();
            rule(count <= open * 2 && count >= open.div_ceil(2), "past double or below half")?;
            // A stranger may have left the bounds; then one step may not be enough to come back.
            let inside = pipeline.stream.shards.contains(ShardCount(count));
            rule(inside || !pipeline.stream.shards.contains(stream.open_shards), "out of bounds")?;
            rule(stream.status == LifecycleStatus::Active && self.busy[0] == 0, "while the stream changes")?;
            let used = self.calls.iter().filter(|at| *now < **at + DAY).count();
            rule(used < 10, "an eleventh UpdateShardCount")?;
            lowers |= count < open;
        }
        for (nth, (_, live, target, bounds)) in self.capacities(sizing).into_iter().enumerate() {
            let Some(units) = target else { continue };
            rule(bounds.contains(units), "capacity out of bounds")?;
            rule(table.is_settled(), "while the table changes")?;
            if units < live {
                (lowers, of_table) = (true, true);
                let today = |at: &&Timestamp| at.to_zoned(TimeZone::UTC).date() == now.to_zoned(TimeZone::UTC).date();
                let used = self.decreases[nth].iter().filter(today).count();
                let last = self.decreases[nth].last();
                let hour = last.is_none_or(|at| now.duration_since(*at) >= SignedDuration::from_hours(1));
                rule(used < 4 || hour, "a decrease beyond the budget")?;
            }
        }
        if let Some(value) = factor(sizing, CONSUMER) {
            let live = facts.mappings[0].parallelization_factor;
            let bounds = pipeline.consumers[0].parallelization_factor;
            rule(bounds.contains(ParallelizationFactor(value)), "factor out of bounds")?;
            rule(facts.mappings[0].state == MappingState::Enabled, "while the mapping changes")?;
            let newest = self.newest();
            let throttled = |at: i64| self.minutes.get(&at).is_some_and(|it| it.dynamodb && it.throttles > 0.0);
            let into_throttles = value > live.get() && (newest - 2..=newest).any(throttled);
            rule(!into_throttles, "more consumers into a throttled table")?;
            lowers |= value < live.get();
        }
        if lowers {
            let newest = self.minutes.get(&self.newest()).copied().unwrap_or_default();
            rule(newest.kinesis && (newest.dynamodb || !of_table), "lowered on stale metrics")?;
            let drained = SignedDuration::from_secs(i64::from(policy.drained_for_seconds));
            rule(now.duration_since(self.waited_at) >= drained, "lowered with a backlog")?;
        }
        Ok(())
    }

    /// More load, all else equal, never wants less of anything, and raises nothing less far: unless the table behind
    /// it has to come first, or could not carry it.
    fn is_monotone(&mut self, before: &Memory, (findings, decided): &(Vec<Finding>, Sizing)) -> Result<(), String> {
        let times = [1.01, 1.2, 1.7, 3.0][self.rng.whole(0, 3) as usize];
        // Rejections beyond the policy's clamp tell nothing more.
        let clamp = self.scene.policy.offered_clamp;
        let believed = |it: &Measured| it.rejected + (times - 1.0) * it.accepted <= (clamp - 1.0) * it.accepted;
        let young = self.rng.chance(0.5) || !self.minutes.values().all(believed);
        let more = More { factor: times, young };
        let signals = self.signals(more);
        let Scene { pipeline, policy, facts, now, .. } = &self.scene;
        let mut memory = before.clone();
        let greater = size(pipeline, policy, facts, &signals, findings, &self.prices, &mut memory, *now);
        let rule = |kept: bool, what: &str, few: f64, many: f64| {
            let told = || Err(format!("{what}: {few}, and {many} with {more:?}: {:?}", greater.holds));
            if kept { Ok(()) } else { told() }
        };
        let wants = |memory: &Memory, field: &str| {
            memory.recommendations.get(field)?.last().filter(|it| it.at == *now).map(|it| it.value)
        };
        let (less, most) = (&self.scene.memory, &memory);
        let mapping = ResourceId::Mapping(CONSUMER.to_owned());
        let mut same_slots = true;
        for field in ["shards", &format!("{mapping} parallelizationFactor")] {
            let (few, many) = (wants(less, field), wants(most, field));
            rule(many >= few, field, few.unwrap_or(0.0), many.unwrap_or(0.0))?;
            same_slots &= many == few;
        }
        let waits = |resource: &ResourceId| {
            let first = |it: &Hold| it.guard == "sink-first" || it.guard == "sink-limit";
            greater.holds.iter().any(|it| it.resource == *resource && first(it))
        };
        let stream = facts.stream.as_ref().unwrap();
        let raised = |few: Option<u32>, many: Option<u32>, live: u32, what: &str, resource: &ResourceId| {
            let (few, many) = (few.unwrap_or(live), many.unwrap_or(live));
            rule(few <= live || many >= few || waits(resource), what, f64::from(few), f64::from(many))
        };
        let open = stream.open_shards.get();
        raised(shards(decided), shards(&greater), open, "raised shards", &ResourceId::Stream(stream.name.clone()))?;
        let live = facts.mappings[0].parallelization_factor.get();
        raised(factor(decided, CONSUMER), factor(&greater, CONSUMER), live, "raised factor", &mapping)?;
        // Other slots poll otherwise, and may ask a table for less; rejections alone do not wait for the tables.
        let limited = greater.holds.iter().any(|it| it.guard == "sink-limit");
        for (resource, ..) in self.capacities(&greater) {
            let field = format!("{resource} writeCapacity");
            let (few, many) = (wants(less, &field), wants(most, &field));
            rule(!young || !same_slots || limited || many >= few, &field, few.unwrap_or(0.0), many.unwrap_or(0.0))?;
        }
        Ok(())
    }

    /// The recorded inputs, packed and read again, give the same decision.
    fn replays(&self, signals: &Signals, memory: Memory, decided: (Vec<Finding>, Sizing)) -> Result<(), String> {
        let inputs = Inputs {
            version: String::new(),
            now: self.scene.now,
            pipeline: self.scene.pipeline.clone(),
            policy: self.scene.policy.clone(),
            prices: self.prices.clone(),
            facts: self.scene.facts.clone(),
            signals: signals.clone(),
            memory,
            findings: decided.0,
            sizing: decided.1,
        };
        let packed = inputs.pack().map_err(|error| error.to_string())?;
        let read = Inputs::unpack(&packed).map_err(|error| error.to_string())?;
        match replay(&read).map_err(|error| error.to_string())?[..] {
            [] => Ok(()),
            ref parts => Err(format!("decided otherwise from the same inputs: {parts:?}")),
        }
    }
}

fn keep_newest<T>(all: &mut Vec<T>, count: usize) {
    all.drain(..all.len().saturating_sub(count));
}

/// Lives of one part until its share of the steps is played.
fn play(part: u64) {
    let (mut steps, mut reshards, mut decreases) = (0, 0, 0);
    let mut broken = Vec::new();
    for seed in (part..).step_by(PARTS as usize) {
        let mut life = Life::new(seed);
        for minute in 0..LIFE {
            life.pass_a_minute();
            broken.extend(life.step(steps).err().map(|what| format!("life {seed}, minute {minute}: {what}")));
            steps += 1;
        }
        reshards += life.calls.len();
        decreases += life.decreases.iter().map(Vec::len).sum::<usize>();
        if steps >= STEPS / PARTS {
            break;
        }
    }
    assert!(
        broken.is_empty(),
        "{} of {steps} steps, such as\n{}",
        broken.len(),
        broken[..broken.len().min(8)].join("\n")
    );
    // A rule that nothing tries is kept by everybody.
    let lives = (steps / LIFE) as usize;
    assert!(reshards > 3 * lives && decreases > 3 * lives, "{reshards} calls, {decreases} decreases, {lives} lives");
}

#[test]
fn a_million_steps_hold_the_rules_part_1() {
    play(0);
}

#[test]
fn a_million_steps_hold_the_rules_part_2() {
    play(1);
}

#[test]
fn a_million_steps_hold_the_rules_part_3() {
    play(2);
}

#[test]
fn a_million_steps_hold_the_rules_part_4() {
    play(3);
}

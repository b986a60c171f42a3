//! Joint sizing: shards, factors, batches and capacities in one go, because each decides what the others
//! must carry. The order of the interlocks is fixed: the sink before anything that writes to it; one stage
//! lowered at a time, nearest to the sink first.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cost::{self, PriceSheet},
    diagnose::{self, Diagnosis, Finding},
    memory::Memory,
    model::{
        Facts, Hours, LifecycleStatus, ParallelizationFactor, ResourceId, ShardCount, Signals, StreamFacts, StreamMode,
    },
    spec::{Pipeline, ScalingPolicy},
};

use super::{
    Sizing, Target, Targets, Term, break_glass, consumers,
    cycle::{self, Configuration, Cycle, Reader},
    forecast,
    guards::{self, Frozen, SHARDS, hold},
    ledger,
    model::Side,
    retention, settle,
    sinks::{self, Room, SinkTargets},
    stream::{self, ShardDemand},
};

/// Share of one shard in what the pipeline costs at rest.
fn shard_share(stream: &StreamFacts, facts: &Facts, prices: &PriceSheet) -> f64 {
    let shards = cost::of_stream(stream, facts.fan_out.len(), prices).0;
    shards / f64::from(stream.open_shards.get().max(1)) / cost::of_facts(facts, prices).0.max(f64::MIN_POSITIVE)
}

/// Sizes everything for now. Holds what it must and says why; an empty result means that nothing may be known.
#[expect(clippy::too_many_arguments, reason = "what all stages are sized from, passed on once")]
pub fn size(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    findings: &[Finding],
    prices: &PriceSheet,
    memory: &mut Memory,
    now: Timestamp,
) -> Sizing {
    let mut sizing = Sizing::default();
    let Some(live) = &facts.stream else { return sizing };
    let Some(load) = diagnose::stream_load(policy, live, signals) else {
        let id = ResourceId::Stream(live.name.clone());
        sizing.holds.push(hold(&id, "blind", "the incoming load is missing or stale".to_owned(), None));
        return sizing;
    };
    let sinks = cycle::collect_sinks(pipeline, facts, signals, memory, now);
    let forecast = forecast::expected(pipeline, policy, &load, memory, now);
    let hot = |it: &Finding| it.diagnosis == Diagnosis::HotShard && matches!(it.resource, ResourceId::Stream(_));
    let hot = findings.iter().any(hot);
    // What a hot shard rejects reaches nobody behind it.
    let expected = if hot { forecast.records.min(load.accepted) } else { forecast.records };
    let readers =
        cycle::collect_readers(pipeline, policy, facts, signals, findings, memory, &sinks, expected, now, &mut sizing);
    let calls_left = ledger::MAX_RESHARDS_PER_DAY.saturating_sub(ledger::reshards_used(&memory.reshards, now));
    let throttled = sinks.iter().any(|sink| sink.still_throttled(memory));
    let frozen = Frozen::at(&pipeline.scaling.freeze, now);
    let cycle = Cycle {
        pipeline,
        policy,
        stream: live,
        growing: forecast::growing(policy, &load, live.open_shards),
        load,
        expected,
        readers,
        sinks,
        hot,
        throttled,
        frozen,
        calls_left,
        shard_share: shard_share(live, facts, prices),
        now,
    };
    sizing.terms.push(Term { name: "UpdateShardCount calls left".to_owned(), value: f64::from(calls_left) });
    let for_consumers =
        cycle.readers.iter().filter_map(|reader| reader.demand.as_ref()).map(|it| it.shards).fold(0.0, f64::max);
    // Who reads through fan-out has a pipe of its own.
    let fanned = cycle.readers.iter().filter(|reader| reader.mapping.source_arn != live.arn).count();
    let sharing = pipeline.consumers.len() + pipeline.external_consumers.len() - fanned;
    let (load, terms) = (&cycle.load, &mut sizing.terms);
    let expected = (&forecast, cycle.growing);
    let demand = stream::demand(pipeline, policy, live, (load, sharing), expected, for_consumers, terms);
    let wanted = cycle.wanted(&demand, memory);

    let mut lowered = cycle.size_sinks(&wanted, memory, &mut sizing);
    lowered |= cycle.size_factors(&wanted, lowered, memory, &mut sizing);
    // The stream takes one change at a time, and what would be lost goes first.
    match retention::target(pipeline, live, findings) {
        Some(longer) => cycle.extend_retention(longer, &mut sizing),
        None => cycle.size_shards(&demand, &wanted, lowered, memory, &mut sizing),
    }
    sizing
}

/// Why a factor is not raised as far as its consumer asks for.
const SINK_LIMIT: &str = "no write capacity inside the bounds carries more invocations";
/// Share of the offered records that settled minutes must have seen before they tell what the tables will be asked
/// for: young minutes bring the load of the stream only.
const SEEN: f64 = 0.5;

/// Why something is not done now.
pub(super) struct Refusal {
    pub(super) guard: &'static str,
    pub(super) reason: String,
    pub(super) until: Option<Timestamp>,
}

pub(super) fn refuse<T>(guard: &'static str, reason: impl Into<String>) -> Result<T, Refusal> {
    refuse_until(guard, reason, None)
}

pub(super) fn refuse_until<T>(
    guard: &'static str,
    reason: impl Into<String>,
    until: Option<Timestamp>,
) -> Result<T, Refusal> {
    Err(Refusal { guard, reason: reason.into(), until })
}

impl Cycle<'_> {
    /// The configuration that raises lead to: what the sinks are made ready for. What no table inside its bounds
    /// could carry is not worth making room for.
    fn wanted(&self, demand: &ShardDemand, memory: &Memory) -> Configuration {
        let shards = cycle::pending_or_live(memory, self.stream);
        let live = |reader: &Reader<'_>| (reader.spec.name.clone(), reader.mapping.parallelization_factor);
        let current = Configuration { shards, factors: self.readers.iter().map(live).collect() };
        let mut wanted = current.clone();
        wanted.shards = current.shards.max(self.next_shards(demand.wanted));
        for reader in &self.readers {
            if let Some(demand) = reader.demand.as_ref().filter(|demand| demand.no_raise.is_none()) {
                let factor = demand.factor.max(reader.mapping.parallelization_factor);
                wanted.factors.insert(reader.spec.name.clone(), factor);
            }
        }
        // The table at its bound may carry a part of it.
        while !self.fits(&wanted, Room::Bound) {
            let raised = wanted.factors.iter_mut().filter(|(name, factor)| **factor > current.factors[*name]);
            let Some((_, highest)) = raised.max_by_key(|(_, factor)| **factor) else { break };
            *highest = ParallelizationFactor(highest.get() - 1);
        }
        if !self.will_lose() && !self.fits(&wanted, Room::Bound) {
            wanted.shards = current.shards;
        }
        wanted
    }

    /// Records are rejected. What is rejected is lost: then the shards wait for nothing.
    fn loses(&self) -> bool {
        self.load.rejecting || self.load.flooded
    }

    /// Records are rejected, or will be before a reshard decided now is done: then the shards do not wait for room in
    /// the table.
    fn will_lose(&self) -> bool {
        self.loses() || self.growing.is_some_and(|growth| growth.overflows(&self.load))
    }

    fn next_shards(&self, wanted: ShardCount) -> ShardCount {
        stream::step(self.stream.open_shards, wanted, self.calls_left, stream::shard_bound(self.pipeline))
    }

    /// Sets capacities; returns whether one was lowered.
    fn size_sinks(&self, wanted: &Configuration, memory: &mut Memory, sizing: &mut Sizing) -> bool {
        let mut decided = Vec::new();
        for sink in &self.sinks {
            let mut inputs = self.inputs(sink.table, wanted);
            inputs.extend(settle::by_then(self, sink, &inputs, memory));
            let (terms, holds) = (&mut sizing.terms, &mut sizing.holds);
            if sink.on_demand {
                sinks::watch(self.policy, sink, &inputs, memory, self.now, terms);
                continue;
            }
            let mut targets = sinks::decide(self.policy, sink, &inputs, memory, self.frozen, self.now, terms, holds);
            let waits = self.buffered(sink, &targets, &inputs, wanted).or_else(|| {
                // One shard holds its consumer up and the others do not: the models know no such minutes.
                let unasked = self.hot && targets.raises && sink.has_room(self.policy);
                let reason = "a hot shard is behind, and the table has room for what reaches it".to_owned();
                unasked.then(|| hold(&sink.resource, "hot-shard", reason, None))
            });
            if let Some(waits) = waits {
                holds.push(waits);
                targets = SinkTargets::default();
            }
            decided.push((sink, targets));
        }
        let mut lowered = false;
        for (sink, targets) in &decided {
            // One UpdateTable carries the table and its indexes; a raise never shares it with a decrease, which AWS
            // could refuse as a whole.
            let raising = decided.iter().any(|(other, targets)| other.table == sink.table && targets.raises);
            // What a throttled index lets through to the table says nothing about what would come.
            let throttled = self.sinks.iter().any(|other| other.table == sink.table && other.throttled());
            if targets.lowers && (raising || throttled) {
                let reason =
                    if raising { "another part of the table is raised first" } else { "a part of the table throttles" };
                sizing.holds.push(hold(&sink.resource, "raise-first", reason.to_owned(), None));
                continue;
            }
            lowered |= targets.lowers;
            for (side, target) in [(Side::Write, &targets.write), (Side::Read, &targets.read)] {
                if target.is_some() {
                    guards::note_change(memory, &sinks::field(&sink.resource, side), targets.raises, self.now);
                }
            }
            let slot = sizing.targets.tables.entry(sink.table.to_owned()).or_default().part(&sink.resource);
            slot.write.clone_from(&targets.write);
            slot.read.clone_from(&targets.read);
        }
        lowered
    }

    /// Sets factors and batch sizes; returns whether a factor was lowered.
    fn size_factors(
        &self,
        wanted: &Configuration,
        sink_lowered: bool,
        memory: &mut Memory,
        sizing: &mut Sizing,
    ) -> bool {
        let mut lowered = false;
        for reader in &self.readers {
            let Some(demand) = &reader.demand else { continue };
            let id = ResourceId::Mapping(reader.spec.name.clone());
            let field = format!("{id} parallelizationFactor");
            let window = SignedDuration::from_secs(i64::from(self.policy.factor_stabilization_seconds));
            guards::recommend(memory, &field, f64::from(demand.factor.get()), window, self.now);
            let may_lower = !sink_lowered && !lowered;
            let live = reader.mapping.parallelization_factor;
            match self.factor(reader, wanted, may_lower, &field, memory) {
                Ok(Some(target)) => {
                    lowered |= target.value < live;
                    if target.value > live && target.value < demand.factor {
                        sizing.holds.push(hold(&id, "sink-limit", SINK_LIMIT.to_owned(), None));
                    }
                    guards::note_change(memory, &field, target.value > live, self.now);
                    sizing.targets.consumers.entry(reader.spec.name.clone()).or_default().parallelization_factor =
                        Some(target);
                }
                Ok(None) => {}
                Err(refusal) => {
                    sizing.holds.push(hold(&id, refusal.guard, refusal.reason, refusal.until));
                }
            }
            if reader.mapping.state.is_settled() && demand.batch != reader.mapping.batch_size {
                memory.last_change.insert(format!("{id} batchSize"), self.now);
                if demand.batch < reader.mapping.batch_size {
                    memory.last_change.insert(consumers::batch_lowered(&reader.spec.name), self.now);
                }
                sizing.targets.consumers.entry(reader.spec.name.clone()).or_default().batch_size =
                    Some(Target { value: demand.batch, reason: demand.batch_reason.clone() });
            }
        }
        lowered
    }

    fn factor(
        &self,
        reader: &Reader<'_>,
        wanted: &Configuration,
        may_lower: bool,
        field: &str,
        memory: &Memory,
    ) -> Result<Option<Target<ParallelizationFactor>>, Refusal> {
        let live = reader.mapping.parallelization_factor;
        let Some(demand) = reader.demand.as_ref().filter(|demand| demand.factor != live) else { return Ok(None) };
        if !reader.mapping.state.is_settled() {
            return refuse("in-transition", format!("the mapping is {:?}", reader.mapping.state));
        }
        if !reader.spec.concurrency_safe && live.get() > 1 {
            let reason = "it must not run twice at a time".to_owned();
            return Ok(Some(Target { value: ParallelizationFactor(1), reason }));
        }
        if demand.factor > live {
            if let Some(until) = self.frozen.up {
                return refuse_until("frozen", "the spec freezes raises", Some(until));
            }
            if let Some(reason) = &demand.no_raise {
                return refuse("not-the-bottleneck", reason.clone());
            }
            let value =
                wanted.factors.get(&reader.spec.name).map_or(demand.factor, |factor| demand.factor.min(*factor));
            if value <= live {
                return refuse("sink-limit", SINK_LIMIT);
            }
            if !self.carried_for(reader, wanted) {
                return refuse("sink-first", "the table is raised before its writers");
            }
            return Ok(Some(Target { value, reason: demand.factor_reason.clone() }));
        }
        if !may_lower || self.load.rejecting {
            return Ok(None);
        }
        let window = SignedDuration::from_secs(i64::from(self.policy.factor_stabilization_seconds));
        let highest = guards::lower_to(memory, field, window, self.now).map(|it| ParallelizationFactor(it as u32));
        let Some(value) = highest.filter(|highest| *highest < live) else { return Ok(None) };
        if let Some((reason, until)) = guards::lowering_forbidden(memory, self.policy, self.frozen, self.now) {
            return refuse_until("scale-in", reason, until);
        }
        if let Some(until) = guards::turned(memory, field, self.now) {
            return refuse_until("lowered-too-soon", guards::TURNED, Some(until));
        }
        let reason = format!("{value} was enough at all times of the last {} min", window.as_mins());
        Ok(Some(Target { value, reason }))
    }

    /// Sets the retention.
    fn extend_retention(&self, longer: Target<Hours>, sizing: &mut Sizing) {
        let id = ResourceId::Stream(self.stream.name.clone());
        if self.stream.status != LifecycleStatus::Active {
            let reason = format!("the stream is {:?}; its retention is to be {} h", self.stream.status, longer.value);
            sizing.holds.push(hold(&id, "in-transition", reason, None));
        } else if let Some(until) = self.frozen.up {
            let reason = format!("the spec freezes raises: a retention of {} h is wanted", longer.value);
            sizing.holds.push(hold(&id, "frozen", reason, Some(until)));
        } else {
            sizing.targets.retention = Some(longer);
        }
    }

    /// Sets the shard count.
    fn size_shards(
        &self,
        demand: &ShardDemand,
        wanted: &Configuration,
        lowered: bool,
        memory: &mut Memory,
        sizing: &mut Sizing,
    ) {
        let window = SignedDuration::from_secs(i64::from(self.policy.shard_stabilization_seconds));
        guards::recommend(memory, SHARDS, f64::from(demand.wanted.get()), window, self.now);
        let live = self.stream.open_shards;
        if self.stream.mode == StreamMode::OnDemand {
            return self.leave_on_demand(lowered, memory, sizing);
        }
        let stuck = break_glass::stuck(self, live);
        // Shards that were split one by one go on being split until the widest of them has room.
        let full = self.load.rejecting || self.load.of_widest(self.stream) > self.policy.shard_raise_utilization;
        let uneven = self.calls_left == 0 && full && break_glass::uneven(self.stream, demand);
        let more = demand.wanted > live || stuck || uneven;
        if demand.wanted == live && !more {
            return;
        }
        let decided = self.may_reshard(memory).and_then(|()| {
            if more {
                self.raise_shards(demand, wanted, memory, &sizing.targets)
            } else {
                self.lower_shards(demand, lowered, memory)
            }
        });
        match decided {
            Ok(Some(target)) => {
                guards::note_change(memory, SHARDS, target.value > live, self.now);
                sizing.targets.shards = Some(target);
            }
            Ok(None) => {}
            Err(refusal) => {
                if refusal.guard == "quota" && (self.load.rejecting || uneven) {
                    let bound = stream::shard_bound(self.pipeline);
                    sizing.targets.split = break_glass::split(self.pipeline, self.stream, demand, bound);
                    if sizing.targets.split.is_none() {
                        sizing.targets.mode = break_glass::on_demand(self, demand, memory);
                    }
                }
                let id = ResourceId::Stream(self.stream.name.clone());
                sizing.holds.push(hold(&id, refusal.guard, refusal.reason, refusal.until));
            }
        }
    }

    /// Shards that the greatest load since then needs, inside the bound.
    fn shards_at_peak(&self, memory: &Memory, since: SignedDuration) -> ShardCount {
        let records = forecast::peak(memory, self.now - since);
        let bytes = self.load.offered_bytes * records / self.load.offered.max(1.0);
        let shards = diagnose::shards_filled(records, bytes) / self.policy.shard_raise_utilization;
        ShardCount(shards.ceil() as u32).min(stream::shard_bound(self.pipeline))
    }

    pub(super) fn may_reshard(&self, memory: &Memory) -> Result<(), Refusal> {
        if self.stream.status != LifecycleStatus::Active {
            return refuse("in-transition", format!("the stream is {:?}", self.stream.status));
        }
        if memory.stream_seen.as_ref().is_some_and(|seen| seen.pending_target.is_some()) {
            return refuse("in-transition", "the last call has not shown its effect yet");
        }
        if self.hot {
            return refuse("hot-shard", "more shards do not help a hot key");
        }
        Ok(())
    }

    fn raise_shards(
        &self,
        demand: &ShardDemand,
        wanted: &Configuration,
        memory: &Memory,
        targets: &Targets,
    ) -> Result<Option<Target<ShardCount>>, Refusal> {
        let live = self.stream.open_shards;
        if let Some(until) = self.frozen.up {
            return refuse_until("frozen", "the spec freezes raises", Some(until));
        }
        if self.calls_left == 0 {
            let frees = ledger::frees_at(&memory.reshards, self.now);
            return refuse_until("quota", "all ten UpdateShardCount calls of 24 h are used", frees);
        }
        if !self.will_lose() {
            if wanted.shards <= live {
                return refuse("sink-limit", "no write capacity inside the bounds carries what more shards invoke");
            }
            if self.load.accepted < SEEN * self.load.offered && !self.sinks.is_empty() {
                return refuse("sink-first", "what this load writes to the tables is not known yet");
            }
        }
        if self.throttled && !self.loses() {
            // Whatever the fit says: what throttles now does not carry more readers.
            return refuse("sink-first", "a table throttles, and more shards are more writers");
        }
        // A table is raised in the same pass, by the call before: it is there long before the new shards are.
        if !self.will_lose() && !self.fits_soon(wanted, targets) {
            return refuse("sink-first", "the table is raised before its writers");
        }
        let value = self.next_shards(demand.wanted);
        Ok((value > live).then(|| Target { value, reason: demand.reason.clone() }))
    }

    fn lower_shards(
        &self,
        demand: &ShardDemand,
        lowered: bool,
        memory: &Memory,
    ) -> Result<Option<Target<ShardCount>>, Refusal> {
        let live = self.stream.open_shards;
        let window = SignedDuration::from_secs(i64::from(self.policy.shard_stabilization_seconds));
        let Some(highest) = guards::lower_to(memory, SHARDS, window, self.now) else { return Ok(None) };
        let value = self.next_shards(ShardCount(highest as u32).max(demand.wanted));
        if value >= live || !stream::worth_lowering(live, value) {
            return Ok(None);
        }
        let saves = self.shard_share * f64::from(live.get() - value.get());
        if saves < stream::CHEAP && value < self.shards_at_peak(memory, stream::KEPT_FOR) {
            let reason = format!(
                "it saves {:.0} % of the cost at rest: shards so cheap are kept for {} h after the load that needs them",
                saves * 100.0,
                stream::KEPT_FOR.as_hours()
            );
            return refuse("cheap", reason);
        }
        if guards::rising(memory, SHARDS, self.now) {
            return refuse(
                "rising",
                "the load has been rising within the hour: shards are cheaper than to be short of them",
            );
        }
        let coming = forecast::coming(self.pipeline, self.policy, memory, self.now);
        let needed =
            coming.map(|records| records / diagnose::SHARD_RECORDS_PER_SECOND / self.policy.shard_raise_utilization);
        if let Some(needed) = needed.filter(|needed| *needed > f64::from(value.get())) {
            let hours = f64::from(self.policy.quiet_ahead_seconds) / 3600.0;
            let reason = format!("a load that is known to come within {hours:.1} h needs {:.0} shards", needed.ceil());
            return refuse("known-load", reason);
        }
        if lowered {
            return refuse("one-stage-at-a-time", "another stage is lowered in this cycle");
        }
        if self.calls_left <= self.policy.reserved_reshards {
            let frees = ledger::frees_at(&memory.reshards, self.now);
            let reason = format!("{} UpdateShardCount calls left are kept for raises", self.calls_left);
            return refuse_until("quota", reason, frees);
        }
        let peak = self.shards_at_peak(memory, stream::GROWS_BACK_TO);
        if self.calls_left < 2 + stream::doublings(value, peak) {
            let frees = ledger::frees_at(&memory.reshards, self.now);
            let reason = format!(
                "with {} UpdateShardCount calls left, {} could not grow back to the {} of the week's peak and keep a call",
                self.calls_left,
                value.words(),
                peak.get()
            );
            return refuse_until("quota", reason, frees);
        }
        if let Some((reason, until)) = guards::lowering_forbidden(memory, self.policy, self.frozen, self.now) {
            return refuse_until("scale-in", reason, until);
        }
        if let Err(until) = stream::cooled_down(self.policy, memory.last_change.get(SHARDS).copied(), self.now) {
            return refuse_until("cool-down", "the shard count changed a short time ago", Some(until));
        }
        let reason = format!("{} would have done at all times of the last {} h", value.words(), window.as_hours());
        Ok(Some(Target { value, reason }))
    }
}

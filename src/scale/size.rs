//! Joint sizing: shards, factors, batches and capacities in one go, because each decides what the others
//! must carry. The order of the interlocks is fixed: the sink before anything that writes to it; one stage
//! lowered at a time, nearest to the sink first.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{self, ConsumerLoad, Diagnosis, Finding, StreamLoad, mapping_of},
    memory::Memory,
    model::{
        BillingMode, Facts, LifecycleStatus, MappingFacts, ParallelizationFactor, ResourceId, ShardCount, Signals,
        StreamFacts, StreamMode,
    },
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

use super::{
    Sizing, Target, Term,
    consumers::{self, ConsumerDemand, ConsumerInputs},
    guards::{self, SHARDS, hold},
    ledger,
    model::{SinkInputs, invocations_per_second},
    sinks::{self, Room, Sink},
    stream,
};

/// A consumer with its live mapping, its load and what it needs.
struct Reader<'a> {
    spec: &'a ConsumerSpec,
    mapping: &'a MappingFacts,
    load: Option<ConsumerLoad>,
    demand: Option<ConsumerDemand>,
}

/// What the consumers will look like: the configuration the sinks are sized for.
#[derive(Debug, Clone, PartialEq)]
struct Configuration {
    shards: ShardCount,
    factors: BTreeMap<String, ParallelizationFactor>,
}

/// Sizes everything for now. Holds what it must and says why; an empty result means that nothing may be known.
pub fn size(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    findings: &[Finding],
    memory: &mut Memory,
    now: Timestamp,
) -> Sizing {
    let mut sizing = Sizing::default();
    let Some(live) = &facts.stream else { return sizing };
    let stream_id = ResourceId::Stream(live.name.clone());
    let Some(load) = diagnose::stream_load(policy, live, signals) else {
        sizing.holds.push(hold(&stream_id, "blind", "the incoming load is missing or stale".to_owned(), None));
        return sizing;
    };
    let sinks = collect_sinks(pipeline, facts, signals, memory);
    let expected = stream::expected_records(policy, &load, live.open_shards);
    let readers = collect_readers(pipeline, policy, facts, signals, findings, memory, &sinks, expected, &mut sizing);
    let for_consumers =
        readers.iter().filter_map(|reader| reader.demand.as_ref()).map(|demand| demand.shards).fold(0.0, f64::max);
    let shard_demand = stream::demand(pipeline, policy, live, &load, for_consumers, &mut sizing.terms);

    let current = Configuration {
        shards: pending_or_live(memory, live),
        factors: readers.iter().map(|r| (r.spec.name.clone(), r.mapping.parallelization_factor)).collect(),
    };
    let left = ledger::MAX_RESHARDS_PER_DAY.saturating_sub(ledger::reshards_used(&memory.reshards, now));
    sizing.terms.push(Term { name: "UpdateShardCount calls left".to_owned(), value: f64::from(left) });
    let next_shards = stream::step(live.open_shards, shard_demand.wanted, left, stream::shard_bound(pipeline));
    let mut wanted = Configuration { shards: current.shards.max(next_shards), factors: current.factors.clone() };
    for reader in &readers {
        if let Some(demand) = reader.demand.as_ref().filter(|demand| demand.no_raise.is_none()) {
            let factor = demand.factor.max(reader.mapping.parallelization_factor);
            wanted.factors.insert(reader.spec.name.clone(), factor);
        }
    }
    let world = World { policy, readers: &readers, load: &load, expected };
    // What no table inside its bounds could carry is not worth making room for.
    if !world.fits(&sinks, &wanted, Room::Bound) {
        wanted.factors.clone_from(&current.factors);
        if !load.rejecting && !world.fits(&sinks, &wanted, Room::Bound) {
            wanted.shards = current.shards;
        }
    }

    let throttled = sinks.iter().any(|sink| sink.still_throttled(memory));
    let raised_sink = size_sinks(&world, &sinks, &wanted, memory, now, &mut sizing);
    let carried = match (throttled, world.fits(&sinks, &wanted, Room::Live)) {
        // Whatever the fit says: what throttles now does not carry more readers.
        (true, _) => Err("a table throttles, and more shards are more writers"),
        (false, false) => Err("the table is raised before its writers"),
        (false, true) => Ok(()),
    };
    let mut lowered = raised_sink.lowered;
    lowered |= size_factors(&world, &sinks, &wanted, lowered, memory, now, &mut sizing);
    size_shards(
        &world,
        pipeline,
        live,
        &stream_id,
        &shard_demand,
        &wanted,
        carried,
        lowered,
        findings,
        left,
        memory,
        now,
        &mut sizing,
    );
    sizing
}

/// What all stages are sized from.
struct World<'a> {
    policy: &'a ScalingPolicy,
    readers: &'a [Reader<'a>],
    load: &'a StreamLoad,
    expected: f64,
}

impl World<'_> {
    /// The loads a table must carry in a configuration: caught up, and catching up.
    fn inputs(&self, table: &str, configuration: &Configuration) -> Vec<SinkInputs> {
        let mut caught_up = SinkInputs { records: self.expected, ..SinkInputs::default() };
        let mut catching_up = caught_up.clone();
        for reader in self.readers.iter().filter(|reader| reader.spec.writes_to.iter().any(|name| name == table)) {
            let name = reader.spec.name.clone();
            let factor = configuration.factors.get(&name).map_or(1, |factor| factor.get());
            let slots = f64::from(configuration.shards.get() * factor);
            let batch = f64::from(reader.mapping.batch_size.get());
            let window = f64::from(reader.spec.maximum_batching_window_seconds);
            let rate = invocations_per_second(slots, batch, window, self.expected, false) * self.calibration(reader);
            caught_up.invocations.insert(name.clone(), rate);
            let required = reader.demand.as_ref().map_or(self.expected, |demand| demand.required);
            let behind = reader.load.as_ref().is_some_and(|load| load.backlog > 0.0);
            let rate = if behind { invocations_per_second(slots, batch, window, required, true) } else { rate };
            catching_up.invocations.insert(name, rate);
            catching_up.records = catching_up.records.max(if behind { required } else { self.expected });
        }
        vec![caught_up, catching_up]
    }

    /// How often a consumer that keeps up is really invoked, over what the polling rule says.
    fn calibration(&self, reader: &Reader<'_>) -> f64 {
        let Some(load) = reader.load.as_ref().filter(|load| !load.lagging && self.load.accepted >= 1.0) else {
            return 1.0;
        };
        let slots = f64::from(reader.mapping.parallelization_factor.get());
        let shards = self.load.offered / (self.load.utilization.max(1e-9) * diagnose::SHARD_RECORDS_PER_SECOND);
        let said = invocations_per_second(
            slots * shards.round().max(1.0),
            f64::from(reader.mapping.batch_size.get()),
            f64::from(reader.spec.maximum_batching_window_seconds),
            self.load.offered,
            false,
        );
        load.invocations.filter(|_| said > 0.0).map_or(1.0, |seen| (seen / said).clamp(0.5, 2.0))
    }

    /// Whether every sink carries the configuration.
    fn fits(&self, sinks: &[Sink<'_>], configuration: &Configuration, room: Room) -> bool {
        sinks.iter().all(|sink| sink.carries(&self.inputs(sink.table, configuration), room))
    }
}

fn pending_or_live(memory: &Memory, live: &StreamFacts) -> ShardCount {
    let pending = memory.stream_seen.as_ref().and_then(|seen| seen.pending_target);
    pending.map_or(live.open_shards, |target| target.max(live.open_shards))
}

fn collect_sinks<'a>(pipeline: &'a Pipeline, facts: &'a Facts, signals: &Signals, memory: &Memory) -> Vec<Sink<'a>> {
    let mut sinks = Vec::new();
    for table in &pipeline.tables {
        let Some(live) = facts.tables.get(&table.name).filter(|live| live.billing_mode == BillingMode::Provisioned)
        else {
            continue;
        };
        let measured = signals.tables.get(&table.name);
        let mut add = |resource: ResourceId, capacity, write_bounds, read_bounds, load| {
            let (write_model, read_model) = sinks::models(memory.sink_samples.get(&resource.to_string()));
            sinks.push(Sink {
                resource,
                table: &table.name,
                capacity,
                write_bounds,
                read_bounds,
                load,
                write_model,
                read_model,
                settled: live.is_settled(),
            });
        };
        let load = measured.and_then(|measured| diagnose::sink_load(signals, &measured.table, &live.capacity));
        add(ResourceId::Table(table.name.clone()), &live.capacity, table.write_capacity, table.read_capacity, load);
        for index in &table.global_secondary_indexes {
            let Some(found) = live.global_secondary_indexes.get(&index.name) else { continue };
            let load = measured
                .and_then(|measured| measured.indexes.get(&index.name))
                .and_then(|signal| diagnose::sink_load(signals, signal, &found.capacity));
            add(
                ResourceId::Index(table.name.clone(), index.name.clone()),
                &found.capacity,
                index.write_capacity,
                index.read_capacity,
                load,
            );
        }
    }
    sinks
}

#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing, passed on once")]
fn collect_readers<'a>(
    pipeline: &'a Pipeline,
    policy: &ScalingPolicy,
    facts: &'a Facts,
    signals: &Signals,
    findings: &[Finding],
    memory: &Memory,
    sinks: &[Sink<'_>],
    expected: f64,
    sizing: &mut Sizing,
) -> Vec<Reader<'a>> {
    let Some(stream) = &facts.stream else { return Vec::new() };
    let mut readers = Vec::new();
    for consumer in &pipeline.consumers {
        let Some(mapping) = mapping_of(facts, consumer) else { continue };
        let load = diagnose::consumer_load(pipeline, policy, signals, consumer);
        let own = |sink: &&Sink<'_>| consumer.writes_to.iter().any(|name| name == sink.table);
        let demand = load.as_ref().map(|load| {
            let inputs = ConsumerInputs {
                pipeline,
                policy,
                consumer,
                mapping,
                function: facts.functions.get(&consumer.function),
                stream,
                load,
                findings,
                memory,
                expected,
                sink_throttled: sinks.iter().filter(own).any(Sink::throttled),
                sink_limited: sinks.iter().filter(own).any(Sink::limited),
            };
            consumers::demand(&inputs, &mut sizing.terms)
        });
        if load.is_none() {
            let id = ResourceId::Mapping(consumer.name.clone());
            sizing.holds.push(hold(&id, "blind", "its iterator age is missing or stale".to_owned(), None));
        }
        readers.push(Reader { spec: consumer, mapping, load, demand });
    }
    readers
}

/// Whether any sink was lowered.
struct SinkOutcome {
    lowered: bool,
}

fn size_sinks(
    world: &World<'_>,
    sinks: &[Sink<'_>],
    wanted: &Configuration,
    memory: &mut Memory,
    now: Timestamp,
    sizing: &mut Sizing,
) -> SinkOutcome {
    let mut decided = Vec::new();
    for sink in sinks {
        let inputs = world.inputs(sink.table, wanted);
        let targets = sinks::decide(world.policy, sink, &inputs, memory, now, &mut sizing.terms, &mut sizing.holds);
        decided.push((sink, targets));
    }
    let mut lowered = false;
    for (sink, targets) in &decided {
        // One UpdateTable carries the table and its indexes; a raise never shares it with a decrease, which AWS
        // could refuse as a whole.
        let raising = decided.iter().any(|(other, targets)| other.table == sink.table && targets.raises);
        // What a throttled index lets through to the table says nothing about what would come.
        let throttled = sinks.iter().any(|other| other.table == sink.table && other.throttled());
        if targets.lowers && (raising || throttled) {
            let reason =
                if raising { "another part of the table is raised first" } else { "a part of the table throttles" };
            sizing.holds.push(hold(&sink.resource, "raise-first", reason.to_owned(), None));
            continue;
        }
        lowered |= targets.lowers;
        let table = sizing.targets.tables.entry(sink.table.to_owned()).or_default();
        let slot = match &sink.resource {
            ResourceId::Index(_, index) => table.indexes.entry(index.clone()).or_default(),
            _ => &mut table.table,
        };
        for (side, target) in [(super::model::Side::Write, &targets.write), (super::model::Side::Read, &targets.read)] {
            if target.is_some() {
                memory.last_change.insert(sinks::field(&sink.resource, side), now);
            }
        }
        slot.write.clone_from(&targets.write);
        slot.read.clone_from(&targets.read);
    }
    SinkOutcome { lowered }
}

/// Sets factors and batch sizes; returns whether a factor was lowered.
#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing, passed on once")]
fn size_factors(
    world: &World<'_>,
    sinks: &[Sink<'_>],
    wanted: &Configuration,
    sink_lowered: bool,
    memory: &mut Memory,
    now: Timestamp,
    sizing: &mut Sizing,
) -> bool {
    let mut lowered = false;
    for reader in world.readers {
        let Some(demand) = &reader.demand else { continue };
        let id = ResourceId::Mapping(reader.spec.name.clone());
        let field = format!("{id} parallelizationFactor");
        let live = reader.mapping.parallelization_factor;
        let keep = SignedDuration::from_secs(i64::from(world.policy.factor_stabilization_seconds));
        guards::recommend(memory, &field, f64::from(demand.factor.get()), keep, now);
        if !reader.mapping.state.is_settled() {
            if demand.factor != live {
                let reason = format!("the mapping is {:?}", reader.mapping.state);
                sizing.holds.push(hold(&id, "in-transition", reason, None));
            }
            continue;
        }
        let unsafe_now = !reader.spec.concurrency_safe && live.get() > 1;
        let target = if unsafe_now {
            Some(Target { value: ParallelizationFactor(1), reason: "it must not run twice at a time".to_owned() })
        } else if demand.factor > live {
            let own = |sink: &&Sink<'_>| reader.spec.writes_to.iter().any(|name| name == sink.table);
            let carried =
                sinks.iter().filter(own).all(|sink| sink.carries(&world.inputs(sink.table, wanted), Room::Live));
            raise_factor(demand, wanted, &id, &reader.spec.name, carried, sizing)
        } else if demand.factor < live && !sink_lowered && !lowered {
            lower_factor(world, memory, &id, &field, live, keep, now, sizing)
        } else {
            None
        };
        let targets = sizing.targets.consumers.entry(reader.spec.name.clone()).or_default();
        if let Some(target) = target {
            lowered |= target.value < live;
            memory.last_change.insert(field, now);
            targets.parallelization_factor = Some(target);
        }
        if demand.batch != reader.mapping.batch_size {
            memory.last_change.insert(format!("{id} batchSize"), now);
            targets.batch_size = Some(Target { value: demand.batch, reason: demand.batch_reason.clone() });
        }
    }
    lowered
}

fn raise_factor(
    demand: &ConsumerDemand,
    wanted: &Configuration,
    id: &ResourceId,
    name: &str,
    carried: bool,
    sizing: &mut Sizing,
) -> Option<Target<ParallelizationFactor>> {
    if let Some(reason) = &demand.no_raise {
        sizing.holds.push(hold(id, "not-the-bottleneck", reason.clone(), None));
        return None;
    }
    if wanted.factors.get(name).is_some_and(|factor| *factor < demand.factor) {
        let reason = "no write capacity inside the bounds carries more invocations".to_owned();
        sizing.holds.push(hold(id, "sink-limit", reason, None));
        return None;
    }
    if !carried {
        sizing.holds.push(hold(id, "sink-first", "the table is raised before its writers".to_owned(), None));
        return None;
    }
    Some(Target { value: demand.factor, reason: demand.factor_reason.clone() })
}

#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing, passed on once")]
fn lower_factor(
    world: &World<'_>,
    memory: &Memory,
    id: &ResourceId,
    field: &str,
    live: ParallelizationFactor,
    window: SignedDuration,
    now: Timestamp,
    sizing: &mut Sizing,
) -> Option<Target<ParallelizationFactor>> {
    if world.load.rejecting {
        return None;
    }
    let highest = ParallelizationFactor(guards::window_max(memory, field, window, now)? as u32);
    if highest >= live {
        return None;
    }
    if let Some((reason, until)) = guards::lowering_forbidden(memory, world.policy, now) {
        sizing.holds.push(hold(id, "scale-in", reason, until));
        return None;
    }
    let reason = format!("{highest} was enough at all times of the last {} min", window.as_mins());
    Some(Target { value: highest, reason })
}

#[expect(clippy::too_many_arguments, reason = "the inputs of the sizing, passed on once")]
fn size_shards(
    world: &World<'_>,
    pipeline: &Pipeline,
    stream: &StreamFacts,
    id: &ResourceId,
    demand: &stream::ShardDemand,
    wanted: &Configuration,
    carried: Result<(), &str>,
    lowered: bool,
    findings: &[Finding],
    left: u32,
    memory: &mut Memory,
    now: Timestamp,
    sizing: &mut Sizing,
) {
    let policy = world.policy;
    let live = stream.open_shards;
    let keep = SignedDuration::from_secs(i64::from(policy.shard_stabilization_seconds));
    guards::recommend(memory, SHARDS, f64::from(demand.wanted.get()), keep, now);
    if stream.mode == StreamMode::OnDemand || demand.wanted == live {
        return;
    }
    let mut refuse = |guard: &str, reason: String, until| sizing.holds.push(hold(id, guard, reason, until));
    if stream.status != LifecycleStatus::Active {
        return refuse("in-transition", format!("the stream is {:?}", stream.status), None);
    }
    if memory.stream_seen.as_ref().is_some_and(|seen| seen.pending_target.is_some()) {
        return refuse("in-transition", "the last call has not shown its effect yet".to_owned(), None);
    }
    if findings.iter().any(|finding| finding.diagnosis == Diagnosis::HotShard) {
        return refuse("hot-shard", "more shards do not help a hot key".to_owned(), None);
    }
    let frees = ledger::frees_at(&memory.reshards, now);
    let target = if demand.wanted > live {
        if left == 0 {
            return refuse("quota", "all ten UpdateShardCount calls of 24 h are used".to_owned(), frees);
        }
        if !world.load.rejecting && wanted.shards <= live {
            return refuse(
                "sink-limit",
                "no write capacity inside the bounds carries the invocations of more shards".to_owned(),
                None,
            );
        }
        if let (false, Err(reason)) = (world.load.rejecting, carried) {
            return refuse("sink-first", reason.to_owned(), None);
        }
        stream::step(live, demand.wanted, left, stream::shard_bound(pipeline))
    } else {
        let Some(highest) = guards::window_max(memory, SHARDS, keep, now) else { return };
        let to = stream::step(live, ShardCount(highest as u32).max(demand.wanted), left, stream::shard_bound(pipeline));
        if to >= live || !stream::worth_lowering(live, to) {
            return;
        }
        if lowered {
            return refuse("one-stage-at-a-time", "another stage is lowered in this cycle".to_owned(), None);
        }
        if left <= policy.reserved_reshards {
            return refuse("quota", format!("{left} UpdateShardCount calls left are kept for raises"), frees);
        }
        if let Some((reason, until)) = guards::lowering_forbidden(memory, policy, now) {
            return refuse("scale-in", reason, until);
        }
        if let Err(until) = stream::cooled_down(policy, memory.last_change.get(SHARDS).copied(), now) {
            return refuse("cool-down", "the shard count changed a short time ago".to_owned(), Some(until));
        }
        to
    };
    if target == live {
        return;
    }
    memory.last_change.insert(SHARDS.to_owned(), now);
    let reason = if target < live {
        format!("{target} shard(s) were enough at all times of the last {} h", keep.as_hours())
    } else {
        demand.reason.clone()
    };
    sizing.targets.shards = Some(Target { value: target, reason });
}

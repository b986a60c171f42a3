//! One cycle's inputs, brought together: the stream's load, each reader with its demand, each sink with its
//! model; and what a configuration of the consumers asks of the sinks.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    diagnose::{self, ConsumerLoad, Finding, StreamLoad},
    memory::Memory,
    model::{
        BillingMode, CapacityFacts, CapacityUnits, Facts, MappingFacts, ParallelizationFactor, ResourceId, ShardCount,
        Signals, StreamFacts,
    },
    spec::{Billing, ConsumerSpec, Pipeline, ScalingPolicy},
};

use super::{
    Sizing, Target, Targets, billing,
    consumers::{self, ConsumerDemand, ConsumerInputs},
    forecast::Growth,
    guards::{Frozen, hold},
    model::{Side, SinkInputs, invocations_per_second},
    settle,
    sinks::{self, Room, Sink},
};

/// A consumer with its live mapping, its load and what it needs.
pub(super) struct Reader<'a> {
    pub(super) spec: &'a ConsumerSpec,
    pub(super) mapping: &'a MappingFacts,
    pub(super) load: Option<ConsumerLoad>,
    pub(super) demand: Option<ConsumerDemand>,
}

/// What the consumers will look like: the configuration the sinks are sized for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Configuration {
    pub(super) shards: ShardCount,
    pub(super) factors: BTreeMap<String, ParallelizationFactor>,
}

/// What all stages are sized from.
pub(super) struct Cycle<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) policy: &'a ScalingPolicy,
    pub(super) stream: &'a StreamFacts,
    pub(super) load: StreamLoad,
    /// Records/s expected once a change made now has settled.
    pub(super) expected: f64,
    /// How the load grows, if it does.
    pub(super) growing: Option<Growth>,
    pub(super) readers: Vec<Reader<'a>>,
    pub(super) sinks: Vec<Sink<'a>>,
    /// One shard is at its limit and the others are not.
    pub(super) hot: bool,
    /// A sink throttles writes although its last change has taken effect.
    pub(super) throttled: bool,
    /// Until when nothing may be raised, and nothing lowered.
    pub(super) frozen: Frozen,
    /// UpdateShardCount calls left.
    pub(super) calls_left: u32,
    /// Share of one shard in what the pipeline costs at rest.
    pub(super) shard_share: f64,
    pub(super) now: Timestamp,
}

impl Cycle<'_> {
    /// The loads a table must carry in a configuration: caught up, and catching up.
    pub(super) fn inputs(&self, table: &str, configuration: &Configuration) -> Vec<SinkInputs> {
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
            // More than all slots together get done does not reach the table, however much waits.
            let can_do =
                reader.demand.as_ref().and_then(|demand| demand.slot_rate).map_or(f64::INFINITY, |it| it * slots);
            let required = reader.demand.as_ref().map_or(self.expected, |demand| demand.required).min(can_do);
            // What waits in one hot shard is not done sooner by a larger table.
            let behind = !self.hot && reader.load.as_ref().is_some_and(|load| load.backlog > 0.0);
            let rate = if behind { invocations_per_second(slots, batch, window, required, true) } else { rate };
            catching_up.invocations.insert(name, rate);
            catching_up.records = catching_up.records.max(if behind { required } else { self.expected });
        }
        vec![caught_up, catching_up]
    }

    /// How often a consumer that keeps up is really invoked, over what the polling rule says of the same minutes.
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
            self.load.accepted,
            false,
        );
        load.invocations.filter(|_| said > 0.0).map_or(1.0, |seen| (seen / said).clamp(0.5, 2.0))
    }

    /// Whether every sink carries the configuration.
    pub(super) fn fits(&self, configuration: &Configuration, room: Room) -> bool {
        self.sinks.iter().all(|sink| sink.carries(&self.inputs(sink.table, configuration), room))
    }

    /// Whether every sink carries it once the raises decided in this cycle are made.
    pub(super) fn fits_soon(&self, configuration: &Configuration, targets: &Targets) -> bool {
        self.sinks.iter().all(|sink| {
            let table = targets.tables.get(sink.table);
            let decided = table.and_then(|table| match &sink.resource {
                ResourceId::Index(_, index) => table.indexes.get(index),
                _ => Some(&table.table),
            });
            let value = |target: Option<&Target<CapacityUnits>>, live| target.map_or(live, |target| target.value);
            let write = value(decided.and_then(|it| it.write.as_ref()), sink.capacity.write);
            let read = value(decided.and_then(|it| it.read.as_ref()), sink.capacity.read);
            (sink.settled || sink.rises) && sink.holds(&self.inputs(sink.table, configuration), write, read)
        })
    }

    /// Whether the sinks of one reader carry the configuration now.
    pub(super) fn carried_for(&self, reader: &Reader<'_>, configuration: &Configuration) -> bool {
        self.sinks
            .iter()
            .filter(|sink| reader.spec.writes_to.iter().any(|name| name == sink.table))
            .all(|sink| sink.carries(&self.inputs(sink.table, configuration), Room::Live))
    }
}

pub(super) fn pending_or_live(memory: &Memory, live: &StreamFacts) -> ShardCount {
    let pending = memory.stream_seen.as_ref().and_then(|seen| seen.pending_target);
    pending.map_or(live.open_shards, |target| target.max(live.open_shards))
}

pub(super) fn collect_sinks<'a>(
    pipeline: &'a Pipeline,
    facts: &'a Facts,
    signals: &Signals,
    memory: &Memory,
    now: Timestamp,
) -> Vec<Sink<'a>> {
    let mut sinks = Vec::new();
    for table in &pipeline.tables {
        let Some(live) = facts.tables.get(&table.name) else { continue };
        let on_demand = live.billing_mode == BillingMode::OnDemand;
        if on_demand && table.billing_mode != Billing::Auto {
            continue;
        }
        let measured = signals.tables.get(&table.name);
        let rises = settle::rises(memory, live);
        let mut add = |resource: ResourceId, live_capacity: &CapacityFacts, write_bounds, read_bounds, load| {
            let samples = memory.sink_samples.get(&resource.to_string());
            let (write_model, read_model) = sinks::models(samples);
            let mut capacity = *live_capacity;
            if on_demand {
                let samples = samples.map_or(&[][..], Vec::as_slice);
                let most = live.on_demand_maximum_write.map(CapacityUnits);
                capacity.write = billing::at_once(samples, Side::Write, most, now);
                capacity.read = billing::at_once(samples, Side::Read, None, now);
            }
            sinks.push(Sink {
                rises,
                resource,
                table: &table.name,
                capacity,
                on_demand,
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
pub(super) fn collect_readers<'a>(
    pipeline: &'a Pipeline,
    policy: &ScalingPolicy,
    facts: &'a Facts,
    signals: &Signals,
    findings: &[Finding],
    memory: &Memory,
    sinks: &[Sink<'_>],
    expected: f64,
    now: Timestamp,
    sizing: &mut Sizing,
) -> Vec<Reader<'a>> {
    let Some(stream) = &facts.stream else { return Vec::new() };
    let mut readers = Vec::new();
    for consumer in &pipeline.consumers {
        let Some(mapping) = facts.mapping_to(&consumer.function, consumer.alias.as_deref()) else { continue };
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
                now,
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

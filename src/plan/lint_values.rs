//! The linter's rules about numbers: bounds, steps, quotas.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    model::{BillingMode, Bounds, CapacityFacts, CapacityUnits, Hours, ShardCount},
    scale::CapacityTarget,
    spec::BreakGlass,
};

use super::{Action, CapacityChange, Input, MappingChange, Step, lint_modes};

/// Calls of UpdateShardCount per stream in 24 h.
const CALLS: u32 = 10;
/// Decreases at the start of a UTC day; after them one an hour, and at most this many.
const FIRST_DECREASES: u32 = 4;
const MOST_DECREASES: u32 = 27;

/// What the steps before have left behind.
pub(super) struct State<'a> {
    input: &'a Input<'a>,
    shards: Option<ShardCount>,
    retention: Option<Hours>,
    reshards: u32,
    throughput_calls: BTreeSet<String>,
}

/// Whether a change of a number is one that `[min, max]` allows: into the bounds, towards them, or inside them.
fn allowed<T: Copy + Ord>(bounds: &Bounds<T>, from: T, to: T) -> bool {
    bounds.contains(to) || (from < to && to < bounds.min) || (bounds.max < to && to < from)
}

impl<'a> State<'a> {
    pub fn new(input: &'a Input<'a>) -> Self {
        let stream = input.facts.stream.as_ref();
        Self {
            input,
            shards: stream.map(|stream| stream.open_shards),
            retention: stream.map(|stream| stream.retention),
            reshards: 0,
            throughput_calls: BTreeSet::new(),
        }
    }

    pub fn check(&mut self, step: &Step, action: Action, complain: &mut impl FnMut(String)) {
        match step {
            Step::CreateStream { shards, .. } => {
                if !self.input.pipeline.stream.shards.contains(*shards) || shards.get() == 0 {
                    complain(format!("{shards} shards are outside the bounds"));
                }
                self.shards = Some(*shards);
                self.retention = Some(Hours(24));
            }
            Step::IncreaseRetention { retention, .. } => self.retention(*retention, true, complain),
            Step::DecreaseRetention { retention, .. } => self.retention(*retention, false, complain),
            Step::UpdateShardCount { from, to, .. } => self.reshard(*from, *to, complain),
            Step::SplitShard { to, .. } => self.split(*to, complain),
            Step::CreateTable(new) => {
                let spec = self.input.pipeline.tables.iter().find(|spec| spec.name == new.spec.name);
                let Some(spec) = spec else { return };
                if spec.billing_mode.initial() == BillingMode::OnDemand {
                    return;
                }
                initial(&spec.write_capacity, new.spec.write_capacity.initial, complain);
                initial(&spec.read_capacity, new.spec.read_capacity.initial, complain);
                for index in &new.spec.global_secondary_indexes {
                    initial(&index.write_capacity, index.write_capacity.initial, complain);
                    initial(&index.read_capacity, index.read_capacity.initial, complain);
                }
            }
            Step::CreateIndex { table, index } => {
                let live = self.input.facts.tables.get(table);
                if live.is_some_and(|live| live.global_secondary_indexes.contains_key(&index.spec.name)) {
                    complain(format!("index {} exists already", index.spec.name));
                }
                initial(&index.spec.write_capacity, index.spec.write_capacity.initial, complain);
                initial(&index.spec.read_capacity, index.spec.read_capacity.initial, complain);
            }
            Step::UpdateCapacity(change) => self.capacity(change, complain),
            Step::UpdateBillingMode { to, capacity } => lint_modes::billing(self.input, *to, capacity, complain),
            Step::UpdateStreamMode { to, .. } => lint_modes::stream(self.input, *to, complain),
            // A move copies what the old mapping has, inside the bounds or not.
            Step::CreateMapping(_) | Step::UpdateMapping(_) if action == Action::Replace => {}
            Step::CreateMapping(new) => self.mapping(&new.settings, true, complain),
            Step::UpdateMapping(change) => self.mapping(change, false, complain),
            _ => {}
        }
    }

    fn retention(&mut self, to: Hours, up: bool, complain: &mut impl FnMut(String)) {
        let bounds = &self.input.pipeline.stream.retention;
        let Some(from) = self.retention.replace(to) else { return };
        if (to > from) != up || to == from {
            complain(format!("retention is {from}h already, {to}h is the wrong way"));
        }
        let scaled = self.input.targets.and_then(|targets| targets.retention.as_ref()).is_some_and(|it| it.value == to);
        if !bounds.contains(to) || (self.input.facts.stream.is_some() && bounds.contains(from) && !scaled) {
            complain(format!("retention {from}h -> {to}h is not a move into [{}h, {}h]", bounds.min, bounds.max));
        }
    }

    fn split(&mut self, to: ShardCount, complain: &mut impl FnMut(String)) {
        let Some(at) = self.shards.replace(to) else { return };
        let pipeline = self.input.pipeline;
        if !pipeline.scaling.break_glass.contains(&BreakGlass::SplitShard) {
            complain("the spec's breakGlass does not allow SplitShard".to_owned());
        }
        if to.get() != at.get().saturating_add(1) || !allowed(&pipeline.stream.shards, at, to) {
            complain(format!("{at} -> {to} shards is not one more inside the bounds"));
        }
        if pipeline.consumers.iter().any(|consumer| !consumer.concurrency_safe) {
            complain("more shards would run a consumer concurrently that is not concurrencySafe".to_owned());
        }
    }

    fn reshard(&mut self, from: ShardCount, to: ShardCount, complain: &mut impl FnMut(String)) {
        let input = self.input;
        let Some(at) = self.shards.replace(to) else { return };
        if from != at {
            complain(format!("it starts from {from} shards, but there are {at}"));
        }
        if to == at || to.get() == 0 || to.get() > at.get().saturating_mul(2) || to.get() < at.get().div_ceil(2) {
            complain(format!("{at} -> {to} shards is not between half and twice"));
        }
        let bounds = &input.pipeline.stream.shards;
        if !allowed(bounds, at, to) {
            complain(format!("{at} -> {to} shards leaves [{}, {}]", bounds.min, bounds.max));
        }
        let single = input.pipeline.consumers.iter().any(|consumer| !consumer.concurrency_safe);
        if single && to > at && to > bounds.min {
            complain("more shards would run a consumer concurrently that is not concurrencySafe".to_owned());
        }
        let sized = input.targets.is_some_and(|targets| targets.shards.is_some());
        // A consumer that must not run concurrently moves the count to the lower bound without a target.
        if bounds.contains(at) && !sized && !(single && to < at) {
            complain(format!("{at} shards are inside the bounds: nobody asked to change them"));
        }
        self.reshards += 1;
        if input.targets.is_some() && self.reshards > 1 {
            complain("more than one step in one cycle".to_owned());
        }
        let used = input.ledger_used.saturating_add(self.reshards);
        if used > CALLS || input.exhausted_until.is_some_and(|until| until > input.now) {
            complain(format!("call {used} of {CALLS} in 24 h"));
        }
        let reserve = input.policy.reserved_reshards;
        if sized && !single && to < at && bounds.contains(at) && CALLS.saturating_sub(used) < reserve {
            complain(format!("lowering would leave fewer than {reserve} calls for raises"));
        }
    }

    fn capacity(&mut self, change: &CapacityChange, complain: &mut impl FnMut(String)) {
        if !self.throughput_calls.insert(change.table.clone()) {
            complain("a second throughput change of the same table".to_owned());
        }
        let input = self.input;
        let spec = input.pipeline.tables.iter().find(|spec| spec.name == change.table);
        let (Some(live), Some(spec)) = (input.facts.tables.get(&change.table), spec) else { return };
        if live.billing_mode != BillingMode::Provisioned {
            complain("the table is on demand".to_owned());
        }
        if change.capacity.is_none() && change.indexes.is_empty() {
            complain("it changes nothing".to_owned());
        }
        let targets = input.targets.and_then(|targets| targets.tables.get(&change.table));
        if let Some((read, write)) = change.capacity {
            let bounds = (&spec.read_capacity, &spec.write_capacity);
            unit(input, "table", &live.capacity, (read, write), bounds, targets.map(|t| &t.table), complain);
        }
        let mut seen = BTreeSet::new();
        for index in &change.indexes {
            let name = index.index.as_str();
            if !seen.insert(name) {
                complain(format!("index {name} twice"));
            }
            let facts = live.global_secondary_indexes.get(name);
            let wanted = spec.global_secondary_indexes.iter().find(|wanted| wanted.name == name);
            let (Some(facts), Some(wanted)) = (facts, wanted) else {
                complain(format!("index {name} is not in the spec, or does not exist"));
                continue;
            };
            let bounds = (&wanted.read_capacity, &wanted.write_capacity);
            let target = targets.and_then(|targets| targets.indexes.get(name));
            unit(input, name, &facts.capacity, (index.read, index.write), bounds, target, complain);
        }
    }

    fn mapping(&self, change: &MappingChange, creation: bool, complain: &mut impl FnMut(String)) {
        let Some(spec) = self.input.pipeline.consumers.iter().find(|spec| spec.name == change.consumer) else { return };
        if let Some(factor) = change.parallelization_factor {
            let bounds = &spec.parallelization_factor;
            if spec.concurrency_safe && !bounds.contains(factor) {
                complain(format!("factor {factor} is outside [{}, {}]", bounds.min, bounds.max));
            }
            if !spec.concurrency_safe && factor.get() != 1 {
                complain(format!("factor {factor} runs a consumer concurrently that is not concurrencySafe"));
            }
        }
        if let Some(batch) = change.batch_size.filter(|batch| !spec.batch_size.contains(*batch)) {
            complain(format!("batch size {batch} is outside [{}, {}]", spec.batch_size.min, spec.batch_size.max));
        }
        if change.enabled == Some(false) {
            complain("it would stop the consumer".to_owned());
        }
        if creation {
            return;
        }
        let Some(live) = self.input.facts.mappings.iter().find(|live| live.uuid == change.uuid) else { return };
        let targets = self.input.targets.and_then(|targets| targets.consumers.get(&spec.name));
        let sized = |has: Option<bool>| has.unwrap_or(false);
        let factor_inside = spec.concurrency_safe && spec.parallelization_factor.contains(live.parallelization_factor);
        let wanted = sized(targets.map(|targets| targets.parallelization_factor.is_some()));
        if change.parallelization_factor.is_some() && factor_inside && !wanted {
            complain("the factor is inside its bounds: nobody asked to change it".to_owned());
        }
        let wanted = sized(targets.map(|targets| targets.batch_size.is_some()));
        if change.batch_size.is_some() && spec.batch_size.contains(live.batch_size) && !wanted {
            complain("the batch size is inside its bounds: nobody asked to change it".to_owned());
        }
    }
}

/// Capacity of something new.
fn initial(bounds: &Bounds<CapacityUnits>, value: CapacityUnits, complain: &mut impl FnMut(String)) {
    if !bounds.contains(value) || value.get() == 0 {
        complain(format!("capacity {value} is outside [{}, {}]", bounds.min, bounds.max));
    }
}

/// Both numbers of a table or index against bounds, targets and the budget of decreases.
fn unit(
    input: &Input<'_>,
    name: &str,
    live: &CapacityFacts,
    (read, write): (CapacityUnits, CapacityUnits),
    bounds: (&Bounds<CapacityUnits>, &Bounds<CapacityUnits>),
    target: Option<&CapacityTarget>,
    complain: &mut impl FnMut(String),
) {
    if read == live.read && write == live.write {
        complain(format!("{name}: it changes nothing"));
    }
    let numbers = [
        ("read", live.read, read, bounds.0, target.is_some_and(|target| target.read.is_some())),
        ("write", live.write, write, bounds.1, target.is_some_and(|target| target.write.is_some())),
    ];
    for (kind, from, to, bounds, sized) in numbers {
        if to.get() == 0 {
            complain(format!("{name}: {kind} capacity 0"));
        }
        if to != from && !bounds.contains(to) {
            complain(format!("{name}: {kind} capacity {to} is outside [{}, {}]", bounds.min, bounds.max));
        }
        if to != from && bounds.contains(from) && !sized {
            complain(format!("{name}: {kind} capacity {from} is inside its bounds: nobody asked to change it"));
        }
    }
    let lowered: Vec<_> = numbers.iter().filter(|(_, from, to, ..)| to < from).collect();
    if lowered.is_empty() {
        return;
    }
    // What a lowered bound of the spec asks for may use the reserve; the scaler may not.
    let scaler = lowered.iter().all(|(_, from, _, bounds, _)| bounds.contains(*from));
    let reserve = if scaler { input.policy.reserved_decreases } else { 0 };
    if !decrease_left(live, reserve, input.now) {
        complain(format!("{name}: no capacity decrease is left ({} used today)", live.decreases_today));
    }
}

/// Four a UTC day, then one an hour after the last, 27 at most.
fn decrease_left(live: &CapacityFacts, reserve: u32, now: Timestamp) -> bool {
    let today = |at: Timestamp| at.as_second() / 86_400 == now.as_second() / 86_400;
    let yesterday = live.last_decrease.is_some_and(|last| !today(last) && last < now);
    let used = if yesterday { 0 } else { live.decreases_today };
    if used.saturating_add(reserve) < FIRST_DECREASES {
        return true;
    }
    let hour_ago = |last: Timestamp| now.duration_since(last) >= SignedDuration::from_hours(1);
    used < MOST_DECREASES && live.last_decrease.is_some_and(hour_ago)
}

//! Moving a consumer between shared polling and enhanced fan-out without skipping a record. Pure.
//!
//! A mapping's source cannot be changed, so a move makes a new one: register the fan-out consumer → ACTIVE → switch the
//! old mapping off → Disabled → create the new one at a [`position`] that cannot skip → it catches up → delete the old
//! one (and, on the way back, the fan-out consumer).
//!
//! What always holds: what comes next is told from AWS's own state, so a process that was killed, or has lost its
//! memory, finishes the move or undoes it; two mappings of a consumer never both poll by our doing; the old mapping
//! keeps its position until the new one has caught up; a move that cannot go on is undone by switching the old one on.

mod begin;
mod consumer;
mod position;
#[cfg(test)]
mod position_tests;
#[cfg(test)]
mod tests;
mod underway;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{Reading, Way},
    memory::{Memory, RefusedMove},
    model::{ErrorClass, Facts, Failure, MappingFacts, MappingState, ResourceId, Signals},
    scale::Targets,
    spec::{ConsumerSpec, Delivery, Pipeline, StartingPosition},
};

use super::{Change, Input, MappingChange, NewMapping, Step, draft::Draft, ownership};

pub use position::{Stand, Unproven, minute_of, position, reach};

pub(super) use consumer::{Registered, deregister, orphans, register};

/// What a move is decided from, besides the facts. Asked for only while one is wanted or under way ([`candidates`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The metrics of the last hours.
    pub signals: Signals,
    /// Whether a shard was closed after [`earliest`]; `None`: not asked, because there is no such moment.
    pub closed: Option<ClosedShards>,
}

/// Shards that were closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedShards {
    /// Since when.
    pub since: Timestamp,
    /// Whether there are any.
    pub any: bool,
}

/// A move that AWS refused is not tried again for so long: somebody has to do something. Our choice.
const REFUSED_FOR: SignedDuration = SignedDuration::from_hours(1);
/// One that was undone for what its metrics showed, for so long: each try pauses the consumer. Our choice.
const UNDONE_FOR: SignedDuration = SignedDuration::from_mins(30);

/// How the consumer should read: as the spec says; with `auto` as the sizing wants, else where a move that has begun
/// leads, else as it does.
pub(super) fn wanted(targets: Option<&Targets>, spec: &ConsumerSpec, reading: &Reading<'_>) -> Way {
    match spec.delivery {
        Delivery::Shared => Way::Shared,
        Delivery::EnhancedFanOut => Way::EnhancedFanOut,
        Delivery::Auto => {
            let target = targets.and_then(|targets| targets.consumers.get(&spec.name)?.delivery.as_ref());
            let chosen = target.map(|target| target.value);
            reading.moving().or(chosen).or_else(|| reading.way()).unwrap_or(Way::Shared)
        }
    }
}

/// Consumers that are being moved or should be, by name: while there are any, a plan needs [`Evidence`].
pub fn candidates<'a>(pipeline: &'a Pipeline, facts: &Facts, targets: Option<&Targets>) -> Vec<&'a ConsumerSpec> {
    let mut found: Vec<&ConsumerSpec> = pipeline
        .consumers
        .iter()
        .filter(|spec| {
            let reading = Reading::of(pipeline, facts, spec);
            let elsewhere = reading.way().is_some_and(|way| way != wanted(targets, spec, &reading));
            facts.stream.is_some() && (reading.moving().is_some() || elsewhere)
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The earliest position that a move of one of them would use: no shard may have been closed since.
pub fn earliest(pipeline: &Pipeline, facts: &Facts, of: &[&ConsumerSpec], signals: &Signals) -> Option<Timestamp> {
    let each = of.iter().filter_map(|spec| {
        let reading = Reading::of(pipeline, facts, spec);
        let old = reading.shared.filter(|_| reading.way() == Some(Way::Shared)).or(reading.fan_out)?;
        stand(facts, spec, old, &reading, signals).and_then(|stand| position(&stand).ok())
    });
    each.min()
}

/// What is known of where a mapping stands. One that is on counts as if it were switched off after the newest minute.
fn stand<'a>(
    facts: &Facts,
    spec: &ConsumerSpec,
    old: &MappingFacts,
    reading: &Reading<'_>,
    signals: &'a Signals,
) -> Option<Stand<'a>> {
    let consumer = signals.consumers.get(&spec.name)?;
    let is_off = matches!(old.state, MappingState::Disabling | MappingState::Disabled);
    let after_newest = signals.newest_expected + SignedDuration::from_mins(1);
    let seconds = |value: u32| SignedDuration::from_secs(value.into());
    let timeout = facts.functions.get(&spec.function)?.timeout_seconds;
    Some(Stand {
        consumer,
        read_throttles: (reading.shared == Some(old)).then_some(&signals.stream.read_throttles),
        newest_expected: signals.newest_expected,
        off_at: if is_off { old.last_modified? } else { after_newest },
        timeout: seconds(timeout),
        batching_window: seconds(old.maximum_batching_window_seconds),
        tumbling_window: seconds(old.tumbling_window_seconds),
    })
}

/// Plans what is left of a move, or the move itself. Whether the mapping's other settings must wait for it.
pub(super) fn plan(draft: &mut Draft, input: &Input<'_>, spec: &ConsumerSpec, reading: &Reading<'_>, to: Way) -> bool {
    match (reading.on(to), reading.on(to.other())) {
        (Some(new), Some(old)) => underway::both(draft, input, (spec, reading, to), new, old),
        (None, Some(old)) if reading.moving() == Some(to) => {
            underway::switched_off(draft, input, (spec, reading, to), old);
        }
        (Some(old), None) if reading.moving().is_some() => {
            underway::undo(draft, input, spec, old, "the spec does not ask for the move any more");
        }
        (None, Some(old)) => return begin::plan(draft, input, (spec, reading, to), old),
        _ => return false,
    }
    true
}

fn id(spec: &ConsumerSpec) -> ResourceId {
    ResourceId::Mapping(spec.name.clone())
}

/// Switches polling on or off.
fn switch(spec: &ConsumerSpec, mapping: &MappingFacts, on: bool) -> Step {
    Step::UpdateMapping(Box::new(MappingChange {
        consumer: spec.name.clone(),
        uuid: mapping.uuid.clone(),
        enabled: Some(on),
        ..MappingChange::default()
    }))
}

fn delete(spec: &ConsumerSpec, mapping: &MappingFacts) -> Step {
    Step::DeleteMapping { consumer: spec.name.clone(), uuid: mapping.uuid.clone() }
}

/// The new mapping: all settings of the old one, and its tags.
fn create(
    input: &Input<'_>,
    spec: &ConsumerSpec,
    reading: &Reading<'_>,
    to: Way,
    old: &MappingFacts,
    from: StartingPosition,
) -> Step {
    let function = match &spec.alias {
        Some(alias) => format!("{}:{alias}", spec.function),
        None => spec.function.clone(),
    };
    // Where a key hides the patterns, those of the spec: `begin` saw that it names some.
    let filters = if old.kms_key_arn.is_some() { &spec.filter_criteria } else { &old.filter_criteria };
    let settings = MappingChange {
        consumer: spec.name.clone(),
        uuid: String::new(),
        batch_size: Some(old.batch_size),
        parallelization_factor: Some(old.parallelization_factor),
        maximum_batching_window_seconds: Some(old.maximum_batching_window_seconds),
        tumbling_window_seconds: Some(old.tumbling_window_seconds),
        maximum_retry_attempts: Some(old.maximum_retry_attempts),
        maximum_record_age_seconds: Some(old.maximum_record_age_seconds),
        bisect_batch_on_function_error: Some(old.bisect_batch_on_function_error),
        report_batch_item_failures: Some(old.report_batch_item_failures),
        on_failure: old.on_failure.clone(),
        filter_criteria: Some(filters.clone()).filter(|patterns| !patterns.is_empty()),
        enabled: Some(true),
    };
    // AWS keeps `aws:` tags for itself.
    let mut tags: BTreeMap<String, String> =
        old.tags.iter().filter(|(key, _)| !key.starts_with("aws:")).map(|(k, v)| (k.clone(), v.clone())).collect();
    tags.extend(ownership::all_tags(input.pipeline));
    let (source_arn, fan_out_consumer) = match to {
        Way::Shared => (input.facts.stream.as_ref().map(|stream| stream.arn.clone()), None),
        Way::EnhancedFanOut => (
            reading.own().map(|consumer| consumer.arn.clone()),
            Some(crate::diagnose::fan_out_name(&input.pipeline.name, &spec.name)),
        ),
    };
    Step::CreateMapping(Box::new(NewMapping {
        consumer: spec.name.clone(),
        function,
        source_arn,
        fan_out_consumer,
        starting_position: from,
        settings,
        kms_key_arn: old.kms_key_arn.clone(),
        metrics: old.metrics.clone(),
        tags,
    }))
}

/// Takes note of a call of a move, one of `changes`, that AWS refused for good, and of a move that was undone: neither
/// is tried again at once. Other calls are none of its business.
pub fn note(
    memory: &mut Memory,
    (pipeline, facts): (&Pipeline, &Facts),
    changes: &[Change],
    step: &Step,
    result: &Result<(), Failure>,
    now: Timestamp,
) {
    let (reason, rest) = match (step, result) {
        (Step::CreateMapping(_), Err(failure)) if is_final(failure.class) => (failure.to_string(), REFUSED_FOR),
        (Step::UpdateMapping(change), Ok(())) if change.enabled == Some(true) => {
            let of = changes.iter().find(|change| change.steps.first() == Some(step));
            (of.map_or_else(String::new, |change| change.reason.clone()), UNDONE_FOR)
        }
        _ => return,
    };
    let consumer = match step {
        Step::CreateMapping(new) => &new.consumer,
        Step::UpdateMapping(change) => &change.consumer,
        _ => return,
    };
    let spec = pipeline.consumers.iter().find(|spec| spec.name == *consumer);
    if spec.is_none_or(|spec| Reading::of(pipeline, facts, spec).moving().is_none()) {
        return;
    }
    let until = now.checked_add(rest).unwrap_or(Timestamp::MAX);
    let refused = &mut memory.fan_out.refused;
    match refused.get_mut(consumer).filter(|known| now < known.until) {
        // What AWS said is why it had to be undone.
        Some(_) if result.is_ok() => {}
        _ => _ = refused.insert(consumer.clone(), RefusedMove { at: now, until, reason }),
    }
}

/// Whether asking again gives the same answer.
fn is_final(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Denied | ErrorClass::Invalid | ErrorClass::NotFound | ErrorClass::QuotaExhausted)
}

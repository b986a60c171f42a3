//! Which calls of a plan a pass may make. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::{
    apply::{Presence, presence, resource},
    memory::{Attempt, Memory},
    model::{ErrorClass, Facts, Failure, ResourceId},
    plan::{Action, Change, MappingChange, Plan, Step},
    spec::Pipeline,
};

/// A step that AWS refused for good, or that keeps being accepted without effect, rests for so long.
const REST: SignedDuration = SignedDuration::from_mins(10);
/// Accepted so often without the resource becoming what it should be, a step does not converge.
const ACCEPTED_IN_VAIN: u32 = 3;

/// What a pass may do now, and why the rest waits.
#[derive(Debug, Default, PartialEq)]
pub struct Choice {
    /// One call a resource, in plan order.
    pub steps: Vec<Step>,
    /// In words, what was not chosen and why.
    pub waits: Vec<String>,
}

/// Chooses the calls of `plan` that a pass may make: scaled values only, at most one a resource, none in transition.
pub fn choose(pipeline: &Pipeline, plan: &Plan, facts: &Facts, memory: &Memory, now: Timestamp) -> Choice {
    let mut choice = Choice::default();
    let mut taken: Vec<ResourceId> = Vec::new();
    for change in &plan.changes {
        let Some(step) = scaling_step(change) else { continue };
        let on = resource(&step);
        if taken.contains(&on) {
            continue;
        }
        match presence(pipeline, facts, &on) {
            Presence::Settled => {}
            Presence::Absent => continue,
            Presence::Transition(status) | Presence::Unusable(status) => {
                choice.waits.push(format!("{on} is {status}"));
                continue;
            }
        }
        if let Some(rest) = resting(memory, &on, &step, now) {
            choice.waits.push(rest);
            continue;
        }
        taken.push(on);
        choice.steps.push(step);
    }
    choice
}

/// The first call of a scaling change that sets a value the scaler owns, reduced to such values.
fn scaling_step(change: &Change) -> Option<Step> {
    if change.action != Action::Scale {
        return None;
    }
    change.steps.iter().find_map(|step| match step {
        Step::UpdateShardCount { .. } | Step::UpdateCapacity(_) => Some(step.clone()),
        Step::UpdateMapping(settings) => {
            let only = MappingChange {
                consumer: settings.consumer.clone(),
                uuid: settings.uuid.clone(),
                batch_size: settings.batch_size,
                parallelization_factor: settings.parallelization_factor,
                ..MappingChange::default()
            };
            let changes = only.batch_size.is_some() || only.parallelization_factor.is_some();
            changes.then(|| Step::UpdateMapping(Box::new(only)))
        }
        _ => None,
    })
}

fn resting(memory: &Memory, on: &ResourceId, step: &Step, now: Timestamp) -> Option<String> {
    let attempt = memory.attempts.get(&on.to_string())?;
    let rests = now < attempt.not_before && (attempt.whole_resource || attempt.step == *step);
    let why = if attempt.accepted >= ACCEPTED_IN_VAIN { "NotConverging: accepted without effect" } else { "refused" };
    rests.then(|| format!("{on}: the last call was {why}; tried again at {}", attempt.not_before))
}

/// Takes note of what became of a call.
pub fn note(memory: &mut Memory, step: &Step, result: &Result<(), Failure>, now: Timestamp) {
    let key = resource(step).to_string();
    let before =
        memory.attempts.get(&key).filter(|attempt| attempt.step == *step).map_or(0, |attempt| attempt.accepted);
    let accepted = if result.is_ok() { before + 1 } else { before };
    let class = result.as_ref().err().map(|failure| failure.class);
    let whole_resource = matches!(class, Some(ErrorClass::Denied | ErrorClass::Forbidden));
    // A used-up budget or a setting that AWS does not take says nothing about another value: a raise stays possible
    // after a refused decrease.
    let refused = whole_resource || matches!(class, Some(ErrorClass::QuotaExhausted | ErrorClass::Invalid));
    let rest = if refused || accepted >= ACCEPTED_IN_VAIN { REST } else { SignedDuration::ZERO };
    let not_before = now.checked_add(rest).unwrap_or(now);
    memory.attempts.insert(key, Attempt { step: step.clone(), accepted, not_before, whole_resource });
}

/// Forgets the calls on resources that are as they should be.
pub fn forget_settled(memory: &mut Memory, plan: &Plan, now: Timestamp) {
    memory.attempts.retain(|_, attempt| {
        let on = resource(&attempt.step);
        now < attempt.not_before || plan.changes.iter().any(|change| change.resource == on)
    });
}

/// What the spec names and AWS does not have: a pass does not create.
pub fn missing(pipeline: &Pipeline, facts: &Facts) -> Vec<ResourceId> {
    let stream = std::iter::once(ResourceId::Stream(pipeline.stream.name.clone()));
    let tables = pipeline.tables.iter().map(|table| ResourceId::Table(table.name.clone()));
    let mappings = pipeline.consumers.iter().map(|consumer| ResourceId::Mapping(consumer.name.clone()));
    let named = stream.chain(tables).chain(mappings);
    named.filter(|resource| presence(pipeline, facts, resource) == Presence::Absent).collect()
}

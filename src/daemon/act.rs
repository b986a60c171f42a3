//! Which calls of a plan a pass may make: those that set scaled values, and those of a move to or from fan-out. Pure.

use jiff::{SignedDuration, Timestamp};

use super::Report;
use crate::{
    apply::{Presence, presence, resource},
    diagnose::{Diagnosis, Finding, Severity},
    memory::{Attempt, Memory},
    model::{ErrorClass, Facts, Failure, ResourceId},
    plan::{Action, Change, MappingChange, Plan, Step},
    scale::{Hold, SHOWN_AFTER},
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

/// Chooses the calls of `plan` that a pass may make: scaled values and the next step of a move, at most one a resource,
/// none in transition.
pub fn choose(pipeline: &Pipeline, plan: &Plan, facts: &Facts, memory: &Memory, now: Timestamp) -> Choice {
    let mut choice = Choice::default();
    let mut taken: Vec<ResourceId> = Vec::new();
    let moves = plan.changes.iter().any(|change| change.action == Action::Replace);
    for change in &plan.changes {
        let Some(step) = scaling_step(change).or_else(|| moving_step(change, moves)) else { continue };
        let on = resource(&step);
        if taken.contains(&on) {
            continue;
        }
        match presence(pipeline, facts, &on) {
            Presence::Settled => {}
            Presence::Absent if matches!(step, Step::RegisterStreamConsumer { .. }) => {}
            Presence::Absent => continue,
            Presence::Transition(status) | Presence::Unusable(status) => {
                choice.waits.push(format!("{on} is {status}"));
                continue;
            }
        }
        if let Some(why) = &change.wait {
            choice.waits.push(format!("{on}: {why}"));
            continue;
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
        Step::UpdateShardCount { .. }
        | Step::SplitShard { .. }
        | Step::UpdateStreamMode { .. }
        | Step::UpdateBillingMode { .. }
        | Step::IncreaseRetention { .. }
        | Step::UpdateCapacity(_) => Some(step.clone()),
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

/// The next call of a move to or from fan-out, `moves` being whether the plan holds one; or the deregistration of a
/// fan-out consumer that nothing reads through.
fn moving_step(change: &Change, moves: bool) -> Option<Step> {
    let wanted = match (&change.resource, change.action) {
        (ResourceId::Mapping(_), Action::Replace) | (ResourceId::FanOutConsumer(..), Action::Delete) => true,
        (ResourceId::FanOutConsumer(..), _) => moves,
        _ => false,
    };
    change.steps.first().filter(|_| wanted).cloned()
}

/// Whether the call only lets a mapping read again that a move had switched off: that never waits.
fn resumes(step: &Step) -> bool {
    matches!(step, Step::UpdateMapping(change) if change.enabled == Some(true))
}

fn resting(memory: &Memory, on: &ResourceId, step: &Step, now: Timestamp) -> Option<String> {
    let attempt = memory.attempts.get(&on.to_string())?;
    let rests = now < attempt.not_before && (attempt.whole_resource || attempt.step == *step) && !resumes(step);
    let why = match attempt.accepted {
        ACCEPTED_IN_VAIN.. => "was NotConverging: accepted without effect",
        1.. => "may not show its effect yet",
        0 => "failed",
    };
    rests.then(|| format!("{on}: the last call {why}; tried again at {}", attempt.not_before))
}

/// Takes note of what became of a call.
pub fn note(memory: &mut Memory, step: &Step, result: &Result<(), Failure>, now: Timestamp) {
    let key = resource(step).to_string();
    let before =
        memory.attempts.get(&key).filter(|attempt| attempt.step == *step).map_or(0, |attempt| attempt.accepted);
    // A used-up budget or a setting that AWS does not take says nothing about another value: a raise stays possible
    // after a refused decrease.
    let (accepted, rest, whole_resource) = match result.as_ref().map_err(|failure| failure.class) {
        Err(ErrorClass::Denied | ErrorClass::Forbidden) => (0, REST, true),
        Err(ErrorClass::QuotaExhausted | ErrorClass::Invalid) => (0, REST, false),
        Ok(()) if before + 1 < ACCEPTED_IN_VAIN => (before + 1, SHOWN_AFTER, true),
        Ok(()) => (before + 1, REST, false),
        Err(class) if class.effect_unknown() => (before, SHOWN_AFTER, true),
        Err(_) => (before, SignedDuration::ZERO, false),
    };
    let not_before = now.checked_add(rest).unwrap_or(now);
    memory.attempts.insert(key, Attempt { step: step.clone(), accepted, not_before, whole_resource });
}

/// Whether the next pass should not wait: a call was refused, or lost, in a way that may be over in seconds, or records
/// are rejected while the stream is still being changed.
pub fn cannot_wait(report: &Report) -> bool {
    let lost = report.performed.iter().any(|(_, result)| result.as_ref().is_err_and(|it| it.class.is_retryable()));
    let rejected = |it: &Finding| it.diagnosis == Diagnosis::IngestShort && it.severity == Severity::Critical;
    let changing = |it: &Hold| it.guard == "in-transition" && matches!(it.resource, ResourceId::Stream(_));
    lost || (report.findings.iter().any(rejected) && report.sizing.holds.iter().any(changing))
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::apply::fixtures::{at, change, facts, failure, pipeline, plan, read};

    fn reshard(to: u32) -> Value {
        json!({"call": "updateShardCount", "stream": "s", "from": 1, "to": to})
    }

    fn capacity(write: u64) -> Value {
        json!({"call": "updateCapacity", "table": "t", "capacity": [1, write], "indexes": []})
    }

    fn scale(resource: &ResourceId, step: Value) -> Change {
        change(resource, Action::Scale, &[step])
    }

    fn stream() -> ResourceId {
        ResourceId::Stream("s".into())
    }

    fn table() -> ResourceId {
        ResourceId::Table("t".into())
    }

    fn chosen(plan: &Plan, facts: &Facts, memory: &Memory, now: i64) -> Vec<Step> {
        choose(&pipeline(), plan, facts, memory, at(now)).steps
    }

    #[test]
    fn one_call_a_resource_and_none_in_transition() {
        let wanted = plan(&[
            scale(&table(), capacity(9)),
            scale(&table(), capacity(5)),
            scale(&stream(), reshard(2)),
            change(&stream(), Action::Update, &[json!({"call": "tagStream", "stream": "s", "tags": {}})]),
        ]);
        let both: Vec<Step> = [capacity(9), reshard(2)].map(read).into();
        assert_eq!(chosen(&wanted, &facts("ACTIVE", "ACTIVE", ""), &Memory::empty(), 0), both);
        assert_eq!(chosen(&wanted, &facts("UPDATING", "ACTIVE", ""), &Memory::empty(), 0), both[..1]);
        assert_eq!(chosen(&wanted, &facts("ACTIVE", "UPDATING", ""), &Memory::empty(), 0), both[1..]);
        assert!(chosen(&wanted, &facts("", "", ""), &Memory::empty(), 0).is_empty());
    }

    #[test]
    fn what_was_refused_for_now_and_a_stream_that_changes_while_it_rejects_cannot_wait() {
        let report = |result: Option<ErrorClass>, severity: Severity, guard: &str| {
            let mut report = Report::begun(at(0));
            report.performed = result.map(|class| (read(reshard(2)), Err(failure(class)))).into_iter().collect();
            report.findings = vec![Finding::new(Diagnosis::IngestShort, severity, stream(), String::new(), "")];
            let guard = guard.to_owned();
            report.sizing.holds = vec![Hold { resource: stream(), guard, reason: String::new(), until: None }];
            cannot_wait(&report)
        };
        assert!(report(Some(ErrorClass::Throttled), Severity::Warning, "cool-down"));
        assert!(report(Some(ErrorClass::Unreachable), Severity::Warning, "cool-down"));
        assert!(!report(Some(ErrorClass::QuotaExhausted), Severity::Warning, "cool-down"));
        assert!(report(None, Severity::Critical, "in-transition"));
        assert!(!report(None, Severity::Critical, "quota"));
        assert!(!report(None, Severity::Warning, "in-transition"));
    }

    #[test]
    fn drift_deletion_and_creation_are_never_chosen() {
        for action in [Action::Create, Action::Update, Action::Adopt, Action::Replace, Action::Delete] {
            let wanted = plan(&[change(&stream(), action, &[reshard(2)])]);
            assert!(chosen(&wanted, &facts("ACTIVE", "", ""), &Memory::empty(), 0).is_empty(), "{action:?}");
        }
        let wanted = plan(&[scale(&stream(), json!({"call": "deleteStream", "stream": "s"}))]);
        assert!(chosen(&wanted, &facts("ACTIVE", "", ""), &Memory::empty(), 0).is_empty());
    }

    #[test]
    fn a_mapping_call_carries_scaled_values_only() {
        let settings = MappingChange {
            consumer: "c".into(),
            uuid: "u".into(),
            maximum_retry_attempts: Some(3),
            enabled: Some(false),
            ..MappingChange::default()
        };
        let call = |settings: &MappingChange| {
            let step = serde_json::to_value(Step::UpdateMapping(Box::new(settings.clone()))).unwrap();
            let wanted = plan(&[scale(&ResourceId::Mapping("c".into()), step)]);
            chosen(&wanted, &facts("ACTIVE", "", "Enabled"), &Memory::empty(), 0)
        };
        assert!(call(&settings).is_empty());
        let batch_size = Some(crate::model::BatchSize(200));
        let only = MappingChange { consumer: "c".into(), uuid: "u".into(), batch_size, ..MappingChange::default() };
        assert_eq!(call(&MappingChange { batch_size, ..settings }), [Step::UpdateMapping(Box::new(only))]);
    }

    #[test]
    fn without_permission_a_resource_rests_ten_minutes() {
        let mut memory = Memory::empty();
        note(&mut memory, &read(capacity(9)), &Err(failure(ErrorClass::Denied)), at(0));
        let other = plan(&[scale(&table(), capacity(5)), scale(&stream(), reshard(2))]);
        let there = facts("ACTIVE", "ACTIVE", "");
        assert_eq!(chosen(&other, &there, &memory, 599), [read::<Step>(reshard(2))]);
        assert_eq!(chosen(&other, &there, &memory, 600).len(), 2);
    }

    #[test]
    fn a_resource_rests_until_the_call_that_was_accepted_shows() {
        let perhaps = [ErrorClass::Unreachable, ErrorClass::ServerError].map(|class| Err(failure(class)));
        for result in std::iter::once(Ok(())).chain(perhaps) {
            let mut memory = Memory::empty();
            note(&mut memory, &read(capacity(9)), &result, at(0));
            let more = plan(&[scale(&table(), capacity(12)), scale(&stream(), reshard(2))]);
            let stale = facts("ACTIVE", "ACTIVE", "");
            assert_eq!(chosen(&more, &stale, &memory, 15), [read::<Step>(reshard(2))], "{result:?}");
            assert_eq!(chosen(&more, &stale, &memory, 45).len(), 2, "in time for the next pass");
        }
    }

    #[test]
    fn an_undo_never_rests() {
        let of = |on: bool, note_all: fn(&mut Memory, &Step)| {
            let settings =
                MappingChange { consumer: "c".into(), uuid: "u".into(), enabled: Some(on), ..MappingChange::default() };
            let step = Step::UpdateMapping(Box::new(settings));
            let mut memory = Memory::empty();
            note_all(&mut memory, &step);
            let call = serde_json::to_value(step).unwrap();
            let wanted = plan(&[change(&ResourceId::Mapping("c".into()), Action::Replace, &[call])]);
            chosen(&wanted, &facts("ACTIVE", "", "Disabled"), &memory, 60).len()
        };
        let denied = |memory: &mut Memory, step: &Step| note(memory, step, &Err(failure(ErrorClass::Denied)), at(0));
        let in_vain = |memory: &mut Memory, step: &Step| (0..3).for_each(|_| note(memory, step, &Ok(()), at(0)));
        assert_eq!((of(false, denied), of(false, in_vain)), (0, 0));
        assert_eq!((of(true, denied), of(true, in_vain)), (1, 1), "while it rested, nothing would read");
    }

    #[test]
    fn a_refused_decrease_does_not_hold_up_a_raise() {
        for class in [ErrorClass::QuotaExhausted, ErrorClass::Invalid] {
            let mut memory = Memory::empty();
            note(&mut memory, &read(capacity(1)), &Err(failure(class)), at(0));
            let there = facts("", "ACTIVE", "");
            assert!(chosen(&plan(&[scale(&table(), capacity(1))]), &there, &memory, 60).is_empty());
            assert_eq!(chosen(&plan(&[scale(&table(), capacity(9))]), &there, &memory, 60).len(), 1);
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_with_the_next_pass() {
        for class in [ErrorClass::Throttled, ErrorClass::InUse, ErrorClass::Unreachable, ErrorClass::ServerError] {
            let mut memory = Memory::empty();
            note(&mut memory, &read(capacity(9)), &Err(failure(class)), at(0));
            let again = plan(&[scale(&table(), capacity(9))]);
            assert_eq!(chosen(&again, &facts("", "ACTIVE", ""), &memory, 60).len(), 1, "{class:?}");
        }
    }

    #[test]
    fn a_call_accepted_in_vain_rests_and_is_forgotten_once_settled() {
        let (mut memory, step) = (Memory::empty(), read::<Step>(capacity(9)));
        let wanted = plan(&[scale(&table(), capacity(9))]);
        let there = facts("", "ACTIVE", "");
        for minute in 0..3 {
            assert_eq!(chosen(&wanted, &there, &memory, minute * 60).len(), 1);
            note(&mut memory, &step, &Ok(()), at(minute * 60));
            forget_settled(&mut memory, &wanted, at(minute * 60));
        }
        let choice = choose(&pipeline(), &wanted, &there, &memory, at(180));
        assert!(choice.steps.is_empty() && choice.waits[0].contains("NotConverging"), "{choice:?}");

        let mut memory = Memory::empty();
        note(&mut memory, &step, &Ok(()), at(0));
        forget_settled(&mut memory, &plan(&[]), at(60));
        assert!(memory.attempts.is_empty());
    }
}

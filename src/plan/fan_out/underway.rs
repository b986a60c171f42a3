//! A move after its first call: what AWS's state says comes next.
//!
//! What always holds: the new mapping is created only while the old one is switched off, and at a position that cannot
//! skip; the old one is deleted only while the new one polls; whatever cannot go on is undone.

use jiff::{SignedDuration, Timestamp};

use crate::{
    diagnose::{Reading, Way},
    model::{LifecycleStatus, MappingFacts, MappingState, Signal},
    spec::ConsumerSpec,
};

use super::{
    begin::{closed, reread, start},
    create, delete, id,
    position::{minute_of, position, reach},
    stand, switch,
};
use crate::plan::{
    Action, FieldChange, Input, Owner, Risk, Step,
    draft::{Draft, Work},
    timing,
};

type Move<'a, 'b> = (&'a ConsumerSpec, &'a Reading<'b>, Way);

/// Metrics that are missing after the switch are waited for so long (and a timeout); then the move is undone.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// What Lambda may need from "switched off" until it polls no more. LastModified also moves with the state, so this is
/// only for a service that keeps the moment of the request.
const STOPPING: SignedDuration = SignedDuration::from_mins(1);
/// At this age the new mapping has caught up.
const CAUGHT_UP_MS: f64 = 30_000.0;
/// A new mapping that polls but does not catch up is on its own after so long: with the old settings it is as fast as
/// the old one was, and while the move lasts it cannot be made faster.
const ON_ITS_OWN: SignedDuration = SignedDuration::from_mins(15);

/// The old mapping is switched off, or is being so, and there is no new one yet.
pub(super) fn switched_off(
    draft: &mut Draft,
    input: &Input<'_>,
    (spec, reading, to): Move<'_, '_>,
    old: &MappingFacts,
) {
    if old.state != MappingState::Disabled {
        return transition(draft, input, spec, old, old);
    }
    match next(input, (spec, reading, to), old) {
        Next::Create(from) => {
            let mut work = Work { risk: Risk::Interrupts, ..Work::default() };
            let after =
                input.evidence.map(|evidence| reread(input, evidence, from, old.last_modified.unwrap_or(input.now)));
            work.fields.push(FieldChange {
                path: "read again".to_owned(),
                before: None,
                after,
                owner: Owner::Scaler,
                reason: "the position cannot skip a record".to_owned(),
            });
            work.step(create(input, spec, reading, to, old, start(input, from)), timing::MAPPING);
            work.step(delete(spec, old), timing::MAPPING);
            let reason =
                format!("the old mapping is switched off; the new one reads from {}", start(input, from).words());
            draft.change(&id(spec), Action::Replace, Some(reason), work);
        }
        Next::Wait(why) => wait(draft, spec, old, &why),
        Next::Undo(why) => return undo(draft, input, spec, old, &why),
    }
    leave(draft, input, reading, to);
}

/// On the way back the fan-out consumer goes last.
fn leave(draft: &mut Draft, input: &Input<'_>, reading: &Reading<'_>, to: Way) {
    if let (Way::Shared, Some(own)) = (to, reading.own()) {
        super::deregister(draft, input, own, "nothing will read through it");
    }
}

enum Next {
    /// At this position.
    Create(Timestamp),
    Wait(String),
    Undo(String),
}

fn next(input: &Input<'_>, (spec, reading, to): Move<'_, '_>, old: &MappingFacts) -> Next {
    let Some(off_at) = old.last_modified else { return Next::Undo("when it was switched off is not known".to_owned()) };
    if let Some(other) = reading.others.first() {
        return Next::Undo(format!("its function has a second mapping on the stream ({})", other.uuid));
    }
    if !spec.idempotent {
        return Next::Undo("the spec does not allow records to be read twice".to_owned());
    }
    if let Some(refused) = input.refused_moves.get(&spec.name).filter(|refused| refused.at >= off_at) {
        return Next::Undo(refused.reason.clone());
    }
    if to == Way::EnhancedFanOut && reading.own().is_none_or(|own| own.status != LifecycleStatus::Active) {
        return Next::Undo("its fan-out consumer is not ACTIVE any more".to_owned());
    }
    let timeout = input.facts.functions.get(&spec.function).map_or(900, |function| function.timeout_seconds);
    let timeout = SignedDuration::from_secs(timeout.into());
    let late = input.now.duration_since(off_at) > PATIENCE + timeout + reach(timeout);
    let Some(evidence) = input.evidence else {
        return if late {
            Next::Undo("its metrics cannot be read".to_owned())
        } else {
            Next::Wait("its metrics are read".to_owned())
        };
    };
    // What was under way then has ended: nothing of the old mapping may come after the first record of the new one.
    let ended = off_at + STOPPING + timeout;
    if input.now < ended {
        return Next::Wait("the last invocations of the old mapping end".to_owned());
    }
    if evidence.signals.newest_expected < minute_of(off_at + STOPPING) {
        return if late {
            Next::Undo("the metrics of its last minutes do not come".to_owned())
        } else {
            Next::Wait("the metrics of its last minutes are published".to_owned())
        };
    }
    let Some(stand) = stand(input.facts, spec, old, reading, &evidence.signals) else {
        return Next::Undo("nothing is known of it".to_owned());
    };
    match position(&stand) {
        Err(unproven) if unproven.passing && input.now.duration_since(off_at) < PATIENCE + timeout => {
            Next::Wait(unproven.reason)
        }
        Err(unproven) => Next::Undo(unproven.reason),
        Ok(from) => match closed(evidence, from) {
            Ok(()) => Next::Create(from),
            Err((reason, _)) => Next::Undo(reason),
        },
    }
}

/// Switches the old mapping on again: it goes on where it stopped.
pub(super) fn undo(draft: &mut Draft, input: &Input<'_>, spec: &ConsumerSpec, old: &MappingFacts, why: &str) {
    if !old.state.is_settled() || old.state == MappingState::Enabled {
        return transition(draft, input, spec, old, old);
    }
    let mut work = Work::default();
    work.step(switch(spec, old, true), timing::MAPPING);
    draft.change(&id(spec), Action::Replace, Some(format!("the move to fan-out or back is undone: {why}")), work);
}

/// Both mappings are there.
pub(super) fn both(
    draft: &mut Draft,
    input: &Input<'_>,
    (spec, reading, to): Move<'_, '_>,
    new: &MappingFacts,
    old: &MappingFacts,
) {
    use MappingState::{Disabled, Enabled};
    let (steps, wait, reason): (Vec<Step>, Option<String>, &str) = match (old.state, new.state) {
        (Disabled, Enabled) => {
            let reason = "the new mapping reads; the old one goes when it has caught up";
            (vec![delete(spec, old)], behind(input, spec, new, to), reason)
        }
        (Disabled, Disabled) => {
            let reason = "both mappings are switched off; the new one goes on";
            (vec![switch(spec, new, true), delete(spec, old)], None, reason)
        }
        (Enabled, Enabled) => {
            let reason = "both mappings read; the old one is switched off";
            (vec![switch(spec, old, false), delete(spec, old)], None, reason)
        }
        (Enabled, Disabled) => {
            let reason = "left over from a move the other way";
            (vec![delete(spec, new)], behind(input, spec, old, to.other()), reason)
        }
        (Enabled | Disabled, _) => return transition(draft, input, spec, old, new),
        _ => return transition(draft, input, spec, old, old),
    };
    let mut work = Work { risk: Risk::Interrupts, wait, ..Work::default() };
    for step in steps {
        work.step(step, timing::MAPPING);
    }
    draft.change(&id(spec), Action::Replace, Some(reason.to_owned()), work);
    leave(draft, input, reading, to);
}

/// Why the old mapping must stay for now: the one that polls has not caught up.
fn behind(input: &Input<'_>, spec: &ConsumerSpec, polling: &MappingFacts, way: Way) -> Option<String> {
    let since = polling.last_modified.unwrap_or(input.now);
    if input.now.duration_since(since) >= ON_ITS_OWN {
        return None;
    }
    let waits = |why: &str| Some(format!("the new mapping catches up: {why}"));
    let Some(evidence) = input.evidence else { return waits("its metrics are read") };
    let newest = evidence.signals.newest_expected;
    if newest <= minute_of(since) {
        return waits("its first whole minute is published");
    }
    let Some(own) = evidence.signals.consumers.get(&spec.name) else { return waits("its metrics are read") };
    let at = |signal: &Signal| signal.at(newest);
    let said = match way {
        Way::EnhancedFanOut => at(&own.behind_latest_ms).into_iter().chain(at(&own.iterator_age_ms)).reduce(f64::max),
        Way::Shared => at(&own.iterator_age_ms),
    };
    match said {
        Some(age) if age <= CAUGHT_UP_MS => None,
        Some(age) => waits(&format!("{:.0} s behind", age / 1000.0)),
        None => waits("it has not invoked its function in the newest minute"),
    }
}

/// AWS is at work on a mapping: nothing is called now, and the move is not over.
fn transition(draft: &mut Draft, input: &Input<'_>, spec: &ConsumerSpec, old: &MappingFacts, at_work: &MappingFacts) {
    let why = format!("a mapping of it is {:?}", at_work.state);
    if input.scaling() || old.state == MappingState::Deleting {
        draft.warnings.push(format!("{} is being moved: {why}", id(spec)));
        return;
    }
    wait(draft, spec, old, &why);
}

/// What is left of the move, for later.
fn wait(draft: &mut Draft, spec: &ConsumerSpec, old: &MappingFacts, why: &str) {
    let mut work = Work { risk: Risk::Interrupts, wait: Some(why.to_owned()), ..Work::default() };
    work.step(delete(spec, old), timing::MAPPING);
    draft.change(&id(spec), Action::Replace, Some(format!("it is being moved: {why}")), work);
}

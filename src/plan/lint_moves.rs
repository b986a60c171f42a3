//! The linter's rules about moves to and from fan-out: written from the rules, without the room that plans them.

use crate::model::{MappingFacts, MappingState};
use crate::spec::StartingPosition;

use super::{Action, Change, Input, NewMapping, Plan, Risk, Step};

/// One call of a move.
pub(super) fn check(change: &Change, step: &Step, at: usize, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    let mapping = |uuid: &String| input.facts.mappings.iter().find(|mapping| mapping.uuid == *uuid);
    let is_off = |mapping: &MappingFacts| mapping.state == MappingState::Disabled;
    let before = change.steps.get(..at).unwrap_or_default();
    let switched_off = |uuid: &str| {
        before
            .iter()
            .any(|step| matches!(step, Step::UpdateMapping(off) if off.uuid == uuid && off.enabled == Some(false)))
    };
    let others = |uuid: &str| -> Vec<&MappingFacts> {
        let function = input.facts.mappings.iter().find(|mapping| mapping.uuid == uuid).map(|it| &it.function_arn);
        let same = |mapping: &&MappingFacts| mapping.uuid != uuid && Some(&mapping.function_arn) == function;
        input.facts.mappings.iter().filter(same).collect()
    };
    match step {
        Step::UpdateMapping(switch) => {
            let settings = super::MappingChange { enabled: None, ..(**switch).clone() };
            let nothing = super::MappingChange {
                consumer: switch.consumer.clone(),
                uuid: switch.uuid.clone(),
                ..super::MappingChange::default()
            };
            if settings != nothing || switch.enabled.is_none() {
                complain("a move changes no setting".to_owned());
            }
            let reading = others(&switch.uuid).iter().any(|other| other.state.reads());
            if switch.enabled == Some(true) && reading {
                complain("two mappings would read".to_owned());
            }
            if switch.enabled == Some(false) && change.risk == Risk::None {
                complain("it stops the consumer, but the change does not say so".to_owned());
            }
        }
        Step::CreateMapping(new) => {
            if matches!(new.starting_position, StartingPosition::Latest) {
                complain("LATEST skips records".to_owned());
            }
            let spec = input.pipeline.consumers.iter().find(|spec| spec.name == new.consumer);
            if spec.is_none_or(|spec| !spec.idempotent) {
                complain("it reads records twice, and the consumer is not idempotent".to_owned());
            }
            let function = spec.and_then(|spec| input.facts.functions.get(&spec.function)).map(|it| &it.arn);
            let live = input.facts.mappings.iter().filter(|mapping| {
                function.is_some_and(|arn| {
                    mapping.function_arn == *arn || mapping.function_arn.starts_with(&format!("{arn}:"))
                })
            });
            if live.clone().count() != 1 || live.clone().any(|mapping| !is_off(mapping) && !switched_off(&mapping.uuid))
            {
                complain("the old mapping is not switched off, or not the only one".to_owned());
            }
        }
        Step::DeleteMapping { uuid, .. } => {
            let created = before.iter().any(|step| matches!(step, Step::CreateMapping(_)));
            let switched_on = |other: &&MappingFacts| {
                other.state == MappingState::Enabled
                    || before.iter().any(|step| matches!(step, Step::UpdateMapping(on) if on.uuid == other.uuid && on.enabled == Some(true)))
            };
            if !created && change.wait.is_none() && !others(uuid).iter().any(switched_on) {
                complain("it is the consumer's only mapping that could read".to_owned());
            }
            if mapping(uuid).is_some_and(|live| !is_off(live)) && !switched_off(uuid) && change.wait.is_none() {
                complain("it still reads".to_owned());
            }
        }
        _ => complain("no part of a move".to_owned()),
    }
}

/// A fan-out consumer is registered under our tag, once, on a stream that is there or comes before it.
pub(super) fn registration(
    change: &Change,
    step: &Step,
    input: &Input<'_>,
    plan: &Plan,
    complain: &mut impl FnMut(String),
) {
    let Step::RegisterStreamConsumer { stream, consumer, .. } = step else { return };
    if change.action != Action::Create {
        complain("it creates, but the change does not say so".to_owned());
    }
    if *stream != input.pipeline.stream.name {
        complain("the spec does not name the stream".to_owned());
    }
    if input.facts.fan_out.iter().any(|live| live.name == *consumer) {
        complain("it exists already".to_owned());
    }
    let wanted = |spec: &&crate::spec::ConsumerSpec| {
        *consumer == crate::diagnose::fan_out_name(&input.pipeline.name, &spec.name)
    };
    if !input.pipeline.consumers.iter().any(|spec| wanted(&spec) && spec.idempotent) {
        complain("no idempotent consumer of the spec reads through it".to_owned());
    }
    if input.facts.fan_out.len() >= 20 {
        complain("the stream has 20 fan-out consumers".to_owned());
    }
    let coming = plan
        .changes
        .iter()
        .take_while(|other| other.resource != change.resource)
        .any(|other| matches!(other.steps.first(), Some(Step::CreateStream { .. })));
    if input.facts.stream.is_none() && !coming {
        complain("the stream does not exist and is not created before it".to_owned());
    }
}

/// A mapping reads from the stream of the spec, or through a fan-out consumer of it.
pub(super) fn source(new: &NewMapping, input: &Input<'_>, complain: &mut impl FnMut(String)) {
    let stream = input.facts.stream.as_ref().map(|stream| &stream.arn);
    let expected = match &new.fan_out_consumer {
        None => stream,
        Some(name) => input.facts.fan_out.iter().find(|live| live.name == *name).map(|live| &live.arn),
    };
    if new.source_arn.as_ref() != expected {
        complain("its source is not the stream, nor the fan-out consumer it names".to_owned());
    }
}

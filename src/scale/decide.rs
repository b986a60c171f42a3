//! One decision: what is found and what to do about it, made in one place, so that it can be made again.

use jiff::Timestamp;

use super::{Sizing, guards, size};
use crate::{
    diagnose::{Finding, diagnose},
    memory::{Inputs, Memory, PackError},
    model::{Facts, Signals},
    spec::{Pipeline, ScalingPolicy},
};

/// Diagnoses and sizes everything for now.
pub fn decide(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    memory: &mut Memory,
    now: Timestamp,
) -> (Vec<Finding>, Sizing) {
    let mut findings = diagnose(pipeline, policy, facts, signals);
    guards::discount(&mut findings, memory, policy, now);
    let sizing = size(pipeline, policy, facts, signals, &findings, memory, now);
    (findings, sizing)
}

/// Makes a recorded decision again: the parts that come out otherwise; empty: the same, byte for byte.
pub fn replay(inputs: &Inputs) -> Result<Vec<&'static str>, PackError> {
    let mut memory = inputs.memory.clone();
    let Inputs { pipeline, policy, facts, signals, now, .. } = inputs;
    inputs.differences(&decide(pipeline, policy, facts, signals, &mut memory, *now))
}

//! One decision: what is found and what to do about it, made in one place, so that it can be made again.

use jiff::Timestamp;

use super::{
    Sizing, billing, break_glass, budget,
    efforts::{self, Seen},
    fan_out::deliver,
    resharded, size,
};
use crate::{
    cost::PriceSheet,
    diagnose::{Finding, diagnose},
    memory::{Inputs, Memory, PackError},
    model::{Facts, Signals},
    spec::{Pipeline, ScalingPolicy},
};

/// Diagnoses and sizes everything for now, within the month's budget.
pub fn decide(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    prices: &PriceSheet,
    facts: &Facts,
    signals: &Signals,
    memory: &mut Memory,
    now: Timestamp,
) -> (Vec<Finding>, Sizing) {
    let findings = diagnose(pipeline, policy, facts, signals, resharded(memory));
    let changed_before = memory.last_change.clone();
    let mut sizing = size(pipeline, policy, facts, signals, &findings, prices, memory, now);
    deliver(pipeline, policy, facts, signals, &findings, prices, memory, now, &mut sizing);
    billing::choose(pipeline, policy, facts, signals, prices, memory, now, &mut sizing);
    let volume = break_glass::price(pipeline, facts, signals, prices, &mut sizing.targets);
    let seen = Seen { pipeline, policy, facts, signals, findings: &findings, now };
    efforts::keep(&seen, &changed_before, memory, &mut sizing);
    budget::keep(pipeline, facts, prices, memory, &changed_before, volume, &mut sizing, now);
    (findings, sizing)
}

/// Makes a recorded decision again: the parts that come out otherwise; empty: the same, byte for byte.
pub fn replay(inputs: &Inputs) -> Result<Vec<&'static str>, PackError> {
    let mut memory = inputs.memory.clone();
    let Inputs { pipeline, policy, prices, facts, signals, now, .. } = inputs;
    inputs.differences(&decide(pipeline, policy, prices, facts, signals, &mut memory, *now))
}

//! The stream: existence, tags, retention, shards.

use std::collections::BTreeMap;

use crate::{
    cost,
    model::{Bounds, LifecycleStatus, ResourceId, ShardCount, StreamFacts, StreamMode, TAG_RESHARDS, UsdPerHour},
    scale::{COLD_LEDGER_TAG, Split, Target},
    spec::{Encryption, Pipeline},
};

use super::{
    Action, FieldChange, Input, Owner, QuotaUse, Risk, Step, codes,
    draft::{Draft, Work, new_field, spec_field},
    ownership, quota, timing,
};

/// Shard bounds that hold for this pipeline: a consumer that is not safe to run concurrently allows one invocation
/// over all shards, so the least the spec allows.
pub(super) fn shard_bounds(pipeline: &Pipeline) -> Bounds<ShardCount> {
    let bounds = pipeline.stream.shards;
    if pipeline.consumers.iter().all(|consumer| consumer.concurrency_safe) {
        return bounds;
    }
    Bounds::pinned(bounds.min)
}

pub(super) fn id(pipeline: &Pipeline) -> ResourceId {
    ResourceId::Stream(pipeline.stream.name.clone())
}

/// Decides about the stream.
pub(super) fn plan(draft: &mut Draft, input: &Input<'_>) {
    match &input.facts.stream {
        None => create(draft, input),
        Some(live) => existing(draft, input, live),
    }
}

fn create(draft: &mut Draft, input: &Input<'_>) {
    let (spec, id) = (&input.pipeline.stream, id(input.pipeline));
    let shards = shard_bounds(input.pipeline).initial;
    if spec.mode == StreamMode::OnDemand {
        let hint = "set streamMode: provisioned".to_owned();
        draft.block(&id, codes::IMMUTABLE, "this version creates provisioned streams only".to_owned(), hint);
        return;
    }
    if over_limit(draft, input, &id, shards) {
        return;
    }
    let mut work = Work { cost_delta: cost::of_new_stream(spec, shards, input.prices), ..Work::default() };
    work.field(new_field("shards", shards));
    let mut tags: BTreeMap<_, _> = ownership::all_tags(input.pipeline);
    // An empty ledger from the start: a store lost later is then not taken for a lost ledger.
    tags.insert(TAG_RESHARDS.to_owned(), COLD_LEDGER_TAG.to_owned());
    work.step(Step::CreateStream { stream: spec.name.clone(), shards, tags }, timing::CREATE_STREAM);
    let retention = spec.retention.initial;
    work.field(new_field("retention", format!("{retention}h")));
    // CreateStream always gives 24 h.
    if retention.get() > 24 {
        work.step(Step::IncreaseRetention { stream: spec.name.clone(), retention }, timing::SETTING);
    }
    draft.change(&id, Action::Create, Some("does not exist yet".to_owned()), work);
}

/// Blocks what the account's shard limit refuses for certain: our own count alone is above it.
fn over_limit(draft: &mut Draft, input: &Input<'_>, id: &ResourceId, shards: ShardCount) -> bool {
    let Some(limit) = input.facts.shard_limit.filter(|limit| *limit < shards.get()) else { return false };
    draft.block(
        id,
        codes::SHARD_LIMIT,
        format!("{shards} shards are above the account's limit of {limit} in {}", input.facts.region),
        "ask AWS for a higher shard limit, or lower spec.stream.shards".to_owned(),
    );
    true
}

fn existing(draft: &mut Draft, input: &Input<'_>, live: &StreamFacts) {
    let (spec, id) = (&input.pipeline.stream, id(input.pipeline));
    let Some(claim) = ownership::claim(draft, input.pipeline, &id, &live.tags, spec.adoption_policy) else { return };
    if !ownership::alive(draft, &id, live.status) {
        return;
    }
    let by_us = input.break_glass_since.filter(|_| live.mode == StreamMode::OnDemand && live.mode != spec.mode);
    if let Some(since) = by_us {
        draft.warnings.push(format!(
            "{id} is on demand by break-glass since {since}: the daemon brings it back to provisioned after 24 h, once \
             UpdateShardCount calls are left and its shards carry the load"
        ));
    } else if live.mode != spec.mode {
        draft.block(
            &id,
            codes::IMMUTABLE,
            format!("its mode is {}; the spec says {}", live.mode.word(), spec.mode.word()),
            "this version does not switch stream modes: switch it in AWS, or correct streamMode".to_owned(),
        );
        return;
    }
    if input.scaling() && live.status != LifecycleStatus::Active {
        draft.warnings.push(format!("{id} is in transition: nothing is changed on it now"));
        return;
    }
    unmanaged(draft, input, &id, live);
    let mut work = Work::default();
    if !claim.tags.is_empty() {
        claim.describe(&live.tags, &mut work);
        work.step(Step::TagStream { stream: spec.name.clone(), tags: claim.tags }, timing::SETTING);
    }
    let mut resharding = Work::default();
    extend_retention(input, live, &mut resharding);
    match input.targets.and_then(|targets| targets.mode.as_ref()) {
        Some(target) if target.value != live.mode => switch(target, live, &mut resharding),
        // What AWS makes of an on-demand stream's shards is not ours to change.
        _ if by_us.is_some() => {}
        _ => shards(draft, input, &id, live, &mut resharding),
    }
    let scaled = if input.scaling() { std::mem::take(&mut resharding) } else { Work::default() };
    work.append(resharding);
    retention(draft, input, &id, live, &mut work);
    // Shards and retention multiply: their cost is taken once, from the state after all of it.
    if !work.is_empty() {
        work.cost_delta = cost_after(live, &work, input);
    }
    if claim.adopting {
        let reason = "exists untagged; adoptionPolicy is adopt".to_owned();
        draft.change(&id, Action::Adopt, Some(reason), work);
    } else {
        let mut scaled = scaled;
        scaled.cost_delta = cost_after(live, &scaled, input);
        draft.change(&id, Action::Update, None, work);
        draft.change(&id, Action::Scale, None, scaled);
    }
    draft.settle(id);
}

/// The cost difference of all steps together.
fn cost_after(live: &StreamFacts, work: &Work, input: &Input<'_>) -> UsdPerHour {
    let mut after = live.clone();
    for step in &work.steps {
        match step {
            Step::UpdateShardCount { to, .. } | Step::SplitShard { to, .. } => after.open_shards = *to,
            Step::UpdateStreamMode { to, .. } => after.mode = *to,
            Step::IncreaseRetention { retention, .. } | Step::DecreaseRetention { retention, .. } => {
                after.retention = *retention;
            }
            _ => {}
        }
    }
    let consumers = input.facts.fan_out.len();
    cost::of_stream(&after, consumers, input.prices) - cost::of_stream(live, consumers, input.prices)
}

/// Settings that this version reads but does not change.
fn unmanaged(draft: &mut Draft, input: &Input<'_>, id: &ResourceId, live: &StreamFacts) {
    if let (Some(key), Encryption::None) = (&live.encryption_key, &input.pipeline.stream.encryption) {
        draft.warnings.push(format!("{id} is encrypted with {key}; the spec says none: left as it is"));
    }
    if !live.shard_level_metrics.is_empty() && input.pipeline.stream.shard_level_metrics.is_empty() {
        draft.warnings.push(format!("{id} has shard-level metrics switched on, which cost: left as they are"));
    }
}

/// The scaler's wish for a longer retention.
fn extend_retention(input: &Input<'_>, live: &StreamFacts, work: &mut Work) {
    let Some(target) = input.targets.and_then(|targets| targets.retention.as_ref()) else { return };
    let bounds = input.pipeline.stream.retention;
    if !bounds.contains(live.retention) || !bounds.contains(target.value) || target.value <= live.retention {
        return;
    }
    work.field(FieldChange::scaled(
        "retention",
        format!("{}h", live.retention),
        format!("{}h", target.value),
        &target.reason,
    ));
    let step = Step::IncreaseRetention { stream: live.name.clone(), retention: target.value };
    work.step(step, timing::SETTING);
}

fn retention(draft: &mut Draft, input: &Input<'_>, id: &ResourceId, live: &StreamFacts, work: &mut Work) {
    let bounds = input.pipeline.stream.retention;
    let goal = bounds.clamp(live.retention);
    let stream = live.name.clone();
    if goal == live.retention {
        if bounds.min < bounds.max {
            let line = format!("{id} retention = {}h in [{}h, {}h]", live.retention, bounds.min, bounds.max);
            draft.owned_by_scaler.push(line);
        }
        return;
    }
    let (step, reason) = if goal > live.retention {
        let reason = format!("below the spec's minimum of {}h", bounds.min);
        (Step::IncreaseRetention { stream, retention: goal }, reason)
    } else {
        // The person asked for it by lowering the bound; they must see what it does.
        work.risk(Risk::LosesData);
        let reason =
            format!("above the spec's maximum of {}h; records older than {goal}h are gone at once", bounds.max);
        (Step::DecreaseRetention { stream, retention: goal }, reason)
    };
    let field = spec_field("retention", Some(format!("{}h", live.retention)), Some(format!("{goal}h")), &reason);
    work.field(field);
    work.step(step, timing::SETTING);
}

/// Where the shard count should go, whose wish that is, and why.
fn shard_goal(input: &Input<'_>, live: ShardCount) -> (ShardCount, Owner, String) {
    let bounds = shard_bounds(input.pipeline);
    let target = input.targets.and_then(|targets| targets.shards.as_ref());
    match target {
        Some(target) if bounds.contains(live) => (bounds.clamp(target.value), Owner::Scaler, target.reason.clone()),
        _ if bounds.contains(live) => (live, Owner::Spec, String::new()),
        _ => {
            let side = if live < bounds.min { "below" } else { "above" };
            let reason = if bounds == input.pipeline.stream.shards {
                format!("{live} is {side} the spec's [{}, {}]", bounds.min, bounds.max)
            } else {
                format!("a consumer is not concurrencySafe: one invocation at a time, so {} shards", bounds.min)
            };
            (bounds.clamp(live), Owner::Spec, reason)
        }
    }
}

/// The break-glass way: one shard becomes two, without a call of the daily budget.
fn split(split: &Target<Split>, live: &StreamFacts, work: &mut Work) {
    let to = ShardCount(live.open_shards.get().saturating_add(1));
    work.field(FieldChange::scaled("shards", live.open_shards, to, &split.reason));
    let Split { shard, new_hash_key } = split.value.clone();
    let step = Step::SplitShard { stream: live.name.clone(), shard, new_hash_key, to };
    work.step(step, timing::SPLIT_SHARD);
}

/// The other break-glass way, and back.
fn switch(target: &Target<StreamMode>, live: &StreamFacts, work: &mut Work) {
    work.field(FieldChange::scaled("streamMode", live.mode.word(), target.value.word(), &target.reason));
    let step = Step::UpdateStreamMode { stream: live.name.clone(), to: target.value };
    work.step(step, timing::UPDATE_STREAM_MODE);
}

fn shards(draft: &mut Draft, input: &Input<'_>, id: &ResourceId, live: &StreamFacts, work: &mut Work) {
    if let Some(target) = input.targets.and_then(|targets| targets.split.as_ref()) {
        split(target, live, work);
        return;
    }
    let (from, bounds) = (live.open_shards, shard_bounds(input.pipeline));
    let (mut goal, owner, reason) = shard_goal(input, from);
    if let Some(limit) = input.facts.shard_limit.map(ShardCount).filter(|limit| owner == Owner::Scaler && *limit < goal)
    {
        draft.warnings.push(format!("{id}: {goal} shards wanted, the account's limit is {limit}: ask AWS for more"));
        goal = limit.max(from).min(goal);
    }
    if goal == from {
        if bounds.min < bounds.max {
            draft.owned_by_scaler.push(format!("{id} shards = {from} in [{}, {}]", bounds.min, bounds.max));
        }
        return;
    }
    if goal > from && over_limit(draft, input, id, goal) {
        return;
    }
    let mut chain = quota::reshard_chain(from, goal);
    if input.scaling() {
        chain.truncate(1);
    }
    let left = quota::reshards_left(input.ledger_used, input.exhausted_until, input.now);
    if owner == Owner::Scaler && goal < from && left <= input.policy.reserved_reshards {
        let reserve = input.policy.reserved_reshards;
        draft.warnings.push(format!(
            "{id} keeps {from} shards: {left} UpdateShardCount calls are left and {reserve} are kept back for raises"
        ));
        return;
    }
    if (left as usize) < chain.len() {
        let until = input.exhausted_until.filter(|until| *until > input.now);
        let when =
            until.map_or_else(|| "as calls of the last 24 h age out".to_owned(), |until| format!("after {until}"));
        draft.block(
            id,
            codes::RESHARD_QUOTA,
            format!("shards {from} -> {goal} needs {} UpdateShardCount calls, {left} of 10 are left", chain.len()),
            format!("run apply again {when}"),
        );
        chain.truncate(left as usize);
    }
    let Some(last) = chain.last().copied() else { return };
    work.field(FieldChange {
        path: "shards".to_owned(),
        before: Some(from.to_string()),
        after: Some(last.to_string()),
        owner,
        reason,
    });
    work.quota.push(QuotaUse {
        quota: "UpdateShardCount per 24 h".to_owned(),
        takes: u32::try_from(chain.len()).unwrap_or(u32::MAX),
        used: input.ledger_used,
        limit: quota::RESHARDS_PER_DAY,
    });
    let mut at = from;
    for to in chain {
        let step = Step::UpdateShardCount { stream: live.name.clone(), from: at, to };
        work.step(step, timing::reshard(at, to, input.policy));
        at = to;
    }
}

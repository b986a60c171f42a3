//! Fan-out consumers: registered for a consumer of the spec, and deregistered when nothing of ours reads through them.
//!
//! What always holds: only one that carries this pipeline's tag is tagged or deregistered, and none that a mapping
//! still reads through.

use std::collections::BTreeMap;

use crate::{
    diagnose::{Reading, Way, fan_out_name},
    model::{FanOutFacts, LifecycleStatus, MappingState, ResourceId, TAG_MOVE, TAG_PIPELINE, UsdPerHour},
    spec::ConsumerSpec,
};

use super::wanted;
use crate::plan::{
    Action, Input, QuotaUse, Risk, Step, codes,
    draft::{Draft, Work, new_field, spec_field},
    ownership, timing,
};

/// Registered consumers of a stream (Kinesis API reference, RegisterStreamConsumer; 50 with On-demand Advantage).
const LIMIT: usize = 20;
/// Of these in CREATING at once (same source).
const CREATING: usize = 5;

/// A consumer that is, or will be, there.
pub(in crate::plan) enum Registered {
    /// ACTIVE.
    Ready,
    /// Not yet; why.
    Pending(String),
    /// It cannot be; the draft says why.
    Refused,
}

fn id(input: &Input<'_>, name: &str) -> ResourceId {
    ResourceId::FanOutConsumer(input.pipeline.stream.name.clone(), name.to_owned())
}

/// What a registered consumer costs an hour, whatever flows.
fn hourly(input: &Input<'_>) -> UsdPerHour {
    let shards = input.facts.stream.as_ref().map_or(input.pipeline.stream.shards.initial, |stream| stream.open_shards);
    UsdPerHour(f64::from(shards.get()) * input.prices.fan_out_consumer_shard_hour)
}

/// Makes sure of the fan-out consumer that a consumer of the spec reads through.
pub(in crate::plan) fn register(
    draft: &mut Draft,
    input: &Input<'_>,
    spec: &ConsumerSpec,
    reading: &Reading<'_>,
) -> Registered {
    let name = fan_out_name(&input.pipeline.name, &spec.name);
    let id = id(input, &name);
    if let Some(live) = reading.registered {
        if reading.own().is_none() {
            let hint = "deregister it, or rename the consumer in the spec; it is never taken over";
            draft.block(&id, codes::NOT_OURS, not_ours(input, live), hint.to_owned());
            return Registered::Refused;
        }
        return match live.status {
            LifecycleStatus::Active => Registered::Ready,
            status => Registered::Pending(format!("{id} is {status:?}")),
        };
    }
    let (registered, creating) = (
        input.facts.fan_out.len(),
        input.facts.fan_out.iter().filter(|it| it.status == LifecycleStatus::Creating).count(),
    );
    if registered >= LIMIT || creating >= CREATING {
        let reason = format!(
            "{registered} of {LIMIT} fan-out consumers are registered on the stream, {creating} of {CREATING} being created"
        );
        let hint = "deregister one that is not used (`aws kinesis list-stream-consumers` names them)";
        draft.block(&id, codes::FAN_OUT_LIMIT, reason, hint.to_owned());
        return Registered::Refused;
    }
    let mut tags = ownership::all_tags(input.pipeline);
    tags.insert(TAG_MOVE.to_owned(), Way::EnhancedFanOut.word().to_owned());
    let mut work = Work { cost_delta: hourly(input), ..Work::default() };
    work.field(new_field("consumer", &name));
    work.quota.push(QuotaUse {
        quota: "fan-out consumers of the stream".to_owned(),
        takes: 1,
        used: registered as u32,
        limit: LIMIT as u32,
    });
    let stream = input.pipeline.stream.name.clone();
    work.step(Step::RegisterStreamConsumer { stream, consumer: name, tags }, timing::CONSUMER);
    draft.change(&id, Action::Create, Some("does not exist yet".to_owned()), work);
    Registered::Pending(format!("{id} is not registered yet"))
}

/// Writes down on the fan-out consumer where its reader is going; whether that stands there already.
pub(super) fn announce(draft: &mut Draft, input: &Input<'_>, live: &FanOutFacts, to: Way) -> bool {
    if live.tags.get(TAG_MOVE).is_some_and(|said| said == to.word()) {
        return true;
    }
    let id = id(input, &live.name);
    let tags = BTreeMap::from([(TAG_MOVE.to_owned(), to.word().to_owned())]);
    let mut work = Work::default();
    let reason = "tells a process that has lost its memory where the move leads";
    let before = live.tags.get(TAG_MOVE).cloned();
    work.field(spec_field(&format!("tags.{TAG_MOVE}"), before, Some(to.word().to_owned()), reason));
    let stream = input.pipeline.stream.name.clone();
    let step = Step::TagStreamConsumer { stream, consumer: live.name.clone(), arn: live.arn.clone(), tags };
    work.step(step, timing::SETTING);
    draft.change(&id, Action::Update, None, work);
    false
}

/// Deregisters a consumer of ours once no mapping reads through it.
pub(in crate::plan) fn deregister(draft: &mut Draft, input: &Input<'_>, live: &FanOutFacts, reason: &str) {
    let id = id(input, &live.name);
    let mut work = Work { risk: Risk::None, cost_delta: UsdPerHour(0.0) - hourly(input), ..Work::default() };
    let stream = input.pipeline.stream.name.clone();
    let step = Step::DeregisterStreamConsumer { stream, consumer: live.name.clone(), arn: live.arn.clone() };
    work.step(step, timing::CONSUMER);
    if input.facts.mappings.iter().any(|mapping| mapping.source_arn == live.arn) {
        work.wait = Some("the mapping that reads through it goes first".to_owned());
    }
    draft.change(&id, Action::Delete, Some(reason.to_owned()), work);
}

/// Consumers of ours that nothing reads through and that no consumer of the spec wants: they cost by the hour.
pub(in crate::plan) fn orphans(draft: &mut Draft, input: &Input<'_>) {
    for live in &input.facts.fan_out {
        let ours = live.tags.get(TAG_PIPELINE) == Some(&input.pipeline.name);
        let read = input.facts.mappings.iter().any(|mapping| mapping.source_arn == live.arn);
        let spec =
            input.pipeline.consumers.iter().find(|spec| fan_out_name(&input.pipeline.name, &spec.name) == live.name);
        // Its reader must be seen to poll the stream: a new mapping may not be listed at once.
        let unwanted = spec.is_none_or(|spec| {
            let reading = Reading::of(input.pipeline, input.facts, spec);
            let polls = reading.shared.is_some_and(|mapping| mapping.state == MappingState::Enabled);
            polls && wanted(input.targets, spec, &reading) == Way::Shared
        });
        if ours && !read && unwanted && live.status == LifecycleStatus::Active {
            deregister(draft, input, live, "nothing reads through it");
        }
    }
}

fn not_ours(input: &Input<'_>, live: &FanOutFacts) -> String {
    match ownership::holder(&live.tags, input.pipeline) {
        ownership::Holder::Other(who) => format!("belongs to {who}"),
        _ => format!("is registered without the tag {TAG_PIPELINE}={}", input.pipeline.name),
    }
}

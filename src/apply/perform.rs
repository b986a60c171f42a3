//! The one place through which mutating calls leave this process.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    aws::Aws,
    memory::{IntentState, Memory, Store, StoreError},
    model::{ErrorClass, Facts, Failure, ResourceId, ShardCount, TAG_RESHARDS},
    plan::Step,
    scale,
    spec::{Management, Pipeline},
};

/// Makes one mutating call: intent written before, result after. No retry.
///
/// UpdateShardCount is first entered in the reshard ledger and its copy in the stream's tag, since no AWS API tells
/// how many of the ten calls a day are used: a crash at any point may count a call too many, never one too few.
///
/// # Errors
/// AWS's answer; or class `Forbidden`, with nothing sent, when the spec says `management: observe` or the store cannot
/// be written.
pub async fn perform(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    facts: &Facts,
    step: &Step,
) -> Result<(), Failure> {
    if pipeline.management == Management::Observe {
        let message = "the spec says `management: observe`: nothing is written";
        return Err(refused(step, "ManagementObserve", message.to_owned()));
    }
    match step {
        Step::UpdateShardCount { stream, to, .. } => {
            reshard(aws, store, memory, pipeline, facts, step, stream, *to).await
        }
        Step::SplitShard { to, .. } => {
            // Not counted with UpdateShardCount; the new count must be known for ours all the same.
            scale::note_pending(memory, *to, aws.clock().now());
            store.save(&pipeline.name, memory).map_err(|error| unwritten(step, &error))?;
            call(aws, store, pipeline, facts, step).await
        }
        Step::UpdateStreamMode { .. } | Step::UpdateBillingMode { .. } => {
            switch(aws, store, memory, pipeline, facts, step).await
        }
        _ => call(aws, store, pipeline, facts, step).await,
    }
}

/// Makes a switch of a capacity or billing mode, of which AWS takes a few a day: counted before the call, as reshards
/// are, and taken back when AWS certainly refused it.
async fn switch(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    facts: &Facts,
    step: &Step,
) -> Result<(), Failure> {
    let (before, now) = (memory.clone(), aws.clock().now());
    match step {
        Step::UpdateStreamMode { to, .. } => scale::note_stream_mode(memory, *to, now),
        Step::UpdateBillingMode { to, capacity } => scale::note_billing(memory, &capacity.table, *to, now),
        _ => {}
    }
    if let Err(error) = store.save(&pipeline.name, memory) {
        *memory = before;
        return Err(unwritten(step, &error));
    }
    let result = call(aws, store, pipeline, facts, step).await;
    if let Err(failure) = &result {
        match step {
            Step::UpdateStreamMode { to, .. } => scale::note_stream_mode_refused(memory, *to, failure),
            Step::UpdateBillingMode { capacity, .. } => scale::note_billing_refused(memory, &capacity.table, failure),
            _ => {}
        }
        if let Err(error) = store.save(&pipeline.name, memory) {
            tracing::warn!(%error, "could not take the refused switch out of the memory: it counts as made");
        }
    }
    result
}

/// Settles the intents that a killed process left open: their effect is unknown. A reshard among them stays in the
/// ledger, where it was entered before the call, so it counts as used. Answers how many there were.
pub fn reconcile(store: &dyn Store, pipeline: &Pipeline, now: Timestamp) -> Result<usize, StoreError> {
    let pending = store.pending(&pipeline.name)?;
    for intent in &pending {
        let failure = Failure {
            class: ErrorClass::Unknown,
            operation: operation(&intent.step),
            resource: resource(&intent.step).to_string(),
            code: "Interrupted".to_owned(),
            message: "the process ended before the answer was written down".to_owned(),
            request_id: None,
        };
        tracing::info!(resource = %failure.resource, operation = %failure.operation, "found an interrupted call: looking at AWS to see what became of it");
        store.resolve(&pipeline.name, intent.id, IntentState::Failed { at: now, failure })?;
    }
    Ok(pending.len())
}

#[expect(clippy::too_many_arguments, reason = "perform's own arguments and the two fields of the step")]
async fn reshard(
    aws: &Aws,
    store: &dyn Store,
    memory: &mut Memory,
    pipeline: &Pipeline,
    facts: &Facts,
    step: &Step,
    stream: &str,
    to: ShardCount,
) -> Result<(), Failure> {
    let before = memory.clone();
    scale::note_reshard(memory, to, aws.clock().now());
    if let Err(error) = store.save(&pipeline.name, memory) {
        *memory = before;
        return Err(unwritten(step, &error));
    }
    write_ledger_tag(aws, store, memory, pipeline, facts, stream).await;
    let result = call(aws, store, pipeline, facts, step).await;
    if let Err(failure) = &result
        && !failure.class.effect_unknown()
    {
        scale::note_refused(memory, failure, aws.clock().now());
        if let Err(error) = store.save(&pipeline.name, memory) {
            // The record then counts a call that was not made, and a later observation keeps it: on the safe side.
            tracing::warn!(%error, "could not take the refused UpdateShardCount out of the ledger");
        }
        // Else the tag would bring the entry back at the next observation. Without it too few calls are made, not
        // too many; and a call that never left us left the stream alone.
        if failure.class != ErrorClass::Forbidden {
            write_ledger_tag(aws, store, memory, pipeline, facts, stream).await;
        }
    }
    result
}

/// The ledger's second copy. Without it the ledger in the store still holds, so a failure is told and not fatal.
async fn write_ledger_tag(
    aws: &Aws,
    store: &dyn Store,
    memory: &Memory,
    pipeline: &Pipeline,
    facts: &Facts,
    stream: &str,
) {
    let value = scale::ledger_tag(&memory.reshards, aws.clock().now());
    let tags = BTreeMap::from([(TAG_RESHARDS.to_owned(), value)]);
    let step = Step::TagStream { stream: stream.to_owned(), tags };
    if let Err(failure) = call(aws, store, pipeline, facts, &step).await {
        tracing::warn!(%failure, "the reshard ledger's copy in the stream's tags is out of date: only the state directory has it");
    }
}

async fn call(aws: &Aws, store: &dyn Store, pipeline: &Pipeline, facts: &Facts, step: &Step) -> Result<(), Failure> {
    let id = store.intend(&pipeline.name, aws.clock().now(), step).map_err(|error| unwritten(step, &error))?;
    let result = aws.execute(step, facts).await;
    let at = aws.clock().now();
    let state = match &result {
        Ok(()) => IntentState::Accepted { at },
        Err(failure) => IntentState::Failed { at, failure: failure.clone() },
    };
    if let Err(error) = store.resolve(&pipeline.name, id, state) {
        // The call is made; the open intent is settled by `reconcile` at the next start.
        tracing::warn!(%error, "could not write down the result of {}", operation(step));
    }
    result
}

fn unwritten(step: &Step, error: &StoreError) -> Failure {
    refused(step, "StateNotWritten", format!("{error}; no call was made"))
}

fn refused(step: &Step, code: &str, message: String) -> Failure {
    Failure {
        class: ErrorClass::Forbidden,
        operation: operation(step),
        resource: resource(step).to_string(),
        code: code.to_owned(),
        message,
        request_id: None,
    }
}

/// `service:Operation` of a step.
fn operation(step: &Step) -> String {
    match step {
        Step::CreateStream { .. } => "kinesis:CreateStream",
        Step::TagStream { .. } => "kinesis:AddTagsToStream",
        Step::IncreaseRetention { .. } => "kinesis:IncreaseStreamRetentionPeriod",
        Step::DecreaseRetention { .. } => "kinesis:DecreaseStreamRetentionPeriod",
        Step::UpdateShardCount { .. } => "kinesis:UpdateShardCount",
        Step::SplitShard { .. } => "kinesis:SplitShard",
        Step::UpdateStreamMode { .. } => "kinesis:UpdateStreamMode",
        Step::RegisterStreamConsumer { .. } => "kinesis:RegisterStreamConsumer",
        Step::TagStreamConsumer { .. } => "kinesis:TagResource",
        Step::DeregisterStreamConsumer { .. } => "kinesis:DeregisterStreamConsumer",
        Step::DeleteStream { .. } => "kinesis:DeleteStream",
        Step::CreateTable(_) => "dynamodb:CreateTable",
        Step::UpdateCapacity(_)
        | Step::UpdateBillingMode { .. }
        | Step::CreateIndex { .. }
        | Step::UpdateTableStream { .. }
        | Step::UpdateDeletionProtection { .. } => "dynamodb:UpdateTable",
        Step::UpdatePointInTimeRecovery { .. } => "dynamodb:UpdateContinuousBackups",
        Step::UpdateTimeToLive { .. } => "dynamodb:UpdateTimeToLive",
        Step::TagTable { .. } => "dynamodb:TagResource",
        Step::DeleteTable { .. } => "dynamodb:DeleteTable",
        Step::CreateMapping(_) => "lambda:CreateEventSourceMapping",
        Step::UpdateMapping(_) => "lambda:UpdateEventSourceMapping",
        Step::TagMapping { .. } => "lambda:TagResource",
        Step::DeleteMapping { .. } => "lambda:DeleteEventSourceMapping",
    }
    .to_owned()
}

/// The resource a step changes.
pub(crate) fn resource(step: &Step) -> ResourceId {
    match step {
        Step::CreateStream { stream, .. }
        | Step::TagStream { stream, .. }
        | Step::IncreaseRetention { stream, .. }
        | Step::DecreaseRetention { stream, .. }
        | Step::UpdateShardCount { stream, .. }
        | Step::SplitShard { stream, .. }
        | Step::UpdateStreamMode { stream, .. }
        | Step::DeleteStream { stream } => ResourceId::Stream(stream.clone()),
        Step::RegisterStreamConsumer { stream, consumer, .. }
        | Step::TagStreamConsumer { stream, consumer, .. }
        | Step::DeregisterStreamConsumer { stream, consumer, .. } => {
            ResourceId::FanOutConsumer(stream.clone(), consumer.clone())
        }
        Step::CreateTable(table) => ResourceId::Table(table.spec.name.clone()),
        Step::UpdateCapacity(change) | Step::UpdateBillingMode { capacity: change, .. } => {
            ResourceId::Table(change.table.clone())
        }
        Step::CreateIndex { table, .. }
        | Step::UpdateTableStream { table, .. }
        | Step::UpdateDeletionProtection { table, .. }
        | Step::UpdatePointInTimeRecovery { table, .. }
        | Step::UpdateTimeToLive { table, .. }
        | Step::TagTable { table, .. }
        | Step::DeleteTable { table } => ResourceId::Table(table.clone()),
        Step::CreateMapping(mapping) => ResourceId::Mapping(mapping.consumer.clone()),
        Step::UpdateMapping(change) => ResourceId::Mapping(change.consumer.clone()),
        Step::TagMapping { consumer, .. } | Step::DeleteMapping { consumer, .. } => {
            ResourceId::Mapping(consumer.clone())
        }
    }
}

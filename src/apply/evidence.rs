//! What a move to or from fan-out is decided from: asked of AWS only while one is wanted or under way.

use crate::{
    aws::Aws,
    model::{ErrorClass, Facts, Failure},
    observe,
    plan::fan_out::{self, ClosedShards, Evidence},
    scale::Targets,
    spec::{Pipeline, ScalingPolicy},
};

/// The metrics of the last hours, and whether a shard was closed since the position that they give. `None` when no
/// consumer is moved or should be, and when the caller may not read them: then no move begins.
///
/// # Errors
/// A read that failed and may succeed later.
pub async fn evidence(
    aws: &Aws,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    targets: Option<&Targets>,
) -> Result<Option<Evidence>, Failure> {
    match read(aws, pipeline, policy, facts, targets).await {
        Err(failure) if failure.class == ErrorClass::Denied => {
            tracing::warn!(%failure, "no consumer can be moved to or from fan-out without its metrics");
            Ok(None)
        }
        answer => answer,
    }
}

async fn read(
    aws: &Aws,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    targets: Option<&Targets>,
) -> Result<Option<Evidence>, Failure> {
    let moved = fan_out::candidates(pipeline, facts, targets);
    let Some(stream) = facts.stream.as_ref().filter(|_| !moved.is_empty()) else { return Ok(None) };
    let signals = observe::signals(aws, pipeline, facts, policy, observe::Scope::Moving).await?;
    let closed = match fan_out::earliest(pipeline, facts, &moved, &signals) {
        Some(since) => {
            let any = observe::shards_closed_since(aws, &stream.name, since).await?;
            Some(ClosedShards { since, any })
        }
        None => None,
    };
    Ok(Some(Evidence { signals, closed }))
}

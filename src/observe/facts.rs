//! What exists: one pass over the describe and list calls of a pipeline's resources, one after the other, so
//! that the same world gives the same requests in the same order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::retry::retry;
use crate::{
    aws::{Aws, is_unsupported},
    model::{
        ErrorClass, Facts, Failure, FanOutFacts, FunctionFacts, LifecycleStatus, MappingFacts, StreamFacts, TableFacts,
    },
    spec::{BreakGlass, Pipeline},
};

/// Observes the resources named in the spec, and every event source mapping on the stream.
///
/// # Errors
/// The first read that fails for good. What AWS says does not exist is no failure. The account's limits are
/// optional: without an answer they are `None`.
pub async fn facts(aws: &Aws, pipeline: &Pipeline) -> Result<Facts, Failure> {
    let clock = aws.clock();
    let identity = retry(clock, || aws.identity()).await?;
    let mut stream = stream(aws, &pipeline.stream.name).await?;
    // Only a split needs to know where the shards begin and end.
    if let Some(stream) = stream.as_mut().filter(|stream| stream.status == LifecycleStatus::Active)
        && pipeline.scaling.break_glass.contains(&BreakGlass::SplitShard)
    {
        stream.shards = retry(clock, || aws.open_shards(&stream.name)).await?;
    }
    let fan_out = match &stream {
        // A stream that is being created has no consumers, and refuses to list them.
        Some(stream) if stream.status != LifecycleStatus::Creating => tagged_fan_out(aws, stream).await?,
        _ => Vec::new(),
    };
    let names = pipeline.consumers.iter().map(|consumer| consumer.function.clone()).collect();
    let functions = functions(aws, &names).await?;
    let mappings = match &stream {
        Some(stream) => mappings(aws, stream, &fan_out).await?,
        None => Vec::new(),
    };
    let mut tables = BTreeMap::new();
    for spec in &pipeline.tables {
        if let Some(table) = table(aws, &spec.name).await? {
            tables.insert(spec.name.clone(), table);
        }
    }
    let account_concurrency = optional(aws.account_concurrency().await).flatten();
    let shard_limit = optional(aws.shard_limit().await);
    Ok(Facts {
        observed_at: clock.now(),
        account: identity.account,
        region: aws.region().to_owned(),
        caller: identity.arn,
        stream,
        fan_out,
        functions,
        mappings,
        tables,
        account_concurrency,
        shard_limit,
    })
}

/// Which resources a diagnosis looks at.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The account and the ARN of the caller, as they are known already.
    pub caller: (&'a str, &'a str),
    /// The stream.
    pub stream: &'a str,
    /// Functions by name; `None`: those that the stream's mappings invoke.
    pub functions: Option<&'a BTreeSet<String>>,
    /// Tables by name.
    pub tables: &'a [String],
}

/// What a diagnosis needs of what exists, in few calls: tags, backups, expiry and the account's shard limit are left
/// out, so a plan must not be made from it.
///
/// # Errors
/// As [`facts`].
pub async fn facts_to_diagnose(aws: &Aws, sought: Sought<'_>) -> Result<Facts, Failure> {
    let clock = aws.clock();
    let stream = retry(clock, || aws.stream(sought.stream)).await?;
    let fan_out = match &stream {
        Some(stream) if stream.status != LifecycleStatus::Creating => tagged_fan_out(aws, stream).await?,
        _ => Vec::new(),
    };
    let mappings = match &stream {
        Some(stream) => listed(aws, stream, &fan_out).await?.into_values().collect(),
        None => Vec::new(),
    };
    let invoked: BTreeSet<String> = mappings.iter().filter_map(MappingFacts::function_name).collect();
    let functions = functions(aws, sought.functions.unwrap_or(&invoked)).await?;
    let mut tables = BTreeMap::new();
    for name in sought.tables {
        tables.extend(retry(clock, || aws.table(name)).await?.map(|table| (name.clone(), table)));
    }
    Ok(Facts {
        account: sought.caller.0.to_owned(),
        region: aws.region().to_owned(),
        caller: sought.caller.1.to_owned(),
        stream,
        fan_out,
        functions,
        mappings,
        tables,
        account_concurrency: optional(aws.account_concurrency().await).flatten(),
        shard_limit: None,
        observed_at: clock.now(),
    })
}

async fn stream(aws: &Aws, name: &str) -> Result<Option<StreamFacts>, Failure> {
    let Some(mut stream) = retry(aws.clock(), || aws.stream(name)).await? else { return Ok(None) };
    match retry(aws.clock(), || aws.stream_tags(name)).await {
        Ok(tags) => stream.tags = tags,
        // Deleted between the two calls.
        Err(failure) if failure.class == ErrorClass::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    }
    Ok(Some(stream))
}

/// Consumers with their tags.
async fn tagged_fan_out(aws: &Aws, stream: &StreamFacts) -> Result<Vec<FanOutFacts>, Failure> {
    let mut consumers = fan_out(aws, stream).await?;
    for consumer in &mut consumers {
        consumer.tags = match retry(aws.clock(), || aws.consumer_tags(&stream.name, &consumer.arn)).await {
            Ok(tags) => tags,
            // Without its tags a consumer counts as not ours, which is the safe side.
            Err(failure)
                if matches!(failure.class, ErrorClass::Denied | ErrorClass::NotFound) || is_unsupported(&failure) =>
            {
                tracing::warn!(%failure, "the tags of a fan-out consumer cannot be read; it counts as not ours");
                BTreeMap::new()
            }
            Err(failure) => return Err(failure),
        };
    }
    Ok(consumers)
}

/// Whether a shard has been closed since this moment, so that its reader may not have drained it.
///
/// # Errors
/// The read that failed for good.
pub async fn shards_closed_since(aws: &Aws, stream: &str, moment: Timestamp) -> Result<bool, Failure> {
    retry(aws.clock(), || aws.shards_closed_since(stream, moment)).await
}

async fn fan_out(aws: &Aws, stream: &StreamFacts) -> Result<Vec<FanOutFacts>, Failure> {
    match retry(aws.clock(), || aws.fan_out(&stream.name, &stream.arn)).await {
        Err(failure) if failure.class == ErrorClass::NotFound || is_unsupported(&failure) => Ok(Vec::new()),
        answer => answer,
    }
}

async fn functions(aws: &Aws, names: &BTreeSet<String>) -> Result<BTreeMap<String, FunctionFacts>, Failure> {
    let mut functions = BTreeMap::new();
    for name in names {
        if let Some(function) = retry(aws.clock(), || aws.function(name)).await? {
            functions.insert(name.clone(), function);
        }
    }
    Ok(functions)
}

/// Mappings on the stream and on its fan-out consumers, by UUID, without their tags.
async fn listed(
    aws: &Aws,
    stream: &StreamFacts,
    fan_out: &[FanOutFacts],
) -> Result<BTreeMap<String, MappingFacts>, Failure> {
    let mut found: BTreeMap<String, MappingFacts> = BTreeMap::new();
    let sources = std::iter::once(stream.arn.as_str()).chain(fan_out.iter().map(|consumer| consumer.arn.as_str()));
    for source in sources {
        let mappings = retry(aws.clock(), || aws.mappings(source)).await?;
        found.extend(mappings.into_iter().map(|mapping| (mapping.uuid.clone(), mapping)));
    }
    Ok(found)
}

/// [`listed`], with their tags.
async fn mappings(aws: &Aws, stream: &StreamFacts, fan_out: &[FanOutFacts]) -> Result<Vec<MappingFacts>, Failure> {
    let mut found = listed(aws, stream, fan_out).await?;
    for mapping in found.values_mut() {
        let Some(arn) = mapping.arn.clone() else { continue };
        mapping.tags = match retry(aws.clock(), || aws.mapping_tags(&arn)).await {
            Ok(tags) => tags,
            // Without its tags a mapping counts as not ours, which is the safe side.
            Err(failure)
                if matches!(failure.class, ErrorClass::Denied | ErrorClass::NotFound) || is_unsupported(&failure) =>
            {
                tracing::warn!(%failure, "the tags of a mapping cannot be read; it counts as not ours");
                BTreeMap::new()
            }
            Err(failure) => return Err(failure),
        };
    }
    Ok(found.into_values().collect())
}

async fn table(aws: &Aws, name: &str) -> Result<Option<TableFacts>, Failure> {
    let clock = aws.clock();
    let Some(mut table) = retry(clock, || aws.table(name)).await? else { return Ok(None) };
    table.point_in_time_recovery = retry(clock, || aws.point_in_time_recovery(name)).await?;
    table.time_to_live = retry(clock, || aws.time_to_live(name)).await?;
    table.tags = retry(clock, || aws.table_tags(name, &table.arn)).await?;
    Ok(Some(table))
}

fn optional<T>(answer: Result<T, Failure>) -> Option<T> {
    answer.inspect_err(|failure| tracing::debug!(%failure, "an optional read did not answer")).ok()
}

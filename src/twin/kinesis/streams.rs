//! Stream operations: create, describe, list, delete, limits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Change, Kinesis, Status, Stream, in_use, invalid, limit, not_found, paging, records, reshard, settings,
    stream_name, tags,
};
use crate::twin::{
    Ctx, epoch, millis,
    plane::ShardView,
    wire::{Answer, Args, Refusal},
};

/// Streams that may be in CREATING at once (CreateStream).
const CREATING_LIMIT: usize = 5;
/// Shards of a new on-demand stream (on-demand default: 4 MB/s).
const ON_DEMAND_SHARDS: u32 = 4;

impl Kinesis {
    pub(super) fn create(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let name = args.need_text("StreamName")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
            return Err(Refusal::constraint(name, "streamName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"));
        }
        if self.streams.contains_key(name) {
            return Err(in_use(format!("Stream {name} under account {} already exists.", ctx.account())));
        }
        let mode = args.at("StreamModeDetails").and_then(|details| details.text("StreamMode"));
        if !matches!(mode, None | Some("PROVISIONED" | "ON_DEMAND")) {
            let set = "satisfy enum value set: [PROVISIONED, ON_DEMAND]";
            return Err(Refusal::constraint(mode.unwrap_or_default(), "streamModeDetails.streamMode", set));
        }
        let on_demand = mode == Some("ON_DEMAND");
        if on_demand && self.on_demand_count() >= ctx.assumptions.on_demand_streams {
            return Err(reshard::too_many_on_demand(ctx));
        }
        let max_record_kib = settings::record_kib(args)?.unwrap_or(1_024);
        let shards = match args.ranged("ShardCount", 1, i64::from(u32::MAX))? {
            Some(_) if on_demand => {
                return Err(Refusal::validation("ShardCount must not be specified when StreamMode is ON_DEMAND"));
            }
            None if on_demand => ON_DEMAND_SHARDS,
            None => return Err(Refusal::validation("ShardCount is required when StreamMode is PROVISIONED")),
            Some(shards) => shards as u32,
        };
        let tags = args.map("Tags");
        tags::check_tags(&tags)?;
        self.check_shard_limit(ctx, 0, shards)?;
        if self.streams.values().filter(|stream| stream.status == Status::Creating).count() >= CREATING_LIMIT {
            return Err(limit(format!(
                "This request would exceed the limit of {CREATING_LIMIT} streams in CREATING state for the account {}.",
                ctx.account()
            )));
        }
        let mut stream = Stream {
            name: name.to_owned(),
            arn: ctx.arn("kinesis", &format!("stream/{name}")),
            status: Status::Creating,
            on_demand,
            open_shards: 0,
            retention_hours: 24,
            created_ms: ctx.now,
            tags,
            pending: None,
            reshards: Vec::new(),
            mode_switches: Vec::new(),
            encryption_starts: Vec::new(),
            encryption_stops: Vec::new(),
            key: None,
            monitored: BTreeSet::new(),
            max_record_kib,
            policy: None,
            look_ms: None,
            consumers: BTreeMap::new(),
        };
        stream.start(ctx, Status::Creating, millis(ctx.world.timings.create_stream), Change::Created { shards });
        self.streams.insert(name.to_owned(), stream);
        Ok(Value::Null)
    }

    pub(super) fn describe_summary(&self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find(ctx, args)?;
        let mut summary = stream.description();
        let members = [
            ("OpenShardCount", json!(stream.open_shards)),
            ("ConsumerCount", json!(stream.consumers.len())),
            ("MaxRecordSizeInKiB", json!(stream.max_record_kib)),
        ];
        summary.extend(members.into_iter().map(|(member, value)| (member.to_owned(), value)));
        Ok(json!({ "StreamDescriptionSummary": summary }))
    }

    pub(super) fn describe(&self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find(ctx, args)?;
        let at_most = args.ranged("Limit", 1, 10_000)?.unwrap_or(100).min(100) as usize;
        let (shards, more) = page(stream.shards(ctx), args.text("ExclusiveStartShardId"), at_most);
        let mut description = stream.description();
        description.insert("Shards".to_owned(), shards.iter().map(shard_json).collect());
        description.insert("HasMoreShards".to_owned(), json!(more));
        Ok(json!({ "StreamDescription": description }))
    }

    pub(super) fn list_shards(&self, ctx: &Ctx, args: Args) -> Answer {
        let at_most = args.ranged("MaxResults", 1, 10_000)?.unwrap_or(1_000).min(1_000);
        let filter = args.at("ShardFilter");
        // A token carries the stream and, as JSON, the filter it began with.
        let (name, filter, after) = match args.text("NextToken") {
            Some(_) if args.get("StreamName").is_some() || args.get("StreamCreationTimestamp").is_some() => {
                return Err(invalid("NextToken and StreamName cannot be provided together."));
            }
            Some(token) => {
                let (subject, last) = paging::open(ctx, token, "shards")?;
                let (name, filter) = subject.split_once(' ').unwrap_or((&subject, "null"));
                let filter = serde_json::from_str(filter).unwrap_or(Value::Null);
                (name.to_owned(), filter, Some(last))
            }
            None => {
                let filter = filter.map_or(Value::Null, |filter| filter.0.clone());
                (stream_name(args)?.to_owned(), filter, args.text("ExclusiveStartShardId").map(str::to_owned))
            }
        };
        let stream = self.streams.get(&name).ok_or_else(|| not_found(ctx, &name))?;
        let asked = args.get("StreamCreationTimestamp").and_then(Value::as_f64);
        if asked.is_some_and(|asked| (asked * 1_000.0) as i64 / 1_000 != stream.created_ms / 1_000) {
            return Err(not_found(ctx, &name));
        }
        if stream.status == Status::Creating || stream.status == Status::Deleting {
            stream.need_active(ctx)?;
        }
        let shards = filtered(stream.shards(ctx), Args(&filter), ctx.now, stream.retention_hours)?;
        let (shards, more) = page(shards, after.as_deref(), at_most as usize);
        let mut output = json!({ "Shards": shards.iter().map(shard_json).collect::<Vec<_>>() });
        if let Some(last) = shards.last().filter(|_| more) {
            output["NextToken"] = json!(paging::token(ctx, "shards", &format!("{name} {filter}"), &last.id));
        }
        Ok(output)
    }

    pub(super) fn list(&self, ctx: &Ctx, args: Args) -> Answer {
        let at_most = args.ranged("Limit", 1, 10_000)?.unwrap_or(100) as usize;
        let start = match args.text("NextToken") {
            Some(token) => paging::resume(ctx, token, "streams", "")?,
            None => args.text("ExclusiveStartStreamName").unwrap_or_default().to_owned(),
        };
        let rest = self.streams.values().filter(|stream| stream.name > start);
        let more = rest.clone().count() > at_most;
        let page: Vec<&Stream> = rest.take(at_most).collect();
        let names: Vec<&String> = page.iter().map(|stream| &stream.name).collect();
        let summaries: Vec<Value> = page.iter().map(|stream| stream.summary()).collect();
        let mut output = json!({ "StreamNames": names, "HasMoreStreams": more, "StreamSummaries": summaries });
        if let Some(last) = names.last().filter(|_| more) {
            output["NextToken"] = json!(paging::token(ctx, "streams", "", last));
        }
        Ok(output)
    }

    pub(super) fn delete(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find_mut(ctx, args)?;
        if matches!(stream.status, Status::Deleting | Status::Creating) {
            stream.need_active(ctx)?;
        }
        if !stream.consumers.is_empty() && args.flag("EnforceConsumerDeletion") != Some(true) {
            return Err(in_use(format!(
                "Stream {} under account {} has consumers registered. Deregister them or set EnforceConsumerDeletion.",
                stream.name,
                ctx.account()
            )));
        }
        // A reshard in flight is abandoned: assumption.
        stream.start(ctx, Status::Deleting, millis(ctx.world.timings.delete_stream), Change::Deleted);
        Ok(Value::Null)
    }

    pub(super) fn limits(&self, ctx: &Ctx) -> Value {
        json!({
            "ShardLimit": ctx.world.shard_limit,
            "OpenShardCount": self.open_shards(),
            "OnDemandStreamCount": self.on_demand_count(),
            "OnDemandStreamCountLimit": ctx.assumptions.on_demand_streams,
        })
    }
}

impl Stream {
    fn description(&self) -> serde_json::Map<String, Value> {
        let mode = if self.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
        let members = [
            ("StreamName", json!(self.name)),
            ("StreamARN", json!(self.arn)),
            ("StreamStatus", json!(self.status.text())),
            ("StreamModeDetails", json!({ "StreamMode": mode })),
            ("RetentionPeriodHours", json!(self.retention_hours)),
            ("StreamCreationTimestamp", epoch(self.created_ms)),
            ("EnhancedMonitoring", json!([{ "ShardLevelMetrics": self.monitored }])),
            ("EncryptionType", json!("NONE")),
        ];
        let mut members: serde_json::Map<String, Value> =
            members.into_iter().map(|(member, value)| (member.to_owned(), value)).collect();
        if let Some(key) = &self.key {
            members.insert("EncryptionType".to_owned(), json!("KMS"));
            members.insert("KeyId".to_owned(), json!(key));
        }
        members
    }

    fn summary(&self) -> Value {
        let mode = if self.on_demand { "ON_DEMAND" } else { "PROVISIONED" };
        json!({
            "StreamName": self.name,
            "StreamARN": self.arn,
            "StreamStatus": self.status.text(),
            "StreamModeDetails": { "StreamMode": mode },
            "StreamCreationTimestamp": epoch(self.created_ms),
        })
    }

    fn shards(&self, ctx: &Ctx) -> Vec<ShardView> {
        if self.open_shards == 0 { Vec::new() } else { ctx.plane.shards(&self.name) }
    }
}

/// What comes after `start`, at most `at_most`, and whether there is more.
fn page(mut shards: Vec<ShardView>, start: Option<&str>, at_most: usize) -> (Vec<ShardView>, bool) {
    shards.retain(|shard| start.is_none_or(|start| shard.id.as_str() > start));
    let more = shards.len() > at_most;
    shards.truncate(at_most);
    (shards, more)
}

/// The shards a filter of ListShards lets through (API reference, ShardFilter).
fn filtered(
    mut shards: Vec<ShardView>,
    filter: Args,
    now: i64,
    retention_hours: u32,
) -> Result<Vec<ShardView>, Refusal> {
    let at = || {
        let at = filter.get("Timestamp").and_then(Value::as_f64);
        at.map(|at| (at * 1_000.0) as i64).ok_or_else(|| invalid("This ShardFilter type needs a Timestamp."))
    };
    let oldest = shards.iter().map(|shard| shard.created_ms).min().unwrap_or(now);
    let horizon = oldest.max(now - i64::from(retention_hours) * 3_600_000);
    let open_at =
        |shard: &ShardView, at: i64| shard.created_ms <= at && shard.closed_ms.is_none_or(|closed| closed > at);
    match filter.text("Type") {
        None if filter.0.is_null() => {}
        Some("AT_LATEST") => shards.retain(|shard| shard.open),
        Some("FROM_TRIM_HORIZON") => shards.retain(|shard| shard.closed_ms.is_none_or(|closed| closed >= horizon)),
        Some("AT_TRIM_HORIZON") => shards.retain(|shard| open_at(shard, horizon)),
        Some("AFTER_SHARD_ID") => {
            let after = filter.text("ShardId").ok_or_else(|| invalid("AFTER_SHARD_ID needs a ShardId."))?;
            shards.retain(|shard| shard.id.as_str() > after);
        }
        Some("AT_TIMESTAMP") => {
            let at = at()?.max(horizon);
            shards.retain(|shard| open_at(shard, at));
        }
        Some("FROM_TIMESTAMP") => {
            let at = at()?;
            shards.retain(|shard| shard.closed_ms.is_none_or(|closed| closed >= at));
        }
        other => {
            let set = "satisfy enum value set: [AFTER_SHARD_ID, AT_LATEST, AT_TIMESTAMP, AT_TRIM_HORIZON, FROM_TIMESTAMP, \
                       FROM_TRIM_HORIZON]";
            return Err(Refusal::constraint(other.unwrap_or("null"), "shardFilter.type", set));
        }
    }
    Ok(shards)
}

fn shard_json(shard: &ShardView) -> Value {
    let mut sequence = json!({ "StartingSequenceNumber": records::first_sequence(shard) });
    if !shard.open {
        sequence["EndingSequenceNumber"] = json!(records::sequence(shard, shard.tip));
    }
    let mut value = json!({
        "ShardId": shard.id,
        "HashKeyRange": {
            "StartingHashKey": shard.starting_hash.to_string(),
            "EndingHashKey": shard.ending_hash.to_string(),
        },
        "SequenceNumberRange": sequence,
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        value[*member] = json!(parent);
    }
    value
}

//! Stream operations: life cycle, shards, retention, tags, limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Change, DAY_MS, Kinesis, Status, Stream, in_use, invalid, limit, not_found, stream_name};
use crate::twin::{
    Ctx, epoch, millis,
    plane::ShardView,
    wire::{Answer, Args, Cause, Refusal},
};

/// Tags per stream (AddTagsToStream).
const TAG_LIMIT: usize = 50;
/// Streams that may be in CREATING at once (CreateStream).
const CREATING_LIMIT: usize = 5;
/// Shards of a new on-demand stream (on-demand default: 4 MB/s).
const ON_DEMAND_SHARDS: u32 = 4;
/// Greatest shard count that UpdateShardCount reaches.
const UPDATE_SHARD_COUNT_MAXIMUM: i64 = 10_000;

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
        let on_demand = mode == Some("ON_DEMAND");
        let shards = match args.ranged("ShardCount", 1, i64::from(u32::MAX))? {
            Some(_) if on_demand => {
                return Err(Refusal::validation("ShardCount must not be specified when StreamMode is ON_DEMAND"));
            }
            None if on_demand => ON_DEMAND_SHARDS,
            None => return Err(Refusal::validation("ShardCount is required when StreamMode is PROVISIONED")),
            Some(shards) => shards as u32,
        };
        let tags = args.map("Tags");
        check_tags(&tags)?;
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
            consumers: BTreeMap::new(),
        };
        stream.start(ctx, Status::Creating, millis(ctx.world.timings.create_stream), Change::Created { shards });
        self.streams.insert(name.to_owned(), stream);
        Ok(Value::Null)
    }

    /// Closed and coming shards are not counted: [derived] the API speaks of shards in the account.
    fn check_shard_limit(&self, ctx: &Ctx, from: u32, to: u32) -> Result<(), Refusal> {
        let shards = self.open_shards() + u64::from(to) - u64::from(from.min(to));
        let allowed = ctx.world.shard_limit;
        if to <= from || shards <= u64::from(allowed) {
            return Ok(());
        }
        Err(limit(format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard count for the account: {}. \
             Limit: {allowed}. Number of additional shards that would have resulted from this request: {}.",
            ctx.account(),
            ctx.world.region,
            self.open_shards(),
            to - from
        )))
    }

    pub(super) fn describe_summary(&self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find(ctx, args)?;
        let mut summary = stream.description();
        let members = [
            ("OpenShardCount", json!(stream.open_shards)),
            ("ConsumerCount", json!(stream.consumers.len())),
            ("MaxRecordSizeInKiB", json!(1024)),
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
        let at_most = args.ranged("MaxResults", 1, 10_000)?.unwrap_or(1_000).min(1_000) as usize;
        let (name, start, filter) = match args.text("NextToken") {
            Some(_) if args.get("StreamName").is_some() => {
                return Err(invalid("NextToken and StreamName cannot be provided together."));
            }
            Some(token) => {
                let mut parts = token.splitn(3, '|');
                let (filter, start) = (parts.next().unwrap_or_default(), parts.next());
                (parts.next().ok_or_else(|| invalid("NextToken is invalid."))?, start, filter.to_owned())
            }
            None => {
                let filter = args.at("ShardFilter").and_then(|filter| filter.text("Type")).unwrap_or_default();
                let after = args.at("ShardFilter").and_then(|filter| filter.text("ShardId"));
                (stream_name(args)?, args.text("ExclusiveStartShardId").or(after), filter.to_owned())
            }
        };
        let stream = self.streams.get(name).ok_or_else(|| not_found(ctx, name))?;
        let mut shards = stream.shards(ctx);
        shards.retain(|shard| filter != "AT_LATEST" || shard.open);
        let (shards, more) = page(shards, start, at_most);
        let mut output = json!({ "Shards": shards.iter().map(shard_json).collect::<Vec<_>>() });
        if let Some(last) = shards.last().filter(|_| more) {
            output["NextToken"] = json!(format!("{filter}|{}|{name}", last.id));
        }
        Ok(output)
    }

    pub(super) fn list(&self, args: Args) -> Answer {
        let at_most = args.ranged("Limit", 1, 10_000)?.unwrap_or(100) as usize;
        let start = args.text("ExclusiveStartStreamName").or(args.text("NextToken")).unwrap_or_default();
        let mut names: Vec<&String> = self.streams.keys().filter(|name| name.as_str() > start).collect();
        let more = names.len() > at_most;
        names.truncate(at_most);
        let mut output = json!({ "StreamNames": names, "HasMoreStreams": more });
        if more {
            output["NextToken"] = json!(names.last());
        }
        Ok(output)
    }

    pub(super) fn update_shard_count(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let target = args.ranged("TargetShardCount", 1, i64::from(u32::MAX))?;
        let target = target.ok_or_else(|| Refusal::validation("TargetShardCount is required"))?;
        if args.need_text("ScalingType")? != "UNIFORM_SCALING" {
            return Err(Refusal::constraint(
                args.text("ScalingType").unwrap_or_default(),
                "scalingType",
                "satisfy enum value set: [UNIFORM_SCALING]",
            ));
        }
        let stream = self.find(ctx, args)?;
        if stream.on_demand {
            return Err(Refusal::validation(format!(
                "Request is invalid. Stream {} under account {} is in On-Demand mode.",
                stream.name,
                ctx.account()
            )));
        }
        stream.need_active(ctx)?;
        let current = i64::from(stream.open_shards);
        let counts = format!("Current open shard count: {current}, Target shard count: {target}");
        if target > current * 2 {
            return Err(limit(format!(
                "UpdateShardCount cannot scale up over double your current open shard count. {counts}"
            )));
        }
        if target * 2 < current {
            return Err(limit(format!(
                "UpdateShardCount cannot scale down below half your current open shard count. {counts}"
            )));
        }
        if target > UPDATE_SHARD_COUNT_MAXIMUM {
            return Err(limit(format!(
                "UpdateShardCount cannot scale a stream beyond {UPDATE_SHARD_COUNT_MAXIMUM} shards. {counts}"
            )));
        }
        // What AWS answers to an unchanged count is not documented: assumption.
        if target == current {
            return Err(invalid(format!("TargetShardCount must differ from the current open shard count. {counts}")));
        }
        self.check_shard_limit(ctx, current as u32, target as u32)?;
        let stream = self.find_mut(ctx, args)?;
        stream.reshards.retain(|at| ctx.now - at < DAY_MS);
        if stream.reshards.len() >= ctx.assumptions.reshards_per_day {
            // AWS's own text is not published: assumption.
            return Err(limit(format!(
                "UpdateShardCount can be called at most {} times in a rolling 24-hour period on a stream. Stream {} under \
                 account {} has used them up.",
                ctx.assumptions.reshards_per_day,
                stream.name,
                ctx.account()
            ))
            .for_cause(Cause::Quota));
        }
        stream.reshards.push(ctx.now);
        let timings = &ctx.world.timings;
        let after = millis(timings.reshard_base) + millis(timings.reshard_per_shard) * (target + current);
        stream.start(ctx, Status::Updating, after, Change::Resharded { target: target as u32 });
        Ok(json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": current,
            "TargetShardCount": target,
        }))
    }

    pub(super) fn retention(&mut self, ctx: &Ctx, args: Args, increase: bool) -> Answer {
        let hours = args.need_int("RetentionPeriodHours")?;
        let stream = self.find_mut(ctx, args)?;
        if hours < 24 {
            return Err(invalid(format!(
                "Minimum allowed retention period is 24 hours. Requested retention period ({hours} hours) is too short."
            )));
        }
        if hours > 8_760 {
            return Err(invalid(format!(
                "Maximum allowed retention period is 8760 hours. Requested retention period ({hours} hours) is too long."
            )));
        }
        stream.need_active(ctx)?;
        let current = i64::from(stream.retention_hours);
        if increase && hours <= current || !increase && hours >= current {
            let (word, other) = if increase { ("shorter", "Decrease") } else { ("longer", "Increase") };
            return Err(invalid(format!(
                "Requested retention period ({hours} hours) for stream {} can not be equal to or {word} than existing \
                 retention period ({current} hours). Use {other}RetentionPeriod API.",
                stream.name
            )));
        }
        let after = millis(ctx.world.timings.stream_setting_update);
        stream.start(ctx, Status::Updating, after, Change::Retention { hours: hours as u32 });
        Ok(Value::Null)
    }

    pub(super) fn add_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let tags = args.map("Tags");
        let stream = self.find_mut(ctx, args)?;
        stream.need_taggable(ctx)?;
        let mut merged = stream.tags.clone();
        merged.extend(tags);
        check_tags(&merged)?;
        stream.tags = merged;
        Ok(Value::Null)
    }

    pub(super) fn remove_tags(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find_mut(ctx, args)?;
        stream.need_taggable(ctx)?;
        for key in args.texts("TagKeys") {
            stream.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&self, ctx: &Ctx, args: Args) -> Answer {
        let stream = self.find(ctx, args)?;
        let at_most = args.ranged("Limit", 1, 50)?.unwrap_or(50) as usize;
        let start = args.text("ExclusiveStartTagKey").unwrap_or_default();
        let rest = stream.tags.iter().filter(|(key, _)| key.as_str() > start);
        let more = rest.clone().count() > at_most;
        let tags: Vec<Value> = rest.take(at_most).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        Ok(json!({ "Tags": tags, "HasMoreTags": more }))
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
            "OnDemandStreamCount": self.streams.values().filter(|stream| stream.on_demand).count(),
            "OnDemandStreamCountLimit": 50,
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
            ("EnhancedMonitoring", json!([{ "ShardLevelMetrics": [] }])),
            ("EncryptionType", json!("NONE")),
        ];
        members.into_iter().map(|(member, value)| (member.to_owned(), value)).collect()
    }

    fn shards(&self, ctx: &Ctx) -> Vec<ShardView> {
        if self.open_shards == 0 { Vec::new() } else { ctx.plane.shards(&self.name) }
    }

    fn need_taggable(&self, ctx: &Ctx) -> Result<(), Refusal> {
        let allowed = self.status == Status::Updating && !ctx.world.timings.refuse_tags_while_updating;
        if allowed { Ok(()) } else { self.need_active(ctx) }
    }
}

/// What comes after `start`, at most `at_most`, and whether there is more.
fn page(mut shards: Vec<ShardView>, start: Option<&str>, at_most: usize) -> (Vec<ShardView>, bool) {
    shards.retain(|shard| start.is_none_or(|start| shard.id.as_str() > start));
    let more = shards.len() > at_most;
    shards.truncate(at_most);
    (shards, more)
}

/// Sequence numbers are made up: they grow with the shard's creation time, as AWS's do.
fn shard_json(shard: &ShardView) -> Value {
    let mut sequence = json!({ "StartingSequenceNumber": format!("4966{:052}", shard.created_ms) });
    if !shard.open {
        sequence["EndingSequenceNumber"] = json!(format!("4967{:052}", shard.created_ms));
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

/// Tag restrictions of the API reference: count, lengths, letters; `aws:` is AWS's own.
fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > TAG_LIMIT {
        return Err(limit(format!("Tag count exceeds the limit of {TAG_LIMIT} tags per stream.")));
    }
    let legal = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c));
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || !legal(key) || key.starts_with("aws:") {
            return Err(invalid(format!("Tag key {key} is not valid.")));
        }
        if value.chars().count() > 256 || !legal(value) {
            return Err(invalid(format!("Value {value} of tag {key} is not valid.")));
        }
    }
    Ok(())
}

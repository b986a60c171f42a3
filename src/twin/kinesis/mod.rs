//! Kinesis Data Streams: streams with their state machine and quotas, fan-out consumers, records.
//!
//! One change at a time per stream; every change passes through UPDATING and takes effect when it ends.
//! Error strings: AWS API reference and the strings public emulators assert.

mod consumers;
mod fanout;
mod paging;
mod rates;
mod records;
mod reshard;
mod settings;
mod streams;
mod tags;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Ctx,
    audit::Streams,
    wire::{Answer, Args, Cause, Refusal},
};

pub(super) const DAY_MS: i64 = 86_400_000;

/// Status of a stream or consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

/// What happens when the transition ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    Created { shards: u32 },
    Resharded { target: u32 },
    Split { shard: u32, key: u128 },
    Merged { shard: u32, adjacent: u32 },
    Mode { on_demand: bool },
    Retention { hours: u32 },
    Encryption { key: Option<String> },
    Monitoring { metrics: BTreeSet<String> },
    RecordSize { kib: u32 },
    Deleted,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    name: String,
    pub arn: String,
    pub status: Status,
    on_demand: bool,
    open_shards: u32,
    retention_hours: u32,
    created_ms: i64,
    tags: BTreeMap<String, String>,
    pending: Option<(i64, Change)>,
    /// Accepted UpdateShardCount calls of the last 24 h.
    reshards: Vec<i64>,
    /// Accepted UpdateStreamMode calls of the last 24 h.
    mode_switches: Vec<i64>,
    /// Accepted StartStreamEncryption calls of the last 24 h.
    encryption_starts: Vec<i64>,
    /// Accepted StopStreamEncryption calls of the last 24 h.
    encryption_stops: Vec<i64>,
    /// The KMS key, when encrypted.
    key: Option<String>,
    /// Shard-level metrics that are switched on.
    monitored: BTreeSet<String>,
    max_record_kib: u32,
    /// The resource policy, as it was put.
    policy: Option<String>,
    /// The next look at an on-demand stream's shards.
    look_ms: Option<i64>,
    consumers: BTreeMap<String, FanOut>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct FanOut {
    arn: String,
    status: Status,
    created_ms: i64,
    due_ms: Option<i64>,
    tags: BTreeMap<String, String>,
    policy: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kinesis {
    streams: BTreeMap<String, Stream>,
    iterator_rates: rates::Rates,
    subscribe_rates: rates::Rates,
    /// By consumer ARN and shard id.
    subscriptions: BTreeMap<String, fanout::Subscription>,
    next_subscription: u64,
}

impl Kinesis {
    pub fn call(&mut self, ctx: &mut Ctx, operation: &str, args: Args) -> Answer {
        match operation {
            "CreateStream" => self.create(ctx, args),
            "DescribeStreamSummary" => self.describe_summary(ctx, args),
            "DescribeStream" => self.describe(ctx, args),
            "ListShards" => self.list_shards(ctx, args),
            "ListStreams" => self.list(ctx, args),
            "UpdateShardCount" => self.update_shard_count(ctx, args),
            "IncreaseStreamRetentionPeriod" => self.retention(ctx, args, true),
            "DecreaseStreamRetentionPeriod" => self.retention(ctx, args, false),
            "AddTagsToStream" => self.add_tags(ctx, args),
            "RemoveTagsFromStream" => self.remove_tags(ctx, args),
            "ListTagsForStream" => self.list_tags(ctx, args),
            "DeleteStream" => self.delete(ctx, args),
            "DescribeLimits" => Ok(self.limits(ctx)),
            "RegisterStreamConsumer" => self.register_consumer(ctx, args),
            "DeregisterStreamConsumer" => self.deregister_consumer(ctx, args),
            "DescribeStreamConsumer" => self.describe_consumer(ctx, args),
            "ListStreamConsumers" => self.list_consumers(ctx, args),
            "SplitShard" => self.split_shard(ctx, args),
            "MergeShards" => self.merge_shards(ctx, args),
            "UpdateStreamMode" => self.update_mode(ctx, args),
            "StartStreamEncryption" => self.start_encryption(ctx, args),
            "StopStreamEncryption" => self.stop_encryption(ctx, args),
            "EnableEnhancedMonitoring" => self.monitoring(ctx, args, true),
            "DisableEnhancedMonitoring" => self.monitoring(ctx, args, false),
            "UpdateMaxRecordSize" => self.update_record_size(ctx, args),
            "TagResource" => self.tag_resource(ctx, args),
            "UntagResource" => self.untag_resource(ctx, args),
            "ListTagsForResource" => self.list_resource_tags(ctx, args),
            "PutResourcePolicy" => self.put_policy(ctx, args),
            "GetResourcePolicy" => self.get_policy(ctx, args),
            "DeleteResourcePolicy" => self.delete_policy(ctx, args),
            "PutRecord" => self.put_record(ctx, args),
            "PutRecords" => self.put_records(ctx, args),
            "GetShardIterator" => self.shard_iterator(ctx, args),
            "GetRecords" => self.get_records(ctx, args),
            "SubscribeToShard" => self.subscribe(ctx, args),
            _ => Err(Refusal::unknown_operation()),
        }
    }

    /// Open shards of all streams.
    pub fn open_shards(&self) -> u64 {
        self.streams.values().map(|stream| u64::from(stream.open_shards)).sum()
    }

    /// What is paid for by the hour.
    pub fn paid(&self) -> Streams {
        let mut paid = Streams::default();
        for stream in self.streams.values() {
            let shards = u64::from(stream.open_shards);
            paid.fan_out_shards += shards * stream.consumers.len() as u64;
            if stream.on_demand {
                paid.on_demand += 1;
                continue;
            }
            paid.shards += shards;
            // The shard price includes 24 hours (Kinesis pricing page).
            paid.extended_shards += if stream.retention_hours > 24 { shards } else { 0 };
        }
        paid
    }

    /// The stream behind a stream ARN, or behind the ARN of one of its ACTIVE consumers.
    pub fn by_source_arn(&self, arn: &str) -> Option<(&str, &Stream)> {
        let found = self.streams.iter().find(|(_, stream)| {
            let active = |consumer: &FanOut| consumer.arn == arn && consumer.status == Status::Active;
            stream.arn == arn || stream.consumers.values().any(active)
        });
        found.map(|(name, stream)| (name.as_str(), stream))
    }

    pub fn next_due(&self) -> Option<i64> {
        let streams = self.streams.values();
        streams
            .flat_map(|stream| {
                let consumers = stream.consumers.values().filter_map(|consumer| consumer.due_ms);
                stream.pending.as_ref().map(|(due, _)| *due).into_iter().chain(stream.look_ms).chain(consumers)
            })
            .min()
    }

    pub fn settle(&mut self, ctx: &mut Ctx) {
        let now = ctx.now;
        let mut gone = Vec::new();
        for stream in self.streams.values_mut() {
            for consumer in stream.settle_consumers(now) {
                ctx.plane.forget_consumer(&stream.name, &consumer);
            }
            if let Some((due, change)) = stream.pending.take_if(|(due, _)| *due <= now) {
                debug_assert!(due == now, "transitions happen at their time");
                if change == Change::Deleted {
                    gone.push(stream.name.clone());
                }
                stream.settle(ctx, change);
            }
            stream.look(ctx);
        }
        self.prune_subscriptions(now);
        for name in gone {
            self.streams.remove(&name);
        }
    }

    /// The stream a request means, by name or ARN.
    fn find(&self, ctx: &Ctx, args: Args) -> Result<&Stream, Refusal> {
        let name = stream_name(args)?;
        self.streams.get(name).ok_or_else(|| not_found(ctx, name))
    }

    fn find_mut(&mut self, ctx: &Ctx, args: Args) -> Result<&mut Stream, Refusal> {
        let name = stream_name(args)?;
        self.streams.get_mut(name).ok_or_else(|| not_found(ctx, name))
    }
}

impl Stream {
    fn settle(&mut self, ctx: &mut Ctx, change: Change) {
        let resource = format!("stream/{}", self.name);
        self.status = Status::Active;
        match change {
            Change::Created { shards } => {
                ctx.plane.create_stream(&self.name, shards, self.retention_hours);
                self.open_shards = shards;
                self.set_looks(ctx);
                ctx.change(&resource, "shards", 0, shards.into());
                ctx.change(&resource, "retentionHours", 0, self.retention_hours.into());
            }
            Change::Resharded { target } => {
                ctx.plane.reshard(&self.name, target);
                ctx.change(&resource, "shards", self.open_shards.into(), target.into());
                self.open_shards = target;
            }
            Change::Split { shard, key } => {
                ctx.plane.split_shard(&self.name, shard, key);
                ctx.change(&resource, "shards", self.open_shards.into(), (self.open_shards + 1).into());
                self.open_shards += 1;
            }
            Change::Merged { shard, adjacent } => {
                ctx.plane.merge_shards(&self.name, shard, adjacent);
                ctx.change(&resource, "shards", self.open_shards.into(), (self.open_shards - 1).into());
                self.open_shards -= 1;
            }
            Change::Mode { on_demand } => {
                self.on_demand = on_demand;
                self.set_looks(ctx);
            }
            Change::Encryption { key } => self.key = key,
            Change::Monitoring { metrics } => {
                let names: Vec<&str> = metrics.iter().map(String::as_str).collect();
                ctx.plane.monitor_shards(&self.name, &names);
                self.monitored = metrics;
            }
            Change::RecordSize { kib } => self.max_record_kib = kib,
            Change::Retention { hours } => {
                ctx.plane.set_retention(&self.name, hours);
                ctx.change(&resource, "retentionHours", self.retention_hours.into(), hours.into());
                self.retention_hours = hours;
            }
            Change::Deleted => {
                ctx.plane.delete_stream(&self.name);
                ctx.change(&resource, "shards", self.open_shards.into(), 0);
            }
        }
    }

    /// Refuses unless the stream may be changed.
    fn need_active(&self, ctx: &Ctx) -> Result<(), Refusal> {
        if self.status == Status::Active {
            return Ok(());
        }
        Err(in_use(format!(
            "Stream {} under account {} not ACTIVE, instead in state {}",
            self.name,
            ctx.account(),
            self.status.text()
        ))
        .for_cause(Cause::Transition))
    }

    fn start(&mut self, ctx: &Ctx, status: Status, after_ms: i64, change: Change) {
        self.status = status;
        self.pending = Some((ctx.now + after_ms, change));
    }
}

fn stream_name(args: Args<'_>) -> Result<&str, Refusal> {
    let by_arn = match args.text("StreamARN") {
        None => None,
        Some(arn) => {
            let name = arn.starts_with("arn:aws:kinesis:").then(|| arn.rsplit_once(":stream/")).flatten();
            Some(name.ok_or_else(|| invalid(format!("{arn} is not the ARN of a stream.")))?.1)
        }
    };
    match (args.text("StreamName"), by_arn) {
        (Some(name), Some(other)) if name != other => Err(invalid("StreamName and StreamARN do not match.")),
        (Some(name), _) | (None, Some(name)) => Ok(name),
        (None, None) => Err(invalid("Either StreamName or StreamARN must be specified")),
    }
}

/// The refusal of a `ResourceARN` that nothing has.
fn no_resource(ctx: &Ctx, args: Args) -> Refusal {
    let arn = args.text("ResourceARN").unwrap_or_default();
    Refusal::new(400, "ResourceNotFoundException", format!("Resource {arn} under account {} not found.", ctx.account()))
}

fn not_found(ctx: &Ctx, name: &str) -> Refusal {
    let message = format!("Stream {name} under account {} not found.", ctx.account());
    Refusal::new(400, "ResourceNotFoundException", message)
}

fn in_use(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ResourceInUseException", message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidArgumentException", message)
}

fn limit(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "LimitExceededException", message)
}

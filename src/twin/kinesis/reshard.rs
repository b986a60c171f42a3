//! How many shards a stream has: UpdateShardCount, SplitShard, MergeShards, UpdateStreamMode, on-demand scaling.

use serde_json::{Value, json};

use super::{Change, DAY_MS, Kinesis, Status, Stream, in_use, invalid, limit};
use crate::twin::{
    Ctx, millis,
    plane::ShardView,
    wire::{Answer, Args, Cause, Refusal},
};

/// Greatest shard count that UpdateShardCount reaches.
const UPDATE_SHARD_COUNT_MAXIMUM: i64 = 10_000;
/// Switches of the capacity mode in 24 hours (Kinesis quotas).
const MODE_SWITCHES: usize = 2;
/// Streams that may be split or merged at once. Assumption: the API reference says "too many".
const RESHARDING_STREAMS: usize = 5;
/// Bytes a second above which a shard of an on-demand stream is split (developer guide).
const ON_DEMAND_BYTES: u64 = 500 * 1_024;

impl Kinesis {
    /// Closed and coming shards are not counted: [derived] the API speaks of shards in the account.
    pub(super) fn check_shard_limit(&self, ctx: &Ctx, from: u32, to: u32) -> Result<(), Refusal> {
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
        stream.need_provisioned(ctx)?;
        stream.need_active(ctx)?;
        let current = i64::from(stream.open_shards);
        check_target(current, target)?;
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

    /// The reshard that was just accepted will stop this far on its way.
    pub(in crate::twin) fn end_short(&mut self, args: Args, percent: u32) {
        let arn = args.text("StreamARN").and_then(|arn| arn.rsplit('/').next());
        let Some(stream) = args.text("StreamName").or(arn).and_then(|name| self.streams.get_mut(name)) else { return };
        if let Some((_, Change::Resharded { target })) = &mut stream.pending {
            let (from, to) = (i64::from(stream.open_shards), i64::from(*target));
            *target = (from + (to - from) * i64::from(percent) / 100) as u32;
        }
    }

    /// Calls that were accepted at these moments, before the world began.
    pub(in crate::twin) fn note_reshards(&mut self, stream: &str, at: Vec<i64>) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.reshards.extend(at);
        }
    }

    pub(super) fn split_shard(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let wanted = args.need_text("ShardToSplit")?;
        let key = args.need_text("NewStartingHashKey")?;
        let stream = self.reshardable(ctx, args)?;
        let shard = open_shard(ctx, stream, wanted)?;
        let key = hash_key(key, "newStartingHashKey")?;
        if key <= shard.starting_hash || key >= shard.ending_hash {
            return Err(invalid(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {wanted} in stream {} under account {} is not both \
                 greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                stream.name,
                ctx.account(),
                shard.starting_hash,
                shard.ending_hash
            )));
        }
        self.check_shard_limit(ctx, 1, 2)?;
        let stream = self.find_mut(ctx, args)?;
        let after = millis(ctx.world.timings.reshard_per_shard * 2.0);
        stream.start(ctx, Status::Updating, after, Change::Split { shard: shard.number, key });
        Ok(Value::Null)
    }

    pub(super) fn merge_shards(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (one, other) = (args.need_text("ShardToMerge")?, args.need_text("AdjacentShardToMerge")?);
        let stream = self.reshardable(ctx, args)?;
        let (first, second) = (open_shard(ctx, stream, one)?, open_shard(ctx, stream, other)?);
        let follows = |a: &ShardView, b: &ShardView| a.ending_hash.checked_add(1) == Some(b.starting_hash);
        if !follows(&first, &second) && !follows(&second, &first) {
            return Err(invalid(format!(
                "Shards {one} and {other} in stream {} under account {} are not an adjacent pair of shards eligible for \
                 merging",
                stream.name,
                ctx.account()
            )));
        }
        let stream = self.find_mut(ctx, args)?;
        let after = millis(ctx.world.timings.reshard_per_shard * 2.0);
        let change = Change::Merged { shard: first.number, adjacent: second.number };
        stream.start(ctx, Status::Updating, after, change);
        Ok(Value::Null)
    }

    /// The stream of a split or merge: provisioned, ACTIVE, and not one too many in transition.
    fn reshardable(&self, ctx: &Ctx, args: Args) -> Result<&Stream, Refusal> {
        let stream = self.find(ctx, args)?;
        stream.need_provisioned(ctx)?;
        stream.need_active(ctx)?;
        let moving = |stream: &&Stream| {
            matches!(stream.pending, Some((_, Change::Split { .. } | Change::Merged { .. } | Change::Created { .. })))
        };
        if self.streams.values().filter(moving).count() >= RESHARDING_STREAMS {
            return Err(limit(format!(
                "At most {RESHARDING_STREAMS} streams may be created, split or merged at once under account {}.",
                ctx.account()
            )));
        }
        Ok(stream)
    }

    pub(super) fn update_mode(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let mode = args.at("StreamModeDetails").and_then(|details| details.text("StreamMode"));
        let on_demand = match mode {
            Some("ON_DEMAND") => true,
            Some("PROVISIONED") => false,
            other => {
                let set = "satisfy enum value set: [PROVISIONED, ON_DEMAND]";
                return Err(Refusal::constraint(other.unwrap_or("null"), "streamModeDetails.streamMode", set));
            }
        };
        if args.text("StreamARN").is_none() {
            return Err(invalid("StreamARN must be specified."));
        }
        if args.get("WarmThroughputMiBps").is_some() {
            return Err(Refusal::validation("Warm throughput needs On-demand Advantage, which the account has not."));
        }
        let count = self.on_demand_count();
        let stream = self.find_mut(ctx, args)?;
        stream.need_active(ctx)?;
        if stream.on_demand == on_demand {
            // What AWS answers is not documented: assumption.
            return Err(invalid(format!("Stream {} is in that capacity mode already.", stream.name)));
        }
        stream.mode_switches.retain(|at| ctx.now - at < DAY_MS);
        if stream.mode_switches.len() >= MODE_SWITCHES {
            return Err(limit(format!(
                "The capacity mode of stream {} has been switched {MODE_SWITCHES} times within 24 hours.",
                stream.name
            ))
            .for_cause(Cause::Quota));
        }
        if on_demand && count >= ctx.assumptions.on_demand_streams {
            return Err(too_many_on_demand(ctx));
        }
        stream.mode_switches.push(ctx.now);
        let after = millis(ctx.world.timings.stream_setting_update);
        stream.start(ctx, Status::Updating, after, Change::Mode { on_demand });
        Ok(Value::Null)
    }

    pub(super) fn on_demand_count(&self) -> usize {
        self.streams.values().filter(|stream| stream.on_demand).count()
    }
}

/// The refusal of one more on-demand stream.
pub(super) fn too_many_on_demand(ctx: &Ctx) -> Refusal {
    limit(format!(
        "This request would exceed the limit of {} on-demand streams for the account {}.",
        ctx.assumptions.on_demand_streams,
        ctx.account()
    ))
}

/// The factors and the maximum of UpdateShardCount.
fn check_target(current: i64, target: i64) -> Result<(), Refusal> {
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
    Ok(())
}

/// A hash key in decimal, the value of `member`.
pub(super) fn hash_key(text: &str, member: &str) -> Result<u128, Refusal> {
    let digits = (1..=39).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text != "0" && text.starts_with('0')) {
        let pattern = r"satisfy regular expression pattern: 0|([1-9]\d{0,38})";
        return Err(Refusal::constraint(text.get(..40).unwrap_or(text), member, pattern));
    }
    text.parse().map_err(|_| invalid(format!("Invalid hash key {text}: it must be in the range 0 to 2^128 - 1.")))
}

fn open_shard(ctx: &Ctx, stream: &Stream, id: &str) -> Result<ShardView, Refusal> {
    let shard = stream.shard(ctx, id)?;
    if shard.open {
        return Ok(shard);
    }
    Err(in_use(format!("Shard {id} in stream {} under account {} is not open.", stream.name, ctx.account())))
}

impl Stream {
    fn need_provisioned(&self, ctx: &Ctx) -> Result<(), Refusal> {
        if !self.on_demand {
            return Ok(());
        }
        Err(Refusal::validation(format!(
            "Request is invalid. Stream {} under account {} is in On-Demand mode.",
            self.name,
            ctx.account()
        )))
    }

    /// Splits the busy shards of an on-demand stream, when it is time to look.
    pub(super) fn look(&mut self, ctx: &mut Ctx) {
        let every = i64::from(ctx.assumptions.on_demand_look_seconds);
        let Some(due) = self.look_ms.filter(|due| *due <= ctx.now) else { return };
        self.look_ms = Some(due + every * 1_000);
        if self.status != Status::Active {
            return;
        }
        let (records, most) = (ctx.assumptions.on_demand_records, ctx.assumptions.on_demand_shards);
        let open = ctx.plane.split_busy(&self.name, every as u64, ON_DEMAND_BYTES, records, most);
        if open != self.open_shards {
            ctx.change(&format!("stream/{}", self.name), "shards", self.open_shards.into(), open.into());
            self.open_shards = open;
        }
    }

    /// Begins or ends the looks, as the mode says.
    pub(super) fn set_looks(&mut self, ctx: &Ctx) {
        let every = i64::from(ctx.assumptions.on_demand_look_seconds.max(1));
        self.look_ms = self.on_demand.then_some(ctx.now + every * 1_000);
    }
}

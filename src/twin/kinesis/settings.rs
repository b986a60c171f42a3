//! Retention, encryption, enhanced monitoring and record size: one change at a time, each through UPDATING.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Change, DAY_MS, Kinesis, Status, Stream, invalid, limit};
use crate::twin::{
    Ctx, millis,
    wire::{Answer, Args, Cause, Refusal},
    world::KeyState,
};

/// Shard-level metrics (EnableEnhancedMonitoring), without `ALL`.
const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];
/// Successful Start- and StopStreamEncryption calls of a stream in 24 hours, each (Kinesis quotas).
const ENCRYPTION_CHANGES: usize = 25;
/// The key AWS keeps for Kinesis itself.
const OWN_KEY: &str = "alias/aws/kinesis";
/// MaxRecordSizeInKiB, least and greatest (API reference).
pub(super) const RECORD_KIB: std::ops::RangeInclusive<i64> = 1_024..=10_240;

impl Kinesis {
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
        stream.setting(ctx, Change::Retention { hours: hours as u32 });
        Ok(Value::Null)
    }

    pub(super) fn start_encryption(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let key = encryption(args)?;
        let stream = self.find_mut(ctx, args)?;
        stream.need_active(ctx)?;
        check_key(ctx, key)?;
        budget(&mut stream.encryption_starts, ctx, &stream.name)?;
        let key = key.to_owned();
        stream.setting(ctx, Change::Encryption { key: Some(key) });
        Ok(Value::Null)
    }

    pub(super) fn stop_encryption(&mut self, ctx: &Ctx, args: Args) -> Answer {
        encryption(args)?;
        let stream = self.find_mut(ctx, args)?;
        stream.need_active(ctx)?;
        budget(&mut stream.encryption_stops, ctx, &stream.name)?;
        stream.setting(ctx, Change::Encryption { key: None });
        Ok(Value::Null)
    }

    pub(super) fn monitoring(&mut self, ctx: &Ctx, args: Args, enable: bool) -> Answer {
        let mut named: BTreeSet<String> = args.texts("ShardLevelMetrics").map(str::to_owned).collect();
        if named.is_empty() || !named.iter().all(|name| name == "ALL" || METRICS.contains(&name.as_str())) {
            let set = format!("satisfy enum value set: [{}, ALL]", METRICS.join(", "));
            return Err(Refusal::constraint(&format!("{named:?}"), "shardLevelMetrics", &set));
        }
        if named.contains("ALL") {
            named = METRICS.iter().map(|&name| name.to_owned()).collect();
        }
        let stream = self.find_mut(ctx, args)?;
        stream.need_active(ctx)?;
        let current = stream.monitored.clone();
        let desired: BTreeSet<String> = if enable {
            current.union(&named).cloned().collect()
        } else {
            current.difference(&named).cloned().collect()
        };
        let output = json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardLevelMetrics": current,
            "DesiredShardLevelMetrics": desired,
        });
        stream.setting(ctx, Change::Monitoring { metrics: desired });
        Ok(output)
    }

    pub(super) fn update_record_size(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let kib = record_kib(args)?.ok_or_else(|| Refusal::validation("MaxRecordSizeInKiB is required"))?;
        if args.text("StreamARN").is_none() {
            return Err(invalid("StreamARN must be specified."));
        }
        let stream = self.find_mut(ctx, args)?;
        stream.need_active(ctx)?;
        stream.setting(ctx, Change::RecordSize { kib });
        Ok(Value::Null)
    }
}

impl Stream {
    /// Begins a change that takes as long as any setting does.
    fn setting(&mut self, ctx: &Ctx, change: Change) {
        self.start(ctx, Status::Updating, millis(ctx.world.timings.stream_setting_update), change);
    }

    /// Refuses those who use an encrypted stream while its key does not work.
    pub(super) fn need_key(&self, ctx: &Ctx) -> Result<(), Refusal> {
        self.key.as_deref().map_or(Ok(()), |key| check_key(ctx, key))
    }
}

/// `MaxRecordSizeInKiB`, if given and in range.
pub(super) fn record_kib(args: Args) -> Result<Option<u32>, Refusal> {
    let kib = args.ranged("MaxRecordSizeInKiB", *RECORD_KIB.start(), *RECORD_KIB.end())?;
    Ok(kib.map(|kib| kib as u32))
}

/// The key of an encryption request.
fn encryption(args: Args<'_>) -> Result<&str, Refusal> {
    match args.need_text("EncryptionType")? {
        "KMS" => {}
        "NONE" => return Err(invalid("EncryptionType must be KMS.")),
        other => return Err(Refusal::constraint(other, "encryptionType", "satisfy enum value set: [KMS, NONE]")),
    }
    let key = args.need_text("KeyId")?;
    if key.is_empty() || key.len() > 2_048 {
        return Err(Refusal::constraint(key.get(..16).unwrap_or(key), "keyId", "have length between 1 and 2048"));
    }
    Ok(key)
}

fn budget(calls: &mut Vec<i64>, ctx: &Ctx, stream: &str) -> Result<(), Refusal> {
    calls.retain(|at| ctx.now - at < DAY_MS);
    if calls.len() >= ENCRYPTION_CHANGES {
        let message = format!(
            "Server-side encryption of stream {stream} has been changed {ENCRYPTION_CHANGES} times in a rolling 24-hour period."
        );
        return Err(limit(message).for_cause(Cause::Quota));
    }
    calls.push(ctx.now);
    Ok(())
}

/// What KMS answers for this key: an id, the ARN of a key or alias, or an alias.
fn check_key(ctx: &Ctx, key: &str) -> Result<(), Refusal> {
    let keys = &ctx.world.kms_keys;
    let short = key.rsplit_once(':').map_or(key, |(_, name)| name);
    let short = short.strip_prefix("key/").unwrap_or(short);
    let state = keys.get(key).or_else(|| keys.get(short)).copied();
    let (code, what) = match state.or((short == OWN_KEY).then_some(KeyState::Enabled)) {
        Some(KeyState::Enabled) => return Ok(()),
        None => ("KMSNotFoundException", "cannot be found"),
        Some(KeyState::Disabled) => ("KMSDisabledException", "is disabled"),
        Some(KeyState::PendingDeletion) => ("KMSInvalidStateException", "is pending deletion"),
        Some(KeyState::Denied) => ("KMSAccessDeniedException", "may not be used by this caller"),
        Some(KeyState::Throttled) => ("KMSThrottlingException", "was asked for too often"),
        Some(KeyState::NotSubscribed) => ("KMSOptInRequired", "needs a subscription to KMS"),
    };
    Err(Refusal::new(400, code, format!("The KMS key {key} {what}.")))
}

//! Records: PutRecord, PutRecords, GetShardIterator, GetRecords.
//!
//! Sequence numbers are 56 decimal digits: they grow inside a shard, and from a shard to one opened later.

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{Kinesis, Status, Stream, invalid, not_found, reshard::hash_key, token};
use crate::twin::{
    Ctx, epoch,
    plane::{Position, PutRefused, Received, ShardView},
    wire::{Answer, Args, Refusal},
};

/// Records and bytes of one PutRecords (API reference).
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 10 * 1_048_576;
/// Life of a shard iterator (API reference).
const ITERATOR_MS: i64 = 300_000;
/// GetShardIterator calls a second on one shard (Kinesis quotas).
const ITERATORS_PER_SECOND: u32 = 5;
/// Records of one GetRecords (API reference).
const READ_RECORDS: i64 = 10_000;
/// Digits before a sequence number's own.
const PREFIX: &str = "4966";

/// One record to be put.
struct Record<'a> {
    hash: u128,
    key: &'a str,
    data: Vec<u8>,
}

impl Record<'_> {
    fn bytes(&self) -> usize {
        self.data.len() + self.key.len()
    }
}

impl Kinesis {
    pub(super) fn put_record(&self, ctx: &mut Ctx, args: Args) -> Answer {
        let stream = self.usable(ctx, args)?;
        let record = record(args, stream.max_record_kib)?;
        stream.need_key(ctx)?;
        dry_run(args)?;
        let bytes = record.bytes() as u64;
        let stored = ctx.plane.put_record(&stream.name, record.hash, record.key, record.data);
        ctx.plane.count_put(&stream.name, bytes, stored.is_ok());
        match stored {
            Ok((shard, position)) => Ok(stream.stored(ctx, shard, position)),
            Err(PutRefused::Memory) => Err(Refusal::new(500, "InternalFailureException", OUT_OF_MEMORY)),
            Err(PutRefused::Throttled(shard)) => Err(throttled(rate_exceeded(ctx, &stream.name, shard))),
        }
    }

    pub(super) fn put_records(&self, ctx: &mut Ctx, args: Args) -> Answer {
        let entries = args.list("Records").count();
        if entries == 0 || entries > BATCH_RECORDS {
            let bounds = format!("have length between 1 and {BATCH_RECORDS}");
            return Err(Refusal::constraint(&format!("{entries} records"), "records", &bounds));
        }
        let stream = self.usable(ctx, args)?;
        let records = args.list("Records").map(|entry| record(entry, stream.max_record_kib));
        let records: Vec<Record> = records.collect::<Result<_, _>>()?;
        if records.iter().map(Record::bytes).sum::<usize>() > BATCH_BYTES {
            return Err(invalid("Records size exceeds 10 MB limit"));
        }
        stream.need_key(ctx)?;
        dry_run(args)?;
        let (mut stored, mut bytes, mut throttles) = (0, 0, 0);
        let mut answers = Vec::with_capacity(records.len());
        for record in records {
            let size = record.bytes() as u64;
            answers.push(match ctx.plane.put_record(&stream.name, record.hash, record.key, record.data) {
                Ok((shard, position)) => {
                    stored += 1;
                    bytes += size;
                    stream.stored(ctx, shard, position)
                }
                Err(PutRefused::Throttled(shard)) => {
                    throttles += 1;
                    json!({
                        "ErrorCode": "ProvisionedThroughputExceededException",
                        "ErrorMessage": rate_exceeded(ctx, &stream.name, shard),
                    })
                }
                Err(PutRefused::Memory) => json!({ "ErrorCode": "InternalFailure", "ErrorMessage": OUT_OF_MEMORY }),
            });
        }
        let total = answers.len() as u64;
        ctx.plane.count_batch(&stream.name, total, stored, bytes, throttles);
        let mut output = json!({ "FailedRecordCount": total - stored, "Records": answers });
        if stream.key.is_some() {
            output["EncryptionType"] = json!("KMS");
        }
        Ok(output)
    }

    pub(super) fn shard_iterator(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let wanted = args.need_text("ShardId")?;
        let stream = self.usable(ctx, args)?;
        let shard = stream.shard(ctx, wanted)?;
        let from = start(ctx, stream, &shard, args, "ShardIteratorType", "StartingSequenceNumber")?;
        dry_run(args)?;
        let (name, iterator) = (stream.name.clone(), iterator(ctx, stream, shard.number, from));
        if !self.iterator_rates.admit(ctx.now, format!("{name}/{wanted}"), ITERATORS_PER_SECOND) {
            return Err(throttled(rate_exceeded(ctx, &name, shard.number)));
        }
        Ok(json!({ "ShardIterator": iterator }))
    }

    pub(super) fn get_records(&self, ctx: &mut Ctx, args: Args) -> Answer {
        let at_most = args.ranged("Limit", 1, i64::MAX)?.unwrap_or(READ_RECORDS);
        if at_most > READ_RECORDS {
            return Err(invalid(format!("Limit {at_most} is greater than {READ_RECORDS}.")));
        }
        let sealed = args.need_text("ShardIterator")?;
        let parts = token::open(sealed).ok_or_else(|| invalid("Invalid ShardIterator."))?;
        let [name, created, number, position, issued] = parts.as_slice() else {
            return Err(invalid("Invalid ShardIterator."));
        };
        let digits = |text: &str| text.parse::<i64>().ok().ok_or_else(|| invalid("Invalid ShardIterator."));
        let (created, number) = (digits(created)?, digits(number)? as u32);
        let (position, issued) = (digits(position)? as u64, digits(issued)?);
        if ctx.now - issued > ITERATOR_MS {
            return Err(Refusal::new(
                400,
                "ExpiredIteratorException",
                format!(
                    "Iterator expired. The iterator was created at time {issued} while right now it is {} which is further in the past than the tolerated delay of {ITERATOR_MS} milliseconds.",
                    ctx.now
                ),
            ));
        }
        let stream = self.streams.get(name).filter(|stream| stream.created_ms == created);
        let stream = stream.ok_or_else(|| not_found(ctx, name))?;
        if args.text("StreamARN").is_some_and(|arn| arn != stream.arn) {
            return Err(invalid("The ShardIterator does not belong to the StreamARN."));
        }
        stream.need_key(ctx)?;
        dry_run(args)?;
        let shard = ctx.plane.shard(name, number).ok_or_else(|| not_found(ctx, name))?;
        let reading = ctx.plane.read(name, number, position, at_most as u64);
        let reading = reading.ok_or_else(|| throttled(rate_exceeded(ctx, name, number)))?;
        let records: Vec<Value> = reading.records.iter().map(|record| stream.record(&shard, record)).collect();
        let mut output = json!({ "Records": records, "MillisBehindLatest": reading.behind_ms });
        if reading.ended {
            output["ChildShards"] = json!(children(&ctx.plane.shards(name), &shard));
        } else {
            output["NextShardIterator"] = json!(iterator(ctx, stream, number, reading.next));
        }
        Ok(output)
    }

    /// The stream of a data plane request. One that is being created is not there yet; one that is being
    /// deleted still answers (API reference: "may").
    pub(super) fn usable(&self, ctx: &Ctx, args: Args) -> Result<&Stream, Refusal> {
        let stream = self.find(ctx, args)?;
        if stream.status == Status::Creating || stream.open_shards == 0 {
            return Err(not_found(ctx, &stream.name));
        }
        Ok(stream)
    }
}

/// What the twin says when payloads have taken all the memory it allows itself.
const OUT_OF_MEMORY: &str = "The simulated account holds as many record payloads as it may.";

impl Stream {
    /// One shard by id.
    pub(super) fn shard(&self, ctx: &Ctx, id: &str) -> Result<ShardView, Refusal> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if id.is_empty() || id.len() > 128 || !id.chars().all(legal) {
            return Err(Refusal::constraint(id, "shardId", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"));
        }
        let number = id.strip_prefix("shardId-").and_then(|digits| digits.parse().ok());
        let shard = number.and_then(|number| ctx.plane.shard(&self.name, number)).filter(|shard| shard.id == id);
        shard.ok_or_else(|| {
            Refusal::new(
                400,
                "ResourceNotFoundException",
                format!("Shard {id} in stream {} under account {} does not exist", self.name, ctx.account()),
            )
        })
    }

    fn stored(&self, ctx: &Ctx, number: u32, position: u64) -> Value {
        let shard = ctx.plane.shard(&self.name, number);
        let mut output = json!({
            "ShardId": shard.as_ref().map(|shard| &shard.id),
            "SequenceNumber": shard.as_ref().map(|shard| sequence(shard, position)),
        });
        if self.key.is_some() {
            output["EncryptionType"] = json!("KMS");
        }
        output
    }

    /// A record as GetRecords and SubscribeToShard carry it.
    pub(super) fn record(&self, shard: &ShardView, record: &Received) -> Value {
        let mut output = json!({
            "SequenceNumber": sequence(shard, record.position),
            "ApproximateArrivalTimestamp": epoch(record.at_ms),
            "Data": BASE64_STANDARD.encode(&record.data),
            "PartitionKey": record.key,
        });
        if self.key.is_some() {
            output["EncryptionType"] = json!("KMS");
        }
        output
    }
}

/// The sequence number of the record at a position. Position 0 is one above the shard's own starting number.
pub(super) fn sequence(shard: &ShardView, position: u64) -> String {
    format!("{PREFIX}{:016}{:012}{:024}", shard.created_ms.max(0), shard.number, position + 1)
}

/// The first sequence number of a shard, below that of its first record.
pub(super) fn first_sequence(shard: &ShardView) -> String {
    format!("{PREFIX}{:016}{:012}{:024}", shard.created_ms.max(0), shard.number, 0)
}

/// Position of the record with this number; −1 for the shard's starting number.
fn position_of(shard: &ShardView, number: &str) -> Option<i64> {
    let own = number.strip_prefix(&format!("{PREFIX}{:016}{:012}", shard.created_ms.max(0), shard.number))?;
    let index: i64 = own.parse().ok().filter(|_| own.len() == 24)?;
    (index as u64 <= shard.tip + 1).then_some(index - 1)
}

/// Where GetShardIterator (`ShardIteratorType`) or SubscribeToShard (`Type`) begins.
pub(super) fn start(
    ctx: &Ctx,
    stream: &Stream,
    shard: &ShardView,
    args: Args,
    kind: &str,
    number: &str,
) -> Result<u64, Refusal> {
    let wrong = |what: &str| invalid(format!("{what} in stream {} under account {}.", stream.name, ctx.account()));
    let from = match args.text(kind) {
        Some("TRIM_HORIZON") => Position::TrimHorizon,
        Some("LATEST") => Position::Latest,
        Some("AT_TIMESTAMP") => {
            let at = args.get("Timestamp").and_then(Value::as_f64);
            let at = at.ok_or_else(|| wrong("Timestamp is required for AT_TIMESTAMP"))?;
            if at * 1_000.0 > ctx.now as f64 {
                return Err(wrong("Timestamp is in the future"));
            }
            Position::At((at * 1_000.0) as i64)
        }
        Some(kind @ ("AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER")) => {
            let text = args.text(number).ok_or_else(|| wrong("A starting sequence number is required"))?;
            let position = position_of(shard, text)
                .ok_or_else(|| wrong(&format!("StartingSequenceNumber {text} is invalid for shard {}", shard.id)))?;
            let after = i64::from(kind == "AFTER_SEQUENCE_NUMBER");
            return Ok((position + after).max(0) as u64);
        }
        other => {
            let member = if kind == "Type" { "startingPosition.type" } else { "shardIteratorType" };
            let set = "satisfy enum value set: [AFTER_SEQUENCE_NUMBER, AT_SEQUENCE_NUMBER, AT_TIMESTAMP, LATEST, TRIM_HORIZON]";
            return Err(Refusal::constraint(other.unwrap_or("null"), member, set));
        }
    };
    ctx.plane.position(&stream.name, shard.number, from).ok_or_else(|| not_found(ctx, &stream.name))
}

fn iterator(ctx: &Ctx, stream: &Stream, shard: u32, position: u64) -> String {
    let numbers = [stream.created_ms, shard.into(), position as i64, ctx.now].map(|number| number.to_string());
    let mut parts = vec![stream.name.clone()];
    parts.extend(numbers);
    token::seal(&parts)
}

/// The shards that were made from this one.
pub(super) fn children(shards: &[ShardView], parent: &ShardView) -> Vec<Value> {
    let of = shards.iter().filter(|shard| shard.parents.contains(&parent.id));
    let child = |shard: &ShardView| {
        json!({
            "ShardId": shard.id,
            "ParentShards": shard.parents,
            "HashKeyRange": {
                "StartingHashKey": shard.starting_hash.to_string(),
                "EndingHashKey": shard.ending_hash.to_string(),
            },
        })
    };
    of.map(child).collect()
}

/// Reads one record of a request and checks it against the record size of the stream.
fn record(args: Args<'_>, max_kib: u32) -> Result<Record<'_>, Refusal> {
    let key = args.need_text("PartitionKey")?;
    let characters = key.chars().count();
    if characters == 0 || characters > 256 {
        return Err(Refusal::constraint(key.get(..16).unwrap_or(key), "partitionKey", "have length between 1 and 256"));
    }
    let data = BASE64_STANDARD.decode(args.need_text("Data")?);
    let data = data.map_err(|_| Refusal::new(400, "SerializationException", "Data is not base64"))?;
    let most = max_kib as usize * 1_024;
    if data.len() + key.len() > most {
        // The stream's own limit, and so not a constraint of the API's model.
        return Err(invalid(format!("The record has {} bytes, the stream takes {most}.", data.len() + key.len())));
    }
    let hash = match args.text("ExplicitHashKey") {
        Some(explicit) => hash_key(explicit, "explicitHashKey")?,
        None => u128::from_be_bytes(Md5::digest(key.as_bytes()).into()),
    };
    Ok(Record { hash, key, data })
}

/// A request that only asks whether it would succeed gets that far and no further.
pub(super) fn dry_run(args: Args) -> Result<(), Refusal> {
    if args.flag("DryRun") != Some(true) {
        return Ok(());
    }
    Err(Refusal::new(400, "DryRunOperationException", "The request would have succeeded, but the DryRun flag is set."))
}

fn rate_exceeded(ctx: &Ctx, stream: &str, shard: u32) -> String {
    format!("Rate exceeded for shard shardId-{shard:012} in stream {stream} under account {}.", ctx.account())
}

fn throttled(message: String) -> Refusal {
    Refusal::new(400, "ProvisionedThroughputExceededException", message)
}

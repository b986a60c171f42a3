//! Kinesis Data Streams: what AWS documents, and clients that see the twin do it.

mod control;
mod data;
mod fanout;
mod metrics;
mod rules;
mod shards;

use alleycat_operator::twin::World;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::Book;
pub use rules::RULES;

pub fn script(book: &mut Book) {
    control::script(book);
    shards::script(book);
    data::script(book);
    fanout::script(book);
    metrics::script(book);
}

const KEY: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

/// A new account without traffic.
fn fresh(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
}

fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-2:123456789012:stream/{stream}")
}

/// An ACTIVE stream.
fn stream(book: &mut Book, name: &str, shards: u32) {
    book.ok("kinesis:CreateStream", json!({"StreamName": name, "ShardCount": shards}));
    book.wait(60.0);
}

fn summary(book: &mut Book, name: &str) -> Value {
    book.ok("kinesis:DescribeStreamSummary", json!({"StreamName": name}))["StreamDescriptionSummary"].clone()
}

fn status(book: &mut Book, name: &str) -> String {
    summary(book, name)["StreamStatus"].as_str().unwrap().to_owned()
}

/// `per_second` calls in one second are looked at; the next one is refused for its rate.
#[track_caller]
fn rate(book: &mut Book, operation: &str, input: &Value, per_second: u32) {
    book.wait(1.0);
    for _ in 0..per_second {
        let answer = book.send(operation, input);
        assert!(answer.is_ok() || !answer.unwrap_err().message.starts_with("Rate exceeded"), "{operation}");
    }
    let refused = book.refused(operation, input.clone(), "LimitExceededException");
    assert!(refused.message.starts_with("Rate exceeded"), "{operation}: {}", refused.message);
    book.wait(1.0);
}

/// The stream is not there, or is not named.
fn absent(book: &mut Book, operation: &str, input: &Value) {
    let named = |name: &str, value: Value| {
        let mut input = input.clone();
        input[name] = value;
        input
    };
    book.refused(operation, named("StreamARN", json!(arn("nothing"))), "ResourceNotFoundException");
    book.refused(operation, named("StreamARN", json!("not an ARN")), "InvalidArgumentException");
}

fn put(book: &mut Book, stream: &str, key: &str, data: &[u8]) -> Value {
    book.ok("kinesis:PutRecord", record(stream, key, data))
}

fn record(stream: &str, key: &str, data: &[u8]) -> Value {
    json!({"StreamName": stream, "PartitionKey": key, "Data": BASE64_STANDARD.encode(data)})
}

/// Records of one size with keys of six characters, for PutRecords.
fn batch(stream: &str, count: usize, bytes: usize) -> Value {
    let data = BASE64_STANDARD.encode(vec![b'x'; bytes - 6]);
    let records: Vec<Value> =
        (0..count).map(|index| json!({"PartitionKey": format!("k{index:05}"), "Data": data})).collect();
    json!({"StreamName": stream, "Records": records})
}

fn iterator(book: &mut Book, stream: &str, shard: &str, kind: &str) -> Value {
    let input = json!({"StreamName": stream, "ShardId": shard, "ShardIteratorType": kind});
    book.ok("kinesis:GetShardIterator", input)["ShardIterator"].clone()
}

fn read(book: &mut Book, iterator: &Value) -> Value {
    book.ok("kinesis:GetRecords", json!({"ShardIterator": iterator}))
}

fn data(record: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(record["Data"].as_str().unwrap()).unwrap()
}

const FIRST: &str = "shardId-000000000000";

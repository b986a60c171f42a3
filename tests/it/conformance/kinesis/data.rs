//! Records in and out, with the limits of a shard.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Book, FIRST, arn, batch, data, fresh, iterator, put, read, record, stream};

pub fn script(book: &mut Book) {
    puts(book);
    write_limits(book);
    large_records(book);
    reads(book);
    read_limits(book);
    full_call(book);
    latency(book);
    refusals(book);
    memory(book);
}

const THROTTLED: &str = "ProvisionedThroughputExceededException";
/// What the API's front end answers to what its model forbids.
const VALIDATION: &str = "ValidationException";

fn puts(book: &mut Book) {
    fresh(book);
    stream(book, "s", 2);
    // MD5("a") begins with 0cc1…, MD5("b") with 92eb….
    assert_eq!(put(book, "s", "a", b"one")["ShardId"], FIRST);
    assert_eq!(put(book, "s", "b", b"two")["ShardId"], "shardId-000000000001");
    let long = "k".repeat(257);
    for key in ["", &long] {
        book.refused("kinesis:PutRecord", record("s", key, b"x"), VALIDATION);
    }
    put(book, "s", &"ü".repeat(256), b"three");
    book.shows("kinesis.put.partition-key");
    let mut explicit = record("s", "b", b"four");
    explicit["ExplicitHashKey"] = json!("0");
    let first = book.ok("kinesis:PutRecord", explicit.clone());
    assert_eq!(first["ShardId"], FIRST);
    explicit["ExplicitHashKey"] = json!("340282366920938463463374607431768211456");
    book.refused("kinesis:PutRecord", explicit.clone(), "InvalidArgumentException");
    for wrong in ["abc", "01", ""] {
        explicit["ExplicitHashKey"] = json!(wrong);
        book.refused("kinesis:PutRecord", explicit.clone(), VALIDATION);
    }
    book.shows("kinesis.put.explicit-hash-key");
    let second = put(book, "s", "a", b"five");
    assert!(second["SequenceNumber"].as_str() > first["SequenceNumber"].as_str());
    assert_eq!(second["SequenceNumber"].as_str().unwrap().len(), 56);
    book.shows("kinesis.put.sequence-numbers");
    book.twin.plane().check().unwrap();
}

fn write_limits(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let refused = book.refused("kinesis:PutRecords", batch("s", 501, 10), VALIDATION);
    assert!(refused.message.contains("500"), "{}", refused.message);
    book.shows("kinesis.put.batch-size");
    for expected in [0, 0, 500] {
        let answer = book.ok("kinesis:PutRecords", batch("s", 500, 10));
        assert_eq!(answer["FailedRecordCount"], expected);
    }
    book.refused("kinesis:PutRecord", record("s", "k", b"x"), THROTTLED);
    book.shows("kinesis.put.records-per-second");
    book.wait(1.0);
    // 1,024 bytes with the key: 1,024 of them are one MiB.
    for expected in [0, 0] {
        assert_eq!(book.ok("kinesis:PutRecords", batch("s", 8, 65_536))["FailedRecordCount"], expected);
    }
    let answer = book.ok("kinesis:PutRecords", batch("s", 1, 7));
    assert_eq!(answer["FailedRecordCount"], 1);
    let failed = &answer["Records"][0];
    assert_eq!(failed["ErrorCode"], THROTTLED);
    let message = failed["ErrorMessage"].as_str().unwrap();
    assert!(message.starts_with("Rate exceeded for shard shardId-000000000000 in stream s under account"), "{message}");
    book.shows("kinesis.put.bytes-per-second");
    book.shows("kinesis.put.partial-failure");
    book.wait(1.0);
    let all = book.twin.plane().totals().streams["s"].clone();
    assert_eq!((all.offered, all.accepted, all.rejected), (1_518, 1_016, 502));
    book.twin.plane().check().unwrap();
    let over = book.refused("kinesis:PutRecords", batch("s", 11, 1_000_000), "InvalidArgumentException");
    assert!(over.message.contains("10 MB"), "{}", over.message);
    book.shows("kinesis.put.batch-bytes");
}

fn large_records(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    put(book, "s", "k", &vec![b'x'; 1_048_575]);
    book.wait(1.0);
    book.refused("kinesis:PutRecord", record("s", "k", &vec![b'x'; 1_048_576]), "InvalidArgumentException");
    book.shows("kinesis.put.record-size");
    book.ok("kinesis:UpdateMaxRecordSize", json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": 10_240}));
    book.wait(60.0);
    put(book, "s", "k", &vec![b'x'; 4 * 1_048_576 - 1]);
    for _ in 0..3 {
        book.wait(1.0);
        book.refused("kinesis:PutRecord", record("s", "k", &vec![b'x'; 1_048_575]), THROTTLED);
    }
    book.wait(1.0);
    put(book, "s", "k", &vec![b'x'; 1_048_575]);
    book.shows("kinesis.put.large-record");
}

fn reads(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let latest = iterator(book, "s", FIRST, "LATEST");
    let one = put(book, "s", "a", b"one");
    book.wait(10.0);
    let between = book.now.as_second();
    let two = put(book, "s", "b", b"two");
    let horizon = iterator(book, "s", FIRST, "TRIM_HORIZON");
    let from = |kind: &str, number: &Value| json!({"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": kind, "StartingSequenceNumber": number});
    let at = book.ok("kinesis:GetShardIterator", from("AT_SEQUENCE_NUMBER", &one["SequenceNumber"]));
    let after = book.ok("kinesis:GetShardIterator", from("AFTER_SEQUENCE_NUMBER", &one["SequenceNumber"]));
    let time = json!({"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": between});
    let time = book.ok("kinesis:GetShardIterator", time);
    let (at, after, time) = (&at["ShardIterator"], &after["ShardIterator"], &time["ShardIterator"]);
    for (iterator, expected) in [(&latest, 2), (&horizon, 2), (at, 2), (after, 1), (time, 1)] {
        let answer = read(book, iterator);
        let records = answer["Records"].as_array().unwrap();
        assert_eq!((records.len(), &answer["MillisBehindLatest"]), (expected, &json!(0)));
        let last = records.last().unwrap();
        assert_eq!((data(last), &last["PartitionKey"]), (b"two".to_vec(), &json!("b")));
        assert_eq!(last["SequenceNumber"], two["SequenceNumber"]);
        assert_eq!(last["ApproximateArrivalTimestamp"].as_f64().unwrap() as i64, between);
        book.wait(1.0);
    }
    let one_by_one = book.ok("kinesis:GetRecords", json!({"ShardIterator": horizon, "Limit": 1}));
    assert!(one_by_one["MillisBehindLatest"].as_i64().unwrap() > 0);
    let next = read(book, &one_by_one["NextShardIterator"]);
    assert_eq!(next["Records"][0]["SequenceNumber"], two["SequenceNumber"]);
    book.wait(301.0);
    book.refused("kinesis:GetRecords", json!({"ShardIterator": horizon}), "ExpiredIteratorException");
    book.shows("kinesis.get.iterator-life");
    book.wait(1.0);
    for _ in 0..5 {
        iterator(book, "s", FIRST, "LATEST");
    }
    let sixth = json!({"StreamName": "s", "ShardId": FIRST, "ShardIteratorType": "LATEST"});
    book.refused("kinesis:GetShardIterator", sixth, THROTTLED);
    book.shows("kinesis.get.iterator-rate");
}

fn read_limits(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    book.wait(2.0);
    for _ in 0..5 {
        read(book, &first);
    }
    book.refused("kinesis:GetRecords", json!({"ShardIterator": first}), THROTTLED);
    book.shows("kinesis.get.calls-per-second");
    for _ in 0..12 {
        for _ in 0..2 {
            book.ok("kinesis:PutRecords", batch("s", 500, 10));
        }
        book.wait(1.0);
    }
    let answer = read(book, &first);
    assert_eq!(answer["Records"].as_array().unwrap().len(), 10_000);
    book.refused("kinesis:GetRecords", json!({"ShardIterator": first, "Limit": 10_001}), "InvalidArgumentException");
    book.shows("kinesis.get.call-records");
    // Five MiB in store, one for each call: after two a second the next one waits.
    fresh(book);
    stream(book, "s", 1);
    for _ in 0..5 {
        book.ok("kinesis:PutRecords", batch("s", 16, 65_536));
        book.wait(1.0);
    }
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    let limited =
        |book: &mut Book, at: &Value| book.send("kinesis:GetRecords", &json!({"ShardIterator": at, "Limit": 16}));
    let (mut at, mut taken, mut refused) = (first, 0, 0);
    for _ in 0..20 {
        if let Ok(answer) = limited(book, &at) {
            taken += answer["Records"].as_array().unwrap().len();
            at = answer["NextShardIterator"].clone();
        } else {
            refused += 1;
        }
        if taken == 80 {
            break;
        }
        book.wait(0.2);
    }
    assert!(refused > 0, "2 MiB a second");
    assert_eq!(taken, 80);
    book.shows("kinesis.get.bytes-per-second");
}

fn full_call(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    for _ in 0..12 {
        book.ok("kinesis:PutRecords", batch("s", 16, 65_536));
        book.wait(1.0);
    }
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    let answer = read(book, &first);
    assert_eq!(answer["Records"].as_array().unwrap().len(), 160);
    book.shows("kinesis.get.call-bytes");
    let next = answer["NextShardIterator"].clone();
    for _ in 0..4 {
        book.refused("kinesis:GetRecords", json!({"ShardIterator": next}), THROTTLED);
        book.wait(1.2);
    }
    book.wait(0.2);
    assert_eq!(read(book, &next)["Records"].as_array().unwrap().len(), 32);
    book.shows("kinesis.get.after-full-call");
}

/// n readers, each polling as often as its share of five calls a second allows; a record waits for at most one
/// turn, n times 200 ms.
fn latency(book: &mut Book) {
    for readers in 1..=6_i64 {
        fresh(book);
        stream(book, "s", 1);
        let turn = 200 * readers;
        let mut at: Vec<Value> = Vec::new();
        for _ in 0..readers {
            at.push(iterator(book, "s", FIRST, "LATEST"));
            book.wait(1.0);
        }
        let (mut longest, mut refused) = (0, 0);
        for step in 0..(turn * 40 / 20) {
            let ms = step * 20;
            if ms % 140 == 0 {
                put(book, "s", "k", ms.to_string().as_bytes());
            }
            let due = (0..readers).find(|reader| ms % turn == reader * 200);
            if let Some(reader) = due.map(|reader| usize::try_from(reader).unwrap()) {
                match book.send("kinesis:GetRecords", &json!({"ShardIterator": at[reader]})) {
                    Ok(answer) => {
                        for record in answer["Records"].as_array().unwrap() {
                            let put: i64 = String::from_utf8(data(record)).unwrap().parse().unwrap();
                            longest = longest.max(ms - put);
                        }
                        at[reader] = answer["NextShardIterator"].clone();
                    }
                    Err(_) => refused += 1,
                }
            }
            book.wait(0.02);
        }
        assert_eq!(refused, 0, "{readers} readers");
        assert!((turn - 40..=turn).contains(&longest), "{readers} readers: {longest} ms");
    }
    book.shows("kinesis.get.latency");
}

fn refusals(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let nothing = record("nothing", "k", b"x");
    book.refused("kinesis:PutRecord", nothing, "ResourceNotFoundException");
    book.refused("kinesis:PutRecords", batch("nothing", 1, 10), "ResourceNotFoundException");
    book.refused("kinesis:PutRecord", json!({"Data": "eA==", "PartitionKey": "k"}), "InvalidArgumentException");
    let iterate = |shard: &str, kind: &str| json!({"StreamName": "s", "ShardId": shard, "ShardIteratorType": kind});
    book.refused("kinesis:GetShardIterator", iterate("shardId-000000000007", "LATEST"), "ResourceNotFoundException");
    book.refused("kinesis:GetShardIterator", iterate(FIRST, "OTHER"), VALIDATION);
    book.refused("kinesis:GetShardIterator", iterate(FIRST, "AT_SEQUENCE_NUMBER"), "InvalidArgumentException");
    book.refused("kinesis:GetRecords", json!({"ShardIterator": "mine"}), "InvalidArgumentException");
    let first = iterator(book, "s", FIRST, "LATEST");
    let dry = |mut input: Value| {
        input["DryRun"] = json!(true);
        input
    };
    book.refused("kinesis:PutRecord", dry(record("s", "k", b"x")), "DryRunOperationException");
    book.refused("kinesis:PutRecords", dry(batch("s", 1, 10)), "DryRunOperationException");
    book.refused("kinesis:GetShardIterator", dry(iterate(FIRST, "LATEST")), "DryRunOperationException");
    book.refused("kinesis:GetRecords", dry(json!({"ShardIterator": first})), "DryRunOperationException");
    assert_eq!(book.twin.plane().totals().streams["s"].offered, 0);
    // PutRecords is refused as a whole only for a key or a stream; a shard's limits refuse single records.
    let kept = iterator(book, "s", FIRST, "TRIM_HORIZON");
    book.ok("kinesis:DeleteStream", json!({"StreamName": "s"}));
    book.wait(60.0);
    book.refused("kinesis:GetRecords", json!({"ShardIterator": kept}), "ResourceNotFoundException");
}

/// The twin holds so many payloads and no more.
fn memory(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    book.ok("kinesis:UpdateMaxRecordSize", json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": 10_240}));
    book.wait(60.0);
    let large = json!({"StreamName": "s", "PartitionKey": "k", "Data": BASE64_STANDARD.encode(vec![0; 10_000_000])});
    for _ in 0..13 {
        book.ok("kinesis:PutRecord", large.clone());
        book.wait(11.0);
    }
    book.refused("kinesis:PutRecord", large.clone(), "InternalFailureException");
    book.wait(25.0 * 3_600.0);
    book.ok("kinesis:PutRecord", large);
    book.twin.plane().check().unwrap();
}

//! Arbitrary and mutated bytes into the wire and into the world parser: no panic, no hang, memory bounded.
//! `FUZZ_SECONDS` (default 3) is the time of each, `FUZZ_SEED` (default 1) the first case.

#![allow(
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "a fuzzer runs for a time that a person gives it"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alleycat_operator::twin::{Request, Twin, World};
use jiff::SignedDuration;

use crate::conformance::OPERATIONS;

/// A case that takes longer than this hangs (debug build, busy machine).
const HANG: Duration = Duration::from_secs(20);

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        // xorshift64* (Vigna 2016)
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit.max(1)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs cases until the time is over; says which one hangs.
fn fuzz(mut case: impl FnMut(&mut Rng)) {
    let begun = Instant::now();
    let mut seed = number("FUZZ_SEED", 1);
    while begun.elapsed() < Duration::from_secs(number("FUZZ_SECONDS", 3)) {
        let started = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut Rng(seed * 2 + 1))));
        assert!(result.is_ok(), "FUZZ_SEED={seed}");
        assert!(started.elapsed() < HANG, "FUZZ_SEED={seed} took {:?}", started.elapsed());
        seed += 1;
    }
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "60",
    "300",
    "500",
    "10000",
    "1e308",
    "-1e308",
    "0.1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "4294967296",
    "2147483647",
    "1772438400",
    "-62135596800",
    "1e18",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "alleycat",
    "races",
    "PROVISIONED",
    "ON_DEMAND",
    "PAY_PER_REQUEST",
    "UNIFORM_SCALING",
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
    "arn:aws:kinesis:us-east-2:123456789012:stream/a",
    "arn:aws:kinesis:us-east-2:123456789012:stream/",
    "arn:aws:dynamodb:us-east-2:123456789012:table/a",
    "arn:aws:lambda:us-east-2:123456789012:function:alleycat-FinalResultsFunction",
    ":::::",
    "alleycat-FinalResultsFunction",
    "shardId-000000000000",
    "shardId-999999999999999999999",
    "340282366920938463463374607431768211455",
    "340282366920938463463374607431768211456",
    "-1",
    "NaN",
    "AAAA",
    "é\u{1F3C1}\u{0}",
    "HASH",
    "S",
    "N",
    "Sum",
    "p99.9",
    "AWS/Kinesis",
    "IncomingRecords",
    "dynamodb",
    "table/a",
    "dynamodb:table:WriteCapacityUnits",
    "KMS",
    "ALL",
    "m1+m2",
];
const MEMBERS: &[&str] = &[
    "StreamName",
    "StreamARN",
    "ShardCount",
    "TargetShardCount",
    "ScalingType",
    "RetentionPeriodHours",
    "Tags",
    "TagKeys",
    "ShardIterator",
    "ShardIteratorType",
    "ShardId",
    "Limit",
    "Records",
    "Data",
    "PartitionKey",
    "ExplicitHashKey",
    "StartingSequenceNumber",
    "Timestamp",
    "ConsumerName",
    "ConsumerARN",
    "StartingPosition",
    "Type",
    "StreamModeDetails",
    "StreamMode",
    "ShardToSplit",
    "NewStartingHashKey",
    "ShardToMerge",
    "AdjacentShardToMerge",
    "NextToken",
    "MaxResults",
    "ShardLevelMetrics",
    "KeyId",
    "EncryptionType",
    "ResourceARN",
    "ResourceArn",
    "Policy",
    "MaxRecordSizeInKiB",
    "FunctionName",
    "UUID",
    "BatchSize",
    "ParallelizationFactor",
    "MaximumBatchingWindowInSeconds",
    "EventSourceArn",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "TumblingWindowInSeconds",
    "FilterCriteria",
    "Filters",
    "Pattern",
    "Enabled",
    "ReservedConcurrentExecutions",
    "Code",
    "ZipFile",
    "Role",
    "Runtime",
    "Handler",
    "Timeout",
    "MemorySize",
    "Marker",
    "MaxItems",
    "Resource",
    "TableName",
    "KeySchema",
    "AttributeDefinitions",
    "AttributeName",
    "AttributeType",
    "KeyType",
    "ProvisionedThroughput",
    "ReadCapacityUnits",
    "WriteCapacityUnits",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "IndexName",
    "Projection",
    "ProjectionType",
    "GlobalSecondaryIndexUpdates",
    "Update",
    "Create",
    "Delete",
    "Item",
    "Key",
    "RequestItems",
    "PutRequest",
    "S",
    "N",
    "M",
    "L",
    "BOOL",
    "B",
    "TimeToLiveSpecification",
    "StreamSpecification",
    "StreamEnabled",
    "StreamViewType",
    "OnDemandThroughput",
    "MaxReadRequestUnits",
    "ExclusiveStartTableName",
    "Namespace",
    "MetricName",
    "MetricDataQueries",
    "Id",
    "MetricStat",
    "Metric",
    "Dimensions",
    "Name",
    "Value",
    "Period",
    "Stat",
    "Expression",
    "StartTime",
    "EndTime",
    "MaxDatapoints",
    "ScanBy",
    "MetricData",
    "Values",
    "Counts",
    "Statistics",
    "ExtendedStatistics",
    "ServiceNamespace",
    "ResourceId",
    "ScalableDimension",
    "MinCapacity",
    "MaxCapacity",
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "TargetValue",
    "PredefinedMetricSpecification",
    "RevisionId",
];

fn value(rng: &mut Rng, depth: usize, text: &mut String) {
    match rng.below(if depth == 0 { 5 } else { 8 }) {
        0 | 1 => *text += rng.pick(NUMBERS),
        2 | 3 => {
            *text += &serde_json::to_string(rng.pick(TEXTS)).unwrap();
        }
        4 => *text += ["true", "false", "null", "\"\""][rng.below(4)],
        5 => {
            let size = rng.below(4);
            text.push('[');
            for index in 0..size {
                *text += if index > 0 { "," } else { "" };
                value(rng, depth - 1, text);
            }
            text.push(']');
        }
        _ => object(rng, depth - 1, text),
    }
}

fn object(rng: &mut Rng, depth: usize, text: &mut String) {
    text.push('{');
    for index in 0..rng.below(7) {
        *text += if index > 0 { "," } else { "" };
        *text += &format!("\"{}\":", rng.pick(MEMBERS));
        value(rng, depth, text);
    }
    text.push('}');
}

/// Members that make many calls get past the first check.
fn likely(rng: &mut Rng) -> String {
    let name = rng.pick(&["a", "b", "alleycat"]);
    let mut text = String::new();
    object(rng, 3, &mut text);
    let rest = text.strip_prefix('{').unwrap();
    let comma = if rest == "}" { "" } else { "," };
    format!(
        "{{\"StreamName\":\"{name}\",\"TableName\":\"{name}\",\"ShardCount\":{},\"ScalingType\":\"UNIFORM_SCALING\",\
         \"TargetShardCount\":{},\"ShardId\":\"shardId-00000000000{}\"{comma}{rest}",
        rng.below(5),
        rng.below(9),
        rng.below(9)
    )
}

fn body(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => (0..rng.below(200)).map(|_| rng.next() as u8).collect(),
        1 => "[".repeat(rng.below(5_000)).into_bytes(),
        2 => format!("{{\"StreamName\":\"{}\"}}", "x".repeat(rng.below(100_000))).into_bytes(),
        3 => "a.member.1.".repeat(rng.below(20)).into_bytes(),
        4 => {
            let pairs = (0..rng.below(9))
                .map(|_| format!("{}.member.1.{}={}", rng.pick(MEMBERS), rng.pick(MEMBERS), rng.pick(TEXTS)));
            pairs.collect::<Vec<_>>().join("&").into_bytes()
        }
        5 | 6 => {
            let mut text = String::new();
            object(rng, 4, &mut text);
            text.into_bytes()
        }
        _ => likely(rng).into_bytes(),
    }
}

fn request(rng: &mut Rng) -> Request {
    let operations: Vec<&str> = OPERATIONS.iter().flat_map(|(.., operations)| operations.iter().copied()).collect();
    let operation = rng.pick(&operations);
    let mut headers = BTreeMap::new();
    let mut path = "/".to_owned();
    let mut method = "POST";
    let mut body = body(rng);
    match rng.below(10) {
        0..=5 => {
            let prefix = rng.pick(&[
                "Kinesis_20131202",
                "DynamoDB_20120810",
                "GraniteServiceVersion20100801",
                "AnyScaleFrontendService",
                "x",
            ]);
            headers.insert("x-amz-target".to_owned(), format!("{prefix}.{operation}"));
        }
        6 => path = format!("/service/GraniteServiceVersion20100801/operation/{operation}"),
        7 => {
            let version = rng.pick(&["2010-08-01", "2011-06-15", ""]);
            body = [format!("Action={operation}&Version={version}&").as_bytes(), &body].concat();
        }
        _ => {
            method = rng.pick(&["GET", "POST", "PUT", "DELETE"]);
            let tail =
                rng.pick(&["", "/a", "/%", "/alleycat-FinalResultsFunction/concurrency", "?Marker=%ff&MaxItems=-1"]);
            let room = rng.pick(&[
                "2015-03-31/functions",
                "2015-03-31/event-source-mappings",
                "2017-03-31/tags",
                "2017-10-31/functions",
            ]);
            path = format!("/{room}{tail}");
        }
    }
    if rng.below(10) == 0 {
        headers.insert("content-encoding".to_owned(), "gzip".to_owned());
    }
    if rng.below(10) == 0 {
        headers.insert("content-type".to_owned(), "application/x-amz-cbor-1.1".to_owned());
    }
    if rng.below(4) == 0 && !body.is_empty() {
        let at = rng.below(body.len());
        body[at] = rng.next() as u8;
    }
    Request { method: method.to_owned(), path, headers, body }
}

#[test]
fn the_wire_takes_any_bytes() {
    fuzz(|rng| {
        let mut now = World::alleycat().start;
        let mut twin = Twin::new(World::alleycat().with_races(0), 7);
        twin.assumptions_mut().enforce_request_rates = rng.below(4) == 0;
        for _ in 0..200 {
            let request = request(rng);
            let answer = twin.handle(now, &request);
            assert!((200..600).contains(&answer.status), "{request:?}: {}", answer.status);
            now += SignedDuration::from_millis(rng.below(20_000) as i64);
        }
        let bytes = twin.to_bytes().unwrap();
        assert!(bytes.len() < 64 << 20, "the state has {} bytes", bytes.len());
        assert!(Twin::from_bytes(&bytes).is_ok());
    });
}

#[test]
fn the_world_parser_takes_any_bytes() {
    const SEED: &str = include_str!("../../examples/worlds/alleycat.yaml");
    fuzz(|rng| {
        let mut bytes = SEED.as_bytes().to_vec();
        for _ in 0..=rng.below(6) {
            let at = rng.below(bytes.len());
            match rng.below(6) {
                0 => bytes[at] = rng.next() as u8,
                1 => drop(bytes.drain(at..(at + rng.below(40)).min(bytes.len()))),
                2 => drop(bytes.splice(at..at, rng.pick(NUMBERS).bytes())),
                3 => {
                    drop(
                        bytes.splice(at..at, rng.pick(&[": ", "\n  - ", "{", "[", "&a ", "*a", "!!x ", "\n"]).bytes()),
                    );
                }
                4 => drop(bytes.splice(at..at, "[".repeat(rng.below(3_000)).bytes())),
                _ => {
                    let piece: Vec<u8> = bytes.iter().skip(at).take(rng.below(300)).copied().collect();
                    drop(bytes.splice(at..at, piece));
                }
            }
            if bytes.is_empty() {
                return;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(world) = World::parse(&text) {
            // What is accepted can be lived in.
            let start = world.start;
            let mut twin = Twin::new(world, 1);
            twin.advance(start.saturating_add(SignedDuration::from_secs(1)).unwrap());
        }
    });
}

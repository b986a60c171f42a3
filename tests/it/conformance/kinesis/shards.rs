//! How many shards: UpdateShardCount, splits, merges, capacity modes, listings.

use alleycat_operator::twin::World;
use serde_json::{Value, json};

use super::{Book, FIRST, absent, arn, fresh, iterator, put, rate, read, status, stream, summary};

pub fn script(book: &mut Book) {
    counts(book);
    maximum(book);
    split_and_merge(book);
    adjacency(book);
    simultaneous(book);
    modes(book);
    on_demand(book);
    listings(book);
}

fn target(shards: u32) -> Value {
    json!({"StreamName": "s", "TargetShardCount": shards, "ScalingType": "UNIFORM_SCALING"})
}

fn open_shards(book: &mut Book) -> u64 {
    summary(book, "s")["OpenShardCount"].as_u64().unwrap()
}

fn counts(book: &mut Book) {
    fresh(book);
    stream(book, "s", 4);
    let update = "kinesis:UpdateShardCount";
    let refused = book.refused(update, target(9), "LimitExceededException");
    assert!(refused.message.contains("scale up over double"), "{}", refused.message);
    book.shows("kinesis.reshard.double");
    let refused = book.refused(update, target(1), "LimitExceededException");
    assert!(refused.message.contains("scale down below half"), "{}", refused.message);
    book.shows("kinesis.reshard.half");
    book.refused(update, target(4), "InvalidArgumentException");
    book.refused(update, target(0), "ValidationException");
    let other = json!({"StreamName": "s", "TargetShardCount": 8, "ScalingType": "OTHER"});
    book.refused(update, other, "ValidationException");
    book.wait(1.0);
    let answer = book.ok(update, target(8));
    assert_eq!((&answer["CurrentShardCount"], &answer["TargetShardCount"]), (&json!(4), &json!(8)));
    assert_eq!(status(book, "s"), "UPDATING");
    put(book, "s", "k", b"during");
    book.refused(update, target(4), "ResourceInUseException");
    book.shows("kinesis.reshard.active");
    book.wait(600.0);
    assert_eq!(open_shards(book), 8);
    book.shows("kinesis.reshard.asynchronous");
    let latest = json!({"StreamName": "s", "ShardFilter": {"Type": "AT_LATEST"}});
    let shards = book.ok("kinesis:ListShards", latest)["Shards"].clone();
    let width = u128::MAX / 8;
    for (index, shard) in (0..).zip(shards.as_array().unwrap()) {
        assert_eq!(shard["HashKeyRange"]["StartingHashKey"], (width * index).to_string());
    }
    book.shows("kinesis.reshard.uniform");
    for index in 1..10 {
        book.ok(update, target(if index % 2 == 0 { 8 } else { 4 }));
        book.wait(600.0);
    }
    let refused = book.refused(update, target(8), "LimitExceededException");
    assert!(refused.message.contains("10 times"), "{}", refused.message);
    book.wait(86_400.0 - 10.0 * 600.0 + 1.0);
    book.ok(update, target(8));
    book.shows("kinesis.reshard.ten-a-day");
    book.wait(600.0);
    absent(book, update, &json!({"TargetShardCount": 8, "ScalingType": "UNIFORM_SCALING"}));
    rate(book, update, &target(100), 10);
    book.shows("kinesis.reshard.rate");
}

fn maximum(book: &mut Book) {
    let mut world = World::alleycat().with_races(0);
    world.shard_limit = 15_000;
    book.account(world);
    book.ok("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 6_000}));
    book.wait(60.0);
    let refused = book.refused("kinesis:UpdateShardCount", target(10_001), "LimitExceededException");
    assert!(refused.message.contains("beyond 10000 shards"), "{}", refused.message);
    book.shows("kinesis.reshard.maximum");
    book.ok("kinesis:CreateStream", json!({"StreamName": "other", "ShardCount": 8_000}));
    book.wait(60.0);
    let refused = book.refused("kinesis:UpdateShardCount", target(9_000), "LimitExceededException");
    assert!(refused.message.contains("exceed the shard limit"), "{}", refused.message);
    book.shows("kinesis.reshard.account");
    let page = book.ok("kinesis:ListShards", json!({"StreamName": "s", "MaxResults": 5_000}));
    assert_eq!(page["Shards"].as_array().unwrap().len(), 1_000);
    assert!(page["NextToken"].is_string());
    book.shows("kinesis.shards.list-page");
    let page = book.ok("kinesis:DescribeStream", json!({"StreamName": "s", "Limit": 500}));
    let description = &page["StreamDescription"];
    assert_eq!(description["Shards"].as_array().unwrap().len(), 100);
    assert_eq!(description["HasMoreShards"], true);
    rate(book, "kinesis:DescribeStream", &json!({"StreamName": "nothing"}), 10);
    book.shows("kinesis.control.describe-rate");
}

fn split(shard: &str, key: &str) -> Value {
    json!({"StreamName": "s", "ShardToSplit": shard, "NewStartingHashKey": key})
}

fn merge(one: &str, other: &str) -> Value {
    json!({"StreamName": "s", "ShardToMerge": one, "AdjacentShardToMerge": other})
}

fn split_and_merge(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let before = put(book, "s", "k", b"before");
    assert_eq!(before["ShardId"], FIRST);
    let middle = (1_u128 << 127).to_string();
    book.refused("kinesis:SplitShard", split(FIRST, &u128::MAX.to_string()), "InvalidArgumentException");
    book.refused("kinesis:SplitShard", split(FIRST, "0"), "InvalidArgumentException");
    book.refused("kinesis:SplitShard", split(FIRST, "middle"), "ValidationException");
    book.shows("kinesis.split.range");
    book.refused("kinesis:SplitShard", json!({"StreamName": "s"}), "ValidationException");
    book.ok("kinesis:SplitShard", split(FIRST, &middle));
    assert_eq!(status(book, "s"), "UPDATING");
    book.refused("kinesis:SplitShard", split(FIRST, &middle), "ResourceInUseException");
    book.refused("kinesis:MergeShards", merge("shardId-000000000001", FIRST), "ResourceInUseException");
    book.shows("kinesis.split.active");
    book.wait(60.0);
    assert_eq!(open_shards(book), 2);
    let after = put(book, "s", "k", b"after");
    assert_ne!(after["ShardId"], FIRST);
    assert!(after["SequenceNumber"].as_str() > before["SequenceNumber"].as_str());
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    let answer = read(book, &first);
    assert_eq!(answer["Records"].as_array().unwrap().len(), 1);
    assert!(answer["NextShardIterator"].is_null());
    let children: Vec<&str> =
        answer["ChildShards"].as_array().unwrap().iter().map(|child| child["ShardId"].as_str().unwrap()).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    book.shows("kinesis.get.parent-end");
    book.shows("kinesis.get.closed-readable");
    // Eleven of them in a day: they are not among the ten.
    for number in 0..6 {
        let (one, other) = (1 + 3 * number, 2 + 3 * number);
        let pair = (format!("shardId-{one:012}"), format!("shardId-{other:012}"));
        book.ok("kinesis:MergeShards", merge(&pair.0, &pair.1));
        book.wait(60.0);
        assert_eq!(open_shards(book), 1);
        book.ok("kinesis:SplitShard", split(&format!("shardId-{:012}", other + 1), &middle));
        book.wait(60.0);
    }
    book.ok("kinesis:UpdateShardCount", target(4));
    book.shows("kinesis.split.budget");
    book.wait(600.0);
    let listed = book.ok("kinesis:ListShards", json!({"StreamName": "s"}));
    assert!(listed["Shards"].as_array().unwrap().iter().any(|shard| shard["ShardId"] == FIRST));
    book.wait(25.0 * 3_600.0);
    let listed = book.ok("kinesis:ListShards", json!({"StreamName": "s"}));
    assert_eq!(listed["Shards"].as_array().unwrap().len(), 4);
    book.shows("kinesis.shards.life");
    for (operation, input) in [
        ("kinesis:SplitShard", json!({"ShardToSplit": FIRST, "NewStartingHashKey": "5"})),
        ("kinesis:MergeShards", json!({"ShardToMerge": FIRST, "AdjacentShardToMerge": FIRST})),
    ] {
        absent(book, operation, &input);
        rate(book, operation, &input, 5);
    }
    book.shows("kinesis.split.rate");
}

fn adjacency(book: &mut Book) {
    fresh(book);
    stream(book, "s", 3);
    let (second, third) = ("shardId-000000000001", "shardId-000000000002");
    book.refused("kinesis:MergeShards", merge(FIRST, third), "InvalidArgumentException");
    book.refused("kinesis:MergeShards", json!({"StreamName": "s"}), "ValidationException");
    book.refused("kinesis:MergeShards", merge(FIRST, "shardId-000000000009"), "ResourceNotFoundException");
    book.ok("kinesis:MergeShards", merge(third, second));
    book.wait(60.0);
    assert_eq!(open_shards(book), 2);
    book.shows("kinesis.merge.adjacent");
}

fn simultaneous(book: &mut Book) {
    fresh(book);
    for name in ["a", "b", "c", "d", "e", "s"] {
        stream(book, name, 1);
    }
    for name in ["a", "b", "c", "d", "e"] {
        let input = json!({"StreamName": name, "ShardToSplit": FIRST, "NewStartingHashKey": "1000"});
        book.ok("kinesis:SplitShard", input);
        book.wait(0.3);
    }
    let sixth = book.refused("kinesis:SplitShard", split(FIRST, "1000"), "LimitExceededException");
    assert!(sixth.message.contains("at once"), "{}", sixth.message);
    book.shows("kinesis.split.simultaneous");
}

fn mode(name: &str, mode: &str) -> Value {
    json!({"StreamARN": arn(name), "StreamModeDetails": {"StreamMode": mode}})
}

fn modes(book: &mut Book) {
    fresh(book);
    stream(book, "s", 3);
    let update = "kinesis:UpdateStreamMode";
    book.refused(update, mode("s", "OTHER"), "ValidationException");
    let by_name = json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    book.refused(update, by_name, "InvalidArgumentException");
    book.ok(update, mode("s", "ON_DEMAND"));
    assert_eq!(status(book, "s"), "UPDATING");
    book.refused(update, mode("s", "PROVISIONED"), "ResourceInUseException");
    book.shows("kinesis.mode.needs-arn");
    book.wait(60.0);
    assert_eq!(
        (summary(book, "s")["StreamModeDetails"]["StreamMode"].clone(), open_shards(book)),
        (json!("ON_DEMAND"), 3)
    );
    book.shows("kinesis.mode.keeps-shards");
    book.refused("kinesis:UpdateShardCount", target(4), "ValidationException");
    book.refused("kinesis:SplitShard", split(FIRST, "1000"), "ValidationException");
    book.refused("kinesis:MergeShards", merge(FIRST, "shardId-000000000001"), "ValidationException");
    book.shows("kinesis.reshard.on-demand");
    book.ok(update, mode("s", "PROVISIONED"));
    book.wait(60.0);
    let third = book.refused(update, mode("s", "ON_DEMAND"), "LimitExceededException");
    assert!(third.message.contains("24 hours"), "{}", third.message);
    book.wait(86_400.0);
    book.ok(update, mode("s", "ON_DEMAND"));
    book.shows("kinesis.mode.twice-a-day");
    book.wait(60.0);
    book.refused(update, mode("nothing", "ON_DEMAND"), "ResourceNotFoundException");
    let create = |name: &str| json!({"StreamName": name, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    for index in 1..50 {
        book.ok("kinesis:CreateStream", create(&format!("s{index}")));
        book.wait(30.0);
    }
    let over = book.refused("kinesis:CreateStream", create("more"), "LimitExceededException");
    assert!(over.message.contains("50 on-demand"), "{}", over.message);
    let limits = book.ok("kinesis:DescribeLimits", json!({}));
    assert_eq!((&limits["OnDemandStreamCount"], &limits["OnDemandStreamCountLimit"]), (&json!(50), &json!(50)));
    book.shows("kinesis.mode.on-demand-streams");
}

/// A producer of a constant rate; by YAML, as a user writes it.
fn world(records_per_second: u32, record_bytes: u32, hot: f64) -> World {
    World::parse(&format!(
        "{{apiVersion: alleycat.dev/v1alpha1, kind: World, name: w, start: 2026-11-01T00:00:00Z, producers: [{{kind: rate, \
         stream: s, recordBytes: {record_bytes}, hotKeyShare: {hot}, points: [{{atSeconds: 120, recordsPerSecond: \
         {records_per_second}}}]}}]}}"
    ))
    .unwrap()
}

fn on_demand(book: &mut Book) {
    // 3 MB/s in large records: 750 KB/s for each of the four shards.
    book.account(world(60, 51_200, 0.0));
    let create = json!({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}});
    book.ok("kinesis:CreateStream", create.clone());
    book.wait(60.0);
    assert_eq!(open_shards(book), 4);
    book.shows("kinesis.mode.on-demand-start");
    book.wait(120.0 + 900.0);
    assert_eq!(open_shards(book), 8);
    let totals = book.twin.plane().totals().streams["s"].clone();
    assert_eq!(totals.rejected, 0);
    book.twin.plane().check().unwrap();
    book.shows("kinesis.mode.on-demand-splits");
    // All with one key: a shard more does not help.
    book.account(world(1_500, 200, 1.0));
    book.ok("kinesis:CreateStream", create);
    book.wait(4_000.0);
    let before = book.twin.plane().totals().streams["s"].clone();
    book.wait(10.0);
    let after = book.twin.plane().totals().streams["s"].clone();
    assert_eq!(after.accepted - before.accepted, 10_000);
    book.twin.plane().check().unwrap();
    book.shows("kinesis.mode.one-key");
}

fn listings(book: &mut Book) {
    fresh(book);
    stream(book, "s", 2);
    let old = book.now.as_second();
    book.wait(10.0);
    book.ok("kinesis:UpdateShardCount", target(3));
    book.wait(600.0);
    let ids = |book: &mut Book, filter: Value| -> Vec<u64> {
        let answer = book.ok("kinesis:ListShards", json!({"StreamName": "s", "ShardFilter": filter}));
        let number = |shard: &Value| shard["ShardId"].as_str().unwrap()[8..].parse().unwrap();
        answer["Shards"].as_array().unwrap().iter().map(number).collect()
    };
    let now = book.now.as_second();
    assert_eq!(ids(book, json!({"Type": "AT_LATEST"})), [2, 3, 4]);
    assert_eq!(ids(book, json!({"Type": "FROM_TRIM_HORIZON"})), [0, 1, 2, 3, 4]);
    assert_eq!(ids(book, json!({"Type": "AT_TRIM_HORIZON"})), [0, 1]);
    assert_eq!(ids(book, json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000001"})), [2, 3, 4]);
    assert_eq!(ids(book, json!({"Type": "AT_TIMESTAMP", "Timestamp": old})), [0, 1]);
    assert_eq!(ids(book, json!({"Type": "AT_TIMESTAMP", "Timestamp": now})), [2, 3, 4]);
    assert_eq!(ids(book, json!({"Type": "FROM_TIMESTAMP", "Timestamp": old})), [0, 1, 2, 3, 4]);
    book.shows("kinesis.shards.filters");
    let list = "kinesis:ListShards";
    book.refused(list, json!({"StreamName": "s", "ShardFilter": {"Type": "OTHER"}}), "ValidationException");
    absent(book, list, &json!({}));
    let page = book.ok(list, json!({"StreamName": "s", "MaxResults": 2}));
    let token = json!({"NextToken": page["NextToken"]});
    assert_eq!(book.ok(list, token.clone())["Shards"].as_array().unwrap().len(), 3);
    book.wait(299.0);
    book.ok(list, token.clone());
    book.wait(2.0);
    book.refused(list, token, "ExpiredNextTokenException");
    book.shows("kinesis.shards.token-life");
}

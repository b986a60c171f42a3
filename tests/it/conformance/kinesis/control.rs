//! Streams: life, settings, tags, policies, rates.

use alleycat_operator::twin::world::KeyState;
use serde_json::{Value, json};

use super::{Book, FIRST, KEY, absent, arn, fresh, iterator, put, rate, read, status, stream, summary};

pub fn script(book: &mut Book) {
    life(book);
    creation(book);
    lists(book);
    retention(book);
    encryption(book);
    key_states(book);
    monitoring(book);
    record_size(book);
    tags(book);
    policies(book);
    rates(book);
    transitions(book);
}

fn life(book: &mut Book) {
    fresh(book);
    book.ok("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 2}));
    assert_eq!(status(book, "s"), "CREATING");
    book.refused("kinesis:DeleteStream", json!({"StreamName": "s"}), "ResourceInUseException");
    book.refused("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 2}), "ResourceInUseException");
    book.wait(60.0);
    assert_eq!(status(book, "s"), "ACTIVE");
    let more = json!({"StreamName": "s", "RetentionPeriodHours": 48});
    book.ok("kinesis:IncreaseStreamRetentionPeriod", more);
    assert_eq!(status(book, "s"), "UPDATING");
    let reshard = json!({"StreamName": "s", "TargetShardCount": 4, "ScalingType": "UNIFORM_SCALING"});
    book.refused("kinesis:UpdateShardCount", reshard, "ResourceInUseException");
    book.shows("kinesis.stream.one-change");
    book.wait(60.0);
    book.ok("kinesis:RegisterStreamConsumer", json!({"StreamARN": arn("s"), "ConsumerName": "c"}));
    book.refused("kinesis:DeleteStream", json!({"StreamName": "s"}), "ResourceInUseException");
    book.refused("kinesis:DeleteStream", json!({"StreamName": "other"}), "ResourceNotFoundException");
    book.refused("kinesis:DeleteStream", json!({}), "InvalidArgumentException");
    book.ok("kinesis:DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true}));
    book.shows("kinesis.stream.delete-consumers");
    assert_eq!(status(book, "s"), "DELETING");
    put(book, "s", "k", b"late");
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    read(book, &first);
    book.shows("kinesis.stream.deleting");
    book.wait(60.0);
    book.refused("kinesis:DescribeStreamSummary", json!({"StreamName": "s"}), "ResourceNotFoundException");
    book.shows("kinesis.stream.status");
}

fn creation(book: &mut Book) {
    fresh(book);
    let create = |name: &str, shards: u32| json!({"StreamName": name, "ShardCount": shards});
    for name in ["", "no spaces", &"x".repeat(129)] {
        book.refused("kinesis:CreateStream", create(name, 1), "ValidationException");
    }
    book.wait(1.0);
    book.ok("kinesis:CreateStream", create(&"x".repeat(128), 1));
    book.refused("kinesis:CreateStream", create(&"x".repeat(128), 1), "ResourceInUseException");
    book.shows("kinesis.stream.name");
    let tagged = json!({"StreamName": "t", "ShardCount": 1, "Tags": {"aws:mine": "1"}});
    book.refused("kinesis:CreateStream", tagged, "InvalidArgumentException");
    let over = book.refused("kinesis:CreateStream", create("big", 1_001), "LimitExceededException");
    assert!(over.message.contains("shard limit"), "{}", over.message);
    book.wait(1.0);
    let limits = book.ok("kinesis:DescribeLimits", json!({}));
    assert_eq!(limits["ShardLimit"], 1_000);
    book.shows("kinesis.stream.shard-limit");
    for name in ["a", "b", "c", "d"] {
        book.ok("kinesis:CreateStream", create(name, 1));
    }
    book.wait(1.0);
    let sixth = book.refused("kinesis:CreateStream", create("e", 1), "LimitExceededException");
    assert!(sixth.message.contains("CREATING"), "{}", sixth.message);
    book.shows("kinesis.control.creating");
    book.wait(60.0);
    rate(book, "kinesis:CreateStream", &create("a", 1), 5);
    book.shows("kinesis.control.create-rate");
    rate(book, "kinesis:DescribeLimits", &json!({}), 1);
    book.shows("kinesis.control.limits-rate");
}

fn lists(book: &mut Book) {
    fresh(book);
    for name in ["a", "b", "c"] {
        stream(book, name, 1);
    }
    let first = book.ok("kinesis:ListStreams", json!({"Limit": 2}));
    assert_eq!((&first["StreamNames"], &first["HasMoreStreams"]), (&json!(["a", "b"]), &json!(true)));
    assert_eq!(first["StreamSummaries"][0]["StreamStatus"], "ACTIVE");
    let token = first["NextToken"].clone();
    assert_eq!(book.ok("kinesis:ListStreams", json!({"NextToken": token}))["StreamNames"], json!(["c"]));
    book.refused("kinesis:ListStreams", json!({"NextToken": "mine"}), "InvalidArgumentException");
    book.refused("kinesis:ListStreams", json!({"Limit": 0}), "ValidationException");
    book.wait(301.0);
    book.refused("kinesis:ListStreams", json!({"NextToken": token}), "ExpiredNextTokenException");
    rate(book, "kinesis:ListStreams", &json!({}), 5);
    rate(book, "kinesis:DeleteStream", &json!({"StreamName": "other"}), 5);
    book.shows("kinesis.control.delete-list-rate");
    absent(book, "kinesis:DescribeStream", &json!({}));
    absent(book, "kinesis:DescribeStreamSummary", &json!({}));
    absent(book, "kinesis:ListTagsForStream", &json!({}));
    book.refused(
        "kinesis:DescribeStream",
        json!({"StreamName": "a", "StreamARN": arn("b")}),
        "InvalidArgumentException",
    );
    book.refused("kinesis:DescribeStream", json!({"StreamName": "a", "Limit": 0}), "ValidationException");
}

fn retention(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let (up, down) = ("kinesis:IncreaseStreamRetentionPeriod", "kinesis:DecreaseStreamRetentionPeriod");
    let hours = |hours: u32| json!({"StreamName": "s", "RetentionPeriodHours": hours});
    assert_eq!(summary(book, "s")["RetentionPeriodHours"], 24);
    for wrong in [24, 23, 8_761] {
        book.refused(up, hours(wrong), "InvalidArgumentException");
    }
    book.ok(up, hours(8_760));
    book.refused(up, hours(8_760), "ResourceInUseException");
    book.refused(down, hours(24), "ResourceInUseException");
    book.wait(60.0);
    assert_eq!(summary(book, "s")["RetentionPeriodHours"], 8_760);
    book.shows("kinesis.stream.retention");
    book.refused(down, hours(8_760), "InvalidArgumentException");
    book.shows("kinesis.stream.retention-direction");
    put(book, "s", "k", b"old");
    book.wait(25.0 * 3_600.0);
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    assert_eq!(read(book, &first)["Records"].as_array().unwrap().len(), 1);
    book.ok(down, hours(24));
    book.wait(120.0);
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    assert!(read(book, &first)["Records"].as_array().unwrap().is_empty());
    book.ok(up, hours(48));
    book.wait(120.0);
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    assert!(read(book, &first)["Records"].as_array().unwrap().is_empty());
    book.shows("kinesis.stream.retention-drop");
    for operation in [up, down] {
        absent(book, operation, &json!({"RetentionPeriodHours": 30}));
        rate(book, operation, &hours(1), 5);
    }
    book.shows("kinesis.control.retention-rate");
}

fn encryption(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let (start, stop) = ("kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption");
    let with = |key: &str| json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": key});
    let own = with("alias/aws/kinesis");
    book.ok(start, own.clone());
    assert_eq!(status(book, "s"), "UPDATING");
    book.refused(start, own.clone(), "ResourceInUseException");
    book.refused(stop, own.clone(), "ResourceInUseException");
    book.wait(60.0);
    assert_eq!(summary(book, "s")["EncryptionType"], "KMS");
    assert_eq!(put(book, "s", "k", b"secret")["EncryptionType"], "KMS");
    for operation in [start, stop] {
        let none = json!({"StreamName": "s", "EncryptionType": "NONE", "KeyId": "k"});
        book.refused(operation, none, "InvalidArgumentException");
    }
    book.refused(stop, json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": ""}), "ValidationException");
    for index in 1..25 {
        if index % 4 == 0 {
            book.wait(1.0);
        }
        book.ok(start, own.clone());
        book.wait(60.0);
    }
    let spent = book.refused(start, own.clone(), "LimitExceededException");
    assert!(spent.message.contains("25 times"), "{}", spent.message);
    for _ in 0..25 {
        book.ok(stop, own.clone());
        book.wait(60.0);
    }
    book.refused(stop, own.clone(), "LimitExceededException");
    book.wait(86_400.0);
    book.ok(start, own.clone());
    book.shows("kinesis.control.encryption-budget");
    for operation in [start, stop] {
        absent(book, operation, &json!({"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}));
    }
}

/// A key that stops to work refuses those who write, read and subscribe.
fn key_states(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let input = json!({"StreamName": "s", "EncryptionType": "KMS", "KeyId": KEY});
    let states = [
        (KeyState::Disabled, "KMSDisabledException"),
        (KeyState::PendingDeletion, "KMSInvalidStateException"),
        (KeyState::Denied, "KMSAccessDeniedException"),
        (KeyState::Throttled, "KMSThrottlingException"),
        (KeyState::NotSubscribed, "KMSOptInRequired"),
    ];
    book.refused("kinesis:StartStreamEncryption", input.clone(), "KMSNotFoundException");
    for (state, code) in states {
        book.twin.set_kms_key(KEY, Some(state));
        book.wait(1.0);
        book.refused("kinesis:StartStreamEncryption", input.clone(), code);
    }
    book.twin.set_kms_key(KEY, Some(KeyState::Enabled));
    book.wait(1.0);
    book.ok("kinesis:StartStreamEncryption", input);
    book.wait(60.0);
    let consumer = json!({"StreamARN": arn("s"), "ConsumerName": "c"});
    let consumer = book.ok("kinesis:RegisterStreamConsumer", consumer)["Consumer"]["ConsumerARN"].clone();
    book.wait(60.0);
    let subscribe = json!({"ConsumerARN": consumer, "ShardId": FIRST, "StartingPosition": {"Type": "LATEST"}});
    let records = |key: &str| json!({"StreamName": "s", "Records": [{"PartitionKey": key, "Data": ""}]});
    let refused = |book: &mut Book, code: &str| {
        book.refused("kinesis:PutRecord", super::record("s", "k", b"x"), code);
        book.refused("kinesis:PutRecords", records("k"), code);
        let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
        book.refused("kinesis:GetRecords", json!({"ShardIterator": first}), code);
        book.refused("kinesis:SubscribeToShard", subscribe.clone(), code);
        book.wait(1.0);
    };
    for (state, code) in states {
        book.twin.set_kms_key(KEY, Some(state));
        refused(book, code);
    }
    book.twin.set_kms_key(KEY, Some(KeyState::Enabled));
    put(book, "s", "k", b"again");
    book.twin.set_kms_key(KEY, None);
    refused(book, "KMSNotFoundException");
    book.shows("kinesis.stream.encryption");
}

fn monitoring(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let (on, off) = ("kinesis:EnableEnhancedMonitoring", "kinesis:DisableEnhancedMonitoring");
    let with = |metrics: Value| json!({"StreamName": "s", "ShardLevelMetrics": metrics});
    let answer = book.ok(on, with(json!(["ALL"])));
    assert_eq!(answer["CurrentShardLevelMetrics"], json!([]));
    assert_eq!(answer["DesiredShardLevelMetrics"].as_array().unwrap().len(), 7);
    for operation in [on, off] {
        book.refused(operation, with(json!(["IncomingBytes"])), "ResourceInUseException");
    }
    book.wait(60.0);
    assert_eq!(summary(book, "s")["EnhancedMonitoring"][0]["ShardLevelMetrics"].as_array().unwrap().len(), 7);
    let answer = book.ok(off, with(json!(["IncomingBytes"])));
    assert_eq!(answer["DesiredShardLevelMetrics"].as_array().unwrap().len(), 6);
    book.wait(60.0);
    for operation in [on, off] {
        book.refused(operation, with(json!(["Everything"])), "ValidationException");
        absent(book, operation, &json!({"ShardLevelMetrics": ["ALL"]}));
        rate(book, operation, &with(json!([])), 5);
    }
    book.shows("kinesis.stream.monitoring");
    book.shows("kinesis.control.monitoring-rate");
}

fn record_size(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let size = |kib: u32| json!({"StreamARN": arn("s"), "MaxRecordSizeInKiB": kib});
    let operation = "kinesis:UpdateMaxRecordSize";
    book.refused(operation, size(10_241), "ValidationException");
    book.refused(operation, json!({"MaxRecordSizeInKiB": 2_048}), "InvalidArgumentException");
    book.ok(operation, size(2_048));
    book.refused(operation, size(4_096), "ResourceInUseException");
    book.wait(60.0);
    assert_eq!(summary(book, "s")["MaxRecordSizeInKiB"], 2_048);
    absent(book, operation, &json!({"MaxRecordSizeInKiB": 2_048}));
    rate(book, operation, &size(1), 5);
}

fn tags(book: &mut Book) {
    fresh(book);
    book.ok("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 1, "Tags": {"a": "1"}}));
    let add = |tags: Value| json!({"StreamName": "s", "Tags": tags});
    let tag = |tags: Value| json!({"ResourceARN": arn("s"), "Tags": tags});
    let remove = |keys: Value| json!({"StreamName": "s", "TagKeys": keys});
    let untag = |keys: Value| json!({"ResourceARN": arn("s"), "TagKeys": keys});
    book.refused("kinesis:AddTagsToStream", add(json!({"a": "2"})), "ResourceInUseException");
    book.refused("kinesis:RemoveTagsFromStream", remove(json!(["a"])), "ResourceInUseException");
    book.refused("kinesis:TagResource", tag(json!({"a": "2"})), "ResourceInUseException");
    book.refused("kinesis:UntagResource", untag(json!(["a"])), "ResourceInUseException");
    book.refused("kinesis:ListTagsForResource", json!({"ResourceARN": arn("s")}), "ResourceInUseException");
    book.wait(60.0);
    book.ok("kinesis:AddTagsToStream", add(json!({"a": "2"})));
    book.shows("kinesis.stream.tags-active");
    let listed = book.ok("kinesis:ListTagsForStream", json!({"StreamName": "s"}));
    assert_eq!(listed["Tags"], json!([{"Key": "a", "Value": "2"}]));
    let many: serde_json::Map<_, _> = (0..49).map(|index| (format!("k{index}"), json!("v"))).collect();
    book.ok("kinesis:AddTagsToStream", add(Value::Object(many)));
    let over = book.refused("kinesis:AddTagsToStream", add(json!({"one": "more"})), "LimitExceededException");
    assert!(over.message.contains("50 tags"), "{}", over.message);
    book.shows("kinesis.stream.tags");
    book.ok("kinesis:RemoveTagsFromStream", remove(json!(["k0", "k1"])));
    book.ok("kinesis:TagResource", tag(json!({"b": "3"})));
    book.ok("kinesis:UntagResource", untag(json!(["b"])));
    let consumer = json!({"StreamARN": arn("s"), "ConsumerName": "c", "Tags": {"x": "1"}});
    let consumer = book.ok("kinesis:RegisterStreamConsumer", consumer)["Consumer"]["ConsumerARN"].clone();
    book.wait(60.0);
    book.ok("kinesis:TagResource", json!({"ResourceARN": consumer, "Tags": {"y": "2"}}));
    let listed = book.ok("kinesis:ListTagsForResource", json!({"ResourceARN": consumer}));
    assert_eq!(listed["Tags"].as_array().unwrap().len(), 2);
    book.shows("kinesis.stream.resource-tags");
    book.refused("kinesis:AddTagsToStream", add(json!({})), "ValidationException");
    book.refused("kinesis:RemoveTagsFromStream", remove(json!([])), "ValidationException");
    book.refused("kinesis:TagResource", tag(json!({})), "ValidationException");
    book.refused("kinesis:UntagResource", untag(json!([])), "ValidationException");
    let mine = json!({"ResourceARN": "mine", "Tags": {"a": "1"}, "TagKeys": ["a"]});
    for operation in ["kinesis:TagResource", "kinesis:UntagResource", "kinesis:ListTagsForResource"] {
        book.refused(operation, mine.clone(), "InvalidArgumentException");
    }
    absent(book, "kinesis:AddTagsToStream", &json!({"Tags": {"a": "1"}}));
    absent(book, "kinesis:RemoveTagsFromStream", &json!({"TagKeys": ["a"]}));
    book.wait(1.0);
    let other = json!({"ResourceARN": arn("other"), "Tags": {"a": "1"}, "TagKeys": ["a"]});
    for operation in ["kinesis:TagResource", "kinesis:UntagResource", "kinesis:ListTagsForResource"] {
        book.refused(operation, other.clone(), "ResourceNotFoundException");
        rate(book, operation, &other, 5);
    }
    rate(book, "kinesis:AddTagsToStream", &add(json!({})), 5);
    rate(book, "kinesis:RemoveTagsFromStream", &remove(json!([])), 5);
    rate(book, "kinesis:ListTagsForStream", &json!({"StreamName": "s"}), 5);
    book.shows("kinesis.control.tag-rates");
}

fn policies(book: &mut Book) {
    fresh(book);
    book.ok("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 1}));
    let text = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let of = |arn: &str| json!({"ResourceARN": arn, "Policy": text});
    let operations = ["kinesis:PutResourcePolicy", "kinesis:GetResourcePolicy", "kinesis:DeleteResourcePolicy"];
    for operation in operations {
        book.refused(operation, of(&arn("s")), "ResourceInUseException");
    }
    book.wait(60.0);
    for operation in operations {
        let answer = book.ok(operation, of(&arn("s")));
        assert!(operation != operations[1] || answer["Policy"] == text, "{answer}");
    }
    let wrong = json!({"ResourceARN": arn("s"), "Policy": "{}"});
    book.refused(operations[0], wrong, "InvalidArgumentException");
    for operation in operations {
        book.refused(operation, of(&arn("other")), "ResourceNotFoundException");
        book.refused(operation, of("mine"), "InvalidArgumentException");
        rate(book, operation, &of("mine"), 5);
    }
    book.shows("kinesis.control.policy-rate");
}

fn rates(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let named = json!({"StreamName": "s"});
    rate(book, "kinesis:DescribeStreamSummary", &named, 20);
    book.shows("kinesis.control.summary-rate");
    rate(book, "kinesis:DescribeStream", &named, 10);
    rate(book, "kinesis:ListShards", &named, 1_000);
    book.shows("kinesis.shards.list-rate");
    for operation in ["kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption"] {
        rate(book, operation, &named, 5);
    }
    rate(book, "kinesis:UpdateStreamMode", &json!({"StreamARN": arn("s")}), 5);
}

/// Everything that needs an ACTIVE stream refuses one that is being created.
fn transitions(book: &mut Book) {
    fresh(book);
    book.ok("kinesis:CreateStream", json!({"StreamName": "s", "ShardCount": 1}));
    for operation in ["kinesis:ListShards", "kinesis:ListStreamConsumers", "kinesis:RegisterStreamConsumer"] {
        let input = json!({"StreamARN": arn("s"), "ConsumerName": "c"});
        book.refused(operation, input, "ResourceInUseException");
    }
}

//! What CloudWatch tells of a stream.

use serde_json::{Value, json};

use super::{Book, FIRST, arn, batch, fresh, iterator, put, read, stream};

pub fn script(book: &mut Book) {
    fresh(book);
    stream(book, "s", 1);
    let all = json!({"StreamName": "s", "ShardLevelMetrics": ["ALL"]});
    book.ok("kinesis:EnableEnhancedMonitoring", all);
    let consumer = json!({"StreamARN": arn("s"), "ConsumerName": "c"});
    let consumer = book.ok("kinesis:RegisterStreamConsumer", consumer)["Consumer"]["ConsumerARN"].clone();
    // To the beginning of a minute.
    book.wait((600 - book.now.as_second().rem_euclid(60)) as f64);
    traffic(book, &consumer);
    book.wait(240.0);
    let stream = |name: &str, stat: &'static str| (name.to_owned(), stat, vec![("StreamName", "s")]);
    let expect = |book: &mut Book, (name, stat, dimensions): (String, &str, Vec<(&str, &str)>), value: f64| {
        let got = metric(book, &name, stat, &dimensions);
        assert_eq!(got, Some(value), "{name} {stat} {dimensions:?}");
    };
    expect(book, stream("IncomingRecords", "Sum"), 1_001.0);
    expect(book, stream("IncomingRecords", "Maximum"), 500.0);
    expect(book, stream("IncomingBytes", "Sum"), 10_010.0);
    book.shows("kinesis.metrics.incoming");
    book.shows("kinesis.metrics.minute");
    expect(book, stream("WriteProvisionedThroughputExceeded", "Sum"), 501.0);
    book.shows("kinesis.metrics.write-exceeded");
    expect(book, stream("ReadProvisionedThroughputExceeded", "Sum"), 1.0);
    book.shows("kinesis.metrics.read-exceeded");
    expect(book, stream("GetRecords.IteratorAgeMilliseconds", "Maximum"), 4_000.0);
    book.shows("kinesis.metrics.iterator-age");
    expect(book, stream("GetRecords.Records", "Sum"), 1_002.0);
    expect(book, stream("GetRecords.Bytes", "Maximum"), 10_000.0);
    expect(book, stream("GetRecords.Success", "SampleCount"), 6.0);
    assert!(metric(book, "GetRecords.Latency", "Average", &[("StreamName", "s")]).is_some());
    book.shows("kinesis.metrics.get-records");
    expect(book, stream("PutRecord.Success", "Sum"), 1.0);
    expect(book, stream("PutRecord.Success", "SampleCount"), 2.0);
    expect(book, stream("PutRecord.Bytes", "Sum"), 10.0);
    assert!(metric(book, "PutRecord.Latency", "Average", &[("StreamName", "s")]).is_some());
    book.shows("kinesis.metrics.put-record");
    expect(book, stream("PutRecords.Success", "Sum"), 2.0);
    expect(book, stream("PutRecords.Success", "SampleCount"), 3.0);
    expect(book, stream("PutRecords.Bytes", "Sum"), 10_000.0);
    book.shows("kinesis.metrics.put-records");
    expect(book, stream("PutRecords.TotalRecords", "Sum"), 1_500.0);
    expect(book, stream("PutRecords.SuccessfulRecords", "Sum"), 1_000.0);
    expect(book, stream("PutRecords.ThrottledRecords", "Sum"), 500.0);
    expect(book, stream("PutRecords.FailedRecords", "Sum"), 0.0);
    book.shows("kinesis.metrics.put-records-parts");
    let of_consumer = vec![("ConsumerName", "c"), ("StreamName", "s")];
    expect(book, ("SubscribeToShard.Success".to_owned(), "Sum", of_consumer.clone()), 1.0);
    expect(book, ("SubscribeToShard.RateExceeded".to_owned(), "Sum", of_consumer.clone()), 1.0);
    book.shows("kinesis.metrics.subscribe");
    expect(book, ("SubscribeToShardEvent.Records".to_owned(), "Sum", of_consumer.clone()), 1_001.0);
    expect(book, ("SubscribeToShardEvent.Bytes".to_owned(), "Sum", of_consumer.clone()), 10_010.0);
    expect(book, ("SubscribeToShardEvent.MillisBehindLatest".to_owned(), "Maximum", of_consumer), 0.0);
    book.shows("kinesis.metrics.subscribe-event");
    let of_shard = vec![("ShardId", FIRST), ("StreamName", "s")];
    for (name, value) in [
        ("IncomingRecords", 1_001.0),
        ("IncomingBytes", 10_010.0),
        ("OutgoingRecords", 2_003.0),
        ("OutgoingBytes", 20_030.0),
        ("WriteProvisionedThroughputExceeded", 501.0),
        ("ReadProvisionedThroughputExceeded", 1.0),
    ] {
        expect(book, (name.to_owned(), "Sum", of_shard.clone()), value);
    }
    expect(book, ("IteratorAgeMilliseconds".to_owned(), "Maximum", of_shard), 4_000.0);
    assert_eq!(metric(book, "OutgoingRecords", "Sum", &[("StreamName", "s")]), None);
    book.shows("kinesis.metrics.shard-level");
    book.shows("kinesis.metrics.dimensions");
}

/// One minute of puts and reads, each of ten bytes.
fn traffic(book: &mut Book, consumer: &Value) {
    for _ in 0..3 {
        book.ok("kinesis:PutRecords", batch("s", 500, 10));
    }
    book.send("kinesis:PutRecord", &super::record("s", "k00000", b"full")).unwrap_err();
    book.wait(4.0);
    put(book, "s", "k00000", b"last");
    let first = iterator(book, "s", FIRST, "TRIM_HORIZON");
    let answer = book.ok("kinesis:GetRecords", json!({"ShardIterator": first, "Limit": 1_000}));
    let next = read(book, &answer["NextShardIterator"]);
    book.ok("kinesis:GetRecords", json!({"ShardIterator": first, "Limit": 1}));
    for _ in 0..2 {
        read(book, &next["NextShardIterator"]);
    }
    book.send("kinesis:GetRecords", &json!({"ShardIterator": first})).unwrap_err();
    let subscribe = json!({"ConsumerARN": consumer, "ShardId": FIRST, "StartingPosition": {"Type": "TRIM_HORIZON"}});
    let id = book.ok("kinesis:SubscribeToShard", subscribe.clone())["__subscription"].as_u64().unwrap();
    book.send("kinesis:SubscribeToShard", &subscribe).unwrap_err();
    book.wait(1.0);
    let now = book.now;
    assert!(!book.twin.subscription_events(now, id).events.is_empty());
}

fn metric(book: &mut Book, name: &str, stat: &str, dimensions: &[(&str, &str)]) -> Option<f64> {
    let dimensions: Vec<Value> = dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
    let now = book.now.as_second();
    let query = json!({
        "StartTime": now - now.rem_euclid(600) - 600, "EndTime": now,
        "MetricDataQueries": [{"Id": "m", "MetricStat": {
            "Metric": {"Namespace": "AWS/Kinesis", "MetricName": name, "Dimensions": dimensions},
            "Period": 60, "Stat": stat,
        }}],
    });
    let answer = book.send("cloudwatch:GetMetricData", &query).unwrap();
    let values = answer["MetricDataResults"][0]["Values"].as_array().unwrap().clone();
    values.last().and_then(Value::as_f64)
}

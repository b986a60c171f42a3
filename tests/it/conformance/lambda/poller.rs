//! What the poller does, read off its metrics.

use alleycat_operator::twin::world::FunctionModel;
use serde_json::{Value, json};

use super::{
    Book, STREAM, account, events, get, greatest, mapping, points, put, quick, stream, sum, total, update, with,
};

/// Long enough for everything so far to be published.
const PUBLISHED: f64 = 180.0;

pub fn script(book: &mut Book) {
    batches(book);
    payload(book);
    windows(book);
    shards_and_slots(book);
    positions(book);
    pause(book);
    reshard(book);
    throttles(book);
    failures(book);
    giving_up(book);
    destination(book);
    bisect(book);
    partial(book);
    retention(book);
    filtering(book);
    tumbling(book);
    fan_out(book);
    durations(book);
}

/// An account with `f`, the stream `s` and a mapping between them.
fn pipeline(book: &mut Book, model: FunctionModel, settings: Value) -> String {
    account(book, model);
    stream(book, "s", 1);
    mapping(book, settings)
}

fn failing() -> FunctionModel {
    FunctionModel { error_rate: 1.0, ..quick() }
}

fn of(uuid: &str) -> [(&str, &str); 1] {
    [("EventSourceMappingUUID", uuid)]
}

fn batches(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({}));
    book.wait(PUBLISHED);
    let polls = points(book, "PolledEventCount", &of(&uuid), "SampleCount");
    assert!(polls.iter().any(|(_, polls)| (polls - 60.0).abs() < 1.5), "{polls:?}");
    book.shows("lambda.poller.base-rate");
    assert_eq!(events(book, &uuid, "PolledEventCount"), 0);
    book.shows("lambda.metrics.polled");
    assert!(points(book, "Invocations", &[("FunctionName", "f")], "Sum").is_empty());
    assert!(points(book, "IteratorAge", &[("FunctionName", "f")], "Maximum").is_empty());
    book.shows("lambda.metrics.idle");
    assert_eq!(get(book, &uuid)["LastProcessingResult"], "No records processed");
    put(book, 250, b"x");
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), sum(book, "Errors")), (3, 0));
    assert_eq!(events(book, &uuid, "PolledEventCount"), 250);
    book.shows("lambda.poller.batch");
    assert_eq!(total(book, "Invocations", &[]), 3);
    let ages = points(book, "IteratorAge", &[("FunctionName", "f")], "SampleCount");
    assert_eq!(ages.len(), 1);
    assert!((1..=1_100).contains(&greatest(book, "IteratorAge")));
    book.shows("lambda.metrics.iterator-age");
    let other = update(book, &uuid, json!({"MetricsConfig": {"Metrics": []}}));
    assert!(other.get("MetricsConfig").is_none());
    put(book, 1, b"x");
    book.wait(PUBLISHED);
    assert_eq!((events(book, &uuid, "PolledEventCount"), sum(book, "Invocations")), (250, 4));
    book.shows("lambda.metrics.opt-in");
}

fn payload(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({"MaximumBatchingWindowInSeconds": 300, "BatchSize": 1_000}));
    for _ in 0..10 {
        put(book, 1, &vec![b'x'; 1_000_000]);
        book.wait(1.0);
    }
    book.wait(60.0 + PUBLISHED);
    // Four of a megabyte fit into 6 MB of base64; two are left for the window.
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "InvokedEventCount")), (2, 8));
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "InvokedEventCount")), (3, 10));
    book.shows("lambda.poller.payload");
}

fn windows(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({"MaximumBatchingWindowInSeconds": 30}));
    put(book, 10, b"x");
    book.wait(15.0);
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "InvokedEventCount")), (1, 20));
    book.shows("lambda.poller.window");
}

fn shards_and_slots(book: &mut Book) {
    let slow = FunctionModel { startup_ms: 1_500, ..quick() };
    account(book, slow);
    stream(book, "s", 2);
    let uuid = mapping(book, json!({"BatchSize": 10}));
    put(book, 400, b"x");
    book.wait(PUBLISHED);
    assert_eq!((greatest(book, "ConcurrentExecutions"), events(book, &uuid, "InvokedEventCount")), (2, 400));
    // Keys fall on both shards, so no shard's records are a multiple of ten: their batches are not mixed.
    assert!(sum(book, "Invocations") > 40);
    book.shows("lambda.poller.one-shard");
    update(book, &uuid, json!({"ParallelizationFactor": 3}));
    put(book, 400, b"x");
    book.wait(PUBLISHED);
    assert_eq!(greatest(book, "ConcurrentExecutions"), 6);
    assert!(points(book, "ConcurrentExecutions", &[], "Maximum").iter().any(|(_, most)| (most - 6.0).abs() < 0.1));
    let unreserved = points(book, "UnreservedConcurrentExecutions", &[], "Maximum");
    assert!(unreserved.iter().any(|(_, most)| (most - 6.0).abs() < 0.1), "{unreserved:?}");
    book.shows("lambda.metrics.concurrent");
    book.shows("lambda.poller.concurrency");
}

fn positions(book: &mut Book) {
    for (settings, expected, rule) in [
        (json!({}), 30, "trim-horizon"),
        (json!({"StartingPosition": "LATEST"}), 5, "latest"),
        (json!({"StartingPosition": "AT_TIMESTAMP"}), 25, "at-timestamp"),
    ] {
        account(book, quick());
        stream(book, "s", 1);
        put(book, 5, b"x");
        book.wait(10.0);
        let mut settings = settings;
        if rule == "at-timestamp" {
            settings["StartingPositionTimestamp"] = json!(book.now.as_second());
        }
        put(book, 20, b"x");
        let uuid = mapping(book, settings);
        put(book, 5, b"x");
        book.wait(PUBLISHED);
        assert_eq!(events(book, &uuid, "InvokedEventCount"), expected, "{rule}");
        book.shows(&format!("lambda.mapping.{rule}"));
    }
}

fn pause(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({}));
    put(book, 5, b"x");
    book.wait(10.0);
    update(book, &uuid, json!({"Enabled": false}));
    let paused = book.now;
    put(book, 7, b"x");
    book.wait(PUBLISHED + 300.0);
    assert_eq!(events(book, &uuid, "InvokedEventCount"), 5);
    let late = points(book, "PolledEventCount", &of(&uuid), "SampleCount");
    assert!(late.iter().all(|(minute, _)| *minute <= paused.as_second() as f64), "{late:?}");
    book.shows("lambda.metrics.paused");
    update(book, &uuid, json!({"Enabled": true}));
    book.wait(PUBLISHED);
    assert_eq!(events(book, &uuid, "InvokedEventCount"), 12);
    book.shows("lambda.mapping.enabled");
}

fn reshard(book: &mut Book) {
    account(book, FunctionModel { startup_ms: 2_000, ..quick() });
    stream(book, "s", 1);
    let uuid = mapping(book, json!({"StartingPosition": "LATEST", "BatchSize": 1}));
    let reshard = json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"});
    book.ok("kinesis:UpdateShardCount", reshard);
    put(book, 100, b"x");
    book.wait(90.0);
    put(book, 10, b"x");
    // The parent is not drained: still one batch at a time, though there are two open shards.
    book.wait(60.0);
    assert_eq!(events(book, &uuid, "PolledEventCount"), 100);
    book.wait(100.0 + PUBLISHED);
    let waits = points(book, "ConcurrentExecutions", &[("FunctionName", "f")], "Maximum");
    assert!((waits[0].1 - 1.0).abs() < 0.1 && waits.iter().any(|(_, most)| (most - 2.0).abs() < 0.1), "{waits:?}");
    book.shows("lambda.reshard.parents-first");
    assert_eq!(events(book, &uuid, "InvokedEventCount"), 110);
    book.shows("lambda.reshard.children-from-start");
    book.shows("lambda.reshard.discovery");
}

fn throttles(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({"MaximumRetryAttempts": 0, "FunctionName": "f:live"}));
    book.ok("lambda:PutFunctionConcurrency", json!({"FunctionName": "f", "ReservedConcurrentExecutions": 0}));
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    let throttles = sum(book, "Throttles");
    assert!(throttles > 10 && sum(book, "Invocations") == 0 && sum(book, "Errors") == 0);
    book.shows("lambda.concurrency.zero");
    book.shows("lambda.metrics.throttles");
    assert!(events(book, &uuid, "InvokedEventCount") >= throttles * 10);
    book.shows("lambda.metrics.invoked");
    assert!(get(book, &uuid)["LastProcessingResult"].as_str().unwrap().starts_with("PROBLEM"));
    book.ok("lambda:DeleteFunctionConcurrency", json!({"FunctionName": "f"}));
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "DroppedEventCount")), (1, 0));
    book.shows("lambda.poller.throttles");
    book.shows("lambda.metrics.invocations");
    assert_eq!(get(book, &uuid)["LastProcessingResult"], "OK");
    book.shows("lambda.mapping.last-result");
    let alias = [("FunctionName", "f"), ("Resource", "f:live")];
    assert_eq!(total(book, "Invocations", &alias), 1);
    book.shows("lambda.metrics.alias");
}

fn failures(book: &mut Book) {
    let uuid = pipeline(book, failing(), json!({}));
    put(book, 5, b"x");
    book.wait(10.0);
    put(book, 7, b"x");
    book.wait(600.0 + PUBLISHED);
    let invocations = sum(book, "Invocations");
    assert!(invocations > 300 && sum(book, "Errors") == invocations);
    book.shows("lambda.metrics.errors");
    assert_eq!(events(book, &uuid, "InvokedEventCount"), invocations * 5, "never more than the first batch");
    book.shows("lambda.poller.blocked");
    assert_eq!(events(book, &uuid, "FailedInvokeEventCount"), invocations * 5);
    book.shows("lambda.metrics.failed");
    assert_eq!(events(book, &uuid, "DroppedEventCount"), 0);
    book.shows("lambda.poller.forever");
    // One key, ten slots: still one batch at a time.
    let uuid = pipeline(
        book,
        FunctionModel { startup_ms: 900, ..quick() },
        json!({"BatchSize": 1, "ParallelizationFactor": 10}),
    );
    for _ in 0..5 {
        let record = json!({"StreamName": "s", "PartitionKey": "one", "Data": "eA=="});
        book.ok("kinesis:PutRecord", record);
    }
    book.wait(PUBLISHED);
    assert_eq!((events(book, &uuid, "InvokedEventCount"), greatest(book, "ConcurrentExecutions")), (5, 1));
    book.shows("lambda.poller.order");
}

fn giving_up(book: &mut Book) {
    let uuid = pipeline(book, failing(), json!({"MaximumRetryAttempts": 2}));
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "DroppedEventCount")), (3, 10));
    book.shows("lambda.poller.retries");
    let uuid = pipeline(book, failing(), json!({"MaximumRecordAgeInSeconds": 60}));
    put(book, 10, b"x");
    book.wait(30.0);
    assert_eq!(events(book, &uuid, "DroppedEventCount"), 0);
    book.wait(30.0 + PUBLISHED);
    assert_eq!(events(book, &uuid, "DroppedEventCount"), 10);
    let invocations = sum(book, "Invocations");
    assert!((40..70).contains(&invocations), "{invocations}");
    book.shows("lambda.poller.age");
}

fn destination(book: &mut Book) {
    let settings = json!({"MaximumRetryAttempts": 0,
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-2:123456789012:q"}}});
    let uuid = pipeline(book, failing(), settings.clone());
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    assert_eq!(events(book, &uuid, "OnFailureDestinationDeliveredEventCount"), 10);
    assert_eq!((events(book, &uuid, "DroppedEventCount"), sum(book, "DestinationDeliveryFailures")), (0, 0));
    book.shows("lambda.metrics.delivered");
    let uuid = pipeline(book, FunctionModel { destination_error_rate: 1.0, ..failing() }, settings);
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    assert_eq!(events(book, &uuid, "OnFailureDestinationDeliveredEventCount"), 0);
    assert_eq!((events(book, &uuid, "DroppedEventCount"), sum(book, "DestinationDeliveryFailures")), (10, 1));
    book.shows("lambda.metrics.destination");
}

fn bisect(book: &mut Book) {
    let poison = FunctionModel { poison_every: 16, ..quick() };
    let settings = json!({"BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 0});
    let uuid = pipeline(book, poison, settings);
    put(book, 16, b"x");
    book.wait(PUBLISHED);
    assert_eq!(events(book, &uuid, "DroppedEventCount"), 1, "only the bad one");
    assert!(sum(book, "Errors") >= 4, "split until it was alone");
    book.shows("lambda.poller.bisect");
}

fn partial(book: &mut Book) {
    let reporting = FunctionModel { poison_every: 8, partial_batch_response: true, ..quick() };
    let settings = json!({"FunctionResponseTypes": ["ReportBatchItemFailures"], "MaximumRetryAttempts": 1});
    let uuid = pipeline(book, reporting.clone(), settings);
    put(book, 16, b"x");
    book.wait(PUBLISHED);
    // 16, then the nine from the bad one on, twice more.
    assert_eq!((sum(book, "Invocations"), sum(book, "Errors")), (3, 0));
    let (sent, dropped) = (events(book, &uuid, "InvokedEventCount"), events(book, &uuid, "DroppedEventCount"));
    assert_eq!((sent, dropped), (16 + 9 + 9, 9));
    book.shows("lambda.poller.partial");
    let uuid = pipeline(book, reporting, json!({}));
    put(book, 16, b"x");
    book.wait(PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "InvokedEventCount")), (1, 16));
    book.shows("lambda.poller.partial-ignored");
}

fn retention(book: &mut Book) {
    let uuid = pipeline(book, failing(), json!({}));
    put(book, 10, b"x");
    book.wait(25.0 * 3_600.0);
    let before = book.now;
    book.wait(600.0);
    let tries = points(book, "Invocations", &[("FunctionName", "f")], "Sum");
    assert!(tries.iter().all(|(minute, _)| *minute < before.as_second() as f64 - 3_000.0), "{:?}", tries.last());
    assert_eq!(events(book, &uuid, "DroppedEventCount"), 0);
    book.shows("lambda.metrics.dropped");
}

fn filtering(book: &mut Book) {
    let pattern = r#"{"data":{"race":["a"]}}"#;
    let uuid = pipeline(book, quick(), json!({"FilterCriteria": {"Filters": [{ "Pattern": pattern }]}}));
    put(book, 10, br#"{"race":"a"}"#);
    put(book, 20, br#"{"race":"b"}"#);
    book.wait(PUBLISHED);
    assert_eq!(events(book, &uuid, "FilteredOutEventCount"), 20);
    book.shows("lambda.metrics.filtered");
    assert_eq!((events(book, &uuid, "InvokedEventCount"), sum(book, "Invocations")), (10, 1));
    book.shows("lambda.poller.filtered");
    put(book, 5, b"race a");
    book.wait(PUBLISHED);
    assert_eq!((events(book, &uuid, "FilteredOutEventCount"), sum(book, "Invocations")), (25, 1));
    book.shows("lambda.poller.not-json");
}

fn tumbling(book: &mut Book) {
    let uuid = pipeline(book, quick(), json!({"TumblingWindowInSeconds": 60}));
    put(book, 10, b"x");
    book.wait(60.0 + PUBLISHED);
    assert_eq!((sum(book, "Invocations"), events(book, &uuid, "InvokedEventCount")), (2, 10));
    book.shows("lambda.poller.tumbling");
    pipeline(book, quick(), json!({"TumblingWindowInSeconds": 900}));
    put(book, 10, b"x");
    book.wait(PUBLISHED);
    assert_eq!(sum(book, "Invocations"), 1);
    let reshard = json!({"StreamName": "s", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"});
    book.ok("kinesis:UpdateShardCount", reshard);
    book.wait(90.0 + PUBLISHED);
    assert_eq!(sum(book, "Invocations"), 2);
    book.shows("lambda.reshard.windows");
}

fn fan_out(book: &mut Book) {
    account(book, quick());
    stream(book, "s", 1);
    let consumer = book.ok("kinesis:RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "c"}));
    book.wait(30.0);
    let uuid = mapping(book, json!({"EventSourceArn": consumer["Consumer"]["ConsumerARN"]}));
    for _ in 0..20 {
        put(book, 1, b"x");
        book.wait(1.37);
    }
    book.wait(PUBLISHED);
    assert_eq!((events(book, &uuid, "InvokedEventCount"), greatest(book, "IteratorAge")), (20, 70));
    book.shows("lambda.poller.fan-out");
}

fn durations(book: &mut Book) {
    let long = FunctionModel { startup_ms: 150_000, timeout_seconds: 900, ..quick() };
    pipeline(book, long, json!({}));
    put(book, 1, b"x");
    let began = book.now;
    book.wait(145.0);
    assert!(points(book, "Invocations", &[("FunctionName", "f")], "Sum").is_empty());
    book.wait(PUBLISHED);
    let found = points(book, "Invocations", &[("FunctionName", "f")], "Sum");
    assert!(found.len() == 1 && found[0].0 - (began.as_second() as f64) < 60.0, "{found:?}");
    book.shows("lambda.metrics.start");
    let p99 = points(book, "Duration", &[("FunctionName", "f")], "p99");
    assert!((p99[0].1 - 150_000.0).abs() < 2_000.0, "{p99:?}");
    book.shows("lambda.metrics.duration");
    let stuck = FunctionModel { startup_ms: 60_000, ..quick() };
    pipeline(book, stuck, with(json!({}), json!({"MaximumRetryAttempts": 0})));
    put(book, 1, b"x");
    book.wait(PUBLISHED);
    assert_eq!((greatest(book, "Duration"), sum(book, "Errors")), (3_000, 1));
    book.shows("lambda.function.timeout-enforced");
}

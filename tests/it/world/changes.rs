//! What changes with time in a world: functions, readers, failing calls, permissions; and a label beside it.

use std::collections::BTreeMap;

use alleycat_operator::twin::World;
use serde_json::{Value, json};

use super::{
    super::conformance::{answer, request},
    Book, kinesis, lambda,
};

/// 100 records a second to two shards, read by `f`, with more written below.
fn world(more: &str) -> World {
    let text = format!(
        "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: changes\nstart: 2026-03-02T08:00:00Z\n\
         streams: [{{name: events, shards: 2}}]\n\
         producers: [{{kind: rate, stream: events, recordBytes: 200, points: [{{atSeconds: 0, recordsPerSecond: 100}}]}}]\n\
         mappings: [{{stream: events, function: f, parallelizationFactor: 2}}]\n{more}"
    );
    World::parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

fn after(more: &str, minutes: u32) -> Book {
    let mut book = Book::default();
    book.account(world(more));
    book.wait(f64::from(minutes) * 60.0);
    book.twin.plane().check().unwrap();
    book
}

fn mapping(book: &mut Book) -> Value {
    book.ok("lambda:ListEventSourceMappings", json!({}))["EventSourceMappings"][0].clone()
}

#[test]
fn a_function_is_slow_in_its_phase_only() {
    let phases = "phases: [{fromSeconds: 600, toSeconds: 1200, perRecordUs: 8000}]";
    let mut book =
        after(&format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256, perRecordUs: 100, {phases}}}}}"), 40);
    let longest = lambda(&mut book, "f", "Duration", "Maximum");
    assert!((1..10).chain(25..38).all(|minute| longest[&minute] < 50.0), "{longest:?}");
    assert!((10..20).all(|minute| longest[&minute] > 150.0), "{longest:?}");
}

#[test]
fn a_poison_record_stays_one_when_its_moment_has_passed() {
    // 100 records a second over two shards: of 500 in ten seconds, one in each shard is the 500th.
    let phases = "phases: [{fromSeconds: 600, toSeconds: 610, poisonEvery: 500}]";
    let mut book =
        after(&format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256, perRecordUs: 100, {phases}}}}}"), 30);
    let errors = lambda(&mut book, "f", "Errors", "Sum");
    assert!((1..10).all(|minute| errors[&minute] == 0.0), "{errors:?}");
    assert!((11..28).all(|minute| errors[&minute] > 50.0), "{errors:?}");
    let (invocations, age) =
        (lambda(&mut book, "f", "Invocations", "Sum"), lambda(&mut book, "f", "IteratorAge", "Maximum"));
    assert!((11..22).all(|minute| invocations[&minute] > errors[&minute] + 30.0), "other slots go on: {invocations:?}");
    assert!(age[&25] > 900_000.0, "{age:?}");
}

#[test]
fn half_the_memory_takes_a_processor_bound_function_twice_as_long() {
    let others = "others: [{atSeconds: 600, operation: \"lambda:UpdateFunctionConfiguration\", \
                  input: {FunctionName: f, MemorySize: 1024}}]";
    let function = "timeoutSeconds: 60, memoryMb: 2048, perRecordUs: 4000, cpuBound: true";
    let mut book = after(&format!("functions: {{f: {{{function}}}}}\n{others}"), 20);
    let mean = lambda(&mut book, "f", "Duration", "Average");
    // Above 1,769 MB there is no more than one processor for one thread.
    let ratio = mean[&15] / mean[&5];
    assert!((ratio - 1_769.0 / 1_024.0).abs() < 0.1, "{mean:?}");
    let other = "functions: {f: {timeoutSeconds: 60, memoryMb: 2048, perRecordUs: 4000}}";
    let mean = lambda(&mut after(&format!("{other}\n{others}"), 20), "f", "Duration", "Average");
    assert!((mean[&15] - mean[&5]).abs() < 2.0, "a function that waits is as slow as before: {mean:?}");
}

#[test]
fn a_reader_comes_and_goes() {
    let readers = "externalConsumers: [{stream: events, name: other, fromSeconds: 600, toSeconds: 1200}]";
    let mut book = after(&format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256}}}}\n{readers}"), 32);
    let read = kinesis(&mut book, "GetRecords.Records", "Sum");
    assert!((1..10).chain(21..30).all(|minute| (read[&minute] - 6_000.0).abs() < 600.0), "{read:?}");
    assert!((11..19).all(|minute| (read[&minute] - 12_000.0).abs() < 800.0), "{read:?}");
}

#[test]
fn puts_and_reads_fail_by_their_share() {
    let failures = "streamFailures:\n  - {stream: events, call: put, fromSeconds: 600, toSeconds: 1200, share: 0.3}\n  \
                    - {stream: events, call: get, fromSeconds: 600, toSeconds: 1200, share: 0.5}";
    let mut book = after(&format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256}}}}\n{failures}"), 32);
    let (puts, gets) =
        (kinesis(&mut book, "PutRecord.Success", "Average"), kinesis(&mut book, "GetRecords.Success", "Average"));
    let taken = kinesis(&mut book, "IncomingRecords", "Sum");
    let all = |value: f64| value > 0.999_999;
    assert!((1..10).chain(21..30).all(|minute| all(puts[&minute]) && all(gets[&minute])), "{puts:?} {gets:?}");
    assert!((10..20).all(|minute| (puts[&minute] - 0.7).abs() < 0.01 && (gets[&minute] - 0.5).abs() < 0.02));
    assert!((taken[&15] - 4_200.0).abs() < 10.0, "{taken:?}");
    let totals = &book.twin.plane().totals().streams["events"];
    assert_eq!((totals.failed, totals.rejected), (18_000, 0));
}

#[test]
fn a_role_without_the_right_to_read_stops_the_mapping_and_says_so() {
    let phases = "phases: [{fromSeconds: 600, toSeconds: 1200, readDenied: true}]";
    let function = format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256, {phases}}}}}");
    let mut book = after(&function, 15);
    let result = mapping(&mut book)["LastProcessingResult"].as_str().unwrap().to_owned();
    assert!(result.starts_with("PROBLEM: Cannot access stream"), "{result}");
    book.wait(900.0);
    assert_eq!(mapping(&mut book)["LastProcessingResult"], "OK");
    let (success, invocations) =
        (kinesis(&mut book, "GetRecords.Success", "Average"), lambda(&mut book, "f", "Invocations", "Sum"));
    assert!((11..19).all(|minute| success[&minute] == 0.0 && !invocations.contains_key(&minute)), "{invocations:?}");
}

#[test]
fn what_exists_from_the_start_has_the_settings_that_are_written() {
    let mut book = after(
        "functions: {f: {timeoutSeconds: 60, memoryMb: 256}}\n\
         tables:\n  - {name: orders, writeCapacity: 20, readCapacity: 5, globalSecondaryIndexes: [{name: byDay, \
         partitionKey: day, writeCapacity: 7}]}\n  - {name: capped, onDemandMaximumWrite: 300}",
        1,
    );
    let table =
        |book: &mut Book, name: &str| book.ok("dynamodb:DescribeTable", json!({"TableName": name}))["Table"].clone();
    let orders = table(&mut book, "orders");
    assert_eq!(orders["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"], 7);
    assert_eq!(table(&mut book, "capped")["OnDemandThroughput"]["MaxWriteRequestUnits"], 300);
    let text = "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: w\nstart: 2026-03-02T08:00:00Z\n\
                streams: [{name: events, shards: 1, retentionHours: 48, shardLevelMetrics: [IncomingRecords]}]\n\
                functions: {f: {timeoutSeconds: 60, memoryMb: 256}}\n\
                mappings: [{stream: events, function: f, settings: {Enabled: false, MaximumRetryAttempts: 3}}]\n";
    let mut book = Book::default();
    book.account(World::parse(text).unwrap());
    let summary = book.ok("kinesis:DescribeStreamSummary", json!({"StreamName": "events"}));
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!((&summary["RetentionPeriodHours"], &summary["StreamStatus"]), (&json!(48), &json!("ACTIVE")));
    assert_eq!(summary["EnhancedMonitoring"][0]["ShardLevelMetrics"], json!(["IncomingRecords"]));
    let mapping = mapping(&mut book);
    assert_eq!((&mapping["State"], &mapping["MaximumRetryAttempts"]), (&json!("Disabled"), &json!(3)));
}

#[test]
fn a_label_changes_nothing_and_its_patch_makes_the_world_healthy() {
    let functions = "functions: {f: {timeoutSeconds: 60, memoryMb: 256, phases: [{fromSeconds: 60, errorRate: 1.0}]}}";
    let label = "incident: {spec: logs, minutes: 50, causes: [{cause: functionFails, resource: mapping/f}], \
                 without: {functions: {f: {phases: null}}}}";
    let labelled = world(&format!("{functions}\n{label}"));
    let play = |world: World| {
        let mut book = Book::default();
        book.account(world);
        book.wait(300.0);
        BTreeMap::from([("f", lambda(&mut book, "f", "Errors", "Sum"))])
    };
    let incident = labelled.incident.clone().unwrap();
    let healthy = incident.world_without(&labelled).unwrap();
    assert!(healthy.incident.is_none() && healthy.functions["f"].phases.is_empty());
    assert!(play(healthy)["f"].values().all(|errors| *errors == 0.0));
    assert_eq!(play(labelled), play(world(functions)));
    let wrong = format!("{functions}\n{}", label.replace("{functions: {f: {phases: null}}}", "{producers: 3}"));
    let text = serde_json::to_string(&wrong).unwrap();
    assert!(World::parse(&text).is_err());
}

#[test]
fn records_are_written_many_at_a_time_and_a_sparse_index_holds_some() {
    let tables = "tables: [{name: items, writeCapacity: 200, readCapacity: 1, globalSecondaryIndexes: [{name: byDay, \
                  partitionKey: day, writeCapacity: 60}]}]";
    let access = "tables: [{table: items, per: record, latencyMs: 5, recordsPerRequest: 25, operations: [{kind: put, key: k, \
                  keyPerRecord: true, itemBytes: 512, indexPercent: {byDay: 30}}]}]";
    let function = format!("functions: {{f: {{timeoutSeconds: 60, memoryMb: 256, {access}}}}}\n{tables}");
    let mut book = after(&function, 12);
    let consumed = |book: &mut Book, dimensions: &[(&str, &str)]| {
        let dimensions: Vec<Value> =
            dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
        let (start, end) = (book.twin.world().start.as_second() + 300, book.twin.world().start.as_second() + 600);
        let answer = book.ok(
            "cloudwatch:GetMetricData",
            json!({"StartTime": start, "EndTime": end, "MetricDataQueries": [{"Id": "m", "MetricStat": {"Period": 300,
                "Stat": "Sum", "Metric": {"Namespace": "AWS/DynamoDB", "MetricName": "ConsumedWriteCapacityUnits",
                "Dimensions": dimensions}}}]}),
        );
        let value = answer["MetricDataResults"][0]["Values"][0].as_f64();
        value.unwrap_or_else(|| panic!("{answer}"))
    };
    let table = consumed(&mut book, &[("TableName", "items")]);
    let index = consumed(&mut book, &[("TableName", "items"), ("GlobalSecondaryIndexName", "byDay")]);
    assert!((table - 30_000.0).abs() < 300.0, "100 records a second for 300 s: {table}");
    assert!((index / table - 0.3).abs() < 1e-6, "{index} of {table}");
    let totals = &book.twin.plane().totals().tables["items"];
    assert_eq!(totals.offered, totals.requests + totals.throttled_requests);
}

#[test]
fn calls_of_the_day_before_count_and_a_reshard_may_end_short() {
    let text = "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: w\nstart: 2026-03-02T08:00:00Z\n\
                streams: [{name: s, shards: 10, reshardsMinutesAgo: [10, 20, 30, 40, 50, 60, 70, 1500]}]\n\
                faults: [{operation: \"kinesis:UpdateShardCount\", calls: [1], effect: {kind: endsShort, percent: 50}}]";
    let mut book = Book::default();
    book.account(World::parse(text).unwrap());
    let reshard = |book: &mut Book, target: u32| {
        let input = json!({"StreamName": "s", "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        let request = request("kinesis:UpdateShardCount", &input);
        let answer = answer(&book.twin.serve(book.now, &request).unwrap());
        book.wait(300.0);
        let live = book.ok("kinesis:DescribeStreamSummary", json!({"StreamName": "s"}));
        (answer.is_ok(), live["StreamDescriptionSummary"]["OpenShardCount"].as_u64().unwrap())
    };
    assert_eq!(reshard(&mut book, 20), (true, 15), "half the way");
    assert_eq!(reshard(&mut book, 20), (true, 20));
    assert_eq!(reshard(&mut book, 30), (true, 30), "the call of 25 h ago counts no more");
    assert_eq!(reshard(&mut book, 40), (false, 30), "seven before and three now");
}

#[test]
fn a_trace_is_cut_and_its_rows_are_joined() {
    let text = "apiVersion: alleycat.dev/v1alpha1\nkind: World\nname: w\nstart: 2026-03-02T08:00:00Z\n\
                streams: [{name: events, shards: 2}]\nproducers: [{kind: trace, stream: events, recordBytes: 200, file: a.csv, \
                skipRows: 1, takeRows: 3, ramp: true, secondsPerRow: 600, peakRecordsPerSecond: 100}]";
    let world = World::load(text, |_| Ok("t_s,rate\n0,900\n1,0\n2,10\n3,10\n4,800\n".to_owned())).unwrap();
    let mut book = Book::default();
    book.account(world);
    book.wait(2_000.0);
    let incoming = kinesis(&mut book, "IncomingRecords", "Sum");
    assert!((incoming[&5] - 3_300.0).abs() < 30.0, "half way up: {incoming:?}");
    assert!((20..30).all(|minute| (incoming[&minute] - 6_000.0).abs() < 30.0), "{incoming:?}");
    assert!((31..33).all(|minute| incoming.get(&minute).is_none_or(|sum| *sum == 0.0)), "{incoming:?}");
}

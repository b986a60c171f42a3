//! Event source mappings: what they take, their states, their list.

use serde_json::{Value, json};

use super::{Book, STREAM, account, get, mapping, quick, stream, update, with};

const INVALID: &str = "InvalidParameterValueException";
const MISSING: &str = "ResourceNotFoundException";
const CREATE: &str = "lambda:CreateEventSourceMapping";
const UPDATE: &str = "lambda:UpdateEventSourceMapping";
const DELETE: &str = "lambda:DeleteEventSourceMapping";

pub fn script(book: &mut Book) {
    account(book, quick());
    stream(book, "s", 1);
    refuse_to_create(book);
    let uuid = defaults_and_states(book);
    ranges(book, &uuid);
    settings(book, &uuid);
    filters(book, &uuid);
    sources_and_functions(book, &uuid);
    list(book, &uuid);
    delete(book, &uuid);
}

fn request(more: Value) -> Value {
    with(json!({"FunctionName": "f", "EventSourceArn": STREAM, "StartingPosition": "LATEST"}), more)
}

fn refuse_to_create(book: &mut Book) {
    for wrong in [json!({"StartingPosition": null}), json!({"StartingPosition": "AT_TIMESTAMP"})] {
        book.refused(CREATE, request(wrong), INVALID);
    }
    book.refused(CREATE, request(json!({"StartingPosition": "NEWEST"})), "ValidationException");
    book.shows("lambda.mapping.starting-position");
    let now = book.now.as_second();
    for (position, at) in [("AT_TIMESTAMP", now + 60), ("LATEST", now - 60)] {
        let wrong = json!({"StartingPosition": position, "StartingPositionTimestamp": at});
        book.refused(CREATE, request(wrong), INVALID);
    }
    book.shows("lambda.mapping.timestamp");
    book.refused(CREATE, request(json!({"EventSourceArn": format!("{STREAM}x")})), INVALID);
    book.refused(CREATE, request(json!({"EventSourceArn": "arn:aws:sqs:us-east-2:123456789012:q"})), INVALID);
    book.refused(CREATE, request(json!({"FunctionName": "none"})), MISSING);
    for member in ["ProvisionedPollerConfig", "ScalingConfig", "LoggingConfig"] {
        book.refused(CREATE, request(json!({member: {}})), INVALID);
    }
    book.shows("lambda.mapping.others");
}

fn state(book: &mut Book, uuid: &str) -> String {
    get(book, uuid)["State"].as_str().unwrap().to_owned()
}

fn defaults_and_states(book: &mut Book) -> String {
    let created = book.ok(CREATE, request(json!({"Tags": {"a": "1"}})));
    let uuid = created["UUID"].as_str().unwrap().to_owned();
    assert_eq!(created["State"], "Creating");
    for (member, value) in [
        ("BatchSize", json!(100)),
        ("MaximumBatchingWindowInSeconds", json!(0)),
        ("ParallelizationFactor", json!(1)),
        ("MaximumRetryAttempts", json!(-1)),
        ("MaximumRecordAgeInSeconds", json!(-1)),
        ("TumblingWindowInSeconds", json!(0)),
        ("BisectBatchOnFunctionError", json!(false)),
        ("FunctionResponseTypes", json!([])),
        ("LastProcessingResult", json!("No records processed")),
    ] {
        assert_eq!(created[member], value, "{member}");
    }
    book.shows("lambda.mapping.no-window-needed");
    book.wait(1.0);
    assert_eq!(state(book, &uuid), "Creating");
    book.shows("lambda.mapping.slow-create");
    let refused = book.refused(UPDATE, json!({"UUID": uuid, "BatchSize": 5}), "ResourceInUseException");
    assert!(refused.message.contains("because it is in use"), "{}", refused.message);
    book.refused(DELETE, json!({"UUID": uuid}), "ResourceInUseException");
    book.shows("lambda.mapping.in-use");
    let refused = book.refused(CREATE, request(json!({})), "ResourceConflictException");
    assert!(refused.status == 409 && refused.message.ends_with(&uuid), "{}", refused.message);
    book.shows("lambda.mapping.duplicate");
    book.wait(60.0);
    assert_eq!(state(book, &uuid), "Enabled");
    let old = book.ok(UPDATE, json!({"UUID": uuid, "BatchSize": 7, "BisectBatchOnFunctionError": true}));
    assert_eq!((&old["State"], &old["BatchSize"]), (&json!("Updating"), &json!(100)));
    book.wait(60.0);
    let new = get(book, &uuid);
    assert_eq!((&new["State"], &new["BatchSize"]), (&json!("Enabled"), &json!(7)));
    book.shows("lambda.mapping.asynchronous");
    assert_eq!(new["BisectBatchOnFunctionError"], true);
    book.shows("lambda.mapping.bisect");
    assert_eq!(new["MaximumRetryAttempts"], -1);
    book.shows("lambda.mapping.omitted");
    for (enabled, passing, settled) in [(false, "Disabling", "Disabled"), (true, "Enabling", "Enabled")] {
        assert_eq!(book.ok(UPDATE, json!({"UUID": uuid, "Enabled": enabled}))["State"], passing);
        book.wait(60.0);
        assert_eq!(state(book, &uuid), settled);
    }
    let arn = created["EventSourceMappingArn"].as_str().unwrap().to_owned();
    assert_eq!(arn, format!("arn:aws:lambda:us-east-2:123456789012:event-source-mapping:{uuid}"));
    book.ok("lambda:TagResource", json!({"Resource": arn, "Tags": {"b": "2"}}));
    book.ok("lambda:UntagResource", json!({"Resource": arn, "TagKeys": ["a"]}));
    assert_eq!(book.ok("lambda:ListTags", json!({"Resource": arn}))["Tags"], json!({"b": "2"}));
    book.shows("lambda.mapping.arn");
    uuid
}

fn ranges(book: &mut Book, uuid: &str) {
    for (member, low, high, rule) in [
        ("BatchSize", 1, 10_000, "batch-size"),
        ("MaximumBatchingWindowInSeconds", 0, 300, "window"),
        ("ParallelizationFactor", 1, 10, "factor"),
        ("MaximumRetryAttempts", -1, 10_000, "retries"),
        ("MaximumRecordAgeInSeconds", 60, 604_800, "age"),
        ("TumblingWindowInSeconds", 0, 900, "tumbling"),
    ] {
        for value in [low, high] {
            assert_eq!(update(book, uuid, json!({member: value}))[member], value);
        }
        let below = if rule == "age" { INVALID } else { "ValidationException" };
        book.refused(UPDATE, json!({"UUID": uuid, member: low - 1}), below);
        book.refused(UPDATE, json!({"UUID": uuid, member: high + 1}), "ValidationException");
        book.shows(&format!("lambda.mapping.{rule}"));
    }
    update(book, uuid, json!({"TumblingWindowInSeconds": 0, "MaximumRecordAgeInSeconds": -1}));
}

fn settings(book: &mut Book, uuid: &str) {
    let target = |arn: &str| json!({"DestinationConfig": {"OnFailure": {"Destination": arn}}});
    for arn in ["arn:aws:sqs:us-east-2:123456789012:q", "arn:aws:sns:us-east-2:123456789012:t", "arn:aws:s3:::b"] {
        let found = update(book, uuid, target(arn));
        assert_eq!(found["DestinationConfig"]["OnFailure"]["Destination"], arn);
    }
    for wrong in ["arn:aws:sqs:us-east-2:123456789012:q.fifo", "arn:aws:dynamodb:us-east-2:123456789012:t", "q"] {
        book.refused(UPDATE, with(json!({ "UUID": uuid }), target(wrong)), INVALID);
    }
    assert!(update(book, uuid, target(""))["DestinationConfig"]["OnFailure"].get("Destination").is_none());
    book.shows("lambda.mapping.destination");
    let types = |types: Value| json!({ "FunctionResponseTypes": types });
    let reports = json!(["ReportBatchItemFailures"]);
    assert_eq!(update(book, uuid, types(reports.clone()))["FunctionResponseTypes"], reports);
    assert_eq!(update(book, uuid, types(json!([])))["FunctionResponseTypes"], json!([]));
    book.refused(UPDATE, with(json!({ "UUID": uuid }), types(json!(["Other"]))), "ValidationException");
    book.shows("lambda.mapping.response-types");
    let metrics = |metrics: Value| json!({"MetricsConfig": {"Metrics": metrics}});
    assert_eq!(update(book, uuid, metrics(json!(["EventCount"])))["MetricsConfig"]["Metrics"][0], "EventCount");
    assert!(update(book, uuid, metrics(json!([]))).get("MetricsConfig").is_none());
    book.refused(UPDATE, with(json!({ "UUID": uuid }), metrics(json!(["KafkaMetrics"]))), INVALID);
    book.shows("lambda.mapping.metrics");
}

fn filters(book: &mut Book, uuid: &str) {
    let criteria = |patterns: &[&str]| {
        let filters: Vec<Value> = patterns.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
        json!({"FilterCriteria": {"Filters": filters}})
    };
    let pattern = r#"{"data":{"a":[1]}}"#;
    let found = update(book, uuid, criteria(&[pattern; 5]));
    assert_eq!(found["FilterCriteria"]["Filters"].as_array().unwrap().len(), 5);
    for wrong in [&[pattern; 6][..], &["not JSON"], &[r#"{"data":1}"#], &["[]"]] {
        book.refused(UPDATE, with(json!({ "UUID": uuid }), criteria(wrong)), INVALID);
    }
    assert!(update(book, uuid, json!({"BatchSize": 9})).get("FilterCriteria").is_some());
    let key = "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let found = update(book, uuid, json!({ "KMSKeyArn": key }));
    assert!(found["KMSKeyArn"] == key && found.get("FilterCriteria").is_some());
    let listed = book.ok("lambda:ListEventSourceMappings", json!({}));
    assert!(listed["EventSourceMappings"][0].get("FilterCriteria").is_none());
    book.refused(UPDATE, json!({"UUID": uuid, "KMSKeyArn": "key"}), INVALID);
    book.shows("lambda.mapping.key");
    assert!(update(book, uuid, json!({"FilterCriteria": {}, "KMSKeyArn": ""})).get("FilterCriteria").is_none());
    book.shows("lambda.mapping.filters");
}

fn sources_and_functions(book: &mut Book, uuid: &str) {
    let fixed = json!({"UUID": uuid, "EventSourceArn": "arn:x", "StartingPosition": "TRIM_HORIZON"});
    book.ok(UPDATE, fixed);
    book.wait(60.0);
    let found = get(book, uuid);
    assert_eq!((&found["EventSourceArn"], &found["StartingPosition"]), (&json!(STREAM), &json!("LATEST")));
    book.shows("lambda.mapping.source-fixed");
    let full = "arn:aws:lambda:us-east-2:123456789012:function:f";
    for name in ["f:live", "123456789012:function:f:live", &format!("{full}:live")] {
        assert_eq!(update(book, uuid, json!({ "FunctionName": name }))["FunctionArn"], format!("{full}:live"));
    }
    book.refused(UPDATE, json!({"UUID": uuid, "FunctionName": "f:dead"}), MISSING);
    book.shows("lambda.mapping.function-names");
    // The alias is another function: two mappings, and neither can become the other.
    let other = mapping(book, json!({}));
    book.refused(UPDATE, json!({"UUID": other, "FunctionName": "f:live"}), "ResourceConflictException");
    book.ok(DELETE, json!({ "UUID": other }));
    book.wait(60.0);
    assert_eq!(update(book, uuid, json!({"FunctionName": "f"}))["FunctionArn"], full);
    book.shows("lambda.mapping.function-updatable");
    let consumer = book.ok("kinesis:RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "c"}));
    let arn = consumer["Consumer"]["ConsumerARN"].clone();
    book.refused(CREATE, request(json!({ "EventSourceArn": arn })), INVALID);
    book.wait(60.0);
    let through = book.ok(CREATE, request(json!({ "EventSourceArn": arn })));
    book.shows("lambda.mapping.consumer-active");
    assert_eq!(through["EventSourceArn"], arn);
    book.shows("lambda.mapping.source");
    book.wait(60.0);
    book.ok(DELETE, json!({"UUID": through["UUID"]}));
    book.wait(60.0);
}

fn list(book: &mut Book, uuid: &str) {
    let operation = "lambda:ListEventSourceMappings";
    let count = |answer: &Value| answer["EventSourceMappings"].as_array().unwrap().len();
    for index in 0..101 {
        let name = format!("t{index:03}");
        book.ok("kinesis:CreateStream", json!({"StreamName": name, "ShardCount": 1}));
        if index % 5 == 4 {
            book.wait(60.0);
        }
    }
    book.wait(60.0);
    for index in 0..101 {
        let source = format!("arn:aws:kinesis:us-east-2:123456789012:stream/t{index:03}");
        book.ok(CREATE, request(json!({ "EventSourceArn": source, "FunctionName": "f:live" })));
    }
    let page = book.ok(operation, json!({"MaxItems": 1_000}));
    assert_eq!(count(&page), 100);
    let rest = book.ok(operation, json!({"Marker": page["NextMarker"]}));
    assert!(count(&rest) == 2 && rest.get("NextMarker").is_none());
    assert_eq!(count(&book.ok(operation, json!({"MaxItems": 3}))), 3);
    let mine = book.ok(operation, json!({ "EventSourceArn": STREAM }));
    assert!(count(&mine) == 1 && mine["EventSourceMappings"][0]["UUID"] == uuid);
    for name in ["f", "123456789012:function:f", "arn:aws:lambda:us-east-2:123456789012:function:f"] {
        let input = json!({ "FunctionName": name, "EventSourceArn": STREAM });
        assert_eq!(count(&book.ok(operation, input)), 1, "{name}");
        assert_eq!(count(&book.ok(operation, json!({"FunctionName": format!("{name}:live")}))), 100, "{name}");
    }
    book.refused(operation, json!({"FunctionName": "none"}), MISSING);
    book.refused(operation, json!({"Marker": "?"}), INVALID);
    book.refused(operation, json!({"MaxItems": 0}), "ValidationException");
    book.shows("lambda.mapping.list");
}

fn delete(book: &mut Book, uuid: &str) {
    assert_eq!(book.ok(DELETE, json!({ "UUID": uuid }))["State"], "Deleting");
    assert_eq!(state(book, uuid), "Deleting");
    book.shows("lambda.mapping.states");
    book.wait(60.0);
    for operation in ["lambda:GetEventSourceMapping", UPDATE, DELETE] {
        assert_eq!(book.refused(operation, json!({ "UUID": uuid }), MISSING).status, 404);
    }
}

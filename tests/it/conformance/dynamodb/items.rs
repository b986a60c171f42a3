//! Items: what they cost, what refuses them, and the metrics of it.

use serde_json::{Value, json};

use super::{Book, NAME, indexed, metric, on_demand, plain, update, with};

pub fn script(book: &mut Book) {
    values(book);
    costs(book);
    conditions(book);
    provisioned(book);
    index_pressure(book);
    hot_partition(book);
    batches(book);
    on_demand_table(book);
    collection(book);
}

fn item(key: &str, bytes: usize) -> Value {
    // PK, SK and their values and the name "d" are 6 bytes and the key.
    json!({"PK": {"S": key}, "SK": {"S": "-"}, "d": {"S": "x".repeat(bytes.saturating_sub(6 + key.len()))}})
}

fn put(item: Value) -> Value {
    json!({"TableName": NAME, "Item": item, "ReturnConsumedCapacity": "INDEXES"})
}

fn key(key: &str) -> Value {
    json!({"TableName": NAME, "Key": {"PK": {"S": key}, "SK": {"S": "-"}}, "ReturnConsumedCapacity": "TOTAL"})
}

fn consumed(answer: &Value) -> f64 {
    answer["ConsumedCapacity"]["CapacityUnits"].as_f64().unwrap()
}

fn values(book: &mut Book) {
    with(book, plain(NAME, 400, 400));
    for operation in ["PutItem", "GetItem", "DeleteItem"] {
        let none = json!({"TableName": "none", "Item": item("a", 9), "Key": {"PK": {"S": "a"}, "SK": {"S": "-"}}});
        book.refused(&format!("dynamodb:{operation}"), none, "ResourceNotFoundException");
    }
    let mut wrong = |change: Value, says: &str| {
        let mut wrong = item("a", 20);
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = book.refused("dynamodb:PutItem", put(wrong), "ValidationException");
        assert!(refused.message.contains(says), "{}", refused.message);
    };
    wrong(json!({"PK": {"N": "1"}}), "Type mismatch for key PK expected: S actual: N");
    wrong(json!({"PK": {"S": ""}}), "cannot contain an empty string value. Key: PK");
    wrong(json!({"PK": {"S": "x".repeat(2_049)}}), "maximum size limit of2048 bytes");
    wrong(json!({"SK": {"S": "x".repeat(1_025)}}), "size limit of 1024 bytes");
    wrong(json!({"n": {"N": "1".repeat(39)}}), "38 significant digits");
    wrong(json!({"n": {"N": "1e126"}}), "overflow");
    wrong(json!({"n": {"N": "one"}}), "numeric value");
    wrong(json!({"n": {}}), "is empty");
    wrong(json!({"n": {"S": "a", "N": "1"}}), "more than one datatypes");
    wrong(json!({"n": {"SS": ["a", "a"]}}), "duplicates");
    wrong(json!({"n": {"SS": []}}), "may not be empty");
    wrong(json!({"n": {"NULL": false}}), "must have the value of true");
    wrong(json!({"d": {"S": "x".repeat(409_600)}}), "Item size has exceeded");
    let mut deep = json!({"S": "x"});
    for _ in 0..33 {
        deep = json!({"L": [deep]});
    }
    wrong(json!({ "n": deep }), "Nesting Levels");
    book.shows("dynamodb.item.size");
    book.shows("dynamodb.item.keys");
    book.shows("dynamodb.item.number");
    book.shows("dynamodb.item.nesting");
    let missing = book.refused("dynamodb:PutItem", put(json!({"PK": {"S": "a"}})), "ValidationException");
    assert!(missing.message.contains("Missing the key SK in the item"));
    let short = json!({"TableName": NAME, "Key": {"PK": {"S": "a"}}});
    let refused = book.refused("dynamodb:GetItem", short, "ValidationException");
    assert_eq!(refused.message, "The provided key element does not match the schema");
    let errors = metric(book, "UserErrors", &[], 5);
    assert!(errors.is_some_and(|errors| errors >= 15.0), "{errors:?}");
    book.shows("dynamodb.metric.user-errors");
}

fn costs(book: &mut Book) {
    with(book, indexed(NAME, 400, 400));
    let write = |book: &mut Book, item: Value| consumed(&book.ok("dynamodb:PutItem", put(item)));
    assert!((write(book, item("a", 1_024)) - 1.0).abs() < 1e-9);
    assert!((write(book, item("b", 1_025)) - 2.0).abs() < 1e-9);
    book.shows("dynamodb.units.write");
    assert!((write(book, item("b", 20)) - 2.0).abs() < 1e-9);
    book.shows("dynamodb.units.larger");
    write(book, item("big", 9_000));
    let read = |book: &mut Book, consistent: bool| {
        let mut ask = key("big");
        ask["ConsistentRead"] = json!(consistent);
        consumed(&book.ok("dynamodb:GetItem", ask))
    };
    assert!((read(book, true) - 3.0).abs() < 1e-9 && (read(book, false) - 1.5).abs() < 1e-9);
    book.shows("dynamodb.units.read");
    let in_index = |group: &str| json!({"PK": {"S": "g"}, "SK": {"S": "-"}, "G": {"S": group}});
    let of_index = |answer: Value| {
        answer["ConsumedCapacity"]["GlobalSecondaryIndexes"]["by-g"]["CapacityUnits"].as_f64().unwrap_or(0.0)
    };
    assert!((of_index(book.ok("dynamodb:PutItem", put(in_index("one")))) - 1.0).abs() < 1e-9);
    assert!((of_index(book.ok("dynamodb:PutItem", put(in_index("two")))) - 2.0).abs() < 1e-9);
    assert!(of_index(book.ok("dynamodb:PutItem", put(in_index("two")))).abs() < 1e-9);
    book.shows("dynamodb.index.write");
    let mut wrong = in_index("x");
    wrong["G"] = json!({"N": "1"});
    assert!(book.refused("dynamodb:PutItem", put(wrong), "ValidationException").message.contains("IndexName: by-g"));
    // 1 + 2 + 2 + 9 + 3 on the table, 3 on the index.
    let table = metric(book, "ConsumedWriteCapacityUnits", &[("TableName", NAME)], 3);
    let dims = [("TableName", NAME), ("GlobalSecondaryIndexName", "by-g")];
    let index = metric(book, "ConsumedWriteCapacityUnits", &dims, 6);
    assert_eq!((table, index), (Some(17.0), Some(3.0)));
    book.shows("dynamodb.index.excluded");
    book.wait(600.0);
    assert_eq!(metric(book, "ConsumedWriteCapacityUnits", &[("TableName", NAME)], 1), Some(0.0));
    book.shows("dynamodb.metric.consumed");
    let provisioned = metric(book, "ProvisionedWriteCapacityUnits", &[("TableName", NAME)], 2);
    assert!(provisioned.is_some_and(|sum| sum <= 800.0), "one point in five minutes: {provisioned:?}");
    book.shows("dynamodb.metric.provisioned");
    let used = metric(book, "AccountProvisionedWriteCapacityUtilization", &[], 2);
    assert!(used.is_some_and(|percent| percent >= 1.0));
    book.shows("dynamodb.metric.account");
}

fn conditions(book: &mut Book) {
    with(book, plain(NAME, 100, 100));
    let once = |operation: &str, condition: &str, book: &mut Book| {
        let mut input = if operation == "PutItem" { put(item("a", 30)) } else { key("a") };
        input["ConditionExpression"] = json!(condition);
        input["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
        book.send(&format!("dynamodb:{operation}"), &input)
    };
    assert!(once("PutItem", "attribute_not_exists(PK)", book).is_ok());
    let mut input = put(item("a", 30));
    input["ConditionExpression"] = json!("attribute_not_exists(#k)");
    input["ExpressionAttributeNames"] = json!({"#k": "PK"});
    let refused = book.refused("dynamodb:PutItem", input.clone(), "ConditionalCheckFailedException");
    assert_eq!(refused.message, "The conditional request failed");
    let failed = once("PutItem", "attribute_not_exists(PK)", book).unwrap_err();
    assert_eq!(failed.body["Item"]["PK"]["S"], "a");
    let mut delete = key("a");
    delete["ConditionExpression"] = json!("attribute_exists(nothing)");
    book.refused("dynamodb:DeleteItem", delete, "ConditionalCheckFailedException");
    assert_eq!(once("PutItem", "PK = :x", book).unwrap_err().code, "ValidationException");
    input["ExpressionAttributeNames"] = json!({"#k": "PK", "#z": "Z"});
    book.refused("dynamodb:PutItem", input, "ValidationException");
    let mut delete = key("a");
    delete["ReturnValues"] = json!("ALL_OLD");
    assert_eq!(book.ok("dynamodb:DeleteItem", delete)["Attributes"]["PK"]["S"], "a");
    assert_eq!(metric(book, "ConditionalCheckFailedRequests", &[("TableName", NAME)], 1), Some(3.0));
    book.shows("dynamodb.metric.condition");
    // One put, three failed, one deleted.
    assert_eq!(metric(book, "ConsumedWriteCapacityUnits", &[("TableName", NAME)], 6), Some(5.0));
    book.shows("dynamodb.units.condition");
}

fn provisioned(book: &mut Book) {
    with(book, plain(NAME, 2, 2));
    // 600 units of credit: two items of 200 KB use 400, the third goes into debt, the fourth is refused.
    for name in ["a", "b", "c", "d"] {
        if let Err(refused) = book.send("dynamodb:PutItem", &put(item(name, 204_800))) {
            assert_eq!((name, refused.code.as_str()), ("d", "ProvisionedThroughputExceededException"));
        }
    }
    book.shows("dynamodb.burst");
    let refused = book.refused("dynamodb:PutItem", put(item("d", 10)), "ProvisionedThroughputExceededException");
    let reason = &refused.body["ThrottlingReasons"][0];
    assert_eq!(reason["reason"], "TableWriteProvisionedThroughputExceeded");
    assert!(reason["resource"].as_str().unwrap().ends_with(":table/alleycat-races"));
    book.shows("dynamodb.reasons.provisioned");
    book.refused("dynamodb:DeleteItem", key("d"), "ProvisionedThroughputExceededException");
    let mut ask = key("a");
    ask["ConsistentRead"] = json!(true);
    for _ in 0..12 {
        book.ok("dynamodb:GetItem", ask.clone());
    }
    book.refused("dynamodb:GetItem", ask, "ProvisionedThroughputExceededException");
    let on_table = [("TableName", NAME)];
    assert_eq!(metric(book, "WriteProvisionedThroughputThrottleEvents", &on_table, 1), Some(3.0));
    assert_eq!(metric(book, "WriteThrottleEvents", &on_table, 5), Some(3.0));
    assert_eq!(metric(book, "WriteKeyRangeThroughputThrottleEvents", &on_table, 9), None);
    book.shows("dynamodb.metric.causes");
    let puts = [("TableName", NAME), ("Operation", "PutItem")];
    assert_eq!(metric(book, "ThrottledRequests", &puts, 12), Some(2.0));
    assert_eq!(metric(book, "SuccessfulRequestLatency", &puts, 15), Some(15.0));
}

fn index_pressure(book: &mut Book) {
    with(book, indexed(NAME, 1_000, 1));
    let mut big = item("a", 250_000);
    big["G"] = json!({"S": "g"});
    book.ok("dynamodb:PutItem", put(big.clone()));
    big["PK"] = json!({"S": "b"});
    book.ok("dynamodb:PutItem", put(big.clone()));
    big["PK"] = json!({"S": "c"});
    let refused = book.refused("dynamodb:PutItem", put(big), "ProvisionedThroughputExceededException");
    assert_eq!(refused.body["ThrottlingReasons"][0]["reason"], "IndexWriteProvisionedThroughputExceeded");
    book.ok("dynamodb:PutItem", put(item("outside", 20)));
    book.shows("dynamodb.index.back-pressure");
}

fn hot_partition(book: &mut Book) {
    with(book, plain(NAME, 3_000, 3_000));
    for _ in 0..3 {
        book.ok("dynamodb:PutItem", put(item("hot", 409_000)));
    }
    let refused = book.refused("dynamodb:PutItem", put(item("hot", 20)), "ProvisionedThroughputExceededException");
    assert_eq!(refused.body["ThrottlingReasons"][0]["reason"], "TableWriteKeyRangeThroughputExceeded");
    book.shows("dynamodb.reasons.key-range");
    book.ok("dynamodb:PutItem", put(item("other", 20)));
    book.shows("dynamodb.partition.adaptive");
    book.wait(1.0);
    book.ok("dynamodb:PutItem", put(item("hot", 409_000)));
    let mut ask = key("hot");
    ask["ConsistentRead"] = json!(true);
    let served = (0..40).take_while(|_| book.send("dynamodb:GetItem", &ask).is_ok()).count();
    assert_eq!(served, 30, "100 units each of 3,000");
    book.shows("dynamodb.partition.key");
}

fn batches(book: &mut Book) {
    with(book, plain(NAME, 1, 1));
    let batch = |items: &[Value]| {
        let puts: Vec<Value> = items.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        json!({"RequestItems": {NAME: puts}, "ReturnConsumedCapacity": "TOTAL"})
    };
    let many: Vec<Value> = (0..26).map(|n| item(&format!("k{n}"), 20)).collect();
    book.refused("dynamodb:BatchWriteItem", batch(&many), "ValidationException");
    book.refused("dynamodb:BatchWriteItem", batch(&[item("a", 20), item("a", 30)]), "ValidationException");
    book.refused("dynamodb:BatchWriteItem", json!({"RequestItems": {}}), "ValidationException");
    book.shows("dynamodb.batch.limit");
    let none = json!({"RequestItems": {"none": [{"DeleteRequest": {"Key": {"PK": {"S": "a"}}}}]}});
    book.refused("dynamodb:BatchWriteItem", none, "ResourceNotFoundException");
    let answer = book.ok("dynamodb:BatchWriteItem", batch(&many[..25]));
    assert_eq!(answer["ConsumedCapacity"][0]["CapacityUnits"], 25.0);
    assert_eq!(answer["UnprocessedItems"], json!({}));
    book.shows("dynamodb.batch.rounding");
    // 275 units are left: the first of these takes more, the other two come back.
    let large: Vec<Value> = ["x", "y", "z"].iter().map(|name| item(name, 300_000)).collect();
    let answer = book.ok("dynamodb:BatchWriteItem", batch(&large));
    assert_eq!(answer["UnprocessedItems"][NAME].as_array().unwrap().len(), 2);
    book.refused("dynamodb:BatchWriteItem", batch(&large[1..]), "ProvisionedThroughputExceededException");
    book.shows("dynamodb.batch.unprocessed");
    let dims = [("TableName", NAME), ("Operation", "BatchWriteItem")];
    assert_eq!(metric(book, "ThrottledRequests", &dims, 1), Some(1.0));
    assert_eq!(metric(book, "WriteThrottleEvents", &[("TableName", NAME)], 5), Some(4.0));
    book.shows("dynamodb.metric.operation");
}

fn on_demand_table(book: &mut Book) {
    with(book, on_demand(NAME));
    let fill = |book: &mut Book| {
        let name = |n: u32| format!("key-{n}");
        (0..60).find_map(|n| {
            book.send("dynamodb:PutItem", &put(item(&name(n), 100 * 1_024))).err().map(|error| (n, error))
        })
    };
    let (served, refused) = fill(book).unwrap();
    assert_eq!((served, refused.code.as_str()), (40, "ThrottlingException"), "4,000 units of 100 each");
    book.shows("dynamodb.on-demand.fresh");
    let batch = json!({"RequestItems": {NAME: [{"PutRequest": {"Item": item("one", 20)}}]}});
    book.refused("dynamodb:BatchWriteItem", batch.clone(), "ThrottlingException");
    book.refused("dynamodb:PutItem", put(item("one", 20)), "ThrottlingException");
    book.refused("dynamodb:DeleteItem", key("one"), "ThrottlingException");
    book.wait(10.0);
    let most = |read: i64, write: i64| {
        update(json!({"OnDemandThroughput": {"MaxReadRequestUnits": read, "MaxWriteRequestUnits": write}}))
    };
    book.refused("dynamodb:UpdateTable", most(0, 5), "ValidationException");
    book.ok("dynamodb:UpdateTable", most(1, 200));
    let (served, refused) = fill(book).unwrap();
    assert_eq!((served, refused.code.as_str()), (2, "ThrottlingException"));
    assert_eq!(refused.body["ThrottlingReasons"][0]["reason"], "TableWriteMaxOnDemandThroughputExceeded");
    book.ok("dynamodb:GetItem", key("key-1"));
    book.refused("dynamodb:GetItem", key("key-1"), "ThrottlingException");
    book.ok("dynamodb:UpdateTable", most(-1, -1));
    book.ok("dynamodb:GetItem", key("key-1"));
    book.shows("dynamodb.on-demand.maximum");
    // An account whose quota for one table is small.
    book.account(super::world());
    book.twin.assumptions_mut().per_table_maximum = 100;
    book.ok("dynamodb:CreateTable", on_demand(NAME));
    book.wait(10.0);
    book.ok("dynamodb:PutItem", put(item("a", 200_000)));
    let refused = book.refused("dynamodb:PutItem", put(item("b", 20)), "RequestLimitExceeded");
    assert_eq!(refused.body["ThrottlingReasons"][0]["reason"], "TableWriteAccountLimitExceeded");
    book.refused("dynamodb:DeleteItem", key("b"), "RequestLimitExceeded");
    book.refused("dynamodb:BatchWriteItem", batch, "RequestLimitExceeded");
    let mut ask = key("a");
    ask["ConsistentRead"] = json!(true);
    while book.send("dynamodb:GetItem", &ask).is_ok() {}
    book.refused("dynamodb:GetItem", ask, "RequestLimitExceeded");
    book.shows("dynamodb.reasons.on-demand");
}

fn collection(book: &mut Book) {
    book.account(super::world());
    book.twin.assumptions_mut().item_collection_bytes = 1_000;
    let mut table = plain(NAME, 100, 100);
    table["LocalSecondaryIndexes"] = json!([{
        "IndexName": "local", "Projection": {"ProjectionType": "ALL"},
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    }]);
    book.ok("dynamodb:CreateTable", table);
    book.wait(10.0);
    book.ok("dynamodb:PutItem", put(item("a", 900)));
    let mut more = item("a", 900);
    more["SK"] = json!({"S": "2"});
    book.refused("dynamodb:PutItem", put(more.clone()), "ItemCollectionSizeLimitExceededException");
    let batch = json!({"RequestItems": {NAME: [{"PutRequest": {"Item": more}}]}});
    book.refused("dynamodb:BatchWriteItem", batch, "ItemCollectionSizeLimitExceededException");
    book.shows("dynamodb.item.collection");
}

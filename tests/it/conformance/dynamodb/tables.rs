//! The life of tables and indexes, and their limits.

use serde_json::json;

use super::{Book, NAME, described, global, indexed, metric, plain, units, update, with, world};

pub fn script(book: &mut Book) {
    life(book);
    definitions(book);
    indexes(book);
    number_of_tables(book);
}

fn life(book: &mut Book) {
    book.account(world());
    book.refused("dynamodb:DescribeTable", json!({"TableName": NAME}), "ResourceNotFoundException");
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ResourceNotFoundException");
    book.refused(
        "dynamodb:UpdateTable",
        update(json!({"ProvisionedThroughput": units(1, 2)})),
        "ResourceNotFoundException",
    );
    book.ok("dynamodb:CreateTable", plain(NAME, 5, 5));
    assert_eq!(described(book)["TableStatus"], "CREATING");
    book.refused("dynamodb:CreateTable", plain(NAME, 5, 5), "ResourceInUseException");
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ResourceInUseException");
    book.refused("dynamodb:PutItem", json!({"TableName": NAME, "Item": {}}), "ResourceNotFoundException");
    book.wait(10.0);
    assert_eq!(described(book)["TableStatus"], "ACTIVE");
    assert_eq!(described(book)["DeletionProtectionEnabled"], false);
    book.ok("dynamodb:UpdateTable", update(json!({"ProvisionedThroughput": units(6, 6)})));
    assert_eq!(described(book)["TableStatus"], "UPDATING");
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ResourceInUseException");
    book.wait(20.0);
    let both = update(json!({"DeletionProtectionEnabled": true, "ProvisionedThroughput": units(7, 7)}));
    book.refused("dynamodb:UpdateTable", both, "ValidationException");
    book.ok("dynamodb:UpdateTable", update(json!({"DeletionProtectionEnabled": true})));
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ValidationException");
    book.shows("dynamodb.table.protection");
    book.refused("dynamodb:UpdateTable", update(json!({"DeletionProtectionEnabled": false})), "ThrottlingException");
    book.wait(16.0);
    book.ok("dynamodb:UpdateTable", update(json!({"DeletionProtectionEnabled": false})));
    book.shows("dynamodb.table.protection-alone");
    book.ok("dynamodb:DeleteTable", json!({"TableName": NAME}));
    assert_eq!(described(book)["TableStatus"], "DELETING");
    book.ok("dynamodb:DeleteTable", json!({"TableName": NAME}));
    book.shows("dynamodb.table.status");
    book.shows("dynamodb.table.delete");
    book.wait(10.0);
    book.refused("dynamodb:DescribeTable", json!({"TableName": NAME}), "ResourceNotFoundException");
}

fn definitions(book: &mut Book) {
    book.account(world());
    let mut refused = |member: &str, value: serde_json::Value| {
        let mut table = plain(NAME, 5, 5);
        table[member] = value;
        book.refused("dynamodb:CreateTable", table, "ValidationException").message
    };
    assert!(refused("TableName", json!("a b")).contains("regular expression"));
    assert!(refused("TableName", json!("ab")).contains("at least 3 characters"));
    refused("BillingMode", json!("FREE"));
    refused("TableClass", json!("GOLD"));
    refused("KeySchema", json!([{"AttributeName": "PK", "KeyType": "RANGE"}]));
    refused("StreamSpecification", json!({"StreamEnabled": true, "StreamViewType": "ALL"}));
    refused("OnDemandThroughput", json!({"MaxReadRequestUnits": 5}));
    refused("Tags", json!((0..51).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect::<Vec<_>>()));
    let mut table = plain(NAME, 5, 5);
    table["GlobalSecondaryIndexes"] = (0..21).map(|n| global(&format!("index-{n}"), 1, 1)).collect();
    assert!(book.refused("dynamodb:CreateTable", table.clone(), "ValidationException").message.contains("20"));
    table.as_object_mut().unwrap().remove("GlobalSecondaryIndexes");
    let local = |n| {
        json!({
            "IndexName": format!("local-{n}"), "Projection": {"ProjectionType": "ALL"},
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        })
    };
    table["LocalSecondaryIndexes"] = (0..6).map(local).collect();
    assert!(book.refused("dynamodb:CreateTable", table.clone(), "ValidationException").message.contains('5'));
    book.shows("dynamodb.index.limits");
    book.refused("dynamodb:CreateTable", plain(NAME, 1, 0), "ValidationException");
    book.refused("dynamodb:CreateTable", plain(NAME, 1, 40_001), "LimitExceededException");
    book.ok("dynamodb:CreateTable", plain("one", 40_000, 40_000));
    book.ok("dynamodb:CreateTable", plain("two", 40_000, 39_999));
    book.wait(10.0);
    book.refused("dynamodb:CreateTable", plain("three", 1, 1), "LimitExceededException");
    book.shows("dynamodb.table.limits");
}

fn indexes(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    let attributes = json!([{"AttributeName": "G", "AttributeType": "S"}]);
    let create = |name: &str| json!({"Create": global(name, 5, 5)});
    let change = |updates: serde_json::Value| {
        update(json!({"AttributeDefinitions": attributes, "GlobalSecondaryIndexUpdates": updates}))
    };
    book.refused("dynamodb:UpdateTable", change(json!([create("a"), create("b")])), "LimitExceededException");
    book.ok("dynamodb:UpdateTable", change(json!([create("a")])));
    let table = described(book);
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(table["GlobalSecondaryIndexes"][0]["IndexStatus"], "CREATING");
    assert_eq!(table["GlobalSecondaryIndexes"][0]["Backfilling"], true);
    book.shows("dynamodb.index.backfill");
    book.refused("dynamodb:UpdateTable", change(json!([create("b")])), "LimitExceededException");
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ResourceInUseException");
    let progress =
        metric(book, "OnlineIndexPercentageProgress", &[("TableName", NAME), ("GlobalSecondaryIndexName", "a")], 5);
    book.wait(300.0);
    let later =
        metric(book, "OnlineIndexPercentageProgress", &[("TableName", NAME), ("GlobalSecondaryIndexName", "a")], 10);
    assert!(progress.or(later).is_some_and(|sum| sum > 0.0));
    book.shows("dynamodb.metric.build");
    book.ok("dynamodb:UpdateTable", change(json!([{"Delete": {"IndexName": "a"}}])));
    book.refused("dynamodb:UpdateTable", change(json!([create("b")])), "LimitExceededException");
    book.shows("dynamodb.index.one");
    book.wait(10.0);
    assert!(described(book).get("GlobalSecondaryIndexes").is_none());
    book.refused("dynamodb:UpdateTable", change(json!([{"Delete": {"IndexName": "a"}}])), "ValidationException");
    let resize = json!([{"Update": {"IndexName": "a", "ProvisionedThroughput": units(6, 6)}}]);
    book.refused("dynamodb:UpdateTable", change(resize), "ResourceNotFoundException");
    // Two indexes of one name.
    let mut twice = indexed("twice", 5, 5);
    twice["GlobalSecondaryIndexes"] = json!([global("by-g", 1, 1), global("by-g", 1, 1)]);
    book.refused("dynamodb:CreateTable", twice, "ValidationException");
}

fn number_of_tables(book: &mut Book) {
    book.account(world());
    for number in 0..2_500 {
        if number % 500 == 0 {
            book.wait(10.0);
        }
        book.ok("dynamodb:CreateTable", plain(&format!("table-{number:04}"), 1, 1));
        if number == 499 {
            book.refused("dynamodb:CreateTable", plain(NAME, 1, 1), "LimitExceededException");
            let ttl = json!({"Enabled": true, "AttributeName": "t"});
            let ttl = json!({"TableName": "table-0000", "TimeToLiveSpecification": ttl});
            book.refused("dynamodb:UpdateTimeToLive", ttl, "LimitExceededException");
            book.refused("dynamodb:DeleteTable", json!({"TableName": "table-0000"}), "LimitExceededException");
            book.shows("dynamodb.table.in-flight");
        }
    }
    book.wait(10.0);
    let refused = book.refused("dynamodb:CreateTable", plain(NAME, 1, 1), "LimitExceededException");
    assert!(refused.message.contains("2500"), "{}", refused.message);
    book.shows("dynamodb.table.number");
    let first = book.ok("dynamodb:ListTables", json!({}));
    assert_eq!(first["TableNames"].as_array().unwrap().len(), 100);
    assert_eq!(first["LastEvaluatedTableName"], "table-0099");
    let next = json!({"ExclusiveStartTableName": "table-0099", "Limit": 2});
    assert_eq!(book.ok("dynamodb:ListTables", next)["TableNames"], json!(["table-0100", "table-0101"]));
    book.refused("dynamodb:ListTables", json!({"Limit": 101}), "ValidationException");
}

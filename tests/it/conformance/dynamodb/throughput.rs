//! Provisioned throughput, its budgets, billing modes, warm throughput.

use serde_json::{Value, json};

use super::{Book, NAME, described, indexed, on_demand, plain, units, update, with, world};

pub fn script(book: &mut Book) {
    changes(book);
    decreases(book);
    billing(book);
    warm(book);
}

fn set(read: u64, write: u64) -> Value {
    update(json!({"ProvisionedThroughput": units(read, write)}))
}

fn index(write: u64) -> Value {
    json!([{"Update": {"IndexName": "by-g", "ProvisionedThroughput": units(20, write)}}])
}

fn changes(book: &mut Book) {
    with(book, indexed(NAME, 20, 20));
    let both = update(json!({"ProvisionedThroughput": units(20, 40), "GlobalSecondaryIndexUpdates": index(40)}));
    let answer = book.ok("dynamodb:UpdateTable", both);
    assert_eq!(answer["TableDescription"]["ProvisionedThroughput"]["WriteCapacityUnits"], 20);
    let refused = book.refused("dynamodb:UpdateTable", set(20, 50), "ResourceInUseException");
    assert!(refused.message.contains("Table IOPS are currently being updated"), "{}", refused.message);
    book.shows("dynamodb.throughput.one");
    assert_eq!(described(book)["ProvisionedThroughput"]["WriteCapacityUnits"], 20);
    book.wait(20.0);
    let table = described(book);
    assert_eq!(table["ProvisionedThroughput"]["WriteCapacityUnits"], 40);
    book.shows("dynamodb.throughput.later");
    assert_eq!(table["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"], 40);
    book.shows("dynamodb.throughput.together");
    let refused = book.refused("dynamodb:UpdateTable", set(20, 40), "ValidationException");
    assert!(refused.message.starts_with("The provisioned throughput for the table will not change."));
    book.shows("dynamodb.throughput.same");
    let half = update(json!({"ProvisionedThroughput": {"WriteCapacityUnits": 60}}));
    book.refused("dynamodb:UpdateTable", half, "ValidationException");
    book.shows("dynamodb.throughput.both");
    book.refused("dynamodb:UpdateTable", update(json!({})), "ValidationException");
    for write in 41..61 {
        book.ok("dynamodb:UpdateTable", set(20, write));
        book.wait(20.0);
    }
    book.shows("dynamodb.increase.free");
}

fn decreases(book: &mut Book) {
    with(book, indexed(NAME, 100, 100));
    for write in [90, 80, 70, 60] {
        book.ok("dynamodb:UpdateTable", set(20, write));
        book.wait(20.0);
    }
    let throughput = described(book)["ProvisionedThroughput"].clone();
    assert_eq!(throughput["NumberOfDecreasesToday"], 4);
    assert!(throughput["LastDecreaseDateTime"].is_number());
    book.shows("dynamodb.decrease.shown");
    let refused = book.refused("dynamodb:UpdateTable", set(20, 50), "LimitExceededException");
    assert!(refused.message.contains("at most once every 3600 seconds"), "{}", refused.message);
    let both = update(json!({"ProvisionedThroughput": units(20, 50), "GlobalSecondaryIndexUpdates": index(90)}));
    book.refused("dynamodb:UpdateTable", both, "LimitExceededException");
    assert_eq!(described(book)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["NumberOfDecreasesToday"], 0);
    book.ok("dynamodb:UpdateTable", update(json!({"GlobalSecondaryIndexUpdates": index(90)})));
    book.shows("dynamodb.decrease.apart");
    book.wait(3_560.0);
    book.refused("dynamodb:UpdateTable", set(20, 50), "LimitExceededException");
    book.wait(30.0);
    book.ok("dynamodb:UpdateTable", set(20, 50));
    book.wait(20.0);
    assert_eq!(described(book)["ProvisionedThroughput"]["NumberOfDecreasesToday"], 5);
    book.shows("dynamodb.decrease.refused");
    book.shows("dynamodb.decrease.four");
}

fn billing(book: &mut Book) {
    book.account(world());
    let mut bare = plain(NAME, 1, 1);
    bare.as_object_mut().unwrap().remove("ProvisionedThroughput");
    book.refused("dynamodb:CreateTable", bare, "ValidationException");
    with(book, indexed(NAME, 20, 20));
    assert!(described(book).get("BillingModeSummary").is_none());
    book.shows("dynamodb.billing.default");
    book.shows("dynamodb.billing.summary");
    let away = update(json!({"BillingMode": "PAY_PER_REQUEST"}));
    let mut both = update(json!({"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(20, 20)}));
    for turn in 0..4 {
        book.ok("dynamodb:UpdateTable", away.clone());
        book.wait(if turn == 0 { 160.0 } else { 6.0 });
        let table = described(book);
        assert_eq!(table["TableStatus"], "ACTIVE");
        assert_eq!(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(table["ProvisionedThroughput"]["WriteCapacityUnits"], 0);
        if turn == 0 {
            book.refused("dynamodb:UpdateTable", set(20, 20), "ValidationException");
            book.shows("dynamodb.billing.zero");
            book.refused("dynamodb:UpdateTable", update(json!({"BillingMode": "PROVISIONED"})), "ValidationException");
            book.refused("dynamodb:UpdateTable", both.clone(), "ValidationException");
            both["GlobalSecondaryIndexUpdates"] = index(20);
        }
        book.ok("dynamodb:UpdateTable", both.clone());
        book.wait(160.0);
    }
    book.shows("dynamodb.billing.numbers");
    book.shows("dynamodb.billing.again");
    book.refused("dynamodb:UpdateTable", away.clone(), "LimitExceededException");
    book.wait(86_400.0);
    book.ok("dynamodb:UpdateTable", away);
    book.shows("dynamodb.billing.switches");
}

fn warm(book: &mut Book) {
    with(book, on_demand(NAME));
    let warm = |read: u64, write: u64| {
        update(json!({"WarmThroughput": {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write}}))
    };
    assert_eq!(described(book)["WarmThroughput"]["WriteUnitsPerSecond"], 4_000);
    book.refused("dynamodb:UpdateTable", warm(12_000, 1_000), "ValidationException");
    book.ok("dynamodb:UpdateTable", warm(12_000, 8_000));
    let table = described(book);
    assert_eq!((&table["TableStatus"], &table["WarmThroughput"]["Status"]), (&json!("ACTIVE"), &json!("UPDATING")));
    book.refused("dynamodb:UpdateTable", warm(12_000, 9_000), "ResourceInUseException");
    book.refused("dynamodb:DeleteTable", json!({"TableName": NAME}), "ResourceInUseException");
    book.wait(310.0);
    assert_eq!(described(book)["WarmThroughput"]["WriteUnitsPerSecond"], 8_000);
    book.refused("dynamodb:UpdateTable", warm(12_000, 7_000), "ValidationException");
    book.shows("dynamodb.warm");
}

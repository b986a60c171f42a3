//! Recovery, time to live, encryption, streams, class, tags, account limits.

use serde_json::{Value, json};

use super::{Book, NAME, described, metric, plain, units, update, with};

pub fn script(book: &mut Book) {
    limits_and_backups(book);
    time_to_live(book);
    encryption(book);
    stream_and_class(book);
    tags(book);
}

fn limits_and_backups(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    let limits = book.ok("dynamodb:DescribeLimits", json!({}));
    assert_eq!(
        (&limits["AccountMaxWriteCapacityUnits"], &limits["TableMaxWriteCapacityUnits"]),
        (&json!(80_000), &json!(40_000))
    );
    let set = |name: &str, recovery: Value| json!({"TableName": name, "PointInTimeRecoverySpecification": recovery});
    let on = json!({"PointInTimeRecoveryEnabled": true});
    book.refused("dynamodb:UpdateContinuousBackups", set("none", on.clone()), "TableNotFoundException");
    book.refused("dynamodb:DescribeContinuousBackups", json!({"TableName": "none"}), "TableNotFoundException");
    book.ok("dynamodb:CreateTable", plain("second", 1, 1));
    book.refused(
        "dynamodb:UpdateContinuousBackups",
        set("second", on.clone()),
        "ContinuousBackupsUnavailableException",
    );
    book.ok("dynamodb:UpdateContinuousBackups", set(NAME, on));
    let recovery = |book: &mut Book| {
        let answer = book.ok("dynamodb:DescribeContinuousBackups", json!({"TableName": NAME}));
        answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"].clone()
    };
    assert_eq!(recovery(book)["RecoveryPeriodInDays"], 35);
    let days = |days: u32| json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": days});
    book.refused("dynamodb:UpdateContinuousBackups", set(NAME, days(0)), "ValidationException");
    book.refused("dynamodb:UpdateContinuousBackups", set(NAME, days(36)), "ValidationException");
    book.ok("dynamodb:UpdateContinuousBackups", set(NAME, days(1)));
    assert_eq!(recovery(book)["RecoveryPeriodInDays"], 1);
    book.shows("dynamodb.backups.days");
}

fn time_to_live(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    let set = |name: &str, enabled: bool, attribute: &str| json!({"TableName": name, "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}});
    book.refused("dynamodb:UpdateTimeToLive", set("none", true, "until"), "ResourceNotFoundException");
    book.refused("dynamodb:DescribeTimeToLive", json!({"TableName": "none"}), "ResourceNotFoundException");
    book.ok("dynamodb:CreateTable", plain("second", 1, 1));
    book.refused("dynamodb:UpdateTimeToLive", set("second", true, "until"), "ResourceInUseException");
    book.refused("dynamodb:UpdateTimeToLive", set(NAME, false, "until"), "ValidationException");
    book.ok("dynamodb:UpdateTimeToLive", set(NAME, true, "until"));
    let status = book.ok("dynamodb:DescribeTimeToLive", json!({"TableName": NAME}));
    assert_eq!(status["TimeToLiveDescription"]["TimeToLiveStatus"], "ENABLED");
    let refused = book.refused("dynamodb:UpdateTimeToLive", set(NAME, false, "until"), "ValidationException");
    assert!(refused.message.contains("multiple times"), "{}", refused.message);
    let seconds = book.now.as_second();
    let item = |key: &str, at: i64| json!({"PK": {"S": key}, "SK": {"S": "-"}, "until": {"N": at.to_string()}});
    book.ok("dynamodb:PutItem", json!({"TableName": NAME, "Item": item("soon", seconds + 60)}));
    book.ok("dynamodb:PutItem", json!({"TableName": NAME, "Item": item("later", seconds + 864_000)}));
    book.wait(300.0);
    metric(book, "ConsumedWriteCapacityUnits", &[("TableName", NAME)], 10);
    book.wait(7_200.0);
    let key = |key: &str| json!({"TableName": NAME, "Key": {"PK": {"S": key}, "SK": {"S": "-"}}});
    assert!(book.ok("dynamodb:GetItem", key("soon")).get("Item").is_none());
    assert!(book.ok("dynamodb:GetItem", key("later")).get("Item").is_some());
    assert_eq!(metric(book, "TimeToLiveDeletedItemCount", &[("TableName", NAME)], 200), Some(1.0));
    assert_eq!(metric(book, "ConsumedWriteCapacityUnits", &[("TableName", NAME)], 100), Some(0.0));
    book.shows("dynamodb.ttl.free");
    book.ok("dynamodb:UpdateTimeToLive", set(NAME, false, "until"));
    book.shows("dynamodb.ttl.hour");
}

fn encryption(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    assert!(described(book).get("SSEDescription").is_none());
    let set = |on: bool| update(json!({"SSESpecification": {"Enabled": on}}));
    book.refused("dynamodb:UpdateTable", set(false), "ValidationException");
    for turn in 0..4 {
        book.ok("dynamodb:UpdateTable", set(turn % 2 == 0));
        book.wait(20.0);
        assert_eq!(described(book).get("SSEDescription").is_some(), turn % 2 == 0);
    }
    book.shows("dynamodb.encryption.default");
    book.refused("dynamodb:UpdateTable", set(true), "LimitExceededException");
    book.wait(6.0 * 3_600.0);
    book.ok("dynamodb:UpdateTable", set(true));
    book.shows("dynamodb.encryption.changes");
}

fn stream_and_class(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    let stream = |on: bool| {
        let view = if on {
            json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"})
        } else {
            json!({"StreamEnabled": false})
        };
        update(json!({ "StreamSpecification": view }))
    };
    book.refused("dynamodb:UpdateTable", stream(false), "ValidationException");
    book.ok("dynamodb:UpdateTable", stream(true));
    book.wait(20.0);
    assert_eq!(described(book)["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    book.refused("dynamodb:UpdateTable", stream(true), "ValidationException");
    book.shows("dynamodb.stream.twice");
    let class = |class: &str| update(json!({ "TableClass": class }));
    book.refused("dynamodb:UpdateTable", class("STANDARD"), "ValidationException");
    for class_now in ["STANDARD_INFREQUENT_ACCESS", "STANDARD"] {
        book.ok("dynamodb:UpdateTable", class(class_now));
        book.wait(20.0);
        assert_eq!(described(book)["TableClassSummary"]["TableClass"], class_now);
    }
    book.refused("dynamodb:UpdateTable", class("STANDARD_INFREQUENT_ACCESS"), "LimitExceededException");
    let two = update(json!({"TableClass": "STANDARD", "ProvisionedThroughput": units(9, 9)}));
    book.refused("dynamodb:UpdateTable", two, "ValidationException");
}

fn tags(book: &mut Book) {
    with(book, plain(NAME, 5, 5));
    let arn = described(book)["TableArn"].as_str().unwrap().to_owned();
    let none = arn.replace(NAME, "none");
    let tags = |count: u32| -> Value { (0..count).map(|n| json!({"Key": format!("k{n:02}"), "Value": "v"})).collect() };
    let tag = |arn: &str, count: u32| json!({"ResourceArn": arn, "Tags": tags(count)});
    let untag = |arn: &str| json!({"ResourceArn": arn, "TagKeys": ["k00"]});
    book.refused("dynamodb:TagResource", tag(&none, 1), "ResourceNotFoundException");
    book.refused("dynamodb:UntagResource", untag(&none), "ResourceNotFoundException");
    book.refused("dynamodb:ListTagsOfResource", json!({ "ResourceArn": none }), "ResourceNotFoundException");
    book.ok("dynamodb:TagResource", tag(&arn, 25));
    book.refused("dynamodb:TagResource", tag(&arn, 1), "LimitExceededException");
    book.refused("dynamodb:UntagResource", untag(&arn), "LimitExceededException");
    book.wait(3.0);
    book.ok("dynamodb:UntagResource", untag(&arn));
    book.shows("dynamodb.tags.updating");
    let first = book.ok("dynamodb:ListTagsOfResource", json!({ "ResourceArn": arn }));
    assert_eq!(first["Tags"].as_array().unwrap().len(), 10);
    let next = json!({"ResourceArn": arn, "NextToken": first["NextToken"]});
    assert_eq!(book.ok("dynamodb:ListTagsOfResource", next)["Tags"].as_array().unwrap().len(), 10);
    book.wait(3.0);
    book.refused("dynamodb:TagResource", tag(&arn, 51), "ValidationException");
    book.ok("dynamodb:TagResource", tag(&arn, 50));
    book.shows("dynamodb.tags.limit");
    book.wait(3.0);
    book.ok("dynamodb:DeleteTable", json!({"TableName": NAME}));
    book.refused("dynamodb:TagResource", tag(&arn, 1), "ResourceInUseException");
    book.refused("dynamodb:UntagResource", untag(&arn), "ResourceInUseException");
}

//! Application Auto Scaling on DynamoDB.

use serde_json::{Value, json};

use super::{Book, Rule};
use alleycat_operator::twin::World;

const GUIDE: &str = "DynamoDB developer guide: Managing throughput with auto scaling";
const USER: &str = "Application Auto Scaling user guide: Target tracking";
const API: &str = "Application Auto Scaling API";

const fn rule(id: &'static str, says: &'static str, source: &'static str) -> Rule {
    Rule { id, says, source }
}

pub const RULES: &[Rule] = &[
    rule("autoscaling.target.range", "target values are 20 to 90 percent", GUIDE),
    rule("autoscaling.out", "two consecutive minutes above the target scale out", GUIDE),
    rule("autoscaling.in", "fifteen consecutive minutes below scale in", GUIDE),
    rule("autoscaling.alarms", "a policy makes alarms named TargetTracking-table/…, four a dimension", GUIDE),
    rule("autoscaling.cooldown", "cooldowns are 0 unless given", USER),
    rule("autoscaling.gap", "missing points scale nothing", USER),
    rule("autoscaling.register.clamps", "registering moves the capacity into the bounds at once", API),
    rule("autoscaling.suspend", "suspended scaling does not act, but its request clamps again", API),
    rule("autoscaling.dimensions", "a dimension fits a table or an index", API),
    rule("autoscaling.targets.survive", "targets are not removed with their table", GUIDE),
    rule(
        "autoscaling.on-demand",
        "a switch to on-demand keeps the targets",
        "DynamoDB developer guide: Switching capacity modes",
    ),
    rule("autoscaling.targets.limit", "5,000 targets of DynamoDB in an account", "Application Auto Scaling quotas"),
    rule("autoscaling.role", "targets use the service-linked role of DynamoDB", GUIDE),
    rule("autoscaling.manual", "a manual UpdateTable is allowed, and the policy acts against it", GUIDE),
    rule("autoscaling.budget", "scaling in keeps the budget of decreases; a refusal is a failed activity", GUIDE),
];

const TABLE: &str = "alleycat-races";
const WRITE: &str = "dynamodb:table:WriteCapacityUnits";

pub fn script(book: &mut Book) {
    targets(book);
    policies(book);
    tracking(book);
    budget(book);
    limit(book);
}

fn call(operation: &str) -> String {
    format!("application-autoscaling:{operation}")
}

fn of(members: Value) -> Value {
    let mut input =
        json!({"ServiceNamespace": "dynamodb", "ResourceId": format!("table/{TABLE}"), "ScalableDimension": WRITE});
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    input
}

fn table(name: &str, write: u64) -> Value {
    json!({
        "TableName": name,
        "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": write},
    })
}

fn with_table(book: &mut Book, write: u64) {
    book.account(World::alleycat().with_races(0));
    book.ok("dynamodb:CreateTable", table(TABLE, write));
    book.wait(10.0);
}

fn capacity(book: &mut Book) -> u64 {
    let answer = book.ok("dynamodb:DescribeTable", json!({"TableName": TABLE}));
    answer["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"].as_u64().unwrap()
}

fn activities(book: &mut Book) -> Vec<Value> {
    let answer = book.ok(&call("DescribeScalingActivities"), json!({"ServiceNamespace": "dynamodb"}));
    answer["ScalingActivities"].as_array().unwrap().clone()
}

fn described(book: &mut Book) -> Vec<Value> {
    let answer = book.ok(&call("DescribeScalableTargets"), json!({"ServiceNamespace": "dynamodb"}));
    answer["ScalableTargets"].as_array().unwrap().clone()
}

/// Writes this many units at the start of each of the next minutes.
fn load(book: &mut Book, units: usize, minutes: u32) {
    for minute in 0..minutes {
        for number in 0..units.div_ceil(400) {
            let bytes = units.min(400) * 1_000;
            let item = json!({"PK": {"S": format!("{minute}-{number}")}, "d": {"S": "x".repeat(bytes)}});
            book.ok("dynamodb:PutItem", json!({"TableName": TABLE, "Item": item}));
            let key = json!({"PK": {"S": format!("{minute}-{number}")}});
            let _ = book.send("dynamodb:GetItem", &json!({"TableName": TABLE, "Key": key}));
        }
        book.wait(60.0);
    }
}

fn targets(book: &mut Book) {
    with_table(book, 5);
    let register = call("RegisterScalableTarget");
    let bounds = |min: u64, max: u64| of(json!({"MinCapacity": min, "MaxCapacity": max}));
    book.refused(&register, of(json!({"MinCapacity": 1})), "ValidationException");
    book.refused(&register, bounds(9, 8), "ValidationException");
    book.refused(&register, of(json!({"ServiceNamespace": "ecs"})), "ValidationException");
    book.refused(
        &register,
        of(json!({"ScalableDimension": "dynamodb:index:WriteCapacityUnits"})),
        "ValidationException",
    );
    book.refused(&register, of(json!({"ScalableDimension": "x"})), "ValidationException");
    book.shows("autoscaling.dimensions");
    let mut other = bounds(1, 2);
    other["ResourceId"] = json!("table/none");
    book.refused(&register, other, "ValidationException");
    let arn = book.ok(&register, bounds(10, 20))["ScalableTargetARN"].clone();
    book.wait(20.0);
    assert_eq!(capacity(book), 10);
    book.wait(180.0);
    let activity = activities(book).remove(0);
    assert_eq!(activity["Cause"], "minimum capacity was set to 10");
    assert_eq!(activity["StatusCode"], "Successful");
    book.shows("autoscaling.register.clamps");
    let target = described(book).remove(0);
    assert!(target["RoleARN"].as_str().unwrap().ends_with("AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"));
    book.shows("autoscaling.role");
    tags(book, &arn);
    pages(book);
    book.ok("dynamodb:UpdateTable", json!({"TableName": TABLE, "BillingMode": "PAY_PER_REQUEST"}));
    book.wait(200.0);
    assert_eq!(described(book).len(), 2);
    book.shows("autoscaling.on-demand");
    book.ok("dynamodb:DeleteTable", json!({"TableName": TABLE}));
    book.wait(60.0);
    assert_eq!(described(book).len(), 2);
    book.shows("autoscaling.targets.survive");
    book.ok(&call("DeregisterScalableTarget"), of(json!({})));
    book.refused(&call("DeregisterScalableTarget"), of(json!({})), "ObjectNotFoundException");
    book.refused(&call("DeregisterScalableTarget"), of(json!({"ScalableDimension": "x"})), "ValidationException");
}

fn tags(book: &mut Book, arn: &Value) {
    let tags = |count: u32| -> Value {
        (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    book.ok(&call("TagResource"), json!({"ResourceARN": arn, "Tags": tags(50)}));
    let more = json!({"ResourceARN": arn, "Tags": {"one": "more"}});
    book.refused(&call("TagResource"), more, "TooManyTagsException");
    book.refused(&call("TagResource"), json!({"ResourceARN": arn, "Tags": {"": "v"}}), "ValidationException");
    book.refused(&call("TagResource"), json!({"ResourceARN": "arn:x", "Tags": {}}), "ResourceNotFoundException");
    book.ok(&call("UntagResource"), json!({"ResourceARN": arn, "TagKeys": ["k1"]}));
    book.refused(&call("UntagResource"), json!({"ResourceARN": "arn:x", "TagKeys": []}), "ResourceNotFoundException");
    book.refused(&call("UntagResource"), json!({}), "ValidationException");
    let left = book.ok(&call("ListTagsForResource"), json!({ "ResourceARN": arn }));
    assert_eq!(left["Tags"].as_object().unwrap().len(), 49);
    book.refused(&call("ListTagsForResource"), json!({"ResourceARN": "arn:x"}), "ResourceNotFoundException");
}

fn pages(book: &mut Book) {
    let read = json!({"ScalableDimension": "dynamodb:table:ReadCapacityUnits", "MinCapacity": 5, "MaxCapacity": 9});
    book.ok(&call("RegisterScalableTarget"), of(read));
    let ask = |more: Value| {
        let mut input = json!({"ServiceNamespace": "dynamodb", "MaxResults": 1});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for operation in ["DescribeScalableTargets", "DescribeScalingPolicies", "DescribeScalingActivities"] {
        let operation = call(operation);
        book.refused(&operation, ask(json!({"NextToken": "x"})), "InvalidNextTokenException");
        book.refused(&operation, json!({}), "ValidationException");
    }
    let first = book.ok(&call("DescribeScalableTargets"), ask(json!({})));
    assert_eq!(first["ScalableTargets"].as_array().unwrap().len(), 1);
    let next = book.ok(&call("DescribeScalableTargets"), ask(json!({"NextToken": first["NextToken"]})));
    assert!(next.get("NextToken").is_none());
}

fn policy(members: Value) -> Value {
    let mut configuration = json!({
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
    });
    configuration.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    of(json!({
        "PolicyName": "tracking", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
    }))
}

fn policies(book: &mut Book) {
    with_table(book, 5);
    let put = call("PutScalingPolicy");
    book.refused(&put, policy(json!({})), "ObjectNotFoundException");
    book.ok(&call("RegisterScalableTarget"), of(json!({"MinCapacity": 5, "MaxCapacity": 50})));
    book.refused(&put, policy(json!({"TargetValue": 19.9})), "ValidationException");
    book.refused(&put, policy(json!({"TargetValue": 90.1})), "ValidationException");
    book.shows("autoscaling.target.range");
    let read = json!({"PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"}});
    book.refused(&put, policy(read), "ValidationException");
    let alarms = book.ok(&put, policy(json!({})))["Alarms"].as_array().unwrap().clone();
    assert_eq!(alarms.len(), 4);
    assert!(alarms[0]["AlarmName"].as_str().unwrap().starts_with("TargetTracking-table/alleycat-races-AlarmHigh-"));
    book.shows("autoscaling.alarms");
    let mut second = policy(json!({}));
    second["PolicyName"] = json!("second");
    book.refused(&put, second, "ValidationException");
    let found = book.ok(&call("DescribeScalingPolicies"), json!({"ServiceNamespace": "dynamodb"}));
    let configuration = &found["ScalingPolicies"][0]["TargetTrackingScalingPolicyConfiguration"];
    assert_eq!((&configuration["ScaleOutCooldown"], &configuration["ScaleInCooldown"]), (&json!(0), &json!(0)));
    book.shows("autoscaling.cooldown");
    let delete = of(json!({"PolicyName": "tracking"}));
    book.ok(&call("DeleteScalingPolicy"), delete.clone());
    book.refused(&call("DeleteScalingPolicy"), delete, "ObjectNotFoundException");
    book.refused(&call("DeleteScalingPolicy"), of(json!({})), "ValidationException");
}

fn tracking(book: &mut Book) {
    with_table(book, 10);
    book.ok(&call("RegisterScalableTarget"), of(json!({"MinCapacity": 5, "MaxCapacity": 50})));
    book.ok(&call("PutScalingPolicy"), policy(json!({})));
    book.wait(600.0);
    assert_eq!(capacity(book), 10, "ten points are not fifteen");
    book.shows("autoscaling.gap");
    book.wait(540.0);
    assert_eq!(capacity(book), 5, "idle for fifteen minutes");
    book.shows("autoscaling.in");
    // 400 units a minute are 6.7 a second: above half of 5.
    load(book, 400, 1);
    book.wait(180.0);
    assert_eq!(capacity(book), 5, "one minute is not two");
    load(book, 400, 5);
    book.wait(20.0);
    let scaled = capacity(book);
    assert!((13..=14).contains(&scaled), "6.5 units a second at half use are 13: {scaled}");
    let cause = activities(book).remove(0)["Cause"].as_str().unwrap().to_owned();
    assert!(cause.contains("AlarmHigh") && cause.ends_with("triggered policy tracking"), "{cause}");
    book.shows("autoscaling.out");
    // Someone lowers it by hand; the load goes on.
    let by_hand =
        json!({"TableName": TABLE, "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}});
    book.ok("dynamodb:UpdateTable", by_hand);
    load(book, 400, 4);
    assert!(capacity(book) > 12);
    book.shows("autoscaling.manual");
    let suspended = json!({"DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": true});
    book.ok(&call("RegisterScalableTarget"), of(json!({"MinCapacity": 20, "SuspendedState": suspended})));
    book.wait(20.0);
    assert_eq!(capacity(book), 20);
    load(book, 1_200, 5);
    assert_eq!(capacity(book), 20);
    book.shows("autoscaling.suspend");
}

fn budget(book: &mut Book) {
    with_table(book, 100);
    for write in [99, 98, 97, 96] {
        let input =
            json!({"TableName": TABLE, "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": write}});
        book.ok("dynamodb:UpdateTable", input);
        book.wait(20.0);
    }
    book.ok(&call("RegisterScalableTarget"), of(json!({"MinCapacity": 5, "MaxCapacity": 200})));
    book.ok(&call("PutScalingPolicy"), policy(json!({})));
    book.wait(1_800.0);
    assert_eq!(capacity(book), 96);
    let last = activities(book).remove(0);
    assert_eq!(last["StatusCode"], "Failed");
    assert!(last["StatusMessage"].as_str().unwrap().contains("LimitExceededException"));
    book.wait(3_600.0);
    assert_eq!(capacity(book), 5, "an hour after the last decrease");
    book.shows("autoscaling.budget");
}

fn limit(book: &mut Book) {
    book.account(World::alleycat().with_races(0));
    let register = |name: &str, dimension: &str| {
        json!({
            "ServiceNamespace": "dynamodb", "ResourceId": name, "MinCapacity": 1, "MaxCapacity": 9,
            "ScalableDimension": format!("dynamodb:{dimension}CapacityUnits"),
        })
    };
    for number in 0..2_500 {
        if number % 500 == 0 {
            book.wait(10.0);
        }
        let name = format!("table-{number}");
        let mut input = table(&name, 1);
        if number == 0 {
            input["AttributeDefinitions"] = json!([
                {"AttributeName": "PK", "AttributeType": "S"}, {"AttributeName": "G", "AttributeType": "S"},
            ]);
            input["GlobalSecondaryIndexes"] = json!([{
                "IndexName": "by-g", "KeySchema": [{"AttributeName": "G", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"}, "ProvisionedThroughput": input["ProvisionedThroughput"],
            }]);
        }
        book.ok("dynamodb:CreateTable", input);
        for dimension in ["table:Read", "table:Write"] {
            book.ok(&call("RegisterScalableTarget"), register(&format!("table/{name}"), dimension));
        }
    }
    let index = register("table/table-0/index/by-g", "index:Write");
    book.refused(&call("RegisterScalableTarget"), index, "LimitExceededException");
    book.shows("autoscaling.targets.limit");
}

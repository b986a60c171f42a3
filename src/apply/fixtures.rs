//! Small worlds for the tests of the pure parts: one stream `s`, one consumer `c` of function `fn`, one table `t`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    model::{ErrorClass, Facts, Failure, ResourceId, UsdPerHour},
    plan::{Action, Change, Plan, Risk},
    spec::Pipeline,
};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// One stream, one consumer of function `fn`, one table.
pub(crate) fn pipeline() -> Pipeline {
    let one = json!({"min": 1, "max": 1, "initial": 1});
    read(json!({
        "name": "p", "region": null, "expectedAccountIds": [], "management": "full", "tags": {},
        "stream": {"name": "s", "mode": "provisioned", "shards": one, "retention": one, "shardLevelMetrics": [],
            "encryption": "none", "adoptionPolicy": "refuse", "deletionPolicy": "delete"},
        "consumers": [{"name": "c", "function": "fn", "alias": null, "delivery": "auto", "parallelizationFactor": one,
            "batchSize": one, "maximumBatchingWindowSeconds": 0, "startingPosition": "trimHorizon",
            "tumblingWindowSeconds": 0, "maximumRetryAttempts": -1, "maximumRecordAgeSeconds": -1,
            "bisectBatchOnFunctionError": false, "reportBatchItemFailures": false, "onFailure": null,
            "filterCriteria": [], "idempotent": false, "concurrencySafe": true, "writesTo": ["t"]}],
        "externalConsumers": [], "tables": [],
        "objectives": {"iteratorAge": "PT60S", "recovery": "PT10M", "monthlyBudgetUsd": null},
        "scaling": {"policy": "balanced", "schedule": [], "freeze": [], "breakGlass": []}
    }))
}

/// The function, and the rest in the given states; an empty state: not there.
pub(crate) fn facts(stream: &str, table: &str, mapping: &str) -> Facts {
    let mut facts = json!({
        "observedAt": at(0), "account": "1", "region": "r", "caller": "c", "stream": null, "fanOut": [],
        "functions": {"fn": {"name": "fn", "arn": "arn:aws:lambda:r:1:function:fn", "timeoutSeconds": 15,
            "memoryMb": 128, "reservedConcurrency": null}},
        "mappings": [], "tables": {}, "accountConcurrency": null, "shardLimit": null
    });
    if !stream.is_empty() {
        facts["stream"] = json!({"name": "s", "arn": "a", "status": stream, "mode": "provisioned", "openShards": 1,
            "retention": 24, "encryptionKey": null, "shardLevelMetrics": [], "createdAt": null, "tags": {}});
    }
    if !table.is_empty() {
        facts["tables"]["t"] = json!({"name": "t", "arn": "a", "id": null, "status": table,
            "billingMode": "provisioned", "capacity": {"read": 1, "write": 1, "decreasesToday": 0, "lastDecrease": null},
            "partitionKey": "PK:S", "sortKey": null, "globalSecondaryIndexes": {}, "localSecondaryIndexes": [],
            "streamViewType": null, "timeToLive": null, "pointInTimeRecovery": false, "deletionProtection": false,
            "tags": {}});
    }
    if !mapping.is_empty() {
        facts["mappings"] = json!([{"uuid": "u", "arn": null, "functionArn": "arn:aws:lambda:r:1:function:fn",
            "sourceArn": "a", "state": mapping, "batchSize": 1, "maximumBatchingWindowSeconds": 0,
            "parallelizationFactor": 1, "startingPosition": "LATEST", "tumblingWindowSeconds": 0,
            "maximumRetryAttempts": -1, "maximumRecordAgeSeconds": -1, "bisectBatchOnFunctionError": false,
            "reportBatchItemFailures": false, "onFailure": null, "filterCriteria": [], "tags": {}}]);
    }
    read(facts)
}

pub(crate) fn plan(changes: &[Change]) -> Plan {
    read(json!({
        "formatVersion": "1.0", "pipeline": "p", "account": "1", "region": "r", "observedAt": at(0),
        "changes": changes, "blocked": [], "unchanged": [], "ownedByScaler": [],
        "cost": {"before": 0.0, "after": 0.0, "beforeUsdPerHour": 0.0, "afterUsdPerHour": 0.0}, "warnings": [], "confirmedName": null
    }))
}

pub(crate) fn change(resource: &ResourceId, action: Action, steps: &[Value]) -> Change {
    Change {
        resource: resource.clone(),
        action,
        reason: String::new(),
        fields: Vec::new(),
        steps: steps.iter().cloned().map(read).collect(),
        risk: if action == Action::Delete { Risk::LosesData } else { Risk::None },
        quota: Vec::new(),
        wait: None,
        expected: SignedDuration::from_secs(30),
        cost_delta: UsdPerHour(0.0),
    }
}

pub(crate) fn failure(class: ErrorClass) -> Failure {
    Failure {
        class,
        operation: "kinesis:CreateStream".into(),
        resource: "stream/s".into(),
        code: format!("{class:?}"),
        message: "no".into(),
        request_id: None,
    }
}

//! DescribeTable, ListTables, DescribeLimits.

use serde_json::{Value, json};

use super::{Answer, Args, Ctx, DynamoDb, Index, Keys, Table, extras::maximum_json};
use crate::twin::epoch;

impl DynamoDb {
    pub(super) fn describe(&self, ctx: &Ctx, args: Args) -> Answer {
        Ok(json!({ "Table": self.find(args)?.json(ctx) }))
    }

    pub(super) fn list(&self, args: Args) -> Answer {
        let at_most = args.ranged("Limit", 1, 100)?.unwrap_or(100) as usize;
        let start = args.text("ExclusiveStartTableName").unwrap_or_default();
        let mut names: Vec<&String> = self.tables.keys().filter(|name| name.as_str() > start).collect();
        let more = names.len() > at_most;
        names.truncate(at_most);
        let mut output = json!({ "TableNames": names });
        if more {
            output["LastEvaluatedTableName"] = json!(names.last());
        }
        Ok(output)
    }
}

pub(super) fn limits(ctx: &Ctx) -> Value {
    let (account, table) = (ctx.assumptions.per_account_maximum, ctx.assumptions.per_table_maximum);
    json!({
        "AccountMaxReadCapacityUnits": account,
        "AccountMaxWriteCapacityUnits": account,
        "TableMaxReadCapacityUnits": table,
        "TableMaxWriteCapacityUnits": table,
    })
}

impl Table {
    /// TableDescription.
    pub(super) fn json(&self, ctx: &Ctx) -> Value {
        let attributes = self.attributes.iter();
        let (items, bytes, _) = self.items.size();
        let mut value = json!({
            "TableName": self.name,
            "TableArn": self.arn,
            "TableId": self.id,
            "TableStatus": self.status(),
            "CreationDateTime": epoch(self.created_ms),
            "KeySchema": keys_json(&self.keys),
            "AttributeDefinitions": attributes
                .map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind }))
                .collect::<Vec<_>>(),
            "ProvisionedThroughput": self.throughput.json(ctx.now),
            "TableSizeBytes": bytes,
            "ItemCount": items,
            "DeletionProtectionEnabled": self.deletion_protection,
        });
        self.extras.describe(&mut value, self.throughput.now);
        if self.was_on_demand {
            let mode = if self.on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" };
            value["BillingModeSummary"] = json!({ "BillingMode": mode });
        }
        if !self.global.is_empty() {
            let indexes = self.global.iter().map(|(name, index)| {
                let mut value = index.json(&self.arn, name);
                value["IndexStatus"] = json!(self.index_status(name));
                value["ProvisionedThroughput"] = index.throughput.json(ctx.now);
                if self.is_index_creating(name) {
                    value["Backfilling"] = json!(true);
                }
                if let Some(maximum) = maximum_json(index.maximum) {
                    value["OnDemandThroughput"] = maximum;
                }
                value
            });
            value["GlobalSecondaryIndexes"] = indexes.collect();
        }
        if !self.local.is_empty() {
            value["LocalSecondaryIndexes"] =
                self.local.iter().map(|(name, index)| index.json(&self.arn, name)).collect();
        }
        if let Some((view, label)) = &self.stream {
            value["StreamSpecification"] = json!({ "StreamEnabled": true, "StreamViewType": view });
            value["LatestStreamLabel"] = json!(label);
            value["LatestStreamArn"] = json!(format!("{}/stream/{label}", self.arn));
        }
        value
    }

    /// What DeleteTable answers.
    pub(super) fn deletion_json(&self) -> Value {
        json!({ "TableDescription": {
            "TableName": self.name,
            "TableArn": self.arn,
            "TableId": self.id,
            "TableStatus": self.status(),
            "ItemCount": 0,
            "TableSizeBytes": 0,
            "ProvisionedThroughput": {
                "NumberOfDecreasesToday": 0,
                "ReadCapacityUnits": self.throughput.now.read,
                "WriteCapacityUnits": self.throughput.now.write,
            },
        } })
    }
}

impl Index {
    fn json(&self, table_arn: &str, name: &str) -> Value {
        json!({
            "IndexName": name,
            "IndexArn": format!("{table_arn}/index/{name}"),
            "KeySchema": keys_json(&self.keys),
            "Projection": self.projection,
            "IndexSizeBytes": 0,
            "ItemCount": 0,
        })
    }
}

fn keys_json(keys: &Keys) -> Vec<Value> {
    keys.iter().map(|(name, role)| json!({ "AttributeName": name, "KeyType": role })).collect()
}

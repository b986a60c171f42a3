//! Table settings beside throughput: point-in-time recovery, time to live, tags. They take effect at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Args, Ctx, DynamoDb, Refusal, Table, in_use, invalid, limit, not_found, table_name};
use crate::twin::{epoch, wire::Cause};

/// Tags per table.
const TAG_LIMIT: usize = 50;
/// Longest recovery period, and the one without a word about it (UpdateContinuousBackups).
const RECOVERY_DAYS: i64 = 35;
/// One change of time to live an hour (UpdateTimeToLive).
const TIME_TO_LIVE_INTERVAL_MS: i64 = 3_600_000;
/// Tags in one answer of ListTagsOfResource.
const TAG_PAGE: usize = 10;

impl DynamoDb {
    pub(super) fn update_backups(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let specification = args.at("PointInTimeRecoverySpecification");
        let enabled = specification.and_then(|one| one.flag("PointInTimeRecoveryEnabled"));
        let enabled = enabled.ok_or_else(|| invalid("PointInTimeRecoveryEnabled is required"))?;
        let days = specification.map_or(Ok(None), |one| one.ranged("RecoveryPeriodInDays", 1, RECOVERY_DAYS))?;
        let table = self.backed_up(args)?;
        if table.is_creating() {
            let message = format!("Backups are being enabled for the table: {}. Please retry later", table.name);
            return Err(Refusal::new(400, "ContinuousBackupsUnavailableException", message));
        }
        let since = table.point_in_time_recovery.map_or(ctx.now, |(_, since)| since);
        table.point_in_time_recovery = enabled.then(|| (days.unwrap_or(RECOVERY_DAYS), since));
        Ok(table.backups_json(ctx))
    }

    pub(super) fn describe_backups(&mut self, ctx: &Ctx, args: Args) -> Answer {
        Ok(self.backed_up(args)?.backups_json(ctx))
    }

    /// Backup operations name a missing table differently.
    fn backed_up(&mut self, args: Args) -> Result<&mut Table, Refusal> {
        let name = table_name(args)?;
        let missing = || Refusal::new(400, "TableNotFoundException", format!("Table not found: {name}"));
        self.tables.get_mut(name).ok_or_else(missing)
    }

    pub(super) fn update_time_to_live(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let specification = args.at("TimeToLiveSpecification");
        let specification = specification.ok_or_else(|| invalid("TimeToLiveSpecification is required"))?;
        let attribute = specification.need_text("AttributeName")?.to_owned();
        let enabled = specification.flag("Enabled").unwrap_or(false);
        if attribute.is_empty() || attribute.len() > 255 {
            let limits = "have length between 1 and 255";
            return Err(Refusal::constraint(&attribute, "timeToLiveSpecification.attributeName", limits));
        }
        self.find(args)?;
        self.need_quiet()?;
        let table = self.find_mut(args)?;
        if matches!(table.status(), "CREATING" | "DELETING") {
            return Err(in_use(format!("Attempt to change a resource which is still in use: {}", table.name))
                .for_cause(Cause::Transition));
        }
        match (&table.time_to_live, enabled) {
            (Some(_), true) => return Err(Refusal::validation("TimeToLive is already enabled")),
            (None, false) => return Err(Refusal::validation("TimeToLive is already disabled")),
            (Some(current), false) if *current != attribute => {
                return Err(Refusal::validation(format!(
                    "TimeToLive is active on a different AttributeName: current AttributeName is {current}"
                )));
            }
            _ => {}
        }
        if table.time_to_live_changed_ms.is_some_and(|at| ctx.now - at < TIME_TO_LIVE_INTERVAL_MS) {
            return Err(Refusal::validation("Time to live has been modified multiple times within a fixed interval"));
        }
        table.time_to_live = enabled.then(|| attribute.clone());
        table.time_to_live_changed_ms = Some(ctx.now);
        Ok(json!({ "TimeToLiveSpecification": { "Enabled": enabled, "AttributeName": attribute } }))
    }

    pub(super) fn describe_time_to_live(&self, args: Args) -> Answer {
        let description = match &self.find(args)?.time_to_live {
            Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
            None => json!({ "TimeToLiveStatus": "DISABLED" }),
        };
        Ok(json!({ "TimeToLiveDescription": description }))
    }

    pub(super) fn tag(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let table = self.changeable(ctx, args)?;
        let mut merged = table.tags.clone();
        merged.extend(tags(args));
        check_tags(&merged)?;
        table.tags = merged;
        table.tags_changed_ms = Some(ctx.now);
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let table = self.changeable(ctx, args)?;
        table.tags_changed_ms = Some(ctx.now);
        for key in args.texts("TagKeys") {
            table.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&mut self, args: Args) -> Answer {
        let start = args.text("NextToken").unwrap_or_default();
        let tags = &self.by_arn(args)?.tags;
        let mut rest: Vec<_> = tags.iter().filter(|(key, _)| key.as_str() > start).collect();
        let more = rest.len() > TAG_PAGE;
        rest.truncate(TAG_PAGE);
        let page: Vec<Value> = rest.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let mut output = json!({ "Tags": page });
        if let Some((key, _)) = rest.last().filter(|_| more) {
            output["NextToken"] = json!(key);
        }
        Ok(output)
    }

    /// Tag operations take the ARN.
    fn by_arn(&mut self, args: Args) -> Result<&mut Table, Refusal> {
        let arn = args.need_text("ResourceArn")?;
        self.tables.values_mut().find(|table| table.arn == arn).ok_or_else(|| not_found(arn))
    }

    /// A table in transition keeps its tags changeable once it exists.
    fn changeable(&mut self, ctx: &Ctx, args: Args) -> Result<&mut Table, Refusal> {
        let arn = args.need_text("ResourceArn")?;
        let settle = i64::from(ctx.assumptions.table_tags_settle_ms);
        let table = self.by_arn(args)?;
        if matches!(table.status(), "CREATING" | "DELETING") {
            return Err(in_use(format!("Attempt to change a resource which is still in use: {arn}"))
                .for_cause(Cause::Transition));
        }
        if table.tags_changed_ms.is_some_and(|at| ctx.now < at + settle) {
            return Err(limit("Subscriber limit exceeded: Table tags are being updated").for_cause(Cause::Transition));
        }
        Ok(table)
    }
}

impl Table {
    fn backups_json(&self, ctx: &Ctx) -> Value {
        let status = if self.point_in_time_recovery.is_some() { "ENABLED" } else { "DISABLED" };
        let mut recovery = json!({ "PointInTimeRecoveryStatus": status });
        if let Some((days, since)) = self.point_in_time_recovery {
            recovery["RecoveryPeriodInDays"] = json!(days);
            recovery["EarliestRestorableDateTime"] = epoch(since.max(ctx.now - days * 86_400_000));
            recovery["LatestRestorableDateTime"] = epoch(ctx.now);
        }
        json!({ "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        } })
    }
}

pub(super) fn tags(args: Args) -> BTreeMap<String, String> {
    let tags = args.list("Tags");
    tags.filter_map(|tag| Some((tag.text("Key")?.to_owned(), tag.text("Value")?.to_owned()))).collect()
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if tags.len() > TAG_LIMIT {
        return Err(Refusal::validation(format!("Tag count exceeds the limit of {TAG_LIMIT} tags per table")));
    }
    let wrong = tags.iter().find(|(key, value)| key.is_empty() || key.len() > 128 || value.len() > 256);
    wrong.map_or(Ok(()), |(key, _)| Err(Refusal::validation(format!("Tag {key} is not valid"))))
}

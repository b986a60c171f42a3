//! UpdateTable: one kind of change a call (throughput of table and indexes, billing mode, one index, the
//! stream, or deletion protection), refused whole when any part is refused.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Answer, Args, Capacity, Change, Ctx, DynamoDb, Refusal, Table, create, invalid, limit};
use crate::twin::{millis, wire::Cause};

const DAY_MS: i64 = 86_400_000;
/// Switches to on-demand in a rolling 24 h (DynamoDB quotas).
const SWITCH_LIMIT: usize = 4;

impl DynamoDb {
    pub(super) fn update(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let table = self.find(args)?;
        self.need_quiet()?;
        let protects = args.flag("DeletionProtectionEnabled");
        let stream = create::stream(args)?;
        let creates: Vec<Args> = args.list("GlobalSecondaryIndexUpdates").filter_map(|one| one.at("Create")).collect();
        let deletes: Vec<Args> = args.list("GlobalSecondaryIndexUpdates").filter_map(|one| one.at("Delete")).collect();
        let mut resized: Vec<Args> =
            args.list("GlobalSecondaryIndexUpdates").filter_map(|one| one.at("Update")).collect();
        let mode = create::billing_mode(args)?;
        let sized = args.get("ProvisionedThroughput").is_some() || mode.is_some();
        let maximum = args.get("OnDemandThroughput").is_some();
        let warms = args.get("WarmThroughput").is_some();
        let kinds = [
            args.get("SSESpecification").is_some(),
            args.get("TableClass").is_some(),
            maximum,
            warms,
            protects.is_some(),
            stream.is_some(),
            !creates.is_empty() || !deletes.is_empty(),
            sized || !resized.is_empty(),
        ];
        match kinds.iter().filter(|present| **present).count() {
            1 => {}
            0 => {
                return Err(Refusal::validation(
                    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates \
                     or SSESpecification or ReplicaUpdates is required",
                ));
            }
            _ => return Err(invalid("Only one kind of table update is allowed in one UpdateTable")),
        }
        table.need_cool(ctx)?;
        if let Some(enabled) = protects {
            return self.protect(ctx, args, enabled);
        }
        if maximum || warms {
            // The table stays ACTIVE.
            let table = self.find_mut(args)?;
            if maximum {
                table.set_maximum(ctx, args)?;
            } else {
                table.warm_up(ctx, args)?;
            }
            return Ok(json!({ "TableDescription": table.json(ctx) }));
        }
        let (seconds, change) = if args.get("SSESpecification").is_some() {
            (ctx.world.timings.table_update, table.encryption_change(ctx, args)?)
        } else if args.get("TableClass").is_some() {
            (ctx.world.timings.table_update, table.class_change(ctx, args)?)
        } else if let Some(view) = stream {
            (ctx.world.timings.table_update, table.stream_change(view)?)
        } else if let Some(index) = creates.first().or(deletes.first()) {
            if creates.len() + deletes.len() > 1 {
                return Err(limit("Only 1 online index can be created or deleted simultaneously per table"));
            }
            return self.update_index(ctx, args, *index, creates.is_empty());
        } else {
            table.need_settled()?;
            resized.sort_by_key(|one| one.text("IndexName"));
            self.sizing(ctx, args, table, &resized)?
        };
        // The answer shows the table as it was, but UPDATING; new numbers show when it has settled.
        let table = self.find_mut(args)?;
        table.book(ctx.now, &change);
        table.pending = Some((ctx.now + millis(seconds), change));
        Ok(json!({ "TableDescription": table.json(ctx) }))
    }

    fn protect(&mut self, ctx: &Ctx, args: Args, enabled: bool) -> Answer {
        let table = self.find_mut(args)?;
        table.need_settled()?;
        table.deletion_protection = enabled;
        table.protection_changed_ms = Some(ctx.now);
        Ok(json!({ "TableDescription": table.json(ctx) }))
    }

    /// A change of throughput or billing mode and the seconds it takes.
    fn sizing(&self, ctx: &Ctx, args: Args, table: &Table, resized: &[Args]) -> Result<(f64, Change), Refusal> {
        let wanted = Capacity::parse(ctx, args)?;
        let mut indexes = BTreeMap::new();
        for one in resized {
            let name = one.need_text("IndexName")?;
            let capacity = Capacity::parse(ctx, *one)?.ok_or_else(|| invalid("ProvisionedThroughput is required"))?;
            if !table.global.contains_key(name) {
                let message = format!("Requested resource not found: Table: {} Index: {name} not found", table.name);
                return Err(Refusal::new(400, "ResourceNotFoundException", message));
            }
            if indexes.insert(name.to_owned(), capacity).is_some() {
                return Err(invalid(format!("Only one global secondary index update per index is allowed: {name}")));
            }
        }
        let on_demand = create::billing_mode(args)?.unwrap_or(table.on_demand);
        if on_demand && (wanted.is_some() || !indexes.is_empty()) {
            return Err(invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
            ));
        }
        if on_demand != table.on_demand {
            return table.billing_change(ctx, on_demand, wanted, indexes);
        }
        if wanted.is_none() && indexes.is_empty() {
            return Err(invalid("The requested billing mode is the table's billing mode already"));
        }
        if let Some(wanted) = wanted {
            table.throughput.check(ctx.now, wanted, "table")?;
        }
        for (name, index) in &table.global {
            if let Some(wanted) = indexes.get(name) {
                index.throughput.check(ctx.now, *wanted, &format!("index {name}"))?;
            }
        }
        let change = Change::Throughput { table: wanted, indexes };
        self.check_account(ctx, table.additions(&change).into_iter())?;
        Ok((ctx.world.timings.table_update, change))
    }

    /// Creates or deletes one index.
    fn update_index(&mut self, ctx: &mut Ctx, args: Args, index: Args, delete: bool) -> Answer {
        let name = index.need_text("IndexName")?.to_owned();
        let table = self.find_mut(args)?;
        if matches!(table.pending, Some((_, Change::IndexCreated(_) | Change::IndexDeleted(_)))) {
            return Err(limit("Only 1 online index can be created or deleted simultaneously per table"));
        }
        table.need_settled()?;
        let exists = table.global.contains_key(&name) || table.local.contains_key(&name);
        let (seconds, change) = if delete {
            if !table.global.contains_key(&name) {
                return Err(invalid(format!("Index does not exist: {name}")));
            }
            (ctx.world.timings.table_delete, Change::IndexDeleted(name))
        } else {
            if exists {
                return Err(invalid(format!("Attempting to create an index which already exists: {name}")));
            }
            if table.global.len() >= create::GLOBAL_LIMIT {
                return Err(limit("GlobalSecondaryIndex count exceeds the per-table limit of 20"));
            }
            let created = create::global_index(ctx, index, table.on_demand)?;
            let mut attributes = table.attributes.clone();
            attributes.extend(create::attributes(args));
            create::check_types(&attributes)?;
            if let Some((key, _)) = created.keys.iter().find(|(key, _)| !attributes.contains_key(key)) {
                return Err(invalid(format!(
                    "Some index key attributes are not defined in AttributeDefinitions. Keys: [{key}]"
                )));
            }
            table.attributes = attributes;
            table.global.insert(name.clone(), created);
            ctx.plane.build_index(&table.name, &name, ctx.now + millis(ctx.world.timings.index_create));
            (ctx.world.timings.index_create, Change::IndexCreated(name))
        };
        table.pending = Some((ctx.now + millis(seconds), change));
        Ok(json!({ "TableDescription": table.json(ctx) }))
    }
}

impl Table {
    /// UpdateTable is throttled for a while after deletion protection was changed.
    fn need_cool(&self, ctx: &Ctx) -> Result<(), Refusal> {
        let pause = i64::from(ctx.assumptions.protection_cooldown_seconds) * 1000;
        if self.protection_changed_ms.is_none_or(|at| ctx.now >= at + pause) {
            return Ok(());
        }
        let message = "Deletion protection was changed a short time ago. Please retry later.";
        Err(Refusal::new(400, "ThrottlingException", message))
    }

    fn stream_change(&self, view: Option<String>) -> Result<Change, Refusal> {
        self.need_settled()?;
        match (&view, &self.stream) {
            (Some(_), Some(_)) => {
                Err(Refusal::validation(format!("Table already has an enabled stream: TableName: {}", self.name)))
            }
            (None, None) => {
                Err(Refusal::validation(format!("Table already has a disabled stream: TableName: {}", self.name)))
            }
            _ => Ok(Change::Stream(view)),
        }
    }

    fn billing_change(
        &self,
        ctx: &Ctx,
        on_demand: bool,
        wanted: Option<Capacity>,
        indexes: BTreeMap<String, Capacity>,
    ) -> Result<(f64, Change), Refusal> {
        if on_demand {
            // A table that has been on demand before switches within seconds.
            let seconds = if self.was_on_demand {
                f64::from(ctx.assumptions.billing_mode_again_seconds)
            } else {
                ctx.world.timings.billing_mode_update
            };
            if self.switches.iter().filter(|at| ctx.now - **at < DAY_MS).count() >= SWITCH_LIMIT {
                return Err(limit(format!(
                    "Subscriber limit exceeded: a table can be switched to PAY_PER_REQUEST {SWITCH_LIMIT} times in 24 hours"
                ))
                .for_cause(Cause::Quota));
            }
            let indexes = self.global.keys().map(|name| (name.clone(), Capacity::default())).collect();
            return Ok((seconds, Change::Billing { on_demand, table: Capacity::default(), indexes }));
        }
        let table = wanted.filter(|_| self.global.keys().all(|name| indexes.contains_key(name)));
        let table = table.ok_or_else(|| {
            invalid(
                "ProvisionedThroughput must be specified for the table and every index when BillingMode is PROVISIONED",
            )
        })?;
        Ok((ctx.world.timings.billing_mode_update, Change::Billing { on_demand, table, indexes }))
    }

    /// What the change adds to the account's provisioned (read, write) units.
    fn additions(&self, change: &Change) -> Vec<(i64, i64)> {
        let Change::Throughput { table, indexes } = change else { return Vec::new() };
        let more = |now: Capacity, wanted: Capacity| {
            (wanted.read as i64 - now.read as i64, wanted.write as i64 - now.write as i64)
        };
        let of_table = table.map(|wanted| more(self.throughput.now, wanted));
        let of_indexes =
            indexes.iter().filter_map(|(name, wanted)| Some(more(self.global.get(name)?.throughput.now, *wanted)));
        of_table.into_iter().chain(of_indexes).collect()
    }

    /// Books an accepted change against its budgets.
    fn book(&mut self, now_ms: i64, change: &Change) {
        self.extras.book(now_ms, change);
        match change {
            Change::Throughput { table, indexes } => {
                if let Some(wanted) = table {
                    self.throughput.accept(now_ms, *wanted);
                }
                for (name, wanted) in indexes {
                    if let Some(index) = self.global.get_mut(name) {
                        index.throughput.accept(now_ms, *wanted);
                    }
                }
            }
            Change::Billing { on_demand: true, .. } => {
                self.switches.retain(|at| now_ms - at < DAY_MS);
                self.switches.push(now_ms);
            }
            _ => {}
        }
    }
}

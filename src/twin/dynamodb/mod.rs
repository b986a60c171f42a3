//! DynamoDB: tables with their indexes, the throughput rules, table settings, and items.
//!
//! A table has at most one change in flight; its status follows from that change. New throughput counts
//! against the decrease budget when it is accepted and is in force when UPDATING ends. Messages: AWS's own,
//! where public probes recorded them.

mod create;
mod describe;
mod extras;
mod items;
mod settings;
mod throughput;
mod update;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Ctx, millis,
    wire::{Answer, Args, Cause, Refusal},
};
use extras::Extras;
use items::Items;
use throughput::{Capacity, Throughput};

/// Name and role (`HASH`, `RANGE`) of the key attributes, the partition key first.
type Keys = Vec<(String, String)>;

/// The change in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Change {
    Created,
    Throughput {
        table: Option<Capacity>,
        indexes: BTreeMap<String, Capacity>,
    },
    Billing {
        on_demand: bool,
        table: Capacity,
        indexes: BTreeMap<String, Capacity>,
    },
    Stream(Option<String>),
    /// New SSESpecification.
    Encryption(Option<String>),
    /// New table class.
    Class(String),
    IndexCreated(String),
    IndexDeleted(String),
    Deleted,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Table {
    name: String,
    arn: String,
    id: String,
    created_ms: i64,
    keys: Keys,
    /// Attribute types by name.
    attributes: BTreeMap<String, String>,
    on_demand: bool,
    /// BillingModeSummary is shown once a table has been on demand.
    was_on_demand: bool,
    /// Accepted switches to on-demand of the last 24 h.
    switches: Vec<i64>,
    throughput: Throughput,
    global: BTreeMap<String, Index>,
    local: BTreeMap<String, Index>,
    /// StreamViewType and label.
    stream: Option<(String, String)>,
    deletion_protection: bool,
    protection_changed_ms: Option<i64>,
    /// Days kept and when it was switched on.
    point_in_time_recovery: Option<(i64, i64)>,
    time_to_live: Option<String>,
    time_to_live_changed_ms: Option<i64>,
    tags: BTreeMap<String, String>,
    tags_changed_ms: Option<i64>,
    extras: Extras,
    items: Items,
    pending: Option<(i64, Change)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Index {
    keys: Keys,
    /// The Projection member as given.
    projection: Value,
    /// Unused by local indexes.
    throughput: Throughput,
    /// OnDemandThroughput: (read, write), where set.
    maximum: (Option<u64>, Option<u64>),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct DynamoDb {
    tables: BTreeMap<String, Table>,
    /// When items past their time to live are looked for next.
    sweep_ms: i64,
}

/// Simultaneous table operations in an account (DynamoDB quotas).
const IN_FLIGHT: usize = 500;

/// Refusals that UserErrors does not count (metrics and dimensions).
const NOT_USER_ERRORS: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "ConditionalCheckFailedException",
];

impl DynamoDb {
    pub fn call(&mut self, ctx: &mut Ctx, operation: &str, args: Args) -> Answer {
        let answer = self.dispatch(ctx, operation, args);
        if let Err(refusal) = &answer
            && refusal.status < 500
            && !NOT_USER_ERRORS.contains(&refusal.code.as_str())
        {
            ctx.plane.note("AWS/DynamoDB", "UserErrors", &[], 1.0);
        }
        answer
    }

    fn dispatch(&mut self, ctx: &mut Ctx, operation: &str, args: Args) -> Answer {
        match operation {
            "PutItem" => self.put_item(ctx, args),
            "GetItem" => self.get_item(ctx, args),
            "DeleteItem" => self.delete_item(ctx, args),
            "BatchWriteItem" => self.batch_write(ctx, args),
            "CreateTable" => self.create(ctx, args),
            "DescribeTable" => self.describe(ctx, args),
            "UpdateTable" => self.update(ctx, args),
            "DeleteTable" => self.delete(ctx, args),
            "ListTables" => self.list(args),
            "DescribeLimits" => Ok(describe::limits(ctx)),
            "UpdateContinuousBackups" => self.update_backups(ctx, args),
            "DescribeContinuousBackups" => self.describe_backups(ctx, args),
            "UpdateTimeToLive" => self.update_time_to_live(ctx, args),
            "DescribeTimeToLive" => self.describe_time_to_live(args),
            "TagResource" => self.tag(ctx, args),
            "UntagResource" => self.untag(ctx, args),
            "ListTagsOfResource" => self.list_tags(args),
            _ => Err(Refusal::unknown_operation()),
        }
    }

    /// Provisioned (read, write) units of all tables and indexes that exist.
    pub fn provisioned(&self) -> (u64, u64) {
        let tables = self.tables.values().filter(|table| !table.on_demand && !table.is_creating());
        let all = tables.flat_map(|table| {
            let indexes = table.global.iter().filter(|(name, _)| !table.is_index_creating(name));
            std::iter::once(&table.throughput).chain(indexes.map(|(_, index)| &index.throughput))
        });
        all.fold((0, 0), |(read, write), part| (read + part.now.read, write + part.now.write))
    }

    pub fn next_due(&self) -> Option<i64> {
        let pending = self.tables.values().filter_map(Table::next_due).min();
        let sweep = self.tables.values().any(|table| table.time_to_live.is_some() && table.items.size().0 > 0);
        pending.into_iter().chain(sweep.then_some(self.sweep_ms)).min()
    }

    /// Deletes items past their time to live, at no cost in capacity.
    fn sweep(&mut self, ctx: &mut Ctx) {
        if self.sweep_ms > ctx.now {
            return;
        }
        self.sweep_ms = ctx.now + i64::from(ctx.assumptions.time_to_live_sweep_seconds) * 1_000;
        for table in self.tables.values_mut() {
            let Some(attribute) = &table.time_to_live else { continue };
            let gone = table.items.expire(attribute, ctx.now / 1_000);
            if gone > 0 {
                let dims = [("TableName", table.name.as_str())];
                ctx.plane.note("AWS/DynamoDB", "TimeToLiveDeletedItemCount", &dims, gone as f64);
            }
        }
    }

    /// Whether a table, or an index of it, exists.
    pub fn exists(&self, table: &str, index: Option<&str>) -> bool {
        let found = self.tables.get(table);
        found.is_some_and(|table| index.is_none_or(|index| table.global.contains_key(index)))
    }

    /// A table or index for Application Auto Scaling: its (read, write) units, and
    /// whether it can be changed now. `None` when it does not exist or is on demand.
    pub fn scalable(&self, table: &str, index: Option<&str>) -> Option<((u64, u64), bool)> {
        let table = self.tables.get(table).filter(|table| !table.on_demand && !table.is_creating())?;
        let throughput = match index {
            None => &table.throughput,
            Some(index) => &table.global.get(index).filter(|_| !table.is_index_creating(index))?.throughput,
        };
        Some(((throughput.now.read, throughput.now.write), table.pending.is_none()))
    }

    /// Refuses a table operation while too many are in flight.
    fn need_quiet(&self) -> Result<(), Refusal> {
        if self.tables.values().filter(|table| table.pending.is_some()).count() < IN_FLIGHT {
            return Ok(());
        }
        Err(limit(format!(
            "Subscriber limit exceeded: Only {IN_FLIGHT} tables can be created, updated, or deleted simultaneously"
        )))
    }

    pub fn settle(&mut self, ctx: &mut Ctx) {
        self.sweep(ctx);
        let mut gone = Vec::new();
        for table in self.tables.values_mut() {
            if table.extras.warming.is_some_and(|(due, _)| due <= ctx.now)
                && let Some((_, warm)) = table.extras.warming.take()
            {
                table.extras.warm = Some(warm);
                table.push_limits(ctx);
            }
            if table.pending.as_ref().is_some_and(|(due, _)| *due <= ctx.now)
                && let Some((_, change)) = table.pending.take()
            {
                if change == Change::Deleted {
                    gone.push(table.name.clone());
                }
                table.settle(ctx, change);
            }
        }
        for name in gone {
            self.tables.remove(&name);
        }
    }

    fn find(&self, args: Args) -> Result<&Table, Refusal> {
        let name = table_name(args)?;
        self.tables.get(name).ok_or_else(|| not_found(name))
    }

    fn find_mut(&mut self, args: Args) -> Result<&mut Table, Refusal> {
        let name = table_name(args)?;
        self.tables.get_mut(name).ok_or_else(|| not_found(name))
    }

    fn delete(&mut self, ctx: &Ctx, args: Args) -> Answer {
        self.find(args)?;
        self.need_quiet()?;
        let table = self.find_mut(args)?;
        if matches!(table.pending, Some((_, Change::Deleted))) {
            return Ok(table.deletion_json());
        }
        table.need_settled()?;
        if table.extras.warming.is_some() {
            return Err(in_use(format!(
                "Attempt to change a resource which is still in use: Warm throughput is being updated. Table: {}",
                table.name
            ))
            .for_cause(Cause::Transition));
        }
        if table.deletion_protection {
            return Err(Refusal::validation(
                "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
            ));
        }
        table.pending = Some((ctx.now + millis(ctx.world.timings.table_delete), Change::Deleted));
        Ok(table.deletion_json())
    }
}

impl Table {
    fn next_due(&self) -> Option<i64> {
        let warming = self.extras.warming.as_ref().map(|(due, _)| *due);
        self.pending.as_ref().map(|(due, _)| *due).into_iter().chain(warming).min()
    }

    /// Tells the data plane the on-demand maxima and the warm throughput.
    fn push_limits(&self, ctx: &mut Ctx) {
        let warm = self.extras.warm.unwrap_or_default();
        ctx.plane.set_on_demand_limits(&self.name, None, self.extras.maximum, (warm.read, warm.write));
        for (name, index) in &self.global {
            ctx.plane.set_on_demand_limits(&self.name, Some(name), index.maximum, (0, 0));
        }
    }

    fn is_creating(&self) -> bool {
        matches!(self.pending, Some((_, Change::Created)))
    }

    fn is_index_creating(&self, name: &str) -> bool {
        matches!(&self.pending, Some((_, Change::IndexCreated(index))) if index == name)
    }

    /// TableStatus. A table stays ACTIVE while an index is built: ACTIVE alone does not mean it can be changed.
    fn status(&self) -> &'static str {
        match &self.pending {
            None | Some((_, Change::IndexCreated(_) | Change::IndexDeleted(_))) => "ACTIVE",
            Some((_, Change::Created)) => "CREATING",
            Some((_, Change::Deleted)) => "DELETING",
            Some(_) => "UPDATING",
        }
    }

    fn index_status(&self, name: &str) -> &'static str {
        match &self.pending {
            Some((_, Change::Created)) => "CREATING",
            Some((_, Change::Deleted)) => "DELETING",
            Some((_, Change::IndexCreated(index))) if index == name => "CREATING",
            Some((_, Change::IndexDeleted(index))) if index == name => "DELETING",
            Some((_, Change::Throughput { indexes, .. } | Change::Billing { indexes, .. }))
                if indexes.contains_key(name) =>
            {
                "UPDATING"
            }
            _ => "ACTIVE",
        }
    }

    /// Refuses while a change is in flight.
    fn need_settled(&self) -> Result<(), Refusal> {
        let why = match self.pending.as_ref().map(|(_, change)| change) {
            None => return Ok(()),
            Some(Change::Created) => "Table is being created",
            Some(Change::Deleted) => "Table is being deleted",
            Some(Change::IndexCreated(_) | Change::IndexDeleted(_)) => "Table has an index being created or deleted",
            Some(Change::Throughput { .. }) => "Table IOPS are currently being updated",
            Some(_) => "Table is being updated",
        };
        Err(in_use(format!("Attempt to change a resource which is still in use: {why}. Table: {}", self.name))
            .for_cause(Cause::Transition))
    }

    /// The change takes effect.
    fn settle(&mut self, ctx: &mut Ctx, change: Change) {
        match change {
            Change::Created => self.open(ctx),
            Change::Throughput { table, indexes } => {
                if let Some(capacity) = table {
                    self.set_capacity(ctx, None, capacity);
                }
                for (index, capacity) in indexes {
                    self.set_capacity(ctx, Some(&index), capacity);
                }
            }
            Change::Billing { on_demand, table, indexes } => {
                self.on_demand = on_demand;
                self.was_on_demand |= on_demand;
                ctx.plane.set_on_demand(&self.name, on_demand);
                self.set_capacity(ctx, None, table);
                for (index, capacity) in indexes {
                    self.set_capacity(ctx, Some(&index), capacity);
                }
            }
            Change::Stream(view) => self.stream = view.map(|view| (view, ctx.label())),
            Change::Encryption(key) => self.extras.encryption = key,
            Change::Class(class) => self.extras.class = Some(class),
            Change::IndexCreated(name) => {
                let Some(index) = self.global.get(&name) else { return };
                let Capacity { read, write } = index.throughput.now;
                ctx.plane.add_index(&self.name, &name, read, write);
                self.note(ctx, Some(&name), Capacity::default(), index.throughput.now);
                self.push_limits(ctx);
            }
            Change::IndexDeleted(name) => {
                ctx.plane.remove_index(&self.name, &name);
                if let Some(index) = self.global.remove(&name) {
                    self.note(ctx, Some(&name), index.throughput.now, Capacity::default());
                }
            }
            Change::Deleted => {
                ctx.plane.delete_table(&self.name);
                self.note(ctx, None, self.throughput.now, Capacity::default());
                for (name, index) in &self.global {
                    self.note(ctx, Some(name), index.throughput.now, Capacity::default());
                }
            }
        }
    }

    fn set_capacity(&mut self, ctx: &mut Ctx, index: Option<&str>, capacity: Capacity) {
        let throughput = match index {
            None => Some(&mut self.throughput),
            Some(name) => self.global.get_mut(name).map(|index| &mut index.throughput),
        };
        let Some(throughput) = throughput else { return };
        let before = std::mem::replace(&mut throughput.now, capacity);
        if !self.on_demand {
            ctx.plane.set_capacity(&self.name, index, capacity.read, capacity.write);
        }
        self.note(ctx, index, before, capacity);
    }

    /// Writes a capacity change into the audit.
    fn note(&self, ctx: &mut Ctx, index: Option<&str>, before: Capacity, after: Capacity) {
        let table = format!("table/{}", self.name);
        let resource = index.map_or(table.clone(), |index| format!("{table}/index/{index}"));
        ctx.change(&resource, "readCapacity", before.read, after.read);
        ctx.change(&resource, "writeCapacity", before.write, after.write);
    }
}

/// A table's name, also from its ARN.
fn table_name(args: Args<'_>) -> Result<&str, Refusal> {
    let given = args.need_text("TableName")?;
    Ok(given.rsplit_once(":table/").map_or(given, |(_, name)| name))
}

fn not_found(name: &str) -> Refusal {
    let message = format!("Requested resource not found: Table: {name} not found");
    Refusal::new(400, "ResourceNotFoundException", message)
}

fn in_use(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "ResourceInUseException", message)
}

/// A parameter refused in DynamoDB's usual words.
fn invalid(message: impl std::fmt::Display) -> Refusal {
    Refusal::validation(format!("One or more parameter values were invalid: {message}"))
}

fn limit(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "LimitExceededException", message)
}

//! CreateTable: validation, and what the data plane is told when the table becomes ACTIVE.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Answer, Args, Capacity, Change, Ctx, DynamoDb, Index, Keys, Refusal, Table, Throughput, in_use, invalid, limit,
    settings,
};
use crate::twin::{millis, plane::TableConfig};

/// Indexes per table (DynamoDB quotas).
pub(super) const GLOBAL_LIMIT: usize = 20;
const LOCAL_LIMIT: usize = 5;

impl DynamoDb {
    pub(super) fn create(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let name = args.need_text("TableName")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !name.chars().all(legal) {
            return Err(Refusal::constraint(name, "tableName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]+"));
        }
        if !(3..=255).contains(&name.len()) {
            return Err(invalid("TableName must be at least 3 characters long and at most 255 characters long"));
        }
        if self.tables.contains_key(name) {
            return Err(in_use(format!("Table already exists: {name}")));
        }
        let on_demand = match args.text("BillingMode") {
            None | Some("PROVISIONED") => false,
            Some("PAY_PER_REQUEST") => true,
            Some(mode) => {
                return Err(Refusal::constraint(
                    mode,
                    "billingMode",
                    "satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]",
                ));
            }
        };
        let keys = keys(args)?;
        let attributes = attributes(args);
        let global = indexes(args, "GlobalSecondaryIndexes", |index| global_index(ctx, index, on_demand))?;
        let local = indexes(args, "LocalSecondaryIndexes", |index| local_index(index, &keys))?;
        check_indexes(&global, &local)?;
        check_attributes(&keys, &global, &local, &attributes)?;
        let throughput = Throughput::new(capacity(ctx, args, on_demand)?);
        let tags = settings::tags(args);
        settings::check_tags(&tags)?;
        let table = Table {
            name: name.to_owned(),
            arn: ctx.arn("dynamodb", &format!("table/{name}")),
            id: ctx.ids.resource(),
            created_ms: ctx.now,
            keys,
            attributes,
            on_demand,
            was_on_demand: on_demand,
            switches: Vec::new(),
            throughput,
            global,
            local,
            stream: stream(args)?.flatten().map(|view| (view, ctx.label())),
            deletion_protection: args.flag("DeletionProtectionEnabled").unwrap_or(false),
            protection_changed_ms: None,
            point_in_time_recovery: false,
            time_to_live: None,
            time_to_live_changed_ms: None,
            tags,
            pending: Some((ctx.now + millis(ctx.world.timings.table_create), Change::Created)),
        };
        self.check_account(ctx, table.capacities().map(|(read, write)| (read as i64, write as i64)))?;
        let output = json!({ "TableDescription": table.json(ctx) });
        self.tables.insert(name.to_owned(), table);
        Ok(output)
    }

    /// Refuses when the account's provisioned capacity would pass its quota by these additions.
    pub(super) fn check_account(&self, ctx: &Ctx, additions: impl Iterator<Item = (i64, i64)>) -> Result<(), Refusal> {
        let (read, write) = self.provisioned();
        let most = ctx.assumptions.per_account_maximum as i64;
        let (more_read, more_write) = additions.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1));
        let over = |now: u64, more: i64| more > 0 && now as i64 + more > most;
        if !over(read, more_read) && !over(write, more_write) {
            return Ok(());
        }
        Err(limit(format!(
            "The requested capacity is above the per account maximum for the account in {}. Per account maximum: {most}",
            ctx.world.region
        )))
    }
}

impl Ctx<'_> {
    /// A stream label: the time it was switched on.
    pub(super) fn label(&self) -> String {
        crate::twin::timestamp(self.now).strftime("%Y-%m-%dT%H:%M:%S.000").to_string()
    }
}

impl Table {
    /// (read, write) of the table and its global indexes.
    pub(super) fn capacities(&self) -> impl Iterator<Item = (u64, u64)> {
        let indexes = self.global.values().map(|index| &index.throughput);
        std::iter::once(&self.throughput).chain(indexes).map(|part| (part.now.read, part.now.write))
    }

    /// CREATING ends.
    pub(super) fn open(&self, ctx: &mut Ctx) {
        let gsis = self.global.iter().map(|(name, index)| {
            let Capacity { read, write } = index.throughput.now;
            (name.clone(), (read, write))
        });
        let config = TableConfig {
            on_demand: self.on_demand,
            read: self.throughput.now.read,
            write: self.throughput.now.write,
            gsis: gsis.collect(),
            lsis: self.local.len() as u32,
        };
        ctx.plane.create_table(&self.name, config);
        self.note(ctx, None, Capacity::default(), self.throughput.now);
        for (name, index) in &self.global {
            self.note(ctx, Some(name), Capacity::default(), index.throughput.now);
        }
    }
}

fn capacity(ctx: &Ctx, args: Args, on_demand: bool) -> Result<Capacity, Refusal> {
    match (Capacity::parse(ctx, args)?, on_demand) {
        (Some(capacity), false) => Ok(capacity),
        (None, true) => Ok(Capacity::default()),
        (None, false) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (Some(_), true) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
    }
}

pub(super) fn keys(args: Args) -> Result<Keys, Refusal> {
    let keys: Keys = args
        .list("KeySchema")
        .filter_map(|key| Some((key.text("AttributeName")?.to_owned(), key.text("KeyType")?.to_owned())))
        .collect();
    let roles: Vec<&str> = keys.iter().map(|(_, role)| role.as_str()).collect();
    if roles != ["HASH"] && roles != ["HASH", "RANGE"] {
        return Err(Refusal::validation(
            "Invalid KeySchema: The first KeySchemaElement must be a HASH key type, the second a RANGE key type",
        ));
    }
    Ok(keys)
}

pub(super) fn attributes(args: Args) -> BTreeMap<String, String> {
    let definitions = args.list("AttributeDefinitions");
    definitions
        .filter_map(|one| Some((one.text("AttributeName")?.to_owned(), one.text("AttributeType")?.to_owned())))
        .collect()
}

fn indexes(
    args: Args,
    member: &str,
    mut parse: impl FnMut(Args) -> Result<Index, Refusal>,
) -> Result<BTreeMap<String, Index>, Refusal> {
    let mut parsed = BTreeMap::new();
    for index in args.list(member) {
        let name = index.need_text("IndexName")?;
        if parsed.insert(name.to_owned(), parse(index)?).is_some() {
            return Err(invalid(format!("Duplicate index name: {name}")));
        }
    }
    Ok(parsed)
}

/// Also for UpdateTable's Create.
pub(super) fn global_index(ctx: &Ctx, args: Args, on_demand: bool) -> Result<Index, Refusal> {
    let throughput = Throughput::new(capacity(ctx, args, on_demand)?);
    Ok(Index { keys: keys(args)?, projection: projection(args)?, throughput })
}

fn local_index(args: Args, table: &Keys) -> Result<Index, Refusal> {
    if table.len() < 2 {
        return Err(invalid(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        ));
    }
    let keys = keys(args)?;
    let (index_hash, table_hash) = (keys.first().map(|key| &key.0), table.first().map(|key| &key.0));
    if index_hash != table_hash {
        let text = |key: Option<&String>| key.cloned().unwrap_or_default();
        return Err(invalid(format!(
            "Index KeySchema does not have same leading hash key as table KeySchema for index: {}. index hash key: {}, \
             table hash key: {}",
            args.text("IndexName").unwrap_or_default(),
            text(index_hash),
            text(table_hash)
        )));
    }
    if keys.len() < 2 {
        return Err(invalid("Index KeySchema does not have a range key"));
    }
    Ok(Index { keys, projection: projection(args)?, throughput: Throughput::default() })
}

fn projection(args: Args) -> Result<Value, Refusal> {
    let projection = args.get("Projection").cloned().unwrap_or_else(|| json!({}));
    let kind = projection.get("ProjectionType").and_then(Value::as_str);
    if !matches!(kind, Some("ALL" | "KEYS_ONLY" | "INCLUDE")) {
        return Err(invalid("Unknown ProjectionType: null"));
    }
    Ok(projection)
}

fn check_indexes(global: &BTreeMap<String, Index>, local: &BTreeMap<String, Index>) -> Result<(), Refusal> {
    if global.len() > GLOBAL_LIMIT {
        return Err(invalid("GlobalSecondaryIndex count exceeds the per-table limit of 20"));
    }
    if local.len() > LOCAL_LIMIT {
        return Err(invalid("Number of LocalSecondaryIndexes exceeds per-table limit of 5"));
    }
    if let Some(name) = global.keys().find(|name| local.contains_key(*name)) {
        return Err(invalid(format!("Duplicate index name: {name}")));
    }
    Ok(())
}

/// Every key attribute is defined, and every defined attribute is a key somewhere.
fn check_attributes(
    keys: &Keys,
    global: &BTreeMap<String, Index>,
    local: &BTreeMap<String, Index>,
    attributes: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let index_keys = global.values().chain(local.values()).flat_map(|index| &index.keys);
    let used: BTreeSet<&str> = keys.iter().chain(index_keys).map(|(name, _)| name.as_str()).collect();
    let defined: BTreeSet<&str> = attributes.keys().map(String::as_str).collect();
    let list = |names: &BTreeSet<&str>| format!("[{}]", names.iter().copied().collect::<Vec<_>>().join(", "));
    if !used.is_subset(&defined) {
        return Err(invalid(format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
            list(&used),
            list(&defined)
        )));
    }
    if used != defined && global.is_empty() && local.is_empty() {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    if used != defined {
        return Err(invalid(format!(
            "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
            list(&defined),
            list(&used)
        )));
    }
    Ok(())
}

/// The StreamSpecification member: absent, off, or a view type.
#[expect(clippy::option_option, reason = "absent and switched off are different requests")]
pub(super) fn stream(args: Args) -> Result<Option<Option<String>>, Refusal> {
    let Some(specification) = args.at("StreamSpecification") else { return Ok(None) };
    let view = specification.text("StreamViewType").map(str::to_owned);
    match (specification.flag("StreamEnabled"), view) {
        (Some(true), Some(view)) => Ok(Some(Some(view))),
        (Some(true), None) => Err(invalid("StreamViewType is required when StreamEnabled is true")),
        (_, Some(_)) => Err(invalid("StreamViewType must not be specified when StreamEnabled is false")),
        (_, None) => Ok(Some(None)),
    }
}

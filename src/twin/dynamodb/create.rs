//! CreateTable: validation, and what the data plane is told when the table becomes ACTIVE.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Answer, Args, Capacity, Change, Ctx, DynamoDb, Extras, Index, Items, Keys, Refusal, Table, Throughput, extras,
    in_use, invalid, limit, settings,
};
use crate::twin::{millis, plane::TableConfig};

/// Indexes per table (DynamoDB quotas).
pub(super) const GLOBAL_LIMIT: usize = 20;
const LOCAL_LIMIT: usize = 5;
/// Tables of an account in a region (DynamoDB quotas).
const TABLE_LIMIT: usize = 2_500;
/// Attributes named in the projections of all of a table's indexes together (DynamoDB quotas).
const PROJECTED_LIMIT: usize = 100;

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
        self.need_quiet()?;
        if self.tables.len() >= TABLE_LIMIT {
            return Err(limit(format!(
                "Subscriber limit exceeded: There is a limit of {TABLE_LIMIT} tables per region"
            )));
        }
        let on_demand = billing_mode(args)?.unwrap_or(false);
        let keys = keys(args)?;
        let attributes = attributes(args);
        check_types(&attributes)?;
        let global = indexes(args, "GlobalSecondaryIndexes", |index| global_index(ctx, index, on_demand))?;
        let local = indexes(args, "LocalSecondaryIndexes", |index| local_index(index, &keys))?;
        check_indexes(&global, &local)?;
        check_attributes(&keys, &global, &local, &attributes)?;
        let throughput = Throughput::new(capacity(ctx, args, on_demand)?);
        let tags = settings::tags(args);
        settings::check_tags(&tags)?;
        let extras = Extras::parse(ctx, args)?;
        if !on_demand && args.get("OnDemandThroughput").is_some() {
            return Err(invalid("OnDemandThroughput can be specified only when BillingMode is PAY_PER_REQUEST"));
        }
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
            point_in_time_recovery: None,
            time_to_live: None,
            time_to_live_changed_ms: None,
            tags,
            tags_changed_ms: None,
            extras,
            items: Items::default(),
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
        ctx.plane.set_table_quotas(ctx.assumptions.per_table_maximum, ctx.assumptions.per_account_maximum);
        ctx.plane.create_table(&self.name, config);
        self.push_limits(ctx);
        self.note(ctx, None, Capacity::default(), self.throughput.now);
        for (name, index) in &self.global {
            self.note(ctx, Some(name), Capacity::default(), index.throughput.now);
        }
    }
}

/// Whether BillingMode says on demand.
pub(super) fn billing_mode(args: Args) -> Result<Option<bool>, Refusal> {
    match args.text("BillingMode") {
        None => Ok(None),
        Some("PROVISIONED") => Ok(Some(false)),
        Some("PAY_PER_REQUEST") => Ok(Some(true)),
        Some(mode) => {
            Err(Refusal::constraint(mode, "billingMode", "satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"))
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

/// Key attributes are strings, numbers or binaries.
pub(super) fn check_types(attributes: &BTreeMap<String, String>) -> Result<(), Refusal> {
    match attributes.iter().find(|(_, kind)| !["S", "N", "B"].contains(&kind.as_str())) {
        Some((_, kind)) => Err(Refusal::constraint(
            kind,
            "attributeDefinitions.1.member.attributeType",
            "satisfy enum value set: [B, N, S]",
        )),
        None => Ok(()),
    }
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
    let maximum = extras::maximum(args)?.unwrap_or_default();
    Ok(Index { keys: keys(args)?, projection: projection(args)?, throughput, maximum })
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
    Ok(Index { keys, projection: projection(args)?, throughput: Throughput::default(), maximum: (None, None) })
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
    let projected = |index: &Index| {
        let names = index.projection.get("NonKeyAttributes").and_then(Value::as_array);
        names.map_or(0, Vec::len)
    };
    if global.values().chain(local.values()).map(projected).sum::<usize>() > PROJECTED_LIMIT {
        return Err(invalid(format!(
            "Number of projected attributes in all indexes exceeds the limit of {PROJECTED_LIMIT}"
        )));
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

const VIEWS: [&str; 4] = ["KEYS_ONLY", "NEW_IMAGE", "NEW_AND_OLD_IMAGES", "OLD_IMAGE"];

/// The StreamSpecification member: absent, off, or a view type.
#[expect(clippy::option_option, reason = "absent and switched off are different requests")]
pub(super) fn stream(args: Args) -> Result<Option<Option<String>>, Refusal> {
    let Some(specification) = args.at("StreamSpecification") else { return Ok(None) };
    let view = specification.text("StreamViewType").map(str::to_owned);
    match (specification.flag("StreamEnabled"), view) {
        (Some(true), Some(view)) if VIEWS.contains(&view.as_str()) => Ok(Some(Some(view))),
        (Some(true), Some(view)) => Err(Refusal::constraint(
            &view,
            "streamSpecification.streamViewType",
            "satisfy enum value set: [KEYS_ONLY, NEW_IMAGE, NEW_AND_OLD_IMAGES, OLD_IMAGE]",
        )),
        (Some(true), None) => Err(invalid("StreamViewType is required when StreamEnabled is true")),
        (_, Some(_)) => Err(invalid("StreamViewType must not be specified when StreamEnabled is false")),
        (_, None) => Ok(Some(None)),
    }
}

//! Items: PutItem, GetItem, DeleteItem and BatchWriteItem. They draw on the same buckets as the simulated
//! functions, so a writer is throttled as a function is, with the reasons AWS gives.
//!
//! What is stored is bounded by `Assumptions::stored_item_bytes`.

mod batch;
mod condition;
mod store;
mod value;

use serde_json::{Map, Value, json};

use super::{Answer, Args, Ctx, DynamoDb, Refusal, Table, table_name};
use crate::twin::plane::{Api, Draw, Indexes, Throttle, ThrottleCause};
use condition::{Condition, Names};
pub(super) use store::Items;
use store::{Cost, Place};
use value::Item;

/// Request members of older days and of other operations that the twin does not act on: refused, not ignored.
const UNREAD: &[&str] = &["Expected", "ConditionalOperator", "AttributesToGet"];

impl DynamoDb {
    pub(super) fn put_item(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let item = object(args, "Item")?;
        let conditions = Write::conditions(args)?;
        let table = self.ready(args)?;
        let place = table.place(item, false)?;
        let bytes = table.check_item(item)?;
        Write { api: Api::PutItem, place, after: Some((item.clone(), bytes)), conditions }.run(ctx, self, args)
    }

    pub(super) fn delete_item(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let key = object(args, "Key")?;
        let conditions = Write::conditions(args)?;
        let place = self.ready(args)?.place(key, true)?;
        Write { api: Api::DeleteItem, place, after: None, conditions }.run(ctx, self, args)
    }

    pub(super) fn get_item(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let key = object(args, "Key")?;
        let report = report(args)?;
        read_all(args)?;
        let mut names = Names::new(args);
        let projection = names.projection(args)?;
        names.done()?;
        let table = self.ready(args)?;
        let place = table.place(key, true)?;
        let found = table.items.get(&place);
        let bytes = found.as_ref().and_then(|item| value::size_of(item).ok()).unwrap_or(0);
        let half = if args.flag("ConsistentRead") == Some(true) { 1_000 } else { 500 };
        let milli_units = bytes.div_ceil(4_096).max(1) * half;
        let draw = Draw { write: false, items: 1, milli_units, key: Some(place.key()), indexes: Indexes::All(0) };
        table.draw(ctx, Api::GetItem, draw)?;
        ctx.plane.count_request(&table.name, Api::GetItem, Some(ctx.assumptions.item_latency_ms));
        let mut output = json!({});
        if let Some(mut item) = found {
            if let Some(wanted) = projection {
                item.retain(|name, _| wanted.contains(name));
            }
            output["Item"] = Value::Object(item);
        }
        if report != Report::None {
            output["ConsumedCapacity"] = table.consumed(report, milli_units, None);
        }
        Ok(output)
    }

    /// The table of a request for items: there, and not on its way in or out.
    fn ready(&self, args: Args) -> Result<&Table, Refusal> {
        let found = self.tables.get(table_name(args)?);
        found.filter(|table| !matches!(table.status(), "CREATING" | "DELETING")).ok_or_else(absent)
    }

    /// Refuses an item when the twin, or its collection, holds no more.
    fn need_room(&self, ctx: &Ctx, table: &Table, place: &Place, bytes: u64) -> Result<(), Refusal> {
        let held: u64 = self.tables.values().map(|table| table.items.size().2).sum();
        let collection = table.items.collection(&place.hash);
        let message = if held + 2 * bytes > ctx.assumptions.stored_item_bytes {
            "The twin holds no more items: its bound on stored bytes is reached."
        } else if !table.local.is_empty() && collection + bytes > ctx.assumptions.item_collection_bytes {
            "Collection size exceeded."
        } else {
            return Ok(());
        };
        Err(Refusal::new(400, "ItemCollectionSizeLimitExceededException", message))
    }
}

/// Conditions and what to return.
struct Conditions {
    condition: Option<Condition>,
    return_old: bool,
    return_on_failure: bool,
}

/// One PutItem or DeleteItem.
struct Write {
    api: Api,
    place: Place,
    after: Option<(Item, u64)>,
    conditions: Conditions,
}

impl Write {
    fn conditions(args: Args) -> Result<Conditions, Refusal> {
        read_all(args)?;
        let mut names = Names::new(args);
        let condition = names.condition(args)?;
        names.done()?;
        let old = |member: &str| match args.text(member) {
            None | Some("NONE") => Ok(false),
            Some("ALL_OLD") => Ok(true),
            Some(_) => Err(Refusal::validation("Return values set to invalid value")),
        };
        Ok(Conditions {
            condition,
            return_old: old("ReturnValues")?,
            return_on_failure: old("ReturnValuesOnConditionCheckFailure")?,
        })
    }

    fn run(self, ctx: &mut Ctx, all: &mut DynamoDb, args: Args) -> Answer {
        let report = report(args)?;
        let table = all.ready(args)?;
        let before = table.items.get(&self.place);
        let after = self.after.as_ref().map(|(item, _)| item);
        let holds = self.conditions.condition.as_ref().is_none_or(|condition| condition.holds(before.as_ref()));
        // A write whose condition fails still costs a write of the item that is there.
        let cost =
            if holds { table.cost(before.as_ref(), after) } else { table.cost(before.as_ref(), before.as_ref()) };
        if let Some((_, bytes)) = self.after.as_ref().filter(|_| holds) {
            all.need_room(ctx, table, &self.place, *bytes)?;
        }
        table.draw(ctx, self.api, cost.draw(&self.place))?;
        if !holds {
            ctx.plane.note("AWS/DynamoDB", "ConditionalCheckFailedRequests", &[("TableName", &table.name)], 1.0);
            let mut refusal = Refusal::new(400, "ConditionalCheckFailedException", "The conditional request failed");
            if let Some(item) = before.filter(|_| self.conditions.return_on_failure) {
                refusal = refusal.with("Item", Value::Object(item));
            }
            return Err(refusal);
        }
        ctx.plane.count_request(&table.name, self.api, Some(ctx.assumptions.item_latency_ms));
        let mut output = json!({});
        if report != Report::None {
            output["ConsumedCapacity"] = table.consumed(report, cost.table, Some(&cost));
        }
        if let Some(old) = before.filter(|_| self.conditions.return_old) {
            output["Attributes"] = Value::Object(old);
        }
        let name = table.name.clone();
        if let Some(table) = all.tables.get_mut(&name) {
            table.write(&self.place, self.after.as_ref());
        }
        Ok(output)
    }
}

impl Cost {
    fn draw(&self, place: &Place) -> Draw<'_> {
        let indexes = Indexes::These(&self.global);
        Draw { write: true, items: 1, milli_units: self.on_table(), key: Some(place.key()), indexes }
    }
}

impl Table {
    fn write(&mut self, place: &Place, after: Option<&(Item, u64)>) {
        match after {
            Some((item, bytes)) => self.items.put(place, item, *bytes),
            None => self.items.remove(place),
        }
    }

    /// Consumes, or refuses with what AWS answers for a request of one item.
    fn draw(&self, ctx: &mut Ctx, api: Api, draw: Draw) -> Result<(), Refusal> {
        ctx.plane.draw(&self.name, draw).map_err(|throttles| {
            ctx.plane.count_request(&self.name, api, None);
            self.throttled(&throttles)
        })
    }

    /// The answer to a request that was throttled, with its reasons.
    fn throttled(&self, throttles: &[Throttle]) -> Refusal {
        let reasons: Vec<Value> = throttles.iter().map(|throttle| self.reason(throttle)).collect();
        let of_index = throttles.iter().all(|throttle| throttle.index.is_some());
        let (code, message) = if throttles.iter().any(|throttle| throttle.cause == ThrottleCause::AccountLimit) {
            (
                "RequestLimitExceeded",
                "Throughput exceeds the current throughput limit for your account. Please contact AWS Support at \
                 https://aws.amazon.com/support request a limit increase",
            )
        } else if self.on_demand {
            (
                "ThrottlingException",
                "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your \
                 table or index so please try again shortly. If exceptions persist, check if you have a hot key: \
                 https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
            )
        } else if of_index {
            (
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for one or more global secondary indexes of the table was \
                 exceeded. Consider increasing your provisioning level for the under-provisioned global secondary \
                 indexes with the UpdateTable API",
            )
        } else {
            (
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
                 provisioning level with the UpdateTable API.",
            )
        };
        Refusal::new(400, code, message).with("ThrottlingReasons", Value::Array(reasons))
    }

    fn reason(&self, throttle: &Throttle) -> Value {
        let (what, resource) = match &throttle.index {
            None => ("Table", self.arn.clone()),
            Some(index) => ("Index", format!("{}/index/{index}", self.arn)),
        };
        let direction = if throttle.write { "Write" } else { "Read" };
        json!({ "reason": format!("{what}{direction}{}Exceeded", throttle.cause.name()), "resource": resource })
    }

    /// ConsumedCapacity of one request.
    fn consumed(&self, report: Report, table_milli: u64, cost: Option<&Cost>) -> Value {
        let units = |milli: u64| json!(milli as f64 / 1_000.0);
        let local = cost.into_iter().flat_map(|cost| cost.local.iter().map(|(name, milli)| (name, *milli)));
        let global = cost.into_iter().flat_map(|cost| cost.global.iter().map(|(name, (milli, _))| (name, *milli)));
        let (local, global): (Vec<_>, Vec<_>) = (local.collect(), global.collect());
        let total = table_milli + local.iter().chain(&global).map(|(_, milli)| milli).sum::<u64>();
        let mut value = json!({ "TableName": self.name, "CapacityUnits": units(total) });
        if report == Report::Indexes {
            value["Table"] = json!({ "CapacityUnits": units(table_milli) });
            for (member, list) in [("LocalSecondaryIndexes", local), ("GlobalSecondaryIndexes", global)] {
                if !list.is_empty() {
                    let each =
                        list.into_iter().map(|(name, milli)| (name.clone(), json!({ "CapacityUnits": units(milli) })));
                    value[member] = Value::Object(each.collect());
                }
            }
        }
        value
    }
}

/// ReturnConsumedCapacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Report {
    None,
    Total,
    Indexes,
}

fn report(args: Args) -> Result<Report, Refusal> {
    match args.text("ReturnConsumedCapacity") {
        None | Some("NONE") => Ok(Report::None),
        Some("TOTAL") => Ok(Report::Total),
        Some("INDEXES") => Ok(Report::Indexes),
        Some(other) => {
            Err(Refusal::constraint(other, "returnConsumedCapacity", "satisfy enum value set: [INDEXES, TOTAL, NONE]"))
        }
    }
}

/// Refuses members that the twin would have to act on and does not.
fn read_all(args: Args) -> Result<(), Refusal> {
    match UNREAD.iter().find(|member| args.get(member).is_some()) {
        Some(member) => Err(Refusal::validation(format!("The twin does not read {member}: use an expression"))),
        None => Ok(()),
    }
}

fn object<'a>(args: Args<'a>, member: &str) -> Result<&'a Map<String, Value>, Refusal> {
    args.need_text("TableName")?;
    args.get(member).and_then(Value::as_object).ok_or_else(|| {
        let member = member.to_ascii_lowercase();
        Refusal::validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn absent() -> Refusal {
    Refusal::new(400, "ResourceNotFoundException", "Requested resource not found")
}

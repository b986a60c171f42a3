//! BatchWriteItem: up to 25 puts and deletes, each admitted or refused by itself. What is refused comes back
//! as UnprocessedItems; only when all of it is, the request is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    super::{Answer, Args, Ctx, DynamoDb, Refusal},
    Cost, Item, Place, Report, absent, report,
};
use crate::twin::plane::Api;

/// Requests and bytes of one call (BatchWriteItem).
const REQUESTS: usize = 25;
const BYTES: u64 = 16 * 1_024 * 1_024;

/// One put or delete.
struct Part {
    table: String,
    /// As the client named the table.
    named: String,
    place: Place,
    after: Option<(Item, u64)>,
    request: Value,
}

impl DynamoDb {
    pub(in crate::twin::dynamodb) fn batch_write(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let report = report(args)?;
        let parts = self.parts(args)?;
        let total: u64 = parts.iter().filter_map(|part| part.after.as_ref()).map(|(_, bytes)| bytes).sum();
        if total > BYTES {
            return Err(Refusal::validation("The total size of the items in the request exceeds 16 MB"));
        }
        let mut unprocessed: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
        let (mut tables, mut done, mut first) = (BTreeMap::<String, bool>::new(), 0, None);
        for part in &parts {
            let Some(table) = self.tables.get(&part.table) else { continue };
            if let Some((_, bytes)) = &part.after {
                self.need_room(ctx, table, &part.place, *bytes)?;
            }
            let before = table.items.get(&part.place);
            let cost = table.cost(before.as_ref(), part.after.as_ref().map(|(item, _)| item));
            let served = tables.entry(part.table.clone()).or_default();
            match ctx.plane.draw(&part.table, cost.draw(&part.place)) {
                Ok(()) => {
                    (*served, done) = (true, done + 1);
                    costs.entry(part.table.clone()).and_modify(|sum| sum.add(&cost)).or_insert(cost);
                    if let Some(table) = self.tables.get_mut(&part.table) {
                        table.write(&part.place, part.after.as_ref());
                    }
                }
                Err(throttles) => {
                    first.get_or_insert_with(|| table.throttled(&throttles));
                    unprocessed.entry(part.named.clone()).or_default().push(part.request.clone());
                }
            }
        }
        for (table, served) in tables.iter().filter(|(_, served)| **served || done == 0) {
            let latency = served.then_some(ctx.assumptions.item_latency_ms);
            ctx.plane.count_request(table, Api::BatchWriteItem, latency);
        }
        if let Some(refusal) = first.filter(|_| done == 0) {
            return Err(refusal);
        }
        let mut output = json!({ "UnprocessedItems": unprocessed });
        if report != Report::None {
            let consumed = costs
                .iter()
                .filter_map(|(name, cost)| Some(self.tables.get(name)?.consumed(report, cost.table, Some(cost))));
            output["ConsumedCapacity"] = consumed.collect();
        }
        Ok(output)
    }

    /// The requests, checked whole before any takes effect.
    fn parts(&self, args: Args) -> Result<Vec<Part>, Refusal> {
        let none = Map::new();
        let tables = args.get("RequestItems").and_then(Value::as_object).unwrap_or(&none);
        let requests = || tables.values().filter_map(Value::as_array);
        if tables.is_empty() || requests().any(Vec::is_empty) {
            let least = "have length greater than or equal to 1";
            return Err(Refusal::constraint("{}", "requestItems", least));
        }
        if requests().map(Vec::len).sum::<usize>() > REQUESTS {
            return Err(Refusal::validation("Too many items requested for the BatchWriteItem call"));
        }
        let (mut parts, mut seen) = (Vec::new(), BTreeSet::new());
        for (named, requests) in tables {
            let name = named.rsplit_once(":table/").map_or(named.as_str(), |(_, name)| name);
            let table = self.tables.get(name).filter(|table| !matches!(table.status(), "CREATING" | "DELETING"));
            let table = table.ok_or_else(absent)?;
            for request in requests.as_array().into_iter().flatten() {
                let member = |kind: &str, member: &str| request.get(kind)?.get(member)?.as_object().cloned();
                let (place, after) = match (member("PutRequest", "Item"), member("DeleteRequest", "Key")) {
                    (Some(item), None) => {
                        let bytes = table.check_item(&item)?;
                        (table.place(&item, false)?, Some((item, bytes)))
                    }
                    (None, Some(key)) => (table.place(&key, true)?, None),
                    _ => {
                        return Err(Refusal::validation(
                            "Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest",
                        ));
                    }
                };
                if !seen.insert((name, place.clone())) {
                    return Err(Refusal::validation("Provided list of item keys contains duplicates"));
                }
                let (table, named, request) = (name.to_owned(), named.clone(), request.clone());
                parts.push(Part { table, named, place, after, request });
            }
        }
        Ok(parts)
    }
}

impl Cost {
    fn add(&mut self, other: &Self) {
        self.table += other.table;
        for (name, milli) in &other.local {
            *self.local.entry(name.clone()).or_default() += milli;
        }
        for (name, (milli, key)) in &other.global {
            self.global.entry(name.clone()).or_insert((0, *key)).0 += milli;
        }
    }
}

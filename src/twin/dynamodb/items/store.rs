//! Where items are kept, and what a write costs the table and each of its indexes.

#![allow(clippy::struct_field_names, reason = "the items of the store are items")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Index, Keys, Refusal, Table, invalid};
use super::value::{self, Item};

/// Bytes of one item, and of a partition and a sort key value (DynamoDB quotas).
const ITEM_BYTES: u64 = 409_600;
const HASH_BYTES: u64 = 2_048;
const RANGE_BYTES: u64 = 1_024;
/// What an item costs the twin beside its text. An estimate, for the bound.
const OVERHEAD: u64 = 160;

/// An item at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::twin::dynamodb) struct Stored {
    /// JSON.
    text: String,
    /// As DynamoDB counts.
    bytes: u64,
    /// Epoch seconds of every attribute that could be a time to live.
    expires: BTreeMap<String, i64>,
}

/// The items of one table by the text of their keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::twin::dynamodb) struct Items {
    items: BTreeMap<String, BTreeMap<String, Stored>>,
    count: u64,
    bytes: u64,
    memory: u64,
}

/// The text of an item's partition and sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::twin::dynamodb) struct Place {
    pub hash: String,
    pub range: String,
}

impl Place {
    /// The partition key as a number, for the data plane.
    pub fn key(&self) -> u64 {
        digest(&self.hash)
    }
}

fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Items {
    pub fn get(&self, place: &Place) -> Option<Item> {
        let stored = self.items.get(&place.hash)?.get(&place.range)?;
        serde_json::from_str::<Value>(&stored.text).ok()?.as_object().cloned()
    }

    /// Items, bytes as DynamoDB counts, bytes of memory.
    pub fn size(&self) -> (u64, u64, u64) {
        (self.count, self.bytes, self.memory)
    }

    /// Bytes of all items with this partition key.
    pub fn collection(&self, hash: &str) -> u64 {
        self.items.get(hash).map_or(0, |items| items.values().map(|stored| stored.bytes).sum())
    }

    pub fn put(&mut self, place: &Place, item: &Item, bytes: u64) {
        self.remove(place);
        let number =
            |value: &Value| value.get("N").and_then(Value::as_str).and_then(|text| value::Number::parse(text).ok());
        let expires = item.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?.seconds()?))).collect();
        let stored = Stored { text: Value::Object(item.clone()).to_string(), bytes, expires };
        self.count += 1;
        self.bytes += bytes;
        self.memory += memory(place, &stored);
        self.items.entry(place.hash.clone()).or_default().insert(place.range.clone(), stored);
    }

    pub fn remove(&mut self, place: &Place) {
        let Some(items) = self.items.get_mut(&place.hash) else { return };
        if let Some(stored) = items.remove(&place.range) {
            self.count -= 1;
            self.bytes -= stored.bytes;
            self.memory -= memory(place, &stored);
        }
        if items.is_empty() {
            self.items.remove(&place.hash);
        }
    }

    /// Deletes what this attribute says has expired; gives how many.
    pub fn expire(&mut self, attribute: &str, now_seconds: i64) -> u64 {
        let mut gone = Vec::new();
        for (hash, items) in &self.items {
            for (range, stored) in items {
                if stored.expires.get(attribute).is_some_and(|at| *at <= now_seconds) {
                    gone.push(Place { hash: hash.clone(), range: range.clone() });
                }
            }
        }
        gone.iter().for_each(|place| self.remove(place));
        gone.len() as u64
    }
}

fn memory(place: &Place, stored: &Stored) -> u64 {
    let times: usize = stored.expires.keys().map(|name| name.len() + 32).sum();
    (place.hash.len() + place.range.len() + stored.text.len() + times) as u64 + OVERHEAD
}

impl Table {
    /// Where an item of this table belongs. `exact`: these are the key attributes and nothing else.
    pub(super) fn place(&self, item: &Item, exact: bool) -> Result<Place, Refusal> {
        if exact && item.len() != self.keys.len() {
            return Err(Refusal::validation("The provided key element does not match the schema"));
        }
        let mut texts = Vec::new();
        for (name, role) in &self.keys {
            let Some(given) = item.get(name) else {
                return Err(if exact {
                    Refusal::validation("The provided key element does not match the schema")
                } else {
                    invalid(format!("Missing the key {name} in the item"))
                });
            };
            let (kind, content) = value::typed(given)?;
            let expected = self.attributes.get(name).map_or("S", String::as_str);
            if kind != expected {
                return Err(if exact {
                    Refusal::validation("The provided key element does not match the schema")
                } else {
                    invalid(format!("Type mismatch for key {name} expected: {expected} actual: {kind}"))
                });
            }
            let (text, bytes) = value::key_text(kind, content)?;
            if bytes == 0 {
                let noun = if kind == "B" { "binary" } else { "string" };
                return Err(Refusal::validation(format!(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an \
                     empty {noun} value. Key: {name}"
                )));
            }
            if role == "HASH" && bytes > HASH_BYTES {
                return Err(invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes"));
            }
            if role == "RANGE" && bytes > RANGE_BYTES {
                return Err(invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes"));
            }
            texts.push(text);
        }
        let mut texts = texts.into_iter();
        Ok(Place { hash: texts.next().unwrap_or_default(), range: texts.next().unwrap_or_default() })
    }

    /// Checks an item to be put; gives its size.
    pub(super) fn check_item(&self, item: &Item) -> Result<u64, Refusal> {
        let bytes = value::size_of(item)?;
        if bytes > ITEM_BYTES {
            return Err(Refusal::validation("Item size has exceeded the maximum allowed size"));
        }
        for (index_name, index) in self.global.iter().chain(&self.local) {
            for (name, _) in &index.keys {
                let Some(given) = item.get(name) else { continue };
                let (kind, content) = value::typed(given)?;
                let expected = self.attributes.get(name).map_or("S", String::as_str);
                if kind != expected {
                    return Err(invalid(format!(
                        "Type mismatch for Index Key {name} Expected: {expected} Actual: {kind} IndexName: {index_name}"
                    )));
                }
                if value::key_text(kind, content)?.1 == 0 {
                    return Err(Refusal::validation(format!(
                        "One or more parameter values are not valid. A value specified for a secondary index key is not \
                         supported. The AttributeValue for a key attribute cannot contain an empty string value. \
                         IndexName: {index_name}, IndexKey: {name}"
                    )));
                }
            }
        }
        Ok(bytes)
    }

    /// Units a write of `after` over `before` costs: the table with its local indexes, and each global index
    /// that exists with its partition key. All in thousandths.
    pub(super) fn cost(&self, before: Option<&Item>, after: Option<&Item>) -> Cost {
        let bytes = |item: Option<&Item>| item.and_then(|item| value::size_of(item).ok()).unwrap_or(0);
        let table = units(bytes(before).max(bytes(after)));
        let (mut local, mut global) = (BTreeMap::new(), BTreeMap::new());
        for (name, index) in &self.local {
            if let Some((units, _)) = index.cost(&self.keys, before, after) {
                local.insert(name.clone(), units);
            }
        }
        for (name, index) in self.global.iter().filter(|(name, _)| !self.is_index_creating(name)) {
            if let Some(cost) = index.cost(&self.keys, before, after) {
                global.insert(name.clone(), cost);
            }
        }
        Cost { table, local, global }
    }
}

/// Thousandths of write units.
pub(super) struct Cost {
    pub table: u64,
    pub local: BTreeMap<String, u64>,
    /// With the partition key in the index.
    pub global: BTreeMap<String, (u64, u64)>,
}

impl Cost {
    /// What the table itself is charged: its local indexes share its capacity.
    pub fn on_table(&self) -> u64 {
        self.table + self.local.values().sum::<u64>()
    }
}

/// 1 unit for each started KB.
fn units(bytes: u64) -> u64 {
    bytes.div_ceil(1_024).max(1) * 1_000
}

impl Index {
    /// Nothing when the item is not in the index or its entry stays as it is; one write for a new, changed or
    /// removed entry; two when its key changes (developer guide, "Global secondary indexes").
    fn cost(&self, table: &Keys, before: Option<&Item>, after: Option<&Item>) -> Option<(u64, u64)> {
        let entry = |item: Option<&Item>| self.entry(table, item?);
        let hash = |key: &str| digest(key.split('\u{0}').next().unwrap_or_default());
        match (entry(before), entry(after)) {
            (None, None) => None,
            (Some((key, bytes, _)), None) | (None, Some((key, bytes, _))) => Some((units(bytes), hash(&key))),
            (Some(old), Some(new)) if old.0 != new.0 => Some((units(old.1) + units(new.1), hash(&new.0))),
            (Some(old), Some(new)) if old.2 == new.2 => None,
            (Some(old), Some(new)) => Some((units(old.1.max(new.1)), hash(&new.0))),
        }
    }

    /// The item's entry in this index: key, bytes, projected attributes. None without all its key attributes.
    fn entry(&self, table: &Keys, item: &Item) -> Option<(String, u64, Item)> {
        let mut key = String::new();
        for (name, _) in &self.keys {
            let (kind, content) = value::typed(item.get(name)?).ok()?;
            key.push_str(&value::key_text(kind, content).ok()?.0);
            key.push('\u{0}');
        }
        let kind = self.projection.get("ProjectionType").and_then(Value::as_str);
        let more = self.projection.get("NonKeyAttributes").and_then(Value::as_array);
        let has = |name: &String| {
            kind == Some("ALL")
                || self.keys.iter().chain(table).any(|(key, _)| key == name)
                || more.into_iter().flatten().any(|one| one.as_str() == Some(name))
        };
        let projected: Item = item.iter().filter(|(name, _)| has(name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        let bytes = value::size_of(&projected).ok()?;
        Some((key, bytes, projected))
    }
}

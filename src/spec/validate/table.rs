//! `spec.tables`. Ranges: DynamoDB developer guide, "Service, account, and table quotas" and naming rules.

use std::collections::BTreeMap;

use super::{ADOPTION, DELETION, unique};
use crate::model::{Bounds, CapacityUnits};
use crate::spec::pipeline::{
    AdoptionPolicy, Billing, DeletionPolicy, GlobalIndexSpec, KeyAttribute, LocalIndexSpec, Projection, TableSpec,
};
use crate::spec::problem::{self, quoted};
use crate::spec::reader::{Field, Object, Optional, Reader};
use crate::spec::text;
use crate::spec::yaml::Value;

const FIELDS: [&str; 14] = [
    "name",
    "billingMode",
    "partitionKey",
    "sortKey",
    "writeCapacity",
    "readCapacity",
    "globalSecondaryIndexes",
    "localSecondaryIndexes",
    "streamViewType",
    "timeToLive",
    "pointInTimeRecovery",
    "deletionProtection",
    "adoptionPolicy",
    "deletionPolicy",
];

/// Capacity units of a table or index: the default quota.
const MOST_UNITS: i128 = 40_000;
const MOST_GLOBAL_INDEXES: usize = 20;
const MOST_LOCAL_INDEXES: usize = 5;
/// Non-key attributes that one index may include, and all indexes of a table together.
const MOST_INCLUDED: usize = 20;
const MOST_INCLUDED_TOGETHER: usize = 100;

pub(super) fn read_all(reader: &mut Reader, field: &Field<'_>) -> Option<Vec<TableSpec>> {
    let mut seen = BTreeMap::new();
    reader.each(field, |reader, item| read(reader, item, &mut seen))
}

fn read(reader: &mut Reader, field: &Field<'_>, seen: &mut BTreeMap<String, usize>) -> Option<TableSpec> {
    let object = reader.object(field, &FIELDS)?;
    let name = resource_name(reader, &object, seen, "every table has its own name");
    let billing_mode = billing_mode(reader, &object);
    let mut keys = Keys::default();
    let partition_key = keys.required(reader, &object, "partitionKey");
    let sort_key = keys.optional(reader, &object, "sortKey");
    Keys::differ(reader, &object);
    let write_capacity = capacity(reader, &object, "writeCapacity", billing_mode);
    let read_capacity = capacity(reader, &object, "readCapacity", billing_mode);
    let mut index_names = BTreeMap::new();
    let global = reader.or(&object, "globalSecondaryIndexes", Vec::new(), |reader, field| {
        at_most(reader, field, MOST_GLOBAL_INDEXES, "global secondary indexes");
        reader.each(field, |reader, item| global_index(reader, item, billing_mode, &mut keys, &mut index_names))
    });
    let local = reader.or(&object, "localSecondaryIndexes", Vec::new(), |reader, field| {
        at_most(reader, field, MOST_LOCAL_INDEXES, "local secondary indexes");
        if object.get("sortKey").is_none() && reader.list(field).is_some_and(|items| !items.is_empty()) {
            let help = "give the table a sortKey, or use a global secondary index";
            reader.report(field, problem::CONTRADICTION, "a local index needs a table with a sort key", help);
        }
        reader.each(field, |reader, item| local_index(reader, item, &mut keys, &mut index_names))
    });
    included_together(reader, &object, global.as_deref(), local.as_deref());
    let views = ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"].map(|word| (word, word));
    let view = reader.optional(&object, "streamViewType", |r, f| r.word(f, &views).map(str::to_owned));
    let time_to_live = reader.optional(&object, "timeToLive", |r, f| r.checked(f, attribute_name));
    let recovery = reader.or(&object, "pointInTimeRecovery", true, Reader::boolean);
    let protection = reader.or(&object, "deletionProtection", true, Reader::boolean);
    let adoption = reader.or(&object, "adoptionPolicy", AdoptionPolicy::Refuse, |r, f| r.word(f, &ADOPTION));
    let deletion = reader.or(&object, "deletionPolicy", DeletionPolicy::Retain, |r, f| r.word(f, &DELETION));
    Some(TableSpec {
        name: name?,
        billing_mode: billing_mode?,
        partition_key: partition_key?,
        sort_key: sort_key?,
        write_capacity: write_capacity?,
        read_capacity: read_capacity?,
        global_secondary_indexes: global?,
        local_secondary_indexes: local?,
        stream_view_type: view?,
        time_to_live: time_to_live?,
        point_in_time_recovery: recovery?,
        deletion_protection: protection?,
        adoption_policy: adoption?,
        deletion_policy: deletion?,
    })
}

/// A table or index name.
fn resource_name(
    reader: &mut Reader,
    object: &Object<'_>,
    seen: &mut BTreeMap<String, usize>,
    help: &str,
) -> Option<String> {
    let field = reader.require(object, "name", "3 to 255 letters, digits, `_`, `.`, `-`")?;
    let name = reader.checked(&field, |text| text::name(text, "_.-", 3, 255))?;
    unique(reader, seen, &field, &name, help);
    Some(name)
}

fn billing_mode(reader: &mut Reader, object: &Object<'_>) -> Option<Billing> {
    let words = [("provisioned", Billing::Provisioned), ("onDemand", Billing::OnDemand), ("auto", Billing::Auto)];
    reader.or(object, "billingMode", Billing::Provisioned, |reader, field| reader.word(field, &words))
}

/// Capacity bounds of a table or index. On demand there are none to set: pinned at 0, as DescribeTable reports it.
fn capacity(
    reader: &mut Reader,
    object: &Object<'_>,
    name: &str,
    mode: Option<Billing>,
) -> Option<Bounds<CapacityUnits>> {
    if mode == Some(Billing::OnDemand) {
        if let Some(field) = object.get(name) {
            let help = "leave it out, or write `billingMode: provisioned`";
            reader.report(&field, problem::CONTRADICTION, "an on-demand table has no capacity to set", help);
        }
        return Some(Bounds::pinned(CapacityUnits(0)));
    }
    let read = |reader: &mut Reader, field: &Field<'_>| {
        reader.bounds(field, |reader, field| reader.integer(field, 1..=MOST_UNITS).map(CapacityUnits))
    };
    match (object.get(name), mode) {
        (Some(field), _) => read(reader, &field),
        // The billing mode was refused: whether capacity must be there is not known.
        (None, None) => None,
        (None, Some(_)) => {
            reader.require(object, name, "`{min: 5, max: 1000}`, or one number: pinned")?;
            None
        }
    }
}

/// The key attributes of a table and its indexes: a name has one type in all of them.
#[derive(Default)]
struct Keys {
    types: BTreeMap<String, (String, usize)>,
}

impl Keys {
    fn required(&mut self, reader: &mut Reader, object: &Object<'_>, name: &str) -> Option<KeyAttribute> {
        let field = reader.require(object, name, "`NAME:TYPE`, e.g. `PK:S`")?;
        self.read(reader, &field)
    }

    fn optional(&mut self, reader: &mut Reader, object: &Object<'_>, name: &str) -> Optional<KeyAttribute> {
        reader.optional(object, name, |reader, field| self.read(reader, field))
    }

    fn read(&mut self, reader: &mut Reader, field: &Field<'_>) -> Option<KeyAttribute> {
        let mut parsed = None;
        reader.checked(field, |text| text::key(text).map(|key| parsed = Some(key)))?;
        let key = parsed?;
        let here = (key.kind.clone(), field.place().line);
        let (kind, line) = self.types.entry(key.name.clone()).or_insert(here);
        if *kind != key.kind {
            let what = format!("{} is of type {kind} on line {line}", quoted(&key.name));
            reader.report(field, problem::CONTRADICTION, what, "an attribute has one type in all keys of a table");
        }
        Some(key)
    }

    /// Partition and sort key of one table or index are two attributes.
    fn differ(reader: &mut Reader, object: &Object<'_>) {
        let text = |name| match object.get(name).map(|field| &field.node.value) {
            Some(Value::Text(text)) => text::key(text).ok(),
            _ => None,
        };
        let (Some(partition), Some(sort)) = (text("partitionKey"), text("sortKey")) else { return };
        if let Some(field) = object.get("sortKey").filter(|_| partition.name == sort.name) {
            let help = "choose another attribute, or leave the sort key out";
            reader.report(&field, problem::CONTRADICTION, "partition and sort key are the same attribute", help);
        }
    }
}

fn global_index(
    reader: &mut Reader,
    field: &Field<'_>,
    mode: Option<Billing>,
    keys: &mut Keys,
    seen: &mut BTreeMap<String, usize>,
) -> Option<GlobalIndexSpec> {
    let known = ["name", "partitionKey", "sortKey", "projection", "writeCapacity", "readCapacity"];
    let object = reader.object(field, &known)?;
    let name = resource_name(reader, &object, seen, "every index of a table has its own name");
    let partition_key = keys.required(reader, &object, "partitionKey");
    let sort_key = keys.optional(reader, &object, "sortKey");
    Keys::differ(reader, &object);
    let projection = reader.or(&object, "projection", Projection::All, projection);
    let write_capacity = capacity(reader, &object, "writeCapacity", mode);
    let read_capacity = capacity(reader, &object, "readCapacity", mode);
    Some(GlobalIndexSpec {
        name: name?,
        partition_key: partition_key?,
        sort_key: sort_key?,
        projection: projection?,
        write_capacity: write_capacity?,
        read_capacity: read_capacity?,
    })
}

fn local_index(
    reader: &mut Reader,
    field: &Field<'_>,
    keys: &mut Keys,
    seen: &mut BTreeMap<String, usize>,
) -> Option<LocalIndexSpec> {
    let object = reader.object(field, &["name", "sortKey", "projection"])?;
    let name = resource_name(reader, &object, seen, "every index of a table has its own name");
    let sort_key = keys.required(reader, &object, "sortKey");
    let projection = reader.or(&object, "projection", Projection::All, projection);
    Some(LocalIndexSpec { name: name?, sort_key: sort_key?, projection: projection? })
}

/// `ALL`, `KEYS_ONLY` or `{include: [attribute, …]}`.
fn projection(reader: &mut Reader, field: &Field<'_>) -> Option<Projection> {
    if !matches!(field.node.value, Value::Map(_)) {
        let words = [("ALL", false), ("KEYS_ONLY", true), ("INCLUDE", true)];
        let keys_only = reader.word(field, &words)?;
        if matches!(&field.node.value, Value::Text(text) if text == "INCLUDE") {
            let help = "`projection: {include: [name, score]}`";
            reader.report(field, problem::MALFORMED, "INCLUDE needs the attributes", help);
            return None;
        }
        return Some(if keys_only { Projection::KeysOnly } else { Projection::All });
    }
    let object = reader.object(field, &["include"])?;
    let list = reader.require(&object, "include", "`projection: {include: [name, score]}`")?;
    let mut seen = BTreeMap::new();
    let names = reader.each(&list, |reader, item| {
        let name = reader.checked(item, attribute_name)?;
        unique(reader, &mut seen, item, &name, "name each attribute once");
        Some(name)
    })?;
    if names.is_empty() {
        reader.report(&list, problem::OUT_OF_RANGE, "nothing is included", "name attributes, or write `KEYS_ONLY`");
        return None;
    }
    at_most(reader, &list, MOST_INCLUDED, "included attributes");
    Some(Projection::Include(names))
}

fn attribute_name(text: &str) -> Result<(), String> {
    if (1..=255).contains(&text.len()) { Ok(()) } else { Err("an attribute name has 1 to 255 bytes".to_owned()) }
}

fn at_most(reader: &mut Reader, field: &Field<'_>, most: usize, what: &str) {
    if let Value::List(items) = &field.node.value
        && items.len() > most
    {
        let help = format!("at most {most}");
        reader.report(field, problem::OUT_OF_RANGE, format!("{} {what} are too many", items.len()), help);
    }
}

fn included_together(
    reader: &mut Reader,
    object: &Object<'_>,
    global: Option<&[GlobalIndexSpec]>,
    local: Option<&[LocalIndexSpec]>,
) {
    let global = global.unwrap_or_default().iter().map(|index| &index.projection);
    let local = local.unwrap_or_default().iter().map(|index| &index.projection);
    let included = |projection: &Projection| match projection {
        Projection::Include(names) => names.len(),
        _ => 0,
    };
    let total: usize = global.chain(local).map(included).sum();
    if total > MOST_INCLUDED_TOGETHER {
        let what = format!("the indexes include {total} attributes together");
        let help = format!("at most {MOST_INCLUDED_TOGETHER} a table, or project `ALL`");
        reader.report_at(object.label(), object.path(), problem::OUT_OF_RANGE, what, help);
    }
}

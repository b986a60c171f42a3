//! The semantic checks of a `kind: Pipeline` document and its defaults.
//!
//! What always holds: a check that needs two fields runs when both could be read, whatever else is wrong.
//! Ranges are AWS's: Kinesis and Lambda API references, DynamoDB developer guide "Service quotas".

mod consumer;
mod scaling;
mod stream;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::pipeline::{AdoptionPolicy, DeletionPolicy, ExternalConsumer, Management, Objectives, Pipeline};
use super::problem::{self, Place, quoted};
use super::reader::{Field, Object, Reader};
use super::yaml::{Node, Value};
use super::{API_VERSION, text};

const ADOPTION: [(&str, AdoptionPolicy); 2] = [("refuse", AdoptionPolicy::Refuse), ("adopt", AdoptionPolicy::Adopt)];
const DELETION: [(&str, DeletionPolicy); 2] = [("retain", DeletionPolicy::Retain), ("delete", DeletionPolicy::Delete)];

/// Tags that AWS allows on a resource (50) less the three that are ours.
const MOST_TAGS: usize = 47;

/// `apiVersion` and `kind`.
pub(super) fn header(reader: &mut Reader, root: &Object<'_>, kind: &str) {
    for (name, wanted) in [("apiVersion", API_VERSION), ("kind", kind)] {
        let Some(field) = reader.require(root, name, &format!("write `{name}: {wanted}`")) else { continue };
        let Some(text) = reader.text(&field) else { continue };
        if text != wanted {
            let help = format!("this version reads `{name}: {wanted}` here");
            reader.report(&field, problem::WRONG_KIND, format!("{} is another {name}", quoted(text)), help);
        }
    }
}

/// `metadata: {name}`.
pub(super) fn metadata_name(reader: &mut Reader, root: &Object<'_>) -> Option<String> {
    let field = reader.require(root, "metadata", "write `metadata: {name: …}`")?;
    let metadata = reader.object(&field, &["name"])?;
    let name = reader.require(&metadata, "name", "the name of the pipeline")?;
    reader.checked(&name, text::pipeline_name)
}

/// What an ARN in a consumer says about where the pipeline is.
struct Pin {
    account: Option<String>,
    region: Option<String>,
    place: Place,
    path: String,
}

/// What the sections of the spec need to know of each other.
#[derive(Default)]
struct Names<'n> {
    /// Table names as written, also of tables with other problems.
    tables: BTreeSet<&'n str>,
    /// Consumer names seen, with their line.
    consumers: BTreeMap<String, usize>,
    /// Functions seen, with their line.
    functions: BTreeMap<String, usize>,
    pins: Vec<Pin>,
}

pub(super) fn pipeline(reader: &mut Reader, root: &Object<'_>) -> Option<Pipeline> {
    let name = metadata_name(reader, root);
    let field = reader.require(root, "spec", "the pipeline: `spec: {stream: …, consumers: …, tables: …}`")?;
    let spec = reader.object(
        &field,
        &[
            "region",
            "expectedAccountIds",
            "management",
            "tags",
            "stream",
            "consumers",
            "externalConsumers",
            "tables",
            "objectives",
            "scaling",
        ],
    )?;
    let mut names = Names { tables: table_names(&spec), ..Names::default() };
    let region = reader.optional(&spec, "region", |reader, field| reader.checked(field, text::region));
    let accounts = reader.or(&spec, "expectedAccountIds", Vec::new(), accounts);
    let words = [("full", Management::Full), ("observe", Management::Observe)];
    let management = reader.or(&spec, "management", Management::Full, |reader, field| reader.word(field, &words));
    let tags = reader.or(&spec, "tags", BTreeMap::new(), tags);
    let stream_field = reader.require(&spec, "stream", "the Kinesis data stream: `stream: {name: …, shards: …}`");
    let stream = stream_field.as_ref().and_then(|field| stream::read(reader, field));
    let consumers = reader.or(&spec, "consumers", Vec::new(), |reader, field| {
        reader.each(field, |reader, item| consumer::read(reader, item, stream_field.as_ref(), &mut names))
    });
    let external_consumers = reader.or(&spec, "externalConsumers", Vec::new(), |reader, field| {
        reader.each(field, |reader, item| external_consumer(reader, item, &mut names))
    });
    let tables = reader.or(&spec, "tables", Vec::new(), table::read_all);
    let objectives = objectives(reader, &spec, stream.as_ref().map(|stream| stream.retention.min.get()));
    let scaling = scaling::read(reader, &spec);
    let (region, expected_account_ids) = settle_pins(reader, region?, accounts?, &names.pins);
    Some(Pipeline {
        name: name?,
        region,
        expected_account_ids,
        management: management?,
        tags: tags?,
        stream: stream?,
        consumers: consumers?,
        external_consumers: external_consumers?,
        tables: tables?,
        objectives: objectives?,
        scaling: scaling?,
    })
}

/// Table names before tables are read, so that a consumer's reference is judged whatever else is wrong.
fn table_names<'n>(spec: &Object<'n>) -> BTreeSet<&'n str> {
    let Some(Field { node: Node { value: Value::List(items), .. }, .. }) = spec.get("tables") else {
        return BTreeSet::new();
    };
    let name = |item: &'n Node| {
        let Value::Map(entries) = &item.value else { return None };
        entries.iter().find_map(|(key, value)| match (&key.value, &value.value) {
            (Value::Text(key), Value::Text(name)) if key == "name" => Some(name.as_str()),
            _ => None,
        })
    };
    items.iter().filter_map(name).collect()
}

/// Notes a name that was there before.
fn unique(reader: &mut Reader, seen: &mut BTreeMap<String, usize>, field: &Field<'_>, name: &str, help: &str) {
    let line = field.place().line;
    if let Some(first) = seen.get(name) {
        let what = format!("{} is on line {first} already", quoted(name));
        reader.report(field, problem::DUPLICATE_NAME, what, help);
    } else {
        seen.insert(name.to_owned(), line);
    }
}

fn accounts(reader: &mut Reader, field: &Field<'_>) -> Option<Vec<String>> {
    reader.each(field, |reader, item| reader.checked(item, text::account))
}

/// User tags: what AWS allows in keys and values (Kinesis, Lambda and DynamoDB agree on it) and what it keeps.
fn tags(reader: &mut Reader, field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let object = reader.entries(field)?;
    let fields = object.fields();
    if fields.len() > MOST_TAGS {
        let what = format!("{} tags are too many", fields.len());
        reader.report(field, problem::TAG, what, format!("at most {MOST_TAGS}: AWS takes 50, three are ours"));
    }
    let mut tags = BTreeMap::new();
    let mut sound = true;
    for field in fields {
        let key = field.path.get(object.path().len() + 1..).unwrap_or_default().to_owned();
        let reserved = key.to_lowercase().starts_with("aws:") || key.to_lowercase().starts_with("alleycat.dev/");
        if reserved {
            let what = format!("the tag key {} is reserved", quoted(&key));
            reader.report_at(field.label, "", problem::TAG, what, "keys must not begin with `aws:` or `alleycat.dev/`");
        } else if !tag_text(&key, 1, 128) {
            let help = "1 to 128 letters, digits, spaces and _ . : / = + - @";
            reader.report_at(field.label, "", problem::TAG, format!("{} is no tag key", quoted(&key)), help);
        }
        let value = reader.checked(&field, |value| {
            let help = "at most 256 letters, digits, spaces and _ . : / = + - @";
            if tag_text(value, 0, 256) { Ok(()) } else { Err(help.to_owned()) }
        });
        sound &= value.is_some();
        tags.insert(key, value.unwrap_or_default());
    }
    sound.then_some(tags)
}

fn tag_text(text: &str, shortest: usize, longest: usize) -> bool {
    let length = text.chars().count();
    (shortest..=longest).contains(&length)
        && text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}

fn external_consumer(reader: &mut Reader, field: &Field<'_>, names: &mut Names<'_>) -> Option<ExternalConsumer> {
    let object = reader.object(field, &["name", "kind"])?;
    let name_field = reader.require(&object, "name", "any name, for messages");
    let name = name_field.as_ref().and_then(|field| reader.checked(field, |text| text::name(text, "-_.", 1, 128)));
    if let (Some(field), Some(name)) = (&name_field, &name) {
        unique(reader, &mut names.consumers, field, name, "every consumer has its own name");
    }
    let kind = reader.require(&object, "kind", "what reads there, e.g. `firehose`");
    let kind = kind.and_then(|field| reader.checked(&field, |text| text::name(text, "-_", 1, 64)));
    Some(ExternalConsumer { name: name?, kind: kind? })
}

/// An ARN says where the pipeline is: it must agree with the spec, and stands in for what the spec leaves open.
fn settle_pins(
    reader: &mut Reader,
    mut region: Option<String>,
    mut accounts: Vec<String>,
    pins: &[Pin],
) -> (Option<String>, Vec<String>) {
    for pin in pins {
        if let Some(named) = &pin.region {
            let settled = region.get_or_insert_with(|| named.clone());
            if settled != named {
                let what = format!("the ARN is of {named}, the pipeline of {settled}");
                let help = "a mapping invokes a function of the stream's own region";
                reader.report_at(pin.place, &pin.path, problem::CONTRADICTION, what, help);
            }
        }
        if let Some(named) = &pin.account {
            if accounts.is_empty() {
                accounts.push(named.clone());
            }
            if !accounts.contains(named) {
                let what = format!("the ARN is of account {named}, the pipeline is not");
                let help = "name a function of the pipeline's own account, or correct expectedAccountIds";
                reader.report_at(pin.place, &pin.path, problem::CONTRADICTION, what, help);
            }
        }
    }
    (region, accounts)
}

/// `objectives`; a stream that keeps records for less than the tolerated age loses them within the objective.
fn objectives(reader: &mut Reader, spec: &Object<'_>, retention_hours: Option<u32>) -> Option<Objectives> {
    const DAY: i64 = 86_400;
    let mut objectives = Objectives {
        iterator_age: SignedDuration::from_secs(60),
        recovery: SignedDuration::from_mins(10),
        monthly_budget_usd: None,
    };
    let Some(field) = spec.get("objectives") else { return Some(objectives) };
    let object = reader.object(&field, &["iteratorAge", "recovery", "monthlyBudget"])?;
    let age = reader.or(&object, "iteratorAge", objectives.iterator_age, |r, f| r.duration(f, 1..=365 * DAY));
    let recovery = reader.or(&object, "recovery", objectives.recovery, |r, f| r.duration(f, 60..=7 * DAY));
    let budget = reader.optional(&object, "monthlyBudget", |reader, field| reader.number(field, 0.01..=1e9));
    if let (Some(age), Some(hours), Some(field)) = (age, retention_hours, object.get("iteratorAge"))
        && age >= SignedDuration::from_hours(i64::from(hours))
    {
        let help = format!("the stream may keep records for {hours}h only: stay well below");
        reader.report(&field, problem::CONTRADICTION, "records expire before they are this old", help);
    }
    objectives.iterator_age = age?;
    objectives.recovery = recovery?;
    objectives.monthly_budget_usd = budget?;
    Some(objectives)
}

/// A list of the format that this version cannot act on: empty is fine, anything else is refused.
fn empty_list(reader: &mut Reader, object: &Object<'_>, name: &str, what: &str, help: &str) {
    let Some(field) = object.get(name) else { return };
    if reader.list(&field).is_some_and(|items| !items.is_empty()) {
        reader.unsupported(&field, what, help);
    }
}

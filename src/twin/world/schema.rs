//! A world file against the schema that the types themselves give: every problem at once, each with its place.
//!
//! What always holds: a document without a problem here can be read into a `World`, and the schema is the one
//! that `docs/world.schema.json` shows.

#![allow(clippy::nonminimal_bool, reason = "it reads as it is said")]

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::World;
use crate::document::{
    Problem,
    problem::{self, Place, nearest, quoted},
    yaml::{self, Node, Value},
};

/// The JSON Schema of a world file (draft 2020-12).
pub fn schema() -> Json {
    schemars::schema_for!(World).to_value()
}

impl World {
    /// Whether a document says that it is a world.
    pub fn is_meant_by(text: &str) -> bool {
        let is_kind = |(key, value): &(Node, Node)| {
            matches!((&key.value, &value.value), (Value::Text(key), Value::Text(kind))
                if key == "kind" && kind == "World")
        };
        matches!(yaml::read(text).map(|node| node.value), Ok(Value::Map(entries)) if entries.iter().any(is_kind))
    }
}

/// What reading finds.
pub(super) struct Checker {
    schema: Json,
    pub problems: Vec<Problem>,
    /// Where each path stands, for the checks behind the schema.
    pub places: BTreeMap<String, Place>,
}

impl Checker {
    pub fn new() -> Self {
        Self { schema: schema(), problems: Vec::new(), places: BTreeMap::new() }
    }

    /// Checks the whole document.
    pub fn document(&mut self, node: &Node) {
        let schema = self.schema.clone();
        self.value(node, &schema, "", node.place);
    }

    /// Notes a problem at a path, or at the nearest path above it that stands in the file.
    pub fn report_path(&mut self, path: &str, code: &'static str, what: &str, help: &str) {
        let mut at = path;
        let place = loop {
            if let Some(place) = self.places.get(at) {
                break Some(*place);
            }
            match at.rfind(['.', '[']) {
                Some(end) => at = at.get(..end).unwrap_or_default(),
                None => break None,
            }
        };
        let message = format!("{path}: {what}");
        self.problems.push(match place {
            Some(place) => Problem::at(place, code, message, Some(help.to_owned())),
            None => Problem::whole(code, &message, help),
        });
    }

    fn report(&mut self, place: Place, path: &str, code: &'static str, what: &str, help: Option<String>) {
        let message = if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") };
        self.problems.push(Problem::at(place, code, message, help));
    }

    fn resolved(&self, schema: &Json) -> Json {
        let target = schema.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix('#'));
        target.and_then(|pointer| self.schema.pointer(pointer)).unwrap_or(schema).clone()
    }

    fn value(&mut self, node: &Node, schema: &Json, path: &str, label: Place) {
        let whole = matches!(node.value, Value::Map(_) | Value::List(_) | Value::Null);
        let place = if whole { label } else { node.place };
        self.places.insert(path.to_owned(), place);
        let schema = self.resolved(schema);
        let types: Vec<&str> = match &schema["type"] {
            Json::String(one) => vec![one],
            Json::Array(some) => some.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if let Some(options) = schema["anyOf"].as_array() {
            let real = options.iter().find(|option| option["type"] != "null");
            match (&node.value, real) {
                (Value::Null, _) | (_, None) => {}
                (_, Some(real)) => self.value(node, real, path, label),
            }
        } else if let Some(variants) = schema["oneOf"].as_array() {
            self.one_of(node, variants, path, place);
        } else if let Some(words) = schema["enum"].as_array() {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            self.word(node, &words, path);
        } else if !types.is_empty() && !(types.contains(&"null") && matches!(node.value, Value::Null)) {
            self.typed(node, types.first().copied().unwrap_or_default(), &schema, path, place);
        }
    }

    fn typed(&mut self, node: &Node, kind: &str, schema: &Json, path: &str, place: Place) {
        match (kind, &node.value) {
            ("object", Value::Map(entries)) => self.object(entries, schema, path, place),
            ("array", Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let label = match &item.value {
                        Value::Map(entries) => entries.first().map_or(item.place, |(key, _)| key.place),
                        _ => item.place,
                    };
                    self.value(item, &schema["items"], &format!("{path}[{index}]"), label);
                }
            }
            ("string", Value::Text(text)) => {
                if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
                    let help = "RFC 3339 with a zone: `2026-03-02T08:00:00Z`".to_owned();
                    self.report(place, path, problem::MALFORMED, &format!("{} is no moment", quoted(text)), Some(help));
                }
            }
            ("boolean", Value::Bool(_)) => {}
            ("integer" | "number", Value::Integer(value)) => self.range(*value as f64, schema, path, place),
            ("number", Value::Float(value)) => self.range(*value, schema, path, place),
            (kind, value) => {
                let (wanted, help) = match kind {
                    "object" => ("a mapping", None),
                    "array" => ("a list", Some("put it in brackets: `[…]`".to_owned())),
                    "string" => ("text", Some("put it in quotes".to_owned())),
                    "boolean" => ("true or false", None),
                    "integer" => ("a whole number", None),
                    _ => ("a number", None),
                };
                let what = format!("{wanted} belongs here, not {}", value.kind());
                self.report(place, path, problem::WRONG_TYPE, &what, help);
            }
        }
    }

    fn range(&mut self, value: f64, schema: &Json, path: &str, place: Place) {
        // u32, u64 and f64 without a range of their own; an f64 is finite in every world.
        let widest = if schema["format"] == "uint32" { f64::from(u32::MAX) } else { 9_007_199_254_740_992.0 };
        let low = schema["minimum"].as_f64().unwrap_or(-widest);
        let high = schema["maximum"].as_f64().unwrap_or(widest);
        // NaN is inside no range.
        if !(low..=high).contains(&value) {
            let what = format!("{value} is out of range");
            self.report(place, path, problem::OUT_OF_RANGE, &what, Some(format!("from {low} to {high}")));
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) {
        let Value::Text(text) = &node.value else {
            let what = format!("text belongs here, not {}", node.value.kind());
            return self.report(node.place, path, problem::WRONG_TYPE, &what, None);
        };
        if !words.contains(&text.as_str()) {
            let known = format!("one of: {}", words.join(", "));
            let meant = nearest(text, words.iter().copied());
            let help = meant.map_or(known.clone(), |meant| format!("did you mean `{meant}`? {known}"));
            let what = format!("{} is not known here", quoted(text));
            self.report(node.place, path, problem::UNKNOWN_WORD, &what, Some(help));
        }
    }

    /// Words, or mappings told apart by their `kind`.
    fn one_of(&mut self, node: &Node, variants: &[Json], path: &str, place: Place) {
        let words: Vec<&str> = variants
            .iter()
            .flat_map(|variant| {
                let listed = variant["enum"].as_array().into_iter().flatten();
                listed.chain(variant.get("const")).filter_map(Json::as_str)
            })
            .collect();
        if !words.is_empty() {
            return self.word(node, &words, path);
        }
        let Value::Map(entries) = &node.value else {
            let what = format!("a mapping belongs here, not {}", node.value.kind());
            return self.report(place, path, problem::WRONG_TYPE, &what, None);
        };
        let kind_of = |variant: &Json| variant["properties"]["kind"]["const"].as_str().map(str::to_owned);
        let kinds: Vec<String> = variants.iter().filter_map(kind_of).collect();
        let names = |key: &Node| matches!(&key.value, Value::Text(name) if name == "kind");
        let Some((_, kind)) = entries.iter().find(|(key, _)| names(key)) else {
            let help = format!("one of: {}", kinds.join(", "));
            return self.report(place, path, problem::MISSING_FIELD, "`kind` is missing", Some(help));
        };
        let written = if let Value::Text(text) = &kind.value { text.as_str() } else { "" };
        if let Some(variant) = variants.iter().find(|variant| kind_of(variant).as_deref() == Some(written)) {
            self.object(entries, variant, path, place);
        } else {
            let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
            self.word(kind, &kinds, &join(path, "kind"));
        }
    }

    fn object(&mut self, entries: &[(Node, Node)], schema: &Json, path: &str, place: Place) {
        let none = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&none);
        let free = schema.get("additionalProperties").filter(|free| **free != json!(false));
        let mut seen: BTreeMap<&str, Place> = BTreeMap::new();
        for (key, value) in entries {
            let Value::Text(name) = &key.value else {
                let what = format!("a key must be text, not {}", key.value.kind());
                self.report(key.place, path, problem::WRONG_TYPE, &what, Some("put it in quotes".to_owned()));
                continue;
            };
            if let Some(first) = seen.insert(name, key.place) {
                let help = format!("it was set on line {} already", first.line);
                let what = format!("{} stands here twice", quoted(name));
                self.report(key.place, path, problem::DUPLICATE_KEY, &what, Some(help));
                continue;
            }
            let member = join(path, name);
            match (known.get(name), free) {
                (Some(schema), _) | (None, Some(schema)) => self.value(value, schema, &member, key.place),
                (None, None) => {
                    let names: Vec<&str> = known.keys().map(String::as_str).collect();
                    let help = match nearest(name, names.iter().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("known fields: {}", names.join(", ")),
                    };
                    let what = format!("no field {}", quoted(name));
                    self.report(key.place, path, problem::UNKNOWN_FIELD, &what, Some(help));
                }
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            if !seen.contains_key(name) {
                let help = known.get(name).and_then(|field| field["description"].as_str()).map(str::to_owned);
                self.report(place, path, problem::MISSING_FIELD, &format!("`{name}` is missing"), help);
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The tree as JSON; of equal keys the last counts, which the checker has refused before.
pub(super) fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Integer(number) => i64::try_from(*number).map_or_else(|_| json!(*number as f64), |number| json!(number)),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => {
            let named = entries.iter().filter_map(|(key, value)| match &key.value {
                Value::Text(name) => Some((name.clone(), json_of(value))),
                _ => None,
            });
            Json::Object(named.collect())
        }
    }
}

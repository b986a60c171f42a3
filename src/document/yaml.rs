//! YAML text → a tree of nodes with their places. The only file that knows the YAML crate.
//!
//! What always holds: whatever the text, this returns in milliseconds and does not panic. The tree is
//! small (size, node, alias and depth budgets), has one document, and its mappings keep every entry in
//! the order of the file, duplicates included, so that they are reported with everything else.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Spanned};

use super::problem::{self, Place, Problem};

/// Largest document in bytes; the largest sensible spec is a few kilobytes.
const LARGEST: usize = 1 << 20;

/// One node and where it stands.
#[derive(Debug)]
pub(crate) struct Node {
    pub value: Value,
    pub place: Place,
}

/// What a node is. Numbers are told apart from text as YAML 1.2 does.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    /// May be infinite or not a number: readers refuse those.
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// Entries in file order; keys may repeat and need not be text.
    Map(Vec<(Node, Node)>),
}

impl Value {
    /// The kind, as messages call it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one document.
pub(crate) fn read(source: &str) -> Result<Node, Problem> {
    if source.len() > LARGEST {
        return Err(Problem::whole(problem::TOO_LARGE, "the document is larger than 1 MiB", "split it or trim it"));
    }
    let root: Spanned<Value> =
        serde_saphyr::from_str_with_options(source, options()).map_err(|error| refused(source, &error))?;
    if matches!(root.value, Value::Null) {
        return Err(Problem::whole(problem::DOCUMENTS, "the document is empty", "see examples/minimal.yaml"));
    }
    let mut root = node(root);
    bound(&mut root, source);
    Ok(root)
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: Some(serde_saphyr::Budget::default()).map(|mut budget| {
            budget.max_nodes = 20_000;
            budget.max_events = 60_000;
            budget.max_aliases = 10;
            budget.max_anchors = 10;
            budget.max_depth = 64;
            budget.flow_nesting_limit = 64;
            budget.max_documents = 2;
            budget.max_total_scalar_bytes = LARGEST;
            budget
        }),
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 4,
        },
        emit_comments: false,
        // Duplicates come through and are reported by the reader, all of them and with the rest.
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        strict_booleans: true,
        // `012345678901` is an account id that somebody forgot to quote, not a number.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The YAML crate's refusal, in our words where it is a common one.
fn refused(source: &str, error: &Error) -> Problem {
    // The crate's text is free of control characters; the place at its end is ours to tell.
    let text = error.render();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let (code, message, help) = match error {
        Error::MultipleDocuments { .. } => (
            problem::DOCUMENTS,
            "the file holds more than one document".to_owned(),
            Some("one document a file: remove the `---` lines"),
        ),
        Error::MergeKeyNotAllowed { .. } => {
            (problem::SYNTAX, "merge keys (`<<`) are not supported".to_owned(), Some("write the fields out"))
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (problem::SYNTAX, "the alias stands inside its own anchor".to_owned(), None)
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => too_large(),
        // The scanner's own limit on nested brackets has no variant.
        _ if text == "recursion limit exceeded" => too_large(),
        _ => (problem::SYNTAX, text.chars().take(300).collect(), None),
    };
    let help = help.map(str::to_owned);
    match error.location() {
        Some(location) if location != Location::UNKNOWN => {
            let mut place = place(location);
            if location.span().byte_offset().is_none() {
                // Scanner errors tell line and column only.
                place.start = offset(source, place.line, place.column);
                place.end = place.start;
            }
            clip(&mut place, source);
            Problem::at(place, code, message, help)
        }
        _ => Problem { code, message, help, span: None, line: 1, column: 1 },
    }
}

fn too_large() -> (&'static str, String, Option<&'static str>) {
    let help = "a spec has at most 1 MiB, 20 000 nodes, 10 aliases and 64 levels";
    (problem::TOO_LARGE, "the document is larger or deeper than a spec may be".to_owned(), Some(help))
}

fn place(location: Location) -> Place {
    let start = location.span().byte_offset().unwrap_or(0);
    let length = location.span().byte_len().unwrap_or(0);
    let column = usize::try_from(location.column()).unwrap_or(1);
    let line = usize::try_from(location.line()).unwrap_or(1);
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(length).unwrap_or(0));
    Place { start, end, line: line.max(1), column: column.max(1) }
}

/// The byte at which a line and column stand.
fn offset(source: &str, line: usize, column: usize) -> usize {
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = source.get(before..).unwrap_or_default();
    before + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}

fn node(spanned: Spanned<Value>) -> Node {
    Node { place: place(spanned.defined), value: spanned.value }
}

/// Cuts the span to the first line of the node and to character borders: a caret under a whole mapping says nothing.
fn clip(place: &mut Place, source: &str) {
    let mut start = place.start.min(source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = place.end.clamp(start, source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let text = source.get(start..end).unwrap_or_default();
    let line = text.split(['\n', '\r']).next().unwrap_or_default().trim_end();
    place.start = start;
    place.end = start + line.len();
}

fn bound(node: &mut Node, source: &str) {
    clip(&mut node.place, source);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| bound(item, source)),
        Value::Map(entries) => {
            for (key, value) in entries {
                bound(key, source);
                bound(value, source);
            }
        }
        _ => {}
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(node(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<Value>, Spanned<Value>>()? {
            entries.push((node(key), node(value)));
        }
        Ok(Value::Map(entries))
    }
}

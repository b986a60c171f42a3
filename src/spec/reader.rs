//! Typed reads from the YAML tree. A failed read notes a problem and gives `None`; the reading goes on, so
//! that one run finds every problem.
//!
//! What always holds: `None` from a read of a present field means that at least one problem was noted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use jiff::SignedDuration;

use super::problem::{self, Place, Problem, nearest, quoted};
use super::text;
use super::yaml::{Node, Value};
use crate::model::Bounds;

/// An optional field as read: `Some(None)` when absent, `None` when present and wrong.
#[allow(clippy::option_option, reason = "absent and wrong are two things, and `?` ends the reading on wrong only")]
pub(super) type Optional<T> = Option<Option<T>>;

/// Collects problems while a tree is read.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
}

/// A value with its path, e.g. `spec.stream.shards`.
#[derive(Clone)]
pub(super) struct Field<'n> {
    pub path: String,
    pub node: &'n Node,
    /// Where to point when the value as a whole is meant: its key, or itself in a list.
    pub label: Place,
}

/// A mapping whose keys have been checked.
pub(super) struct Object<'n> {
    path: String,
    label: Place,
    entries: BTreeMap<&'n str, (&'n Node, &'n Node)>,
}

impl<'n> Field<'n> {
    /// The document itself.
    pub fn root(node: &'n Node) -> Self {
        Self { path: String::new(), node, label: node.place }
    }

    /// Where to point when the value is meant.
    pub fn place(&self) -> Place {
        match self.node.value {
            Value::Map(_) | Value::List(_) | Value::Null => self.label,
            _ => self.node.place,
        }
    }
}

impl<'n> Object<'n> {
    /// The field, if present and not null.
    pub fn get(&self, name: &str) -> Option<Field<'n>> {
        let (key, node) = self.entries.get(name)?;
        if matches!(node.value, Value::Null) {
            return None;
        }
        Some(Field { path: join(&self.path, name), node, label: key.place })
    }

    /// Where the mapping begins.
    pub fn label(&self) -> Place {
        self.label
    }

    /// The path of the mapping.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All fields that are present, in alphabetical order.
    pub fn fields(&self) -> Vec<Field<'n>> {
        self.entries.keys().filter_map(|name| self.get(name)).collect()
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Reader {
    /// Notes a problem with a value.
    pub fn report(&mut self, field: &Field<'_>, code: &'static str, what: impl Display, help: impl Into<String>) {
        self.report_at(field.place(), &field.path, code, what, help);
    }

    /// Notes a problem at a place.
    pub fn report_at(
        &mut self,
        place: Place,
        path: &str,
        code: &'static str,
        what: impl Display,
        help: impl Into<String>,
    ) {
        let message = if path.is_empty() { what.to_string() } else { format!("{path}: {what}") };
        let help = help.into();
        self.problems.push(Problem::at(place, code, message, (!help.is_empty()).then_some(help)));
    }

    fn wrong_type(&mut self, field: &Field<'_>, wanted: &str) {
        let found = field.node.value.kind();
        self.report(field, problem::WRONG_TYPE, format!("{wanted} belongs here, not {found}"), "");
    }

    /// A mapping with exactly these keys allowed; duplicates and strangers are noted, all of them.
    pub fn object<'n>(&mut self, field: &Field<'n>, known: &[&str]) -> Option<Object<'n>> {
        let object = self.entries(field)?;
        for (name, (key, _)) in &object.entries {
            if !known.contains(name) {
                let help = match nearest(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known fields: {}", known.join(", ")),
                };
                self.report_at(
                    key.place,
                    &field.path,
                    problem::UNKNOWN_FIELD,
                    format!("no field {}", quoted(name)),
                    help,
                );
            }
        }
        Some(object)
    }

    /// A mapping with free keys.
    pub fn entries<'n>(&mut self, field: &Field<'n>) -> Option<Object<'n>> {
        let Value::Map(pairs) = &field.node.value else {
            self.wrong_type(field, "a mapping");
            return None;
        };
        let mut entries: BTreeMap<&str, (&Node, &Node)> = BTreeMap::new();
        for (key, value) in pairs {
            let Value::Text(name) = &key.value else {
                let what = format!("a key must be text, not {}", key.value.kind());
                self.report_at(key.place, &field.path, problem::WRONG_TYPE, what, "put it in quotes");
                continue;
            };
            if let Some((first, _)) = entries.get(name.as_str()) {
                let what = format!("{} stands here twice", quoted(name));
                let help = format!("it was set on line {} already", first.place.line);
                self.report_at(key.place, &field.path, problem::DUPLICATE_KEY, what, help);
            } else {
                entries.insert(name, (key, value));
            }
        }
        Some(Object { path: field.path.clone(), label: field.label, entries })
    }

    /// A field that must be there.
    pub fn require<'n>(&mut self, object: &Object<'n>, name: &str, help: &str) -> Option<Field<'n>> {
        let field = object.get(name);
        if field.is_none() {
            self.report_at(object.label, &object.path, problem::MISSING_FIELD, format!("`{name}` is missing"), help);
        }
        field
    }

    /// The value of an optional field: `default` when absent, `None` when present and wrong.
    pub fn or<'n, T>(
        &mut self,
        object: &Object<'n>,
        name: &str,
        default: T,
        read: impl FnOnce(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Option<T> {
        match object.get(name) {
            Some(field) => read(self, &field),
            None => Some(default),
        }
    }

    /// An optional field without a default.
    pub fn optional<'n, T>(
        &mut self,
        object: &Object<'n>,
        name: &str,
        read: impl FnOnce(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Optional<T> {
        self.or(object, name, None, |reader, field| read(reader, field).map(Some))
    }

    /// Text. A bare number or boolean is refused: quoting says what was meant.
    pub fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        match &field.node.value {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                let found = field.node.value.kind();
                self.report(field, problem::WRONG_TYPE, format!("text belongs here, not {found}"), "put it in quotes");
                None
            }
            _ => {
                self.wrong_type(field, "text");
                None
            }
        }
    }

    /// Text that passes `check`, which says what would be right otherwise.
    pub fn checked(&mut self, field: &Field<'_>, check: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
        let text = self.text(field)?;
        match check(text) {
            Ok(()) => Some(text.to_owned()),
            Err(help) => {
                self.report(field, problem::MALFORMED, format!("{} is not valid here", quoted(text)), help);
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mut help = format!("one of: {}", known.join(", "));
        if let Some(meant) = nearest(text, known) {
            help = format!("did you mean `{meant}`? {help}");
        }
        self.report(field, problem::UNKNOWN_WORD, format!("{} is not known here", quoted(text)), help);
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        if let Value::Bool(value) = field.node.value {
            return Some(value);
        }
        let help = match &field.node.value {
            Value::Text(text) if matches!(text.to_lowercase().as_str(), "yes" | "on" | "y") => "write `true`",
            Value::Text(text) if matches!(text.to_lowercase().as_str(), "no" | "off" | "n") => "write `false`",
            _ => "",
        };
        let what = format!("true or false belongs here, not {}", field.node.value.kind());
        self.report(field, problem::WRONG_TYPE, what, help);
        None
    }

    /// A whole number inside a range.
    pub fn integer<T: TryFrom<i128>>(&mut self, field: &Field<'_>, range: RangeInclusive<i128>) -> Option<T> {
        let value = match &field.node.value {
            Value::Integer(value) => *value,
            Value::Float(value) => {
                let help = format!("a whole number from {} to {}", range.start(), range.end());
                self.report(field, problem::WRONG_TYPE, format!("{value} is not a whole number"), help);
                return None;
            }
            other => {
                let what = format!("a whole number from {} to {}", range.start(), range.end());
                let what = format!("{what} belongs here, not {}", other.kind());
                // `"10"`, `010` and `1_0` are text in YAML 1.2.
                let plain = match other {
                    Value::Text(text) => text.replace('_', "").parse::<u32>().ok(),
                    _ => None,
                };
                let help = plain.map(|number| format!("write `{number}`")).unwrap_or_default();
                self.report(field, problem::WRONG_TYPE, what, help);
                return None;
            }
        };
        let converted = if range.contains(&value) { T::try_from(value).ok() } else { None };
        if converted.is_none() {
            let help = format!("from {} to {}", range.start(), range.end());
            self.report(field, problem::OUT_OF_RANGE, format!("{value} is out of range"), help);
        }
        converted
    }

    /// A finite number inside a range.
    pub fn number(&mut self, field: &Field<'_>, range: RangeInclusive<f64>) -> Option<f64> {
        let value = match &field.node.value {
            Value::Integer(value) => *value as f64,
            Value::Float(value) => *value,
            _ => {
                self.wrong_type(field, "a number");
                return None;
            }
        };
        // NaN is inside no range.
        if range.contains(&value) {
            return Some(value);
        }
        let help = format!("from {} to {}", range.start(), range.end());
        self.report(field, problem::OUT_OF_RANGE, format!("{value} is out of range"), help);
        None
    }

    /// The items of a list.
    pub fn list<'n>(&mut self, field: &Field<'n>) -> Option<Vec<Field<'n>>> {
        let Value::List(items) = &field.node.value else {
            let what = format!("a list belongs here, not {}", field.node.value.kind());
            self.report(field, problem::WRONG_TYPE, what, "put it in brackets: `[…]`");
            return None;
        };
        let item = |(index, node): (usize, &'n Node)| Field {
            path: format!("{}[{index}]", field.path),
            node,
            label: first_place(node),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads every item, also behind a wrong one; `None` when any was wrong.
    pub fn each<'n, T>(
        &mut self,
        field: &Field<'n>,
        mut read: impl FnMut(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(field)?;
        let read: Vec<Option<T>> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    /// A duration such as `90s`, `10m`, `24h`, `7d`, inside a range of seconds.
    pub fn duration(&mut self, field: &Field<'_>, seconds: RangeInclusive<i64>) -> Option<SignedDuration> {
        let written = match &field.node.value {
            Value::Text(text) => text::duration(text).ok_or_else(|| format!("{} is no duration", quoted(text))),
            Value::Integer(value) => Err(format!("{value} has no unit")),
            other => Err(format!("a duration belongs here, not {}", other.kind())),
        };
        match written {
            Ok(duration) if seconds.contains(&duration.as_secs()) => Some(duration),
            Ok(_) => {
                let help = format!("from {} to {}", text::spell(*seconds.start()), text::spell(*seconds.end()));
                let what = match &field.node.value {
                    Value::Text(text) => format!("{} is out of range", quoted(text)),
                    _ => "out of range".to_owned(),
                };
                self.report(field, problem::OUT_OF_RANGE, what, help);
                None
            }
            Err(what) => {
                self.report(field, problem::MALFORMED, what, "a whole number with s, m, h or d: `90s`, `10m`, `24h`");
                None
            }
        }
    }

    /// `{min, max, initial}`, or one value: pinned. `initial` is `min` when absent.
    pub fn bounds<'n, T: Copy + Ord + Display>(
        &mut self,
        field: &Field<'n>,
        mut read: impl FnMut(&mut Self, &Field<'n>) -> Option<T>,
    ) -> Option<Bounds<T>> {
        if !matches!(field.node.value, Value::Map(_)) {
            return read(self, field).map(Bounds::pinned);
        }
        let object = self.object(field, &["min", "max", "initial"])?;
        let hint = "bounds are `{min: …, max: …}`; one value alone pins it";
        let min_field = self.require(&object, "min", hint);
        let max_field = self.require(&object, "max", hint);
        let min = min_field.as_ref().and_then(|field| read(self, field));
        let max = max_field.as_ref().and_then(|field| read(self, field));
        let initial = self.optional(&object, "initial", |reader, field| read(reader, field));
        let (min, max) = (min?, max?);
        let initial_field = object.get("initial");
        if min > max {
            if let Some(at) = &max_field {
                self.report(at, problem::BOUNDS_ORDER, format!("max {max} is below min {min}"), "min ≤ initial ≤ max");
            }
            return None;
        }
        let initial = initial?.unwrap_or(min);
        if initial < min || initial > max {
            if let Some(at) = &initial_field {
                let what = format!("{initial} is outside of {min} to {max}");
                self.report(at, problem::BOUNDS_ORDER, what, "min ≤ initial ≤ max");
            }
            return None;
        }
        Some(Bounds { min, max, initial })
    }

    /// Refuses a part of the format that this version cannot act on.
    pub fn unsupported(&mut self, field: &Field<'_>, what: &str, help: &str) {
        let what = format!("{what}: not supported by this version");
        self.report(field, problem::NOT_SUPPORTED, what, help);
    }
}

/// Where to point at a list item: a mapping is shown by its first key.
fn first_place(node: &Node) -> Place {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.place, |(key, _)| key.place),
        _ => node.place,
    }
}

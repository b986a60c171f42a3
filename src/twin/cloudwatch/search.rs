//! SEARCH('{Namespace,Dimension…} terms', 'Statistic', period): metrics found by what they are called.
//!
//! Understood: a schema in braces, `Namespace="…"`, `MetricName="…"`, `Dimension="…"`, words and quoted phrases,
//! all of which must match. `OR`, `NOT` and parentheses are refused.

use super::{View, list, read::Selector};
use crate::twin::plane::Name;

/// Metrics that one SEARCH gives (user guide, "CloudWatch search expression syntax").
const FOUND_LIMIT: usize = 100;
const IDLE_MS: i64 = 14 * 86_400_000;

#[derive(Debug, Default)]
struct Terms {
    namespace: Option<String>,
    /// Exactly these dimensions.
    schema: Option<Vec<String>>,
    /// (property, value).
    properties: Vec<(String, String)>,
    /// (text in lower case, whether it must be a whole name).
    words: Vec<(String, bool)>,
}

/// The metrics that match, in order of their names.
pub(super) fn search(view: &View, text: &str) -> Result<Vec<Selector>, String> {
    let terms = parse(text)?;
    let mut found: Vec<Selector> =
        list::listed(view, IDLE_MS).filter(|name| terms.match_name(name)).map(selector).collect();
    found.dedup();
    found.truncate(FOUND_LIMIT);
    Ok(found)
}

fn selector(name: &Name) -> Selector {
    let Name { namespace, metric, dimensions, .. } = name.clone();
    Selector { namespace, metric, dimensions, unit: None }
}

impl Terms {
    fn match_name(&self, name: &Name) -> bool {
        let property = |(key, value): &(String, String)| match key.as_str() {
            "MetricName" => name.metric == *value,
            "Namespace" => name.namespace == *value,
            key => name.dimensions.get(key) == Some(value),
        };
        let word = |(word, whole): &(String, bool)| {
            let mut texts = [&name.namespace, &name.metric].into_iter().chain(name.dimensions.values());
            texts.any(|text| {
                let text = text.to_lowercase();
                if *whole { text == *word } else { text.contains(word.as_str()) }
            })
        };
        self.namespace.as_ref().is_none_or(|namespace| name.namespace == *namespace)
            && self.schema.as_ref().is_none_or(|schema| {
                schema.len() == name.dimensions.len() && schema.iter().all(|key| name.dimensions.contains_key(key))
            })
            && self.properties.iter().all(property)
            && self.words.iter().all(word)
    }
}

fn parse(text: &str) -> Result<Terms, String> {
    let mut terms = Terms::default();
    let mut rest = text.trim();
    if let Some(after) = rest.strip_prefix('{') {
        let (schema, tail) = after.split_once('}').ok_or("the schema of SEARCH is not closed")?;
        let mut names = schema.split(',').map(|name| name.trim().trim_matches('"').to_owned());
        terms.namespace = names.next().filter(|name| !name.is_empty());
        terms.schema = Some(names.filter(|name| !name.is_empty()).collect());
        rest = tail;
    }
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(terms);
        }
        let (first, quoted, tail) = token(rest)?;
        rest = tail;
        if let Some(after) = rest.trim_start().strip_prefix('=') {
            let (value, _, tail) = token(after.trim_start())?;
            terms.properties.push((first.to_owned(), value.to_owned()));
            rest = tail;
        } else if !quoted && ["OR", "NOT"].contains(&first) {
            return Err(format!("the twin's SEARCH does not know {first}"));
        } else if quoted || first != "AND" {
            terms.words.push((first.to_lowercase(), quoted));
        }
    }
}

/// A word or a quoted phrase at the start: (text, whether quoted, what follows).
fn token(text: &str) -> Result<(&str, bool, &str), String> {
    if let Some(after) = text.strip_prefix('"') {
        let (phrase, tail) = after.split_once('"').ok_or("a quoted phrase of SEARCH is not closed")?;
        return Ok((phrase, true, tail));
    }
    let end = text.find(|c: char| c.is_whitespace() || "=\"(){}".contains(c)).unwrap_or(text.len());
    let (word, tail) = text.split_at(end);
    if word.is_empty() { Err(format!("SEARCH cannot read {text}")) } else { Ok((word, false, tail)) }
}

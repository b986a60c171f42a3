//! ConditionExpression and ProjectionExpression, as far as the twin reads them: attribute_exists and
//! attribute_not_exists of top-level attributes joined by AND or OR, and lists of top-level attributes.
//! Anything else is refused, never guessed at.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Args, Refusal};
use super::value::Item;

/// Any of these groups, all of whose terms hold. A term: attribute name, whether it has to exist.
#[derive(Debug)]
pub(super) struct Condition(Vec<Vec<(String, bool)>>);

impl Condition {
    pub fn holds(&self, item: Option<&Item>) -> bool {
        let has = |name: &String| item.is_some_and(|item| item.contains_key(name));
        self.0.iter().any(|terms| terms.iter().all(|(name, exist)| has(name) == *exist))
    }
}

/// The names behind `#aliases`, and which were used.
pub(super) struct Names {
    map: BTreeMap<String, String>,
    used: BTreeSet<String>,
}

impl Names {
    pub fn new(args: Args) -> Self {
        Self { map: args.map("ExpressionAttributeNames"), used: BTreeSet::new() }
    }

    fn resolve(&mut self, what: &str, text: &str) -> Result<String, Refusal> {
        let text = text.trim();
        let letters = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some(alias) = text.strip_prefix('#').filter(|alias| letters(alias)) {
            let Some(name) = self.map.get(text) else {
                return Err(Refusal::validation(format!(
                    "Invalid {what}: An expression attribute name used in the document path is not defined; attribute \
                     name: #{alias}"
                )));
            };
            self.used.insert(text.to_owned());
            return Ok(name.clone());
        }
        if letters(text) { Ok(text.to_owned()) } else { Err(unread(what, text)) }
    }

    /// Every alias has to be used.
    pub fn done(&self) -> Result<(), Refusal> {
        let unused: Vec<&str> =
            self.map.keys().filter(|alias| !self.used.contains(*alias)).map(String::as_str).collect();
        if unused.is_empty() {
            return Ok(());
        }
        Err(Refusal::validation(format!(
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {{{}}}",
            unused.join(", ")
        )))
    }

    pub fn condition(&mut self, args: Args) -> Result<Option<Condition>, Refusal> {
        const WHAT: &str = "ConditionExpression";
        let Some(text) = args.text(WHAT) else { return Ok(None) };
        if text.trim().is_empty() {
            return Err(Refusal::validation("Invalid ConditionExpression: The expression can not be empty;"));
        }
        let mut groups = vec![Vec::new()];
        let mut words = text.replace('(', " ( ").replace(')', " ) ");
        words.push_str(" AND");
        let mut words = words.split_whitespace();
        while let Some(function) = words.next() {
            let exist = match function {
                "attribute_exists" => true,
                "attribute_not_exists" => false,
                _ => return Err(unread(WHAT, text)),
            };
            let (open, name, close) = (words.next(), words.next(), words.next());
            let (Some("("), Some(name), Some(")")) = (open, name, close) else { return Err(unread(WHAT, text)) };
            let term = (self.resolve(WHAT, name)?, exist);
            if let Some(group) = groups.last_mut() {
                group.push(term);
            }
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                Some("AND") => {}
                Some("OR") => groups.push(Vec::new()),
                _ => return Err(unread(WHAT, text)),
            }
        }
        // The AND that was added closes the last term; one of the client's own leaves a term missing.
        if text.trim_end().to_ascii_uppercase().ends_with(" AND") {
            return Err(unread(WHAT, text));
        }
        Ok(Some(Condition(groups)))
    }

    /// The attributes to return; `None`: all.
    pub fn projection(&mut self, args: Args) -> Result<Option<BTreeSet<String>>, Refusal> {
        const WHAT: &str = "ProjectionExpression";
        let Some(text) = args.text(WHAT) else { return Ok(None) };
        text.split(',').map(|name| self.resolve(WHAT, name)).collect::<Result<_, _>>().map(Some)
    }
}

fn unread(what: &str, text: &str) -> Refusal {
    Refusal::validation(format!(
        "Invalid {what}: the twin reads attribute_exists(name) and attribute_not_exists(name) joined by AND or OR, and \
         lists of top-level attributes, but not: {text}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_read_or_refused() {
        let item = json!({"a": {"S": "x"}});
        let holds = |text: &str| {
            let input = json!({"ConditionExpression": text, "ExpressionAttributeNames": {"#a": "a"}});
            Names::new(Args(&input)).condition(Args(&input)).map(|found| found.unwrap().holds(item.as_object()))
        };
        assert_eq!(holds("attribute_exists(a)").ok(), Some(true));
        assert_eq!(holds("attribute_not_exists( #a )").ok(), Some(false));
        assert_eq!(holds("attribute_exists(b) or attribute_exists(a) AND attribute_not_exists(c)").ok(), Some(true));
        let wrong = [" ", "a = :x", "attribute_exists(a", "attribute_exists(a) AND", "attribute_exists(a.b)", "(", "#"];
        for wrong in wrong.into_iter().chain(["attribute_exists(#b)", "attribute_exists(a) attribute_exists(a)", "OR"])
        {
            assert!(holds(wrong).is_err(), "{wrong}");
        }
    }
}

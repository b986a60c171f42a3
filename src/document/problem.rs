//! `Problem`: one thing wrong with a document, with its place and what would be right.
//!
//! Codes are stable: scripts and documentation refer to them.

use std::ops::Range;

use serde::Serialize;

/// Not well-formed YAML.
pub const SYNTAX: &str = "AC0100";
/// Larger, deeper or with more aliases than a spec ever needs.
pub const TOO_LARGE: &str = "AC0101";
/// Not exactly one document.
pub const DOCUMENTS: &str = "AC0102";
/// A key stands twice in one mapping.
pub const DUPLICATE_KEY: &str = "AC0103";
/// A field that does not exist.
pub const UNKNOWN_FIELD: &str = "AC0104";
/// A field that must be there and is not.
pub const MISSING_FIELD: &str = "AC0105";
/// A value of the wrong kind, e.g. text where a number belongs.
pub const WRONG_TYPE: &str = "AC0106";
/// Another `apiVersion` or `kind`.
pub const WRONG_KIND: &str = "AC0107";
/// Not one of the words allowed here.
pub const UNKNOWN_WORD: &str = "AC0110";
/// A number, duration or list outside of what AWS accepts.
pub const OUT_OF_RANGE: &str = "AC0111";
/// Bounds that are not `min <= initial <= max`.
pub const BOUNDS_ORDER: &str = "AC0112";
/// Text of the wrong form: name, ARN, duration, key, region, account, timestamp, JSON.
pub const MALFORMED: &str = "AC0113";
/// The same name twice.
pub const DUPLICATE_NAME: &str = "AC0120";
/// A reference to something that the spec does not have.
pub const UNKNOWN_REFERENCE: &str = "AC0121";
/// Settings that contradict each other.
pub const CONTRADICTION: &str = "AC0122";
/// A tag that AWS or this tool keeps for itself, or too many of them.
pub const TAG: &str = "AC0123";
/// Part of the spec format that this version cannot act on.
pub const NOT_SUPPORTED: &str = "AC0190";

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `AC01xx`, one of the constants of this module.
    pub code: &'static str,
    /// What is wrong, with the path of the field; one line, free of control characters.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Byte range in the source; `None` when the problem has no place.
    pub span: Option<Range<usize>>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub start: usize,
    pub end: usize,
    pub line: usize,
    pub column: usize,
}

impl Problem {
    pub(crate) fn at(place: Place, code: &'static str, message: String, help: Option<String>) -> Self {
        Self { code, message, help, span: Some(place.start..place.end), line: place.line, column: place.column }
    }

    /// A problem of the document as a whole.
    pub(crate) fn whole(code: &'static str, message: &str, help: &str) -> Self {
        Self { code, message: message.to_owned(), help: Some(help.to_owned()), span: None, line: 1, column: 1 }
    }
}

/// Text of the user's inside a message: quoted, on one line, without control characters, not longer than a line.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The candidate that was probably meant, if one is near: other case, a unit suffix too many, or up to two
/// letters off.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that we know is longer; a long hostile key must not cost time.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = edits(&lower, &other);
            let suffixed = other.len() >= 4 && (lower.starts_with(&other) || lower.ends_with(&other));
            let near = distance <= 2 && distance * 2 < other.chars().count().max(2);
            (near || suffixed).then_some((if suffixed { 1.min(distance) } else { distance }, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (to, above) in b.iter().zip(row.windows(2)) {
            let &[diagonal, up] = above else { continue };
            left = (diagonal + usize::from(from != *to)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probable_word_is_found_and_no_other() {
        let known = ["batchSize", "min", "max", "maximumBatchingWindow", "writesTo"];
        assert_eq!(nearest("batchsize", known), Some("batchSize"));
        assert_eq!(nearest("bacthSize", known), Some("batchSize"));
        assert_eq!(nearest("maximumBatchingWindowInSeconds", known), Some("maximumBatchingWindow"));
        assert_eq!(nearest("writeTo", known), Some("writesTo"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest(&"m".repeat(1000), known), None);
    }

    #[test]
    fn hostile_text_stays_on_one_short_line() {
        assert_eq!(quoted("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert!(quoted(&"x".repeat(10_000)).len() < 80);
    }
}

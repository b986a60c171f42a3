//! A small reader of Rust source: enough to see which paths a file names, which functions are how long,
//! and which modules it declares. Comments, strings and `#[cfg(test)]` items are not code to it.

use std::collections::BTreeSet;

/// One token of code with its 1-based line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path as written, e.g. `["crate", "model", "Facts"]`, with the line of its first segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// The inline modules (`mod x { … }`) around it, outermost first: `super` counts them.
    pub inside: Vec<String>,
    pub segments: Vec<String>,
    pub line: usize,
}

/// A function with the number of lines from `fn` to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// What the rules look at in one file.
#[derive(Debug)]
pub struct Scan {
    /// The code, without `#[cfg(test)]` items.
    pub tokens: Vec<Token>,
    /// Children declared with `mod x;`, test-only ones included.
    pub declared: BTreeSet<String>,
    /// Children declared with `#[cfg(test)] mod x;`.
    pub test_only: BTreeSet<String>,
}

/// Reads one file.
pub fn scan(source: &str) -> Scan {
    let all = tokenize(source);
    let (tokens, removed) = without_tests(&all);
    let test_only = declared_modules(&removed);
    let mut declared = declared_modules(&tokens);
    declared.extend(test_only.iter().cloned());
    Scan { tokens, declared, test_only }
}

/// Splits source into identifiers, numbers and punctuation (`::` is one token); drops comments, strings,
/// character literals and lifetimes.
pub fn tokenize(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest, 0),
            ['b' | 'c', '"', ..] => quoted(rest, 1),
            ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] => raw_string(rest),
            ['b', '\'', ..] => 1 + quote(&rest[1..]),
            ['\'', ..] => quote(rest),
            _ => 0,
        };
        let (length, text) = if length > 0 { (length, None) } else { word(rest) };
        if let Some(text) = text {
            tokens.push(Token { text, line });
        }
        line += rest[..length].iter().filter(|c| **c == '\n').count();
        at += length;
    }
    tokens
}

fn word(rest: &[char]) -> (usize, Option<String>) {
    let length = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
    match rest {
        [c, ..] if c.is_whitespace() => (1, None),
        [':', ':', ..] => (2, Some("::".to_owned())),
        _ if length > 0 => (length, Some(rest[..length].iter().collect())),
        [c, ..] => (1, Some(c.to_string())),
        [] => (1, None),
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], prefix: usize) -> usize {
    let mut at = prefix + 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Length of a raw string at the start of `rest`, or 0 when it is a raw identifier (`r#type`).
fn raw_string(rest: &[char]) -> usize {
    let start = rest.iter().position(|c| *c == 'r').map_or(0, |r| r + 1);
    let hashes = rest[start..].iter().take_while(|c| **c == '#').count();
    if rest.get(start + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = start + hashes + 1;
    while at < rest.len() {
        if rest[at] == '"' && rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

/// Length of a character literal or a lifetime.
fn quote(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => rest.iter().skip(3).position(|c| *c == '\'').map_or(rest.len(), |end| end + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1 + rest[1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count(),
    }
}

/// Splits the code into what ships and what `#[cfg(test)]` marks.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<Token>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut removed, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let marked = tokens.len() - at >= MARK.len() && (0..MARK.len()).all(|i| tokens[at + i].text == MARK[i]);
        if !marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = item_end(tokens, at + MARK.len());
        removed.extend_from_slice(&tokens[at..end]);
        at = end;
    }
    (kept, removed)
}

/// The index after the item that starts at `from`: after its `;`, or after the brace that closes it.
fn item_end(tokens: &[Token], from: usize) -> usize {
    let (mut depth, mut brackets) = (0_usize, 0_usize);
    for (index, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "{" => depth += 1,
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && brackets == 0 {
                    return index + 1;
                }
            }
            ";" if depth == 0 && brackets == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn declared_modules(tokens: &[Token]) -> BTreeSet<String> {
    tokens
        .windows(3)
        .filter(|w| w[0].text == "mod" && w[2].text == ";")
        .map(|w| w[1].text.trim_start_matches("r#").to_owned())
        .collect()
}

/// Every path in the code: the leaves of each `use`, and each path written in place.
pub fn paths(tokens: &[Token]) -> Vec<PathUse> {
    let (mut found, mut at) = (Vec::new(), 0);
    let (mut depth, mut modules): (usize, Vec<(usize, String)>) = (0, Vec::new());
    while at < tokens.len() {
        let line = tokens[at].line;
        match tokens[at].text.as_str() {
            "mod" if text(tokens, at + 2) == "{" => modules.push((depth, text(tokens, at + 1).to_owned())),
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                modules.retain(|(outside, _)| *outside < depth);
            }
            _ => {}
        }
        let inside: Vec<String> = modules.iter().map(|(_, name)| name.clone()).collect();
        if tokens[at].text == "use" && at.checked_sub(1).is_none_or(|before| is_use_start(&tokens[before].text)) {
            let start = PathUse { inside, segments: Vec::new(), line };
            at = use_tree(tokens, at + 1, &start, &mut found);
        } else if is_identifier(&tokens[at].text) && text(tokens, at + 1) == "::" {
            let mut segments = vec![tokens[at].text.clone()];
            while text(tokens, at + 1) == "::" && is_identifier(text(tokens, at + 2)) {
                segments.push(tokens[at + 2].text.clone());
                at += 2;
            }
            found.push(PathUse { inside, segments, line });
        }
        at += 1;
    }
    found
}

/// Reads one branch of a use tree from `at`; returns the index of the token that ended it.
fn use_tree(tokens: &[Token], mut at: usize, prefix: &PathUse, found: &mut Vec<PathUse>) -> usize {
    let mut path = prefix.clone();
    loop {
        match text(tokens, at) {
            "" | ";" | "," | "}" => break,
            "{" => {
                at = use_tree(tokens, at + 1, &path, found);
                while text(tokens, at) == "," {
                    at = use_tree(tokens, at + 1, &path, found);
                }
                return at + 1;
            }
            "as" => at += 1,
            "::" | "self" => {}
            other => path.segments.push(other.to_owned()),
        }
        at += 1;
    }
    if path != *prefix || text(tokens, at.wrapping_sub(1)) == "self" {
        found.push(path);
    }
    at
}

/// Every function with a body.
pub fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at].text != "fn" || !is_identifier(text(tokens, at + 1)) {
            continue;
        }
        let end = item_end(tokens, at + 1);
        if text(tokens, end - 1) == "}" {
            let lines = tokens[end - 1].line - tokens[at].line + 1;
            found.push(Function { name: tokens[at + 1].text.clone(), line: tokens[at].line, lines });
        }
    }
    found
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

fn is_use_start(before: &str) -> bool {
    matches!(before, ";" | "}" | "{" | "]" | "pub" | ")")
}

fn is_identifier(word: &str) -> bool {
    word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<String> {
        paths(&scan(source).tokens).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_expanded_to_their_leaves() {
        assert_eq!(
            named("use crate::{aws, model::{self, Facts, failure::*}, plan::Step as S};\nfn f() {}"),
            ["crate::aws", "crate::model", "crate::model::Facts", "crate::model::failure::*", "crate::plan::Step"]
        );
        assert_eq!(named("pub(crate) use ::std::{fs, io::{self}};"), ["std::fs", "std::io"]);
    }

    #[test]
    fn paths_in_place_are_seen_and_text_is_not() {
        let source = r##"
            // crate::aws::Clock
            /* crate::a /* crate::b */ crate::c */
            fn f<'a>(x: &'a str) -> char { let _ = "crate::d"; let _ = r#"crate::e " "#; let _ = b'\''; '"' }
            fn g() { crate::memory::load(); let _ = tokio::time::sleep; }
        "##;
        assert_eq!(named(source), ["crate::memory::load", "tokio::time::sleep"]);
    }

    #[test]
    fn inline_modules_are_kept_with_a_path() {
        let found = paths(&scan("mod a { mod b { use super::X; } use super::Y; } use super::Z;").tokens);
        let told: Vec<_> = found.iter().map(|path| (path.inside.join("::"), path.segments.join("::"))).collect();
        let expected = [("a::b", "super::X"), ("a", "super::Y"), ("", "super::Z")];
        assert_eq!(told, expected.map(|(inside, path)| (inside.to_owned(), path.to_owned())));
    }

    #[test]
    fn test_items_are_not_code_but_their_modules_are_declared() {
        let scan =
            scan("mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\nmod tests { use tokio::time; fn x() {} }\nuse std::fs;");
        assert_eq!(scan.declared.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(scan.test_only.iter().collect::<Vec<_>>(), ["b"]);
        let names: Vec<_> = paths(&scan.tokens).into_iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(names, ["std::fs"]);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source = "trait T { fn a(&self); }\nfn b(x: [u8; 2]) -> u8 {\n    let y = { 1 };\n    y\n}\n";
        let found = functions(&scan(source).tokens);
        assert_eq!(found, [Function { name: "b".to_owned(), line: 2, lines: 4 }]);
    }
}

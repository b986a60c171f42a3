//! The documents against the repository: a link that leads nowhere is a promise not kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The targets of `[text](target)` in Markdown, without those on the web.
fn links(markdown: &str) -> Vec<String> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).map(str::to_owned).collect()
}

fn documents() -> Vec<PathBuf> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(repository.join("docs")).expect("docs/ exists").map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    found.push(repository.join("README.md"));
    found
}

#[test]
fn every_link_leads_somewhere() {
    let mut lost = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document is UTF-8");
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if !document.parent().expect("a folder").join(file).exists() {
                lost.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(lost.is_empty(), "links that lead nowhere: {lost:#?}");
}

#[test]
fn links_are_found_in_text() {
    assert_eq!(links("see [a](b.md#c), ![d](e.svg), [f](https://g) and [h](#i)"), ["b.md#c", "e.svg"]);
}

/// The cells of each row of the Markdown tables, without their headings.
fn rows(markdown: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = markdown.lines().collect();
    let is_rule = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|--"));
    let body = (0..lines.len()).filter(|at| lines[*at].starts_with('|') && !is_rule(*at) && !is_rule(at + 1));
    body.map(|at| lines[at].trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Every Rust source below a folder, one after the other.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.extension() {
            Some(kind) if kind == "rs" => fs::read_to_string(&path).expect("a source is UTF-8"),
            None if path.is_dir() => sources(&path),
            _ => String::new(),
        })
        .collect()
}

#[test]
fn the_table_of_guards_names_files_and_tests_that_exist() {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(repository.join("docs/guards.md")).expect("docs/guards.md exists");
    let code = sources(&repository.join("src")) + &sources(&repository.join("tests"));
    let rows = rows(&text);
    assert!(rows.len() > 40, "{} guards", rows.len());
    let mut lost = Vec::new();
    for row in rows {
        let [guard, place, _, tests] = row[..] else { panic!("four cells a guard: {row:?}") };
        let (files, tests) = (quoted(place), quoted(tests));
        let missing = files.iter().filter(|file| !repository.join(file).is_file());
        let unknown = tests.iter().filter(|name| !code.contains(&format!("fn {name}(")));
        lost.extend(missing.chain(unknown).map(|name| format!("{guard}: {name}")));
        if files.is_empty() || tests.is_empty() {
            lost.push(format!("{guard}: no file or no test"));
        }
    }
    assert!(lost.is_empty(), "not in the repository: {lost:#?}");
}

#[test]
fn the_page_of_diagnoses_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/diagnoses.md");
    let generated = alleycat_operator::diagnose::markdown();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "docs/diagnoses.md differs: run `BLESS=1 cargo test --test it docs`");
}

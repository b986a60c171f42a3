//! The documents against the repository: a link that leads nowhere is a promise not kept.

use std::{fs, path::PathBuf};

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

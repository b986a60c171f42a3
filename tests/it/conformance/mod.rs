//! What the twin does of what AWS documents: scripted clients on the wire, and the table they earn.
//!
//! The denominator is generated: every operation in [`model::OPERATIONS`] × (success and each error of its SDK
//! model), and every rule that a service's script lists. A cell is claimed only by an assertion that ran.

#![allow(
    clippy::needless_pass_by_value,
    clippy::format_collect,
    clippy::assigning_clones,
    reason = "a script reads better with json! in the call"
)]

mod autoscaling;
mod book;
mod cloudwatch;
mod dynamodb;
mod faults;
mod kinesis;
mod lambda;
mod model;
mod rates;
mod report;
mod sts;

pub use book::{Book, Outcome, Rule, answer, request};
pub use model::SERVICES as OPERATIONS;

/// Service, its rules, its script.
type Script = (&'static str, &'static [Rule], fn(&mut Book));

/// All scripts, each on accounts of its own.
fn scripts() -> Vec<Script> {
    vec![
        ("faults", faults::RULES, faults::script),
        ("rates", rates::RULES, rates::script),
        ("sts", sts::RULES, sts::script),
        ("cloudwatch", cloudwatch::RULES, cloudwatch::script),
        ("kinesis", kinesis::RULES, kinesis::script),
        ("dynamodb", dynamodb::RULES, dynamodb::script),
        ("application-autoscaling", autoscaling::RULES, autoscaling::script),
        ("lambda", lambda::RULES, lambda::script),
    ]
}

#[test]
fn the_table_in_the_docs_is_what_the_scripts_earn() {
    let mut book = Book::default();
    for (_, rules, script) in scripts() {
        book.rules(rules);
        script(&mut book);
    }
    report::compare(&book);
}

/// Lambda's script alone, so that its failures are seen apart from the others'.
#[test]
fn lambda_keeps_its_rules() {
    let mut book = Book::default();
    book.rules(lambda::RULES);
    lambda::script(&mut book);
    let hidden: Vec<&str> = book.rules.iter().filter(|(_, (_, shown))| !shown).map(|(id, _)| *id).collect();
    assert!(hidden.is_empty(), "not shown: {hidden:?}");
}

#[test]
fn the_operations_are_those_of_the_sdk() {
    model::compare_with_the_sdk();
}

//! YAML → [`Pipeline`]: a tree with source places, validation, defaults. Pure.
//!
//! What always holds: a `Pipeline` that leaves this room is valid; a document that does not is answered
//! with every problem at once, each with its place. Only a syntax error stops at the first.

mod calendar;
mod pipeline;
pub mod policy;
mod reader;
mod text;
mod validate;

use crate::document::yaml;

pub use crate::document::{Problem, problem, render_problems};
pub use calendar::{Begins, Freeze, ScheduledLoad, Window};
pub use pipeline::{
    AdoptionPolicy, Billing, BreakGlass, ConsumerSpec, DeletionPolicy, Delivery, Encryption, ExternalConsumer,
    GlobalIndexSpec, KeyAttribute, LocalIndexSpec, Management, Objectives, Pipeline, Projection, ScalingSpec,
    StartingPosition, StreamSpec, TableSpec,
};
pub use policy::ScalingPolicy;

/// The `apiVersion` that this version reads.
pub const API_VERSION: &str = "alleycat.dev/v1alpha1";

/// Reads one `kind: Pipeline` document. Problems come in the order of the file.
///
/// # Errors
/// Every problem of the document; never an empty list.
pub fn parse(source: &str) -> Result<Pipeline, Vec<Problem>> {
    read(source, "Pipeline", validate::pipeline)
}

/// Reads a document of one kind: all of it, or all of its problems in file order.
fn read<T>(
    source: &str,
    kind: &str,
    body: impl FnOnce(&mut reader::Reader, &reader::Object<'_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let node = yaml::read(source).map_err(|problem| vec![problem])?;
    let mut reader = reader::Reader::default();
    let root = reader.object(&reader::Field::root(&node), &["apiVersion", "kind", "metadata", "spec"]);
    let value = root.and_then(|root| {
        validate::header(&mut reader, &root, kind);
        body(&mut reader, &root)
    });
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ if problems.is_empty() => {
            // Unreachable while every failed read notes its problem; a person must still get an answer.
            Err(vec![Problem::whole(problem::SYNTAX, "the document could not be read", "please report this file")])
        }
        _ => Err(problems),
    }
}

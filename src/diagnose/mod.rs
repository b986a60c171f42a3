//! Facts + Signals → [`Finding`]s: symptom → diagnosis → remedy, with the evidence. Pure.

mod finding;

pub use finding::{Diagnosis, Evidence, Finding, Severity};

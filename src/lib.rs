//! `alleycat-operator`: provisions and autoscales one streaming pipeline on AWS
//! (Kinesis Data Streams → Lambda event source mappings → DynamoDB tables) from a declarative spec.
//!
//! Data walks one way: `spec → observe → diagnose → scale → plan → apply → memory`, and the daemon
//! walks it again. `model` holds the nouns all rooms share. The rooms that decide (`model`, `spec`,
//! `diagnose`, `scale`, `plan`, `cost`, the machine in `apply`, the types in `memory`) are pure: no
//! clock, no I/O, no randomness, no SDK; `now` is an argument. `tests/house.rs` enforces it.

pub mod apply;
pub mod aws;
pub mod cli;
pub mod cost;
pub mod daemon;
pub mod diagnose;
pub mod document;
pub mod memory;
pub mod model;
pub mod observe;
pub mod plan;
pub mod scale;
pub mod simulate;
pub mod spec;
pub mod twin;

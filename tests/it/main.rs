//! All integration tests, in one binary: one link, one summary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that meets the unexpected stops and says so"
)]

mod apply;
mod bench;
mod benchmark;
mod cli;
mod clients;
mod conformance;
mod daemon;
mod demo;
mod diagnose;
mod docs;
mod emulators;
mod fan_out;
mod from_cloudwatch;
mod fuzz;
mod history;
mod house;
mod iam;
mod incidents;
mod local;
mod manifests;
mod memory;
mod modes;
mod peers;
mod picture;
mod plan;
mod plane;
mod report;
mod service;
mod simulate;
mod spec;
mod status;
mod storm;
mod twin;
mod world;

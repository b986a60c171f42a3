//! Planning, linting and rendering, over small worlds made by hand.

#![allow(clippy::unwrap_used, clippy::panic, clippy::unnecessary_wraps)]

#[path = "plan/goldens.rs"]
mod goldens;
#[path = "plan/lint.rs"]
mod lint;
#[path = "plan/rules.rs"]
mod rules;
#[path = "plan/world.rs"]
mod world;

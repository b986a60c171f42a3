//! Estimators, joint sizing, quota ledger, guards → [`Targets`], with every formula term kept. Pure.

mod targets;

pub use targets::{CapacityTarget, ConsumerTargets, Hold, Sizing, TableTargets, Target, Targets, Term};

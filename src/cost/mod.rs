//! What a configuration costs: a dated, replaceable price sheet, the cost at rest of what exists, and metered
//! quantities → dollars. Pure.
//!
//! What always holds: cost at rest is linear in shards and capacity units and never negative; traffic charges
//! (PUT units, requests, storage) are never part of it. They appear in [`Meters`] only.

mod meters;
mod prices;
mod rest;

pub use meters::{Bill, BillItem, GB, Meters};
pub use prices::PriceSheet;
pub use rest::{of_capacity, of_facts, of_new_stream, of_new_table, of_stream, of_table, of_targets};

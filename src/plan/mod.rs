//! Pipeline + Facts + Targets → [`Plan`]: ordered changes and steps, cost, quota, risk; and a linter. Pure.
//!
//! What always holds: a plan changes nothing that is not tagged as this pipeline's own (or adopted on request),
//! moves values into their bounds and never out of them, and stays inside the budgets known to it. [`lint`] checks
//! the same from the rules, without this room's other code, before anything is called.

mod billing;
mod capacity;
pub mod codes;
mod destroy;
mod draft;
pub mod fan_out;
mod lint;
mod lint_modes;
mod lint_moves;
mod lint_values;
mod mapping;
mod ownership;
pub mod quota;
mod stream;
mod table;
mod timing;
mod types;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    cost::{self, PriceSheet},
    memory::RefusedMove,
    model::Facts,
    scale::Targets,
    spec::{Management, Pipeline, ScalingPolicy},
};

pub use destroy::destroy;
pub use lint::lint;
pub use types::{
    Action, Blocked, CapacityChange, Change, CostEstimate, FieldChange, IndexCapacityChange, MappingChange, NewIndex,
    NewMapping, NewTable, Owner, Plan, QuotaUse, Risk, Step,
};

use draft::Draft;

/// Version of the plan's data form, `major.minor`.
pub const FORMAT_VERSION: &str = "1.0";

/// Everything a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The spec.
    pub pipeline: &'a Pipeline,
    /// What exists.
    pub facts: &'a Facts,
    /// What the sizing wants; `None` plans provisioning only and leaves values inside their bounds alone.
    pub targets: Option<&'a Targets>,
    /// UpdateShardCount calls known to be used in the last 24 h; AWS may know of more.
    pub ledger_used: u32,
    /// AWS refused a call for quota: none is planned before this.
    pub exhausted_until: Option<Timestamp>,
    /// Prices.
    pub prices: &'a PriceSheet,
    /// Reserves and reshard times.
    pub policy: &'a ScalingPolicy,
    /// What a move to or from fan-out is decided from; `None`: none begins, and none goes on.
    pub evidence: Option<&'a fan_out::Evidence>,
    /// Moves that were given up, by consumer.
    pub refused_moves: &'a BTreeMap<String, RefusedMove>,
    /// Since when the stream is on demand by our break-glass; `None`: it is not.
    pub break_glass_since: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

impl Input<'_> {
    /// Whether the sizing speaks too. Then one step a resource and cycle, and none on a resource in transition.
    fn scaling(&self) -> bool {
        self.targets.is_some()
    }
}

/// Provisioning, and scaling where targets are given. Tables, then the stream, then mappings, each by name: the
/// order of the spec does not matter.
pub fn plan(input: &Input<'_>) -> Plan {
    let mut draft = Draft::default();
    let mut tables: Vec<_> = input.pipeline.tables.iter().collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    for spec in tables {
        table::plan(&mut draft, input, spec);
    }
    stream::plan(&mut draft, input);
    mapping::plan(&mut draft, input);
    let after = draft.cost_after(cost::of_facts(input.facts, input.prices));
    if let Some(budget) = input.pipeline.objectives.monthly_budget_usd
        && after.per_month() > budget
    {
        draft.warnings.push(format!(
            "the configuration costs ${:.2} a month at rest, above objectives.monthlyBudget (${budget:.2})",
            after.per_month()
        ));
    }
    draft.finish(input, None)
}

/// Warnings that every plan of this pipeline carries.
fn common_warnings(input: &Input<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if input.pipeline.management == Management::Observe {
        warnings.push("management is observe: this plan can be read but not applied".to_owned());
    }
    warnings.extend(input.prices.warning(&input.facts.region));
    warnings
}

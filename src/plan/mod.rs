//! Pipeline + Facts + Targets → [`Plan`]: ordered changes and steps, cost, quota, risk; and a linter. Pure.

mod types;

pub use types::{
    Action, Blocked, CapacityChange, Change, CostEstimate, FieldChange, IndexCapacityChange, MappingChange, NewIndex,
    NewMapping, NewTable, Owner, Plan, QuotaUse, Risk, Step,
};

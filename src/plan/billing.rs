//! A switch of a table's billing mode: one UpdateTable, with all throughput when it leads to provisioned.

use crate::{
    cost,
    model::{BillingMode, CapacityUnits, TableFacts},
    scale::{CapacityTarget, TableTargets, Target},
};

use super::{CapacityChange, FieldChange, IndexCapacityChange, Input, Step, draft::Work, timing};

/// Adds the switch that the sizing wants. Back to provisioned AWS takes only with the throughput of the table and of
/// every index (DynamoDB API, UpdateTable); a switch for which one is missing is not planned.
pub(super) fn switch(
    input: &Input<'_>,
    live: &TableFacts,
    target: &Target<BillingMode>,
    targets: Option<&TableTargets>,
    work: &mut Work,
) {
    let mut capacity = CapacityChange { table: live.name.clone(), capacity: None, indexes: Vec::new() };
    let mut fields =
        vec![FieldChange::scaled("billingMode", live.billing_mode.word(), target.value.word(), &target.reason)];
    let mut after = live.clone();
    after.billing_mode = target.value;
    if target.value == BillingMode::Provisioned {
        let Some(targets) = targets else { return };
        let Some((read, write)) = both(&targets.table) else { return };
        capacity.capacity = Some((read, write));
        (after.capacity.read, after.capacity.write) = (read, write);
        fields.extend(units("", (read, write), &targets.table));
        for (name, index) in &mut after.global_secondary_indexes {
            let Some(wanted) = targets.indexes.get(name) else { return };
            let Some((read, write)) = both(wanted) else { return };
            (index.capacity.read, index.capacity.write) = (read, write);
            capacity.indexes.push(IndexCapacityChange { index: name.clone(), read, write });
            fields.extend(units(&format!("globalSecondaryIndexes.{name}."), (read, write), wanted));
        }
    }
    work.cost_delta = cost::of_table(&after, input.prices) - cost::of_table(live, input.prices);
    fields.into_iter().for_each(|field| work.field(field));
    work.step(Step::UpdateBillingMode { to: target.value, capacity }, timing::UPDATE_BILLING_MODE);
}

fn both(target: &CapacityTarget) -> Option<(CapacityUnits, CapacityUnits)> {
    Some((target.read.as_ref()?.value, target.write.as_ref()?.value))
}

fn units(prefix: &str, (read, write): (CapacityUnits, CapacityUnits), target: &CapacityTarget) -> [FieldChange; 2] {
    let reason = |side: &Option<Target<CapacityUnits>>| side.as_ref().map_or("", |it| &it.reason).to_owned();
    [
        FieldChange::scaled(&format!("{prefix}writeCapacity"), 0, write, &reason(&target.write)),
        FieldChange::scaled(&format!("{prefix}readCapacity"), 0, read, &reason(&target.read)),
    ]
}

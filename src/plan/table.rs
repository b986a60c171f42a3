//! Tables and their indexes.

use std::collections::BTreeSet;

use crate::{
    cost,
    model::{BillingMode, ResourceId, TableFacts, UsdPerHour},
    spec::{Billing, GlobalIndexSpec, TableSpec},
};

use super::{
    Action, Input, NewIndex, NewTable, Risk, Step, billing, capacity, codes,
    draft::{Draft, Work, new_field, spec_field},
    ownership, timing,
};

/// Decides about one table.
pub(super) fn plan(draft: &mut Draft, input: &Input<'_>, spec: &TableSpec) {
    match input.facts.tables.get(&spec.name) {
        None => create(draft, input, spec),
        Some(live) => existing(draft, input, spec, live),
    }
}

fn create(draft: &mut Draft, input: &Input<'_>, spec: &TableSpec) {
    let mut work = Work { cost_delta: cost::of_new_table(spec, input.prices), ..Work::default() };
    work.field(new_field("partitionKey", &spec.partition_key));
    if let Some(key) = &spec.sort_key {
        work.field(new_field("sortKey", key));
    }
    let billing = spec.billing_mode.initial();
    if billing == BillingMode::Provisioned {
        work.field(new_field("writeCapacity", spec.write_capacity.initial));
        work.field(new_field("readCapacity", spec.read_capacity.initial));
    } else {
        work.field(new_field("billingMode", "onDemand"));
    }
    for index in &spec.global_secondary_indexes {
        work.field(index_field(index, billing));
    }
    for index in &spec.local_secondary_indexes {
        work.field(new_field(&format!("localSecondaryIndexes.{}", index.name), &index.sort_key));
    }
    if let Some(view) = &spec.stream_view_type {
        work.field(new_field("streamViewType", view));
    }
    work.field(new_field("deletionProtection", spec.deletion_protection));
    // Order in the file is no part of what is wanted.
    work.fields.sort_by_key(|field| field.path.contains('.').then(|| field.path.clone()));
    let mut table = spec.clone();
    table.global_secondary_indexes.sort_by(|a, b| a.name.cmp(&b.name));
    table.local_secondary_indexes.sort_by(|a, b| a.name.cmp(&b.name));
    let tags = ownership::all_tags(input.pipeline);
    work.step(Step::CreateTable(Box::new(NewTable { spec: table, tags })), timing::CREATE_TABLE);
    let name = spec.name.clone();
    if spec.point_in_time_recovery {
        work.field(new_field("pointInTimeRecovery", true));
        work.step(Step::UpdatePointInTimeRecovery { table: name.clone(), enabled: true }, timing::SETTING);
    }
    if let Some(attribute) = spec.time_to_live.clone() {
        work.field(new_field("timeToLive", &attribute));
        work.step(Step::UpdateTimeToLive { table: name.clone(), attribute, enabled: true }, timing::SETTING);
    }
    draft.change(&ResourceId::Table(name), Action::Create, Some("does not exist yet".to_owned()), work);
}

/// An index that is created, with its keys and capacity.
fn index_field(index: &GlobalIndexSpec, billing: BillingMode) -> super::FieldChange {
    let mut text = index.partition_key.to_string();
    if let Some(key) = &index.sort_key {
        text = format!("{text} {key}");
    }
    if billing == BillingMode::Provisioned {
        text = format!("{text}, {} write, {} read units", index.write_capacity.initial, index.read_capacity.initial);
    }
    new_field(&format!("globalSecondaryIndexes.{}", index.name), text)
}

fn existing(draft: &mut Draft, input: &Input<'_>, spec: &TableSpec, live: &TableFacts) {
    let id = ResourceId::Table(spec.name.clone());
    let Some(claim) = ownership::claim(draft, input.pipeline, &id, &live.tags, spec.adoption_policy) else { return };
    if !ownership::alive(draft, &id, live.status) || !same_keys(draft, &id, spec, live) {
        return;
    }
    if input.scaling() && !live.is_settled() {
        draft.warnings.push(format!("{id} is in transition: nothing is changed on it now"));
        return;
    }
    let mut work = Work::default();
    if !claim.tags.is_empty() {
        claim.describe(&live.tags, &mut work);
        let step = Step::TagTable { table: spec.name.clone(), arn: live.arn.clone(), tags: claim.tags };
        work.step(step, timing::SETTING);
    }
    let mut throughput = Work::default();
    let targets = input.targets.and_then(|targets| targets.tables.get(&spec.name));
    let switch = targets.filter(|_| spec.billing_mode == Billing::Auto).and_then(|targets| targets.billing.as_ref());
    if let Some(target) = switch.filter(|target| target.value != live.billing_mode) {
        billing::switch(input, live, target, targets, &mut throughput);
    } else if same_billing(draft, &id, spec, live) && live.billing_mode == BillingMode::Provisioned {
        capacity::plan(draft, input, spec, live, &mut throughput);
    }
    // The daemon acts on Scale alone, so what the scaler wants stands by itself; and a table that is not ours yet
    // is not scaled before it is.
    let scaled = if input.scaling() { std::mem::take(&mut throughput) } else { Work::default() };
    work.append(throughput);
    indexes(draft, input, spec, live, &mut work);
    local_indexes(draft, &id, spec, live);
    settings(draft, &id, spec, live, &mut work);
    if claim.adopting {
        let reason = "exists untagged; adoptionPolicy is adopt".to_owned();
        draft.change(&id, Action::Adopt, Some(reason), work);
    } else {
        draft.change(&id, Action::Update, None, work);
        draft.change(&id, Action::Scale, None, scaled);
    }
    draft.settle(id);
}

/// Refuses a table whose keys are not the spec's: it is another table.
fn same_keys(draft: &mut Draft, id: &ResourceId, spec: &TableSpec, live: &TableFacts) -> bool {
    let wanted = (spec.partition_key.to_string(), spec.sort_key.as_ref().map(ToString::to_string));
    if wanted == (live.partition_key.clone(), live.sort_key.clone()) {
        return true;
    }
    let show = |(partition, sort): &(String, Option<String>)| match sort {
        Some(sort) => format!("{partition} {sort}"),
        None => partition.clone(),
    };
    let have = (live.partition_key.clone(), live.sort_key.clone());
    draft.block(
        id,
        codes::IMMUTABLE,
        format!("its keys are {}; the spec says {}", show(&have), show(&wanted)),
        "keys cannot be changed: correct the spec, or choose another table name".to_owned(),
    );
    false
}

fn same_billing(draft: &mut Draft, id: &ResourceId, spec: &TableSpec, live: &TableFacts) -> bool {
    let word = live.billing_mode.word();
    if spec.billing_mode == Billing::Auto {
        // Either mode is right: what exists is kept until the sizing says otherwise.
        draft.owned_by_scaler.push(format!("{id} billingMode = {word}, auto"));
        return true;
    }
    let wanted = spec.billing_mode.initial();
    if wanted == live.billing_mode {
        return true;
    }
    draft.block(
        id,
        codes::IMMUTABLE,
        format!("its billing mode is {word}; the spec says {}", wanted.word()),
        "only `billingMode: auto` is switched by this version: switch it in AWS, or correct billingMode".to_owned(),
    );
    false
}

/// Missing indexes are created, one call each; indexes that the spec does not name are never touched.
fn indexes(draft: &mut Draft, input: &Input<'_>, spec: &TableSpec, live: &TableFacts, work: &mut Work) {
    let mut wanted: Vec<_> = spec.global_secondary_indexes.iter().collect();
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    for index in wanted {
        let id = ResourceId::Index(spec.name.clone(), index.name.clone());
        let Some(facts) = live.global_secondary_indexes.get(&index.name) else {
            let provisioned = live.billing_mode == BillingMode::Provisioned;
            let mut field = index_field(index, live.billing_mode);
            "the spec's index is missing on the table; AWS fills it from the table".clone_into(&mut field.reason);
            work.field(field);
            if provisioned {
                work.cost_delta = work.cost_delta
                    + cost::of_capacity(index.read_capacity.initial, index.write_capacity.initial, input.prices);
            }
            let new = NewIndex { spec: index.clone(), provisioned };
            work.step(Step::CreateIndex { table: spec.name.clone(), index: new }, timing::CREATE_INDEX);
            continue;
        };
        if !ownership::alive(draft, &id, facts.status) {
            continue;
        }
        let keys = (index.partition_key.to_string(), index.sort_key.as_ref().map(ToString::to_string));
        if keys != (facts.partition_key.clone(), facts.sort_key.clone()) {
            draft.block(
                &id,
                codes::IMMUTABLE,
                "its keys differ from the spec's".to_owned(),
                "an index's keys cannot be changed: name a new index in the spec and drop the old one in AWS"
                    .to_owned(),
            );
        }
    }
}

/// Local indexes exist from the table's creation or never.
fn local_indexes(draft: &mut Draft, id: &ResourceId, spec: &TableSpec, live: &TableFacts) {
    let wanted: BTreeSet<&str> = spec.local_secondary_indexes.iter().map(|index| index.name.as_str()).collect();
    let have: BTreeSet<&str> = live.local_secondary_indexes.iter().map(String::as_str).collect();
    let list = |names: Vec<&str>| names.join(", ");
    let missing: Vec<&str> = wanted.difference(&have).copied().collect();
    if !missing.is_empty() {
        draft.block(
            id,
            codes::IMMUTABLE,
            format!("it has no local secondary index {}", list(missing)),
            "local indexes can be made with the table only: drop them from the spec, or choose another table name"
                .to_owned(),
        );
    }
    let extra: Vec<&str> = have.difference(&wanted).copied().collect();
    if !extra.is_empty() {
        let names = list(extra);
        draft
            .warnings
            .push(format!("{id} has local secondary indexes the spec does not name ({names}): each costs writes"));
    }
}

/// Stream, protection, recovery, TTL. What the spec leaves out (no stream, no TTL) is left as it is.
fn settings(draft: &mut Draft, id: &ResourceId, spec: &TableSpec, live: &TableFacts, work: &mut Work) {
    const DIFFERS: &str = "differs from the spec";
    let table = &spec.name;
    if let Some(view) = &spec.stream_view_type
        && live.stream_view_type.as_ref() != Some(view)
    {
        work.field(spec_field("streamViewType", live.stream_view_type.clone(), Some(view.clone()), DIFFERS));
        if live.stream_view_type.is_some() {
            // A stream's view cannot be changed; the new stream has another ARN.
            work.risk(Risk::Interrupts);
            work.step(Step::UpdateTableStream { table: table.clone(), view_type: None }, timing::SETTING);
        }
        work.step(Step::UpdateTableStream { table: table.clone(), view_type: Some(view.clone()) }, timing::SETTING);
    }
    let mut switch = |path: &str, have: bool, want: bool, step: Step| {
        if have != want {
            work.field(spec_field(path, Some(have.to_string()), Some(want.to_string()), DIFFERS));
            work.step(step, timing::SETTING);
        }
    };
    let enabled = spec.deletion_protection;
    let step = Step::UpdateDeletionProtection { table: table.clone(), enabled };
    switch("deletionProtection", live.deletion_protection, enabled, step);
    let enabled = spec.point_in_time_recovery;
    let step = Step::UpdatePointInTimeRecovery { table: table.clone(), enabled };
    switch("pointInTimeRecovery", live.point_in_time_recovery, enabled, step);
    match (&spec.time_to_live, &live.time_to_live) {
        (Some(want), None) => {
            work.field(spec_field("timeToLive", None, Some(want.clone()), DIFFERS));
            let step = Step::UpdateTimeToLive { table: table.clone(), attribute: want.clone(), enabled: true };
            work.step(step, timing::SETTING);
        }
        (Some(want), Some(have)) if want != have => draft.block(
            id,
            codes::IMMUTABLE,
            format!("its time-to-live attribute is {have}; the spec says {want}"),
            "AWS takes one change an hour: switch TTL off in AWS, wait an hour, then run apply".to_owned(),
        ),
        _ => {}
    }
}

/// What a table costs, for those who list it.
pub(super) fn cost_of(live: &TableFacts, input: &Input<'_>) -> UsdPerHour {
    cost::of_table(live, input.prices)
}

//! Whose a resource is, and which tags it lacks.

use std::collections::BTreeMap;

use crate::{
    model::{LifecycleStatus, MANAGED_BY, ResourceId, TAG_MANAGED_BY, TAG_PIPELINE},
    spec::{AdoptionPolicy, Pipeline},
};

use super::{
    codes,
    draft::{Draft, Work, spec_field},
};

/// Prefix of the tags this tool family keeps for itself; a user's tag never has it.
const RESERVED_PREFIX: &str = "alleycat.dev/";

/// Whose a resource is, by its tags.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// This pipeline's.
    Ours,
    /// Nobody's that we know of.
    Nobody,
    /// Another pipeline's or another tool's, in words.
    Other(String),
}

pub(super) fn holder(tags: &BTreeMap<String, String>, pipeline: &Pipeline) -> Holder {
    match (tags.get(TAG_PIPELINE), tags.get(TAG_MANAGED_BY)) {
        (Some(name), _) if *name == pipeline.name => Holder::Ours,
        (Some(name), _) => Holder::Other(format!("pipeline {name}")),
        (None, Some(tool)) if tool != MANAGED_BY => Holder::Other(tool.clone()),
        (None, _) => Holder::Nobody,
    }
}

/// The user's tags and ours, for something that is created.
pub(super) fn all_tags(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let mut tags: BTreeMap<_, _> = pipeline
        .tags
        .iter()
        .filter(|(key, _)| !key.starts_with(RESERVED_PREFIX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    tags.insert(TAG_PIPELINE.to_owned(), pipeline.name.clone());
    tags.insert(TAG_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    tags
}

/// A resource that may be changed.
pub(super) struct Claim {
    /// It becomes ours with this plan.
    pub adopting: bool,
    /// Tags to be written; empty when all are there.
    pub tags: BTreeMap<String, String>,
}

impl Claim {
    /// The fields of the tags.
    pub fn describe(&self, live: &BTreeMap<String, String>, work: &mut Work) {
        for (key, value) in &self.tags {
            let reason = if self.adopting { "becomes this pipeline's own" } else { "tag differs from the spec" };
            work.field(spec_field(&format!("tags.{key}"), live.get(key).cloned(), Some(value.clone()), reason));
        }
    }
}

/// Whether the plan may touch an existing resource: it is ours, or may be adopted. Otherwise says why not.
pub(super) fn claim(
    draft: &mut Draft,
    pipeline: &Pipeline,
    resource: &ResourceId,
    live: &BTreeMap<String, String>,
    policy: AdoptionPolicy,
) -> Option<Claim> {
    let adopting = match (holder(live, pipeline), policy) {
        (Holder::Ours, _) => false,
        (Holder::Nobody, AdoptionPolicy::Adopt) => true,
        (Holder::Nobody, AdoptionPolicy::Refuse) => {
            let setting = match resource {
                ResourceId::Table(_) => "adoptionPolicy: adopt in this table's spec",
                _ => "adoptionPolicy: adopt in spec.stream",
            };
            draft.block(
                resource,
                codes::NOT_OURS,
                format!("exists without the tag {TAG_PIPELINE}={}", pipeline.name),
                format!("to take it over, set {setting}; otherwise choose another name"),
            );
            return None;
        }
        (Holder::Other(who), _) => {
            draft.block(
                resource,
                codes::OTHER_OWNER,
                format!("belongs to {who}"),
                "choose another name, or remove it there first; it is never taken over".to_owned(),
            );
            return None;
        }
    };
    let mut tags = all_tags(pipeline);
    tags.retain(|key, value| match live.get(key) {
        // Who else manages what is ours is for that tool to say.
        Some(_) if key == TAG_MANAGED_BY => false,
        Some(present) => present != value,
        None => true,
    });
    Some(Claim { adopting, tags })
}

/// Whether a life cycle lets a plan speak of changes at all; says why not.
pub(super) fn alive(draft: &mut Draft, resource: &ResourceId, status: LifecycleStatus) -> bool {
    match status {
        LifecycleStatus::Active | LifecycleStatus::Creating | LifecycleStatus::Updating => true,
        LifecycleStatus::Deleting => {
            draft.block(
                resource,
                codes::BEING_DELETED,
                "is being deleted".to_owned(),
                "wait until it is gone, then run apply to create it anew".to_owned(),
            );
            false
        }
        LifecycleStatus::Other => {
            draft.block(
                resource,
                codes::UNKNOWN_STATE,
                "is in a state this version does not know".to_owned(),
                "look at it in the AWS console (archived? its KMS key disabled?)".to_owned(),
            );
            false
        }
    }
}

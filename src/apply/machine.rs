//! The step machine of `apply` and `destroy`: from a fresh plan and fresh facts to the one next thing to do. Pure.
//!
//! Level-triggered: it keeps no list of what is left; it is shown the world anew after every step and picks the first
//! thing that is still missing. What always holds: a plan the linter complains about is never performed; nothing is
//! done to a resource in transition, nor to one the person was not shown; every wait and every retry is bounded.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::state::{Presence, presence};
use crate::{
    model::{ErrorClass, Facts, Failure, MappingState, ResourceId},
    plan::{Action, Change, Plan, Risk, Step},
    scale::SHOWN_AFTER,
    spec::Pipeline,
};

/// Tries of one step before giving up.
pub const TRIES: u32 = 8;
/// A step that AWS accepted this often and that the plan still wants does not converge.
const ACCEPTED_IN_VAIN: u32 = 3;
/// First pause after a failure; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Longest pause after a failure.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// Longest pause between two looks at a resource in transition; the first is [`FIRST_PAUSE`].
const LONGEST_POLL: SignedDuration = SignedDuration::from_secs(10);
/// For so long after our own create, "not found" may be an answer that is merely old.
const CREATE_GRACE: SignedDuration = SignedDuration::from_mins(2);

/// The next thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make this call, tell the machine with [`Machine::performed`], then observe and ask again.
    Perform {
        /// On what.
        resource: ResourceId,
        /// The call.
        step: Box<Step>,
        /// How long the change usually takes to settle.
        expected: SignedDuration,
    },
    /// Wait, observe, ask again.
    Wait {
        /// On what.
        resource: ResourceId,
        /// How long.
        pause: SignedDuration,
        /// What for, e.g. `UPDATING`.
        why: String,
        /// How long it usually takes, when known.
        expected: Option<SignedDuration>,
    },
    /// Everything approved is there and settled.
    Done,
    /// The plan breaks a rule of its own: nothing may be done.
    Refused(String),
    /// Something approved cannot be reached; one line each.
    GaveUp(String),
    /// The deadline has passed; what was being waited for.
    TimedOut(String),
}

/// What is remembered between two looks.
#[derive(Debug, Clone)]
pub struct Machine {
    pipeline: Pipeline,
    approved: BTreeMap<ResourceId, Approval>,
    started: Timestamp,
    deadline: Timestamp,
    /// By resource and step.
    attempts: BTreeMap<String, Attempts>,
    /// When we had a resource created.
    created: BTreeMap<ResourceId, Timestamp>,
    /// What the last answers waited for, and how often in a row.
    polled: Option<(ResourceId, String, u32)>,
    /// Drives the jitter; counts failures.
    failures: u64,
}

/// What the person has seen of a resource's change.
#[derive(Debug, Clone)]
struct Approval {
    deletes: bool,
    risk: Risk,
    expected: SignedDuration,
}

#[derive(Debug, Clone)]
struct Attempts {
    tries: u32,
    accepted: u32,
    first: Timestamp,
    not_before: Timestamp,
    last: Option<Failure>,
    given_up: bool,
}

/// What stands in the way of a change.
enum Obstacle {
    Wait { pause: SignedDuration, why: String },
    Stuck(String),
}

impl Machine {
    /// A machine that may do what `approved` shows, until `deadline`.
    pub fn new(pipeline: &Pipeline, approved: &Plan, now: Timestamp, timeout: SignedDuration) -> Self {
        let mut approvals: BTreeMap<ResourceId, Approval> = BTreeMap::new();
        for change in &approved.changes {
            let approval = approvals.entry(owner(&change.resource)).or_insert(Approval {
                deletes: false,
                risk: Risk::None,
                expected: SignedDuration::ZERO,
            });
            approval.deletes |= deletes(change);
            approval.risk = approval.risk.max(change.risk);
            approval.expected = approval.expected.max(change.expected);
        }
        Self {
            pipeline: pipeline.clone(),
            approved: approvals,
            started: now,
            deadline: now.checked_add(timeout).unwrap_or(Timestamp::MAX),
            attempts: BTreeMap::new(),
            created: BTreeMap::new(),
            polled: None,
            failures: 0,
        }
    }

    /// Whether the person was shown at least as much as this change.
    pub fn is_approved(&self, change: &Change) -> bool {
        self.approved
            .get(&owner(&change.resource))
            .is_some_and(|approval| change.risk <= approval.risk && (approval.deletes || !deletes(change)))
    }

    /// The next thing to do, given a plan made from `facts` and what the linter said to it.
    pub fn next(&mut self, plan: &Plan, lint: &[String], facts: &Facts, now: Timestamp) -> Command {
        if !lint.is_empty() {
            return Command::Refused(format!("the plan breaks a rule of its own (a bug): {}", lint.join("; ")));
        }
        let mut waiting: Option<(ResourceId, SignedDuration, String)> = None;
        let mut stuck: BTreeMap<ResourceId, String> = BTreeMap::new();
        for change in plan.changes.iter().filter(|change| self.is_approved(change)) {
            match self.obstacle(change, facts, &stuck, now) {
                Ok(step) if now < self.deadline => {
                    self.polled = None;
                    let (resource, step) = (change.resource.clone(), Box::new(step.clone()));
                    return Command::Perform { resource, step, expected: change.expected };
                }
                Ok(_) => return Command::TimedOut(format!("{} has not been started", change.resource)),
                Err(Obstacle::Wait { pause, why }) => {
                    waiting.get_or_insert((change.resource.clone(), pause, why));
                }
                Err(Obstacle::Stuck(why)) => {
                    stuck.insert(change.resource.clone(), why);
                }
            }
        }
        if waiting.is_none() {
            waiting = self.unsettled(facts, now);
        }
        match waiting {
            Some((resource, pause, why)) => self.wait(resource, pause, why, now),
            None if stuck.is_empty() => Command::Done,
            None => {
                let lines: Vec<String> = stuck.iter().map(|(resource, why)| format!("{resource}: {why}")).collect();
                Command::GaveUp(lines.join("\n"))
            }
        }
    }

    /// Takes note of what became of a step.
    pub fn performed(&mut self, resource: &ResourceId, step: &Step, result: &Result<(), Failure>, now: Timestamp) {
        let creates = matches!(
            step,
            Step::CreateStream { .. }
                | Step::CreateTable(_)
                | Step::CreateMapping(_)
                | Step::RegisterStreamConsumer { .. }
        );
        if result.is_ok() && creates {
            self.created.insert(owner(resource), now);
        }
        let recently_created = self.created.values().any(|at| within_grace(*at, now));
        let attempts = self.attempts.entry(key(resource, step)).or_insert(Attempts {
            tries: 0,
            accepted: 0,
            first: now,
            not_before: now,
            last: None,
            given_up: false,
        });
        attempts.tries += 1;
        let Err(failure) = result else {
            attempts.accepted += 1;
            attempts.last = None;
            // Describe calls lag: the same call before would only be refused.
            attempts.not_before = now.checked_add(SHOWN_AFTER).unwrap_or(now);
            return;
        };
        attempts.given_up = match failure.class {
            ErrorClass::Denied | ErrorClass::Invalid | ErrorClass::Forbidden | ErrorClass::QuotaExhausted => true,
            // What we have just created may not be known everywhere yet; what is to go may be gone.
            ErrorClass::NotFound => !recently_created && !is_deletion(step),
            // Already so, or perhaps so: the next look tells.
            ErrorClass::AlreadyExists
            | ErrorClass::NoChange
            | ErrorClass::Throttled
            | ErrorClass::InUse
            | ErrorClass::Unreachable
            | ErrorClass::ServerError
            | ErrorClass::Unknown => false,
        };
        self.failures += 1;
        let pause = jittered(doubled(attempts.tries.saturating_sub(1), LONGEST_PAUSE), self.failures);
        attempts.not_before = now.checked_add(pause).unwrap_or(now);
        attempts.last = Some(failure.clone());
    }

    /// The first step of a change, or what stands in its way.
    fn obstacle<'a>(
        &self,
        change: &'a Change,
        facts: &Facts,
        stuck: &BTreeMap<ResourceId, String>,
        now: Timestamp,
    ) -> Result<&'a Step, Obstacle> {
        let Some(step) = change.steps.first() else {
            return Err(Obstacle::Stuck("the plan names no call for it".to_owned()));
        };
        match presence(&self.pipeline, facts, &change.resource) {
            Presence::Transition(status) => return Err(poll(&status)),
            Presence::Unusable(status) => return Err(Obstacle::Stuck(format!("its status is {status}"))),
            Presence::Absent if self.in_grace(&owner(&change.resource), now) => {
                return Err(poll("created, not visible yet"));
            }
            Presence::Absent | Presence::Settled => {}
        }
        if let Some(why) = &change.wait {
            return Err(poll(why));
        }
        self.refusal(&change.resource, step, now)?;
        self.prerequisite(step, facts, stuck, now)?;
        Ok(step)
    }

    /// What earlier tries of this very step say.
    fn refusal(&self, resource: &ResourceId, step: &Step, now: Timestamp) -> Result<(), Obstacle> {
        let Some(attempts) = self.attempts.get(&key(resource, step)) else { return Ok(()) };
        let said = attempts.last.as_ref().map_or_else(|| "accepted, not visible yet".to_owned(), ToString::to_string);
        let spent = seconds(now.duration_since(attempts.first));
        if attempts.given_up {
            Err(Obstacle::Stuck(said))
        } else if attempts.accepted >= ACCEPTED_IN_VAIN {
            let times = attempts.accepted;
            Err(Obstacle::Stuck(format!(
                "NotConverging: AWS accepted the same change {times} times and it is still not there"
            )))
        } else if attempts.tries >= TRIES {
            let tries = attempts.tries;
            Err(Obstacle::Stuck(format!("given up after {tries} tries in {spent}: {said}")))
        } else if now < attempts.not_before {
            let pause = attempts.not_before.duration_since(now);
            let why = match attempts.last {
                None => said,
                Some(_) => format!("try {} of {TRIES} follows: {said}", attempts.tries + 1),
            };
            Err(Obstacle::Wait { pause, why })
        } else {
            Ok(())
        }
    }

    /// What must be there, or gone, before a step makes sense. Streams and tables do not wait for each other.
    fn prerequisite(
        &self,
        step: &Step,
        facts: &Facts,
        stuck: &BTreeMap<ResourceId, String>,
        now: Timestamp,
    ) -> Result<(), Obstacle> {
        match step {
            Step::CreateMapping(mapping) => {
                let name = mapping.function.split(':').next().unwrap_or_default();
                if !facts.functions.contains_key(name) {
                    return Err(Obstacle::Stuck(format!("the function {name} does not exist")));
                }
                self.stream_there(facts, stuck, now)
            }
            Step::RegisterStreamConsumer { .. } => self.stream_there(facts, stuck, now),
            // A reader that is going away must be gone: else it fails on the missing stream for a while.
            Step::DeleteStream { .. } => {
                let leaving = facts.mappings.iter().find(|mapping| mapping.state == MappingState::Deleting);
                if let Some(mapping) = leaving {
                    return Err(poll(&format!("mapping {} is Deleting", mapping.uuid)));
                }
                // AWS refuses while a fan-out consumer is registered.
                match facts.fan_out.first() {
                    Some(consumer) => Err(poll(&format!("the fan-out consumer {} is still there", consumer.name))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The stream that is read is there and settled.
    fn stream_there(
        &self,
        facts: &Facts,
        stuck: &BTreeMap<ResourceId, String>,
        now: Timestamp,
    ) -> Result<(), Obstacle> {
        let stream = ResourceId::Stream(self.pipeline.stream.name.clone());
        match presence(&self.pipeline, facts, &stream) {
            Presence::Settled => Ok(()),
            Presence::Transition(status) => Err(poll(&format!("{stream} is {status}"))),
            Presence::Unusable(status) => Err(Obstacle::Stuck(format!("{stream} is {status}"))),
            Presence::Absent => {
                let coming = self.approved.contains_key(&stream) && !stuck.contains_key(&stream);
                if coming || self.in_grace(&stream, now) {
                    Err(poll(&format!("{stream} is not there yet")))
                } else {
                    Err(Obstacle::Stuck(format!("{stream} is not there")))
                }
            }
        }
    }

    /// An approved resource that has not settled, although the plan wants nothing more of it.
    fn unsettled(&self, facts: &Facts, now: Timestamp) -> Option<(ResourceId, SignedDuration, String)> {
        self.approved.iter().find_map(|(resource, approval)| {
            let status = match presence(&self.pipeline, facts, resource) {
                Presence::Transition(status) => status,
                Presence::Absent if !approval.deletes && self.in_grace(resource, now) => "not visible yet".to_owned(),
                _ => return None,
            };
            Some((resource.clone(), SignedDuration::ZERO, status))
        })
    }

    /// Waits for `pause`, or, when that is zero, as long as the number of looks so far suggests.
    fn wait(&mut self, resource: ResourceId, pause: SignedDuration, why: String, now: Timestamp) -> Command {
        if now >= self.deadline {
            return Command::TimedOut(format!("{resource}: {why}"));
        }
        let looks = match self.polled.take() {
            Some((before, what, looks)) if before == resource && what == why => looks + 1,
            _ => 0,
        };
        self.polled = Some((resource.clone(), why.clone(), looks));
        let pause = if pause.is_zero() { doubled(looks, LONGEST_POLL) } else { pause };
        let pause = pause.min(self.deadline.duration_since(now));
        let expected = self.approved.get(&owner(&resource)).map(|approval| approval.expected);
        Command::Wait { resource, pause, why, expected: expected.filter(|expected| !expected.is_zero()) }
    }

    /// Since when this machine runs.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    fn in_grace(&self, resource: &ResourceId, now: Timestamp) -> bool {
        self.created.get(resource).is_some_and(|at| within_grace(*at, now))
    }
}

/// An index is changed through its table.
fn owner(resource: &ResourceId) -> ResourceId {
    match resource {
        ResourceId::Index(table, _) => ResourceId::Table(table.clone()),
        other => other.clone(),
    }
}

fn deletes(change: &Change) -> bool {
    matches!(change.action, Action::Delete | Action::Replace)
}

fn is_deletion(step: &Step) -> bool {
    matches!(
        step,
        Step::DeleteStream { .. }
            | Step::DeleteTable { .. }
            | Step::DeleteMapping { .. }
            | Step::DeregisterStreamConsumer { .. }
    )
}

fn poll(why: &str) -> Obstacle {
    Obstacle::Wait { pause: SignedDuration::ZERO, why: why.to_owned() }
}

fn within_grace(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) < CREATE_GRACE
}

/// Steps have no order, their text has.
fn key(resource: &ResourceId, step: &Step) -> String {
    format!("{resource} {step:?}")
}

fn doubled(times: u32, longest: SignedDuration) -> SignedDuration {
    FIRST_PAUSE.checked_mul(1 << times.min(16)).unwrap_or(longest).min(longest)
}

/// 75–125 % of a pause, from a counter (the finalizer of splitmix64): runs repeat, neighbours spread.
fn jittered(pause: SignedDuration, counter: u64) -> SignedDuration {
    let mut x = counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let permille = 750 + (x >> 33) % 501;
    SignedDuration::from_millis(pause.as_secs().saturating_mul(permille as i64))
}

fn seconds(duration: SignedDuration) -> String {
    format!("{} s", duration.as_secs())
}

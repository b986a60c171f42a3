//! What must hold after every run, read from AWS's side: the twin's audit, its counters and the minute samples.
//!
//! Where a rule has an exception, the exception stands here in words.

use std::collections::BTreeMap;

use alleycat_operator::{
    apply::Verdict,
    model::ShardCount,
    spec::{Pipeline, StartingPosition},
    twin::{Change, MetricFault, MetricTrouble, Mutation},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    play::{Played, Sample},
    scenario::{BYSTANDER, Existing, Foreign, INDEX, STREAM, Scenario, TABLE},
};

/// The last minutes of a run in which nothing may be called any more.
const QUIET: i64 = 10;

/// A change of a capacity value with the request that caused it.
#[derive(Debug, Clone)]
pub struct Act {
    /// When AWS accepted the request.
    pub asked: Timestamp,
    pub foreign: bool,
    pub change: Change,
}

impl Act {
    fn lowers(&self) -> bool {
        self.change.to < self.change.from
    }

    fn is_shards(&self) -> bool {
        self.change.field == "shards"
    }
}

pub struct Case<'a> {
    pub scenario: &'a Scenario,
    pub played: &'a Played,
    pub acts: Vec<Act>,
    pub broken: Vec<String>,
}

/// What happened, by kind, to show that the storm does reach every guard.
pub type Tally = BTreeMap<String, u64>;

pub fn all(scenario: &Scenario, played: &Played) -> (Vec<String>, Tally) {
    let mut case = Case { scenario, played, acts: Vec::new(), broken: Vec::new() };
    case.pair();
    case.apply_ended_well();
    case.hands_were_still();
    case.others_are_untouched();
    case.values_stay_in_bounds();
    case.steps_and_budgets();
    case.refusals();
    case.lowering();
    case.raising();
    case.records();
    case.one_at_a_time();
    case.calm();
    case.broken.extend(played.lint.iter().map(|line| format!("lint: {line}")));
    let tally = case.tally();
    (case.broken, tally)
}

impl Case<'_> {
    fn fail(&mut self, rule: &str, what: impl std::fmt::Display) {
        self.broken.push(format!("{rule}: {what}"));
    }

    fn mutations(&self) -> &[Mutation] {
        &self.played.twin.audit().mutations
    }

    fn ours(&self) -> impl Iterator<Item = &Mutation> {
        self.mutations().iter().filter(|mutation| !mutation.foreign)
    }

    /// Finds the accepted request behind each change of an existing value.
    fn pair(&mut self) {
        let mut lost = Vec::new();
        for change in &self.played.twin.audit().history {
            if change.from == 0 || change.to == 0 {
                continue;
            }
            let mut parts = change.resource.splitn(3, '/');
            let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let operations: &[&str] = match (kind, change.field.as_str()) {
                ("stream", "shards") => &["kinesis:UpdateShardCount"],
                ("stream", _) => &["kinesis:IncreaseStreamRetentionPeriod", "kinesis:DecreaseStreamRetentionPeriod"],
                ("table", _) => &["dynamodb:UpdateTable"],
                ("mapping", _) => &["lambda:UpdateEventSourceMapping"],
                _ => &[],
            };
            let cause = self.mutations().iter().rev().find(|mutation| {
                mutation.refused.is_none()
                    && operations.contains(&mutation.operation.as_str())
                    && mutation.resource.contains(name)
                    && mutation.at <= change.at
            });
            match cause {
                Some(cause) => {
                    self.acts.push(Act { asked: cause.at, foreign: cause.foreign, change: change.clone() });
                }
                None => lost.push(format!("nobody asked for {change:?}")),
            }
        }
        for line in lost {
            self.fail("audit", line);
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::new();
        let mut count = |what: String| *tally.entry(what).or_default() += 1;
        for act in self.acts.iter().filter(|act| !act.foreign && act.asked >= self.played.daemon_from) {
            let way = if act.lowers() { "lowered" } else { "raised" };
            count(format!("{} {way}", act.change.field));
        }
        for hold in &self.played.holds {
            count(format!("runs held: {hold}"));
        }
        for mutation in self.ours().filter(|mutation| mutation.refused.is_some()) {
            count(format!("refused by AWS: {}", mutation.operation));
        }
        for watch in &self.played.watches {
            count(format!("watched: {}", watch.what));
        }
        for (name, times) in [
            ("stores lost", self.played.stores_lost.len()),
            ("crashes", self.played.crashes),
            ("acts of others", self.played.foreign.len()),
            ("runs refused", usize::from(self.scenario.is_refused())),
            (
                "runs with an adopted stream",
                usize::from(matches!(self.scenario.existing, Existing::Untagged(_)) && !self.scenario.is_refused()),
            ),
            ("runs with all ten reshards used", usize::from(self.played.used >= 10)),
            ("runs that came to rest in the end", usize::from(self.rests())),
        ] {
            (0..times).for_each(|_| count(name.to_owned()));
        }
        tally
    }

    fn apply_ended_well(&mut self) {
        match (&self.played.applied, self.scenario.is_refused()) {
            (Verdict::Done, false) | (Verdict::Refused(_), true) => {}
            (verdict, _) => self.fail("apply", format!("{verdict:?}")),
        }
    }

    /// Planning and watching make no mutating call.
    fn hands_were_still(&mut self) {
        for watch in self.played.watches.clone() {
            if watch.mutations_after != watch.mutations_before {
                let calls: Vec<_> = self.ours().skip(watch.mutations_before).take(3).cloned().collect();
                self.fail("read-only", format!("{} called {calls:?}", watch.what));
            }
        }
    }

    /// What is not in the spec, or is somebody else's, is never the object of a call.
    fn others_are_untouched(&mut self) {
        let refused = self.scenario.is_refused();
        let touched: Vec<String> = self
            .ours()
            .filter(|mutation| mutation.resource.contains(BYSTANDER) || (refused && mutation.resource.contains(STREAM)))
            .filter(|mutation| !mutation.resource.contains(TABLE))
            .map(|mutation| format!("{mutation:?}"))
            .collect();
        for line in touched {
            self.fail("ownership", line);
        }
        self.taken_is_let_go();
        let deleted: Vec<String> = self
            .ours()
            .filter(|mutation| mutation.operation.contains(":Delete"))
            .map(|mutation| format!("{mutation:?}"))
            .collect();
        for line in deleted {
            self.fail("deletion", line);
        }
        let changed = self.played.twin.audit().history.iter().filter(|change| change.resource.contains(BYSTANDER));
        if changed.clone().any(|change| change.from != 0) {
            self.broken.push("ownership: the bystander's values changed".to_owned());
        }
    }

    /// What somebody else's tag is put on is left alone from the next look on (a look and its retries last a minute).
    fn taken_is_let_go(&mut self) {
        for (at, act) in self.played.foreign.clone() {
            let name = match act {
                Foreign::TakeStream => STREAM,
                Foreign::TakeTable => TABLE,
                _ => continue,
            };
            let later: Vec<String> = self
                .ours()
                .filter(|it| it.at > at + SignedDuration::from_mins(1) && !it.operation.starts_with("lambda:"))
                .filter(|it| it.resource == name || it.resource.ends_with(&format!("/{name}")))
                .map(|it| format!("taken at {at}: {it:?}"))
                .collect();
            later.into_iter().take(1).for_each(|line| self.fail("ownership", line));
        }
    }

    /// The bounds of the value that a change is about.
    fn bounds(&self, change: &Change) -> Option<(u64, u64)> {
        bounds(&self.scenario.pipeline, &self.played.twin, change)
    }

    /// Our changes end inside the bounds, or at least nearer to them (an adopted stream of too many shards).
    fn values_stay_in_bounds(&mut self) {
        for act in self.acts.clone().iter().filter(|act| !act.foreign) {
            let Some((min, max)) = self.bounds(&act.change) else { continue };
            let distance = |value: u64| min.saturating_sub(value) + value.saturating_sub(max);
            let (before, after) = (distance(act.change.from), distance(act.change.to));
            if after > 0 && after >= before {
                self.fail("bounds", format!("[{min}, {max}] {:?}", act.change));
            }
        }
        for change in self.played.twin.audit().history.clone().iter().filter(|change| change.from == 0) {
            let Some((min, max)) = self.bounds(change) else { continue };
            let theirs = self.scenario.existing != Existing::None && change.resource.starts_with("stream/");
            if !theirs && !(min..=max).contains(&change.to) {
                self.fail("bounds", format!("created outside [{min}, {max}]: {change:?}"));
            }
        }
    }

    /// Never past double or below half, never more than ten calls in 24 h.
    fn steps_and_budgets(&mut self) {
        for act in self.acts.clone().iter().filter(|act| act.is_shards() && !act.foreign) {
            let (from, to) = (act.change.from, act.change.to);
            if to > 2 * from || to * 2 < from {
                self.fail("double-half", format!("{:?}", act.change));
            }
        }
        let calls = self.mutations().iter().filter(|mutation| {
            mutation.refused.is_none()
                && mutation.operation == "kinesis:UpdateShardCount"
                && mutation.resource.contains(STREAM)
        });
        // No run is as long as a day.
        let calls = calls.count();
        if calls > 10 {
            self.fail("budget", format!("{calls} UpdateShardCount calls"));
        }
    }

    /// AWS refuses none of our mutating calls, except:
    /// - a reshard or a tag of a stream that somebody else began to reshard between our look and our call (60 s);
    /// - an UpdateShardCount for quota when somebody else's reshard may have gone unseen, once: until it is
    ///   remembered as exhausted for an hour (unless the store, where that is remembered, is lost);
    /// - a call right after one whose answer was lost: it may find its effect there already, in transition;
    /// - the second copy of a call that the world delivers twice, and the tag that takes such a reshard back.
    fn refusals(&mut self) {
        let mut exhausted: Option<Timestamp> = None;
        let mut found = Vec::new();
        for mutation in self.ours() {
            if mutation.operation == "kinesis:UpdateShardCount"
                && let Some(at) = exhausted
                && mutation.at < at + SignedDuration::from_hours(1)
                && !self.played.stores_lost.iter().any(|lost| *lost >= at && *lost <= mutation.at)
            {
                found.push(("exhausted", format!("refused for quota at {at}, called again: {mutation:?}")));
            }
            let Some(code) = &mutation.refused else { continue };
            let meddled = |within: i64| {
                self.played.foreign.iter().any(|(at, _)| {
                    let since = mutation.at.duration_since(*at);
                    !since.is_negative() && since <= SignedDuration::from_secs(within)
                })
            };
            let doubled = |one: &Mutation| {
                let same =
                    |it: &&Mutation| (it.at, &it.operation, &it.resource) == (one.at, &one.operation, &one.resource);
                self.ours().filter(same).any(|it| it.refused.is_none())
            };
            let after_doubled = mutation.operation == "kinesis:AddTagsToStream"
                && self.ours().any(|it| {
                    let just = mutation.at.duration_since(it.at) <= SignedDuration::from_secs(1) && it.at < mutation.at;
                    just && it.refused.is_some() && it.operation == "kinesis:UpdateShardCount" && doubled(it)
                });
            let quota = mutation.message.contains("24-hour") || mutation.message.contains("decreases are limited");
            if quota && mutation.operation == "kinesis:UpdateShardCount" {
                exhausted = Some(mutation.at);
                if self.scenario.is_alone() && self.scenario.existing == Existing::None {
                    found.push(("quota", format!("{mutation:?}")));
                }
            } else if meddled(60) || doubled(mutation) || after_doubled {
            } else {
                found.push(("refused", format!("{code} {mutation:?}")));
            }
        }
        for (rule, line) in found {
            self.fail(rule, line);
        }
    }

    fn sample_before(&self, at: Timestamp) -> Option<&Sample> {
        self.played.samples.iter().rev().find(|sample| sample.at <= at)
    }

    /// Whether CloudWatch may have kept a minute from us, or shown it late.
    fn is_hidden(&self, minute: Timestamp, namespaces: &[&str]) -> bool {
        self.scenario.metric_faults.iter().any(|fault| {
            let ms = minute.as_millisecond();
            let concerned = fault.namespace.as_deref().is_none_or(|name| namespaces.contains(&name));
            concerned && (fault.from_ms..fault.to_ms).contains(&ms)
        })
    }

    /// The daemon lowers shards, factor or capacity only with fresh signals and nothing waiting.
    fn lowering(&mut self) {
        let policy = &self.scenario.policy;
        let daemon = self.played.daemon_from;
        let acts = self.acts.clone();
        let scaled = ["shards", "parallelizationFactor", "writeCapacity", "readCapacity"];
        let mut found = Vec::new();
        for act in acts.iter().filter(|act| act.lowers() && !act.foreign && act.asked >= daemon) {
            if !scaled.contains(&act.change.field.as_str()) {
                continue;
            }
            // Bringing back what somebody else set outside the bounds, or two slots where only one is safe, waits for
            // nothing.
            if self.bounds(&act.change).is_some_and(|(_, max)| act.change.from > max) || self.is_unsafe_factor(act) {
                continue;
            }
            self.lowered_blind(act, &mut found);
            let drained_age = i64::from(policy.drained_age_seconds) * 1000;
            let minutes = i64::from(policy.drained_for_seconds) / 60;
            // The newest minute that every look of the drained time has seen ended five minutes ago.
            let newest = act.asked.as_second().div_euclid(60) * 60 - 5 * 60;
            for back in 0..minutes {
                let minute = Timestamp::from_second(newest - back * 60).unwrap();
                if minute < daemon || self.is_hidden(minute, &["AWS/Lambda", "AWS/Kinesis"]) {
                    continue;
                }
                for mapping in self.played.twin.plane().totals().mappings.values() {
                    let age = mapping.iterator_age_ms.get(&minute.as_millisecond()).copied().unwrap_or(0);
                    if age > drained_age {
                        found.push(format!("{act:?}: {} was {age} ms behind at {minute}", mapping.function));
                    }
                }
                if let (Some(now), Some(before)) =
                    (self.sample_before(minute), self.sample_before(minute - SignedDuration::from_mins(3)))
                {
                    let allowed = now.accepted - before.accepted + 50;
                    for (function, waiting) in &now.waiting {
                        if *waiting > allowed {
                            let text = format!("{waiting} records waited for {function} at {}", now.at);
                            found.push(format!("{act:?}: {text}, {allowed} came in the three minutes before"));
                        }
                    }
                }
            }
        }
        found.into_iter().take(3).for_each(|line| self.fail("scale-in", line));
    }

    fn lowered_blind(&self, act: &Act, found: &mut Vec<String>) {
        // A CloudWatch that is always later than the policy says is known by now; one that falls behind is not.
        let usual = self.scenario.world.timings.metric_delay.ceil() as i64;
        let delay = i64::from(self.scenario.policy.metric_delay_seconds).max(usual);
        let newest = |at: Timestamp| Timestamp::from_second((at.as_second() - delay).div_euclid(60) * 60 - 60).unwrap();
        // The look was up to a minute before the call (retries).
        let looks = [newest(act.asked), newest(act.asked - SignedDuration::from_mins(1))];
        let namespace = if act.change.resource.starts_with("table/") { "AWS/DynamoDB" } else { "AWS/Kinesis" };
        let unpublished = |minute: &Timestamp| {
            let end = *minute + SignedDuration::from_mins(1);
            let usual = self.scenario.world.timings.metric_delay;
            let faults = self.scenario.metric_faults.iter().filter(|fault| {
                let concerned = fault.namespace.as_deref().is_none_or(|name| name == namespace);
                concerned && (fault.from_ms..fault.to_ms).contains(&minute.as_millisecond())
            });
            let delay = |fault: &MetricFault| match fault.trouble {
                MetricTrouble::Late { seconds } => f64::from(seconds),
                _ => f64::INFINITY,
            };
            let extra = faults.map(delay).fold(0.0, f64::max);
            act.asked.duration_since(end).as_secs_f64() < usual + extra
        };
        if looks.iter().all(unpublished) {
            found.push(format!("{act:?}: the newest minute was not published"));
        }
    }

    fn is_unsafe_factor(&self, act: &Act) -> bool {
        act.change.field == "parallelizationFactor"
            && self.scenario.pipeline.consumers.iter().any(|consumer| !consumer.concurrency_safe)
    }

    /// More slots or shards are not given to consumers whose table throttles, as far as that was to be seen.
    fn raising(&mut self) {
        let daemon = self.played.daemon_from;
        let mut found = Vec::new();
        for act in self.acts.iter().filter(|act| !act.lowers() && !act.foreign && act.asked >= daemon) {
            if act.change.field != "parallelizationFactor" && act.change.field != "shards" {
                continue;
            }
            if self.bounds(&act.change).is_some_and(|(min, _)| act.change.from < min) {
                continue;
            }
            // The look a moment before the call saw this minute, whatever the second of its start.
            let minute = Timestamp::from_second(act.asked.as_second().div_euclid(60) * 60 - 4 * 60).unwrap();
            let end = minute + SignedDuration::from_mins(1);
            if self.is_hidden(minute, &["AWS/DynamoDB"]) || self.scenario.world.timings.metric_delay > 120.0 {
                continue;
            }
            let (Some(before), Some(after)) = (self.sample_before(minute), self.sample_before(end)) else { continue };
            // Shards do not wait for the table while records are rejected, which are lost for good; and throttles from
            // before the table's last raise are old news for them.
            let then = self.sample_before(minute - SignedDuration::from_mins(2)).map_or(0, |then| then.rejected);
            let rejecting = self.sample_before(act.asked).is_some_and(|now| now.rejected > then);
            let raised_since = self.acts.iter().any(|other| {
                let raise = other.change.field == "writeCapacity" && !other.lowers();
                raise && other.change.at >= minute && other.asked < act.asked
            });
            if after.throttles > before.throttles && !(act.is_shards() && (rejecting || raised_since)) {
                let count = after.throttles - before.throttles;
                found.push(format!("{count} throttled writes in the minute {minute}, and yet {act:?}"));
            }
        }
        for line in found {
            self.fail("throttled-sink", line);
        }
    }

    /// No record is lost by what we do: positions, retention, mappings.
    fn records(&mut self) {
        if let Err(error) = self.played.twin.plane().check() {
            self.fail("records", error);
        }
        let pipeline = &self.scenario.pipeline;
        for (uuid, mapping) in &self.played.twin.plane().totals().mappings {
            let Some(spec) = pipeline.consumers.iter().find(|spec| spec.function == mapping.function) else { continue };
            if mapping.expired > 0 {
                self.broken.push(format!("records: {} expired in {uuid}", mapping.expired));
            }
            if mapping.dropped > 0 && spec.maximum_retry_attempts < 0 {
                self.broken.push(format!("records: {} given up in {uuid}", mapping.dropped));
            }
            if mapping.skipped > 0 && spec.starting_position == StartingPosition::TrimHorizon {
                self.broken.push(format!("records: {} skipped in {uuid}", mapping.skipped));
            }
        }
        let mappings =
            self.ours().filter(|it| it.operation == "lambda:CreateEventSourceMapping" && it.refused.is_none());
        if mappings.count() > pipeline.consumers.len() {
            self.fail("records", "a mapping was created twice");
        }
    }

    /// `concurrencySafe: false`: never two invocations at once, as long as nobody else makes it two shards.
    fn one_at_a_time(&mut self) {
        if !self.scenario.is_alone() || self.scenario.existing != Existing::None {
            return;
        }
        let totals = self.played.twin.plane().totals();
        for consumer in self.scenario.pipeline.consumers.iter().filter(|consumer| !consumer.concurrency_safe) {
            let most = totals.functions.get(&consumer.function).map_or(0, |function| function.max_concurrent);
            if most > 1 {
                self.broken.push(format!("one-at-a-time: {} ran {most} times at once", consumer.function));
            }
        }
    }

    /// Minutes that the operator may need once traffic is steady and nothing waits: the longest window and the drained
    /// time, some for raises to show, and another cool-down for each halving of the shards but the first. Metrics that are
    /// later than the policy says must have been so for an hour without a gap before they are taken for news.
    fn needed(&self) -> i64 {
        let policy = &self.scenario.policy;
        let windows = policy
            .shard_stabilization_seconds
            .max(policy.write_stabilization_seconds)
            .max(policy.factor_stabilization_seconds);
        let halvings = i64::from(self.scenario.pipeline.stream.shards.max.get().ilog2());
        let seconds = i64::from(windows) + i64::from(policy.drained_for_seconds);
        let each = i64::from(policy.shard_cooldown_seconds).max(300) + i64::from(policy.metric_delay_seconds) * 2;
        let late = self.scenario.world.timings.metric_delay > f64::from(policy.metric_delay_seconds);
        (seconds + halvings * each) / 60 + 20 + if late { 60 } else { 0 }
    }

    /// Since when traffic has been steady and nothing waited for longer than three minutes.
    fn steady_from(&self) -> Timestamp {
        let samples = &self.played.samples;
        let behind = samples.windows(4).rev().find(|four| {
            let came = four[3].accepted - four[0].accepted + 50;
            four[3].waiting.values().any(|waiting| *waiting > came)
        });
        behind.map_or(self.scenario.calm(), |four| four[3].at.max(self.scenario.calm()))
    }

    /// Until when what was raised within an hour of its lowering stays up: an hour after that raise, by the operator's rule
    /// against turning back and forth, and a few minutes for the pass that lowers it then.
    fn turned_until(&self) -> Timestamp {
        let (hour, history) = (SignedDuration::from_hours(1), &self.played.twin.audit().history);
        let lowered_before = |raise: &Change| {
            let same = |it: &&Change| it.resource == raise.resource && it.field == raise.field && it.to < it.from;
            history.iter().filter(same).any(|it| it.at < raise.at && raise.at < it.at + hour)
        };
        let turned = history.iter().filter(|it| it.from > 0 && it.to > it.from && lowered_before(it));
        turned.map(|it| it.at + hour + SignedDuration::from_mins(5)).max().unwrap_or(self.scenario.world.start)
    }

    fn rests(&self) -> bool {
        let settled = (self.steady_from() + SignedDuration::from_mins(self.needed())).max(self.turned_until());
        self.scenario.end() >= settled + SignedDuration::from_mins(QUIET)
    }

    /// After the faults and with steady traffic the operator comes to rest.
    fn calm(&mut self) {
        if !self.rests() {
            return;
        }
        let needed = self.needed();
        let from = self.scenario.end() - SignedDuration::from_mins(QUIET);
        let late: Vec<String> = self
            .ours()
            .filter(|mutation| mutation.at >= from)
            .map(|mutation| format!("{} {} {}", mutation.at, mutation.operation, mutation.resource))
            .collect();
        if !late.is_empty() {
            self.fail("calm", format!("still acting {needed} min after the last disturbance: {late:?}"));
        }
    }
}

fn bounds(pipeline: &Pipeline, twin: &alleycat_operator::twin::Twin, change: &Change) -> Option<(u64, u64)> {
    let resource = change.resource.as_str();
    if resource == format!("stream/{STREAM}") {
        let one = pipeline.consumers.iter().any(|consumer| !consumer.concurrency_safe);
        let shards = pipeline.stream.shards;
        let max = if one { ShardCount(1) } else { shards.max };
        return match change.field.as_str() {
            "shards" => Some((shards.min.get().min(max.get()).into(), max.get().into())),
            _ => None,
        };
    }
    if let Some(uuid) = resource.strip_prefix("mapping/") {
        let function = &twin.plane().totals().mappings.get(uuid)?.function;
        let consumer = pipeline.consumers.iter().find(|consumer| consumer.function == *function)?;
        let (factor, batch) = (consumer.parallelization_factor, consumer.batch_size);
        return match change.field.as_str() {
            "parallelizationFactor" if !consumer.concurrency_safe => Some((1, 1)),
            "parallelizationFactor" => Some((factor.min.get().into(), factor.max.get().into())),
            _ => Some((batch.min.get().into(), batch.max.get().into())),
        };
    }
    let table = pipeline.tables.iter().find(|table| table.name == TABLE)?;
    let (read, write) = if resource == format!("table/{TABLE}") {
        (table.read_capacity, table.write_capacity)
    } else if resource == format!("table/{TABLE}/index/{INDEX}") {
        let index = table.global_secondary_indexes.first()?;
        (index.read_capacity, index.write_capacity)
    } else {
        return None;
    };
    let of = if change.field == "readCapacity" { read } else { write };
    Some((of.min.get(), of.max.get()))
}

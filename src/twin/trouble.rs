//! Plays the world's troubles: faults on requests, other hands' calls at their times, old answers.
//!
//! What always holds: a draw depends on the twin's seed, the rule's number and the call's number under that rule;
//! the counts are part of the state, so a twin that was kept and loaded goes on as if it had never stopped.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Call, Refusal, Request, Response, Service, Twin, dynamodb, kinesis, lambda, mix, wire,
    world::{Act, FaultEffect, FaultRule, Timings},
};

/// Old versions kept for stale answers; with more changes than this in a stale time the answers are younger.
const PAST: usize = 64;
/// How often another hand's call is tried while the resource is in transition, and how far apart: assumptions.
const TRIES: u32 = 120;
const RETRY_MS: i64 = 5_000;

/// Where the world's troubles stand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Troubles {
    /// Calls meant by each rule so far.
    counts: Vec<u64>,
    /// Calls of others to come.
    acts: Vec<Pending>,
    past: VecDeque<Past>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    at_ms: i64,
    tries: u32,
    operation: String,
    input: Value,
}

/// The control plane as it was until a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Past {
    until_ms: i64,
    kinesis: kinesis::Kinesis,
    lambda: lambda::Lambda,
    dynamodb: dynamodb::DynamoDb,
}

/// What goes wrong with one request: of each kind, the first rule's.
#[derive(Default)]
struct Drawn {
    lost_before: bool,
    lost_after: bool,
    duplicate: bool,
    error: Option<(Refusal, Option<u32>, bool)>,
    stale: Option<u32>,
    slow: Option<u32>,
    short: Option<u32>,
    revert: Option<u32>,
    skew: Option<i64>,
}

impl Troubles {
    pub(super) fn of(acts: &[Act], start_ms: i64) -> Self {
        let pending = |act: &Act| Pending {
            at_ms: start_ms + i64::from(act.at_seconds) * 1_000,
            tries: TRIES,
            operation: act.operation.clone(),
            input: act.input.clone(),
        };
        Self { acts: acts.iter().map(pending).collect(), ..Self::default() }
    }

    pub(super) fn next_due(&self) -> Option<i64> {
        self.acts.iter().map(|act| act.at_ms).min()
    }
}

impl Twin {
    /// One more rule, behind the world's own.
    pub fn add_fault(&mut self, rule: FaultRule) {
        self.world.faults.push(rule);
    }

    /// Forgets all faults on requests; other hands' calls still come.
    pub fn clear_faults(&mut self) {
        self.world.faults.clear();
        self.troubles.counts.clear();
        self.troubles.past.clear();
    }

    /// As [`Twin::handle`], with the world's faults.
    ///
    /// # Errors
    /// When the world's faults break the connection.
    pub fn serve(&mut self, now: jiff::Timestamp, request: &Request) -> Result<Response, String> {
        if self.world.faults.is_empty() {
            return Ok(self.handle(now, request));
        }
        self.advance(now);
        let drawn = match wire::decode(request) {
            Ok(call) => self.draw(&call),
            Err(_) => Drawn::default(),
        };
        if drawn.lost_before {
            return Err("connection reset before the request was sent".to_owned());
        }
        let mut drawn = drawn;
        let mut response = match drawn.error.take() {
            Some((refusal, retry_after, has_effect)) => {
                if has_effect {
                    self.affected(request, &drawn);
                }
                let mut response = self.refuse(request, |_| refusal);
                if let Some(seconds) = retry_after {
                    response.headers.insert("retry-after".to_owned(), seconds.to_string());
                }
                response
            }
            None => self.affected(request, &drawn),
        };
        if drawn.duplicate {
            response = self.answer(request);
        }
        if drawn.lost_after {
            return Err("connection reset while waiting for the answer".to_owned());
        }
        if let Some(seconds) = drawn.skew {
            response.headers.insert("date".to_owned(), wire::date(self.now_ms + seconds * 1_000));
        }
        Ok(response)
    }

    fn draw(&mut self, call: &Call) -> Drawn {
        let mut drawn = Drawn::default();
        let name = call.name();
        let second = (self.now_ms - self.world.start.as_millisecond()) / 1_000;
        self.troubles.counts.resize(self.world.faults.len(), 0);
        for (index, (rule, count)) in (0_u64..).zip(self.world.faults.iter().zip(&mut self.troubles.counts)) {
            if !rule.means(&name) {
                continue;
            }
            *count += 1;
            let timely =
                second >= i64::from(rule.from_seconds) && rule.to_seconds.is_none_or(|end| second < i64::from(end));
            // 53 random bits make a fraction in [0, 1).
            let chance = (mix(self.ids.seed ^ mix(0xfa17, index), *count) >> 11) as f64 / (1_u64 << 53) as f64;
            let chosen = rule.calls.is_empty() || rule.calls.contains(count);
            if timely && chosen && chance < rule.probability {
                drawn.add(&rule.effect, call.service);
            }
        }
        drawn.stale = drawn.stale.filter(|_| call.is_control_read());
        drawn
    }

    /// The effect and the answer, under what was drawn for them.
    fn affected(&mut self, request: &Request, drawn: &Drawn) -> Response {
        if let Some(seconds) = drawn.stale {
            return self.answer_of_old(request, seconds);
        }
        let undo = drawn.revert.and_then(|seconds| Some((seconds, self.undo(&wire::decode(request).ok()?)?)));
        let usual = drawn.slow.map(|seconds| self.world.timings.all_taking(f64::from(seconds)));
        let usual = usual.map(|timings| std::mem::replace(&mut self.world.timings, timings));
        let response = self.answer(request);
        if let Some(timings) = usual {
            self.world.timings = timings;
        }
        if let Some((seconds, (operation, input))) = undo.filter(|_| response.status < 300) {
            let at_ms = self.now_ms + i64::from(seconds) * 1_000;
            self.troubles.acts.push(Pending { at_ms, tries: TRIES, operation, input });
        }
        if let (Some(percent), 200..300) = (drawn.short, response.status)
            && let Ok(call) = wire::decode(request)
        {
            self.kinesis.end_short(wire::Args(&call.input), percent);
        }
        response
    }

    fn answer_of_old(&mut self, request: &Request, seconds: u32) -> Response {
        let then = self.now_ms - i64::from(seconds) * 1_000;
        let Some(at) = self.troubles.past.iter().position(|past| past.until_ms > then) else {
            return self.answer(request);
        };
        let Some(mut old) = self.troubles.past.get(at).cloned() else { return self.answer(request) };
        self.swap(&mut old);
        let response = self.answer(request);
        self.swap(&mut old);
        response
    }

    fn swap(&mut self, old: &mut Past) {
        std::mem::swap(&mut self.kinesis, &mut old.kinesis);
        std::mem::swap(&mut self.lambda, &mut old.lambda);
        std::mem::swap(&mut self.dynamodb, &mut old.dynamodb);
    }

    /// To be called before anything changes: keeps the present for stale answers, when there are any.
    pub(super) fn remember(&mut self) {
        let stale = self.world.faults.iter().filter_map(|rule| match rule.effect {
            FaultEffect::Stale { seconds } => Some(i64::from(seconds) * 1_000),
            _ => None,
        });
        let Some(longest) = stale.max() else { return };
        let past = &mut self.troubles.past;
        past.retain(|past| past.until_ms > self.now_ms - longest);
        if past.back().is_some_and(|last| last.until_ms == self.now_ms) {
            return;
        }
        if past.len() >= PAST {
            past.pop_front();
        }
        let (kinesis, lambda, dynamodb) = (self.kinesis.clone(), self.lambda.clone(), self.dynamodb.clone());
        past.push_back(Past { until_ms: self.now_ms, kinesis, lambda, dynamodb });
    }

    /// The calls of others that are due.
    pub(super) fn act(&mut self) {
        let now = self.now_ms;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.troubles.acts).into_iter().partition(|act| act.at_ms <= now);
        self.troubles.acts = later;
        for mut act in due {
            let answer = self.act_now(&act.operation, &act.input);
            let waiting = answer.is_err_and(|error| error.contains("InUse") || error.contains("Conflict"));
            if waiting && act.tries > 0 {
                (act.at_ms, act.tries) = (now + RETRY_MS, act.tries - 1);
                self.troubles.acts.push(act);
            }
        }
    }

    fn act_now(&mut self, operation: &str, input: &Value) -> Result<(), String> {
        let (service, operation) = operation.split_once(':').unwrap_or(("", operation));
        let mut input = filled(input, &self.world.account_id, &self.world.region);
        let by_function = input.get("UUID").is_none() && operation.ends_with("EventSourceMapping");
        if by_function && operation != "CreateEventSourceMapping" {
            let list = json!({"FunctionName": input.get("FunctionName")});
            let found = self.asked("lambda", "ListEventSourceMappings", list);
            let uuid = found.and_then(|list| list.pointer("/EventSourceMappings/0/UUID").cloned());
            if let (Some(members), Some(uuid)) = (input.as_object_mut(), uuid) {
                members.insert("UUID".to_owned(), uuid);
            }
        }
        self.foreign_call(service, operation, input)
    }

    /// The answer to a read, without a trace.
    fn asked(&mut self, service: &str, operation: &str, input: Value) -> Option<Value> {
        self.dispatch(&Call::new(Service::named(service)?, operation, input)).ok()
    }

    /// The call that undoes `call`, from what is true before it.
    fn undo(&mut self, call: &Call) -> Option<(String, Value)> {
        let input = &call.input;
        let member = |name: &str| input.get(name).cloned();
        let undo = match call.operation.as_str() {
            "UpdateShardCount" => {
                let stream = json!({"StreamName": member("StreamName"), "StreamARN": member("StreamARN")});
                let now = self.asked("kinesis", "DescribeStreamSummary", stream)?;
                let summary = now.get("StreamDescriptionSummary")?;
                json!({"StreamName": summary.get("StreamName")?, "TargetShardCount": summary.get("OpenShardCount")?,
                    "ScalingType": "UNIFORM_SCALING"})
            }
            "UpdateTable" => {
                let name = member("TableName")?;
                let now = self.asked("dynamodb", "DescribeTable", json!({"TableName": name}))?;
                let units = now.pointer("/Table/ProvisionedThroughput")?;
                let unit = |name: &str| units.get(name).cloned();
                let units = json!({"ReadCapacityUnits": unit("ReadCapacityUnits")?,
                    "WriteCapacityUnits": unit("WriteCapacityUnits")?});
                json!({"TableName": name, "ProvisionedThroughput": units})
            }
            "UpdateEventSourceMapping" => {
                let uuid = member("UUID")?;
                let now = self.asked("lambda", "GetEventSourceMapping", json!({"UUID": uuid}))?;
                let kept = ["BatchSize", "ParallelizationFactor", "MaximumBatchingWindowInSeconds"];
                let kept = kept.iter().filter_map(|name| Some(((*name).to_owned(), now.get(*name)?.clone())));
                Value::Object(kept.chain([("UUID".to_owned(), uuid)]).collect())
            }
            "PutFunctionConcurrency" => {
                let name = member("FunctionName")?;
                let now = self.asked("lambda", "GetFunctionConcurrency", json!({"FunctionName": name}))?;
                let Some(reserved) = now.get("ReservedConcurrentExecutions").cloned() else {
                    return Some(("lambda:DeleteFunctionConcurrency".to_owned(), json!({"FunctionName": name})));
                };
                json!({"FunctionName": name, "ReservedConcurrentExecutions": reserved})
            }
            _ => return None,
        };
        Some((call.name(), undo))
    }

    /// Makes what exists from the start, at once.
    pub(super) fn found(&mut self) {
        let calls: [Vec<Act>; 2] = [
            self.world
                .streams
                .iter()
                .flat_map(super::world::ExistingStream::calls)
                .chain(self.world.tables.iter().map(super::world::ExistingTable::call))
                .collect(),
            self.world.mappings.iter().map(super::world::ExistingMapping::call).collect(),
        ];
        let instant = self.world.timings.all_taking(0.0);
        let usual = std::mem::replace(&mut self.world.timings, instant);
        for act in calls.into_iter().flatten() {
            // Refused ones stand in the audit.
            let _ = self.act_now(&act.operation, &act.input);
            self.settle();
        }
        self.world.timings = usual;
        for stream in &self.world.streams {
            let at = |ago: &u32| self.now_ms - i64::from(*ago) * 60_000;
            self.kinesis.note_reshards(&stream.name, stream.reshards_minutes_ago.iter().map(at).collect());
        }
    }
}

impl Drawn {
    fn add(&mut self, effect: &FaultEffect, service: Service) {
        match effect {
            FaultEffect::LostBefore => self.lost_before = true,
            FaultEffect::LostAfter => self.lost_after = true,
            FaultEffect::Duplicate => self.duplicate = true,
            FaultEffect::Error { code, message, status, retry_after_seconds, has_effect } => {
                let mut refusal = super::faults::documented(code, service);
                refusal.status = status.unwrap_or(refusal.status);
                if let Some(message) = message {
                    refusal.message.clone_from(message);
                }
                self.error.get_or_insert((refusal, *retry_after_seconds, *has_effect));
            }
            FaultEffect::Stale { seconds } => self.stale = self.stale.or(Some(*seconds)),
            FaultEffect::EndsShort { percent } => self.short = self.short.or(Some(*percent)),
            FaultEffect::SlowSettle { seconds } => self.slow = self.slow.or(Some(*seconds)),
            FaultEffect::Revert { seconds } => self.revert = self.revert.or(Some(*seconds)),
            FaultEffect::ClockSkew { seconds } => self.skew = self.skew.or(Some(*seconds)),
        }
    }
}

impl Timings {
    /// The same with every change of the control plane taking so many seconds.
    fn all_taking(&self, seconds: f64) -> Self {
        Self {
            create_stream: seconds,
            reshard_base: seconds,
            reshard_per_shard: 0.0,
            stream_setting_update: seconds,
            delete_stream: seconds,
            consumer_create: seconds,
            table_create: seconds,
            table_update: seconds,
            billing_mode_update: seconds,
            index_create: seconds,
            table_delete: seconds,
            mapping_create: seconds,
            mapping_update: seconds,
            mapping_delete: seconds,
            ..self.clone()
        }
    }
}

/// `input` with the world's account and region in its texts.
fn filled(input: &Value, account: &str, region: &str) -> Value {
    match input {
        Value::String(text) => json!(text.replace("${account}", account).replace("${region}", region)),
        Value::Array(items) => items.iter().map(|item| filled(item, account, region)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled(value, account, region))).collect()
        }
        Value::Null => json!({}),
        other => other.clone(),
    }
}

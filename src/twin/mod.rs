//! The twin: a simulated AWS below the SDK. `Twin::handle` takes one HTTP request and gives the bytes AWS
//! would answer; `Host` hands that to the SDK as its HTTP client.
//!
//! What always holds: same world, same seed, same requests at the same times give the same bytes. Time comes
//! in as an argument and only moves forward; `advance` in one piece or in a thousand ends in the same state.
//! Quotas and state machines are enforced as AWS documents them; what AWS does not document is a named field
//! of [`Assumptions`].

mod assumptions;
mod audit;
mod autoscaling;
mod cloudwatch;
mod dynamodb;
mod faults;
mod host;
mod kinesis;
mod lambda;
pub mod plane;
mod rates;
pub mod serve;
mod sts;
mod subscription;
mod trouble;
mod wire;
pub mod world;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use assumptions::Assumptions;
pub use audit::{Audit, Change, Meters, Mutation};
pub use cloudwatch::{MetricFault, MetricTrouble};
pub use faults::{Crash, Fault, Faults, Moment, Which};
pub use host::Host;
pub use plane::Plane;
pub use subscription::Subscription;
pub use wire::{Effect, MAX_BODY, Request, Response};
pub use world::World;

use wire::{Answer, Args, Call, Refusal, Service};

/// A whole simulated AWS account in one region.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Twin {
    world: World,
    plane: Plane,
    kinesis: kinesis::Kinesis,
    lambda: lambda::Lambda,
    dynamodb: dynamodb::DynamoDb,
    autoscaling: autoscaling::AutoScaling,
    metric_faults: Vec<MetricFault>,
    audit: Audit,
    troubles: trouble::Troubles,
    rates: rates::Rates,
    ids: Ids,
    now_ms: i64,
}

/// Request ids and UUIDs: a counter and a seed, so that two runs name things alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ids {
    seed: u64,
    requests: u64,
    resources: u64,
}

impl Ids {
    fn request(&mut self) -> String {
        self.requests += 1;
        uuid(self.seed ^ 0x5eed_0001, self.requests)
    }

    fn resource(&mut self) -> String {
        self.resources += 1;
        uuid(self.seed ^ 0x5eed_0002, self.resources)
    }
}

/// What a service may touch besides its own state.
struct Ctx<'a> {
    now: i64,
    world: &'a World,
    plane: &'a mut Plane,
    assumptions: &'a Assumptions,
    audit: &'a mut Audit,
    ids: &'a mut Ids,
}

impl Ctx<'_> {
    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.world.region, self.world.account_id)
    }

    fn account(&self) -> &str {
        &self.world.account_id
    }

    fn change(&mut self, resource: &str, field: &str, from: u64, to: u64) {
        self.audit.change(self.now, resource, field, from, to);
    }
}

macro_rules! ctx {
    ($twin:ident) => {
        Ctx {
            now: $twin.now_ms,
            world: &$twin.world,
            plane: &mut $twin.plane,
            assumptions: &$twin.world.assumptions,
            audit: &mut $twin.audit,
            ids: &mut $twin.ids,
        }
    };
}

impl Twin {
    /// An account in `world`, at the world's start: the world's functions exist, and the streams, tables and
    /// mappings that it names.
    pub fn new(world: World, seed: u64) -> Self {
        let plane = Plane::new(&world, seed);
        let lambda = lambda::Lambda::new(&world);
        let now_ms = world.start.as_millisecond();
        let troubles = trouble::Troubles::of(&world.others, now_ms);
        let metric_faults = world.metric_outages.iter().map(|outage| metric_fault(outage, now_ms)).collect();
        let mut twin = Self {
            plane,
            lambda,
            troubles,
            metric_faults,
            now_ms,
            world,
            kinesis: kinesis::Kinesis::default(),
            dynamodb: dynamodb::DynamoDb::default(),
            autoscaling: autoscaling::AutoScaling::default(),
            audit: Audit::default(),
            rates: rates::Rates::default(),
            ids: Ids { seed, requests: 0, resources: 0 },
        };
        twin.found();
        twin
    }

    /// The twin's own time: the latest moment it was advanced to.
    pub fn now(&self) -> Timestamp {
        timestamp(self.now_ms)
    }

    /// The world it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The data plane, for its totals and metrics.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// What happened: mutating requests, capacity changes, refusals, meters.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Keeps each delivery of records from now on, see [`Plane::deliveries`].
    pub fn record_deliveries(&mut self) {
        self.plane.record_deliveries();
    }

    /// The named assumptions, to be changed by a test before its first request.
    pub fn assumptions_mut(&mut self) -> &mut Assumptions {
        &mut self.world.assumptions
    }

    /// Makes CloudWatch late or silent for a time.
    pub fn add_metric_fault(&mut self, fault: MetricFault) {
        self.metric_faults.push(fault);
    }

    /// Moves time to `to`, never backwards: every transition that falls due happens exactly at its time.
    pub fn advance(&mut self, to: Timestamp) {
        let to_ms = to.as_millisecond();
        while let Some(due) = self.next_due().filter(|due| *due <= to_ms) {
            self.advance_to(due);
            self.remember();
            self.settle();
            self.act();
        }
        self.advance_to(to_ms);
    }

    fn advance_to(&mut self, to_ms: i64) {
        if to_ms <= self.now_ms {
            return;
        }
        let span = to_ms - self.now_ms;
        self.audit.meters.add(span, &self.kinesis.paid(), self.dynamodb.provisioned());
        self.plane.advance(to_ms);
        self.now_ms = to_ms;
    }

    fn next_due(&self) -> Option<i64> {
        let services = [self.kinesis.next_due(), self.lambda.next_due(), self.dynamodb.next_due()];
        services.into_iter().chain([self.autoscaling.next_due(), self.troubles.next_due()]).flatten().min()
    }

    fn settle(&mut self) {
        let mut ctx = ctx!(self);
        self.kinesis.settle(&mut ctx);
        self.dynamodb.settle(&mut ctx);
        self.lambda.settle(&mut ctx);
        self.autoscaling.settle(&mut ctx, &mut self.dynamodb);
    }

    /// Answers one request at `now` as AWS would. Time moves to `now` first, if it is later than the twin's.
    pub fn handle(&mut self, now: Timestamp, request: &Request) -> Response {
        self.advance(now);
        self.answer(request)
    }

    /// Answers one request at the twin's own time.
    fn answer(&mut self, request: &Request) -> Response {
        let id = self.ids.request();
        let call = match wire::decode(request) {
            Ok(call) => call,
            Err(undecodable) => return undecodable.response(&id, self.now_ms),
        };
        self.audit.count(&call.name());
        if call.is_mutating() && !call.is_data() {
            self.remember();
        }
        let taken = if self.world.assumptions.enforce_request_rates {
            self.rates.take(&call, self.now_ms, &self.world.account_id)
        } else {
            Ok(())
        };
        let answer = taken.and_then(|()| self.dispatch(&call));
        // Records and items are counted by what they do to streams and tables.
        if call.is_mutating() && !call.is_data() {
            self.audit.mutation(self.now_ms, call.name(), call.resource(), answer.as_ref().err(), false);
        }
        wire::encode(&call, answer, &id, self.now_ms)
    }

    fn dispatch(&mut self, call: &Call) -> Answer {
        let args = Args(&call.input);
        let mut ctx = ctx!(self);
        match call.service {
            Service::Kinesis => self.kinesis.call(&mut ctx, &call.operation, args),
            Service::DynamoDb => self.dynamodb.call(&mut ctx, &call.operation, args),
            Service::Lambda => self.lambda.call(&mut ctx, &self.kinesis, &call.operation, args),
            Service::AutoScaling => self.autoscaling.call(&mut ctx, &mut self.dynamodb, &call.operation, args),
            Service::CloudWatch => cloudwatch::call(&mut ctx, &self.metric_faults, &call.operation, args),
            Service::Sts => sts::call(&ctx, &call.operation),
        }
    }

    /// The answer to `request` when AWS refuses it before looking at it: no effect, not even on time.
    fn refuse(&mut self, request: &Request, refusal: impl FnOnce(Service) -> Refusal) -> Response {
        let id = self.ids.request();
        match wire::decode(request) {
            Ok(call) => wire::encode(&call, Err(refusal(call.service)), &id, self.now_ms),
            Err(undecodable) => undecodable.response(&id, self.now_ms),
        }
    }

    /// The answer to a request whose body was too large to be read: its head without a body.
    fn refuse_length(&mut self, request: &Request) -> Response {
        let id = self.ids.request();
        wire::refuse_length(request, &id, self.now_ms)
    }

    fn kinesis_events(&mut self, id: u64) -> (Vec<Value>, Option<i64>) {
        let mut ctx = ctx!(self);
        self.kinesis.subscription_events(&mut ctx, id)
    }

    /// Someone changes what a KMS key (id, ARN or alias) answers, or (`None`) removes it.
    pub fn set_kms_key(&mut self, key: &str, state: Option<world::KeyState>) {
        match state {
            Some(state) => _ = self.world.kms_keys.insert(key.to_owned(), state),
            None => _ = self.world.kms_keys.remove(key),
        }
    }

    /// Another user calls UpdateShardCount on our stream: the same rules, the same budget of ten in 24 h.
    ///
    /// # Errors
    /// AWS's error code and message when it refuses.
    pub fn foreign_reshard(&mut self, stream: &str, target: u32) -> Result<(), String> {
        let input = json!({"StreamName": stream, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"});
        self.foreign(Service::Kinesis, "UpdateShardCount", input)
    }

    /// Another user sets a tag on our stream.
    ///
    /// # Errors
    /// AWS's error code and message when it refuses.
    pub fn foreign_tag_stream(&mut self, stream: &str, key: &str, value: &str) -> Result<(), String> {
        self.foreign(Service::Kinesis, "AddTagsToStream", json!({"StreamName": stream, "Tags": {key: value}}))
    }

    /// Another user makes any call, given as the service's name in IAM, the operation and its JSON input
    /// (Lambda: the path parameters beside the body's members).
    ///
    /// # Errors
    /// AWS's error code and message when it refuses, or the name of a service the twin does not have.
    pub fn foreign_call(&mut self, service: &str, operation: &str, input: Value) -> Result<(), String> {
        let service = Service::named(service).ok_or_else(|| format!("no service named {service}"))?;
        self.foreign(service, operation, input)
    }

    fn foreign(&mut self, service: Service, operation: &str, input: Value) -> Result<(), String> {
        let call = Call::new(service, operation, input);
        let answer = self.dispatch(&call);
        if call.is_mutating() {
            self.audit.mutation(self.now_ms, call.name(), call.resource(), answer.as_ref().err(), true);
        }
        answer.map(drop).map_err(|refusal| format!("{}: {}", refusal.code, refusal.message))
    }

    /// Everything, to be kept on disk.
    ///
    /// # Errors
    /// When the state cannot be encoded (out of memory).
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// The twin that [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are not such a state, or another version's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        ciborium::from_reader(bytes).map_err(|error| error.to_string())
    }
}

/// A world's outage as CloudWatch keeps it.
fn metric_fault(outage: &world::MetricOutage, start_ms: i64) -> MetricFault {
    let at = |seconds: u32| start_ms + i64::from(seconds) * 1_000;
    MetricFault {
        from_ms: at(outage.from_seconds),
        to_ms: at(outage.to_seconds),
        namespace: outage.namespace.clone(),
        metric: outage.metric.clone(),
        trouble: outage.trouble,
    }
}

/// Seconds of a timing as milliseconds.
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Epoch seconds as AWS's JSON carries times.
fn epoch(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// SplitMix64 (Steele, Lea, Flood 2014): one well-mixed number from a seed and a counter.
fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn uuid(seed: u64, counter: u64) -> String {
    let (high, low) = (mix(seed, counter), mix(!seed, counter));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

//! Event source mappings on Kinesis: validation, the state machine, and what the poller is told.
//!
//! While a mapping is in transition it does not poll and answers with the settings it had; the new ones show
//! when it has settled. The position is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Lambda, conflict, invalid, names, not_found,
    settings::{Settings, starting_position},
    tags,
};
use crate::twin::{
    Ctx, epoch,
    kinesis::{Kinesis, Status},
    millis,
    plane::{LastResult, MappingConfig, Start},
    wire::{Answer, Args, Cause, Refusal},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Creating,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    Updating,
    Deleting,
    Gone,
}

impl State {
    fn is_settled(self) -> bool {
        matches!(self, Self::Enabled | Self::Disabled)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mapping {
    uuid: String,
    arn: String,
    source_arn: String,
    stream: String,
    position: String,
    position_ms: Option<i64>,
    state: State,
    settings: Settings,
    next: Option<Settings>,
    pub due_ms: Option<i64>,
    created_ms: i64,
    modified_ms: i64,
    pub tags: BTreeMap<String, String>,
}

/// Mappings of one answer of ListEventSourceMappings (API reference).
const PAGE: i64 = 100;

impl Lambda {
    pub(super) fn create_mapping(&mut self, ctx: &mut Ctx, kinesis: &Kinesis, args: Args) -> Answer {
        let named = self.named(ctx, args)?;
        let source = args.text("EventSourceArn").ok_or_else(|| invalid("EventSourceArn is required"))?;
        if source.split(':').nth(2) != Some("kinesis") {
            return Err(invalid(format!("Unrecognized event source: {source}. The twin has Kinesis only.")));
        }
        let (stream, _) = kinesis
            .by_source_arn(source)
            .filter(|(_, stream)| matches!(stream.status, Status::Active | Status::Updating))
            .ok_or_else(|| invalid(format!("Stream not found: {source}")))?;
        let (position, position_ms) = starting_position(ctx, args)?;
        let mut settings = Settings::new(named);
        settings.change(ctx, args)?;
        let tags = args.map("Tags");
        tags::check(&tags)?;
        self.need_alone(source, &settings, "")?;
        let most = ctx.assumptions.mappings_maximum;
        if self.mappings.len() >= most {
            return Err(invalid(format!("The twin keeps at most {most} event source mappings.")));
        }
        let uuid = ctx.ids.resource();
        let mapping = Mapping {
            arn: ctx.arn("lambda", &format!("event-source-mapping:{uuid}")),
            uuid: uuid.clone(),
            source_arn: source.to_owned(),
            stream: stream.to_owned(),
            position,
            position_ms,
            state: State::Creating,
            settings,
            next: None,
            due_ms: Some(ctx.now + millis(ctx.world.timings.mapping_create)),
            created_ms: ctx.now,
            modified_ms: ctx.now,
            tags,
        };
        let output = mapping.json(ctx, false);
        self.mappings.insert(uuid, mapping);
        Ok(output)
    }

    /// Refuses a second mapping of one source and function.
    fn need_alone(&self, source: &str, settings: &Settings, uuid: &str) -> Result<(), Refusal> {
        let mut others = self.mappings.values().filter(|mapping| mapping.uuid != uuid);
        let Some(twin) = others.find(|mapping| mapping.is_same(source, &settings.function_arn)) else { return Ok(()) };
        Err(conflict(format!(
            "The event source arn (\" {source} \") and function (\" {} \") provided mapping already exists. \
             Please update or delete the existing mapping with UUID {}",
            settings.function, twin.uuid
        )))
    }

    pub(super) fn get_mapping(&self, ctx: &Ctx, args: Args) -> Answer {
        let mapping = self.mappings.get(args.need_text("UUID")?);
        let mapping = mapping.ok_or_else(|| not_found("The resource you requested does not exist."))?;
        Ok(mapping.json(ctx, false))
    }

    pub(super) fn list_mappings(&self, ctx: &Ctx, args: Args) -> Answer {
        let at_most = args.ranged("MaxItems", 1, 10_000)?.unwrap_or(PAGE).min(PAGE) as usize;
        let (source, marker) = (args.text("EventSourceArn"), args.text("Marker").unwrap_or_default());
        if !marker.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-') {
            return Err(invalid("Invalid marker."));
        }
        let function = args.text("FunctionName").map(|given| names::parse(ctx, given)).transpose()?;
        if let Some(named) = function.as_ref().filter(|named| !self.functions.contains_key(&named.name)) {
            return Err(not_found(format!("Function not found: {}", named.arn)));
        }
        let lag_ms = i64::from(ctx.assumptions.mapping_list_lag_seconds) * 1_000;
        let mut rest = self
            .mappings
            .values()
            .filter(|mapping| mapping.created_ms + lag_ms <= ctx.now)
            .filter(|mapping| source.is_none_or(|source| mapping.source_arn == source))
            .filter(|mapping| {
                function.as_ref().is_none_or(|named| match named.qualifier {
                    Some(_) => mapping.settings.function_arn == named.arn,
                    None => mapping.settings.function == named.name,
                })
            })
            .filter(|mapping| mapping.uuid.as_str() > marker);
        let page: Vec<&Mapping> = rest.by_ref().take(at_most).collect();
        let mappings: Vec<Value> = page.iter().map(|mapping| mapping.json(ctx, true)).collect();
        let mut output = json!({ "EventSourceMappings": mappings });
        if let Some(last) = page.last().filter(|_| rest.next().is_some()) {
            output["NextMarker"] = json!(last.uuid);
        }
        Ok(output)
    }

    pub(super) fn update_mapping(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let named = args.get("FunctionName").map(|_| self.named(ctx, args)).transpose()?;
        let mapping = self.settled_mapping(args, "update")?;
        let mut next = mapping.settings.clone();
        if let Some(named) = named {
            (next.function, next.qualifier, next.function_arn) = (named.name, named.qualifier, named.arn);
        }
        next.change(ctx, args)?;
        let (source, uuid) = (mapping.source_arn.clone(), mapping.uuid.clone());
        self.need_alone(&source, &next, &uuid)?;
        let mapping = self.settled_mapping(args, "update")?;
        mapping.state = match (mapping.settings.enabled, next.enabled) {
            (true, false) => State::Disabling,
            (false, true) => State::Enabling,
            _ => State::Updating,
        };
        mapping.next = Some(next);
        mapping.due_ms = Some(ctx.now + millis(ctx.world.timings.mapping_update));
        mapping.modified_ms = ctx.now;
        mapping.poll(ctx, false);
        Ok(mapping.json(ctx, false))
    }

    pub(super) fn delete_mapping(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let mapping = self.settled_mapping(args, "delete")?;
        mapping.state = State::Deleting;
        mapping.due_ms = Some(ctx.now + millis(ctx.world.timings.mapping_delete));
        mapping.modified_ms = ctx.now;
        mapping.poll(ctx, false);
        Ok(mapping.json(ctx, false))
    }

    fn settled_mapping(&mut self, args: Args, verb: &str) -> Result<&mut Mapping, Refusal> {
        let mapping = self.mappings.get_mut(args.need_text("UUID")?);
        let mapping = mapping.ok_or_else(|| not_found("The resource you requested does not exist."))?;
        if mapping.state.is_settled() {
            return Ok(mapping);
        }
        let message = format!("Cannot {verb} the event source mapping because it is in use.");
        Err(Refusal::new(400, "ResourceInUseException", message).for_cause(Cause::Transition))
    }
}

impl Mapping {
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    fn is_same(&self, source: &str, function_arn: &str) -> bool {
        let arn = |settings: &Settings| settings.function_arn == function_arn;
        self.source_arn == source && (arn(&self.settings) || self.next.as_ref().is_some_and(arn))
    }

    /// The transition that falls due ends.
    pub fn settle(&mut self, ctx: &mut Ctx) {
        self.due_ms = None;
        let resource = format!("mapping/{}", self.uuid);
        if self.state == State::Deleting {
            self.state = State::Gone;
            ctx.plane.remove_mapping(&self.uuid);
            ctx.change(&resource, "parallelizationFactor", self.settings.factor.into(), 0);
            return;
        }
        let before = if self.state == State::Creating { (0, 0) } else { self.settings.scaled() };
        if let Some(next) = self.next.take() {
            self.settings = next;
        }
        let after = self.settings.scaled();
        ctx.change(&resource, "parallelizationFactor", before.0, after.0);
        ctx.change(&resource, "batchSize", before.1, after.1);
        self.state = if self.settings.enabled { State::Enabled } else { State::Disabled };
        self.poll(ctx, self.settings.enabled);
    }

    /// Tells the data plane the settings in force and whether it polls.
    fn poll(&self, ctx: &mut Ctx, enabled: bool) {
        let settings = &self.settings;
        let starting_position = match (self.position.as_str(), self.position_ms) {
            ("AT_TIMESTAMP", Some(at)) => Start::At(at),
            ("LATEST", _) => Start::Latest,
            _ => Start::TrimHorizon,
        };
        let consumer = self.source_arn.split_once("/consumer/").map(|(_, rest)| rest);
        let config = MappingConfig {
            stream: self.stream.clone(),
            function: settings.function.clone(),
            qualifier: settings.qualifier.clone(),
            consumer: consumer.and_then(|rest| rest.split(':').next()).map(str::to_owned),
            batch_size: settings.batch_size,
            window_ms: i64::from(settings.window_seconds) * 1000,
            parallelization_factor: settings.factor,
            starting_position,
            max_retries: settings.max_retries,
            max_age_s: settings.max_age_seconds,
            bisect: settings.bisect,
            reports_failures: settings.reports_failures,
            tumbling_ms: i64::from(settings.tumbling_seconds) * 1_000,
            on_failure: settings.on_failure.is_some(),
            filters: settings.filters.clone(),
            counts_events: settings.counts_events,
            enabled,
        };
        ctx.plane.put_mapping(&self.uuid, config);
    }

    fn json(&self, ctx: &Ctx, listed: bool) -> Value {
        let result = match ctx.plane.last_result(&self.uuid) {
            LastResult::None => "No records processed",
            LastResult::Ok => "OK",
            LastResult::Failed => "PROBLEM: Function call failed",
            LastResult::Throttled => "PROBLEM: Function call throttled",
            LastResult::NoFunction => "PROBLEM: Function not found",
            LastResult::Denied => {
                "PROBLEM: Cannot access stream. Please ensure the role can perform the GetRecords, GetShardIterator, \
                 DescribeStream, ListShards, and ListStreams actions on your stream in IAM."
            }
        };
        let mut value = self.settings.json(listed);
        value["UUID"] = json!(self.uuid);
        value["EventSourceMappingArn"] = json!(self.arn);
        value["EventSourceArn"] = json!(self.source_arn);
        value["StartingPosition"] = json!(self.position);
        value["LastModified"] = epoch(self.modified_ms);
        value["LastProcessingResult"] = json!(result);
        value["State"] = json!(format!("{:?}", self.state));
        value["StateTransitionReason"] = json!("User action");
        if let Some(at) = self.position_ms {
            value["StartingPositionTimestamp"] = epoch(at);
        }
        value
    }
}

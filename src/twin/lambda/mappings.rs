//! Event source mappings on Kinesis: validation, the state machine, and what the poller is told.
//!
//! While a mapping is in transition it does not poll and answers with the settings it had; the new ones show
//! when it has settled. The position is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Lambda, invalid, not_found, split_function};
use crate::twin::{
    Ctx, epoch,
    kinesis::{Kinesis, Status},
    millis,
    plane::{MappingConfig, Start},
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

/// What UpdateEventSourceMapping may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    function: String,
    function_arn: String,
    batch_size: u32,
    window_seconds: u32,
    factor: u32,
    max_retries: i64,
    max_age_seconds: i64,
    tumbling_seconds: u32,
    bisect: bool,
    response_types: Vec<String>,
    on_failure: Option<String>,
    filters: Vec<String>,
    enabled: bool,
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
    modified_ms: i64,
    pub tags: BTreeMap<String, String>,
}

impl Lambda {
    pub(super) fn create_mapping(&mut self, ctx: &mut Ctx, kinesis: &Kinesis, args: Args) -> Answer {
        let (function, function_arn) = self.function(ctx, args)?;
        let source = args.text("EventSourceArn").ok_or_else(|| invalid("EventSourceArn is required"))?;
        let (stream, _) = kinesis
            .by_source_arn(source)
            .filter(|(_, stream)| matches!(stream.status, Status::Active | Status::Updating))
            .ok_or_else(|| invalid(format!("Stream not found: {source}")))?;
        let (position, position_ms) = starting_position(ctx, args)?;
        let mut settings = Settings::new(function, function_arn);
        settings.change(args)?;
        let twin = self.mappings.values().find(|mapping| mapping.is_same(source, &settings.function_arn));
        if let Some(twin) = twin {
            return Err(Refusal::new(
                409,
                "ResourceConflictException",
                format!(
                    "The event source arn (\" {source} \") and function (\" {} \") provided mapping already exists. \
                     Please update or delete the existing mapping with UUID {}",
                    settings.function, twin.uuid
                ),
            ));
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
            modified_ms: ctx.now,
            tags: args.map("Tags"),
        };
        let output = mapping.json();
        self.mappings.insert(uuid, mapping);
        Ok(output)
    }

    pub(super) fn get_mapping(&self, args: Args) -> Answer {
        let mapping = self.mappings.get(args.need_text("UUID")?);
        mapping.map(Mapping::json).ok_or_else(|| not_found("The resource you requested does not exist."))
    }

    pub(super) fn list_mappings(&self, args: Args) -> Answer {
        let at_most = args.ranged("MaxItems", 1, 10_000)?.unwrap_or(100).min(100) as usize;
        let (source, marker) = (args.text("EventSourceArn"), args.text("Marker").unwrap_or_default());
        let function = args.text("FunctionName").map(|given| split_function(given).0);
        let rest: Vec<&Mapping> = self
            .mappings
            .values()
            .filter(|mapping| source.is_none_or(|source| mapping.source_arn == source))
            .filter(|mapping| function.is_none_or(|function| mapping.settings.function == function))
            .filter(|mapping| mapping.uuid.as_str() > marker)
            .collect();
        let page: Vec<&&Mapping> = rest.iter().take(at_most).collect();
        let mut output =
            json!({ "EventSourceMappings": page.iter().map(|mapping| mapping.json()).collect::<Vec<_>>() });
        if let Some(last) = page.last().filter(|_| rest.len() > at_most) {
            output["NextMarker"] = json!(last.uuid);
        }
        Ok(output)
    }

    pub(super) fn update_mapping(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let function = args.get("FunctionName").map(|_| self.function(ctx, args)).transpose()?;
        let mapping = self.settled_mapping(args, "update")?;
        let mut next = mapping.settings.clone();
        if let Some((name, arn)) = function {
            (next.function, next.function_arn) = (name, arn);
        }
        next.change(args)?;
        mapping.state = match (mapping.settings.enabled, next.enabled) {
            (true, false) => State::Disabling,
            (false, true) => State::Enabling,
            _ => State::Updating,
        };
        mapping.next = Some(next);
        mapping.due_ms = Some(ctx.now + millis(ctx.world.timings.mapping_update));
        mapping.modified_ms = ctx.now;
        mapping.poll(ctx, false);
        Ok(mapping.json())
    }

    pub(super) fn delete_mapping(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let mapping = self.settled_mapping(args, "delete")?;
        mapping.state = State::Deleting;
        mapping.due_ms = Some(ctx.now + millis(ctx.world.timings.mapping_delete));
        mapping.modified_ms = ctx.now;
        mapping.poll(ctx, false);
        Ok(mapping.json())
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
        let config = MappingConfig {
            stream: self.stream.clone(),
            function: settings.function.clone(),
            batch_size: settings.batch_size,
            window_ms: i64::from(settings.window_seconds) * 1000,
            parallelization_factor: settings.factor,
            starting_position,
            max_retries: settings.max_retries,
            max_age_s: settings.max_age_seconds,
            bisect: settings.bisect,
            enabled,
            consumer: None,
        };
        ctx.plane.put_mapping(&self.uuid, config);
    }

    fn json(&self) -> Value {
        let settings = &self.settings;
        let result = if settings.enabled && self.state != State::Creating { "OK" } else { "No records processed" };
        let mut value = json!({
            "UUID": self.uuid,
            "EventSourceMappingArn": self.arn,
            "EventSourceArn": self.source_arn,
            "FunctionArn": settings.function_arn,
            "StartingPosition": self.position,
            "BatchSize": settings.batch_size,
            "MaximumBatchingWindowInSeconds": settings.window_seconds,
            "ParallelizationFactor": settings.factor,
            "MaximumRetryAttempts": settings.max_retries,
            "MaximumRecordAgeInSeconds": settings.max_age_seconds,
            "TumblingWindowInSeconds": settings.tumbling_seconds,
            "BisectBatchOnFunctionError": settings.bisect,
            "FunctionResponseTypes": settings.response_types,
            "DestinationConfig": { "OnFailure": {} },
            "LastModified": epoch(self.modified_ms),
            "LastProcessingResult": result,
            "State": format!("{:?}", self.state),
            "StateTransitionReason": "User action",
        });
        if let Some(at) = self.position_ms {
            value["StartingPositionTimestamp"] = epoch(at);
        }
        if let Some(destination) = &settings.on_failure {
            value["DestinationConfig"]["OnFailure"]["Destination"] = json!(destination);
        }
        if !settings.filters.is_empty() {
            let filters: Vec<Value> = settings.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
            value["FilterCriteria"] = json!({ "Filters": filters });
        }
        value
    }
}

impl Settings {
    /// AWS's defaults for Kinesis.
    fn new(function: String, function_arn: String) -> Self {
        Self {
            function,
            function_arn,
            batch_size: 100,
            window_seconds: 0,
            factor: 1,
            max_retries: -1,
            max_age_seconds: -1,
            tumbling_seconds: 0,
            bisect: false,
            response_types: Vec::new(),
            on_failure: None,
            filters: Vec::new(),
            enabled: true,
        }
    }

    /// (parallelization factor, batch size), the values a scaler changes.
    fn scaled(&self) -> (u64, u64) {
        (self.factor.into(), self.batch_size.into())
    }

    /// Takes over the members that are present, each inside its range (Kinesis parameters, Lambda guide).
    fn change(&mut self, args: Args) -> Result<(), Refusal> {
        let counts = [
            ("BatchSize", 1, 10_000, &mut self.batch_size),
            ("MaximumBatchingWindowInSeconds", 0, 300, &mut self.window_seconds),
            ("ParallelizationFactor", 1, 10, &mut self.factor),
            ("TumblingWindowInSeconds", 0, 900, &mut self.tumbling_seconds),
        ];
        for (member, low, high, field) in counts {
            if let Some(value) = args.ranged(member, low, high)? {
                *field = value as u32;
            }
        }
        if let Some(retries) = args.ranged("MaximumRetryAttempts", -1, 10_000)? {
            self.max_retries = retries;
        }
        if let Some(age) = args.ranged("MaximumRecordAgeInSeconds", -1, 604_800)? {
            if (0..60).contains(&age) {
                return Err(invalid("MaximumRecordAgeInSeconds must be -1 or between 60 and 604800."));
            }
            self.max_age_seconds = age;
        }
        self.bisect = args.flag("BisectBatchOnFunctionError").unwrap_or(self.bisect);
        self.enabled = args.flag("Enabled").unwrap_or(self.enabled);
        if args.get("FunctionResponseTypes").is_some() {
            self.response_types = args.texts("FunctionResponseTypes").map(str::to_owned).collect();
        }
        if let Some(failure) = args.at("DestinationConfig").and_then(|config| config.at("OnFailure")) {
            self.on_failure = failure.text("Destination").filter(|arn| !arn.is_empty()).map(str::to_owned);
        }
        if let Some(criteria) = args.at("FilterCriteria") {
            self.filters =
                criteria.list("Filters").filter_map(|filter| filter.text("Pattern")).map(str::to_owned).collect();
        }
        Ok(())
    }
}

fn starting_position(ctx: &Ctx, args: Args) -> Result<(String, Option<i64>), Refusal> {
    let position = args.text("StartingPosition");
    let position = position.ok_or_else(|| invalid("StartingPosition is required for Kinesis event sources."))?;
    // Epoch seconds, as the API carries times.
    let at = args.get("StartingPositionTimestamp").and_then(Value::as_f64).map(millis);
    match (position, at) {
        ("TRIM_HORIZON" | "LATEST", None) | ("AT_TIMESTAMP", Some(_)) => {}
        ("AT_TIMESTAMP", None) => return Err(invalid("StartingPositionTimestamp is required with AT_TIMESTAMP.")),
        ("TRIM_HORIZON" | "LATEST", Some(_)) => {
            return Err(invalid("StartingPositionTimestamp is allowed with AT_TIMESTAMP only."));
        }
        _ => {
            let set = "satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]";
            return Err(Refusal::constraint(position, "startingPosition", set));
        }
    }
    if at.is_some_and(|at| at > ctx.now) {
        return Err(invalid("StartingPositionTimestamp must not be in the future."));
    }
    Ok((position.to_owned(), at))
}

//! Event source mappings: one for each consumer, matched by function and stream.

use crate::{
    diagnose::{Reading, Way, fan_out_name},
    model::{Bounds, MappingFacts, MappingState, ParallelizationFactor, ResourceId, StreamFacts},
    scale::ConsumerTargets,
    spec::{ConsumerSpec, StartingPosition},
};

use super::{
    Action, FieldChange, Input, MappingChange, NewMapping, Owner, Risk, Step, codes,
    draft::{Draft, Work, new_field, spec_field},
    fan_out,
    ownership::{self, Holder},
    stream, timing,
};

/// Function name and qualifier (alias or version; `$LATEST` is none) of a function ARN or name.
pub(super) fn function_of(arn: &str) -> (&str, Option<&str>) {
    // arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]
    let skip = if arn.starts_with("arn:") { 6 } else { 0 };
    let mut parts = arn.split(':').skip(skip);
    let name = parts.next().unwrap_or_default();
    (name, parts.next().filter(|qualifier| *qualifier != "$LATEST"))
}

fn is_for(mapping: &MappingFacts, consumer: &ConsumerSpec) -> bool {
    function_of(&mapping.function_arn) == (consumer.function.as_str(), consumer.alias.as_deref())
}

/// Factor bounds that hold for a consumer: 1 when it must never run twice at once.
pub(super) fn factor_bounds(consumer: &ConsumerSpec) -> Bounds<ParallelizationFactor> {
    if consumer.concurrency_safe { consumer.parallelization_factor } else { Bounds::pinned(ParallelizationFactor(1)) }
}

/// Decides about every consumer, by name.
pub(super) fn plan(draft: &mut Draft, input: &Input<'_>) {
    let mut consumers: Vec<_> = input.pipeline.consumers.iter().collect();
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    let under_way = |spec: &&&ConsumerSpec| Reading::of(input.pipeline, input.facts, spec).moving().is_some();
    draft.moving = consumers.iter().find(under_way).map(|spec| spec.name.clone());
    for consumer in &consumers {
        one(draft, input, consumer);
    }
    fan_out::orphans(draft, input);
    for mapping in &input.facts.mappings {
        if consumers.iter().any(|consumer| is_for(mapping, consumer)) {
            continue;
        }
        let (name, qualifier) = function_of(&mapping.function_arn);
        if ownership::holder(&mapping.tags, input.pipeline) == Holder::Ours {
            draft.warnings.push(format!(
                "mapping {} of function {name} is tagged as ours but no consumer names it: left as it is",
                mapping.uuid
            ));
        } else if consumers.iter().any(|consumer| consumer.function == name) {
            let qualifier = qualifier.unwrap_or("$LATEST");
            draft.warnings.push(format!(
                "function {name} is also fed from this stream as {qualifier} by mapping {}: records are processed twice",
                mapping.uuid
            ));
        }
    }
}

fn one(draft: &mut Draft, input: &Input<'_>, spec: &ConsumerSpec) {
    let id = ResourceId::Mapping(spec.name.clone());
    if !input.facts.functions.contains_key(&spec.function) {
        draft.block(
            &id,
            codes::FUNCTION_MISSING,
            format!("function {} does not exist in {}", spec.function, input.facts.region),
            "deploy the function first, or correct the consumer's function".to_owned(),
        );
        return;
    }
    let source = stream::id(input.pipeline);
    let coming = input.facts.stream.is_some() || draft.changes.iter().any(|change| change.resource == source);
    if draft.refuses(&source) || !coming {
        draft.block(&id, codes::DEPENDS_ON_REFUSED, format!("its {source} is refused"), "solve that first".to_owned());
        return;
    }
    let stream = input.facts.stream.as_ref();
    let reading = Reading::of(input.pipeline, input.facts, spec);
    let to = fan_out::wanted(input.targets, spec, &reading);
    let live = match to {
        Way::Shared => reading.shared.or(reading.fan_out),
        Way::EnhancedFanOut => reading.fan_out.or(reading.shared),
    };
    let second = reading.others.iter().find(|mapping| is_for(mapping, spec)).filter(|_| live.is_none());
    match (live, second) {
        (Some(live), _) => {
            if !fan_out::plan(draft, input, spec, &reading, to) {
                existing(draft, input, spec, live, &id);
            }
        }
        (None, Some(other)) => draft.block(
            &id,
            codes::SECOND_MAPPING,
            format!("function {} reads the stream through {} already", spec.function, other.source_arn),
            "a second mapping would process every record twice: delete that mapping first".to_owned(),
        ),
        (None, None) => create(draft, input, spec, stream, &reading, to, &id),
    }
}

fn create(
    draft: &mut Draft,
    input: &Input<'_>,
    spec: &ConsumerSpec,
    stream: Option<&StreamFacts>,
    reading: &Reading<'_>,
    to: Way,
    id: &ResourceId,
) {
    let mut wait = None;
    if to == Way::EnhancedFanOut {
        match fan_out::register(draft, input, spec, reading) {
            fan_out::Registered::Ready => {}
            fan_out::Registered::Pending(why) => wait = Some(why),
            fan_out::Registered::Refused => {
                let hint = "solve that first".to_owned();
                draft.block(id, codes::DEPENDS_ON_REFUSED, "its fan-out consumer is refused".to_owned(), hint);
                return;
            }
        }
    }
    let factor = factor_bounds(spec).initial;
    let settings = MappingChange {
        consumer: spec.name.clone(),
        uuid: String::new(),
        batch_size: Some(spec.batch_size.initial),
        parallelization_factor: Some(factor),
        maximum_batching_window_seconds: Some(spec.maximum_batching_window_seconds),
        tumbling_window_seconds: Some(spec.tumbling_window_seconds),
        maximum_retry_attempts: Some(spec.maximum_retry_attempts),
        maximum_record_age_seconds: Some(spec.maximum_record_age_seconds),
        bisect_batch_on_function_error: Some(spec.bisect_batch_on_function_error),
        report_batch_item_failures: Some(spec.report_batch_item_failures),
        on_failure: spec.on_failure.clone(),
        filter_criteria: (!spec.filter_criteria.is_empty()).then(|| spec.filter_criteria.clone()),
        enabled: Some(true),
    };
    let function = match &spec.alias {
        Some(alias) => format!("{}:{alias}", spec.function),
        None => spec.function.clone(),
    };
    let mut work = Work { wait, ..Work::default() };
    work.field(new_field("function", &function));
    if to == Way::EnhancedFanOut {
        work.field(new_field("delivery", to.word()));
    }
    work.field(new_field("batchSize", spec.batch_size.initial));
    work.field(new_field("parallelizationFactor", factor));
    work.field(new_field("startingPosition", spec.starting_position.words()));
    if spec.starting_position == StartingPosition::Latest {
        draft.warnings.push(format!("{id} starts at LATEST: records that arrive before it polls are skipped"));
    }
    let new = NewMapping {
        consumer: spec.name.clone(),
        function,
        source_arn: match to {
            Way::Shared => stream.map(|stream| stream.arn.clone()),
            Way::EnhancedFanOut => reading.own().map(|consumer| consumer.arn.clone()),
        },
        fan_out_consumer: (to == Way::EnhancedFanOut).then(|| fan_out_name(&input.pipeline.name, &spec.name)),
        starting_position: spec.starting_position,
        settings,
        kms_key_arn: None,
        metrics: Vec::new(),
        tags: ownership::all_tags(input.pipeline),
    };
    work.step(Step::CreateMapping(Box::new(new)), timing::MAPPING);
    draft.change(id, Action::Create, Some("does not exist yet".to_owned()), work);
}

fn existing(draft: &mut Draft, input: &Input<'_>, spec: &ConsumerSpec, live: &MappingFacts, id: &ResourceId) {
    let Some(arn) = &live.arn else {
        draft.block(
            id,
            codes::OWNER_UNKNOWN,
            format!("mapping {} reports no ARN, so its tags cannot be read", live.uuid),
            "the endpoint must report EventSourceMappingArn".to_owned(),
        );
        return;
    };
    let policy = input.pipeline.stream.adoption_policy;
    let Some(claim) = ownership::claim(draft, input.pipeline, id, &live.tags, policy) else { return };
    if matches!(live.state, MappingState::Deleting | MappingState::Other) {
        let (code, reason) = match live.state {
            MappingState::Deleting => (codes::BEING_DELETED, "is being deleted"),
            _ => (codes::UNKNOWN_STATE, "is in a state this version does not know"),
        };
        let hint = "wait until it is gone, then run apply".to_owned();
        draft.block(id, code, reason.to_owned(), hint);
        return;
    }
    if input.scaling() && !live.state.is_settled() {
        draft.warnings.push(format!("{id} is in transition: nothing is changed on it now"));
        return;
    }
    let mut work = Work::default();
    if !claim.tags.is_empty() {
        claim.describe(&live.tags, &mut work);
        let step = Step::TagMapping { consumer: spec.name.clone(), arn: arn.clone(), tags: claim.tags };
        work.step(step, timing::SETTING);
    }
    let blank = MappingChange { consumer: spec.name.clone(), uuid: live.uuid.clone(), ..MappingChange::default() };
    let (mut settings, mut scaled) = (blank.clone(), blank.clone());
    let mut scale_work = Work::default();
    drift(spec, live, &mut settings, &mut work);
    if input.scaling() {
        sized(draft, input, spec, live, &mut scaled, &mut scale_work);
    } else {
        sized(draft, input, spec, live, &mut settings, &mut work);
    }
    if settings != blank {
        work.step(Step::UpdateMapping(Box::new(settings)), timing::MAPPING);
    }
    if scaled != blank {
        scale_work.step(Step::UpdateMapping(Box::new(scaled)), timing::MAPPING);
    }
    if claim.adopting {
        let reason = "exists untagged; the stream's adoptionPolicy is adopt".to_owned();
        draft.change(id, Action::Adopt, Some(reason), work);
    } else {
        draft.change(id, Action::Update, None, work);
        draft.change(id, Action::Scale, None, scale_work);
    }
    draft.settle(id.clone());
}

/// Settings that the spec says outright. The starting position counts at creation only.
fn drift(spec: &ConsumerSpec, live: &MappingFacts, change: &mut MappingChange, work: &mut Work) {
    const DIFFERS: &str = "differs from the spec";
    let seconds = |value: u32| format!("{value}s");
    let mut note = |path: &str, have: Option<String>, want: Option<String>| {
        work.fields.push(spec_field(path, have, want, DIFFERS));
    };
    if live.state == MappingState::Disabled {
        change.enabled = Some(true);
        note("enabled", Some("false".to_owned()), Some("true".to_owned()));
    }
    let (have, want) = (live.maximum_batching_window_seconds, spec.maximum_batching_window_seconds);
    if have != want {
        change.maximum_batching_window_seconds = Some(want);
        note("maximumBatchingWindow", Some(seconds(have)), Some(seconds(want)));
    }
    let (have, want) = (live.maximum_retry_attempts, spec.maximum_retry_attempts);
    if have != want {
        change.maximum_retry_attempts = Some(want);
        note("maximumRetryAttempts", Some(have.to_string()), Some(want.to_string()));
    }
    let (have, want) = (live.maximum_record_age_seconds, spec.maximum_record_age_seconds);
    if have != want {
        let age = |value: i32| if value < 0 { value.to_string() } else { format!("{value}s") };
        change.maximum_record_age_seconds = Some(want);
        note("maximumRecordAge", Some(age(have)), Some(age(want)));
    }
    let (have, want) = (live.bisect_batch_on_function_error, spec.bisect_batch_on_function_error);
    if have != want {
        change.bisect_batch_on_function_error = Some(want);
        note("bisectBatchOnFunctionError", Some(have.to_string()), Some(want.to_string()));
    }
    let (have, want) = (live.report_batch_item_failures, spec.report_batch_item_failures);
    if have != want {
        let show = |on: bool| if on { "ReportBatchItemFailures" } else { "none" };
        change.report_batch_item_failures = Some(want);
        note("functionResponseTypes", Some(show(have).to_owned()), Some(show(want).to_owned()));
    }
    let clean = |arn: &Option<String>| arn.clone().filter(|arn| !arn.is_empty());
    let (have, want) = (clean(&live.on_failure), clean(&spec.on_failure));
    if have != want {
        change.on_failure = Some(want.clone().unwrap_or_default());
        note("onFailure", have, Some(want.unwrap_or_else(|| "none".to_owned())));
    }
    let (have, want) = (live.tumbling_window_seconds, spec.tumbling_window_seconds);
    let window = have != want;
    if window {
        change.tumbling_window_seconds = Some(want);
        note("tumblingWindow", Some(seconds(have)), Some(seconds(want)));
    }
    let filters = !same_filters(&live.filter_criteria, &spec.filter_criteria);
    if filters {
        change.filter_criteria = Some(spec.filter_criteria.clone());
        let show = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(" | ") };
        note("filterCriteria", Some(show(&live.filter_criteria)), Some(show(&spec.filter_criteria)));
    }
    if window || filters {
        // An open window's state is dropped; records a new filter rejects count as processed.
        work.risk(Risk::Interrupts);
    }
}

/// Filters are alternatives: their order and the spelling of their JSON say nothing.
fn same_filters(have: &[String], want: &[String]) -> bool {
    let normal = |list: &[String]| {
        let mut patterns: Vec<String> = list
            .iter()
            .map(|text| {
                serde_json::from_str(text).map_or_else(|_| text.clone(), |json: serde_json::Value| json.to_string())
            })
            .collect();
        patterns.sort();
        patterns
    };
    normal(have) == normal(want)
}

/// Factor and batch size: back into their bounds, and where the scaler wants them.
fn sized(
    draft: &mut Draft,
    input: &Input<'_>,
    spec: &ConsumerSpec,
    live: &MappingFacts,
    change: &mut MappingChange,
    work: &mut Work,
) {
    let targets = input.targets.and_then(|targets| targets.consumers.get(&spec.name));
    let of = |pick: fn(&ConsumerTargets) -> Option<(u32, &str)>| targets.and_then(pick);
    let factor = of(|targets| targets.parallelization_factor.as_ref().map(|t| (t.value.get(), t.reason.as_str())));
    let batch = of(|targets| targets.batch_size.as_ref().map(|t| (t.value.get(), t.reason.as_str())));
    let bounds = factor_bounds(spec);
    let bare = Bounds { min: bounds.min.get(), max: bounds.max.get(), initial: bounds.initial.get() };
    let why = if spec.concurrency_safe { None } else { Some("concurrencySafe is false: one invocation at a time") };
    let value = live.parallelization_factor.get();
    if let Some(field) = number(draft, spec, "parallelizationFactor", value, bare, factor, why) {
        change.parallelization_factor = Some(ParallelizationFactor(field.0));
        work.field(field.1);
    }
    let bounds = spec.batch_size;
    let bare = Bounds { min: bounds.min.get(), max: bounds.max.get(), initial: bounds.initial.get() };
    if let Some(field) = number(draft, spec, "batchSize", live.batch_size.get(), bare, batch, None) {
        change.batch_size = Some(crate::model::BatchSize(field.0));
        work.field(field.1);
    }
}

/// The new value of one sized field, or `None` (and a line on whose it is) when it stays.
fn number(
    draft: &mut Draft,
    spec: &ConsumerSpec,
    path: &str,
    live: u32,
    bounds: Bounds<u32>,
    target: Option<(u32, &str)>,
    why_outside: Option<&str>,
) -> Option<(u32, FieldChange)> {
    let Bounds { min, max, .. } = bounds;
    let (goal, owner, reason) = match target {
        Some((value, reason)) if bounds.contains(live) => (bounds.clamp(value), Owner::Scaler, reason.to_owned()),
        _ => {
            let side = if live < min { "below" } else { "above" };
            let reason =
                why_outside.map_or_else(|| format!("{live} is {side} the spec's [{min}, {max}]"), str::to_owned);
            (bounds.clamp(live), Owner::Spec, reason)
        }
    };
    if goal == live {
        if min < max {
            draft.owned_by_scaler.push(format!("mapping/{} {path} = {live} in [{min}, {max}]", spec.name));
        }
        return None;
    }
    let field = FieldChange {
        path: path.to_owned(),
        before: Some(live.to_string()),
        after: Some(goal.to_string()),
        owner,
        reason,
    };
    Some((goal, field))
}

//! Consumers: the mapping first, then the function, then what a lag alone says (in `lag`).
//!
//! What always holds: what a throttled table explains is not blamed on the function.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Confidence, ConsumerEstimate, ConsumerLoad, Diagnosis, Evidence, Finding, Reading, Severity, lag,
    rules::{Answer, View, actuating, blind, evidence},
    series::{busy_minutes, newest, ratio, sum, went_missing},
    symptoms,
    thresholds::{
        ACCOUNT_NEAR, BLOCKED_SLOPE, FAULTY, FITTING_SHARE, LATELY, OTHERS, RETENTION_ACT, RETENTION_WARN, STUCK,
        TIMEOUT_SHARE, WILL_DROP,
    },
};
use crate::{
    model::{ConsumerSignals, FunctionFacts, Hours, MappingFacts, MappingState, ResourceId, Signal, StreamFacts},
    spec::{ConsumerSpec, Pipeline},
};

/// Words in a mapping's last result that speak of rights. AWS writes them as free text.
const RIGHTS: [&str; 7] =
    ["permission", "denied", "not authorized", "unauthorized", "cannot be assumed", "forbidden", "ensure the role"];

/// One consumer with what is known of it.
pub(super) struct Consumer<'a> {
    pub(super) spec: &'a ConsumerSpec,
    pub(super) resource: ResourceId,
    pub(super) stream: &'a StreamFacts,
    pub(super) mapping: &'a MappingFacts,
    pub(super) function: Option<&'a FunctionFacts>,
    pub(super) own: &'a ConsumerSignals,
    pub(super) load: ConsumerLoad,
    pub(super) estimate: ConsumerEstimate,
    /// Why a table that it writes to throttles, if one does.
    pub(super) throttled: Option<Diagnosis>,
    pub(super) numbers: Vec<Evidence>,
}

pub(super) fn rules(
    view: &View<'_>,
    answer: &mut Answer,
    spec: &ConsumerSpec,
    throttling: &BTreeMap<String, Diagnosis>,
) {
    let resource = ResourceId::Mapping(spec.name.clone());
    let (Some(stream), Some(mapping), Some(own)) = (
        &view.facts.stream,
        view.facts.mapping_named(&spec.function, spec.alias.as_deref()),
        view.signals.consumers.get(&spec.name),
    ) else {
        return;
    };
    if let Some(to) = Reading::of(view.pipeline, view.facts, spec).moving() {
        let summary =
            format!("{resource} is being moved to {}: nothing else of it changes until that is over.", to.word());
        let remedy = "Wait: what it misses now it reads afterwards.";
        answer.cause(Finding::new(Diagnosis::Actuating, Severity::Info, resource, summary, remedy));
        return;
    }
    let stopped = match view.facts.functions.get(&spec.function) {
        Some(_) => of_mapping(view, answer, &resource, stream, mapping),
        None => gone(answer, &resource, spec),
    };
    let (Some(load), Some(estimate)) = (
        symptoms::consumer_load(view.pipeline, view.policy, view.signals, spec),
        view.estimates.consumers.get(&spec.name).cloned(),
    ) else {
        // Where every invocation is refused nothing says how old the records are.
        let refused = sum(&own.throttles, view.signals.newest_expected, 3) > 0.0;
        if refused {
            let slots = stream.open_shards.get().saturating_mul(mapping.parallelization_factor.get());
            answer.cause(concurrency(view, (spec, resource, own), slots, Vec::new()));
        } else if !stopped {
            answer.cause(blind(&resource, "The iterator age"));
        }
        return;
    };
    let consumer = Consumer {
        numbers: numbers(view, &load, &estimate),
        throttled: spec.writes_to.iter().find_map(|table| throttling.get(table)).copied(),
        function: view.facts.functions.get(&spec.function),
        spec,
        resource,
        stream,
        mapping,
        own,
        load,
        estimate,
    };
    retention(view, answer, &consumer);
    dropped(view, answer, &consumer);
    if stopped {
        return;
    }
    missing(view, answer, &consumer);
    if !of_function(view, answer, &consumer) {
        lag::rules(view, answer, &consumer);
    }
}

fn numbers(view: &View<'_>, load: &ConsumerLoad, estimate: &ConsumerEstimate) -> Vec<Evidence> {
    let mut numbers = vec![
        evidence("iterator age s", load.age_seconds, Some(view.pipeline.objectives.iterator_age.as_secs_f64())),
        evidence("backlog records, at most", load.backlog, None),
        evidence("failed share of invocations", load.error_ratio, Some(FAULTY.value)),
    ];
    numbers.extend(estimate.slots_used.map(|used| evidence("slots in use", used, Some(f64::from(estimate.slots)))));
    numbers.extend(load.duration_max_ms.map(|longest| evidence("maximum duration ms", longest, None)));
    numbers
}

/// Whether Lambda says that the mapping lacks a right.
pub(super) fn denied(mapping: &MappingFacts) -> bool {
    let result = mapping.last_processing_result.as_deref().unwrap_or_default().to_lowercase();
    result.starts_with("problem") && RIGHTS.iter().any(|word| result.contains(word))
}

/// What the mapping itself says; whether it explains a lag. Of a moment before its last change it says nothing.
fn of_mapping(
    view: &View<'_>,
    answer: &mut Answer,
    resource: &ResourceId,
    stream: &StreamFacts,
    mapping: &MappingFacts,
) -> bool {
    let now = view.signals.observed_at;
    if mapping.last_modified.is_some_and(|at| at > now) {
        return false;
    }
    let minutes = mapping.last_modified.map(|at| now.duration_since(at).as_secs_f64() / 60.0);
    let retention = f64::from(stream.retention.get()) * 3600.0;
    let result = mapping.last_processing_result.as_deref().unwrap_or_default();
    let lost = |finding: Finding, unread: Option<f64>| {
        finding.leads_to("unread records are lost", now, unread.map(|seconds| retention - seconds))
    };
    match mapping.state {
        MappingState::Disabled | MappingState::Disabling => {
            let since = minutes.map_or(String::new(), |minutes| format!(" for {minutes:.0} min"));
            let summary =
                format!("{resource} is switched off{since}: nothing is read, and no metric of it shows the lag.");
            let finding = Finding::new(
                Diagnosis::MappingDisabled,
                Severity::Critical,
                resource.clone(),
                summary,
                "None: somebody switched it off.",
            );
            let finding = lost(finding, minutes.map(|minutes| minutes * 60.0));
            answer.cause(finding.person("Enable it: it goes on where it stopped. Or delete it from the spec."));
            true
        }
        _ if denied(mapping) => {
            let summary = format!("{resource}: Lambda lacks a right: \"{result}\".");
            let finding = Finding::new(
                Diagnosis::PermissionDenied,
                Severity::Critical,
                resource.clone(),
                summary,
                "None: the operator changes no role.",
            );
            let age = view.signals.stream.iterator_age_ms.last().map(|point| point.value / 1000.0);
            answer.cause(lost(finding, age).person(
                "Give the execution role kinesis:GetRecords, GetShardIterator, DescribeStream(Summary) and ListShards \
                 (SubscribeToShard for fan-out), and kms:Decrypt for the stream's key.",
            ));
            true
        }
        MappingState::Enabled => problem(answer, resource, result),
        state => {
            let state = format!("{state:?}");
            match minutes.filter(|minutes| *minutes > STUCK.value) {
                Some(minutes) => {
                    let summary = format!("{resource} has been {state} for {minutes:.0} min.");
                    let remedy = "None: AWS accepts no change of it now.";
                    let finding =
                        Finding::new(Diagnosis::MappingFailing, Severity::Warning, resource.clone(), summary, remedy);
                    let numbers = vec![evidence("minutes in transition", minutes, Some(STUCK.value))];
                    answer
                        .cause(finding.with(numbers).person("Look at the role and the stream; then ask AWS support."));
                }
                None => answer.cause(actuating(resource.clone(), &state)),
            }
            false
        }
    }
}

/// The mapping is there and its function is not.
fn gone(answer: &mut Answer, resource: &ResourceId, spec: &ConsumerSpec) -> bool {
    let summary = format!("{resource} invokes function/{}, which does not exist.", spec.function);
    let remedy = "None: the operator creates no function.";
    let finding = Finding::new(Diagnosis::MappingFailing, Severity::Critical, resource.clone(), summary, remedy);
    answer.cause(finding.person("Deploy the function again: the mapping goes on where it stopped, within retention."));
    true
}

/// A problem that is neither a right nor the function's own, which its metrics tell better.
fn problem(answer: &mut Answer, resource: &ResourceId, result: &str) -> bool {
    let lower = result.to_lowercase();
    if !lower.starts_with("problem") || lower.contains("function call failed") || lower.contains("throttled") {
        return false;
    }
    let summary = format!("{resource}: Lambda reports \"{result}\".");
    let remedy = "None: capacity is not it.";
    let finding = Finding::new(Diagnosis::MappingFailing, Severity::Critical, resource.clone(), summary, remedy);
    answer.cause(finding.person("Do what the message says; the mapping goes on by itself."));
    true
}

/// The retention to set when records are at risk, if the bound leaves room: twice as long, so that a reader that falls
/// behind for days needs few calls.
pub fn longer_retention(pipeline: &Pipeline, live: &StreamFacts) -> Option<Hours> {
    let next = Hours(live.retention.get().saturating_mul(2)).min(pipeline.stream.retention.max);
    (next > live.retention).then_some(next)
}

/// How old what is read is, against what the stream keeps. An effect: something else makes it lag.
fn retention(view: &View<'_>, answer: &mut Answer, consumer: &Consumer<'_>) {
    let (hours, age) = (consumer.stream.retention.get(), consumer.load.age_seconds);
    let retention = f64::from(hours) * 3600.0;
    if age <= RETENTION_WARN.value * retention {
        return;
    }
    let act = age > RETENTION_ACT.value * retention;
    let most = view.pipeline.stream.retention.max.get().max(hours);
    let next = longer_retention(view.pipeline, consumer.stream);
    let remedy = next.map_or_else(
        || format!("None inside the bounds: stream.retention.max is {most} h."),
        |next| format!("Extend retention from {hours} h to {next} h: it does not bring back what is lost already."),
    );
    let summary = format!(
        "{} is {:.1} h behind; at {hours} h the stream forgets records it has not read.",
        consumer.resource,
        age / 3600.0
    );
    let severity = if act { Severity::Critical } else { Severity::Warning };
    let mut numbers = consumer.numbers.clone();
    numbers.push(evidence("share of the retention", age / retention, Some(RETENTION_WARN.value)));
    let finding =
        Finding::new(Diagnosis::RetentionAtRisk, severity, consumer.resource.clone(), summary, remedy).with(numbers);
    let finding = finding.leads_to("records are lost", view.signals.observed_at, consumer.estimate.data_loss_seconds);
    answer.effect(if next.is_some() {
        finding
    } else {
        finding.person("Raise the bound of the retention in the spec.")
    });
}

/// Records that were given up. An effect: something else makes them fail or wait.
fn dropped(view: &View<'_>, answer: &mut Answer, consumer: &Consumer<'_>) {
    let newest = view.signals.newest_expected;
    let dropped = sum(&consumer.own.dropped_events, newest, 3);
    let undelivered = sum(&consumer.own.destination_failures, newest, 3);
    if dropped <= 0.0 && undelivered <= 0.0 {
        if let Some(finding) = will_drop(view, consumer) {
            answer.effect(finding);
        }
        return;
    }
    let what = if dropped > 0.0 {
        format!("{dropped:.0} records were given up in the last 3 minutes, for their age or their retries")
    } else {
        format!("{undelivered:.0} failed batches could not be delivered to the on-failure destination")
    };
    let person = match &consumer.mapping.on_failure {
        Some(_) if undelivered > 0.0 => "Check that the role may write to the on-failure destination.",
        Some(_) => "Look at the on-failure destination for what was given up.",
        None => "Set an on-failure destination (onFailure), so that nothing given up is lost.",
    };
    answer.effect(
        Finding::new(
            Diagnosis::RecordsDropped,
            Severity::Critical,
            consumer.resource.clone(),
            format!("{}: {what}.", consumer.resource),
            "None: what is given up does not come back.",
        )
        .with(vec![
            evidence("dropped records, 3 min", dropped, Some(0.0)),
            evidence("failed deliveries, 3 min", undelivered, Some(0.0)),
        ])
        .person(person),
    );
}

/// Records that will soon be older than the mapping's maximum. An effect, as when they are.
fn will_drop(view: &View<'_>, consumer: &Consumer<'_>) -> Option<Finding> {
    let maximum = f64::from(u32::try_from(consumer.mapping.maximum_record_age_seconds).ok().filter(|most| *most > 0)?);
    let (age, slope) = (consumer.load.age_seconds, consumer.load.age_slope);
    let left = (maximum - age).max(0.0) / slope;
    if !consumer.load.lagging || slope <= 0.0 || left >= WILL_DROP.value {
        return None;
    }
    let resource = &consumer.resource;
    let summary = format!("{resource} is {age:.0} s behind and gives up records of {maximum:.0} s: in {left:.0} s.");
    let remedy = "None: the maximum age is the spec's.";
    let finding =
        Finding::new(Diagnosis::RecordsDropped, Severity::Warning, resource.clone(), summary, remedy.to_owned())
            .with(vec![evidence("seconds until records are given up", left, Some(WILL_DROP.value))])
            .leads_to("records are given up", view.signals.observed_at, Some(left));
    Some(finding.person("Raise maximumRecordAge until the lag is gone."))
}

/// What the function's metrics say; whether it fails, times out or is refused.
fn of_function(view: &View<'_>, answer: &mut Answer, consumer: &Consumer<'_>) -> bool {
    let mut failing = false;
    if consumer.load.throttles > 0.0 {
        let whose = (consumer.spec, consumer.resource.clone(), consumer.own);
        let finding = concurrency(view, whose, consumer.estimate.slots, consumer.numbers.clone());
        answer.cause(shared(view, consumer, finding));
        failing = true;
    }
    let timeout = consumer.function.map(|function| f64::from(function.timeout_seconds) * 1000.0);
    let longest = consumer.load.duration_max_ms;
    let timed_out = longest.zip(timeout).filter(|(longest, limit)| *longest >= TIMEOUT_SHARE.value * limit);
    if let Some((longest, limit)) = timed_out {
        let finding = shared(view, consumer, timeouts(consumer, longest, limit));
        if consumer.throttled.is_some() {
            answer.effect(finding);
        } else {
            answer.cause(finding);
        }
        failing = true;
    } else if consumer.throttled.is_none()
        && (consumer.load.error_ratio > FAULTY.value || is_blocked(view, &consumer.load, consumer.own))
    {
        answer.cause(shared(view, consumer, faults(view, consumer)));
        failing = true;
    } else if !consumer.load.lagging
        && consumer.throttled.is_none()
        && let Some(finding) = now_and_then(view, consumer)
    {
        answer.cause(finding);
    }
    failing
}

/// What came with each minute of work and comes no more, although the work goes on.
fn missing(view: &View<'_>, answer: &mut Answer, consumer: &Consumer<'_>) {
    let (own, stream) = (consumer.own, &view.signals.stream);
    let missed = |signal, work| went_missing(signal, work, view.signals.newest_expected);
    if consumer.mapping.state != MappingState::Enabled {
        return;
    }
    if missed(&own.invocations, &stream.get_records) {
        answer.cause(blind(&consumer.resource, "What the function does"));
    } else if missed(&own.iterator_age_ms, &own.invocations) || missed(&own.duration_avg_ms, &own.invocations) {
        answer.cause(blind(&consumer.resource, "The age of what the function is given, or the time it takes,"));
    }
    if consumer.mapping.source_arn == consumer.stream.arn && missed(&stream.get_records, &own.invocations) {
        let id = ResourceId::Stream(consumer.stream.name.clone());
        answer.cause(blind(&id, "What is read"));
    }
}

/// Failures that are few, but go on. Of a consumer that lags only what fails now is said: it must not keep from it
/// what it needs.
fn now_and_then(view: &View<'_>, consumer: &Consumer<'_>) -> Option<Finding> {
    let newest = view.signals.newest_expected;
    let minutes = LATELY.value as i64;
    let share = ratio(sum(&consumer.own.errors, newest, minutes), sum(&consumer.own.invocations, newest, minutes));
    if share <= FAULTY.value || !recurs(&consumer.own.errors, newest, minutes) {
        return None;
    }
    let resource = &consumer.resource;
    let percent = share * 100.0;
    let summary = format!("{resource}: {percent:.1} % of the invocations of the last {minutes} minutes failed.");
    let remedy = "None: capacity is not it.";
    let finding = Finding::new(Diagnosis::FunctionFault, Severity::Warning, resource.clone(), summary, remedy);
    let finding = finding.with(vec![evidence("failed share of invocations, 10 min", share, Some(FAULTY.value))]);
    Some(shared(view, consumer, finding.person("Look at the function's log and at its last change.")))
}

/// Whether there was some again after a minute without: a single outage that is over does not go on.
fn recurs(errors: &Signal, newest_expected: Timestamp, minutes: i64) -> bool {
    let counts = newest(errors, newest_expected, minutes);
    let failing = |count: &f64| *count > 0.0;
    let ends = counts.iter().position(failing).zip(counts.iter().rposition(failing));
    ends.and_then(|(first, last)| counts.get(first..last)).is_some_and(|between| !between.iter().all(failing))
}

/// One batch keeps its shard: the age grows with the clock, and something fails in each minute.
fn is_blocked(view: &View<'_>, load: &ConsumerLoad, own: &ConsumerSignals) -> bool {
    load.age_slope >= BLOCKED_SLOPE.value && busy_minutes(&own.errors, view.signals.newest_expected, 3) == 3
}

/// A finding from metrics of the function, where several mappings share the function: less sure, and it says so.
pub(super) fn shared(view: &View<'_>, consumer: &Consumer<'_>, mut finding: Finding) -> Finding {
    let Some(function) = consumer.function else { return finding };
    let of = |mapping: &&MappingFacts| {
        let rest = mapping.function_arn.strip_prefix(function.arn.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    let mappings = view.facts.mappings.iter().filter(of).count();
    if mappings > 1 {
        finding.confidence = Confidence::Low;
        let more = format!(" {mappings} mappings share function/{}: its numbers are of all of them.", function.name);
        finding.summary.push_str(&more);
    }
    finding
}

/// Invocations are refused: says for whose concurrency.
fn concurrency(
    view: &View<'_>,
    (spec, resource, own): (&ConsumerSpec, ResourceId, &ConsumerSignals),
    slots: u32,
    mut numbers: Vec<Evidence>,
) -> Finding {
    let newest = view.signals.newest_expected;
    let throttles = sum(&own.throttles, newest, 3);
    let often = busy_minutes(&own.throttles, newest, 3) >= 2;
    let severity = if often { Severity::Critical } else { Severity::Warning };
    let name = &spec.function;
    let used = view.signals.account_concurrency.last().map(|point| point.value);
    let account = view.facts.account_concurrency.map(f64::from);
    let full = used.zip(account).is_some_and(|(used, limit)| used >= ACCOUNT_NEAR.value * limit);
    let reserved = view.facts.functions.get(name).and_then(|function| function.reserved_concurrency);
    numbers.push(evidence("throttled invocations, 3 min", throttles, Some(0.0)));
    numbers.extend(used.map(|used| evidence("concurrency of the account", used, account)));
    let (which, confidence, person) = match reserved {
        Some(0) => (
            "its reserved concurrency is 0, which switches it off".to_owned(),
            Confidence::High,
            format!("Raise or remove the reserved concurrency of {name}."),
        ),
        Some(reserved) if !full || reserved <= slots => (
            format!("its reserved concurrency of {reserved}"),
            if full { Confidence::Medium } else { Confidence::High },
            format!(
                "Raise the reserved concurrency of {name} from {reserved} to {slots} at least, or lower the factor."
            ),
        ),
        _ => (
            format!("the account's concurrency{}", account.map_or(String::new(), |limit| format!(" of {limit:.0}"))),
            if full { Confidence::High } else { Confidence::Medium },
            format!("Ask AWS for more concurrency, or reserve {slots} for {name} so that others cannot take it."),
        ),
    };
    let summary = format!("{resource}: {throttles:.0} invocations in the last 3 minutes were refused for {which}.");
    let remedy = "None: more shards or a higher factor make it worse.";
    Finding::new(Diagnosis::ConcurrencyLimit, severity, resource, summary, remedy)
        .sure(confidence)
        .with(numbers)
        .person(person)
}

fn timeouts(consumer: &Consumer<'_>, longest: f64, limit: f64) -> Finding {
    let resource = &consumer.resource;
    let batch = consumer.mapping.batch_size.get();
    let seconds = longest / 1000.0;
    let new = |why: String, remedy: String| {
        let summary = format!(
            "{resource} runs into the function's timeout ({seconds:.1} s) because {why}; batches are retried whole."
        );
        Finding::new(Diagnosis::FunctionTimeout, Severity::Critical, resource.clone(), summary, remedy)
            .with(consumer.numbers.clone())
    };
    if consumer.throttled.is_some() {
        return new("a table throttles it".to_owned(), "Cure the sink first.".to_owned());
    }
    let fits = consumer.estimate.fitting_batch.zip(consumer.estimate.batch_time);
    match fits.filter(|(fits, _)| *fits < batch) {
        Some((fits, time)) => {
            let takes = time.fixed_ms + f64::from(batch) * time.per_record_ms;
            let why = format!("a batch of {batch} takes {:.1} s on average", takes / 1000.0);
            let to = fits.clamp(consumer.spec.batch_size.min.get(), batch);
            let share = FITTING_SHARE.value * 100.0;
            let remedy = format!(
                "Lower the batch size from {batch} to {to}: its slowest then takes {share:.0} % of the timeout."
            );
            let finding = new(why, remedy).sure(if time.fitted { Confidence::High } else { Confidence::Medium });
            if fits < to {
                finding.person(format!("Lower batchSize.min to {fits}, or raise the timeout."))
            } else {
                finding
            }
        }
        None if batch > 1 && fits.is_none() => {
            let half = (batch / 2).max(consumer.spec.batch_size.min.get());
            let remedy = format!("Lower the batch size from {batch} to {half}.");
            new("its batches take too long".to_owned(), remedy)
                .sure(Confidence::Medium)
                .person(format!("Or raise the timeout above {:.0} s.", limit / 1000.0))
        }
        None => new("a call inside it hangs: batches of this size were fast enough".to_owned(), "None.".to_owned())
            .sure(Confidence::Medium)
            .person("Look at the function's log, and give its own calls a timeout below the function's."),
    }
}

/// Failures that neither a table nor the timeout explains: the function's own, or one batch's again and again.
fn faults(view: &View<'_>, consumer: &Consumer<'_>) -> Finding {
    let load = &consumer.load;
    let newest = view.signals.newest_expected;
    let resource = &consumer.resource;
    let blocked = is_blocked(view, load, consumer.own);
    let alone = consumer.estimate.slots == 1;
    // Readers stop behind a batch that waits for long, and others may be caught later: what tells one batch from the
    // function are the first whole minutes of the failures.
    let ago = if alone { 0 } else { (failing_minutes(&consumer.own.errors, newest) - 3).max(0) };
    let over = |signal| sum(signal, newest, ago + 3) - sum(signal, newest, ago);
    let (invocations, errors) = (over(&consumer.own.invocations), over(&consumer.own.errors));
    // What succeeds must be able to carry the share of the slots that are not blocked, or it is not only one of them.
    let share = 1.0 - 1.0 / f64::from(consumer.estimate.slots.max(1));
    let carried = (invocations - errors) * f64::from(consumer.mapping.batch_size.get());
    let incoming = over(&view.signals.stream.incoming_records);
    let others_succeed = invocations > errors && carried >= OTHERS.value * share * incoming;
    let escape =
        "Set bisectBatchOnFunctionError, maximumRetryAttempts and an on-failure destination: the shard goes on.";
    let share = load.error_ratio * 100.0;
    if blocked && (others_succeed != alone) {
        let (why, confidence) = if alone {
            ("every try fails: one bad record, or the function itself", Confidence::Low)
        } else {
            ("the others succeed: one batch is retried again and again", Confidence::Medium)
        };
        let summary = format!(
            "{resource}: {share:.1} % of the invocations fail while the age grows {:.1} s a second, and {why}.",
            load.age_slope
        );
        return Finding::new(
            Diagnosis::PoisonRecord,
            Severity::Critical,
            resource.clone(),
            summary,
            "None: more capacity does not unblock a shard.",
        )
        .sure(confidence)
        .with(consumer.numbers.clone())
        .leads_to("unread records are lost", view.signals.observed_at, consumer.estimate.data_loss_seconds)
        .person(format!("Look at the function's log for the record. {escape}"));
    }
    let summary = format!("{resource}: {share:.1} % of the invocations fail and no table throttles.");
    Finding::new(
        Diagnosis::FunctionFault,
        Severity::Critical,
        resource.clone(),
        summary,
        "None: scaling does not help, so nothing that feeds it is raised.",
    )
    .sure(if consumer.spec.writes_to.is_empty() { Confidence::Medium } else { Confidence::High })
    .with(consumer.numbers.clone())
    .leads_to("unread records are lost", view.signals.observed_at, consumer.estimate.data_loss_seconds)
    .person(format!("Look at the function's log and at its last change. {escape}"))
}

/// For how many minutes in a row, the newest included, something fails; the first is not counted: it began within.
fn failing_minutes(errors: &Signal, newest: Timestamp) -> i64 {
    let mut minutes = 0;
    while errors.at(newest - SignedDuration::from_mins(minutes)).is_some_and(|count| count > 0.0) {
        minutes += 1;
    }
    minutes - 1
}

/// The moment of the last change of a mapping, when it lies in the past.
pub(super) fn changed(mapping: &MappingFacts, now: Timestamp) -> Option<f64> {
    mapping.last_modified.map(|at| now.duration_since(at).as_secs_f64()).filter(|seconds| *seconds >= 0.0)
}

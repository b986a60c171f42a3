//! A consumer lags, or soon will, and is neither refused nor failing nor timing out: why.

use jiff::Timestamp;

use super::{
    Confidence, Diagnosis, Finding, Outlook, Severity,
    consumers::{Consumer, changed, shared},
    estimates::HEALTHY_MS,
    rules::{Answer, View, evidence},
    series::{busy_minutes, newest, sum},
    thresholds::{
        BUSY, CATCHING_UP, CREEPING, FULL_VCPU_MB, LATELY, NEARLY_FULL, NOT_INVOKED, OWN_WORK, SETTLING, SLOWER,
    },
};
use crate::model::{IndexSignals, Point, ResourceId};

pub(super) fn rules(view: &View<'_>, answer: &mut Answer, consumer: &Consumer<'_>) {
    let behind = format!("{} is {:.0} s behind", consumer.resource, consumer.load.age_seconds);
    let new = |diagnosis, severity, why: &str, remedy: String| {
        let finding = Finding::new(diagnosis, severity, consumer.resource.clone(), format!("{behind} {why}."), remedy)
            .with(consumer.numbers.clone());
        // While a flood is read the age grows although less and less waits: nothing of that is lost.
        let loss = consumer.estimate.data_loss_seconds;
        match consumer.estimate.drain_seconds.filter(|drain| loss.is_none_or(|loss| *drain < loss)) {
            Some(seconds) => finding.leads_to(Outlook::DRAINED, view.signals.observed_at, Some(seconds)),
            None => finding.leads_to("unread records are lost", view.signals.observed_at, loss),
        }
    };
    let busy = consumer.estimate.slots_used.map_or(0.0, |used| used / f64::from(consumer.estimate.slots.max(1)));
    let read_throttled = view.signals.stream.read_throttles.last().is_some_and(|point| point.value > 0.0);
    let warning = Severity::Warning;
    if !consumer.load.lagging {
        if consumer.throttled.is_none()
            && busy > BUSY.value
            && (nearly_full(view, consumer) || creeping(view, consumer))
        {
            short(view, answer, consumer, busy, &new);
        }
        slowed(view, answer, consumer, &new);
        return;
    }
    let slower = slower(consumer);
    let waited_for = throttled_since(view, consumer);
    if let Some(cause) = consumer.throttled {
        let remedy = "Cure the sink first: more consumers would make it worse.".to_owned();
        answer.effect(new(cause, warning, "because a table it writes to throttles", remedy));
    } else if idle(view, consumer) {
        let why = "and its function is not invoked although records wait";
        let finding = new(Diagnosis::MappingFailing, Severity::Critical, why, "None: capacity is not it.".to_owned());
        let person = "Look at the mapping's LastProcessingResult, the role and the filter criteria.";
        answer.cause(finding.sure(Confidence::Medium).person(person));
    } else if read_throttled && consumer.mapping.source_arn == consumer.stream.arn {
        let why = "and shared reads are throttled";
        let finding = new(Diagnosis::ReadShort, warning, why, "See the stream's finding.".to_owned());
        contended(answer, finding);
    } else if busy > BUSY.value {
        short(view, answer, consumer, busy, &new);
    } else if consumer.load.age_slope < CATCHING_UP.value {
        catching_up(view, answer, consumer, waited_for, &new);
    } else if answer.has(Diagnosis::HotShard) {
        let remedy = "Cure the hot shard: one shard has most of the work.".to_owned();
        answer.effect(new(Diagnosis::HotShard, warning, "because one shard has most of the records", remedy));
        if let Some(times) = slower {
            answer.cause(shared(view, consumer, slow(times, &new)));
        }
    } else if let Some(ago) = paused(view, consumer, waited_for.is_some()) {
        let why = format!("because it was changed {ago:.0} s ago and paused for it");
        answer.cause(new(Diagnosis::Actuating, Severity::Info, &why, "None needed: it catches up.".to_owned()));
    } else if let Some(times) = slower {
        answer.cause(shared(view, consumer, slow(times, &new)));
    } else if let Some(table) = waited_for {
        let why = format!("because {table} throttled writes since it kept up last");
        answer.effect(new(Diagnosis::SinkShort, warning, &why, "None: nothing is refused now.".to_owned()));
    } else {
        let finding =
            new(Diagnosis::Unknown, warning, "and none of the known causes is there", "Hold and watch.".to_owned());
        answer.cause(
            finding
                .sure(Confidence::Low)
                .person("Look at the function's log, and at a single slow shard: shard-level metrics would show it."),
        );
    }
}

/// Seconds since a change for which it paused, while that may be why it lags: not what waited for a table before, if the
/// pause is shorter.
fn paused(view: &View<'_>, consumer: &Consumer<'_>, waited_for_table: bool) -> Option<f64> {
    let ago = changed(consumer.mapping, view.signals.observed_at).filter(|ago| *ago < SETTLING.value * 60.0)?;
    (!waited_for_table || consumer.load.age_seconds <= ago).then_some(ago)
}

/// Its reads are throttled: for the stream's reason, or for one of its own.
fn contended(answer: &mut Answer, finding: Finding) {
    if answer.has(Diagnosis::ReadShort) || answer.has(Diagnosis::TooManyReaders) {
        answer.effect(finding);
    } else {
        let person = "Fewer shared readers, or enhanced fan-out for this one.";
        answer.cause(Finding { remedy: "More shards bring more read capacity.".to_owned(), ..finding }.person(person));
    }
}

/// Not one invocation for minutes in which records came in and nothing was refused.
fn idle(view: &View<'_>, consumer: &Consumer<'_>) -> bool {
    let newest = view.signals.newest_expected;
    let minutes = NOT_INVOKED.value as i64;
    sum(&consumer.own.invocations, newest, minutes) <= 0.0
        && sum(&view.signals.stream.incoming_records, newest, minutes) > 0.0
        && consumer.load.throttles <= 0.0
        // The stream's own age speaks for this reader only while no other shares it.
        && (consumer.own.behind_latest_ms.is_fresh() || super::estimates::known_readers(view.pipeline, view.facts) == 1)
}

/// What keeps up again; what refused its requests before that is what it lags for.
fn catching_up(
    view: &View<'_>,
    answer: &mut Answer,
    consumer: &Consumer<'_>,
    waited_for: Option<ResourceId>,
    new: &impl Fn(Diagnosis, Severity, &str, String) -> Finding,
) {
    if let Some(table) = waited_for {
        let why = format!("and catching up with what waited while {table} throttled writes");
        answer.effect(new(Diagnosis::SinkShort, Severity::Warning, &why, "None needed.".to_owned()));
        return;
    }
    answer.cause(new(Diagnosis::Unknown, Severity::Info, "and catching up", "None needed.".to_owned()));
    let minutes = LATELY.value as i64;
    if busy_minutes(&consumer.own.throttles, view.signals.newest_expected, minutes) >= 2 {
        let why = format!("and catching up; invocations were refused in the last {minutes} minutes");
        let remedy = "None: it is not up to the slots.".to_owned();
        let finding = new(Diagnosis::ConcurrencyLimit, Severity::Warning, &why, remedy);
        answer.cause(finding.sure(Confidence::Medium).person("Reserve concurrency for it, or ask for more."));
    }
}

/// A table it writes to that throttled for want of capacity since it kept up last, itself or by an index: what waits
/// since then is why it lags, although nothing is refused any more.
fn throttled_since(view: &View<'_>, consumer: &Consumer<'_>) -> Option<ResourceId> {
    let kept_up = consumer.own.iterator_age_ms.points.iter().rev().find(|point| point.value < HEALTHY_MS);
    let often = |signals: &IndexSignals| {
        let since = |point: &&Point| kept_up.is_none_or(|then| point.at >= then.at);
        signals.write_throttles.points.iter().filter(since).filter(|point| point.value > 0.0).count() >= 2
    };
    let throttled = |name: &&String| {
        let table = view.signals.tables.get(*name);
        table.is_some_and(|table| often(&table.table) || table.indexes.values().any(often))
    };
    consumer.spec.writes_to.iter().find(throttled).map(|name| ResourceId::Table(name.clone()))
}

/// More is offered than nearly all that the slots can do.
fn nearly_full(view: &View<'_>, consumer: &Consumer<'_>) -> bool {
    let offered = view.load.as_ref().map(|load| load.offered);
    let most = consumer.estimate.capacity_records;
    offered.zip(most).is_some_and(|(offered, most)| offered >= NEARLY_FULL.value * most)
}

/// The age has grown from minute to minute.
fn creeping(view: &View<'_>, consumer: &Consumer<'_>) -> bool {
    let ages = newest(&consumer.own.iterator_age_ms, view.signals.newest_expected, 4);
    let gained = ages.last().zip(ages.first()).map_or(0.0, |(last, first)| (last - first) / 1000.0);
    ages.len() == 4 && ages.is_sorted_by(|one, next| one < next) && gained >= CREEPING.value
}

/// By how many times a batch takes longer than a full one took in healthy minutes, when that is much.
fn slower(consumer: &Consumer<'_>) -> Option<f64> {
    let time = consumer.estimate.batch_time?;
    let full = time.fixed_ms + f64::from(consumer.mapping.batch_size.get()) * time.per_record_ms;
    let times = consumer.load.duration_avg_ms? / full;
    (times.is_finite() && times >= SLOWER.value).then_some(times)
}

/// Batches take longer than before and the function has a part of a vCPU: said before it lags.
fn slowed(
    view: &View<'_>,
    answer: &mut Answer,
    consumer: &Consumer<'_>,
    new: &impl Fn(Diagnosis, Severity, &str, String) -> Finding,
) {
    let Some(times) = times_slower(view, consumer).filter(|times| *times >= SLOWER.value) else { return };
    let Some((.., memory)) = compute(consumer) else { return };
    if answer.has(Diagnosis::ComputeBound) {
        return;
    }
    let why = format!("and its batches take {times:.1} times as long as before, on {memory} MB, a part of a vCPU");
    let finding =
        new(Diagnosis::ComputeBound, Severity::Warning, &why, "None: the operator changes no function.".to_owned());
    let person = "If its memory was lowered, or it computes more than before: more memory brings more of a vCPU.";
    answer.soon(shared(view, consumer, finding.sure(Confidence::Low).person(person)));
}

/// By how many times each of the newest three minutes' batches took longer than the longest of the oldest five
/// minutes; a larger batch may take as much longer as it is larger. `None` without half an hour's work to compare.
fn times_slower(view: &View<'_>, consumer: &Consumer<'_>) -> Option<f64> {
    let (own, incoming) = (consumer.own, &view.signals.stream.incoming_records);
    let minute = |at: Timestamp, invocations: f64| {
        let records = incoming.at(at).filter(|count| *count > 0.0)? / invocations;
        Some((records, own.duration_avg_ms.at(at).filter(|ms| *ms > 0.0)?))
    };
    let working = own.invocations.points.iter().filter(|point| point.value > 0.0);
    let minutes: Vec<(f64, f64)> = working.filter_map(|point| minute(point.at, point.value)).collect();
    if minutes.len() < COMPARED_MINUTES {
        return None;
    }
    let old = minutes.get(..OLD_MINUTES)?;
    let expected = |records: f64| old.iter().map(|(then, ms)| ms * (records / then).max(1.0)).fold(0.0, f64::max);
    let newest = minutes.iter().rev().take(NEW_MINUTES);
    newest.map(|(records, ms)| ms / expected(*records)).reduce(f64::min).filter(|times| times.is_finite())
}

/// Minutes of work in the window, at least.
const COMPARED_MINUTES: usize = 15;
/// The oldest of them: what comes in waves of some minutes shows its longest batches in them.
const OLD_MINUTES: usize = 5;
/// The newest of them: one slow minute is none.
const NEW_MINUTES: usize = 3;

/// Some slots have all the work, and it takes longer than it did.
fn slow(times: f64, new: &impl Fn(Diagnosis, Severity, &str, String) -> Finding) -> Finding {
    let why = format!("and its batches take {times:.1} times as long as full ones did");
    let remedy = "A higher parallelization factor, where the records of a shard have several keys.".to_owned();
    new(Diagnosis::ConsumerShort, Severity::Warning, &why, remedy)
        .sure(Confidence::Medium)
        .person("Look at what the function waits for, and at its last change.")
}

/// The slots are busy: too few, or each too slow for want of compute.
fn short(
    view: &View<'_>,
    answer: &mut Answer,
    consumer: &Consumer<'_>,
    busy: f64,
    new: &impl Fn(Diagnosis, Severity, &str, String) -> Finding,
) {
    let live = consumer.mapping.parallelization_factor.get();
    let bound = if consumer.spec.concurrency_safe { consumer.spec.parallelization_factor.max.get() } else { 1 };
    let offered = view.load.as_ref().map_or(0.0, |load| load.offered);
    let shards = f64::from(consumer.stream.open_shards.get().max(1));
    let catch_up = f64::from(view.policy.catch_up_seconds).max(60.0);
    let required = offered + consumer.load.backlog / catch_up;
    let wanted = consumer.estimate.slot_rate.filter(|rate| *rate > 0.0).map_or(f64::from(live) * 2.0, |rate| {
        (required / (shards * rate * view.policy.consumer_target_utilization)).ceil()
    });
    let next = (wanted as u32).max(live.saturating_add(1)).min(bound.max(live));
    let why = format!("and {:.0} % of its {} slots are busy", busy * 100.0, consumer.estimate.slots);
    let remedy = if next > live {
        format!("Raise the parallelization factor from {live} to {next}.")
    } else {
        "The factor is at its bound: raise the shard count.".to_owned()
    };
    let compute = compute(consumer);
    let slots = new(Diagnosis::ConsumerShort, Severity::Warning, &why, remedy);
    let slots = match &compute {
        Some(_) => slots.sure(Confidence::Medium),
        None => slots,
    };
    if let Some((now_ms, then_ms, memory)) = compute {
        let why =
            format!("and its batches take {now_ms:.0} ms of mostly its own work on {memory} MB, a part of a vCPU");
        let remedy = "None: the operator changes no function.".to_owned();
        let full = FULL_VCPU_MB.value;
        let finding = new(Diagnosis::ComputeBound, Severity::Warning, &why, remedy);
        let mut numbers = consumer.numbers.clone();
        numbers.push(evidence("memory MB", f64::from(memory), Some(full)));
        answer.cause(shared(view, consumer, finding.with(numbers).sure(Confidence::Low).person(format!(
            "If it computes (CloudWatch does not show the CPU; Lambda Insights does), {full:.0} MB bring a whole vCPU: \
             about {then_ms:.0} ms a batch, at about the same price."
        ))));
    }
    answer.cause(shared(view, consumer, slots));
}

/// Time of a batch now and with a whole vCPU, ms, and the memory, MB; `None` when it has one, or when most of its
/// time does not grow with the records, as a wait for a table does not.
fn compute(consumer: &Consumer<'_>) -> Option<(f64, f64, u32)> {
    let memory = consumer.function?.memory_mb;
    let now = consumer.load.duration_avg_ms?;
    let own = consumer.estimate.batch_time.map_or(1.0, |time| {
        let grows = f64::from(consumer.mapping.batch_size.get()) * time.per_record_ms;
        grows / (time.fixed_ms + grows).max(1e-9)
    });
    let share = f64::from(memory) / FULL_VCPU_MB.value;
    (share < 1.0 && own >= OWN_WORK.value).then_some((now, now * (1.0 - own + own * share), memory))
}

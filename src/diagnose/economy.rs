//! What is only worth knowing: what is provisioned and not used, and what another way to pay would cost at the load
//! that was measured.
//!
//! What always holds: what would save most comes first; these findings are never urgent; without some measurements there are none, and without an hour
//! of them they are not sure.

use super::{
    Confidence, Diagnosis, Evidence, Finding, Severity,
    estimates::shared_readers,
    rules::evidence,
    series::{MINUTE, mean},
    symptoms::shards_filled,
    thresholds::{CHEAPER, HISTORY, MANY_READERS, OVER, SURE_HISTORY},
};
use crate::{
    cost::{GB, Meters, PriceSheet},
    model::{BillingMode, CapacityUnits, Facts, IndexSignals, ResourceId, Signal, Signals, StreamFacts, StreamMode},
    spec::{Billing, Pipeline, ScalingPolicy},
};

/// Seconds in the month AWS prices by (730 hours).
const MONTH: f64 = 730.0 * 3600.0;
/// Bytes of a PUT payload unit (Kinesis pricing).
const PAYLOAD_UNIT: f64 = 25.0 * 1024.0;

/// What the measured window says about money. The whole window counts, so the longer the better.
pub fn economy(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    facts: &Facts,
    signals: &Signals,
    prices: &PriceSheet,
) -> Vec<Finding> {
    let mut findings: Vec<Saving> = Vec::new();
    if let Some(stream) = &facts.stream {
        of_stream(&mut findings, pipeline, policy, (facts, stream, signals), prices);
    }
    for spec in &pipeline.tables {
        let (Some(live), Some(measured)) = (facts.tables.get(&spec.name), signals.tables.get(&spec.name)) else {
            continue;
        };
        let mut parts = vec![(
            ResourceId::Table(spec.name.clone()),
            &measured.table,
            (live.capacity.read, live.capacity.write),
            (spec.read_capacity.min, spec.write_capacity.min),
        )];
        for index in &spec.global_secondary_indexes {
            let found = live.global_secondary_indexes.get(&index.name).zip(measured.indexes.get(&index.name));
            parts.extend(found.map(|(live, signals)| {
                let id = ResourceId::Index(spec.name.clone(), index.name.clone());
                let least = (index.read_capacity.min, index.write_capacity.min);
                (id, signals, (live.capacity.read, live.capacity.write), least)
            }));
        }
        let mut bill = Bill::default();
        for (resource, signals, provisioned, least) in &parts {
            if live.billing_mode == BillingMode::Provisioned {
                findings.extend(unused(policy, resource, signals, provisioned.1, least.1, prices));
            }
            bill.add(policy, signals, live.billing_mode, *provisioned, prices);
        }
        findings.extend(bill.compare(
            ResourceId::Table(spec.name.clone()),
            live.billing_mode,
            "capacity units",
            spec.billing_mode == Billing::Auto,
        ));
    }
    let tables = signals.tables.values().map(|table| &table.table.consumed_write);
    let minutes = tables.chain([&signals.stream.incoming_records]).map(|signal| signal.points.len()).max();
    if (minutes.unwrap_or(0) as f64) < SURE_HISTORY.value {
        findings.iter_mut().for_each(|(_, finding)| finding.confidence = Confidence::Low);
    }
    findings.sort_by(|one, other| other.0.total_cmp(&one.0));
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Dollars a month that a finding would save, and the finding.
type Saving = (f64, Finding);

/// The values of a signal, when they cover long enough.
fn history(signal: &Signal) -> Option<Vec<f64>> {
    let values: Vec<f64> = signal.points.iter().map(|point| point.value / MINUTE).collect();
    (values.len() as f64 >= HISTORY.value).then_some(values)
}

fn peak(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn info(
    diagnosis: Diagnosis,
    resource: ResourceId,
    summary: String,
    remedy: String,
    numbers: Vec<Evidence>,
) -> Finding {
    Finding::new(diagnosis, Severity::Info, resource, summary, remedy).with(numbers)
}

/// Write capacity of which even the busiest minute used little.
fn unused(
    policy: &ScalingPolicy,
    resource: &ResourceId,
    signals: &IndexSignals,
    provisioned: CapacityUnits,
    least: CapacityUnits,
    prices: &PriceSheet,
) -> Option<Saving> {
    let most = peak(&history(&signals.consumed_write)?);
    let units = provisioned.get() as f64;
    let enough = (most / policy.write_target_utilization).ceil().max(least.get() as f64);
    if most >= OVER.value * units || enough >= units {
        return None;
    }
    let saved = (units - enough) * prices.write_capacity_unit_hour * MONTH / 3600.0;
    let summary = format!("{resource} used at most {most:.0} of {units:.0} write units/s.");
    let remedy = format!("Lower write capacity to {enough:.0} in time: ${saved:.2} a month less.");
    let numbers = vec![evidence("write units/s in the busiest minute", most, Some(OVER.value * units))];
    Some((saved, info(Diagnosis::OverProvisioned, resource.clone(), summary, remedy, numbers)))
}

fn of_stream(
    findings: &mut Vec<Saving>,
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    (facts, stream, signals): (&Facts, &StreamFacts, &Signals),
    prices: &PriceSheet,
) {
    let measured = history(&signals.stream.incoming_records).zip(history(&signals.stream.incoming_bytes));
    let Some((records, bytes)) = measured else { return };
    let resource = ResourceId::Stream(stream.name.clone());
    let shards = f64::from(stream.open_shards.get());
    let need = shards_filled(peak(&records), peak(&bytes));
    let provisioned = stream.mode == StreamMode::Provisioned;
    let enough =
        (need / policy.shard_target_utilization).ceil().max(f64::from(pipeline.stream.shards.min.get())).max(1.0);
    if provisioned && need < OVER.value * shards && enough < shards {
        let saved = (shards - enough) * prices.shard_hour * MONTH / 3600.0;
        let summary =
            format!("{resource} used at most {:.0} % of {}.", need / shards * 100.0, stream.open_shards.words());
        let remedy = format!("Lower the shard count to {enough:.0} in time: ${saved:.2} a month less.");
        let numbers = vec![evidence("shards filled in the busiest minute", need, Some(OVER.value * shards))];
        findings.push((saved, info(Diagnosis::OverProvisioned, resource.clone(), summary, remedy, numbers)));
    }
    let readers = f64::from(shared_readers(pipeline, facts, signals));
    let (rate, volume) = (mean(&records), mean(&bytes));
    let each = if rate > 0.0 { volume / rate } else { 0.0 };
    let puts = rate * (each / PAYLOAD_UNIT).ceil().max(1.0) * MONTH / 1e6 * prices.put_payload_units_million;
    let hours = if provisioned { shards } else { enough };
    let bill = Bill {
        provisioned: hours * prices.shard_hour * MONTH / 3600.0 + puts,
        on_demand: prices.on_demand_stream_hour * MONTH / 3600.0
            + Meters::on_demand_volume(rate, volume, readers).usd(prices).total_usd * MONTH,
        measured: rate > 0.0,
    };
    let mode = if provisioned { BillingMode::Provisioned } else { BillingMode::OnDemand };
    findings.extend(bill.compare(resource.clone(), mode, "shards and records", false));
    findings.extend(fan_out(pipeline, signals, resource, (readers, shards, volume), prices));
}

/// What fan-out for one reader costs and brings; said where several readers share the stream.
fn fan_out(
    pipeline: &Pipeline,
    signals: &Signals,
    resource: ResourceId,
    (readers, shards, volume): (f64, f64, f64),
    prices: &PriceSheet,
) -> Option<Saving> {
    if readers < 3.0 {
        return None;
    }
    let month = shards * prices.fan_out_consumer_shard_hour * MONTH / 3600.0 + volume * MONTH / GB * prices.fan_out_gb;
    let shared_ms = readers * SHARED_MS;
    let throttled = signals.stream.read_throttles.points.iter().any(|point| point.value > 0.0);
    let tight = pipeline.objectives.iterator_age.as_secs_f64() * 1000.0 < shared_ms;
    let worth = throttled || tight || readers > MANY_READERS.value;
    let verdict = if worth { "is worth it" } else { "is not worth it" };
    let why = match (throttled, tight) {
        (true, _) => "shared reads are throttled",
        (_, true) => "the objective is below what shared readers reach",
        _ if worth => "the readers exceed a shard's 5 calls a second",
        _ => "no read was throttled and the objective is far above",
    };
    let summary = format!(
        "Enhanced fan-out for one of {readers:.0} readers of {resource} {verdict}: ${month:.2} a month, {FAN_OUT_MS:.0} \
         ms instead of about {shared_ms:.0} ms, and {why}."
    );
    let remedy = if worth {
        "Moves the consumer that must be fast to enhanced fan-out when it is `idempotent: true` and its `delivery` is \
         not `shared`."
    } else {
        "Keeps the shared readers as they are."
    };
    let numbers = vec![
        evidence("shared readers", readers, Some(MANY_READERS.value)),
        evidence("dollars a month for one reader", month, None),
    ];
    Some((0.0, info(Diagnosis::FanOutWorth, resource, summary, remedy.to_owned(), numbers)))
}

/// Propagation delay that each shared consumer adds, ms; five come to about 1,000 (Kinesis developer guide,
/// "Enhanced fan-out").
pub const SHARED_MS: f64 = 200.0;
/// Propagation delay with fan-out, ms (same source).
pub const FAN_OUT_MS: f64 = 70.0;

/// Dollars a month, one way and the other.
#[derive(Default)]
struct Bill {
    provisioned: f64,
    on_demand: f64,
    measured: bool,
}

impl Bill {
    /// Adds a table or index. What is on demand now would be provisioned for its busiest minute.
    fn add(
        &mut self,
        policy: &ScalingPolicy,
        signals: &IndexSignals,
        mode: BillingMode,
        (read, write): (CapacityUnits, CapacityUnits),
        prices: &PriceSheet,
    ) {
        for (signal, units, target, hour, million) in [
            (
                &signals.consumed_write,
                write,
                policy.write_target_utilization,
                prices.write_capacity_unit_hour,
                prices.write_request_units_million,
            ),
            (
                &signals.consumed_read,
                read,
                policy.read_target_utilization,
                prices.read_capacity_unit_hour,
                prices.read_request_units_million,
            ),
        ] {
            let values = history(signal);
            self.measured |= values.is_some() && target > 0.0;
            let values = values.unwrap_or_default();
            let units = match mode {
                BillingMode::Provisioned => units.get() as f64,
                BillingMode::OnDemand => (peak(&values) / target).ceil().max(1.0),
            };
            self.provisioned += units * hour * MONTH / 3600.0;
            self.on_demand += mean(&values) * MONTH / 1e6 * million;
        }
    }

    fn compare(&self, resource: ResourceId, mode: BillingMode, what: &str, auto: bool) -> Option<Saving> {
        let (diagnosis, now, other, name) = match mode {
            BillingMode::Provisioned => (Diagnosis::OnDemandCheaper, self.provisioned, self.on_demand, "on demand"),
            BillingMode::OnDemand => (Diagnosis::ProvisionedCheaper, self.on_demand, self.provisioned, "provisioned"),
        };
        if !self.measured || other >= CHEAPER.value * now {
            return None;
        }
        let summary =
            format!("{resource} costs ${now:.2} a month in {what}; {name} it would be ${other:.2} at this load.");
        let numbers = vec![evidence("dollars a month, as it is", now, None), evidence("the other way", other, None)];
        if auto {
            let remedy = format!("Switches it to {name} once a whole day says so: its billingMode is auto.");
            return Some((now - other, info(diagnosis, resource, summary, remedy, numbers).sure(Confidence::Medium)));
        }
        let finding = info(diagnosis, resource, summary, "None: the billing mode is the spec's.".to_owned(), numbers);
        let person = format!(
            "If the measured hours are typical, switch it to {name}. What is provisioned must also carry the peaks."
        );
        Some((now - other, finding.sure(Confidence::Medium).person(person)))
    }
}

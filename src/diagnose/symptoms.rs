//! Symptoms: what the signals of the last minutes say of the stream, a consumer, a table or index.
//!
//! All rates are per second; the signals carry sums per minute. "Now" is the higher of the newest minute
//! and the mean of the newest two: a single low minute does not hide a rise.

use jiff::{SignedDuration, Timestamp};

use super::series::{MINUTE, mean, newest, now_of, now_of_points, ratio, slope, sum};
use crate::{
    model::{CapacityFacts, ConsumerSignals, Freshness, IndexSignals, ShardSignals, Signal, Signals, StreamFacts},
    spec::{ConsumerSpec, Pipeline, ScalingPolicy},
};

/// Bytes in a KiB.
pub const KIB: f64 = 1024.0;
/// Records a shard takes a second (Kinesis developer guide, "Quotas and limits").
pub const SHARD_RECORDS_PER_SECOND: f64 = 1000.0;
/// Bytes a shard takes a second, 1 MiB (same source).
pub const SHARD_BYTES_PER_SECOND: f64 = KIB * KIB;

/// So large a share of the newest minute's records is not rejected by chance.
const FLOOD: f64 = 0.1;

/// Shards that so many records/s and bytes/s fill, evenly spread, by the tighter of the two.
pub fn shards_filled(records: f64, bytes: f64) -> f64 {
    (records / SHARD_RECORDS_PER_SECOND).max(bytes / SHARD_BYTES_PER_SECOND)
}

/// What is offered to the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamLoad {
    /// Records/s accepted now.
    pub accepted: f64,
    /// Records/s offered now: accepted + rejected, clamped, because rejected records are often sent again.
    pub offered: f64,
    /// Bytes/s offered now.
    pub offered_bytes: f64,
    /// Offered records/s of each minute, oldest first.
    pub history: Vec<(Timestamp, f64)>,
    /// Rejected share of the offered records in the newest minute.
    pub rejected_ratio: f64,
    /// More than the policy's share was rejected in two of the last three minutes.
    pub rejecting: bool,
    /// The newest minute alone leaves no doubt: more is offered than the shards take, and a tenth of it was rejected.
    pub flooded: bool,
    /// Offered now over what the open shards take, by the tighter of records and bytes.
    pub utilization: f64,
}

impl StreamLoad {
    /// Share of its limit that the shard with the most hash keys is offered, with keys that spread evenly.
    pub fn of_widest(&self, stream: &StreamFacts) -> f64 {
        self.utilization * f64::from(stream.open_shards.get()) / stream.even_shards()
    }
}

/// Measures the stream; `None` when the incoming signals are not fresh.
pub fn stream_load(policy: &ScalingPolicy, stream: &StreamFacts, signals: &Signals) -> Option<StreamLoad> {
    let incoming = &signals.stream.incoming_records;
    if !incoming.is_fresh() || !signals.stream.incoming_bytes.is_fresh() {
        return None;
    }
    let minute = |at: Timestamp, accepted: f64| {
        let rejected = signals.stream.rejected_records.at(at).unwrap_or(0.0);
        let offered =
            if accepted > 0.0 { (accepted + rejected).min(accepted * policy.offered_clamp) } else { rejected };
        (offered / MINUTE, rejected / MINUTE)
    };
    let history: Vec<_> = incoming.points.iter().map(|point| (point.at, minute(point.at, point.value).0)).collect();
    // Rejections of a minute that is not settled yet are rejections all the same.
    let young = incoming.young.iter().map(|point| {
        let rejected = &signals.stream.rejected_records.young;
        let rejected = rejected.iter().find(|it| it.at == point.at).map_or(0.0, |it| it.value);
        ((point.value + rejected).min(point.value.max(1.0) * policy.offered_clamp) / MINUTE, rejected / MINUTE)
    });
    let young: Vec<(f64, f64)> = young.collect();
    let settled = incoming.points.iter().rev().take(3).map(|point| minute(point.at, point.value));
    let recent = || young.iter().rev().copied().chain(settled.clone());
    let rejected_ratio = recent().next().map_or(0.0, |(offered, rejected)| ratio(rejected, offered));
    let rejecting = recent().filter(|(offered, rejected)| *rejected > offered * policy.rejecting_ratio).count() >= 2;
    let accepted = now_of(incoming)?;
    let offered = now_of_points(history.iter().map(|(_, value)| value * MINUTE))?;
    let offered = young.iter().map(|(offered, _)| *offered).fold(offered, f64::max);
    let bytes = now_of(&signals.stream.incoming_bytes)?;
    let offered_bytes = if accepted > 0.0 { bytes * (offered / accepted).max(1.0) } else { bytes };
    let shards = f64::from(stream.open_shards.get());
    let utilization = shards_filled(offered, offered_bytes) / shards;
    let flooded = utilization > 1.0 && rejected_ratio > FLOOD;
    Some(StreamLoad { accepted, offered, offered_bytes, history, rejected_ratio, rejecting, flooded, utilization })
}

/// One open shard, by its own metrics.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShardLoad {
    /// Shard id.
    pub(super) id: String,
    /// Offered over what a shard takes, by the tighter of records and bytes, over the newest three minutes.
    pub(super) utilization: f64,
    /// Records rejected in them.
    pub(super) rejected: f64,
}

/// The shards with the fullest first, and how full it is over the mean; `None` without shard-level metrics.
pub(super) fn shard_loads(signals: &Signals) -> Option<(Vec<ShardLoad>, f64)> {
    let newest = signals.newest_expected;
    let load = |(id, shard): (&String, &ShardSignals)| {
        let rate = |signal: &Signal| mean(&self::newest(signal, newest, 3)) / MINUTE;
        let records = rate(&shard.incoming_records) + rate(&shard.rejected_records);
        ShardLoad {
            id: id.clone(),
            utilization: shards_filled(records, rate(&shard.incoming_bytes)),
            rejected: sum(&shard.rejected_records, newest, 3),
        }
    };
    let mut loads: Vec<ShardLoad> = signals.stream.shards.iter().map(load).collect();
    loads.sort_by(|one, other| other.utilization.total_cmp(&one.utilization));
    let mean = mean(&loads.iter().map(|shard| shard.utilization).collect::<Vec<_>>());
    let most = loads.first().filter(|_| mean > 0.0)?.utilization;
    Some((loads, most / mean))
}

/// What a consumer does.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerLoad {
    /// Greatest iterator age of the last two minutes, seconds.
    pub age_seconds: f64,
    /// Seconds of age gained per second over the last minutes; negative: catching up.
    pub age_slope: f64,
    /// The age is above the policy's share of the objective, or above 30 s and growing fast.
    pub lagging: bool,
    /// Upper bound of the records not yet processed: what came in during the age.
    pub backlog: f64,
    /// Invocations/s now; `None` when the function's signals are not fresh.
    pub invocations: Option<f64>,
    /// Failed share of invocations over the last three minutes.
    pub error_ratio: f64,
    /// Invocations refused for concurrency over the last three minutes.
    pub throttles: f64,
    /// Average duration, ms, newest minute with a point.
    pub duration_avg_ms: Option<f64>,
    /// Greatest duration, ms, over the last three minutes.
    pub duration_max_ms: Option<f64>,
    /// Slots in use on average: invocations × duration.
    pub concurrency: Option<f64>,
    /// The steady past, when there was one.
    pub steady: Option<Steady>,
}

/// What a consumer that worked without a failure all the time did, over at least ten minutes of traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    /// Its longest invocation, ms.
    pub longest_ms: f64,
}

/// Minutes of traffic that make a steady past.
const STEADY_MINUTES: usize = 10;

/// Measures a consumer; `None` when its age cannot be known (then nothing about it may be assumed).
pub fn consumer_load(
    pipeline: &Pipeline,
    policy: &ScalingPolicy,
    signals: &Signals,
    consumer: &ConsumerSpec,
) -> Option<ConsumerLoad> {
    let own = signals.consumers.get(&consumer.name)?;
    // A fan-out consumer says itself how far behind it is. A function that is not invoked publishes no age. The
    // stream-wide age covers every shared reader; at zero it proves that nothing waits.
    let shared = own.behind_latest_ms.freshness == Freshness::Absent;
    let age = if own.behind_latest_ms.is_fresh() {
        &own.behind_latest_ms
    } else if own.iterator_age_ms.is_fresh() {
        &own.iterator_age_ms
    } else if shared && signals.stream.iterator_age_ms.is_fresh() {
        &signals.stream.iterator_age_ms
    } else {
        return None;
    };
    // What the function itself said last still counts: what is read already may wait to be processed.
    let own_newest = newest(&own.iterator_age_ms, signals.newest_expected, 2);
    let newest_two = newest(age, signals.newest_expected, 2).into_iter().chain(own_newest).chain(age.at_least());
    let age_seconds = newest_two.fold(0.0, f64::max) / 1000.0;
    let age_slope = slope(age, signals.newest_expected);
    let objective = pipeline.objectives.iterator_age.as_secs_f64();
    let lagging = age_seconds > policy.lagging_ratio * objective || (age_seconds > 30.0 && age_slope > 0.2);
    let sum3 = |signal: &Signal| sum(signal, signals.newest_expected, 3);
    let invocations = own.invocations.is_fresh().then(|| now_of(&own.invocations)).flatten();
    let duration_avg_ms = newest(&own.duration_avg_ms, signals.newest_expected, 2).last().copied();
    let maximum = newest(&own.duration_max_ms, signals.newest_expected, 3).into_iter().reduce(f64::max);
    Some(ConsumerLoad {
        age_seconds,
        age_slope,
        lagging,
        backlog: backlog(&signals.stream.incoming_records, signals.newest_expected, age_seconds),
        invocations,
        error_ratio: ratio(sum3(&own.errors), sum3(&own.invocations)),
        throttles: sum3(&own.throttles),
        duration_avg_ms,
        duration_max_ms: maximum,
        concurrency: invocations.zip(duration_avg_ms).map(|(rate, ms)| rate * ms / 1000.0),
        steady: steady(own),
    })
}

fn steady(own: &ConsumerSignals) -> Option<Steady> {
    let active = own.invocations.points.iter().filter(|point| point.value > 0.0).count();
    let clean = |signal: &Signal| signal.points.iter().all(|point| point.value <= 0.0);
    let longest_ms = own.duration_max_ms.points.iter().map(|point| point.value).reduce(f64::max)?;
    (active >= STEADY_MINUTES && clean(&own.errors) && clean(&own.throttles)).then_some(Steady { longest_ms })
}

/// What a table or one of its indexes is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkLoad {
    /// Write units/s consumed now; capped by what is provisioned once burst credit is gone.
    pub write: f64,
    /// Mean write units/s over the last ten minutes (fewer if there are fewer).
    pub write_mean: f64,
    /// Read units/s consumed now.
    pub read: f64,
    /// Write throttle events for provisioned throughput in the last three minutes.
    pub write_throttles: f64,
    /// Write units that burst credit holds at least: what was not used in the last five minutes; none after a throttle.
    pub write_credit: f64,
    /// The start of the newest minute in which writes were throttled for provisioned throughput.
    pub last_write_throttle: Option<Timestamp>,
    /// Write throttle events for a hot key range in the last three minutes.
    pub key_range_throttles: f64,
    /// Read throttle events in the last three minutes.
    pub read_throttles: f64,
    /// The start of the newest minute in which reads were throttled.
    pub last_read_throttle: Option<Timestamp>,
    /// Provisioned (read, write).
    pub provisioned: (f64, f64),
}

/// Measures a table or index; `None` when its consumption is not fresh.
pub fn sink_load(signals: &Signals, sink: &IndexSignals, capacity: &CapacityFacts) -> Option<SinkLoad> {
    if !sink.consumed_write.is_fresh() || !sink.consumed_read.is_fresh() {
        return None;
    }
    let sum3 = |signal: &Signal| sum(signal, signals.newest_expected, 3);
    let last = |signal: &Signal| signal.points.iter().rev().find(|point| point.value > 0.0).map(|point| point.at);
    let throttled = sum3(&sink.write_throttles) > 0.0;
    let minute = capacity.write.get() as f64 * MINUTE;
    let unused =
        newest(&sink.consumed_write, signals.newest_expected, 5).into_iter().map(|used| (minute - used).max(0.0));
    Some(SinkLoad {
        write_credit: if throttled { 0.0 } else { unused.sum() },
        write: now_of(&sink.consumed_write)?,
        write_mean: mean(&newest(&sink.consumed_write, signals.newest_expected, 10)) / MINUTE,
        read: now_of(&sink.consumed_read)?,
        write_throttles: sum3(&sink.write_throttles),
        last_write_throttle: last(&sink.write_throttles),
        key_range_throttles: sum3(&sink.key_range_throttles),
        read_throttles: sum3(&sink.read_throttles),
        last_read_throttle: last(&sink.read_throttles),
        provisioned: (capacity.read.get() as f64, capacity.write.get() as f64),
    })
}

/// Records that came in during the last `age` seconds before the end of a minute: what waits there at most.
pub fn backlog(incoming: &Signal, minute: Timestamp, age_seconds: f64) -> f64 {
    // The age of a reader that keeps up is its poll interval: not a backlog.
    if age_seconds <= 2.0 {
        return 0.0;
    }
    let end = minute + SignedDuration::from_mins(1);
    let mut left = age_seconds;
    let mut total = 0.0;
    let mut oldest_rate = 0.0;
    for point in incoming.points.iter().rev() {
        if point.at >= end {
            continue;
        }
        let share = (left / MINUTE).clamp(0.0, 1.0);
        total += point.value * share;
        left -= MINUTE;
        oldest_rate = point.value / MINUTE;
        if left <= 0.0 {
            return total;
        }
    }
    // Older than the window: assume the rate of the oldest minute we know.
    total + oldest_rate * left.max(0.0)
}

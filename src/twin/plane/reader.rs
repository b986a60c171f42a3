//! What reads a stream: an event source mapping, or a reader that is not ours. One reader per shard, with
//! one slot per concurrent batch. Positions and buffers here, effects in `poll` and `invoke`.
//!
//! A record is in exactly one place: in the log ahead of the cursor, in a slot's queue, or in its batch.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::agenda::{Agenda, Event};
use super::config::{LastResult, MappingConfig, Start};
use super::filter;
use super::metrics::{MetricStore, SeriesId};
use super::named::Named;
use super::numbered::Numbered;
use super::producer::Class;
use super::rng::Rng;
use super::stream::{CALL_RECORDS, Cohort, PUSH_LATENCY_MS, Shard, Stream};

/// Bytes of records in one invocation: 6 MB of payload in base64 (Lambda quotas).
const PAYLOAD_BYTES: u64 = 4_718_592;

/// A batch handed to the function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    pub pieces: Vec<Cohort>,
    pub count: u64,
    /// Failed attempts so far.
    pub attempts: i64,
    /// The invocation in flight, if any.
    pub running: Option<u64>,
    /// Has no records: it ends a tumbling window.
    pub closing: bool,
}

/// One concurrent batch of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub queue: VecDeque<Cohort>,
    pub queued: u64,
    pub batch: Option<Batch>,
    /// When the slot may act again.
    pub wake: Option<i64>,
    /// When the oldest queued records were fetched.
    pub fetched: i64,
    /// Number of the tumbling window whose state the function holds.
    pub window: Option<i64>,
}

impl Slot {
    /// Whether it has nothing to do and remembers nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.queued == 0 && self.batch.is_none() && self.window.is_none()
    }

    /// Whether the tumbling window it holds is over: a later record waits, or the time has passed (or the shard
    /// has ended, `last`) and nothing is left to fetch.
    pub(super) fn closes(&self, now: i64, tumbling_ms: i64, caught_up: bool, last: bool) -> bool {
        self.window.is_some_and(|window| match self.queue.front() {
            Some(piece) => piece.at.div_euclid(tumbling_ms) != window,
            None => caught_up && (last || now >= (window + 1) * tumbling_ms),
        })
    }

    /// Takes records off the queue that fit no payload; returns how many.
    pub(super) fn oversized(&mut self) -> u64 {
        let mut count = 0;
        while let Some(piece) = self.queue.front().filter(|piece| u64::from(piece.bytes_each) > PAYLOAD_BYTES) {
            count += u64::from(piece.count);
            self.queue.pop_front();
        }
        self.queued -= count;
        count
    }

    fn held(&self) -> u64 {
        self.queued + self.batch.as_ref().map_or(0, |batch| batch.count)
    }

    /// Whether an invocation is in flight.
    pub(super) fn is_running(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.running.is_some())
    }

    /// Queues records.
    pub(super) fn push(&mut self, piece: Cohort, now: i64) {
        if self.queued == 0 {
            self.fetched = now;
        }
        self.queued += u64::from(piece.count);
        self.queue.push_back(piece);
    }

    /// Puts records back in front of the queue, in their order.
    pub(super) fn push_front(&mut self, pieces: Vec<Cohort>) {
        for piece in pieces.into_iter().rev() {
            self.queued += u64::from(piece.count);
            self.queue.push_front(piece);
        }
    }

    /// Whether the queue fills a batch by number or by bytes.
    pub(super) fn is_full(&self, batch_size: u32) -> bool {
        let bytes = || self.queue.iter().map(|piece| u64::from(piece.count) * u64::from(piece.bytes_each)).sum::<u64>();
        self.queued >= u64::from(batch_size) || bytes() >= PAYLOAD_BYTES
    }

    /// Takes the next batch from the queue, all of one tumbling window if there are any.
    pub(super) fn take(&mut self, batch_size: u32, tumbling_ms: i64) -> Batch {
        let (mut records, mut bytes) = (u64::from(batch_size), PAYLOAD_BYTES);
        let mut batch = Batch::default();
        if tumbling_ms > 0 {
            self.window = self.queue.front().map(|piece| piece.at.div_euclid(tumbling_ms));
        }
        let window = self.window;
        while let Some(piece) = self.queue.front_mut() {
            if tumbling_ms > 0 && Some(piece.at.div_euclid(tumbling_ms)) != window {
                break;
            }
            let fit = bytes / u64::from(piece.bytes_each.max(1));
            let count = u64::from(piece.count).min(records).min(fit);
            if count == 0 {
                break;
            }
            records -= count;
            bytes -= count * u64::from(piece.bytes_each);
            batch.count += count;
            batch.pieces.push(Cohort { count: count as u32, ..*piece });
            piece.count -= count as u32;
            piece.seq += count;
            if piece.count == 0 {
                self.queue.pop_front();
            }
        }
        self.queued -= batch.count;
        batch
    }

    /// Removes records that arrived at or before `moment`; returns how many.
    pub(super) fn give_up(&mut self, moment: i64) -> u64 {
        let before = self.held();
        if let Some(batch) = self.batch.as_mut().filter(|batch| batch.running.is_none()) {
            batch.pieces.retain(|piece| piece.at > moment);
            batch.count = batch.pieces.iter().map(|piece| u64::from(piece.count)).sum();
        }
        if self.batch.as_ref().is_some_and(|batch| batch.count == 0 && !batch.closing) {
            self.batch = None;
        }
        if self.queue.iter().any(|piece| piece.at <= moment) {
            self.queue.retain(|piece| piece.at > moment);
            self.queued = self.queue.iter().map(|piece| u64::from(piece.count)).sum();
        }
        before - self.held()
    }
}

/// Where a reader of one shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// The parents are not drained yet.
    Waiting,
    /// It reads.
    Reading,
    /// The shard is closed and everything in it is done.
    Done,
}

/// The reader of one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reader {
    pub state: State,
    /// Number of the next record to fetch.
    pub cursor: u64,
    pub slots: Vec<Slot>,
    /// The next poll, when one is due.
    pub poll: Option<i64>,
    /// The earliest moment of the next poll.
    pub earliest: i64,
    /// The slot that gets the next odd record.
    odd: usize,
}

impl Reader {
    fn new(cursor: u64) -> Self {
        Self { state: State::Waiting, cursor, slots: Vec::new(), poll: None, earliest: i64::MIN, odd: 0 }
    }

    /// Records fetched and not done.
    pub(super) fn held(&self) -> u64 {
        self.slots.iter().map(Slot::held).sum()
    }

    /// Shares records out over the slots by key: evenly, the hot key to one slot.
    pub(super) fn distribute(&mut self, pieces: &[Cohort], now: i64) {
        let slots = self.slots.len();
        for piece in pieces {
            if piece.class == Class::Hot {
                if let Some(slot) = self.slots.first_mut() {
                    slot.push(*piece, now);
                }
                continue;
            }
            if let Class::Keyed(hash) = piece.class {
                if let Some(slot) = self.slots.get_mut(usize::from(hash) % slots.max(1)) {
                    slot.push(*piece, now);
                }
                continue;
            }
            let (each, odd) = (piece.count / slots.max(1) as u32, piece.count as usize % slots.max(1));
            let mut seq = piece.seq;
            for (index, slot) in self.slots.iter_mut().enumerate() {
                let count = each + u32::from((index + slots - self.odd) % slots < odd);
                if count > 0 {
                    slot.push(Cohort { seq, count, ..*piece }, now);
                    seq += u64::from(count);
                }
            }
            self.odd = (self.odd + odd) % slots.max(1);
        }
    }

    /// Gives the shard another number of slots, once nothing is in flight. Nothing fetched is lost and
    /// nothing done is done again; failed attempts of a waiting batch are forgotten with its bounds.
    pub(super) fn reform(&mut self, slots: u32, now: i64) {
        if self.slots.len() == slots as usize || self.slots.iter().any(Slot::is_running) {
            return;
        }
        let mut pieces: Vec<Cohort> = Vec::new();
        for slot in self.slots.drain(..) {
            pieces.extend(slot.batch.into_iter().flat_map(|batch| batch.pieces));
            pieces.extend(slot.queue);
        }
        pieces.sort_by_key(|piece| (piece.at, piece.seq, piece.group, piece.class));
        self.slots = vec![Slot::default(); slots as usize];
        self.odd = 0;
        self.distribute(&pieces, now);
    }

    /// Whether another call would find room: some slot lacks a full batch, and not too much is buffered.
    pub(super) fn has_room(&self, batch_size: u32) -> bool {
        self.slots.iter().any(|slot| slot.queued < u64::from(batch_size)) && self.held() <= 2 * CALL_RECORDS
    }
}

/// An event source mapping, or (without `uuid`) a reader that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub uuid: Option<String>,
    pub config: MappingConfig,
    /// The numbers of its stream and function.
    pub stream: u32,
    pub function: u32,
    pub readers: Numbered<Reader>,
    pub rng: Rng,
    /// What the counters of this mapping have to add up to, less the stream's accepted records.
    pub expected: i64,
    /// What came of the latest attempt to invoke.
    pub last: LastResult,
    /// The EventCount metrics, when they are asked for.
    pub events: Option<EventSeries>,
    /// What rounding kept from passing the filter, in millionths of a record.
    pass_carry: u64,
}

/// The EventCount metrics of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EventSeries {
    pub polled: SeriesId,
    pub filtered: SeriesId,
    pub invoked: SeriesId,
    pub failed: SeriesId,
    pub dropped: SeriesId,
    pub on_failure: SeriesId,
}

impl Mapping {
    /// A mapping that is not attached to a stream yet.
    pub(super) fn new(uuid: Option<&str>, config: MappingConfig, numbers: (u32, u32), rng: Rng) -> Self {
        let (stream, function) = numbers;
        Self {
            uuid: uuid.map(str::to_owned),
            config,
            stream,
            function,
            readers: Numbered::default(),
            rng,
            expected: 0,
            last: LastResult::None,
            events: None,
            pass_carry: 0,
        }
    }

    /// Begins or ends to publish the EventCount metrics, as configured.
    pub(super) fn count_events(&mut self, metrics: &mut MetricStore) {
        let Some(uuid) = self.uuid.as_ref().filter(|_| self.config.counts_events) else {
            self.events = None;
            return;
        };
        let mut series = |metric: &str| metrics.series("AWS/Lambda", metric, &[("EventSourceMappingUUID", uuid)]);
        self.events = Some(EventSeries {
            polled: series("PolledEventCount"),
            filtered: series("FilteredOutEventCount"),
            invoked: series("InvokedEventCount"),
            failed: series("FailedInvokeEventCount"),
            dropped: series("DroppedEventCount"),
            on_failure: series("OnFailureDestinationDeliveredEventCount"),
        });
    }

    /// Takes out of fetched records what no filter lets pass: records of the wire by what they carry, others
    /// by the share (in millionths) that passes. Returns how many are taken out.
    pub(super) fn filter(&mut self, pieces: &mut Vec<Cohort>, shard: &Shard, pass_share: u64) -> u64 {
        let mut out = 0;
        for piece in pieces.iter_mut() {
            let passing = if let Some(payload) = shard.payload(piece.seq) {
                u64::from(filter::passes(&self.config.filters, payload))
            } else {
                self.pass_carry += u64::from(piece.count) * pass_share;
                let passing = self.pass_carry / 1_000_000;
                self.pass_carry %= 1_000_000;
                passing.min(u64::from(piece.count))
            };
            out += u64::from(piece.count) - passing;
            piece.count = passing as u32;
        }
        pieces.retain(|piece| piece.count > 0);
        out
    }

    /// Records have arrived: readers through a fan-out consumer will be sent them.
    pub(super) fn expect_push(&mut self, id: u32, now: i64, streams: &Named<Stream>, agenda: &mut Agenda) {
        let Some(stream) = streams.at(self.stream).filter(|_| self.config.enabled) else { return };
        let slots = self.config.parallelization_factor as usize;
        for (number, reader) in self.readers.iter_mut().filter(|(_, reader)| reader.state == State::Reading) {
            let more = stream.shards().get(number).is_some_and(|shard| reader.cursor < shard.tip());
            if more && reader.poll.is_none() && reader.slots.len() == slots && reader.has_room(self.config.batch_size) {
                let at = reader.earliest.max(now + PUSH_LATENCY_MS);
                reader.poll = Some(at);
                agenda.add(at, Event::Poll(id, number));
            }
        }
    }

    /// Whether it invokes a function.
    pub(super) fn invokes(&self) -> bool {
        self.uuid.is_some()
    }

    /// Takes positions on a stream's shards; returns (records held by the stream, records skipped).
    pub(super) fn attach(&mut self, stream: &Stream) -> (u64, u64) {
        let (mut held, mut skipped) = (0, 0);
        for (number, shard) in stream.shards().iter() {
            let cursor = match self.config.starting_position {
                Start::TrimHorizon => shard.base(),
                Start::Latest => shard.tip(),
                Start::At(moment) => shard.position_at(moment),
            };
            held += shard.tip() - shard.base();
            skipped += cursor - shard.base();
            self.readers.insert(number, Reader::new(cursor));
        }
        (held, skipped)
    }

    /// Takes positions on shards that are new since then: their beginning.
    pub(super) fn add_shards(&mut self, stream: &Stream) {
        for (number, shard) in stream.shards().iter() {
            if !self.readers.contains(number) {
                self.readers.insert(number, Reader::new(shard.base()));
            }
        }
    }

    /// Records not done yet.
    pub(super) fn waiting(&self, stream: &Stream) -> u64 {
        let of = |(number, reader): (u32, &Reader)| {
            let tip = stream.shards().get(number).map_or(reader.cursor, Shard::tip);
            tip - reader.cursor + reader.held()
        };
        self.readers.iter().map(of).sum()
    }

    /// Moves readers on: a closed shard with nothing left is done, and its children may then be read.
    /// Returns the shards whose readers begin now.
    pub(super) fn settle(&mut self, stream: &Stream) -> Vec<u32> {
        let mut begun = Vec::new();
        for (number, shard) in stream.shards().iter() {
            let parents = shard.parents().iter();
            let ready =
                parents.filter_map(|parent| self.readers.get(*parent)).all(|reader| reader.state == State::Done);
            let Some(reader) = self.readers.get_mut(number) else { continue };
            if reader.state == State::Waiting && ready {
                reader.state = State::Reading;
                begun.push(number);
            }
            let drained = reader.cursor == shard.tip() && reader.slots.iter().all(Slot::is_empty);
            if reader.state == State::Reading && !shard.is_open() && drained {
                reader.state = State::Done;
                reader.poll = None;
                begun.retain(|other| *other != number);
            }
        }
        begun
    }

    /// Moves cursors past records that expired in the log; returns how many were never fetched.
    pub(super) fn skip_expired(&mut self, stream: &Stream) -> u64 {
        let mut expired = 0;
        for (number, reader) in self.readers.iter_mut() {
            if let Some(shard) = stream.shards().get(number) {
                let base = shard.base();
                expired += base.saturating_sub(reader.cursor);
                reader.cursor = reader.cursor.max(base);
            }
        }
        expired
    }
}

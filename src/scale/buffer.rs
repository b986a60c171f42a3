//! The stream as a buffer: a table that is short for minutes only need not be raised, because burst credit and the
//! stream carry what it does not take. Write capacity is the dearest thing of a pipeline, and a raise for a peak that
//! has passed before it is there is paid for until the next decrease.
//!
//! What always holds: a raise waits only while the consumers would stay within the policy's share of the iterator age
//! objective until a raise decided one pass later is there; not when it is cheap or the table throttles already, not
//! when anything else is raised that would write more, and not when the age of a writer is not known.

use crate::model::ResourceId;

use super::{
    Hold,
    cycle::{Configuration, Cycle},
    guards::hold,
    model::SinkInputs,
    sinks::{Sink, SinkTargets},
};

/// Seconds from a measured minute's end, beyond the metrics' delay, until a raise of the next pass has its effect: the pass
/// a minute later, and a minute for UpdateTable (assumption).
const REACTION_SECONDS: f64 = 120.0;
/// A raise by fewer units/s is not worth waiting with: these cost three cents an hour.
const WORTH_WAITING: u64 = 50;

impl Cycle<'_> {
    /// Why the raise of a sink's writes may wait, if so.
    pub(super) fn buffered(
        &self,
        sink: &Sink<'_>,
        targets: &SinkTargets,
        inputs: &[SinkInputs],
        wanted: &Configuration,
    ) -> Option<Hold> {
        let most = self.policy.buffer_share * self.pipeline.objectives.iterator_age.as_secs_f64();
        let more = targets.write.as_ref()?.value.get().saturating_sub(sink.capacity.write.get());
        let at_once = more < WORTH_WAITING || targets.read.is_some() || self.raises(wanted);
        if most <= 0.0 || !targets.raises || at_once || sink.throttled() {
            return None;
        }
        let age = self.age_of_writers(sink.table)?;
        let horizon = f64::from(self.policy.metric_delay_seconds) + REACTION_SECONDS;
        let later = sink.lag_after(horizon, inputs)?;
        // What an index does not take holds up the whole table, and growth may go on: there burst credit has to do.
        let credit_only = matches!(sink.resource, ResourceId::Index(..)) || self.growing.is_some();
        if credit_only && later > 0.0 {
            return None;
        }
        let lag = age + later;
        (lag <= most).then(|| {
            let reason = format!(
                "burst credit and the stream carry what the table does not take: at most {lag:.0} s behind until the \
                 next look could change it, and {most:.0} s are allowed"
            );
            hold(&sink.resource, "buffered", reason, None)
        })
    }

    /// Whether more consumers are to be made ready for.
    fn raises(&self, wanted: &Configuration) -> bool {
        wanted.shards > self.stream.open_shards
            || self.readers.iter().any(|reader| {
                let factor = wanted.factors.get(&reader.spec.name);
                factor.is_some_and(|factor| *factor > reader.mapping.parallelization_factor)
            })
    }

    /// Seconds that the slowest writer of a table is behind; `None` when that of one is not known.
    fn age_of_writers(&self, table: &str) -> Option<f64> {
        let mut most = 0.0_f64;
        for reader in self.readers.iter().filter(|reader| reader.spec.writes_to.iter().any(|name| name == table)) {
            most = most.max(reader.load.as_ref()?.age_seconds);
        }
        Some(most)
    }
}

impl Sink<'_> {
    /// Seconds of its writers' work that the table would not have taken after so many seconds at this load; `None`
    /// without a measurement.
    fn lag_after(&self, seconds: f64, inputs: &[SinkInputs]) -> Option<f64> {
        let load = self.load.as_ref()?;
        let demand = self.write_demand(inputs)?.max(load.write);
        let over = (demand - self.capacity.write.get() as f64).max(0.0) * seconds - load.write_credit;
        Some(over.max(0.0) / demand.max(1.0))
    }
}

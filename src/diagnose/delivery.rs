//! How a consumer reads the stream: by polling, or through an enhanced fan-out consumer of its own; and whether it is
//! being moved from one to the other.
//!
//! What always holds: whether a move is under way is told from AWS's own state (mappings, the fan-out consumer and its
//! tags), so that a process that has lost its memory goes on where the one before it stopped.

use serde::{Deserialize, Serialize};

use crate::{
    model::{Facts, FanOutFacts, LifecycleStatus, MappingFacts, MappingState, TAG_MOVE, TAG_PIPELINE},
    spec::{ConsumerSpec, Pipeline},
};

/// A way to read a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// GetRecords: 5 calls/s and 2 MiB/s of a shard, shared by all who read so.
    Shared,
    /// SubscribeToShard: 2 MiB/s of a shard of its own.
    EnhancedFanOut,
}

impl Way {
    /// As the spec writes it; also the value of [`TAG_MOVE`].
    pub fn word(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::EnhancedFanOut => "enhancedFanOut",
        }
    }

    /// The way back.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Shared => Self::EnhancedFanOut,
            Self::EnhancedFanOut => Self::Shared,
        }
    }
}

/// Longest name of a fan-out consumer (Kinesis API reference, RegisterStreamConsumer).
const LONGEST_NAME: usize = 128;

/// The name of a consumer's fan-out consumer: `<pipeline>-<consumer>`, cut and made unique again when that is too long.
pub fn fan_out_name(pipeline: &str, consumer: &str) -> String {
    let name = format!("{pipeline}-{consumer}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    // FNV-1a, 64 bits. Names are ASCII, so every cut is between letters.
    let hash = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let kept: String = name.chars().take(LONGEST_NAME - 17).collect();
    format!("{kept}-{hash:016x}")
}

/// How a consumer of the spec reads now.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// Its mapping on the stream.
    pub shared: Option<&'a MappingFacts>,
    /// Its mapping on its fan-out consumer.
    pub fan_out: Option<&'a MappingFacts>,
    /// The fan-out consumer of its name, whoever registered it.
    pub registered: Option<&'a FanOutFacts>,
    /// Mappings of the same function, whatever alias, on this stream that are neither.
    pub others: Vec<&'a MappingFacts>,
    ours: bool,
}

impl<'a> Reading<'a> {
    /// Reads the facts.
    pub fn of(pipeline: &Pipeline, facts: &'a Facts, spec: &ConsumerSpec) -> Self {
        let name = fan_out_name(&pipeline.name, &spec.name);
        let stream = facts.stream.as_ref().map(|stream| stream.arn.as_str());
        let registered = facts.fan_out.iter().find(|consumer| consumer.name == name);
        let (mut shared, mut fan_out, mut others) = (None, None, Vec::new());
        let invoking =
            facts.mappings.iter().filter(|mapping| mapping.function_name().as_deref() == Some(&spec.function));
        for mapping in invoking {
            let alias = mapping.function_alias().filter(|alias| alias != "$LATEST");
            let same = alias == spec.alias;
            if same && Some(mapping.source_arn.as_str()) == stream {
                shared = Some(mapping);
            } else if same && registered.is_some_and(|consumer| consumer.arn == mapping.source_arn) {
                fan_out = Some(mapping);
            } else {
                others.push(mapping);
            }
        }
        let ours = registered.is_some_and(|consumer| {
            let tagged =
                |tags: &std::collections::BTreeMap<String, String>| tags.get(TAG_PIPELINE) == Some(&pipeline.name);
            // Where tags cannot be read, its name and our mapping on it tell.
            tagged(&consumer.tags)
                || (consumer.tags.is_empty() && fan_out.is_some_and(|mapping: &MappingFacts| tagged(&mapping.tags)))
        });
        Self { shared, fan_out, registered, others, ours }
    }

    /// The fan-out consumer, if it is this pipeline's own.
    pub fn own(&self) -> Option<&'a FanOutFacts> {
        self.registered.filter(|_| self.ours)
    }

    /// Its mapping on this way.
    pub fn on(&self, way: Way) -> Option<&'a MappingFacts> {
        match way {
            Way::Shared => self.shared,
            Way::EnhancedFanOut => self.fan_out,
        }
    }

    /// Where it reads: the way of its only mapping, or of the one of two that polls; `None` without one.
    pub fn way(&self) -> Option<Way> {
        match (self.shared, self.fan_out) {
            (Some(shared), Some(fan_out)) => {
                let on_fan_out = fan_out.state.reads() && !shared.state.reads();
                Some(if on_fan_out { Way::EnhancedFanOut } else { Way::Shared })
            }
            (Some(_), None) => Some(Way::Shared),
            (None, Some(_)) => Some(Way::EnhancedFanOut),
            (None, None) => None,
        }
    }

    /// Where a move that has begun leads: from the moment at which the old mapping is switched off until only one
    /// mapping is left. A mapping that somebody else switched off is no move.
    pub fn moving(&self) -> Option<Way> {
        let off = |mapping: &MappingFacts| matches!(mapping.state, MappingState::Disabling | MappingState::Disabled);
        let said = |way: Way| {
            let consumer = self.own().filter(|consumer| consumer.status != LifecycleStatus::Deleting);
            consumer.is_some_and(|consumer| consumer.tags.get(TAG_MOVE).is_some_and(|to| to == way.word()))
        };
        match (self.shared, self.fan_out) {
            (Some(_), Some(_)) => self.way(),
            (Some(old), None) => (off(old) && said(Way::EnhancedFanOut)).then_some(Way::EnhancedFanOut),
            (None, Some(old)) => (off(old) && said(Way::Shared)).then_some(Way::Shared),
            (None, None) => None,
        }
    }
}

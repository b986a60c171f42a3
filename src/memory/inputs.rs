//! [`Inputs`]: everything a decision was made from, packed small, so that it can be made again.
//!
//! What always holds: what is packed comes back bit for bit (CBOR keeps every float as it is, JSON as serde_json reads
//! it does not); a packet is never larger than [`LARGEST_PACKET`], and unpacking one never takes more memory than
//! [`LARGEST_UNPACKED`].

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Memory;
use crate::{
    cost::PriceSheet,
    diagnose::Finding,
    model::{Facts, Signals},
    scale::Sizing,
    spec::{Pipeline, ScalingPolicy},
};

/// Greatest packet, bytes. A day of one pipeline with sixteen shards packs into some tens of KB; what does not fit
/// is not kept, and said so.
pub const LARGEST_PACKET: usize = 256 << 10;
/// Greatest content of a packet, bytes: a damaged or foreign packet cannot ask for more.
const LARGEST_UNPACKED: u64 = 16 << 20;
/// Characters of a fingerprint: enough to tell a person's specs apart.
const FINGERPRINT: usize = 12;

/// What a decision was made from, and what it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// The operator's version that decided: another one may decide otherwise.
    pub version: String,
    /// The moment it was given.
    pub now: Timestamp,
    /// The spec.
    pub pipeline: Pipeline,
    /// The scaling policy.
    pub policy: ScalingPolicy,
    /// What things cost.
    pub prices: PriceSheet,
    /// What existed.
    pub facts: Facts,
    /// What was measured.
    pub signals: Signals,
    /// What was remembered, this cycle's lessons included.
    pub memory: Memory,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What was decided.
    pub sizing: Sizing,
}

/// Why inputs cannot be packed or unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// They are larger than what is kept.
    #[error("the inputs pack into {0} bytes, and at most {LARGEST_PACKET} are kept")]
    TooLarge(usize),
    /// They cannot be written or read.
    #[error("the recorded inputs cannot be read: {0}")]
    Unreadable(String),
}

impl Inputs {
    /// The packet: CBOR, deflated.
    pub fn pack(&self) -> Result<Vec<u8>, PackError> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&exact(self)?).map_err(|error| unreadable(&error))?;
        let packet = encoder.finish().map_err(|error| unreadable(&error))?;
        if packet.len() > LARGEST_PACKET { Err(PackError::TooLarge(packet.len())) } else { Ok(packet) }
    }

    /// What [`Self::pack`] packed.
    pub fn unpack(packet: &[u8]) -> Result<Self, PackError> {
        let reader = DeflateDecoder::new(packet).take(LARGEST_UNPACKED);
        ciborium::from_reader(reader).map_err(|error| unreadable(&error))
    }

    /// The parts in which another decision differs from the recorded one; empty: the same, byte for byte.
    pub fn differences(&self, (findings, sizing): &(Vec<Finding>, Sizing)) -> Result<Vec<&'static str>, PackError> {
        let parts = [
            ("findings", exact(&self.findings)?, exact(findings)?),
            ("targets", exact(&self.sizing.targets)?, exact(&sizing.targets)?),
            ("terms", exact(&self.sizing.terms)?, exact(&sizing.terms)?),
            ("what is held back", exact(&self.sizing.holds)?, exact(&sizing.holds)?),
        ];
        Ok(parts.into_iter().filter(|(_, then, now)| then != now).map(|(name, ..)| name).collect())
    }
}

/// Every byte of a value.
fn exact<T: Serialize>(value: &T) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &dyn std::fmt::Display) -> PackError {
    PackError::Unreadable(error.to_string())
}

/// A short name for one state of a spec or policy: equal when they are.
pub fn fingerprint<T: Serialize>(value: &T) -> String {
    let digest = Sha256::digest(exact(value).unwrap_or_default());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|it| char::from_digit(it.into(), 16)).take(FINGERPRINT).collect()
}

//! What records carry: kept for those that came over the wire, made up for simulated ones.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::producer::Class;
use super::stream::Cohort;

/// Memory a kept record takes besides its bytes.
const OVERHEAD: u64 = 256;

/// Partition key and data of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Payload {
    pub key: String,
    pub data: Vec<u8>,
}

impl Payload {
    /// Bytes that count against the limits: data and partition key.
    pub(super) fn bytes(&self) -> u32 {
        u32::try_from(self.data.len() + self.key.len()).unwrap_or(u32::MAX)
    }

    /// A short hash of the partition key: records of one key have one (FNV-1a).
    pub(super) fn key_hash(&self) -> u16 {
        let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        (self.key.bytes().fold(0x811c_9dc5, mix) >> 16) as u16
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> u64 {
        u64::from(self.bytes()) + OVERHEAD
    }

    /// The record with this number of a simulated cohort: JSON text, filled up with blanks to the record's
    /// size, or cut off there. The key names the group and, unless it is the hot one, the record.
    pub(super) fn made_up(cohort: &Cohort, number: u64) -> Self {
        let key = match cohort.class {
            Class::Hot => format!("{}-hot", cohort.group),
            _ => format!("{}-{number}", cohort.group),
        };
        let last = cohort.class == Class::Final;
        let mut text = String::new();
        _ = write!(text, "{{\"group\":{},\"number\":{number},\"final\":{last}}}", cohort.group);
        let mut data = text.into_bytes();
        data.resize((cohort.bytes_each as usize).saturating_sub(key.len()), b' ');
        Self { key, data }
    }
}

//! Deployment packages: what CreateFunction and UpdateFunctionCode accept. Code is never run and never kept;
//! size and hash stay.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::invalid;
use crate::twin::wire::{Args, Refusal};

/// Bytes of a zip sent in the request (Lambda quotas: 50 MB, zipped, for direct upload).
pub(super) const ZIPPED_LIMIT: u64 = 52_428_800;
/// Bytes of its content (Lambda quotas: 250 MB, unzipped).
pub(super) const UNZIPPED_LIMIT: u64 = 262_144_000;
/// Stands for the size of code that lies elsewhere (S3, an image), in bytes. Assumption.
const ELSEWHERE_BYTES: u64 = 1_024;

/// A package, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in base64.
    pub sha256: String,
    /// A container image instead of a zip.
    pub image: bool,
}

impl Package {
    /// Code named by a place instead of sent.
    pub fn elsewhere(place: &str, image: bool) -> Self {
        Self { size: ELSEWHERE_BYTES, sha256: hash(place.as_bytes()), image }
    }

    /// The package of a request: members of `Code`, or of UpdateFunctionCode itself.
    ///
    /// # Errors
    /// InvalidParameterValueException without code, with two, or with a file that is not a zip or too large.
    pub fn from(args: Args) -> Result<Self, Refusal> {
        match (args.text("ZipFile"), args.text("S3Bucket"), args.text("ImageUri")) {
            (Some(zip), None, None) => Self::unpack(zip),
            (None, Some(bucket), None) => {
                let key = args.text("S3Key").ok_or_else(|| invalid("S3Key is required with S3Bucket."))?;
                Ok(Self::elsewhere(&format!("{bucket}/{key}"), false))
            }
            (None, None, Some(image)) => Ok(Self::elsewhere(image, true)),
            (None, None, None) => Err(invalid("Please provide a source for function code.")),
            _ => Err(invalid("Please provide only one source for function code.")),
        }
    }

    fn unpack(zip: &str) -> Result<Self, Refusal> {
        let broken = || invalid("Could not unzip uploaded file. Please check your file, then try to upload again.");
        let bytes = BASE64_STANDARD.decode(zip).map_err(|_| broken())?;
        let size = bytes.len() as u64;
        if size > ZIPPED_LIMIT {
            return Err(invalid(format!("Zipped size must be smaller than {ZIPPED_LIMIT} bytes")));
        }
        match unzipped(&bytes) {
            None => Err(broken()),
            Some(content) if content > UNZIPPED_LIMIT => {
                Err(invalid(format!("Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")))
            }
            Some(_) => Ok(Self { size, sha256: hash(&bytes), image: false }),
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

/// Bytes of a zip's content, as its central directory says; `None` when it is no zip (PKWARE APPNOTE 4.3).
fn unzipped(zip: &[u8]) -> Option<u64> {
    let last = zip.len().checked_sub(22)?;
    let end = (0..=last).rev().take(65_536).find(|at| zip.get(*at..at + 4) == Some(b"PK\x05\x06"))?;
    let entries = number(zip, end + 10, 2)?;
    let mut at = usize::try_from(number(zip, end + 16, 4)?).ok()?;
    let mut sum = 0;
    for _ in 0..entries {
        if zip.get(at..at.checked_add(4)?)? != b"PK\x01\x02" {
            return None;
        }
        sum += number(zip, at + 24, 4)?;
        let tail = number(zip, at + 28, 2)? + number(zip, at + 30, 2)? + number(zip, at + 32, 2)?;
        at = at.checked_add(46)?.checked_add(usize::try_from(tail).ok()?)?;
    }
    Some(sum)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(width)?)?;
    Some(digits.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

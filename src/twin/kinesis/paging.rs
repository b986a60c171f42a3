//! NextTokens: valid for 300 seconds (API reference), bound to the operation and stream they came from.

use super::{invalid, token};
use crate::twin::{Ctx, wire::Refusal};

const LIFE_MS: i64 = 300_000;

/// The token of the page after `last`.
pub(super) fn token(ctx: &Ctx, kind: &str, subject: &str, last: &str) -> String {
    token::seal(&[kind.to_owned(), ctx.now.to_string(), subject.to_owned(), last.to_owned()])
}

/// What a token stands for: its subject and the last item of the page before.
pub(super) fn open(ctx: &Ctx, text: &str, kind: &str) -> Result<(String, String), Refusal> {
    let parts = token::open(text).unwrap_or_default();
    let [of, at, subject, last] = parts.as_slice() else { return Err(invalid("NextToken is invalid.")) };
    let at: i64 = at.parse().map_err(|_| invalid("NextToken is invalid."))?;
    if of != kind {
        return Err(invalid("NextToken is invalid."));
    }
    if ctx.now - at > LIFE_MS {
        return Err(Refusal::new(400, "ExpiredNextTokenException", "NextToken has expired."));
    }
    Ok((subject.clone(), last.clone()))
}

/// The last item of the page before, for a token of this subject.
pub(super) fn resume(ctx: &Ctx, text: &str, kind: &str, subject: &str) -> Result<String, Refusal> {
    let (of, last) = open(ctx, text, kind)?;
    if of == subject { Ok(last) } else { Err(invalid("NextToken is invalid.")) }
}

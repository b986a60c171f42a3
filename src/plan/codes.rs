//! The codes of what a plan refuses. They are public: scripts and docs name them, so they never change meaning.

/// Exists without our tag and the spec's `adoptionPolicy` is `refuse`.
pub const NOT_OURS: &str = "AC0207";
/// Tagged as another pipeline's, or managed by another tool.
pub const OTHER_OWNER: &str = "AC0208";
/// Its tags cannot be read, so nobody knows whose it is.
pub const OWNER_UNKNOWN: &str = "AC0209";
/// It needs a resource that this plan refuses.
pub const DEPENDS_ON_REFUSED: &str = "AC0210";
/// The function does not exist.
pub const FUNCTION_MISSING: &str = "AC0301";
/// It differs in something that AWS, or this version, cannot change in place.
pub const IMMUTABLE: &str = "AC0302";
/// It is being deleted.
pub const BEING_DELETED: &str = "AC0303";
/// It is in a state that this version does not know.
pub const UNKNOWN_STATE: &str = "AC0304";
/// Too few UpdateShardCount calls are left.
pub const RESHARD_QUOTA: &str = "AC0305";
/// No capacity decrease is left for now.
pub const DECREASE_QUOTA: &str = "AC0306";
/// The function reads the stream through enhanced fan-out already; a second mapping would process records twice.
pub const SECOND_MAPPING: &str = "AC0307";
/// More shards than the account's limit.
pub const SHARD_LIMIT: &str = "AC0308";
/// A consumer cannot be moved to or from fan-out now.
pub const MOVE_REFUSED: &str = "AC0309";
/// No fan-out consumer is left to be registered.
pub const FAN_OUT_LIMIT: &str = "AC0310";
/// Retained by `destroy`: `deletionPolicy` is `retain`.
pub const RETAINED: &str = "AC0501";
/// Retained by `destroy`: the name was not confirmed.
pub const NOT_CONFIRMED: &str = "AC0502";
/// Left alone by `destroy`: not tagged as this pipeline's own, or in an unknown state.
pub const LEFT_ALONE: &str = "AC0503";
/// Retained by `destroy`: fan-out consumers are registered on the stream.
pub const HAS_CONSUMERS: &str = "AC0504";

/// Every code with one sentence, for the docs.
pub const ALL: &[(&str, &str)] = &[
    (NOT_OURS, "The resource exists without this pipeline's tag, and adoptionPolicy is refuse."),
    (OTHER_OWNER, "The resource carries the tag of another pipeline or another tool."),
    (OWNER_UNKNOWN, "The resource's tags cannot be read, so its owner is unknown."),
    (DEPENDS_ON_REFUSED, "The resource needs another one that this plan refuses."),
    (FUNCTION_MISSING, "The Lambda function does not exist."),
    (IMMUTABLE, "The resource differs in something that cannot be changed in place."),
    (BEING_DELETED, "The resource is being deleted."),
    (UNKNOWN_STATE, "The resource is in a state this version does not know."),
    (RESHARD_QUOTA, "Too few UpdateShardCount calls are left in the rolling 24 hours."),
    (DECREASE_QUOTA, "No capacity decrease is left for now."),
    (SECOND_MAPPING, "The function reads the stream through another mapping already."),
    (SHARD_LIMIT, "More shards are asked for than the account may have."),
    (
        MOVE_REFUSED,
        "The consumer cannot be moved to or from enhanced fan-out now without the risk of skipping records.",
    ),
    (FAN_OUT_LIMIT, "The stream has as many fan-out consumers as it may have."),
    (RETAINED, "destroy retains the resource: its deletionPolicy is retain."),
    (NOT_CONFIRMED, "destroy retains the resource: the pipeline's name was not confirmed."),
    (LEFT_ALONE, "destroy leaves the resource alone: it is not this pipeline's own, or in an unknown state."),
    (HAS_CONSUMERS, "destroy retains the stream: fan-out consumers are registered on it."),
];

/// See [`super::Blocked::is_conflict`]. An unknown code is a conflict.
pub(super) fn is_conflict(code: &str) -> bool {
    const WAITING: [&str; 5] = [RESHARD_QUOTA, DECREASE_QUOTA, SHARD_LIMIT, MOVE_REFUSED, FAN_OUT_LIMIT];
    ![RETAINED, NOT_CONFIRMED, LEFT_ALONE, HAS_CONSUMERS].contains(&code) && !WAITING.contains(&code)
}

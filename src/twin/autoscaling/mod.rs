//! Application Auto Scaling. Nothing is built yet: every operation is unknown.

use super::{
    Ctx,
    wire::{Answer, Args, Refusal},
};

pub(super) fn call(_ctx: &mut Ctx, _operation: &str, _args: Args) -> Answer {
    Err(Refusal::unknown_operation())
}

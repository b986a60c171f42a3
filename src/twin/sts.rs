//! STS: GetCallerIdentity, as a user of the world's account.

use serde_json::json;

use super::{
    Ctx,
    wire::{Answer, Refusal},
};

pub(super) fn call(ctx: &Ctx, operation: &str) -> Answer {
    if operation != "GetCallerIdentity" {
        return Err(Refusal::unknown_operation());
    }
    Ok(json!({
        "Arn": format!("arn:aws:iam::{}:user/alleycat", ctx.account()),
        "UserId": "AIDATWINTWINTWINTWIN1",
        "Account": ctx.account(),
    }))
}

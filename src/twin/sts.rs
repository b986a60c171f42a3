//! STS: GetCallerIdentity, as a user of the world's account.

use serde_json::json;

use super::{
    Ctx,
    wire::{Answer, Refusal},
};

pub(super) fn call(ctx: &Ctx, operation: &str) -> Answer {
    if operation != "GetCallerIdentity" {
        return Err(Refusal::new(
            400,
            "InvalidAction",
            format!("Could not find operation {operation} for version 2011-06-15"),
        ));
    }
    Ok(json!({
        "Arn": format!("arn:aws:iam::{}:user/alleycat", ctx.account()),
        "UserId": "AIDATWINTWINTWINTWIN1",
        "Account": ctx.account(),
    }))
}

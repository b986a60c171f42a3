//! Reserved concurrency and the account's settings.

use serde_json::{Value, json};

use super::{Lambda, code, invalid};
use crate::twin::{
    Ctx,
    wire::{Answer, Args},
};

impl Lambda {
    pub(super) fn get_concurrency(&mut self, ctx: &Ctx, args: Args) -> Answer {
        let (_, function) = self.find_whole(ctx, args)?;
        let reserved = function.reserved;
        Ok(reserved.map_or(Value::Null, |reserved| json!({ "ReservedConcurrentExecutions": reserved })))
    }

    pub(super) fn put_concurrency(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (named, function) = self.find_whole(ctx, args)?;
        function.need_settled(&named.arn)?;
        let wanted = args.ranged("ReservedConcurrentExecutions", 0, i64::from(u32::MAX))?;
        let wanted = wanted.ok_or_else(|| invalid("ReservedConcurrentExecutions is required"))? as u32;
        let minimum = ctx.assumptions.unreserved_minimum;
        if self.unreserved(ctx, &named.name) < wanted.saturating_add(minimum) {
            return Err(invalid(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                 below its minimum value of [{minimum}]."
            )));
        }
        self.set_concurrency(ctx, &named.name, Some(wanted));
        Ok(json!({ "ReservedConcurrentExecutions": wanted }))
    }

    pub(super) fn delete_concurrency(&mut self, ctx: &mut Ctx, args: Args) -> Answer {
        let (named, function) = self.find_whole(ctx, args)?;
        function.need_settled(&named.arn)?;
        self.set_concurrency(ctx, &named.name, None);
        Ok(Value::Null)
    }

    pub(super) fn set_concurrency(&mut self, ctx: &mut Ctx, name: &str, value: Option<u32>) {
        let Some(function) = self.functions.get_mut(name) else { return };
        let count = |value: Option<u32>| value.unwrap_or_default().into();
        ctx.change(&format!("function/{name}"), "reservedConcurrency", count(function.reserved), count(value));
        function.reserved = value;
        ctx.plane.set_reserved_concurrency(name, value);
    }

    pub(super) fn account_settings(&self, ctx: &Ctx) -> Value {
        json!({
            "AccountLimit": {
                "TotalCodeSize": ctx.assumptions.code_storage_bytes,
                "CodeSizeUnzipped": code::UNZIPPED_LIMIT,
                "CodeSizeZipped": code::ZIPPED_LIMIT,
                "ConcurrentExecutions": ctx.world.account_concurrency,
                "UnreservedConcurrentExecutions": self.unreserved(ctx, ""),
            },
            "AccountUsage": { "TotalCodeSize": self.code_size(), "FunctionCount": self.functions.len() },
        })
    }

    /// Concurrency that no function but `without` has reserved.
    fn unreserved(&self, ctx: &Ctx, without: &str) -> u32 {
        let others = self.functions.iter().filter(|(name, _)| *name != without);
        let reserved = others.filter_map(|(_, function)| function.reserved).fold(0_u32, u32::saturating_add);
        ctx.world.account_concurrency.saturating_sub(reserved)
    }
}

//! How requests name functions: a name, a partial or a full ARN, each with or without a qualifier.

use super::{Lambda, Named, functions::Function, invalid, not_found};
use crate::twin::{
    Ctx,
    wire::{Args, Refusal},
};

/// Letters of a function's name (API reference).
const LETTERS: usize = 64;

/// The unqualified ARN.
pub(super) fn arn(ctx: &Ctx, name: &str) -> String {
    ctx.arn("lambda", &format!("function:{name}"))
}

/// Refuses what cannot be a function's name.
pub(super) fn check(name: &str) -> Result<(), Refusal> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if (1..=LETTERS).contains(&name.len()) && name.chars().all(plain) {
        return Ok(());
    }
    let pattern = r"satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
    Err(Refusal::constraint(name, "functionName", pattern))
}

/// Takes a name apart. The function need not exist.
pub(super) fn parse(ctx: &Ctx, given: &str) -> Result<Named, Refusal> {
    let (before, short) = match given.split_once("function:") {
        Some((before, short)) if before.is_empty() || before.ends_with(':') => (before, short),
        _ => ("", given),
    };
    let (name, qualifier) = short.split_once(':').map_or((short, None), |(name, rest)| (name, Some(rest)));
    check(name)?;
    if let Some(qualifier) = qualifier.filter(|qualifier| *qualifier != "$LATEST") {
        check(qualifier)?;
    }
    let mut owner = before.trim_end_matches(':').rsplit(':');
    let (account, region) = (owner.next().unwrap_or_default(), owner.next().unwrap_or_default());
    let mut full = arn(ctx, name);
    if let Some(qualifier) = qualifier {
        full = format!("{full}:{qualifier}");
    }
    if !region.is_empty() && region != ctx.world.region {
        let here = &ctx.world.region;
        return Err(not_found(format!("Functions from '{region}' are not reachable in this region ('{here}')")));
    }
    if !account.is_empty() && account != ctx.account() {
        return Err(not_found(format!("Function not found: {given}")));
    }
    Ok(Named { name: name.to_owned(), qualifier: qualifier.map(str::to_owned), arn: full })
}

impl Lambda {
    /// The function a request means, by name and by `Qualifier`. Aliases are those the world lists.
    pub(super) fn named(&self, ctx: &Ctx, args: Args) -> Result<Named, Refusal> {
        let mut named = parse(ctx, args.need_text("FunctionName")?)?;
        if let Some(qualifier) = args.text("Qualifier") {
            if named.qualifier.as_ref().is_some_and(|derived| derived != qualifier) {
                return Err(invalid(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            if named.qualifier.is_none() {
                named = Named { arn: format!("{}:{qualifier}", named.arn), qualifier: Some(qualifier.into()), ..named };
            }
        }
        let model = ctx.world.functions.get(&named.name);
        let aliases = model.map_or(&[][..], |model| model.aliases.as_slice());
        let known = |qualifier: &String| qualifier == "$LATEST" || aliases.contains(qualifier);
        if self.functions.contains_key(&named.name) && named.qualifier.as_ref().is_none_or(known) {
            return Ok(named);
        }
        Err(not_found(format!("Function not found: {}", named.arn)))
    }

    pub(super) fn find(&self, ctx: &Ctx, args: Args) -> Result<(Named, &Function), Refusal> {
        let named = self.named(ctx, args)?;
        let function = self.functions.get(&named.name);
        function.ok_or_else(|| not_found(format!("Function not found: {}", named.arn))).map(|found| (named, found))
    }

    /// The function, for a change that an alias or version does not support.
    pub(super) fn find_whole(&mut self, ctx: &Ctx, args: Args) -> Result<(Named, &mut Function), Refusal> {
        let named = self.named(ctx, args)?;
        if named.qualifier.as_ref().is_some_and(|qualifier| qualifier != "$LATEST") {
            return Err(invalid(
                "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
            ));
        }
        let function = self.functions.get_mut(&named.name);
        function.ok_or_else(|| not_found(format!("Function not found: {}", named.arn))).map(|found| (named, found))
    }
}
